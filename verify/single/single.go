// Package single checks one Sigstore bundle on its own, and says everything that
// was checked.
//
// It is for auditors: people who hold one bundle and one artifact, trust neither
// the registry nor whoever gave them either, and want to know who signed what,
// and when. Its parent package judges chains of evidence and is strict about the
// one form that it writes; this one reads what others wrote in the past years:
// bundles v0.1 to v0.3, signatures of files ("message signatures") and of in-toto
// statements (DSSE), by keys and by certificates.
//
// # Who decides
//
// sigstore-go does: signature, certificate chain, certificate transparency, log
// entries with proofs and checkpoints, timestamps. The answer of [Check] is yes
// only if sigstore-go's is, and our own checks hold as well, for what it leaves
// open: one identity in the certificate, a statement that reads in one way only,
// the artifact's digest among its subjects.
//
// # What is demanded
//
// The trusted root says. Of what it lists, a bundle must have: a log entry if it
// lists logs, a certificate timestamp if it lists certificate-transparency logs,
// and a certificate always needs an authenticated time, by a log or a timestamp
// authority, because it was valid for minutes. Nothing that travels with the
// bundle is trusted. Without a trusted root only a key can verify, and the
// [Report] says that log entries and timestamps were not looked at.
//
// # Pure
//
// Bytes go in, a value comes out. There is no network, no file and no clock: the
// only times are those that logs and authorities signed, so the same bytes have
// the same answer in ten years.
package single

import (
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// MaxTrustedRoot bounds a trusted root. Sigstore's own, the largest known, has
// less than 7 kB.
const MaxTrustedRoot = 1 << 20

// A Question is what an auditor asks: does this bundle show that this signer
// signed this artifact? The zero Question is refused.
type Question struct {
	Bundle   []byte // at most attest.MaxBundle bytes
	Artifact Artifact

	// Who must have signed: either a key, or an identity in a certificate.
	Key      attest.PublicKey
	Identity Identity

	// TrustedRoot is a Sigstore trusted_root.json: the certificate authorities,
	// logs and timestamp authorities that are believed. May be nil with a key.
	TrustedRoot []byte

	// Trust is a trust file, in the place of TrustedRoot: then neither Key nor Identity
	// need be named, and whoever the trust vouches for may have signed.
	Trust *trust.Trust
}

// An Identity is a certificate's holder: the subject alternative name, and the
// issuer of the token that Fulcio saw. Both are compared as whole strings, byte
// by byte; there are no patterns.
type Identity struct {
	Subject string
	Issuer  string
}

// An Artifact is what must have been signed: its content, or where only that is
// known, its digest. Exactly one of the two is set.
type Artifact struct {
	// Digest is a SHA-256. Of a statement's subject it may be a git commit.
	Digest attest.Digest
	// Content is read to its end, once, and not kept, except for a plain Ed25519
	// signature, which needs all of it at once: then at most 256 MiB are read.
	Content io.Reader
}

// Check verifies one bundle and reports what was checked. On error the Report is
// nil, and nothing of the bundle may be used. No limit applies to the artifact but
// the one that Artifact.Content states.
//
// The error is an *attest.Refusal. Of the question: E_USAGE (incomplete or
// contradictory), E_KEY, E_TRUSTROOT, E_FILE_IO. Of the bundle's form: E_LIMIT, E_JSON,
// E_DUP_KEY, E_BUNDLE_VERSION, E_BUNDLE_PARSE, E_SIG_COUNT, E_PAYLOAD_TYPE. Of what it must
// prove: E_SIG_INVALID, E_SUBJECT_MISMATCH, E_DIGEST_ALG, E_KEY_UNKNOWN,
// E_IDENTITY, E_CERT_CHAIN, E_LOG_PROOF, E_LOG_MISMATCH, E_TSA, E_TIME_MISSING,
// E_TIME_WINDOW. Of an authentic statement, whatever attest.ParseStatement
// refuses. If several things are wrong, the first in the order signature, log,
// time, certificate, identity, statement is named.
func Check(q Question) (*Report, error) {
	if err := q.complete(); err != nil {
		return nil, err
	}
	if q.Trust != nil {
		return under(q)
	}
	trust, err := readTrust(q)
	if err != nil {
		return nil, err
	}
	e, err := parse(q.Bundle)
	if err != nil {
		return nil, err
	}
	if err := e.signedBy(q); err != nil {
		return nil, err
	}
	m, err := e.measure(q)
	if err != nil {
		return nil, err
	}
	c := &check{question: q, trust: trust, entity: e, artifact: m}
	result, err := c.sigstore()
	if err != nil {
		return nil, c.diagnose(err)
	}
	statement, err := e.statement(m.digest)
	if err != nil {
		return nil, err
	}
	return c.report(result, statement)
}

// complete refuses a question with several readings, or none.
func (q Question) complete() error {
	byKey, byName := !q.Key.IsZero(), q.Identity != Identity{}
	switch {
	case q.Trust != nil && len(q.TrustedRoot) > 0:
		return &attest.Refusal{Code: attest.CodeUsage, Why: "a trust file and a trusted root are two answers to one question", Next: "list the trusted root in the trust file"}
	case byKey && byName || byKey == byName && q.Trust == nil:
		return &attest.Refusal{Code: attest.CodeUsage, Why: "name either a key or a certificate's identity", Next: "say who must have signed"}
	case byName && (q.Identity.Subject == "" || q.Identity.Issuer == ""):
		return &attest.Refusal{Code: attest.CodeUsage, Why: "an identity has a subject and an issuer", Next: "name both: another issuer may call somebody else by the same name"}
	case byName && len(q.TrustedRoot) == 0 && q.Trust == nil:
		return &attest.Refusal{Code: attest.CodeUsage, Why: "a certificate proves nothing without a trusted root", Next: "name a trusted_root.json; nothing is fetched"}
	case q.Artifact.Digest.IsZero() == (q.Artifact.Content == nil):
		return &attest.Refusal{Code: attest.CodeUsage, Why: "name the artifact by content or by digest"}
	}
	return nil
}

// A check is one run, with everything that was read and nothing believed.
type check struct {
	question Question
	trust    root.TrustedMaterial
	entity   *entity
	artifact measured

	// Under a trust file: what it asks for, and since when the signature is known to
	// exist.
	need *trust.Sigstore
	seen time.Time
}

// readTrust returns what is believed: the trusted root, and the named key.
func readTrust(q Question) (root.TrustedMaterial, error) {
	var all root.TrustedMaterialCollection
	if !q.Key.IsZero() {
		key, err := keyMaterial(q.Key)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	if len(q.TrustedRoot) > 0 {
		// sigstore-go's reader is the one that counts; ours refuses what it and
		// another could read differently.
		if _, err := strictjson.Parse(q.TrustedRoot, MaxTrustedRoot); err != nil {
			return nil, badTrust(err)
		}
		tr, err := root.NewTrustedRootFromJSON(q.TrustedRoot)
		if err != nil {
			return nil, badTrust(err)
		}
		all = append(all, tr)
	}
	return all, nil
}

func badTrust(err error) error {
	return &attest.Refusal{Code: attest.CodeTrustRoot, Why: "not a usable trusted root", Err: err, Next: "get trusted_root.json again from whoever runs the Sigstore instance"}
}

// sigstore asks sigstore-go, in the way of its own conformance client: what the
// trusted root can vouch for is demanded, and a time whenever there can be one; under
// a trust file, what that asks for.
func (c *check) sigstore() (*sigstore.VerificationResult, error) {
	options, timed := c.demanded()
	var who sigstore.PolicyOption
	if c.entity.certificate != nil {
		id, err := sigstore.NewShortCertificateIdentity(c.question.Identity.Issuer, "", c.question.Identity.Subject, "")
		if err != nil {
			return nil, err
		}
		who = sigstore.WithCertificateIdentity(id)
	} else {
		if !timed { // with a certificate, NewVerifier refuses to do without a time
			options = append(options, sigstore.WithNoObserverTimestamps())
		}
		who = sigstore.WithKey()
	}
	v, err := sigstore.NewVerifier(c.trust, options...)
	if err != nil {
		return nil, err
	}
	return v.Verify(c.entity, sigstore.NewPolicy(c.artifact.policy(c.entity), who))
}

// demanded is what sigstore-go is to ask of the bundle, and whether a time is part of
// it.
func (c *check) demanded() (options []sigstore.VerifierOption, timed bool) {
	certified := c.entity.certificate != nil
	if s := c.need; s != nil {
		if !certified {
			return nil, false // what the trust says of keys, it says itself
		}
		if s.Logs > 0 {
			options = append(options, sigstore.WithTransparencyLog(s.Logs))
		}
		if s.CertificateLogs > 0 {
			options = append(options, sigstore.WithSignedCertificateTimestamps(s.CertificateLogs))
		}
		return append(options, sigstore.WithObserverTimestamps(s.Timestamps)), true
	}
	if len(c.trust.TimestampingAuthorities()) > 0 && len(c.entity.stamps) > 0 {
		options, timed = append(options, sigstore.WithSignedTimestamps(1)), true
	}
	if len(c.trust.RekorLogs()) > 0 {
		options = append(options, sigstore.WithTransparencyLog(1))
		if c.entity.HasInclusionPromise() {
			options, timed = append(options, sigstore.WithIntegratedTimestamps(1)), true
		}
	}
	if certified && len(c.trust.CTLogs()) > 0 {
		options = append(options, sigstore.WithSignedCertificateTimestamps(1))
	}
	return options, timed
}

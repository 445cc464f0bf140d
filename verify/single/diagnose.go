package single

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file names refusals. It runs after sigstore-go has said no, asks for each
// part of its answer alone, and cannot turn the no into a yes: whatever it finds,
// or doesn't find, it returns a refusal.

// diagnose says what was wrong with a bundle that sigstore-go refused for err.
func (c *check) diagnose(err error) error {
	for _, stage := range []func() *attest.Refusal{c.badSignature, c.badLog, c.badTime, c.badCertificate, c.tooFewTimes, c.badIdentity} {
		if r := stage(); r != nil {
			return r
		}
	}
	return &attest.Refusal{Code: attest.CodeSigInvalid, Why: "the bundle does not verify", Err: err}
}

// badSignature looks at the artifact and the signature over it.
func (c *check) badSignature() *attest.Refusal {
	if m := c.entity.content.MessageSignatureContent(); m != nil && !bytes.Equal(m.Digest(), c.artifact.sum) {
		return &attest.Refusal{Code: attest.CodeSubjectMismatch, About: c.artifact.digest.String(), Why: "the bundle is for a message with the digest " + hex.EncodeToString(m.Digest()), Next: "name the file that was signed"}
	}
	material, err := c.entity.VerificationContent()
	if err != nil {
		return &attest.Refusal{Code: attest.CodeBundleParse, Why: "not a usable Sigstore bundle", Err: err}
	}
	switch {
	case c.entity.content.EnvelopeContent() != nil:
		err = sigstore.VerifySignature(c.entity.content, material, c.trust)
	case c.artifact.whole:
		err = sigstore.VerifySignatureWithArtifacts(c.entity.content, material, c.trust, []io.Reader{bytes.NewReader(c.artifact.content)})
	default:
		digests := []sigstore.ArtifactDigest{{Digest: c.artifact.sum}}
		err = sigstore.VerifySignatureWithArtifactDigests(c.entity.content, material, c.trust, digests)
	}
	if err == nil {
		return nil
	}
	who := "the certificate's key"
	if c.entity.certificate == nil {
		who = c.question.Key.Fingerprint().String()
	}
	return &attest.Refusal{Code: attest.CodeSigInvalid, About: who, Why: "did not make this signature", Next: "get bundle and artifact again from whoever signed; they may have been changed"}
}

// badLog looks at the log entries, which are demanded if the root lists logs.
func (c *check) badLog() *attest.Refusal {
	n := 1
	if c.need != nil {
		n = c.need.Logs
	}
	if n == 0 || len(c.trust.RekorLogs()) == 0 {
		return nil
	}
	_, cause := sigstore.VerifyTlogEntry(c.entity, c.trust, n, true)
	if cause == nil {
		return nil
	}
	if len(c.entity.entries) == 0 {
		return &attest.Refusal{Code: attest.CodeLogProof, Why: "the bundle has no log entry, and the trusted root lists logs", Next: "sign with a log, or leave the trusted root away if the key alone is enough"}
	}
	for _, entry := range c.entity.entries {
		if _, err := sigstore.VerifyTlogEntry(c.entity.alone(entry), c.trust, 1, true); err != nil {
			return c.badEntry(entry)
		}
	}
	if n > 1 {
		return &attest.Refusal{Code: attest.CodeLogProof, Why: fmt.Sprintf("the trust file asks for %d logs", n), Err: cause, Next: "sign with as many logs of the instance"}
	}
	// One entry twice: each verifies alone, and together they would count double.
	return &attest.Refusal{Code: attest.CodeLogProof, Why: "the log entries do not verify together", Err: cause}
}

// badEntry says why one entry does not verify.
func (c *check) badEntry(entry *tlog.Entry) *attest.Refusal {
	about := "log entry " + logID(entry)
	log, ok := c.trust.RekorLogs()[hex.EncodeToString([]byte(entry.LogKeyID()))]
	if !ok {
		return &attest.Refusal{Code: attest.CodeLogProof, About: about, Why: "of a log that the trusted root does not list", Next: "name the trusted root of the instance that was signed with"}
	}
	if err := c.inLog(entry, log); err != nil {
		return &attest.Refusal{Code: attest.CodeLogProof, About: about, Why: "the log's proof does not hold", Err: brief(err), Next: "get the bundle again from whoever signed"}
	}
	material, err := c.entity.VerificationContent()
	if err == nil && bytes.Equal(entry.Signature(), c.entity.content.Signature()) && !material.ValidAtTime(entry.IntegratedTime(), c.trust) && !entry.IntegratedTime().IsZero() {
		return &attest.Refusal{Code: attest.CodeTimeWindow, About: about, Why: "logged at " + stamp(entry.IntegratedTime()) + ", " + c.window(), Next: "check the clocks of signer, log and authority"}
	}
	other := "artifact"
	switch {
	case !bytes.Equal(entry.Signature(), c.entity.content.Signature()):
		other = "signature"
	case err == nil && !material.CompareKey(entry.PublicKey(), c.trust):
		other = "signer"
	}
	return &attest.Refusal{Code: attest.CodeLogMismatch, About: about, Why: "is about another " + other, Next: "get the bundle again from whoever signed"}
}

// brief leaves out what a library says in several lines: two hashes as lists of
// decimal numbers.
func brief(err error) error {
	if strings.Contains(err.Error(), "\n") {
		return nil
	}
	return err
}

// inLog verifies that an entry is in its log, whatever it is about.
func (c *check) inLog(entry *tlog.Entry, log *root.TransparencyLog) error {
	if err := tlog.ValidateEntry(entry); err != nil {
		return err
	}
	if entry.HasInclusionPromise() {
		if err := tlog.VerifySET(entry, c.trust.RekorLogs()); err != nil {
			return err
		}
	}
	if !entry.HasInclusionProof() {
		if !entry.HasInclusionPromise() {
			return errors.New("neither promise nor proof")
		}
		return nil
	}
	v, err := signature.LoadVerifier(log.PublicKey, log.SignatureHashFunc)
	if err != nil {
		return err
	}
	if !entry.IsRekorV2() {
		return tlog.VerifyInclusion(entry, v)
	}
	u, err := url.Parse(log.BaseURL)
	if err != nil {
		return err
	}
	return tlog.VerifyCheckpointAndInclusion(entry, v, u.Hostname())
}

// badTime looks at the timestamps.
func (c *check) badTime() *attest.Refusal {
	var cause error
	for _, raw := range c.entity.stamps {
		got, why, err := sigstore.VerifySignedTimestamp(c.entity.stamped(raw), c.trust)
		if len(got) > 0 {
			return nil
		}
		cause = errors.Join(append(why, err)...)
	}
	switch {
	case len(c.entity.stamps) > 0 && len(c.trust.TimestampingAuthorities()) > 0:
		return &attest.Refusal{Code: attest.CodeTSA, Why: "no timestamp is by a trusted authority, over this signature, within its validity", Err: cause, Next: "name the trusted root that lists the authority"}
	case c.entity.certificate != nil && len(c.times()) == 0:
		return &attest.Refusal{Code: attest.CodeTimeMissing, Why: "a certificate was valid for minutes, and nobody trusted says when the signature was made", Next: "sign with a timestamp authority that the trusted root lists"}
	}
	return nil
}

// badCertificate looks at the certificate at each authenticated time.
func (c *check) badCertificate() *attest.Refusal {
	cert := c.entity.certificate
	if cert == nil {
		return nil
	}
	for _, t := range c.times() {
		chains, err := sigstore.VerifyLeafCertificate(t, cert, c.trust)
		if err != nil && (t.Before(cert.NotBefore) || t.After(cert.NotAfter)) {
			return &attest.Refusal{Code: attest.CodeTimeWindow, About: "certificate", Why: "signed at " + stamp(t) + ", " + c.window(), Next: "check the clocks of signer, log and authority"}
		}
		if err != nil {
			return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "not issued by an authority that the trusted root lists for " + stamp(t), Err: err, Next: "name the trusted root of the instance that was signed with"}
		}
		if len(c.trust.CTLogs()) == 0 {
			continue
		}
		if err := sigstore.VerifySignedCertificateTimestamp(chains, 1, c.trust); err != nil {
			return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Why: "no listed certificate-transparency log has recorded it", Err: err, Next: "name the trusted root of the instance that was signed with"}
		}
	}
	return nil
}

// tooFewTimes holds the times against the trust file's threshold.
func (c *check) tooFewTimes() *attest.Refusal {
	if c.need == nil || c.entity.certificate == nil {
		return nil
	}
	if n := len(c.times()); n < c.need.Timestamps {
		return &attest.Refusal{Code: attest.CodeTimeMissing, Why: fmt.Sprintf("%d say when it was signed, and the trust file asks for %d", n, c.need.Timestamps), Next: "sign with as many timestamp authorities of the instance"}
	}
	return nil
}

// times are those that a certificate is checked at.
func (c *check) times() []time.Time {
	var out []time.Time
	for _, raw := range c.entity.stamps {
		got, _, _ := sigstore.VerifySignedTimestamp(c.entity.stamped(raw), c.trust)
		for _, t := range got {
			out = append(out, t.Time)
		}
	}
	for _, entry := range c.entity.entries {
		got, err := sigstore.VerifyTlogEntry(c.entity.alone(entry), c.trust, 1, true)
		for _, t := range got {
			if err == nil {
				out = append(out, t.Time)
			}
		}
	}
	return out
}

// badIdentity compares whole strings.
func (c *check) badIdentity() *attest.Refusal {
	if c.entity.certificate == nil {
		return nil
	}
	got, err := holder(c.entity.certificate)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeIdentity, About: "certificate", Err: err}
	}
	if want := c.question.Identity; got != want {
		return otherIdentity(got, want)
	}
	return nil
}

// otherIdentity says who signed in the place of whom. Letters that could pass for
// others are written out.
func otherIdentity(got, want Identity) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeIdentity, About: attest.ASCII(got.Subject),
		Why:  "signed as this, of " + attest.ASCII(got.Issuer) + ", not as " + attest.ASCII(want.Subject) + " of " + attest.ASCII(want.Issuer),
		Next: "compare both character by character; patterns are not read"}
}

func (c *check) window() string {
	if c.entity.certificate == nil {
		return "outside of the key's validity"
	}
	return "outside of the certificate's validity, " + stamp(c.entity.certificate.NotBefore) + " to " + stamp(c.entity.certificate.NotAfter)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

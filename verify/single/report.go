package single

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Report says what was checked of one bundle, because it was checked. It is for
// printing, as text or JSON; no function takes a Report for a proof. The same
// question has the same Report, down to the order of lists.
type Report struct {
	MediaType string        `json:"mediaType"` // the bundle's version
	Bundle    attest.Digest `json:"bundle"`    // SHA-256 of its bytes

	// Artifact is what was signed, and Read whether its content was hashed here.
	// Otherwise the caller's digest was taken for it.
	Artifact attest.Digest `json:"artifact"`
	Read     bool          `json:"artifactRead"`

	// Exactly one of Key (a SHA-256 of the SubjectPublicKeyInfo) and Certificate.
	Key         attest.Digest `json:"key,omitzero"`
	Certificate *Certificate  `json:"certificate,omitempty"`

	// Statement is nil if the signature is over the artifact itself.
	Statement *Statement `json:"statement,omitempty"`

	Log        []LogEntry  `json:"log"`        // verified entries, in the bundle's order
	Timestamps []Timestamp `json:"timestamps"` // verified timestamps, in the bundle's order

	// TrustedRoot is the SHA-256 of the trusted root; zero if none was named.
	TrustedRoot attest.Digest `json:"trustedRoot,omitzero"`
	// Trust is the trust file, where one was named in its place; and Seen since when, by
	// it, the signature is known to exist: zero for a key that nobody saw sign.
	Trust *Trusted  `json:"trust,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`

	// NotChecked lists what is in the bundle, or could be, and was not verified.
	NotChecked []string `json:"notChecked"`
}

// A Certificate is the signer's, verified up to a trusted root at the time of
// signing.
type Certificate struct {
	Identity     string        `json:"identity"` // the subject alternative name
	Issuer       string        `json:"issuer"`   // of the token that the authority saw
	NotBefore    time.Time     `json:"notBefore"`
	NotAfter     time.Time     `json:"notAfter"`
	Serial       string        `json:"serial"` // hexadecimal
	Fingerprint  attest.Digest `json:"fingerprint"`
	Root         string        `json:"root"` // subject of the trusted root certificate
	Transparency []CTLog       `json:"transparency"`

	// What the authority copied from the token, where there is any.
	SourceRepository string `json:"sourceRepository,omitempty"`
	SourceRef        string `json:"sourceRef,omitempty"`
	SourceDigest     string `json:"sourceDigest,omitempty"`
	BuildTrigger     string `json:"buildTrigger,omitempty"`
	RunInvocation    string `json:"runInvocation,omitempty"`
	// Claims is all of that.
	Claims *trust.Claims `json:"claims,omitempty"`
}

// A CTLog has promised to record the certificate (a signed certificate timestamp,
// RFC 6962).
type CTLog struct {
	Log string `json:"log"` // its URL in the trusted root
	ID  string `json:"id"`  // hexadecimal
}

// A LogEntry of a transparency log was verified: it is in the log, and it is about
// this signature, signer and artifact.
type LogEntry struct {
	Log     string `json:"log"`   // its URL in the trusted root
	ID      string `json:"id"`    // hexadecimal
	Index   int64  `json:"index"` // as the log's clients show it
	Kind    string `json:"kind"`
	Promise bool   `json:"inclusionPromise"` // the log signed that it will include the entry
	Proof   bool   `json:"inclusionProof"`   // Merkle proof up to a signed checkpoint
	// IntegratedTime is set only with a promise: nothing else authenticates it.
	IntegratedTime time.Time `json:"integratedTime,omitzero"`
}

// A Timestamp (RFC 3161) over the signature, by a trusted authority.
type Timestamp struct {
	Authority string    `json:"authority"` // its URL in the trusted root
	Time      time.Time `json:"time"`
}

// A Statement is what the signer said, as far as every statement has it.
type Statement struct {
	Type          string        `json:"type"`
	PredicateType string        `json:"predicateType"`
	Payload       attest.Digest `json:"payload"` // SHA-256 of the signed bytes
	Subjects      []Subject     `json:"subjects"`
}

// A Subject of a statement.
type Subject struct {
	Name    string        `json:"name,omitempty"`
	Digest  attest.Digest `json:"digest"`
	Matches bool          `json:"matches"` // it is the artifact
}

// report writes down what held. Each line comes from verifying that part again,
// alone: sigstore-go passes over what it cannot verify, and does not say so.
func (c *check) report(result *sigstore.VerificationResult, s *attest.Statement) (*Report, error) {
	r := &Report{
		MediaType: c.entity.GetMediaType(), Bundle: attest.SHA256(c.question.Bundle),
		Artifact: c.artifact.digest, Read: c.artifact.read,
		Key: c.question.Key.Fingerprint(),
		Log: []LogEntry{}, Timestamps: []Timestamp{}, NotChecked: []string{},
	}
	if len(c.question.TrustedRoot) > 0 {
		r.TrustedRoot = attest.SHA256(c.question.TrustedRoot)
	}
	if t := c.question.Trust; t != nil {
		r.Seen = c.seen.UTC()
		r.Trust = &Trusted{Name: t.Name(), Version: t.Version(), Digest: t.Digest(), Instance: c.need.Name,
			Logs: c.need.Logs, Timestamps: c.need.Timestamps, CertificateLogs: c.need.CertificateLogs}
	}
	if s != nil {
		r.Statement = &Statement{Type: s.Type, PredicateType: s.PredicateType, Payload: s.Payload}
		for _, sub := range s.Subjects {
			r.Statement.Subjects = append(r.Statement.Subjects, Subject{sub.Name, sub.Digest, sub.Digest == c.artifact.digest})
		}
	}
	c.reportLog(r)
	c.reportTimestamps(r)
	if c.entity.certificate != nil {
		if err := c.reportCertificate(r, result); err != nil {
			return nil, err
		}
	}
	if len(result.VerifiedTimestamps) == 0 && c.seen.IsZero() {
		r.skip("when it was signed: nobody who is trusted says so")
	}
	if !r.Read {
		r.skip("the artifact's content: only its digest was named")
	}
	return r, nil
}

func (r *Report) skip(format string, args ...any) {
	r.NotChecked = append(r.NotChecked, fmt.Sprintf(format, args...))
}

func (c *check) reportLog(r *Report) {
	logs := c.trust.RekorLogs()
	if len(logs) == 0 {
		if n := len(c.entity.entries); n > 0 {
			r.skip("%d log entries of the bundle: no log is trusted", n)
		} else {
			r.skip("any transparency log: the bundle has no entry, and no log is trusted")
		}
		return
	}
	for _, entry := range c.entity.entries {
		got, err := sigstore.VerifyTlogEntry(c.entity.alone(entry), c.trust, 1, true)
		if err != nil {
			r.skip("log entry %s: not of a listed log, or not verifiable", logID(entry))
			continue
		}
		id := hex.EncodeToString([]byte(entry.LogKeyID()))
		kind := entry.TransparencyLogEntry().GetKindVersion()
		out := LogEntry{
			Log: logs[id].BaseURL, ID: id, Index: entry.LogIndex(),
			Kind:    kind.GetKind() + "/" + kind.GetVersion(),
			Promise: entry.HasInclusionPromise(), Proof: entry.HasInclusionProof(),
		}
		if len(got) == 1 {
			out.IntegratedTime = got[0].Time.UTC()
		}
		r.Log = append(r.Log, out)
	}
}

func (c *check) reportTimestamps(r *Report) {
	if len(c.trust.TimestampingAuthorities()) == 0 {
		if n := len(c.entity.stamps); n > 0 {
			r.skip("the bundle's timestamps (%d): no timestamp authority is trusted", n)
		}
		return
	}
	for i, raw := range c.entity.stamps {
		got, _, err := sigstore.VerifySignedTimestamp(c.entity.stamped(raw), c.trust)
		if err != nil || len(got) != 1 {
			r.skip("timestamp %d: not by a listed authority, or not verifiable", i+1)
			continue
		}
		r.Timestamps = append(r.Timestamps, Timestamp{got[0].URI, got[0].Time.UTC()})
	}
}

func (c *check) reportCertificate(r *Report, result *sigstore.VerificationResult) error {
	cert := c.entity.certificate
	out := &Certificate{
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		Serial: cert.SerialNumber.Text(16), Fingerprint: attest.SHA256(cert.Raw),
		Transparency: []CTLog{},
	}
	at := c.seen
	if c.need == nil {
		if len(result.VerifiedTimestamps) == 0 {
			return attest.Refuse(attest.CodeInternal, "a certificate without a time") // unreachable: sigstore demands one
		}
		at = result.VerifiedTimestamps[0].Timestamp
	}
	r.Certificate = out
	if x, err := certificate.SummarizeCertificate(cert); err == nil {
		out.Identity, out.Issuer = x.SubjectAlternativeName, x.Issuer
		out.SourceRepository, out.SourceRef, out.SourceDigest = x.SourceRepositoryURI, x.SourceRepositoryRef, x.SourceRepositoryDigest
		out.BuildTrigger, out.RunInvocation = x.BuildTrigger, x.RunInvocationURI
	}
	if _, claims, err := trust.Holder(cert.Raw); err == nil && claims != (trust.Claims{}) {
		out.Claims = &claims
	}
	if c.need != nil && c.need.Name == "" {
		return c.reportWorkload(r)
	}
	chains, err := sigstore.VerifyLeafCertificate(at, cert, c.trust)
	if err != nil || len(chains) == 0 {
		return &attest.Refusal{Code: attest.CodeCertChain, About: "certificate", Err: err} // unreachable: it has just verified
	}
	out.Root = chains[0][len(chains[0])-1].Subject.String()
	logs := c.trust.CTLogs()
	if len(logs) == 0 {
		r.skip("certificate transparency: the trusted root lists no log")
	}
	for _, id := range slices.Sorted(maps.Keys(logs)) {
		one := oneCTLog{c.trust, map[string]*root.TransparencyLog{id: logs[id]}}
		if sigstore.VerifySignedCertificateTimestamp(chains, 1, one) == nil {
			out.Transparency = append(out.Transparency, CTLog{logs[id].BaseURL, id})
		}
	}
	return nil
}

// reportWorkload shows an X.509-SVID: the trust has verified its chain up to the
// authorities of its trust domain.
func (c *check) reportWorkload(r *Report) error {
	who, _, err := trust.Holder(c.entity.certificate.Raw)
	if err != nil {
		return err // unreachable: it has just verified
	}
	r.Certificate.Identity, r.Certificate.Issuer, r.Certificate.Root = who.Subject, who.Issuer, "an authority of the trust domain "+who.Issuer
	r.Trust.Domain = who.Issuer
	r.skip("certificate transparency: there is none of X.509-SVIDs")
	return nil
}

// oneCTLog is trusted material with one certificate-transparency log, to learn
// which of them has signed.
type oneCTLog struct {
	root.TrustedMaterial
	log map[string]*root.TransparencyLog
}

// CTLogs returns the one log.
func (o oneCTLog) CTLogs() map[string]*root.TransparencyLog { return o.log }

// holder reads whom a certificate names.
func holder(cert *x509.Certificate) (Identity, error) {
	s, err := certificate.SummarizeCertificate(cert)
	return Identity{s.SubjectAlternativeName, s.Issuer}, err
}

// logID names an entry for people.
func logID(e *tlog.Entry) string {
	return strconv.FormatInt(e.LogIndex(), 10) + " of log " + hex.EncodeToString([]byte(e.LogKeyID()))
}

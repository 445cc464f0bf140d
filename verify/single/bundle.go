package single

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxList is sigstore-go's limit for log entries and for timestamps; no honest
	// bundle has a longer list of anything else but the hashes of a proof.
	maxList = 32

	// maxHashes is the height of a log with more entries than a 64-bit index can
	// number.
	maxHashes = 64
)

// needs returns what a version of the bundle requires of a log entry, a promise
// (v0.1) or a proof of inclusion, and whether the version is one that is read.
func needs(mediaType string) (field string, known bool) {
	switch mediaType {
	case "application/vnd.dev.sigstore.bundle+json;version=0.1":
		return "inclusionPromise", true
	case "application/vnd.dev.sigstore.bundle+json;version=0.2",
		"application/vnd.dev.sigstore.bundle+json;version=0.3",
		attest.MediaTypeBundle:
		return "inclusionProof", true
	}
	return "", false
}

// An entity is a bundle as sigstore-go sees it, parsed once. Nobody believes it.
type entity struct {
	*bundle.Bundle
	content     sigstore.SignatureContent
	certificate *x509.Certificate // nil for a key
	entries     []*tlog.Entry
	stamps      [][]byte
	payload     []byte // the statement's bytes, if the content is an envelope
}

// parse reads a bundle. Our strict reader goes first, for limits and for what has
// two readings; sigstore-go's takes the fields.
func parse(b []byte) (*entity, error) {
	v, err := strictjson.Parse(b, attest.MaxBundle)
	if err != nil {
		return nil, jsonRefusal(err)
	}
	if err := form(v); err != nil {
		return nil, err
	}
	e := &entity{Bundle: new(bundle.Bundle)}
	if err := e.UnmarshalJSON(b); err != nil {
		return nil, unreadable(err)
	}
	if e.entries, err = e.Bundle.TlogEntries(); err != nil {
		return nil, unreadable(err)
	}
	if e.stamps, err = e.Bundle.Timestamps(); err != nil {
		return nil, unreadable(err)
	}
	material, err := e.VerificationContent()
	if err != nil {
		return nil, unreadable(err)
	}
	e.certificate = material.Certificate()
	if e.content, err = e.Bundle.SignatureContent(); err != nil {
		return nil, unreadable(err)
	}
	if env, ok := e.content.(*bundle.Envelope); ok {
		return e, e.readEnvelope(env)
	}
	return e, nil
}

func unreadable(err error) error {
	return &attest.Refusal{Code: attest.CodeBundleParse, Why: "not a usable Sigstore bundle: " + clipped(err.Error()), Next: "get the bundle again from whoever signed"}
}

func jsonRefusal(err error) error {
	code := attest.CodeJSON
	switch {
	case errors.Is(err, strictjson.ErrDuplicate):
		code = attest.CodeDupKey
	case errors.Is(err, strictjson.ErrLimit):
		code = attest.CodeLimit
	}
	return &attest.Refusal{Code: code, Why: "bundle", Err: err, Next: "get the bundle again from whoever signed"}
}

// readEnvelope keeps the payload for our own reader.
func (e *entity) readEnvelope(env *bundle.Envelope) error {
	if env.PayloadType != attest.PayloadType {
		return &attest.Refusal{Code: attest.CodePayloadType, About: env.PayloadType, Why: "only " + attest.PayloadType + " is read"}
	}
	if len(env.Signatures) != 1 {
		return attest.Refuse(attest.CodeSigCount, "%d signatures; a Sigstore bundle has exactly one", len(env.Signatures))
	}
	// The keyid is signed by nobody, and a wrong one must not make a good
	// signature fail.
	env.Signatures[0].KeyID = ""
	e.payload, e.content = e.GetDsseEnvelope().GetPayload(), &envelope{env}
	return nil
}

// form checks what sigstore-go would check too late or not at all.
func form(v strictjson.Value) error {
	mediaType, _ := v.Get("mediaType")
	field, known := needs(mediaType.Text())
	if mediaType.Kind() != strictjson.String || !known {
		return &attest.Refusal{Code: attest.CodeBundleVersion, About: clipped(mediaType.Text()), Why: "only Sigstore bundles v0.1, v0.2 and v0.3 are read", Next: "sign again with a current tool"}
	}
	if err := short(v, ""); err != nil {
		return err
	}
	material, _ := v.Get("verificationMaterial")
	if err := chain(material); err != nil {
		return err
	}
	// sigstore-go refuses this too, but as a malformed bundle, among a hundred
	// other reasons.
	entries, _ := material.Get("tlogEntries")
	found := len(entries.Items()) == 0
	for _, e := range entries.Items() {
		if _, ok := e.Get(field); ok {
			found = true
		}
		proof, proven := e.Get("inclusionProof")
		if _, ok := proof.Get("checkpoint"); proven && !ok {
			return &attest.Refusal{Code: attest.CodeLogProof, Why: "an inclusion proof without checkpoint leads to nothing that the log signed", Next: "get the bundle again from whoever signed; the log is not asked"}
		}
	}
	if !found {
		return &attest.Refusal{Code: attest.CodeLogProof, Why: "no log entry has the " + field + " that this version of the bundle requires", Next: "get the bundle again from whoever signed; the log is not asked"}
	}
	return nil
}

// clipped keeps a stranger's text short in a message.
func clipped(s string) string {
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// short refuses lists that no honest bundle has, before anything in them is
// parsed: each certificate, entry and timestamp costs a signature or two.
func short(v strictjson.Value, name string) error {
	most := maxList
	if name == "hashes" {
		most = maxHashes
	}
	if n := len(v.Items()); n > most {
		return attest.Refuse(attest.CodeLimit, "%d %s, at most %d are read", n, clipped(name), most)
	}
	for _, item := range v.Items() {
		if err := short(item, name); err != nil {
			return err
		}
	}
	for _, m := range v.Members() {
		if err := short(m.Value, m.Key); err != nil {
			return err
		}
	}
	return nil
}

// chain checks the certificate chain of bundles v0.1 and v0.2. Only its leaf is
// used; but a chain that brings its own root asks to be believed for itself, and
// the specification forbids it (protobuf-specs, X509CertificateChain: "MUST NOT
// contain root certificates").
func chain(material strictjson.Value) error {
	list, ok := material.Get("x509CertificateChain")
	if !ok {
		return nil
	}
	certs, _ := list.Get("certificates")
	if len(certs.Items()) == 0 {
		return &attest.Refusal{Code: attest.CodeCertChain, Why: "the certificate chain is empty"}
	}
	for _, item := range certs.Items() {
		raw, _ := item.Get("rawBytes")
		der, err := base64.StdEncoding.DecodeString(raw.Text())
		if err != nil {
			return unreadable(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return unreadable(err)
		}
		if cert.IsCA && bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			return &attest.Refusal{Code: attest.CodeCertChain, Why: "the certificate chain brings its own root", Next: "roots come from the trusted root alone; get a bundle without one"}
		}
	}
	return nil
}

// signedBy refuses a bundle that is signed in another way than was asked for.
func (e *entity) signedBy(q Question) error {
	switch {
	case e.certificate != nil && q.Identity == Identity{}:
		return &attest.Refusal{Code: attest.CodeKeyUnknown, Why: "signed under a certificate, and a key was asked for", Next: "name the certificate's identity and issuer, if they may sign"}
	case e.certificate == nil && q.Key.IsZero():
		return &attest.Refusal{Code: attest.CodeIdentity, Why: "signed with a key, and a certificate's identity was asked for", Next: "name the key, if it may sign"}
	}
	return e.oneIdentity()
}

// oneIdentity refuses a certificate that names several holders: sigstore-go
// compares the first and lets the others pass unseen.
func (e *entity) oneIdentity() error {
	cert := e.certificate
	if cert == nil {
		return nil
	}
	n := len(cert.URIs) + len(cert.EmailAddresses) + len(cert.DNSNames) + len(cert.IPAddresses)
	if other, err := cryptoutils.UnmarshalOtherNameSAN(cert.Extensions); err == nil && other != "" {
		n++
	}
	if n != 1 {
		return attest.Refuse(attest.CodeIdentity, "the certificate has %d subject alternative names, want one", n)
	}
	return nil
}

// statement reads the payload, which is authentic by now, and finds the artifact
// among its subjects. It is nil for a message signature.
func (e *entity) statement(artifact attest.Digest) (*attest.Statement, error) {
	if e.content.EnvelopeContent() == nil {
		return nil, nil
	}
	s, err := attest.ParseStatement(e.payload)
	if err != nil {
		return nil, err
	}
	for _, sub := range s.Subjects {
		if sub.Digest == artifact {
			return s, nil
		}
	}
	return nil, &attest.Refusal{Code: attest.CodeSubjectMismatch, About: artifact.String(), Why: "the signed statement is about something else", Next: "compare with its subject " + s.Subjects[0].Digest.String()}
}

// alone returns e with one log entry and no other.
func (e *entity) alone(entry *tlog.Entry) *entity {
	one := *e
	one.entries = []*tlog.Entry{entry}
	return &one
}

// stamped returns e with one timestamp and no other.
func (e *entity) stamped(stamp []byte) *entity {
	one := *e
	one.stamps = [][]byte{stamp}
	return &one
}

// TlogEntries returns the entries, parsed once.
func (e *entity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

// Timestamps returns the RFC 3161 timestamps.
func (e *entity) Timestamps() ([][]byte, error) { return e.stamps, nil }

// SignatureContent returns the content, decoded once.
func (e *entity) SignatureContent() (sigstore.SignatureContent, error) { return e.content, nil }

// Version returns no version, which switches sigstore-go's compatibility mode
// off: there it tries a certificate's P-384 key with SHA-256 as well, holds the
// whole artifact in memory for it, and prints to standard error. The hash belongs
// to the key.
func (e *entity) Version() (string, error) { return "", nil }

// envelope is sigstore-go's envelope without its reading of the payload, which is
// laxer than ours and would be a second one.
type envelope struct{ *bundle.Envelope }

// EnvelopeContent returns e, so that Statement below is the one that is asked.
func (e *envelope) EnvelopeContent() sigstore.EnvelopeContent { return e }

// Statement returns an empty statement. That is sound only because Check reads
// the same bytes with attest.ParseStatement and matches the artifact itself.
func (e *envelope) Statement() (*intoto.Statement, error) { return &intoto.Statement{}, nil }

var (
	_ sigstore.SignedEntity     = (*entity)(nil)
	_ sigstore.SignatureContent = (*envelope)(nil)
)

package trust

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file checks entries of Rekor v1 logs, through sigstore-go: there are three
// kinds of them, in formats that only its libraries read.

// verifyV1 checks that an entry is in the log and about s. It returns when the log
// says that it took it, and zero if only a proof says that it did: a proof covers no
// time, whatever stands beside it.
func (e *logEntry) verifyV1(l *log, s *signedContent) (at time.Time, err error) {
	// These readers have panicked on entries that nobody foresaw. That is a refusal of
	// the entry, and must not end the walk.
	defer func() {
		if r := recover(); r != nil {
			at, err = time.Time{}, badProof(e.String(), errors.New("an entry that cannot be read"))
		}
	}()
	if e.Proof == nil {
		return time.Time{}, badProof(e.String(), errors.New("no proof of inclusion, which this version of the bundle requires"))
	}
	var pb protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(e.raw, &pb); err != nil {
		return time.Time{}, badProof(e.String(), errors.New("not a log entry as protobuf-specs writes it"))
	}
	entry, err := tlog.ParseTransparencyLogEntry(&pb)
	if err != nil {
		return time.Time{}, badProof(e.String(), oneLine(err))
	}
	if entry.IsRekorV2() {
		return time.Time{}, badProof(e.String(), errors.New("not of the kind that it says"))
	}
	// A bundle v0.3 has a proof (protobuf-specs, sigstore_bundle.proto): a promise alone
	// says that the log will take an entry in, and nobody can find out whether it did.
	if !entry.HasInclusionProof() {
		return time.Time{}, badProof(e.String(), errors.New("a promise without a proof"))
	}
	if err := inLog(entry, l); err != nil {
		return time.Time{}, badProof(e.String(), oneLine(err))
	}
	about := &aboutEntry{content: s, entry: entry}
	material := &oneLog{id: hex.EncodeToString(e.LogID.KeyID), log: l.sigstore, key: s.key}
	if _, err := sigstore.VerifyTlogEntry(about, material, 1, true); err != nil {
		return time.Time{}, &attest.Refusal{Code: attest.CodeLogMismatch, About: e.String(), Why: "is about another signature, signer or statement", Err: oneLine(err), Next: "get the bundle again from whoever signed"}
	}
	if !entry.HasInclusionPromise() {
		return time.Time{}, nil
	}
	return entry.IntegratedTime().UTC(), nil
}

// inLog verifies that an entry is in its log, whatever it is about.
func inLog(entry *tlog.Entry, l *log) error {
	if err := tlog.ValidateEntry(entry); err != nil {
		return err
	}
	if !entry.HasInclusionPromise() && !entry.HasInclusionProof() {
		return errors.New("neither promise nor proof")
	}
	if entry.HasInclusionPromise() {
		id := hex.EncodeToString([]byte(entry.LogKeyID()))
		if err := tlog.VerifySET(entry, map[string]*root.TransparencyLog{id: l.sigstore}); err != nil {
			return err
		}
	}
	if entry.HasInclusionProof() {
		return tlog.VerifyInclusion(entry, l.verifier)
	}
	return nil
}

// aboutEntry is a signed bundle with one log entry, as sigstore-go asks about it.
type aboutEntry struct {
	sigstore.BaseSignedEntity
	content *signedContent
	entry   *tlog.Entry
}

var _ sigstore.SignedEntity = (*aboutEntry)(nil)

// TlogEntries returns the one entry.
func (a *aboutEntry) TlogEntries() ([]*tlog.Entry, error) { return []*tlog.Entry{a.entry}, nil }

// SignatureContent returns the envelope.
func (a *aboutEntry) SignatureContent() (sigstore.SignatureContent, error) {
	return &bundle.Envelope{Envelope: &dsse.Envelope{
		PayloadType: attest.PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(a.content.payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(a.content.signature)}},
	}}, nil
}

// VerificationContent returns the certificate or the key.
func (a *aboutEntry) VerificationContent() (sigstore.VerificationContent, error) {
	if a.content.certificate == nil {
		return anyTime{&bundle.PublicKey{}}, nil
	}
	c, err := x509.ParseCertificate(a.content.certificate)
	if err != nil {
		return nil, err
	}
	return anyTime{bundle.NewCertificate(c)}, nil
}

// anyTime leaves out sigstore-go's comparison of an entry's time with the
// certificate's window: all times are compared with it together, and one that is too
// late only proves less.
type anyTime struct{ sigstore.VerificationContent }

// ValidAtTime returns true.
func (anyTime) ValidAtTime(time.Time, root.TrustedMaterial) bool { return true }

// oneLog is trusted material with one log and one key.
type oneLog struct {
	root.BaseTrustedMaterial
	id  string
	log *root.TransparencyLog
	key attest.PublicKey
}

// RekorLogs returns the one log.
func (o *oneLog) RekorLogs() map[string]*root.TransparencyLog {
	return map[string]*root.TransparencyLog{o.id: o.log}
}

// PublicKeyVerifier returns the one key, whatever the hint.
func (o *oneLog) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	v, err := signature.LoadVerifier(o.key.Crypto(), o.key.Hash())
	if err != nil {
		return nil, err
	}
	return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
}

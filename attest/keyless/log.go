package keyless

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/http"

	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Log is a transparency log that speaks Rekor's API, version 2. The first version
// is not written to: its logs are closing.
//
// What it gets is public, and stays: the signature, the certificate or the key that
// made it, and the hash of what was signed. The statement is not sent.
type Log struct {
	URL string
	Net
}

var _ attest.Witness = Log{}

// CheckLoggable refuses a key whose signatures such a log cannot hold: it keeps
// hashes, and Ed25519 signs the message itself. The error is E_KEY.
func CheckLoggable(k attest.PublicKey) error {
	if k.Hash() == 0 {
		return &attest.Refusal{Code: attest.CodeKey, About: "key:" + k.Fingerprint().String(), Why: "an Ed25519 key, and a transparency log keeps hashes, which such a key does not sign",
			Next: "sign without a log, or with a key of ECDSA: pedigree key generate --algorithm p256"}
	}
	return nil
}

// Witness records the signature, and waits until the log has it: seconds. The entry
// that comes back must be about the signature; whether the log can prove that it has
// it is for a verifier to say. The error is E_KEY, E_SIGN_SERVICE, E_SIGN_REFUSED, or
// E_LOG_MISMATCH for an entry about something else.
func (l Log) Witness(ctx context.Context, s attest.Signature) (attest.Testimony, error) {
	if err := CheckURL(l.URL, false); err != nil {
		return attest.Testimony{}, err
	}
	if err := CheckLoggable(s.Material.Key); err != nil {
		return attest.Testimony{}, err
	}
	what, err := entryOf(s)
	if err != nil {
		return attest.Testimony{}, err
	}
	body, err := protojson.Marshal(&tilespb.CreateEntryRequest{Spec: &tilespb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: what}})
	if err != nil {
		return attest.Testimony{}, err
	}
	// Not asked again: an answer that was lost may have been a yes, and a log takes
	// nothing twice.
	r := request{
		who: "the transparency log", method: http.MethodPost, url: join(l.URL, "/api/v2/log/entries"), body: body,
		header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
	}
	answer, err := l.ask(ctx, r)
	var no *refused
	switch {
	case errors.As(err, &no) && no.status == http.StatusConflict:
		no.Why, no.Next = "the log has this very signature already, and gives no second proof of it", "run it again: it is signed anew, and that is another entry"
		return attest.Testimony{}, err
	case errors.As(err, &no) && no.status == http.StatusNotFound:
		no.Next = "is this a log of Rekor v2? Version 1 is not written to"
		return attest.Testimony{}, err
	case err != nil:
		return attest.Testimony{}, err
	}
	var entry rekorpb.TransparencyLogEntry
	if err := protojson.Unmarshal(answer, &entry); err != nil {
		return attest.Testimony{}, r.unavailable("answers with something that is no log entry", nil)
	}
	if err := l.about(what, &entry); err != nil {
		return attest.Testimony{}, err
	}
	// Written anew: a bundle has one spelling of each field, whatever the log's was.
	written, err := protojson.Marshal(&entry)
	if err != nil {
		return attest.Testimony{}, err // unreachable: it was just read
	}
	return attest.Testimony{LogEntries: [][]byte{written}}, nil
}

// entryOf says what the log is asked to record (rekor-tiles, hashedrekord.proto).
func entryOf(s attest.Signature) (*tilespb.HashedRekordRequestV002, error) {
	v := &tilespb.Verifier{KeyDetails: commonpb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256}
	if k, ok := s.Material.Key.Crypto().(*ecdsa.PublicKey); ok && k.Curve == elliptic.P384() {
		v.KeyDetails = commonpb.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384
	}
	if s.Material.Certificate != nil {
		v.Verifier = &tilespb.Verifier_X509Certificate{X509Certificate: &commonpb.X509Certificate{RawBytes: s.Material.Certificate}}
	} else {
		spki, err := x509.MarshalPKIXPublicKey(s.Material.Key.Crypto())
		if err != nil {
			return nil, err // unreachable: attest.NewPublicKey marshalled it
		}
		v.Verifier = &tilespb.Verifier_PublicKey{PublicKey: &tilespb.PublicKey{RawBytes: spki}}
	}
	return &tilespb.HashedRekordRequestV002{Signature: &tilespb.Signature{Content: s.Sig, Verifier: v}, Digest: s.Digest}, nil
}

// about checks that an entry is the one that was asked for: its body, hashed as the
// log's Merkle tree hashes it, is the request's.
func (l Log) about(what *tilespb.HashedRekordRequestV002, entry *rekorpb.TransparencyLogEntry) error {
	want, err := hashedrekord.ToEntryHash(what.Digest, what.Signature)
	if err != nil {
		return err
	}
	leaf := sha256.Sum256(append([]byte{0}, entry.GetCanonicalizedBody()...)) // RFC 6962, section 2.1
	if !bytes.Equal(leaf[:], want) {
		return &attest.Refusal{Code: attest.CodeLogMismatch, About: place(l.URL), Why: "the transparency log answers with an entry about something else", Next: "do not use this log"}
	}
	if entry.GetInclusionProof().GetCheckpoint().GetEnvelope() == "" {
		return &attest.Refusal{Code: attest.CodeLogProof, About: place(l.URL), Why: "the transparency log answers without a proof that it has the entry", Next: "do not use this log"}
	}
	return nil
}

package verify

import (
	"time"

	intoto "github.com/in-toto/attestation/go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file asks sigstore-go about keys; certificates are package trust's. It decides one question: did this
// key sign these bytes as an in-toto DSSE payload? What the bytes say is not
// sigstore-go's to answer: its readers take a predicate type from a field of
// another name, accept any _type, and disagree with each other about duplicates.

// A pinnedKey is one trusted key with a verifier that can say yes for no other.
type pinnedKey struct {
	key        attest.PublicKey
	credential Credential
	hint       string
	verifier   *sigstore.Verifier
}

// pin makes the verifier of one key. It asks for no time: with a bare key nobody
// authenticates one, and our keys have no validity window for it to fall into.
func pin(k attest.PublicKey) (pinnedKey, error) {
	if k.IsZero() {
		return pinnedKey{}, attest.Refuse(attest.CodeKey, "the zero key")
	}
	// The hash belongs to the key (SHA-384 with P-384); an envelope has no say in it.
	v, err := signature.LoadVerifier(k.Crypto(), k.Hash())
	if err != nil {
		return pinnedKey{}, &attest.Refusal{Code: attest.CodeKey, About: k.Fingerprint().String(), Err: err}
	}
	key := root.NewExpiringKey(v, time.Time{}, time.Time{})
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return key, nil // the argument is the bundle's hint, which must choose nothing
	})
	verifier, err := sigstore.NewVerifier(material, sigstore.WithNoObserverTimestamps())
	if err != nil {
		return pinnedKey{}, &attest.Refusal{Code: attest.CodeKey, About: k.Fingerprint().String(), Err: err}
	}
	return pinnedKey{key: k, credential: KeyCredential(k), hint: attest.KeyHint(k), verifier: verifier}, nil
}

// signed reports whether the key made the envelope's signature.
func (k pinnedKey) signed(e *envelope) bool {
	// Without artifact: which artifact the statement must be about is for the walk
	// to check, against all of its subjects and by our own reading of them.
	policy := sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithKey())
	_, err := k.verifier.Verify(e.entity, policy)
	return err == nil
}

// An entity is a bundle as sigstore-go sees it. It is made from what our strict
// reader read, not from the JSON: so the bytes that are verified and the bytes
// that are read are one slice, and nothing that only a laxer reader finds in the
// JSON can matter.
type entity struct {
	*bundle.Bundle
	content *content
}

// newEntity makes the entity of a key-signed bundle. The signature's keyid is
// left out: it is signed by nobody, and the library would let a wrong one make a
// good signature fail.
func newEntity(b *attest.Bundle) (*entity, error) {
	pb, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType: attest.MediaTypeBundle,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: b.KeyHint}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     b.Payload,
			PayloadType: attest.PayloadType,
			Signatures:  []*protodsse.Signature{{Sig: b.Signature}},
		}},
	})
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeBundleParse, Err: err}
	}
	sc, err := pb.SignatureContent()
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeBundleParse, Err: err}
	}
	env, ok := sc.(*bundle.Envelope)
	if !ok {
		return nil, attest.Refuse(attest.CodeInternal, "signature content is %T", sc) // unreachable: it was built as an envelope
	}
	return &entity{Bundle: pb, content: &content{env}}, nil
}

// SignatureContent returns the envelope, decoded once for all keys that are tried.
func (e *entity) SignatureContent() (sigstore.SignatureContent, error) { return e.content, nil }

// content is sigstore-go's envelope without its reading of the payload.
type content struct{ *bundle.Envelope }

// EnvelopeContent returns c, so that Statement below is the one that is asked.
func (c *content) EnvelopeContent() sigstore.EnvelopeContent { return c }

// Statement returns an empty statement. sigstore-go would parse the payload here
// a second time, with a reader that differs from ours, for a result that nobody
// uses. Leaving that out is sound only because attest.ParseStatement, stricter
// than both of sigstore-go's readers, reads the same bytes before anything of
// them is used, and because no artifact is matched against the empty statement.
func (c *content) Statement() (*intoto.Statement, error) { return &intoto.Statement{}, nil }

var (
	_ sigstore.SignedEntity     = (*entity)(nil)
	_ sigstore.SignatureContent = (*content)(nil)
)

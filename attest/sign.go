package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// A PublicKey is a key of a kind we verify with: ECDSA on P-256 or P-384, or
// Ed25519. The zero PublicKey is no key.
type PublicKey struct {
	key         crypto.PublicKey
	fingerprint Digest
}

// NewPublicKey checks that k is of a kind we verify with. RSA and other curves
// are refused: three kinds suffice, and each further one is a parser, a set of
// weak parameters and a cost that an attacker chooses.
//
// A key that no signature could be checked with, or that everybody can sign
// for, is refused: points off their curve, and Ed25519 points of small order,
// for which one signature fits many messages.
func NewPublicKey(k crypto.PublicKey) (PublicKey, error) {
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		if k == nil {
			return PublicKey{}, Refuse(CodeKey, "an empty ECDSA key")
		}
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return PublicKey{}, Refuse(CodeKey, "an ECDSA key on a curve other than P-256 and P-384")
		}
		if _, err := k.ECDH(); err != nil { // the point is not on the curve
			return PublicKey{}, &Refusal{Code: CodeKey, Why: "not a valid ECDSA key", Err: err}
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return PublicKey{}, Refuse(CodeKey, "an Ed25519 key of %d bytes", len(k))
		}
		if why := weakEd25519(k); why != "" {
			return PublicKey{}, Refuse(CodeKey, "an Ed25519 key that is %s", why)
		}
	default:
		return PublicKey{}, Refuse(CodeKey, "a key of type %T; ECDSA P-256, P-384 and Ed25519 are supported", k)
	}
	spki, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return PublicKey{}, &Refusal{Code: CodeKey, Why: "not a valid key", Err: err}
	}
	return PublicKey{key: k, fingerprint: SHA256(spki)}, nil
}

// ParsePublicKey reads one PEM block "PUBLIC KEY" (PKIX, RFC 5280 section 4.1)
// of at most 64 KiB, and nothing else: text around the block is refused, because
// another reader might find a key in it. Every refusal is E_KEY.
func ParsePublicKey(pemBytes []byte) (PublicKey, error) {
	block, err := onePEM(pemBytes)
	if err != nil {
		return PublicKey{}, err
	}
	if block.Type != blockPublic {
		return PublicKey{}, Refuse(CodeKey, "a PEM block %q where %s is needed", clip(block.Type), blockPublic)
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, &Refusal{Code: CodeKey, Why: "not a PKIX public key", Err: err}
	}
	return NewPublicKey(k)
}

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k.key == nil }

// Fingerprint returns the SHA-256 of the key's SubjectPublicKeyInfo: the name of
// the key in stand-ins, hints and credentials.
func (k PublicKey) Fingerprint() Digest { return k.fingerprint }

// Crypto returns the key for the standard library's functions.
func (k PublicKey) Crypto() crypto.PublicKey { return k.key }

// Hash returns the hash that is signed: SHA-256 with P-256, SHA-384 with P-384,
// and none with Ed25519, which signs the message itself.
func (k PublicKey) Hash() crypto.Hash {
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P384() {
			return crypto.SHA384
		}
		return crypto.SHA256
	}
	return 0
}

// PEM returns k as ParsePublicKey reads it, and nil for the zero PublicKey.
func (k PublicKey) PEM() []byte {
	spki, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return nil // the zero PublicKey: NewPublicKey marshalled all others before
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: spki})
}

// A Signer signs for one identity. Today that is a key; a certificate of a
// short-lived identity is another implementation with another Material.
type Signer interface {
	// SignMessage signs msg, hashing it as the identity's algorithm demands.
	SignMessage(ctx context.Context, msg []byte) ([]byte, error)
	// Material names the identity in a bundle. It is written, never trusted.
	Material() Material
}

// Material is what a bundle says about who signed it.
type Material struct {
	Key PublicKey
}

// A KeySigner signs with a private key held in memory.
type KeySigner struct {
	private crypto.Signer
	public  PublicKey
}

var _ Signer = (*KeySigner)(nil)

// NewKeySigner makes a signer of a private key of a kind that NewPublicKey takes.
// The key may live elsewhere, in a hardware module say: only its methods are used.
// Every refusal is E_KEY.
func NewKeySigner(k crypto.Signer) (*KeySigner, error) {
	switch k := k.(type) {
	case nil:
		return nil, Refuse(CodeKey, "no private key")
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return nil, Refuse(CodeKey, "an Ed25519 private key of %d bytes", len(k))
		}
		// Signing under a public half that is not the private one's gives the
		// private half away (double public key attack).
		if !k.Equal(ed25519.NewKeyFromSeed(k.Seed())) {
			return nil, Refuse(CodeKey, "an Ed25519 key whose halves do not fit")
		}
	case *ecdsa.PrivateKey:
		if k == nil {
			return nil, Refuse(CodeKey, "no private key")
		}
	}
	pub, err := NewPublicKey(k.Public())
	if err != nil {
		return nil, err
	}
	return &KeySigner{private: k, public: pub}, nil
}

// Public returns the key that verifies what s signs.
func (s *KeySigner) Public() PublicKey { return s.public }

// Material names the key.
func (s *KeySigner) Material() Material { return Material{Key: s.public} }

// SignMessage signs msg, hashed as Public().Hash says. The context is not used:
// signing with a key in memory takes no time to speak of.
func (s *KeySigner) SignMessage(_ context.Context, msg []byte) ([]byte, error) {
	h := s.public.Hash()
	if h != 0 {
		w := h.New()
		w.Write(msg)
		msg = w.Sum(nil)
	}
	sig, err := s.private.Sign(rand.Reader, msg, h)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "signing", Err: err}
	}
	return sig, nil
}

// The Sigstore bundle v0.3 as we write it (protobuf-specs, sigstore_bundle.proto).
type (
	bundleJSON struct {
		MediaType            string       `json:"mediaType"`
		VerificationMaterial materialJSON `json:"verificationMaterial"`
		DSSEEnvelope         envelopeJSON `json:"dsseEnvelope"`
	}
	materialJSON struct {
		PublicKey hintJSON `json:"publicKey"`
	}
	hintJSON struct {
		Hint string `json:"hint"`
	}
	envelopeJSON struct {
		Payload     []byte          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []signatureJSON `json:"signatures"`
	}
	signatureJSON struct {
		Sig []byte `json:"sig"`
	}
)

// Sign signs a statement's bytes and returns a Sigstore bundle v0.3. The payload
// must be a statement that ParseStatement accepts: nothing is signed that nobody
// could read.
func Sign(ctx context.Context, payload []byte, s Signer) ([]byte, error) {
	if _, err := ParseStatement(payload); err != nil {
		return nil, fmt.Errorf("refusing to sign: %w", err)
	}
	who := s.Material().Key
	if who.IsZero() {
		return nil, Refuse(CodeKey, "the signer names no key")
	}
	sig, err := s.SignMessage(ctx, dsse.PAE(PayloadType, payload))
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(bundleJSON{
		MediaType:            MediaTypeBundle,
		VerificationMaterial: materialJSON{PublicKey: hintJSON{Hint: KeyHint(who)}},
		DSSEEnvelope:         envelopeJSON{Payload: payload, PayloadType: PayloadType, Signatures: []signatureJSON{{Sig: sig}}},
	})
	if err != nil {
		return nil, err // unreachable: only strings and bytes
	}
	if _, err := ParseBundle(b); err != nil {
		return nil, fmt.Errorf("refusing to sign: %w", err)
	}
	return b, nil
}

// KeyHint returns the hint under which cosign and sigstore-go file a key: the
// base64 of the SHA-256 of its SubjectPublicKeyInfo.
func KeyHint(k PublicKey) string {
	return base64.StdEncoding.EncodeToString(k.fingerprint.sum[:k.fingerprint.n])
}

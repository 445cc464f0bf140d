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

// Verify checks that sig is k's signature over msg, hashed as Hash says. It is
// E_SIG_INVALID if it is not, and of the zero PublicKey nothing is.
//
// It is for a signer's own use, before a signature made elsewhere is given away. What
// others signed is verified by package verify.
func (k PublicKey) Verify(msg, sig []byte) error {
	ok := false
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, hashed(k.Hash(), msg), sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, msg, sig)
	}
	if !ok {
		return Refuse(CodeSigInvalid, "the signature that was made is not by the key that was named")
	}
	return nil
}

// hashed returns what an algorithm with this hash signs of msg.
func hashed(h crypto.Hash, msg []byte) []byte {
	if h == 0 {
		return msg
	}
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
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
	Key PublicKey // of the signature; never zero
	// Certificate holds Key, DER, and names the signer: of a short-lived identity. Nil
	// if the key itself is who signed.
	Certificate []byte
	// Chain leads from Certificate to a root that is not in it; only X.509-SVIDs have one.
	Chain [][]byte
}

// A Signature is one that was just made, for others to testify to.
type Signature struct {
	Material Material
	Payload  []byte // the statement's bytes
	Message  []byte // what was signed: the payload's DSSE pre-authentication encoding
	Digest   []byte // of the message, by the key's hash; nil with Ed25519, which has none
	Sig      []byte
}

// A Witness says, in a way that others can check, that a signature exists: a
// timestamp authority, or a transparency log.
type Witness interface {
	Witness(ctx context.Context, s Signature) (Testimony, error)
}

// Testimony is what a witness adds to a bundle.
type Testimony struct {
	LogEntries [][]byte // each a TransparencyLogEntry as JSON (protobuf-specs, sigstore_rekor.proto)
	Timestamps [][]byte // each a TimeStampResp, DER (RFC 3161)
}

// A KeySigner signs with a private key, held in memory or behind its methods.
type KeySigner struct {
	private crypto.Signer
	public  PublicKey
	foreign bool // the private key is not in memory: who holds it may answer anything
}

var _ Signer = (*KeySigner)(nil)

// NewKeySigner makes a signer of a private key of a kind that NewPublicKey takes.
// The key may live elsewhere, in a hardware module say: only its methods are used,
// and each signature is verified before it is returned. Every refusal is E_KEY.
func NewKeySigner(k crypto.Signer) (*KeySigner, error) {
	foreign := false
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
	default:
		foreign = true
	}
	pub, err := NewPublicKey(k.Public())
	if err != nil {
		return nil, err
	}
	return &KeySigner{private: k, public: pub, foreign: foreign}, nil
}

// Public returns the key that verifies what s signs.
func (s *KeySigner) Public() PublicKey { return s.public }

// Material names the key.
func (s *KeySigner) Material() Material { return Material{Key: s.public} }

// SignMessage signs msg, hashed as Public().Hash says. The context is not used:
// signing with a key in memory takes no time to speak of.
func (s *KeySigner) SignMessage(_ context.Context, msg []byte) ([]byte, error) {
	h := s.public.Hash()
	sig, err := s.private.Sign(rand.Reader, hashed(h, msg), h)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "signing", Err: err}
	}
	if s.foreign {
		if err := s.public.Verify(msg, sig); err != nil {
			return nil, err
		}
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
		PublicKey   *hintJSON         `json:"publicKey,omitempty"`
		Certificate *certificateJSON  `json:"certificate,omitempty"`
		Chain       *chainJSON        `json:"x509CertificateChain,omitempty"`
		LogEntries  []json.RawMessage `json:"tlogEntries,omitempty"`
		Times       *timesJSON        `json:"timestampVerificationData,omitempty"`
	}
	certificateJSON struct {
		Raw []byte `json:"rawBytes"`
	}
	chainJSON struct {
		Certificates []certificateJSON `json:"certificates"`
	}
	timesJSON struct {
		Timestamps []timestampJSON `json:"rfc3161Timestamps"`
	}
	timestampJSON struct {
		Timestamp []byte `json:"signedTimestamp"`
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

// Sign signs a statement's bytes, has the witnesses testify to the signature, and
// returns a Sigstore bundle v0.3. The payload must be a statement that ParseStatement
// accepts: nothing is signed that nobody could read. If a witness fails nothing is
// returned; the signature may be in a log by then.
func Sign(ctx context.Context, payload []byte, s Signer, witnesses ...Witness) ([]byte, error) {
	if _, err := ParseStatement(payload); err != nil {
		return nil, fmt.Errorf("refusing to sign: %w", err)
	}
	who := s.Material()
	if who.Key.IsZero() {
		return nil, Refuse(CodeKey, "the signer names no key")
	}
	made := Signature{Material: who, Payload: payload, Message: dsse.PAE(PayloadType, payload)}
	if h := who.Key.Hash(); h != 0 {
		made.Digest = hashed(h, made.Message)
	}
	var err error
	if made.Sig, err = s.SignMessage(ctx, made.Message); err != nil {
		return nil, err
	}
	material := who.json()
	for _, w := range witnesses {
		t, err := w.Witness(ctx, made)
		if err != nil {
			return nil, err
		}
		material.add(t)
	}
	b, err := json.Marshal(bundleJSON{
		MediaType:            MediaTypeBundle,
		VerificationMaterial: material,
		DSSEEnvelope:         envelopeJSON{Payload: payload, PayloadType: PayloadType, Signatures: []signatureJSON{{Sig: made.Sig}}},
	})
	if err != nil {
		return nil, &Refusal{Code: CodeBundleParse, Why: "what a witness testified is not JSON", Err: err}
	}
	if _, err := ParseBundle(b); err != nil {
		return nil, fmt.Errorf("refusing to sign: %w", err)
	}
	return b, nil
}

// json writes the material as a bundle has it.
func (m Material) json() materialJSON {
	switch {
	case m.Certificate == nil:
		return materialJSON{PublicKey: &hintJSON{Hint: KeyHint(m.Key)}}
	case len(m.Chain) == 0:
		return materialJSON{Certificate: &certificateJSON{m.Certificate}}
	}
	chain := &chainJSON{[]certificateJSON{{m.Certificate}}}
	for _, c := range m.Chain {
		chain.Certificates = append(chain.Certificates, certificateJSON{c})
	}
	return materialJSON{Chain: chain}
}

func (m *materialJSON) add(t Testimony) {
	for _, e := range t.LogEntries {
		m.LogEntries = append(m.LogEntries, e)
	}
	for _, s := range t.Timestamps {
		if m.Times == nil {
			m.Times = &timesJSON{}
		}
		m.Times.Timestamps = append(m.Times.Timestamps, timestampJSON{s})
	}
}

// KeyHint returns the hint under which cosign and sigstore-go file a key: the
// base64 of the SHA-256 of its SubjectPublicKeyInfo.
func KeyHint(k PublicKey) string {
	return base64.StdEncoding.EncodeToString(k.fingerprint.sum[:k.fingerprint.n])
}

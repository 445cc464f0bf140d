package authority

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Kind is a kind of key.
type Kind int

// The kinds of keys that authorities and signers have.
const (
	P256 Kind = iota
	P384
	Ed25519
)

// A Key is a private key that signs without randomness.
type Key struct {
	crypto.Signer
}

// NewKey makes the key of a name: the same for the same kind and name, always.
func NewKey(kind Kind, name string) (Key, error) { return newKey(kind, "named\n"+name) }

func newKey(kind Kind, name string) (Key, error) {
	// A scalar that is not below the curve's order is no key; the next one is tried.
	for n := range 64 {
		seed := sha512.Sum512(fmt.Appendf(nil, "authority key %d %d\n%s", kind, n, name))
		switch kind {
		case Ed25519:
			return Key{ed25519.NewKeyFromSeed(seed[:ed25519.SeedSize])}, nil
		case P256:
			if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:32]); err == nil {
				return Key{k}, nil
			}
		case P384:
			if k, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), seed[:48]); err == nil {
				return Key{k}, nil
			}
		default:
			return Key{}, fmt.Errorf("no kind of key: %d", kind)
		}
	}
	return Key{}, fmt.Errorf("no key for %q", name)
}

// hash returns what the key hashes messages with: 0 for Ed25519, which does so itself.
func (k Key) hash() crypto.Hash {
	e, ok := k.Public().(*ecdsa.PublicKey)
	switch {
	case !ok:
		return 0
	case e.Curve == elliptic.P384():
		return crypto.SHA384
	}
	return crypto.SHA256
}

// sign signs a message, without randomness (RFC 6979, RFC 8032).
func (k Key) sign(msg []byte) ([]byte, error) {
	h := k.hash()
	if h != 0 {
		w := h.New()
		w.Write(msg)
		msg = w.Sum(nil)
	}
	return k.Sign(nil, msg, h)
}

// spki returns the SubjectPublicKeyInfo of a key.
func spki(k crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(k) }

// signer signs under a certificate.
type signer struct {
	key      Key
	material attest.Material
}

// NewSigner returns a signer for a key with a certificate and, of an SVID, the
// certificates that lead to its root: nobody checks here that they belong together.
func NewSigner(key Key, certificate []byte, chain ...[]byte) (attest.Signer, error) {
	return newSigner(key, certificate, chain)
}

func newSigner(key Key, certificate []byte, chain [][]byte) (attest.Signer, error) {
	pub, err := attest.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return signer{key, attest.Material{Key: pub, Certificate: certificate, Chain: chain}}, nil
}

func (s signer) Material() attest.Material { return s.material }

func (s signer) SignMessage(ctx context.Context, msg []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.key.sign(msg)
}

// verifier returns PEM and DER of what verifies a signature: the certificate, or
// the key if there is none.
func verifier(m attest.Material) (armoured, der []byte, err error) {
	kind, der := "CERTIFICATE", m.Certificate
	if der == nil {
		kind = "PUBLIC KEY"
		if der, err = spki(m.Key.Crypto()); err != nil {
			return nil, nil, err
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), der, nil
}

package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// A KeyAlgorithm is a kind of key that signs. The zero KeyAlgorithm is P256, the
// one that every Sigstore client reads.
type KeyAlgorithm uint8

// The kinds of keys.
const (
	P256    KeyAlgorithm = iota // ECDSA on P-256 with SHA-256
	P384                        // ECDSA on P-384 with SHA-384
	Ed25519                     // Ed25519, which signs the message itself
)

// String returns the name that ParseKeyAlgorithm reads.
func (a KeyAlgorithm) String() string {
	switch a {
	case P256:
		return "p256"
	case P384:
		return "p384"
	case Ed25519:
		return "ed25519"
	}
	return "unknown"
}

// ParseKeyAlgorithm reads "p256", "p384" or "ed25519", and refuses every other
// text with E_KEY.
func ParseKeyAlgorithm(s string) (KeyAlgorithm, error) {
	for _, a := range []KeyAlgorithm{P256, P384, Ed25519} {
		if s == a.String() {
			return a, nil
		}
	}
	return 0, &Refusal{Code: CodeKey, About: clip(s), Why: "not a kind of key", Next: "use p256, p384 or ed25519"}
}

// GenerateKey makes a new key from the system's randomness.
func GenerateKey(a KeyAlgorithm) (*KeySigner, error) {
	var k crypto.Signer
	var err error
	switch a {
	case P256:
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, k, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, Refuse(CodeKey, "an unknown kind of key")
	}
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "generating a key", Err: err}
	}
	return NewKeySigner(k)
}

// The PEM blocks of key files.
const (
	blockPublic    = "PUBLIC KEY"
	blockPrivate   = "PRIVATE KEY"                    // PKCS #8 (RFC 5958)
	blockSEC1      = "EC PRIVATE KEY"                 // RFC 5915, as openssl ecparam writes
	blockParams    = "EC PARAMETERS"                  // which openssl puts before it
	blockEncrypted = "ENCRYPTED SIGSTORE PRIVATE KEY" // cosign 2 and later
	blockCosign    = "ENCRYPTED COSIGN PRIVATE KEY"   // cosign 1
)

// maxKeyFile bounds a key file. An encrypted P-384 key, the largest that
// MarshalPEM writes, has about 800 bytes.
const maxKeyFile = 64 << 10

// MarshalPEM writes the private key as one PEM block: with a nil passphrase as
// unencrypted PKCS #8, otherwise encrypted as cosign does it (scrypt and NaCl's
// secretbox), so that cosign can use the file. An empty passphrase encrypts too,
// with nothing secret; cosign users automate with it. A key that is not held in
// memory cannot be written: E_KEY.
func (s *KeySigner) MarshalPEM(passphrase []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.private)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "the private key cannot be written", Err: err}
	}
	defer clear(der)
	if passphrase == nil {
		return pem.EncodeToMemory(&pem.Block{Type: blockPrivate, Bytes: der}), nil
	}
	sealed, err := encrypted.Encrypt(der, passphrase)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "encrypting the private key", Err: err}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockEncrypted, Bytes: sealed}), nil
}

// LoadKey reads a private key from one PEM block of at most 64 KiB: PKCS #8, SEC 1,
// or cosign's encrypted form, old or new. The passphrase is asked for only if the
// file is encrypted; passphrase may be nil where nobody can be asked. A wrong
// passphrase, a damaged file, and a key of a kind that NewPublicKey refuses are
// E_KEY; an error of passphrase is wrapped.
func LoadKey(pemBytes []byte, passphrase func() ([]byte, error)) (*KeySigner, error) {
	block, err := onePEM(pemBytes)
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case blockPrivate:
		return loadPKCS8(block.Bytes)
	case blockSEC1:
		k, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, &Refusal{Code: CodeKey, Why: "not an EC private key", Err: err}
		}
		return NewKeySigner(k)
	case blockEncrypted, blockCosign:
		der, err := decrypt(block.Bytes, passphrase)
		if err != nil {
			return nil, err
		}
		defer clear(der)
		return loadPKCS8(der)
	case blockPublic:
		return nil, &Refusal{Code: CodeKey, Why: "a public key where the private one is needed", Next: "name the file with the private key"}
	}
	return nil, &Refusal{Code: CodeKey, About: clip(block.Type), Why: "a private key in a form that is not read",
		Next: "convert it: openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem"}
}

func decrypt(sealed []byte, passphrase func() ([]byte, error)) ([]byte, error) {
	if passphrase == nil {
		return nil, &Refusal{Code: CodeKey, Why: "the key is encrypted, and there is no passphrase"}
	}
	secret, err := passphrase()
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "asking for the passphrase", Err: err}
	}
	// The cost of scrypt is written in the file, that is, by whoever made it. The
	// library takes three settings only, N = 2¹⁵, 2¹⁶ and 2¹⁷ with r = 8 and p = 1
	// (at most 128 MiB and well below a second), and refuses all others before it
	// derives anything.
	der, err := encrypted.Decrypt(sealed, secret)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "wrong passphrase, or a damaged key file", Next: "if PEDIGREE_PASSWORD is set, it was taken; unset it to be asked", Err: err}
	}
	return der, nil
}

func loadPKCS8(der []byte) (*KeySigner, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &Refusal{Code: CodeKey, Why: "not a PKCS #8 private key", Err: err}
	}
	signer, ok := k.(crypto.Signer)
	if !ok { // X25519 and the like
		return nil, Refuse(CodeKey, "a key of type %T cannot sign", k)
	}
	return NewKeySigner(signer)
}

// onePEM reads a file that holds one PEM block without headers and nothing else,
// but for the block EC PARAMETERS that openssl puts before a private key, and
// which the private key repeats.
func onePEM(b []byte) (*pem.Block, error) {
	if len(b) > maxKeyFile {
		return nil, Refuse(CodeKey, "a key file of %d bytes, at most %d are read", len(b), maxKeyFile)
	}
	block, rest, err := nextPEM(b)
	if err == nil && block.Type == blockParams {
		block, rest, err = nextPEM(rest)
	}
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, Refuse(CodeKey, "something follows the PEM block %s", clip(block.Type))
	case len(block.Headers) > 0:
		return nil, &Refusal{Code: CodeKey, Why: "a PEM block with headers, as old encrypted keys have",
			Next: "convert it: openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem"}
	}
	return block, nil
}

func nextPEM(b []byte) (*pem.Block, []byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		return nil, nil, Refuse(CodeKey, "not a key file: it does not begin with a PEM block")
	}
	block, rest := pem.Decode(b)
	// The decoder passes over blocks that it cannot read to the next that it can.
	if block == nil || bytes.Count(b[:len(b)-len(rest)], []byte("-----BEGIN")) != 1 {
		return nil, nil, Refuse(CodeKey, "a malformed PEM block")
	}
	return block, rest, nil
}

package attest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// verifies checks a signature with the standard library alone.
func verifies(k PublicKey, msg, sig []byte) bool {
	if h := k.Hash(); h != 0 {
		w := h.New()
		w.Write(msg)
		msg = w.Sum(nil)
	}
	switch k := k.Crypto().(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, msg, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(k, msg, sig)
	}
	return false
}

func TestKeyFileRoundTrip(t *testing.T) {
	t.Parallel()
	for _, a := range []KeyAlgorithm{P256, P384, Ed25519} {
		named, err := ParseKeyAlgorithm(a.String())
		if err != nil || named != a {
			t.Errorf("%s reads as %s: %v", a, named, err)
		}
		k := newKey(t, a)
		passes := [][]byte{nil}
		if a == P256 { // scrypt takes its time, and does not look at the kind of key
			passes = append(passes, []byte("correct horse"), []byte{}) // cosign users automate with an empty one
		}
		for _, pass := range passes {
			file, err := k.MarshalPEM(pass)
			accepted(t, err)
			asked := 0
			got, err := LoadKey(file, func() ([]byte, error) { asked++; return pass, nil })
			accepted(t, err)
			if want := min(1, len(file)-len(bytes.ReplaceAll(file, []byte("BEGIN ENCRYPTED"), nil))); asked != want {
				t.Errorf("%s: asked for the passphrase %d times, want %d", a, asked, want)
			}
			if got.Public().Fingerprint() != k.Public().Fingerprint() {
				t.Errorf("%s: another key came back", a)
			}
			sig, err := got.SignMessage(context.Background(), []byte("m"))
			accepted(t, err)
			if !verifies(k.Public(), []byte("m"), sig) || verifies(k.Public(), []byte("n"), sig) {
				t.Errorf("%s: the signature does not fit the message", a)
			}
		}
		pub, err := ParsePublicKey(k.Public().PEM())
		if err != nil || pub.Fingerprint() != k.Public().Fingerprint() {
			t.Errorf("%s: the public key does not come back: %v", a, err)
		}
	}
	_, err := ParseKeyAlgorithm("rsa")
	refused(t, err, CodeKey)
	_, err = GenerateKey(99)
	refused(t, err, CodeKey)
	if _, err := LoadKey(mustPEM(t, newKey(t, P256), nil), nil); err != nil {
		t.Errorf("an unencrypted key needs nobody to ask: %v", err)
	}
}

func mustPEM(t *testing.T, k *KeySigner, pass []byte) []byte {
	t.Helper()
	b, err := k.MarshalPEM(pass)
	accepted(t, err)
	return b
}

func block(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

func TestLoadKeyForms(t *testing.T) {
	t.Parallel()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	accepted(t, err)
	sec1, err := x509.MarshalECPrivateKey(k)
	accepted(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	accepted(t, err)
	sealed, err := encrypted.EncryptWithCustomKDFParameters(pkcs8, []byte("pw"), encrypted.Legacy)
	accepted(t, err)
	pass := func() ([]byte, error) { return []byte("pw"), nil }
	openssl := append(block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), block("EC PRIVATE KEY", sec1)...)
	for name, file := range map[string][]byte{
		"SEC 1": block("EC PRIVATE KEY", sec1), "openssl": openssl, "PKCS 8": block("PRIVATE KEY", pkcs8),
		"cosign 1": block("ENCRYPTED COSIGN PRIVATE KEY", sealed), "cosign 3": block("ENCRYPTED SIGSTORE PRIVATE KEY", sealed),
	} {
		got, err := LoadKey(file, pass)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !k.PublicKey.Equal(got.Public().Crypto()) {
			t.Errorf("%s: another key came back", name)
		}
	}

	good := block("PRIVATE KEY", pkcs8)
	hostile := swap(t, string(sealed), `"N":32768`, `"N":1073741824`)
	public := newKey(t, P256).Public().PEM()
	for name, file := range map[string][]byte{
		"empty":                    nil,
		"no PEM":                   []byte("key"),
		"public key":               public,
		"PKCS 1":                   block("RSA PRIVATE KEY", sec1),
		"encrypted PKCS 8":         block("ENCRYPTED PRIVATE KEY", pkcs8),
		"two keys":                 append(bytes.Clone(good), good...),
		"text before":              append([]byte("comment\n"), good...),
		"text after":               append(bytes.Clone(good), "comment"...),
		"a broken block before":    append([]byte("-----BEGIN X-----\n!\n"), good...),
		"headers":                  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: sec1}),
		"cut off":                  block("EC PRIVATE KEY", sec1[:len(sec1)-1]),
		"too large":                append(bytes.Clone(good), bytes.Repeat([]byte("\n"), maxKeyFile)...),
		"costly scrypt":            block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte(hostile)),
		"encrypted, but not JSON":  block("ENCRYPTED SIGSTORE PRIVATE KEY", pkcs8),
		"encrypted, but not a key": block("ENCRYPTED SIGSTORE PRIVATE KEY", seal(t, []byte("text"))),
	} {
		got, err := LoadKey(file, pass)
		if got != nil {
			t.Errorf("%s: an error came with a key", name)
		}
		if RefusalCode(err) != CodeKey {
			t.Errorf("%s: got %v, want %s", name, err, CodeKey)
		}
	}
	for name, file := range map[string][]byte{"two": append(bytes.Clone(public), public...), "private": good, "text before": append([]byte("x\n"), public...)} {
		if k, err := ParsePublicKey(file); RefusalCode(err) != CodeKey || !k.IsZero() {
			t.Errorf("public key, %s: got %v, want %s", name, err, CodeKey)
		}
	}
}

func seal(t *testing.T, b []byte) []byte {
	t.Helper()
	out, err := encrypted.EncryptWithCustomKDFParameters(b, []byte("pw"), encrypted.Legacy)
	accepted(t, err)
	return out
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	file := mustPEM(t, newKey(t, P256), []byte("right"))
	_, err := LoadKey(file, func() ([]byte, error) { return []byte("right"), nil })
	accepted(t, err)
	_, err = LoadKey(file, func() ([]byte, error) { return []byte("wrong"), nil })
	refused(t, err, CodeKey)
	if !strings.Contains(err.Error(), "wrong passphrase") {
		t.Errorf("the message does not name the passphrase: %v", err)
	}
	_, err = LoadKey(file, nil)
	refused(t, err, CodeKey)
	gone := errors.New("terminal is gone")
	if _, err = LoadKey(file, func() ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestENV20WeakOrOddKeys(t *testing.T) {
	for _, a := range []KeyAlgorithm{P256, P384, Ed25519} {
		_, err := NewPublicKey(newKey(t, a).Public().Crypto())
		accepted(t, err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	accepted(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	accepted(t, err)
	off := func(x, y int64) *ecdsa.PublicKey {
		return &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(x), Y: big.NewInt(y)}
	}
	rsaKey := func(bits uint, e int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}
	}
	for name, k := range map[string]any{
		"P-224": p224.Public(), "P-521": p521.Public(),
		"off the curve": off(1, 1), "infinity": off(0, 0), "negative": off(-1, 1), "overflowing": &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).Lsh(big.NewInt(1), 300), Y: big.NewInt(1)},
		"RSA-1024": rsaKey(1024, 65537), "RSA-65536": rsaKey(65536, 65537), "RSA e=1": rsaKey(2048, 1), "RSA e=3": rsaKey(2048, 3),
		"short Ed25519": ed25519.PublicKey(make([]byte, 31)), "long Ed25519": ed25519.PublicKey(make([]byte, 33)), "empty Ed25519": ed25519.PublicKey(nil),
		"nothing": nil, "nil ECDSA": (*ecdsa.PublicKey)(nil), "text": "key",
	} {
		got, err := NewPublicKey(k)
		if RefusalCode(err) != CodeKey || !got.IsZero() {
			t.Errorf("%s: got %v, want %s", name, err, CodeKey)
		}
	}
	seed := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	other := newKey(t, Ed25519).Public().Crypto().(ed25519.PublicKey)
	unfit := append(bytes.Clone(seed[:ed25519.SeedSize]), other...)
	for name, k := range map[string]interface{ sign() (*KeySigner, error) }{
		"P-224":           loads{t, p224},
		"RSA":             loads{t, rsaPrivate(t)},
		"short Ed25519":   holds{ed25519.PrivateKey(make([]byte, 63))},
		"unfit Ed25519":   holds{ed25519.PrivateKey(unfit)},
		"nil ECDSA":       holds{(*ecdsa.PrivateKey)(nil)},
		"nothing to sign": holds{nil},
	} {
		if got, err := k.sign(); RefusalCode(err) != CodeKey || got != nil {
			t.Errorf("private %s: got %v, want %s", name, err, CodeKey)
		}
	}
}

type loads struct {
	t *testing.T
	k any
}

func (l loads) sign() (*KeySigner, error) {
	der, err := x509.MarshalPKCS8PrivateKey(l.k)
	accepted(l.t, err)
	return LoadKey(block("PRIVATE KEY", der), nil)
}

type holds struct{ k any } // a private key that no file could hold

func (h holds) sign() (*KeySigner, error) {
	switch k := h.k.(type) {
	case ed25519.PrivateKey:
		return NewKeySigner(k)
	case *ecdsa.PrivateKey:
		return NewKeySigner(k)
	}
	return NewKeySigner(nil)
}

func rsaPrivate(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	accepted(t, err)
	return k
}

// For a point of small order anybody can sign: with R and s zero the equation
// sB = R + kA holds whenever the order divides k. The attack is run first, so
// that the keys refused are known to be dangerous.
func TestENV20SmallOrderEd25519(t *testing.T) {
	forgeable := func(key []byte) bool {
		sig := make([]byte, ed25519.SignatureSize)
		sig[0] = 1 // R is the neutral element, s is zero
		for i := range byte(100) {
			if ed25519.Verify(key, []byte{i}, sig) {
				return true
			}
		}
		return false
	}
	for name, digits := range map[string]string{
		"order 1":   "0100000000000000000000000000000000000000000000000000000000000000",
		"order 2":   "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":   "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4'":  "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":   "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8'":  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8''": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		key, err := hex.DecodeString(digits)
		accepted(t, err)
		if !forgeable(key) {
			t.Errorf("%s: nothing could be forged, so refusing the key proves nothing", name)
		}
		_, err = NewPublicKey(ed25519.PublicKey(key))
		refused(t, err, CodeKey)
	}
	honest := newKey(t, Ed25519).Public().Crypto().(ed25519.PublicKey)
	if forgeable(honest) {
		t.Error("an honest key is forgeable")
	}
	// About half of all strings are no point. Whoever decodes must agree.
	points := 0
	for i := range byte(64) {
		sum := sha256.Sum256([]byte{i})
		if _, err := NewPublicKey(ed25519.PublicKey(sum[:])); err == nil {
			points++
		}
	}
	if points < 16 || points > 48 {
		t.Errorf("%d of 64 random strings are points, want about half", points)
	}
	// Nineteen numbers below 2^255 are not below p: second spellings, some of them
	// of points that are fine in the first.
	for last := 0xed; last <= 0xff; last++ {
		second := bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)
		second[0], second[31] = byte(last), 0x7f
		_, err := NewPublicKey(ed25519.PublicKey(second))
		refused(t, err, CodeKey)
	}
}

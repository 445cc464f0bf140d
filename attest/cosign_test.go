package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Sigstore's own library, which cosign and its relatives are built on, reads
// what we write, and we read what it writes.
func TestKeyFilesAreSigstores(t *testing.T) {
	t.Parallel()
	pass := cryptoutils.StaticPasswordFunc([]byte("pw"))
	for _, a := range []KeyAlgorithm{P384} {
		ours := newKey(t, a)
		theirs, err := cryptoutils.UnmarshalPEMToPrivateKey(mustPEM(t, ours, []byte("pw")), pass)
		accepted(t, err)
		again, err := cryptoutils.MarshalPrivateKeyToDER(theirs)
		accepted(t, err)
		got, err := LoadKey(block("PRIVATE KEY", again), nil)
		accepted(t, err)
		if got.Public().Fingerprint() != ours.Public().Fingerprint() {
			t.Errorf("%s: another key came back", a)
		}
	}
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), pass)
	accepted(t, err)
	got, err := LoadKey(private, func() ([]byte, error) { return []byte("pw"), nil })
	accepted(t, err)
	want, err := ParsePublicKey(public)
	accepted(t, err)
	if !want.Crypto().(*ecdsa.PublicKey).Equal(got.Public().Crypto()) {
		t.Error("another key came back")
	}
}

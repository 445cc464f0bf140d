package attest

import (
	"context"
	"crypto"
	"io"
	"testing"
)

// A device is a private key behind somebody else's methods.
type device struct {
	shown, signs crypto.Signer
}

func (d device) Public() crypto.PublicKey { return d.shown.Public() }
func (d device) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return d.signs.Sign(r, digest, o)
}

// What a device signs with another key than it shows, nobody could verify: it is
// found out before it is attached.
func TestSignaturesMadeElsewhereAreVerified(t *testing.T) {
	for _, a := range []KeyAlgorithm{P256, P384, Ed25519} {
		own, other := newKey(t, a).private, newKey(t, a).private
		honest, err := NewKeySigner(device{own, own})
		accepted(t, err)
		_, err = Sign(context.Background(), testStatement(t), honest)
		accepted(t, err)
		lying, err := NewKeySigner(device{own, other})
		accepted(t, err)
		b, err := Sign(context.Background(), testStatement(t), lying)
		refused(t, err, CodeSigInvalid)
		if b != nil {
			t.Errorf("%s: a refusal came with a bundle", a)
		}
	}
	refused(t, PublicKey{}.Verify(nil, nil), CodeSigInvalid)
}

// Package pkcs11 signs with keys that a hardware module keeps and never gives away: a
// smart card, a USB token, a network HSM, or SoftHSM in tests.
//
// PKCS #11 is a C interface. Each maker ships a library, the module, and a key is
// named by a URI (RFC 7512) that says which token and which object on it:
//
//	pkcs11:token=acme-release;object=trainer?module-path=/usr/lib/softhsm/libsofthsm2.so
//
// Calling C needs cgo, which the program otherwise does without: only what is built
// with the tag pkcs11 can open keys ([Built]); everything else refuses to, and says so.
//
// A module is trusted code, loaded into this process. A token is trusted with the key
// and with nothing else: each signature is verified under the public key that was
// read from the token before, and that is what a policy names.
package pkcs11

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// Options are what Open needs beside the URI.
type Options struct {
	// Module is the path of the module if the URI names none.
	Module string
	// PIN returns the PIN of a token, of which it gets the label. It is asked at most
	// once for each key, and not at all if the token has a keypad of its own or the URI
	// a pin-source. Nil refuses.
	PIN func(token string) ([]byte, error)
}

// A Signer signs with a key in a hardware module. Only Open makes one.
type Signer struct {
	key   *attest.KeySigner
	close func()
}

var _ attest.Signer = (*Signer)(nil)

// Public returns the key that verifies what s signs.
func (s *Signer) Public() attest.PublicKey { return s.key.Public() }

// Material names the key.
func (s *Signer) Material() attest.Material { return s.key.Material() }

// SignMessage has the module sign msg, hashed as the key demands, and verifies what it
// answers: E_SIG_INVALID if the signature is not by the key that the token shows.
// A module may wait for a finger on its button and cannot be told to stop, so when ctx
// ends it is left waiting.
func (s *Signer) SignMessage(ctx context.Context, msg []byte) ([]byte, error) {
	type answer struct {
		sig []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		sig, err := s.key.SignMessage(ctx, msg)
		done <- answer{sig, err}
	}()
	select {
	case a := <-done:
		return a.sig, a.err
	case <-ctx.Done():
		return nil, &attest.Refusal{Code: attest.CodeInterrupted, About: "PKCS #11", Why: "stopped while the module was signing", Err: ctx.Err()}
	}
}

// Close ends the session with the token. The signer is of no use afterwards.
func (s *Signer) Close() { s.close() }

package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// The signers that every fleet has. Teams have one each, and people sign too.
const (
	keyPublisher = "publisher" // of base models; not one of us
	keyData      = "data"
	keyEvaluator = "evaluator"
	keyScanner   = "scanner"
	keyGate      = "gate" // judges, and says so in summaries
	keyDeployer  = "deployer"
	keySecurity  = "security"
)

// people are those who approve.
var people = [...]string{"alice", "bob", "carol", "dave", "erin", "frank"}

func teamKey(team int) string { return fmt.Sprintf("trainer-%02d", team) }

func (f *Fleet) makeKeys() error {
	f.keys = map[string]*attest.KeySigner{}
	names := append([]string{keyPublisher, keyData, keyEvaluator, keyScanner, keyGate, keyDeployer, keySecurity}, people[:]...)
	for t := range f.config.Teams {
		names = append(names, teamKey(t))
	}
	for _, n := range names {
		k, err := f.newKey(n)
		if err != nil {
			return err
		}
		f.keys[n] = k
	}
	f.names = slices.Sorted(maps.Keys(f.keys))
	return nil
}

// newKey makes the key that follows from the seed and a name.
func (f *Fleet) newKey(name string) (*attest.KeySigner, error) {
	for i := 0; ; i++ {
		seed := f.bytesFor(fmt.Sprintf("key %s %d", name, i))
		if f.config.Keys == attest.Ed25519 {
			return attest.NewKeySigner(ed25519.NewKeyFromSeed(seed[:]))
		}
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
		if err != nil {
			continue // one number in 2^32 is above the curve's order
		}
		return attest.NewKeySigner(repeatable{k})
	}
}

// repeatable is an ECDSA key that signs one message in one way: with the number that
// RFC 6979 makes of key and message, where attest's own signer takes a random one.
type repeatable struct{ key *ecdsa.PrivateKey }

func (k repeatable) Public() crypto.PublicKey { return k.key.Public() }

func (k repeatable) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.key.Sign(nil, digest, o)
}

// Keys returns the public keys of everybody who belongs to the fleet, by name.
func (f *Fleet) Keys() []attest.PublicKey {
	out := make([]attest.PublicKey, len(f.names))
	for i, n := range f.names {
		out[i] = f.keys[n].Public()
	}
	return out
}

// Names returns the names of those who belong to the fleet, sorted: publisher, data,
// trainer-00 and so on, evaluator, scanner, gate, deployer, security, and people.
func (f *Fleet) Names() []string { return slices.Clone(f.names) }

// Signer returns the signer of a name, and nil for a name that the fleet has not.
func (f *Fleet) Signer(name string) *attest.KeySigner { return f.keys[name] }

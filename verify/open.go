package verify

import (
	"crypto/sha256"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Open checks one bundle against the trusted keys and returns what it says. It
// makes an [Opener] for one use; see [Opener.Open]. On error the Evidence is
// zero: nothing of the bundle may be used, not even to explain the failure.
func Open(bundle []byte, keys []attest.PublicKey) (Evidence, error) {
	o, err := NewOpener(keys)
	if err != nil {
		return Evidence{}, err
	}
	return o.Open(bundle)
}

// An Opener opens bundles against one set of trusted keys. It holds no state
// between bundles and may be used by many goroutines at once.
type Opener struct {
	keys   []pinnedKey    // by fingerprint, each key once
	byHint map[string]int // index into keys
	memory *Memory        // may be nil
}

// Remembering returns an Opener that makes use of a memory; with a nil one it is o.
func (o *Opener) Remembering(m *Memory) *Opener {
	with := *o
	with.memory = m
	return &with
}

// NewOpener makes an Opener. A key that is listed twice counts once, whatever
// file or name it came under. With no keys at all every bundle is a stranger's.
// The error is E_KEY for a zero key.
func NewOpener(keys []attest.PublicKey) (*Opener, error) {
	o := &Opener{byHint: make(map[string]int, len(keys))}
	sorted := slices.SortedFunc(slices.Values(keys), func(a, b attest.PublicKey) int {
		return a.Fingerprint().Compare(b.Fingerprint())
	})
	for _, k := range sorted {
		p, err := pin(k)
		if err != nil {
			return nil, err
		}
		if _, ok := o.byHint[p.hint]; ok {
			continue
		}
		o.byHint[p.hint] = len(o.keys)
		o.keys = append(o.keys, p)
	}
	return o, nil
}

// Open checks one bundle and returns what it says and who said it.
//
// In this order: size and shape ([attest.ParseBundle]); the signature, through
// sigstore-go, with the hinted key first and then every other, because a hint is
// not signed and may lie; then [attest.ParseStatement] on the signed bytes and
// [predicate.Decode]. Which key verified decides the credential.
//
// The error is E_KEY_UNKNOWN if no trusted key made the signature, E_SIG_INVALID
// if the bundle names a trusted key that did not, and otherwise what ParseBundle
// or ParseStatement refused. A predicate that does not decode is no error here:
// somebody trusted did sign it, and [Evidence.Facts] says that it is unusable.
func (o *Opener) Open(bundle []byte) (Evidence, error) {
	e, _, err := o.OpenAttached(attest.Attached{Bundle: bundle})
	return e, err
}

// OpenAttached is Open for an attestation with the note that this verifier made of
// it before, if it did; it returns the note to keep, which is nil without a memory.
// Only the bundle and the note are looked at.
func (o *Opener) OpenAttached(a attest.Attached) (e Evidence, note []byte, err error) {
	sum := sha256.Sum256(a.Bundle)
	env, err := o.read(a, sum)
	if err != nil {
		return Evidence{}, nil, err
	}
	k, ok := o.hinted(env)
	if !ok {
		k, ok = o.unhinted(env)
	}
	if !ok {
		return Evidence{}, nil, o.stranger(env)
	}
	e, err = believe(k.credential, env.payload)
	if err != nil {
		return Evidence{}, nil, err
	}
	return e, o.memory.note(sum, k.credential), nil
}

// An envelope is a bundle of the right shape that nobody believes yet.
type envelope struct {
	payload     []byte
	hint        string
	certificate bool
	recognised  bool    // the key that it names is known to have signed it
	entity      *entity // nil with a certificate, and where it is not needed
}

// read checks size and shape, and verifies nothing. sum is that of the bundle.
func (o *Opener) read(a attest.Attached, sum [sha256.Size]byte) (*envelope, error) {
	parsed, err := attest.ParseBundle(a.Bundle)
	if err != nil {
		return nil, err
	}
	e := &envelope{payload: parsed.Payload, hint: parsed.KeyHint, certificate: parsed.Certificate != nil}
	if e.certificate {
		return e, nil
	}
	if i, ok := o.byHint[e.hint]; ok && a.Note != nil && o.memory.recognises(a.Note, sum, o.keys[i].credential) {
		e.recognised = true
		return e, nil
	}
	e.entity, err = newEntity(parsed)
	return e, err
}

// hinted tries the one key that the bundle names.
func (o *Opener) hinted(e *envelope) (pinnedKey, bool) {
	i, ok := o.byHint[e.hint]
	if !ok || e.certificate || !e.recognised && !o.keys[i].signed(e) {
		return pinnedKey{}, false
	}
	return o.keys[i], true
}

// unhinted tries every key that hinted has not tried.
//
// Bundles with a certificate end here: no identity but a key is trusted yet.
// This, hinted and pin are where certificate identities will come in.
func (o *Opener) unhinted(e *envelope) (pinnedKey, bool) {
	if e.certificate {
		return pinnedKey{}, false
	}
	for _, k := range o.keys {
		if k.hint != e.hint && k.signed(e) {
			return k, true
		}
	}
	return pinnedKey{}, false
}

// stranger names the refusal of an envelope that no trusted key signed.
func (o *Opener) stranger(e *envelope) error {
	if e.certificate {
		return attest.Refuse(attest.CodeKeyUnknown, "signed under a certificate; only keys are trusted")
	}
	if i, ok := o.byHint[e.hint]; ok {
		return &attest.Refusal{
			Code: attest.CodeSigInvalid, About: o.keys[i].credential.String(),
			Why: "the bundle names this key, but neither it nor another trusted key made the signature",
		}
	}
	return &attest.Refusal{Code: attest.CodeKeyUnknown, Why: "no trusted key made the signature", Next: "name the signer's key if it should be trusted"}
}

// attempts is what it costs to find out that nobody trusted signed a bundle.
func (o *Opener) attempts() int { return max(1, len(o.keys)) }

// believe reads what a credential verifiably signed.
func believe(c Credential, payload []byte) (Evidence, error) {
	s, err := attest.ParseStatement(payload)
	if err != nil {
		return Evidence{}, err
	}
	facts, err := predicate.Decode(s)
	if err != nil {
		facts = predicate.Facts{Type: s.PredicateType} // half-read facts must not count for anything
	}
	return Evidence{&evidence{id: ID{Payload: s.Payload, Credential: c}, statement: s, facts: facts, decodeErr: err}}, nil
}

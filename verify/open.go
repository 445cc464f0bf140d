package verify

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Signers are those whose signatures count. The zero Signers is nobody.
type Signers struct {
	Keys []attest.PublicKey
	// Identities count if Trust vouches for them.
	Identities []trust.Rule
	// Anyone says that every identity counts that Trust vouches for, and every key that
	// it lists: for questions without a policy.
	Anyone bool
	// Trust says who vouches for identities and times; nil: nobody.
	Trust *trust.Trust
}

// May reports whether something that the credential signed can count: of an identity,
// whatever its certificate claims.
func (s Signers) May(c Credential) bool {
	if i, ok := c.Identity(); ok {
		return s.Anyone && s.Trust.MayVouch(i) || slices.ContainsFunc(s.Identities, func(r trust.Rule) bool { return r.Names(i) })
	}
	return slices.ContainsFunc(s.keys(), func(k attest.PublicKey) bool { return KeyCredential(k) == c })
}

// matches reports whether what an identity with these claims signed counts.
func (s Signers) matches(i trust.Identity, c trust.Claims) bool {
	return s.Anyone || slices.ContainsFunc(s.Identities, func(r trust.Rule) bool { return r.Matches(i, c) })
}

// keys returns the keys whose signatures count.
func (s Signers) keys() []attest.PublicKey {
	if s.Anyone {
		return slices.Concat(s.Keys, s.Trust.Keys())
	}
	return s.Keys
}

// Open checks one bundle and returns what it says, if one of the signers signed it.
// It makes an [Opener] for one use; see [Opener.Open]. On error the Evidence is
// zero: nothing of the bundle may be used, not even to explain the failure.
func Open(bundle []byte, s Signers) (Evidence, error) {
	o, err := NewOpener(s)
	if err != nil {
		return Evidence{}, err
	}
	return o.Open(bundle)
}

// An Opener opens bundles against one set of signers. It may be used by many
// goroutines at once.
type Opener struct {
	signers Signers
	keys    []pinnedKey    // by fingerprint, each key once
	byHint  map[string]int // index into keys
	memory  *Memory        // may be nil
}

// Remembering returns an Opener that makes use of a memory; with a nil one it is o.
func (o *Opener) Remembering(m *Memory) *Opener {
	with := *o
	with.memory = m
	return &with
}

// NewOpener makes an Opener. A key that is listed twice counts once, whatever
// file or name it came under. With no signers at all every bundle is a stranger's.
// The error is E_KEY for a zero key.
func NewOpener(s Signers) (*Opener, error) {
	o := &Opener{signers: s, byHint: make(map[string]int, len(s.Keys))}
	sorted := slices.SortedFunc(slices.Values(s.keys()), func(a, b attest.PublicKey) int {
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
// In this order: size and shape ([attest.ParseBundle]); who signed; then
// [attest.ParseStatement] on the signed bytes and [predicate.Decode].
//
// Of a key: the signature, through sigstore-go, with the hinted key first and then
// every other, because a hint is not signed and may lie. Which key verified decides
// the credential. Of a certificate: whom it names, unverified, decides only whether
// looking is worth while; then [trust.Trust.Authenticate], whose answer is held
// against the signers again, claims included.
//
// The error is E_KEY_UNKNOWN if nobody trusted made the signature, E_SIG_INVALID
// if the bundle names a trusted key that did not, what Authenticate refused of a
// certificate that names somebody trusted, E_KEY_WINDOW or E_REVOKED of a key that did
// not count then, and otherwise what ParseBundle or ParseStatement refused. A
// predicate that does not decode is no error here: somebody trusted did sign it, and
// [Evidence.Facts] says that it is unusable.
func (o *Opener) Open(bundle []byte) (Evidence, error) {
	e, _, err := o.OpenAttached(attest.Attached{Bundle: bundle})
	return e, err
}

// OpenAttached is Open for an attestation with the note that this verifier made of
// it before, if it did; it returns the note to keep, which is nil without a memory.
// Only the bundle and the note are looked at.
func (o *Opener) OpenAttached(a attest.Attached) (e Evidence, note []byte, err error) {
	env, err := o.read(a, sha256.Sum256(a.Bundle))
	if err != nil {
		return Evidence{}, nil, err
	}
	e, ok, err := o.hinted(env)
	if !ok {
		e, err = o.unhinted(env)
	}
	if err != nil {
		return Evidence{}, nil, err
	}
	return e, o.memory.note(env.sum, o.signers.Trust, e), nil
}

// An envelope is a bundle of the right shape that nobody believes yet.
type envelope struct {
	bundle *attest.Bundle
	sum    [sha256.Size]byte // of the bundle's bytes
	entity *entity           // nil with a certificate, and where it is not needed

	// identity and claims are whom the certificate names; zero for a key.
	identity trust.Identity
	claims   trust.Claims

	recognised bool      // that the one it names signed it was verified before
	seen       time.Time // as it was found then
}

// read checks size and shape, and verifies nothing. sum is that of the bundle. The
// error is E_KEY_UNKNOWN for a certificate that names nobody who is trusted.
func (o *Opener) read(a attest.Attached, sum [sha256.Size]byte) (*envelope, error) {
	parsed, err := attest.ParseBundle(a.Bundle)
	if err != nil {
		return nil, err
	}
	e := &envelope{bundle: parsed, sum: sum}
	if parsed.Certificate != nil {
		return e, o.readHolder(e, a.Note)
	}
	if i, ok := o.byHint[parsed.KeyHint]; ok {
		if e.seen, e.recognised = o.memory.recognises(a.Note, sum, o.signers.Trust, o.keys[i].credential); e.recognised {
			return e, nil
		}
	}
	e.entity, err = newEntity(parsed)
	return e, err
}

// readHolder reads whom a certificate names. Somebody whom no rule names, or nobody
// at all, is a stranger at no further cost.
func (o *Opener) readHolder(e *envelope, note []byte) (err error) {
	if e.identity, e.claims, err = trust.Holder(e.bundle.Certificate); err != nil {
		return &attest.Refusal{Code: attest.CodeKeyUnknown, Why: "signed under a certificate that names nobody", Err: err}
	}
	who := IdentityCredential(e.identity)
	if !o.signers.May(who) {
		return &attest.Refusal{Code: attest.CodeKeyUnknown, About: who.String(), Why: "signed by an identity that is not trusted", Next: "name the identity if it should be trusted"}
	}
	e.seen, e.recognised = o.memory.recognises(note, e.sum, o.signers.Trust, who)
	return nil
}

// hinted tries the one key that the bundle names, or the one identity. ok says whether
// that is the end of it: false if other keys are left to try.
func (o *Opener) hinted(e *envelope) (_ Evidence, ok bool, err error) {
	if e.bundle.Certificate != nil {
		out, err := o.identified(e)
		return out, true, err
	}
	i, ok := o.byHint[e.bundle.KeyHint]
	if !ok || !e.recognised && !o.keys[i].signed(e) {
		return Evidence{}, false, nil
	}
	out, err := o.byKey(o.keys[i], e)
	return out, true, err
}

// identified opens an envelope with a certificate that names somebody trusted.
func (o *Opener) identified(e *envelope) (Evidence, error) {
	s := trust.Signer{Identity: e.identity, Claims: e.claims, Seen: e.seen}
	if !e.recognised {
		var err error
		if s, err = o.signers.Trust.Authenticate(e.bundle); err != nil {
			return Evidence{}, err
		}
	}
	who := IdentityCredential(s.Identity)
	if !o.signers.matches(s.Identity, s.Claims) {
		return Evidence{}, &attest.Refusal{Code: attest.CodeKeyUnknown, About: who.String(), Why: "signed by a trusted identity in circumstances that are not trusted", Next: "compare what the certificate claims: its source repository, ref and trigger"}
	}
	out, err := believe(who, e.bundle.Payload)
	if err != nil {
		return Evidence{}, err
	}
	made := Signing{Claims: s.Claims, Seen: s.Seen}
	if out.e.facts.Claimed.IsZero() { // else nobody asks
		made.NotBefore, made.NotAfter = trust.Validity(e.bundle.Certificate)
	}
	out.e.seen, out.e.signings = s.Seen, []Signing{made}
	return out, nil
}

// byKey opens an envelope that a key verifiably signed.
func (o *Opener) byKey(k pinnedKey, e *envelope) (Evidence, error) {
	out, err := believe(k.credential, e.bundle.Payload)
	if err != nil {
		return Evidence{}, err
	}
	if e.recognised {
		out.e.seen = e.seen
		return out, nil
	}
	out.e.seen, err = o.signers.Trust.Seen(k.key, e.bundle, out.e.facts.Claimed)
	if err != nil {
		return Evidence{}, err
	}
	return out, nil
}

// unhinted tries every key that hinted has not tried.
func (o *Opener) unhinted(e *envelope) (Evidence, error) {
	for _, k := range o.keys {
		if k.hint != e.bundle.KeyHint && k.signed(e) {
			return o.byKey(k, e)
		}
	}
	return Evidence{}, o.stranger(e)
}

// stranger names the refusal of an envelope that no trusted key signed.
func (o *Opener) stranger(e *envelope) error {
	if i, ok := o.byHint[e.bundle.KeyHint]; ok {
		return &attest.Refusal{
			Code: attest.CodeSigInvalid, About: o.keys[i].credential.String(),
			Why: "the bundle names this key, but neither it nor another trusted key made the signature",
		}
	}
	return &attest.Refusal{Code: attest.CodeKeyUnknown, Why: "no trusted key made the signature", Next: "name the signer's key if it should be trusted"}
}

// attempts is what it costs to find out that nobody trusted signed a bundle under a
// key. Under a certificate that names nobody trusted it is nothing.
func (o *Opener) attempts() int { return max(1, len(o.keys)) }

// falseName is what it costs to find out that a bundle under a certificate names
// somebody trusted falsely: the signatures over the certificate and over the payload,
// and the one of a log or timestamp authority that is forged. More is not verified in
// vain (see [trust.Trust.Authenticate]), because certificates and what was signed under
// them are public: anybody can make copies that hold but for the last thing.
const falseName = 3

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

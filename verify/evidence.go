package verify

import (
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A Credential is who signed, as far as mathematics can tell: today a public
// key, "key:sha256:…" with the SHA-256 of its SubjectPublicKeyInfo. Which person
// or workload holds it is for a policy to say. It is comparable; the zero
// Credential is nobody.
type Credential struct{ name string }

// KeyCredential returns the credential of whoever holds k.
func KeyCredential(k attest.PublicKey) Credential {
	return Credential{name: "key:" + k.Fingerprint().String()}
}

// Standin returns the digest that names the credential where evidence about it is
// kept ([attest.StandIn]): of a key the SHA-256 of its SubjectPublicKeyInfo. It is
// zero for the zero Credential, about which there can be none.
func (c Credential) Standin() attest.Digest {
	name, ok := strings.CutPrefix(c.name, "key:")
	d, err := attest.ParseDigest(name)
	if !ok || err != nil {
		return attest.Digest{}
	}
	return d
}

// String returns the credential's one spelling.
func (c Credential) String() string { return c.name }

// Compare orders credentials by their spelling.
func (c Credential) Compare(d Credential) int { return strings.Compare(c.name, d.name) }

// ID is the identity of a piece of evidence: which payload, signed by whom.
// Bundles, signatures and manifests are not: one signature has many spellings,
// and whoever can write to a registry can make another.
type ID struct {
	Payload    attest.Digest
	Credential Credential
}

// Compare orders evidence by payload, then credential.
func (i ID) Compare(j ID) int {
	if c := i.Payload.Compare(j.Payload); c != 0 {
		return c
	}
	return i.Credential.Compare(j.Credential)
}

// Evidence is one statement that a trusted credential verifiably signed. Only
// this package makes it. It is true that the signer said it; whether what was
// said is true, and whether the signer had any business saying it, is for a
// policy. The zero Evidence is about nothing and by nobody.
type Evidence struct{ e *evidence }

type evidence struct {
	id        ID
	statement *attest.Statement
	facts     predicate.Facts
	decodeErr error
	seen      time.Time
	about     attest.Digest // the artifact of the chain it is bound to; set by the walk
}

// ID returns the evidence's identity.
func (e Evidence) ID() ID { return e.get().id }

// About returns the artifact that the evidence is bound to: what it was found
// beside and names as its subject. It is zero for evidence fresh from Open,
// which looks at no artifact.
func (e Evidence) About() attest.Digest { return e.get().about }

// Subjects returns what the statement names as its subjects.
func (e Evidence) Subjects() []attest.Subject { return e.get().statement.Subjects }

// PredicateType returns the statement's predicate type.
func (e Evidence) PredicateType() string { return e.get().statement.PredicateType }

// Statement returns what was signed.
func (e Evidence) Statement() *attest.Statement { return e.get().statement }

// Facts returns what the predicate says. If the signed predicate does not decode
// the error says why, and the Facts hold at most the Type: such evidence exists,
// counts against what depends on it, and never for it.
func (e Evidence) Facts() (predicate.Facts, error) { return e.get().facts, e.get().decodeErr }

// Seen returns the earliest authenticated time at which the evidence existed,
// and zero if nobody authenticated one.
func (e Evidence) Seen() time.Time { return e.get().seen }

// IsZero reports whether e is no evidence.
func (e Evidence) IsZero() bool { return e.e == nil }

func (e Evidence) get() *evidence {
	if e.e == nil {
		return &evidence{statement: &attest.Statement{}, decodeErr: errNoEvidence}
	}
	return e.e
}

var errNoEvidence = attest.Refuse(attest.CodeInternal, "the zero Evidence")

package verify

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Credential is who signed, as far as mathematics can tell, in one spelling: a
// public key, "key:sha256:…" with the SHA-256 of its SubjectPublicKeyInfo; an
// identity that an authority vouched for, "ISSUER SUBJECT"; or a SPIFFE id,
// "spiffe://…". Which person or workload that is, is for a policy to say. It is
// comparable; the zero Credential is nobody.
type Credential struct{ name string }

// IdentityCredential returns the credential of an identity, and the zero Credential
// for nobody.
func IdentityCredential(i trust.Identity) Credential {
	if i.IsZero() {
		return Credential{}
	}
	return Credential{name: i.String()}
}

// Identity returns the identity that the credential is, and false for a key.
func (c Credential) Identity() (trust.Identity, bool) {
	if rest, ok := strings.CutPrefix(c.name, "spiffe://"); ok {
		domain, _, _ := strings.Cut(rest, "/")
		return trust.Identity{Issuer: "spiffe://" + domain, Subject: c.name}, true
	}
	issuer, subject, ok := strings.Cut(c.name, " ")
	return trust.Identity{Issuer: issuer, Subject: subject}, ok
}

// KeyCredential returns the credential of whoever holds k.
func KeyCredential(k attest.PublicKey) Credential {
	return Credential{name: "key:" + k.Fingerprint().String()}
}

// Standin returns the digest that names the credential where evidence about it is
// kept ([attest.StandIn]): of a key the SHA-256 of its SubjectPublicKeyInfo, of an
// identity the SHA-256 of issuer, line feed, subject. It is zero for the zero
// Credential, about which there can be none.
func (c Credential) Standin() attest.Digest {
	if i, ok := c.Identity(); ok {
		return attest.SHA256([]byte(i.Issuer + "\n" + i.Subject))
	}
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
	signings  []Signing     // by their claims, which are in no two; nil for a key
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
// and zero if nobody authenticated one. Of an identity it is the earliest of all its
// [Evidence.Signings]; who asks for claims asks those.
func (e Evidence) Seen() time.Time { return e.get().seen }

// A Signing is that an identity signed evidence under a certificate with these claims.
// Time belongs to it and not to the evidence: who may run the same workflow by another
// trigger can sign the very same bytes, earlier or later, and must not lend that run's
// time to another one's.
type Signing struct {
	Claims trust.Claims
	Seen   time.Time // since when it is known to exist; never zero
	// From when until when, both included, the certificate was valid; zero if the
	// statement has a time of its own, which is then the one that counts.
	NotBefore, NotAfter time.Time
}

func (s Signing) compare(o Signing) int {
	return cmp.Or(s.Claims.Compare(o.Claims), s.Seen.Compare(o.Seen), s.NotBefore.Compare(o.NotBefore), s.NotAfter.Compare(o.NotAfter))
}

// Signings returns under which claims the evidence was signed, sorted by these, of each
// the one that was seen first: usually one, and several if the same identity signed the
// very same bytes in several runs. It is nil for a key, whose holder nobody says
// anything about.
func (e Evidence) Signings() []Signing { return slices.Clone(e.get().signings) }

// Claims returns what the certificates that it was signed under claim, as Signings
// does.
func (e Evidence) Claims() []trust.Claims {
	var out []trust.Claims
	for _, s := range e.get().signings {
		out = append(out, s.Claims)
	}
	return out
}

// merge adds what another bundle with the same statement by the same signer proves:
// the earliest time that any of them does, and of all certificates with the same claims
// the one that was seen first. In which order bundles are found decides nothing.
func (e *evidence) merge(o *evidence) {
	if !o.seen.IsZero() && (e.seen.IsZero() || o.seen.Before(e.seen)) {
		e.seen = o.seen
	}
	if len(o.signings) > 0 {
		all := slices.Concat(e.signings, o.signings) // e's own may be another artifact's too
		slices.SortFunc(all, Signing.compare)
		e.signings = slices.CompactFunc(all, func(a, b Signing) bool { return a.Claims == b.Claims })
	}
}

// IsZero reports whether e is no evidence.
func (e Evidence) IsZero() bool { return e.e == nil }

func (e Evidence) get() *evidence {
	if e.e == nil {
		return &evidence{statement: &attest.Statement{}, decodeErr: errNoEvidence}
	}
	return e.e
}

var errNoEvidence = attest.Refuse(attest.CodeInternal, "the zero Evidence")

package lineage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A grantKey names a grant at a place: one statement may lie beside two artifacts,
// and an artifact that is taken back ends only what is about it.
type grantKey struct {
	id    verify.ID
	about attest.Digest
}

// A standing is when a grant is in force, and why not always while it lasts.
type standing struct {
	on    spans
	taken []Taken
	chain []Link
	// parent is the grant that it was delegated from and is no more than.
	parent verify.Evidence
	// code and why say what is wrong with the grant itself or with what it was delegated
	// from; open that this could not be looked at.
	code attest.Code
	why  string
	open bool
}

func (s *standing) refuse(code attest.Code, format string, args ...any) *standing {
	s.on, s.code, s.why = nil, code, fmt.Sprintf(format, args...)
	return s
}

// standing works out when a grant, which can be read, is in force.
func (k *reckoning) standing(e verify.Evidence) *standing {
	key := grantKey{e.ID(), e.About()}
	if s := k.standings[key]; s != nil {
		return s
	}
	s := &standing{}
	k.standings[key] = s
	facts, err := e.Facts()
	if err != nil || facts.Access == nil {
		return s.refuse(attest.CodePredicateSchema, "it cannot be read")
	}
	f := facts.Access
	if code, why := k.judge(e); code != "" {
		return s.refuse(code, "%s", why)
	}
	from := k.happened(f.GrantedAt)
	if f.NotBefore.After(from) {
		from = f.NotBefore
	}
	s.on = union(Span{from, f.NotAfter})
	s.taken = k.takenFrom(e)
	var gone []Span
	for _, t := range s.taken {
		gone = append(gone, t.Span)
	}
	s.on = s.on.without(union(gone...))
	if f.Parent.Payload.IsZero() {
		if k.rules.MayGrant == nil || !k.rules.MayGrant(k.who(e.ID().Credential)) {
			return s.refuse(attest.CodeIdentity, "%s may grant nothing that was not delegated", k.signer(e))
		}
		return s
	}
	k.delegated(s, e, f)
	return s
}

// takenFrom returns all that takes a grant back: about the grant, its key, and the
// artifact.
func (k *reckoning) takenFrom(e verify.Evidence) []Taken {
	var out []Taken
	add := func(target string, all []taking) {
		for _, w := range all {
			if target == predicate.TargetArtifact && w.action == predicate.ActionSupersede {
				continue // an old version can do what it could
			}
			t := Taken{Span: Span{w.From.UTC(), w.To.UTC()}, Target: target, Action: w.action, By: w.by, Reason: w.reason, Payload: w.payload}
			if last := len(out) - 1; last >= 0 && out[last].joins(t) {
				out[last].To = t.To // the same, with another voice beside it
				continue
			}
			out = append(out, t)
		}
	}
	add(predicate.TargetPayload, k.takings(takenThing{e.ID().Payload, predicate.TargetPayload, k.who(e.ID().Credential)}))
	add(credentialTarget(e), k.keyTakings(e))
	add(predicate.TargetArtifact, k.takings(takenThing{e.About(), predicate.TargetArtifact, ""}))
	slices.SortStableFunc(out, func(a, b Taken) int { return cmp.Or(a.From.Compare(b.From), a.Payload.Compare(b.Payload)) })
	return out
}

// joins reports whether u only goes on with what t says.
func (t Taken) joins(u Taken) bool {
	return t.To.Equal(u.From) && t.Target == u.Target && t.Action == u.Action && t.Payload == u.Payload && slices.Equal(t.By, u.By)
}

// delegated cuts a grant down to when what it was delegated from is in force, and
// refuses it if it is more than that.
//
// It calls standing again for the parent. That ends, and is never deeper than
// predicate.MaxDelegations: a child is only followed if its mayDelegate is less than
// its parent's.
func (k *reckoning) delegated(s *standing, e verify.Evidence, f *predicate.AccessFacts) {
	parents, gap := k.parents(f.Parent)
	if len(parents) == 0 {
		s.refuse(attest.CodeDelegation, "there is no grant %s about %s, by anybody whose signature counts, that it could be delegated from", f.Parent.Payload.Short(), f.Parent.Artifact.Short())
		if gap != "" {
			s.refuse(gap, "the grant that it was delegated from could not be looked at, about %s", f.Parent.Artifact.Short())
			s.open = true
		}
		return
	}
	var given []Span
	var first *standing // of the parents: one statement that several signed
	for _, p := range parents {
		one := k.givenOn(e, f, p)
		if given = append(given, one.on...); first == nil || first.why != "" && one.why == "" {
			first = one
		}
	}
	s.on = s.on.within(union(given...))
	s.chain, s.parent, s.code, s.why, s.open = first.chain, first.parent, first.code, first.why, first.open
}

// givenOn works out when a parent lets a child be in force.
func (k *reckoning) givenOn(e verify.Evidence, child *predicate.AccessFacts, parent verify.Evidence) *standing {
	one := &standing{}
	facts, err := parent.Facts()
	if err != nil {
		return one.refuse(attest.CodeDelegation, "the grant that it was delegated from cannot be read: %v", err)
	}
	f := facts.Access
	if !k.is(e.ID().Credential, f.Principal) {
		return one.refuse(attest.CodeDelegation, "it is signed by %s, and the grant that it was delegated from is for %.200s", k.signer(e), f.Principal)
	}
	if err := child.Within(f); err != nil {
		var r *attest.Refusal
		if errors.As(err, &r) {
			return one.refuse(r.Code, "%s", r.Why)
		}
		return one.refuse(attest.CodeDelegation, "%v", err) // unreachable: Within returns refusals
	}
	up := k.standing(parent)
	one.on, one.parent = up.on, parent
	one.chain = append([]Link{{parent.ID().Payload, parent.About(), k.signer(parent), f.Principal}}, up.chain...)
	switch {
	case up.open:
		one.code, one.why, one.open = up.code, up.why, true
	case up.why != "":
		one.code, one.why = attest.CodeDelegation, "the grant that it was delegated from does not hold: "+up.why
	}
	return one
}

// parents returns the grants that a delegation names, and the code of a gap behind
// which there may be one.
func (k *reckoning) parents(ref predicate.Basis) (out []verify.Evidence, gap attest.Code) {
	nodes := k.node(ref.Artifact)
	if len(nodes) == 0 {
		return nil, attest.CodeLimit // nobody looked
	}
	for _, n := range nodes {
		for _, g := range n.Gaps {
			gap = cmp.Or(gap, g.Code)
		}
	}
	for _, e := range k.granted(ref.Artifact) {
		if e.ID().Payload == ref.Payload {
			out = append(out, e)
		}
	}
	return out, gap
}

// is reports whether a credential is the principal that a grant names.
func (k *reckoning) is(c verify.Credential, id string) bool {
	return c.String() == id || k.rules.Is != nil && k.rules.Is(c, id)
}

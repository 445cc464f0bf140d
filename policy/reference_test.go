package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// Reference answers what Evaluate answers, as docs/policy.md has it, asking all
// again wherever it matters: is the chain allowed, and does this satisfy that step?
//
// It knows yes and no. A chain with gaps is asked about by filling them
// (TestGapsLeaveOpenOnlyWhatTheyHide), one with a status as if without. Left out
// as well: other policies, signed deny lists, contexts, scope, compare, before,
// covers, carriesOver, roles, discharges, versions, formats, one thing in two roles,
// access, of keys and identities all but whose they are.
func Reference(p *Policy, c verify.Chain, q Question) (bool, func(step string, d attest.Digest) bool) {
	f := &reference{d: p.doc, c: c, at: q.At, took: map[*line][]attest.Digest{}}
	f.bind()
	wrong := !some(f.d.artifact, func(name string) bool { return f.satisfies(f.d.step(name), c.Root()) })
	for _, s := range f.d.steps {
		if s.about != "" {
			wrong = wrong || !s.optional && len(f.players(s)) == 0 || some(f.players(s), func(d attest.Digest) bool { return !f.satisfies(s, d) })
		}
	}
	for _, d := range c.Artifacts() {
		wrong = wrong || f.revoked(c.Artifact(d), revokeArtifact, nil) || some(f.d.deny, func(x *denial) bool { return meet(f.contents(d), x.artifacts) })
	}
	return !wrong, func(step string, d attest.Digest) bool { return f.satisfies(f.d.step(step), d) }
}

type reference struct {
	d           *document
	c           verify.Chain
	at          time.Time
	took        map[*line][]attest.Digest // by a line, of whatever plays its step
	loose, ever bool                      // loose: whether what asks about others is left out; ever: whether what was revoked counts
}

// A said is one piece of evidence, with who said it.
type said struct {
	verify.Evidence
	predicate.Facts
	by  *principal
	bad bool // the predicate does not decode
}

// said returns what principals said there, and was not revoked.
func (f *reference) said(node *verify.Artifact) (out []said) {
	for _, e := range cmp.Or(node, &verify.Artifact{}).Evidence {
		facts, err := e.Facts()
		by := f.d.principalOf(e)
		if by != nil && !e.Seen().After(f.at) && (f.ever || !f.revoked(f.c.Consulted(e.ID().Payload), revokePayload, by)) {
			out = append(out, said{e, facts, by, err != nil})
		}
	}
	return out
}

// revoked: by who signed it, or by enough of those who may.
func (f *reference) revoked(node *verify.Artifact, kind string, owner *principal) bool {
	who := map[*principal]bool{}
	for _, x := range f.said(node) {
		if r := x.Revocation; r != nil && r.Target == kind && r.Action == predicate.ActionRevoke && !r.From.After(f.at) {
			who[x.by] = true
		}
	}
	return some(f.d.revocation, func(r *revoker) bool {
		able := slices.DeleteFunc(slices.Clone(r.by), func(name string) bool { return !who[f.d.principal(name)] })
		return who[owner] || slices.Contains(r.of, kind) && len(able) >= r.threshold
	})
}

// about returns what names said of d in the form of s.
func (f *reference) about(s *step, d attest.Digest, names []string) []said {
	return slices.DeleteFunc(f.said(f.c.Artifact(d)), func(x said) bool {
		built := s.buildType == "" || x.bad || x.BuildType == s.buildType
		return !slices.Contains(names, x.by.name) || x.PredicateType() != s.predicate || !built
	})
}

// candidates lie within where; one that where cannot judge is one, and fails.
func (f *reference) candidates(s *step, d attest.Digest) []said {
	return slices.DeleteFunc(f.about(s, d, s.by), func(x said) bool { return s.where != nil && !x.bad && is(Fail, s.where, x) })
}

// is: an error is neither Pass nor Fail.
func is(want Status, c *expression, x said) bool {
	st, why := c.eval(scene{predicate: x.Tree})
	return st == want && why == nil
}

// selected, now or earlier: any, those that count; latest, each principal's latest; all, all.
func (f *reference) selected(s *step, d attest.Digest, at time.Time) (out []said) {
	all := f.candidates(s, d)
	if at != f.at {
		all = slices.DeleteFunc(all, func(x said) bool { return x.bad || x.Claimed.After(at) })
	}
	for _, x := range all {
		last := x.bad || !some(all, func(o said) bool { return o.by == x.by && o.Claimed.After(x.Claimed) })
		if s.selects == selectAll || s.selects == selectLatest && last || s.selects == selectAny && f.counts(s, d, x, at) {
			out = append(out, x)
		}
	}
	return out
}

// satisfies is the heart: does d satisfy s?
func (f *reference) satisfies(s *step, d attest.Digest) bool {
	all := f.candidates(s, d)
	contradicted := some(all, func(x said) bool {
		return some(x.Inputs, func(in predicate.Input) bool {
			same := func(o predicate.Input) bool { return o.Role == in.Role && o.Digest == in.Digest }
			return slices.Contains(s.agree, in.Role) && some(all, func(y said) bool { return !some(y.Inputs, same) })
		})
	})
	vetoed := s.veto != nil && some(f.about(s, d, s.vetoBy), func(x said) bool { return x.bad || !is(Fail, s.veto, x) })
	who := map[*principal]bool{}
	for _, x := range f.selected(s, d, f.at) {
		if !f.counts(s, d, x, f.at) {
			return false // with any, none such is selected
		}
		who[x.by] = true
	}
	return !contradicted && !vetoed && len(who) >= s.threshold
}

// counts asks everything of one candidate.
func (f *reference) counts(s *step, d attest.Digest, x said, at time.Time) bool {
	age := at.Sub(x.Claimed)
	switch {
	case x.bad, !f.timed(x), s.where != nil && !is(Pass, s.where, x),
		age < -skew, age < s.minAge, s.maxAge > 0 && age > s.maxAge, !x.ValidUntil.IsZero() && at.After(x.ValidUntil),
		s.kind != "" && x.by.kind != s.kind, len(x.Conditions) > 0,
		some(s.rules, func(r *rule) bool { return !is(Pass, r.cel, x) }),
		f.c.Cycle(x.Evidence) != nil:
		return false
	}
	return f.inputs(s, x) && (f.loose || f.separate(s, x) && f.rests(s, x))
}

// timed: somebody saw it, not long after it says it was and not before; or the signer's word will do.
func (f *reference) timed(x said) bool {
	lag := x.Seen().Sub(x.Claimed)
	return x.Seen().IsZero() && f.d.unsafeTime || !x.Seen().IsZero() && -skew <= lag && lag <= f.d.maxLag
}

// separate: who ever signed anything of a step in notBy does not count.
func (f *reference) separate(s *step, x said) bool {
	return !some(s.notBy, func(name string) bool {
		all := &reference{d: f.d, c: f.c, at: f.at, ever: true}
		return some(f.players(f.d.step(name)), func(d attest.Digest) bool { return len(all.about(f.d.step(name), d, []string{x.by.name})) > 0 })
	})
}

// rests: an approval names all that was selected when it was given, and nothing that was not there.
func (f *reference) rests(s *step, x said) bool {
	then := map[bool]time.Time{false: x.Claimed, true: f.at}[s.rebase]
	for _, name := range s.basis {
		for _, d := range f.players(f.d.step(name)) {
			seen := f.selected(f.d.step(name), d, then)
			if len(seen) == 0 || some(seen, func(o said) bool { return !slices.Contains(x.Basis, o.at(d)) }) {
				return false
			}
		}
	}
	return len(s.basis) == 0 || every(x.Basis, func(b predicate.Basis) bool {
		return some(f.said(f.c.Artifact(b.Artifact)), func(o said) bool { return o.at(b.Artifact) == b && !o.Claimed.After(x.Claimed.Add(skew)) })
	})
}

func (x said) at(d attest.Digest) predicate.Basis {
	return predicate.Basis{Payload: x.ID().Payload, Artifact: d}
}

// inputs: each is claimed by one line (loosely by more: sameRun may tell them apart), and each line claims enough.
func (f *reference) inputs(s *step, x said) bool {
	claimed, shared := map[*line]int{}, map[*line]bool{}
	for _, in := range x.Inputs {
		lines := slices.DeleteFunc(slices.Clone(s.inputs), func(l *line) bool { return !f.claims(l, in) })
		if len(lines) == 0 || len(lines) > 1 && !f.loose {
			return false
		}
		for _, l := range lines {
			claimed[l], shared[l] = claimed[l]+1, shared[l] || len(lines) > 1
		}
	}
	return every(s.inputs, func(l *line) bool { return shared[l] || l.min <= claimed[l] && claimed[l] <= l.max })
}

func (f *reference) claims(l *line, in predicate.Input) bool {
	uri, err := parseOrigin(in.URI)
	same := func(d attest.Digest) bool { return d == in.Digest }
	oneRun := func(d attest.Digest) bool { return f.oneRun(l.from, d, in.Digest) }
	return !in.Digest.IsZero() && in.Role == l.role &&
		(l.from == nil || some(l.from, func(name string) bool { return f.made(f.d.step(name), in.Digest, l.output) })) &&
		(l.origin == nil || err == nil && l.origin.allows(uri)) &&
		(l.pin == nil || slices.Contains(l.pin, in.Digest)) &&
		every(l.notIn, func(r stepRole) bool { return f.apart(in.Digest, r) }) &&
		(f.loose || every(l.sameAs, func(r stepRole) bool { return len(f.taken(r)) > 0 && every(f.taken(r), same) }) &&
			every(l.sameRun, func(r stepRole) bool { return len(f.taken(r)) > 0 && every(f.taken(r), oneRun) }))
}

// made: s made d, under the name output if one is asked for.
func (f *reference) made(s *step, d attest.Digest, output string) bool {
	return f.satisfies(s, d) && (output == "" || some(f.selected(s, d, f.at), func(x said) bool {
		names := slices.DeleteFunc(slices.Clone(x.Outputs), func(o predicate.Output) bool { return o.Digest != d })
		return len(names) == 1 && names[0].Name == output
	}))
}

// oneRun of these steps made both.
func (f *reference) oneRun(steps []string, a, b attest.Digest) bool {
	return some(steps, func(name string) bool {
		return some(f.selected(f.d.step(name), a, f.at), func(x said) bool {
			return some(f.selected(f.d.step(name), b, f.at), func(y said) bool {
				return x.by == y.by && x.InvocationID == y.InvocationID && x.InvocationID != ""
			})
		})
	})
}

// apart: something was taken there, counted or not, and nothing of it is d or shares a file with d.
func (f *reference) apart(d attest.Digest, r stepRole) bool {
	var all []predicate.Input
	for _, s := range f.d.steps {
		for _, a := range f.c.Artifacts() {
			for _, x := range f.about(s, a, s.by) {
				if named := r.step == s.name || r.step == anyStep; named && x.bad {
					return false
				} else if named {
					all = append(all, slices.DeleteFunc(slices.Clone(x.Inputs), func(in predicate.Input) bool { return in.Role != r.role })...)
				}
			}
		}
	}
	return len(all) > 0 && every(all, func(in predicate.Input) bool { return !meet(f.contents(in.Digest), f.contents(d)) })
}

func (f *reference) contents(d attest.Digest) []attest.Digest {
	out := []attest.Digest{d}
	for _, file := range cmp.Or(f.c.Artifact(d), &verify.Artifact{}).Files {
		out = append(out, file.Digest)
	}
	return slices.DeleteFunc(out, func(d attest.Digest) bool { return slices.Contains(f.d.sharedFiles, d) })
}

// bind finds out what was taken where: each round what the one before leads to.
func (f *reference) bind() {
	for range f.c.Artifacts() {
		for _, s := range f.d.steps {
			for _, d := range f.players(s) {
				for _, x := range f.loosely().selected(s, d, f.at) {
					for _, in := range x.Inputs {
						for _, l := range s.inputs {
							if f.loosely().claims(l, in) && !slices.Contains(f.took[l], in.Digest) {
								f.took[l] = append(f.took[l], in.Digest)
							}
						}
					}
				}
			}
		}
	}
}

func (f reference) loosely() *reference { f.loose = true; return &f }

// taken is what was taken in a role of a step.
func (f *reference) taken(r stepRole) (out []attest.Digest) {
	for _, l := range f.d.step(r.step).inputs {
		if l.role == r.role {
			out = append(out, f.took[l]...)
		}
	}
	return out
}

// players are the artifacts that play a step, or that it is about.
func (f *reference) players(s *step) (out []attest.Digest) {
	switch {
	case s.about == aboutArtifact:
		return []attest.Digest{f.c.Root()}
	case s.about != "":
		return f.players(f.d.step(s.about))
	case slices.Contains(f.d.artifact, s.name):
		out = append(out, f.c.Root())
	}
	for l, taken := range f.took {
		if slices.Contains(l.from, s.name) {
			out = append(out, taken...)
		}
	}
	return slices.DeleteFunc(out, func(d attest.Digest) bool { return !f.loosely().satisfies(s, d) })
}

func some[E any](list []E, is func(E) bool) bool { return slices.ContainsFunc(list, is) }
func every[E any](l []E, is func(E) bool) bool   { return !some(l, func(x E) bool { return !is(x) }) }
func meet[E comparable](a, b []E) bool {
	return some(a, func(x E) bool { return slices.Contains(b, x) })
}

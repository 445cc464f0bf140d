package policy

import (
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// rests judges what an approval rests on. It must name the very evidence that
// the steps in basis selected when it was given, and everything it names must
// still be there. What was added later needs no new approval: it has to pass its
// own step.
func (ev *evaluator) rests(s *step, c *candidate) {
	if len(s.basis) == 0 {
		return
	}
	at := fixed(c.claimed())
	if s.rebase {
		at = ev.at // everything that is selected now, however late it came
	}
	named := map[predicate.Basis]bool{}
	for _, b := range c.facts.Basis {
		named[b] = true
	}
	for _, name := range s.basis {
		other := ev.d.step(name)
		for _, d := range ev.targets(other) {
			chosen := ev.selectedAt(other, d, at, named)
			if slices.ContainsFunc(ev.satisfies(other, d).at, func(d attest.Digest) bool { return ev.unproven(s, d) }) {
				c.fail(&c.eligible, Unknown, Reason{Code: attest.CodeBasis, About: d.String(), Why: fmt.Sprintf("which %s evidence there was when %s approved cannot be completely seen", name, c.principal.name)})
			}
			if len(chosen) == 0 {
				st := ev.unlessGapped(d)
				if ev.satisfies(other, d).open {
					st = Unknown // what carries over from a parent cannot be seen
				}
				c.fail(&c.eligible, st, Reason{Code: attest.CodeBasis, About: d.String(), Why: fmt.Sprintf("when %s approved (%s) there was no %s evidence to rest on", c.principal.name, stamp(at.time()), name),
					Next: "approve again: pedigree approve names what there is"})
			}
			for _, e := range chosen {
				if named[predicate.Basis{Payload: e.id.Payload, Artifact: e.artifact}] {
					continue
				}
				st := Fail
				if e.doubt != nil || other.selects == selectAny && e.status() == Unknown {
					st = Unknown // it may turn out not to be selected
				}
				c.fail(&c.eligible, st, Reason{Code: attest.CodeBasis, About: e.id.Payload.String(), Why: fmt.Sprintf("the approval by %s does not name this %s evidence by %s", c.principal.name, name, e.principal.name),
					Next: "approve again: pedigree approve names what there is"})
				if st == Fail {
					break // one is enough; a thousand would be a thousand reasons for each approval
				}
			}
		}
	}
	ev.present(c)
}

func (ev *evaluator) unlessGapped(d attest.Digest) Status {
	if ev.gapped(d) {
		return Unknown
	}
	return Fail
}

// present requires that everything an approval names is authentic evidence at
// the artifact it names, and no younger than the approval.
func (ev *evaluator) present(c *candidate) {
	for _, b := range c.facts.Basis {
		r := ev.payloads[b]
		if r == nil {
			st := Fail
			if node := ev.chain.Artifact(b.Artifact); node != nil && ev.gapped(b.Artifact) || node == nil && ev.gaps {
				st = Unknown
			}
			if i := slices.IndexFunc(ev.gone, func(g withdrawnRecord) bool { return g.id.Payload == b.Payload && g.artifact == b.Artifact }); i >= 0 {
				c.fail(&c.eligible, Fail, Reason{Code: attest.CodeBasis, About: b.Payload.String(), Why: fmt.Sprintf("%s approved on evidence that does not count any more: %s", c.principal.name, ev.gone[i].why.Why),
					Next: "approve again, on evidence that counts"})
				continue
			}
			c.fail(&c.eligible, st, Reason{Code: attest.CodeBasis, About: b.Payload.String(),
				Why: fmt.Sprintf("%s approved on evidence of %s that is not there, or is by nobody the policy knows", c.principal.name, b.Artifact.Short())})
			continue
		}
		if r.doubt != nil {
			c.fail(&c.eligible, Unknown, *r.doubt)
		}
		t := r.when()
		if t.IsZero() {
			t = r.e.Seen() // nothing says that it was there before
		}
		if t.After(c.claimed().Add(skew)) {
			c.fail(&c.eligible, Fail, Reason{Code: attest.CodeChainOrder, About: b.Payload.String(),
				Why: fmt.Sprintf("%s approved %s, before the evidence it rests on (%s)", c.principal.name, stamp(c.claimed()), stamp(t))})
		}
	}
}

// selectedAt returns what a step about an artifact selected at an earlier moment.
// What the approval itself names counts as there even if the evaluator's clock
// runs a little ahead of the approver's.
func (ev *evaluator) selectedAt(s *step, d attest.Digest, at point, named map[predicate.Basis]bool) []*candidate {
	var then []*candidate
	for _, c := range ev.satisfies(s, d).candidates {
		early := !at.before(c.when())
		listed := named[predicate.Basis{Payload: c.id.Payload, Artifact: c.artifact}] && !at.ahead(c.when())
		if c.hopeless || !early && !listed {
			continue
		}
		copied := *c
		copied.timed = Pass // age and expiry are judged as of then; all else does not change
		if len(ev.timely(s, c.record, at)) > 0 {
			copied.timed = Fail
		}
		then = append(then, &copied)
	}
	return selected(s.selects, then)
}

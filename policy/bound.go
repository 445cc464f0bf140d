package policy

import (
	"fmt"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// sameRun answers whether the input was made in the same run, by the same
// signer, as everything that was taken in another step's role.
func (ev *evaluator) sameRun(s *step, l *line, in predicate.Input, ref stepRole) (Status, Reason) {
	others := sortedDigests(ev.roles[ref])
	if len(others) == 0 {
		st := Fail
		if ev.gaps {
			st = Unknown
		}
		return st, Reason{Code: attest.CodeChainForeign, Why: fmt.Sprintf("nothing is bound as %s, so nothing shows that %s is of the same run", ref, inputName(in))}
	}
	for _, other := range others {
		if ev.share(l.from, in.Digest, other) {
			continue
		}
		st := maybeBound(ev.roles[ref][other])
		if ev.gapped(in.Digest) || ev.gapped(other) {
			st = Unknown
		}
		return st, Reason{Code: attest.CodeChainForeign, Why: fmt.Sprintf("%s and the %s %s were not made in one run of %s", inputName(in), ref, other.Short(), strings.Join(l.from, " or "))}
	}
	return ev.allBound(s, ref)
}

// maybeBound is what a difference from something that is bound so surely makes.
func maybeBound(surely Status) Status {
	if surely == Pass {
		return Fail
	}
	return Unknown
}

// allBound answers whether everything that is bound in a role was seen.
func (ev *evaluator) allBound(s *step, ref stepRole) (Status, Reason) {
	unseen := ev.playing(ev.d.step(ref.step)).unseen[s.acknowledge != ""]
	if ev.mayGrow(s, ref.step) || !unseen.IsZero() {
		return Unknown, Reason{Code: attest.CodeChainForeign, Why: fmt.Sprintf("what else is bound as %s cannot be completely seen", ref)}
	}
	return Pass, Reason{}
}

// sameAs answers whether the input is the very thing that was taken in another
// step's role, wherever something was.
func (ev *evaluator) sameAs(s *step, in predicate.Input, ref stepRole) (Status, Reason) {
	others := sortedDigests(ev.roles[ref])
	if len(others) == 0 {
		st := Fail
		if ev.gaps {
			st = Unknown
		}
		return st, Reason{Code: attest.CodeChainBrokenEdge, Why: fmt.Sprintf("nothing is bound as %s, so %s cannot be the same", ref, inputName(in))}
	}
	for _, other := range others {
		if other != in.Digest {
			return maybeBound(ev.roles[ref][other]), Reason{Code: attest.CodeChainBrokenEdge, Why: fmt.Sprintf("%s %s must be what %s took, and that is %s", inputName(in), in.Digest.Short(), ref, other.Short()), Next: "use the same one"}
		}
	}
	return ev.allBound(s, ref)
}

// share reports whether one of the steps has selected evidence of both artifacts
// with the same signer and invocation.
func (ev *evaluator) share(steps []string, a, b attest.Digest) bool {
	for _, name := range steps {
		for _, x := range ev.satisfies(ev.d.step(name), a).selected {
			for _, y := range ev.satisfies(ev.d.step(name), b).selected {
				if x.status() == Fail || y.status() == Fail {
					continue // what fails its own step proves nothing about another
				}
				if x.facts.InvocationID != "" && x.facts.InvocationID == y.facts.InvocationID && x.id.Credential == y.id.Credential {
					return true
				}
			}
		}
	}
	return false
}

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// inputs judges what a candidate consumed, in a closed world: every entry is
// claimed by exactly one line of the step, and every line claims as many as it
// asks for. An entry that nobody thought of is a failure, not a detail.
func (ev *evaluator) inputs(s *step, c *candidate) {
	sure, maybe, loose := make([]int, len(s.inputs)), make([]int, len(s.inputs)), make([]bool, len(s.inputs))
	for _, in := range c.facts.Inputs {
		if in.Digest.IsZero() {
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeUnpinned, Why: fmt.Sprintf("the input %s has no digest: it names no bytes", inputName(in)),
				Next: "name the input by its digest"})
			continue
		}
		ev.claim(s, c, in, sure, maybe, loose)
	}
	ev.twoKinds(s, c)
	for i, l := range s.inputs {
		switch {
		case loose[i]: // while binding: how many there are depends on sameRun
		case sure[i] > l.max:
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%d inputs of role %s, at most %d are allowed", sure[i], roleName(l.role), l.max)})
		case sure[i]+maybe[i] < l.min:
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeChainMissing, Why: fmt.Sprintf("%d of %d required inputs of role %s (%s)", sure[i]+maybe[i], l.min, roleName(l.role), l.describe()),
				Next: recordAgain(s, c, l)})
		case sure[i] < l.min || sure[i]+maybe[i] > l.max:
			c.fail(&c.sound, Unknown, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("how many inputs of role %s there are depends on evidence that could not be seen", roleName(l.role))})
		}
	}
}

// recordAgain says what to do about a line that claims too few inputs: other ones
// of its role may be there, and the reasons why they don't count are told by then.
func recordAgain(s *step, c *candidate, l *line) string {
	again := fmt.Sprintf("record %s again with --input %s=%s@DIGEST (by %s)", s.name, l.role, RemedyRepository, c.principal.name)
	if slices.ContainsFunc(c.facts.Inputs, func(in predicate.Input) bool { return in.Role == l.role }) {
		return "mend what is wrong with the one that was taken, or take another: " + again
	}
	return again
}

// twoKinds fails a candidate that names one artifact in two roles which come from
// different steps: what is a data set is no base model, and one of the two words
// about it is false. Lines that accept the same step, or ask for none, allow it.
func (ev *evaluator) twoKinds(s *step, c *candidate) {
	roles := map[attest.Digest][]string{}
	for _, in := range c.facts.Inputs {
		for _, other := range roles[in.Digest] {
			if other == in.Role || !s.apart(other, in.Role) || in.Digest.IsZero() {
				continue
			}
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeConflict, About: in.Digest.String(), Why: fmt.Sprintf("it is named as %s and as %s, which come from different steps", roleName(other), roleName(in.Role))})
		}
		roles[in.Digest] = append(roles[in.Digest], in.Role)
	}
}

// apart reports whether the lines of two roles never accept what one step made.
func (s *step) apart(a, b string) bool {
	for _, l := range s.inputs {
		for _, o := range s.inputs {
			if l.role != a || o.role != b {
				continue
			}
			fromSteps := func(l *line) bool { return len(l.from) > 0 || l.policy != "" }
			if !fromSteps(l) || !fromSteps(o) || l.policy != "" && l.policy == o.policy || slices.ContainsFunc(l.from, func(n string) bool { return slices.Contains(o.from, n) }) {
				return false
			}
		}
	}
	return hasRole(s, a) && hasRole(s, b)
}

func roleName(role string) string {
	if role == "" {
		return "(none)"
	}
	return role
}

func inputName(in predicate.Input) string {
	name := roleName(in.Role)
	for _, label := range []string{in.Name, in.URI} {
		if label != "" {
			return fmt.Sprintf("%s (%.120s)", name, label)
		}
	}
	return name
}

// claim finds the line that claims one input. Exactly one must.
func (ev *evaluator) claim(s *step, c *candidate, in predicate.Input, sure, maybe []int, loose []bool) {
	var reasons []Reason
	passed, open := -1, -1
	var held []int
	passes := 0
	for i, l := range s.inputs {
		if l.role != in.Role {
			continue
		}
		st, why := ev.holds(l, s, c, in)
		if st == Fail {
			reasons = append(reasons, why...)
			continue
		}
		held = append(held, i)
		if st == Pass {
			passes++
			passed = i
		} else {
			open = i
			reasons = append(reasons, why...)
		}
	}
	switch {
	case len(held) > 1 && ev.binding:
		// sameRun, which this pass leaves out, may tell the lines apart later: bind
		// through all of them, or notBy and about would overlook what they take.
		for _, i := range held {
			loose[i] = true
			c.claims = append(c.claims, claim{in, s.inputs[i], Pass})
		}
		if passes == 0 {
			c.fail(&c.sound, Unknown, reasons[0])
		}
	case len(held) > 1 && passes < 2:
		maybe[open]++
		c.claims = append(c.claims, claim{in, s.inputs[open], Unknown})
		c.fail(&c.sound, Unknown, Reason{Code: attest.CodeInput, About: in.Digest.String(), Why: fmt.Sprintf("how many lines of %s claim the input %s depends on evidence that could not be seen", s.name, inputName(in))})
	case len(held) > 1:
		c.fail(&c.sound, Fail, Reason{Code: attest.CodeInput, About: in.Digest.String(), Why: fmt.Sprintf("the input %s is claimed by %d lines of %s; it must be exactly one", inputName(in), len(held), s.name)})
	case passed >= 0:
		sure[passed]++
		c.claims = append(c.claims, claim{in, s.inputs[passed], Pass})
	case open >= 0:
		maybe[open]++
		c.claims = append(c.claims, claim{in, s.inputs[open], Unknown})
		for _, why := range reasons {
			c.fail(&c.sound, Unknown, why)
		}
	default:
		ev.unclaimed(s, c, in, reasons)
	}
}

// unclaimed fails a candidate for an input that no line claims. The lines of its
// role are kept as claims, so that the report can show what was expected there.
func (ev *evaluator) unclaimed(s *step, c *candidate, in predicate.Input, reasons []Reason) {
	if len(reasons) == 0 {
		reasons = []Reason{{Code: attest.CodeInput, About: in.Digest.String(), Why: fmt.Sprintf("the policy has no line in %s for the input %s", s.name, inputName(in)),
			Next: "a line that claims it, or a run without it"}}
	}
	for _, why := range reasons {
		c.fail(&c.sound, Fail, why)
	}
	for _, l := range s.inputs {
		if l.role == in.Role {
			c.claims = append(c.claims, claim{in, l, Fail})
			return
		}
	}
}

// holds answers all conditions of a line for one input.
func (ev *evaluator) holds(l *line, s *step, c *candidate, in predicate.Input) (Status, []Reason) {
	st := Pass
	var reasons []Reason
	note := func(got Status, why Reason) {
		if got != Pass {
			if why.About == "" {
				why.About = in.Digest.String()
			}
			reasons = append(reasons, why)
		}
		st = min(st, got)
	}
	if len(l.from) > 0 {
		note(ev.from(l, in))
	}
	if l.origin != nil {
		claimed, err := parseOrigin(in.URI)
		switch {
		case in.URI == "":
			note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s must come from %s, and its record names no place (what lies in a local layout has none)", inputName(in), l.origin)})
		case err != nil:
			note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s must come from %s: %v", inputName(in), l.origin, err)})
		case !l.origin.allows(claimed):
			note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s must come from %s, and is said to come from %.200s", roleName(in.Role), l.origin, in.URI)})
		}
	}
	if l.pin != nil && !slices.Contains(l.pin, in.Digest) {
		note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s is not one of the digests the policy pins", inputName(in)), Next: "use the pinned artifact, or pin this one"})
	}
	if l.policy != "" {
		note(ev.policyOf(l, in))
	}
	if l.minVersion != nil && st != Fail {
		note(ev.versionOf(l, in))
	}
	for _, ref := range l.notIn {
		note(ev.disjoint(s, in, ref))
	}
	if !ev.binding {
		for _, ref := range l.sameRun {
			note(ev.sameRun(s, l, in, ref))
		}
		for _, ref := range l.sameAs {
			note(ev.sameAs(s, in, ref))
		}
	}
	return st, reasons
}

// from answers whether one of the line's steps made the input, under the name
// that the line asks for.
func (ev *evaluator) from(l *line, in predicate.Input) (Status, Reason) {
	best := Fail
	why := Reason{Code: attest.CodeChainBrokenEdge}
	for _, name := range l.from {
		r := ev.satisfies(ev.d.step(name), in.Digest)
		st := r.status
		if st != Fail && l.output != "" && !slices.ContainsFunc(r.selected, func(c *candidate) bool { return outputName(c, in.Digest) == l.output }) {
			st = ev.unlessGapped(in.Digest)
			why.Why = fmt.Sprintf("%s must be the output %q of %s, and %s", inputName(in), l.output, name, otherOutput(r, in.Digest))
		}
		if st == Fail && r.status != Pass && why.Because == nil {
			why.Because = &Because{Step: name, Artifact: in.Digest}
		}
		if st == Unknown && best == Fail {
			why.Because = &Because{Step: name, Artifact: in.Digest}
		}
		best = max(best, st)
	}
	switch {
	case best == Unknown:
		why.Why = fmt.Sprintf("whether %s is from %s depends on evidence that could not be seen", inputName(in), strings.Join(l.from, " or "))
	case why.Why == "":
		why.Why = fmt.Sprintf("%s %s is from no accepted %s", inputName(in), in.Digest.Short(), strings.Join(l.from, " or "))
	}
	return best, why
}

// policyOf answers whether the policy that the line names allows the input.
func (ev *evaluator) policyOf(l *line, in predicate.Input) (Status, Reason) {
	a := ev.judgedBy(l.policy, in.Digest)
	why := Reason{Code: attest.CodeChainBrokenEdge, Why: fmt.Sprintf("the policy %s does not allow %s %s", l.policy, inputName(in), in.Digest.Short())}
	if a.status == Unknown {
		why.Why = fmt.Sprintf("the policy %s leaves open whether %s %s is allowed", l.policy, inputName(in), in.Digest.Short())
	}
	if a.first != nil {
		why.Code, why.Next = a.first.Code, a.first.Next
		why.Why += ": " + a.first.Why
	}
	return a.status, why
}

// versionOf answers whether the evidence that made the input states at least the
// version that the line asks for.
func (ev *evaluator) versionOf(l *line, in predicate.Input) (Status, Reason) {
	var last string
	if l.policy != "" {
		st, why := ev.judgedBy(l.policy, in.Digest).states(l.minVersion)
		if st != Fail {
			return st, Reason{Code: attest.CodeRollback, Why: fmt.Sprintf("%s: %s", inputName(in), why)}
		}
		last = why
	}
	for _, name := range l.from {
		for _, c := range ev.satisfies(ev.d.step(name), in.Digest).selected {
			if why := below(c, l.minVersion); why == "" && c.status() != Fail {
				return c.status(), Reason{Code: attest.CodeRollback, Why: "whether its record counts is open"}
			} else if why != "" {
				last = why
			}
		}
	}
	if last == "" {
		last = "no record that made it counts, so none states its version"
	}
	return ev.unlessGapped(in.Digest), Reason{Code: attest.CodeRollback, Why: fmt.Sprintf("%s: %s", inputName(in), last), Next: "use version " + l.minVersion.String() + " or a later one"}
}

// outputName returns the name under which the run made d: the byproduct whose
// digest is d, if there is exactly one.
func outputName(c *candidate, d attest.Digest) string {
	name, n := "", 0
	for _, o := range c.facts.Outputs {
		if o.Digest == d {
			name, n = o.Name, n+1
		}
	}
	if n != 1 {
		return ""
	}
	return name
}

func otherOutput(r *result, d attest.Digest) string {
	for _, c := range r.selected {
		if name := outputName(c, d); name != "" {
			return fmt.Sprintf("it is the output %.60q", name)
		}
	}
	return "the run gives it no one name"
}

// describe says in words what a line asks for.
func (l *line) describe() string {
	var parts []string
	if len(l.from) > 0 {
		part := "from " + strings.Join(l.from, " or ")
		if l.output != "" {
			part += ", its output " + l.output
		}
		parts = append(parts, part)
	}
	if l.origin != nil {
		parts = append(parts, "from "+l.origin.String())
	}
	if l.pin != nil {
		parts = append(parts, fmt.Sprintf("one of %d pinned digests", len(l.pin)))
	}
	if l.policy != "" {
		parts = append(parts, "allowed by the policy "+l.policy)
	}
	if l.accept {
		parts = append(parts, "any: "+l.reason)
	}
	return strings.Join(parts, "; ")
}

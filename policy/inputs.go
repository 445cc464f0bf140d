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
	for i, l := range s.inputs {
		switch {
		case loose[i]: // while binding: how many there are depends on sameRun
		case sure[i] > l.max:
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%d inputs of role %s, at most %d are allowed", sure[i], roleName(l.role), l.max)})
		case sure[i]+maybe[i] < l.min:
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeChainMissing, Why: fmt.Sprintf("%d of %d required inputs of role %s (%s)", sure[i]+maybe[i], l.min, roleName(l.role), l.describe())})
		case sure[i] < l.min || sure[i]+maybe[i] > l.max:
			c.fail(&c.sound, Unknown, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("how many inputs of role %s there are depends on evidence that could not be seen", roleName(l.role))})
		}
	}
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
		case err != nil:
			note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s must come from %s: %v", inputName(in), l.origin, err)})
		case !l.origin.allows(claimed):
			note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s must come from %s, and is said to come from %.200s", roleName(in.Role), l.origin, in.URI)})
		}
	}
	if l.pin != nil && !slices.Contains(l.pin, in.Digest) {
		note(Fail, Reason{Code: attest.CodeInput, Why: fmt.Sprintf("%s is not one of the digests the policy pins", inputName(in)), Next: "use the pinned artifact, or pin this one"})
	}
	for _, ref := range l.notIn {
		note(ev.disjoint(in, ref))
	}
	if !ev.binding {
		for _, ref := range l.sameRun {
			note(ev.sameRun(l, in, ref))
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

// disjoint answers whether an input shares nothing, as a whole or by file, with
// what any functionary's evidence of a step in the ancestry took in a role.
func (ev *evaluator) disjoint(in predicate.Input, ref stepRole) (Status, Reason) {
	mine, known := ev.contents(in.Digest)
	theirs := ev.takenAs(ref)
	if shared, ok := overlap(mine, theirs.by); ok {
		return Fail, Reason{Code: attest.CodeLeakage, Why: fmt.Sprintf("%s shares %s with the %s of %s %s", inputName(in), shared.Short(), ref.role, ref.step, theirs.by[shared].artifact.Short()),
			Next: "evaluate on data that no training in the ancestry has seen"}
	}
	switch {
	case len(theirs.by) == 0 && !ev.gaps:
		return Fail, Reason{Code: attest.CodeChainMissing, Why: fmt.Sprintf("there is no %s of %s to compare with, so disjointness is not shown", ref.role, ref.step)}
	case len(theirs.by) > 0 && !ev.gaps && known && theirs.known:
		return Pass, Reason{}
	}
	return Unknown, Reason{Code: attest.CodeLeakage, Why: fmt.Sprintf("whether %s is disjoint from %s depends on evidence or file lists that could not be seen", inputName(in), ref)}
}

// A taken is everything that was taken in a role, as a whole and by file.
type taken struct {
	by    map[attest.Digest]*record // the first, in the chain's order, to take it
	known bool                      // all records could be read, and all file lists
}

// takenAs works out, once, what any functionary's evidence of a step in the
// ancestry took in a role.
func (ev *evaluator) takenAs(ref stepRole) *taken {
	if t := ev.taken[ref]; t != nil {
		return t
	}
	t := &taken{by: map[attest.Digest]*record{}, known: true}
	ev.taken[ref] = t
	seen := map[attest.Digest]bool{}
	other := ev.d.step(ref.step)
	for _, d := range ev.chain.Artifacts() {
		for _, rec := range ev.records[d] {
			if !rec.of(other) || !slices.Contains(other.by, rec.principal.name) {
				continue
			}
			t.known = t.known && rec.err == nil
			for _, in := range rec.facts.Inputs {
				if in.Role != ref.role || seen[in.Digest] {
					continue
				}
				seen[in.Digest] = true
				files, known := ev.contents(in.Digest)
				t.known = t.known && known
				for f := range files {
					if t.by[f] == nil {
						t.by[f] = rec
					}
				}
			}
		}
	}
	return t
}

// contents returns the digests of an artifact and of its files, without those
// the policy lets everybody share, and whether the files are known.
func (ev *evaluator) contents(d attest.Digest) (map[attest.Digest]bool, bool) {
	out := map[attest.Digest]bool{d: true}
	node := ev.chain.Artifact(d)
	if node == nil {
		return out, d.IsCommit()
	}
	for _, f := range node.Files {
		if !slices.Contains(ev.d.sharedFiles, f.Digest) {
			out[f.Digest] = true
		}
	}
	return out, node.FilesKnown || d.IsCommit()
}

// overlap returns the least digest that both hold.
func overlap(a map[attest.Digest]bool, b map[attest.Digest]*record) (attest.Digest, bool) {
	for _, d := range sortedDigests(a) {
		if b[d] != nil {
			return d, true
		}
	}
	return attest.Digest{}, false
}

// sameRun answers whether the input was made in the same run, by the same
// signer, as everything that was taken in another step's role.
func (ev *evaluator) sameRun(l *line, in predicate.Input, ref stepRole) (Status, Reason) {
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
		st := Fail
		if ev.gapped(in.Digest) || ev.gapped(other) {
			st = Unknown
		}
		return st, Reason{Code: attest.CodeChainForeign, Why: fmt.Sprintf("%s and the %s %s were not made in one run of %s", inputName(in), ref, other.Short(), strings.Join(l.from, " or "))}
	}
	return Pass, Reason{}
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
	if l.accept {
		parts = append(parts, "any: "+l.reason)
	}
	return strings.Join(parts, "; ")
}

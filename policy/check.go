package policy

import (
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// check looks at the document as a whole: what names what, what can never be
// satisfied, and what would be satisfied by accident.
func (r *documentReader) check() {
	d := r.doc
	for _, name := range d.artifact {
		s := d.step(name)
		switch {
		case s == nil:
			r.problem(d.artifactPos, attest.CodePolicyParse, "artifact: there is no step %q%s", name, didYouMean(name, r.stepNames()))
			return // what is reachable from it, nobody can say
		case !s.produces():
			r.problem(s.pos, attest.CodePolicyParse, "artifact: step %s says something about an artifact (about), it makes none", name)
		}
	}
	r.checkFile()
	for _, x := range d.deny {
		for _, a := range x.artifacts {
			if slices.Contains(d.sharedFiles, a) {
				r.problem(x.pos, attest.CodePolicyParse, "deny: %s is in sharedFiles as well, so it would be ignored as a file", a.Short())
			}
		}
	}
	ids := map[string]position{}
	for _, s := range d.steps {
		r.checkNames(s)
		r.checkRelations(s)
		r.checkThreshold(s)
		r.checkRoles(s)
		r.checkInputs(s)
		for _, ru := range s.allRules() {
			// A rule that like copied stands at the same place, and is the same rule.
			if first, dup := ids[ru.id]; dup && ru.id != "" && first != ru.pos {
				r.problem(ru.pos, attest.CodePolicyParse, "the rule id %s is used already, in line %d", ru.id, first.line)
				continue
			}
			ids[ru.id] = ru.pos
		}
		if slices.Contains(reservedSteps[:], s.name) {
			r.problem(s.pos, attest.CodePolicyParse, "a step cannot be called %s: verdicts use the name", s.name)
		}
		if why := d.absences(s); len(why) > 0 && s.acknowledge == "" && d.status == nil {
			r.problem(s.pos, attest.CodePolicyParse, "step %s rests on something not being there: %s. Whoever can write to the registry could have removed it; say who lists what there is (status), or why that is acceptable: acknowledgeAbsence: \"…\"",
				s.name, strings.Join(why, "; "))
		}
	}
	r.checkCircles()
	r.checkReachable()
}

// reservedSteps are the names that verdicts give to requirements of no step.
var reservedSteps = [...]string{StepPolicy, StepTrust, StepStatus, StepRevocation, StepDeny, StepFormats, StepAccess}

func (r *documentReader) checkNames(s *step) {
	d := r.doc
	for _, list := range []struct {
		what  string
		names []string
	}{{"by", s.by}, {"vetoBy", s.vetoBy}} {
		for _, n := range list.names {
			if d.principal(n) == nil {
				r.problem(s.pos, attest.CodePolicyParse, "step %s: %s names %q, which is no principal%s", s.name, list.what, n, didYouMean(n, r.principalNames()))
			}
		}
	}
	for _, n := range s.notBy {
		if d.step(n) == nil {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: notBy names %q, which is no step%s", s.name, n, didYouMean(n, r.stepNames()))
		} else if n == s.name {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: notBy names the step itself, so nobody could do it", s.name)
		} else if other := d.step(n); other.predicate == s.predicate && other.buildType == s.buildType && other.about == s.about && d.consulted(n) == d.consulted(s.name) {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: notBy names %s, which asks for the same kind of evidence about the same artifacts, so everybody would exclude themselves", s.name, n)
		}
	}
	for _, n := range s.basis {
		if other := d.step(n); other == nil || other.produces() {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: basis names %q, which is no step about an artifact", s.name, n)
		}
	}
	if s.about != "" && s.about != aboutArtifact {
		if other := d.step(s.about); other == nil || !other.produces() {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: about is %q; it is artifact, or a step that makes artifacts", s.name, s.about)
		}
	}
}

func (r *documentReader) checkThreshold(s *step) {
	able := 0
	for _, n := range s.by {
		if p := r.doc.principal(n); p != nil && (s.kind == "" || p.kind == s.kind) {
			able++
		}
	}
	if len(s.by) > 0 && able < s.threshold {
		kind := ""
		if s.kind != "" {
			kind = " of kind " + s.kind
		}
		r.problem(s.pos, attest.CodePolicyParse, "step %s: threshold %d cannot be met by %d principals%s", s.name, s.threshold, able, kind)
	}
}

func (r *documentReader) checkInputs(s *step) {
	for _, l := range s.inputs {
		for _, n := range l.from {
			if other := r.doc.step(n); other == nil {
				r.problem(l.pos, attest.CodePolicyParse, "from names %q, which is no step%s", n, didYouMean(n, r.stepNames()))
			} else if !other.produces() {
				r.problem(l.pos, attest.CodePolicyParse, "from names %s, which says something about an artifact and makes none", n)
			}
		}
		if l.policy != "" && r.doc.byPolicy[l.policy] == nil {
			r.problem(l.pos, attest.CodePolicyParse, "policy names %q, which is none of policies", l.policy)
		}
		for _, ref := range slices.Concat(l.notIn, l.sameRun, l.sameAs) {
			other := r.doc.step(ref.step)
			if ref.step == anyStep {
				r.checkAnyStep(l, ref)
			} else if other == nil {
				r.problem(l.pos, attest.CodePolicyParse, "%s: there is no step %q%s", ref, ref.step, didYouMean(ref.step, r.stepNames()))
			} else if !slices.ContainsFunc(other.inputs, func(o *line) bool { return o.role == ref.role }) {
				r.problem(l.pos, attest.CodePolicyParse, "%s: step %s has no input of role %q, so this would compare with nothing", ref, ref.step, ref.role)
			}
		}
		if len(l.sameRun) > 0 && len(l.from) == 0 {
			r.problem(l.pos, attest.CodePolicyParse, "sameRun without from: the run is that of the step that made the input")
		}
	}
	for _, role := range s.agree {
		if !slices.ContainsFunc(s.inputs, func(l *line) bool { return l.role == role }) {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: agree names the role %q, which none of its inputs has", s.name, role)
		}
	}
}

// checkAnyStep checks a reference to a role of every step.
func (r *documentReader) checkAnyStep(l *line, ref stepRole) {
	if !slices.Contains(l.notIn, ref) {
		r.problem(l.pos, attest.CodePolicyParse, "%s: only notIn compares with every step; name one", ref)
		return
	}
	found := false
	r.doc.all(func(d *document) {
		for _, s := range d.steps {
			found = found || slices.ContainsFunc(s.inputs, func(o *line) bool { return o.role == ref.role && o != l })
		}
	})
	if !found {
		r.problem(l.pos, attest.CodePolicyParse, "%s: no step has an input of role %q, so this would compare with nothing", ref, ref.role)
	}
}

// allRules returns everything of the step that has the id of a rule.
func (s *step) allRules() []*rule {
	out := slices.Clone(s.rules)
	for _, c := range s.compare {
		out = append(out, &c.rule)
	}
	return out
}

// leans returns the steps on whose evidence the step's own evidence is judged.
func (s *step) leans() []string {
	out := slices.Clone(s.basis)
	for _, c := range s.compare {
		out = append(out, c.with)
	}
	if s.conditions != nil {
		out = append(out, s.conditions.dischargedBy)
	}
	return out
}

// checkCircles refuses steps about artifacts that are judged by each other.
func (r *documentReader) checkCircles() {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(s *step) bool
	visit = func(s *step) bool {
		state[s.name] = visiting
		for _, n := range s.leans() {
			next := r.doc.step(n)
			if next == nil || state[n] == done {
				continue
			}
			if state[n] == visiting || visit(next) {
				return true
			}
		}
		state[s.name] = done
		return false
	}
	for _, s := range r.doc.steps {
		if state[s.name] == 0 && visit(s) {
			r.problem(s.pos, attest.CodePolicyParse, "step %s: its basis, compare or conditions lead back to itself", s.name)
			return
		}
	}
}

// checkReachable refuses steps that no verdict ever looks at: their author
// believes that they are required.
func (r *documentReader) checkReachable() {
	d := r.doc
	reached := map[string]bool{}
	var reach func(name string)
	reach = func(name string) {
		s := d.step(name)
		if s == nil || reached[name] {
			return
		}
		reached[name] = true
		for _, l := range s.inputs {
			for _, n := range l.from {
				reach(n)
			}
		}
		for _, n := range s.leans() {
			reach(n)
		}
		for _, c := range s.carries {
			reach(c.step)
		}
		for _, o := range d.steps {
			if o.about == name {
				reach(o.name)
			}
		}
	}
	for _, n := range d.artifact {
		reach(n)
	}
	for _, s := range d.steps {
		if s.about == aboutArtifact {
			reach(s.name)
		}
	}
	if len(d.artifact) == 0 {
		return // said already
	}
	for _, s := range d.steps {
		if !reached[s.name] {
			r.problem(s.pos, attest.CodePolicyParse, "step %s is reached from artifact by no from, about, basis, compare or conditions: it would never be asked for", s.name)
		}
	}
}

func (r *documentReader) stepNames() []string {
	var out []string
	for _, s := range r.doc.steps {
		out = append(out, s.name)
	}
	return out
}

func (r *documentReader) principalNames() []string {
	var out []string
	for _, p := range r.doc.principals {
		out = append(out, p.name)
	}
	return out
}

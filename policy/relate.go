package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// conditions judges an approval that was given with conditions: each must be
// discharged by selected evidence of the step that the policy names, or, where
// the policy tolerates it, not be due yet.
func (ev *evaluator) conditions(s *step, c *candidate) {
	if len(c.facts.Conditions) == 0 {
		return
	}
	if s.conditions == nil {
		c.fail(&c.eligible, Fail, Reason{Code: attest.CodeConditions, Why: fmt.Sprintf("%s approved with %d conditions, and the policy says nothing of how they are met", c.principal.name, len(c.facts.Conditions)),
			Next: "approve again without conditions once they are met"})
		return
	}
	if ev.binding {
		return
	}
	by := ev.d.step(s.conditions.dischargedBy)
	r := ev.satisfies(by, ev.chain.Root())
	for _, cond := range c.facts.Conditions {
		if s.conditions.untilDue && !cond.DueBy.IsZero() && !ev.at.after(cond.DueBy) {
			continue
		}
		st := ev.unlessGapped(ev.chain.Root())
		for _, d := range r.selected {
			if slices.Contains(d.facts.Discharges, predicate.DischargeFacts{Payload: c.id.Payload, ID: cond.ID}) {
				st = max(st, min(d.status(), r.status))
			}
		}
		if st == Pass {
			continue
		}
		c.fail(&c.eligible, st, Reason{Code: attest.CodeConditions, Why: fmt.Sprintf("%s approved on the condition %.60q, which nobody discharged by %s", c.principal.name, cond.ID, by.name),
			Next: fmt.Sprintf("pedigree approve %s@%s --policy %s --step %s%s --discharge %s=%s %s (by %s)", RemedyRepository, ev.chain.Root(), RemedyPolicy, by.name, ev.contextFlag(), c.id.Payload, cond.ID, ev.d.signWith(by.by[0]), strings.Join(by.by, " or "))})
	}
}

// compare judges a candidate against all selected evidence of another step.
func (ev *evaluator) compare(s *step, c *candidate) {
	for _, cmp := range s.compare {
		other := ev.d.step(cmp.with)
		n := 0
		for _, d := range ev.played(other) {
			r := ev.satisfies(other, d)
			if ev.unproven(s, d) || ev.mayGrow(s, other.about) || ev.mayGrow(s, cmp.with) {
				c.fail(&c.sound, Unknown, Reason{Code: attest.CodeRule, About: "rule " + cmp.id, Why: fmt.Sprintf("with what %s shows it must be compared cannot be completely seen", cmp.with)})
			}
			// Where the other step is not asked for by itself, nobody else looks.
			if len(r.selected) > 0 && r.status != Pass {
				c.fail(&c.sound, r.status, Reason{Code: attest.CodeChainMissing, About: "rule " + cmp.id, Why: fmt.Sprintf("it is compared with %s of %s, which does not pass by itself", cmp.with, d.Short())})
			}
			for _, o := range r.selected {
				if o.err != nil || o.status() == Fail && other.selects == selectAny {
					continue
				}
				n++
				ev.compareWith(s, cmp, c, o)
			}
		}
		if n == 0 {
			st := Fail
			if ev.gaps {
				st = Unknown
			}
			c.fail(&c.sound, st, Reason{Code: attest.CodeChainMissing, About: "rule " + cmp.id, Why: fmt.Sprintf("there is no evidence of %s to compare with", cmp.with)})
		}
	}
}

func (ev *evaluator) compareWith(s *step, cmp *comparing, c, o *candidate) {
	for _, role := range cmp.sameInputs {
		if mine, theirs := roleDigests(c, role), roleDigests(o, role); mine != theirs || mine == nothing {
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeConflict, About: "rule " + cmp.id, Why: fmt.Sprintf("its %s is %s, and that of %s %s: the results are not comparable", role, mine, cmp.with, theirs)})
		}
	}
	ev.ruleOver(s, &cmp.rule, c, scene{predicate: c.facts.Tree, other: o.facts.Tree, signer: c.signer(), context: ev.t.Context})
}

// precedes asks that a plan is no younger than what it plans: any run of the
// steps that any functionary recorded.
func (ev *evaluator) precedes(s *step, c *candidate) {
	for _, name := range s.before {
		other := ev.d.step(name)
		if ev.mayGrow(s, name) {
			c.fail(&c.sound, Unknown, Reason{Code: attest.CodeEvalPlan, Why: fmt.Sprintf("which artifacts play %s cannot be completely seen, and one may be older", name)})
		}
		n := 0
		for _, d := range ev.played(other) {
			if ev.unproven(s, d) {
				c.fail(&c.sound, Unknown, Reason{Code: attest.CodeEvalPlan, About: d.String(), Why: fmt.Sprintf("whether %s was run earlier cannot be seen", name)})
			}
			for _, r := range ev.about(other, d) {
				if !r.of(other) || !slices.Contains(other.by, r.principal.name) {
					continue
				}
				n++
				// When it ended is no answer: a plan made in between could know how
				// the run went.
				start := r.facts.Started
				if start.IsZero() || c.when().IsZero() {
					c.fail(&c.sound, r.doubted(), Reason{Code: attest.CodeEvalPlan, About: r.id.Payload.String(), Why: fmt.Sprintf("one of them does not say when: %s of %s, when it began, or this, when it was made", name, d.Short()),
						Next: "a run that records startedOn"})
					continue
				}
				if r.err == nil && !c.when().After(start.Add(skew)) {
					continue
				}
				c.fail(&c.sound, r.doubted(), Reason{Code: attest.CodeEvalPlan, About: r.id.Payload.String(), Why: fmt.Sprintf("it is of %s, after %s of %s began (%s)", stamp(c.when()), name, d.Short(), bound(start)),
					Next: "register the plan before the run"})
			}
		}
		if n == 0 {
			st := Fail
			if ev.gaps {
				st = Unknown
			}
			c.fail(&c.sound, st, Reason{Code: attest.CodeEvalPlan, Why: fmt.Sprintf("there is no run of %s that it could be older than", name)})
		}
	}
}

// floor asks for the version that the evidence states.
func (ev *evaluator) floor(s *step, c *candidate) {
	if s.minVersion == nil {
		return
	}
	if why := below(c, s.minVersion); why != "" {
		c.fail(&c.sound, Fail, Reason{Code: attest.CodeRollback, Why: why, Next: "use version " + s.minVersion.String() + " or a later one"})
	}
}

// below returns why the version that a candidate states is not at least the given
// one, and "" if it is.
func below(c *candidate, least version) string {
	if c.facts.Version == "" {
		return fmt.Sprintf("the record by %s states no version, and %s is the least that is accepted", c.principal.name, least)
	}
	v, err := parseVersion(c.facts.Version)
	switch {
	case err != nil:
		return fmt.Sprintf("the record by %s: %v", c.principal.name, err)
	case v.compare(least) < 0:
		return fmt.Sprintf("it is version %s, and %s is the least that is accepted", v, least)
	}
	return ""
}

// carry adds the parents from which evidence carries over: the artifact was made
// of them by a step that the policy lists, all their files recur in it by path and
// digest, and what was added is of a listed kind.
func (ev *evaluator) carry(r *result) {
	seen := map[attest.Digest]bool{r.artifact: true}
	for i := 0; i < len(r.at); i++ {
		child := r.at[i]
		for _, rule := range r.step.carries {
			by := ev.satisfies(ev.d.step(rule.step), child)
			// Nothing was worked out for want of a budget.
			r.open = r.open || len(by.selected) == 0 && by.status == Unknown
			for _, made := range by.selected {
				if made.status() == Fail {
					continue
				}
				for _, cl := range made.claims {
					parent := cl.input.Digest
					if len(cl.line.from) == 0 && cl.line.policy == "" || cl.status == Fail || seen[parent] {
						continue
					}
					switch ev.unchanged(parent, child, rule.added) {
					case Pass:
						seen[parent] = true
						r.at = append(r.at, parent)
						// Whether the parent is one at all is not certain.
						r.open = r.open || made.status() == Unknown || cl.status == Unknown
					case Unknown:
						r.open = true
					}
				}
			}
		}
	}
}

// unchanged answers whether every file of the parent is in the child, and what
// the child has besides is of the given kinds.
func (ev *evaluator) unchanged(parent, child attest.Digest, added []string) Status {
	p, c := ev.chain.Artifact(parent), ev.chain.Artifact(child)
	if p == nil || c == nil || !p.FilesKnown || !c.FilesKnown {
		return Unknown
	}
	if len(p.Files) == 0 {
		return Fail // no manifest: nothing shows that it is in there
	}
	files := map[string]attest.Digest{}
	for _, f := range c.Files {
		files[f.Path] = f.Digest
	}
	for _, f := range p.Files {
		if files[f.Path] != f.Digest {
			return Fail
		}
		delete(files, f.Path)
	}
	for path := range files { // all or none: the order does not matter
		if !slices.Contains(added, kindOf(path)) {
			return Fail
		}
	}
	return Pass
}

// cover keeps, of the evidence about files, that of principals whose statements
// together name every file that is asked for, by path and digest.
func (ev *evaluator) cover(r *result) {
	node := ev.chain.Artifact(r.artifact)
	var files []attest.File
	if node != nil {
		for _, f := range node.Files {
			if r.step.covers == coversAll || kindOf(f.Path) == "weight" {
				files = append(files, f)
			}
		}
	}
	named := map[*principal]map[predicate.Resource]Status{} // how surely
	for _, c := range r.candidates {
		if !c.file || c.status() == Fail {
			continue
		}
		if named[c.principal] == nil {
			named[c.principal] = map[predicate.Resource]Status{}
		}
		add := func(res predicate.Resource) { named[c.principal][res] = max(named[c.principal][res], c.status()) }
		for _, s := range c.e.Subjects() {
			add(predicate.Resource{Name: s.Name, Digest: s.Digest})
		}
		for _, res := range c.facts.Resources {
			add(res)
		}
	}
	for _, c := range r.candidates {
		if !c.file || c.hopeless {
			continue
		}
		switch {
		case node == nil || !node.FilesKnown:
			c.fail(&c.sound, Unknown, Reason{Code: attest.CodeCovers, Why: "which files there are is not known"})
		case len(files) == 0:
			c.fail(&c.sound, Fail, Reason{Code: attest.CodeCovers, Why: "the artifact has no such files (covers: " + r.step.covers + ")"})
		}
		for _, f := range files {
			switch named[c.principal][predicate.Resource{Name: f.Path, Digest: f.Digest}] {
			case Pass:
				continue
			case Unknown:
				c.fail(&c.sound, Unknown, Reason{Code: attest.CodeCovers, About: f.Digest.String(), Why: fmt.Sprintf("whether %s signed %.200s depends on evidence that could not be seen", c.principal.name, f.Path)})
			default:
				c.fail(&c.sound, ev.unlessGapped(r.artifact), Reason{Code: attest.CodeCovers, About: f.Digest.String(), Why: fmt.Sprintf("%s signed other files, and not %.200s", c.principal.name, f.Path)})
			}
			break // one is enough to say
		}
	}
}

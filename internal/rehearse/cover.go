package rehearse

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// A CoverageItem is one thing that a policy asks, and whether the cases showed
// what happens when it holds, and when it does not. What was only ever seen
// passing could be missing from the policy without any case noticing; what was
// only ever seen failing, nobody may ever meet.
type CoverageItem struct {
	Kind   string `json:"kind"` // step, rule, line, veto or requirement
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Failed bool   `json:"failed"`
}

// coverage collects what the verdicts of all cases show.
type coverage struct {
	shapes []policy.Shape
	items  []*CoverageItem
}

func newCoverage(p *policy.Policy) *coverage {
	c := &coverage{}
	for _, s := range p.Shapes() {
		if s.Consulted {
			continue // verdicts have no answer of it: the step that consults it has
		}
		c.shapes = append(c.shapes, s)
		c.item("step", s.Step)
		for _, role := range s.Roles {
			c.item("line", s.Step+"."+role)
		}
		for _, id := range s.Rules {
			c.item("rule", s.Step+" "+id)
		}
		for _, id := range s.Comparisons {
			c.item("rule", s.Step+" "+id)
		}
		if s.Veto {
			c.item("veto", s.Step)
		}
	}
	return c
}

// item returns the item of that name, and adds it at the end if it is new.
func (c *coverage) item(kind, name string) *CoverageItem {
	for _, i := range c.items {
		if i.Kind == kind && i.Name == name {
			return i
		}
	}
	i := &CoverageItem{Kind: kind, Name: name}
	c.items = append(c.items, i)
	return i
}

func (i *CoverageItem) see(st policy.Status) {
	i.Passed = i.Passed || st == policy.Pass
	i.Failed = i.Failed || st == policy.Fail
}

// note takes everything there is to see in one verdict.
func (c *coverage) note(v *policy.Verdict, w *world) {
	denials := map[string]int{} // a policy may have several, which verdicts do not name
	for _, r := range v.Requirements {
		i := slices.IndexFunc(c.shapes, func(s policy.Shape) bool { return s.Step == r.Step })
		switch {
		case i >= 0:
			c.step(c.shapes[i], v, r, w)
		case path.Base(r.Step) == "deny":
			denials[r.Step]++
			c.item("requirement", r.Step+" "+strconv.Itoa(denials[r.Step])).see(r.Status)
		case path.Base(r.Step) != policy.StepPolicy && path.Base(r.Step) != policy.StepTrust: // no case can have another trust
			c.item("requirement", r.Step).see(r.Status)
		}
	}
}

func (c *coverage) step(s policy.Shape, v *policy.Verdict, r policy.Requirement, w *world) {
	c.item("step", s.Step).see(r.Status)
	for _, rule := range r.Rules {
		c.item("rule", s.Step+" "+rule.ID).see(rule.Status)
	}
	for _, why := range r.Reasons {
		if id, ok := strings.CutPrefix(why.About, "rule "); ok && r.Status == policy.Fail {
			c.item("rule", s.Step+" "+id).see(policy.Fail)
		}
		if why.Code == attest.CodeVeto {
			c.item("veto", s.Step).see(policy.Fail)
		}
	}
	for _, id := range s.Comparisons {
		if r.Status == policy.Pass {
			c.item("rule", s.Step+" "+id).see(policy.Pass)
		}
	}
	if s.Veto && r.Status == policy.Pass {
		c.item("veto", s.Step).see(policy.Pass)
	}
	for _, role := range s.Roles {
		line := c.item("line", s.Step+"."+role)
		if r.Status == policy.Pass && slices.ContainsFunc(v.Lineage, func(e policy.Edge) bool {
			return e.Step == s.Step && e.Artifact == r.Artifact && e.Role == role
		}) {
			line.see(policy.Pass)
		}
		if r.Status == policy.Fail && slices.ContainsFunc(r.Reasons, func(why policy.Reason) bool { return w.blames(why, s.Step, role) }) {
			line.see(policy.Fail)
		}
	}
}

// blames reports whether a reason is about the inputs of a role in a step: it
// names such an input, or evidence that has none of them.
func (w *world) blames(why policy.Reason, step, role string) bool {
	switch why.Code {
	case attest.CodeRule, attest.CodePolicyEval, attest.CodePolicyCost:
		return false
	}
	for _, d := range w.c.deeds {
		if d.step != step || d.never {
			continue
		}
		has := false
		for _, in := range d.inputs {
			if in.role != role {
				continue
			}
			has = true
			if a := w.f.artifacts[in.artifact]; a != nil && a.digest.String() == why.About {
				return true
			}
			if in.artifact == "" && why.Code == attest.CodeUnpinned && w.made(d, why.About) {
				return true
			}
		}
		if !has && why.Code == attest.CodeChainMissing && w.made(d, why.About) {
			return true
		}
	}
	return false
}

// made reports whether a payload is one of the deed's statements.
func (w *world) made(d *deed, payload string) bool {
	return slices.ContainsFunc(w.signed[d.name], func(s signed) bool { return s.payload.String() == payload })
}

// result returns the items in the policy's order, and how much is covered: each
// item has two sides, passing and failing.
func (c *coverage) result() ([]CoverageItem, int) {
	var out []CoverageItem
	seen := 0
	for _, i := range c.items {
		out = append(out, *i)
		if i.Passed {
			seen++
		}
		if i.Failed {
			seen++
		}
	}
	if len(out) == 0 {
		return nil, 0
	}
	return out, 100 * seen / (2 * len(out))
}

package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// stepRolesNeeded reads how many principals of which role the step needs. The
// threshold, unless stated, is all of them: nobody fills two places.
func (r *documentReader) stepRolesNeeded(s *step, f map[string]*yaml.Node) {
	if f["roles"] == nil {
		return
	}
	names, values := r.entries(f["roles"], "roles")
	sum := 0
	for i, name := range names {
		p := place{name.Value, int(r.integer(values[i], "roles."+name.Value, 1, 1000))}
		s.roles = append(s.roles, p)
		sum += p.n
	}
	slices.SortFunc(s.roles, func(a, b place) int { return strings.Compare(a.role, b.role) })
	switch {
	case sum == 0:
		r.parse(f["roles"], "roles is empty; leave the key out")
	case f["threshold"] == nil:
		s.threshold = sum
	case s.threshold < sum:
		r.parse(f["threshold"], "threshold %d is below the %d principals that roles ask for; leave it out, or raise it", s.threshold, sum)
	}
}

func (r *documentReader) version(n *yaml.Node) version {
	if n == nil {
		return nil
	}
	v, err := parseVersion(r.text(n, "minVersion"))
	if err != nil {
		r.parse(n, "minVersion: %v; write it in quotes", err)
	}
	return v
}

// stepApproval reads what only approvals have.
func (r *documentReader) stepApproval(s *step, f map[string]*yaml.Node) {
	for _, flag := range []struct {
		key string
		to  *bool
	}{{"rebase", &s.rebase}, {"samePolicy", &s.samePolicy}} {
		if f[flag.key] != nil {
			*flag.to = r.boolean(f[flag.key], flag.key)
		}
	}
	if n := f["conditions"]; n != nil {
		s.conditions = &conditionRule{}
		cf := r.fields(n, "conditions", conditionKeys, nil)
		if r.need(n, cf, "dischargedBy") {
			s.conditions.dischargedBy = r.text(cf["dischargedBy"], "dischargedBy")
		}
		if cf["untilDue"] != nil {
			s.conditions.untilDue = r.boolean(cf["untilDue"], "untilDue")
		}
	}
	for _, key := range []string{"basis", "rebase", "samePolicy", "conditions"} {
		if f[key] != nil && s.predicate != predicate.TypeApproval {
			r.parse(f[key], "step %s: only approvals (%s) have %s", s.name, predicate.TypeApproval, key)
		}
	}
	if s.rebase && len(s.basis) == 0 {
		r.parse(f["rebase"], "rebase without basis: there is nothing that a new approval would name")
	}
}

// stepOthers reads what relates the step's evidence to that of other steps.
func (r *documentReader) stepOthers(s *step, f map[string]*yaml.Node) {
	if f["carriesOver"] != nil {
		for _, n := range r.list(f["carriesOver"]) {
			c := &carrying{}
			cf := r.fields(n, "carriesOver", carryKeys, nil)
			if r.need(n, cf, "step") {
				c.step = r.text(cf["step"], "step")
			}
			c.added = r.texts(cf["added"], "added")
			r.among(n, "added", c.added, fileKinds)
			s.carries = append(s.carries, c)
		}
		if s.produces() {
			r.parse(f["carriesOver"], "carriesOver is for steps about artifacts (about)")
		}
	}
	if f["compare"] == nil {
		return
	}
	for _, n := range r.list(f["compare"]) {
		c := &comparing{rule: rule{pos: at(n)}}
		cf := r.fields(n, "compare", compareKeys, nil)
		r.ruleText(&c.rule, n, cf)
		if r.need(n, cf, "with") {
			c.with = r.text(cf["with"], "with")
		}
		c.sameInputs = r.texts(cf["sameInputs"], "sameInputs")
		if r.need(n, cf, "cel") {
			c.cel = r.compared(cf["cel"], s.predicate, c.with)
		}
		s.compare = append(s.compare, c)
	}
}

// compared compiles an expression over two predicates. The other step may stand
// below this one, so its type is looked up where it is written.
func (r *documentReader) compared(n *yaml.Node, mine, with string) *expression {
	var quiet documentReader
	other := quiet.rawStep(r.raw, with, "predicate")
	if src := r.text(n, "cel"); src != "" {
		e, err := r.cel.compileOver(src, mine, other)
		if err == nil {
			return e
		}
		r.parse(n, "cel: %v", err)
	}
	return nil
}

// rawStep returns the text of one key of a step as it is written, there or in the
// step that it is like.
func (r *documentReader) rawStep(raw map[string]*yaml.Node, name, key string) string {
	for range 2 { // no chains of like
		n := raw[name]
		if n == nil {
			return ""
		}
		f := r.fields(n, "", stepKeys, nil)
		if f[key] != nil {
			return f[key].Value
		}
		if f["like"] == nil {
			return ""
		}
		name = f["like"].Value
	}
	return ""
}

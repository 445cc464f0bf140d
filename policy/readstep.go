package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

var (
	stepKeys = []string{"predicate", "buildType", "by", "notBy", "kind", "threshold", "about", "optional", "roles", "select", "covers", "inputs", "basis", "rebase", "samePolicy",
		"conditions", "compare", "carriesOver", "before", "agree", "minVersion", "minAge", "maxAge", "where", "veto", "vetoBy", "scope", "rules", "controls",
		"acknowledgeAbsence", "like"}
	laterStepKeys = []string{"effectiveFrom", "severity", "mode"}
)

func (r *documentReader) steps(n *yaml.Node) {
	names, values := r.entries(n, "steps")
	for i, name := range names {
		r.raw[name.Value] = values[i]
	}
	for i, name := range names {
		if s := r.step(name, values[i]); s != nil {
			r.doc.steps = append(r.doc.steps, s)
			r.doc.byStep[s.name] = s
		}
	}
}

// step reads one step. With `like`, the other step's keys are read first and the
// written ones replace them: they never merge.
func (r *documentReader) step(name, n *yaml.Node) *step {
	s := &step{name: name.Value, threshold: 1, pos: at(name)}
	what := "step " + s.name
	f := r.fields(n, what, stepKeys, laterStepKeys)
	if like := f["like"]; like != nil {
		base := r.raw[r.text(like, "like")]
		if base == nil || base == n {
			r.parse(like, "like: there is no other step %q", like.Value)
			return s
		}
		var quiet documentReader // the base's own problems are reported where it stands
		for k, v := range quiet.fields(base, what, stepKeys, nil) {
			if k == "like" {
				r.parse(like, "like: %s is itself like another step; chains of like are not allowed", like.Value)
				return s
			}
			if f[k] == nil {
				f[k] = v
			}
		}
	}
	if s.name == aboutArtifact {
		r.parse(name, "a step cannot be called %s: about would be ambiguous", aboutArtifact)
	}
	r.stepWhat(s, n, f)
	r.stepWho(s, n, f)
	r.stepFlow(s, f)
	r.stepExpressions(s, f)
	return s
}

func (r *documentReader) stepWhat(s *step, n *yaml.Node, f map[string]*yaml.Node) {
	if r.need(n, f, "predicate") {
		s.predicate = r.text(f["predicate"], "predicate")
		if err := attest.CheckPredicateType(s.predicate); err != nil && s.predicate != "" {
			r.parse(f["predicate"], "predicate: %v", err)
		}
	}
	provenance := s.predicate == predicate.TypeProvenance
	switch {
	case f["buildType"] == nil && provenance:
		r.parse(n, "step %s: SLSA provenance needs a buildType, or every kind of build would do", s.name)
	case f["buildType"] != nil && !provenance:
		r.parse(f["buildType"], "step %s: only SLSA provenance has a buildType", s.name)
	case f["buildType"] != nil:
		s.buildType = r.text(f["buildType"], "buildType")
		if err := attest.CheckPredicateType(s.buildType); err != nil && s.buildType != "" {
			r.parse(f["buildType"], "buildType: %v", err)
		}
	}
	if f["about"] != nil {
		s.about = r.text(f["about"], "about")
	}
	s.controls = r.texts(f["controls"], "controls")
	if f["optional"] != nil {
		s.optional = r.boolean(f["optional"], "optional")
		if s.about == "" || s.about == aboutArtifact {
			r.parse(f["optional"], "optional is for steps about another step's artifacts, of which there may be none")
		}
	}
	if f["acknowledgeAbsence"] != nil {
		s.acknowledge = r.text(f["acknowledgeAbsence"], "acknowledgeAbsence")
	}
}

func (r *documentReader) stepWho(s *step, n *yaml.Node, f map[string]*yaml.Node) {
	if r.need(n, f, "by") {
		s.by = r.texts(f["by"], "by")
		if len(s.by) == 0 {
			r.parse(f["by"], "step %s: by is empty, so nobody may do it", s.name)
		}
	}
	s.notBy = r.texts(f["notBy"], "notBy")
	if s.vetoBy = r.texts(f["vetoBy"], "vetoBy"); f["vetoBy"] == nil {
		s.vetoBy = s.by
	} else if f["veto"] == nil {
		r.parse(f["vetoBy"], "vetoBy without veto")
	} else if len(s.vetoBy) == 0 {
		r.parse(f["vetoBy"], "vetoBy is empty, so nobody could veto")
	}
	if f["kind"] != nil {
		if s.kind = r.text(f["kind"], "kind"); !slices.Contains(principalKinds, s.kind) {
			r.parse(f["kind"], "kind is one of %s", strings.Join(principalKinds, ", "))
		}
	}
	if f["threshold"] != nil {
		s.threshold = int(r.integer(f["threshold"], "threshold", 1, 1000))
	}
	r.stepRolesNeeded(s, f)
	if !r.need(n, f, "select") {
		return
	}
	s.selects = selection(r.text(f["select"], "select"))
	if s.selects != selectAny && s.selects != selectLatest && s.selects != selectAll {
		r.parse(f["select"], "select is any, latest or all")
	}
}

func (r *documentReader) stepFlow(s *step, f map[string]*yaml.Node) {
	s.basis = r.texts(f["basis"], "basis")
	s.agree = r.texts(f["agree"], "agree")
	s.before = r.texts(f["before"], "before")
	for _, age := range []struct {
		key string
		to  *time.Duration
	}{{"maxAge", &s.maxAge}, {"minAge", &s.minAge}} {
		if f[age.key] != nil {
			*age.to = r.duration(f[age.key], age.key)
		}
	}
	if s.maxAge > 0 && s.minAge >= s.maxAge {
		r.parse(f["minAge"], "minAge is not below maxAge, so nothing would ever count")
	}
	s.minVersion = r.version(f["minVersion"])
	if s.minVersion != nil && s.predicate != predicate.TypeProvenance {
		r.parse(f["minVersion"], "minVersion: only SLSA provenance states a version (the parameter version)")
	}
	if f["covers"] != nil {
		if s.covers = r.text(f["covers"], "covers"); s.covers != coversAll && s.covers != coversWeights {
			r.parse(f["covers"], "covers is all or weights")
		}
		if s.selects != selectAny {
			r.parse(f["covers"], "covers goes with select: any: statements about files count together, and none of them is the latest")
		}
	}
	r.stepApproval(s, f)
	r.stepOthers(s, f)
	if n := f["inputs"]; n != nil {
		if n.Kind != yaml.SequenceNode {
			r.parse(n, "inputs must be a list")
			return
		}
		for _, l := range n.Content {
			s.inputs = append(s.inputs, r.line(l))
		}
	}
}

func (r *documentReader) line(n *yaml.Node) *line {
	l := &line{min: 1, max: 1, pos: at(n)}
	f := r.fields(n, "an input", inputKeys, nil)
	l.role = r.text(f["role"], "role")
	l.from = r.texts(f["from"], "from")
	l.output = r.text(f["output"], "output")
	if f["origin"] != nil {
		o, err := parseOrigin(r.text(f["origin"], "origin"))
		if err != nil {
			r.parse(f["origin"], "origin: %v", err)
		} else if strings.Contains(f["origin"].Value, "@") {
			r.parse(f["origin"], "origin: the reference after @ would not be compared; leave it out, or pin the commit")
		}
		l.origin = &o
	}
	if f["pin"] != nil {
		l.pin = r.digests(f["pin"], "pin")
	}
	if f["accept"] != nil {
		if l.accept = r.text(f["accept"], "accept") == "any"; !l.accept {
			r.parse(f["accept"], "accept: the only value is any")
		}
		if f["reason"] == nil {
			r.parse(n, "accept: any needs a reason, which every report repeats")
		}
	}
	l.reason = r.text(f["reason"], "reason")
	l.policy = r.text(f["policy"], "policy")
	if l.minVersion = r.version(f["minVersion"]); l.minVersion != nil && len(l.from) == 0 && l.policy == "" {
		r.parse(f["minVersion"], "minVersion without from or policy: a version is what the evidence of the input says")
	}
	l.sameAs = r.stepRoles(f["sameAs"], "sameAs")
	l.notIn = r.stepRoles(f["notIn"], "notIn")
	l.sameRun = r.stepRoles(f["sameRun"], "sameRun")
	if f["min"] != nil {
		l.min = int(r.integer(f["min"], "min", 0, 1<<20))
	}
	if l.max = max(1, l.min); f["max"] != nil {
		l.max = int(r.integer(f["max"], "max", 1, 1<<20))
	}
	for _, key := range []string{"from", "pin", "notIn", "sameAs", "sameRun"} {
		if f[key] != nil && f[key].Kind == yaml.SequenceNode && len(f[key].Content) == 0 {
			r.parse(f[key], "%s is empty: nothing would be asked; leave the key out", key)
		}
	}
	if l.max < l.min {
		r.parse(n, "max is below min")
	}
	if f["output"] != nil && len(l.from) == 0 {
		r.parse(f["output"], "output without from: outputs are named by the step that made them")
	}
	if len(l.from) == 0 && l.origin == nil && l.pin == nil && l.policy == "" && !l.accept {
		r.parse(n, "an input needs one of from, origin, pin, policy or accept: any; a role alone is only a label")
	}
	return l
}

func (r *documentReader) stepRoles(n *yaml.Node, what string) []stepRole {
	var out []stepRole
	for _, s := range r.texts(n, what) {
		name, role, ok := strings.Cut(s, ".")
		if !ok || role == "" {
			r.parse(n, "%s: %q is not STEP.ROLE", what, s)
			continue
		}
		out = append(out, stepRole{name, role})
	}
	return out
}

func (r *documentReader) stepExpressions(s *step, f map[string]*yaml.Node) {
	s.where = r.expression(f["where"], "where", s.predicate)
	s.veto = r.expression(f["veto"], "veto", s.predicate)
	s.scope = r.expression(f["scope"], "scope", s.predicate)
	if s.scope != nil && s.veto == nil {
		r.parse(f["scope"], "scope without veto: it limits which vetoes count")
	}
	if f["rules"] == nil {
		return
	}
	for _, n := range r.list(f["rules"]) {
		rf := r.fields(n, "a rule", ruleKeys, []string{"severity", "effectiveFrom"})
		ru := &rule{pos: at(n)}
		r.ruleText(ru, n, rf)
		if r.need(n, rf, "cel") {
			ru.cel = r.expression(rf["cel"], "cel", s.predicate)
		}
		s.rules = append(s.rules, ru)
	}
}

// ruleText reads what rules and comparisons have alike.
func (r *documentReader) ruleText(ru *rule, n *yaml.Node, f map[string]*yaml.Node) {
	if r.need(n, f, "id") {
		if ru.id = r.text(f["id"], "id"); ru.id != "" && !namePattern.MatchString(ru.id) {
			r.parse(f["id"], "id: letters, digits, - and _, beginning with a letter")
		}
	}
	if r.need(n, f, "message") {
		ru.message = r.text(f["message"], "message")
	}
	ru.controls = r.texts(f["controls"], "controls")
}

func (r *documentReader) expression(n *yaml.Node, what, predicateType string) *expression {
	if n == nil {
		return nil
	}
	src := r.text(n, what)
	if src == "" {
		return nil
	}
	e, err := r.cel.compile(src, predicateType)
	if err != nil {
		r.parse(n, "%s: %v", what, err)
		return nil
	}
	return e
}

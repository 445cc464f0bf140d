package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// approval looks at steps in which somebody decides: what would count as a yes
// without being one, and who could say it.
func (l *linter) approval(s *step) {
	if l.rejectionCounts(s) {
		l.warn(s.pos, "rejection-counts", `add a rule: {id: …, cel: 'predicate.decision == "approved"', message: "not approved"}`,
			"step %s has no rule about the decision: a rejection counts as well as an approval", s.name)
	}
	l.selfApproval(s)
	if l.d.consulted(s.name) {
		return // it only says that a condition is met: the approval itself is another step
	}
	if s.veto == nil {
		l.advise(s.pos, "no-veto", `add veto: 'predicate.decision == "rejected"'; then one no stops the artifact, however many say yes`,
			"a rejection does not stop step %s: it only does not count", s.name)
	}
	l.approvalBasis(s)
	l.approvers(s)
	if s.maxAge == 0 {
		l.advise(s.pos, "no-max-age", "add maxAge, such as 2160h", "an approval for %s counts for ever, unless it limits itself", s.name)
	}
}

// rejectionCounts reports whether a signed rejection could be selected and pass.
func (l *linter) rejectionCounts(s *step) bool {
	rejected := map[string]types.String{"predicate.decision": "rejected"}
	for _, e := range append([]*expression{s.where}, celOf(s.rules)...) {
		if e != nil && judgeExpr(e, s.predicate, rejected) == never {
			return false
		}
	}
	return s.veto == nil || judgeExpr(s.veto, s.predicate, rejected) == never
}

func celOf(rules []*rule) []*expression {
	var out []*expression
	for _, ru := range rules {
		out = append(out, ru.cel)
	}
	return out
}

func (l *linter) approvalBasis(s *step) {
	var left []string
	for _, o := range l.d.steps {
		if o.about == s.about && o.predicate == predicate.TypeEvaluation && !slices.Contains(s.basis, o.name) && !l.d.consulted(o.name) {
			left = append(left, o.name)
		}
	}
	switch list := strings.Join(left, ", "); {
	case len(left) == 0:
	case len(s.basis) == 0:
		l.warn(s.pos, "no-basis", "add basis: ["+list+"]", "an approval for %s need not name what was measured: it counts for whatever is measured later", s.name)
	default:
		l.advise(l.in.stepKey(s, "basis"), "partial-basis", "add "+list+" to basis, if it should be looked at before approving", "an approval for %s need not name the evidence of %s", s.name, list)
	}
}

// selfApproval looks for people who may approve what they made.
func (l *linter) selfApproval(s *step) {
	var shared []string // steps that an approver may have done
	for _, o := range l.d.steps {
		if o.produces() && !slices.Contains(s.notBy, o.name) && slices.ContainsFunc(s.by, func(n string) bool { return slices.Contains(o.by, n) }) {
			shared = append(shared, o.name)
		}
	}
	if len(shared) > 0 {
		l.warn(l.in.stepKey(s, "by"), "self-approval", "add notBy: ["+strings.Join(shared, ", ")+"]", "whoever did %s may approve the result in %s", strings.Join(shared, ", "), s.name)
	} else if len(s.notBy) == 0 && !l.d.consulted(s.name) {
		l.advise(s.pos, "no-separation", "add notBy with the steps that make the artifact: "+strings.Join(l.makers(), ", "), "nothing keeps the approvers of %s apart from the makers, but that they are others today", s.name)
	}
}

// approvers looks at who may approve: machines, one person.
func (l *linter) approvers(s *step) {
	machines := slices.DeleteFunc(slices.Clone(s.by), func(n string) bool { return l.d.principal(n).kind == "human" })
	switch {
	case s.kind == "human":
	case len(machines) > 0:
		l.warn(l.in.stepKey(s, "by"), "machine-approval", "add kind: human, or name only people", "%s may be done by %s, who is no person", s.name, strings.Join(machines, ", "))
	default:
		l.advise(s.pos, "kind-open", "add kind: human, so that it stays so when by grows", "step %s does not say that people must do it", s.name)
	}
	if s.threshold == 1 && len(s.roles) == 0 {
		pos := s.pos
		if k := l.in.stepKey(s, "threshold"); k != s.pos {
			pos = k
		}
		l.advise(pos, "one-approver", "raise threshold to 2: then one stolen key, or one mistake, is not enough", "one principal suffices for %s", s.name)
	}
}

func (l *linter) makers() []string {
	var out []string
	for _, s := range l.d.steps {
		if s.produces() {
			out = append(out, s.name)
		}
	}
	return out
}

// evaluation looks at steps in which something is measured.
func (l *linter) evaluation(s *step) {
	if s.maxAge == 0 {
		l.advise(s.pos, "no-max-age", "add maxAge, such as 720h", "a measurement for %s counts for ever", s.name)
	}
	if s.selects == selectAny {
		l.warn(l.in.stepKey(s, "select"), "lucky-run", "select: latest, or all: then a result that fails counts too", "with select: any, %s passes if one of many runs was lucky", s.name)
	}
	var own []string
	for _, o := range l.d.steps {
		if o.produces() && slices.ContainsFunc(o.inputs, func(in *line) bool { return in.role == "training-data" }) && !slices.Contains(s.notBy, o.name) &&
			slices.ContainsFunc(s.by, func(n string) bool { return slices.Contains(o.by, n) }) {
			own = append(own, o.name)
		}
	}
	if len(own) > 0 {
		l.warn(l.in.stepKey(s, "by"), "self-evaluation", "add notBy: ["+strings.Join(own, ", ")+"]", "whoever did %s may measure the result in %s", strings.Join(own, ", "), s.name)
	}
	l.sampleSize(s)
	l.disjointness(s)
}

// sampleSize asks that limits on metrics come with a count or an interval.
func (l *linter) sampleSize(s *step) {
	var first *rule
	for _, ru := range s.allRules() {
		if mentionsField(ru.cel, "n", "interval") {
			return
		}
		if first == nil && limitsMetric(ru.cel) {
			first = ru
		}
	}
	if first != nil {
		l.advise(first.pos, "no-sample-size", `ask for the number of examples too, such as predicate.metrics["…"].n >= 1000, or for the lower end of the interval`,
			"no rule of %s says over how many examples: ten are enough", s.name)
	}
}

// disjointness asks that test data is compared with training data.
func (l *linter) disjointness(s *step) {
	var trained []string
	for _, o := range l.d.steps {
		if o.produces() && slices.ContainsFunc(o.inputs, func(in *line) bool { return in.role == "training-data" }) {
			trained = append(trained, o.name+".training-data")
		}
	}
	for _, in := range s.inputs {
		if in.role == "evaluation-data" && len(in.notIn) == 0 && len(trained) > 0 && !in.pinned() {
			l.warn(in.pos, "no-disjointness", "add notIn: ["+strings.Join(trained, ", ")+"]", "%s may measure on the data that was trained on", s.name)
		}
	}
}

// pinned reports whether only listed digests will do: whoever listed them chose.
func (l *line) pinned() bool { return l.pin != nil }

// twins finds steps that one and the same record satisfies.
func (l *linter) twins() {
	for i, s := range l.d.steps {
		for _, o := range l.d.steps[:i] {
			if s.produces() || s.predicate != o.predicate || s.buildType != o.buildType || s.about != o.about || sourceOf(s.where) != sourceOf(o.where) ||
				!slices.ContainsFunc(s.by, func(n string) bool { return slices.Contains(o.by, n) }) {
				continue
			}
			pos := s.pos
			if s.where != nil {
				pos = l.in.stepKey(s, "where")
			}
			l.warn(pos, "same-evidence", "tell them apart with where, such as predicate.kind for evaluations or predicate.role for approvals",
				"%s and %s ask for the same kind of record about the same artifact: one record serves both", o.name, s.name)
		}
	}
}

func sourceOf(e *expression) string {
	if e == nil {
		return ""
	}
	return e.source
}

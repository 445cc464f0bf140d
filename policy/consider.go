package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Prospect is what an approval of a step would rest on, and who has decided so
// far. Only Consider makes one.
type Prospect struct {
	Step          string
	PredicateType string
	Artifact      attest.Digest
	// Verdict is the answer to everything but the step itself.
	Verdict *Verdict
	// Basis is the evidence that the approval must name.
	Basis []Named
	// Threshold principals must approve; Able lists those who may, and whose
	// approval is not there yet.
	Threshold int
	Able      []string
	// Decisions are what was decided so far, the oldest first.
	Decisions []Decision

	ev   *evaluator
	step *step
}

// Named is a piece of evidence with the step that selects it.
type Named struct {
	Step          string
	Payload       attest.Digest
	Artifact      attest.Digest
	PredicateType string
	Evidence      verify.Evidence
}

// A Decision is an approval or rejection that is there already.
type Decision struct {
	Principal string
	Payload   attest.Digest
	Claimed   time.Time
	Decision  string // what the predicate says; "unreadable" if nothing
	Comment   string
	Counts    bool // towards the threshold, now
	Veto      bool // it stands against the step, whatever else there is
}

// Consider works out what an approval of a step would rest on now. The step must
// be an approval of the policy; an empty name means the only one.
func (p *Policy) Consider(c verify.Chain, t Times, name string) (*Prospect, error) {
	steps := p.ApprovalSteps()
	if name == "" {
		if len(steps) != 1 {
			return nil, attest.Refuse(attest.CodeUsage, "the policy has %d approval steps (%v); name one", len(steps), steps)
		}
		name = steps[0]
	}
	if !slices.Contains(steps, name) {
		return nil, attest.Refuse(attest.CodeUsage, "%q is no approval step of the policy; it has %v", name, steps)
	}
	s := p.doc.step(name)
	ev := newEvaluator(p, c, t)
	ev.except = name
	ev.bind()
	r := ev.satisfies(s, c.Root())
	out := &Prospect{Step: name, PredicateType: s.predicate, Artifact: c.Root(), Verdict: ev.verdict(), Threshold: s.threshold, Able: ev.others(r), ev: ev, step: s}
	for _, basis := range s.basis {
		other := p.doc.step(basis)
		for _, d := range ev.targets(other) {
			for _, e := range ev.selectedAt(other, d, t.At, nil) {
				out.Basis = append(out.Basis, Named{Step: basis, Payload: e.id.Payload, Artifact: d, PredicateType: other.predicate, Evidence: e.e})
			}
		}
	}
	out.Decisions = ev.decisions(r)
	return out, nil
}

// decisions lists what principals of the step have decided.
func (ev *evaluator) decisions(r *result) []Decision {
	s := r.step
	var out []Decision
	for _, rec := range ev.records[r.artifact] {
		if !rec.of(s) || !slices.Contains(s.by, rec.principal.name) && !slices.Contains(s.vetoBy, rec.principal.name) {
			continue
		}
		d := Decision{Principal: rec.principal.name, Payload: rec.id.Payload, Claimed: rec.claimed(), Decision: "unreadable"}
		if text, ok := rec.facts.Tree["decision"].(string); ok {
			d.Decision = text
		}
		d.Comment, _ = rec.facts.Tree["comment"].(string)
		d.Counts = slices.ContainsFunc(r.selected, func(c *candidate) bool { return c.record == rec && c.status() == Pass })
		d.Veto = s.veto != nil && slices.Contains(s.vetoBy, rec.principal.name) && ev.veto(s, rec) != ""
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return a.Claimed.Compare(b.Claimed) })
	return out
}

// Admits says whether an approval with these facts, signed with this credential,
// would count towards the step. The error says why it would not: signed all the
// same, it would only look like something.
func (q *Prospect) Admits(who verify.Credential, facts predicate.Facts) error {
	ev, s := q.ev, q.step
	p := ev.d.byCredential[who]
	switch {
	case p == nil || !slices.Contains(s.by, p.name):
		return &attest.Refusal{Code: attest.CodeIdentity, About: who.String(), Why: "is not the key of anybody who may sign " + s.name, Next: "use the key of " + strings.Join(s.by, " or ")}
	case s.kind != "" && p.kind != s.kind:
		return &attest.Refusal{Code: attest.CodeIdentity, About: p.name, Why: fmt.Sprintf("is %s; %s asks for %s", p.kind, s.name, s.kind)}
	case ev.separated(s, p):
		return &attest.Refusal{Code: attest.CodeQuorum, About: p.name, Why: fmt.Sprintf("signed evidence of a step that must be somebody else's (notBy: %s), so an approval would not count", strings.Join(s.notBy, ", ")), Next: "somebody else must sign " + s.name}
	}
	for _, d := range q.Decisions {
		if d.Veto {
			return &attest.Refusal{Code: attest.CodeVeto, About: d.Payload.String(), Why: fmt.Sprintf("%s said no on %s: no approval counts beside a veto", d.Principal, stamp(d.Claimed))}
		}
	}
	if s.where != nil {
		if st, why := s.where.eval(facts.Tree); st != Pass {
			return notAdmitted(s.where, "where", why)
		}
	}
	for _, ru := range s.rules {
		if st, why := ru.cel.eval(facts.Tree); st != Pass {
			return notAdmitted(ru.cel, "rule "+ru.id, why)
		}
	}
	return nil
}

func notAdmitted(e *expression, what string, why *Reason) error {
	out := &attest.Refusal{Code: attest.CodeRule, About: what, Why: "the policy counts only approvals of which " + e.source}
	if why != nil {
		out.Code, out.Why = why.Code, out.Why+": "+why.Why
	}
	return out
}

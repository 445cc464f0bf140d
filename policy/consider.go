package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
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
func (p *Policy) Consider(c verify.Chain, t Question, name string) (*Prospect, error) {
	steps := p.ApprovalSteps()
	if name == "" {
		// Who approves rarely means to discharge: that step has to be named.
		steps = slices.DeleteFunc(steps, p.doc.consulted)
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
	ev.except, ev.live = p.doc.later(s), true
	ev.begin()
	r := ev.satisfies(s, c.Root())
	out := &Prospect{Step: name, PredicateType: s.predicate, Artifact: c.Root(), Verdict: ev.verdict(), Threshold: s.threshold, Able: ev.others(r), ev: ev, step: s}
	for _, basis := range s.basis {
		other := p.doc.step(basis)
		for _, d := range ev.targets(other) {
			for _, e := range ev.selectedAt(other, d, ev.at, nil) {
				out.Basis = append(out.Basis, Named{Step: basis, Payload: e.id.Payload, Artifact: e.artifact, PredicateType: other.predicate, Evidence: e.e})
			}
		}
	}
	out.Decisions = ev.decisions(r)
	return out, nil
}

// later returns the approval steps that need not be there when an approval of s is
// given: s itself, and all those on which it does not lean.
func (d *document) later(s *step) map[string]bool {
	earlier := map[string]bool{}
	var lean func(s *step)
	lean = func(s *step) {
		for _, n := range s.leans() {
			// Who discharges a condition does so after the approval.
			if !earlier[n] && !d.consulted(n) {
				earlier[n] = true
				lean(d.step(n))
			}
		}
	}
	lean(s)
	out := map[string]bool{}
	for _, o := range d.steps {
		out[o.name] = o.predicate == predicate.TypeApproval && !earlier[o.name]
	}
	return out
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
// same, it would only look like something. claims are those of the certificate, if it
// is signed under one; without them an identity goes by issuer and subject.
func (q *Prospect) Admits(who verify.Credential, facts predicate.Facts, claims ...trust.Claims) error {
	ev, s := q.ev, q.step
	lines := ev.d.lines(who)
	r := &record{id: verify.ID{Credential: who}, facts: facts}
	if i, ok := who.Identity(); ok && len(claims) > 0 {
		r.claims = claims[0]
		lines = slices.DeleteFunc(slices.Clone(lines), func(c *credential) bool { return !c.rule.Matches(i, r.claims) })
	}
	p := holder(lines)
	switch {
	case len(lines) > 0 && p == nil:
		return &attest.Refusal{Code: attest.CodeQuorum, About: escapedName(who), Why: "is several principals' by the policy, so what it signs counts for none", Next: "the policy's owners narrow the credentials"}
	case p == nil || !slices.Contains(s.by, p.name):
		return &attest.Refusal{Code: attest.CodeIdentity, About: escapedName(who), Why: fmt.Sprintf("is not the %s of anybody who may sign %s", means(who), s.name), Next: "sign as " + strings.Join(s.by, " or ")}
	case s.kind != "" && p.kind != s.kind:
		return &attest.Refusal{Code: attest.CodeIdentity, About: p.name, Why: fmt.Sprintf("is %s; %s asks for %s", p.kind, s.name, s.kind)}
	case ev.separated(s, p):
		return &attest.Refusal{Code: attest.CodeQuorum, About: p.name, Why: fmt.Sprintf("signed evidence of a step that must be somebody else's (notBy: %s), so an approval would not count", strings.Join(s.notBy, ", ")), Next: "somebody else must sign " + s.name}
	}
	r.principal, r.window = p, lines[0].window
	if err := q.admitsPlace(r, lines); err != nil {
		return err
	}
	for _, d := range q.Decisions {
		if d.Veto {
			return &attest.Refusal{Code: attest.CodeVeto, About: d.Payload.String(), Why: fmt.Sprintf("%s said no on %s: no approval counts beside a veto", d.Principal, stamp(d.Claimed))}
		}
	}
	if s.where != nil {
		if st, why := s.where.eval(ev.scene(r)); st != Pass {
			return notAdmitted(s.where, "where", why)
		}
	}
	for _, ru := range s.rules {
		if st, why := ru.cel.eval(ev.scene(r)); st != Pass {
			return notAdmitted(ru.cel, "rule "+ru.id, why)
		}
	}
	return nil
}

// admitsPlace says whether the principal can fill a place with the role that the
// approval names, under conditions and a key that count.
func (q *Prospect) admitsPlace(r *record, lines []*credential) error {
	ev, s, p, facts, who := q.ev, q.step, r.principal, r.facts, r.id.Credential
	if err := usable(lines, who, ev.at.time()); err != nil {
		return err
	}
	if gone := ev.keyGone(r); gone != nil {
		return &attest.Refusal{Code: gone.Code, About: escapedName(who), Why: fmt.Sprintf("the %s of %s was revoked", r.means(), p.name), Next: "use another " + r.means()}
	}
	if facts.Role != "" && !slices.Contains(p.roles, facts.Role) && len(s.roles) > 0 {
		return &attest.Refusal{Code: attest.CodeIdentity, About: p.name, Why: fmt.Sprintf("has not the role %.60q in the policy, but: %s", facts.Role, orNone(p.roles)), Next: "sign in a role that the policy gives"}
	}
	roles, places := p.roles, 0
	if facts.Role != "" {
		roles = []string{facts.Role}
	}
	for _, at := range s.roles {
		places += at.n
	}
	// Beyond the places there may be room for somebody without any of the roles.
	if places >= s.threshold && places > 0 && !slices.ContainsFunc(s.roles, func(at place) bool { return slices.Contains(roles, at.role) }) {
		return &attest.Refusal{Code: attest.CodeIdentity, About: p.name, Why: fmt.Sprintf("fills no place: %s asks for %s, and this is as %s", s.name, placesText(s.roles), orNone(roles)), Next: "somebody with one of the roles must sign " + s.name}
	}
	switch {
	case len(facts.Conditions) > 0 && s.conditions == nil:
		return &attest.Refusal{Code: attest.CodeConditions, About: p.name, Why: fmt.Sprintf("the policy says nothing of how conditions of %s are met, so an approval with conditions does not count", s.name), Next: "approve without conditions once they are met"}
	case len(facts.Discharges) > 0 && !ev.d.consulted(s.name):
		return &attest.Refusal{Code: attest.CodeConditions, About: s.name, Why: "no step of the policy has its conditions discharged here", Next: "discharge them with the step that the policy names: --step"}
	case s.samePolicy && facts.Policy != ev.p.digest:
		return &attest.Refusal{Code: attest.CodeBasis, About: s.name, Why: "asks that the approval names this policy's digest"}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func notAdmitted(e *expression, what string, why *Reason) error {
	out := &attest.Refusal{Code: attest.CodeRule, About: what, Why: "the policy counts only approvals of which " + e.source}
	if why != nil {
		out.Code, out.Why = why.Code, out.Why+": "+why.Why
	}
	return out
}

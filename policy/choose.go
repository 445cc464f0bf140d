package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// choose selects among the candidates and answers the requirement.
func (ev *evaluator) choose(r *result) {
	s, gapped := r.step, ev.gapped(r.artifact)
	r.selected = selected(s.selects, r.candidates)
	switch s.selects {
	case selectAny:
		r.status = ev.chooseAny(r, gapped)
	case selectLatest, selectAll:
		r.status = ev.chooseEvery(r, gapped)
	}
	ev.agreement(r, gapped)
	ev.vetoes(r, gapped)
}

// selected returns the candidates that a step selects. For `any` those are the
// ones that may pass; the others take what there is, good or bad.
func selected(mode selection, all []*candidate) []*candidate {
	var out []*candidate
	switch mode {
	case selectAny:
		for _, c := range all {
			if c.status() != Fail {
				out = append(out, c)
			}
		}
	case selectLatest:
		newest := map[*principal]time.Time{}
		for _, c := range all {
			if t := c.claimed(); t.After(newest[c.principal]) {
				newest[c.principal] = t
			}
		}
		for _, c := range all {
			// What has no usable time may be the newest of all.
			if c.claimed().IsZero() || c.claimed().Equal(newest[c.principal]) {
				out = append(out, c)
			}
		}
	case selectAll:
		out = slices.Clone(all)
	}
	return out
}

// signers counts distinct principals whose candidate has at least the status.
func signers(cs []*candidate, least Status) int {
	who := map[*principal]bool{}
	for _, c := range cs {
		if c.status() >= least {
			who[c.principal] = true
		}
	}
	return len(who)
}

func (ev *evaluator) chooseAny(r *result, gapped bool) Status {
	if signers(r.selected, Pass) >= r.step.threshold {
		r.selected = slices.DeleteFunc(r.selected, func(c *candidate) bool { return c.status() != Pass })
		return Pass
	}
	ev.tooFew(r, gapped)
	if gapped || signers(r.selected, Unknown) >= r.step.threshold {
		return Unknown
	}
	return Fail
}

func (ev *evaluator) chooseEvery(r *result, gapped bool) Status {
	st := Pass
	for _, c := range r.selected {
		st = min(st, c.status())
	}
	if st == Fail && gapped && r.step.selects == selectLatest && !slices.ContainsFunc(r.selected, func(c *candidate) bool { return c.hopeless }) {
		st = Unknown // a newer record, unseen, may supersede the one that fails
	}
	if signers(r.selected, Pass) < r.step.threshold || st != Pass {
		ev.tooFew(r, gapped)
		if st == Pass {
			st = Fail
			if gapped {
				st = Unknown
			}
		}
		return st
	}
	if gapped {
		r.reasons = append(r.reasons, ev.incomplete(r, "a newer or failing record may be among it"))
		return Unknown
	}
	return Pass
}

// maxReasons bounds what one requirement says about its candidates; the rest
// would only repeat it.
const maxReasons = 32

// tooFew says why there are not enough: what each candidate lacks, or that there
// is none.
func (ev *evaluator) tooFew(r *result, gapped bool) {
	s := r.step
	if gapped {
		r.reasons = append(r.reasons, ev.incomplete(r, "what is missing may be among it"))
	}
	good := signers(r.selected, Pass)
	if len(r.candidates) == 0 {
		r.reasons = append(r.reasons, ev.missing(r)...)
		return
	}
	for _, c := range r.candidates {
		for _, why := range c.reasons {
			if len(r.reasons) < maxReasons && c.status() != Pass {
				r.reasons = append(r.reasons, why)
			}
		}
	}
	switch {
	case s.selects != selectAny && good > 0 && slices.ContainsFunc(r.selected, func(c *candidate) bool { return c.status() == Fail }):
		r.reasons = append(r.reasons, Reason{Code: attest.CodeConflict, About: r.artifact.String(),
			Why: fmt.Sprintf("%s selects %s, and beside what passes there is what fails", s.name, s.selects)})
	case good < s.threshold && s.threshold > 1:
		r.reasons = append(r.reasons, Reason{Code: attest.CodeQuorum, About: r.artifact.String(),
			Why: fmt.Sprintf("%d of %d required principals count", good, s.threshold), Next: ev.remedy(s, r.artifact, ev.others(r))})
		r.reasons = append(r.reasons, ev.misplaced(r)...)
	}
}

// others returns who may do the step and does not count yet.
func (ev *evaluator) others(r *result) []string {
	var out []string
	for _, name := range r.step.by {
		p := ev.d.principal(name)
		counted := slices.ContainsFunc(r.selected, func(c *candidate) bool { return c.principal == p && c.status() == Pass })
		if !counted && !ev.separated(r.step, p) && (r.step.kind == "" || p.kind == r.step.kind) {
			out = append(out, name)
		}
	}
	return out
}

func (ev *evaluator) incomplete(r *result, why string) Reason {
	code := attest.CodeRegUnavailable
	if node := ev.chain.Artifact(r.artifact); node != nil && len(node.Gaps) > 0 {
		code = node.Gaps[0].Code
	} else if node == nil {
		code = attest.CodeLimit
	}
	return Reason{Code: code, About: r.artifact.String(), Why: "evidence about it could not be completely looked at; " + why, Next: lookAgain(code)}
}

// lookAgain says what would let a gap be closed.
func lookAgain(code attest.Code) string {
	switch code {
	case attest.CodeRegDigest, attest.CodeRegManifest:
		return "a repository's copy is damaged: restore it, or add another with --evidence"
	case attest.CodeLimit, attest.CodeChainDepth, attest.CodeChainFanout:
		return "raise the policy's limits, if this much is honest"
	case attest.CodeFileIO:
		return "make it readable, and verify again"
	}
	return "verify again when every repository answers"
}

// missing says that nothing is there, and what is there instead.
func (ev *evaluator) missing(r *result) []Reason {
	s := r.step
	out := []Reason{{Code: attest.CodeChainMissing, About: r.artifact.String(),
		Why: fmt.Sprintf("no %s evidence of %s by %s", s.name, r.artifact.Short(), strings.Join(s.by, " or ")), Next: ev.remedy(s, r.artifact, ev.others(r))}}
	var wrong []string
	for _, rec := range ev.records[r.artifact] {
		if rec.of(s) && !slices.Contains(s.by, rec.principal.name) && !slices.Contains(wrong, rec.principal.name) {
			wrong = append(wrong, rec.principal.name)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		out = append(out, Reason{Code: attest.CodeIdentity, About: r.artifact.String(), Why: fmt.Sprintf("there is one by %s, who may not do %s", strings.Join(wrong, ", "), s.name)})
	}
	return append(out, ev.misplaced(r)...)
}

// misplaced says what lies beside the artifact and would satisfy the step, were
// it about the artifact.
func (ev *evaluator) misplaced(r *result) []Reason {
	node := ev.chain.Artifact(r.artifact)
	if node == nil {
		return nil
	}
	for _, e := range slices.Concat(node.FileEvidence, node.Misplaced) {
		rec := ev.record(r.artifact, e)
		if rec == nil || !rec.of(r.step) || !slices.Contains(r.step.by, rec.principal.name) {
			continue
		}
		subjects := e.Subjects()
		if len(subjects) != 1 {
			return []Reason{{Code: attest.CodeSubjectAmbiguous, About: rec.id.Payload.String(), Why: fmt.Sprintf("the one by %s that lies here has %d subjects, and must have one", rec.principal.name, len(subjects))}}
		}
		return []Reason{{Code: attest.CodeSubjectMismatch, About: rec.id.Payload.String(), Why: fmt.Sprintf("the one by %s that lies here is about %s", rec.principal.name, subjects[0].Digest.Short())}}
	}
	return nil
}

// remedy names the command that would supply what a step lacks.
func (ev *evaluator) remedy(s *step, d attest.Digest, by []string) string {
	who := strings.Join(by, " or ")
	if len(by) == 0 {
		return "nobody is left in by of " + s.name + ": the policy's owners must name somebody"
	}
	switch {
	case slices.Contains(ev.p.ApprovalSteps(), s.name):
		return fmt.Sprintf("pedigree approve …@%s --policy … --step %s --key KEY, by %s", d, s.name, who)
	case s.produces():
		return fmt.Sprintf("pedigree run --step %s … --output …, signed by %s", lastSegment(s), who)
	}
	return fmt.Sprintf("pedigree run --step %s --about …@%s --type %s --predicate FILE …, signed by %s", s.name, d, s.predicate, who)
}

// lastSegment guesses the step's name in `pedigree run` from its build type, and
// falls back to the policy's own name for it.
func lastSegment(s *step) string {
	parts := strings.Split(strings.TrimSuffix(s.buildType, "/v1"), "/")
	if last := parts[len(parts)-1]; last != "" {
		return last
	}
	return s.name
}

// agreement fails a step whose candidates name different inputs for a role on
// which they must agree.
func (ev *evaluator) agreement(r *result, gapped bool) {
	for _, role := range r.step.agree {
		var first string
		for i, c := range r.candidates {
			if c.err != nil {
				r.lower(Fail, Reason{Code: attest.CodeConflict, About: c.id.Payload.String(), Why: fmt.Sprintf("what it names as %s cannot be read, so it does not agree", role)})
				continue
			}
			names := roleDigests(c, role)
			if i > 0 && names != first && first != "" {
				r.lower(Fail, Reason{Code: attest.CodeConflict, About: c.id.Payload.String(), Why: fmt.Sprintf("two records of %s name different %s: %s and %s", r.artifact.Short(), role, first, names)})
			}
			first = names
		}
	}
	if len(r.step.agree) > 0 && gapped {
		r.lower(Unknown, ev.incomplete(r, "a contradicting record may be among it"))
	}
}

// lower lowers the requirement's answer and notes why.
func (r *result) lower(st Status, why Reason) {
	if st < r.status || st == Fail {
		r.reasons = append(r.reasons, why)
	}
	r.status = min(r.status, st)
}

func roleDigests(c *candidate, role string) string {
	var out []string
	for _, in := range c.facts.Inputs {
		if in.Role == role {
			out = append(out, in.Digest.String())
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(slices.Compact(out), " ")
}

// vetoes fails a step about which an authorised principal said no, whether or
// not that evidence is a candidate: before where, and however old.
func (ev *evaluator) vetoes(r *result, gapped bool) {
	s := r.step
	if s.veto == nil {
		return
	}
	for _, rec := range ev.records[r.artifact] {
		if !rec.of(s) || !slices.Contains(s.vetoBy, rec.principal.name) {
			continue
		}
		if why := ev.veto(s, rec); why != "" {
			r.lower(Fail, Reason{Code: attest.CodeVeto, About: rec.id.Payload.String(), Why: fmt.Sprintf("%s: %s", rec.principal.name, why),
				Next: "nothing takes a veto back: talk to who said no; another model needs evidence of its own"})
		}
	}
	if gapped {
		r.lower(Unknown, ev.incomplete(r, "a veto may be among it"))
	}
}

// veto returns why a record vetoes, and "" if it does not. What cannot be read
// or evaluated vetoes: a damaged no must not count as silence.
func (ev *evaluator) veto(s *step, rec *record) string {
	if rec.err != nil {
		return "what was signed cannot be read, so it may be a no"
	}
	if s.scope != nil {
		if st, why := s.scope.eval(rec.facts.Tree); st == Fail && why == nil {
			return ""
		}
	}
	st, why := s.veto.eval(rec.facts.Tree)
	switch {
	case st == Pass:
		return "vetoed on " + stamp(rec.claimed()) + " (" + s.veto.source + ")"
	case why != nil:
		return "whether it is a veto cannot be evaluated: " + why.Why
	}
	return ""
}

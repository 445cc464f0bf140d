package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// choose selects among the candidates and answers the requirement.
func (ev *evaluator) choose(r *result) {
	s := r.step
	gapped := r.open || slices.ContainsFunc(r.at, ev.gapped)
	unproven := gapped || slices.ContainsFunc(r.at, func(d attest.Digest) bool { return ev.unproven(s, d) })
	r.selected = selected(s.selects, r.candidates)
	switch s.selects {
	case selectAny:
		r.status = ev.chooseAny(r, gapped)
	case selectLatest, selectAll:
		r.status = ev.chooseEvery(r, gapped, unproven)
	}
	ev.agreement(r, unproven)
	ev.vetoes(r, unproven)
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
			if t := c.when(); t.After(newest[c.principal]) {
				newest[c.principal] = t
			}
		}
		for _, c := range all {
			// What has no usable time may be the newest of all.
			if c.when().IsZero() || c.when().Equal(newest[c.principal]) {
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

// enough reports whether so many principals count, in all and of each role.
func (s *step) enough(cs []*candidate, least Status) bool {
	if signers(cs, least) < s.threshold {
		return false
	}
	if len(s.roles) == 0 {
		return true
	}
	var who []*principal
	for _, c := range cs {
		if c.status() >= least && !slices.Contains(who, c.principal) {
			who = append(who, c.principal)
		}
	}
	return filled(s.roles, who, rolesOf(cs, least))
}

func (ev *evaluator) chooseAny(r *result, gapped bool) Status {
	if r.step.enough(r.selected, Pass) {
		r.selected = slices.DeleteFunc(r.selected, func(c *candidate) bool { return c.status() != Pass })
		return Pass
	}
	ev.tooFew(r, gapped)
	if gapped || r.step.enough(r.selected, Unknown) {
		return Unknown
	}
	return Fail
}

func (ev *evaluator) chooseEvery(r *result, gapped, unproven bool) Status {
	st := Pass
	for _, c := range r.selected {
		st = min(st, c.status())
	}
	if st == Fail && gapped && r.step.selects == selectLatest && !slices.ContainsFunc(r.selected, func(c *candidate) bool { return c.hopeless }) {
		st = Unknown // a newer record, unseen, may supersede the one that fails
	}
	if !r.step.enough(r.selected, Pass) || st != Pass {
		ev.tooFew(r, gapped)
		if st == Pass {
			st = Fail
			if gapped {
				st = Unknown
			}
		}
		return st
	}
	if unproven {
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
	case len(s.roles) > 0:
		r.reasons = append(r.reasons, Reason{Code: attest.CodeQuorum, About: r.artifact.String(),
			Why: fmt.Sprintf("%d principals count, and they do not fill the places asked for: %s", good, placesText(s.roles)), Next: ev.remedy(s, r.artifact, ev.others(r))})
		r.reasons = append(append(r.reasons, ev.strange(s, r.artifact)...), ev.misplaced(r)...)
	case good < s.threshold && s.threshold > 1:
		r.reasons = append(r.reasons, Reason{Code: attest.CodeQuorum, About: r.artifact.String(),
			Why: fmt.Sprintf("%d of %d required principals count", good, s.threshold), Next: ev.remedy(s, r.artifact, ev.others(r))})
		r.reasons = append(append(r.reasons, ev.strange(s, r.artifact)...), ev.misplaced(r)...)
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
	code, what := attest.CodeStatus, "no fresh status proves that all evidence about it is there; "
	for _, d := range r.at {
		node := ev.chain.Artifact(d)
		if node == nil {
			code = attest.CodeLimit
		} else if len(node.Gaps) > 0 {
			code = node.Gaps[0].Code
		}
	}
	if code != attest.CodeStatus {
		what = "evidence about it could not be completely looked at; "
	}
	return Reason{Code: code, About: r.artifact.String(), Why: what + why, Next: ev.lookAgain(code)}
}

// lookAgain says what would let a gap be closed.
func (ev *evaluator) lookAgain(code attest.Code) string {
	switch code {
	case attest.CodeStatus:
		return "publish a status: pedigree status publish"
	case attest.CodeRegDigest, attest.CodeRegManifest:
		return "a repository's copy is damaged: restore it, or add another with --evidence"
	case attest.CodeLimit:
		return "raise limits.attestationsPerArtifact, attestations, bytes or time of the policy that is asked, if this much is honest"
	case attest.CodeChainDepth:
		return fmt.Sprintf("raise limits.depth (%d) of the policy that is asked, if so long a chain is honest", ev.walked().Depth)
	case attest.CodeChainFanout:
		return fmt.Sprintf("raise limits.inputs (%d) of the policy that is asked, or record fewer: pack them as one artifact", ev.walked().Inputs)
	case attest.CodeFileIO:
		return "make it readable, and verify again"
	}
	return "verify again when every repository answers"
}

// walked returns the limits of the walk that made the chain: those of the policy
// that is asked, whichever policy judges this part of it.
func (ev *evaluator) walked() verify.Limits {
	for ev.above != nil {
		ev = ev.above
	}
	l := ev.d.limits.walk
	l.Depth, l.Inputs = cmp.Or(l.Depth, verify.DefaultDepth), cmp.Or(l.Inputs, predicate.MaxInputs)
	return l
}

// missing says that nothing is there, and what is there instead.
func (ev *evaluator) missing(r *result) []Reason {
	s := r.step
	out := []Reason{{Code: attest.CodeChainMissing, About: r.artifact.String(),
		Why: fmt.Sprintf("no %s evidence of %s by %s", s.name, r.artifact.Short(), strings.Join(s.by, " or ")), Next: ev.remedy(s, r.artifact, ev.others(r))}}
	for _, gone := range ev.gone {
		if gone.artifact == r.artifact && gone.of(s) && slices.Contains(s.by, gone.principal.name) && len(out) < maxReasons {
			out = append(out, gone.why)
		}
	}
	var wrong []string
	for _, rec := range ev.records[r.artifact] {
		if rec.of(s) && !slices.Contains(s.by, rec.principal.name) && !slices.Contains(wrong, rec.principal.name) {
			wrong = append(wrong, rec.principal.name)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		out = append(out, Reason{Code: attest.CodeIdentity, About: r.artifact.String(), Why: fmt.Sprintf("there is one by %s, who may not do %s", strings.Join(wrong, ", "), s.name),
			Next: "have it done by " + strings.Join(s.by, " or ") + "; or the policy's owners add who did to by of " + s.name})
	}
	return append(append(out, ev.strange(s, r.artifact)...), ev.misplaced(r)...)
}

// misplaced says what lies beside the artifact and would satisfy the step, were
// it about the artifact.
func (ev *evaluator) misplaced(r *result) []Reason {
	node := ev.chain.Artifact(r.artifact)
	if node == nil {
		return nil
	}
	for _, e := range slices.Concat(node.FileEvidence, node.Misplaced) {
		i := slices.IndexFunc(ev.known(r.artifact, e), func(rec *record) bool { return rec.of(r.step) && rec.mayBe(r.step.by) })
		if i < 0 {
			continue
		}
		rec := ev.known(r.artifact, e)[i]
		subjects := e.Subjects()
		if len(subjects) != 1 {
			return []Reason{{Code: attest.CodeSubjectAmbiguous, About: rec.id.Payload.String(), Why: fmt.Sprintf("the one by %s that lies here has %d subjects, and must have one", rec.principal.name, len(subjects))}}
		}
		return []Reason{{Code: attest.CodeSubjectMismatch, About: rec.id.Payload.String(), Why: fmt.Sprintf("the one by %s that lies here is about %s", rec.principal.name, subjects[0].Digest.Short()),
			Next: "if it belongs there: pedigree attach REPO@" + subjects[0].Digest.String() + " BUNDLE"}}
	}
	return nil
}

// agreement fails a step whose candidates name different inputs for a role on
// which they must agree.
func (ev *evaluator) agreement(r *result, unproven bool) {
	for _, role := range r.step.agree {
		var first string
		for i, c := range r.candidates {
			if c.err != nil {
				r.lower(Fail, Reason{Code: attest.CodeConflict, About: c.id.Payload.String(), Why: fmt.Sprintf("what it names as %s cannot be read, so it does not agree", role)})
				continue
			}
			names := roleDigests(c, role)
			if i > 0 && names != first && first != "" {
				r.lower(c.doubted(), Reason{Code: attest.CodeConflict, About: c.id.Payload.String(), Why: fmt.Sprintf("two records of %s name different %s: %s and %s", r.artifact.Short(), role, first, names)})
			}
			first = names
		}
	}
	if len(r.step.agree) > 0 && unproven {
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
		return nothing
	}
	return strings.Join(slices.Compact(out), " ")
}

// nothing is what roleDigests says of a role without inputs.
const nothing = "nothing"

// vetoes fails a step about which an authorised principal said no, whether or
// not that evidence is a candidate: before where, and however old.
func (ev *evaluator) vetoes(r *result, unproven bool) {
	s := r.step
	if s.veto == nil {
		return
	}
	for _, d := range r.at {
		for _, rec := range ev.about(s, d) {
			if !rec.of(s) || !slices.Contains(s.vetoBy, rec.principal.name) {
				continue
			}
			if why := ev.veto(s, rec); why != "" {
				r.lower(rec.doubted(), Reason{Code: attest.CodeVeto, About: rec.id.Payload.String(), Why: fmt.Sprintf("%s: %s", rec.principal.name, why), Next: ev.liftVeto()})
				if rec.doubt != nil {
					r.reasons = append(r.reasons, *rec.doubt)
				}
			}
		}
	}
	for _, d := range r.at {
		// It counts for nobody, and all the same one of them said no.
		for _, rec := range ev.unclearAbout(s, d) {
			if why := ev.veto(s, rec); rec.mayBe(s.vetoBy) && why != "" {
				r.lower(Fail, Reason{Code: attest.CodeVeto, About: rec.id.Payload.String(), Why: fmt.Sprintf("%s, who may be several principals: %s", escapedName(rec.id.Credential), why), Next: ev.liftVeto()})
			}
		}
	}
	if unproven {
		r.lower(Unknown, ev.incomplete(r, "a veto may be among it"))
	}
}

// doubted is what a record that counts against something makes of it: a failure,
// and while it may have been withdrawn an open question.
func (r *record) doubted() Status {
	if r.doubt != nil {
		return Unknown
	}
	return Fail
}

func (ev *evaluator) liftVeto() string {
	if len(ev.d.revocation) == 0 {
		return "nothing takes a veto back under this policy: talk to who said no; another model needs evidence of its own"
	}
	return "talk to who said no; they, or who may revoke statements, can take it back: pedigree revoke --payload"
}

// veto returns why a record vetoes, and "" if it does not. What cannot be read
// or evaluated vetoes: a damaged no must not count as silence.
func (ev *evaluator) veto(s *step, rec *record) string {
	if rec.err != nil {
		return "what was signed cannot be read, so it may be a no"
	}
	if s.scope != nil {
		if st, why := s.scope.eval(ev.scene(rec)); st == Fail && why == nil {
			return ""
		}
	}
	st, why := s.veto.eval(ev.scene(rec))
	switch {
	case st == Pass:
		return "vetoed on " + stamp(rec.claimed()) + " (" + s.veto.source + ")"
	case why != nil:
		return "whether it is a veto cannot be evaluated: " + why.Why
	}
	return ""
}

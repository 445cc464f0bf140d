package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// notProven ends every verdict: what no signature can show.
var notProven = [...]string{
	"Signatures show who asserted what about which bytes, not that a step truly happened as it says.",
	"Data sets are compared as files; whether rows of one occur in another is not looked at.",
	"A person who starts a pipeline is not the identity that the pipeline signs with.",
}

// verdict asks for everything the policy demands and concludes.
func (ev *evaluator) verdict() *Verdict {
	d, root := ev.d, ev.chain.Root()
	v := &Verdict{
		Artifact:  root,
		Policy:    PolicyRef{Name: d.name, Version: d.version, Digest: ev.p.digest, Expires: d.expires.UTC()},
		At:        ev.at.time(),
		Known:     ev.upTo.time(),
		Evidence:  []Item{},
		Lineage:   []Edge{},
		Frontier:  []Frontier{},
		Gaps:      []GapRef{},
		NotProven: slices.Clone(notProven[:]),
		Context:   ev.t.Context,
	}
	if d.status != nil && !ev.t.Stateful {
		v.NotProven = append(v.NotProven, "The verifier remembers nothing (--state): an older status, within its validity, passes for the newest.")
	}
	t := &telling{ev: ev, v: v, told: map[key]bool{}, items: map[itemKey]int{}}
	if q := ev.t.Context; !ev.inContext() {
		why := fmt.Sprintf("the policy tells contexts apart (%s), and the question names none", strings.Join(ev.p.Contexts(), ", "))
		if q != "" {
			why = fmt.Sprintf("the policy has no context %.60q; it has %s", q, cmp.Or(strings.Join(ev.p.Contexts(), ", "), "none"))
		}
		t.add(Requirement{Step: StepPolicy, Artifact: root, Reasons: []Reason{{Code: attest.CodeNoRule, Why: why, Next: "say which with --context"}}})
	}
	if ev.at.before(d.notBefore) {
		t.add(Requirement{Step: StepPolicy, Artifact: root, Reasons: []Reason{{Code: attest.CodePolicyExpired, Why: "the policy holds from " + stamp(d.notBefore), Next: "use the version that holds now"}}})
	}
	if ev.at.after(d.expires) {
		t.add(Requirement{Step: StepPolicy, Artifact: root, Reasons: []Reason{{Code: attest.CodePolicyExpired, Why: "the policy expired " + stamp(d.expires), Next: "its owners publish a new version with a later metadata.expires"}}})
	}
	t.askTrust()
	t.askStatus()
	t.artifactSteps()
	t.aboutSteps()
	t.revocations()
	t.denials()
	t.formats()
	t.access()
	t.evidence()
	t.close()
	v.Outcome, v.Until = conclude(t.answers), ev.at.until()
	return v
}

// conclude is the one place where ALLOW is decided: something was asked, and
// every answer is a pass.
func conclude(answers []Status) Outcome {
	if len(answers) == 0 {
		return Deny
	}
	switch slices.Min(answers) {
	case Pass:
		return Allow
	case Unknown:
		return Undecided
	}
	return Deny
}

// A telling writes a verdict: the answers that decide, and the requirements,
// lineage and frontier that explain them.
type telling struct {
	ev      *evaluator
	v       *Verdict
	answers []Status
	told    map[key]bool
	items   map[itemKey]int // of other policies: where in the verdict each is
}

// add tells a requirement that decides by itself.
func (t *telling) add(r Requirement) {
	t.answers = append(t.answers, r.Status)
	t.v.Requirements = append(t.v.Requirements, r)
}

// artifactSteps asks that the judged artifact satisfies one of the steps that
// the policy's `artifact` names.
func (t *telling) artifactSteps() {
	root := t.ev.chain.Root()
	best := Fail
	for _, name := range t.ev.d.artifact {
		best = max(best, t.ev.satisfies(t.ev.d.step(name), root).status)
	}
	t.answers = append(t.answers, best)
	for _, name := range t.ev.d.artifact {
		if r := t.ev.satisfies(t.ev.d.step(name), root); r.status == best {
			t.tell(r)
		}
	}
}

// aboutSteps asks for what must be said about the judged artifact, or about
// every artifact that plays a step.
func (t *telling) aboutSteps() {
	for _, s := range t.ev.d.steps {
		if s.produces() || t.ev.except[s.name] || !t.ev.required(s) {
			continue
		}
		targets := t.ev.targets(s)
		if s.about != aboutArtifact {
			maker := t.ev.d.step(s.about)
			targets = slices.DeleteFunc(targets, func(d attest.Digest) bool { return t.ev.satisfies(maker, d).status == Fail })
			if t.ev.mayGrow(s, s.about) && (len(targets) > 0 || s.optional) {
				t.add(Requirement{Step: s.name, Artifact: t.ev.chain.Root(), Status: Unknown, Threshold: s.threshold, By: s.by, Kind: s.kind,
					Reasons: []Reason{t.ev.unseen(fmt.Sprintf("which artifacts play %s cannot be completely seen", s.about))}})
			}
		}
		if len(targets) == 0 && !s.optional {
			st := Fail
			if t.ev.gaps {
				st = Unknown
			}
			t.add(Requirement{Step: s.name, Artifact: t.ev.chain.Root(), Status: st, Threshold: s.threshold, By: s.by, Kind: s.kind,
				Reasons: []Reason{{Code: attest.CodeChainMissing, Why: fmt.Sprintf("no artifact plays %s, which %s is about", s.about, s.name)}}})
		}
		for _, d := range targets {
			r := t.ev.satisfies(s, d)
			t.answers = append(t.answers, r.status)
			t.tell(r)
		}
	}
}

// unseen says what is open because of evidence somewhere in the chain that may be
// missing: by the first gap, and without one because no status covers it all.
func (ev *evaluator) unseen(why string) Reason {
	code := attest.CodeRegUnavailable
	if gaps := ev.chain.Gaps(); len(gaps) > 0 {
		code = gaps[0].Code
	} else if ev.d.status != nil {
		code = attest.CodeStatus
	}
	return Reason{Code: code, Why: why, Next: ev.lookAgain(code)}
}

// denials asks that nothing in the ancestry is on the deny list, as a whole or
// as a file.
func (t *telling) denials() {
	for _, x := range t.ev.d.deny {
		if x.list != "" {
			t.add(t.denylist(x))
			continue
		}
		r := Requirement{Step: StepDeny, Artifact: t.ev.chain.Root(), Status: Pass}
		t.denied(&r, x, x.artifacts, func(attest.Digest) string { return x.reason })
		t.add(r)
	}
}

// denied lowers a requirement for every listed artifact that is in the ancestry.
func (t *telling) denied(r *Requirement, x *denial, artifacts []attest.Digest, reason func(attest.Digest) string) {
	ev := t.ev
	bad := make(map[attest.Digest]bool, len(artifacts))
	for _, d := range artifacts {
		bad[d] = true
	}
	unknown := ev.anyUnproven(x.acknowledge != "")
	for _, d := range ev.chain.Artifacts() {
		// A file that everybody may share is denied all the same: of two exceptions
		// the stricter holds.
		contents, known := ev.contents(d, nil)
		unknown = unknown || !known
		for _, c := range sortedDigests(contents) {
			if !bad[c] {
				continue
			}
			r.Status = Fail
			r.Reasons = append(r.Reasons, Reason{Code: attest.CodeDenied, About: c.String(), Why: fmt.Sprintf("%s is denied (%s), and is, or is in, %s of the ancestry: %s", c.Short(), reason(c), d.Short(), shortPath(ev.chain.Path(d))),
				Next: "make the model without it"})
		}
	}
	if unknown && r.Status != Fail {
		r.Status = Unknown
		r.Reasons = append(r.Reasons, Reason{Code: attest.CodeDenied, Why: "parts of the ancestry could not be seen, and something denied may be among them", Next: ev.unseen("").Next})
	}
}

// inContext reports whether the question is about a context of the policy, or the
// policy tells none apart and none is asked about.
func (ev *evaluator) inContext() bool {
	if len(ev.d.contexts) == 0 {
		return ev.t.Context == ""
	}
	return slices.Contains(ev.p.Contexts(), ev.t.Context)
}

// required reports whether a step about artifacts is required in the context that
// is asked about. A step that no context lists is required in all.
func (ev *evaluator) required(s *step) bool {
	if ev.d.consulted(s.name) {
		return false
	}
	listed := false
	for _, c := range ev.d.contexts {
		in := slices.Contains(c.require, s.name)
		if in && c.name == ev.t.Context {
			return true
		}
		listed = listed || in
	}
	return !listed
}

// tell writes one requirement and those it follows from.
func (t *telling) tell(r *result) {
	k := key{r.step.name, r.artifact}
	if t.told[k] {
		return
	}
	t.told[k] = true
	s := r.step
	req := Requirement{Step: s.name, Artifact: r.artifact, Status: r.status, Threshold: s.threshold, By: s.by, Kind: s.kind, Roles: placesText(s.roles), Select: string(s.selects), Controls: s.controls, Reasons: r.reasons}
	for _, c := range r.selected {
		req.Selected = append(req.Selected, Counted{Payload: c.id.Payload, Credential: c.id.Credential.String(), Principal: c.principal.name, Claims: c.shownClaims(), Claimed: c.claimed().UTC(), Status: c.status()})
		req.Rules = append(req.Rules, c.rules...)
	}
	t.v.Requirements = append(t.v.Requirements, req)
	shown := r.selected
	if len(shown) == 0 {
		shown = r.candidates
	}
	for _, c := range shown {
		if s.produces() && c.status() == Pass && len(c.facts.Inputs) == 0 {
			t.v.Frontier = append(t.v.Frontier, Frontier{Artifact: r.artifact, How: FrontierSigned, Detail: fmt.Sprintf("%s by %s, who names no inputs", s.name, c.principal.name), Observed: true})
		}
	}
	for _, c := range shown {
		for _, cl := range c.claims {
			t.tellClaim(r, cl)
		}
	}
}

func (t *telling) tellClaim(r *result, cl claim) {
	t.v.Lineage = append(t.v.Lineage, Edge{Artifact: r.artifact, Step: r.step.name, Role: cl.input.Role, Input: cl.input.Digest, Name: label(cl.input.Name, cl.input.URI)})
	best := Fail
	for _, name := range cl.line.from {
		best = max(best, t.ev.satisfies(t.ev.d.step(name), cl.input.Digest).status)
	}
	for _, name := range cl.line.from {
		if producer := t.ev.satisfies(t.ev.d.step(name), cl.input.Digest); producer.status == best {
			t.tell(producer)
		}
	}
	if cl.line.policy != "" {
		t.tellOther(cl.line.policy, cl.input.Digest)
	}
	if len(cl.line.from) > 0 || cl.line.policy != "" || cl.status == Fail {
		return
	}
	f := Frontier{Artifact: cl.input.Digest, Role: cl.input.Role, How: FrontierOrigin, Detail: cl.input.URI, Observed: cl.input.Observed}
	switch {
	case cl.line.pin != nil:
		f.How = FrontierPinned
	case cl.line.accept:
		f.How, f.Detail = FrontierAccepted, cl.line.reason
	}
	t.v.Frontier = append(t.v.Frontier, f)
}

func label(name, uri string) string {
	if name != "" {
		return name
	}
	return uri
}

// evidence lists everything that principals of the policy said, selected or not.
func (t *telling) evidence() {
	steps := map[*record][]string{}
	for _, s := range t.ev.d.steps {
		for _, d := range t.ev.chain.Artifacts() {
			if !t.told[key{s.name, d}] {
				continue
			}
			for _, c := range t.ev.satisfies(s, d).selected {
				steps[c.record] = append(steps[c.record], s.name)
			}
		}
	}
	var all []*record
	for _, d := range t.ev.chain.Artifacts() {
		all = append(all, t.ev.records[d]...)
	}
	sortRecords(all)
	for _, r := range all {
		item := Item{Payload: r.id.Payload, Credential: r.id.Credential.String(), Principal: r.principal.name, Claims: r.shownClaims(), Artifact: r.artifact,
			PredicateType: r.e.PredicateType(), BuildType: r.facts.BuildType, Claimed: moment(r.claimed()), Seen: moment(r.seen), Steps: steps[r]}
		if item.Steps == nil {
			item.Steps = []string{}
		}
		t.v.Evidence = append(t.v.Evidence, item)
	}
}

func moment(x time.Time) *time.Time {
	if x.IsZero() {
		return nil
	}
	x = x.UTC()
	return &x
}

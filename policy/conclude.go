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
		At:        ev.t.At.UTC(),
		Known:     ev.t.Known.UTC(),
		Evidence:  []Item{},
		Lineage:   []Edge{},
		Frontier:  []Frontier{},
		Gaps:      []GapRef{},
		NotProven: slices.Clone(notProven[:]),
	}
	t := &telling{ev: ev, v: v, told: map[key]bool{}}
	if ev.t.At.After(d.expires) {
		t.add(Requirement{Step: "policy", Artifact: root, Reasons: []Reason{{Code: attest.CodePolicyExpired, Why: "the policy expired " + stamp(d.expires), Next: "its owners publish a new version with a later metadata.expires"}}})
	}
	t.artifactSteps()
	t.aboutSteps()
	t.denials()
	t.evidence()
	t.close()
	v.Outcome = conclude(t.answers)
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
		if s.produces() || s.name == t.ev.except {
			continue
		}
		targets := t.ev.targets(s)
		if s.about != aboutArtifact {
			maker := t.ev.d.step(s.about)
			targets = slices.DeleteFunc(targets, func(d attest.Digest) bool { return t.ev.satisfies(maker, d).status == Fail })
			if len(targets) > 0 && t.ev.growing[s.about] || len(targets) == 0 && s.optional && t.ev.growing[s.about] {
				t.add(Requirement{Step: s.name, Artifact: t.ev.chain.Root(), Status: Unknown, Threshold: s.threshold, By: s.by, Kind: s.kind,
					Reasons: []Reason{{Code: attest.CodeRegUnavailable, Why: fmt.Sprintf("which artifacts play %s cannot be completely seen", s.about), Next: "verify again when every repository answers"}}})
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

// denials asks that nothing in the ancestry is on the deny list, as a whole or
// as a file.
func (t *telling) denials() {
	ev := t.ev
	for _, x := range ev.d.deny {
		r := Requirement{Step: "deny", Artifact: ev.chain.Root(), Status: Pass}
		unknown := ev.gaps
		for _, d := range ev.chain.Artifacts() {
			contents, known := ev.contents(d)
			unknown = unknown || !known
			for _, bad := range x.artifacts {
				if contents[bad] {
					r.Status = Fail
					r.Reasons = append(r.Reasons, Reason{Code: attest.CodeDenied, About: bad.String(), Why: fmt.Sprintf("%s is denied (%s), and is, or is in, %s of the ancestry", bad.Short(), x.reason, d.Short()),
						Next: "make the model without it"})
				}
			}
		}
		if unknown && r.Status == Pass {
			r.Status = Unknown
			r.Reasons = append(r.Reasons, Reason{Code: attest.CodeDenied, Why: "parts of the ancestry could not be seen, and something denied may be among them", Next: "verify again when every repository answers"})
		}
		t.add(r)
	}
}

// tell writes one requirement and those it follows from.
func (t *telling) tell(r *result) {
	k := key{r.step.name, r.artifact}
	if t.told[k] {
		return
	}
	t.told[k] = true
	s := r.step
	req := Requirement{Step: s.name, Artifact: r.artifact, Status: r.status, Threshold: s.threshold, By: s.by, Kind: s.kind, Select: string(s.selects), Reasons: r.reasons}
	for _, c := range r.selected {
		req.Selected = append(req.Selected, Counted{Payload: c.id.Payload, Credential: c.id.Credential.String(), Principal: c.principal.name, Claimed: c.claimed().UTC(), Status: c.status()})
		req.Rules = append(req.Rules, c.rules...)
	}
	t.v.Requirements = append(t.v.Requirements, req)
	shown := r.selected
	if len(shown) == 0 {
		shown = r.candidates
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
	if len(cl.line.from) > 0 || cl.status == Fail {
		return
	}
	f := Frontier{Artifact: cl.input.Digest, Role: cl.input.Role, How: "origin", Detail: cl.input.URI, Observed: cl.input.Observed}
	switch {
	case cl.line.pin != nil:
		f.How = "pinned"
	case cl.line.accept:
		f.How, f.Detail = "accepted", cl.line.reason
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
		item := Item{Payload: r.id.Payload, Credential: r.id.Credential.String(), Principal: r.principal.name, Artifact: r.artifact,
			PredicateType: r.e.PredicateType(), BuildType: r.facts.BuildType, Claimed: moment(r.claimed()), Seen: moment(r.e.Seen()), Steps: steps[r]}
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

// close adds gaps and acknowledgments, and brings everything into its one order.
func (t *telling) close() {
	v, d := t.v, t.ev.d
	for _, a := range t.ev.chain.Artifacts() {
		for _, g := range t.ev.chain.Artifact(a).Gaps {
			v.Gaps = append(v.Gaps, GapRef{Code: g.Code, Artifact: g.Artifact})
		}
	}
	v.Acknowledged = []Acknowledgment{}
	if d.unsafeTime {
		v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "policy", Rests: "the times that signers claim; nobody authenticated them", Why: "unsafeTime: claimed"})
	}
	for _, s := range d.steps {
		if why := d.absences(s); len(why) > 0 && s.name != t.ev.except {
			v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: s.name, Rests: strings.Join(why, "; "), Why: s.acknowledge})
		}
	}
	for _, x := range d.deny {
		v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "deny", Rests: "nothing denied being hidden", Why: x.acknowledge})
	}
	order := map[string]int{"policy": -1, "deny": len(d.steps)}
	for i, s := range d.steps {
		order[s.name] = i
	}
	slices.SortStableFunc(v.Requirements, func(a, b Requirement) int {
		return cmp.Or(order[a.Step]-order[b.Step], a.Artifact.Compare(b.Artifact))
	})
	slices.SortFunc(v.Lineage, func(a, b Edge) int {
		return cmp.Or(order[a.Step]-order[b.Step], a.Artifact.Compare(b.Artifact), cmp.Compare(a.Role, b.Role), a.Input.Compare(b.Input), cmp.Compare(a.Name, b.Name))
	})
	v.Lineage = slices.Compact(v.Lineage)
	slices.SortFunc(v.Frontier, func(a, b Frontier) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Role, b.Role), cmp.Compare(a.How, b.How), cmp.Compare(a.Detail, b.Detail))
	})
	v.Frontier = slices.Compact(v.Frontier)
	slices.SortFunc(v.Gaps, func(a, b GapRef) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Code, b.Code))
	})
}

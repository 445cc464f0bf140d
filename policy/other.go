package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// An otherKey names one judgment by another policy: each is made once in a
// verdict, however many steps took the artifact.
type otherKey struct {
	place    string // the names by which the policy was come to: on the way, others may revoke
	artifact attest.Digest
}

// An otherAnswer is what another policy says of an artifact.
type otherAnswer struct {
	status  Status
	ev      *evaluator // nil if only a summary was looked at
	verdict *Verdict   // of ev
	against bool       // evidence says no, rather than that some is missing
	first   *Reason    // why it does not pass
	vsa     *record    // the summary that stood in for it; nil if evidence decided
}

// judgedBy answers whether another policy allows an artifact: by the evidence, or
// by a summary that the policy accepts in its place.
func (ev *evaluator) judgedBy(name string, d attest.Digest) *otherAnswer {
	o := ev.d.byPolicy[name]
	k := otherKey{ev.place + "/" + o.name, d}
	if a := ev.shared.others[k]; a != nil {
		return a
	}
	a := &otherAnswer{}
	ev.shared.others[k] = a
	if o.policy != nil {
		ev.judgeOther(o, d, a)
	} else {
		a.first = &Reason{Code: attest.CodeVSA, About: d.String(), Why: fmt.Sprintf("the policy %s accepts only a summary, and there is none", name), Next: o.vsa.ask(d)}
		a.status = ev.unlessGapped(d)
	}
	if a.status != Pass && !a.against && o.vsa != nil {
		ev.summaries(o, d, a)
	}
	return a
}

// judgeOther evaluates the other policy on the part of the chain behind d.
func (ev *evaluator) judgeOther(o *otherPolicy, d attest.Digest, a *otherAnswer) {
	part := ev.chain.From(d)
	if part.Root().IsZero() {
		a.status, a.first = Unknown, &Reason{Code: attest.CodeLimit, About: d.String(), Why: fmt.Sprintf("the walk did not reach %s", d.Short()), Next: ev.lookAgain(attest.CodeLimit)}
		return
	}
	q := ev.t
	q.Context = o.context
	sub := newEvaluator(o.policy, part, q)
	sub.at, sub.upTo = ev.at, ev.upTo // what bounds its answer bounds this one
	sub.above, sub.shared, sub.live = ev, ev.shared, ev.live
	sub.place = ev.place + "/" + o.name
	if o.policy.doc.status != nil {
		sub.place += "@" + d.String() // what it proves depends on whose status it is
	}
	sub.begin()
	a.ev = sub
	v := sub.verdict()
	a.verdict = v
	a.status = map[Outcome]Status{Allow: Pass, Undecided: Unknown, Deny: Fail}[v.Outcome]
	for _, r := range v.Requirements {
		a.against = a.against || r.Status == Fail && slices.ContainsFunc(r.Reasons, func(why Reason) bool { return slices.Contains(saysNo, why.Code) })
		if r.Status != a.status || a.status == Pass || len(r.Reasons) == 0 {
			continue
		}
		// Rather the cause than what follows from it.
		if why := &r.Reasons[0]; a.first == nil || a.first.Because != nil && why.Because == nil {
			a.first = why
		}
	}
}

// saysNo are the codes of reasons that rest on evidence which is there. A summary
// stands in for evidence that cannot be had, and never against what it says.
var saysNo = []attest.Code{
	attest.CodeVeto, attest.CodeRevoked, attest.CodeQuarantined, attest.CodeDenied, attest.CodeRule, attest.CodePolicyEval, attest.CodeConflict, attest.CodeLeakage,
	attest.CodeRollback, attest.CodeFormat, attest.CodeFileExtra, attest.CodePredicateSchema, attest.CodePolicyExpired, attest.CodeNoRule,
	attest.CodeAccess, attest.CodeDelegation,
}

// summaries looks for a verification summary that may stand in: of each verifier,
// the newest about this resource under this policy. Reasons why one may not are
// told: a summary that does not count is somebody's mistake.
func (ev *evaluator) summaries(o *otherPolicy, d attest.Digest, a *otherAnswer) {
	newest := map[*principal][]*record{} // ties all
	for _, r := range ev.records[d] {
		if r.e.PredicateType() != predicate.TypeVSA || !slices.Contains(o.vsa.by, r.principal.name) {
			continue
		}
		if why := ev.notSummary(o, r); why != nil {
			why.Next = o.vsa.ask(d)
			ev.refuseSummary(a, r, why)
			continue
		}
		switch best := newest[r.principal]; {
		case len(best) == 0 || r.claimed().After(best[0].claimed()):
			newest[r.principal] = []*record{r}
		case r.claimed().Equal(best[0].claimed()):
			newest[r.principal] = append(best, r)
		}
	}
	for _, name := range o.vsa.by {
		for i, r := range newest[ev.d.principal(name)] {
			result := textAt(r.facts.Tree, "verificationResult")
			switch {
			case result != predicate.ResultPassed:
				ev.refuseSummary(a, r, &Reason{Why: fmt.Sprintf("its result is %.40q", result)})
				continue
			case o.vsa.lacks(r.facts.Tree) != "":
				ev.refuseSummary(a, r, &Reason{Why: "it does not show the level " + o.vsa.lacks(r.facts.Tree), Next: o.vsa.ask(d)})
				continue
			case r.doubt != nil:
				a.status, a.first = max(a.status, Unknown), r.doubt
				continue
			case ev.unprovenAt(d, o.vsa.acknowledge != ""):
				a.status = max(a.status, Unknown)
				a.first = &Reason{Code: attest.CodeStatus, About: d.String(), Why: fmt.Sprintf("whether %s has a newer summary about it cannot be seen", name), Next: ev.lookAgain(attest.CodeStatus)}
				continue
			case i > 0 || len(newest[r.principal]) > 1 && slices.ContainsFunc(newest[r.principal], func(other *record) bool {
				return textAt(other.facts.Tree, "verificationResult") != predicate.ResultPassed
			}):
				continue // of two at one moment, both must have passed
			}
			a.status, a.first, a.vsa = Pass, nil, r
			return
		}
	}
}

func (ev *evaluator) refuseSummary(a *otherAnswer, r *record, why *Reason) {
	if a.status != Fail {
		return
	}
	why.Code, why.About = attest.CodeVSA, r.id.Payload.String()
	why.Why = fmt.Sprintf("the summary by %s may not stand in: %s", r.principal.name, why.Why)
	a.first = why
}

// ask says who could supply a summary, and how.
func (v *summaryRule) ask(d attest.Digest) string {
	return fmt.Sprintf("ask %s for one about %s: pedigree verify --attest-verdict KEY --verdict-verifier %s --verdict-resource %s; if it is in another repository, name that: --evidence, or evidence in the policy",
		strings.Join(v.by, " or "), d, v.verifier, v.resource)
}

// textAt returns a text in a tree, and "" if there is none.
func textAt(tree map[string]any, way ...string) string {
	for _, k := range way[:len(way)-1] {
		tree, _ = tree[k].(map[string]any)
	}
	s, _ := tree[way[len(way)-1]].(string)
	return s
}

// notSummary returns why a summary is not one of this artifact under the policy
// that it would stand in for, whatever its result.
func (ev *evaluator) notSummary(o *otherPolicy, r *record) *Reason {
	if r.err != nil {
		return &Reason{Why: r.err.Error()}
	}
	tree := r.facts.Tree
	if why := ev.dated(r, ev.at); len(why) > 0 {
		return &why[0]
	}
	uri, context := textAt(tree, "resourceUri"), ""
	if _, after, ok := strings.Cut(textAt(tree, "policy", "uri"), SummaryContext); ok {
		context = after
	}
	switch {
	case r.claimed().IsZero():
		return &Reason{Why: "it does not say when it was verified"}
	case ev.at.older(r.claimed(), o.vsa.maxAge):
		return &Reason{Why: fmt.Sprintf("it is %s old, at most %s are allowed", span(ev.at.age(r.claimed())), span(o.vsa.maxAge))}
	case textAt(tree, "verifier", "id") != o.vsa.verifier:
		return &Reason{Why: fmt.Sprintf("its verifier is %.200q, and must be %q", textAt(tree, "verifier", "id"), o.vsa.verifier)}
	case uri != o.vsa.resource && uri != fmt.Sprintf("oci://%s@%s", o.vsa.resource, r.artifact):
		return &Reason{Why: fmt.Sprintf("it is about the resource %.200q, and must be about %q", uri, o.vsa.resource)}
	case textAt(tree, "policy", "digest", o.digest.Algorithm()) != o.digest.Hex():
		return &Reason{Why: fmt.Sprintf("it was made under another policy than %s", o.digest.Short())}
	case context != o.context:
		return &Reason{Why: fmt.Sprintf("it was made for the context %.60q, and %q is asked for", context, o.context)}
	}
	return nil
}

// lacks returns a level that a summary must show and does not; "" for none.
func (v *summaryRule) lacks(tree map[string]any) string {
	levels, _ := tree["verifiedLevels"].([]any)
	for _, l := range v.levels {
		if !slices.Contains(levels, any(l)) {
			return l
		}
	}
	return ""
}

// SummaryContext stands in a summary's policy.uri before the context that was
// asked about. A summary without it was made for no context.
const SummaryContext = "?context="

// states answers whether the evidence that another policy selected states at least
// a version.
func (a *otherAnswer) states(least version) (st Status, why string) {
	if a.ev == nil || a.vsa != nil {
		return Fail, fmt.Sprintf("a summary states no version, and %s is the least that is accepted", least)
	}
	for _, name := range a.ev.d.artifact {
		for _, c := range a.ev.satisfies(a.ev.d.step(name), a.ev.chain.Root()).selected {
			if low := below(c, least); low != "" {
				why = low
			} else {
				st = max(st, c.status())
			}
		}
	}
	if st == Unknown {
		why = "whether its record counts is open"
	} else if why == "" {
		why = fmt.Sprintf("no record states its version, and %s is the least that is accepted", least)
	}
	return st, why
}

// tellOther tells what another policy asked of an input, once.
func (t *telling) tellOther(name string, d attest.Digest) {
	a := t.ev.judgedBy(name, d)
	k := key{"policy " + name, d}
	if t.told[k] {
		return
	}
	t.told[k] = true
	if a.vsa != nil {
		t.v.Frontier = append(t.v.Frontier, Frontier{Artifact: d, How: FrontierSummary, Detail: fmt.Sprintf("policy %s, by %s", name, a.vsa.principal.name), Observed: true})
		return
	}
	if a.ev == nil {
		return
	}
	v := a.verdict
	prefix := name + "/"
	// Several inputs that one policy judges may share ancestors, about which the
	// next policy was asked: what it says of them is told once.
	var fresh []key
	for _, r := range v.Requirements {
		k := key{prefix + r.Step, r.Artifact}
		if t.told[k] {
			continue
		}
		fresh = append(fresh, k)
		r.Step = k.step
		r.Reasons = slices.Clone(r.Reasons)
		for i := range r.Reasons {
			if b := r.Reasons[i].Because; b != nil {
				r.Reasons[i].Because = &Because{Step: prefix + b.Step, Artifact: b.Artifact}
			}
		}
		t.v.Requirements = append(t.v.Requirements, r)
	}
	for _, k := range fresh {
		t.told[k] = true
	}
	for _, e := range v.Lineage {
		e.Step = prefix + e.Step
		t.v.Lineage = append(t.v.Lineage, e)
	}
	t.v.Frontier = append(t.v.Frontier, v.Frontier...)
	for _, i := range v.Evidence {
		i.Principal = prefix + i.Principal
		i.Steps = slices.Clone(i.Steps)
		for j := range i.Steps {
			i.Steps[j] = prefix + i.Steps[j]
		}
		t.tellItem(i)
	}
	for _, x := range v.Acknowledged {
		x.Where = prefix + x.Where
		if !slices.Contains(t.v.Acknowledged, x) {
			t.v.Acknowledged = append(t.v.Acknowledged, x)
		}
	}
	for _, m := range v.Marks {
		if !slices.Contains(t.v.Marks, m) {
			t.v.Marks = append(t.v.Marks, m)
		}
	}
	t.v.Withdrawn = append(t.v.Withdrawn, v.Withdrawn...)
}

// An itemKey names what somebody said, as a verdict lists it.
type itemKey struct {
	payload, artifact     attest.Digest
	credential, principal string
}

// tellItem lists evidence once, with all steps that it counts for.
func (t *telling) tellItem(i Item) {
	k := itemKey{i.Payload, i.Artifact, i.Credential, i.Principal}
	at, listed := t.items[k]
	if !listed {
		t.items[k] = len(t.v.Evidence)
		t.v.Evidence = append(t.v.Evidence, i)
		return
	}
	steps := &t.v.Evidence[at].Steps
	for _, s := range i.Steps {
		if !slices.Contains(*steps, s) {
			*steps = append(*steps, s)
		}
	}
	slices.Sort(*steps)
}

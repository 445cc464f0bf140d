package policy

import (
	"cmp"
	"slices"
	"strings"
)

// close adds gaps and acknowledgments, and brings everything into its one order.
func (t *telling) close() {
	v, d := t.v, t.ev.d
	for _, a := range t.ev.chain.Artifacts() {
		for _, g := range t.ev.chain.Artifact(a).Gaps {
			v.Gaps = append(v.Gaps, GapRef{Code: g.Code, Artifact: g.Artifact})
		}
	}
	for _, a := range t.ev.chain.ConsultedAll() {
		for _, g := range t.ev.chain.Consulted(a).Gaps {
			v.Gaps = append(v.Gaps, GapRef{Code: g.Code, Artifact: g.Artifact})
		}
	}
	others := v.Acknowledged // what the policies that this one names take on trust
	v.Acknowledged = []Acknowledgment{}
	if d.unsafeTime {
		v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "policy", Rests: "the times that signers claim; nobody authenticated them", Why: "unsafeTime: claimed"})
	}
	for _, s := range d.steps {
		if why := d.absences(s); len(why) > 0 && s.acknowledge != "" && !t.ev.except[s.name] {
			v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: s.name, Rests: strings.Join(why, "; "), Why: s.acknowledge})
		}
	}
	for _, x := range d.deny {
		if x.acknowledge != "" {
			v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "deny", Rests: "nothing denied being hidden", Why: x.acknowledge})
		}
	}
	if len(d.revocation) > 0 && d.revocationAcknowledged() {
		for _, x := range d.revocation {
			v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "revocation", Rests: "no revocation being hidden", Why: x.acknowledge})
		}
	}
	if d.access != nil && d.access.acknowledge != "" {
		v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "access", Rests: "no grant being hidden", Why: d.access.acknowledge})
	}
	for _, o := range d.policies {
		if o.vsa != nil && o.vsa.acknowledge != "" {
			v.Acknowledged = append(v.Acknowledged, Acknowledgment{Where: "policies." + o.name, Rests: "no newer summary being hidden", Why: o.vsa.acknowledge})
		}
	}
	v.Acknowledged = append(v.Acknowledged, others...)
	for _, g := range t.ev.gone {
		v.Withdrawn = append(v.Withdrawn, g.why)
	}
	sortReasons(v.Withdrawn)
	v.Withdrawn = slices.CompactFunc(v.Withdrawn, func(a, b Reason) bool { return a.Code == b.Code && a.About == b.About && a.Why == b.Why })
	order := t.order()
	slices.SortStableFunc(v.Requirements, func(a, b Requirement) int {
		return cmp.Or(order(a.Step)-order(b.Step), a.Artifact.Compare(b.Artifact))
	})
	slices.SortFunc(v.Lineage, func(a, b Edge) int {
		return cmp.Or(order(a.Step)-order(b.Step), strings.Compare(a.Step, b.Step), a.Artifact.Compare(b.Artifact), cmp.Compare(a.Role, b.Role), a.Input.Compare(b.Input), cmp.Compare(a.Name, b.Name))
	})
	v.Lineage = slices.Compact(v.Lineage)
	// What ends by its own maker's word was told without the role in which it was taken.
	for i := range v.Frontier {
		took := slices.IndexFunc(v.Lineage, func(e Edge) bool { return e.Input == v.Frontier[i].Artifact })
		if v.Frontier[i].Role == "" && took >= 0 {
			v.Frontier[i].Role = v.Lineage[took].Role
		}
	}
	slices.SortFunc(v.Frontier, func(a, b Frontier) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Role, b.Role), cmp.Compare(a.How, b.How), cmp.Compare(a.Detail, b.Detail))
	})
	v.Frontier = slices.Compact(v.Frontier)
	slices.SortFunc(v.Gaps, func(a, b GapRef) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), cmp.Compare(a.Code, b.Code))
	})
}

// order returns the order in which a verdict tells what steps say: the policy's
// own validity, the trust and the status, the steps as they are written, what ranges over the
// whole ancestry, and last what other policies asked.
func (t *telling) order() func(step string) int {
	d := t.ev.d
	places := map[string]int{StepPolicy: -3, StepTrust: -2, StepStatus: -1, StepRevocation: len(d.steps), StepDeny: len(d.steps) + 1, StepFormats: len(d.steps) + 2, StepAccess: len(d.steps) + 3}
	for i, s := range d.steps {
		places[s.name] = i
	}
	next := len(d.steps) + 4
	for i, o := range d.policies {
		places[o.name] = next + i
	}
	return func(step string) int {
		first, _, _ := strings.Cut(step, "/")
		return places[first]
	}
}

func sortReasons(rs []Reason) {
	slices.SortFunc(rs, func(a, b Reason) int { return cmp.Or(cmp.Compare(a.About, b.About), cmp.Compare(a.Why, b.Why)) })
}

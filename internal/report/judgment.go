package report

import (
	"cmp"
	"slices"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// maxWhys is how many reasons of one verdict are kept, where verdicts are listed:
// what is behind all of them, pedigree verify tells.
const maxWhys = 12

// JudgmentOf returns a verdict in short, for answers that list many.
func JudgmentOf(p *policy.Policy, v *policy.Verdict) lineage.Judgment {
	out := lineage.Judgment{Outcome: lineage.Outcome(v.Outcome.String())}
	// Causes before what only follows from them, and failures before what is open.
	for _, derived := range []bool{false, true} {
		for _, want := range []policy.Status{policy.Fail, policy.Unknown} {
			for _, r := range v.Requirements {
				if v.Outcome == policy.Allow || r.Status != want || follows(r) != derived || derived && len(out.Why) > 0 {
					continue
				}
				for _, reason := range r.Reasons {
					w := lineage.Why{Step: r.Step, Code: reason.Code, About: reason.About, Why: reason.Why, Open: want == policy.Unknown}
					switch {
					case slices.Contains(out.Why, w):
					case len(out.Why) == maxWhys:
						out.MoreWhy++
					default:
						out.Why = append(out.Why, w)
					}
				}
			}
		}
	}
	for _, r := range v.Requirements {
		typ, own := p.StepPredicate(r.Step)
		if !own || r.Artifact != v.Artifact {
			continue
		}
		made := slices.Contains(p.Judged(), r.Step)
		for _, c := range r.Selected {
			rec := lineage.Record{Payload: c.Payload, Credential: c.Credential, Signer: c.Principal, About: r.Artifact, Type: predicate.Name(typ), Step: r.Step, Counts: []string{r.Step}}
			if !c.Claimed.IsZero() {
				claimed := c.Claimed
				rec.Claimed = &claimed
			}
			switch {
			case c.Status != policy.Pass:
			case made:
				out.MadeBy = append(out.MadeBy, rec)
			case typ == predicate.TypeApproval:
				out.ApprovedBy = append(out.ApprovedBy, rec)
			}
		}
	}
	sortRecords(out.MadeBy)
	sortRecords(out.ApprovedBy)
	return out
}

// sortRecords sorts records by time; what has none comes last.
func sortRecords(rs []lineage.Record) {
	slices.SortFunc(rs, func(a, b lineage.Record) int {
		switch {
		case a.Claimed != nil && b.Claimed != nil && !a.Claimed.Equal(*b.Claimed):
			return a.Claimed.Compare(*b.Claimed)
		case (a.Claimed == nil) != (b.Claimed == nil):
			if a.Claimed == nil {
				return 1
			}
			return -1
		}
		return cmp.Or(a.Payload.Compare(b.Payload), cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Step, b.Step))
	})
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func (a *app) accessCommand() *cobra.Command {
	var g grounds
	var output string
	var timeline bool
	c := &cobra.Command{
		Use:   "access REF",
		Short: "what could a model version or an agent get at, at a time?",
		Long: `Says which tools, secrets (by name), execution paths and data scopes an artifact had
at a time: by the grants about it (pedigree attest access), minus what was revoked. A
grant that was given on counts only together with the grant it was delegated from: by
whom that was for, no more than it gives, and as long as it holds.

With --policy its access block says whose grants count, and its revocation block who
may take them back. With --key everything that these keys signed counts.

Exit status: 0 answered, also if nothing was granted; 3 if something could not be
looked at, with what is known so far.`,
		Example: "  pedigree access ghcr.io/acme/agent:2.1 --policy policy.yaml --at 2026-11-10T12:00:00Z --timeline",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.access(ctx, args[0], g, timeline, output)
		}),
	}
	g.flags(c)
	g.timeFlags(c)
	c.Flags().BoolVar(&timeline, "timeline", false, "draw when each grant was in force")
	c.Flags().StringVar(&output, "output", "text", "text, json, or svg: the timeline as a picture")
	return c
}

func (a *app) access(ctx context.Context, where string, g grounds, timeline bool, output string) error {
	switch output {
	case "text", "svg":
	case "json":
		if timeline {
			return usage("--timeline is a picture; the JSON has the same as spans of each grant")
		}
	default:
		return usage("--output is %q, want text, json or svg", output)
	}
	gr, err := a.ground(ctx, g)
	if err != nil {
		return err
	}
	defer gr.close()
	ref, err := gr.resolve(ctx, where)
	if err != nil {
		return err
	}
	sources, err := gr.sources(ref.Repository)
	if err != nil {
		return err
	}
	chain, err := verify.Walk(ctx, ref.Digest, sources, lineage.AccessScope(gr.scope()))
	if err != nil {
		return err
	}
	a.remarks(chain)
	answer := lineage.Access(chain, gr.accessRules())
	switch output {
	case "json":
		err = report.AccessJSON(a.Stdout, answer)
	case "svg":
		err = report.AccessSVG(a.Stdout, answer)
	default:
		o := a.reportOptions(&found{ref: ref, chain: chain, named: gr.named, notes: gr.notes})
		err = report.AccessText(a.Stdout, answer, timeline, o)
	}
	if err != nil {
		return err
	}
	return incomplete(len(answer.Gaps))
}

// accessRules are who may grant and take back: what the policy says, or else
// everybody who is trusted.
func (gr *ground) accessRules() lineage.AccessRules {
	if gr.policy == nil {
		rules := lineage.AccessRules{At: gr.question.At, Known: gr.question.Known, Reading: gr.reading()}
		anybody := func(string) bool { return true }
		rules.MayGrant, rules.OwnRevoke = anybody, true
		rules.Revokers = []lineage.Revokers{{By: anybody, Targets: []string{predicate.TargetArtifact, predicate.TargetPayload, predicate.TargetKey}, Threshold: 1}}
		return rules
	}
	p := gr.policy
	gr.notes = append(gr.notes, "under the policy "+policyName(p)+"  "+p.Digest().String())
	if p.Bounded() {
		gr.notes = append(gr.notes, "this is what was granted; whether the policy's access block allows it, pedigree verify says")
	} else {
		gr.notes = append(gr.notes, "the policy has no access block: the grants of every principal count")
	}
	rules := policyRules(p)
	rules.At, rules.Known, rules.Reading = gr.question.At, gr.question.Known, gr.reading()
	if rules.OwnRevoke = len(rules.Revokers) > 0; !rules.OwnRevoke {
		gr.notes = append(gr.notes, "the policy does not say who may revoke (revocation), so nothing counts as taken back")
	}
	return rules
}

// policyRules are who is who, whose signatures count, and who may grant and take back
// what others did, by a policy.
func policyRules(p *policy.Policy) lineage.AccessRules {
	var rules lineage.AccessRules
	rules.Who = func(c verify.Credential) string {
		if name := p.Principal(c); name != "" {
			return name
		}
		return c.String() // of another team's policy, that this one names
	}
	rules.Is = p.Is
	rules.Judge = func(e verify.Evidence) (attest.Code, string) { return p.Counts(e) }
	rules.MayGrant = among(p.Grantors())
	for _, v := range p.Revokers() {
		rules.Revokers = append(rules.Revokers, lineage.Revokers{By: among(v.By), Targets: v.Targets, Threshold: v.Threshold})
	}
	return rules
}

// among reports whether a name is one of some.
func among(names []string) func(string) bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return func(s string) bool { return set[s] }
}

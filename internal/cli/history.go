package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// historyFlags are what pedigree history is asked.
type historyFlags struct {
	grounds
	judge, output string
}

// judgeNewest is how many records' artifacts are judged if nobody says otherwise:
// what runs, and what can be gone back to. Each is a whole walk.
const judgeNewest = 20

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	c := &cobra.Command{
		Use:   "history ENVIRONMENT [REPOSITORY…] (--policy P | --key K.pub)",
		Short: "tell what was deployed to an environment, and whether the records hold together",
		Long: `Collects the deployment records of an environment by those whose word counts, and
puts them in order: each names the one before it in the same place. A place is a
cluster and a service, as the record's target says; records without a target are of
one place. Prints what runs there, what ran before, by whom and on which decision.

Whose word counts: with --policy, those who may perform a step of the policy whose
predicate is the deployment record; if it has no such step, every principal. With
--key, those keys. The answer says which. A record that its signer took back, or
whose key was revoked, does not count.

--at tells what ran at another time, and judges as of that time. With --policy the
artifacts of the newest ` + strconv.Itoa(judgeNewest) + ` records of each place are judged; --judge N, all or none changes that.

Exit status: 0 the records hold together; 1 they do not (E_HISTORY: two follow on the
same one, a second first one, times that run backwards, a decision that is a no) or
there are none (E_NOT_FOUND); 3 a record or decision that another one names is not
there, or something could not be looked at. The answer is printed all the same.`,
		Example: "  pedigree history prod ghcr.io/acme/credit --policy policy.yaml --at 2026-05-01T00:00:00Z",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: "of which environment?", Next: "see pedigree history --help"}
			}
			return nil
		},
		RunE: act(func(ctx context.Context, args []string) error {
			return a.history(ctx, args[0], args[1:], f)
		}),
	}
	f.flags(c)
	f.timeFlags(c)
	f.contextFlag(c)
	c.Flags().StringVar(&f.judge, "judge", strconv.Itoa(judgeNewest), "of how many records of each place, the newest, the artifacts are judged under the policy: a `NUMBER`, all or none")
	c.Flags().StringVar(&f.output, "output", "text", "text or json")
	return c
}

// newest reads --judge.
func (f *historyFlags) newest() (int, error) {
	switch n, err := strconv.Atoi(f.judge); {
	case f.judge == "all":
		return -1, nil
	case f.judge == "none":
		return 0, nil
	case err != nil || n < 0:
		return 0, usage("--judge is %q, want a number, all or none", f.judge)
	default:
		return n, nil
	}
}

func (a *app) history(ctx context.Context, environment string, where []string, f historyFlags) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	newest, err := f.newest()
	if err != nil {
		return err
	}
	repos, err := repositories(where)
	if err != nil {
		return err
	}
	gr, err := a.ground(ctx, f.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	if p := gr.policy; p != nil && f.context == "" && slices.Contains(p.Contexts(), environment) {
		gr.question.Context = environment
	}
	l, err := gr.library(ctx, repos)
	if err != nil {
		return err
	}
	find := func(ctx context.Context, yield func(attest.Digest) bool) error {
		return l.Find(ctx, lineage.InEnvironment, environment, yield)
	}
	h, err := lineage.AskHistory(ctx, gr.historyQuestion(environment, find, l.sources, l.scope, a.historySkew(f.at)))
	if err != nil {
		return err
	}
	h.Missed(l.missed)
	if err := nameArtifacts(ctx, h, l); err != nil {
		return err
	}
	answer := report.History{History: h, Counts: gr.whoDeploys().why}
	if gr.policy != nil {
		ref := policyRef(gr.policy)
		answer.Policy, answer.Context = &ref, gr.question.Context
		judge := gr.judge(ctx, l.sources)
		if err := h.Judge(newest, judge); err != nil {
			return err
		}
	}
	if f.output == "json" {
		err = report.HistoryJSON(a.Stdout, answer)
	} else {
		o := a.layout()
		o.Notes = gr.notes
		err = report.HistoryText(a.Stdout, answer, o)
	}
	if err != nil {
		return err
	}
	return historyStatus(h)
}

// historyStatus is what the command ends with, the answer being printed.
func historyStatus(h *lineage.History) error {
	switch {
	case h.Broken():
		return &attest.Refusal{Code: attest.CodeHistory, About: h.Environment, Why: "the records contradict each other, as told above", Next: "find out who deployed outside of the record; a wrong record is taken back by its signer: pedigree revoke REPOSITORY --payload DIGEST"}
	case h.Lacks():
		return incomplete(1)
	case h.Records() == 0:
		return &attest.Refusal{Code: attest.CodeNotFound, About: h.Environment, Why: "nobody whose word counts recorded a deployment there", Next: "check the name and the repositories; pedigree attest deployment makes records"}
	}
	return nil
}

// deployers are those whose deployment records count: of several rules one suffices.
type deployers struct {
	by  []verify.Follow
	why string
}

// whoDeploys says whose deployment records count, and why.
func (gr *ground) whoDeploys() deployers {
	if gr.policy == nil {
		if gr.signers.Anyone {
			return deployers{gr.anybody(), "nobody said who deploys"}
		}
		return deployers{gr.anybody(), "the keys that were named"}
	}
	var d deployers
	for _, name := range gr.policy.StepNames() {
		if s, ok := gr.policy.StepEvidence(name); ok && s.PredicateType == predicate.TypeDeployment {
			d.by = append(d.by, s)
			if d.why != "" {
				d.why += ", "
			}
			d.why += name
		}
	}
	if d.why != "" {
		d.why = "those whom the policy lets perform " + d.why
		return d
	}
	return deployers{gr.anybody(), "every principal of the policy, which has no step for deployments"}
}

// anybody are all whose signatures count.
func (gr *ground) anybody() []verify.Follow {
	f := verify.Follow{ByIdentity: gr.signers.Identities, ByAll: gr.signers.Anyone}
	for _, k := range gr.signers.Keys {
		f.By = append(f.By, verify.KeyCredential(k))
	}
	return []verify.Follow{f}
}

// clockSkew is how far two honest clocks may be apart, as policies have it.
const clockSkew = 5 * time.Minute

// historySkew is how much later than now a record may claim to be. Who asks about
// another time means that time.
func (a *app) historySkew(at string) time.Duration {
	if at == "" {
		return clockSkew
	}
	return 0
}

// historyQuestion asks for the records of an environment.
func (gr *ground) historyQuestion(environment string, find func(context.Context, func(attest.Digest) bool) error, sources []verify.Source, scope verify.Scope, skew time.Duration) lineage.HistoryQuestion {
	q := lineage.HistoryQuestion{
		Environment: environment, At: gr.question.At, Known: gr.question.Known, Skew: skew,
		Find: find, By: gr.whoDeploys().by, Sources: sources, Scope: scope, Reading: gr.reading(),
	}
	if gr.policy != nil {
		rules := policyRules(gr.policy)
		q.Who, q.Revokers, q.Judge = rules.Who, rules.Revokers, rules.Judge
	}
	return q
}

// nameArtifacts gives artifacts the names that the repositories have for them.
func nameArtifacts(ctx context.Context, h *lineage.History, l *library) error {
	names := map[attest.Digest][]string{}
	for _, p := range h.Places {
		for _, r := range p.Records {
			names[r.Artifact] = nil
		}
	}
	for _, repo := range l.repos {
		err := l.Held(ctx, repo, func(held attest.Held) bool {
			if list, asked := names[held.Digest]; asked {
				for _, tag := range held.Tags {
					if len(l.repos) > 1 {
						tag = repo.String() + ":" + tag
					}
					if !slices.Contains(list, tag) {
						list = append(list, tag)
					}
				}
				names[held.Digest] = list
			}
			return ctx.Err() == nil
		})
		if ctx.Err() != nil {
			return fmt.Errorf("looking up names: %w", ctx.Err())
		}
		if err != nil {
			continue // only names are missing; what else is, the answer has as gaps
		}
	}
	h.Name(func(d attest.Digest) []string {
		slices.Sort(names[d])
		return names[d]
	})
	return nil
}

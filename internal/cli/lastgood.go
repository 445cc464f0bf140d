package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// lastGoodFlags are what pedigree last-good is asked.
type lastGoodFlags struct {
	grounds
	before, environment, output string
	limit                       int
}

// judgeLimit is how many versions are judged if nobody says otherwise. Each is a
// whole walk; a thousand of them take minutes from a registry, and whoever has a
// thousand bad versions in a row has another problem.
const judgeLimit = 1000

func (a *app) lastGoodCommand() *cobra.Command {
	var f lastGoodFlags
	c := &cobra.Command{
		Use:   "last-good REPOSITORY --policy P",
		Short: "find the newest version that satisfies the policy now",
		Long: `Judges the versions that a repository holds, the newest first, until one satisfies
the policy now, with all that was revoked since. Prints that version, who made and
approved it, why each newer one is not good, and how to verify and to deploy it.

A version is an artifact that somebody signed to have made by a step that the policy
judges. Its age is what the record of its making claims, bounded by trusted times;
tags and their names have no part in it. Artifacts without such a record are listed,
and never the answer. --before leaves out what was made at that time or later.

With --environment, or a --context of that name, the deployment records of the
environment are read too: the newest good version that ran there before what runs
there now is the one to roll back to.

Exit status: 0 a good version was found, 1 none is good (E_LAST_GOOD), 3 none is
known to be good, and not everything could be looked at. With 0, versions that are
UNDECIDED may be newer; the answer says so.`,
		Example: "  pedigree last-good ocidir://registry --policy policy.yaml --before 2026-05-01T00:00:00Z",
		Args:    arguments("REPOSITORY"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.lastGood(ctx, args[0], f)
		}),
	}
	f.flags(c)
	f.timeFlags(c)
	f.contextFlag(c)
	fl := c.Flags()
	fl.StringVar(&f.before, "before", "", "only versions made before this time, as 2026-05-01T00:00:00Z")
	fl.StringVar(&f.environment, "environment", "", "read what was deployed to this environment (default: the one --context names)")
	fl.IntVar(&f.limit, "limit", judgeLimit, "how many versions are judged at most")
	fl.StringVar(&f.output, "output", "text", "text or json")
	return c
}

// check reads the flags that stand for something else.
func (f *lastGoodFlags) check() (before time.Time, err error) {
	if err := checkOutput(f.output); err != nil {
		return time.Time{}, err
	}
	if f.policy == "" {
		return time.Time{}, &attest.Refusal{Code: attest.CodeUsage, About: "--policy", Why: "good under which policy?", Next: "name it: --policy FILE"}
	}
	if f.limit < 1 {
		return time.Time{}, usage("--limit is %d; at least one version is to be judged", f.limit)
	}
	f.context = strings.TrimPrefix(f.context, "env=")
	if f.environment == "" {
		f.environment = f.context
	}
	if f.before != "" {
		return parseTime("--before", f.before)
	}
	return time.Time{}, nil
}

// inContext refuses a question that the policy has no answer to, whichever version
// it is about.
func (f *lastGoodFlags) inContext(p *policy.Policy) error {
	has := p.Contexts()
	switch {
	case f.context == "" && len(has) > 0:
		return &attest.Refusal{Code: attest.CodeUsage, About: "--context", Why: "the policy tells contexts apart; good for which?", Next: "one of " + strings.Join(has, ", ")}
	case f.context != "":
		_, err := contextOf(p, f.context)
		return err
	}
	return nil
}

func (a *app) lastGood(ctx context.Context, where string, f lastGoodFlags) error {
	before, err := f.check()
	if err != nil {
		return err
	}
	repo, err := attest.ParseRepository(where)
	if err != nil {
		return &statusError{exitUsage, err}
	}
	gr, err := a.ground(ctx, f.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	if err := f.inContext(gr.policy); err != nil {
		return err
	}
	// Once for all versions: what a repository lists is listed for the first of them.
	sources, err := gr.sources(repo)
	if err != nil {
		return err
	}
	sources = wearySources(sources)
	versions, err := gr.versions(ctx, repo, sources)
	if err != nil {
		return err
	}
	q := lineage.LastGoodQuestion{Versions: versions, Before: before, Limit: f.limit}
	if f.environment != "" {
		h, err := lineage.AskHistory(ctx, gr.historyQuestion(f.environment, gr.deployed(f.environment, versions), sources, gr.scope(), a.historySkew(f.at)))
		if err != nil {
			return err
		}
		q.Places = h.Places
		for _, g := range h.Gaps {
			if !slices.Contains(versions.Gaps, g) {
				a.note("what was deployed to %s could not be completely looked at: %s beside %s", attest.Printable(f.environment), g.Code, g.Artifact.Short())
			}
		}
	}
	judge := gr.judge(ctx, sources)
	q.Judge = func(v lineage.Version) (lineage.Judgment, error) { return judge(v.Digest) }
	found, err := lineage.FindLastGood(q)
	if err != nil {
		return err
	}
	answer := report.LastGood{Repository: repo.String(), Policy: policyRef(gr.policy), At: gr.question.At, Known: gr.question.Known, Context: gr.question.Context, Environment: f.environment, LastGood: found}
	if !before.IsZero() {
		answer.Before = &before
	}
	answer.Commands, answer.RollbackCommands = f.commands(repo, found)
	if err := a.tellLastGood(answer, gr, f.output); err != nil {
		return err
	}
	return lastGoodStatus(repo, gr, found)
}

// lastGoodStatus is what the command ends with, the answer being printed.
func lastGoodStatus(repo attest.Repository, gr *ground, found *lineage.LastGood) error {
	switch {
	case found.Found != nil && found.Found.Outcome == lineage.OutcomeAllow:
		return answer(policy.Allow)
	case found.Open():
		return incomplete(1)
	}
	r := &attest.Refusal{Code: attest.CodeLastGood, About: repo.String()}
	switch {
	case len(found.Newer) > 0:
		r.Why = fmt.Sprintf("none of %d versions satisfies %s", len(found.Newer), gr.policy.Name())
		r.Next = "see why: " + shellWords(append([]string{"pedigree", "verify", repo.At(found.Newer[0].Digest).String(), "--policy", gr.named}, gr.besides...))
	case found.TooNew > 0:
		r.Why = fmt.Sprintf("no version was made before that time; %d were made later", found.TooNew)
	default:
		r.Why = "there is no version that " + gr.policy.Name() + " judges"
	}
	return r
}

func (a *app) tellLastGood(l report.LastGood, gr *ground, output string) error {
	if output == "json" {
		return report.LastGoodJSON(a.Stdout, l)
	}
	o := a.layout()
	o.Notes = gr.notes
	return report.LastGoodText(a.Stdout, l, o)
}

// versions lists what a repository holds: in the index if there is one.
func (gr *ground) versions(ctx context.Context, repo attest.Repository, sources []verify.Source) (*lineage.Versions, error) {
	held := func(ctx context.Context, yield func(attest.Held) bool) error {
		if gr.index != nil {
			return gr.index.Held(ctx, repo, yield)
		}
		v, err := gr.view(repo)
		if err != nil {
			return err
		}
		// What a registry holds under no tag is no version that anybody could name.
		_, err = v.Held(ctx, yield)
		return err
	}
	q := lineage.VersionsQuestion{Held: held, Sources: sources, Scope: gr.scope(), Known: gr.question.Known, Reading: gr.reading()}
	for _, name := range gr.policy.Judged() {
		if step, ok := gr.policy.StepEvidence(name); ok {
			q.Made = append(q.Made, step)
		}
	}
	return lineage.ListVersions(ctx, q)
}

// deployed leads to the records of an environment: by the index, or else beside the
// versions, which were looked at.
func (gr *ground) deployed(environment string, versions *lineage.Versions) func(context.Context, func(attest.Digest) bool) error {
	return func(ctx context.Context, yield func(attest.Digest) bool) error {
		for _, d := range versions.Deployed {
			if !yield(d) {
				return nil
			}
		}
		if gr.index == nil {
			return nil
		}
		return gr.index.Find(ctx, lineage.InEnvironment, environment, yield)
	}
}

// judge returns what judges an artifact under the policy, by evidence from sources.
func (gr *ground) judge(ctx context.Context, sources []verify.Source) func(attest.Digest) (lineage.Judgment, error) {
	scope := gr.scope()
	return func(d attest.Digest) (lineage.Judgment, error) {
		chain, err := verify.Walk(ctx, d, sources, scope)
		if err != nil {
			return lineage.Judgment{}, err
		}
		return report.JudgmentOf(gr.policy, gr.policy.Evaluate(chain, gr.question)), nil
	}
}

// policyRef names a policy as verdicts do.
func policyRef(p *policy.Policy) policy.PolicyRef {
	return policy.PolicyRef{Name: p.Name(), Version: p.Version(), Digest: p.Digest(), Expires: p.Expires().UTC()}
}

// commands are how to verify and to deploy what was found, and what can be rolled
// back to: in the order of the places, where that is something else.
func (f *lastGoodFlags) commands(repo attest.Repository, l *lineage.LastGood) (good []string, back [][]string) {
	good, back = []string{}, [][]string{}
	reason := predicate.DeployPromote
	for _, r := range l.Rollback {
		var list []string
		switch {
		case r.Target == nil:
		case l.Found != nil && l.Found.Digest == r.Target.Digest:
			reason = predicate.DeployRollback
		default:
			list = f.deploying(repo.At(r.Target.Digest), predicate.DeployRollback, r.Place)
		}
		back = append(back, list)
	}
	if l.Found != nil {
		var place lineage.Place
		if len(l.Rollback) == 1 {
			place = l.Rollback[0].Place
		}
		good = f.deploying(repo.At(l.Found.Digest), reason, place)
		if len(l.Rollback) > 0 && !slices.ContainsFunc(l.Rollback, func(r lineage.Rollback) bool { return r.Running != l.Found.Digest }) {
			good = good[:2] // it runs everywhere: there is nothing to record
		}
	}
	return good, back
}

// deploying are the commands that verify, fetch and record one artifact.
func (f *lastGoodFlags) deploying(ref attest.Reference, reason string, place lineage.Place) []string {
	verify := []string{"pedigree", "verify", ref.String(), "--policy", f.policy}
	if f.roots != "" {
		verify = append(verify, "--policy-roots", f.roots)
	}
	verify = append(verify, f.trustWords()...)
	if f.context != "" {
		verify = append(verify, "--context", f.context)
	}
	for _, e := range f.evidence {
		verify = append(verify, "--evidence", e)
	}
	out := []string{shellWords(verify), shellWords([]string{"pedigree", "pull", ref.String(), "--to", "DIR"})}
	if f.environment == "" {
		return out
	}
	record := []string{"pedigree", "attest", "deployment", ref.String(), "--environment", f.environment}
	if place != (lineage.Place{}) {
		// A cluster with a slash in its name would be another place.
		if same, ok := parsePlace(place.String()); !ok || same != place {
			return append(out, "# no --target can name this place: record it with pedigree attest --type deployment")
		}
		record = append(record, "--target", place.String())
	}
	record = append(record, "--reason", reason, "--loaded", "DIR", "--policy", f.policy)
	return append(out, shellWords(append(append(record, f.trustWords()...), "--key", "KEY")))
}

// shellWords writes a command so that a shell reads these words.
func shellWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("@%_+=:,./-", r))
		}) {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

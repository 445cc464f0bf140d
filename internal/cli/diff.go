package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/step"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/internal/rows"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A diffRequest is what diff is asked.
type diffRequest struct {
	refs     []string
	deployed string
	git      string
	output   string
	grounds
}

func (a *app) diffCommand() *cobra.Command {
	var r diffRequest
	c := &cobra.Command{
		Use:   "diff (A B | --deployed PLACE REF) (--policy FILE | --key FILE.pub…)",
		Short: "what changed between two artifacts, and who approved it; or whether what runs is the approved thing",
		Long: `Compares the chains behind two artifacts, in one repository or two: what was added,
removed or replaced among their inputs, down to files, and to rows of lock files and of
JSON and YAML files; from which commit to which; parameters; what was measured, with
exact deltas by slice; who signed, who approved, under which policy. What both have in
common is counted. Every line names its records by number; the list at the end has
their payload digests and signers.

With --policy the policy's principals are believed and its verdict about each of the
two is stated. With --key no policy has a say. --git DIR, a local clone of the code's
repository, lists the commits of a range, and finds the lock files that lie in it. With
--index no registry is asked, so that rows are compared only of files in the clone.

--deployed compares what runs with the artifact REF, file by file: PLACE is a folder,
or a reference (HOST/REPOSITORY:TAG or ocidir://FOLDER:TAG), of which is taken what it
names now. Every file is read to its end. It says which are the artifact's, which
are not and where their bytes are known from, and whether the policy allows REF.
A folder whose name looks like a reference is written ./FOLDER.

Exit status of A B: 0 everything could be looked at, 3 something could not.
Of --deployed: 0 every file is the artifact's and the policy says ALLOW; 1 a file is
not, or DENY; 3 UNDECIDED, no policy was asked, or something could not be read.`,
		Example: `  pedigree diff ocidir://registry:v1 ocidir://registry:v2 --policy policy.yaml --git code
  pedigree diff --deployed /srv/model registry.example/acme/credit:v1 --policy policy.yaml
  pedigree diff --deployed registry.example/acme/credit:prod registry.example/acme/credit:v1 --policy policy.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if r.deployed != "" {
				return arguments("REF")(c, args)
			}
			return arguments("A", "B")(c, args)
		},
		RunE: act(func(ctx context.Context, args []string) error {
			r.refs = args
			if r.deployed != "" {
				return a.deployed(ctx, r)
			}
			return a.diff(ctx, r)
		}),
	}
	r.grounds.flags(c)
	r.timeFlags(c)
	r.contextFlag(c)
	c.Flags().StringVar(&r.deployed, "deployed", "", "compare what runs in this `PLACE`, a folder or a reference, with the artifact")
	c.Flags().StringVar(&r.git, "git", "", "look for commits and lock files in this local clone (`DIR`)")
	c.Flags().StringVar(&r.output, "output", "text", "text or json")
	return c
}

func (a *app) diff(ctx context.Context, r diffRequest) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	gr, err := a.ground(ctx, r.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	history, err := a.commits(ctx, r.git)
	if err != nil {
		return err
	}
	var chains [2]verify.Chain
	var sides [2]lineage.SideOptions
	var own []attest.Repository
	for i, s := range r.refs {
		ref, err := gr.artifact(ctx, s)
		if err != nil {
			return err
		}
		if chains[i], err = gr.walk(ctx, ref); err != nil {
			return err
		}
		sides[i] = gr.side(ref, chains[i], gr.question)
		own = append(own, ref.Repository)
	}
	o := lineage.DiffOptions{Reading: gr.reading(), A: sides[0], B: sides[1]}
	if o.Content, err = gr.contents(own, history, chains[:]...); err != nil {
		return err
	}
	if history != nil {
		o.Commits = func(ctx context.Context, _ string, from, to attest.Digest) (*lineage.CommitRange, error) {
			return commitRange(ctx, history, from, to)
		}
	}
	d, err := lineage.Diff(ctx, chains[0], chains[1], o)
	if err != nil {
		return err
	}
	if err := a.writeDiff(d, chains, gr, r.output); err != nil {
		return err
	}
	return incomplete(len(d.A.Gaps) + len(d.B.Gaps) + len(d.Gaps))
}

func (a *app) writeDiff(d *lineage.Difference, chains [2]verify.Chain, gr *ground, output string) error {
	if output == "json" {
		return a.writeJSON(d)
	}
	var o report.Options
	for i, c := range chains {
		side := a.reportOptions(&found{chain: c, notes: gr.notes})
		if i == 0 {
			o = side
		} else {
			o.Unseen = append(o.Unseen, side.Unseen...)
		}
	}
	return report.Diff(a.Stdout, d, o)
}

// artifact resolves a reference to an artifact that is there.
func (gr *ground) artifact(ctx context.Context, s string) (attest.Reference, error) {
	ref, err := gr.resolve(ctx, s)
	if err == nil {
		err = gr.exists(ctx, ref)
	}
	return ref, err
}

// maxWhy is how many of a policy's reasons an answer repeats; pedigree verify has
// them all.
const maxWhy = 5

// side is what the policy says of one artifact, if one was asked.
func (gr *ground) side(ref attest.Reference, chain verify.Chain, q policy.Question) lineage.SideOptions {
	o := lineage.SideOptions{Reference: ref.String(), Trust: gr.trust()}
	if gr.policy == nil {
		return o
	}
	v := gr.policy.Evaluate(chain, q)
	o.Trust.Outcome = v.Outcome.String()
	o.Counts = gr.counts(v)
	o.Why = whyNot(v)
	return o
}

// whyNot returns a verdict's first reasons for not being an ALLOW.
func whyNot(v *policy.Verdict) []string {
	if v.Outcome == policy.Allow {
		return nil
	}
	var out []string
	for _, r := range v.Requirements {
		// Of a denial what fails says why, and not what is open besides.
		if r.Status == policy.Pass || v.Outcome == policy.Deny && r.Status != policy.Fail {
			continue
		}
		for _, reason := range r.Reasons {
			why := fmt.Sprintf("%s of %s: %s %s", r.Step, r.Artifact.Short(), reason.Code, reason.Why)
			if reason.Because == nil && !slices.Contains(out, why) {
				out = append(out, why)
			}
		}
	}
	if more := len(out) - maxWhy; more > 0 {
		out = append(out[:maxWhy:maxWhy], fmt.Sprintf("… and %d more reasons: pedigree verify", more))
	}
	return out
}

// counts returns which steps of the policy selected a piece of evidence.
func (gr *ground) counts(v *policy.Verdict) func(verify.ID) []string {
	type spelled struct {
		payload    attest.Digest
		credential string
	}
	counts := make(map[spelled][]string, len(v.Evidence))
	for _, item := range v.Evidence {
		id := spelled{item.Payload, item.Credential}
		for _, step := range item.Steps {
			if !slices.Contains(counts[id], step) {
				counts[id] = append(counts[id], step)
			}
		}
	}
	return func(id verify.ID) []string {
		if steps := counts[spelled{id.Payload, id.Credential.String()}]; steps != nil {
			return steps
		}
		return []string{} // nothing counts it, which is not the same as that nobody was asked
	}
}

// commits opens the clone that --git names; nil if it names none.
func (a *app) commits(ctx context.Context, dir string) (*step.History, error) {
	if dir == "" {
		return nil, nil
	}
	return step.OpenHistory(ctx, a.Env, dir)
}

// maxContentCommits is in how many commits a lock file is looked for.
const maxContentCommits = 32

// contents returns how the bytes of a small file are found: in the repositories
// that evidence is looked for in, and of a file that lies in the code, in the clone.
// An index has no files: they come from the repositories, which need not answer then.
func (gr *ground) contents(own []attest.Repository, history *step.History, chains ...verify.Chain) (func(context.Context, attest.File) ([]byte, error), error) {
	places, _, err := gr.places(own...)
	if err != nil {
		return nil, err
	}
	var commits []attest.Digest
	for _, c := range chains {
		for _, d := range c.Artifacts() {
			if d.IsCommit() && !slices.Contains(commits, d) && len(commits) < maxContentCommits {
				commits = append(commits, d)
			}
		}
	}
	return func(ctx context.Context, f attest.File) ([]byte, error) {
		var unseen error
		for _, place := range places {
			repo, err := gr.repository(place)
			if err != nil {
				return nil, err
			}
			b, err := repo.Blob(ctx, f.Digest, rows.MaxBytes)
			if err == nil || attest.RefusalCode(err) == attest.CodeLimit {
				return b, err
			}
			if !errors.Is(err, attest.ErrAbsent) {
				unseen = err
			}
		}
		for _, c := range commits {
			if history == nil {
				break
			}
			b, err := history.File(ctx, c, path.Base(f.Path), f.Digest, rows.MaxBytes)
			if err == nil {
				return b, nil
			}
			if !errors.Is(err, attest.ErrAbsent) {
				unseen = err
			}
		}
		if unseen != nil && gr.index == nil {
			return nil, unseen
		}
		// Who asks an index may have no registry at hand: then the rows are missing, as of
		// any file whose bytes nobody has, and the answer is complete without them.
		return nil, attest.ErrAbsent
	}, nil
}

// commitRange asks a clone what lies between two commits.
func commitRange(ctx context.Context, history *step.History, from, to attest.Digest) (*lineage.CommitRange, error) {
	r, err := history.Between(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out := &lineage.CommitRange{
		Relation: lineage.CommitDiverged, Missing: r.Missing, Shallow: r.Shallow,
		Gained: commitsOf(r.Gained), GainedCount: r.GainedCount, Lost: commitsOf(r.Lost), LostCount: r.LostCount, PathsMore: r.PathCount - len(r.Paths),
	}
	switch {
	case len(r.Missing) > 0:
		out.Relation = lineage.CommitUnknown
	case r.Newer:
		out.Relation = lineage.CommitNewer
	case r.Older:
		out.Relation = lineage.CommitOlder
	}
	for _, p := range r.Paths {
		how := lineage.HowChanged
		switch p.Status {
		case "A":
			how = lineage.HowAdded
		case "D":
			how = lineage.HowRemoved
		}
		out.Paths = append(out.Paths, lineage.PathChange{How: how, Path: p.Path})
	}
	return out, nil
}

func commitsOf(list []step.Commit) []lineage.Commit {
	var out []lineage.Commit
	for _, c := range list {
		out = append(out, lineage.Commit(c))
	}
	return out
}

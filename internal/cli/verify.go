package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A question is what verify and approve ask: which artifact, under which policy,
// about when, with which further evidence.
type question struct {
	ref      string
	policy   string
	at       string
	known    string
	evidence []string
	context  string
	dir      string
	view     view
	policyTrust
}

func (a *app) verifyCommand() *cobra.Command {
	var q question
	var as signedVerdict
	var out verdictOutput
	c := &cobra.Command{
		Use:   "verify REF --policy FILE",
		Short: "judge an artifact's whole chain against a policy",
		Long: `Walks from the artifact back through everything that was signed about it and its
ancestors, and judges the chain against the policy.

Exit status: 0 ALLOW, 1 DENY, 2 wrong command line, policy or key, 3 UNDECIDED,
4 a bug. Nothing but ALLOW gives 0.

--evidence adds a folder of bundles, a .jsonl file with one bundle a line, or a
repository (HOST/REPOSITORY or ocidir://FOLDER), each as untrusted as the
artifact's own. A folder whose name looks like a repository is written ./FOLDER.

--why shows one artifact's place in the chain instead: the way to it, what it
plays, who signed what about it, what is missing. --controls shows which signed
evidence answers which control. The exit status is the verdict's all the same.

--policy takes a file, or a reference to a signed policy in a registry; by a tag
only with --policy-roots. --state remembers the highest version of the policy, and
the highest sequence of every status and deny list, that was seen.

--attest-verdict signs an ALLOW or a DENY as a SLSA verification summary, which the
policies of others can take in place of the evidence (policies: {NAME: {vsa: …}}).
They name who verified and what: --verdict-verifier, --verdict-resource.

--output junit and sarif are for CI: a test for each requirement, a finding for each
reason. --report writes the same verdict into a file besides, in any of the forms, so
that what is published is what the exit status says. If no verdict is reached, junit
and sarif say why, too.`,
		Example: "  pedigree verify ocidir://registry:model --policy policy.yaml",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			q.ref = args[0]
			return a.verify(ctx, q, out, as)
		}),
	}
	q.flags(c)
	q.stateFlag(c)
	q.askedFlags(c)
	q.view.flags(c)
	c.Flags().StringVar(&q.at, "at", "", "the time the question is about, as 2026-05-01T00:00:00Z (default: now)")
	c.Flags().StringVar(&q.known, "known", "", "use only evidence seen by this time (default: --at)")
	out.flags(c)
	as.flags(c)
	return c
}

func (q *question) flags(c *cobra.Command) {
	c.Flags().StringVar(&q.policy, "policy", "", "the policy: a `FILE`, or a reference to a signed one")
	q.policyTrust.flags(c)
	c.Flags().StringArrayVar(&q.evidence, "evidence", nil, "a further source of evidence: a folder, a .jsonl file or a repository (repeatable)")
	required(c, "policy")
}

// askedFlags are about what is judged, and where it is to be used.
func (q *question) askedFlags(c *cobra.Command) {
	c.Flags().StringVar(&q.context, "context", "", "the environment that is asked about: one of the policy's contexts")
	c.Flags().StringVar(&q.dir, "dir", "", "the `FOLDER` with the artifact's files: read, compared with the artifact, and looked at for their formats")
}

func (a *app) verify(ctx context.Context, q question, out verdictOutput, as signedVerdict) error {
	if err := out.check(q.view); err != nil {
		return err
	}
	told, err := a.judge(ctx, q, out, as)
	if err != nil && !told {
		return a.tellRefusal(out, err)
	}
	return err
}

// judge reaches the verdicts, and reports whether they were told.
func (a *app) judge(ctx context.Context, q question, out verdictOutput, as signedVerdict) (told bool, err error) {
	// Asked for first: a verdict that cannot be signed is not worth a walk.
	if err := as.load(ctx, a, q.trustSource); err != nil {
		return false, err
	}
	in, err := a.ask(ctx, q)
	if err != nil {
		return false, err
	}
	if err := q.view.check(in); err != nil {
		return false, err
	}
	if err := in.inspect(ctx, q.dir); err != nil {
		return false, err
	}
	judged := make([]judgment, 0, len(in.targets))
	for _, ref := range in.targets {
		f, err := in.look(ctx, ref)
		if err != nil {
			return false, err
		}
		judged = append(judged, judgment{f, f.policy.Evaluate(f.chain, f.times)})
	}
	if err := in.remember(judged); err != nil {
		return false, err
	}
	if err := a.writeReports(out.reports, in, judged); err != nil {
		return false, err
	}
	outcome, err := a.tellView(q.view, in, judged, out.output)
	if err != nil {
		return false, err
	}
	for _, j := range judged {
		if err := a.attestVerdict(ctx, j.found, j.verdict, as); err != nil {
			return true, err
		}
	}
	return true, answer(outcome)
}

// remember keeps what was seen, where --state says to.
func (in *inquiry) remember(judged []judgment) error {
	var verdicts []*policy.Verdict
	for _, j := range judged {
		verdicts = append(verdicts, j.verdict)
	}
	return in.trust.remember(in.policy, verdicts)
}

// A judgment is the verdict about one artifact.
type judgment struct {
	*found
	verdict *policy.Verdict
}

// tell writes the verdicts and returns the outcome that the command ends with: of
// an index, the least of its artifacts'.
func (a *app) tell(in *inquiry, judged []judgment, output string) (policy.Outcome, error) {
	x := together(in, judged)
	return x.Outcome, a.writeVerdicts(a.Stdout, in, x, judged[0].found, output, a.reportOptions(judged[0].found))
}

// found is everything that a verdict is made of.
type found struct {
	policy *policy.Policy
	repo   *oci.Repository
	ref    attest.Reference // with the digest
	chain  verify.Chain
	times  policy.Question
	named  string // how the caller named the policy
	trust  string // and the trust file; "" for none
	notes  []string
}

// An inquiry is what a question is about, before anything was looked up: one
// artifact, or the artifacts that an index lists.
type inquiry struct {
	app     *app
	policy  *policy.Policy
	trust   policyTrust
	named   string
	repo    *oci.Repository
	sources []verify.Source
	times   policy.Question
	notes   []string
	index   attest.Digest      // zero: the reference is to an artifact
	targets []attest.Reference // with digests, at least one
	also    []attest.Digest    // to consult besides, where the policy asks what was revoked
}

// ask loads the policy and resolves the reference, once.
func (a *app) ask(ctx context.Context, q question) (*inquiry, error) {
	times, notes, err := a.times(q)
	if err != nil {
		return nil, err
	}
	times.Context = q.context
	remembered, err := a.recall(&q.policyTrust)
	if err != nil {
		return nil, err
	}
	times.Remembered, times.Stateful = q.marks, q.state != nil
	p, text, signed, err := a.trustedPolicy(ctx, q.policy, &q.policyTrust)
	if err != nil {
		return nil, err
	}
	notes = append(append(notes, remembered...), signed...)
	if err := valid(p, q.policy, times.At); err != nil {
		return nil, err
	}
	repo, ref, err := a.resolve(ctx, q.ref, nil)
	if err != nil {
		return nil, err
	}
	in := &inquiry{app: a, policy: p, trust: q.policyTrust, named: q.policy, repo: repo, times: times, notes: notes, targets: []attest.Reference{ref}}
	// A registry lists what refers to a manifest whether or not it holds it.
	b, err := manifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	if attest.IsIndex(b) {
		if err := in.children(ctx, ref, b); err != nil {
			return nil, err
		}
	}
	sources, more, err := a.sources(repo, p, text, q.evidence)
	if err != nil {
		return nil, err
	}
	in.sources, in.notes = sources, append(in.notes, more...)
	return in, nil
}

// children makes the artifacts of an index the targets: what is said about an
// index is said about none of them, and whoever pulls it gets one of them. An
// index in an index is refused; nothing that runs models needs one.
func (in *inquiry) children(ctx context.Context, ref attest.Reference, b []byte) error {
	list, err := attest.ParseIndex(b)
	if err != nil {
		return err
	}
	in.index, in.targets = ref.Digest, nil
	for _, d := range list {
		child := ref.Repository.At(d.Digest)
		b, err := manifest(ctx, in.repo, child)
		if err != nil {
			return err
		}
		if attest.IsIndex(b) {
			return &attest.Refusal{Code: attest.CodeRegManifest, About: d.Digest.String(), Why: "an index within an index", Next: "name one of its manifests by digest"}
		}
		in.targets = append(in.targets, child)
	}
	return nil
}

// look walks the chain behind one of the targets.
func (in *inquiry) look(ctx context.Context, ref attest.Reference) (*found, error) {
	scope := in.policy.Scope()
	scope.Trust = in.trust.believed
	if scope.Consult {
		scope.Also = append(scope.Also, in.also...)
	}
	chain, err := verify.Walk(ctx, ref.Digest, in.sources, scope)
	if err != nil {
		return nil, err
	}
	in.app.remarks(chain)
	return &found{in.policy, in.repo, ref, chain, in.times, in.named, in.trust.file, in.notes}, nil
}

// times reads --at and --known. The clock is read once, so that no two checks
// disagree about the time.
func (a *app) times(q question) (policy.Question, []string, error) {
	var t policy.Question
	var notes []string
	var err error
	if q.at == "" {
		t.At = a.Now().UTC().Truncate(time.Second)
		notes = append(notes, "--at was not given: the clock was read once, at the start")
	} else if t.At, err = parseTime("--at", q.at); err != nil {
		return policy.Question{}, nil, err
	}
	t.Known = t.At
	if q.known != "" {
		if t.Known, err = parseTime("--known", q.known); err != nil {
			return policy.Question{}, nil, err
		}
	}
	return t, notes, nil
}

func parseTime(flag, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, &attest.Refusal{Code: attest.CodeUsage, About: flag, Why: fmt.Sprintf("%.40q is no time", s), Next: "write it as 2026-05-01T00:00:00Z"}
	}
	return t.UTC(), nil
}

// maxRemarks is how many findings are shown: strangers can cause any number.
const maxRemarks = 10

// remarks tells people what was passed over. No verdict depends on it, and it is
// no part of one: anybody who can write to the repository can cause it.
func (a *app) remarks(chain verify.Chain) {
	if n := chain.Strangers(); n > 0 {
		a.note("%d attached by keys that nobody here trusts, passed over", n)
	}
	for i, f := range chain.Findings() {
		if i == maxRemarks {
			a.note("… and %d more", len(chain.Findings())-maxRemarks)
			break
		}
		a.note("passed over: %s beside %s: %s", f.Manifest.Short(), f.Artifact.Short(), attest.Printable(f.Err.Error()))
	}
}

func (a *app) reportOptions(f *found) report.Options {
	o := a.layout()
	o.Reference, o.Notes = f.ref.String(), f.notes
	o.Repository, o.Policy, o.Trust = f.ref.Repository.String(), f.named, f.trust
	for i, u := range f.chain.Unseen() {
		if i == maxRemarks {
			o.Unseen = append(o.Unseen, fmt.Sprintf("… and %d more", len(f.chain.Unseen())-maxRemarks))
			break
		}
		what := "what is attached to " + u.Artifact.Short()
		if !u.Manifest.IsZero() {
			what = u.Manifest.Short() + ", attached to " + u.Artifact.Short()
		}
		why, _, _ := strings.Cut(u.Err.Error(), "\n")
		o.Unseen = append(o.Unseen, what+": "+why)
	}
	return o
}

// layout is how text looks where standard output goes.
func (a *app) layout() report.Options {
	var o report.Options
	if file, ok := terminal(a.Stdout); ok {
		_, plain := a.getenv("NO_COLOR") // https://no-color.org: set, to whatever
		kind, _ := a.getenv("TERM")
		o.Color = !plain && kind != "dumb"
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			o.Width = width
		}
	}
	return o
}

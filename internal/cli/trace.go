package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A traceRequest is what trace is asked.
type traceRequest struct {
	ref    string
	output string
	depth  int
	grounds
}

func (a *app) traceCommand() *cobra.Command {
	var r traceRequest
	c := &cobra.Command{
		Use:   "trace REF (--policy FILE | --key FILE.pub…)",
		Short: "show what made an artifact: data, code, base models, parameters, evaluations, approvals",
		Long: `Walks from the artifact back and draws everything that was signed about it and its
ancestors: who made what of what and when, what was measured, who approved it, where
it was deployed, and where the evidence ends.

With --policy the policy's principals are believed, its steps are followed, and its
verdict is stated. With --key no policy has a say: what the keys signed is shown,
whatever it is, and it is not said that they had any business saying it.

What the artifact's own model card claims (README.md, config.json) is compared with
what was signed: nobody signed the card, and where it says otherwise it is shown.

--output html writes one page that needs no network; html and svg need the program
pedigree-layout, which is installed with this one, or Graphviz.

Exit status: 0 everything could be looked at, 3 something could not.`,
		Example: `  pedigree trace ocidir://registry:model --policy policy.yaml
  pedigree trace ocidir://registry:model --key data.pub --key trainer.pub --output html > model.html`,
		Args: arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			r.ref = args[0]
			return a.trace(ctx, r)
		}),
	}
	r.grounds.flags(c)
	r.timeFlags(c)
	r.contextFlag(c)
	c.Flags().StringVar(&r.output, "output", "text", "text, json, dot, svg or html")
	c.Flags().IntVar(&r.depth, "depth", 0, "draw only this many steps back (default: all)")
	return c
}

func (a *app) trace(ctx context.Context, r traceRequest) error {
	if !slices.Contains([]string{"text", "json", "dot", "svg", "html"}, r.output) {
		return usage("--output is %q, want text, json, dot, svg or html", r.output)
	}
	if r.depth < 0 {
		return usage("--depth is %d, want how many steps back", r.depth)
	}
	gr, err := a.ground(ctx, r.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	ref, err := gr.resolve(ctx, r.ref)
	if err != nil {
		return err
	}
	if err := gr.exists(ctx, ref); err != nil {
		return err
	}
	chain, err := gr.walk(ctx, ref)
	if err != nil {
		return err
	}
	g := gr.trace(chain)
	if err := gr.contradictions(ctx, ref, chain, g); err != nil {
		return err
	}
	if r.depth > 0 {
		g = draw.Within(g, r.depth)
	}
	if err := a.writeGraph(ctx, gr, chain, g, ref, r); err != nil {
		return err
	}
	return incomplete(len(g.Gaps))
}

// trace draws a chain as whoever asks reads it.
func (gr *ground) trace(chain verify.Chain) *lineage.Graph {
	o := lineage.TraceOptions{Reading: gr.reading(), Trust: gr.trust()}
	if gr.policy == nil {
		return lineage.Trace(chain, o)
	}
	v := gr.policy.Evaluate(chain, gr.question)
	o.Trust.Outcome = v.Outcome.String()
	o.Counts = gr.counts(v)
	for _, why := range whyNot(v) {
		gr.notes = append(gr.notes, v.Outcome.String()+": "+why)
	}
	frontier := make(map[attest.Digest]*lineage.Frontier, len(v.Frontier))
	for _, f := range v.Frontier {
		if frontier[f.Artifact] == nil {
			frontier[f.Artifact] = &lineage.Frontier{Accepted: true, How: f.How, Detail: f.Detail}
		}
	}
	o.Frontier = func(d attest.Digest) *lineage.Frontier { return frontier[d] }
	return lineage.Trace(chain, o)
}

// trust says under what the question was asked.
func (gr *ground) trust() lineage.Trust {
	var t lineage.Trust
	if b := gr.signers.Trust; b != nil {
		t.Vouching = &lineage.Vouching{Name: b.Name(), Version: b.Version(), Digest: b.Digest()}
	}
	if gr.policy != nil {
		t.Policy, t.Digest = policyName(gr.policy), gr.policy.Digest()
		return t
	}
	for _, name := range gr.names {
		t.Signers = append(t.Signers, name)
	}
	slices.Sort(t.Signers)
	t.Signers = slices.Compact(t.Signers)
	return t
}

// policyName is how answers call a policy.
func policyName(p *policy.Policy) string {
	return fmt.Sprintf("%s version %d", p.Name(), p.Version())
}

// exists refuses an artifact that the repository does not hold: a registry lists
// what refers to a manifest whether or not it has it. An index answers what it has.
func (gr *ground) exists(ctx context.Context, ref attest.Reference) error {
	if gr.index != nil {
		return nil
	}
	repo, err := gr.repository(ref.Repository)
	if err != nil {
		return err
	}
	b, err := manifest(ctx, repo, ref)
	if err != nil {
		return err
	}
	if attest.IsIndex(b) {
		return &attest.Refusal{Code: attest.CodeUsage, About: ref.String(), Why: "an index of several artifacts", Next: "name one of its manifests by digest"}
	}
	return nil
}

// writeGraph writes the graph in the form that was asked for.
func (a *app) writeGraph(ctx context.Context, gr *ground, chain verify.Chain, g *lineage.Graph, ref attest.Reference, r traceRequest) error {
	o := a.reportOptions(&found{ref: ref, chain: chain, named: gr.named, notes: gr.notes})
	switch r.output {
	case "json":
		return a.writeJSON(g)
	case "text":
		return report.Trace(a.Stdout, g, o)
	}
	return a.drawGraph(ctx, gr, g, o, r.output)
}

// writeJSON writes an answer in its one JSON form.
func (a *app) writeJSON(answer any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // digests and URLs as people write them; no browser reads this
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return err
	}
	_, err := a.Stdout.Write([]byte(b.String()))
	return err
}

// drawGraph draws the graph.
func (a *app) drawGraph(ctx context.Context, gr *ground, g *lineage.Graph, o report.Options, output string) error {
	d := draw.Options{Title: o.Reference, Trust: trustLine(g.Trust), Verdict: g.Trust.Outcome, At: gr.question.At, Layouters: draw.Layouters(executable())}
	switch output {
	case "dot":
		return draw.DOT(a.Stdout, g, d)
	case "svg":
		return draw.SVG(ctx, a.Stdout, g, d)
	}
	return draw.HTML(ctx, a.Stdout, g, d)
}

// executable is where the program is, beside which pedigree-layout is installed; ""
// if nobody knows.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// trustLine says in one line under what was asked.
func trustLine(t lineage.Trust) string {
	t.Outcome = "" // drawn by itself
	line := report.TrustLine(t, t.Digest.String())
	if v := t.Vouching; v != nil {
		line += "; " + report.TrustName(v.Name, v.Version, v.Digest)
	}
	return line
}

// contradictions compares what the artifact's own files claim. An index holds no
// files: they come from the repository, and if that does not answer it is said.
func (gr *ground) contradictions(ctx context.Context, ref attest.Reference, chain verify.Chain, g *lineage.Graph) error {
	root := chain.Artifact(chain.Root())
	if root == nil || len(root.Files) == 0 {
		return nil
	}
	repo, err := gr.repository(ref.Repository)
	if err != nil {
		return err
	}
	card, err := lineage.ReadCard(func(path string) ([]byte, error) {
		i := slices.IndexFunc(root.Files, func(f attest.File) bool { return f.Path == path })
		if i < 0 {
			return nil, attest.ErrAbsent
		}
		b, err := repo.Blob(ctx, root.Files[i].Digest, lineage.MaxCardFile)
		if errors.Is(err, attest.ErrAbsent) {
			// The manifest has it and the repository has not: that is no artifact without
			// a card.
			err = &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Why: "the repository has no such blob"}
		}
		return b, err
	})
	if err != nil {
		gr.notes = append(gr.notes, "what the model card claims is not all known: "+oneLine(err.Error()))
	}
	switch code := attest.RefusalCode(err); {
	case code == "", code == attest.CodeFormat, code == attest.CodeLimit: // it was looked at, and is what it is
	case gr.index == nil:
		g.Gaps = append(g.Gaps, lineage.Gap{Artifact: g.Artifact, Code: code})
	}
	g.Contradictions = append(g.Contradictions, lineage.Contradictions(card, g)...)
	return nil
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func (a *app) indexCommand() *cobra.Command {
	c := &cobra.Command{Use: "index", Short: "keep what registries hold in a file, to ask it quickly"}
	c.AddCommand(a.indexSyncCommand(), a.indexStatusCommand(), a.indexForgetCommand())
	return group(c)
}

// openIndex opens a file of `index sync`.
func (a *app) openIndex(ctx context.Context, file string) (lineageIndex, error) {
	f, err := index.Open(ctx, file, index.Options{})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// A syncRequest is what index sync is asked.
type syncRequest struct {
	repositories []string
	file, output string
	grounds
}

func (a *app) indexSyncCommand() *cobra.Command {
	var r syncRequest
	c := &cobra.Command{
		Use:   "sync [REPO…] --index FILE (--policy FILE [--trust FILE] | --key FILE.pub… | --trust FILE)",
		Short: "read repositories into an index",
		Long: `Reads each repository to its end and keeps what trusted keys signed, with the
manifests of all artifacts, in a file that the other commands take with --index.
Without REPO it reads everything that the index has. A policy's own repositories of
evidence are read too.

Only what is new is fetched. Interrupted, it goes on where it was; until it is done,
answers from the index have gaps. What keys sign that nobody trusts is passed over,
and read again when they are trusted.

The file is believed no more than a registry is: every answer is made from bundles
that verify. FILE.key is a secret that spares verifying them again and again; keep it
to yourself. Both can be removed at any time and made again.

Exit status: 0 everything was read, 3 something could not be looked at.`,
		Example: `  pedigree index sync registry.example/team/models registry.example/team/data --index fleet.index --policy policy.yaml
  pedigree index sync --index fleet.index --policy policy.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: act(func(ctx context.Context, args []string) error {
			r.repositories, r.grounds.index = args, "" // the registries are asked
			return a.indexSync(ctx, r)
		}),
	}
	c.Flags().StringVar(&r.file, "index", "", "the `FILE` to keep it in; made if it is not there")
	c.Flags().StringVar(&r.policy, "policy", "", "keep what this policy's principals signed (a `FILE`, or a reference to a signed one)")
	c.Flags().StringArrayVar(&r.keys, "key", nil, "keep what this public key signed (`FILE.pub`, repeatable)")
	r.policyTrust.flags(c)
	c.Flags().StringVar(&r.output, "output", "text", "text or json")
	required(c, "index")
	return c
}

func (a *app) indexSync(ctx context.Context, r syncRequest) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	repos, err := repositories(r.repositories)
	if err != nil {
		return err
	}
	gr, err := a.ground(ctx, r.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	f, err := index.Open(ctx, r.file, index.Options{Write: true})
	if err != nil {
		return err
	}
	report, places, err := gr.sync(ctx, f, repos)
	// What was read before an error is kept, and that is said below.
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		if report.Artifacts > 0 {
			a.note("%d artifacts were read; the next sync goes on from there", report.Artifacts)
		}
		return err
	}
	if err := a.printSync(places, report, r); err != nil {
		return err
	}
	return incomplete(len(report.Missed))
}

// sync reads repositories, and those that the policy names, into an index.
func (gr *ground) sync(ctx context.Context, f *index.File, repos []attest.Repository) (report lineage.CrawlReport, places []attest.Repository, err error) {
	if len(repos) == 0 {
		if repos, err = f.Repositories(ctx); err != nil {
			return report, nil, err
		}
		if len(repos) == 0 {
			return report, nil, &attest.Refusal{Code: attest.CodeUsage, Why: "which repositories? the index has none", Next: "pedigree index sync REPO… --index FILE"}
		}
	}
	all, _, err := gr.places(repos...)
	if err != nil {
		return report, nil, err
	}
	var holdings []lineage.Holding
	for _, r := range all {
		if r, err = index.Absolute(r); err != nil {
			return report, nil, err
		}
		if slices.Contains(places, r) {
			continue
		}
		v, err := gr.view(r)
		if err != nil {
			return report, nil, err
		}
		places, holdings = append(places, r), append(holdings, v)
	}
	bars, wait := gr.app.progress()
	defer wait()
	set, end := bars.Count("reading artifacts")
	defer end()
	report, err = lineage.Crawl(ctx, f, holdings, lineage.CrawlOptions{Signers: gr.signers, Memory: f.Memory(), At: gr.question.At, Also: gr.scope().Also, Progress: set})
	return report, places, err
}

func (a *app) printSync(places []attest.Repository, report lineage.CrawlReport, r syncRequest) error {
	if r.output == "json" {
		doc := struct {
			Repositories []string `json:"repositories"`
			lineage.CrawlReport
		}{CrawlReport: report}
		for _, p := range places {
			doc.Repositories = append(doc.Repositories, p.String())
		}
		return a.printJSON(doc)
	}
	var b strings.Builder
	for _, p := range places {
		fmt.Fprintf(&b, "read %s\n", attest.Printable(p.String()))
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  artifacts\t%d\t\n", report.Artifacts)
	fmt.Fprintf(t, "  fetched\t%d\tattestations that are new\n", report.Fetched)
	fmt.Fprintf(t, "  kept\t%d\tthat were known\n", report.Kept)
	fmt.Fprintf(t, "  gone\t%d\tthat were known and are not there any more\n", report.Gone)
	fmt.Fprintf(t, "  strangers\t%d\tthat nobody trusted signed\n", report.Strangers)
	fmt.Fprintf(t, "  missed\t%d\tthat could not be looked at\n", len(report.Missed))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, g := range report.Missed {
		about := g.Artifact.String()
		if g.Artifact.IsZero() {
			about = "what a repository holds"
		}
		fmt.Fprintf(&b, "missed: %s %s\n", g.Code, about)
	}
	_, err := io.WriteString(a.Stdout, b.String())
	return err
}

// printJSON prints an answer as JSON.
func (a *app) printJSON(answer any) error {
	b, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = a.Stdout.Write(append(b, '\n'))
	return err
}

func (a *app) indexStatusCommand() *cobra.Command {
	var file, output string
	c := &cobra.Command{
		Use:   "status --index FILE",
		Short: "show what an index has, and whether it is complete",
		Long: `Shows for each repository of an index how much of it was read and when, and how
many attestations were passed over because nobody trusted signed them; and who was
believed then, with the digest of all that the trust led to. "not whole" means that
the last reading did not come to its end, or could not look at something: sync again.`,
		Example: "  pedigree index status --index fleet.index",
		Args:    arguments(),
		RunE: act(func(ctx context.Context, _ []string) error {
			return a.indexStatus(ctx, file, output)
		}),
	}
	c.Flags().StringVar(&file, "index", "", "the `FILE` of pedigree index sync")
	c.Flags().StringVar(&output, "output", "text", "text or json")
	required(c, "index")
	return c
}

func (a *app) indexStatus(ctx context.Context, file, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	f, err := index.Open(ctx, file, index.Options{})
	if err != nil {
		return err
	}
	defer f.Close()
	list, size, err := f.Status(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.printJSON(struct {
			Bytes        int64          `json:"bytes"`
			Repositories []index.Status `json:"repositories"`
		}{size, list})
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "REPOSITORY\tREAD AT\tWHOLE\tARTIFACTS\tATTESTATIONS\tPASSED OVER\tBYTES\n")
	for _, s := range list {
		whole := "yes"
		if !s.Complete || s.Missed > 0 {
			whole = "no"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", attest.Printable(s.Repository), s.At.Format(time.RFC3339), whole, s.Artifacts, s.Attestations, s.Strangers, s.Bytes)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&b, "%d bytes in all\n", size)
	beliefsText(&b, list)
	_, err = io.WriteString(a.Stdout, b.String())
	return err
}

// maxBeliefs is how many of those who were believed are shown; JSON has them all.
const maxBeliefs = 20

// beliefsText says whom the readings believed: what others signed is not in the index.
func beliefsText(b *strings.Builder, list []index.Status) {
	for i, s := range list {
		same := func(o index.Status) bool { return slices.Equal(o.Beliefs, s.Beliefs) }
		if slices.ContainsFunc(list[:i], same) {
			continue // said already
		}
		where := ""
		if !slices.ContainsFunc(list, func(o index.Status) bool { return !same(o) }) {
			where = "everywhere"
		}
		for _, o := range list[i:] {
			if same(o) && where != "everywhere" {
				where = strings.TrimPrefix(where+", "+attest.Printable(o.Repository), ", ")
			}
		}
		fmt.Fprintf(b, "believed, %s:\n", where)
		for n, belief := range s.Beliefs {
			if n == maxBeliefs {
				fmt.Fprintf(b, "  … and %d more: --output json\n", len(s.Beliefs)-n)
				break
			}
			fmt.Fprintf(b, "  %s\n", report.Who(belief))
		}
	}
}

func (a *app) indexForgetCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "forget REPO… --index FILE",
		Short: "remove what an index has of repositories",
		Long: `Removes what an index has of repositories. Nothing happens to the repositories
themselves. The file keeps its size; the room in it is used again.`,
		Example: "  pedigree index forget registry.example/team/old --index fleet.index",
		Args:    cobra.MinimumNArgs(1),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.indexForget(ctx, args, file)
		}),
	}
	c.Flags().StringVar(&file, "index", "", "the `FILE` of pedigree index sync")
	required(c, "index")
	return c
}

func (a *app) indexForget(ctx context.Context, args []string, file string) error {
	repos, err := repositories(args)
	if err != nil {
		return err
	}
	// Only what is there: forgetting in a new file would make one.
	there, err := index.Open(ctx, file, index.Options{})
	if err != nil {
		return err
	}
	if err := there.Close(); err != nil {
		return err
	}
	f, err := index.Open(ctx, file, index.Options{Write: true})
	if err != nil {
		return err
	}
	for _, r := range repos {
		if err = f.Forget(ctx, r); err != nil {
			break
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

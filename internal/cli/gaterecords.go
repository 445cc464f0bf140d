package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/record"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func (a *app) gateRecordsCommand() *cobra.Command {
	var file, output string
	c := &cobra.Command{
		Use:   "records --config FILE",
		Short: "list the deployment records that wait to be signed and attached",
		Long: `Reads the queue of deployment records that the configuration names, and prints what
waits there, the oldest first: since when, what was let in where, how far its record
is, and what it waits for, if that is known. Nothing is changed and nobody is asked; it
works while the gate runs.

  queued       what it follows on is not known yet
  settling     the artifact came back soon after it was replaced; if it does not stay,
               it was a rollout that was not over, and is not recorded
  signed       signed, and not attached yet
  attached     attached, and not yet seen to be alone in its place in the chain
  withdrawing  taken back, to be made again or because it came late

Exit status: 0 if the queue could be read, whatever waits; 3 if it is damaged.`,
		Example: "  pedigree gate records --config gate.yaml",
		Args:    arguments(),
		RunE: act(func(_ context.Context, _ []string) error {
			return a.gateRecords(file, output)
		}),
	}
	c.Flags().StringVar(&file, "config", "", "the configuration `FILE`")
	c.Flags().StringVar(&output, "output", "text", "text or json")
	required(c, "config")
	return c
}

// waitingRecords is what pedigree gate records answers.
type waitingRecords struct {
	Queue   string           `json:"queue"`
	Limit   int              `json:"limit"`
	Waiting []record.Waiting `json:"waiting"`
}

func (a *app) gateRecords(file, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	c, err := a.gateConfig(file)
	if err != nil {
		return err
	}
	if c.Records == nil {
		return &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "the configuration records nothing", Next: "add records: to it; docs/gate-records.md"}
	}
	now := a.Now()
	waiting, err := record.List(c.Records.Queue, now)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.writeJSON(waitingRecords{c.Records.Queue, c.Records.Limit, waiting})
	}
	return a.writeWaiting(c.Records.Queue, waiting, now)
}

func (a *app) writeWaiting(queue string, waiting []record.Waiting, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %d waiting\n", attest.Printable(queue), len(waiting))
	for _, w := range waiting {
		at := lineage.Place{Cluster: w.Cluster, Service: w.Service}
		fmt.Fprintf(&b, "\n%s  %s  %s\n", w.Since.Format(time.RFC3339), now.Sub(w.Since).Truncate(time.Second), w.Stage)
		fmt.Fprintf(&b, "  place     %s\n", attest.Printable(strings.TrimSpace(w.Environment+" "+at.String())))
		fmt.Fprintf(&b, "  artifact  %s\n", attest.Printable(w.Artifact))
		if t := w.Trouble; t != nil {
			fmt.Fprintf(&b, "  since     %s: %s\n", t.Since.Format(time.RFC3339), attest.Printable(t.Why))
		}
	}
	_, err := fmt.Fprint(a.Stdout, b.String())
	return err
}

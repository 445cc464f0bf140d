package cli

import (
	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// A view is another look at a verdict than as a whole: one artifact's place, or
// the controls. It changes what is printed, never the exit status.
type view struct {
	why      string
	controls bool
}

func (w *view) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.why, "why", "", "explain one artifact's place in the chain: its `DIGEST`, or the beginning of it")
	c.Flags().BoolVar(&w.controls, "controls", false, "show the verdict by the controls that the policy's rules name")
}

func (w view) chosen() bool { return w.why != "" || w.controls }

// check refuses what has no answer, before anything is walked.
func (w view) check(in *inquiry) error {
	switch {
	case w.why != "" && w.controls:
		return usage("--why and --controls are two views; ask for one")
	case w.chosen() && !in.index.IsZero():
		return usage("--why and --controls are about one artifact, and the reference is an index of %d; name one by its digest", len(in.targets))
	}
	return nil
}

// tellView writes the chosen view of the verdict, or all of it.
func (a *app) tellView(w view, in *inquiry, judged []judgment, output string) (policy.Outcome, error) {
	if !w.chosen() {
		return a.tell(in, judged, output)
	}
	j := judged[0]
	if w.controls {
		c := report.ControlsOf(j.verdict, j.policy.ControlUses())
		if output == "json" {
			return j.verdict.Outcome, report.ControlsJSON(a.Stdout, c)
		}
		return j.verdict.Outcome, report.ControlsText(a.Stdout, c, a.reportOptions(j.found))
	}
	place, err := report.PlaceOf(j.verdict, j.chain, w.why)
	if err != nil {
		return policy.Deny, err
	}
	if output == "json" {
		return j.verdict.Outcome, report.WhyJSON(a.Stdout, place)
	}
	return j.verdict.Outcome, report.Why(a.Stdout, place, a.reportOptions(j.found))
}

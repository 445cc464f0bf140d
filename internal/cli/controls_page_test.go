package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/policy"
)

func TestControlsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Controls

Made from the table in package policy by ` + "`go test ./internal/cli -run Page -update`" + `.

Rules and steps of a policy may name the controls they serve:

` + "```yaml" + `
rules: [{id: EVAL-1, cel: 'predicate.metrics["accuracy"].value >= 0.70', message: "accuracy below 0.70", controls: [NIST-AI-RMF:MEASURE-2.5]}]
` + "```" + `

` + "`pedigree verify --controls`" + ` then shows a verdict by its controls: for each, which rules and steps answer it, with which
signed evidence, and which of the policy's controls have no answer. ` + "`pedigree policy check`" + ` finds ids that do not exist
within a framework below. Ids of other frameworks (ACME:RISK-7) are your own and are shown as they are.

The wording is ours and short. What a control asks in full, the framework itself says. Evidence that speaks to a control does
not mean that the control is met: an auditor decides that, and most controls ask for more than a chain can show. Other
numbers of these frameworks are accepted where the list of them is complete, which is so for all but OWASP AISVS, the
EU's regulation and MITRE ATLAS.
`)
	framework, rows := "", 0
	for _, c := range policy.KnownControls() {
		if c.Framework != framework {
			framework = c.Framework
			fmt.Fprintf(&b, "\n## %s\n\n| id | asks, in short | what a chain can show |\n|---|---|---|\n", framework)
		}
		rows++
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.ID, c.Asks, c.Evidence)
	}
	if rows < 120 {
		t.Fatalf("%d controls: the table is cut short", rows)
	}
	page(t, "../../docs/controls.md", b.String())
}

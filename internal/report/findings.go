package report

import (
	"fmt"
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// A PolicyCheck is what is known of a policy that loads.
type PolicyCheck struct {
	File     string           `json:"file"`
	Name     string           `json:"name"`
	Version  int              `json:"version"`
	Digest   attest.Digest    `json:"digest"`
	Expires  time.Time        `json:"expires"`
	Steps    []string         `json:"steps"`
	Findings []policy.Finding `json:"findings"`
}

// PolicyCheckOf collects what is known of a policy at a time.
func PolicyCheckOf(file string, p *policy.Policy, at time.Time) *PolicyCheck {
	c := &PolicyCheck{File: file, Name: p.Name(), Version: p.Version(), Digest: p.Digest(), Expires: p.Expires().UTC(), Steps: p.StepNames(), Findings: p.Findings(at)}
	if c.Findings == nil {
		c.Findings = []policy.Finding{}
	}
	return c
}

// Warnings returns how many findings are warnings.
func (c *PolicyCheck) Warnings() int {
	n := 0
	for _, f := range c.Findings {
		if f.Severity == policy.SeverityWarning {
			n++
		}
	}
	return n
}

// FindingsText writes the findings for people, as compilers write them: editors
// jump to the place. Nothing if there are none. The error is the writer's.
func FindingsText(w io.Writer, c *PolicyCheck, o Options) error {
	if len(c.Findings) == 0 {
		return nil
	}
	p := newPrinter(o)
	p.section(fmt.Sprintf("Findings: %s, %s", count(c.Warnings(), "warning", "warnings"), count(len(c.Findings)-c.Warnings(), "piece of advice", "pieces of advice")))
	for _, f := range c.Findings {
		st := dim
		if f.Severity == policy.SeverityWarning {
			st = yellow
		}
		place := fmt.Sprintf("%s:%d:%d", clean(c.File), f.Line, f.Column)
		p.line("  %s: %s %s", place, p.paint(st, f.Severity), f.Code)
		p.wrap("      ", 6, plain, clean(f.What))
		p.wrap("      → ", 8, plain, clean(f.Advice))
	}
	return p.flush(w)
}

// PolicyCheckJSON writes the check as JSON. The error is the writer's.
func PolicyCheckJSON(w io.Writer, c *PolicyCheck) error { return indentedJSON(w, c) }

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// A Manual is what a document of findings says besides the verdict.
type Manual struct {
	// Explain returns what a code means, and what to do about it. Nil: nothing.
	Explain func(attest.Code) (meaning, next string)
	// File is the policy's file, where findings are shown; "" if it is no file. Line is
	// where in it a step is written, 0 for nowhere.
	File string
	Line func(step string) int
}

// Where the manual's pages are for who reads a finding far from the program.
const (
	homepage  = "https://github.com/pedigree-ml/pedigree"
	codesPage = homepage + "/blob/main/docs/codes.md"
)

// fingerprint names how a finding is told from others: see SARIF.
const fingerprint = "pedigreeRequirement/v1"

// SARIF writes the verdicts as one SARIF 2.1.0 log, which code scanners show as
// findings: one for each reason of a requirement that does not pass. Failures are
// errors and what is unknown warnings; an ALLOW has none. The rules are the codes. A
// finding is at the line of the policy that asks, for tools that show files, and
// logically at the artifact and the step. Its fingerprint is of step, code and what it
// is about, and not of the words. The error is the writer's.
func SARIF(w io.Writer, x Index, o Options, m Manual) error {
	run := newRun()
	p := newPrinter(o)
	checks, left := p.checks(x)
	run.AddInvocation(invocation(x.Outcome))
	var verdicts []any
	for _, v := range x.Verdicts {
		verdicts = append(verdicts, properties(v, o))
	}
	run.WithProperties(bag(map[string]any{"outcome": x.Outcome.String(), "verdicts": verdicts, "leftOut": left}))
	n := 0
	for _, c := range checks {
		if c.verdict.Outcome == policy.Allow || c.Status == policy.Pass {
			continue
		}
		for _, s := range c.said {
			if n++; n > maxChecks {
				break
			}
			run.AddResult(finding(run, c, s, o, m))
		}
	}
	return writeSARIF(w, run)
}

func newRun() *sarif.Run {
	run := sarif.NewRunWithInformationURI("pedigree", homepage)
	return run.WithColumnKind("unicodeCodePoints")
}

func writeSARIF(w io.Writer, run *sarif.Run) error {
	doc := sarif.NewReport().AddRun(run)
	doc.Schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("writing SARIF: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// invocation says that the program ran to its end, and with which status.
func invocation(o policy.Outcome) *sarif.Invocation {
	exit := map[policy.Outcome]int{policy.Allow: 0, policy.Deny: 1, policy.Undecided: 3}[o]
	return sarif.NewInvocation().WithExecutionSuccessful(true).WithExitCode(exit).WithExitCodeDescription(o.String())
}

func bag(m map[string]any) *sarif.PropertyBag {
	b := sarif.NewPropertyBag()
	for k, v := range m {
		b.Add(k, v)
	}
	return b
}

// properties is what a verdict says of itself as a whole.
func properties(v *policy.Verdict, o Options) map[string]any {
	out := map[string]any{
		"outcome": v.Outcome.String(), "artifact": judgedName(v.Artifact, o), "at": when(v.At), "known": when(v.Known), "context": bounded(v.Context),
		"policy": map[string]any{"name": bounded(v.Policy.Name), "version": v.Policy.Version, "digest": v.Policy.Digest.String()},
	}
	var trusted, not []string
	for _, a := range v.Acknowledged {
		trusted = append(trusted, bounded(a.Where)+": "+bounded(a.Rests)+": "+bounded(a.Why))
	}
	for _, n := range v.NotProven {
		not = append(not, bounded(n))
	}
	out["takenOnTrust"], out["notProven"] = trusted, not
	return out
}

// finding is one reason of one requirement.
func finding(run *sarif.Run, c check, s said, o Options, m Manual) *sarif.Result {
	step := bounded(c.Step)
	text := fmt.Sprintf("%s of %s: %s", step, c.Artifact.Short(), s.text())
	if s.how != "" {
		text += ". Next: " + s.how
	}
	level, answer := sarif.LevelError, "fail"
	if c.Status == policy.Unknown {
		level, answer = sarif.LevelWarning, "unknown"
	}
	print := attest.SHA256([]byte(strings.Join([]string{c.verdict.Policy.Name, c.Step, string(s.code), s.about}, "\n")))
	r := sarif.NewRuleResult(string(s.code)).WithRuleIndex(ruleIndex(run, s.code, m)).WithLevel(level).WithMessage(message(text))
	r.WithPartialFingerprints(map[string]string{fingerprint: print.Hex()})
	r.WithProperties(bag(map[string]any{"status": answer, "artifact": c.Artifact.String(), "step": step}))
	at := sarif.NewLocation().WithLogicalLocations([]*sarif.LogicalLocation{
		sarif.NewLogicalLocation().WithName(step).WithFullyQualifiedName(judgedName(c.Artifact, o) + "/" + step).WithKind("step"),
		sarif.NewLogicalLocation().WithName(c.Artifact.String()).WithFullyQualifiedName(judgedName(c.Artifact, o)).WithKind("artifact"),
	})
	if m.File != "" {
		line := 0
		if m.Line != nil {
			line = m.Line(c.Step)
		}
		at.WithPhysicalLocation(sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(fileURI(m.File))).
			WithRegion(sarif.NewRegion().WithStartLine(max(line, 1))))
	}
	return r.WithLocations([]*sarif.Location{at})
}

// message is a text in which nobody's name makes a link: SARIF has them in plain text.
func message(text string) *sarif.Message {
	return sarif.NewTextMessage(strings.ReplaceAll(text, "](", "] ("))
}

// ruleIndex returns where the rule of a code is, which is added if it is new.
func ruleIndex(run *sarif.Run, code attest.Code, m Manual) int {
	if i := run.GetRuleIndex(string(code)); i >= 0 {
		return i
	}
	rule := run.AddRule(string(code)).WithHelpURI(codesPage + "#" + strings.ToLower(string(code)))
	if m.Explain != nil {
		if meaning, next := m.Explain(code); meaning != "" {
			rule.WithShortDescription(sarif.NewMultiformatMessageString().WithText(meaning))
			rule.WithHelp(sarif.NewMultiformatMessageString().WithText(next))
		}
	}
	return run.GetRuleIndex(string(code))
}

// fileURI names a file as it is named relative to where the program runs, which in CI
// is the repository.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(filepath.Clean(name))}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}

// SARIFRefusal writes that there is no verdict, and why, as a log of a program that did
// not run to its end.
func SARIFRefusal(w io.Writer, r attest.Refusal, exit int) error {
	run := newRun()
	text := refusalText(r)
	if r.Next != "" {
		text += ". Next: " + bounded(r.Next)
	}
	n := sarif.NewNotification().WithLevel(sarif.LevelError).WithMessage(message(string(r.Code) + " " + text))
	i := sarif.NewInvocation().WithExecutionSuccessful(false).WithExitCode(exit)
	i.ToolExecutionNotifications = []*sarif.Notification{n}
	run.AddInvocation(i)
	return writeSARIF(w, run)
}

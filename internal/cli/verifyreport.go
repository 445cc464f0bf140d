package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// The forms in which a verdict is told.
const (
	formText  = "text"
	formJSON  = "json"
	formJUnit = "junit"
	formSARIF = "sarif"
)

func verdictForms() []string { return []string{formText, formJSON, formJUnit, formSARIF} }

// verdictOutput is how and where a verdict is told.
type verdictOutput struct {
	output  string
	reports []string // FORM=FILE each
}

func (o *verdictOutput) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.output, "output", formText, "text, json, junit or sarif")
	c.Flags().StringArrayVar(&o.reports, "report", nil, "also write the verdict into a file: `FORM=FILE`, with a form of --output (repeatable)")
}

// check refuses what cannot be told, before anything is looked up.
func (o *verdictOutput) check(v view) error {
	if !slices.Contains(verdictForms(), o.output) {
		return usage("--output is %q, want text, json, junit or sarif", o.output)
	}
	if v.chosen() && o.output != formText && o.output != formJSON {
		return usage("--why and --controls are for people and programs; --output %s tells the whole verdict", o.output)
	}
	files := map[string]bool{}
	for _, r := range o.reports {
		form, file, ok := strings.Cut(r, "=")
		switch {
		case !ok || file == "" || !slices.Contains(verdictForms(), form):
			return usage("--report is %.200q, want FORM=FILE with text, json, junit or sarif as the form", r)
		case files[file]:
			return usage("--report names the file %.200q twice", file)
		}
		files[file] = true
	}
	return nil
}

// together puts verdicts together as they are reported. Of one artifact it is that
// artifact's alone.
func together(in *inquiry, judged []judgment) report.Index {
	x := report.Index{Index: in.index}
	for i, j := range judged {
		if i == 0 || j.verdict.Outcome < x.Outcome {
			x.Outcome = j.verdict.Outcome
		}
		x.Verdicts = append(x.Verdicts, j.verdict)
	}
	return x
}

// writeVerdicts writes the verdicts in one form.
func (a *app) writeVerdicts(w io.Writer, in *inquiry, x report.Index, f *found, form string, o report.Options) error {
	switch {
	case form == formJUnit:
		return report.JUnit(w, x, o)
	case form == formSARIF:
		return report.SARIF(w, x, o, manual(f))
	case form == formJSON && in.index.IsZero():
		return report.JSON(w, x.Verdicts[0])
	case form == formJSON:
		return report.IndexJSON(w, x)
	case in.index.IsZero():
		return report.Text(w, x.Verdicts[0], o)
	}
	return report.IndexText(w, x, o)
}

// writeReports writes the files that --report names. It comes before anything is
// printed: a verdict whose report is missing is not told as a success.
func (a *app) writeReports(reports []string, in *inquiry, judged []judgment) error {
	x, o := together(in, judged), a.reportOptions(judged[0].found)
	o.Color, o.Width = false, 0
	for _, r := range reports {
		form, file, _ := strings.Cut(r, "=")
		var b bytes.Buffer
		if err := a.writeVerdicts(&b, in, x, judged[0].found, form, o); err != nil {
			return err
		}
		if err := writeReport(file, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func writeReport(file string, b []byte) error {
	if err := os.WriteFile(file, b, 0o644); err != nil { //nolint:gosec // a report is to be read by others
		return &attest.Refusal{Code: attest.CodeFileIO, About: file, Why: "the report cannot be written", Err: cause(err)}
	}
	return nil
}

// manual is what findings say besides the verdict. They are shown in the policy's
// file, where it is one that people write.
func manual(f *found) report.Manual {
	m := report.Manual{Explain: func(code attest.Code) (meaning, next string) {
		for _, r := range codeTable() {
			if r.code == code {
				return r.meaning, r.next
			}
		}
		return "", ""
	}}
	if src, err := readFile(f.named, policy.MaxSigned); err == nil && !policy.IsSigned(src) {
		m.File, m.Line = f.named, f.policy.Line
	}
	return m
}

// tellRefusal writes that there is no verdict, and returns the error: on standard
// output in the forms for CI, and in every file of --report, where otherwise the report
// of an earlier run would pass for this one's.
func (a *app) tellRefusal(o verdictOutput, err error) error {
	first := failures(err)[0]
	r := attest.Refusal{Code: attest.Code(first.Code), About: first.About, Why: first.Why, Next: first.Next}
	file := func(b *bytes.Buffer, form string) error {
		switch form {
		case formJSON:
			enc, err := failureJSON(failures(err))
			b.Write(enc)
			return err
		case formText:
			fmt.Fprintf(b, "no verdict: %s %s\n", r.Code, attest.Printable(strings.TrimPrefix((&attest.Refusal{About: r.About, Why: r.Why}).Error(), ": ")))
		}
		return nil
	}
	write := func(w io.Writer, form string) error {
		switch form {
		case formJUnit:
			return report.JUnitRefusal(w, r)
		case formSARIF:
			return report.SARIFRefusal(w, r, exitOf(r.Code))
		}
		return nil
	}
	for _, rep := range o.reports {
		form, name, _ := strings.Cut(rep, "=")
		var b bytes.Buffer
		err = errors.Join(err, write(&b, form), file(&b, form), writeReport(name, b.Bytes()))
	}
	if !a.answered() {
		err = errors.Join(err, write(a.Stdout, o.output))
	}
	return err
}

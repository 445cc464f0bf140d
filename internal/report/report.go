// Package report renders a decided verdict for people. It decides nothing.
//
// The verdict exists, complete, before anything here runs: the functions take a
// [policy.Verdict] and a writer, and the exit status comes from the verdict and
// never from a renderer. Whatever is printed was found in the verdict, so the
// report cannot claim a check that did not run.
//
// The order is that of a reader's questions: what is the answer; if it is not
// yes, why, and what would make it yes; who did what; where does it come from;
// what was taken on trust; what does this not prove. Everything that a signer
// wrote passes through [attest.Printable], and long lines wrap at the width that
// the caller gives.
package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// defaultWidth is for files and pipes, where nobody says how wide the reader is:
// a step with three principals and a metric fits on one line.
const defaultWidth = 110

// minWidth is the least width that is laid out for: below it, digests and names
// would be cut, and a terminal wraps what is too long by itself.
const minWidth = 60

// Options say how a report looks. The zero Options are plain text, 110 columns.
type Options struct {
	Color bool
	Width int // columns; 0 means 110
	// Reference is how the caller named the artifact; a label, shown as such.
	Reference string
	// Notes are the caller's remarks on how the question was asked.
	Notes []string
	// Unseen says, for people, why things could not be looked at.
	Unseen []string
}

// Text writes the verdict for people. The error is the writer's.
func Text(w io.Writer, v *policy.Verdict, o Options) error {
	p := newPrinter(o)
	p.head(v, o)
	p.reasons(v)
	p.steps(v)
	p.lineage(v)
	p.taken(v, o)
	p.notProven(v)
	return p.flush(w)
}

// JSON writes the verdict's one JSON form. The error is the writer's.
func JSON(w io.Writer, v *policy.Verdict) error {
	b, err := v.JSON()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// A printer collects the text, so that a writer sees one write or an error.
type printer struct {
	b     strings.Builder
	color bool
	width int
}

func newPrinter(o Options) *printer {
	p := &printer{color: o.Color, width: o.Width}
	if p.width == 0 {
		p.width = defaultWidth
	}
	p.width = max(p.width, minWidth)
	return p
}

func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

// A style is what a terminal is told before a text.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint gives s a style. It must be the last thing done to a text: escape codes
// have no width.
func (p *printer) paint(st style, s string) string {
	if !p.color || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

// section begins a part of the report.
func (p *printer) section(title string) {
	p.b.WriteByte('\n')
	p.line("%s", p.paint(bold, title))
}

// wrap writes text after prefix, and what does not fit below it under indent
// columns. The prefix may be styled; prefixWidth is what of it is seen.
func (p *printer) wrap(prefix string, indent int, st style, text string) {
	for i, part := range wrapped(text, p.width-indent) {
		if i > 0 {
			prefix = strings.Repeat(" ", indent)
		}
		p.line("%s%s", prefix, p.paint(st, part))
	}
}

// wrapped breaks a text at spaces into parts of at most width characters; a
// word that is longer, such as a digest, stays whole.
func wrapped(text string, width int) []string {
	var parts []string
	var line string
	n := 0
	for word := range strings.FieldsSeq(text) {
		w := utf8.RuneCountInString(word)
		switch {
		case n == 0:
			line, n = word, w
		case n+1+w <= width:
			line, n = line+" "+word, n+1+w
		default:
			parts = append(parts, line)
			line, n = word, w
		}
	}
	return append(parts, line)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// clean makes a signer's text fit for a terminal and for one line.
func clean(s string) string { return attest.Printable(s) }

func when(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + "Z"
}

func (p *printer) outcome(o policy.Outcome) string {
	st := red
	switch o {
	case policy.Allow:
		st = green
	case policy.Undecided:
		st = yellow
	}
	if p.color {
		st = "1;" + st
	}
	return p.paint(st, o.String())
}

// mark is the sign of an answer.
func (p *printer) mark(s policy.Status) string {
	switch s {
	case policy.Pass:
		return p.paint(green, "✓")
	case policy.Unknown:
		return p.paint(yellow, "?")
	}
	return p.paint(red, "✗")
}

func (p *printer) head(v *policy.Verdict, o Options) {
	p.line("%s  %s", p.outcome(v.Outcome), p.paint(bold, v.Artifact.String()))
	p.b.WriteByte('\n')
	if o.Reference != "" {
		p.line("  artifact  %s", clean(o.Reference))
	}
	p.line("  policy    %s version %d, %s", clean(v.Policy.Name), v.Policy.Version, v.Policy.Digest)
	p.line("  judged    at %s; the policy holds until %s", when(v.At), when(v.Policy.Expires))
	if !v.Known.Equal(v.At) {
		p.line("  known     what was seen by %s", when(v.Known))
	}
	for _, n := range o.Notes {
		p.wrap("  note      ", 12, dim, clean(n))
	}
}

// reasons lists what does not pass: failures before the unknown, and each with
// what would mend it.
func (p *printer) reasons(v *policy.Verdict) {
	if v.Outcome == policy.Allow {
		return
	}
	failed, open := 0, 0
	for _, r := range v.Requirements {
		switch r.Status {
		case policy.Fail:
			failed++
		case policy.Unknown:
			open++
		}
	}
	switch {
	case failed > 0 && open > 0:
		p.section(fmt.Sprintf("Why: %s, and %s", count(failed, "requirement fails", "requirements fail"), count(open, "is unknown", "are unknown")))
	case failed > 0:
		p.section(fmt.Sprintf("Why: %s", count(failed, "requirement fails", "requirements fail")))
	case open > 0:
		p.section(fmt.Sprintf("Why: %s", count(open, "requirement is unknown", "requirements are unknown")))
	default:
		p.section("Why: the policy asked for nothing, and nothing is never a pass")
		return
	}
	// Causes before what only follows from them.
	for _, derived := range []bool{false, true} {
		for _, want := range []policy.Status{policy.Fail, policy.Unknown} {
			for _, r := range v.Requirements {
				if r.Status == want && follows(r) == derived {
					p.requirement(r)
				}
			}
		}
	}
}

// follows reports whether every reason of a requirement points to another one.
func follows(r policy.Requirement) bool {
	for _, reason := range r.Reasons {
		if reason.Because == nil {
			return false
		}
	}
	return len(r.Reasons) > 0
}

func (p *printer) requirement(r policy.Requirement) {
	about := ""
	if !r.Artifact.IsZero() {
		about = " of " + r.Artifact.Short()
	}
	p.line("  %s %s%s", p.mark(r.Status), p.paint(bold, clean(r.Step)), p.paint(dim, about))
	// Several pieces of evidence can fail alike: each reason and each remedy is
	// said once.
	said := map[string]bool{}
	once := func(key string) bool {
		first := !said[key]
		said[key] = true
		return first
	}
	for _, reason := range r.Reasons {
		text := reason.Why
		if reason.About != "" && reason.About != r.Artifact.String() {
			text = shorten(reason.About) + ": " + text
		}
		if once(string(reason.Code) + " " + text) {
			p.wrap("      "+p.paint(yellow, string(reason.Code))+" ", 6, plain, clean(text))
		}
		if b := reason.Because; b != nil {
			if line := fmt.Sprintf("follows from %s of %s", b.Step, b.Artifact.Short()); once(line) {
				p.wrap("      ", 6, dim, clean(line))
			}
		}
		if reason.Next != "" && once("→ "+reason.Next) {
			p.wrap("      → ", 8, plain, clean(reason.Next))
		}
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shorten shows digests in a text as lists do.
func shorten(s string) string {
	if d, err := attest.ParseDigest(s); err == nil {
		return d.Short()
	}
	return s
}

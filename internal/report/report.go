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
	"maps"
	"slices"
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
	// Repository and Policy are what remedies name in the place of REPO and POLICY;
	// empty leaves the words. Trust is the trust file, which goes where the policy goes.
	Repository string
	Policy     string
	Trust      string
	// Notes are the caller's remarks on how the question was asked.
	Notes []string
	// Unseen says, for people, why things could not be looked at.
	Unseen []string
}

// Text writes the verdict for people. The error is the writer's.
func Text(w io.Writer, v *policy.Verdict, o Options) error {
	p := newPrinter(o)
	p.know(v)
	p.head(v, o)
	p.reasons(v)
	p.steps(v)
	p.identities(v)
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

	repository, policy, trustFile string // what remedies name
	statements                    map[string]bool
}

// know notes which digests are those of statements, to tell them from artifacts'.
func (p *printer) know(v *policy.Verdict) {
	p.statements = map[string]bool{}
	for _, e := range v.Evidence {
		p.statements[e.Payload.String()] = true
	}
}

// named shows what a reason is about.
func (p *printer) named(about string) string {
	if p.statements[about] {
		return "statement " + shorten(about)
	}
	return shorten(about)
}

// remedy puts the caller's repository and policy in the place of the words that
// stand for them.
func (p *printer) remedy(next string) string {
	words := strings.Split(next, " ")
	for i, w := range words {
		switch {
		case w == policy.RemedyPolicy && p.policy != "":
			words[i] = p.policy
			if p.trustFile != "" {
				words[i] += " --trust " + p.trustFile
			}
		case p.repository == "":
		case w == policy.RemedyRepository:
			words[i] = p.repository
		default:
			for _, mark := range []string{"@", ":TAG"} { // REPO@…, ROLE=REPO@…, to=REPO:TAG
				before, after, ok := strings.Cut(w, policy.RemedyRepository+mark)
				if ok && (before == "" || strings.HasSuffix(before, "=")) {
					words[i] = before + p.repository + mark + after
				}
			}
		}
	}
	return strings.Join(words, " ")
}

func newPrinter(o Options) *printer {
	p := &printer{color: o.Color, width: o.Width, repository: o.Repository, policy: o.Policy, trustFile: o.Trust}
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
	if v.Context != "" {
		p.line("  context   %s", clean(v.Context))
	}
	if s := v.Status; s != nil {
		fresh := "fresh until " + when(s.ValidUntil)
		if !s.Fresh {
			fresh = "proves nothing now"
		}
		p.line("  status    number %d by %s, %s: %s", s.Sequence, clean(s.Principal), when(s.Issued), fresh)
	}
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
	folded := openForStatus(v)
	for _, derived := range []bool{false, true} {
		for _, want := range []policy.Status{policy.Fail, policy.Unknown} {
			for _, r := range v.Requirements {
				if r.Status == want && follows(r) == derived && !folded[r.Step] {
					p.requirement(r)
				}
			}
		}
	}
	if len(folded) > 0 {
		steps := slices.Sorted(maps.Keys(folded))
		p.wrap("  "+p.mark(policy.Unknown)+" ", 4, plain, clean(strings.Join(steps, ", "))+": open, because no fresh status proves that nothing was removed")
	}
}

// openForStatus returns the steps that are unknown only because the status is:
// where everything could be looked at, that is all of them. Their reasons, one for
// each thing that may have been removed, would bury the one that matters.
func openForStatus(v *policy.Verdict) map[string]bool {
	open := map[string]bool{}
	i := slices.IndexFunc(v.Requirements, func(r policy.Requirement) bool { return r.Step == policy.StepStatus })
	if i < 0 || v.Requirements[i].Status == policy.Pass || len(v.Gaps) > 0 {
		return open
	}
	for _, r := range v.Requirements {
		if r.Step == policy.StepStatus || r.Status == policy.Pass {
			continue
		}
		if only, seen := open[r.Step]; !seen || only {
			open[r.Step] = r.Status == policy.Unknown
		}
	}
	maps.DeleteFunc(open, func(_ string, only bool) bool { return !only })
	return open
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
			text = About(p.named(reason.About)) + ": " + text
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
			if next := clean(p.remedy(reason.Next)); strings.HasPrefix(next, "pedigree ") {
				p.line("      → %s", next) // a command stays on one line, so that it can be copied
			} else {
				p.wrap("      → ", 8, plain, next)
			}
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

package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// AccessText writes for people what an artifact had access to, and with timeline
// when each grant was in force. The error is the writer's.
func AccessText(w io.Writer, a *lineage.AccessAnswer, timeline bool, o Options) error {
	p := newPrinter(o)
	p.line("%s  at %s", p.paint(bold, "ACCESS"), when(a.At))
	p.line("  %s", clean(a.Artifact.String()))
	if o.Reference != "" {
		p.line("  %s", clean(o.Reference))
	}
	for _, n := range o.Notes {
		p.wrap("  ", 2, dim, clean(n))
	}
	p.given(a)
	p.grants(a)
	if timeline {
		p.timeline(a)
	}
	p.missing(a, o)
	return p.flush(w)
}

// AccessJSON writes the answer's one JSON form. The error is the writer's.
func AccessJSON(w io.Writer, a *lineage.AccessAnswer) error { return indentedJSON(w, a) }

// givenWord is a short word for what can be given.
func givenWord(what string) string {
	switch what {
	case lineage.GivenPath:
		return "path"
	case lineage.GivenScope:
		return "data"
	}
	return what
}

func (p *printer) given(a *lineage.AccessAnswer) {
	p.section("What it could get at")
	if len(a.Given) == 0 {
		p.line("  nothing: no grant was in force")
	}
	for _, g := range a.Given {
		text := g.Name
		if g.What == lineage.GivenTool {
			text += ": " + operations(g.Operations)
			if !g.Schema.IsZero() {
				text += " (schema " + g.Schema.Short() + ")"
			}
		}
		by := make([]string, len(g.Grants))
		for i, n := range g.Grants {
			by[i] = strconv.Itoa(n + 1)
		}
		p.wrap("  "+pad(givenWord(g.What), 8), 10, plain, clean(text)+" (by "+strings.Join(by, ", ")+")")
	}
}

func operations(names []string) string {
	if len(names) == 0 {
		return "everything"
	}
	return strings.Join(names, ", ")
}

// stateMark is the sign of a grant's state.
func (p *printer) stateMark(s lineage.State) string {
	switch s {
	case lineage.InForce:
		return p.paint(green, "✓")
	case lineage.Open:
		return p.paint(yellow, "?")
	}
	return p.paint(red, "✗")
}

func (p *printer) grants(a *lineage.AccessAnswer) {
	p.section("Grants")
	if len(a.Grants) == 0 {
		p.line("  none by anybody who is trusted")
	}
	for i, g := range a.Grants {
		number := fmt.Sprintf("  %3d ", i+1)
		p.wrap(number+p.stateMark(g.State)+" ", 8, plain, fmt.Sprintf("%s, for %s, by %s", g.State, person(g.Principal), Who(g.Signer)))
		if !g.NotAfter.IsZero() {
			p.wrap("        ", 8, plain, fmt.Sprintf("granted %s%s, from %s until %s", when(g.GrantedAt), seenText(g.Seen), when(g.From), when(g.NotAfter)))
		}
		if g.Why != "" {
			p.wrap("        ", 8, red, fmt.Sprintf("%s %s", g.Code, clean(g.Why)))
		}
		for _, l := range g.Chain {
			p.wrap("        ", 8, dim, fmt.Sprintf("given on from %s about %s, for %s, by %s", l.Payload.Short(), l.Artifact.Short(), person(l.Principal), Who(l.Signer)))
		}
		for _, t := range g.Taken {
			until := ""
			if !t.To.IsZero() {
				until = " until " + when(t.To)
			}
			p.wrap("        ", 8, dim, fmt.Sprintf("%s of the %s by %s from %s%s: %s (statement %s)", t.Action, t.Target, Who(strings.Join(t.By, ", ")), when(t.From), until, clean(t.Reason), t.Payload.Short()))
		}
		if g.Reason != "" {
			p.wrap("        ", 8, dim, "reason: "+clean(g.Reason))
		}
		p.line("        %s", p.paint(dim, "statement "+g.Payload.String()))
	}
}

// person writes whom a grant is for: the signer's words, and a key in its short form.
func person(id string) string {
	if id == "" {
		return "nobody knows whom"
	}
	if digest, ok := strings.CutPrefix(id, "key:"); ok {
		return "key:" + shorten(clean(digest))
	}
	return Who(id)
}

// missing says where the evidence ends.
func (p *printer) missing(a *lineage.AccessAnswer, o Options) {
	if len(a.Gaps) == 0 {
		return
	}
	p.section("What could not be seen")
	for _, g := range a.Gaps {
		text := "there may be more, about " + g.Artifact.String()
		if g.Code == attest.CodeRevoked {
			text = "something may take back " + g.Artifact.String() + ", and cannot be read or has no time that counts"
		}
		p.wrap("  "+p.paint(yellow, "?")+" ", 4, plain, fmt.Sprintf("%s %s", g.Code, text))
	}
	for _, u := range o.Unseen {
		p.wrap("    ", 4, dim, clean(u))
	}
}

// A scale lays times out between the first and the last of an answer.
type scale struct{ first, last time.Time }

// scaleOf spans all grants and the time in question; ok is false where nothing lasts.
func scaleOf(a *lineage.AccessAnswer) (s scale, ok bool) {
	s = scale{a.At, a.At}
	for _, g := range a.Grants {
		if g.NotAfter.IsZero() {
			continue // cannot be read
		}
		if g.From.Before(s.first) {
			s.first = g.From
		}
		if g.NotAfter.After(s.last) {
			s.last = g.NotAfter
		}
	}
	return s, s.last.After(s.first)
}

// at is where a time lies, from 0 to 1. Seconds in floating point: a Duration ends
// after 292 years, and a grant may say 9999.
func (s scale) at(t time.Time) float64 {
	whole := float64(s.last.Unix() - s.first.Unix())
	if whole <= 0 {
		return 0
	}
	return min(1, max(0, float64(t.Unix()-s.first.Unix())/whole))
}

// bar draws one grant: █ while it was in force, ░ while it lasted and was not.
func (s scale) bar(g lineage.Grant, width int) string {
	cells := []rune(strings.Repeat(" ", width))
	fill := func(from, to time.Time, r rune) {
		first := int(s.at(from) * float64(width))
		last := max(first+1, int(s.at(to)*float64(width)+0.5)) // what lasts a moment is seen
		for i := first; i < min(last, width); i++ {
			cells[i] = r
		}
	}
	if !g.NotAfter.IsZero() {
		fill(g.From, g.NotAfter, '░')
	}
	for _, span := range g.Spans {
		fill(span.From, span.To, '█')
	}
	return string(cells)
}

func (p *printer) timeline(a *lineage.AccessAnswer) {
	s, ok := scaleOf(a)
	if !ok {
		return
	}
	p.section("Timeline")
	width := p.width - 8
	from, to := when(s.first), when(s.last)
	p.line("      %s%s", pad(from, max(0, width-len(to))), to)
	mark := min(int(s.at(a.At)*float64(width)), width-1)
	p.line("      %s", p.paint(dim, strings.Repeat("─", mark)+"┬"+strings.Repeat("─", width-1-mark)))
	for i, g := range a.Grants {
		p.line("  %3d %s", i+1, strings.TrimRight(s.bar(g, width), " "))
	}
	p.line("      %s", p.paint(dim, "█ in force   ░ granted, and not in force   ┬ "+when(a.At)))
}

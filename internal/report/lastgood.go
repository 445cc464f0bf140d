package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A LastGood is the answer to which version is the last good one, with what was
// asked and how to go on.
type LastGood struct {
	Repository string           `json:"repository"`
	Policy     policy.PolicyRef `json:"policy"`
	At         time.Time        `json:"at"`
	Known      time.Time        `json:"known"`
	Before     *time.Time       `json:"before,omitempty"`
	Context    string           `json:"context,omitempty"`
	// Environment is the one whose records were read; "" if none was asked about.
	Environment string `json:"environment,omitempty"`
	*lineage.LastGood
	// Commands verify, fetch and record the version that was found.
	Commands []string `json:"commands"`
	// RollbackCommands do the same for each entry of Rollback; null where that is the
	// version that was found, or nothing.
	RollbackCommands [][]string `json:"rollbackCommands"`
}

// LastGoodJSON writes the answer as JSON. The error is the writer's.
func LastGoodJSON(w io.Writer, l LastGood) error { return indentedJSON(w, l) }

// LastGoodText writes the answer for people. The error is the writer's.
func LastGoodText(w io.Writer, l LastGood, o Options) error {
	p := newPrinter(o)
	switch {
	case l.Found != nil:
		p.line("%s  %s", p.outcome(policy.Allow), p.paint(bold, l.Found.Digest.String()))
	case l.Open():
		p.line("%s  no version is known to be good", p.outcome(policy.Undecided))
	default:
		p.line("%s  no version is good", p.outcome(policy.Deny))
	}
	p.b.WriteByte('\n')
	if l.Found != nil {
		p.version(l.Found)
	}
	p.line("  in        %s", clean(l.Repository))
	p.line("  policy    %s version %d, %s", clean(l.Policy.Name), l.Policy.Version, l.Policy.Digest)
	p.line("  judged    at %s", when(l.At))
	if l.Before != nil {
		p.line("  made      before %s: %s left out", when(*l.Before), count(l.TooNew, "version", "versions"))
	}
	if l.Context != "" {
		p.line("  context   %s", clean(l.Context))
	}
	for _, n := range o.Notes {
		p.wrap("  note      ", 12, dim, clean(n))
	}
	p.newer(&l)
	p.rollbacks(&l)
	if len(l.Commands) > 0 {
		title := "To verify it, and to fetch it"
		if len(l.Commands) > 2 {
			title = "To verify it, to fetch it, and to record where it runs"
		}
		p.section(title)
		p.commands(l.Commands)
	}
	p.lastGoodEnds(&l)
	return p.flush(w)
}

func onlyIf(cond bool, s string) string {
	if cond {
		return s
	}
	return ""
}

// commands writes commands, each on one line, so that it can be copied.
func (p *printer) commands(list []string) {
	for _, c := range list {
		p.line("  %s", clean(c))
	}
}

// version says what a good version is: what it is called, who made and approved it.
func (p *printer) version(v *lineage.JudgedVersion) {
	if len(v.Tags) > 0 {
		p.wrap("  tags      ", 12, plain, clean(strings.Join(v.Tags, ", ")))
	}
	for _, r := range v.MadeBy {
		p.wrap("  made      ", 12, plain, clean(recordText(r)))
	}
	for _, r := range v.ApprovedBy {
		p.wrap("  approved  ", 12, plain, clean(recordText(r)))
	}
}

func recordText(r lineage.Record) string {
	at := "at no time that it says"
	if r.Claimed != nil {
		at = when(*r.Claimed)
	}
	return fmt.Sprintf("%s by %s (%s, statement %s)", at, Who(r.Signer), r.Step, r.Payload.Short())
}

// versionName names a version in a list: its tags first, which are what people
// know, and the digest, which is what counts.
func versionName(v *lineage.Version) string {
	name := v.Digest.Short()
	if len(v.Tags) > 0 {
		name = strings.Join(v.Tags[:min(len(v.Tags), 2)], ", ") + " " + name
	}
	if v.Made != nil {
		name += " of " + clock(*v.Made)
	}
	return name
}

const (
	// maxGroups, maxNamed and maxTexts are how many kinds of answers, versions of one
	// kind, and reasons of one kind are printed: five hundred bad versions are to be
	// read at a glance. JSON has all of them.
	maxGroups = 10
	maxNamed  = 5
	maxTexts  = 3
)

// A kindOfNo are the versions that are not good for the same reasons.
type kindOfNo struct {
	outcome  lineage.Outcome
	versions []*lineage.JudgedVersion
}

// newer says why each newer version is not good, those alike together.
func (p *printer) newer(l *LastGood) {
	if len(l.Newer) == 0 {
		return
	}
	var order []string
	kinds := map[string]*kindOfNo{}
	for i := range l.Newer {
		v := &l.Newer[i]
		key := kindOf(v)
		if kinds[key] == nil {
			kinds[key] = &kindOfNo{outcome: v.Outcome}
			order = append(order, key)
		}
		kinds[key].versions = append(kinds[key].versions, v)
	}
	title := "Newer, and not good: "
	if l.Found == nil {
		title = "Not good: "
	}
	p.section(title + count(len(l.Newer), "version", "versions"))
	for i, key := range order {
		if i == maxGroups {
			p.line("  … and %s, for other reasons", count(remaining(order[i:], kinds), "more", "more"))
			break
		}
		p.kindOfNo(kinds[key])
	}
	if l.Undecided > 0 {
		p.wrap("  ", 2, yellow, fmt.Sprintf("%s undecided, and may be better: not everything about %s could be looked at", count(l.Undecided, "version is", "versions are"), onlyOne(l.Undecided, "it", "them")))
	}
}

func onlyOne(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func remaining(order []string, kinds map[string]*kindOfNo) int {
	n := 0
	for _, key := range order {
		n += len(kinds[key].versions)
	}
	return n
}

// kindOf is what versions that are not good for the same reasons have in common:
// the answer, and which requirements fail with which code.
func kindOf(v *lineage.JudgedVersion) string {
	var parts []string
	for _, w := range v.Why {
		parts = append(parts, fmt.Sprintf("%s\x00%s\x00%t", w.Step, w.Code, w.Open))
	}
	slices.Sort(parts)
	return string(v.Outcome) + "\x01" + strings.Join(slices.Compact(parts), "\x01")
}

func (p *printer) kindOfNo(k *kindOfNo) {
	var names []string
	for _, v := range k.versions[:min(len(k.versions), maxNamed)] {
		names = append(names, versionName(&v.Version))
	}
	text := strings.Join(names, "; ")
	if n := len(k.versions) - maxNamed; n > 0 {
		text += fmt.Sprintf("; … and %d more", n)
	}
	sign := policy.Fail
	if k.outcome == lineage.OutcomeUndecided {
		sign = policy.Unknown
	}
	p.wrap(fmt.Sprintf("  %s %s  ", p.mark(sign), p.paint(bold, string(k.outcome))), 6+len(k.outcome), plain, clean(text))
	type cause struct {
		step string
		code attest.Code
	}
	var order []cause
	texts := map[cause][]string{}
	said := map[string]bool{}
	for _, v := range k.versions {
		for _, w := range v.Why {
			c := cause{w.Step, w.Code}
			if texts[c] == nil {
				order = append(order, c)
			}
			text := whyText(v, w)
			if key := fmt.Sprintf("%s\x00%s\x00%s", w.Step, w.Code, text); !said[key] {
				said[key] = true
				texts[c] = append(texts[c], text)
			}
		}
	}
	for _, c := range order {
		for i, text := range texts[c] {
			if i == maxTexts {
				p.line("      … and %d more of %s", len(texts[c])-maxTexts, clean(c.step))
				break
			}
			p.wrap("      "+p.paint(yellow, string(c.code))+" ", 6, plain, clean(c.step+": "+text))
		}
	}
}

// whyText says one reason, without the version's own digest: it stands above.
func whyText(v *lineage.JudgedVersion, w lineage.Why) string {
	if w.About == "" || w.About == v.Digest.String() {
		return w.Why
	}
	return shorten(w.About) + ": " + w.Why
}

// rollbacks says, for each place, what ran there before and is good.
func (p *printer) rollbacks(l *LastGood) {
	if l.Environment == "" {
		return
	}
	p.section("To roll back to, in " + clean(l.Environment))
	if len(l.Rollback) == 0 {
		p.line("  nobody whose word counts recorded that anything runs there")
	}
	for i, r := range l.Rollback {
		where := cmp.Or(clean(r.Place.String()), "a place without a name")
		running := r.Running.Short() + " since " + when(r.Since) + onlyIf(l.Found != nil && l.Found.Digest == r.Running, ", the last good version")
		if r.Contested {
			running += ", or something else: the records do not agree, see pedigree history"
		}
		p.wrap("  - ", 4, plain, where+": runs "+running)
		switch {
		case r.Target == nil && r.Open:
			p.line("      nothing older that ran there is known to be good")
		case r.Target == nil:
			p.line("      nothing older that ran there is good")
		default:
			until := "now"
			if r.Until != nil {
				until = when(*r.Until)
			}
			p.wrap("      → ", 8, plain, clean(fmt.Sprintf("%s: good, and ran in %s until %s", versionName(&r.Target.Version), l.Environment, until)))
			if r.Open {
				p.line("        what ran there and is newer is undecided")
			}
		}
		if i < len(l.RollbackCommands) {
			for _, c := range l.RollbackCommands[i] {
				p.line("        %s", clean(c))
			}
		}
	}
}

// lastGoodEnds says what was not judged, and what could not be.
func (p *printer) lastGoodEnds(l *LastGood) {
	var lines []string
	if n := len(l.Undated); n > 0 {
		var names []string
		for _, v := range l.Undated[:min(n, maxNamed)] {
			names = append(names, versionName(&v))
		}
		text := "no trusted record says when it was made: " + strings.Join(names, "; ")
		if n > maxNamed {
			text += fmt.Sprintf("; … and %d more", n-maxNamed)
		}
		lines = append(lines, text)
	}
	if l.Unjudged > 0 {
		lines = append(lines, fmt.Sprintf("not judged, by --limit: %s", count(l.Unjudged, "version", "versions")))
	}
	if l.Older > 0 {
		lines = append(lines, fmt.Sprintf("not judged, because older: %s", count(l.Older, "version", "versions")))
	}
	for _, x := range []struct {
		n   int
		why string
	}{{l.LeftOut.Other, "not versions: data sets, intermediate models, and what nobody recorded making"}, {l.LeftOut.Unknown, "without files and without anything that a trusted key signed"}, {l.LeftOut.StandIns, "stand-ins for what is kept elsewhere"}} {
		if x.n > 0 {
			lines = append(lines, fmt.Sprintf("left out, %d: %s", x.n, x.why))
		}
	}
	for i, g := range l.Gaps {
		if i == maxGroups {
			lines = append(lines, fmt.Sprintf("… and %d more", len(l.Gaps)-maxGroups))
			break
		}
		lines = append(lines, gapText(g))
	}
	if len(lines) == 0 {
		return
	}
	p.section("What was not judged")
	for _, s := range lines {
		p.wrap("  - ", 4, plain, clean(s))
	}
}

// gapText says what could not be looked at.
func gapText(g lineage.Gap) string {
	if g.Artifact.IsZero() {
		return fmt.Sprintf("the list of what there is may not be complete: %s", g.Code)
	}
	return fmt.Sprintf("evidence about %s may be missing: %s", g.Artifact.Short(), g.Code)
}

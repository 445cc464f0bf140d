package report

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// commitsLine says how two commits stand to each other.
func commitsLine(c *lineage.CommitRange) string {
	s := ""
	switch c.Relation {
	case lineage.CommitNewer:
		s = count(c.GainedCount, "commit", "commits") + " later, listed below"
	case lineage.CommitOlder:
		s = "B's is OLDER: it lacks " + count(c.LostCount, "commit", "commits") + " of A's, listed below"
	case lineage.CommitDiverged:
		s = fmt.Sprintf("neither is an ancestor of the other: B has %s, and lacks %d of A's, listed below", count(c.GainedCount, "commit of its own", "commits of its own"), c.LostCount)
	default:
		var missing []string
		for _, d := range c.Missing {
			missing = append(missing, d.Short())
		}
		s = "the clone lacks " + strings.Join(missing, " and ")
	}
	if c.Shallow {
		s += "; the clone's history is cut, so there may be more"
	}
	return s
}

// code lists the commits of each range.
func (r *diffReport) code() {
	first := true
	for i, c := range r.d.Changes {
		if c.Commits == nil || len(c.Commits.Gained)+len(c.Commits.Lost)+len(c.Commits.Paths) == 0 {
			continue
		}
		if first {
			r.p.section("Code: which commits (in their authors' words; signatures of commits are not checked)")
			first = false
		}
		r.p.line("  %s", r.p.paint(bold, r.title(i)))
		r.commits(lineage.HowAdded, c.Commits.Gained, c.Commits.GainedCount)
		r.commits(lineage.HowRemoved, c.Commits.Lost, c.Commits.LostCount)
		for n, path := range c.Commits.Paths {
			if n == maxDiffLines {
				r.p.line("      … and %d more files (use --output json)", len(c.Commits.Paths)-n+c.Commits.PathsMore)
				break
			}
			r.p.line("      %s %s", r.mark(path.How), clean(path.Path))
		}
	}
}

func (r *diffReport) commits(how lineage.How, list []lineage.Commit, all int) {
	for n, c := range list {
		if n == maxDiffLines {
			r.p.line("    … and %d more commits (use --output json)", all-n)
			return
		}
		r.p.wrap("    "+r.mark(how)+" ", 8, plain, c.ID.Hex()[:12]+"  "+clean(c.Time)+"  "+clean(c.Author)+": "+clean(c.Subject))
	}
}

// measured compares evaluations.
func (r *diffReport) measured() {
	first := true
	for i, c := range r.d.Changes {
		for n, e := range c.Evaluations {
			if first {
				r.p.section("What was measured")
				first = false
			}
			if n == 0 {
				r.p.line("  %s", r.p.paint(bold, r.title(i)))
			}
			r.evaluation(e)
		}
	}
}

func (r *diffReport) evaluation(e lineage.EvaluationChange) {
	p := r.p
	head := clean(e.Kind) + ", suite " + clean(e.Suite)
	if e.VersionA != e.VersionB {
		head += " version " + change(clean(e.VersionA), clean(e.VersionB))
	}
	head += ", by " + change(clean(strings.Join(e.SignersA, ", ")), clean(strings.Join(e.SignersB, ", "))) + " " + r.cite(e.A, e.B)
	if len(e.A) > 1 || len(e.B) > 1 {
		head += ", the latest of each"
	}
	p.wrap("    ", 6, plain, head)
	if e.OtherKeys {
		p.line("      %s", p.paint(yellow, "! the same name with another key"))
	}
	comparable := false
	switch {
	case e.FromA == nil:
		p.line("      %s", p.paint(green, "+ only B was measured so"))
	case e.FromB == nil:
		p.line("      %s", p.paint(red, "- only A was measured so"))
	case e.Data == lineage.DataSame:
		comparable = true
		p.line("      %s", p.paint(dim, "both on the same data"))
	case e.Data == lineage.DataOther:
		p.line("      %s", p.paint(yellow, "! NOT COMPARABLE: measured on other data; the deltas say nothing about the artifacts"))
	default:
		p.line("      %s", p.paint(yellow, "! NOT COMPARABLE: on which data is not signed on both sides"))
	}
	r.metrics(e, comparable)
}

// maxMetricName is how wide the column of names gets.
const maxMetricName = 56

func (r *diffReport) metrics(e lineage.EvaluationChange, comparable bool) {
	list, more := e.Metrics, 0
	if len(list) > 2*maxDiffLines {
		list, more = list[:2*maxDiffLines], len(list)-2*maxDiffLines
	}
	names, width, values := make([]string, len(list)), 0, 0
	text := func(v *lineage.Measured) string {
		if v == nil {
			return "-"
		}
		return clean(v.Value + v.Unit)
	}
	for i, m := range list {
		names[i] = metricName(m)
		width = max(width, min(utf8.RuneCountInString(names[i]), maxMetricName))
		values = max(values, len(text(m.A)), len(text(m.B)))
	}
	for i, m := range list {
		how := lineage.HowChanged
		switch {
		case m.A == nil:
			how = lineage.HowAdded
		case m.B == nil:
			how = lineage.HowRemoved
		}
		line := fmt.Sprintf("%s  %s → %s", pad(names[i], width), pad(text(m.A), values), pad(text(m.B), values))
		if e.FromA == nil || e.FromB == nil {
			line = pad(names[i], width) + "  " + cmp.Or(strings.ReplaceAll(text(m.A), "-", ""), text(m.B))
		}
		if m.Delta != "" {
			line += "  " + m.Delta
		}
		st := plain
		if !comparable && e.FromA != nil && e.FromB != nil {
			st = dim
		}
		r.p.line("      %s %s", r.mark(how), strings.TrimRight(r.p.paint(st, line), " "))
	}
	if more > 0 {
		r.p.line("      … and %d more (use --output json)", more)
	}
	if e.MetricsSame > 0 {
		r.p.line("      %s %s", r.mark(lineage.HowSame), r.p.paint(dim, plainCount(e.MetricsSame, "number is the same", "numbers are the same")))
	}
}

func metricName(m lineage.MetricChange) string {
	switch {
	case m.Slice == "":
		return clean(m.Name)
	case m.Group == "":
		return clean(m.Slice) + ": gap of " + clean(m.Name)
	}
	return clean(m.Slice) + " " + clean(m.Group) + ": " + clean(m.Name)
}

// approved compares decisions.
func (r *diffReport) approved() {
	r.p.section("Who approved it")
	decided := false
	for i, c := range r.d.Changes {
		for n, a := range c.Approvals {
			decided = true
			if n == 0 {
				r.p.line("  %s", r.p.paint(bold, r.title(i)))
			}
			who := Who(a.Signer)
			if a.Role != "" {
				who += " as " + clean(a.Role)
			}
			if a.OtherKey {
				who += r.p.paint(yellow, "  ! with another key")
			}
			r.p.line("    %s", who)
			r.decisions("A", a.A)
			r.decisions("B", a.B)
		}
	}
	if !decided {
		r.p.line("  %s", r.p.paint(yellow, "nobody whose signature counts here decided about either, or both decisions are the same"))
	}
}

func (r *diffReport) decisions(letter string, list []lineage.ApprovalSeen) {
	if len(list) == 0 {
		r.p.line("      %s %s", letter, r.p.paint(yellow, "nothing"))
		return
	}
	for _, s := range list {
		st := plain
		if s.Decision != "approved" {
			st = red
		}
		r.p.wrap("      "+letter+" ", 10, st, decisionText(s, r.d.Records[s.Record])+" "+r.cite([]int{s.Record}))
	}
}

// decisionText says what was decided, when, for what and on what.
func decisionText(s lineage.ApprovalSeen, r lineage.Record) string {
	text := strings.ToUpper(clean(s.Decision)) + " for " + clean(strings.Join(s.Environments, ", ")) + ", " + when(timeOf(r))
	if s.ValidUntil != nil {
		text += ", until " + when(*s.ValidUntil)
	}
	if name := policyText(s.Policy); name != "" {
		text += ", under " + name
	}
	var basis []string
	for i, b := range s.Basis {
		if i == 6 {
			basis = append(basis, fmt.Sprintf("%d more", len(s.Basis)-i))
			break
		}
		if b.What == "" {
			basis = append(basis, b.Payload.Short()+", which is not in the chain")
		} else {
			basis = append(basis, clean(b.What)+" "+b.Payload.Short())
		}
	}
	if len(basis) > 0 {
		text += ", on " + strings.Join(basis, " and ")
	}
	if len(s.Conditions) > 0 {
		text += ", on conditions: " + clean(strings.Join(s.Conditions, ", "))
	}
	if uncounted(r) {
		text += " (no step of the policy counts it)"
	}
	return text
}

// besides lists what else was said.
func (r *diffReport) besides() {
	first := true
	for i, c := range r.d.Changes {
		for n, o := range c.Others {
			if first {
				r.p.section("What else was said")
				first = false
			}
			if n == 0 {
				r.p.line("  %s", r.p.paint(bold, r.title(i)))
			}
			how := lineage.HowChanged
			switch {
			case len(o.A) == 0:
				how = lineage.HowAdded
			case len(o.B) == 0:
				how = lineage.HowRemoved
			}
			r.p.wrap("    "+r.mark(how)+" ", 8, plain, clean(o.Type)+": "+change(r.brief(o.A), r.brief(o.B))+" "+r.cite(o.A, o.B))
		}
	}
}

// brief says what the first of some records say.
func (r *diffReport) brief(list []int) string {
	var parts []string
	for i, n := range list {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		record := r.d.Records[n]
		text := "by " + Who(record.Signer)
		if d := recordDetail(record); d != "" {
			text = clean(d) + " " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

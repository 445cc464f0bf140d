package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/policy"
)

// A row is one requirement: the answer, who gave it and when, what was asked,
// and what was found.
type row struct {
	status                              policy.Status
	step, who, when, required, findings string
}

// steps writes one line for each thing the policy asked.
func (p *printer) steps(v *policy.Verdict) {
	if len(v.Requirements) == 0 {
		return
	}
	p.section("Steps")
	head := row{step: "step", who: "who", when: "when (UTC)", required: "required", findings: "found"}
	rows := make([]row, 0, len(v.Requirements))
	widths := [4]int{utf8.RuneCountInString(head.step), len(head.who), len(head.when), len(head.required)}
	for _, r := range v.Requirements {
		w := rowOf(r)
		rows = append(rows, w)
		for i, s := range []string{w.step, w.who, w.when, w.required} {
			widths[i] = max(widths[i], min(utf8.RuneCountInString(s), maxColumn))
		}
	}
	p.line("    %s", p.paint(dim, head.columns(widths)+head.findings))
	for _, w := range rows {
		p.row(w, widths)
	}
}

// maxColumn keeps one long list of principals from pushing everything else off
// the right edge.
const maxColumn = 30

func (w row) columns(widths [4]int) string {
	var b strings.Builder
	for i, s := range []string{w.step, w.who, w.when, w.required} {
		b.WriteString(pad(s, widths[i]) + "  ")
	}
	return b.String()
}

func (p *printer) row(w row, widths [4]int) {
	left := w.columns(widths)
	used := 4 + utf8.RuneCountInString(left)
	prefix := "  " + p.mark(w.status) + " "
	if used+utf8.RuneCountInString(w.findings) <= p.width {
		p.line("%s%s%s", prefix, left, w.findings)
		return
	}
	if room := p.width - used; room >= 24 {
		p.wrap(prefix+left, used, plain, w.findings)
		return
	}
	p.line("%s%s", prefix, strings.TrimRight(left, " "))
	p.wrap(strings.Repeat(" ", 8), 8, plain, w.findings)
}

func rowOf(r policy.Requirement) row {
	var who, times []string
	for _, c := range r.Selected {
		name := clean(c.Principal)
		if c.Status != policy.Pass {
			name = "(" + name + ")" // selected, and does not count
		}
		if !slices.Contains(who, name) {
			who = append(who, name)
		}
		times = append(times, clock(c.Claimed))
	}
	slices.Sort(times)
	slices.Sort(who)
	w := row{status: r.Status, step: clean(r.Step), who: strings.Join(who, ", "), required: required(r), findings: found(r)}
	if len(times) > 0 {
		w.when = times[len(times)-1]
	}
	if w.who == "" {
		w.who, w.when = "-", "-"
	}
	return w
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func required(r policy.Requirement) string {
	if len(r.By) == 0 {
		return "-"
	}
	names := make([]string, len(r.By))
	for i, n := range r.By {
		names[i] = clean(n)
	}
	s := strings.Join(names, ", ")
	if len(names) > 1 {
		s = fmt.Sprintf("%d of %s", max(r.Threshold, 1), s)
	}
	if r.Kind != "" {
		s += " (" + clean(r.Kind) + ")"
	}
	if r.Roles != "" {
		s += " as " + clean(r.Roles)
	}
	return s
}

// found says what stood behind the answer: the evidence, and each rule with the
// values that decided it.
func found(r policy.Requirement) string {
	if len(r.Reasons) > 0 {
		codes := []string{}
		for _, reason := range r.Reasons {
			if c := string(reason.Code); !slices.Contains(codes, c) {
				codes = append(codes, c)
			}
		}
		return strings.Join(codes, ", ")
	}
	var parts []string
	for _, rule := range r.Rules {
		parts = append(parts, ruleText(rule))
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	if len(parts) == 0 {
		if len(r.Selected) == 0 {
			return "nothing against it"
		}
		payloads := make([]string, len(r.Selected))
		for i, c := range r.Selected {
			payloads[i] = c.Payload.Hex()[:12]
		}
		return "payload " + strings.Join(payloads, ", ")
	}
	return strings.Join(parts, "; ")
}

func ruleText(r policy.RuleResult) string {
	values := make([]string, len(r.Values))
	for i, v := range r.Values {
		values[i] = clean(label(v.Expression) + " " + v.Value)
	}
	if len(values) == 0 {
		return clean(r.ID)
	}
	return clean(r.ID) + ": " + strings.Join(values, ", ")
}

// label shortens predicate.slices["sex"].gaps["parity"].value to the names that
// tell one such expression from another: sex parity. A field other than the value
// stays, and so does whose it is: accuracy n, other accuracy.
func label(expression string) string {
	short := strings.TrimPrefix(expression, "predicate.")
	parts := strings.Split(expression, `"`)
	if len(parts) < 3 || len(parts)%2 == 0 {
		return short
	}
	var names []string
	if strings.HasPrefix(expression, "other.") {
		names = append(names, "other")
	} else if short == expression {
		return short // a function of it, say
	}
	for i := 1; i < len(parts); i += 2 {
		if i > 1 && (!strings.HasPrefix(parts[i-1], "]") || strings.ContainsAny(parts[i-1], " ()")) {
			return short // more than one place
		}
		names = append(names, parts[i])
	}
	switch field, ok := strings.CutPrefix(parts[len(parts)-1], "]"); {
	case !ok || field != "" && field[0] != '.' || strings.ContainsAny(field, " ()"):
		return short
	case field != "" && field != ".value":
		names = append(names, field[1:])
	}
	return strings.Join(names, " ")
}

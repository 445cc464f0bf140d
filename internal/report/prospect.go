package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/policy"
)

// Prospect writes what an approval would rest on: the verdict on everything but
// the approval, the measurements with their slices, who did what, and where it
// comes from. The error is the writer's.
func Prospect(w io.Writer, q *policy.Prospect, o Options) error {
	p := newPrinter(o)
	v := q.Verdict
	p.line("%s  %s", p.paint(bold, "FOR APPROVAL"), p.paint(bold, q.Artifact.String()))
	p.b.WriteByte('\n')
	if o.Reference != "" {
		p.line("  artifact  %s", clean(o.Reference))
	}
	p.line("  as        %s under %s version %d, %s", clean(q.Step), clean(v.Policy.Name), v.Policy.Version, v.Policy.Digest)
	p.line("  at        %s", when(v.At))
	p.line("  otherwise %s: the policy's answer to everything but this step", p.outcome(v.Outcome))
	for _, n := range o.Notes {
		p.wrap("  note      ", 12, dim, clean(n))
	}
	p.decisions(q)
	p.reasons(v)
	for _, n := range q.Basis {
		p.basis(n, v)
	}
	p.steps(v)
	p.lineage(v)
	p.taken(v, o)
	p.notProven(v)
	return p.flush(w)
}

// decisions writes who has decided so far, and who may still.
func (p *printer) decisions(q *policy.Prospect) {
	if len(q.Decisions) > 0 {
		p.section("Decisions so far")
	}
	for _, d := range q.Decisions {
		line := fmt.Sprintf("%s by %s, %s", clean(d.Decision), clean(d.Principal), when(d.Claimed))
		switch {
		case d.Veto:
			line += ": A VETO, beside which nothing counts"
		case !d.Counts:
			line += ": does not count"
		}
		if d.Comment != "" {
			line += " (" + clean(d.Comment) + ")"
		}
		p.wrap("  - ", 4, plain, line)
	}
	p.section(fmt.Sprintf("%d required", q.Threshold))
	p.wrap("  may still approve: ", 4, plain, clean(orNobody(q.Able)))
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

// basis writes one piece of evidence that the approval would name.
func (p *printer) basis(n policy.Named, v *policy.Verdict) {
	who := "somebody"
	for _, item := range v.Evidence {
		if item.Payload == n.Payload && item.Credential == n.Evidence.ID().Credential.String() {
			who = item.Principal
		}
	}
	facts, err := n.Evidence.Facts()
	p.section(fmt.Sprintf("Evidence: %s by %s, %s", clean(n.Step), clean(who), when(facts.Claimed)))
	p.line("  payload   %s", n.Payload)
	p.line("  about     %s", n.Artifact)
	if err != nil {
		p.wrap("  ", 2, red, "it cannot be read: "+clean(err.Error()))
		return
	}
	for _, r := range v.Requirements {
		if r.Step != n.Step || r.Artifact != n.Artifact {
			continue
		}
		for _, rule := range r.Rules {
			if rule.Payload == n.Payload {
				p.wrap("  rule    "+p.mark(rule.Status)+" ", 12, plain, ruleText(rule)+"; it refuses: "+clean(rule.Message))
			}
		}
	}
	for _, line := range metricLines(facts.Tree["metrics"]) {
		p.wrap("  metric    ", 12, plain, clean(line))
	}
	for _, line := range sliceLines(facts.Tree["slices"]) {
		p.wrap("  slice     ", 12, plain, clean(line))
	}
	for _, in := range facts.Inputs {
		line := in.Role + " " + in.Digest.Short()
		if in.URI != "" {
			line += "  " + in.URI
		}
		if !in.Observed {
			line += "  (named, not hashed)"
		}
		p.wrap("  input     ", 12, plain, clean(line))
	}
}

// object returns a tree's member as an object; empty for anything else: a
// predicate of a type that has no such field has nothing to show.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func metricLines(v any) []string {
	metrics := object(v)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		out = append(out, name+" "+metricText(object(metrics[name])))
	}
	return out
}

func metricText(m map[string]any) string {
	s := scalar(m["value"])
	var notes []string
	if i := object(m["interval"]); len(i) > 0 {
		notes = append(notes, scalar(i["low"])+" to "+scalar(i["high"]))
	}
	if n, ok := m["n"]; ok {
		notes = append(notes, "n "+scalar(n))
	}
	if len(notes) > 0 {
		s += " (" + strings.Join(notes, ", ") + ")"
	}
	return s
}

// sliceLines gives each group of each slice a line, and the gaps between groups
// another.
func sliceLines(v any) []string {
	var out []string
	all := object(v)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		slice := object(all[name])
		groups := object(slice["groups"])
		for _, g := range slices.Sorted(maps.Keys(groups)) {
			group := object(groups[g])
			line := name + " " + g
			if n, ok := group["n"]; ok {
				line += " (n " + scalar(n) + ")"
			}
			out = append(out, line+": "+values(object(group["metrics"])))
		}
		if gaps := object(slice["gaps"]); len(gaps) > 0 {
			out = append(out, name+" gaps: "+values(gaps))
		}
	}
	return out
}

func values(metrics map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		parts = append(parts, name+" "+scalar(object(metrics[name])["value"]))
	}
	return strings.Join(parts, ", ")
}

func scalar(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return "-"
}

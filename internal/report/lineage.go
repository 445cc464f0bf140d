package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// lineage writes what was made from what, as a tree from the artifact down to
// where the evidence ends.
func (p *printer) lineage(v *policy.Verdict) {
	if len(v.Lineage) == 0 {
		return
	}
	p.section("Lineage")
	t := tree{p: p, v: v, shown: map[attest.Digest]bool{}}
	label := v.Artifact.Short()
	if s := t.madeBy(v.Artifact); s != "" {
		label += "  " + s
	}
	p.line("  %s", label)
	t.inputs(v.Artifact, "  ")
}

type tree struct {
	p     *printer
	v     *policy.Verdict
	shown map[attest.Digest]bool // an artifact reached twice is drawn once
}

// madeBy names the steps whose evidence the policy took for the artifact's
// making, and by whom.
func (t *tree) madeBy(d attest.Digest) string {
	var parts []string
	for _, e := range t.v.Lineage {
		if e.Artifact != d {
			continue
		}
		s := clean(e.Step)
		if who := t.principals(d, e.Step); who != "" {
			s += " by " + who
		}
		if !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

func (t *tree) principals(d attest.Digest, step string) string {
	var names []string
	for _, item := range t.v.Evidence {
		if name := clean(item.Principal); item.Artifact == d && slices.Contains(item.Steps, step) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// inputs draws what d was made from. Each artifact is expanded once, so the
// recursion ends, and the tree has no more lines than the verdict has edges.
func (t *tree) inputs(d attest.Digest, prefix string) {
	if t.shown[d] {
		return
	}
	t.shown[d] = true
	edges, steps := t.edges(d)
	for i, e := range edges {
		branch, below := "├─ ", "│  "
		if i == len(edges)-1 {
			branch, below = "└─ ", "   "
		}
		role := clean(e.Role)
		if role == "" {
			role = "input"
		}
		text := role + " " + e.Input.Short()
		if s := strings.Join(steps[i], ", "); s != "" {
			text += " of " + s
		}
		note := t.note(e)
		plainWidth := len([]rune(prefix + branch + text))
		if plainWidth+2+len([]rune(note)) > t.p.width && note != "" {
			t.p.line("%s%s%s", prefix, branch, text)
			t.p.wrap(prefix+below+"  ", len([]rune(prefix+below))+2, dim, note)
		} else {
			t.p.line("%s%s%s", prefix, branch, strings.TrimRight(text+"  "+t.p.paint(dim, note), " "))
		}
		t.inputs(e.Input, prefix+below)
	}
}

// edges returns the edges to what d was made from and judged with, each input in
// each role once; and, where not all are of one step, the steps of each.
func (t *tree) edges(d attest.Digest) (edges []policy.Edge, steps [][]string) {
	several := false
	for _, e := range t.v.Lineage {
		if e.Artifact != d {
			continue
		}
		i := slices.IndexFunc(edges, func(o policy.Edge) bool { return o.Input == e.Input && o.Role == e.Role })
		if i < 0 {
			i = len(edges)
			edges, steps = append(edges, e), append(steps, nil)
		}
		if name := clean(e.Step); !slices.Contains(steps[i], name) {
			steps[i] = append(steps[i], name)
		}
		several = several || e.Step != edges[0].Step
	}
	if !several {
		steps = make([][]string, len(edges))
	}
	return edges, steps
}

// note says what is known of an input: who made it, or how the policy accepted
// that its evidence ends here.
func (t *tree) note(e policy.Edge) string {
	if made := t.madeBy(e.Input); made != "" {
		if t.shown[e.Input] {
			return made + ", as above"
		}
		return made
	}
	for _, f := range t.v.Frontier {
		if f.Artifact == e.Input && (f.Role == e.Role || f.How == policy.FrontierSummary) {
			return frontier(f)
		}
	}
	return clean(e.Name)
}

func frontier(f policy.Frontier) string {
	s := f.How
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if !f.Observed {
		s += "; named by the signer, not hashed"
	}
	return clean(s)
}

// taken lists what the answer rests on without proof: absences and times that
// the policy accepts on somebody's word, the places where the evidence ends, and
// what could not be looked at.
func (p *printer) taken(v *policy.Verdict, o Options) {
	if len(v.Acknowledged) > 0 {
		p.section("Taken on trust, as the policy says")
		for _, a := range merged(v.Acknowledged) {
			p.wrap("  - ", 4, plain, clean(a))
		}
	}
	if len(v.Withdrawn) > 0 {
		p.section("What was withdrawn, and did not count")
		for _, w := range v.Withdrawn {
			p.wrap("  - ", 4, plain, clean(shorten(w.About)+": "+w.Why))
		}
	}
	if len(v.Frontier) > 0 {
		p.section("Where the evidence ends")
		for _, f := range v.Frontier {
			p.wrap("  - ", 4, plain, fmt.Sprintf("%s %s  %s", clean(cmp.Or(f.Role, "input")), f.Artifact.Short(), frontier(f)))
		}
	}
	if len(v.Gaps) > 0 {
		p.section("What could not be looked at")
		for _, g := range v.Gaps {
			p.wrap("  - ", 4, plain, fmt.Sprintf("evidence about %s may be missing: %s", g.Artifact.Short(), g.Code))
		}
		for _, why := range o.Unseen {
			p.wrap("    ", 6, dim, clean(why))
		}
	}
}

// merged puts acknowledgments with the same words together, in the order of
// their first.
func merged(list []policy.Acknowledgment) []string {
	var order []string
	where := map[string][]string{}
	for _, a := range list {
		key := fmt.Sprintf("%s\x00%s", a.Rests, a.Why)
		if _, ok := where[key]; !ok {
			order = append(order, key)
		}
		where[key] = append(where[key], a.Where)
	}
	out := make([]string, len(order))
	for i, key := range order {
		rests, why, _ := strings.Cut(key, "\x00")
		out[i] = fmt.Sprintf("%s: %s: “%s”", strings.Join(where[key], ", "), rests, why)
	}
	return out
}

func (p *printer) notProven(v *policy.Verdict) {
	if len(v.NotProven) == 0 {
		return
	}
	p.section("What this does not prove")
	for _, s := range v.NotProven {
		p.wrap("  - ", 4, plain, clean(s))
	}
}

package draw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A scene is what is drawn, whatever it is drawn with: every text in it is clean.
type scene struct {
	g      *lineage.Graph
	title  string
	head   []string // what stands under the title
	steps  []string // of edges first, then those of records alone; colours follow the order
	boxes  []box
	arrows []arrow
	foot   []note // contradictions, and gaps at nothing that is drawn
}

// A box is one artifact.
type box struct {
	node *lineage.Node
	id   string
	name string
	root bool
	ends ending
	rows []row
}

// A row is one line in a box, in up to three columns.
type row struct {
	class            string // quiet, record, idle, bad, ends, gap
	left, mid, right string
	step             int // index into scene.steps; -1 for none
}

// An arrow is one edge, from what went in to what came out.
type arrow struct {
	edge    *lineage.Edge
	i       int
	id      string
	in, out int // boxes
	label   string
	step    int
	made    bool // false where the product was only judged with the input
}

// A note is a line under the drawing.
type note struct{ class, text string }

// An ending is how evidence ends at an artifact; the zero ending is where it goes on.
type ending struct {
	class  string // accepted, open, unseen, hidden
	text   string
	detail string
}

// How much of a box's evidence is drawn; the page and JSON have all of it.
const (
	maxRecordRows = 6
	maxGapCodes   = 2
	maxNotes      = 8
	tooltipLines  = 12
)

// newScene works out what there is to draw. It refuses a graph that does not hold
// together: an edge to nowhere, a record that is not there.
func newScene(g *lineage.Graph, o Options) (*scene, error) {
	if g == nil || len(g.Nodes) == 0 {
		return nil, &attest.Refusal{Code: attest.CodeDraw, Why: "there is nothing to draw: the graph has no artifact"}
	}
	s := &scene{g: g, title: line(o.Title)}
	if s.title == "" {
		s.title = g.Artifact.String()
	}
	at := map[attest.Digest]int{}
	for i := range g.Nodes {
		at[g.Nodes[i].Digest] = i
	}
	if err := sound(g, at); err != nil {
		return nil, err
	}
	s.head = heading(g, o)
	s.steps = stepsOf(g)
	for i := range g.Nodes {
		s.boxes = append(s.boxes, s.box(i))
	}
	for i := range g.Edges {
		s.arrows = append(s.arrows, s.arrow(i, at))
	}
	s.foot = footnotes(g, at)
	return s, nil
}

func sound(g *lineage.Graph, at map[attest.Digest]int) error {
	bad := func(format string, args ...any) error {
		return &attest.Refusal{Code: attest.CodeDraw, About: g.Artifact.String(), Why: "the graph does not hold together: " + fmt.Sprintf(format, args...)}
	}
	exist := func(records []int) bool {
		return !slices.ContainsFunc(records, func(r int) bool { return r < 0 || r >= len(g.Records) })
	}
	if len(at) < len(g.Nodes) {
		return bad("an artifact is in it twice")
	}
	for _, n := range g.Nodes {
		if !exist(n.Records) {
			return bad("%s refers to a record that is not there", n.Digest)
		}
	}
	for _, e := range g.Edges {
		_, from := at[e.From]
		_, to := at[e.To]
		if !from || !to || !exist(e.Records) {
			return bad("an edge from %s to %s refers to what is not there", e.From, e.To)
		}
	}
	return nil
}

// heading says what was asked and answered, and whether that is all.
func heading(g *lineage.Graph, o Options) []string {
	var out []string
	if v := line(o.Verdict); v != "" {
		out = append(out, v)
	}
	if t := clean(o.Trust, 2*lineRunes); t != "" {
		out = append(out, t)
	}
	sum := count(len(g.Nodes), "artifact") + ", " + count(len(g.Records), "record")
	if !o.At.IsZero() {
		sum = "as of " + moment(o.At) + ": " + sum
	}
	if g.Complete() {
		sum += "; nothing was left unseen"
	} else {
		sum += "; " + count(len(g.Gaps), "gap") + ": something could not be looked at"
	}
	return append(out, sum)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + "Z" }

// stepsOf lists the steps of edges in order, and behind them those that only records
// have.
func stepsOf(g *lineage.Graph) []string {
	var edges, records []string
	for _, e := range g.Edges {
		edges = append(edges, e.Step)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	for _, r := range g.Records {
		if _, ok := slices.BinarySearch(edges, r.Step); !ok {
			records = append(records, r.Step)
		}
	}
	slices.Sort(records)
	return append(edges, slices.Compact(records)...)
}

func (s *scene) step(name string) int { return slices.Index(s.steps, name) }

func (s *scene) box(i int) box {
	n := &s.g.Nodes[i]
	b := box{node: n, id: fmt.Sprintf("n%d", i), name: line(n.Name), root: n.Digest == s.g.Artifact, ends: endingOf(n)}
	if n.Files > 0 {
		b.rows = append(b.rows, row{class: "quiet", left: count(n.Files, "file") + ", " + size(n.Bytes), step: -1})
	}
	order, more := s.foremost(n.Records, maxRecordRows)
	for _, r := range order {
		b.rows = append(b.rows, s.recordRow(&s.g.Records[r]))
	}
	if more > 0 {
		b.rows = append(b.rows, row{class: "quiet", left: "… and " + count(more, "more record"), step: -1})
	}
	if b.ends.class != "" {
		b.rows = append(b.rows, row{class: "ends " + b.ends.class, left: b.ends.text, step: -1})
		if b.ends.detail != "" {
			b.rows = append(b.rows, row{class: "quiet", left: b.ends.detail, step: -1})
		}
	}
	if len(n.Gaps) > 0 {
		b.rows = append(b.rows, row{class: "gap", left: gapText(n.Gaps), step: -1})
	}
	return b
}

// foremost returns at most n of the records, by time, and how many it left out. What
// is unreadable comes before what can be read: a drawing may be short, not soothing.
func (s *scene) foremost(records []int, n int) (first []int, more int) {
	order := byTime(s.g, records)
	more = max(0, len(order)-n)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(readable(&s.g.Records[a]), readable(&s.g.Records[b]))
	})
	return byTime(s.g, order[:len(order)-more]), more
}

func readable(r *lineage.Record) int {
	if r.Problem != "" {
		return 0
	}
	return 1
}

// recordRow is what a piece of evidence says in one line: what, by whom, when.
func (s *scene) recordRow(r *lineage.Record) row {
	out := row{class: "record", left: line(r.Step), mid: who(r.Signer), step: s.step(r.Step)}
	if r.Claimed != nil {
		out.right = r.Claimed.UTC().Format(time.DateOnly)
	}
	switch said := fact(r, "decision"); {
	case r.Problem != "":
		out.class, out.left = "record bad", "unreadable "+out.left
	case said != "":
		out.left = line(said)
	}
	if r.Counts != nil && len(r.Counts) == 0 {
		out.class += " idle"
	}
	return out
}

func fact(r *lineage.Record, name string) string {
	for _, f := range r.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// byTime orders records as they claim to have been made; what claims no time is last.
func byTime(g *lineage.Graph, records []int) []int {
	out := append([]int{}, records...)
	slices.SortStableFunc(out, func(a, b int) int {
		ra, rb := &g.Records[a], &g.Records[b]
		switch {
		case ra.Claimed == nil || rb.Claimed == nil:
			if (ra.Claimed == nil) != (rb.Claimed == nil) {
				if ra.Claimed == nil {
					return 1
				}
				return -1
			}
		case !ra.Claimed.Equal(*rb.Claimed):
			return ra.Claimed.Compare(*rb.Claimed)
		}
		return cmp.Or(cmp.Compare(ra.Step, rb.Step), cmp.Compare(ra.Signer, rb.Signer), cmp.Compare(a, b))
	})
	return slices.Compact(out)
}

func endingOf(n *lineage.Node) ending {
	f := n.Frontier
	switch {
	case f == nil:
		return ending{}
	case f.Accepted:
		return ending{"accepted", "evidence ends: accepted, " + line(f.How), line(f.Detail)}
	case f.How == lineage.EndsUnseen:
		return ending{"unseen", "evidence ends: " + lineage.EndsUnseen, line(f.Detail)}
	case f.How == EndsHidden:
		return ending{"hidden", "goes on, " + EndsHidden, line(f.Detail)}
	}
	return ending{"open", "evidence ends: " + line(f.How), line(f.Detail)}
}

func gapText(codes []attest.Code) string {
	var names []string
	for _, c := range codes[:min(len(codes), maxGapCodes)] {
		names = append(names, line(string(c)))
	}
	text := "gap: " + strings.Join(names, ", ")
	if more := len(codes) - maxGapCodes; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (s *scene) arrow(i int, at map[attest.Digest]int) arrow {
	e := &s.g.Edges[i]
	a := arrow{edge: e, i: i, id: fmt.Sprintf("e%d", i), in: at[e.To], out: at[e.From], label: line(e.Role), step: s.step(e.Step)}
	if a.label == "" {
		a.label = line(e.Step)
	}
	a.made = slices.Contains(s.g.Nodes[a.out].Steps, e.Step)
	return a
}

// verb says what an arrow means.
func (a arrow) verb() string {
	if a.made {
		return "made with"
	}
	return "judged with"
}

// footnotes are what belongs to no single box.
func footnotes(g *lineage.Graph, at map[attest.Digest]int) []note {
	var out []note
	for _, c := range g.Contradictions {
		out = append(out, note{"gap", fmt.Sprintf("contradiction: %s says %s is %s; signed is %s: %s", line(c.Source), line(c.Field), line(c.Claimed), line(c.Signed), line(c.Why))})
	}
	for _, gap := range g.Gaps {
		if _, drawn := at[gap.Artifact]; drawn {
			continue
		}
		where := "at no single artifact"
		if !gap.Artifact.IsZero() {
			where = "at " + gap.Artifact.String()
		}
		out = append(out, note{"gap", "gap " + where + ": " + line(string(gap.Code))})
	}
	if more := len(out) - maxNotes; more > 0 {
		out = append(out[:maxNotes], note{"quiet", fmt.Sprintf("… and %d more", more)})
	}
	return out
}

// tooltip is everything about a box that is read without asking for more.
func (s *scene) tooltip(b *box) []string {
	n := b.node
	out := []string{string(n.Kind) + " " + n.Digest.String()}
	if b.name != "" {
		out = append(out, "called "+b.name)
	}
	order, more := s.foremost(n.Records, tooltipLines)
	for _, r := range order {
		out = append(out, recordLine(&s.g.Records[r]))
	}
	if more > 0 {
		out = append(out, "… and "+count(more, "more record"))
	}
	if b.ends.class != "" {
		out = append(out, strings.TrimSuffix(b.ends.text+": "+b.ends.detail, ": "))
	}
	for _, c := range n.Gaps {
		out = append(out, "gap: "+line(string(c)))
	}
	return out
}

// arrowTooltip is what an arrow says in words, and who says it.
func (s *scene) arrowTooltip(a *arrow) []string {
	e := a.edge
	out := []string{fmt.Sprintf("%s %s %s", e.From, a.verb(), e.To), "step " + line(e.Step)}
	if e.Role != "" {
		out[1] += ", role " + line(e.Role)
	}
	order, more := s.foremost(e.Records, tooltipLines)
	for _, r := range order {
		out = append(out, recordLine(&s.g.Records[r]))
	}
	if more > 0 {
		out = append(out, "… and "+count(more, "more record"))
	}
	return out
}

func recordLine(r *lineage.Record) string {
	text := line(r.Step) + " by " + wholeWho(r.Signer)
	if r.Claimed != nil {
		text += ", claimed " + moment(*r.Claimed)
	}
	if r.Seen != nil {
		text += ", seen " + moment(*r.Seen)
	}
	if r.Problem != "" {
		text += ", unreadable: " + line(r.Problem)
	}
	return text + ", payload " + r.Payload.String()
}

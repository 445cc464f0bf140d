package draw

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"strings"

	"github.com/pedigree-ml/pedigree/verify/lineage"
)

//go:embed page/drawing.css
var drawingSheet string

// Around the drawing: the margin, and the least width, in which a heading can be read.
const (
	margin    = 28.0
	leastWide = 760.0
	titleSize = 18.0
	headSize  = 12.0
	headStep  = 17.0
)

// svg writes the picture: heading, drawing, notes and legend.
func (s *scene) svg(b *bytes.Buffer, l *layout) {
	w := max(l.width+2*margin, leastWide)
	var head, foot bytes.Buffer
	y := s.svgHead(&head, w)
	bottom := s.svgFoot(&foot, w, y+l.height+margin)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" class="lineage" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img" aria-labelledby="title">`+"\n", num(w), num(bottom))
	fmt.Fprintf(b, "<title id=\"title\">%s</title>\n<style>\n%s</style>\n", escaped(s.title), drawingSheet)
	fmt.Fprintf(b, `<rect class="paper" width="%s" height="%s"/>`+"\n", num(w), num(bottom))
	b.Write(head.Bytes())
	fmt.Fprintf(b, `<g transform="translate(%s %s)">`+"\n", num((w-l.width)/2), num(y))
	s.drawing(b, l, false)
	b.WriteString("</g>\n")
	b.Write(foot.Bytes())
	b.WriteString("</svg>\n")
}

func (s *scene) svgHead(b *bytes.Buffer, w float64) (y float64) {
	y = margin + titleSize
	text(b, "title", margin, y, fit(s.title, w-2*margin, titleSize))
	for _, l := range s.head {
		for _, part := range wrap(l, w-2*margin, headSize, 3) {
			y += headStep
			text(b, "head", margin, y, part)
		}
	}
	return y + margin
}

func (s *scene) svgFoot(b *bytes.Buffer, w, y float64) (bottom float64) {
	for _, n := range s.foot {
		for _, part := range wrap(n.text, w-2*margin, headSize, 3) {
			text(b, n.class, margin, y+headSize, part)
			y += headStep
		}
	}
	x := margin
	y += headStep
	for _, item := range s.legend() {
		wide := legendMark + 6 + textWidth(item.text, rowSize) + 18
		if x > margin && x+wide > w-margin {
			x, y = margin, y+20
		}
		fmt.Fprintf(b, `<g class="legend" transform="translate(%s %s)">%s`, num(x), num(y), item.mark)
		text(b, "", legendMark+6, 4, item.text)
		b.WriteString("</g>\n")
		x += wide
	}
	return y + margin
}

// legendMark is how wide a legend's mark is; its middle is at height 0.
const legendMark = 26.0

type legendItem struct{ mark, text string }

// legend explains what occurs in the drawing, and nothing else.
func (s *scene) legend() []legendItem {
	var out []legendItem
	kinds, ends := map[lineage.NodeKind]bool{}, map[string]bool{}
	gap := false
	for i := range s.boxes {
		kinds[s.boxes[i].node.Kind] = true
		ends[s.boxes[i].ends.class] = true
		gap = gap || len(s.boxes[i].node.Gaps) > 0
	}
	for _, k := range [...]lineage.NodeKind{lineage.KindModel, lineage.KindData, lineage.KindCode, lineage.KindEnvironment, lineage.KindOther} {
		if kinds[k] {
			out = append(out, legendItem{fmt.Sprintf(`<g class="node kind-%s"><rect class="box" x="1" y="-7" width="24" height="14" rx="3"/><path class="stripe" d="M1 -6h4v12h-4z"/></g>`, k), string(k)})
		}
	}
	out = append(out, legendItem{`<g class="node root"><rect class="box" x="2" y="-7" width="23" height="14" rx="3"/></g>`, "the artifact in question"})
	for _, e := range [...]struct{ class, text string }{
		{"accepted", "evidence ends, accepted by the policy"}, {"open", "evidence ends, not accepted"},
		{"unseen", "evidence ends, could not be looked at"}, {"hidden", "goes on, not shown"},
	} {
		if ends[e.class] {
			out = append(out, legendItem{fmt.Sprintf(`<g class="node ends-%s"><path class="end" d="M3 -8v16"/><rect class="box" x="8" y="-7" width="17" height="14" rx="3"/></g>`, e.class), e.text})
		}
	}
	if gap {
		out = append(out, legendItem{`<g class="node gapped"><rect class="box" x="1" y="-7" width="24" height="14" rx="3"/></g>`, "a gap: evidence may be missing"})
	}
	made, judged := map[int]bool{}, false
	for _, a := range s.arrows {
		made[a.step] = true
		judged = judged || !a.made
	}
	for i, name := range s.steps {
		if made[i] {
			out = append(out, legendItem{stepMark(i), fit(line(name), labelWidth, rowSize)})
		}
	}
	if judged {
		out = append(out, legendItem{`<g class="edge judged"><path class="line" d="M0 0h26"/></g>`, "dotted: used to judge, not to make"})
	}
	return out
}

// stepMark is a short arrow in a step's colour.
func stepMark(step int) string {
	return fmt.Sprintf(`<g class="edge %s"><path class="line" d="M0 0h20"/><path class="tip" d="M26 0l-8 -3.5v7z"/></g>`, stepClass(step))
}

func stepClass(step int) string { return fmt.Sprintf("s%d", step%len(stepColors)) }

// drawing writes the boxes and arrows. On a page they can be focused and chosen.
func (s *scene) drawing(b *bytes.Buffer, l *layout, page bool) {
	fmt.Fprintf(b, `<clipPath id="inside"><rect x="8" y="0" width="%s" height="4000"/></clipPath>`+"\n", num(boxWidth-16))
	for i := range s.arrows {
		s.svgArrow(b, &s.arrows[i], l, page)
	}
	for i := range s.boxes {
		s.svgBox(b, &s.boxes[i], l.boxes[i], page)
	}
}

// chosen are the attributes of what can be chosen on a page.
func chosen(page bool, label string) string {
	if !page {
		return ""
	}
	return ` tabindex="0" role="button" aria-label="` + escaped(label) + `"`
}

func (s *scene) svgBox(b *bytes.Buffer, x *box, middle point, page bool) {
	class := "node kind-" + string(known(x.node.Kind))
	if x.root {
		class += " root"
	}
	if x.ends.class != "" {
		class += " ends-" + x.ends.class
	}
	if len(x.node.Gaps) > 0 {
		class += " gapped"
	}
	h := x.height()
	name := x.name
	if name == "" {
		name = x.node.Digest.Short()
	}
	fmt.Fprintf(b, `<g class="%s" id="%s" transform="translate(%s %s)"%s>`+"\n", class, x.id, num(middle.x-boxWidth/2), num(middle.y-h/2), chosen(page, string(x.node.Kind)+" "+name))
	tooltip(b, s.tooltip(x))
	fmt.Fprintf(b, `<rect class="box" width="%s" height="%s" rx="7"/><path class="stripe" d="M0 7a7 7 0 0 1 7 -7v%[2]sa7 7 0 0 1 -7 -7z"/>`+"\n", num(boxWidth), num(h))
	if x.ends.class != "" {
		fmt.Fprintf(b, `<path class="end" d="M-7 2v%s"/>`+"\n", num(h-4))
	}
	b.WriteString(`<g clip-path="url(#inside)">` + "\n")
	y := kindHeight - 7
	text(b, "kind", boxPad, y, strings.ToUpper(string(known(x.node.Kind))))
	text(b, "digest", boxWidth-boxPad+4, y, x.node.Digest.Short())
	if x.name != "" {
		y += nameHeight
		text(b, "name", boxPad, y, fit(x.name, boxWidth-2*boxPad, nameSize))
	}
	who := whoColumn(x.rows)
	for _, r := range x.rows {
		y += rowHeight
		svgRow(b, r, who, y)
	}
	b.WriteString("</g>\n</g>\n")
}

// known is a kind that has a colour.
func known(k lineage.NodeKind) lineage.NodeKind {
	if _, ok := dotKinds[k]; ok {
		return k
	}
	return lineage.KindOther
}

// The columns of a row: what, who, when.
const (
	whatColumn  = boxPad + 12
	columnSpace = 14.0
	whenWidth   = 64.0
)

// whoColumn is where a box's second column begins: behind the widest first one, as far
// as the second then has room for a name.
func whoColumn(rows []row) float64 {
	w := 56.0
	for _, r := range rows {
		if r.step >= 0 {
			w = max(w, textWidth(r.left, rowSize))
		}
	}
	return min(whatColumn+w+columnSpace, boxWidth/2+10)
}

func svgRow(b *bytes.Buffer, r row, who, y float64) {
	if r.step < 0 {
		text(b, r.class, boxPad, y, fit(r.left, boxWidth-2*boxPad, rowSize))
		return
	}
	fmt.Fprintf(b, `<g class="%s" data-step="%d">`, r.class, r.step)
	fmt.Fprintf(b, `<circle class="%s" cx="%s" cy="%s" r="3"/>`, stepClass(r.step), num(boxPad+3), num(y-4))
	end := boxWidth - boxPad + 4
	if r.right != "" {
		text(b, "when", end, y, r.right)
		end -= whenWidth
	}
	text(b, "what", whatColumn, y, fit(r.left, who-whatColumn-columnSpace/2, rowSize))
	text(b, "who", who, y, fit(r.mid, end-who-columnSpace/2, rowSize))
	b.WriteString("</g>\n")
}

func (s *scene) svgArrow(b *bytes.Buffer, a *arrow, l *layout, page bool) {
	class := "edge " + stepClass(a.step)
	if !a.made {
		class += " judged"
	}
	course := l.arrows[a.i]
	if course.points == nil { // Graphviz lost it: straight, then
		from, to := l.boxes[a.in], l.boxes[a.out]
		from.x, to.x = from.x+boxWidth/2, to.x-boxWidth/2
		course = spline{points: []point{from, from, to, to}, tip: to}
	}
	tip := s.arrowTooltip(a)
	fmt.Fprintf(b, `<g class="%s" id="%s"%s>`+"\n", class, a.id, chosen(page, a.label+": "+tip[0]))
	tooltip(b, tip)
	d := path(course.points)
	fmt.Fprintf(b, `<path class="grab" d="%s"/><path class="line" d="%[1]s"/><path class="tip" d="%s"/>`+"\n", d, head(course))
	if course.label != nil {
		at := nearest(course.points, *course.label)
		text(b, "role", at.x, at.y+3, fit(a.label, labelWidth, labelSize))
	}
	b.WriteString("</g>\n")
}

// nearest returns the place on a curve that is nearest to p, rather above or below than
// beside it. Graphviz keeps room for a label beside its arrow, and on the arrow it is
// plain which one it belongs to.
func nearest(curve []point, p point) point {
	best, least := p, math.Inf(1)
	for i := 0; i+3 < len(curve); i += 3 {
		for t := 0.0; t <= 1; t += 1.0 / 32 {
			u := 1 - t
			a, b, c, d := u*u*u, 3*u*u*t, 3*u*t*t, t*t*t
			q := point{a*curve[i].x + b*curve[i+1].x + c*curve[i+2].x + d*curve[i+3].x, a*curve[i].y + b*curve[i+1].y + c*curve[i+2].y + d*curve[i+3].y}
			if far := math.Hypot(4*(q.x-p.x), q.y-p.y); far < least {
				best, least = q, far
			}
		}
	}
	return best
}

// path is a spline in SVG.
func path(points []point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", num(points[0].x), num(points[0].y))
	for i, p := range points[1:] {
		letter := " "
		if i%3 == 0 {
			letter = "C"
		}
		fmt.Fprintf(&b, "%s%s %s", letter, num(p.x), num(p.y))
	}
	return b.String()
}

// head is the triangle at the end of an arrow.
func head(s spline) string {
	from := s.points[len(s.points)-1]
	dx, dy := s.tip.x-from.x, s.tip.y-from.y
	if math.Hypot(dx, dy) < 1 { // the curve ends at its tip
		from = s.points[len(s.points)-2]
		dx, dy = s.tip.x-from.x, s.tip.y-from.y
	}
	length := max(math.Hypot(dx, dy), 1)
	dx, dy = dx/length, dy/length
	back := point{s.tip.x - 10*dx, s.tip.y - 10*dy}
	return fmt.Sprintf("M%s %sL%s %sL%s %sz", num(s.tip.x), num(s.tip.y),
		num(back.x-3.8*dy), num(back.y+3.8*dx), num(back.x+3.8*dy), num(back.y-3.8*dx))
}

func text(b *bytes.Buffer, class string, x, y float64, s string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(b, `<text%s x="%s" y="%s">%s</text>`, class, num(x), num(y), escaped(s))
}

func tooltip(b *bytes.Buffer, lines []string) {
	fmt.Fprintf(b, "<title>%s</title>\n", escaped(strings.Join(lines, "\n")))
}

// num writes a coordinate, with a tenth of a point.
func num(f float64) string {
	s := fmt.Sprintf("%.1f", f)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

package draw

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// dotKinds are a kind's shape and its two colours; the picture has the same colours.
var dotKinds = map[lineage.NodeKind]struct{ shape, line, fill string }{
	lineage.KindModel:       {"box", "#1d4ed8", "#e8effd"},
	lineage.KindData:        {"cylinder", "#0f766e", "#e3f5f2"},
	lineage.KindCode:        {"note", "#7e22ce", "#f5ebfd"},
	lineage.KindEnvironment: {"component", "#57534e", "#f1f0ef"},
	lineage.KindOther:       {"box", "#525252", "#f5f5f5"},
}

// stepColors tell steps apart, also for most who see colours differently; each arrow
// says its role in words besides. The picture's sheet has the same, in this order.
var stepColors = [...]string{"#0072b2", "#b45309", "#047857", "#a21caf", "#be123c", "#4d7c0f", "#0e7490", "#6b4f2a"}

// The colours of what a reader must not miss.
const (
	dotRed   = "#b91c1c"
	dotAmber = "#b45309"
	dotGreen = "#15803d"
	dotGrey  = "#6b7280"
)

var endColors = map[string]string{"accepted": dotGreen, "open": dotAmber, "unseen": dotRed, "hidden": dotGrey}

// dot writes Graphviz source: the same bytes for the same scene.
func (s *scene) dot(b *bytes.Buffer) {
	b.WriteString("// What made what, as far as it was signed. Arrows run from what went in to what\n" +
		"// came out; dotted ones were used to judge. Dashed boxes are where the evidence ends.\n" +
		"digraph lineage {\n")
	fmt.Fprintf(b, "\tgraph [rankdir=LR, labelloc=t, fontname=\"Helvetica\", fontsize=12, nodesep=0.25, ranksep=0.6, label=%s];\n",
		quoted(append(append([]string{s.title}, s.head...), texts(s.foot)...)...))
	b.WriteString("\tnode [fontname=\"Helvetica\", fontsize=10, style=filled, margin=\"0.15,0.11\"];\n" +
		"\tedge [fontname=\"Helvetica\", fontsize=9];\n")
	for i := range s.boxes {
		s.dotNode(b, &s.boxes[i])
	}
	for i := range s.arrows {
		a := &s.arrows[i]
		color, style := stepColors[a.step%len(stepColors)], "solid"
		if !a.made {
			style = "dotted"
		}
		fmt.Fprintf(b, "\tn%d -> n%d [id=%s, label=%s, color=\"%s\", fontcolor=\"%s\", style=%s, tooltip=%s];\n",
			a.in, a.out, a.id, quoted(a.text()), color, color, style, quoted(s.arrowTooltip(a)...))
	}
	b.WriteString("}\n")
}

// text is an arrow's label where there is room for the step too.
func (a *arrow) text() string {
	if a.edge.Role == "" {
		return a.label
	}
	return a.label + " (" + line(a.edge.Step) + ")"
}

func texts(notes []note) []string {
	var out []string
	for _, n := range notes {
		out = append(out, n.text)
	}
	return out
}

func (s *scene) dotNode(b *bytes.Buffer, x *box) {
	kind, ok := dotKinds[x.node.Kind]
	if !ok {
		kind = dotKinds[lineage.KindOther]
	}
	lines := []string{strings.ToUpper(line(string(x.node.Kind))) + " " + x.node.Digest.Short()}
	if x.name != "" {
		lines = append(lines, fit(x.name, 4*boxWidth, nameSize))
	}
	for _, r := range x.rows {
		lines = append(lines, r.text())
	}
	color, font, style, pen := kind.line, "#111111", "filled", 1.0
	if x.ends.class != "" {
		color, style, pen = endColors[x.ends.class], "filled,dashed", 2
	}
	if x.root {
		pen = 3
	}
	if len(x.node.Gaps) > 0 {
		color, font, pen = dotRed, dotRed, 2
	}
	fmt.Fprintf(b, "\t%s [id=%s, shape=%s, style=\"%s\", color=\"%s\", fillcolor=\"%s\", fontcolor=\"%s\", penwidth=%g, label=%s, tooltip=%s];\n",
		x.id, x.id, kind.shape, style, color, kind.fill, font, pen, quoted(lines...), quoted(s.tooltip(x)...))
}

// text is a row in words.
func (r row) text() string {
	out := r.left
	if r.mid != "" {
		out += " by " + r.mid
	}
	if r.right != "" {
		out += ", " + r.right
	}
	return out
}

// quoted returns lines as one quoted string of Graphviz. In labels and tooltips a
// backslash begins an escape (\N would be the node's name), and an ampersand an
// entity of HTML, so neither may stay as it is. A quoted string is never taken for
// markup, whatever it begins with.
func quoted(lines ...string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, l := range lines {
		if i > 0 {
			b.WriteString(`\n`)
		}
		for _, r := range l {
			switch r {
			case '"', '\\':
				b.WriteByte('\\')
			case '&':
				b.WriteString("&amp;")
				continue
			case '\n', '\r', 0: // unreachable: the text is clean
				r = ' '
			}
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

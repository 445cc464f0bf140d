package draw

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// The sizes of a box, in points, which are the units of the picture.
const (
	boxWidth   = 280.0
	boxPad     = 14.0
	kindSize   = 9.5 // font sizes
	nameSize   = 14.0
	rowSize    = 11.0
	labelSize  = 10.0
	kindHeight = 24.0
	nameHeight = 19.0
	rowHeight  = 16.0
	boxFoot    = 8.0
)

// height is how much the box's lines need.
func (b *box) height() float64 {
	h := kindHeight + float64(len(b.rows))*rowHeight + boxFoot
	if b.name != "" {
		h += nameHeight
	}
	return h
}

// labelWidth is the most room that an arrow's label gets.
const labelWidth = 110.0

// Beyond manyEdges, labels have no place in the layout any more: each makes its arrow
// longer, and the layout four times slower. The tooltip has them. Beyond tooMany,
// Graphviz is told to take the first good place for a node rather than the best, and
// straight lines: 1,000 artifacts joined at random take it 5 s then, and 36 s before.
const (
	manyEdges = 400
	tooMany   = 2500
)

// A point is a place in the picture; y grows downwards.
type point struct{ x, y float64 }

// A layout is where the parts of a scene stand.
type layout struct {
	width, height float64
	boxes         []point  // the middle of each box
	arrows        []spline // in the order of the scene's
}

// A spline is an arrow's course: a starting point and then three for each cubic Bézier
// curve, and the tip if it is not the last of them.
type spline struct {
	points []point
	tip    point
	label  *point // the label's middle; nil where there is no room
}

// layOut has the layout computed.
func (s *scene) layOut(ctx context.Context, candidates []string) (*layout, error) {
	program, err := findLayouter(candidates)
	if err != nil {
		return nil, err
	}
	out, err := runLayouter(ctx, program, s.source(), layoutTime)
	if err != nil {
		return nil, err
	}
	l, err := readLayout(out, len(s.boxes), len(s.arrows))
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeDraw, About: program, Why: "its layout cannot be used", Err: err, Next: "ask for --output dot or json, which need no layout"}
	}
	return l, nil
}

// source is the graph as the layout needs it: numbers and sizes, and no word that
// anybody wrote. Labels are stood for by as many x as take their room.
func (s *scene) source() []byte {
	var b bytes.Buffer
	labels := len(s.arrows) <= manyEdges
	b.WriteString("digraph {\ngraph [rankdir=LR, nodesep=0.3")
	if labels {
		b.WriteString(", ranksep=0.55") // an arrow's label takes a column of its own
	} else {
		b.WriteString(", ranksep=1.3")
	}
	if len(s.arrows) > tooMany {
		b.WriteString(", nslimit=1, nslimit1=1, mclimit=0.1, splines=line")
	}
	b.WriteString("];\nnode [shape=box, fixedsize=true, label=\"\"];\nedge [fontsize=10, headport=w, tailport=e];\n")
	for i := range s.boxes {
		fmt.Fprintf(&b, "n%d [width=%.3f, height=%.3f];\n", i, boxWidth/72, s.boxes[i].height()/72)
	}
	given := s.given()
	for i := range s.arrows {
		if !given[i] {
			continue
		}
		a := &s.arrows[i]
		fmt.Fprintf(&b, "n%d -> n%d [id=e%d", a.in, a.out, i)
		if labels {
			x := math.Ceil(textWidth(fit(a.label, labelWidth, labelSize), labelSize) / 5) // an x of Graphviz's font takes 5 points
			fmt.Fprintf(&b, ", label=\"%s\"", strings.Repeat("x", int(x)))
		}
		b.WriteString("];\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// places is Graphviz's answer as far as it is read.
type places struct {
	Box     string `json:"bb"`
	Objects []struct {
		Name string `json:"name"`
		Pos  string `json:"pos"`
	} `json:"objects"`
	Edges []struct {
		ID    string `json:"id"`
		Pos   string `json:"pos"`
		Label string `json:"lp"`
	} `json:"edges"`
}

// readLayout reads Graphviz's JSON for so many boxes and arrows. Every box needs a
// place; an arrow without one is drawn straight.
func readLayout(b []byte, boxes, arrows int) (*layout, error) {
	var p places
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	frame, err := numbers(p.Box, 4)
	if err != nil {
		return nil, fmt.Errorf("the frame: %w", err)
	}
	r := reader{left: frame[0], top: frame[3]}
	l := &layout{width: frame[2] - frame[0], height: frame[3] - frame[1], boxes: make([]point, boxes), arrows: make([]spline, arrows)}
	placed := make([]bool, boxes)
	for _, o := range p.Objects {
		i, ok := number(o.Name, "n", boxes)
		if !ok {
			return nil, fmt.Errorf("a node %q that was not asked for", o.Name)
		}
		if l.boxes[i], err = r.point(o.Pos); err != nil {
			return nil, fmt.Errorf("node %s: %w", o.Name, err)
		}
		placed[i] = true
	}
	if i := slices.Index(placed, false); i >= 0 {
		return nil, fmt.Errorf("node n%d has no place", i)
	}
	for _, e := range p.Edges {
		i, ok := number(e.ID, "e", arrows)
		if !ok {
			return nil, fmt.Errorf("an edge %q that was not asked for", e.ID)
		}
		if e.Pos == "" {
			continue
		}
		if l.arrows[i], err = r.spline(e.Pos); err != nil {
			return nil, fmt.Errorf("edge %s: %w", e.ID, err)
		}
		if e.Label != "" {
			at, err := r.point(e.Label)
			if err != nil {
				return nil, fmt.Errorf("the label of edge %s: %w", e.ID, err)
			}
			l.arrows[i].label = &at
		}
	}
	return l, nil
}

// number reads the i of "n<i>", which must be below end.
func number(id, letter string, end int) (int, bool) {
	digits, ok := strings.CutPrefix(id, letter)
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil && 0 <= i && i < end && strconv.Itoa(i) == digits
}

// A reader turns Graphviz's coordinates, in which y grows upwards, into the picture's.
type reader struct{ left, top float64 }

func (r reader) point(s string) (point, error) {
	n, err := numbers(s, 2)
	if err != nil {
		return point{}, err
	}
	return point{n[0] - r.left, r.top - n[1]}, nil
}

// spline reads "e,x,y x,y …": the tip, then the points of the curve.
func (r reader) spline(s string) (spline, error) {
	var out spline
	tip := false
	for word := range strings.FieldsSeq(s) {
		rest, isTip := strings.CutPrefix(word, "e,")
		p, err := r.point(rest)
		if err != nil {
			return spline{}, err
		}
		if isTip {
			out.tip, tip = p, true
		} else {
			out.points = append(out.points, p)
		}
	}
	if len(out.points) < 4 || len(out.points)%3 != 1 {
		return spline{}, fmt.Errorf("%d points make no curve", len(out.points))
	}
	if !tip {
		out.tip = out.points[len(out.points)-1]
	}
	return out, nil
}

// maxCoordinate is beyond every honest picture: a chain of 2,000 boxes side by side
// is 800,000 points wide.
const maxCoordinate = 1e7

// numbers reads n finite numbers with commas between.
func numbers(s string, n int) ([]float64, error) {
	parts := strings.Split(s, ",")
	if len(parts) != n {
		return nil, fmt.Errorf("%q is not %d numbers", line(s), n)
	}
	out := make([]float64, n)
	for i, p := range parts {
		f, err := strconv.ParseFloat(p, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f) > maxCoordinate {
			return nil, fmt.Errorf("%q is not a place", line(p))
		}
		out[i] = f
	}
	return out, nil
}

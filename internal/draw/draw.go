// Package draw draws what a chain says: as Graphviz source, as a picture (SVG), and
// as one page (HTML) on which the evidence behind every artifact and every edge can
// be read.
//
// A drawing shows what is in a [lineage.Graph] and decides nothing. Arrows run the
// way things were made, from what went in to what came out. Where the evidence ends
// there is a mark, and it says why: accepted by a policy, nothing signed, not looked
// at, not shown. What could not be looked at is red.
//
// # Names come from strangers
//
// Names, roles, facts and reasons are whatever a signer wrote. They become
// [attest.Printable] text of limited length, and are escaped once more for what they
// are put into. They never reach the program that computes the layout: that one is
// given n0, n1, … and the sizes of the boxes. The page has a content security policy
// that names its own two scripts and sheets by their hashes and allows nothing else,
// no network either; its script makes text nodes and never markup.
//
// # The layout
//
// Where things stand is Graphviz's work, by another program: pedigree-layout, which
// is Graphviz compiled to WebAssembly, or dot of a Graphviz installation. It is
// another program because linking that library costs every start of the process up to
// a second, and loads machine code from a folder that on many machines anybody could
// have made first. It is started without an environment, with a temporary folder of
// its own, limited input and output, and a deadline.
package draw

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Options say what is written beside a drawing, and who lays it out. The zero
// Options are good for a drawing without heading.
type Options struct {
	// Title is how the caller named the artifact; empty means by its digest.
	Title string
	// Trust says in one line under which policy or keys the graph was verified.
	Trust string
	// Verdict is the answer, if a policy was asked.
	Verdict string
	// At is the time that the question was asked about; zero leaves it out.
	At time.Time
	// Layouters are the programs that may compute the layout: paths, or names to be
	// found in PATH. The first that is there is used. Nil means [Layouters]("").
	Layouters []string
}

// A picture with more than this is refused: nobody can read it, and the layout's time
// grows faster than the graph. Laying out 2,000 artifacts takes Graphviz 1 s in a chain
// or a star, and 5 s in a line of models that share their code; 8,000 arrows are four
// for each of them, and 2 s where 88 artifacts share 88 inputs.
const (
	maxNodes = 2000
	maxEdges = 8000
)

// maxPage is the most bytes that a drawing may have. A browser shows 64 MiB of page,
// slowly; the largest drawing within the limits above that was measured has 9.6 MB.
const maxPage = 64 << 20

// moreThanFits is the remedy for a drawing beyond a limit.
const moreThanFits = "draw less of it with --depth, or ask for --output dot or json, which have no limit"

// DOT writes the graph as Graphviz source. It needs no other program and has no limit
// on the number of nodes. It refuses with E_DRAW a graph that does not hold together.
func DOT(w io.Writer, g *lineage.Graph, o Options) error {
	s, err := newScene(g, o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	s.dot(&b)
	_, err = w.Write(b.Bytes())
	return err
}

// SVG writes the graph as a picture without scripts, links or external references. It
// refuses with E_DRAW what is too large to draw, and where no program is found that
// computes a layout; nothing is written then.
func SVG(ctx context.Context, w io.Writer, g *lineage.Graph, o Options) error {
	s, l, err := laidOut(ctx, g, o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	s.svg(&b, l)
	return write(w, &b)
}

// HTML writes the graph as one page that needs nothing else: it can be moved, filtered
// by step and searched, and shows the evidence for what is clicked. It refuses as
// [SVG] does.
func HTML(ctx context.Context, w io.Writer, g *lineage.Graph, o Options) error {
	s, l, err := laidOut(ctx, g, o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := s.html(&b, l); err != nil {
		return err
	}
	return write(w, &b)
}

func laidOut(ctx context.Context, g *lineage.Graph, o Options) (*scene, *layout, error) {
	if g != nil && (len(g.Nodes) > maxNodes || len(g.Edges) > maxEdges) {
		return nil, nil, &attest.Refusal{
			Code: attest.CodeDraw, About: g.Artifact.String(), Next: moreThanFits,
			Why: fmt.Sprintf("it has %d artifacts and %d edges, and a picture at most %d and %d", len(g.Nodes), len(g.Edges), maxNodes, maxEdges),
		}
	}
	s, err := newScene(g, o)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.layOut(ctx, o.Layouters)
	return s, l, err
}

func write(w io.Writer, b *bytes.Buffer) error {
	if b.Len() > maxPage {
		return &attest.Refusal{Code: attest.CodeDraw, Why: fmt.Sprintf("the drawing would have %d bytes, and may have %d", b.Len(), maxPage), Next: moreThanFits}
	}
	_, err := w.Write(b.Bytes())
	return err
}

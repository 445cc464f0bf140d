package draw_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A drawer is one of the three ways to draw.
type drawer func(context.Context, io.Writer, *lineage.Graph, draw.Options) error

var drawers = map[string]drawer{
	"dot": func(_ context.Context, w io.Writer, g *lineage.Graph, o draw.Options) error { return draw.DOT(w, g, o) },
	"svg": draw.SVG, "html": draw.HTML,
}

func drawn(t *testing.T, d drawer, g *lineage.Graph, o draw.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d(t.Context(), &b, g, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The drawings in testdata were looked at by a person; -update writes them anew, and
// then somebody has to look at them again.
func TestDrawingsAreThoseThatWereLookedAt(t *testing.T) {
	for kind, d := range drawers {
		got := drawn(t, d, drawtest.Credit(), options())
		if again := drawn(t, d, drawtest.Credit(), options()); !bytes.Equal(got, again) {
			t.Errorf("%s: the same graph gives other bytes", kind)
		}
		if kind == "html" {
			continue // its parts are in the SVG, in TestPage… and in a browser
		}
		path := filepath.Join("testdata", "credit."+kind)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s; if that is meant: go test ./internal/draw -update, and look at it", kind, path)
		}
	}
}

// Every way in which evidence ends is marked, and says why.
func TestTheFrontierIsDrawn(t *testing.T) {
	g := draw.Within(drawtest.Credit(), 1)
	for i := range g.Nodes {
		g.Nodes[i].Frontier = []*lineage.Frontier{
			{Accepted: true, How: "pinned"}, {How: lineage.EndsUnsigned}, {How: lineage.EndsUnseen},
		}[i]
	}
	g.Nodes = append(g.Nodes, lineage.Node{Digest: drawtest.Digest("far"), Kind: lineage.KindOther, Frontier: &lineage.Frontier{How: draw.EndsHidden}})
	dot, svg := string(drawn(t, drawers["dot"], g, options())), string(drawn(t, draw.SVG, g, options()))
	for _, want := range []struct{ class, text string }{
		{"ends-accepted", "evidence ends: accepted, pinned"}, {"ends-open", "evidence ends: nothing signed"},
		{"ends-unseen", "evidence ends: not looked at"}, {"ends-hidden", "goes on, not shown"},
	} {
		if !strings.Contains(dot, want.text) {
			t.Errorf("DOT does not say %q", want.text)
		}
		if !regexp.MustCompile(`class="node[^"]* ` + want.class + `"[^\x00]*>` + want.text + `</text>`).MatchString(svg) {
			t.Errorf("SVG has no node %s that says %q", want.class, want.text)
		}
	}
	if n := strings.Count(dot, `style="filled,dashed"`); n != 4 {
		t.Errorf("%d dashed nodes, want 4", n)
	}
}

// What is in a picture is a closed list: nothing that runs, links or loads.
func TestHostileNamesStayTextInSVG(t *testing.T) {
	o := options()
	for _, name := range drawtest.Names {
		o.Title, o.Trust, o.Verdict = o.Title+name, o.Trust+name, o.Verdict+name
	}
	o.Title = drawtest.Names[13]
	svg := drawn(t, draw.SVG, drawtest.Hostile(), o)
	elements := []string{"svg", "title", "style", "rect", "g", "path", "text", "circle", "clipPath"}
	attributes := []string{"xmlns", "class", "width", "height", "viewBox", "role", "aria-labelledby", "id", "transform", "d", "x", "y", "rx", "cx", "cy", "r", "clip-path", "data-step"}
	texts := 0
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !slices.Contains(elements, token.Name.Local) {
				t.Errorf("element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				if !slices.Contains(attributes, a.Name.Local) {
					t.Errorf("attribute %s of %s", a.Name.Local, token.Name.Local)
				}
			}
		case xml.CharData:
			if s := string(token); strings.ContainsAny(s, "\x00\r\x1b\u202e\u2028\u200b\ufffd") {
				t.Errorf("text %q", s)
			} else if strings.Contains(s, "onerror=") {
				texts++
			}
		case xml.Comment, xml.ProcInst, xml.Directive:
			t.Errorf("a %T", token)
		}
	}
	if texts == 0 {
		t.Error("the hostile names are not shown at all: nothing was tested")
	}
	if len(svg) > 40*(1<<10)*len(drawtest.Names) {
		t.Errorf("%d bytes: long names were not shortened", len(svg))
	}
}

// The page has one script of code, one of data, one sheet; the policy names the first and
// the last by their hashes, and nothing else may run.
func TestPageHasNoMoreScriptsThanItNames(t *testing.T) {
	page := string(drawn(t, draw.HTML, drawtest.Hostile(), options()))
	count := func(s string) int { return strings.Count(strings.ToLower(page), s) }
	for s, want := range map[string]int{"<script": 2, "</script": 2, "<style": 1, "</style": 1, "<noscript": 1, "</noscript": 1, "<img": 0, "<iframe": 0, "<a ": 0, "<!--": 0, " onload=\"": 0, "<meta": 5} {
		if got := count(s); got != want {
			t.Errorf("%q %d times, want %d", s, got, want)
		}
	}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	between := func(from, to string) string {
		_, rest, ok := strings.Cut(page, from)
		s, _, ok2 := strings.Cut(rest, to)
		if !ok || !ok2 {
			t.Fatalf("no %s", from)
		}
		return s
	}
	want := "default-src 'none'; script-src " + hash(between("<script>", "</script>")) + "; style-src " + hash(between("<style>", "</style>")) + "; "
	if policy := between(`http-equiv="Content-Security-Policy" content="`, `"`); !strings.HasPrefix(policy, want) || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s\nwant %s…", policy, want)
	}
	data := between(`<script type="application/json" id="data">`, "</script>")
	if strings.ContainsAny(data, "<>&\u2028\u2029") {
		t.Error("the data has characters that markup is made of")
	}
	var back struct {
		Nodes []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(data), &back); err != nil || len(back.Nodes) != len(drawtest.Names) {
		t.Errorf("%d nodes: %v", len(back.Nodes), err)
	}
	if got := back.Nodes[13].Name; got != drawtest.Names[13] {
		t.Errorf("the name is %q: what can be printed must stay as it is", got)
	}
	script := between("<script>", "</script>")
	for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch(", "XMLHttpRequest", "WebSocket", "import("} {
		if strings.Contains(script, way) {
			t.Errorf("the script has %s", way)
		}
	}
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	change := func(f func(*lineage.Graph)) *lineage.Graph {
		g := drawtest.Credit()
		f(g)
		return g
	}
	for name, g := range map[string]*lineage.Graph{
		"no graph":            nil,
		"no artifacts":        {},
		"an artifact twice":   change(func(g *lineage.Graph) { g.Nodes = append(g.Nodes, g.Nodes[0]) }),
		"an edge to nowhere":  change(func(g *lineage.Graph) { g.Edges[0].To = drawtest.Digest("nowhere") }),
		"an edge of nothing":  change(func(g *lineage.Graph) { g.Edges[0].From = attest.Digest{} }),
		"a record beyond all": change(func(g *lineage.Graph) { g.Nodes[0].Records = []int{len(g.Records)} }),
		"a record before all": change(func(g *lineage.Graph) { g.Edges[0].Records = []int{-1} }),
	} {
		for kind, d := range drawers {
			var b bytes.Buffer
			if err := d(t.Context(), &b, g, options()); attest.RefusalCode(err) != attest.CodeDraw || b.Len() > 0 {
				t.Errorf("%s as %s: %v, and %d bytes", name, kind, err, b.Len())
			}
		}
	}
}

// Two thousand artifacts are drawn, one more is not; DOT has no such limit.
func TestLargeGraphsAreForOtherPrograms(t *testing.T) {
	for name, g := range map[string]*lineage.Graph{"artifacts": star(2001), "edges": dense(89)} {
		var b bytes.Buffer
		err := draw.SVG(t.Context(), &b, g, options())
		var r *attest.Refusal
		if !errors.As(err, &r) || r.Code != attest.CodeDraw || !strings.Contains(r.Next, "--depth") || b.Len() > 0 {
			t.Errorf("too many %s: %v, and %d bytes", name, err, b.Len())
		}
		if err := draw.DOT(&b, g, options()); err != nil {
			t.Errorf("too many %s as DOT: %v", name, err)
		}
	}
	drawn(t, draw.SVG, star(2000), options())
}

// A chain of ten thousand is drawn where depth is of no matter, and a circle too.
func TestDepthAndCirclesDoNotMatter(t *testing.T) {
	deep := chain(10_000)
	drawn(t, drawers["dot"], deep, options())
	drawn(t, draw.SVG, draw.Within(deep, 50), options())
	drawn(t, draw.SVG, chain(1999), options())
	g := drawtest.Credit()
	last := g.Nodes[len(g.Nodes)-1].Digest
	g.Edges = append(g.Edges, lineage.Edge{From: last, To: g.Artifact, Step: "train"}, lineage.Edge{From: last, To: last, Step: "train"})
	for _, d := range drawers {
		drawn(t, d, g, options())
	}
}

// Within leaves out what is farther away and says so; it renumbers the records, and
// hides no gap.
func TestWithinSaysWhatItLeavesOut(t *testing.T) {
	whole := drawtest.Credit()
	g := draw.Within(whole, 1)
	if len(g.Nodes) != 3 || len(g.Edges) != 2 || len(g.Gaps) != 1 || len(g.Contradictions) != 1 {
		t.Fatalf("%d artifacts, %d edges, %d gaps, %d contradictions", len(g.Nodes), len(g.Edges), len(g.Gaps), len(g.Contradictions))
	}
	if f := g.Nodes[0].Frontier; f == nil || f.Accepted || f.How != draw.EndsHidden || !strings.HasPrefix(f.Detail, "1 more input,") {
		t.Errorf("the artifact, whose calibration data is left out: %+v", f)
	}
	if f := g.Nodes[1].Frontier; f == nil || f.How != draw.EndsHidden || !strings.HasPrefix(f.Detail, "4 more inputs,") {
		t.Errorf("the model: %+v", f)
	}
	for _, n := range g.Nodes {
		for _, r := range n.Records {
			if g.Records[r].About != n.Digest {
				t.Errorf("%s has a record about %s", n.Digest, g.Records[r].About)
			}
		}
	}
	if len(g.Records) != 8 {
		t.Errorf("%d records, want those of three artifacts: 8", len(g.Records))
	}
	if whole.Nodes[1].Frontier != nil || !slices.Equal(whole.Nodes[1].Records, []int{5}) {
		t.Error("the graph itself was changed")
	}
	if all := draw.Within(whole, 3); len(all.Nodes) != len(whole.Nodes) || len(all.Edges) != len(whole.Edges) || all.Nodes[1].Frontier != nil {
		t.Error("something is left out of what is near enough")
	}
}

// A record that cannot be read is shown, however many can.
func TestWhatIsUnreadableIsShownFirst(t *testing.T) {
	g := drawtest.Credit()
	for i := range 40 {
		g.Nodes[0].Records = append(g.Nodes[0].Records, len(g.Records))
		g.Records = append(g.Records, drawtest.Record(g.Artifact, "scan", "scanner", drawtest.Day(1+i%3)))
	}
	if svg := drawn(t, draw.SVG, g, options()); !strings.Contains(string(svg), ">unreadable approval</text>") || !strings.Contains(string(svg), "and 40 more records") {
		t.Error("it is hidden behind what can be read")
	}
}

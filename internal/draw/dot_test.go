package draw_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
)

// graphvizDot returns Graphviz's dot. It is a failure, not a skip, where CI asks for everything.
func graphvizDot(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("dot")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no Graphviz: %v; test/setup.sh installs it", err)
	}
	return path
}

// parsed is what Graphviz read, as its JSON gives it back.
type parsed struct {
	Objects []struct {
		Name, Label, Tooltip, Shape string
		Draw                        []struct{ Op, Text string } `json:"_ldraw_"`
	}
	Edges []struct{ Label, Tooltip string }
}

// read checks that what a parser made of the hostile graph has the nodes and edges that
// were drawn, and no others.
func read(t *testing.T, out string) parsed {
	t.Helper()
	var p parsed
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	g := drawtest.Hostile()
	if len(p.Objects) != len(g.Nodes) || len(p.Edges) != len(g.Edges) {
		t.Fatalf("%d nodes and %d edges were read, want %d and %d", len(p.Objects), len(p.Edges), len(g.Nodes), len(g.Edges))
	}
	return p
}

// unescape undoes what Graphviz undoes in labels.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", "&amp;", "&")

func TestHostileNamesStayTextInDOT(t *testing.T) {
	o := options()
	o.Title, o.Trust = strings.Join(drawtest.Names[:20], ""), drawtest.Names[3]
	source := drawn(t, drawers["dot"], drawtest.Hostile(), o)
	if bytes.ContainsAny(source, "\x00\r\x1b\u202e\u2028\u200b") || bytes.Contains(source, []byte("<<")) {
		t.Error("the source has what must not be in it")
	}
	stdout, stderr, status := layout(t, private(t), string(source), "-Tjson0")
	if status != 0 {
		t.Fatal(stderr)
	}
	p := read(t, stdout)
	for i, name := range drawtest.Names {
		if len([]rune(name)) > 100 {
			continue // shortened
		}
		if got := strings.Split(unescape.Replace(p.Objects[i].Label), "\n"); name != "" && got[1] != attest.Printable(name) {
			t.Errorf("the name %q was read as %q", name, got[1])
		}
		if p.Objects[i].Shape != "box" {
			t.Errorf("%q has the shape %q", name, p.Objects[i].Shape)
		}
	}
}

// Graphviz itself shows the names as they are: no escape and no entity in them works.
func TestGraphvizShowsHostileNamesAsTheyAre(t *testing.T) {
	dot := graphvizDot(t)
	cmd := exec.Command(dot, "-Tjson")
	cmd.Stdin = bytes.NewReader(drawn(t, drawers["dot"], drawtest.Hostile(), options()))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	p := read(t, stdout.String())
	for i, name := range drawtest.Names {
		if name == "" || len([]rune(name)) > 100 {
			continue
		}
		var texts []string
		for _, d := range p.Objects[i].Draw {
			if d.Op == "T" {
				texts = append(texts, d.Text)
			}
		}
		if len(texts) < 2 || texts[1] != attest.Printable(name) {
			t.Errorf("the name %q is shown as %q", name, texts)
		}
	}
}

// Graphviz's dot lays out as well as our own program.
func TestGraphvizCanLayOut(t *testing.T) {
	o := options()
	o.Layouters = []string{graphvizDot(t)}
	svg := string(drawn(t, draw.SVG, drawtest.Credit(), o))
	if strings.Count(svg, `class="role"`) != len(drawtest.Credit().Edges) {
		t.Error("arrows have no labels")
	}
	drawn(t, draw.HTML, family(400), o)
}

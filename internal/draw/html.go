package draw

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var (
	//go:embed page/page.css
	pageSheet string
	//go:embed page/page.js
	pageScript string
)

// maxFacts is how many facts of one record are on the page; the record itself, by its
// payload's digest, has all of them.
const maxFacts = 100

// pageData is what the script reads. Every text is clean.
type pageData struct {
	Steps          []pageStep          `json:"steps"`
	Nodes          []pageNode          `json:"nodes"`
	Edges          []pageEdge          `json:"edges"`
	Records        []pageRecord        `json:"records"`
	Contradictions []pageContradiction `json:"contradictions"`
	Gaps           []pageGap           `json:"gaps"`
}

type pageStep struct {
	Name  string `json:"name"`
	Edges int    `json:"edges"` // how many arrows are of this step
}

type pageNode struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Digest  string   `json:"digest"`
	Depth   int      `json:"depth"`
	Root    bool     `json:"root"`
	Size    string   `json:"size"` // "12 files, 3.4 MiB", or ""
	Records []int    `json:"records"`
	Ends    string   `json:"ends"`
	Detail  string   `json:"detail"` // of the frontier
	Gaps    []string `json:"gaps"`
}

type pageEdge struct {
	Product int    `json:"product"`
	Input   int    `json:"input"`
	Verb    string `json:"verb"`
	Role    string `json:"role"`
	Step    int    `json:"step"`
	Records []int  `json:"records"`
}

type pageRecord struct {
	Payload    string     `json:"payload"`
	Credential string     `json:"credential"`
	Signer     string     `json:"signer"`
	About      string     `json:"about"`
	Type       string     `json:"type"`
	Step       int        `json:"step"`
	Claimed    string     `json:"claimed"`
	Seen       string     `json:"seen"`
	Counts     []string   `json:"counts"` // null without a policy
	Facts      []pageFact `json:"facts"`
	// Certificates are what the certificates claim, one name and value a fact.
	Certificates []pageFact `json:"certificates"`
	Problem      string     `json:"problem"`
}

type pageFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type pageContradiction struct {
	Source  string   `json:"source"`
	Field   string   `json:"field"`
	Claimed string   `json:"claimed"`
	Signed  string   `json:"signed"`
	Why     string   `json:"why"`
	Open    bool     `json:"open"`
	Records []string `json:"records"` // by payload
}

type pageGap struct {
	Artifact string `json:"artifact"`
	Code     string `json:"code"`
}

func paragraph(s string) string { return clean(s, paragraphRunes) }

func paragraphs[T ~string](list []T) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, paragraph(string(s)))
	}
	return out
}

func (s *scene) data() pageData {
	d := pageData{Steps: []pageStep{}, Nodes: []pageNode{}, Edges: []pageEdge{}, Records: []pageRecord{}, Contradictions: []pageContradiction{}, Gaps: []pageGap{}}
	for _, name := range s.steps {
		d.Steps = append(d.Steps, pageStep{Name: line(name)})
	}
	for i := range s.boxes {
		b := &s.boxes[i]
		n := pageNode{
			Kind: string(known(b.node.Kind)), Name: paragraph(b.node.Name), Digest: b.node.Digest.String(), Depth: b.node.Depth, Root: b.root,
			Records: byTime(s.g, b.node.Records), Ends: b.ends.text, Detail: b.ends.detail, Gaps: paragraphs(b.node.Gaps),
		}
		if b.node.Files > 0 {
			n.Size = count(b.node.Files, "file") + ", " + size(b.node.Bytes)
		}
		if b.ends.class != "" {
			n.Detail = paragraph(b.node.Frontier.Detail)
		}
		d.Nodes = append(d.Nodes, n)
	}
	for i := range s.arrows {
		a := &s.arrows[i]
		d.Steps[a.step].Edges++
		d.Edges = append(d.Edges, pageEdge{Product: a.out, Input: a.in, Verb: a.verb(), Role: paragraph(a.edge.Role), Step: a.step, Records: byTime(s.g, a.edge.Records)})
	}
	for i := range s.g.Records {
		d.Records = append(d.Records, s.pageRecord(&s.g.Records[i]))
	}
	for _, c := range s.g.Contradictions {
		p := pageContradiction{Source: paragraph(c.Source), Field: paragraph(c.Field), Claimed: paragraph(c.Claimed), Signed: paragraph(c.Signed), Why: paragraph(c.Why), Open: c.Open, Records: []string{}}
		for _, r := range c.Records {
			p.Records = append(p.Records, r.String())
		}
		d.Contradictions = append(d.Contradictions, p)
	}
	for _, g := range s.g.Gaps {
		d.Gaps = append(d.Gaps, pageGap{g.Artifact.String(), paragraph(string(g.Code))})
	}
	return d
}

func (s *scene) pageRecord(r *lineage.Record) pageRecord {
	optional := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return moment(*t)
	}
	out := pageRecord{
		Payload: r.Payload.String(), Credential: wholeWho(r.Credential), Signer: wholeWho(r.Signer), About: r.About.String(),
		Type: paragraph(r.Type), Step: s.step(r.Step), Claimed: optional(r.Claimed), Seen: optional(r.Seen),
		Facts: []pageFact{}, Certificates: []pageFact{}, Problem: paragraph(r.Problem),
	}
	for _, c := range r.Certificates[:min(len(r.Certificates), maxFacts)] {
		for _, name := range trust.ClaimNames() {
			if v := c.Get(name); v != "" {
				out.Certificates = append(out.Certificates, pageFact{name, wholeWho(v)})
			}
		}
	}
	if r.Counts != nil {
		out.Counts = paragraphs(r.Counts)
	}
	for _, f := range r.Facts[:min(len(r.Facts), maxFacts)] {
		out.Facts = append(out.Facts, pageFact{line(f.Name), paragraph(f.Value)})
	}
	if more := len(r.Facts) - maxFacts; more > 0 {
		out.Facts = append(out.Facts, pageFact{"…", count(more, "more fact")})
	}
	return out
}

// contentPolicy lets run what stands in the page and was written by us, and nothing
// else: no other script, sheet, image, frame, form or connection. Browsers that know
// trusted types refuse to make markup of a string.
func contentPolicy(script, sheet string) string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(sheet) +
		"; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// html writes the page.
func (s *scene) html(b *bytes.Buffer, l *layout) error {
	// Marshal writes <, >, & and the two line separators of JavaScript as \u….
	data, err := json.Marshal(s.data())
	if err != nil {
		return &attest.Refusal{Code: attest.CodeInternal, Why: "writing the page", Err: err}
	}
	sheet := drawingSheet + pageSheet
	fmt.Fprintf(b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>%s</style>
</head>
<body>
`, contentPolicy(pageScript, sheet), escaped(s.title), sheet)
	fmt.Fprintf(b, "<header>\n<h1>%s</h1>\n", escaped(s.title))
	for _, h := range s.head {
		class := ""
		switch h {
		case "ALLOW":
			class = ` class="verdict"`
		case "DENY", "UNDECIDED":
			class = ` class="verdict bad"`
		}
		fmt.Fprintf(b, "<p%s>%s</p>\n", class, escaped(h))
	}
	b.WriteString("</header>\n")
	s.controls(b)
	fmt.Fprintf(b, `<main>
<svg id="picture" class="lineage" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="group" tabindex="0" aria-label="drawing: drag or use the arrow keys to move it, the wheel or + and - to zoom">
<g id="view">
`, num(l.width), num(l.height))
	s.drawing(b, l, true)
	b.WriteString("</g>\n</svg>\n<aside id=\"panel\" tabindex=\"-1\" aria-label=\"evidence\">\n<div id=\"evidence\"></div>\n")
	b.WriteString("<section><h2>Legend</h2>\n<ul class=\"legend\">\n")
	for _, item := range s.legend() {
		fmt.Fprintf(b, `<li><svg class="lineage" width="28" height="18" viewBox="-1 -9 28 18" aria-hidden="true">%s</svg> %s</li>`+"\n", item.mark, escaped(item.text))
	}
	b.WriteString("</ul>\n</section>\n</aside>\n</main>\n")
	s.withoutScript(b)
	fmt.Fprintf(b, "<script type=\"application/json\" id=\"data\">%s</script>\n<script>%s</script>\n</body>\n</html>\n", data, pageScript)
	return nil
}

// controls are what the script works with; without it they are not shown.
func (s *scene) controls(b *bytes.Buffer) {
	b.WriteString(`<div id="controls" class="scripted">
<div role="group" aria-label="zoom"><button type="button" id="out" aria-label="zoom out">&#8722;</button><button type="button" id="in" aria-label="zoom in">+</button><button type="button" id="fit">Fit</button><button type="button" id="overview">Overview</button></div>
<div role="search"><input type="search" id="find" placeholder="Find a name, digest or signer" aria-label="find a name, digest or signer"><span id="found" role="status"></span></div>
<fieldset><legend>Steps</legend>
`)
	drawn := map[int]bool{}
	for i := range s.arrows {
		drawn[s.arrows[i].step] = true
	}
	for i, name := range s.steps {
		mark := fmt.Sprintf(`<circle class="%s" cx="13" cy="0" r="4"/>`, stepClass(i))
		if drawn[i] {
			mark = stepMark(i)
		}
		fmt.Fprintf(b, `<label><input type="checkbox" data-step="%d" checked><svg class="lineage" width="28" height="12" viewBox="-1 -6 28 12" aria-hidden="true">%s</svg>%s</label>`+"\n", i, mark, escaped(line(name)))
	}
	b.WriteString("</fieldset>\n</div>\n")
}

// withoutScript is the graph in words, for readers without scripts.
func (s *scene) withoutScript(b *bytes.Buffer) {
	b.WriteString("<noscript>\n<h2>In words</h2>\n<ul>\n")
	inputs := make([][]*arrow, len(s.boxes))
	for i := range s.arrows {
		inputs[s.arrows[i].out] = append(inputs[s.arrows[i].out], &s.arrows[i])
	}
	for i := range s.boxes {
		fmt.Fprintf(b, "<li>%s", escaped(strings.Join(s.tooltip(&s.boxes[i]), "; ")))
		if len(inputs[i]) > 0 {
			b.WriteString("\n<ul>\n")
			for _, a := range inputs[i] {
				fmt.Fprintf(b, "<li>%s</li>\n", escaped(a.verb()+" "+a.text()+" "+a.edge.To.String()))
			}
			b.WriteString("</ul>\n")
		}
		b.WriteString("</li>\n")
	}
	b.WriteString("</ul>\n")
	for _, n := range s.foot {
		fmt.Fprintf(b, "<p>%s</p>\n", escaped(n.text))
	}
	b.WriteString("</noscript>\n")
}

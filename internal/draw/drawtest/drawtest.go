// Package drawtest has graphs for the tests of drawings: an honest one with everything
// that can be drawn, and one in which a stranger chose every word.
package drawtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Layouter builds pedigree-layout into dir and returns its path. The root is the
// module's folder, from where the caller runs.
func Layouter(root, dir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, "pedigree-layout"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", path, "./cmd/pedigree-layout")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building pedigree-layout: %w\n%s", err, out)
	}
	return path, nil
}

// Digest is that of a thing of the given name.
func Digest(name string) attest.Digest { return attest.SHA256([]byte(name)) }

func commit(name string) attest.Digest {
	d, err := attest.ParseDigest("gitCommit:" + attest.SHA256([]byte(name)).Hex()[:40])
	if err != nil {
		panic(err)
	}
	return d
}

// Day is the morning of a day of May.
func Day(n int) *time.Time {
	t := time.Date(2026, 5, n, 9, 30, 0, 0, time.UTC)
	return &t
}

// Record is evidence of a step, signed by somebody on a day of May.
func Record(about attest.Digest, step, signer string, claimed *time.Time, facts ...lineage.Fact) lineage.Record {
	return lineage.Record{
		Payload: Digest(step + signer + about.String()), Credential: "key:" + Digest(signer).Hex(), Signer: signer, About: about,
		Type: "provenance", Step: step, Claimed: claimed, Counts: []string{step}, Facts: facts,
	}
}

// Credit is a quantised model with everything that a drawing can show: all kinds, made and
// judged, the four ways in which evidence ends, a gap, a contradiction.
func Credit() *lineage.Graph {
	var (
		quantized, model = Digest("quantized"), Digest("model")
		train, test, raw = Digest("train"), Digest("test"), Digest("raw")
		code, lock       = commit("code"), Digest("lock")
		base             = Digest("base")
	)
	records := []lineage.Record{
		Record(quantized, "quantize", "trainer", Day(4)),
		Record(quantized, "evaluation quality", "evaluator", Day(5), lineage.Fact{Name: "accuracy", Value: "0.77"}, lineage.Fact{Name: "n", Value: "200"}),
		Record(quantized, "approval", "alice", Day(6), lineage.Fact{Name: "decision", Value: "approved"}),
		Record(quantized, "approval", "bob", Day(7), lineage.Fact{Name: "decision", Value: "approved"}),
		Record(quantized, "deployment", "release", Day(8), lineage.Fact{Name: "environment", Value: "prod"}),
		Record(model, "train", "trainer", Day(3), lineage.Fact{Name: "parameter C", Value: "0.5"}),
		Record(train, "prepare", "data", Day(2)),
		Record(test, "prepare", "data", Day(2)),
		Record(raw, "ingest", "data", Day(1)),
		Record(quantized, "approval", "mallory", Day(9)),
	}
	records[9].Problem, records[9].Counts = "a duplicate key", []string{}
	return &lineage.Graph{
		Artifact: quantized,
		Nodes: []lineage.Node{
			{Digest: quantized, Kind: lineage.KindModel, Name: "credit-model:v3-int8", Steps: []string{"quantize"}, Files: 4, Bytes: 13_400_000, Records: []int{0, 1, 2, 3, 4, 9}},
			{Digest: model, Kind: lineage.KindModel, Depth: 1, Name: "credit-model:v3", Steps: []string{"train"}, Files: 3, Bytes: 52_428_800, Records: []int{5}},
			{Digest: test, Kind: lineage.KindData, Depth: 1, Name: "german-credit test split", Steps: []string{"prepare"}, Files: 1, Bytes: 14_200, Records: []int{7}},
			{Digest: train, Kind: lineage.KindData, Depth: 2, Name: "german-credit train split", Steps: []string{"prepare"}, Files: 1, Bytes: 61_900, Records: []int{6}},
			{Digest: code, Kind: lineage.KindCode, Depth: 2, Name: "credit", Frontier: &lineage.Frontier{Accepted: true, How: "origin", Detail: "git+https://git.example/acme/credit"}},
			{Digest: lock, Kind: lineage.KindEnvironment, Depth: 2, Name: "requirements.lock", Frontier: &lineage.Frontier{How: lineage.EndsUnsigned}},
			{Digest: base, Kind: lineage.KindModel, Depth: 2, Name: "tabular-base", Frontier: &lineage.Frontier{How: lineage.EndsUnseen}, Gaps: []attest.Code{attest.CodeRegUnavailable}},
			{Digest: raw, Kind: lineage.KindData, Depth: 3, Name: "german.data", Steps: []string{"ingest"}, Records: []int{8}, Frontier: &lineage.Frontier{Accepted: true, How: "pinned", Detail: "https://archive.ics.uci.edu/"}},
		},
		Edges: []lineage.Edge{
			{From: quantized, To: model, Role: "parent-model", Step: "quantize", Records: []int{0}},
			{From: quantized, To: test, Role: "evaluation-data", Step: "evaluation quality", Records: []int{1}},
			{From: quantized, To: train, Role: "calibration-data", Step: "quantize", Records: []int{0}},
			{From: model, To: train, Role: "training-data", Step: "train", Records: []int{5}},
			{From: model, To: code, Role: "code", Step: "train", Records: []int{5}},
			{From: model, To: lock, Role: "environment", Step: "train", Records: []int{5}},
			{From: model, To: base, Role: "base-model", Step: "train", Records: []int{5}},
			{From: test, To: raw, Role: "raw-data", Step: "prepare", Records: []int{7}},
			{From: train, To: raw, Role: "raw-data", Step: "prepare", Records: []int{6}},
			{From: train, To: code, Role: "code", Step: "prepare", Records: []int{6}},
		},
		Records: records,
		Contradictions: []lineage.Contradiction{{
			Source: "README.md", Field: "base_model", Claimed: "acme/other-base", Signed: Digest("base").String(),
			Why: "no signed record names that model as a base", Records: []attest.Digest{records[5].Payload},
		}},
		Gaps: []lineage.Gap{{Artifact: base, Code: attest.CodeRegUnavailable}},
	}
}

// Names are what a stranger may call things to break a drawing. If one of them runs as a
// script, window.pwned is set or a dialog is opened.
var Names = []string{
	`"`, `\`, `\N\G\E\l`, `\"`, `trailing \`, `-->`, `<!--`, `]]>`, `<![CDATA[`, `*/`, `';window.pwned=1;//`, "`${window.pwned=2}`",
	`</script><script>window.pwned=3;alert(3)</script>`,
	`"><img src=x onerror="window.pwned=4;alert(4)">`,
	`</title></style></noscript></svg><img src=x onerror=window.pwned=5><svg onload="window.pwned=6">`,
	`<a href="javascript:window.pwned=7">x</a>`, `<iframe srcdoc="<script>parent.pwned=8</script>">`,
	`<table><tr><td>x</td></tr></table>`, `&lt;b&gt;&#60;&amp;`, `"]; evil [label="x"]; n0 -> evil; "`, `} digraph x {`,
	"two\nlines", "carriage\rreturn", "nul\x00byte", "escape\x1b[31mred", "\u202egnp.exe", "zero\u200bwidth", "line\u2028separator", "invalid \xff\xfe utf-8",
	"__proto__", "constructor", "",
	strings.Repeat("name of ten kilobytes ", 480), strings.Repeat("W", 10_000), strings.Repeat("漢", 3000), "e" + strings.Repeat("\u0301", 500),
	"שלום עולם", "🦆 model", "\u00a0", "http://127.0.0.1:1/fetched",
}

// Hostile is a graph in which a stranger has chosen everything that can be chosen.
func Hostile() *lineage.Graph {
	g := &lineage.Graph{Artifact: Digest("0")}
	for i, name := range Names {
		d := Digest(fmt.Sprint(i))
		r := Record(d, name, name, Day(1+i%28), lineage.Fact{Name: name, Value: name}, lineage.Fact{Name: "decision", Value: name})
		r.Credential, r.Type, r.Counts = name, name, []string{name}
		if i%3 == 0 {
			r.Problem = name
		}
		n := lineage.Node{Digest: d, Kind: lineage.KindModel, Depth: min(i, 1+i%4), Name: name, Steps: []string{name}, Records: []int{i}}
		if i%4 == 1 {
			n.Frontier = &lineage.Frontier{Accepted: i%8 == 1, How: name, Detail: name}
		}
		if i%5 == 2 {
			n.Gaps = []attest.Code{attest.Code(name)}
		}
		g.Records, g.Nodes = append(g.Records, r), append(g.Nodes, n)
		g.Gaps = append(g.Gaps, lineage.Gap{Code: attest.Code(name)})
		g.Contradictions = append(g.Contradictions, lineage.Contradiction{Source: name, Field: name, Claimed: name, Signed: name, Why: name, Records: []attest.Digest{d}})
		if i > 0 {
			g.Edges = append(g.Edges, lineage.Edge{From: Digest(fmt.Sprint(i / 3)), To: d, Role: name, Step: Names[i/3], Records: []int{i / 3}})
		}
	}
	return g
}

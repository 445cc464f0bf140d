package lineage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noon is when everything in these tests happened.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// input names an input for made.
func input(role, name string, d attest.Digest) predicate.Input {
	return predicate.Input{Role: role, Name: name, URI: "https://example.test/" + name, Digest: d, Observed: true}
}

// made signs provenance: "who" made the artifact in a step.
func made(t testing.TB, w *chaintest.World, who, step string, artifact attest.Digest, inputs ...predicate.Input) attest.Digest {
	t.Helper()
	pred, err := predicate.NewProvenance(predicate.ProvenanceInput{
		Step: step, Builder: "https://builder.test/" + who, InvocationID: "run of " + artifact.Short(),
		Started: noon.Add(-time.Minute), Finished: noon, Inputs: inputs,
		External: map[string]any{"parameters": map[string]any{"epochs": "3"}},
	})
	must(t, err)
	return w.Sign(who, artifact, predicate.TypeProvenance, pred)
}

// everything walks with the keys of these names, and no policy.
func everything(t testing.TB, w *chaintest.World, root attest.Digest, names ...string) verify.Chain {
	t.Helper()
	var keys []attest.PublicKey
	for _, n := range names {
		keys = append(keys, w.Key(n))
	}
	c, err := verify.Walk(t.Context(), root, []verify.Source{w.Source()}, lineage.Everything(verify.Signers{Keys: keys}))
	must(t, err)
	return c
}

// called gives the keys of a world their names.
func called(w *chaintest.World, names ...string) lineage.Reading {
	return lineage.Reading{Name: func(c verify.Credential) string {
		for _, n := range names {
			if verify.KeyCredential(w.Key(n)) == c {
				return n
			}
		}
		return ""
	}}
}

func commit(n byte) attest.Digest {
	d, err := attest.ParseDigest("gitCommit:" + strings.Repeat(fmt.Sprintf("%02x", n), 20))
	if err != nil {
		panic(err)
	}
	return d
}

// tuned is a world with a base model, data, a model tuned of them, and what was
// said about it.
func tuned(t testing.TB) (w *chaintest.World, model, base, data attest.Digest) {
	w = chaintest.New(t)
	model = w.Manifest(map[string]string{"model.safetensors": "tuned"})
	base = w.Manifest(map[string]string{"model.safetensors": "base", "README.md": "card"})
	data = w.Manifest(map[string]string{"train.csv": "1,2"})
	made(t, w, "trainer", "finetune", model, input("base-model", "acme/base", base), input("training-data", "acme/data", data), input("code", "repo", commit(1)))
	made(t, w, "trainer", "ingest", data)
	w.Sign("evaluator", model, predicate.TypeEvaluation, map[string]any{
		"kind": "quality", "evaluatedAt": noon.Format(time.RFC3339), "suite": map[string]any{"name": "s"},
		"metrics": map[string]any{"accuracy": map[string]any{"value": "0.91", "n": 10}},
		"inputs":  []any{map[string]any{"role": "evaluation-data", "digest": chainData(data)}},
	})
	w.Sign("mallory", base, predicate.TypeApproval, map[string]any{"decision": "approved"})
	return w, model, base, data
}

func chainData(d attest.Digest) map[string]string { return d.DigestSet() }

func TestTrace(t *testing.T) {
	w, model, base, data := tuned(t)
	names := []string{"trainer", "evaluator"}
	g := lineage.Trace(everything(t, w, model, names...), lineage.TraceOptions{Reading: called(w, names...), Trust: lineage.Trust{Signers: names}})
	if g.Artifact != model || !g.Complete() || len(g.Nodes) != 4 || g.Nodes[0].Digest != model {
		t.Fatalf("graph of %s with %d nodes, gaps %v", g.Artifact, len(g.Nodes), g.Gaps)
	}
	type end struct{ how, detail string }
	for _, want := range []struct {
		d     attest.Digest
		kind  lineage.NodeKind
		name  string
		steps []string
		files int
		end   end
	}{
		{model, lineage.KindModel, "subject", []string{"finetune"}, 1, end{}},
		{base, lineage.KindModel, "acme/base", nil, 2, end{lineage.EndsUnsigned, "https://example.test/acme/base"}},
		{data, lineage.KindData, "acme/data", []string{"ingest"}, 1, end{lineage.EndsSigned, "trainer"}},
		{commit(1), lineage.KindCode, "repo", nil, 0, end{lineage.EndsUnsigned, "https://example.test/repo"}},
	} {
		n := g.Node(want.d)
		if n == nil {
			t.Errorf("no node for %s", want.name)
			continue
		}
		var ends end
		if n.Frontier != nil {
			ends = end{n.Frontier.How, n.Frontier.Detail}
		}
		if n.Kind != want.kind || n.Name != want.name || !slices.Equal(n.Steps, want.steps) || n.Files != want.files || ends != want.end || n.Frontier != nil && n.Frontier.Accepted {
			t.Errorf("%s: %+v, ends %+v", want.name, n, ends)
		}
	}
	roles := map[string]string{}
	for _, e := range g.Edges {
		if e.From != model || len(e.Records) != 1 {
			t.Errorf("edge %+v", e)
		}
		roles[e.Role] = e.Step
	}
	if fmt.Sprint(roles) != "map[base-model:finetune code:finetune evaluation-data:evaluate quality training-data:finetune]" {
		t.Errorf("edges: %v", roles)
	}
	// mallory is nobody here, and what they said is nowhere.
	b, err := json.Marshal(g)
	must(t, err)
	if len(g.Records) != 3 || strings.Contains(string(b), "approv") {
		t.Errorf("records: %+v", g.Records)
	}
	for _, r := range g.Records {
		if r.Signer != "trainer" && r.Signer != "evaluator" || r.Claimed == nil || !r.Claimed.Equal(noon) || r.Problem != "" {
			t.Errorf("record %+v", r)
		}
		if r.Type == "evaluation" && !slices.Contains(r.Facts, lineage.Fact{Name: "metrics.accuracy.value", Value: "0.91"}) {
			t.Errorf("facts %v", r.Facts)
		}
		if r.Step == "finetune" && !slices.Contains(r.Facts, lineage.Fact{Name: "parameters.epochs", Value: "3"}) {
			t.Errorf("facts %v", r.Facts)
		}
	}
}

// Under a policy only what it counts says how an artifact was made, and it says
// where it accepts that the evidence ends.
func TestTraceUnderAPolicy(t *testing.T) {
	w, model, base, data := tuned(t)
	chain := everything(t, w, model, "trainer", "evaluator")
	o := lineage.TraceOptions{
		Trust:    lineage.Trust{Policy: "p version 1", Outcome: "ALLOW"},
		Counts:   func(id verify.ID) []string { return []string{} },
		Frontier: func(d attest.Digest) *lineage.Frontier { return nil },
	}
	g := lineage.Trace(chain, o)
	if n := g.Node(model); n.Steps != nil || n.Frontier == nil || n.Frontier.How != lineage.EndsUncounted || g.Trust.Outcome != "ALLOW" {
		t.Errorf("nothing counts, and the model was made by %v: %+v", n.Steps, n.Frontier)
	}
	o.Counts = func(verify.ID) []string { return []string{"a step"} }
	o.Frontier = func(d attest.Digest) *lineage.Frontier {
		if d == base {
			return &lineage.Frontier{Accepted: true, How: "origin"}
		}
		return nil
	}
	g = lineage.Trace(chain, o)
	if n := g.Node(model); !slices.Equal(n.Steps, []string{"finetune"}) || n.Frontier != nil {
		t.Errorf("all counts, and the model is %+v", n)
	}
	if n := g.Node(base); n.Frontier == nil || !n.Frontier.Accepted || g.Node(data).Frontier.Accepted {
		t.Errorf("base ends %+v, data %+v", n.Frontier, g.Node(data).Frontier)
	}
}

func TestTraceSaysWhatItCouldNotSee(t *testing.T) {
	w, model, base, _ := tuned(t)
	w.Break(base, errors.New("down"))
	g := lineage.Trace(everything(t, w, model, "trainer"), lineage.TraceOptions{})
	want := lineage.Gap{Artifact: base, Code: attest.CodeRegUnavailable}
	if g.Complete() || !slices.Contains(g.Gaps, want) || g.Node(base).Frontier.How != lineage.EndsUnseen || !slices.Contains(g.Node(base).Gaps, want.Code) {
		t.Errorf("gaps %v, base %+v", g.Gaps, g.Node(base))
	}
	// Authentic and unreadable: it is shown, with its problem.
	w.Break(base, nil)
	w.Sign("trainer", base, predicate.TypeEvaluation, map[string]any{"kind": 7})
	g = lineage.Trace(everything(t, w, model, "trainer"), lineage.TraceOptions{})
	found := false
	for _, r := range g.Records {
		found = found || r.About == base && strings.Contains(r.Problem, "E_PREDICATE_SCHEMA") && r.Claimed == nil
	}
	if !found || !g.Complete() {
		t.Errorf("records %+v", g.Records)
	}
}

// The same chain gives the same bytes, whatever the order of attaching.
func TestTraceIsDeterministic(t *testing.T) {
	var want []byte
	for i := range 4 {
		w := chaintest.New(t)
		model, data := w.Manifest(map[string]string{"a": "b"}), w.Manifest(map[string]string{"c": "d"})
		acts := []func(){
			func() { made(t, w, "trainer", "train", model, input("training-data", "d", data)) },
			func() { made(t, w, "other", "train", model, input("training-data", "e", data)) },
			func() { made(t, w, "trainer", "train", data, input("parent-model", "cycle", model)) },
		}
		for j := range acts {
			acts[(i+j)%len(acts)]()
		}
		b, err := json.Marshal(lineage.Trace(everything(t, w, model, "trainer", "other"), lineage.TraceOptions{}))
		must(t, err)
		if want == nil {
			want = b
		}
		if string(b) != string(want) {
			t.Errorf("other bytes:\n%s\n%s", b, want)
		}
	}
}

// A chain that is deeper than any stack frame should be, and an artifact with the
// most inputs that a statement may have.
func TestTraceOfLargeChains(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: signs 10,000 statements")
	}
	w := chaintest.New(t)
	const depth = 10_000
	artifact := func(i int) attest.Digest { return attest.SHA256(fmt.Appendf(nil, "model %d", i)) }
	for i := range depth {
		made(t, w, "trainer", "finetune", artifact(i), input("base-model", "", artifact(i+1)))
	}
	g := lineage.Trace(everything(t, w, artifact(0), "trainer"), lineage.TraceOptions{})
	if len(g.Nodes) != depth+1 || len(g.Edges) != depth || !g.Complete() || g.Nodes[depth].Digest != artifact(depth) {
		t.Errorf("%d nodes, %d edges, gaps %v", len(g.Nodes), len(g.Edges), g.Gaps)
	}
	wide := attest.SHA256([]byte("wide"))
	var inputs []predicate.Input
	for i := range predicate.MaxInputs {
		inputs = append(inputs, input("training-data", fmt.Sprint(i), attest.SHA256(fmt.Appendf(nil, "data %d", i))))
	}
	for range 10 { // ten runs that name the same
		made(t, w, "trainer", "train", wide, inputs...)
	}
	if g := lineage.Trace(everything(t, w, wide, "trainer"), lineage.TraceOptions{}); len(g.Nodes) != predicate.MaxInputs+1 || len(g.Edges) != predicate.MaxInputs {
		t.Errorf("%d nodes, %d edges", len(g.Nodes), len(g.Edges))
	}
}

package predicate

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

var (
	berlin = time.FixedZone("CET", 3600)
	noon   = time.Date(2026, 11, 21, 9, 30, 0, 0, berlin)
)

func encoded(t *testing.T, typ string, v any) Facts {
	t.Helper()
	b, err := Encode(typ, v)
	if err != nil {
		t.Fatal(err)
	}
	// It goes through the statement as a signer would send it.
	payload, err := attest.NewStatement(attest.Subject{Digest: attest.SHA256(nil)}, typ, b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := attest.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEverythingWrittenDecodes(t *testing.T) {
	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	f := encoded(t, TypeEvaluation, Evaluation{
		Kind: "bias", EvaluatedAt: noon, Evaluator: &Evaluator{ID: "me"}, Suite: Suite{Name: "s", Version: "1"},
		Metrics: map[string]Metric{"accuracy": {Value: "0.9", N: 3, Interval: &Interval{"0.8", "1", "0.95"}, Unit: "ratio"}},
		Slices:  map[string]Slice{"sex": {Groups: map[string]Group{"f": {N: 1, Metrics: map[string]Metric{"x": {Value: "1"}}}}, Gaps: map[string]Metric{"g": {Value: "0"}}}},
		Inputs:  []EvaluationInput{{Role: "evaluation-data", Digest: DigestSet{a}}, {Role: "harness", URI: "u", Annotations: map[string]any{"observed": false}}},
	})
	if !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC || len(f.Inputs) != 2 || f.Inputs[0].Digest != a || f.Inputs[1].Observed {
		t.Errorf("got %+v", f)
	}
	encoded(t, TypeEvaluation, Evaluation{Kind: "redteam", EvaluatedAt: noon, Suite: Suite{Name: "s"}})

	f = encoded(t, TypeApproval, Approval{
		Decision: DecisionApproved, Role: "risk", ApprovedAt: noon, ValidUntil: noon.Add(time.Hour), Scope: Scope{Environments: []string{"prod"}, UseCases: []string{"u"}},
		Basis: []ApprovalBasis{{Payload: DigestSet{a}, Artifact: DigestSet{b}}}, Policy: &ApprovalPolicy{Name: "p", Version: 1, Digest: DigestSet{a}},
		Conditions: []Condition{{ID: "C", DueBy: noon}, {ID: "D"}}, Comment: "c", RisksAccepted: []Risk{{ID: "R"}},
	})
	if len(f.Conditions) != 2 || f.Policy != a || !reflect.DeepEqual(f.Basis, []Basis{{a, b}}) || !f.ValidUntil.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %+v", f)
	}
	f = encoded(t, TypeApproval, Approval{Decision: DecisionRejected, ApprovedAt: noon, Scope: Scope{Environments: []string{"prod"}}})
	if f.Basis != nil || !f.ValidUntil.IsZero() {
		t.Errorf("got %+v", f)
	}

	encoded(t, TypeVSA, VSA{Verifier: Verifier{ID: "v"}, TimeVerified: noon, ResourceURI: "r", Policy: VSAPolicy{URI: "p", Digest: DigestSet{a}},
		InputAttestations: []VSAAttestation{{Digest: DigestSet{b}}}, VerificationResult: ResultPassed, DependencyLevels: map[string]int64{"SLSA_BUILD_LEVEL_3": 1}})
	f = encoded(t, TypeVSA, VSA{Verifier: Verifier{ID: "v"}, ResourceURI: "r", Policy: VSAPolicy{URI: "p"}, VerificationResult: ResultFailed})
	if !f.Claimed.IsZero() {
		t.Errorf("a time out of nothing: %v", f.Claimed)
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := Evaluation{Kind: "quality", EvaluatedAt: noon, Suite: Suite{Name: "s"}, Parameters: map[string]any{"text": `a \ufffd and a real ` + "\ufffd"}}
	encoded(t, TypeEvaluation, good)
	bad := func(change func(*Evaluation)) Evaluation {
		e := good
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		v    any
		want attest.Code
	}{
		"no kind":             {bad(func(e *Evaluation) { e.Kind = "" }), schemaCode},
		"no time":             {bad(func(e *Evaluation) { e.EvaluatedAt = time.Time{} }), schemaCode},
		"NaN":                 {bad(func(e *Evaluation) { e.Metrics = map[string]Metric{"x": {Value: "NaN"}} }), schemaCode},
		"invalid UTF-8":       {bad(func(e *Evaluation) { e.Kind = "\xff" }), schemaCode},
		"invalid UTF-8, \\\\": {bad(func(e *Evaluation) { e.Kind = "\\\xff" }), schemaCode},
		"keys but for case":   {map[string]any{"kind": 1, "Kind": 2}, attest.CodeDupKey},
		"raw duplicate":       {json.RawMessage(`{"kind":1,"kind":2}`), attest.CodeDupKey},
		"raw garbage":         {json.RawMessage(`{`), attest.CodeJSON},
		"a list":              {[]int{1}, schemaCode},
		"null":                {nil, schemaCode},
		"no JSON":             {func() {}, schemaCode},
		"a missing digest":    {Approval{Decision: DecisionApproved, ApprovedAt: noon, Scope: Scope{Environments: []string{"e"}}, Basis: []ApprovalBasis{{}}}, schemaCode},
	} {
		typ := TypeEvaluation
		if _, ok := c.v.(Approval); ok {
			typ = TypeApproval
		}
		b, err := Encode(typ, c.v)
		if attest.RefusalCode(err) != c.want || b != nil {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := Encode("https://example.test/x/v1", []int{1}); attest.RefusalCode(err) != schemaCode {
		t.Errorf("an untyped list: got %v", err)
	}
}

func TestNewProvenance(t *testing.T) {
	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("a", 40))
	if err != nil {
		t.Fatal(err)
	}
	in := ProvenanceInput{
		Step: "train", External: map[string]any{"seed": 9007199254740993, "cmd": []string{"x"}}, Internal: map[string]any{"os": "linux"},
		Inputs: []Input{
			{Role: "training-data", Name: "d", URI: "ocidir://d", Digest: a, Observed: true},
			{Role: "code", URI: "git+https://g.example/x", Digest: commit, Observed: true},
			{Role: "base-model", URI: "https://m.example", Digest: b},
			{URI: "unpinned", Observed: true},
		},
		Outputs: []Output{{"model", a}, {"copy", a}}, Log: b, Builder: "https://b.example", BuilderVersion: map[string]string{"pedigree": "1"},
		InvocationID: "run", Started: noon, Finished: noon.Add(time.Minute),
	}
	raw, err := NewProvenance(in)
	if err != nil {
		t.Fatal(err)
	}
	f := encoded(t, TypeProvenance, raw)
	if f.BuildType != "https://pedigree-ml.github.io/build/train/v1" || f.InvocationID != "run" || !f.Claimed.Equal(in.Finished) ||
		!reflect.DeepEqual(f.Inputs, in.Inputs) || !reflect.DeepEqual(f.Outputs, append(in.Outputs, Output{LogName, b})) {
		t.Errorf("got %+v", f)
	}
	if got := f.Tree["buildDefinition"].(map[string]any)["externalParameters"].(map[string]any)["seed"]; got != int64(9007199254740993) {
		t.Errorf("an integer was rounded to %v", got)
	}
	if again, err := NewProvenance(in); err != nil || string(again) != string(raw) {
		t.Error("the same input gives other bytes")
	}
	if _, err := NewProvenance(ProvenanceInput{Step: "ingest", Builder: "b"}); err != nil {
		t.Errorf("the least there can be: %v", err)
	}

	for name, c := range map[string]struct {
		change func(*ProvenanceInput)
		want   attest.Code
	}{
		"step":             {func(p *ProvenanceInput) { p.Step = "Train" }, attest.CodeUsage},
		"no builder":       {func(p *ProvenanceInput) { p.Builder = "" }, schemaCode},
		"output unnamed":   {func(p *ProvenanceInput) { p.Outputs = []Output{{"", a}} }, schemaCode},
		"output undigest":  {func(p *ProvenanceInput) { p.Outputs = []Output{{"x", attest.Digest{}}} }, schemaCode},
		"one name twice":   {func(p *ProvenanceInput) { p.Outputs = []Output{{"x", a}, {"x", b}} }, schemaCode},
		"output named log": {func(p *ProvenanceInput) { p.Log, p.Outputs = attest.Digest{}, []Output{{LogName, a}} }, schemaCode},
		"ends too early":   {func(p *ProvenanceInput) { p.Finished = p.Started.Add(-1) }, schemaCode},
		"invalid UTF-8":    {func(p *ProvenanceInput) { p.InvocationID = "\xff" }, schemaCode},
		"empty input":      {func(p *ProvenanceInput) { p.Inputs = []Input{{Role: "x"}} }, schemaCode},
		"too many inputs":  {func(p *ProvenanceInput) { p.Inputs = make([]Input, MaxInputs+1) }, attest.CodeChainFanout},
	} {
		bad := in
		c.change(&bad)
		raw, err := NewProvenance(bad)
		if attest.RefusalCode(err) != c.want || raw != nil {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestBuildType(t *testing.T) {
	for _, good := range []string{"train", "t", "pre-train-2", strings.Repeat("a", 32)} {
		if got, err := BuildType(good); err != nil || got != "https://pedigree-ml.github.io/build/"+good+"/v1" {
			t.Errorf("%s: got %s, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "Train", "1st", "-x", "a b", "a/b", "../x", "a.b", "träin", "a\n", strings.Repeat("a", 33)} {
		if got, err := BuildType(bad); attest.RefusalCode(err) != attest.CodeUsage || got != "" {
			t.Errorf("%q: got %s, %v", bad, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, n := range names() {
		if typ, ok := TypeByName(n.short); !ok || typ != n.uri || Name(typ) != n.short {
			t.Errorf("%s does not come back", n.short)
		}
		if err := attest.CheckPredicateType(n.uri); err != nil {
			t.Errorf("%s: %v", n.short, err)
		}
	}
	for _, s := range []string{"", "Provenance", TypeProvenance} {
		if typ, ok := TypeByName(s); ok || typ != "" {
			t.Errorf("%q is no name", s)
		}
	}
	if Name("https://example.test/x") != "https://example.test/x" {
		t.Error("a type without a name has none")
	}
	if _, ok := Table("https://example.test/x"); ok {
		t.Error("a table for an unknown type")
	}
	a, _ := Table(TypeVSA)
	a[0].Name = "changed"
	if b, _ := Table(TypeVSA); b[0].Name == "changed" {
		t.Error("one caller's table is another's")
	}
}

func TestWithInputs(t *testing.T) {
	const measured = ` {"suite":{"name":"s"},"kind":"quality","evaluatedAt":"2026-11-21T08:30:00Z","metrics":{"a":{"value":"0.5"}},"custom":[1.50]}`
	inputs := []Input{{Role: "evaluation-data", Name: "d", Digest: attest.SHA256(nil), Observed: true}, {Role: "harness", URI: "u", Digest: attest.SHA256([]byte("h"))}}
	raw, err := WithInputs([]byte(measured), inputs)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"custom":[1.50]`) || !strings.HasPrefix(string(raw), `{"custom"`) {
		t.Errorf("not canonical, or something was lost: %s", raw)
	}
	if f := encoded(t, TypeEvaluation, raw); !reflect.DeepEqual(f.Inputs, inputs) {
		t.Errorf("got %+v", f.Inputs)
	}
	if raw, err := WithInputs([]byte(measured), nil); err != nil || strings.Contains(string(raw), "inputs") {
		t.Errorf("without inputs: %s, %v", raw, err)
	}
	for name, c := range map[string]struct {
		in     string
		inputs []Input
		want   attest.Code
	}{
		"inputs already":     {swap(t, measured, `"kind"`, `"inputs":[],"kind"`), inputs, schemaCode},
		"null inputs":        {swap(t, measured, `"kind"`, `"inputs":null,"kind"`), inputs, schemaCode},
		"inputs misspelt":    {swap(t, measured, `"kind"`, `"Inputs":[],"kind"`), inputs, schemaCode},
		"no evaluation":      {`{"result":"PASSED"}`, inputs, schemaCode},
		"a list":             {`[]`, inputs, schemaCode},
		"no JSON":            {`{`, inputs, attest.CodeJSON},
		"twice the same key": {swap(t, measured, `"kind"`, `"kind":"x","kind"`), inputs, attest.CodeDupKey},
		"input without role": {measured, []Input{{URI: "u"}}, schemaCode},
		"too many":           {measured, make([]Input, MaxInputs+1), attest.CodeChainFanout},
	} {
		raw, err := WithInputs([]byte(c.in), c.inputs)
		if attest.RefusalCode(err) != c.want || raw != nil {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

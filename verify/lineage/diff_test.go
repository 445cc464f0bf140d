package lineage_test

import (
	"context"
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

const lockName = "requirements.txt"

// A recipe is what a version is made of.
type recipe struct {
	by, step   string
	model      map[string]string
	data, test string // contents
	code       byte
	lock       string
	epochs     string
	more       []predicate.Input
	accuracy   string // "" for no evaluation
	female     string
	approvers  []string
	policy     string
}

func first() recipe {
	return recipe{
		by: "trainer", step: "train", model: map[string]string{"model.safetensors": "weights 1", "config.json": `{"bits":8,"layers":2}`, "README.md": "card", "old-name.txt": "vocabulary"},
		data: "1,2", test: "3,4", code: 1, lock: "numpy==1.26.4\ntorch==2.1\n", epochs: "3",
		accuracy: "0.75", female: "0.7", approvers: []string{"alice", "bob"}, policy: "policy 1",
	}
}

// make puts a version into the world, and returns its model.
func (r recipe) make(t testing.TB, w *chaintest.World) attest.Digest {
	t.Helper()
	model, data := w.Manifest(r.model), w.Manifest(map[string]string{"train.csv": r.data})
	test := w.Manifest(map[string]string{"test.csv": r.test})
	pred := func(step string, in ...predicate.Input) json.RawMessage {
		p, err := predicate.NewProvenance(predicate.ProvenanceInput{Step: step, Builder: "https://builder.test/1", InvocationID: "run", Finished: noon, Inputs: in,
			External: map[string]any{"parameters": map[string]any{"epochs": r.epochs, "seed": "7"}}, Internal: map[string]any{"platform": "linux/amd64"}})
		must(t, err)
		return p
	}
	w.Sign("trainer", data, predicate.TypeProvenance, pred("prepare", input("code", "repo", commit(r.code))))
	w.Sign(r.by, model, predicate.TypeProvenance, pred(r.step, append([]predicate.Input{
		input("training-data", "train", data), input("code", "repo", commit(r.code)), {Role: "environment", Name: lockName, Digest: chaintest.File(r.lock), Observed: true},
	}, r.more...)...))
	if r.accuracy != "" {
		payload := w.Sign("evaluator", model, predicate.TypeEvaluation, map[string]any{
			"kind": "quality", "evaluatedAt": noon.Format(time.RFC3339), "suite": map[string]any{"name": "holdout", "version": "1"},
			"metrics": map[string]any{"accuracy": map[string]any{"value": r.accuracy, "n": 300, "interval": map[string]any{"low": "0.1", "high": "0.9", "level": "0.95"}}, "constant": map[string]any{"value": "1.50"}},
			"slices":  map[string]any{"sex": map[string]any{"groups": map[string]any{"female": map[string]any{"metrics": map[string]any{"accuracy": map[string]any{"value": r.female}}}}, "gaps": map[string]any{"accuracy": map[string]any{"value": "0.1"}}}},
			"inputs":  []any{map[string]any{"role": "evaluation-data", "name": "test", "digest": chainData(test)}},
		})
		for _, who := range r.approvers {
			w.Sign(who, model, predicate.TypeApproval, map[string]any{
				"decision": "approved", "role": "owner", "approvedAt": noon.Format(time.RFC3339), "scope": map[string]any{"environments": []string{"prod"}},
				"basis":  []any{map[string]any{"payload": chainData(payload), "artifact": chainData(model)}},
				"policy": map[string]any{"name": r.policy, "version": 1, "digest": chainData(chaintest.File(r.policy))},
			})
		}
	}
	return model
}

var allNames = []string{"trainer", "carol", "evaluator", "alice", "bob"}

// contents looks for files among texts.
func contents(texts ...string) func(context.Context, attest.File) ([]byte, error) {
	return func(_ context.Context, f attest.File) ([]byte, error) {
		for _, s := range texts {
			if chaintest.File(s) == f.Digest {
				return []byte(s), nil
			}
		}
		return nil, attest.ErrAbsent
	}
}

func diffOf(t testing.TB, a, b recipe, o lineage.DiffOptions) *lineage.Difference {
	t.Helper()
	w := chaintest.New(t)
	x, y := a.make(t, w), b.make(t, w)
	return diffIn(t, w, x, y, o)
}

func diffIn(t testing.TB, w *chaintest.World, a, b attest.Digest, o lineage.DiffOptions) *lineage.Difference {
	t.Helper()
	o.Reading = called(w, allNames...)
	d, err := lineage.Diff(t.Context(), everything(t, w, a, allNames...), everything(t, w, b, allNames...), o)
	must(t, err)
	return d
}

// sketchDiff writes what differs as lines, without digests.
func sketchDiff(d *lineage.Difference) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	who := func(list []int) string {
		var names []string
		for _, i := range list {
			names = append(names, d.Records[i].Signer)
		}
		return strings.Join(names, "+")
	}
	for i, c := range d.Changes {
		at := fmt.Sprintf("%d<%d", i, c.Of)
		say("%s %s %s same=%d", at, c.How, strings.TrimSpace(c.Role+" "+strings.Join(c.For, "+")), c.Same)
		if c.See != nil {
			say("%s see %d", at, *c.See)
		}
		if len(c.RolesInA)+len(c.RolesInB) > 0 {
			say("%s was %v now %v", at, c.RolesInA, c.RolesInB)
		}
		for _, s := range c.Steps {
			say("%s step %s was=%q %s>%s otherKeys=%t same=%d", at, s.Step, s.Was, who(s.A), who(s.B), s.OtherKeys, s.ParametersSame)
			for _, p := range s.Parameters {
				say("%s param %s %v>%v", at, p.Name, p.A, p.B)
			}
		}
		rows := func(of string, r *lineage.RowsChange) {
			if r == nil {
				return
			}
			say("%s rows of %s same=%d %s", at, of, r.Same, r.Unread)
			for _, row := range r.List {
				say("%s row %s %s %s>%s", at, row.How, row.Name, row.A, row.B)
			}
		}
		rows("input", c.Rows)
		if c.Files != nil {
			say("%s files same=%d unknown=%t", at, c.Files.Same, c.Files.Unknown)
			for _, f := range c.Files.List {
				say("%s file %s %s %s", at, f.How, f.Path, f.Was)
				rows(f.Path, f.Rows)
			}
		}
		for _, e := range c.Evaluations {
			say("%s evaluation %s %s %s>%s data=%s same=%d", at, e.Kind, e.Suite, who(e.A), who(e.B), e.Data, e.MetricsSame)
			for _, m := range e.Metrics {
				say("%s metric %s/%s/%s %s>%s %s", at, m.Slice, m.Group, m.Name, value(m.A), value(m.B), m.Delta)
			}
		}
		for _, ap := range c.Approvals {
			say("%s approval %s as %s %d>%d", at, ap.Signer, ap.Role, len(ap.A), len(ap.B))
		}
		for _, o := range c.Others {
			say("%s other %s %s>%s", at, o.Type, who(o.A), who(o.B))
		}
	}
	return out
}

func value(v *lineage.Measured) string {
	if v == nil {
		return "none"
	}
	return v.Value
}

func wantLines(t *testing.T, d *lineage.Difference, want ...string) {
	t.Helper()
	got := sketchDiff(d)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Every kind of change at once; and none between a version and itself.
func TestDiff(t *testing.T) {
	a, b := first(), first()
	b.by, b.epochs, b.code, b.lock, b.accuracy, b.female = "carol", "5", 2, "numpy==1.26.4\ntorch==2.2\nnew==1\n", "0.7", "0.70"
	b.model = map[string]string{"model.safetensors": "weights 2", "config.json": `{"bits":4,"layers":2}`, "README.md": "card", "new-name.txt": "vocabulary", "extra.bin": "x"}
	b.more = []predicate.Input{input("adapter", "lora", chaintest.File("lora"))}
	b.approvers, b.policy = []string{"alice"}, "policy 2"
	a.more = []predicate.Input{input("calibration-data", "cal", chaintest.File("cal"))}
	o := lineage.DiffOptions{Content: contents(a.lock, b.lock, a.model["config.json"], b.model["config.json"])}
	d := diffOf(t, a, b, o)
	wantLines(t, d,
		"0<-1 replaced  same=2",
		`0<-1 step train was="" trainer>carol otherKeys=false same=3`,
		`0<-1 param parameters.epochs ["3"]>["5"]`,
		"0<-1 files same=1 unknown=false",
		"0<-1 file changed config.json ",
		"0<-1 rows of config.json same=1 ",
		"0<-1 row changed bits 8>4",
		"0<-1 file added extra.bin ",
		"0<-1 file changed model.safetensors ",
		"0<-1 file renamed new-name.txt old-name.txt",
		"0<-1 evaluation quality holdout evaluator>evaluator data=same same=3",
		"0<-1 metric //accuracy 0.75>0.7 -0.05",
		"0<-1 approval alice as owner 1>1",
		"0<-1 approval bob as owner 1>0",
		"1<0 added adapter train same=0",
		"2<0 removed calibration-data train same=0",
		"3<0 replaced code train same=0",
		"4<0 replaced environment train same=0",
		"4<0 rows of input same=1 ",
		"4<0 row added new >1",
		"4<0 row changed torch 2.1>2.2",
		// The same data, of which the second preparation says that it came of other code.
	)
	if want := (lineage.DiffCounts{Same: 2, Replaced: 3, Added: 1, Removed: 1}); d.Counts != want {
		t.Errorf("counted %+v, want %+v", d.Counts, want)
	}
	if len(d.A.Policies) != 1 || d.A.Policies[0].Digest != chaintest.File("policy 1") || len(d.A.Policies[0].Records) != 2 ||
		len(d.B.Policies) != 1 || d.B.Policies[0].Digest != chaintest.File("policy 2") {
		t.Errorf("policies %+v and %+v", d.A.Policies, d.B.Policies)
	}
	if basis := d.Changes[0].Approvals[0].B[0].Basis; len(basis) != 1 || basis[0].What != "evaluate quality" {
		t.Errorf("alice's second approval rests on %+v", basis)
	}
	if !d.Complete() {
		t.Errorf("gaps %v %v %v", d.A.Gaps, d.B.Gaps, d.Gaps)
	}
	same := diffOf(t, a, a, o)
	if len(same.Changes)+len(same.Records) != 0 || same.Counts.Same != 1 {
		t.Errorf("a version differs from itself: %v, %+v", sketchDiff(same), same.Counts)
	}
}

// The answer does not depend on the order in which sources give evidence, and
// asked the other way round it is the mirror image.
func TestDiffOrder(t *testing.T) {
	a, b := first(), first()
	b.model, b.code, b.epochs, b.data = map[string]string{"m": "2"}, 3, "9", "other"
	w := chaintest.New(t)
	x, y := a.make(t, w), b.make(t, w)
	turned := chaintest.New(t)
	b.make(t, turned)
	a.make(t, turned)
	one, err := json.Marshal(diffIn(t, w, x, y, lineage.DiffOptions{}))
	must(t, err)
	two, err := json.Marshal(diffIn(t, turned, x, y, lineage.DiffOptions{}))
	must(t, err)
	if string(one) != string(two) {
		t.Errorf("%s\n%s", one, two)
	}
	back := diffIn(t, w, y, x, lineage.DiffOptions{})
	there := diffIn(t, w, x, y, lineage.DiffOptions{})
	if len(back.Changes) != len(there.Changes) || len(there.Changes) < 3 {
		t.Fatalf("%d changes there, %d back", len(there.Changes), len(back.Changes))
	}
	for i := range back.Changes {
		if back.Changes[i].A.Digest != there.Changes[i].B.Digest || back.Changes[i].B.Digest != there.Changes[i].A.Digest {
			t.Errorf("change %d there %v, back %v", i, there.Changes[i], back.Changes[i])
		}
	}
}

// How inputs find each other.
func TestDiffAlignment(t *testing.T) {
	in := func(role, name, uri, content string) predicate.Input {
		return predicate.Input{Role: role, Name: name, URI: uri, Digest: chaintest.File(content), Observed: true}
	}
	for _, c := range []struct {
		why  string
		a, b []predicate.Input
		want []string // of inputs: how, role, content of A, content of B
	}{
		{"by role and name", []predicate.Input{in("data", "x", "", "x1"), in("data", "y", "", "y1")}, []predicate.Input{in("data", "y", "", "y2"), in("data", "x", "", "x2")},
			[]string{"replaced data x1 x2", "replaced data y1 y2"}},
		{"by role alone, though the name is another", []predicate.Input{in("data", "x", "", "x1")}, []predicate.Input{in("data", "z", "", "x2")}, []string{"replaced data x1 x2"}},
		{"by origin, though the role is another", []predicate.Input{in("r1", "a", "git+https://h.test/r@refs/heads/main", "x1"), in("r1", "b", "", "y1")}, []predicate.Input{in("r2", "c", "git+https://h.test/r@refs/heads/dev", "x2")},
			[]string{"removed r1 y1 -", "replaced r2 x1 x2"}},
		{"not by a name that two have", []predicate.Input{in("data", "x", "", "x1"), in("data", "x", "", "x2")}, []predicate.Input{in("data", "x", "", "x3")},
			[]string{"removed data x1 -", "removed data x2 -", "added data - x3"}},
		{"what is the same takes no part", []predicate.Input{in("data", "x", "", "x1"), in("data", "x", "", "x2")}, []predicate.Input{in("data", "x", "", "x1"), in("data", "x", "", "x3")},
			[]string{"replaced data x2 x3"}},
		{"test data that became training data", []predicate.Input{in("training-data", "x", "", "x1"), in("evaluation-data", "y", "", "y1")}, []predicate.Input{in("training-data", "x", "", "y1"), in("evaluation-data", "y", "", "y1")},
			[]string{"replaced training-data x1 y1 was [evaluation-data]"}},
		{"an input without a digest", []predicate.Input{in("data", "x", "", "x1")}, []predicate.Input{{Role: "data", Name: "x", URI: "https://h.test/x"}}, []string{"replaced data x1 -"}},
		{"the same input without a digest", []predicate.Input{{Role: "data", Name: "x", URI: "https://h.test/x"}}, []predicate.Input{{Role: "data", Name: "x", URI: "https://h.test/x"}}, nil},
	} {
		w := chaintest.New(t)
		x, y := w.Manifest(map[string]string{"m": "1"}), w.Manifest(map[string]string{"m": "2"})
		made(t, w, "trainer", "train", x, c.a...)
		made(t, w, "trainer", "train", y, c.b...)
		names := map[attest.Digest]string{{}: "-"}
		for _, n := range []string{"x1", "x2", "x3", "y1", "y2"} {
			names[chaintest.File(n)] = n
		}
		var got []string
		for _, ch := range diffIn(t, w, x, y, lineage.DiffOptions{}).Changes[1:] {
			one, two := "-", "-"
			if ch.A != nil {
				one = names[ch.A.Digest]
			}
			if ch.B != nil {
				two = names[ch.B.Digest]
			}
			line := fmt.Sprintf("%s %s %s %s", ch.How, ch.Role, one, two)
			if ch.RolesInA != nil {
				line += fmt.Sprint(" was ", ch.RolesInA)
			}
			got = append(got, line)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.why, got, c.want)
		}
	}
}

// What was measured on other data is no progress, and the deltas are exact.
func TestDiffMetrics(t *testing.T) {
	a, b := first(), first()
	b.model, b.accuracy, b.female = map[string]string{"m": "2"}, "0.753333", "0.80"
	for _, c := range []struct {
		test string
		want lineage.DataRelation
	}{{a.test, lineage.DataSame}, {"other", lineage.DataOther}} {
		b.test = c.test
		e := diffOf(t, a, b, lineage.DiffOptions{}).Changes[0].Evaluations[0]
		if e.Data != c.want || len(e.Metrics) != 2 || e.MetricsSame != 2 {
			t.Fatalf("on %s data, %d differ, %d are the same", e.Data, len(e.Metrics), e.MetricsSame)
		}
		if m := e.Metrics[0]; m.Name != "accuracy" || m.Delta != "+0.003333" || m.A.N != "300" || m.A.Low != "0.1" {
			t.Errorf("%+v", m)
		}
		if m := e.Metrics[1]; m.Slice != "sex" || m.Group != "female" || m.Delta != "+0.10" {
			t.Errorf("%+v", m)
		}
	}
	b.accuracy = ""
	e := diffOf(t, a, b, lineage.DiffOptions{}).Changes[0].Evaluations[0]
	if e.FromA == nil || e.FromB != nil || e.Metrics[0].B != nil || e.Metrics[0].Delta != "" || e.Data != "" {
		t.Errorf("no evaluation of B: %+v", e)
	}
}

// A policy's word decides whose numbers are compared.
func TestDiffCounts(t *testing.T) {
	a, b := first(), first()
	b.model = map[string]string{"m": "2"}
	w := chaintest.New(t)
	x, y := a.make(t, w), b.make(t, w)
	w.Sign("trainer", y, predicate.TypeEvaluation, map[string]any{
		"kind": "quality", "evaluatedAt": noon.Add(time.Hour).Format(time.RFC3339), "suite": map[string]any{"name": "holdout"}, "metrics": map[string]any{"accuracy": map[string]any{"value": "0.99"}}, "inputs": []any{},
	})
	evaluator := verify.KeyCredential(w.Key("evaluator"))
	side := lineage.SideOptions{Counts: func(id verify.ID) []string {
		if id.Credential == evaluator {
			return []string{"evaluate"}
		}
		return nil
	}}
	for _, c := range []struct {
		o    lineage.DiffOptions
		want string
	}{{lineage.DiffOptions{}, "trainer"}, {lineage.DiffOptions{A: side, B: side}, "evaluator"}} {
		d := diffIn(t, w, x, y, c.o)
		e := d.Changes[0].Evaluations[0]
		if got := d.Records[*e.FromB].Signer; got != c.want || len(e.B) != 2 {
			t.Errorf("compared the numbers of %s, want %s", got, c.want)
		}
		for _, r := range d.Records {
			if (r.Counts != nil) != (c.o.A.Counts != nil) || r.Signer == "evaluator" && c.o.A.Counts != nil && !slices.Equal(r.Counts, []string{"evaluate"}) {
				t.Errorf("record by %s counts for %v", r.Signer, r.Counts)
			}
		}
	}
}

// One artifact in two places: what differs is what is said about it, also far
// behind.
func TestDiffRecords(t *testing.T) {
	a := first()
	w, mirror := chaintest.New(t), chaintest.New(t)
	model := a.make(t, w)
	a.approvers = []string{"alice"}
	a.make(t, mirror)
	data := w.Manifest(map[string]string{"train.csv": a.data})
	mirror.Sign("bob", data, "https://example.test/note/v1", map[string]any{"note": "x"})
	o := lineage.DiffOptions{Reading: called(w, allNames...)}
	d, err := lineage.Diff(t.Context(), everything(t, w, model, allNames...), everything(t, mirror, model, allNames...), o)
	must(t, err)
	got := sketchDiff(d)
	want := []string{"0<-1 records  same=4", "0<-1 approval bob as owner 1>0", "1<0 records training-data train same=1", "1<0 other https://example.test/note/v1 >bob"}
	if slices.Contains(got, "1<-1 records  same=1") {
		t.Errorf("the data were not found where they are an input")
	}
	want[0] = got[0]
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if d.Counts.Records != 2 || d.Counts.Replaced != 0 {
		t.Errorf("%+v", d.Counts)
	}
}

// What could not be looked at is in the answer, on the side where it is missing.
func TestDiffGaps(t *testing.T) {
	a, b := first(), first()
	b.model, b.lock = map[string]string{"m": "2"}, "numpy==2\n"
	w := chaintest.New(t)
	x, y := a.make(t, w), b.make(t, w)
	w.Break(y, attest.Refuse(attest.CodeRegUnavailable, "down"))
	w.BreakManifest(x, attest.Refuse(attest.CodeRegUnavailable, "down"))
	d := diffIn(t, w, x, y, lineage.DiffOptions{Content: func(context.Context, attest.File) ([]byte, error) { return nil, errors.New("down") }})
	if d.Complete() || len(d.A.Gaps) == 0 || len(d.B.Gaps) == 0 || !d.Changes[0].Files.Unknown {
		t.Errorf("gaps %v and %v, files %+v", d.A.Gaps, d.B.Gaps, d.Changes[0].Files)
	}
	if len(d.Gaps) != 1 || d.Gaps[0].Code != attest.CodeRegUnavailable || d.Gaps[0].Artifact != chaintest.File(a.lock) {
		t.Errorf("gaps of the comparison: %v", d.Gaps)
	}
	// Other bytes than the digest's are nobody's word on anything.
	d = diffIn(t, w, x, y, lineage.DiffOptions{Content: func(context.Context, attest.File) ([]byte, error) { return []byte("numpy==6.6.6\n"), nil }})
	if len(d.Gaps) != 1 || d.Gaps[0].Code != attest.CodeRegDigest || strings.Contains(strings.Join(sketchDiff(d), "\n"), "6.6.6") {
		t.Errorf("gaps %v\n%s", d.Gaps, strings.Join(sketchDiff(d), "\n"))
	}
	// That nobody has the bytes is an answer.
	d = diffIn(t, w, x, y, lineage.DiffOptions{Content: contents()})
	if len(d.Gaps) != 0 || !strings.Contains(strings.Join(sketchDiff(d), "\n"), "nowhere that was looked") {
		t.Errorf("gaps %v\n%s", d.Gaps, strings.Join(sketchDiff(d), "\n"))
	}
	if _, err := lineage.Diff(t.Context(), verify.Chain{}, verify.Chain{}, lineage.DiffOptions{}); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("the zero chains: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := everything(t, w, x, allNames...)
	stop()
	if _, err := lineage.Diff(ctx, c, everything(t, w, y, allNames...), lineage.DiffOptions{}); attest.RefusalCode(err) != attest.CodeInterrupted {
		t.Errorf("stopped: %v", err)
	}
}

// A cycle ends, and a key that was exchanged under the same name is seen.
func TestDiffCycleAndKeys(t *testing.T) {
	w := chaintest.New(t)
	x, y := w.Manifest(map[string]string{"m": "1"}), w.Manifest(map[string]string{"m": "2"})
	made(t, w, "trainer", "train", x, input("parent-model", "p", y))
	made(t, w, "carol", "train", y, input("parent-model", "p", x))
	o := lineage.DiffOptions{Reading: lineage.Reading{Name: func(verify.Credential) string { return "somebody" }}}
	d, err := lineage.Diff(t.Context(), everything(t, w, x, allNames...), everything(t, w, y, allNames...), o)
	must(t, err)
	if got := len(d.Changes); got != 3 || d.Changes[2].See == nil || *d.Changes[2].See != 0 || !d.Changes[0].Steps[0].OtherKeys {
		t.Errorf("%d changes:\n%s", got, strings.Join(sketchDiff(d), "\n"))
	}
}

// Ten thousand steps back, and a hundred thousand inputs.
func TestDiffLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("signs ten thousand statements")
	}
	const deep = 10000
	w := chaintest.New(t)
	var roots [2]attest.Digest
	// A model that was tuned again and again, and the one before it: every generation
	// stands in the place of another one.
	for i := range deep {
		roots[0] = roots[1]
		roots[1] = chaintest.File(fmt.Sprint("generation ", i))
		made(t, w, "trainer", "finetune", roots[1], input("parent-model", "p", roots[0]))
	}
	a, b := everything(t, w, roots[0], "trainer"), everything(t, w, roots[1], "trainer")
	began := time.Now()
	d, err := lineage.Diff(t.Context(), a, b, lineage.DiffOptions{})
	must(t, err)
	if len(d.Changes) != deep || d.Counts.Replaced != deep || !d.Complete() {
		t.Errorf("%d changes, %+v, gaps %v", len(d.Changes), d.Counts, len(d.Gaps))
	}
	t.Logf("%d deep: %s", deep, time.Since(began))

	w = chaintest.New(t)
	for side := range roots {
		roots[side] = w.Manifest(map[string]string{"m": fmt.Sprint(side)})
		for run := range 100 {
			var in []predicate.Input
			for i := range 1000 {
				name := fmt.Sprint(run, "/", i)
				in = append(in, input("shard", name, chaintest.File(name+fmt.Sprint(side*(i%10)))))
			}
			made(t, w, "trainer", fmt.Sprint("train-", run), roots[side], in...)
		}
	}
	a, b = everything(t, w, roots[0], "trainer"), everything(t, w, roots[1], "trainer")
	began = time.Now()
	if d, err = lineage.Diff(t.Context(), a, b, lineage.DiffOptions{}); err != nil {
		t.Fatal(err)
	}
	// Nine of ten shards were exchanged; a walk reaches 65,536, and says so.
	if len(d.Changes) != 90001 || d.Changes[0].Same != 10000 || len(d.A.Gaps) == 0 {
		t.Errorf("%d changes, %d the same, gaps %v", len(d.Changes), d.Changes[0].Same, d.A.Gaps)
	}
	t.Logf("100,000 wide: %s", time.Since(began))
}

// Everything an input of everything: bounded, and it says where it stopped.
func TestDiffDense(t *testing.T) {
	w := chaintest.New(t)
	const n = 120
	var roots [2]attest.Digest
	for side := range roots {
		node := func(i int) attest.Digest { return chaintest.File(fmt.Sprint(side, " node ", i%n)) }
		for i := range n {
			var in []predicate.Input
			for j := range n {
				in = append(in, input("parent-model", fmt.Sprint(j), node(i*(side+1)+j)))
			}
			made(t, w, "trainer", "merge", node(i), in...)
		}
		roots[side] = node(0)
	}
	began := time.Now()
	d, err := lineage.Diff(t.Context(), everything(t, w, roots[0], "trainer"), everything(t, w, roots[1], "trainer"), lineage.DiffOptions{})
	must(t, err)
	if d.Complete() || !slices.ContainsFunc(d.Gaps, func(g lineage.Gap) bool { return g.Code == attest.CodeLimit }) {
		t.Errorf("%d changes, and no word of a limit", len(d.Changes))
	}
	t.Logf("%d changes, %s", len(d.Changes), time.Since(began))
}

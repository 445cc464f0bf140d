package llm

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/examples/internal/record"
	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

func clock() time.Time { return time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC) }

// run runs a step in the current directory.
func run(line string) (code int, stderr string) {
	var out, err bytes.Buffer
	code = Run(strings.Fields(line), strings.NewReader(""), &out, &err, clock)
	return code, err.String()
}

// pipeline runs all steps with the default flags in a new directory, which
// becomes the current one.
func pipeline(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	general, domain := Texts()
	for name, text := range map[string][]byte{"tom-sawyer.txt": general, "opticks.txt": domain} {
		if err := os.WriteFile(name, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"ingest --in tom-sawyer.txt --out general",
		"ingest --in opticks.txt --out text",
		"prepare --in text --train train --test test",
		"base --data general --name tiny-base --out base",
		"finetune --base base --data train --out adapter",
		"merge --base base --adapter adapter --name tiny-opticks --out merged",
		"quantize --model merged --bits 8 --out q8",
		"quantize --model merged --bits 4 --out q4",
		"evaluate --model base --data test --out base.json",
		"evaluate --model merged --data test --out merged.json",
		"evaluate --model q8 --data test --out q8.json",
		"evaluate --model q4 --data test --out q4.json",
		"scan --model q4 --out scan.json",
	} {
		if code, stderr := run(line); code != steps.ExitOK || stderr != "" {
			t.Fatalf("llm %s: exit status %d, %s", line, code, stderr)
		}
	}
}

func readRecord(t *testing.T, path string) record.Evaluation {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var e record.Evaluation
	if err := parseJSON(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func accuracy(t *testing.T, path string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(string(readRecord(t, path).Metrics["accuracy"].Value), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPipeline runs everything once: the bytes are the same on every processor,
// and the numbers are what the policy's thresholds were made for.
func TestPipeline(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a base model")
	}
	pipeline(t)
	// Written on amd64. A change here changes what anyone who repeats the example
	// gets, and the base model's digest, which its policy pins.
	for name, want := range map[string]string{
		"base/model.safetensors":            "ebeb28a533d7627a1ebcb47e04b34659fe0945fb9b7f772d5632c8bfd0ad5f43",
		"adapter/adapter_model.safetensors": "417d58714ed6e44867156d892f2c5538bc7f84682c28b271452486d48e659f4b",
		"merged/model.safetensors":          "cfd3b319bff359176b0d14d57d78c85813192d2242eff0cd0737607dc6e4be11",
		"q8/model.safetensors":              "16c76c1913ba9dd13548296344c043e073b09268e95a32c724db3aea321a8dda",
		"q4/model.safetensors":              "76d7cf4568ac7b8459b41a5e043aa305858740a4b4422b28323221595f49457c",
		"q4.json":                           "953d90f628d7ba8ca39c4df194dc0c9e6019ce8c6120d789754acf957cf7bb05",
	} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != want {
			t.Errorf("%s has SHA-256 %s, want %s", name, got, want)
		}
	}
	base, merged, q8, q4 := accuracy(t, "base.json"), accuracy(t, "merged.json"), accuracy(t, "q8.json"), accuracy(t, "q4.json")
	if merged < base+0.05 {
		t.Errorf("fine-tuning moved the accuracy from %v to %v, want a gain of at least 0.05", base, merged)
	}
	if q8 < merged-0.005 {
		t.Errorf("8-bit accuracy is %v, want it within 0.005 of %v", q8, merged)
	}
	if q4 > merged-0.01 || q4 < merged-0.02 {
		t.Errorf("4-bit accuracy is %v, want 0.01 to 0.02 below %v: within its own bound and outside that of eight bits", q4, merged)
	}
	scan := readRecord(t, "scan.json")
	if scan.Kind != "format-scan" || scan.Metrics["safetensors"].Value != "1" || scan.Metrics["unsound"].Value != "0" {
		t.Errorf("the scan found %+v", scan.Metrics)
	}
}

// The records are what Pedigree accepts as an evaluation.
func TestRecordsAreEvaluations(t *testing.T) {
	m := model{newConfig("m", schedule{1, 1, 1}, 1), newNetwork()}
	tokens, err := encode([]byte(strings.Repeat("a line\nand one that is quite a bit longer than the other was\n\n", 20)))
	if err != nil {
		t.Fatal(err)
	}
	e := evaluate(m, tokens, "s", clock())
	// All weights are zero: every token is as likely as any other.
	if got := e.Metrics["perplexity"]; got.Value != "96" || got.N != len(tokens) {
		t.Errorf("perplexity %+v, want 96 over %d", got, len(tokens))
	}
	if g := e.Slices["lineLength"].Groups; g["short"].N != 20*8 || g["medium"].N != 20*54 || g["long"].N != 0 || len(g["long"].Metrics) != 0 {
		t.Errorf("groups %+v", g)
	}
	text, err := steps.FormatJSON(e)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := attest.NewStatement(attest.Subject{Name: "m", Digest: attest.SHA256(nil)}, predicate.TypeEvaluation, json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	st, err := attest.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := predicate.Decode(st); err != nil {
		t.Error(err)
	}
}

// small returns a network with random weights, the tokens of a short text and an
// adapter that is not zero.
func small(t *testing.T) (network, []int, *adapter) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	n := newNetwork()
	a := newAdapter(2, 3, n)
	for _, m := range []matrix{n.embed, n.hidden, n.output, a.hidden.down, a.hidden.up, a.output.down, a.output.up} {
		m.randomise(random, 0.3)
	}
	tokens, err := encode([]byte("Rays which differ in Colour"))
	if err != nil {
		t.Fatal(err)
	}
	return n, tokens, a
}

// TestGradients compares what learning subtracts with the slope of the loss,
// measured by moving one weight to both sides.
func TestGradients(t *testing.T) {
	n, tokens, a := small(t)
	const at, rate, h = 12, 1e-7, 1e-5
	loss := func(a *adapter) float64 {
		act := newActivation(2)
		n.predict(tokens, at, a, act)
		return -math.Log(act.probability[tokens[at]])
	}
	check := func(name string, values []float64, a *adapter, learn func()) {
		t.Helper()
		checked := 0
		for i := 0; i < len(values); i += 7 {
			v := values[i]
			values[i] = v + h
			up := loss(a)
			values[i] = v - h
			slope := (up - loss(a)) / (2 * h)
			values[i] = v
			before := append([]float64(nil), values...)
			learn()
			got := (v - values[i]) / rate
			copy(values, before)
			if math.Abs(got-slope) > 1e-4*max(1, math.Abs(slope)) {
				t.Errorf("%s %d: learned %v, the slope is %v", name, i, got, slope)
			}
			if slope != 0 {
				checked++
			}
		}
		if checked < 5 {
			t.Errorf("%s: %d slopes that are not zero: nothing was compared", name, checked)
		}
	}
	act := newActivation(2)
	whole := func() { n.learn(tokens, at, rate, act) }
	check("embedding", n.embed.values, nil, whole)
	check("hidden", n.hidden.values, nil, whole)
	check("output", n.output.values, nil, whole)
	check("hidden bias", n.hiddenBias, nil, whole)
	n, _, _ = small(t) // the others moved
	lora := func() {
		n.predict(tokens, at, a, act)
		n.backward(tokens[at], a, act)
		a.output.learn(act.hidden, act.toLogit, a.scale, rate)
		a.hidden.learn(act.input, act.toHidden, a.scale, rate)
	}
	check("hidden A", a.hidden.down.values, a, lora)
	check("hidden B", a.hidden.up.values, a, lora)
	check("output A", a.output.down.values, a, lora)
	check("output B", a.output.up.values, a, lora)
}

func TestMergingChangesNothingButTheForm(t *testing.T) {
	n, tokens, a := small(t)
	one, two, plain := newActivation(2), newActivation(0), newActivation(0)
	n.predict(tokens, 9, a, one)
	a.mergedWith(n).predict(tokens, 9, nil, two)
	n.predict(tokens, 9, nil, plain)
	differs := false
	for j, p := range one.probability {
		if math.Abs(p-two.probability[j]) > 1e-12 {
			t.Errorf("token %d: %v with the adapter, %v merged", j, p, two.probability[j])
		}
		differs = differs || math.Abs(p-plain.probability[j]) > 1e-3
	}
	if !differs {
		t.Error("the adapter changes nothing, and this test proves nothing")
	}
}

func TestQuantisedWeightsReadBack(t *testing.T) {
	n, _, _ := small(t)
	for _, bits := range []int{8, 4} {
		dir := filepath.Join(t.TempDir(), "q")
		c := newConfig("m", schedule{1, 1, 1}, 1)
		c.Quantization = &quantization{quantizationMethod, bits}
		contents, err := c.files("card", c.Quantization.tensors(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := steps.WriteDir(dir, contents); err != nil {
			t.Fatal(err)
		}
		m, err := readModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		half := 0.3 / float64(c.Quantization.levels()) / 2 // of a step, which is at most so wide
		for i, v := range n.output.values {
			if got := m.output.values[i]; math.Abs(got-v) > half+1e-7 {
				t.Fatalf("%d bits: weight %d is %v, want %v ± %v", bits, i, got, v, half)
			}
		}
	}
}

// A row of weights that are all zero has no scale to divide by.
func TestZerosAreQuantised(t *testing.T) {
	q := quantization{quantizationMethod, 4}
	codes, err := q.codes(q.matrix("w", newMatrix(2, 4))[0], 2, 4)
	if err != nil || len(codes) != 8 || codes[0] != 0 {
		t.Errorf("codes %v and error %v, want eight zeros", codes, err)
	}
}

// The root is that of the OMS specification: the hash of the files' hashes.
func TestOMSStatement(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": "two", "a": "one"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	payload, err := omsStatement(dir, "m")
	if err != nil {
		t.Fatal(err)
	}
	st, err := attest.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	if got, want := st.Subjects[0].Digest, attest.SHA256(append(one[:], two[:]...)); got != want {
		t.Errorf("the root is %s, want %s", got, want)
	}
	f, err := predicate.Decode(st)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Resources) != 2 || f.Resources[0].Name != "a" || f.Resources[0].Digest != attest.SHA256([]byte("one")) {
		t.Errorf("resources %+v", f.Resources)
	}
	if err := os.Symlink("a", filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if _, err := omsStatement(dir, "m"); err == nil {
		t.Error("a link was signed as if it were a file")
	}
}

func TestRefusals(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"full/text.txt":  strings.Repeat("A line of text.\n\n", 100),
		"short/text.txt": "A line of text.\n",
		"latin/text.txt": strings.Repeat("caf\xe9\n", 300),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"base --data full --name b --epochs 1 --out base", "finetune --base base --data full --epochs 1 --out adapter", "quantize --model base --bits 8 --out q8"} {
		if code, stderr := run(line); code != steps.ExitOK {
			t.Fatalf("%s must work, or this test proves nothing: %s", line, stderr)
		}
	}
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"bake", 2, `llm: unknown command "bake"`},
		{"base --data full --out o", 2, "llm base: --name is missing"},
		{"base --data full --name n --out o --epochs 0", 2, "llm base: --epochs is 0"},
		{"base --data full --name n --out o --learning-rate NaN", 2, "llm base: --learning-rate is NaN"},
		{"finetune --base base --data full --out o --rank 0", 2, "llm finetune: a rank of 0"},
		{"quantize --model base --bits 3 --out o", 2, "llm quantize: --bits is 3"},
		{"base --data full --name n --out o --learning-rate 10", 1, "llm base: training diverged"},
		{"base --data short --name n --out o", 1, "llm base: short: a text of 16 characters"},
		{"base --data latin --name n --out o", 1, "llm base: latin: byte 3 is 0xe9"},
		{"base --data full --name n --out full/o", 1, "llm base: output full/o is inside full"},
		{"base --data full --name n --out base", 1, "llm base: output base already exists"},
		{"quantize --model q8 --out o", 1, "llm quantize: q8 is already quantised to 8 bits"},
		{"merge --base q8 --adapter adapter --name n --out o", 1, "llm merge: q8 is already quantised"},
		{"merge --base base --adapter base --name n --out o", 1, "llm merge: open base/adapter_config.json"},
		{"evaluate --model adapter --data full --out o", 1, "llm evaluate: open adapter/config.json"},
	} {
		if code, stderr := run(test.line); code != test.code || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%q: exit status %d, %q; want %d, %q", test.line, code, stderr, test.code, test.want)
		}
	}
	if _, err := os.Stat("o"); err == nil {
		t.Error("a step that failed left its output")
	}
}

func TestWeightsAreRead(t *testing.T) {
	n, _, _ := small(t)
	c := newConfig("m", schedule{1, 1, 1}, 1)
	write := func(edit func(steps.Files)) error {
		contents, err := c.files("card", n.tensors())
		if err != nil {
			t.Fatal(err)
		}
		edit(contents)
		dir := filepath.Join(t.TempDir(), "m")
		if err := steps.WriteDir(dir, contents); err != nil {
			t.Fatal(err)
		}
		_, err = readModel(dir)
		return err
	}
	if err := write(func(steps.Files) {}); err != nil {
		t.Fatalf("a model as it was written must be read: %v", err)
	}
	replace := func(name, old, by string) func(steps.Files) {
		return func(f steps.Files) {
			if !bytes.Contains(f[name], []byte(old)) {
				t.Fatalf("%s has no %q", name, old)
			}
			f[name] = bytes.Replace(f[name], []byte(old), []byte(by), 1)
		}
	}
	for name, edit := range map[string]func(steps.Files){
		"another size":      replace(configName, `"hidden": 64`, `"hidden": 65`),
		"unknown member":    replace(configName, `"hidden": 64`, `"hidden": 64, "temperature": 2`),
		"quantised in name": replace(configName, `"hidden": 64`, `"hidden": 64, "quantization": {"method": "symmetric-per-row", "bits": 8}`),
		"other tokens":      replace(tokenizerName, `"a"`, `"b"`),
		"another tensor":    replace(weightsName, `"hidden.bias"`, `"hidden.bios"`),
		"other shape":       replace(weightsName, `[96,12]`, `[12,96]`),
		"cut":               func(f steps.Files) { f[weightsName] = f[weightsName][:1000] },
	} {
		if err := write(edit); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

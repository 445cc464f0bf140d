package credit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/record"
	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// clock is the time in every test: not in UTC and not whole seconds, to see
// that evaluatedAt is both.
func clock() time.Time {
	return time.Date(2026, 11, 23, 16, 0, 0, 999, time.FixedZone("CET", 3600))
}

// step runs a step that must succeed, in dir, and returns what it printed.
func step(t *testing.T, dir, line string) string {
	t.Helper()
	t.Chdir(dir)
	var stdout, stderr bytes.Buffer
	code := Run(strings.Fields(line), bytes.NewReader(Data()), &stdout, &stderr, clock)
	if code != steps.ExitOK || stderr.Len() > 0 {
		t.Fatalf("credit %s: exit status %d, %s", line, code, stderr.String())
	}
	return stdout.String()
}

// pipeline runs all steps with the default flags and returns their directory.
func pipeline(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, line := range []string{
		"ingest --in - --out data",
		"split --in data --train train --test test",
		"train --data train --out model",
		"quantize --model model --calibration train --out int8",
		"quantize --model model --calibration train --out int2 --bits 2",
	} {
		step(t, dir, line)
	}
	for _, model := range []string{"model", "int8", "int2"} {
		for kind := range evaluationKinds() {
			step(t, dir, fmt.Sprintf("evaluate --model %s --data test --kind %s --out %[1]s-%[2]s.json", model, kind))
		}
	}
	return dir
}

// digests maps every file below dir to the SHA-256 of its content.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func TestPipelineIsDeterministic(t *testing.T) {
	a, b := digests(t, pipeline(t)), digests(t, pipeline(t))
	if len(a) != 3+9+6 {
		t.Errorf("the pipeline wrote %d files, want 18: %v", len(a), a)
	}
	for name, sum := range a {
		if b[name] != sum {
			t.Errorf("%s differs between two runs", name)
		}
	}
	// The same on every processor, too: these were written on amd64. A change
	// here changes what anyone who repeats the demonstration gets.
	for name, want := range map[string]string{
		"data/german-credit.csv":  "38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632",
		"train/train.csv":         "19fc1dd6bd65d0d4b0afaaa6c8df5404736d6d35eb2bfc596f5dfcd65831203f",
		"test/test.csv":           "29f86a7a8b526411bc7c59cee9dae0c1b1cb0bf3f0b3b3850c9e117bd18f77e1",
		"model/model.safetensors": "954649dd5ee78c9d6d8a387d845ec06bc530e89a94228c68481dfb9073dad07f",
		"int8/model.safetensors":  "4699845012e81aca5f3dd5d8e5fbf74fb407a10994a61cf2c377a46de75001eb",
		"int8/config.json":        "e96e4903625c7a0968514cc68bcfcc5e54bb8035a940a6adddb5ad0f7539e5ee",
		"int8-quality.json":       "cab5413f9fe2f183ed2d59575a7979ec7e8b154154649d6843cb14fe86776a7e",
	} {
		if a[name] != want {
			t.Errorf("%s has SHA-256 %s, want %s", name, a[name], want)
		}
	}
}

func readEvaluation(t *testing.T, path string) record.Evaluation {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var e record.Evaluation
	if err := d.Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

func float(t *testing.T, d record.Decimal) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		t.Fatalf("%q is no decimal", d)
	}
	return v
}

func TestDefaultsMeetTheirPurpose(t *testing.T) {
	dir := pipeline(t)
	value := func(name string) (accuracy, parity float64) {
		e := readEvaluation(t, filepath.Join(dir, name+"-quality.json"))
		return float(t, e.Metrics["accuracy"].Value), float(t, e.Slices["sex"].Gaps["demographicParity"].Value)
	}
	float, _ := value("model")
	int8, parity := value("int8")
	int2, _ := value("int2")
	if int8 < 0.72 {
		t.Errorf("8-bit accuracy is %v, want at least 0.72", int8)
	}
	if parity > 0.08 {
		t.Errorf("8-bit demographic parity gap by sex is %v, want at most 0.08", parity)
	}
	if d := float - int8; d > 0.01 || d < -0.01 {
		t.Errorf("8-bit accuracy is %v, want it within 0.01 of %v", int8, float)
	}
	if int2 >= 0.70 {
		t.Errorf("2-bit accuracy is %v, want it below 0.70", int2)
	}
}

func TestEvaluationShape(t *testing.T) {
	dir := pipeline(t)
	quality := readEvaluation(t, filepath.Join(dir, "int8-quality.json"))
	if quality.Kind != "quality" || quality.EvaluatedAt != "2026-11-23T15:00:00Z" || quality.Suite != (record.Suite{Name: "german-credit-holdout", Version: "1"}) {
		t.Errorf("the head is %q, %q, %v", quality.Kind, quality.EvaluatedAt, quality.Suite)
	}
	for _, name := range []string{"accuracy", "rocAuc", "brierScore", "expectedCalibrationError"} {
		if m := quality.Metrics[name]; m.N != 300 {
			t.Errorf("%s is about %d rows, want 300", name, m.N)
		}
	}
	bias := readEvaluation(t, filepath.Join(dir, "int8-bias.json"))
	want := map[string][]string{"sex": {"female", "male"}, "ageBand": {"under-26", "26-60", "over-60"}, "foreignWorker": {"yes", "no"}}
	for dimension, groups := range want {
		s, n := bias.Slices[dimension], 0
		for _, g := range groups {
			n += s.Groups[g].N
			for _, name := range []string{"accuracy", "selectionRate", "truePositiveRate"} {
				if s.Groups[g].Metrics[name].N == 0 {
					t.Errorf("%s %s lacks %s", dimension, g, name)
				}
			}
		}
		if len(s.Groups) != len(groups) || n != 300 {
			t.Errorf("%s has %d groups with %d rows, want %d with 300", dimension, len(s.Groups), n, len(groups))
		}
	}
	if n := len(bias.Slices["sex"].Gaps); n != 3 {
		t.Errorf("sex has %d gaps, want 3", n)
	}
	if n := len(bias.Slices["foreignWorker"].Gaps); n != 0 {
		t.Errorf("foreignWorker has %d gaps, want none: one group has fewer than 20 rows", n)
	}
}

// TestEvaluationNumbers walks the JSON: its numbers must be integers, and the
// strings that look like numbers must be short decimals with one spelling.
func TestEvaluationNumbers(t *testing.T) {
	dir := pipeline(t)
	text, err := os.ReadFile(filepath.Join(dir, "int8-quality.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	decimals := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case json.Number:
			if _, err := v.Int64(); err != nil {
				t.Errorf("number %s is not an integer", v)
			}
		case string:
			if f, err := strconv.ParseFloat(v, 64); err == nil && v != "1" {
				decimals++
				if string(record.NewDecimal(f)) != v || len(v) > len("0.123456") {
					t.Errorf("decimal %q has another spelling, %q", v, record.NewDecimal(f))
				}
			}
		}
	}
	if decimals < 40 {
		t.Errorf("found %d decimals: the walk missed some", decimals)
	}
}

package credit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// trainedFiles returns the files of a model and of its 4-bit version.
func trainedFiles(t *testing.T) (trained, quantised steps.Files) {
	t.Helper()
	rows := germanCredit(t)
	m, err := train(rows, hyperparameters{Epochs: 5, LearningRate: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if trained, err = m.files(); err != nil {
		t.Fatal(err)
	}
	q, err := quantize(m, rows, 4)
	if err != nil {
		t.Fatal(err)
	}
	if quantised, err = q.files("base"); err != nil {
		t.Fatal(err)
	}
	return trained, quantised
}

func TestParseConfigRefuses(t *testing.T) {
	trained, quantised := trainedFiles(t)
	good, goodQuantised := string(trained[configName]), string(quantised[configName])
	for _, text := range []string{good, goodQuantised} {
		if _, err := parseConfig([]byte(text)); err != nil {
			t.Fatalf("an unchanged config must parse, or this test proves nothing: %v", err)
		}
	}
	tests := []struct{ text, old, new, want string }{
		{good, `"threshold"`, `"treshold"`, `json: unknown field "treshold"`},
		{good, "\n}\n", "\n}{}", "more than one JSON value"},
		{good, architecture, "oracle", `architecture is "oracle", want "logistic-regression"`},
		{good, `"positive": "good"`, `"positive": "bad"`, "labels are {Positive:bad Negative:bad}, want {Positive:good Negative:bad}"},
		{good, `"threshold": 0.5`, `"threshold": 1`, "threshold is 1, want it between 0 and 1"},
		{good, `"duration"`, `"class"`, `feature "class" is repeated, of the wrong kind or no column`},
		{good, `"duration"`, `"purpose"`, `feature "purpose" is repeated, of the wrong kind or no column`},
		{good, `"duration"`, `"credit_amount"`, `feature "credit_amount" is repeated, of the wrong kind or no column`},
		{good, `"0<=X<200"`, `"zzz"`, `feature "checking_status": categories must be sorted, distinct and at most 64`},
		{good, `"0<=X<200"`, `"<0"`, `feature "checking_status": categories must be sorted, distinct and at most 64`},
		{goodQuantised, `"bits": 4`, `"bits": 9`, "quantization has 9 bits, want 2 to 8"},
	}
	for _, test := range tests {
		if !strings.Contains(test.text, test.old) {
			t.Errorf("the config does not contain %q", test.old)
		}
		_, err := parseConfig([]byte(strings.Replace(test.text, test.old, test.new, 1)))
		if err == nil || err.Error() != test.want {
			t.Errorf("%q for %q: error %v, want %q", test.new, test.old, err, test.want)
		}
	}
}

func TestParseConfigRefusesScaleZero(t *testing.T) {
	trained, _ := trainedFiles(t)
	c, err := parseConfig(trained[configName])
	if err != nil {
		t.Fatal(err)
	}
	c.Features.Numeric[0] = numericFeature{Name: "duration", Mean: 1}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parseConfig(text)
	if want := `feature "duration": mean 1 and scale 0 are out of range`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestParseWeightsRefuses(t *testing.T) {
	trained, quantised := trainedFiles(t)
	parse := func(c []byte, tensors ...safetensors.Tensor) error {
		t.Helper()
		config, err := parseConfig(c)
		if err != nil {
			t.Fatal(err)
		}
		data, err := safetensors.Format(tensors...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseWeights(data, config)
		return err
	}
	float, integer := trained[configName], quantised[configName]
	zeros := make([]float32, 54)
	weight, bias, scale := safetensors.Float32("weight", zeros...), safetensors.Float32("bias", 0), safetensors.Float32("weight_scale", 1)
	zeroCodes := safetensors.Int8("weight", make([]int8, 54)...)
	if err := parse(float, weight, bias); err != nil {
		t.Fatalf("good weights must parse, or this test proves nothing: %v", err)
	}
	if err := parse(integer, zeroCodes, scale, bias); err != nil {
		t.Fatalf("good codes must parse, or this test proves nothing: %v", err)
	}
	nan := safetensors.Float32("bias", 0)
	copy(nan.Data, []byte{0, 0, 0xc0, 0x7f})
	large := safetensors.Int8("weight", append(make([]int8, 53), 8)...)
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"another tensor", parse(float, weight, bias, scale), "3 tensors, want 2"},
		{"no bias", parse(float, weight, scale), `no tensor "bias"`},
		{"no weight", parse(float, bias, scale), `tensor "" is  [], want F32 of one dimension`},
		{"long bias", parse(float, weight, safetensors.Float32("bias", 1, 2)), `tensor "bias" has 2 elements, want 1`},
		{"NaN", parse(float, weight, nan), `tensor "bias": element 0 is not finite`},
		{"width", parse(float, safetensors.Float32("weight", 1), bias), "1 weights, want 54 for the features in config.json"},
		{"integers unannounced", parse(float, zeroCodes, bias), `tensor "weight" is I8 [54], want F32 of one dimension`},
		{"floats for integers", parse(integer, weight, scale, bias), `tensor "weight" is F32 [54], want I8 of one dimension`},
		{"negative scale", parse(integer, zeroCodes, safetensors.Float32("weight_scale", -1), bias), "weight_scale is -1, want it not negative"},
		{"code too large", parse(integer, large, scale, bias), "weight 53 is 8, want at most 7 with 4 bits"},
	}
	for _, test := range tests {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("%s: error %v, want %q", test.name, test.err, test.want)
		}
	}
}

func TestReadModelNamesTheFile(t *testing.T) {
	trained, _ := trainedFiles(t)
	dir := filepath.Join(t.TempDir(), "model")
	if err := steps.WriteDir(dir, trained); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, weightsName)
	if err := os.WriteFile(path, []byte("short"), 0o666); err != nil {
		t.Fatal(err)
	}
	want := path + ": 5 bytes, want at least the 8 of the header length"
	if _, err := readModel(dir); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

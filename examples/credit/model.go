package credit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// Names of the files in a model directory.
const (
	weightsName = "model.safetensors"
	configName  = "config.json"
	cardName    = "README.md"
)

const architecture = "logistic-regression"

// A config is the content of config.json: all that is needed, with the weights,
// to decide about a row.
type config struct {
	Architecture string          `json:"architecture"`
	Labels       labels          `json:"labels"`
	Threshold    float64         `json:"threshold"`
	Features     encoder         `json:"features"`
	Excluded     []string        `json:"excluded_columns"`
	Training     hyperparameters `json:"training"`
	TrainingRows int             `json:"training_rows"`
	Quantization *quantization   `json:"quantization,omitempty"`
}

// labels says what the output means: the model gives the probability of
// Positive, and decides for it from the threshold on.
type labels struct {
	Positive string `json:"positive"`
	Negative string `json:"negative"`
}

// A model decides about rows.
type model struct {
	config
	logistic
}

// train learns a model from rows.
func train(rows []row, h hyperparameters) (model, error) {
	e, err := learnEncoder(rows)
	if err != nil {
		return model{}, err
	}
	good := make([]bool, len(rows))
	for i, r := range rows {
		good[i] = r.good()
	}
	l, err := fit(e.encode(rows), good, h)
	if err != nil {
		return model{}, err
	}
	c := config{
		Architecture: architecture,
		Labels:       labels{Positive: "good", Negative: "bad"},
		Threshold:    0.5,
		Features:     e,
		Excluded:     excludedColumns(),
		Training:     h,
		TrainingRows: len(rows),
	}
	return model{c, l}, nil
}

// logits returns the model's logit for each row.
func (m model) logits(rows []row) []float64 {
	var z []float64
	for _, x := range m.Features.encode(rows) {
		z = append(z, m.logit(x))
	}
	return z
}

// files returns the model directory of an unquantised model.
func (m model) files() (steps.Files, error) {
	weights := make([]float32, len(m.weights))
	for i, w := range m.weights {
		weights[i] = float32(w)
	}
	tensors, err := safetensors.Format(safetensors.Float32("weight", weights...), safetensors.Float32("bias", float32(m.bias)))
	if err != nil {
		return nil, err
	}
	c, err := steps.FormatJSON(m.config)
	if err != nil {
		return nil, err
	}
	return steps.Files{weightsName: tensors, configName: c, cardName: trainedCard(m.config)}, nil
}

// readModel reads a model directory, quantised or not.
func readModel(dir string) (model, error) {
	path := filepath.Join(dir, configName)
	text, err := steps.ReadFile(path, maxConfig)
	if err != nil {
		return model{}, err
	}
	c, err := parseConfig(text)
	if err != nil {
		return model{}, fmt.Errorf("%s: %w", path, err)
	}
	path = filepath.Join(dir, weightsName)
	data, err := steps.ReadFile(path, maxFile)
	if err != nil {
		return model{}, err
	}
	l, err := parseWeights(data, c)
	if err != nil {
		return model{}, fmt.Errorf("%s: %w", path, err)
	}
	return model{c, l}, nil
}

// parseConfig parses config.json. An unknown member is refused: it could change
// what the model decides, and this code would not know.
func parseConfig(text []byte) (config, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var c config
	if err := d.Decode(&c); err != nil {
		return config{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return config{}, errors.New("more than one JSON value")
	}
	if c.Architecture != architecture {
		return config{}, fmt.Errorf("architecture is %q, want %q", c.Architecture, architecture)
	}
	if want := (labels{"good", "bad"}); c.Labels != want {
		return config{}, fmt.Errorf("labels are %+v, want %+v", c.Labels, want)
	}
	if !(c.Threshold > 0 && c.Threshold < 1) {
		return config{}, fmt.Errorf("threshold is %v, want it between 0 and 1", c.Threshold)
	}
	if q := c.Quantization; q != nil && (q.Bits < minBits || q.Bits > maxBits) {
		return config{}, fmt.Errorf("quantization has %d bits, want %d to %d", q.Bits, minBits, maxBits)
	}
	if err := c.Features.check(); err != nil {
		return config{}, err
	}
	return c, nil
}

// parseWeights reads the tensors the config promises and no others.
func parseWeights(data []byte, c config) (logistic, error) {
	tensors, err := safetensors.Parse(data)
	if err != nil {
		return logistic{}, err
	}
	want := 2
	if c.Quantization != nil {
		want = 3
	}
	if len(tensors) != want {
		return logistic{}, fmt.Errorf("%d tensors, want %d", len(tensors), want)
	}
	bias, err := scalar(tensors, "bias")
	if err != nil {
		return logistic{}, err
	}
	weights, err := weightValues(tensors, c.Quantization)
	if err != nil {
		return logistic{}, err
	}
	if len(weights) != c.Features.width() {
		return logistic{}, fmt.Errorf("%d weights, want %d for the features in %s", len(weights), c.Features.width(), configName)
	}
	return logistic{weights, bias}, nil
}

// weightValues returns the weights as numbers, dequantised if q says so.
func weightValues(tensors map[string]safetensors.Tensor, q *quantization) ([]float64, error) {
	var weights []float64
	if q == nil {
		values, err := tensors["weight"].Float32s()
		for _, v := range values {
			weights = append(weights, float64(v))
		}
		return weights, err
	}
	codes, err := tensors["weight"].Int8s()
	if err != nil {
		return nil, err
	}
	scale, err := scalar(tensors, "weight_scale")
	if err != nil {
		return nil, err
	}
	if scale < 0 {
		return nil, fmt.Errorf("weight_scale is %v, want it not negative", scale)
	}
	for i, c := range codes {
		if math.Abs(float64(c)) > float64(levels(q.Bits)) {
			return nil, fmt.Errorf("weight %d is %d, want at most %d with %d bits", i, c, levels(q.Bits), q.Bits)
		}
		weights = append(weights, float64(c)*scale)
	}
	return weights, nil
}

// scalar returns the one element of an F32 tensor.
func scalar(tensors map[string]safetensors.Tensor, name string) (float64, error) {
	t, ok := tensors[name]
	if !ok {
		return 0, fmt.Errorf("no tensor %q", name)
	}
	v, err := t.Float32s()
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fmt.Errorf("tensor %q has %d elements, want 1", name, len(v))
	}
	return float64(v[0]), nil
}

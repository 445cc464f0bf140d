package llm

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// Names of the files in a model directory, and in an adapter's.
const (
	weightsName       = "model.safetensors"
	configName        = "config.json"
	tokenizerName     = "tokenizer.json"
	cardName          = "README.md"
	adapterName       = "adapter_model.safetensors"
	adapterConfigName = "adapter_config.json"
)

// maxFile bounds every file that is read. The largest here, the base model's
// weights, has about 55 kB.
const maxFile = 16 << 20

const architecture = "windowed-mlp"

// A config is the content of config.json.
type config struct {
	Architecture string        `json:"architecture"`
	Name         string        `json:"name"`
	Vocabulary   int           `json:"vocabulary"`
	Window       int           `json:"window"`
	Width        int           `json:"width"`
	Hidden       int           `json:"hidden"`
	Training     schedule      `json:"training"`
	Tokens       int           `json:"training_tokens"`
	Adapter      string        `json:"merged_adapter,omitempty"` // its name, if one was merged
	Quantization *quantization `json:"quantization,omitempty"`
}

func newConfig(name string, s schedule, tokens int) config {
	return config{Architecture: architecture, Name: name, Vocabulary: vocabulary, Window: window, Width: width, Hidden: hidden, Training: s, Tokens: tokens}
}

// check refuses a model of another shape: this program knows one.
func (c config) check() error {
	want := newConfig(c.Name, c.Training, c.Tokens)
	want.Adapter, want.Quantization = c.Adapter, c.Quantization
	if q := c.Quantization; q != nil && q.check() != nil || c != want {
		return errors.New("a model of another architecture or size")
	}
	if q := c.Quantization; q != nil {
		return q.check()
	}
	return nil
}

// A model predicts tokens.
type model struct {
	config
	network
}

// floats returns the weights as they are stored, in single precision.
func floats(name string, values []float64, shape ...int) safetensors.Tensor {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return safetensors.Float32(name, out...).Reshape(shape...)
}

func (m matrix) tensor(name string) safetensors.Tensor {
	return floats(name, m.values, m.rows, m.cols)
}

// tensors are the weights of a model that is not quantised.
func (n network) tensors() []safetensors.Tensor {
	return []safetensors.Tensor{
		n.embed.tensor("embed.weight"),
		n.hidden.tensor("hidden.weight"), floats("hidden.bias", n.hiddenBias, hidden),
		n.output.tensor("output.weight"), floats("output.bias", n.logits, vocabulary),
	}
}

// files returns a model directory with the given weights.
func (c config) files(card string, tensors []safetensors.Tensor) (steps.Files, error) {
	weights, err := safetensors.Format(tensors...)
	if err != nil {
		return nil, err
	}
	conf, err := steps.FormatJSON(c)
	if err != nil {
		return nil, err
	}
	tokens, err := steps.FormatJSON(newTokenizer())
	if err != nil {
		return nil, err
	}
	return steps.Files{weightsName: weights, configName: conf, tokenizerName: tokens, cardName: []byte(card)}, nil
}

// readModel reads a model directory, quantised or not.
func readModel(dir string) (model, error) {
	var m model
	var t tokenizer
	if err := readJSON(filepath.Join(dir, configName), &m.config); err != nil {
		return model{}, err
	}
	if err := m.config.check(); err != nil {
		return model{}, fmt.Errorf("%s: %w", filepath.Join(dir, configName), err)
	}
	if err := readJSON(filepath.Join(dir, tokenizerName), &t); err != nil {
		return model{}, err
	}
	if err := t.check(); err != nil {
		return model{}, fmt.Errorf("%s: %w", filepath.Join(dir, tokenizerName), err)
	}
	w, err := readWeights(filepath.Join(dir, weightsName))
	if err != nil {
		return model{}, err
	}
	m.network = newNetwork()
	w.matrix("embed.weight", m.embed, m.Quantization)
	w.matrix("hidden.weight", m.network.hidden, m.Quantization)
	w.vector("hidden.bias", m.hiddenBias)
	w.matrix("output.weight", m.output, m.Quantization)
	w.vector("output.bias", m.logits)
	return m, w.done()
}

func readJSON(path string, into any) error {
	text, err := steps.ReadFile(path, maxFile)
	if err != nil {
		return err
	}
	if err := parseJSON(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// weights are the tensors of one file. The first error stays, so that a reader of
// many tensors asks once.
type weights struct {
	path    string
	tensors map[string]safetensors.Tensor
	err     error
}

func readWeights(path string) (*weights, error) {
	data, err := steps.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	tensors, err := safetensors.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &weights{path: path, tensors: tensors}, nil
}

// take returns a tensor, once.
func (w *weights) take(name string) safetensors.Tensor {
	t, ok := w.tensors[name]
	if !ok && w.err == nil {
		w.err = fmt.Errorf("no tensor %q", name)
	}
	delete(w.tensors, name)
	return t
}

func (w *weights) fail(err error) bool {
	if w.err == nil {
		w.err = err
	}
	return w.err != nil
}

func (w *weights) numbers(name string, out []float64, shape ...int) {
	values, err := w.take(name).Float32s(shape...)
	if w.fail(err) {
		return
	}
	for i, v := range values {
		out[i] = float64(v)
	}
}

func (w *weights) vector(name string, out []float64) { w.numbers(name, out, len(out)) }

// matrix reads a matrix, dequantised if q says so.
func (w *weights) matrix(name string, out matrix, q *quantization) {
	if q == nil {
		w.numbers(name, out.values, out.rows, out.cols)
		return
	}
	scales := make([]float64, out.rows)
	codes, err := q.codes(w.take(name), out.rows, out.cols)
	w.vector(name+"_scale", scales)
	if w.fail(err) {
		return
	}
	for i, s := range scales {
		for j := range out.cols {
			out.values[i*out.cols+j] = float64(float64(codes[i*out.cols+j]) * s)
		}
	}
}

// done refuses tensors that nobody took: they would be weights that a model was
// published with and does not use.
func (w *weights) done() error {
	if w.err == nil && len(w.tensors) > 0 {
		w.err = fmt.Errorf("%d tensors more than the model has", len(w.tensors))
	}
	if w.err != nil {
		return fmt.Errorf("%s: %w", w.path, w.err)
	}
	return nil
}

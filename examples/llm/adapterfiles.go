package llm

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
)

// maxRank bounds an adapter: a higher rank than the smallest side of a matrix
// could say nothing more.
const maxRank = hidden

// An adapterConfig is the content of adapter_config.json, with the names that the
// PEFT library has for them. BaseModel is a name and no digest, as there: which
// base an adapter was really made for is what its provenance says.
type adapterConfig struct {
	Type      string   `json:"peft_type"`
	Task      string   `json:"task_type"`
	BaseModel string   `json:"base_model_name_or_path"`
	Rank      int      `json:"r"`
	Alpha     float64  `json:"lora_alpha"`
	Modules   []string `json:"target_modules"`
	Training  schedule `json:"training"`
	Tokens    int      `json:"training_tokens"`
}

func (c adapterConfig) check() error {
	if c.Type != "LORA" || c.Task != "CAUSAL_LM" || len(c.Modules) != 2 || c.Modules[0] != "hidden" || c.Modules[1] != "output" {
		return errors.New("another kind of adapter")
	}
	return checkAdapter(c.Rank, c.Alpha)
}

func checkAdapter(rank int, alpha float64) error {
	if rank < 1 || rank > maxRank {
		return fmt.Errorf("a rank of %d, want 1 to %d", rank, maxRank)
	}
	if !(alpha > 0 && alpha <= 1000) {
		return fmt.Errorf("an alpha of %v, want it above 0 and at most 1000", alpha)
	}
	return nil
}

// files returns the adapter's directory.
func (a *adapter) files(c adapterConfig) (steps.Files, error) {
	tensors, err := safetensors.Format(
		a.hidden.down.tensor("hidden.lora_A.weight"), a.hidden.up.tensor("hidden.lora_B.weight"),
		a.output.down.tensor("output.lora_A.weight"), a.output.up.tensor("output.lora_B.weight"))
	if err != nil {
		return nil, err
	}
	conf, err := steps.FormatJSON(c)
	if err != nil {
		return nil, err
	}
	return steps.Files{adapterName: tensors, adapterConfigName: conf}, nil
}

// readAdapter reads an adapter's directory.
func readAdapter(dir string) (*adapter, error) {
	var c adapterConfig
	if err := readJSON(filepath.Join(dir, adapterConfigName), &c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, adapterConfigName), err)
	}
	w, err := readWeights(filepath.Join(dir, adapterName))
	if err != nil {
		return nil, err
	}
	a := newAdapter(c.Rank, c.Alpha, newNetwork())
	w.matrix("hidden.lora_A.weight", a.hidden.down, nil)
	w.matrix("hidden.lora_B.weight", a.hidden.up, nil)
	w.matrix("output.lora_A.weight", a.output.down, nil)
	w.matrix("output.lora_B.weight", a.output.up, nil)
	return a, w.done()
}

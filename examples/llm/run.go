package llm

import (
	"errors"
	"fmt"

	"github.com/pedigree-ml/pedigree/examples/internal/record"
	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

func pretrainDir(s steps.Surroundings, data, name, out string, h schedule) error {
	if err := errors.Join(steps.CheckOutside(out, data), steps.CheckAbsent(out)); err != nil {
		return err
	}
	tokens, err := readTokens(data)
	if err != nil {
		return err
	}
	n, err := pretrain(tokens, h)
	if err != nil {
		return err
	}
	c := newConfig(name, h, len(tokens))
	contents, err := c.files(baseCard(c), n.tensors())
	if err != nil {
		return err
	}
	if err := steps.WriteDir(out, contents); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "trained a base model on %d characters\n", len(tokens))
	return err
}

func finetuneDir(s steps.Surroundings, base, data, out string, rank int, alpha float64, h schedule) error {
	if err := errors.Join(steps.CheckOutside(out, base, data), steps.CheckAbsent(out)); err != nil {
		return err
	}
	m, err := readFloat(base)
	if err != nil {
		return err
	}
	tokens, err := readTokens(data)
	if err != nil {
		return err
	}
	a, err := finetune(m.network, tokens, rank, alpha, h)
	if err != nil {
		return err
	}
	contents, err := a.files(adapterConfig{
		Type: "LORA", Task: "CAUSAL_LM", BaseModel: m.Name, Rank: rank, Alpha: alpha,
		Modules: []string{"hidden", "output"}, Training: h, Tokens: len(tokens),
	})
	if err != nil {
		return err
	}
	if err := steps.WriteDir(out, contents); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "trained an adapter of rank %d for %s on %d characters\n", rank, m.Name, len(tokens))
	return err
}

// readFloat reads a model that is not quantised: integers have no room for the
// small changes that an adapter makes, and rounding twice is worse than once.
func readFloat(dir string) (model, error) {
	m, err := readModel(dir)
	if err == nil && m.Quantization != nil {
		err = fmt.Errorf("%s is already quantised to %d bits", dir, m.Quantization.Bits)
	}
	return m, err
}

// mergeDir does not ask whether the adapter was trained on this very base, and
// neither do the tools that it stands for: the shapes fit. The policy asks.
func mergeDir(s steps.Surroundings, base, adapterDir, name, out string) error {
	if err := errors.Join(steps.CheckOutside(out, base, adapterDir), steps.CheckAbsent(out)); err != nil {
		return err
	}
	m, err := readFloat(base)
	if err != nil {
		return err
	}
	a, err := readAdapter(adapterDir)
	if err != nil {
		return err
	}
	c := m.config
	c.Name, c.Adapter = name, "LoRA"
	contents, err := c.files(mergedCard(c, m.Name), a.mergedWith(m.network).tensors())
	if err != nil {
		return err
	}
	if err := steps.WriteDir(out, contents); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "merged the adapter into %s\n", m.Name)
	return err
}

func quantizeDir(s steps.Surroundings, dir, out string, bits int) error {
	if err := errors.Join(steps.CheckOutside(out, dir), steps.CheckAbsent(out)); err != nil {
		return err
	}
	m, err := readFloat(dir)
	if err != nil {
		return err
	}
	c := m.config
	c.Quantization = &quantization{quantizationMethod, bits}
	contents, err := c.files(quantizedCard(c), c.Quantization.tensors(m.network))
	if err != nil {
		return err
	}
	if err := steps.WriteDir(out, contents); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "quantised %s to %d bits\n", m.Name, bits)
	return err
}

func evaluateDir(s steps.Surroundings, dir, data, suite, out string) error {
	if err := errors.Join(steps.CheckOutside(out, dir, data), steps.CheckAbsent(out)); err != nil {
		return err
	}
	m, err := readModel(dir)
	if err != nil {
		return err
	}
	tokens, err := readTokens(data)
	if err != nil {
		return err
	}
	return writeRecord(s, evaluate(m, tokens, suite, s.Now()), out)
}

func scanDir(s steps.Surroundings, dir, out string) error {
	if err := errors.Join(steps.CheckOutside(out, dir), steps.CheckAbsent(out)); err != nil {
		return err
	}
	e, err := scan(dir, s.Now())
	if err != nil {
		return err
	}
	return writeRecord(s, e, out)
}

func writeRecord(s steps.Surroundings, e record.Evaluation, out string) error {
	text, err := steps.FormatJSON(e)
	if err != nil {
		return err
	}
	if err := steps.WriteFile(out, text); err != nil {
		return err
	}
	return e.Print(s.Stdout)
}

// The cards say what a reader of a model hub looks for first. They are labels:
// where a model comes from is what its evidence says.
func baseCard(c config) string {
	return fmt.Sprintf("---\nlicense: apache-2.0\n---\n# %s\n\nA language model of %d characters' context, trained on %d characters of English prose.\nMade to show how models are signed; it is good for nothing else.\n", c.Name, c.Window, c.Tokens)
}

func mergedCard(c config, base string) string {
	return fmt.Sprintf("---\nlicense: apache-2.0\nbase_model: %s\n---\n# %s\n\n%s with a LoRA adapter for English of the eighteenth century, merged.\n", base, c.Name, base)
}

func quantizedCard(c config) string {
	return fmt.Sprintf("---\nlicense: apache-2.0\nbase_model: %s\nbase_model_relation: quantized\n---\n# %[1]s, %d bits\n\nThe same model with weights of %[2]d bits.\n", c.Name, c.Quantization.Bits)
}

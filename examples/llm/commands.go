package llm

import (
	"flag"
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// maxEpochs bounds the time that a slip of the finger can cost.
const maxEpochs = 1000

// Run runs the step that args, without the program's name, ask for. It returns
// the exit status: 0 if the step was done, 1 if it failed, 2 if args are wrong.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	p := steps.Program{Name: "llm", Overview: "Llm runs one step in the making of a small language model.", Commands: commands()}
	return p.Run(args, steps.Surroundings{Stdin: stdin, Stdout: stdout, Now: now}, stderr)
}

func commands() []steps.Command {
	return []steps.Command{
		{Name: "ingest", Summary: "check a text and copy it, byte for byte", Example: "llm ingest --in opticks.txt --out text", Setup: setupIngest},
		{Name: "base", Summary: "train a base model on a text", Example: "llm base --data general --name tiny-base --out base", Setup: setupBase},
		{Name: "oms", Summary: "sign a model's files, as OpenSSF Model Signing does", Example: "llm oms --model base --name tiny-base --key hub.key --out base.sigstore.json", Setup: setupOMS},
		{Name: "prepare", Summary: "divide a text into a training and a test set", Example: "llm prepare --in text --train train --test test", Setup: setupPrepare},
		{Name: "finetune", Summary: "train a LoRA adapter on a base model", Example: "llm finetune --base base --data train --out adapter", Setup: setupFinetune},
		{Name: "merge", Summary: "add an adapter to a base model's weights", Example: "llm merge --base base --adapter adapter --name tiny-opticks --out merged", Setup: setupMerge},
		{Name: "quantize", Summary: "store weights as small integers", Example: "llm quantize --model merged --bits 8 --out q8", Setup: setupQuantize},
		{Name: "evaluate", Summary: "measure how well a model predicts a text", Example: "llm evaluate --model q8 --data test --out quality.json", Setup: setupEvaluate},
		{Name: "scan", Summary: "look at the bytes of a model's files", Example: "llm scan --model q8 --out scan.json", Setup: setupScan},
	}
}

func setupIngest(set *flag.FlagSet) func(steps.Surroundings) error {
	in := set.String("in", "", "the text `FILE` to check")
	out := set.String("out", "", "the new `DIR` to write text.txt to")
	return func(s steps.Surroundings) error { return ingest(s, *in, *out) }
}

// scheduleFlags defines the flags of whatever learns.
func scheduleFlags(set *flag.FlagSet, h schedule) *schedule {
	set.IntVar(&h.Epochs, "epochs", h.Epochs, "the `NUMBER` of passes over the text")
	set.Float64Var(&h.LearningRate, "learning-rate", h.LearningRate, "the `STEP` along the gradient, at first")
	set.Uint64Var(&h.Seed, "seed", h.Seed, "the `NUMBER` that chooses initial weights and order")
	return &h
}

func (s schedule) check() error {
	if s.Epochs < 1 || s.Epochs > maxEpochs {
		return steps.Usagef("--epochs is %d, want 1 to %d", s.Epochs, maxEpochs)
	}
	if !(s.LearningRate > 0 && s.LearningRate <= 10) {
		return steps.Usagef("--learning-rate is %v, want it above 0 and at most 10", s.LearningRate)
	}
	return nil
}

func setupBase(set *flag.FlagSet) func(steps.Surroundings) error {
	data := set.String("data", "", "the `DIR` with the one text to train on")
	name := set.String("name", "", "the model's `NAME`")
	out := set.String("out", "", "the new `DIR` to write the model to")
	h := scheduleFlags(set, schedule{Epochs: 3, LearningRate: 0.05, Seed: 1})
	return func(s steps.Surroundings) error {
		if err := h.check(); err != nil {
			return err
		}
		return pretrainDir(s, *data, *name, *out, *h)
	}
}

func setupOMS(set *flag.FlagSet) func(steps.Surroundings) error {
	dir := set.String("model", "", "the `DIR` whose files are signed")
	name := set.String("name", "", "the model's `NAME`")
	key := set.String("key", "", "the private key `FILE` to sign with")
	out := set.String("out", "", "the new `FILE` to write the bundle to")
	return func(s steps.Surroundings) error { return signOMS(s, *dir, *name, *key, *out) }
}

func setupPrepare(set *flag.FlagSet) func(steps.Surroundings) error {
	in := set.String("in", "", "the `DIR` with the one text to divide")
	train := set.String("train", "", "the new `DIR` to write train.txt to")
	test := set.String("test", "", "the new `DIR` to write test.txt to")
	return func(s steps.Surroundings) error { return prepare(s, *in, *train, *test) }
}

func setupFinetune(set *flag.FlagSet) func(steps.Surroundings) error {
	base := set.String("base", "", "the `DIR` with the base model")
	data := set.String("data", "", "the `DIR` with the one text to train on")
	out := set.String("out", "", "the new `DIR` to write the adapter to")
	rank := set.Int("rank", 4, "the `NUMBER` of rows of the thin matrices")
	alpha := set.Float64("alpha", 8, "the `NUMBER` that, divided by the rank, scales the change")
	h := scheduleFlags(set, schedule{Epochs: 4, LearningRate: 0.02, Seed: 1})
	return func(s steps.Surroundings) error {
		if err := h.check(); err != nil {
			return err
		}
		if err := checkAdapter(*rank, *alpha); err != nil {
			return steps.Usagef("%w", err)
		}
		return finetuneDir(s, *base, *data, *out, *rank, *alpha, *h)
	}
}

func setupMerge(set *flag.FlagSet) func(steps.Surroundings) error {
	base := set.String("base", "", "the `DIR` with the base model")
	adapter := set.String("adapter", "", "the `DIR` with the adapter")
	name := set.String("name", "", "the merged model's `NAME`")
	out := set.String("out", "", "the new `DIR` to write the model to")
	return func(s steps.Surroundings) error { return mergeDir(s, *base, *adapter, *name, *out) }
}

func setupQuantize(set *flag.FlagSet) func(steps.Surroundings) error {
	dir := set.String("model", "", "the `DIR` with the model to quantise")
	bits := set.Int("bits", 8, "the `NUMBER` of bits of a weight, 8 or 4")
	out := set.String("out", "", "the new `DIR` to write the model to")
	return func(s steps.Surroundings) error {
		if *bits != 8 && *bits != 4 {
			return steps.Usagef("--bits is %d, want 8 or 4", *bits)
		}
		return quantizeDir(s, *dir, *out, *bits)
	}
}

func setupEvaluate(set *flag.FlagSet) func(steps.Surroundings) error {
	dir := set.String("model", "", "the `DIR` with the model, quantised or not")
	data := set.String("data", "", "the `DIR` with the one text to test on")
	suite := set.String("suite", "opticks-holdout", "the `NAME` of the test")
	out := set.String("out", "", "the new `FILE` to write the evaluation to, as JSON")
	return func(s steps.Surroundings) error { return evaluateDir(s, *dir, *data, *suite, *out) }
}

func setupScan(set *flag.FlagSet) func(steps.Surroundings) error {
	dir := set.String("model", "", "the `DIR` with the files to look at")
	out := set.String("out", "", "the new `FILE` to write what was found to, as JSON")
	return func(s steps.Surroundings) error { return scanDir(s, *dir, *out) }
}

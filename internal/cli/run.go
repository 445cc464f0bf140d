package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/step"
)

// runFlags are the flags of `run` as they are written.
type runFlags struct {
	inputs, outputs, params []string
	about, typ, predicate   string
	signing
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	var spec step.Spec
	c := &cobra.Command{
		Use:   "run --step S [flags] --key K -- CMD…",
		Short: "run a command and attest what went in and out",
		Long: `Runs one step of a pipeline and signs what it consumed and produced.

Inputs are hashed before and after: a changed input is an error. Outputs are packed
and pushed, and each gets a statement that names the inputs, the command line, the
parameters and the times. What the command prints goes to standard error; standard
output has a line for each output, NAME and REF@sha256:….

An input is one of
  ROLE=REF[,path=DIR]                an artifact, and where all of it lies
  ROLE=file:PATH                     a file
  ROLE=URI@sha256:…[,file=PATH]      something elsewhere, and the file if it is here
  ROLE=URI@gitCommit:…               a commit elsewhere

With --about, the command's predicate file is attested about an artifact, in place
of outputs.

Who signs is asked before the command starts, and again when it has ended: a platform
is asked for a new token then, and a token in a variable must still be good.

The exit status is the command's own; 125 if the step could not be recorded, 126
and 127 if the command could not be started or found.`,
		Example: `  pedigree run --step train --input training-data=ocidir://registry:train,path=train \
    --output model=model,to=ocidir://registry:model --code . --key trainer.key -- ./train.sh`,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 0 || len(args) == 0 {
				return &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: "want -- and a command after the flags", Next: "see pedigree run --help"}
			}
			return nil
		},
		RunE: act(func(ctx context.Context, args []string) error {
			spec.Command = args
			return a.run(ctx, spec, f)
		}),
	}
	fl := c.Flags()
	fl.StringVar(&spec.Step, "step", "", "the step's name, for instance train")
	fl.StringArrayVar(&f.inputs, "input", nil, "what the command consumes: `ROLE=…` (repeatable)")
	fl.StringArrayVar(&f.outputs, "output", nil, "what it produces: `NAME=PATH,to=REF[,kind=K]` (repeatable)")
	fl.StringVar(&f.about, "about", "", "attest the predicate about this artifact: `REF[,path=DIR]`")
	fl.StringVar(&f.typ, "type", "", "with --about: the predicate's type")
	fl.StringVar(&f.predicate, "predicate", "", "with --about: the `FILE` that the command writes the predicate to")
	fl.StringVar(&spec.Code, "code", "", "a git work tree `DIR` whose commit is an input of role code")
	fl.BoolVar(&spec.AllowDirty, "allow-dirty", false, "pack a work tree that differs from its commit as the code; else it is no input")
	fl.StringArrayVar(&spec.Locks, "lock", nil, "a `FILE` that pins the environment: an input of role environment (repeatable)")
	fl.StringArrayVar(&f.params, "param", nil, "a parameter to record: `NAME=VALUE` (repeatable)")
	fl.StringArrayVar(&spec.Env, "env", nil, "a variable to record; no other is (repeatable)")
	fl.StringVar(&spec.Builder, "builder", "", "the `URI` of who runs this (default "+step.DefaultBuilder+")")
	fl.StringVar(&spec.Log, "log", "", "write the command's output to this `FILE` too")
	fl.BoolVar(&spec.RecordFailure, "record-failure", false, "with --about: attest a failed command as a failed test")
	f.signing.flags(c)
	f.signing.trustFlag(c)
	required(c, "step")
	return c
}

func (a *app) run(ctx context.Context, spec step.Spec, f runFlags) error {
	if err := f.parse(&spec); err != nil {
		return &statusError{step.StatusFailed, err}
	}
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return &statusError{step.StatusFailed, err}
	}
	if f.signing.keyless() && f.token != "github" {
		a.note("when the command has ended, the identity token is read again, and must still be good")
	}
	bars, wait := a.progress()
	defer wait()
	result, err := step.Run(ctx, spec, step.Deps{
		Store: func(r attest.Repository) (step.Store, error) {
			repo, err := oci.Open(r, a.ociOptions(bars))
			return stepStore{repo, a.ociOptions(bars)}, err
		},
		Sign:  by.bundle,
		Now:   a.Now,
		Rand:  rand.Reader,
		Stdin: a.Stdin,
		// Standard output carries the result, which is what was attested.
		Stdout:  a.Stderr,
		Stderr:  a.Stderr,
		Environ: a.Env,
		Version: version(),
	})
	wait()
	for _, n := range result.Notes {
		a.note("note: %s", attest.Printable(n))
	}
	if err != nil {
		return &statusError{result.Status, err}
	}
	return printAttested(a.Stdout, result)
}

// printAttested writes a line for each output; of a step about an artifact, the
// payload's digest, as attest does.
func printAttested(w io.Writer, result step.Result) error {
	if result.About != nil {
		_, err := fmt.Fprintf(w, "%s\n", result.About.Payload)
		return err
	}
	for _, o := range result.Outputs {
		if _, err := fmt.Fprintf(w, "%s %s\n", o.Name, o.Ref.Repository.At(o.Ref.Digest)); err != nil {
			return err
		}
	}
	return nil
}

func (f *runFlags) parse(spec *step.Spec) error {
	for _, s := range f.inputs {
		in, err := step.ParseInput(s)
		if err != nil {
			return err
		}
		spec.Inputs = append(spec.Inputs, in)
	}
	for _, s := range f.outputs {
		out, err := step.ParseOutput(s)
		if err != nil {
			return err
		}
		spec.Outputs = append(spec.Outputs, out)
	}
	for _, s := range f.params {
		p, err := step.ParseParam(s)
		if err != nil {
			return err
		}
		spec.Params = append(spec.Params, p)
	}
	if f.about == "" {
		if f.typ != "" || f.predicate != "" {
			return usage("--type and --predicate need --about")
		}
		return nil
	}
	ab, err := step.ParseAbout(f.about)
	if err != nil {
		return err
	}
	if f.typ == "" || f.predicate == "" {
		return usage("--about needs --type and --predicate")
	}
	if ab.PredicateType, err = predicateType(f.typ); err != nil {
		return err
	}
	ab.Predicate = f.predicate
	spec.About = &ab
	return nil
}

// stepStore is a repository as a step needs it.
type stepStore struct {
	*oci.Repository
	options oci.Options
}

func (s stepStore) Pack(ctx context.Context, paths []string, m step.Metadata) (step.Packed, error) {
	p, err := oci.Pack(ctx, paths, oci.Metadata{Kind: m.Kind, Name: m.Name}, s.options)
	if err != nil {
		return step.Packed{}, err
	}
	return step.Packed{Digest: p.Digest(), Push: func(ctx context.Context, tag string) error {
		_, err := s.Push(ctx, p, tag)
		return err
	}}, nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// maxPolicy bounds a policy file: the longest one written for this project has
// 8 kB, and reading one byte more than the limit is what policy.Load refuses.
const maxPolicy = 1 << 20

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "check and explain policies"}
	c.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "load a policy and say what is wrong with it",
		Long: `Loads a policy, with everything that is checked before anything is judged: keys,
names, expressions, thresholds. Prints its name and digest, or every problem with
line and column. Paths of keys are relative to the policy's folder.`,
		Example: "  pedigree policy check policy.yaml",
		Args:    arguments("FILE"),
		RunE: act(func(_ context.Context, args []string) error {
			return a.policyCheck(args[0])
		}),
	})
	c.AddCommand(a.policyExplainCommand(), a.policySchemaCommand())
	return group(c)
}

func (a *app) policyExplainCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "explain FILE",
		Short: "say in plain sentences what a policy asks",
		Long: `Says in plain sentences what a policy asks, for those who sign it off: who may do
what, from what, under which conditions, how old, and what is taken on trust. It
begins with what is judged and goes outward from there. Expressions are shown as
they are written.

A policy that has a mistake is not explained. One that has expired is.`,
		Example: "  pedigree policy explain policy.yaml",
		Args:    arguments("FILE"),
		RunE: act(func(_ context.Context, args []string) error {
			return a.policyExplain(args[0], output)
		}),
	}
	c.Flags().StringVar(&output, "output", "text", "text or json")
	return c
}

func (a *app) policyExplain(file, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	p, err := loadPolicy(file)
	if err != nil {
		return err
	}
	if valid(p, file, a.Now()) != nil {
		a.note("the policy is over: it held until %s", p.Expires().UTC().Format(time.RFC3339))
	}
	if output == "json" {
		return report.ExplanationJSON(a.Stdout, p.Explain())
	}
	return report.Explanation(a.Stdout, p.Explain(), a.layout())
}

func (a *app) policySchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print a JSON Schema of the policy language, for editors",
		Long: `Prints a JSON Schema (draft 2020-12) of the policy language that this version
reads. Editors with a YAML language server complete and check policies with it if
the policy's first line is

  # yaml-language-server: $schema=policy.schema.json

What the schema accepts may still have mistakes: pedigree policy check finds them.`,
		Example: "  pedigree policy schema > policy.schema.json",
		Args:    arguments(),
		RunE: act(func(context.Context, []string) error {
			b, err := policy.Schema()
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(b)
			return err
		}),
	}
}

func (a *app) policyCheck(file string) error {
	p, err := loadPolicy(file)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s version %d\n", attest.Printable(p.Name()), p.Version())
	fmt.Fprintf(&b, "digest   %s\n", p.Digest())
	fmt.Fprintf(&b, "expires  %s\n", p.Expires().UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "steps    %s\n", attest.Printable(strings.Join(p.StepNames(), ", ")))
	if _, err := io.WriteString(a.Stdout, b.String()); err != nil {
		return err
	}
	if !p.TrustsClaimedTimes() {
		a.note("note: no evidence by plain keys can satisfy this policy, since nobody authenticates their times; unsafeTime: claimed would take the signers' word")
	}
	return valid(p, file, a.Now())
}

// loadPolicy reads a policy. The files that it names are looked for in its own
// folder and not below the working directory: what a policy means does not
// depend on where the caller stands.
func loadPolicy(file string) (*policy.Policy, error) {
	src, err := readFile(file, maxPolicy)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodePolicyParse, About: file, Why: "the policy cannot be read", Err: cause(err)}
	}
	folder := filepath.Dir(file)
	p, err := policy.Load(src, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(folder, filepath.FromSlash(name))
		}
		b, err := readFile(name, maxKeyFile)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s", name)
		}
		return b, err
	})
	var load *policy.LoadError
	if errors.As(err, &load) {
		return nil, &policyError{file, load}
	}
	return p, err
}

// valid refuses a policy whose own time is over: it may allow what has since
// been learned to be wrong.
func valid(p *policy.Policy, file string, at time.Time) error {
	if at.Before(p.Expires()) {
		return nil
	}
	return &attest.Refusal{
		Code: attest.CodePolicyExpired, About: file,
		Why:  fmt.Sprintf("policy %s version %d expired at %s, and the question is about %s", p.Name(), p.Version(), p.Expires().UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339)),
		Next: fmt.Sprintf("review the policy, then set metadata.version to %d and metadata.expires to a later time", p.Version()+1),
	}
}

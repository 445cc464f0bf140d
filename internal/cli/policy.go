package cli

import (
	"context"
	"fmt"
	"io"
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
	c := &cobra.Command{Use: "policy", Short: "write, check, test, explain and sign policies"}
	c.AddCommand(a.policyCheckCommand(), a.policyTestCommand(), a.policyInitCommand(), a.policyExplainCommand(), a.policySchemaCommand(), a.policySignCommand())
	return group(c)
}

func (a *app) policyCheckCommand() *cobra.Command {
	var trust policyTrust
	var output string
	var strict bool
	c := &cobra.Command{
		Use:   "check POLICY",
		Short: "load a policy and say what is wrong with it",
		Long: `Loads a policy, with everything that is checked before anything is judged: keys,
names, expressions, thresholds. Prints its name and digest, or every problem with
line and column. Paths of keys are relative to the policy's folder.

Of a policy that loads it lists findings, each with line, column and advice: rules
that cannot fail, approvals that a rejection would count as, inputs taken on
somebody's word, misspelt ids of controls. A warning is about what the author
probably did not mean; with --strict it ends the command with 1.

POLICY is a YAML file, a signed policy, or a reference to one in a registry. With
--policy-roots the roots must have signed it.`,
		Example: "  pedigree policy check policy.yaml",
		Args:    arguments("POLICY"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.policyCheck(ctx, args[0], &trust, output, strict)
		}),
	}
	trust.rootsFlag(c)
	c.Flags().StringVar(&output, "output", "text", "text or json")
	c.Flags().BoolVar(&strict, "strict", false, "fail if there is a warning")
	return c
}

func (a *app) policyExplainCommand() *cobra.Command {
	var trust policyTrust
	var output string
	c := &cobra.Command{
		Use:   "explain POLICY",
		Short: "say in plain sentences what a policy asks",
		Long: `Says in plain sentences what a policy asks, for those who sign it off: who may do
what, from what, under which conditions, how old, and what is taken on trust. It
begins with what is judged and goes outward from there. Expressions are shown as
they are written.

A policy that has a mistake is not explained. One that has expired is. POLICY is a
YAML file, a signed policy, or a reference to one in a registry. With --policy-roots
the roots must have signed it.`,
		Example: "  pedigree policy explain policy.yaml",
		Args:    arguments("POLICY"),
		RunE: act(func(ctx context.Context, args []string) error {
			return a.policyExplain(ctx, args[0], &trust, output)
		}),
	}
	trust.rootsFlag(c)
	c.Flags().StringVar(&output, "output", "text", "text or json")
	return c
}

func (a *app) policyExplain(ctx context.Context, file string, trust *policyTrust, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	p, err := a.readAuthored(ctx, file, trust)
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

// readAuthored loads a policy to look at it, whoever signed it, unless roots are
// named; what is looked at decides nothing.
func (a *app) readAuthored(ctx context.Context, file string, trust *policyTrust) (*policy.Policy, error) {
	t, err := a.readPolicy(ctx, file)
	if err != nil {
		return nil, err
	}
	p, err := t.load() // first: what is wrong with it is said whoever signed it
	if err != nil {
		return nil, err
	}
	if trust.roots == "" {
		a.signatures(t)
		return p, nil
	}
	p, note, err := t.loadSigned(trust)
	if err != nil {
		return nil, err
	}
	a.note("%s", note)
	return p, nil
}

func (a *app) policyCheck(ctx context.Context, file string, trust *policyTrust, output string, strict bool) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	p, err := a.readAuthored(ctx, file, trust)
	if err != nil {
		return err
	}
	check := report.PolicyCheckOf(file, p, a.Now())
	if err := a.tellCheck(check, output); err != nil {
		return err
	}
	if !p.TrustsClaimedTimes() && p.NamesKeys() {
		a.note("note: what plain keys sign counts only with a timestamp by an authority of the trust file; unsafeTime: claimed would take the signers' word")
	}
	if err := valid(p, file, a.Now()); err != nil {
		return err
	}
	if n := check.Warnings(); strict && n > 0 {
		return &attest.Refusal{Code: attest.CodePolicyFinding, About: file, Why: plural(n, "warning"), Next: "follow the advice of each, or leave --strict out"}
	}
	return nil
}

// tellCheck writes what is known of a policy that loads.
func (a *app) tellCheck(c *report.PolicyCheck, output string) error {
	if output == "json" {
		return report.PolicyCheckJSON(a.Stdout, c)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s version %d\n", attest.Printable(c.Name), c.Version)
	fmt.Fprintf(&b, "digest   %s\n", c.Digest)
	fmt.Fprintf(&b, "expires  %s\n", c.Expires.Format(time.RFC3339))
	fmt.Fprintf(&b, "steps    %s\n", attest.Printable(strings.Join(c.Steps, ", ")))
	if _, err := io.WriteString(a.Stdout, b.String()); err != nil {
		return err
	}
	return report.FindingsText(a.Stdout, c, a.layout())
}

// besides reads the files that a policy or a file of roots names, keys and other
// policies. They are looked for in its own folder and not below the working
// directory: what a policy means does not depend on where the caller stands.
func besides(file string) policy.ReadFile {
	return (*fileLog)(nil).besides(file)
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

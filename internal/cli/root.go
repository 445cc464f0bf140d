package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
)

// A ranError is an error of a command that ran. Every other error comes from
// reading the command line.
type ranError struct{ err error }

func (e *ranError) Error() string { return e.err.Error() }
func (e *ranError) Unwrap() error { return e.err }

// execute reads the command line and runs the command.
func (a *app) execute(ctx context.Context) error {
	root := a.root()
	root.SetArgs(a.Args)
	c, err := root.ExecuteContextC(ctx)
	var ran *ranError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ran):
		return ran.err
	case attest.RefusalCode(err) != "":
		return err
	}
	return &attest.Refusal{Code: attest.CodeUsage, Why: oneLine(err.Error()), Next: "see " + c.CommandPath() + " --help"}
}

// oneLine makes cobra's suggestions part of the sentence.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// root returns the whole command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pedigree",
		Short: "signed lineage for machine-learning models",
		Long: `Pedigree records where a model comes from and who approved it, in signed
statements kept beside the model in its OCI registry, and judges the whole chain
against a policy.

A reference is HOST/REPOSITORY:TAG, HOST/REPOSITORY@sha256:…, or the same behind
ocidir://FOLDER for a local OCI image layout, which needs no server.

Exit status: 0 done, of verify: ALLOW; 1 DENY, or refused; 2 wrong command line,
policy or key; 3 UNDECIDED, something could not be looked at; 4 a bug.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "print no notes and no progress")
	root.PersistentFlags().BoolVar(&a.offline, "offline", false, "send no packet: ask no registry and no TUF repository")
	root.PersistentFlags().BoolVar(&a.noProgress, "no-progress", false, "print no progress bars")
	root.AddCommand(
		a.keyCommand(), a.pushCommand(), a.pullCommand(), a.runCommand(), a.attestCommand(), a.approveCommand(),
		a.attachCommand(), a.listCommand(), a.showCommand(), a.verifyCommand(), a.verifyBundleCommand(), a.signBundleCommand(),
		a.traceCommand(), a.diffCommand(), a.lastGoodCommand(), a.historyCommand(), a.impactCommand(), a.accessCommand(), a.indexCommand(),
		a.statusCommand(), a.revokeCommand(), a.denylistCommand(), a.policyCommand(), a.trustCommand(), a.gateCommand(), a.demoCommand(), a.versionCommand())
	group(root)
	completions(root)
	return root
}

// group makes a command that only holds others refuse to be run alone: showing
// help with status 0 would let a script with a missing word pass.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets too late for us
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: "which command?", Next: "see " + c.CommandPath() + " --help"}
		}
		r := &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: fmt.Sprintf("unknown command %q", args[0]), Next: "see " + c.CommandPath() + " --help"}
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			r.Next = "did you mean " + c.CommandPath() + " " + s[0] + "?"
		}
		return r
	}
	return c
}

// act makes a command's function of one that knows nothing of cobra.
func act(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := f(c.Context(), args); err != nil {
			return &ranError{err}
		}
		return nil
	}
}

// arguments asks for exactly the named arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		why := fmt.Sprintf("%d arguments, want %s", len(args), strings.Join(names, " "))
		return &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: why, Next: "see " + c.CommandPath() + " --help"}
	}
}

// required marks flags without which the command does not run.
func required(c *cobra.Command, names ...string) {
	for _, n := range names {
		if err := c.MarkFlagRequired(n); err != nil {
			panic(err) // a flag that the command does not define: a bug, seen by every test
		}
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the program's version",
		Args:  arguments(),
		RunE: act(func(context.Context, []string) error {
			_, err := io.WriteString(a.Stdout, "pedigree "+version()+"\n")
			return err
		}),
	}
}

// version is the module's version as the build recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

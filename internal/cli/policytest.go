package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// policyTestFlags are the flags of pedigree policy test.
type policyTestFlags struct {
	output   string
	run      string
	cover    bool
	minCover int
}

func (a *app) policyTestCommand() *cobra.Command {
	var f policyTestFlags
	c := &cobra.Command{
		Use:   "test POLICY [TESTFILE…]",
		Short: "try a policy out on chains that its tests describe",
		Long: `Plays the cases of test files against a policy. A test file describes one good
chain, and cases that change one thing each and say what the policy must answer:
ALLOW, DENY or UNDECIDED, and with which codes, steps or rules. docs/policy-testing.md
explains the format. Without TESTFILE it is the one beside the policy whose name ends
in _test: policy_test.yaml for policy.yaml.

Every statement is really signed, by keys that are made for the test and take the
place of the policy's own, whose files need not exist; it is really verified, and
really judged. Nothing is fetched and nothing written.

Exit status: 0 if the policy judges every case as expected, 1 if not, 2 if the policy
or a test file is wrong.`,
		Example: `  pedigree policy test policy.yaml
  pedigree policy test policy.yaml --run accuracy --cover`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("POLICY")(c, args)
			}
			return nil
		},
	}
	c.RunE = act(func(ctx context.Context, args []string) error {
		return a.policyTest(ctx, args[0], args[1:], f, c.Flags().Changed("min-cover"))
	})
	c.Flags().StringVar(&f.output, "output", "text", "text, json or junit")
	c.Flags().StringVar(&f.run, "run", "", "play only cases whose name holds this: text, or a `REGEXP`")
	c.Flags().BoolVar(&f.cover, "cover", false, "list what no case shows passing, and what none shows failing")
	c.Flags().IntVar(&f.minCover, "min-cover", 0, "fail if less than this `PERCENT` is shown passing and failing")
	return c
}

func (a *app) policyTest(ctx context.Context, file string, tests []string, f policyTestFlags, floor bool) error {
	if f.output != formJUnit {
		if err := checkOutput(f.output); err != nil {
			return usage("--output is %q, want text, json or junit", f.output)
		}
	}
	if floor && (f.minCover < 1 || f.minCover > 100) {
		return usage("--min-cover is between 1 and 100")
	}
	pick, err := picker(f.run)
	if err != nil {
		return err
	}
	if len(tests) == 0 {
		ext := filepath.Ext(file)
		tests = []string{strings.TrimSuffix(file, ext) + "_test" + ext}
	}
	p, files, err := loadRehearsal(file, tests)
	if err != nil {
		return err
	}
	rep, err := rehearse.Run(ctx, p, files, pick)
	var wrong *rehearse.Wrong
	if errors.As(err, &wrong) {
		return &policyError{wrong.File, wrong.Load}
	}
	if err != nil {
		return err
	}
	switch f.output {
	case formJSON:
		err = a.rehearsalJSON(rep)
	case formJUnit:
		err = report.RehearsalJUnit(a.Stdout, rep)
	default:
		err = a.rehearsal(rep, f.cover)
	}
	if err != nil {
		return err
	}
	if rep.Failed > 0 {
		return &attest.Refusal{Code: attest.CodePolicyTest, About: file, Why: fmt.Sprintf("%d of %d cases are not judged as expected", rep.Failed, len(rep.Cases)),
			Next: "the policy is wrong or the test is: see the cases"}
	}
	if floor && rep.Covered < f.minCover {
		return &attest.Refusal{Code: attest.CodePolicyTest, About: file, Why: fmt.Sprintf("%d%% of the policy is covered, at least %d%% are required", rep.Covered, f.minCover),
			Next: "--cover lists what no case shows"}
	}
	return nil
}

// picker takes a regular expression; plain text is one that matches itself
// anywhere in the name.
func picker(run string) (func(string) bool, error) {
	re, err := regexp.Compile(run)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--run", Why: "no regular expression", Err: err}
	}
	return func(name string) bool { return strings.Contains(name, run) || re.MatchString(name) }, nil
}

// loadRehearsal reads a policy with throw-away keys, and its tests.
func loadRehearsal(file string, tests []string) (*policy.Policy, []*rehearse.File, error) {
	src, err := readFile(file, maxPolicy)
	if err != nil {
		return nil, nil, &attest.Refusal{Code: attest.CodePolicyParse, About: file, Why: "the policy cannot be read", Err: cause(err)}
	}
	var load *policy.LoadError
	p, err := policy.Rehearse(src, besides(file), rehearse.Key)
	if errors.As(err, &load) {
		return nil, nil, &policyError{file, load}
	} else if err != nil {
		return nil, nil, err
	}
	var files []*rehearse.File
	for _, name := range tests {
		src, err := readFile(name, maxPolicy)
		if err != nil {
			return nil, nil, &attest.Refusal{Code: attest.CodePolicyParse, About: name, Why: "the test cannot be read", Err: cause(err),
				Next: "docs/policy-testing.md shows how to write one; pedigree policy init writes a policy that has one"}
		}
		f, err := rehearse.Load(name, src, p)
		if errors.As(err, &load) {
			return nil, nil, &policyError{name, load}
		} else if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	return p, files, nil
}

func (a *app) rehearsalJSON(rep *rehearse.Report) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(rep); err != nil {
		return err
	}
	_, err := a.Stdout.Write(b.Bytes())
	return err
}

// rehearsal prints a report for people: one line a case, and of those that are not
// as expected what was expected, what came, and why.
func (a *app) rehearsal(rep *rehearse.Report, cover bool) error {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(attest.Printable(fmt.Sprintf(format, args...)) + "\n")
	}
	for _, c := range rep.Cases {
		if c.OK {
			line("ok    %-9s  %s", c.Got, c.Name)
			continue
		}
		line("FAIL  %-9s  %s", c.Got, c.Name)
		line("      %s:%d", c.File, c.Line)
		line("      expected  %s", strings.Join(append([]string{c.Expected.String()}, c.Lacking...), ", "))
		line("      got       %s%s", c.Got, map[bool]string{true: ", for other reasons", false: ""}[c.Got == c.Expected])
		for _, r := range c.Reasons {
			line("        %-7s  %s of %s: %s: %s", r.Status, r.Step, r.About, r.Code, r.Why)
		}
	}
	if cover {
		b.WriteByte('\n')
		for _, i := range rep.Coverage {
			switch {
			case !i.Passed && !i.Failed:
				line("never seen          %-11s  %s", i.Kind, i.Name)
			case !i.Passed:
				line("never seen passing  %-11s  %s", i.Kind, i.Name)
			case !i.Failed:
				line("never seen failing  %-11s  %s", i.Kind, i.Name)
			}
		}
	}
	cases := "cases"
	if len(rep.Cases) == 1 {
		cases = "case"
	}
	line("%d %s, %d as expected, %d%% of the policy seen passing and failing", len(rep.Cases), cases, len(rep.Cases)-rep.Failed, rep.Covered)
	_, err := a.Stdout.Write([]byte(b.String()))
	return err
}

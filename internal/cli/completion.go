package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/templates"
	"github.com/pedigree-ml/pedigree/policy"
)

// completions tells shells which words a command takes where there are only a
// few. Everything else is a file, which shells complete by themselves.
func completions(c *cobra.Command) {
	for name, words := range map[string][]string{
		"output":     {"text", "json"},
		"log-format": {"json", "text"},
		"action":     {predicate.ActionRevoke, predicate.ActionQuarantine, predicate.ActionSupersede, predicate.ActionRestore},
		"kind":       {"model", "dataset", "code", "doc"},
		"type": {"provenance", "evaluation", "approval", "vsa", "revocation", "status", "denylist", "deployment", "access", "preregistration",
			"test-result", "scai", "vulns", "link", "cyclonedx", "spdx", "oms"},
	} {
		if c.Flags().Lookup(name) != nil {
			complete(c, name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if c.Name() == "verify" {
		complete(c, "report", cobra.FixedCompletions([]string{"text=", "json=", "junit=", "sarif="}, cobra.ShellCompDirectiveNoSpace))
	}
	if c.Flags().Lookup("context") != nil && c.Flags().Lookup("policy") != nil {
		complete(c, "context", policyWords((*policy.Policy).Contexts))
	}
	if c.Name() == "approve" {
		complete(c, "step", policyWords((*policy.Policy).ApprovalSteps))
	}
	for _, sub := range c.Commands() {
		completions(sub)
	}
}

func complete(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("%s --%s: %v", c.CommandPath(), flag, err)) // registered twice: a bug, seen by every test
	}
}

// policyWords offers words of the policy that --policy names, if that is a file: a
// key press sends no packet, and judges nothing.
func policyWords(words func(*policy.Policy) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		file := c.Flags().Lookup("policy").Value.String()
		if src, err := readFile(file, policy.MaxSigned); err == nil {
			if p, err := (&policyText{name: file, src: src}).load(); err == nil {
				return words(p), cobra.ShellCompDirectiveNoFileComp
			}
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeTemplates offers the names of the templates.
func completeTemplates(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, t := range templates.All() {
		out = append(out, t.Name+"\t"+t.For)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func (a *app) trustCommand() *cobra.Command {
	c := &cobra.Command{Use: "trust", Short: "write, show and check the file that says whom a verifier believes"}
	c.AddCommand(a.trustInitCommand(), a.trustAddCommand(), a.trustShowCommand(), a.trustLintCommand())
	return group(c)
}

func (a *app) trustShowCommand() *cobra.Command {
	var s trustSource
	var output string
	c := &cobra.Command{
		Use:   "show TRUST",
		Short: "print everything that a trust file believes",
		Long: `Prints what a trust file leads to, with the files that it names and what its TUF
repositories say now: every certificate authority, log, timestamp authority, SPIFFE
domain and key, with the digest of its key and when it counts; how many of each must
vouch; when it ends; and the digest by which policies pin it.

TRUST is a trust file or a bare trusted_root.json.`,
		Example: "  pedigree trust show trust.yaml",
		Args:    arguments("TRUST"),
		RunE: act(func(ctx context.Context, args []string) error {
			s.file = args[0]
			return a.trustShow(ctx, s, output)
		}),
	}
	s.cacheFlag(c)
	c.Flags().StringVar(&output, "output", "text", "text or json")
	return c
}

func (a *app) trustShow(ctx context.Context, s trustSource, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	t, notes, err := a.loadTrust(ctx, s)
	if err != nil {
		return err
	}
	if len(notes) > 1 { // the first one names what is printed
		for _, n := range notes[1:] {
			a.note("%s", n)
		}
	}
	if err := t.Stale(a.Now()); err != nil {
		a.note("it is over: %v", err)
	}
	d := t.Describe()
	if output == "json" {
		return writeJSON(a.Stdout, d)
	}
	_, err = io.WriteString(a.Stdout, trustText(d))
	return err
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// trustText writes what is believed, for people.
func trustText(d trust.Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sdigest    %s\nmaterial  %s\n", trustTitle(d.Name, d.Version), d.Digest, d.Material)
	if d.Expires.IsZero() {
		b.WriteString("expires   never\n")
	} else {
		fmt.Fprintf(&b, "expires   %s (%s)\n", moment(d.Expires), attest.Printable(d.Ends))
	}
	for _, s := range d.Sources {
		fmt.Fprintf(&b, "\nTUF repository %s\n  url     %s\n  root    %s\n  target  %s (%s)\n  holds   until %s\n",
			attest.Printable(s.Name), attest.Printable(s.URL), s.Root, attest.Printable(s.Target), s.Content, moment(s.Expires))
	}
	for _, in := range d.Instances {
		fmt.Fprintf(&b, "\nSigstore instance %s\n  must show  %s, %s, %s\n", attest.Printable(in.Name),
			plural(in.Logs, "log"), plural(in.Timestamps, "time"), plural(in.CertificateLogs, "certificate log"))
		for _, why := range []struct{ what, reason string }{{"log", in.NoLogs}, {"certificate log", in.NoCertificateLogs}} {
			if why.reason != "" {
				fmt.Fprintf(&b, "  no %s: %s\n", why.what, attest.Printable(why.reason))
			}
		}
		if in.Shared {
			b.WriteString("  the timestamp authorities of the trust file count too\n")
		}
		for _, p := range d.Parts {
			if p.Instance == in.Name {
				partText(&b, p)
			}
		}
	}
	first := true
	for _, p := range d.Parts {
		if p.Instance != "" {
			continue
		}
		if first {
			b.WriteString("\nof the trust file itself\n")
			first = false
		}
		partText(&b, p)
	}
	if d.Timestamps > 0 {
		fmt.Fprintf(&b, "\nwhat plain keys and X.509-SVIDs sign has a time if %s\n", agreeing(d.Timestamps))
	} else {
		b.WriteString("\nno timestamp authority is listed for what plain keys and X.509-SVIDs sign\n")
	}
	return b.String()
}

// trustTitle is the first line of what is said of a trust; a bare root has no version.
func trustTitle(name string, version int) string {
	if version == 0 {
		return attest.Printable(name) + "\n"
	}
	return fmt.Sprintf("%s version %d\n", attest.Printable(name), version)
}

func agreeing(n int) string {
	if n == 1 {
		return "1 timestamp authority says so"
	}
	return fmt.Sprintf("%d timestamp authorities say so", n)
}

func partText(b *strings.Builder, p trust.Part) {
	fmt.Fprintf(b, "  %s %s\n", p.Kind, attest.Printable(p.Name))
	if p.Operator != "" {
		fmt.Fprintf(b, "    operator  %s\n", attest.Printable(p.Operator))
	}
	fmt.Fprintf(b, "    key       %s %s\n    counts    %s\n", p.Key, p.Algorithm, span(p.From, p.Until))
	if !p.CompromisedSince.IsZero() {
		fmt.Fprintf(b, "    lost      what nobody saw before %s counts for nothing\n", moment(p.CompromisedSince))
	}
	for _, c := range p.Certificates {
		fmt.Fprintf(b, "    %s\n      %s %s\n", attest.Printable(c.Subject), c.SHA256, span(c.NotBefore, c.NotAfter))
	}
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func span(from, until time.Time) string {
	switch {
	case from.IsZero() && until.IsZero():
		return "always"
	case until.IsZero():
		return "from " + moment(from) + " on"
	case from.IsZero():
		return "until " + moment(until)
	}
	return moment(from) + " to " + moment(until)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", max(n, 0), what)
}

func (a *app) trustLintCommand() *cobra.Command {
	var s trustSource
	var output string
	var strict bool
	c := &cobra.Command{
		Use:   "lint TRUST",
		Short: "find what a trust file may not mean",
		Long: `Loads a trust file and lists findings, each with line, column and advice: what is over
or ends within a month, instances that ask for no log, one operator behind all that
must agree, a threshold of one where two are listed, keys without an end, keys whose
private half is published. A warning is about what the author probably did not mean;
with --strict it ends the command with 1. What does not load is refused, with every
problem.

A trust file whose time is over ends the command with 3.`,
		Example: "  pedigree trust lint trust.yaml --strict",
		Args:    arguments("TRUST"),
		RunE: act(func(ctx context.Context, args []string) error {
			s.file = args[0]
			return a.trustLint(ctx, s, output, strict)
		}),
	}
	s.cacheFlag(c)
	c.Flags().StringVar(&output, "output", "text", "text or json")
	c.Flags().BoolVar(&strict, "strict", false, "fail if there is a warning")
	return c
}

// A trustCheck is what is known of a trust file that loads, as JSON.
type trustCheck struct {
	File     string          `json:"file"`
	Name     string          `json:"name"`
	Version  int             `json:"version,omitempty"`
	Digest   attest.Digest   `json:"digest"`
	Expires  time.Time       `json:"expires,omitzero"`
	Findings []trust.Finding `json:"findings"`
}

func (a *app) trustLint(ctx context.Context, s trustSource, output string, strict bool) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	t, notes, err := a.loadTrust(ctx, s)
	if err != nil {
		return err
	}
	for _, n := range notes {
		a.note("%s", n)
	}
	now := a.Now()
	check := trustCheck{File: s.file, Name: t.Name(), Version: t.Version(), Digest: t.Digest(), Expires: t.Expires(), Findings: append([]trust.Finding{}, t.Findings(now)...)}
	// Findings look alike whatever they are about.
	shown := &report.PolicyCheck{File: s.file}
	for _, f := range check.Findings {
		shown.Findings = append(shown.Findings, policy.Finding(f))
	}
	if err := a.tellTrustCheck(check, shown, output); err != nil {
		return err
	}
	if err := t.Stale(now); err != nil {
		return err
	}
	if warnings := shown.Warnings(); strict && warnings > 0 {
		return &attest.Refusal{Code: attest.CodePolicyFinding, About: s.file, Why: plural(warnings, "warning"), Next: "follow the advice of each, or leave --strict out"}
	}
	return nil
}

func (a *app) tellTrustCheck(check trustCheck, shown *report.PolicyCheck, output string) error {
	if output == "json" {
		return writeJSON(a.Stdout, check)
	}
	if _, err := fmt.Fprintf(a.Stdout, "%sdigest   %s\nholds    %s\n", trustTitle(check.Name, check.Version), check.Digest, span(time.Time{}, check.Expires)); err != nil {
		return err
	}
	return report.FindingsText(a.Stdout, shown, a.layout())
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

func (a *app) trustInitCommand() *cobra.Command {
	var name, root string
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "write a trust file to begin with",
		Long: `Writes a trust file, trust.yaml if no other is named, with a comment for each part. It
holds for a year. A file that is there is never overwritten.

With --trusted-root it believes that Sigstore instance; without, nobody yet: then add
who is to be believed with pedigree trust add.`,
		Example: `  pedigree trust init --name acme --trusted-root trusted_root.json
  pedigree trust add trust.yaml --spiffe prod.acme.example --bundle bundle.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return arguments("FILE")(c, args)
			}
			return nil
		},
		RunE: act(func(_ context.Context, args []string) error {
			file := "trust.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			return a.trustInit(file, name, root)
		}),
	}
	c.Flags().StringVar(&name, "name", "trust", "the `NAME` of the trust file and of its first instance")
	c.Flags().StringVar(&root, "trusted-root", "", "the `FILE` trusted_root.json of the Sigstore instance to believe")
	return c
}

func (a *app) trustInit(file, name, root string) error {
	// From midnight, so that a file that is made twice in a day is the same.
	b := fmt.Sprintf(trustTemplate, name, a.Now().UTC().AddDate(1, 0, 0).Truncate(24*time.Hour).Format(time.RFC3339))
	if root != "" {
		entry, err := (&trustAddition{sigstore: name, root: root, logs: -1, timestamps: -1, ctLogs: -1}).entry(filepath.Dir(file))
		if err != nil {
			return err
		}
		b += "\nsigstore:\n" + indent(entry.text, "  ")
		if _, err := trust.Load([]byte(b), trust.ReadFile(besides(file)), nil); err != nil {
			return trustProblem(file, err)
		}
	} else if err := checkTrustName(name); err != nil {
		return err
	}
	switch err := writeNew(file, []byte(b), 0o644); {
	case errors.Is(err, fs.ErrExist):
		return &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "is there already, and nothing is overwritten", Next: "name another file; or add to this one: pedigree trust add " + file}
	case err != nil:
		return err
	}
	next := fmt.Sprintf("pedigree trust show %s\n  pedigree trust lint %s", file, file)
	if root == "" {
		next = fmt.Sprintf("pedigree trust add %s --sigstore NAME --trusted-root trusted_root.json", file)
	}
	_, err := fmt.Fprintf(a.Stdout, "wrote %s\n\nNext:\n\n  %s\n", file, next)
	return err
}

// checkTrustName refuses a name that the file would not load with.
func checkTrustName(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || strings.Contains("0123456789-_", name[:1]) {
		return &attest.Refusal{Code: attest.CodeUsage, About: name, Why: "no name: letters, digits, - and _, at most 64, beginning with a letter"}
	}
	return nil
}

// indent puts a prefix before every line.
func indent(s, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(prefix + line)
	}
	return b.String()
}

// trustTemplate is a trust file with a comment for each part that it can have.
const trustTemplate = `# Whom a verifier believes: who may say who signed something, and when. Whoever can
# change this file decides what is believed, so keep it as you keep the policy, and pin
# it there (trust: sha256:…, as pedigree trust show prints it).
#
# Each part is added with pedigree trust add, or by hand; then metadata.version goes up.
# The fields are on the page docs/format/trust.md.
apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata:
  name: %s
  version: 1
  expires: %s # review it by then: after it every answer is UNDECIDED

# sigstore: instances, each judged whole. A certificate of one is logged, recorded and
# timed by the same.
#   - name: acme
#     trustedRoot: acme/trusted_root.json   # or tuf: NAME of a repository below
#     logs: 1              # different logs that must have it
#     timestamps: 1        # different authorities that must say when
#     certificateLogs: 1   # different logs that must have the certificate
#
# timestampAuthorities: who says when plain keys and X.509-SVIDs signed.
#   - {name: acme-tsa, chain: tsa-chain.pem, from: 2026-01-01T00:00:00Z, until: 2028-01-01T00:00:00Z}
#
# timestamps: 1, how many of them must agree.
#
# spiffe: trust domains whose workloads sign with X.509-SVIDs.
#   - {domain: prod.acme.example, bundle: spiffe-bundle.json, from: 2026-01-01T00:00:00Z}
#
# keys: when plain keys count, whatever a policy says.
#   - {key: keys/data.pub, from: 2026-01-01T00:00:00Z, until: 2027-01-01T00:00:00Z}
#
# tuf: repositories that a trusted root is fetched from.
#   - {name: acme-tuf, url: https://tuf.acme.example, root: acme-root.json, target: trusted_root.json}
`

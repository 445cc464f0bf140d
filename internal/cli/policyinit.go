package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/internal/templates"
	"github.com/pedigree-ml/pedigree/policy"
)

func (a *app) policyInitCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "init [TEMPLATE]",
		Short: "write a policy to begin with, and its tests",
		Long: `Writes policy.yaml, policy_test.yaml and README.md of a template into a folder, and
says what to do next. The policies end in a year. Files that are there are never
overwritten. Without TEMPLATE it lists the templates.`,
		Example: `  pedigree policy init
  pedigree policy init credit --dir policies/credit`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return arguments("TEMPLATE")(c, args)
			}
			return nil
		},
		ValidArgsFunction: completeTemplates,
		RunE: act(func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return a.listTemplates()
			}
			return a.policyInit(args[0], dir)
		}),
	}
	c.Flags().StringVar(&dir, "dir", ".", "the `FOLDER` to write into; it is made if it is not there")
	return c
}

func (a *app) listTemplates() error {
	var b strings.Builder
	for _, t := range templates.All() {
		fmt.Fprintf(&b, "%-10s %s\n", t.Name, t.For)
	}
	_, err := io.WriteString(a.Stdout, b.String())
	return err
}

func templateNames() string {
	var names []string
	for _, t := range templates.All() {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

func (a *app) policyInit(name, dir string) error {
	// From midnight, so that a policy that is initialised twice in a day is one policy.
	list, err := templates.Files(name, a.Now().UTC().AddDate(1, 0, 0).Truncate(24*time.Hour))
	if err != nil {
		return &attest.Refusal{Code: attest.CodeUsage, About: name, Why: "there is no such template", Next: "there is " + templateNames()}
	}
	// All or nothing: a policy beside somebody else's tests would be neither's.
	for _, f := range list {
		path := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return &attest.Refusal{Code: attest.CodeUsage, About: path, Why: "is there already, and nothing is overwritten", Err: cause(err), Next: "name another folder with --dir"}
		}
	}
	folder := dir
	if templates.Keys(name) {
		folder = filepath.Join(dir, "keys") // where the templates' policies look for keys
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return &attest.Refusal{Code: attest.CodeFileIO, About: folder, Why: "the folder cannot be made", Err: cause(err)}
	}
	var b strings.Builder
	for _, f := range list {
		path := filepath.Join(dir, f.Name)
		if err := writeNew(path, f.Content, 0o644); err != nil {
			return &attest.Refusal{Code: attest.CodeFileIO, About: path, Why: "the file cannot be written", Err: cause(err)}
		}
		fmt.Fprintf(&b, "wrote %s\n", path)
	}
	if err := nextSteps(&b, list, dir); err != nil {
		return err
	}
	_, err = io.WriteString(a.Stdout, b.String())
	return err
}

// nextSteps says what to do with a policy that was just written.
func nextSteps(w *strings.Builder, list []templates.File, dir string) error {
	read := func(name string) ([]byte, error) {
		for _, f := range list {
			if f.Name == name {
				return f.Content, nil
			}
		}
		return nil, fs.ErrNotExist
	}
	src, err := read("policy.yaml")
	if err != nil {
		return fmt.Errorf("the template has no policy: %w", err) // unreachable, see below
	}
	p, err := policy.Rehearse(src, read, rehearse.Key)
	if err != nil {
		return fmt.Errorf("the template does not load: %w", err) // unreachable: a test loads them all
	}
	file := filepath.Join(dir, "policy.yaml")
	fmt.Fprintf(w, "\nTry it out; no keys are needed, the tests make their own:\n\n  pedigree policy test %s --cover\n", file)
	if p.NamesKeys() {
		w.WriteString("\nThe policy names a public key for each of these, in files that do not exist yet. Each\nof them makes a key, keeps the private half, and gives you the public one:\n\n")
	}
	var theirs, identities []string
	for _, party := range p.Parties() {
		if len(party.Rules) > 0 {
			for _, m := range party.Means {
				identities = append(identities, "  "+party.Name+"  "+m.String()+"\n")
			}
			continue
		}
		if _, name, other := strings.Cut(party.Name, "/"); other {
			theirs = append(theirs, filepath.Join(dir, "keys", name+".pub"))
			continue
		}
		fmt.Fprintf(w, "  pedigree key generate --out %s\n", filepath.Join(dir, "keys", party.Name))
	}
	if len(theirs) > 0 { // another policy's keys are their owners' business
		fmt.Fprintf(w, "\nThese keys are other people's. They give you the public half, and it goes here:\n\n  %s\n", strings.Join(theirs, "\n  "))
	}
	if len(identities) > 0 {
		fmt.Fprintf(w, "\nThe policy names these identities, as certificates have them. Put yours in their place,\nand say in a trust file which authorities vouch for them (pedigree trust init):\n\n%s", strings.Join(identities, ""))
	}
	for _, f := range list {
		if other := filepath.Join(dir, f.Name); filepath.Ext(f.Name) == ".yaml" && f.Name != "policy.yaml" && f.Name != "policy_test.yaml" {
			fmt.Fprintf(w, "\n%s names %s by its digest, which that key is part of. Put in what this prints:\n\n  pedigree policy check %s\n", file, f.Name, other)
		}
	}
	fmt.Fprintf(w, "\nThen see that the policy loads, and read in plain sentences what it asks:\n\n  pedigree policy check %s\n  pedigree policy explain %s\n", file, file)
	fmt.Fprintf(w, "\n%s says what each part is for, and what to change first. Change\n%s with it.\n", filepath.Join(dir, "README.md"), filepath.Join(dir, "policy_test.yaml"))
	return nil
}

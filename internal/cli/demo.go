package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/examples/credit"
	"github.com/pedigree-ml/pedigree/internal/play"
)

func (a *app) demoCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "demo",
		Short: "run a real pipeline, verify it, and attack it",
		Long: `Makes keys, a data set, a model, its evaluations and approvals in DIR, verifies the
chain, then plays eight attacks and a withdrawal, and shows how each is refused; asks the
questions of an incident; and asks the deploy gate, over HTTP if curl is there. Every command is
printed before it runs and works by hand. Needs git and a shell, no network.

Exit status: 0 only if everything went as announced.`,
		Example: "  pedigree demo --dir demo",
		Args:    arguments(),
		RunE: act(func(ctx context.Context, _ []string) error {
			return a.demo(ctx, dir)
		}),
	}
	c.Flags().StringVar(&dir, "dir", "pedigree-demo", "the folder to work in; one left by an earlier demo is replaced")
	c.AddCommand(a.demoCreditCommand(), a.demoForceAttachCommand(), a.demoRemoveCommand())
	return c
}

// demoCreditCommand is the pipeline's own program: what a real project would
// have as a training script.
func (a *app) demoCreditCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "credit STEP [flags]",
		Short:              "the demonstration's training program",
		Hidden:             true,
		DisableFlagParsing: true, // the program has its own
		RunE: func(_ *cobra.Command, args []string) error {
			if status := credit.Run(args, a.Stdin, a.Stdout, a.Stderr, a.Now); status != 0 {
				return &ranError{&statusError{status: status}}
			}
			return nil
		},
	}
}

// demoForceAttachCommand is the attacker's tool: attach without the check that
// the bundle is about the artifact. Who can write to a registry needs no more.
func (a *app) demoForceAttachCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "force-attach REF BUNDLE",
		Short:  "attach a bundle to an artifact that it is not about, as an attacker would",
		Hidden: true,
		Args:   arguments("REF", "BUNDLE"),
		RunE: act(func(ctx context.Context, args []string) error {
			b, err := readFile(args[1], attest.MaxBundle)
			if err != nil {
				return err
			}
			repo, ref, err := a.resolve(ctx, args[0], nil)
			if err != nil {
				return err
			}
			d, err := repo.Attach(ctx, ref.Digest, b)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%s\n", d)
			return err
		}),
	}
}

// demoRemoveCommand is the attacker's other tool: whoever may write to a registry
// may mostly delete from it too. In a layout that is a line less in index.json.
func (a *app) demoRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "remove REF PAYLOAD",
		Short:  "remove a statement that is attached to an artifact in a layout, as an attacker would",
		Hidden: true,
		Args:   arguments("REF", "PAYLOAD"),
		RunE: act(func(ctx context.Context, args []string) error {
			repo, ref, err := a.resolve(ctx, args[0], nil)
			if err != nil {
				return err
			}
			found, err := attached(ctx, repo, ref.Digest)
			if err != nil {
				return err
			}
			removed := 0
			for _, l := range found {
				if l.Payload.String() != args[1] {
					continue
				}
				if err := removeFromLayout(ref.Repository.Name(), l.Manifest); err != nil {
					return err
				}
				removed++
			}
			if removed == 0 {
				return &attest.Refusal{Code: attest.CodeNotFound, About: args[1], Why: "nothing like it is attached to " + ref.Digest.String()}
			}
			return nil
		}),
	}
}

// removeFromLayout takes a manifest out of a layout's index.
func removeFromLayout(layout string, manifest attest.Digest) error {
	name := filepath.Join(layout, "index.json")
	b, err := readFile(name, maxLooseBytes)
	if err != nil {
		return err
	}
	var index map[string]json.RawMessage
	var manifests, kept []json.RawMessage
	if err := errors.Join(json.Unmarshal(b, &index), json.Unmarshal(index["manifests"], &manifests)); err != nil {
		return jsonError(name, err)
	}
	for _, m := range manifests {
		if !bytes.Contains(m, []byte(manifest.String())) {
			kept = append(kept, m)
		}
	}
	if index["manifests"], err = json.Marshal(kept); err != nil {
		return err
	}
	if b, err = json.Marshal(index); err != nil {
		return err
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return fileRefusal(name, err)
	}
	return nil
}

// demoMarker is the file by which a later demo knows a folder that it may
// replace. Nothing else is ever removed.
const demoMarker = ".pedigree-demo"

// prepareDemo makes the folder, with what the pipeline starts from.
func prepareDemo(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fileRefusal(dir, err)
	case len(entries) > 0:
		if _, err := os.Lstat(filepath.Join(dir, demoMarker)); err != nil {
			return &attest.Refusal{Code: attest.CodeUsage, About: dir, Why: "has something in it that no demo made", Next: "choose another --dir"}
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fileRefusal(dir, err)
			}
		}
	}
	policy, err := credit.Policy(now.AddDate(1, 0, 0))
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{
		{demoMarker, []byte("made by pedigree demo, which may replace this folder\n")},
		{"raw/german-credit.csv", credit.Data()},
		{"raw/ATTRIBUTION.md", credit.Attribution()},
		{"code/prepare.sh", []byte(prepareScript)},
		{"code/train.sh", []byte(trainScript)},
		{"policy.yaml", policy},
		{"gate.yaml", []byte(demoGate)},
		{"deployment.yaml", []byte(demoDeployments)},
	} {
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fileRefusal(dir, err)
		}
		if err := os.WriteFile(name, f.text, 0o644); err != nil {
			return fileRefusal(name, err)
		}
	}
	return nil
}

// What the demonstration's code repository holds.
const (
	prepareScript = `#!/bin/sh
# Divides the data into a training and a test set.
set -eu
exec pedigree demo credit split --in "$1" --train "$2" --test "$3" --seed 30 --test-share 0.3
`
	trainScript = `#!/bin/sh
# Fits the model. The hyperparameters are under version control with the code.
set -eu
exec pedigree demo credit train --data "$1" --out "$2" --epochs 400 --learning-rate 0.5 --l2 0.02 --seed 1
`
)

// linkSelf makes DIR/bin/pedigree this program, so that the commands below are
// those that a reader types.
func linkSelf(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fileRefusal("pedigree", err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fileRefusal(bin, err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "pedigree")); err != nil {
		return fileRefusal(bin, err)
	}
	return nil
}

func (a *app) demo(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fileRefusal(dir, err)
	}
	now := a.Now().UTC()
	if err := prepareDemo(dir, now); err != nil {
		return err
	}
	if err := linkSelf(dir); err != nil {
		return err
	}
	path, _ := a.getenv("PATH")
	stage := &play.Stage{Dir: dir, Out: a.Stdout, Env: append(append([]string{}, a.Env...),
		"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+path,
		passwordVariable+"=")}
	stage.Say("A real pipeline in %s, without a server: ocidir://registry is an OCI layout.\nEvery line that begins with $ can be typed there:\n\n  cd %s\n  export PATH=$PWD/bin:$PATH PEDIGREE_PASSWORD=", attest.Printable(dir), attest.Printable(dir))
	if err := stage.Play(ctx, demoScenes(now)); err != nil {
		return err
	}
	return endDemo(stage, a.Now().Sub(now))
}

func endDemo(stage *play.Stage, took time.Duration) error {
	if stage.Surprises > 0 {
		return &attest.Refusal{Code: attest.CodeInternal, About: stage.Dir, Why: fmt.Sprintf("%d of the demonstration's commands did not end as announced", stage.Surprises), Next: "look for the lines with !!"}
	}
	stage.Say(`
━━ That was it: %d commands in %s, each as announced.

Where things lie, in %s:
  registry/     the OCI layout with data, models and all evidence
  policy.yaml   what the model must show; keys/ has who may say it
  gate.yaml     for whom the deploy gate asks; deployment.yaml is what it is asked about
  work/         the files of each step

To type it all yourself, from its first command on:
  mkdir again && cp -r bin raw code *.yaml again/ && rm -rf again/code/.git && cd again

What to try next:
  pedigree list ocidir://registry:int8            what is attached, unverified
  pedigree verify ocidir://registry:int8 --policy policy.yaml --output json
  edit policy.yaml, ask for an accuracy of 0.80, and verify again`,
		stage.Commands, took.Round(time.Second/10), attest.Printable(stage.Dir))
	return nil
}

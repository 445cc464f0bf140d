package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

func (a *app) pushCommand() *cobra.Command {
	var m oci.Metadata
	c := &cobra.Command{
		Use:   "push REF PATH…",
		Short: "pack files as an artifact and push it",
		Long: `Packs files as a CNCF ModelPack artifact, pushes it, and prints its reference
with the digest. One folder gives its contents, with paths relative to it. The
same files, kind, name and version give the same digest on every machine.`,
		Example: "  pedigree push ocidir://registry:model model/ --name credit --version 1.0",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return &attest.Refusal{Code: attest.CodeUsage, About: c.CommandPath(), Why: "want REF and at least one PATH", Next: "see pedigree push --help"}
			}
			return nil
		},
		RunE: act(func(ctx context.Context, args []string) error {
			return a.push(ctx, args[0], args[1:], m)
		}),
	}
	c.Flags().StringVar(&m.Kind, "kind", "model", "model, dataset, code or doc")
	c.Flags().StringVar(&m.Name, "name", "", "the artifact's name, for its configuration")
	c.Flags().StringVar(&m.Version, "version", "", "the artifact's version, for its configuration")
	return c
}

func (a *app) push(ctx context.Context, ref string, paths []string, m oci.Metadata) error {
	to, err := attest.ParseReference(ref)
	if err != nil {
		return err
	}
	bars, wait := a.progress()
	defer wait()
	o := a.ociOptions(bars)
	repo, err := oci.Open(to.Repository, o)
	if err != nil {
		return err
	}
	packed, err := oci.Pack(ctx, paths, m, o)
	if err != nil {
		return err
	}
	if !to.Digest.IsZero() && to.Digest != packed.Digest() {
		return &attest.Refusal{Code: attest.CodeRegDigest, About: to.Digest.String(), Why: "the files give " + packed.Digest().String(), Next: "push without a digest, or push the files that it names"}
	}
	got, err := repo.Push(ctx, packed, to.Tag)
	if err != nil {
		return err
	}
	wait()
	return a.printReference(got)
}

// printReference prints an artifact's name as the next command takes it.
func (a *app) printReference(ref attest.Reference) error {
	_, err := fmt.Fprintf(a.Stdout, "%s\n", ref.Repository.At(ref.Digest))
	return err
}

func (a *app) pullCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "pull REF --to DIR",
		Short: "fetch an artifact's files",
		Long: `Fetches the files of an artifact into a folder that is absent or empty. The folder
appears whole and checked, or not at all. Prints the reference with the digest.
What the files are worth, only verify says.`,
		Example: "  pedigree pull ocidir://registry:model --to model/",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			bars, wait := a.progress()
			defer wait()
			repo, ref, err := a.resolve(ctx, args[0], bars)
			if err != nil {
				return err
			}
			if err := repo.Pull(ctx, ref.Digest, to); err != nil {
				return missing(ref, err)
			}
			wait()
			return a.printReference(ref)
		}),
	}
	c.Flags().StringVar(&to, "to", "", "the folder to write to")
	required(c, "to")
	return c
}

func (a *app) ociOptions(bars *bars) oci.Options {
	o := oci.Options{UserAgent: "pedigree/" + version()}
	if bars != nil {
		o.Progress = bars
	}
	if a.offline {
		o.Transport = silence{}
	}
	return o
}

// silence sends nothing (--offline).
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.URL.Host, Why: "not asked: --offline", Next: "use a layout, ocidir://FOLDER, or leave --offline out"}
}

// resolve opens the repository of a reference and resolves its tag: once, so
// that everything that follows is about one artifact, even if the tag moves.
func (a *app) resolve(ctx context.Context, s string, bars *bars) (*oci.Repository, attest.Reference, error) {
	ref, err := attest.ParseReference(s)
	if err != nil {
		return nil, attest.Reference{}, &statusError{exitUsage, err} // whatever is wrong with it, it was typed
	}
	repo, err := oci.Open(ref.Repository, a.ociOptions(bars))
	if err != nil {
		return nil, attest.Reference{}, err
	}
	d, err := repo.Resolve(ctx, ref)
	if err != nil {
		return nil, attest.Reference{}, missing(ref, err)
	}
	ref.Digest = d
	return repo, ref, nil
}

// missing turns "the repository says it is not there" into a refusal about the
// artifact that was asked for, and leaves "could not look" alone.
func missing(ref attest.Reference, err error) error {
	if !errors.Is(err, attest.ErrAbsent) {
		return err
	}
	return &attest.Refusal{Code: attest.CodeSubjectMissing, About: ref.String(), Why: "there is no such artifact", Next: "check the reference, or push the artifact: pedigree push"}
}

// manifest returns the manifest of an artifact, or of its stand-in. It answers
// attest.CodeSubjectMissing if the repository holds neither.
func manifest(ctx context.Context, repo *oci.Repository, ref attest.Reference) ([]byte, error) {
	b, err := repo.Manifest(ctx, ref.Digest)
	if errors.Is(err, attest.ErrAbsent) {
		b, err = repo.Manifest(ctx, attest.SHA256(attest.StandIn(ref.Digest)))
	}
	if err != nil {
		return nil, missing(ref, err)
	}
	return b, nil
}

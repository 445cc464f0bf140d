package fleet

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// Write makes the fleet and writes all of it into one repository, files included:
// for small fleets, as every attestation is attached and looked for one by one.
//
// What is no bundle is left out, as nobody could attach it by these means. Tags are
// those of the artifacts. It returns what it wrote. An artifact that packs to another
// digest than the plan gave it is E_INTERNAL.
func (f *Fleet) Write(ctx context.Context, to *oci.Repository) (Stats, error) {
	var s Stats
	aside, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		return s, &attest.Refusal{Code: attest.CodeFileIO, Why: "no folder for files", Err: err}
	}
	defer os.RemoveAll(aside)
	err = f.Generate(ctx, func(item Item) error {
		if item.Manifest != nil {
			s.Artifacts++
			return push(ctx, to, item, filepath.Join(aside, item.Artifact.Hex()))
		}
		if _, err := attest.ParseBundle(item.Bundle); err != nil {
			return nil
		}
		if item.Stranger {
			s.Strangers++
		} else {
			s.Attestations++
		}
		s.Bytes += int64(len(item.Bundle))
		_, err := to.Attach(ctx, item.Artifact, item.Bundle)
		return err
	})
	return s, err
}

// push packs an artifact's files and pushes them under its tag.
func push(ctx context.Context, to *oci.Repository, item Item, dir string) error {
	for path, text := range item.Files {
		at := filepath.Join(dir, filepath.FromSlash(path))
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			return &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
		}
	}
	defer os.RemoveAll(dir)
	packed, err := oci.Pack(ctx, []string{dir}, oci.Metadata{Kind: item.Kind}, oci.Options{})
	if err != nil {
		return err
	}
	if packed.Digest() != item.Artifact {
		return attest.Refuse(attest.CodeInternal, "%s packs to %s", item.Artifact, packed.Digest())
	}
	_, err = to.Push(ctx, packed, item.Tag)
	return err
}

package cli

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// inspect looks at the bytes in a folder that is to be the artifact: they are what
// will run, whatever was signed about other bytes. A folder that is not exactly the
// artifact is refused, with every difference, and nothing is judged.
func (in *inquiry) inspect(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	if !in.index.IsZero() {
		return &attest.Refusal{Code: attest.CodeUsage, About: "--dir", Why: "the reference is to an index of several artifacts; a folder is one of them", Next: "name one of its manifests by digest"}
	}
	b, err := manifest(ctx, in.repo, in.targets[0])
	if err != nil {
		return err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return err
	}
	bars, wait := in.app.progress()
	defer wait()
	inspected, paths, err := inspectDir(ctx, dir, m, bars)
	wait()
	if err != nil {
		return err
	}
	if different := compareDir(m, paths); len(different) > 0 {
		return &manyRefusals{different}
	}
	in.times.Inspected = inspected
	in.notes = append(in.notes, "the files in "+dir+" were read: they are the artifact's, byte for byte")
	return nil
}

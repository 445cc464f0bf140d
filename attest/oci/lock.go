package oci

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filelock"
)

// lock takes the layout's lock, which one process at a time holds while it
// replaces the index.
func (l *layout) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(l.dir, lockFile)
	unlock, err = filelock.Lock(ctx, path, 0o644)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Why: "another process is writing to the layout", Err: err}
	case err != nil:
		return nil, fileError(path, err)
	}
	return unlock, nil
}

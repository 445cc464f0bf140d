package state

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filelock"
)

// maxWait is how long the lock is waited for. Who holds it writes one small file;
// ten seconds are a thousand such writers, or a stopped process.
const maxWait = 10 * time.Second

// lock takes the folder's lock, which one process at a time holds while it reads,
// merges and replaces.
func (d *Dir) lock() (unlock func(), err error) {
	path := filepath.Join(d.path, lockFile)
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	unlock, err = filelock.Lock(ctx, path, 0o600)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &attest.Refusal{Code: attest.CodeState, About: path, Why: "another process holds the lock and does not let go", Next: "see which one it is, and run this again"}
	case err != nil:
		return nil, unusable(path, err)
	}
	return unlock, nil
}

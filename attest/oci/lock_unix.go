//go:build unix

package oci

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// lock takes the layout's lock, which one process at a time holds while it
// replaces the index. The system releases it when the process ends, however it
// ends, so a killed writer blocks nobody. The lock file itself stays.
func (l *layout) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(l.dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fileError(path, err)
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fileError(path, err)
		}
		if err := sleep(ctx, wait); err != nil {
			f.Close()
			return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Why: "another process is writing to the layout", Err: err}
		}
	}
}

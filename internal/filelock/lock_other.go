//go:build !unix

package filelock

import (
	"context"
	"io/fs"
)

// Lock returns ErrUnsupported.
func Lock(context.Context, string, fs.FileMode) (unlock func(), err error) {
	return nil, ErrUnsupported
}

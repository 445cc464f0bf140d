//go:build !unix

package oci

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// lock refuses: without a lock that ends with its process, two writers would lose
// each other's evidence. Reading a layout, and registries, work.
func (l *layout) lock(context.Context) (unlock func(), err error) {
	return nil, attest.Refuse(attest.CodeFileIO, "layouts cannot be written on this system: it has no flock")
}

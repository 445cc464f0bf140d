//go:build ignore

// Evidence cannot be made from a statement that nobody verified.
package main // want: implicit assignment to unexported field e in struct literal of type

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	_ = verify.Evidence{&attest.Statement{}}
}

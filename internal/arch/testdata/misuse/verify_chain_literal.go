//go:build ignore

// Only Walk makes a chain.
package main // want: unknown field Root in struct literal of type

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	_ = verify.Chain{Root: attest.SHA256(nil)}
}

//go:build ignore

// A bundle of the right shape is no evidence, not even by conversion.
package main // want: cannot convert *b (variable of struct type attest.Bundle) to type

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	b, _ := attest.ParseBundle(nil)
	_ = verify.Evidence(*b)
}

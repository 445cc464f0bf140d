//go:build ignore

package main // want: .Evidence value

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	b, _ := attest.ParseBundle(nil) // checked for shape, believed in nothing
	var e verify.Evidence = b
	_ = e
}

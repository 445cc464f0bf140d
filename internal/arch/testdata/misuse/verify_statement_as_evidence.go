//go:build ignore

// A statement read from a file is no evidence.
package main // want: verify".Evidence value in argument

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func judge(verify.Evidence) {}

func main() {
	st, _ := attest.ParseStatement(nil)
	judge(st)
}

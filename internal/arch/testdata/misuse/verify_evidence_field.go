//go:build ignore

// Evidence has no field that could be filled in.
package main // want: unknown field Statement in struct literal of type

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	_ = verify.Evidence{Statement: &attest.Statement{}}
}

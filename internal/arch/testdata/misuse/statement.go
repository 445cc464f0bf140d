//go:build ignore

package main // want: .Chain value in argument

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func main() {
	var st attest.Statement // read from a file, checked by nobody
	new(policy.Policy).Evaluate(st, policy.Question{})
}

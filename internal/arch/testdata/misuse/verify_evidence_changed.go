//go:build ignore

// What was signed cannot be changed afterwards.
package main // want: e.e undefined

import "github.com/pedigree-ml/pedigree/verify"

func main() {
	e, _ := verify.Open(nil, verify.Signers{})
	e.e = nil
}

//go:build ignore

package main // want: implicit assignment to unexported field

import "github.com/pedigree-ml/pedigree/verify"

func main() {
	_ = verify.Chain{nil} // a chain that Walk did not make
}

//go:build ignore

package main // want: implicit assignment to unexported field

import "github.com/pedigree-ml/pedigree/verify"

func main() {
	_ = verify.Evidence{nil} // evidence that Open did not make
}

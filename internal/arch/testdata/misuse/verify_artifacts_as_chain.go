//go:build ignore

// Artifacts put together by hand are no chain.
package main // want: verify".Chain value in argument

import "github.com/pedigree-ml/pedigree/verify"

func judge(verify.Chain) {}

func main() {
	judge([]verify.Artifact{{Evidence: nil}})
}

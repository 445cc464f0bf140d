//go:build ignore

// An identity needs a real credential.
package main // want: verify".Credential value in struct literal

import "github.com/pedigree-ml/pedigree/verify"

func main() {
	_ = verify.ID{Credential: "key:sha256:00"}
}

//go:build ignore

// A credential comes from a key, never from a name.
package main // want: unexported field name in struct literal of type

import "github.com/pedigree-ml/pedigree/verify"

func main() {
	_ = verify.Credential{name: "key:sha256:00"}
}

//go:build ignore

package main // want: implicit assignment to unexported field

import (
	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func main() {
	_ = policy.Policy{nil, nil, attest.Digest{}} // a policy that Load did not check
}

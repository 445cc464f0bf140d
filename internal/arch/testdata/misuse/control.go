//go:build ignore

// The control: what the other files do wrongly, done rightly. It must compile,
// or their failures prove nothing.
package main // want: nothing

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

func main() {
	var p policy.Policy
	chain, err := verify.Walk(context.Background(), attest.SHA256(nil), nil, p.Scope())
	if err == nil {
		p.Evaluate(chain, policy.Question{})
	}
}

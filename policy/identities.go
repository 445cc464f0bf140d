package policy

import (
	"slices"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Identities returns the rules under which identities count, of the policies that it
// names too, each once.
func (p *Policy) Identities() []trust.Rule {
	var out []trust.Rule
	for _, r := range p.Scope().Identities {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

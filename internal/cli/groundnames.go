package cli

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// reading is how the answer calls those who signed.
func (gr *ground) reading() lineage.Reading {
	return lineage.Reading{Name: gr.name, RuleName: gr.ruleName}
}

// ruleName is what the policy calls whom a rule means, whatever claims it asks for; ""
// if several principals have such a rule.
func (gr *ground) ruleName(r trust.Rule) string {
	if gr.policy == nil {
		return ""
	}
	name := ""
	for _, party := range gr.policy.Parties() {
		if !slices.ContainsFunc(party.Rules, func(x trust.Rule) bool {
			x.Claims, r.Claims = trust.Claims{}, trust.Claims{}
			return x == r
		}) {
			continue
		}
		if name != "" {
			return ""
		}
		name = party.Name
	}
	return name
}

// name is what the policy, or the file of a key, calls a credential; "" if nothing
// does.
func (gr *ground) name(c verify.Credential) string {
	if name, ok := gr.names[c]; ok {
		return name
	}
	// By a pattern: of one principal, or it is nobody's name.
	i, ok := c.Identity()
	if !ok || gr.policy == nil {
		return ""
	}
	name := ""
	for _, party := range gr.policy.Parties() {
		if !slices.ContainsFunc(party.Rules, func(r trust.Rule) bool { return r.Names(i) }) {
			continue
		}
		if name != "" {
			return ""
		}
		name = party.Name
	}
	return name
}

// repositories reads arguments that name repositories.
func repositories(args []string) ([]attest.Repository, error) {
	var out []attest.Repository
	for _, s := range args {
		r, err := attest.ParseRepository(s)
		if err != nil {
			return nil, &statusError{exitUsage, err}
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out, nil
}

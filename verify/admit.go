package verify

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Admits reports whether evidence would extend a walk with this scope: whether its
// signer may perform a step of its kind. Evidence that is about a file of an
// artifact only, and not about the artifact itself, is so by file.
func (s Scope) Admits(e Evidence, file bool) bool {
	facts, err := e.Facts()
	if err != nil {
		return false
	}
	for _, f := range s.Follow {
		if f.admits(e, &facts, file) {
			return true
		}
	}
	return false
}

// admits is Admits for one step. Without facts the build type is not known, and any is
// taken for possible.
func (f Follow) admits(e Evidence, facts *predicate.Facts, file bool) bool {
	if f.PredicateType != e.PredicateType() || f.BuildType != "" && facts != nil && f.BuildType != facts.BuildType || file && !f.Files {
		return false
	}
	return f.Lets(e)
}

// Lets reports whether the step is performed by whoever signed e: the credential is
// one of By, or ByIdentity means the identity under any of the certificates that it
// signed with, or anybody may. What e says is not asked.
func (f Follow) Lets(e Evidence) bool {
	c := e.ID().Credential
	if f.ByAll && c != (Credential{}) || slices.Contains(f.By, c) {
		return true
	}
	i, ok := c.Identity()
	return ok && slices.ContainsFunc(f.ByIdentity, func(r trust.Rule) bool {
		return slices.ContainsFunc(e.Claims(), func(c trust.Claims) bool { return r.Matches(i, c) })
	})
}

// May reports whether something that the credential signs can be of the step, whatever
// its certificate will claim. It is for those who are about to sign.
func (f Follow) May(c Credential) bool {
	if f.ByAll && c != (Credential{}) || slices.Contains(f.By, c) {
		return true
	}
	i, ok := c.Identity()
	return ok && slices.ContainsFunc(f.ByIdentity, func(r trust.Rule) bool { return r.Names(i) })
}

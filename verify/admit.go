package verify

import "github.com/pedigree-ml/pedigree/attest/predicate"

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

func (f Follow) admits(e Evidence, facts *predicate.Facts, file bool) bool {
	if f.PredicateType != e.PredicateType() || f.BuildType != "" && f.BuildType != facts.BuildType || file && !f.Files {
		return false
	}
	for _, c := range f.By {
		if c == e.ID().Credential {
			return true
		}
	}
	return false
}

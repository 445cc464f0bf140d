package trust

// claimNames are the names of the fields of Claims in the order of all: those under
// which they are written in JSON, in policies and in expressions.
var claimNames = [...]string{
	"buildSignerURI", "buildSignerDigest", "runnerEnvironment", "sourceRepository", "sourceDigest", "sourceRef", "sourceRepositoryID",
	"sourceOwner", "sourceOwnerID", "buildConfigURI", "buildConfigDigest", "trigger", "runInvocation", "sourceVisibility",
}

// ClaimNames returns the names of all claims, as JSON has them.
func ClaimNames() []string { return append([]string(nil), claimNames[:]...) }

// Get returns the claim of a name; "" if the certificate does not say, or there is no
// claim of that name.
func (c Claims) Get(name string) string {
	for i, n := range claimNames {
		if n == name {
			return *c.all()[i]
		}
	}
	return ""
}

// Set gives a claim a value, and reports whether there is a claim of that name.
func (c *Claims) Set(name, value string) bool {
	for i, n := range claimNames {
		if n == name {
			*c.all()[i] = value
			return true
		}
	}
	return false
}

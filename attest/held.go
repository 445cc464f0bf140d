package attest

// Held is an artifact that a repository lists by itself, without being asked for
// it.
type Held struct {
	Digest Digest
	// Tags are the names that people gave it, sorted; those of the bookkeeping of
	// evidence are left out. An artifact that is listed by its digest alone has none.
	Tags []string
	// StandIn is true if it is held as a stand-in only: Digest is what that stands for.
	StandIn bool
}

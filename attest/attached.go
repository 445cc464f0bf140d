package attest

// Attached is one attestation as a repository lists it: untrusted bytes, or the
// reason why they could not be read.
type Attached struct {
	// Manifest is the digest under which the repository lists it. It is no
	// identity: the same attestation can be attached twice.
	Manifest Digest
	// PredicateType is what an annotation says the bundle holds: a hint.
	PredicateType string
	// Bundle is the bundle's bytes; nil if Err is set.
	Bundle []byte
	// Err says why a listed attestation could not be read: something may be there
	// that nobody saw.
	Err error
}

// ErrAbsent is wrapped by errors of those who looked and know that a thing is not
// there. Every other error means that it may be.
var ErrAbsent error = Refuse(CodeNotFound, "not there")

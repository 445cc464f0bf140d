package attest

import (
	"errors"
	"slices"
)

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
	// Note is what the verifier that stored the bundle noted when it opened it, if a
	// source keeps such notes. Only that verifier can tell a note from a made-up one.
	Note []byte
	// Err says why a listed attestation could not be read: something may be there
	// that nobody saw.
	Err error
}

// ErrAbsent is wrapped by errors of those who looked and know that a thing is not
// there. Every other error means that it may be.
var ErrAbsent error = Refuse(CodeNotFound, "not there")

// IsAbsent reports whether an error says that somebody looked and knows that a thing
// is not there. Of several errors in one, all must say so: that one place has nothing
// proves nothing about the one that did not answer.
func IsAbsent(err error) bool {
	for err != nil && err != ErrAbsent {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			errs := many.Unwrap()
			return len(errs) > 0 && !slices.ContainsFunc(errs, func(e error) bool { return !IsAbsent(e) })
		}
		err = errors.Unwrap(err)
	}
	return err != nil
}

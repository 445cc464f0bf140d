package verify

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Source is one place where attestations may lie. Whatever it returns is
// untrusted: stale, forged, incomplete, repeated, in any order.
//
// The two answers "there is nothing" and "I could not look" are kept apart:
// nothing is an empty answer with a nil error; every other error means that
// something may be there that was not seen, and becomes a gap.
type Source interface {
	// Attestations calls yield for each attestation attached to the artifact (to
	// its manifest or, where the source holds no such manifest, to its stand-in),
	// until yield returns false. An error means that the listing is incomplete;
	// what was yielded before it still counts. Calls may run concurrently with
	// each other; yield is not called concurrently within one call.
	Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error

	// Manifest returns the bytes of the manifest with that digest. The error wraps
	// attest.ErrAbsent if the source knows that it holds none. The caller checks
	// the bytes against the digest.
	Manifest(ctx context.Context, artifact attest.Digest) ([]byte, error)
}

// An Expecter is a Source that may be told what it will be asked about, and can begin to
// look. Expect returns at once, and begins nothing that goes on after ctx has ended. It
// is about time alone: what the source answers later is what it would have answered.
type Expecter interface {
	Source
	// Expect says that Attestations will be called for these artifacts, and with
	// manifests Manifest too.
	Expect(ctx context.Context, artifacts []attest.Digest, manifests bool)
}

package lineage

import (
	"context"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// lookBatch is how many artifacts are looked at in one [verify.Look], whose limits
// they share: 128 attestations for each, where a version has about ten.
const lookBatch = 512

// lookInBatches looks at any number of artifacts, and calls each for every one, in
// the order of digests. Keys and memory are those of scope; the limits are the
// usual ones, and not those of a policy, which are for one chain.
//
// Somebody who attaches rubbish to one artifact must not hide the others of its
// batch: what a limit left unread is looked at once more, by itself.
func lookInBatches(ctx context.Context, artifacts []attest.Digest, sources []verify.Source, scope verify.Scope, each func(*verify.Artifact)) error {
	return inBatches(ctx, verify.Look, artifacts, sources, scope, each)
}

// lookAtStandIns is lookInBatches for what has evidence at its stand-in alone.
func lookAtStandIns(ctx context.Context, digests []attest.Digest, sources []verify.Source, scope verify.Scope, each func(*verify.Artifact)) error {
	return inBatches(ctx, verify.LookStandIns, digests, sources, scope, each)
}

type lookFunc func(context.Context, []attest.Digest, []verify.Source, verify.Scope) ([]*verify.Artifact, error)

func inBatches(ctx context.Context, look lookFunc, artifacts []attest.Digest, sources []verify.Source, scope verify.Scope, each func(*verify.Artifact)) error {
	scope = verify.Scope{Signers: scope.Signers, Memory: scope.Memory}
	artifacts = slices.SortedFunc(slices.Values(artifacts), attest.Digest.Compare)
	for batch := range slices.Chunk(slices.Compact(artifacts), lookBatch) {
		found, err := look(ctx, batch, sources, scope)
		if err != nil {
			return err
		}
		for _, a := range found {
			if len(batch) > 1 && slices.ContainsFunc(a.Gaps, func(g verify.Gap) bool { return g.Code == attest.CodeLimit }) {
				again, err := look(ctx, []attest.Digest{a.Digest}, sources, scope)
				if err != nil {
					return err
				}
				a = again[0]
			}
			each(a)
		}
	}
	return nil
}

// known reports whether evidence counts as known at a time: what was first seen
// later does not exist, and what nobody saw exists always.
func known(e verify.Evidence, at time.Time) bool {
	return e.Seen().IsZero() || !e.Seen().After(at)
}

// bounded returns when something happened: by the signer's word, and never later
// than somebody else saw it. It is zero if neither says.
func bounded(claimed, seen time.Time) time.Time {
	if claimed.IsZero() || !seen.IsZero() && seen.Before(claimed) {
		return seen
	}
	return claimed
}

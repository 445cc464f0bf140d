package verify

import (
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// Look looks up the evidence about some artifacts, and goes no further: for
// questions that lead from artifact to artifact by another way than inputs. It
// returns each artifact, sorted by digest and each once, with what Walk would have
// found about it; of scope, Follow, Consult and Also have no part in it. Limits are
// for all of the artifacts together.
//
// The errors are those of [Walk]. No artifacts at all are no error.
func Look(ctx context.Context, artifacts []attest.Digest, sources []Source, scope Scope) ([]*Artifact, error) {
	return look(ctx, artifacts, sources, scope, true)
}

// LookStandIns is Look for what is no artifact of a chain: payloads, credentials, and
// whatever else has evidence at its stand-in alone. Nobody is asked for manifests.
func LookStandIns(ctx context.Context, digests []attest.Digest, sources []Source, scope Scope) ([]*Artifact, error) {
	return look(ctx, digests, sources, scope, false)
}

func look(ctx context.Context, digests []attest.Digest, sources []Source, scope Scope, manifests bool) ([]*Artifact, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	list := slices.SortedFunc(slices.Values(digests), attest.Digest.Compare)
	list = slices.Compact(list)
	w, err := newWalk(list[0], sources, Scope{Signers: scope.Signers, Memory: scope.Memory, Limits: scope.Limits})
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, w.limits.Time)
	defer cancel()
	nodes := make([]*node, len(list))
	for i, d := range list {
		nodes[i] = &node{Artifact: Artifact{Digest: d}}
		w.nodes[d] = nodes[i]
	}
	w.next = map[attest.Digest]bool{}
	if err := w.visitAll(ctx, timed, nodes, manifests); err != nil {
		return nil, err
	}
	finish(w.nodes)
	out := make([]*Artifact, len(list))
	for i, n := range nodes {
		out[i] = &n.Artifact
	}
	return out, nil
}

package verify

import (
	"context"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// consult looks up what is attached to the stand-ins of what the chain rests on:
// the payloads of its evidence, the credentials that signed it, and what scope
// names besides. It begins when the ancestry is complete, so that it takes nothing
// from the ancestry's budgets. It goes round by round, because consulting meets
// further credentials, and who signed a revocation may have been revoked. It ends,
// because after the anchors' payloads only trusted credentials can be new, and the
// grants that others were delegated from, of which there are so many in a row.
//
// What strangers signed, and what lies where it does not belong, has no stand-in
// asked about: whoever may attach something could have us ask for anything.
func (w *walk) consult(ctx, timed context.Context, scope Scope) error {
	round := map[attest.Digest]bool{}
	ask := func(d attest.Digest) {
		if w.consulted[d] == nil {
			round[d] = true
		}
	}
	anchors := make(map[attest.Digest]bool, len(scope.Also))
	for _, d := range scope.Also {
		anchors[d] = true
		ask(d)
	}
	askOf := func(list []Evidence, payloads bool) {
		for _, e := range list {
			if scope.Consult && payloads {
				ask(e.ID().Payload)
			}
			if scope.Consult {
				ask(e.ID().Credential.Standin())
			}
		}
	}
	grants := newPursuit(w, ask)
	for _, d := range slices.SortedFunc(maps.Keys(w.nodes), attest.Digest.Compare) {
		n := w.nodes[d]
		askOf(n.Evidence, true)
		askOf(n.FileEvidence, true)
		if scope.Grants {
			grants.ancestor(n)
		}
	}
	for len(round) > 0 {
		nodes := make([]*node, 0, len(round))
		for _, d := range sorted(round) {
			n := &node{Artifact: Artifact{Digest: d}}
			w.consulted[d] = n
			nodes = append(nodes, n)
		}
		clear(round)
		can := min(len(nodes), w.left.artifacts)
		w.left.artifacts -= can
		leave(nodes[can:], attest.CodeLimit)
		if err := w.visitAll(ctx, timed, nodes[:can], false); err != nil {
			return err
		}
		for _, n := range nodes {
			// The payload of a revocation is not asked about: it is lifted by a
			// restoration beside it. A deny list is a statement like any other.
			askOf(n.Evidence, anchors[n.Digest])
			if scope.Grants {
				grants.consulted(n)
			}
		}
	}
	return nil
}

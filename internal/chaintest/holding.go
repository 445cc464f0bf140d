package chaintest

import (
	"context"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// Tag gives an artifact a name. A Holding that does not list everything lists what
// has one.
func (w *World) Tag(d attest.Digest, tag string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tags[d] = append(w.tags[d], tag)
}

// BreakHeld makes listing what a Holding holds fail with err, after all was yielded;
// a nil err mends it.
func (w *World) BreakHeld(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holding = err
}

// Detach removes what is attached to an artifact under that manifest.
func (w *World) Detach(at, manifest attest.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attached[at] = slices.DeleteFunc(slices.Clone(w.attached[at]), func(a attached) bool { return a.item.Manifest == manifest })
}

// A Holding is a world as a repository that tells what it holds. It satisfies
// lineage.Holding.
type Holding struct {
	source
	repo       attest.Repository
	exhaustive bool
}

// Holding returns the world as a repository. If it is exhaustive it lists every
// manifest, and whatever else something is attached to; otherwise what has a tag.
func (w *World) Holding(repo string, exhaustive bool) *Holding {
	w.t.Helper()
	r, err := attest.ParseRepository(repo)
	w.must(err)
	return &Holding{source{w}, r, exhaustive}
}

// Repository returns the name.
func (h *Holding) Repository() attest.Repository { return h.repo }

// Held yields what the repository lists by itself.
func (h *Holding) Held(ctx context.Context, yield func(attest.Held) bool) (bool, error) {
	w := h.w
	w.mu.Lock()
	held := map[attest.Digest]bool{}
	for d := range w.tags {
		held[d] = true
	}
	if h.exhaustive {
		for d := range w.manifests {
			held[d] = true
		}
		for d, list := range w.attached {
			held[d] = held[d] || len(list) > 0
		}
	}
	var list []attest.Held
	for _, d := range slices.SortedFunc(maps.Keys(held), attest.Digest.Compare) {
		if held[d] {
			list = append(list, attest.Held{Digest: d, Tags: slices.Sorted(slices.Values(w.tags[d])), StandIn: w.manifests[d] == nil})
		}
	}
	broken := w.holding
	w.mu.Unlock()
	for _, held := range list {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !yield(held) {
			return false, nil
		}
	}
	return h.exhaustive && broken == nil, broken
}

// AttestationsExcept is as the source's Attestations, but what is known is yielded
// with its manifest alone.
func (h *Holding) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	return h.Attestations(ctx, d, func(a attest.Attached) bool {
		if known(a.Manifest) {
			a = attest.Attached{Manifest: a.Manifest}
		}
		return yield(a)
	})
}

package oci

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

// Push stores a packed artifact, under a tag too unless that is empty, and
// returns its reference. The manifest goes last, so an artifact that can be found
// is complete.
//
// Files are read again and hashed again on the way: one that is no longer what
// was packed is refused with attest.CodeFileChanged before its last byte is sent.
// Blobs that the repository has already are not sent.
func (r *Repository) Push(ctx context.Context, p *Packed, tag string) (attest.Reference, error) {
	if err := r.store.prepare(ctx); err != nil {
		return attest.Reference{}, err
	}
	ref := r.ref.At(p.Digest())
	if tag != "" {
		if err := checkTag(r.ref, tag); err != nil {
			return attest.Reference{}, err
		}
		ref.Tag = tag
	}
	blobs := []blob{memoryBlob(p.config)}
	names := []string{"configuration"}
	seen := map[attest.Digest]bool{}
	for i := range p.tree.Files {
		f := &p.tree.Files[i]
		if seen[f.Digest] {
			continue // two paths with one content are one blob
		}
		seen[f.Digest] = true
		blobs = append(blobs, blob{digest: f.Digest, size: f.Size, open: f.Open})
		names = append(names, f.Path)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.requestJobs())
	for i, b := range blobs {
		g.Go(func() error {
			add, done := r.opts.start(names[i], b.size)
			defer done()
			b.add = add
			return r.store.putBlob(gctx, b)
		})
	}
	if err := g.Wait(); err != nil {
		return attest.Reference{}, err
	}
	if err := r.store.putManifest(ctx, p.manifest, tag); err != nil {
		return attest.Reference{}, err
	}
	return ref, nil
}

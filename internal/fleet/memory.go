package fleet

import (
	"cmp"
	"context"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A Registry is a fleet in memory: repositories that answer at once, and list
// everything. It does not change, and may be asked by many at once.
type Registry struct {
	repositories []*Repository // sorted by name
	holders      map[attest.Digest][]*Repository
	stats        Stats
}

// Stats is how much there is of a fleet.
type Stats struct {
	Artifacts    int
	Attestations int   // by those who belong to the fleet
	Strangers    int   // attestations by others
	Bytes        int64 // of all bundles
}

// Hold makes the fleet and keeps it, about 3 kB for each attestation.
func (f *Fleet) Hold(ctx context.Context) (*Registry, error) {
	g := &Registry{holders: map[attest.Digest][]*Repository{}}
	byName := map[attest.Repository]*Repository{}
	err := f.Generate(ctx, func(item Item) error {
		r := byName[item.Repository]
		if r == nil {
			r = &Repository{ref: item.Repository, places: map[attest.Digest]*place{}}
			byName[item.Repository] = r
			g.repositories = append(g.repositories, r)
		}
		p := r.places[item.Artifact]
		if p == nil {
			p = &place{}
			r.places[item.Artifact] = p
			g.holders[item.Artifact] = append(g.holders[item.Artifact], r)
		}
		if item.Manifest != nil {
			p.manifest = item.Manifest
			p.tags = []string{item.Tag}
			g.stats.Artifacts++
			return nil
		}
		p.attached = append(p.attached, attest.Attached{Manifest: manifestOf(item), PredicateType: item.PredicateType, Bundle: item.Bundle})
		g.stats.Bytes += int64(len(item.Bundle))
		if item.Stranger {
			g.stats.Strangers++
		} else {
			g.stats.Attestations++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(g.repositories, func(a, b *Repository) int { return cmp.Compare(a.ref.String(), b.ref.String()) })
	for _, r := range g.repositories {
		r.list()
	}
	return g, nil
}

// manifestOf names an attestation as a listing does: the same one attached to two
// artifacts has two manifests. No such manifest can be fetched.
func manifestOf(item Item) attest.Digest {
	return attest.SHA256(append([]byte("attached to "+item.Artifact.String()+"\n"), item.Bundle...))
}

// Stats returns how much there is.
func (g *Registry) Stats() Stats { return g.stats }

// Repositories returns all repositories, sorted by name.
func (g *Registry) Repositories() []*Repository { return slices.Clone(g.repositories) }

// Holdings returns all repositories, for who reads them to the end.
func (g *Registry) Holdings() []lineage.Holding {
	var out []lineage.Holding
	for _, r := range g.repositories {
		out = append(out, r)
	}
	return out
}

// Bundles yields every attestation, strangers' included, repository by repository and
// sorted by artifact, until yield returns false.
func (g *Registry) Bundles(yield func(artifact attest.Digest, a attest.Attached) bool) {
	for _, r := range g.repositories {
		for _, h := range r.held {
			for _, a := range r.places[h.Digest].attached {
				if !yield(h.Digest, a) {
					return
				}
			}
		}
	}
}

var (
	_ verify.Source   = (*Registry)(nil)
	_ verify.Source   = (*Repository)(nil)
	_ lineage.Holding = (*Repository)(nil)
)

// Attestations yields what is attached to an artifact in any of the repositories: one
// source instead of one for each, for walks that should not pay for asking around.
func (g *Registry) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	more := true
	for _, r := range g.holders[artifact] {
		err := r.Attestations(ctx, artifact, func(a attest.Attached) bool { more = yield(a); return more })
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Manifest returns a manifest that any of the repositories holds.
func (g *Registry) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	for _, r := range g.holders[d] {
		if p := r.places[d]; p.manifest != nil {
			return p.manifest, nil
		}
	}
	return nil, attest.ErrAbsent
}

// A Repository is one repository of a Registry. What it returns must not be changed.
type Repository struct {
	ref    attest.Repository
	places map[attest.Digest]*place
	held   []attest.Held
}

// A place is an artifact of a repository, with what is attached to it.
type place struct {
	manifest []byte // nil: there is a stand-in only
	tags     []string
	attached []attest.Attached
}

// list makes the list of what is held.
func (r *Repository) list() {
	for d, p := range r.places {
		r.held = append(r.held, attest.Held{Digest: d, Tags: p.tags, StandIn: p.manifest == nil})
	}
	slices.SortFunc(r.held, func(a, b attest.Held) int { return a.Digest.Compare(b.Digest) })
}

// Repository names it.
func (r *Repository) Repository() attest.Repository { return r.ref }

// Held yields everything, sorted by digest.
func (r *Repository) Held(ctx context.Context, yield func(attest.Held) bool) (exhaustive bool, err error) {
	for _, h := range r.held {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !yield(h) {
			break
		}
	}
	return true, nil
}

// Attestations yields what is attached to an artifact.
func (r *Repository) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	return r.AttestationsExcept(ctx, artifact, func(attest.Digest) bool { return false }, yield)
}

// AttestationsExcept yields what is attached to an artifact, known attestations with
// their manifests alone.
func (r *Repository) AttestationsExcept(ctx context.Context, artifact attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	p := r.places[artifact]
	if p == nil {
		return ctx.Err()
	}
	for _, a := range p.attached {
		if err := ctx.Err(); err != nil {
			return err
		}
		if known(a.Manifest) {
			a = attest.Attached{Manifest: a.Manifest}
		}
		if !yield(a) {
			return nil
		}
	}
	return nil
}

// Manifest returns an artifact's manifest; there is none for stand-ins.
func (r *Repository) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if p := r.places[d]; p != nil && p.manifest != nil {
		return p.manifest, ctx.Err()
	}
	return nil, attest.ErrAbsent
}

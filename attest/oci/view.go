package oci

import (
	"context"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// A View is a repository as one walk over a chain looks at it. It answers what the
// Repository answers, and asks a registry for its tags once instead of once for
// each digest: a walk asks about hundreds of digests, most of which nothing is
// attached to, and the list has an entry for each attestation there is.
//
// So a View does not see what was tagged after its first question. Make one for
// each walk and drop it with the walk; nothing can be written through it, and
// Attach, which must see what it wrote, is not among its methods. They may be
// called concurrently.
type View struct {
	repo  *Repository
	ahead *foresight // nil of a layout
}

// View returns a View of the repository. It asks nobody anything. Of a layout,
// whose files are asked cheaply, a View keeps nothing.
func (r *Repository) View() *View {
	seen := *r
	v := &View{repo: &seen}
	if reg, ok := r.store.(*registry); ok {
		seen.store = &glance{registry: reg, turn: make(chan struct{}, 1)}
		v.ahead = newForesight()
	}
	return v
}

// Attestations is as [Repository.Attestations]. That the registry's tags could not
// be listed is an error of every call, though it is found out only once.
func (v *View) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	if s := v.ahead.take(ctx, listingsOf, artifact); s != nil {
		for _, a := range s.attached {
			if !yield(a) {
				return nil
			}
		}
		return s.err
	}
	return v.repo.Attestations(ctx, artifact, yield)
}

// Manifest is as [Repository.Manifest].
func (v *View) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if s := v.ahead.take(ctx, manifestsOf, d); s != nil {
		return s.manifest, s.err
	}
	return v.repo.Manifest(ctx, d)
}

// A glance is a registry whose tags are listed once.
type glance struct {
	*registry
	turn chan struct{} // held while the tags are listed, and to read list
	list *tagList      // nil until somebody needed it
}

// referrers asks the API about each subject: nothing else tells about one what was
// answered about another. The tags are listed once.
func (g *glance) referrers(ctx context.Context, subject attest.Digest, fresh bool) ([]candidate, error) {
	if fresh {
		return g.registry.referrers(ctx, subject, fresh)
	}
	return g.unite(ctx, subject, func() tagList { return g.listOnce(ctx, false) })
}

// held lists the tags anew, and keeps the list for what is asked later.
func (g *glance) held(ctx context.Context, jobs int) (*inventory, bool, error) {
	return g.takeStock(ctx, jobs, g.listOnce(ctx, true))
}

// listOnce lists the tags, or returns the list that somebody got before; an error too
// is kept, since asking hundreds of times a registry that is down helps nobody.
// Those who come meanwhile wait. Who gave up learned nothing about the registry, and
// the next one asks again. Only anew it returns all tags; otherwise those that
// referrers needs, which are kept.
func (g *glance) listOnce(ctx context.Context, anew bool) tagList {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return tagList{err: &attest.Refusal{Code: attest.CodeRegUnavailable, About: g.repo.Name(), Why: "gave up waiting for the list of tags", Err: ctx.Err()}}
	}
	defer func() { <-g.turn }()
	if g.list != nil && !anew {
		return *g.list
	}
	// From the beginning: a registry that takes "last" amiss could give an empty list,
	// and this one stands for all.
	all := g.listTags(ctx, "")
	if all.err != nil && ctx.Err() != nil {
		return all
	}
	kept := all
	kept.indexes = slices.ContainsFunc(all.tags, isFallbackIndex)
	kept.tags = nil // not the others: they can be let go of
	for _, t := range all.tags {
		if isEvidenceTag(t) {
			kept.tags = append(kept.tags, t)
		}
	}
	g.list = &kept
	if anew {
		return all
	}
	return kept
}

// isEvidenceTag reports whether fallbackTag or uniqueTag makes such tags.
func isEvidenceTag(tag string) bool { return strings.HasPrefix(tag, fallbackPrefix) && IsOwnTag(tag) }

// isFallbackIndex reports whether fallbackTag makes such tags.
func isFallbackIndex(tag string) bool { return isEvidenceTag(tag) && !strings.Contains(tag, ".") }

// fallbackPrefix is how every tag begins that fallbackTag and uniqueTag make.
const fallbackPrefix = "sha256-"

// A tagList is what a registry says its tags are, sorted. With an error they are
// not all; found is false if the registry says that there is no such repository.
type tagList struct {
	tags    []string
	found   bool
	err     error
	from    string // the tag behind which the list begins, if not at the beginning
	indexes bool   // a fallback index is among them
}

// under returns the tags that begin with prefix.
func (l tagList) under(prefix string) []string {
	i, _ := slices.BinarySearch(l.tags, prefix)
	n := i
	for n < len(l.tags) && strings.HasPrefix(l.tags[n], prefix) {
		n++
	}
	return l.tags[i:n]
}

// ruleOut reports whether the list shows that there is no such fallback index, so
// that it need not be asked for. Only a list from the beginning to the end can. A
// list without any index shows none either where the API did not answer: there the
// index is what other tools write, and a registry may serve tags that it leaves out
// of its list.
func (l tagList) ruleOut(index string, apiAnswered bool) bool {
	if l.err != nil || !l.found || l.from != "" || !apiAnswered && !l.indexes {
		return false
	}
	_, there := slices.BinarySearch(l.tags, index)
	return !there
}

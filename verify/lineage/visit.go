package lineage

import (
	"context"
	"crypto/sha256"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
)

// A visit is one look at an artifact in a repository. While it looks it is shared;
// everything in it is independent of the order in which answers came.
type visit struct {
	crawl    *crawl
	place    *place
	artifact attest.Digest
	known    map[attest.Digest]bool // as of Reader.Known

	opening sync.WaitGroup
	mu      sync.Mutex
	// What was listed, by manifest: the sum of the bundle.
	listed    map[attest.Digest][sha256.Size]byte
	entries   []Entry
	strangers []attest.Digest
	missed    map[attest.Code]bool
	leads     map[attest.Digest]bool
	consults  map[attest.Digest]bool
	bytes     int64 // of what is kept
	recovered error // a panic, to be raised again where a caller can catch it

	// Of the goroutine that lists alone, and after it of settle.
	still          []attest.Digest // known, and listed still
	kept, passed   int             // of these
	count          int             // attestations listed
	read           int64           // bytes
	manifest       []byte
	manifestMissed attest.Code
}

func newVisit(c *crawl, p *place, d attest.Digest, known map[attest.Digest]bool) *visit {
	return &visit{crawl: c, place: p, artifact: d, known: known, listed: map[attest.Digest][sha256.Size]byte{}, missed: map[attest.Code]bool{},
		leads: map[attest.Digest]bool{}, consults: map[attest.Digest]bool{}}
}

// guard keeps a panic in a goroutine of ours from ending the process; level raises
// it again in the goroutine that called Crawl.
func (v *visit) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			v.mu.Lock()
			v.recovered = attest.Refuse(attest.CodeInternal, "panic while looking at %s: %v\n%s", v.artifact, r, debug.Stack())
			v.mu.Unlock()
		}
	}()
	f()
}

// miss notes that something attached could not be looked at.
func (v *visit) miss(code attest.Code) {
	v.mu.Lock()
	v.missed[code] = true
	v.mu.Unlock()
}

// look asks the repository what is attached to the artifact, and for its manifest.
func (v *visit) look(ctx context.Context) {
	isKnown := func(d attest.Digest) bool { _, ok := v.known[d]; return ok }
	err := v.place.AttestationsExcept(ctx, v.artifact, isKnown, func(a attest.Attached) bool {
		// A listing that never ends, even of copies, must end.
		if v.count++; v.count > v.crawl.limits.listed {
			v.miss(attest.CodeLimit)
			return false
		}
		if a.Err != nil {
			v.miss(codeOf(a.Err))
			return true
		}
		return v.take(ctx, a, isKnown)
	})
	if err != nil && !attest.IsAbsent(err) {
		v.miss(codeOf(err))
	}
	if err := v.fetch(ctx); err != nil {
		v.manifestMissed = codeOf(err)
	}
}

// take starts opening an attestation that is new. It reports whether to go on.
func (v *visit) take(ctx context.Context, a attest.Attached, isKnown func(attest.Digest) bool) bool {
	if a.Manifest.IsZero() {
		a.Manifest = attest.SHA256(a.Bundle)
	}
	sum := sha256.Sum256(a.Bundle)
	v.mu.Lock()
	before, twice := v.listed[a.Manifest]
	full := v.bytes > v.crawl.limits.kept
	if !twice {
		v.listed[a.Manifest] = sum
	}
	v.mu.Unlock()
	switch {
	case a.Manifest == v.artifact || twice && before != sum:
		v.miss(attest.CodeRegDigest) // nothing is attached to itself, and one manifest has one bundle
		return true
	case twice:
		return true
	case isKnown(a.Manifest):
		v.still = append(v.still, a.Manifest)
		if v.known[a.Manifest] {
			v.kept++
		} else {
			v.passed++
		}
		return true
	}
	if v.read += int64(len(a.Bundle)); v.read > v.crawl.limits.read || full {
		v.miss(attest.CodeLimit)
		return false
	}
	select {
	case v.crawl.cpu <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	v.opening.Go(func() {
		defer func() { <-v.crawl.cpu }()
		v.guard(func() { v.open(a) })
	})
	return true
}

// open opens an attestation, and notes what it leads to.
func (v *visit) open(a attest.Attached) {
	e, note, err := v.crawl.opener.OpenAttached(a)
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if attest.RefusalCode(err) == attest.CodeLimit {
			v.missed[attest.CodeLimit] = true // nobody knows what is in it
		} else {
			v.strangers = append(v.strangers, a.Manifest)
		}
		return
	}
	a.Note = note
	entry := Entry{Attached: a, ID: e.ID(), Related: RelatedTo(e)}
	if facts, err := e.Facts(); err == nil {
		entry.Claimed = facts.Claimed
	}
	leads := leadsTo(e)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.entries = append(v.entries, entry)
	v.bytes += int64(len(a.Bundle))
	for _, d := range leads {
		v.leads[d] = true
	}
	v.consults[entry.ID.Payload] = true
	if _, ok := entry.ID.Credential.Identity(); ok {
		// Keys are all known beforehand, and identities by their patterns alone.
		v.consults[entry.ID.Credential.Standin()] = true
	}
}

// fetch fetches the artifact's manifest, unless it is known.
func (v *visit) fetch(ctx context.Context) error {
	if v.known[v.artifact] {
		v.still = append(v.still, v.artifact)
		return nil
	}
	if v.artifact.IsCommit() {
		return nil
	}
	b, err := v.place.Manifest(ctx, v.artifact)
	switch {
	case err != nil && attest.IsAbsent(err):
		return nil
	case err != nil:
		return err
	case len(b) > attest.MaxManifest:
		return attest.Refuse(attest.CodeLimit, "a manifest of %d bytes", len(b))
	case attest.SHA256(b) != v.artifact:
		return attest.Refuse(attest.CodeRegDigest, "%d other bytes", len(b))
	}
	v.manifest = b
	return nil
}

// gone returns how many attestations were kept before, and are not listed any more.
func (v *visit) gone() int {
	n := -v.kept
	for d, kept := range v.known {
		if kept && d != v.artifact {
			n++
		}
	}
	return n
}

// settle makes of the visit what the store is given.
func (v *visit) settle() Visit {
	out := Visit{Artifact: v.artifact, Manifest: v.manifest, ManifestMissed: v.manifestMissed, Entries: v.entries, Kept: v.still, Strangers: v.strangers}
	if v.manifest != nil {
		// What cannot be read, everybody who looks finds unreadable: that is no gap.
		if m, err := attest.ParseManifest(v.manifest); err == nil {
			out.Files = m.Files
			v.leads[m.StandsFor] = true // somebody named the stand-in instead
		}
	}
	slices.SortFunc(out.Entries, func(a, b Entry) int { return a.Manifest.Compare(b.Manifest) })
	slices.SortFunc(out.Kept, attest.Digest.Compare)
	slices.SortFunc(out.Strangers, attest.Digest.Compare)
	out.Missed = slices.Sorted(maps.Keys(v.missed))
	out.Leads, out.Consults = sortedSet(v.leads), sortedSet(v.consults)
	return out
}

// sortedSet returns the members of a set, but for the zero digest.
func sortedSet(set map[attest.Digest]bool) []attest.Digest {
	delete(set, attest.Digest{})
	return slices.SortedFunc(maps.Keys(set), attest.Digest.Compare)
}

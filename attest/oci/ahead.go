package oci

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxExpected is how many artifacts one View looks up before it is asked. Chains have
	// some dozens, with all that is consulted; what is beyond is looked up when it is
	// asked about.
	maxExpected = 512
	// maxAheadBytes bounds what lies ready: some thousand usual bundles.
	maxAheadBytes = 16 << 20
	// aheadJobs is how many artifacts are looked up at once before anybody asks.
	aheadJobs = 16
)

// Expect begins to look up what the caller will ask about: the attestations of some
// artifacts, and with manifests their manifests. It returns at once. What is asked then
// gets the answer that it would have got by itself, once; who asks a second time asks
// the repository. It ends when ctx ends.
//
// A walk that waits for each level of a chain before it learns of the next waits for two
// round trips a level. Who knows more of the chain beforehand says so here.
//
// Of a layout, whose files are asked cheaply, nothing is looked up before it is asked.
func (v *View) Expect(ctx context.Context, artifacts []attest.Digest, manifests bool) {
	if v.ahead == nil {
		return
	}
	listings, bodies := v.ahead.enter(artifacts, manifests)
	if len(listings)+len(bodies) == 0 {
		return
	}
	go func() {
		var looking errgroup.Group
		looking.SetLimit(aheadJobs)
		for i := range max(len(listings), len(bodies)) {
			if i < len(listings) {
				looking.Go(func() error { v.lookAhead(ctx, listings[i]); return nil })
			}
			if i < len(bodies) {
				looking.Go(func() error { v.fetchAhead(ctx, bodies[i]); return nil })
			}
		}
		_ = looking.Wait()
	}()
}

// A foresight is what a View looks up before it is asked.
type foresight struct {
	mu        sync.Mutex
	expected  int   // so far
	bytes     int64 // that lie ready
	listings  map[attest.Digest]*sighting
	manifests map[attest.Digest]*sighting
}

// A sighting is one answer that lies ready, or will. Everything behind done is written
// before it is closed.
type sighting struct {
	about   attest.Digest
	started bool // under the foresight's mutex
	done    chan struct{}

	whole    bool // it is the answer; otherwise ask
	attached []attest.Attached
	manifest []byte
	err      error
	bytes    int64
}

func newForesight() *foresight {
	return &foresight{listings: map[attest.Digest]*sighting{}, manifests: map[attest.Digest]*sighting{}}
}

// enter notes what will be looked up, and returns it: nothing twice, and no more than
// maxExpected of one View.
func (f *foresight) enter(artifacts []attest.Digest, manifests bool) (listings, bodies []*sighting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range artifacts {
		if d.IsZero() || f.listings[d] != nil {
			continue
		}
		if f.expected == maxExpected {
			break
		}
		f.expected++
		f.listings[d] = &sighting{about: d, done: make(chan struct{})}
		listings = append(listings, f.listings[d])
		if manifests && !d.IsCommit() && f.manifests[d] == nil {
			f.manifests[d] = &sighting{about: d, done: make(chan struct{})}
			bodies = append(bodies, f.manifests[d])
		}
	}
	return listings, bodies
}

// start reports whether somebody still waits for s to begin.
func (f *foresight) start(s *sighting, of map[attest.Digest]*sighting) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.started = of[s.about] == s
	return s.started
}

// more reports whether n bytes more may lie ready.
func (f *foresight) more(s *sighting, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+int64(n) > maxAheadBytes {
		return false
	}
	f.bytes += int64(n)
	s.bytes += int64(n)
	return true
}

// take waits for the answer about d, and gives it away. It returns nil if there is none:
// nobody expected the question, its turn has not come yet, or nothing came of it.
func (f *foresight) take(ctx context.Context, of func(*foresight) map[attest.Digest]*sighting, d attest.Digest) *sighting {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	s := of(f)[d]
	started := s != nil && s.started
	delete(of(f), d)
	f.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return nil // whoever asks now is told so
	}
	f.mu.Lock()
	f.bytes -= s.bytes
	f.mu.Unlock()
	if !s.whole {
		return nil
	}
	return s
}

func listingsOf(f *foresight) map[attest.Digest]*sighting  { return f.listings }
func manifestsOf(f *foresight) map[attest.Digest]*sighting { return f.manifests }

// lookAhead lists the attestations of one artifact.
func (v *View) lookAhead(ctx context.Context, s *sighting) {
	if !v.ahead.start(s, v.ahead.listings) {
		return
	}
	defer s.end(ctx)
	all := true
	s.err = v.repo.Attestations(ctx, s.about, func(a attest.Attached) bool {
		all = v.ahead.more(s, len(a.Bundle)+len(a.PredicateType)+1<<8)
		if all {
			s.attached = append(s.attached, a)
		}
		return all
	})
	s.whole = all
}

// fetchAhead fetches the manifest of one artifact.
func (v *View) fetchAhead(ctx context.Context, s *sighting) {
	if !v.ahead.start(s, v.ahead.manifests) {
		return
	}
	defer s.end(ctx)
	s.manifest, s.err = v.repo.Manifest(ctx, s.about)
	s.whole = v.ahead.more(s, len(s.manifest))
}

// end lets who waits go on. What ended because ctx did is no answer; and neither is a
// panic, which happens again where whoever asks can catch it.
func (s *sighting) end(ctx context.Context) {
	if r := recover(); r != nil || ctx.Err() != nil {
		s.whole = false
	}
	if !s.whole {
		s.attached, s.manifest = nil, nil
	}
	close(s.done)
}

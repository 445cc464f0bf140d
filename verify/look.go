package verify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

// openers is how many bundles are opened at once: opening is arithmetic, so as
// many as there are processors.
func openers() int { return runtime.GOMAXPROCS(0) }

// A visit is what the sources said about one artifact, before anything is
// settled. While look runs it is shared; everything in it is independent of the
// order in which answers came.
type visit struct {
	node *node // what it is about; settle fills it in

	mu        sync.Mutex
	items     map[[sha256.Size]byte]*item // by the bundle's bytes: copies are dropped unopened
	bytes     int64
	deferred  int64                // payload bytes of items whose hinted key did not sign
	overrun   bool                 // more was listed than is read
	crowded   bool                 // deferred exceeded maxDeferred
	gaps      map[attest.Code]bool // what could not be looked at
	unseen    []Finding            // the same, for people
	manifest  *attest.Manifest
	manifErr  error // why the manifest, whose bytes are right, cannot be read
	isIndex   bool
	noFiles   bool // every source knows that it has no such manifest
	opening   sync.WaitGroup
	recovered error // a panic, to be raised again where a caller can catch it
}

// An item is one distinct bundle of a listing: evidence, an error, or an envelope
// for which the keys it does not name have yet to be tried.
type item struct {
	sum      [sha256.Size]byte
	size     int64
	manifest attest.Digest // the least of those it was listed under
	evidence Evidence
	err      error
	waiting  *envelope
	falsely  bool // it names an identity that is trusted, and that was verified in vain
}

// look asks all sources about some artifacts and opens what they list with the
// keys that the bundles name; with manifests it asks for their manifests too. It
// returns one visit per artifact, in order.
func (w *walk) look(ctx context.Context, nodes []*node, manifests bool) []*visit {
	visits := make([]*visit, len(nodes))
	var asking errgroup.Group
	asking.SetLimit(lookups)
	for i, n := range nodes {
		v := &visit{node: n, items: map[[sha256.Size]byte]*item{}, gaps: map[attest.Code]bool{}}
		visits[i] = v
		for _, s := range w.sources {
			asking.Go(func() error { return v.guard(func() { w.list(ctx, v, s) }) })
		}
		if manifests {
			asking.Go(func() error { return v.guard(func() { w.fetch(ctx, v) }) })
		}
	}
	_ = asking.Wait() // the functions return nil: what they could not do is in the visits
	for _, v := range visits {
		v.opening.Wait()
		if v.recovered != nil {
			panic(v.recovered)
		}
	}
	return visits
}

// guard keeps a panic in a goroutine of ours from ending the process; look
// raises it again in the goroutine that called Walk, where a server can answer
// E_INTERNAL and live on.
func (v *visit) guard(f func()) error {
	defer func() {
		if r := recover(); r != nil {
			v.mu.Lock()
			v.recovered = attest.Refuse(attest.CodeInternal, "panic while looking at %s: %v\n%s", v.node.Digest, r, debug.Stack())
			v.mu.Unlock()
		}
	}()
	f()
	return nil
}

// missed notes that something could not be looked at. When the walk's own time
// is over that is the reason, whatever a source makes of it.
func (v *visit) missed(ctx context.Context, manifest attest.Digest, err error) {
	c := code(err)
	if ctx.Err() != nil {
		c = attest.CodeLimit
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gaps[c] = true
	v.unseen = append(v.unseen, Finding{Artifact: v.node.Digest, Manifest: manifest, Err: err})
}

// list reads what one source lists about an artifact.
func (w *walk) list(ctx context.Context, v *visit, s Source) {
	if err := ctx.Err(); err != nil {
		v.missed(ctx, attest.Digest{}, err)
		return
	}
	listed := 0
	err := s.Attestations(ctx, v.node.Digest, func(a attest.Attached) bool {
		// A listing that never ends, even of copies, must end.
		if listed++; listed > w.limits.listed() {
			v.mu.Lock()
			v.overrun = true
			v.mu.Unlock()
			return false
		}
		if a.Err != nil {
			v.missed(ctx, a.Manifest, a.Err)
			return true
		}
		return w.take(v, a)
	})
	if err != nil && !attest.IsAbsent(err) {
		v.missed(ctx, attest.Digest{}, err)
	}
}

// take drops copies and starts opening what is new. It reports whether to go on.
func (w *walk) take(v *visit, a attest.Attached) bool {
	sum := sha256.Sum256(a.Bundle)
	v.mu.Lock()
	if v.overrun {
		v.mu.Unlock()
		return false
	}
	if it, ok := v.items[sum]; ok {
		if a.Manifest.Compare(it.manifest) < 0 {
			it.manifest = a.Manifest
		}
		v.mu.Unlock()
		return true
	}
	v.bytes += int64(len(a.Bundle))
	if len(v.items) >= w.limits.listed() || v.bytes > w.limits.Bytes {
		// Which bundles came first is chance, or somebody's choice. So a listing
		// that is too long counts as unread, whole.
		v.overrun = true
		v.mu.Unlock()
		return false
	}
	it := &item{sum: sum, size: int64(len(a.Bundle)), manifest: a.Manifest}
	v.items[sum] = it
	v.mu.Unlock()

	w.cpu <- struct{}{}
	v.opening.Add(1)
	go func() {
		defer func() { <-w.cpu; v.opening.Done() }()
		_ = v.guard(func() { w.open(v, it, a) })
	}()
	return true
}

// open opens a bundle with the key it names. If that did not sign it, the
// envelope waits: trying all keys is what strangers cost, and they have a budget.
func (w *walk) open(v *visit, it *item, a attest.Attached) {
	e, err := w.opener.read(a, it.sum)
	if err != nil {
		it.err = err
		return
	}
	var opened bool
	if it.evidence, opened, it.err = w.opener.hinted(e); opened {
		it.falsely = e.bundle.Certificate != nil && it.err != nil
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.deferred += int64(len(e.bundle.Payload)); v.deferred > maxDeferred {
		v.crowded = true
		for _, other := range v.items {
			other.waiting = nil
		}
	}
	if !v.crowded {
		it.waiting = e
	}
}

// fetch asks the sources for the artifact's manifest until one has it. A
// manifest is named by its bytes, so one right answer is the answer, and what
// the others say no longer matters.
func (w *walk) fetch(ctx context.Context, v *visit) {
	if v.node.Digest.IsCommit() {
		v.noFiles = true
		return
	}
	var wrong []error
	for _, s := range w.sources {
		if err := ctx.Err(); err != nil {
			wrong = append(wrong, err)
			break
		}
		b, err := s.Manifest(ctx, v.node.Digest)
		switch {
		case err != nil && attest.IsAbsent(err):
		case err != nil:
			wrong = append(wrong, err)
		case attest.SHA256(b) != v.node.Digest:
			wrong = append(wrong, &attest.Refusal{Code: attest.CodeRegDigest, About: v.node.Digest.String(), Why: fmt.Sprintf("a source sent %d other bytes", len(b))})
		default:
			v.isIndex = attest.IsIndex(b)
			if !v.isIndex {
				v.manifest, v.manifErr = attest.ParseManifest(b)
			}
			return
		}
	}
	for _, err := range wrong {
		v.missed(ctx, attest.Digest{}, err)
	}
	v.noFiles = len(wrong) == 0
}

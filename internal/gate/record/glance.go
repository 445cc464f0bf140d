package record

import (
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// maxSeen is of how many places it is remembered that they were seen again: some KiB
// each.
const maxSeen = 2000

// A glance is what most admissions need to know of a place: that it has what they bring.
type glance struct {
	steady  attest.Digest
	sighted time.Time
	waits   bool // something of it waits
	pending bool // something of it has yet to show that it stays
}

// Glances are what is durable, for those who would not wait for the disk: hundreds of
// pods of one workload are let in while one change is being written.
type glances struct {
	mu  sync.Mutex
	now map[place]glance
	// seen are sightings since the last one that is in the journal. They are not on
	// disk: who is killed forgets that nothing changed.
	seen map[place]*entry
	// folds are which place stands for further ones of a namespace. Whether it has what
	// they bring is said by now.
	folds map[foldKey]place
}

// maxFolds is how many folds are remembered: 300 bytes each.
const maxFolds = 4000

// A foldKey is what has a place that stands for many.
type foldKey struct {
	environment, cluster, namespace string
	repository                      attest.Repository
	artifact                        attest.Digest
}

func foldKeyOf(p place, ref attest.Reference) foldKey {
	return foldKey{p.Environment, p.Cluster, namespaceOf(p.Service), ref.Repository, ref.Digest}
}

func newGlances() glances {
	return glances{now: map[place]glance{}, seen: map[place]*entry{}, folds: map[foldKey]place{}}
}

// fold remembers which place stands for others.
func (g *glances) fold(of, where place, ref attest.Reference) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.folds) >= maxFolds {
		clear(g.folds)
	}
	g.folds[foldKeyOf(of, ref)] = where
}

// show has the glances show what the state says of a place.
func (g *glances) show(s *state, p place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := s.places[p]
	if is == nil {
		delete(g.now, p)
		return
	}
	g.now[p] = glance{is.Steady, is.Sighted, s.waits(p), s.pending(p) != nil}
}

// repeated reports whether an admission changes nothing, and notes it.
func (g *glances) repeated(a gate.Admission, p place, window time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	is, known := g.now[p]
	if !known {
		// One that was counted before is looked at with the others: it is only seen again.
		p = g.folds[foldKeyOf(p, a.Reference)]
		is, known = g.now[p]
	}
	if !known || is.pending || is.steady != a.Reference.Digest || !is.waits && a.At.Sub(is.sighted) >= window {
		return false
	}
	old := g.seen[p]
	if old == nil || old.Facts["policy"] != policyOf(a) || a.At.Sub(old.ruled) >= reuse {
		return false // worth a note of its own
	}
	if at := a.At.UTC().Truncate(time.Second); at.After(old.At) {
		old.At = at
	}
	return true
}

// note remembers that a place was seen with what it had, until it is worth a look.
func (g *glances) note(e *entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.seen[e.Place]; old != nil || len(g.seen) < maxSeen {
		g.seen[e.Place] = e
	}
}

// forget forgets that a place was seen again.
func (g *glances) forget(p place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.seen, p)
}

// take returns what was seen again of places that were not looked at for a while, and
// forgets it.
func (g *glances) take(now time.Time, window time.Duration) (out []*entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, e := range g.seen {
		if is, known := g.now[p]; !known || !is.waits && now.Sub(is.sighted) >= window {
			out = append(out, e)
			delete(g.seen, p)
		}
	}
	return out
}

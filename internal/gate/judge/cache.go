package judge

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// A moment is a time on both clocks: the wall's, which decides what is expired and can
// be set, and the machine's own, which counts on whatever the wall shows.
type moment struct {
	wall    time.Time
	elapsed time.Duration
}

func (e *Engine) now() moment { return moment{e.options.Now().Round(0), e.elapsed()} }

// An entry is an answer with everything that bounds it. It is never changed.
type entry struct {
	key    key
	answer gate.Answer   // Reference has no tag: that is the question's
	looked time.Duration // when the look for it began, on the machine's clock
	born   moment        // since when keep counts
	keep   time.Duration
	rests  []policy.Mark // the highest numbers known when it was given
	size   int64
}

// holds reports whether the answer is true at a moment, as far as time decides.
// Before the moment it speaks of, it is not: the clock was set back, and whoever asked
// now would be answered about another time.
func (en *entry) holds(at moment) bool {
	return !at.wall.Before(en.answer.At) && at.wall.Before(en.answer.Until)
}

// recent reports whether it may be given to those who waited for it, though it may not
// be kept at all.
func (en *entry) recent(at moment) bool {
	return en.holds(at) && at.wall.Sub(en.born.wall) < maxFlown
}

// fresh reports whether it may be given again. Both clocks have a say: the wall's
// stops or jumps when it is set, and the machine's own may stop while it sleeps.
func (en *entry) fresh(at moment) bool {
	age := at.elapsed - en.born.elapsed
	return age < en.keep && at.wall.Sub(en.born.wall) < en.keep && en.holds(at)
}

// tell returns the answer as the question put it.
func (en *entry) tell(q gate.Question, d attest.Digest, cached bool) gate.Answer {
	a := en.answer
	a.Cached = cached
	a.Reference = q.Reference
	a.Reference.Digest = d
	return a
}

// A cache keeps entries, bounded in number and in bytes. What is refused has a shelf
// of its own: whoever can have a thousand artifacts refused could push every good
// answer out otherwise.
type cache struct {
	mu      sync.Mutex
	allowed shelf
	refused shelf
}

// refusedShare is the part of the bounds that refusals have: they are kept for seconds.
const refusedShare = 4

func newCache(entries int, bytes int64) *cache {
	few, small := entries/refusedShare, bytes/refusedShare
	return &cache{allowed: newShelf(entries-few, bytes-small), refused: newShelf(few, small)}
}

func (c *cache) shelf(o policy.Outcome) *shelf {
	if o == policy.Allow {
		return &c.allowed
	}
	return &c.refused
}

// get returns what is kept under k, if it is fresh.
func (c *cache) get(k key, at moment) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*shelf{&c.allowed, &c.refused} {
		if en := s.get(k); en != nil {
			if en.fresh(at) {
				return en
			}
			s.remove(k)
		}
	}
	return nil
}

// put keeps an entry in the place of an older one under its key.
func (c *cache) put(en *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*shelf{&c.allowed, &c.refused} {
		if old := s.get(en.key); old != nil && old.looked > en.looked {
			return
		}
	}
	c.allowed.remove(en.key)
	c.refused.remove(en.key)
	if en.keep > 0 {
		c.shelf(en.answer.Outcome).put(en)
	}
}

func (c *cache) forget(artifacts []attest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*shelf{&c.allowed, &c.refused} {
		for k := range s.entries {
			if len(artifacts) == 0 || slices.Contains(artifacts, k.artifact) {
				s.remove(k)
			}
		}
	}
}

// A shelf keeps the entries that were used last.
type shelf struct {
	maxEntries int
	maxBytes   int64
	bytes      int64
	evicted    int64
	order      *list.List // of *entry; the one used last in front
	entries    map[key]*list.Element
}

func newShelf(entries int, bytes int64) shelf {
	return shelf{maxEntries: entries, maxBytes: bytes, order: list.New(), entries: map[key]*list.Element{}}
}

func (s *shelf) get(k key) *entry {
	el, ok := s.entries[k]
	if !ok {
		return nil
	}
	s.order.MoveToFront(el)
	return el.Value.(*entry)
}

func (s *shelf) put(en *entry) {
	if en.size > s.maxBytes {
		return // it would push everything else out
	}
	s.entries[en.key] = s.order.PushFront(en)
	s.bytes += en.size
	for len(s.entries) > s.maxEntries || s.bytes > s.maxBytes {
		s.remove(s.order.Back().Value.(*entry).key)
		s.evicted++
	}
}

func (s *shelf) remove(k key) {
	el, ok := s.entries[k]
	if !ok {
		return
	}
	delete(s.entries, k)
	s.bytes -= s.order.Remove(el).(*entry).size
}

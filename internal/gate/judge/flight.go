package judge

import (
	"context"
	"sync"
	"time"
)

// A group has at most one call at a time for each key, which all wait for that ask
// meanwhile. The zero group is ready for use.
//
// It differs from golang.org/x/sync/singleflight in who owns a call: nobody who waits.
// A caller leaves when its own time is over and stops nobody else, and the call is
// stopped when the last has left.
type group[K comparable, V any] struct {
	mu      sync.Mutex
	flights map[K]*flight[V]
}

// A call is what do is asked to do.
type call[V any] struct {
	// since: flights that began earlier do not do. -1: all do.
	since time.Duration
	now   func() time.Duration
	limit time.Duration // of one flight
	// peek returns what a flight that just ended left, so that who came a moment too
	// late for it begins no other; nil for who wants a new one.
	peek func() (V, bool)
	// run does it. It must not panic, and should return when its context ends.
	run func(context.Context) V
}

// A flight is a call under way.
type flight[V any] struct {
	began   time.Duration
	cancel  context.CancelFunc
	waiting int           // under the group's mutex
	done    chan struct{} // closed when value is there
	value   V
}

// do returns what a flight for k returns, one that is under way if there is one. The
// error is ctx's.
func (g *group[K, V]) do(ctx context.Context, k K, c call[V]) (V, error) {
	for {
		g.mu.Lock()
		f := g.flights[k]
		if f != nil && f.began < c.since {
			// What began before the question may not have seen what it asks about. To
			// begin another beside it would let a crowd begin a crowd.
			g.mu.Unlock()
			select {
			case <-f.done:
				continue
			case <-ctx.Done():
				var none V
				return none, ctx.Err()
			}
		}
		if f == nil && c.peek != nil {
			// Under the mutex: a flight leaves its value before it ends.
			if v, ok := c.peek(); ok {
				g.mu.Unlock()
				return v, nil
			}
		}
		if f == nil {
			f = g.begin(k, c)
		}
		f.waiting++
		g.mu.Unlock()
		select {
		case <-f.done:
			return f.value, nil
		case <-ctx.Done():
			g.leave(k, f)
			var none V
			return none, ctx.Err()
		}
	}
}

// begin starts a flight. The caller holds the mutex.
func (g *group[K, V]) begin(k K, c call[V]) *flight[V] {
	// Not the caller's context: the flight is as much everybody else's.
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	f := &flight[V]{began: c.now(), cancel: cancel, done: make(chan struct{})}
	if g.flights == nil {
		g.flights = map[K]*flight[V]{}
	}
	g.flights[k] = f
	go func() {
		defer cancel()
		defer g.end(k, f)
		f.value = c.run(ctx)
	}()
	return f
}

// end lets those who wait have the value.
func (g *group[K, V]) end(k K, f *flight[V]) {
	g.mu.Lock()
	if g.flights[k] == f {
		delete(g.flights, k)
	}
	g.mu.Unlock()
	close(f.done)
}

// leave stops the flight if nobody waits for it any more, and makes way for another.
func (g *group[K, V]) leave(k K, f *flight[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return
	}
	f.cancel()
	if g.flights[k] == f {
		delete(g.flights, k)
	}
}

// len returns how many flights somebody waits for.
func (g *group[K, V]) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights)
}

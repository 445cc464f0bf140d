package serve

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// Why the queue turns somebody away at once. Both are an overload; they differ in who has
// to do something about it.
var (
	errFull   = errors.New("too many questions are waiting")
	errTenant = errors.New("too many questions of this tenant are waiting")
)

// queueLimits bound a queue. All are at least 1.
type queueLimits struct {
	slots   int   // questions that are worked on at once
	share   int   // slots that one tenant may have at once
	waiting int   // questions that wait
	tenant  int   // of these, of one tenant
	bytes   int64 // of the bodies of all questions, worked on and waiting
	sharing int64 // of these, of one tenant
}

// A queue gives out slots, fairly over tenants.
//
// A free slot goes to the tenant that has the fewest, and between equals to the one that
// was served longest ago; within a tenant, to who came first. So the share of a tenant
// does not depend on how much the others ask, nor on how slow their questions are. One
// tenant alone never has all slots: its questions may be those of a registry that does
// not answer, and the next tenant's would wait until they run into their deadline.
//
// Whoever would wait in a full queue takes the place of the last of the tenant with most
// waiting, if that tenant has at least two more waiting than its own; otherwise it is
// turned away. So few tenants cannot keep the others out of the waiting room either.
//
// Tenants are known only as long as something of theirs runs or waits: their number is
// bounded by that of the questions.
type queue struct {
	limits queueLimits

	mu      sync.Mutex
	free    int
	waiting int
	bytes   int64
	tenants map[string]*tenant
	ready   list.List // of *tenant with waiters: who was served longest ago is first
}

// A tenant is one of those who share a queue.
type tenant struct {
	name    string
	running int
	bytes   int64
	waiters list.List     // of *waiter, who came first is first
	place   *list.Element // in queue.ready; nil if nobody waits
}

// A waiter waits for its turn. Everything but ready is guarded by the queue's mutex.
type waiter struct {
	ready   chan struct{} // closed when it is decided
	granted bool
	slot    *slot
	place   *list.Element // in tenant.waiters; nil once it is decided
}

// A slot is the right to work on one question. It is given back once, by release.
type slot struct {
	queue  *queue
	tenant *tenant
	size   int64
	once   sync.Once
}

func newQueue(l queueLimits) *queue {
	return &queue{limits: l, free: l.slots, tenants: map[string]*tenant{}}
}

// enter waits until the tenant called name may work on a question with a body of size
// bytes. It returns at once with errFull or errTenant if there is no room to wait in, and
// with ctx's error if ctx ends first.
func (q *queue) enter(ctx context.Context, name string, size int64) (*slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := q.join(name, size)
	if err != nil {
		return nil, err
	}
	if w.ready == nil {
		return w.slot, nil
	}
	select {
	case <-w.ready:
		if !w.granted { // written before ready was closed
			return nil, errTenant
		}
		return w.slot, nil
	case <-ctx.Done():
		q.leave(w)
		return nil, ctx.Err()
	}
}

// join grants a slot, in which case ready is nil, or lets the tenant wait.
func (q *queue) join(name string, size int64) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[name]
	if t == nil {
		t = &tenant{name: name}
	}
	if q.bytes+size > q.limits.bytes {
		return nil, errFull
	}
	if t.bytes+size > q.limits.sharing {
		return nil, errTenant
	}
	// A slot is free only if every tenant that waits has its share: nobody who might
	// have it is overtaken.
	run := q.free > 0 && t.running < q.limits.share && t.waiters.Len() == 0
	if !run {
		if err := q.room(t); err != nil {
			return nil, err
		}
	}
	q.tenants[name] = t
	t.bytes += size
	q.bytes += size
	w := &waiter{slot: &slot{queue: q, tenant: t, size: size}}
	if run {
		q.free--
		t.running++
		return w, nil
	}
	w.ready = make(chan struct{})
	w.place = t.waiters.PushBack(w)
	q.waiting++
	if t.place == nil {
		t.place = q.ready.PushBack(t)
	}
	return w, nil
}

// room makes sure that one more of t may wait, or says why not.
func (q *queue) room(t *tenant) error {
	if t.waiters.Len() >= q.limits.tenant {
		return errTenant
	}
	if q.waiting < q.limits.waiting {
		return nil
	}
	var most *tenant
	for e := q.ready.Front(); e != nil; e = e.Next() {
		if o := e.Value.(*tenant); most == nil || o.waiters.Len() > most.waiters.Len() {
			most = o
		}
	}
	if most == nil || most.waiters.Len() < t.waiters.Len()+2 {
		return errFull
	}
	last := most.waiters.Back().Value.(*waiter)
	q.remove(last)
	q.settle(last.slot)
	close(last.ready)
	return nil
}

// leave takes w, whose context ended, out of the queue. If it was granted a slot in the
// meantime, the slot goes on to the next.
func (q *queue) leave(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case w.place != nil:
		q.remove(w)
		q.settle(w.slot)
	case w.granted:
		w.slot.once.Do(func() { q.giveBack(w.slot) })
	}
}

// remove takes w out of its tenant's waiters.
func (q *queue) remove(w *waiter) {
	t := w.slot.tenant
	t.waiters.Remove(w.place)
	w.place = nil
	q.waiting--
	if t.waiters.Len() == 0 {
		q.ready.Remove(t.place)
		t.place = nil
	}
}

// settle takes back what a question took beside its slot, and forgets a tenant of whom
// nothing is left.
func (q *queue) settle(s *slot) {
	t := s.tenant
	t.bytes -= s.size
	q.bytes -= s.size
	if t.running == 0 && t.waiters.Len() == 0 {
		delete(q.tenants, t.name)
	}
}

// giveBack takes a slot back and gives it to the next.
func (q *queue) giveBack(s *slot) {
	q.free++
	s.tenant.running--
	q.settle(s)
	for q.free > 0 {
		t := q.next()
		if t == nil {
			return
		}
		w := t.waiters.Front().Value.(*waiter)
		q.ready.MoveToBack(t.place)
		q.remove(w)
		q.free--
		t.running++
		w.granted = true
		close(w.ready)
	}
}

// next returns the waiting tenant with the fewest slots, or nil if all that wait have
// their share.
func (q *queue) next() *tenant {
	var best *tenant
	for e := q.ready.Front(); e != nil; e = e.Next() {
		t := e.Value.(*tenant)
		if t.running < q.limits.share && (best == nil || t.running < best.running) {
			best = t
		}
	}
	return best
}

// release gives the slot back. Only the first call does anything.
func (s *slot) release() {
	s.once.Do(func() {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		s.queue.giveBack(s)
	})
}

// counts returns how many questions are worked on and how many wait.
func (q *queue) counts() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limits.slots - q.free, q.waiting
}

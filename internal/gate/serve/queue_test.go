package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func testQueue(slots, share, waiting, tenant int) *queue {
	return newQueue(queueLimits{slots: slots, share: share, waiting: waiting, tenant: tenant, bytes: 1 << 40, sharing: 1 << 40})
}

// check fails unless the queue's own books are right.
func (q *queue) check(t *testing.T) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	running, waiting, bytes := 0, 0, int64(0)
	for name, x := range q.tenants {
		if x.running == 0 && x.waiters.Len() == 0 {
			t.Errorf("tenant %s is known and has nothing", name)
		}
		if (x.place != nil) != (x.waiters.Len() > 0) {
			t.Errorf("tenant %s: in the ring %v, waiting %d", name, x.place != nil, x.waiters.Len())
		}
		if x.running > q.limits.share || x.waiters.Len() > q.limits.tenant || x.bytes < 0 {
			t.Errorf("tenant %s: runs %d, waits %d, %d bytes", name, x.running, x.waiters.Len(), x.bytes)
		}
		if q.free > 0 && x.waiters.Len() > 0 && x.running < q.limits.share {
			t.Errorf("tenant %s waits while %d slots are free", name, q.free)
		}
		running, waiting, bytes = running+x.running, waiting+x.waiters.Len(), bytes+x.bytes
	}
	if running+q.free != q.limits.slots || waiting != q.waiting || bytes != q.bytes || waiting > q.limits.waiting {
		t.Errorf("running %d, free %d of %d; waiting %d, said %d; bytes %d, said %d", running, q.free, q.limits.slots, waiting, q.waiting, bytes, q.bytes)
	}
}

// drained fails unless nothing is left.
func (q *queue) drained(t *testing.T) {
	t.Helper()
	q.check(t)
	if q.free != q.limits.slots || q.waiting != 0 || q.bytes != 0 || len(q.tenants) != 0 || q.ready.Len() != 0 {
		t.Errorf("left: free %d of %d, waiting %d, bytes %d, %d tenants", q.free, q.limits.slots, q.waiting, q.bytes, len(q.tenants))
	}
}

// hold enters and keeps the slot.
func hold(t *testing.T, q *queue, name string) *slot {
	t.Helper()
	s, err := q.enter(t.Context(), name, 1)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// waits enters in the background; what came of it is sent.
func waits(q *queue, ctx context.Context, name string) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		s, err := q.enter(ctx, name, 1)
		c <- outcome{s, err}
	}()
	return c
}

type outcome struct {
	slot *slot
	err  error
}

func TestQueueServesTheTenantWithFewestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(2, 2, 100, 100)
		a1, a2 := hold(t, q, "a"), hold(t, q, "a")
		var flood []<-chan outcome
		for range 50 {
			flood = append(flood, waits(q, t.Context(), "a"))
			synctest.Wait()
		}
		b := waits(q, t.Context(), "b")
		synctest.Wait()
		a1.release()
		synctest.Wait()
		select {
		case o := <-b:
			if o.err != nil {
				t.Fatal(o.err)
			}
			o.slot.release() // now the flood goes on, in order
		default:
			t.Fatal("b waits behind 50 of a")
		}
		synctest.Wait()
		select {
		case o := <-flood[0]:
			o.slot.release()
		default:
			t.Fatal("a slot is free and the first of a waits")
		}
		a2.release()
		for _, c := range flood[1:] {
			o := <-c
			if o.err != nil {
				t.Fatal(o.err)
			}
			o.slot.release()
		}
		q.drained(t)
	})
}

func TestQueueKeepsOneTenantFromAllSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(4, 3, 10, 10)
		var held []*slot
		for range 3 {
			held = append(held, hold(t, q, "slow"))
		}
		fourth := waits(q, t.Context(), "slow")
		synctest.Wait()
		if _, waiting := q.counts(); waiting != 1 {
			t.Fatal("one tenant has all slots")
		}
		held = append(held, hold(t, q, "quick")) // at once, though "slow" waits
		q.check(t)
		held[3].release()
		synctest.Wait()
		q.check(t)
		if _, waiting := q.counts(); waiting != 1 {
			t.Fatal("the slot that is kept free was given to who has its share")
		}
		held[0].release()
		o := <-fourth
		o.slot.release()
		held[1].release()
		held[2].release()
		q.drained(t)
	})
}

func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(1, 1, 4, 3)
		run := hold(t, q, "a")
		var all []<-chan outcome
		for range 3 {
			all = append(all, waits(q, t.Context(), "a"))
			synctest.Wait()
		}
		if _, err := q.enter(t.Context(), "a", 1); err != errTenant {
			t.Errorf("a fourth of one tenant: got %v, want errTenant", err)
		}
		all = append(all, waits(q, t.Context(), "b"))
		synctest.Wait()
		q.check(t)
		// The room is full. Whoever has two less than the greediest gets its last place.
		c := waits(q, t.Context(), "c")
		synctest.Wait()
		if o := <-all[2]; o.err != errTenant {
			t.Errorf("the last of the tenant with most waiting: got %v, want errTenant", o.err)
		}
		q.check(t)
		if _, err := q.enter(t.Context(), "c", 1); err != errFull { // a has 2, b 1, c 1
			t.Errorf("a full room: got %v, want errFull", err)
		}
		run.release()
		for _, w := range []<-chan outcome{all[0], all[1], all[3], c} {
			go func() { (<-w).slot.release() }()
		}
		synctest.Wait()
		q.drained(t)
	})
}

func TestQueueBoundsBytes(t *testing.T) {
	q := newQueue(queueLimits{slots: 10, share: 10, waiting: 10, tenant: 10, bytes: 100, sharing: 60})
	a, err := q.enter(t.Context(), "a", 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.enter(t.Context(), "a", 1); err != errTenant {
		t.Errorf("more than a tenant's bytes: got %v, want errTenant", err)
	}
	if _, err := q.enter(t.Context(), "b", 41); err != errFull {
		t.Errorf("more than all bytes: got %v, want errFull", err)
	}
	b, err := q.enter(t.Context(), "b", 40)
	if err != nil {
		t.Fatal(err)
	}
	a.release()
	a.release() // twice is once
	b.release()
	q.drained(t)
}

func TestQueueCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(1, 1, 10, 10)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.enter(over, "a", 1); err != context.Canceled {
			t.Errorf("a context that is over: got %v", err)
		}
		q.drained(t)

		run := hold(t, q, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone, stays := waits(q, ctx, "b"), waits(q, t.Context(), "b")
		if o := <-gone; !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", o.err)
		}
		q.check(t)
		run.release()
		(<-stays).slot.release()
		q.drained(t)
	})
}

// TestQueueGrantMeetsCancel: a slot that is granted in the moment in which its waiter gives
// up must go on to the next. Which of the two comes first is chance, so it is tried often.
func TestQueueGrantMeetsCancel(t *testing.T) {
	q := testQueue(1, 1, 10, 10)
	for range 2000 {
		run := hold(t, q, "a")
		ctx, cancel := context.WithCancel(t.Context())
		quits, stays := waits(q, ctx, "b"), waits(q, t.Context(), "c")
		for {
			if _, n := q.counts(); n == 2 {
				break
			}
		}
		go run.release()
		go cancel()
		if o := <-quits; o.err == nil {
			o.slot.release()
		}
		o := <-stays // hangs if the slot was lost
		if o.err != nil {
			t.Fatal(o.err)
		}
		o.slot.release()
	}
	q.drained(t)
}

// TestQueueProperty lets many tenants ask, hang and give up at random, and asks after every
// step that the books are right, at the end that everybody was answered and nothing is left.
func TestQueueProperty(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				slots := 1 + r.IntN(8)
				q := testQueue(slots, slots-slots/4, 1+r.IntN(40), 1+r.IntN(20))
				var running atomic.Int32
				var all sync.WaitGroup
				for range 400 {
					name := fmt.Sprint(min(r.IntN(12), r.IntN(12))) // some ask more
					patience, work := time.Duration(1+r.IntN(500))*time.Millisecond, time.Duration(r.IntN(30))*time.Millisecond
					all.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						s, err := q.enter(ctx, name, 7)
						if err != nil {
							return
						}
						if n := running.Add(1); int(n) > slots {
							t.Errorf("%d run, %d may", n, slots)
						}
						time.Sleep(work)
						running.Add(-1)
						s.release()
					})
					time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
					q.check(t)
				}
				all.Wait()
				q.drained(t)
			})
		})
	}
}

// TestQueueParallel is for the race detector.
func TestQueueParallel(t *testing.T) {
	q := testQueue(4, 3, 64, 32)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*100*time.Microsecond)
				if s, err := q.enter(ctx, fmt.Sprint(i%5), 1); err == nil {
					go s.release()
				}
				cancel()
			}
		})
	}
	all.Wait()
	for {
		if n, _ := q.counts(); n == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	q.drained(t)
}

// TestQueueNoStarvation: 95 of 100 questions are one tenant's, and all are equally slow.
// Another tenant waits no longer than its turn among those who wait: with one waiting
// question of its own, the time of one question.
func TestQueueNoStarvation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = 10 * time.Millisecond
		q := testQueue(4, 3, 400, 100)
		stop := make(chan struct{})
		var all sync.WaitGroup
		for range 95 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					s, err := q.enter(t.Context(), "flood", 1)
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(service)
					s.release()
				}
			})
		}
		time.Sleep(time.Second)
		var longest time.Duration
		for i := range 50 {
			for j := range 5 { // five small tenants, which ask at the same time
				all.Go(func() {
					start := time.Now()
					s, err := q.enter(t.Context(), fmt.Sprint("small ", j), 1)
					if err != nil {
						t.Error(err)
						return
					}
					w := time.Since(start)
					q.mu.Lock()
					longest = max(longest, w)
					q.mu.Unlock()
					time.Sleep(service)
					s.release()
				})
			}
			time.Sleep(time.Duration(37+i%11) * time.Millisecond)
		}
		close(stop)
		all.Wait()
		q.drained(t)
		// Five ask for four slots of which the flood holds three until they are free.
		if longest > 2*service {
			t.Errorf("a small tenant waited %v, a question takes %v", longest, service)
		}
	})
}

func TestQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(1, 1, 100, 100)
		run := hold(t, q, "x")
		var order []string
		var all sync.WaitGroup
		for _, name := range []string{"a", "a", "a", "b", "b", "b", "c"} {
			all.Go(func() {
				s, err := q.enter(t.Context(), name, 1)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name) // one has the slot at a time
				s.release()
			})
			synctest.Wait()
		}
		run.release()
		all.Wait()
		if got := fmt.Sprint(order); got != "[a b c a b a b]" {
			t.Errorf("turns were taken as %v", got)
		}
		q.drained(t)
	})
}

// TestQueueLeavesWithASlot is the rare order of TestQueueGrantMeetsCancel: the slot is
// granted, and then the waiter gives up.
func TestQueueLeavesWithASlot(t *testing.T) {
	q := testQueue(1, 1, 10, 10)
	run := hold(t, q, "a")
	w, err := q.join("b", 1)
	if err != nil {
		t.Fatal(err)
	}
	run.release()
	q.leave(w)
	q.drained(t)
}

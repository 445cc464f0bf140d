package judge_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// crowd has n callers ask at once, and returns what they are told.
func crowd(t *testing.T, n int, ask func(i int) gate.Answer) []gate.Answer {
	t.Helper()
	answers := make([]gate.Answer, n)
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-begin
			answers[i] = ask(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return answers
}

// GAT-16: five hundred pods of one model cost what one costs.
func TestStampede(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	tag := w.ref(w.repo + ":good")
	g := w.ground("strict")
	alone := func(ref attest.Reference) int64 {
		before := w.requests.Load()
		wantOutcome(t, ask(t, w.engine(judge.Options{}), g, ref, "test"), policy.Allow)
		return w.requests.Load() - before
	}
	for _, c := range []struct {
		name string
		ref  attest.Reference
		more int64 // requests by which a crowd may cost more: each round of callers resolves the tag once
	}{{"GAT-16 by digest", good, 0}, {"GAT-16 by tag", tag, 100}} {
		t.Run(c.name, func(t *testing.T) {
			one := alone(c.ref)
			w.breakBy(slow(2 * time.Millisecond))
			defer w.breakBy(nil)
			e := w.engine(judge.Options{})
			before, began := w.requests.Load(), time.Now()
			answers := crowd(t, 500, func(int) gate.Answer { return ask(t, e, g, c.ref, "test") })
			for _, a := range answers {
				if !a.Allowed() || string(a.JSON) != string(answers[0].JSON) || a.Reference.Digest != good.Digest {
					t.Fatalf("one of the crowd is told %s, %v", a.Outcome, a.Err)
				}
			}
			if n := w.requests.Load() - before; n > one+c.more {
				t.Errorf("500 callers cost %d requests, one costs %d", n, one)
			}
			if n := e.Stats().Flights; n != 1 {
				t.Errorf("%d verifications, want 1", n)
			}
			t.Logf("500 callers, %s", time.Since(began))
		})
	}
}

// slow lets every request take a while longer.
func slow(d time.Duration) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
		return false
	}
}

// hang answers nothing until the client gives up, and counts those who did.
func hang(gaveUp *atomic.Int64) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		<-r.Context().Done()
		gaveUp.Add(1)
		return true
	}
}

// An answer comes before the deadline, and it refuses.
func TestDeadline(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	g := w.ground("plain")
	for _, c := range []struct {
		name string
		ref  attest.Reference
		path string // what hangs
	}{
		{"everything", good, "/v2/"},
		{"the tag", w.ref(w.repo + ":good"), "/manifests/good"},
		{"the manifest", good, "/manifests/"},
		{"referrers", good, "/referrers/"},
		{"tags", good, "/tags/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var gaveUp atomic.Int64
			stuck := hang(&gaveUp)
			w.breakBy(func(rw http.ResponseWriter, r *http.Request, honest http.Handler) bool {
				return strings.Contains(r.URL.Path, c.path) && stuck(rw, r, honest)
			})
			defer w.breakBy(nil)
			e := w.engine(judge.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			a := e.Judge(ctx, gate.Question{Reference: c.ref, Ground: g})
			if err := ctx.Err(); err != nil {
				t.Fatal("the answer came too late")
			}
			wantRefusal(t, a, attest.CodeRegUnavailable)
			if a.Outcome != policy.Undecided {
				t.Errorf("%s", a.Outcome)
			}
			// The flight ends, because nobody waits for it.
			wait(t, "the request is given up", func() bool { return gaveUp.Load() > 0 })
			wait(t, "the flight ends", func() bool { return e.Stats().Flying == 0 })

			// With a deadline of its own it says what could not be looked at.
			e = w.engine(judge.Options{Limits: gate.Limits{Deadline: 500 * time.Millisecond}})
			began := time.Now()
			a = e.Judge(t.Context(), gate.Question{Reference: c.ref, Ground: g})
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Errorf("it took %s", took)
			}
			if a.Allowed() || a.Outcome != policy.Undecided {
				t.Errorf("%s, %v", a.Outcome, a.Err)
			}
			if c.name == "referrers" && (a.Err != nil || len(a.Verdicts[0].Gaps) == 0) {
				t.Errorf("no verdict says what is missing: %v", a.Err)
			}
			w.breakBy(nil)
			e.Forget()
			wantOutcome(t, ask(t, e, g, c.ref, ""), policy.Allow)
		})
	}
}

// Who leaves stops nobody else.
func TestLeaving(t *testing.T) {
	w := newWorld(t, true)
	good := w.model("good")
	g, e := w.ground("plain"), w.engine(judge.Options{})
	let := make(chan struct{})
	w.breakBy(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		select {
		case <-let:
		case <-r.Context().Done():
		}
		return false
	})
	first, leave := context.WithCancel(t.Context())
	told := make(chan gate.Answer, 2)
	go func() { told <- e.Judge(first, gate.Question{Reference: good, Ground: g}) }()
	wait(t, "the flight begins", func() bool { return e.Stats().Flying == 1 })
	other := make(chan gate.Answer, 1)
	go func() { other <- e.Judge(context.Background(), gate.Question{Reference: good, Ground: g}) }()
	time.Sleep(20 * time.Millisecond)
	leave()
	wantRefusal(t, <-told, attest.CodeInterrupted)
	close(let)
	wantOutcome(t, <-other, policy.Allow)
	if n := e.Stats().Flights; n != 1 {
		t.Errorf("%d flights, want 1", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantRefusal(t, e.Judge(ended, gate.Question{Reference: good, Ground: g}), attest.CodeInterrupted)
}

// A panic refuses all who wait, and nobody else.
func TestPanic(t *testing.T) {
	w := newWorld(t, false)
	good, other := w.model("good"), w.model("other")
	g, e := w.ground("plain"), w.engine(judge.Options{})
	begun := make(chan struct{})
	e.OnLook(func() { <-begun; panic("a bug\x1b[2J") })
	go func() {
		for e.Stats().Misses < 20 {
			time.Sleep(time.Millisecond)
		}
		close(begun)
	}()
	for _, a := range crowd(t, 20, func(int) gate.Answer { return ask(t, e, g, good, "") }) {
		wantRefusal(t, a, attest.CodeInternal)
		if strings.Contains(a.Err.Error(), "a bug\x1b") || strings.Contains(a.Err.Error(), "goroutine") {
			t.Errorf("the refusal shows what is for the log: %v", a.Err)
		}
	}
	e.OnLook(nil)
	wantOutcome(t, ask(t, e, g, other, ""), policy.Allow)
	w.clock.pass(time.Second)
	wantOutcome(t, ask(t, e, g, good, ""), policy.Allow)
	if n := e.Stats().Panics; n == 0 {
		t.Error("nobody counted the bug")
	}
}

// There are so many flights at once and no more, and who does not get a turn is told.
func TestFlightsAreBounded(t *testing.T) {
	w := newWorld(t, false)
	var refs []attest.Reference
	for _, tag := range []string{"a", "b", "c", "d", "e", "f"} {
		refs = append(refs, w.model(tag))
	}
	g, e := w.ground("plain"), w.engine(judge.Options{Limits: gate.Limits{Concurrent: 2}})
	var now, most atomic.Int64
	let := make(chan struct{})
	e.OnLook(func() {
		most.Store(max(most.Load(), now.Add(1)))
		<-let
		now.Add(-1)
	})
	go func() {
		for e.Stats().Flying < len(refs) {
			runtime.Gosched()
		}
		time.Sleep(20 * time.Millisecond)
		close(let)
	}()
	for _, a := range crowd(t, len(refs), func(i int) gate.Answer { return ask(t, e, g, refs[i], "") }) {
		wantOutcome(t, a, policy.Allow)
	}
	if most.Load() != 2 {
		t.Errorf("%d at once, want 2", most.Load())
	}

	e = w.engine(judge.Options{Limits: gate.Limits{Concurrent: 1, Deadline: 300 * time.Millisecond}})
	block := make(chan struct{})
	defer close(block)
	e.OnLook(func() { <-block })
	for _, a := range crowd(t, 2, func(i int) gate.Answer { return ask(t, e, g, refs[i], "") }) {
		if a.Allowed() || a.Err == nil {
			t.Errorf("%s, %v", a.Outcome, a.Err)
		}
	}
}

// A fresh question is not answered by a look that began before it.
func TestFreshWaitsForTheNext(t *testing.T) {
	w := newWorld(t, false)
	w.clock = newClock()
	good := w.model("good")
	g, e := w.ground("strict"), w.engine(judge.Options{})
	began := time.Now()
	e.SetElapsed(func() time.Duration { return time.Since(began) })
	let, looks := make(chan struct{}), atomic.Int64{}
	e.OnLook(func() {
		if looks.Add(1) == 1 {
			<-let
		}
	})
	q := gate.Question{Reference: good, Ground: g, Context: "test"}
	first := make(chan gate.Answer, 1)
	go func() { first <- e.Judge(context.Background(), q) }()
	wait(t, "the first look", func() bool { return looks.Load() == 1 })
	var fresh sync.WaitGroup
	q.Fresh = true
	for range 20 {
		fresh.Go(func() { wantAnswer(t, e.Judge(context.Background(), q), policy.Deny) })
	}
	time.Sleep(20 * time.Millisecond)
	w.revoke(good)
	close(let)
	<-first
	fresh.Wait()
	if n := looks.Load(); n != 2 {
		t.Errorf("%d looks for a crowd of fresh questions, want 1 more than the first", n)
	}
}

func wantAnswer(t *testing.T, a gate.Answer, want policy.Outcome) {
	t.Helper()
	if a.Err != nil || a.Outcome != want {
		t.Errorf("%s, %v, want %s", a.Outcome, a.Err, want)
	}
}

// wait waits until something is so.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in five seconds it is not so that %s", what)
		}
	}
}

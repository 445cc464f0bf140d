package judge_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// An ALLOW is remembered for the time that the configuration says, and one that rests
// on acknowledged absence no longer than that allows.
func TestAllowIsRemembered(t *testing.T) {
	for _, c := range []struct {
		configured time.Duration
		want       time.Duration
	}{{0, 60 * time.Second}, {10 * time.Second, 10 * time.Second}, {time.Hour, gate.AcknowledgedAbsence}, {-1, 0}} {
		w := newWorld(t, false)
		good := w.model("good")
		g := w.ground("plain") // unsafeTime: claimed is acknowledged in the verdict
		e := w.engine(judge.Options{Cache: gate.Cache{Allow: c.configured}})
		first := ask(t, e, g, good, "")
		wantOutcome(t, first, policy.Allow)
		if len(first.Verdicts[0].Acknowledged) == 0 {
			t.Fatal("the verdict acknowledges nothing")
		}
		for _, at := range []time.Duration{0, c.want - 1, c.want, c.want + time.Hour} {
			if at < 0 {
				continue
			}
			e := w.engine(judge.Options{Cache: gate.Cache{Allow: c.configured}})
			first := ask(t, e, g, good, "")
			w.clock.pass(at)
			a := ask(t, e, g, good, "")
			wantOutcome(t, a, policy.Allow)
			if a.Cached != (at < c.want) {
				t.Errorf("%s configured: after %s remembered: %t", c.configured, at, a.Cached)
			}
			if a.Cached && !a.At.Equal(first.At) {
				t.Errorf("a remembered answer speaks of %s, and was given at %s", a.At, first.At)
			}
		}
	}
}

// GAT-29: whatever the clocks do, no answer is given about another time, none for
// longer than it may be, and freshness rules hold.
func TestClockJumps(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name          string
		wall, elapsed time.Duration
		cached        bool
		want          policy.Outcome
	}{
		{"GAT-29 nothing jumps", time.Second, time.Second, true, policy.Allow},
		{"GAT-29 a day forward: the status is over", day + time.Second, time.Second, false, policy.Deny},
		{"GAT-29 a day back", -day + time.Hour, time.Second, false, policy.Allow},
		{"GAT-29 a second back", -time.Second, time.Second, false, policy.Allow},
		{"GAT-29 the wall's clock stands still", 0, time.Hour, false, policy.Allow},
		{"GAT-29 the wall's clock is set back again and again", -time.Millisecond, time.Hour, false, policy.Allow},
		{"GAT-29 the machine slept", time.Hour, time.Second, false, policy.Allow},
		{"GAT-29 an hour passes", time.Hour, time.Hour, false, policy.Allow},
		{"GAT-29 a day passes", day + time.Second, day, false, policy.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, false)
			w.clock.set(-day, 0) // so that a day back, the model was there
			good := w.model("good")
			w.clock.set(day-time.Hour, 0)
			w.publish(good, "24h")
			g, e := w.ground("strict"), w.engine(judge.Options{})
			wantOutcome(t, ask(t, e, g, good, "test"), policy.Allow)
			w.clock.set(c.wall, c.elapsed)
			a := ask(t, e, g, good, "test")
			if a.Cached != c.cached {
				t.Errorf("remembered: %t", a.Cached)
			}
			if c.wall < -time.Hour {
				// By then the newest status is from the future, and the one before it is not
				// good enough any more.
				wantRefusal(t, a, attest.CodeRollback)
				return
			}
			wantOutcome(t, a, c.want)
			// And none becomes eternal: an hour later by either clock it is looked at again.
			for _, by := range [][2]time.Duration{{time.Hour, 0}, {0, time.Hour}} {
				ask(t, e, g, good, "test")
				w.clock.set(by[0], by[1])
				if ask(t, e, g, good, "test").Cached {
					t.Error("an hour later it is still remembered")
				}
			}
		})
	}
}

// A verdict never outlives what it rests on.
func TestUntil(t *testing.T) {
	w := newWorld(t, false)
	ref := w.push(w.repo, "m")
	w.attest(ref)
	w.publish(ref, "30s")
	g, e := w.ground("strict"), w.engine(judge.Options{Cache: gate.Cache{Allow: time.Hour}})
	a := ask(t, e, g, ref, "test")
	wantOutcome(t, a, policy.Allow)
	if left := a.Until.Sub(a.At); left < 29*time.Second || left > 31*time.Second {
		t.Errorf("the status ends in 30s, and the answer in %s", left)
	}
	w.clock.pass(29 * time.Second)
	if a := ask(t, e, g, ref, "test"); !a.Cached || !a.Allowed() {
		t.Errorf("a second before: %s, remembered: %t", a.Outcome, a.Cached)
	}
	w.clock.pass(2 * time.Second)
	wantOutcome(t, ask(t, e, g, ref, "test"), policy.Deny)

	// The policy's own end.
	w.write("short.yaml", replaced(plainPolicy, "2099-01-01T00:00:00Z", w.clock.Now().Add(20*time.Second).Format(time.RFC3339)))
	short := w.ground("short")
	a = ask(t, e, short, ref, "")
	wantOutcome(t, a, policy.Allow)
	if left := a.Until.Sub(w.clock.Now()); left > 20*time.Second {
		t.Errorf("the policy ends in 20s, and the answer in %s", left)
	}
	w.clock.pass(20 * time.Second)
	wantRefusal(t, ask(t, e, short, ref, ""), attest.CodePolicyExpired)
}

// GAT-18: evidence that is added after a refusal is taken within five seconds, however
// often somebody asks meanwhile.
func TestNegativeCache(t *testing.T) {
	t.Run("GAT-18 evidence added after a deny", func(t *testing.T) {
		w := newWorld(t, true)
		ref := w.push(w.repo, "late")
		g, e := w.ground("plain"), w.engine(judge.Options{})
		wantOutcome(t, ask(t, e, g, ref, ""), policy.Deny)
		w.attest(ref)
		before := w.requests.Load()
		for passed := time.Duration(0); passed < 4900*time.Millisecond; passed += 100 * time.Millisecond {
			if a := ask(t, e, g, ref, ""); !a.Cached || a.Outcome != policy.Deny {
				t.Fatalf("after %s: %s, remembered: %t", passed, a.Outcome, a.Cached)
			}
			w.clock.pass(100 * time.Millisecond)
		}
		if n := w.requests.Load() - before; n != 0 {
			t.Errorf("%d requests for what is remembered", n)
		}
		w.clock.pass(100 * time.Millisecond)
		wantOutcome(t, ask(t, e, g, ref, ""), policy.Allow)
	})
	t.Run("GAT-18 a registry that was broken once", func(t *testing.T) {
		w := newWorld(t, true)
		ref := w.model("good")
		g, e := w.ground("plain"), w.engine(judge.Options{})
		for _, path := range []string{"/manifests/", "/referrers/"} {
			w.breakBy(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if !contains(r.URL.Path, path) {
					return false
				}
				rw.WriteHeader(http.StatusNotImplemented) // which is not asked again
				return true
			})
			a := ask(t, e, g, ref, "")
			if a.Allowed() || a.Outcome != policy.Undecided {
				t.Fatalf("%s broken: %s, %v", path, a.Outcome, a.Err)
			}
			if again := ask(t, e, g, ref, ""); !again.Cached {
				t.Errorf("%s broken: a crowd would ask the registry once each", path)
			}
			w.breakBy(nil)
			w.clock.pass(500 * time.Millisecond)
			ask(t, e, g, ref, "") // prolongs nothing
			w.clock.pass(500 * time.Millisecond)
			wantOutcome(t, ask(t, e, g, ref, ""), policy.Allow)
			e.Forget()
		}
	})
}

// Who asks for a fresh answer gets one, and everybody after.
func TestFresh(t *testing.T) {
	w := newWorld(t, false)
	ref := w.model("good")
	g, e := w.ground("strict"), w.engine(judge.Options{})
	q := gate.Question{Reference: ref, Ground: g, Context: "test"}
	wantOutcome(t, e.Judge(t.Context(), q), policy.Allow)
	w.revoke(ref)
	if a := e.Judge(t.Context(), q); !a.Cached || !a.Allowed() {
		t.Fatalf("%s, remembered: %t", a.Outcome, a.Cached)
	}
	q.Fresh = true
	wantOutcome(t, e.Judge(t.Context(), q), policy.Deny)
	q.Fresh = false
	a := e.Judge(t.Context(), q)
	wantOutcome(t, a, policy.Deny)
	if !a.Cached {
		t.Error("what was looked at freshly is not remembered")
	}
}

func TestForget(t *testing.T) {
	w := newWorld(t, false)
	one, two := w.model("one"), w.model("two")
	g, e := w.ground("plain"), w.engine(judge.Options{})
	cached := func(ref attest.Reference) bool { return ask(t, e, g, ref, "").Cached }
	if cached(one) || cached(two) || !cached(one) || !cached(two) {
		t.Fatal("not remembered")
	}
	e.Forget(one.Digest)
	if cached(one) || !cached(two) {
		t.Error("the wrong one is forgotten")
	}
	e.Forget()
	if cached(one) || cached(two) || e.Stats().Entries != 2 {
		t.Errorf("all are forgotten, but %+v", e.Stats())
	}
}

// GAT-29, under load: while the clock is set to and fro, every ALLOW speaks of the
// moment at which it is given, give or take the minute that it may be remembered.
func TestClockJumpsUnderLoad(t *testing.T) {
	w := newWorld(t, false)
	ref := w.model("m")
	g, e := w.ground("strict"), w.engine(judge.Options{})
	e.SetElapsed(func() time.Duration { return w.clock.Elapsed() })
	var stop atomic.Bool
	var asking sync.WaitGroup
	var allowed, checked atomic.Int64
	for range 4 {
		asking.Go(func() {
			for !stop.Load() {
				before := w.clock.Now()
				a := ask(t, e, g, ref, "test")
				if !a.Allowed() || !w.clock.Now().Equal(before) {
					continue // refused, or the clock was set meanwhile
				}
				checked.Add(1)
				if a.Cached {
					allowed.Add(1)
				}
				if before.Before(a.At) || !before.Before(a.Until) || before.Sub(a.At) > 61*time.Second {
					t.Errorf("GAT-29: at %s an ALLOW of %s is given, which ends at %s", before, a.At, a.Until)
					return
				}
			}
		})
	}
	for i := range 300 {
		w.clock.set(time.Duration(rand.Int64N(int64(48*time.Hour)))-24*time.Hour, time.Duration(i)*time.Millisecond)
		time.Sleep(time.Millisecond)
		w.clock.set(start.Add(time.Duration(i)*100*time.Millisecond).Sub(w.clock.Now()), 0)
		time.Sleep(2 * time.Millisecond)
	}
	stop.Store(true)
	asking.Wait()
	if allowed.Load() == 0 || checked.Load() == 0 {
		t.Errorf("%d of %d were remembered: nothing was tested", allowed.Load(), checked.Load())
	}
}

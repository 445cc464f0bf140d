package record

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// Losing the registry for an hour loses no record.
func TestRegistryDownForAnHour(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 4)
	q := w.queue()
	w.fail(down)
	for i := range 60 {
		for s := range 3 {
			// A place that changes every quarter of an hour, and two that do once.
			if s == 0 {
				w.admit(q, m[i/15], "changes")
			} else {
				w.admit(q, m[i/30], fmt.Sprint("stays", s))
			}
		}
		q.pass(t.Context())
		w.clock.add(time.Minute)
	}
	if s := q.Stats(); s.Waiting != 8 || !s.Oldest.Equal(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)) {
		t.Fatalf("after an hour: %+v", s)
	}
	list, err := List(q.o.Dir, w.clock.Now())
	if err != nil || len(list) != 8 || list[0].Trouble == nil || list[0].Trouble.Code == "" || !list[0].Trouble.Since.Equal(list[0].Since) {
		t.Fatalf("listed: %v %+v", err, list)
	}
	w.fail(nil)
	w.work(q)
	h := w.history("m")
	for i, r := range w.shows(h, "changes", m...) {
		if want := time.Date(2026, 11, 24, 10, 15*i, 0, 0, time.UTC); !r.Claimed.Equal(want) {
			t.Errorf("record %d claims %s, want when it was let in, %s", i, r.Claimed, want)
		}
	}
	w.shows(h, "stays1", m[0], m[1])
	w.shows(h, "stays2", m[0], m[1])
	if n := withdrawn(h); n != 0 {
		t.Errorf("%d were taken back", n)
	}
}

// A registry that answers anything at some time, and nothing at others, gets every record
// once and in order.
func TestRegistryThatFailsHereAndThere(t *testing.T) {
	for seed := range 2 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			m := w.models("m", 3)
			q := w.queue()
			var mu sync.Mutex
			n := seed
			w.fail(func(rw http.ResponseWriter, _ *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%(7+seed) != 0 {
					return false
				}
				http.Error(rw, "not now", []int{http.StatusNotFound, http.StatusForbidden, http.StatusUnauthorized}[n%3])
				return true
			})
			for _, ref := range m {
				w.admit(q, ref, "s")
				w.clock.add(time.Hour)
				q.pass(t.Context())
			}
			for range 200 {
				q.pass(t.Context())
				w.clock.add(time.Minute)
			}
			w.fail(nil)
			w.work(q)
			w.shows(w.history("m"), "s", m...)
		})
	}
}

// What the registry took and does not list is not recorded, and is attached again.
func TestRegistryThatLies(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	q := w.queue(func(o *Options) { o.Attempt = 300 * time.Millisecond })
	w.admit(q, m[0], "s")
	w.work(q)
	w.admit(q, m[1], "s")
	w.fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/referrers/") {
			rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			fmt.Fprint(rw, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			return true
		}
		return false
	})
	for range 3 {
		q.pass(t.Context())
		w.clock.add(10 * time.Minute)
	}
	if s := q.Stats(); s.Waiting != 1 {
		t.Fatalf("a registry that shows nothing got everything: %+v", s)
	}
	w.fail(nil)
	w.work(q)
	w.shows(w.history("m"), "s", m...)
}

// One repository that cannot be asked, or takes forever, holds up no other.
func TestLanesAreApart(t *testing.T) {
	w := newWorld(t)
	a, b := w.push("a", "v1"), w.push("b", "v1")
	q := w.queue(func(o *Options) { o.Attempt = time.Second })
	release := make(chan struct{})
	w.fail(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasPrefix(req.URL.Path, "/v2/a/") {
			select {
			case <-release:
			case <-req.Context().Done():
			}
		}
		return false
	})
	w.admit(q, a, "one")
	w.admit(q, b, "two")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	deadline := time.Now().Add(20 * time.Second)
	for q.Stats().Waiting != 1 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if s := q.Stats(); s.Waiting != 1 {
		t.Errorf("the slow repository held up the other: %+v", s)
	}
	close(release)
	for q.Stats().Waiting != 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.shows(w.history("a", "b"), "one", a)
	w.shows(w.history("a", "b"), "two", b)
}

// A signer that does not sign is waited for, and what waits says so.
func TestSignerRefuses(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue()
	w.mu.Lock()
	w.refuse = &attest.Refusal{Code: attest.CodeSignRefused, Why: "the key is locked"}
	w.mu.Unlock()
	w.admit(q, ref, "s")
	q.pass(t.Context())
	list, err := List(q.o.Dir, w.clock.Now())
	if err != nil || len(list) != 1 || list[0].Trouble == nil || list[0].Trouble.Code != attest.CodeSignRefused {
		t.Fatalf("%v %+v", err, list)
	}
	if err := q.Flush(t.Context()); code(err) != attest.CodeRegUnavailable {
		t.Errorf("flush: %v", err)
	}
	w.mu.Lock()
	w.refuse = nil
	w.mu.Unlock()
	if err := q.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	w.shows(w.history("m"), "s", ref)
}

// The summaries are signed while the registry is away: what they say is not older than
// their signatures when it comes back.
func TestVerdictsAreSignedEarly(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue()
	w.fail(down)
	w.admit(q, ref, "s")
	q.pass(t.Context())
	if len(w.signed) != 1 {
		t.Errorf("%d statements were signed without a registry, want the summary", len(w.signed))
	}
}

// Run stops soon after its context, and what it was at is not lost.
func TestRunStops(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	o := w.options(t.TempDir())
	q := w.reopen(o)
	w.fail(func(_ http.ResponseWriter, _ *http.Request) bool {
		time.Sleep(20 * time.Millisecond)
		return false
	})
	w.admit(q, ref, "s")
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := q.Run(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s to stop", took)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := q.Admitted(w.admission(ref, "other")); code(err) != attest.CodeState {
		t.Errorf("after Close: %v", err)
	}
	w.fail(nil)
	w.work(w.reopen(o))
	w.shows(w.history("m"), "s", ref)
}

package record

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A rollout that alternates old and new pods is one change, and who goes back at once
// makes two.
func TestRollouts(t *testing.T) {
	for _, c := range []struct {
		name  string
		order string // of artifacts, one every ten seconds
		want  string
	}{
		{"one", "aaaa", "a"},
		{"straight", "aaabbb", "ab"},
		{"alternating", "aababababb", "ab"},
		{"back at once", "aabaaa", "aba"},
		{"back after alternating", "aabababaa", "aba"},
		{"back and forth", "aabaab", "ab"},
		{"three", "abcbcc", "abc"},
		{"three, and back to the first", "abca", "abca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.models("m", 3)
			q := w.queue()
			for i, r := range c.order {
				w.admit(q, m[r-'a'], "s")
				w.admit(q, m[0], fmt.Sprint("busy", i)) // the lane has something to do
				q.pass(t.Context())
				w.clock.add(10 * time.Second)
			}
			w.work(q)
			var want []attest.Reference
			for _, r := range c.want {
				want = append(want, m[r-'a'])
			}
			w.shows(w.history("m"), "s", want...)
		})
	}
}

// What settled counts for the next admission, whether the worker came to it or not.
func TestSettledWithoutWorker(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	q := w.queue()
	for _, i := range []int{0, 1, 0} {
		w.admit(q, m[i], "s")
		w.clock.add(10 * time.Second)
	}
	w.clock.add(5 * time.Minute)
	w.admit(q, m[0], "s") // the same
	if s := q.Stats(); s.Waiting != 3 || s.Settling != 0 {
		t.Fatalf("%+v", s)
	}
	w.clock.add(time.Hour)
	w.admit(q, m[1], "s")
	w.work(q)
	w.shows(w.history("m"), "s", m[0], m[1], m[0], m[1])
}

func TestFullQueue(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	q := w.queue(func(o *Options) { o.Limit = 5 })
	start := w.clock.Now()
	for i := range 5 {
		w.admit(q, m[0], fmt.Sprint("s", i))
		w.clock.add(time.Minute)
	}
	err := q.Admitted(w.admission(m[0], "s5"))
	if code(err) != attest.CodeLimit {
		t.Fatalf("the sixth: %v", err)
	}
	if want := fmt.Sprintf("E_LIMIT %s: 5 deployment records wait to be attached, the oldest since %s, and no more are taken", q.o.Dir, start.Format(time.RFC3339)); err.Error() != want {
		t.Errorf("%s\nwant\n%s", err, want)
	}
	if err := q.Admitted(w.admission(m[0], "s4")); err != nil {
		t.Errorf("nothing changed there, and it needs no room: %v", err)
	}
	w.work(q)
	w.admit(q, m[0], "s5")
	w.work(q)
	w.shows(w.history("m"), "s5", m[0])
}

// The chain of a place goes on from one repository to another, also when the first one
// is away for a while; places that have nothing to do with it do not wait.
func TestChainAcrossRepositories(t *testing.T) {
	w := newWorld(t)
	a, b := w.push("a", "v1"), w.push("b", "v1")
	q := w.queue()
	w.admit(q, a, "s")
	w.work(q)
	w.clock.add(time.Hour)
	w.fail(only("/v2/a/"))
	w.admit(q, b, "s")
	w.admit(q, b, "elsewhere")
	for range 10 {
		q.pass(t.Context())
		w.clock.add(time.Minute)
	}
	if s := q.Stats(); s.Waiting != 1 {
		t.Fatalf("waiting: %+v, want the place whose last record cannot be seen", s)
	}
	w.fail(nil)
	w.work(q)
	h := w.history("a", "b")
	w.shows(h, "s", a, b)
	w.shows(h, "elsewhere", b)
}

// Retention that removed old versions, records and all, stops no chain; that the newest
// record alone was removed is not passed over.
func TestRemovedRecords(t *testing.T) {
	for _, c := range []struct {
		name    string
		remove  []int // which of the first two records
		records int   // in the end; 0: it waits
	}{{"the last one too", []int{0, 1}, 1}, {"the first", []int{0}, 2}, {"the last", []int{1}, 0}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.models("m", 3)
			q := w.queue()
			for _, ref := range m[:2] {
				w.admit(q, ref, "s")
				w.work(q)
				w.clock.add(time.Hour)
			}
			records := w.shows(w.history("m"), "s", m[0], m[1])
			for _, i := range c.remove {
				w.remove(m[i])
			}
			w.admit(q, m[2], "s")
			for range 30 {
				q.pass(t.Context())
				w.clock.add(time.Minute)
			}
			p := w.history("m").Places
			if c.records == 0 {
				list, err := List(q.o.Dir, w.clock.Now())
				if err != nil || len(list) != 1 || list[0].Trouble == nil || list[0].Trouble.Code != attest.CodeHistory {
					t.Errorf("%v %+v", err, list)
				}
				return
			}
			if len(p) != 1 || len(p[0].Records) != c.records {
				t.Fatalf("%+v", p)
			}
			if at := p[0].Records[0].Previous; at == nil || at.Payload != records[1].Payload {
				t.Errorf("it follows on %v", at)
			}
		})
	}
}

// remove removes an artifact, with all that is attached to it.
func (w *world) remove(ref attest.Reference) {
	w.t.Helper()
	repo, err := w.open(ref.Repository)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []attest.Digest
	err = repo.Attestations(w.t.Context(), ref.Digest, func(a attest.Attached) bool {
		all = append(all, a.Manifest)
		return true
	})
	if err != nil || len(all) == 0 {
		w.t.Fatalf("%d attached: %v", len(all), err)
	}
	names := []string{ref.Tag}
	for _, d := range append(all, ref.Digest) {
		names = append(names, d.String())
	}
	for _, manifest := range names {
		_, name, _ := strings.Cut(ref.Repository.Name(), "/")
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, "http://"+w.host+"/v2/"+name+"/manifests/"+manifest, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			w.t.Fatalf("%s: %s", req.URL, resp.Status)
		}
	}
}

// A clock that was set back makes no admission late.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	q := w.queue()
	w.admit(q, m[0], "s")
	w.work(q)
	a := w.admission(m[1], "s")
	a.At = a.At.Add(-24 * time.Hour)
	if err := q.Admitted(a); err != nil {
		t.Fatal(err)
	}
	w.work(q)
	w.shows(w.history("m"), "s", m[0], m[1])
}

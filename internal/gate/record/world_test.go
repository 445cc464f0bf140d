package record

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A world is a real registry that can be made to fail, a signer and artifacts.
type world struct {
	t      *testing.T
	clock  *clock
	host   string
	fault  atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // true: it answered
	asked  atomic.Int64
	signer *attest.KeySigner

	mu     sync.Mutex
	signed map[attest.Digest]int // how often a payload was signed
	refuse error                 // what the signer says instead
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}, signed: map[attest.Digest]int{}}
	inner := ociserver.New(ocimem.New(), nil)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.asked.Add(1)
		if f := w.fault.Load(); f != nil && (*f)(rw, req) {
			return
		}
		inner.ServeHTTP(rw, req)
	}))
	t.Cleanup(srv.Close)
	w.host = strings.TrimPrefix(srv.URL, "http://")
	s, err := attest.NewKeySigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	w.signer = s
	return w
}

func (w *world) fail(f func(http.ResponseWriter, *http.Request) bool) {
	if f == nil {
		w.fault.Store(nil)
		return
	}
	w.fault.Store(&f)
}

// down is a registry that is not there.
func down(rw http.ResponseWriter, _ *http.Request) bool {
	http.Error(rw, "down", http.StatusNotFound)
	return true
}

func (w *world) open(r attest.Repository) (*oci.Repository, error) { return oci.Open(r, oci.Options{}) }

// push makes an artifact of its own bytes in a repository.
func (w *world) push(repo, tag string) attest.Reference {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "m")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), []byte(repo+tag), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p, err := oci.Pack(w.t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	where, err := attest.ParseRepository(w.host + "/" + repo)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.open(where)
	if err != nil {
		w.t.Fatal(err)
	}
	ref, err := r.Push(w.t.Context(), p, tag)
	if err != nil {
		w.t.Fatal(err)
	}
	return ref
}

func (w *world) options(dir string) Options {
	return Options{
		Dir: dir, Gate: "eu-1", Version: "test", Open: w.open, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
		Signers: verify.Signers{Keys: []attest.PublicKey{w.signer.Public()}},
		Signer: func(ctx context.Context, payload []byte) ([]byte, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse != nil {
				return nil, w.refuse
			}
			w.signed[attest.SHA256(payload)]++
			return attest.Sign(ctx, payload, w.signer)
		},
	}
}

// queue opens a queue in a folder of its own.
func (w *world) queue(change ...func(*Options)) *Queue {
	w.t.Helper()
	o := w.options(w.t.TempDir())
	for _, c := range change {
		c(&o)
	}
	return w.reopen(o)
}

func (w *world) reopen(o Options) *Queue {
	w.t.Helper()
	q, err := Open(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = q.Close() })
	return q
}

// admission is one by an ALLOW.
func (w *world) admission(ref attest.Reference, service string) gate.Admission {
	at := w.clock.Now()
	v := &policy.Verdict{Outcome: policy.Allow, At: at}
	v.Policy.Name, v.Policy.Version, v.Policy.Digest = "p", 3, attest.SHA256([]byte("policy"))
	pinned := ref.Repository.At(ref.Digest)
	return gate.Admission{
		At: at, Reference: pinned, Environment: "prod", Cluster: "eu-1", Service: service, Observer: "https://gate.example", Rule: "models",
		Answer: gate.Answer{Outcome: policy.Allow, Reference: pinned, Policy: v.Policy.Digest, Verdicts: []*policy.Verdict{v}, At: at},
	}
}

func (w *world) admit(q *Queue, ref attest.Reference, service string) {
	w.t.Helper()
	if err := q.Admitted(w.admission(ref, service)); err != nil {
		w.t.Fatal(err)
	}
}

// work has a queue work until nothing waits, for at most some simulated hours.
func (w *world) work(queues ...*Queue) {
	w.t.Helper()
	for range 500 {
		waiting := 0
		for _, q := range queues {
			q.pass(w.t.Context())
			waiting += q.Stats().Waiting
		}
		if waiting == 0 {
			return
		}
		w.clock.add(10 * time.Second)
	}
	for _, q := range queues {
		list, err := List(q.o.Dir, w.clock.Now())
		w.t.Fatalf("still waiting after an hour: %+v %v", list, err)
	}
}

// history asks as pedigree history does.
func (w *world) history(repos ...string) *lineage.History {
	w.t.Helper()
	return w.historyOf(w.options(""), repos...)
}

func (w *world) historyOf(o Options, repos ...string) *lineage.History {
	w.t.Helper()
	q := &Queue{o: o}
	q.o.Attempt = time.Minute
	r, err := newReading()
	if err != nil {
		w.t.Fatal(err)
	}
	var where []attest.Repository
	for _, repo := range repos {
		parsed, err := attest.ParseRepository(w.host + "/" + repo)
		if err != nil {
			w.t.Fatal(err)
		}
		where = append(where, parsed)
	}
	s, err := q.look(w.t.Context(), r, where, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := s.history(w.t.Context(), "prod")
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// shows checks that the records of a service that count are of these artifacts, the
// first one first, and that nothing is wrong with any record.
func (w *world) shows(h *lineage.History, service string, want ...attest.Reference) []lineage.Deployed {
	w.t.Helper()
	if len(h.Gaps) > 0 {
		w.t.Errorf("gaps: %+v", h.Gaps)
	}
	var got []lineage.Deployed
	for _, p := range h.Places {
		if p.Place.Service != service {
			continue
		}
		for _, f := range p.Findings {
			w.t.Errorf("%s: %s: %s", service, f.Kind, f.Why)
		}
		if p.Contested {
			w.t.Errorf("%s is contested", service)
		}
		for i := len(p.Records) - 1; i >= 0; i-- {
			if r := p.Records[i]; r.Withdrawn == nil && r.Rejected == nil {
				got = append(got, r)
			}
		}
	}
	names := func() (out []string) {
		for _, r := range got {
			out = append(out, r.Artifact.Short()+" "+r.Reason+" "+r.Claimed.Format(time.TimeOnly))
		}
		return out
	}
	if len(got) != len(want) {
		w.t.Fatalf("%s has %d records %v, want %d", service, len(got), names(), len(want))
	}
	for i, r := range got {
		if r.Artifact != want[i].Digest {
			w.t.Fatalf("%s: record %d is of another artifact: %v", service, i, names())
		}
	}
	return got
}

// withdrawn counts the records that were taken back.
func withdrawn(h *lineage.History) (n int) {
	for _, p := range h.Places {
		for _, r := range p.Records {
			if r.Withdrawn != nil {
				n++
			}
		}
	}
	return n
}

func (w *world) models(repo string, n int) (out []attest.Reference) {
	for i := range n {
		out = append(out, w.push(repo, fmt.Sprintf("v%d", i+1)))
	}
	return out
}

func code(err error) attest.Code { return attest.RefusalCode(err) }

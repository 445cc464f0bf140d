package judge_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// A far registry answers each request after one unit of time. It is asked without a
// network, so that in a synctest bubble the time that a question takes is exactly the
// number of round trips that had to wait for each other.
type far struct {
	registry http.Handler
	unit     time.Duration

	mu    sync.Mutex
	asked []string
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(f.unit)
	path := strings.TrimPrefix(r.URL.Path, "/v2/acme/credit")
	f.mu.Lock()
	f.asked = append(f.asked, path)
	f.mu.Unlock()
	w := httptest.NewRecorder()
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
	in.Header = r.Header
	f.registry.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// twice returns what was asked more than once.
func (f *far) twice() (out []string) {
	count := map[string]int{}
	for _, p := range f.asked {
		if count[p]++; count[p] == 2 {
			out = append(out, p)
		}
	}
	return out
}

// A cold question waits for few round trips, and asks for nothing twice.
func TestRoundTrips(t *testing.T) {
	w := newWorld(t, true)
	deep := w.chain(9)
	wide := w.push(w.repo, "m")
	for range 9 {
		w.attest(wide)
		w.clock.pass(time.Second)
		w.write("provenance.json", fmt.Sprintf(`{"buildDefinition":{"buildType":"https://example.org/build/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":%q}}}`, w.clock.Now().Format(time.RFC3339)))
	}
	w.publish(wide, "24h")
	tagged := deep
	tagged.Tag, tagged.Digest = "s8", attest.Digest{}
	for _, c := range []struct {
		name             string
		ref              attest.Reference
		ground, context  string
		rounds, requests int
	}{
		{"ten attestations of one artifact", wide, "strict", "test", 4, 40},
		{"nine artifacts in a line, and a status", deep, "line", "", 5, 64},
		{"the same by its tag", tagged, "line", "", 6, 65},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.ground(c.ground)
			now := w.clock.Now()
			synctest.Test(t, func(t *testing.T) {
				f := &far{registry: w.honest, unit: time.Millisecond}
				e := judge.New(judge.Options{Now: func() time.Time { return now },
					Open: func(r attest.Repository) (*oci.Repository, error) {
						return oci.Open(r, oci.Options{Transport: f, Keychain: authn.NewMultiKeychain()})
					}})
				q := gate.Question{Reference: c.ref, Ground: g, Context: c.context}
				ask := func() int {
					f.asked = nil
					began := time.Now()
					wantOutcome(t, e.Judge(t.Context(), q), policy.Allow)
					return int(time.Since(began) / f.unit)
				}
				first := ask() // which asks how to authenticate too
				e.Forget()
				rounds := ask()
				if rounds > c.rounds || len(f.asked) > c.requests {
					t.Errorf("%d round trips, %d requests, want %d and %d (the first time: %d)", rounds, len(f.asked), c.rounds, c.requests, first)
				}
				if again := f.twice(); len(again) > 0 {
					t.Errorf("asked twice: %q", again)
				}
			})
		})
	}
}

package oci_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// inProcess answers a request without a network.
func inProcess(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
	in.Header, in.ContentLength = r.Header, r.ContentLength
	h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp
}

// A lag is a registry that takes a second for each answer, by a clock that no other
// work delays: inside a synctest bubble time is a number of round trips.
type lag struct {
	handler http.Handler
	calls   atomic.Int64
	fault   func(r *http.Request) *http.Response // nil: honest
}

func (l *lag) RoundTrip(r *http.Request) (*http.Response, error) {
	l.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if l.fault != nil {
		if resp := l.fault(r); resp != nil {
			resp.Request = r
			return resp, nil
		}
	}
	return inProcess(l.handler, r), nil
}

// lagging returns a repository with some models that have two attestations each.
func lagging(t *testing.T, n int) (*lag, *oci.Repository, []attest.Digest) {
	t.Helper()
	l := &lag{handler: ociserver.New(ocimem.New(), nil)}
	r := openWith(t, "registry.example/acme/credit", oci.Options{Transport: l})
	var out []attest.Digest
	for i := range n {
		d := attest.SHA256([]byte{byte(i)})
		for k := range 2 {
			_, err := r.Attach(t.Context(), d, bundle(t, d, k, ""))
			must(t, err)
		}
		out = append(out, d)
	}
	return l, r, out
}

func roundTrips(f func()) int {
	began := time.Now()
	f()
	return int(time.Since(began).Round(time.Second) / time.Second)
}

// What was expected costs its round trips once, for all that were, and what is asked is
// answered as by the repository: once.
func TestExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, models := lagging(t, 5)
		v := r.View()
		before := l.calls.Load()
		v.Expect(t.Context(), models, true)
		got := roundTrips(func() {
			for _, d := range models {
				seen, viewErr := listFrom(v, d)
				if len(seen) != 2 || viewErr != nil {
					t.Errorf("%d attestations, %v", len(seen), viewErr)
				}
				if _, err := v.Manifest(t.Context(), d); !attest.IsAbsent(err) {
					t.Errorf("a manifest that nobody pushed: %v", err)
				}
			}
		})
		// The API and the tags at once, then the attestations.
		if want := 2; got != want {
			t.Errorf("%d round trips, want %d", got, want)
		}
		if n, want := l.calls.Load()-before, int64(1+len(models)*(2+2+1)); n != want {
			t.Errorf("%d requests, want %d", n, want)
		}
		before = l.calls.Load()
		again, err := listFrom(v, models[0])
		want, _ := listFrom(r, models[0])
		if !slices.Equal(sketch(again, err), sketch(want, nil)) || l.calls.Load() == before {
			t.Errorf("asked again: %d attestations, %v, %d requests", len(again), err, l.calls.Load()-before)
		}
	})
}

// A fault while nobody waits is told to who asks, as a fault: never as absence.
func TestExpectFaults(t *testing.T) {
	answer := func(status int, kind, body string) func() *http.Response {
		return func() *http.Response {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.WriteString(body)
			return w.Result()
		}
	}
	paths := map[string]func(*http.Request) bool{
		"referrers": isReferrers,
		"tags":      func(r *http.Request) bool { return bytes.HasSuffix([]byte(r.URL.Path), []byte("/tags/list")) },
		"manifests": func(r *http.Request) bool { return bytes.Contains([]byte(r.URL.Path), []byte("/manifests/")) },
	}
	faults := map[string]func() *http.Response{
		"500": answer(500, "text/plain", "boom"), "403": answer(403, "application/json", "{}"), "404": answer(404, "text/plain", "none"),
		"a page": answer(200, "text/html", "<html>"), "rubbish": answer(200, attest.MediaTypeIndex, "{"), "an empty index": answer(200, attest.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`),
	}
	for where, match := range paths {
		for what, fault := range faults {
			t.Run(where+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, r, models := lagging(t, 1)
					l.fault = func(req *http.Request) *http.Response {
						if match(req) {
							return fault()
						}
						return nil
					}
					want, wantErr := listFrom(r.View(), models[0])
					v := r.View()
					v.Expect(t.Context(), models, true)
					time.Sleep(time.Minute)
					got, err := listFrom(v, models[0])
					if g, w := sketch(got, err), sketch(want, wantErr); !slices.Equal(g, w) {
						t.Errorf("expected, it lists\n%q (%v)\nand otherwise\n%q (%v)", g, err, w, wantErr)
					}
					_, wantErr = r.Manifest(t.Context(), models[0])
					if _, err = v.Manifest(t.Context(), models[0]); attest.IsAbsent(err) != attest.IsAbsent(wantErr) || attest.RefusalCode(err) != attest.RefusalCode(wantErr) {
						t.Errorf("the manifest: %v, and otherwise %v", err, wantErr)
					}
				})
			})
		}
	}
}

// What ended because whoever expected it gave up is no answer.
func TestExpectGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, models := lagging(t, 40)
		for _, after := range []time.Duration{0, time.Second / 2, 3 * time.Second / 2, time.Hour} {
			v := r.View()
			ctx, cancel := context.WithCancel(t.Context())
			v.Expect(ctx, models, true)
			time.Sleep(after)
			cancel()
			var wg sync.WaitGroup
			for _, d := range models {
				wg.Go(func() {
					if got, err := listFrom(v, d); len(got) != 2 || err != nil {
						t.Errorf("given up after %s: %d attestations, %v", after, len(got), err)
					}
				})
			}
			wg.Wait()
		}
		// Who asks gives up: that is an error, and not an empty list.
		v := r.View()
		v.Expect(t.Context(), models, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		time.Sleep(time.Second / 4)
		err := v.Attestations(ctx, models[0], func(attest.Attached) bool { return true })
		wantCode(t, err, attest.CodeRegUnavailable)
		time.Sleep(time.Minute) // the rest comes to an end
	})
}

// Memory and questions are bounded; what is beyond is looked up when it is asked about.
func TestExpectBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, models := lagging(t, 1)
		large := make([]byte, 3<<20)
		var big []attest.Digest
		for i := range 8 {
			d := attest.SHA256([]byte{1, byte(i)})
			_, err := r.Attach(t.Context(), d, bundle(t, d, 1, string(bytes.Repeat([]byte{'x'}, len(large)))))
			must(t, err)
			big = append(big, d)
		}
		v := r.View()
		v.Expect(t.Context(), big, false)
		time.Sleep(time.Hour)
		if n := v.LiesReady(); n > 16<<20 {
			t.Errorf("%d bytes lie ready", n)
		}
		for _, d := range big {
			if got, err := listFrom(v, d); len(got) != 1 || err != nil || len(got[0].Bundle) < len(large) {
				t.Errorf("%d attestations, %v", len(got), err)
			}
		}
		if n := v.LiesReady(); n != 0 {
			t.Errorf("%d bytes lie ready when all was asked", n)
		}
		var many []attest.Digest
		for i := range 2000 {
			many = append(many, attest.SHA256([]byte{2, byte(i), byte(i >> 8)}))
		}
		v = r.View()
		before := l.calls.Load()
		v.Expect(t.Context(), append(many, models...), false)
		time.Sleep(time.Hour)
		if n := l.calls.Load() - before; n > 2*512+1 {
			t.Errorf("%d requests before anybody asked", n)
		}
		if got, err := listFrom(v, models[0]); len(got) != 2 || err != nil {
			t.Errorf("%d attestations, %v", len(got), err)
		}
	})
}

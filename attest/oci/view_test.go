package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// A traffic counts what a registry is asked, and takes its time to answer.
type traffic struct {
	mu    sync.Mutex
	asked map[string]int
	delay time.Duration
}

// kind names what a request is for.
func kind(req *http.Request) string {
	last := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	switch {
	case isReferrers(req):
		return "referrers"
	case strings.HasSuffix(req.URL.Path, "/tags/list"):
		return "tags"
	case strings.Contains(req.URL.Path, "/manifests/sha256-") && !strings.Contains(last, "."):
		return "index"
	case strings.Contains(req.URL.Path, "/manifests/"):
		return "manifest"
	}
	return "other"
}

func (c *traffic) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		c.asked[kind(req)]++
		delay := c.delay
		c.mu.Unlock()
		time.Sleep(delay)
		h.ServeHTTP(w, req)
	})
}

// reset starts counting anew.
func (c *traffic) reset(delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.delay = map[string]int{}, delay
}

func (c *traffic) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.asked {
		n += k
	}
	return n
}

// A lineage is a chain in a registry: artifacts that each were made of the next.
type lineage struct {
	traffic
	where string
	root  attest.Digest
	scope verify.Scope
}

// newLineage attaches each attestations to each of some artifacts.
func newLineage(t testing.TB, api bool, artifacts, each int) *lineage {
	t.Helper()
	l := &lineage{}
	l.reset(0)
	l.where = memory(t, func(h http.Handler) http.Handler {
		if !api {
			h = noAPI(h)
		}
		return l.wrap(h)
	})
	key, err := testKey()
	must(t, err)
	at := func(i int) attest.Digest { return attest.SHA256(fmt.Appendf(nil, "artifact %d", i)) }
	r := open(t, l.where)
	for i := range artifacts {
		var inputs []any
		if i+1 < artifacts {
			inputs = []any{map[string]any{"name": "input", "digest": at(i + 1).DigestSet(), "annotations": map[string]any{"role": "input"}}}
		}
		st, err := attest.NewStatement(attest.Subject{Name: "made", Digest: at(i)}, predicate.TypeProvenance, map[string]any{
			"buildDefinition": map[string]any{"buildType": "https://example.test/build", "externalParameters": map[string]any{}, "resolvedDependencies": inputs},
			"runDetails":      map[string]any{"builder": map[string]any{"id": "https://builder.example.test"}},
		})
		must(t, err)
		made, err := attest.Sign(t.Context(), st, key)
		must(t, err)
		_, err = r.Attach(t.Context(), at(i), made)
		must(t, err)
		for n := range each - 1 {
			_, err := r.Attach(t.Context(), at(i), bundle(t, at(i), n, ""))
			must(t, err)
		}
	}
	l.root = at(0)
	l.scope = verify.Scope{Consult: true, Signers: verify.Signers{Keys: []attest.PublicKey{key.Public()}},
		Follow: []verify.Follow{{PredicateType: predicate.TypeProvenance, By: []verify.Credential{verify.KeyCredential(key.Public())}}}}
	return l
}

func (l *lineage) walk(t testing.TB, s verify.Source) verify.Chain {
	t.Helper()
	c, err := verify.Walk(context.Background(), l.root, []verify.Source{s}, l.scope)
	must(t, err)
	if len(c.Unseen()) != 0 {
		t.Errorf("not seen: %v", c.Unseen())
	}
	return c
}

// A walk through a View finds what a walk through the repository finds, and asks
// for nothing that the one list of tags shows to be absent.
func TestWalkAsksLittle(t *testing.T) {
	const artifacts, each = 3, 4
	looked := artifacts + artifacts*each + 1 // ancestry, payloads, key
	for name, api := range map[string]bool{"api": true, "no-api": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLineage(t, api, artifacts, each)
			direct := l.walk(t, open(t, l.where))
			l.reset(0)
			c := l.walk(t, open(t, l.where).View())
			if len(c.ConsultedAll()) != artifacts*each+1 || !slices.Equal(c.ConsultedAll(), direct.ConsultedAll()) || !slices.Equal(c.Artifacts(), direct.Artifacts()) {
				t.Errorf("the view's chain has %d artifacts and %d consulted, the repository's %d and %d", len(c.Artifacts()), len(c.ConsultedAll()), len(direct.Artifacts()), len(direct.ConsultedAll()))
			}
			for _, d := range c.Artifacts() {
				if got := len(c.Artifact(d).Evidence); got != each {
					t.Errorf("%s has %d pieces of evidence, want %d", d.Short(), got, each)
				}
			}
			// One manifest for each attestation, and of each artifact of the ancestry;
			// the API for manifest and stand-in of all; the index only where there is one.
			want := map[string]int{"tags": 1, "referrers": 2 * looked, "manifest": artifacts*each + artifacts, "other": 1}
			if !api {
				want["index"] = artifacts
			}
			if got := fmt.Sprint(l.asked); got != fmt.Sprint(want) {
				t.Errorf("asked %s, want %v", got, want)
			}
		})
	}
}

// However many ask at once, the tags are listed once.
func TestTagsAreListedOnce(t *testing.T) {
	l := newLineage(t, false, 1, 1)
	l.reset(10 * time.Millisecond)
	v := open(t, l.where).View()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if got, err := listFrom(v, l.root); err != nil || len(got) != 1 {
				t.Errorf("%d listed, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if l.asked["tags"] != 1 {
		t.Errorf("the tags were listed %d times", l.asked["tags"])
	}
}

// A list that cannot be had is "could not look" for every digest, though asked for
// once, and the index is read all the same; a repository that says it does not
// exist and does not has nothing.
func TestViewWithoutTags(t *testing.T) {
	for _, tt := range []struct {
		status int
		asked  int // how often
	}{
		{http.StatusForbidden, 1},
		{http.StatusNotFound, 2}, // once more without parameters
		{http.StatusInternalServerError, 4},
	} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			t.Parallel()
			var tags atomic.Int64
			where, d := prepared(t, false, 2, func(_ *hostile, w http.ResponseWriter, req *http.Request) bool {
				if kind(req) != "tags" {
					return false
				}
				tags.Add(1)
				w.WriteHeader(tt.status)
				return true
			})
			v := open(t, where).View()
			for range 3 {
				got, err := listFrom(v, d)
				wantCode(t, err, attest.CodeRegUnavailable)
				if errors.Is(err, attest.ErrAbsent) || len(got) != 2 {
					t.Errorf("%d listed by the index, want 2: %v", len(got), err)
				}
			}
			if got := int(tags.Load()); got != tt.asked {
				t.Errorf("the tags were asked for %d times, want %d", got, tt.asked)
			}
			// Of what is not there, a registry that denies that there is a repository has
			// said that nothing is attached. Any other has not said anything.
			got, err := listFrom(v, attest.SHA256([]byte("unknown")))
			if len(got) != 0 || (err == nil) != (tt.status == http.StatusNotFound) {
				t.Errorf("of an unknown artifact: %d listed, %v", len(got), err)
			}
			tryList(t, open(t, where), attest.SHA256([]byte("unknown")))
		})
	}
}

// A registry serves the fallback index and leaves it, and what looks like it, out of
// its list of tags. Where it has no API, the index is what other tools write.
func TestIndexThatIsNotListed(t *testing.T) {
	where, d := prepared(t, false, 2, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
		if kind(req) != "tags" {
			return false
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(h.ask(req).Body.Bytes(), &page); err != nil {
			t.Error(err)
		}
		page.Tags = slices.DeleteFunc(page.Tags, oci.IsOwnTag)
		_ = json.NewEncoder(w).Encode(page)
		return true
	})
	if got := list(t, open(t, where), d); len(got) != 2 {
		t.Errorf("%d listed, want the 2 in the index", len(got))
	}
}

// Another tool attached something when the registry had no API, so that only the
// fallback index lists it. That the API answers now hides it as little as that the
// tags cannot be listed.
func TestTheAPIDoesNotHideTheIndex(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError, http.StatusBadGateway} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			where, d := prepared(t, false, 1, func(h *hostile, w http.ResponseWriter, req *http.Request) bool {
				switch {
				case kind(req) == "referrers":
					w.Header().Set("Content-Type", attest.MediaTypeIndex)
					_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
				case kind(req) == "tags" && status == http.StatusBadGateway && req.URL.Query().Get("second") == "":
					w.Header().Set("Link", `</v2/acme/credit/tags/list?second=1>; rel=next`) // breaks off there
					_, _ = io.WriteString(w, `{"tags":["a"]}`)
				case kind(req) == "tags" && status != http.StatusOK:
					w.WriteHeader(status)
				case kind(req) == "tags":
					var page struct {
						Tags []string `json:"tags"`
					}
					if err := json.Unmarshal(h.ask(req).Body.Bytes(), &page); err != nil {
						t.Error(err)
					}
					page.Tags = slices.DeleteFunc(page.Tags, func(tag string) bool { return strings.Contains(tag, ".") })
					_ = json.NewEncoder(w).Encode(page)
				default:
					return false
				}
				return true
			})
			got, err := tryList(t, open(t, where), d)
			if len(got) != 1 || got[0].Err != nil || (err != nil) != (status >= http.StatusInternalServerError) {
				t.Errorf("listed %v, %v; want the one in the index", got, err)
			}
		})
	}
}

// What one artifact's tags show is not taken for another's.
func TestViewKeepsArtifactsApart(t *testing.T) {
	l := newLineage(t, false, 3, 2)
	r := open(t, l.where)
	v := r.View()
	for i := range 3 {
		d := attest.SHA256(fmt.Appendf(nil, "artifact %d", i))
		want, err := listFrom(r, d)
		must(t, err)
		got, err := listFrom(v, d)
		if len(got) != 2 || !slices.Equal(sketch(got, err), sketch(want, nil)) {
			t.Errorf("artifact %d: %q, want %q", i, sketch(got, err), sketch(want, nil))
		}
	}
}

// Who gives up while the tags are listed leaves no "could not look" to the others.
func TestGivingUpIsNotKept(t *testing.T) {
	var slow atomic.Bool
	listing := make(chan struct{}, 1)
	where, d := prepared(t, false, 1, func(_ *hostile, _ http.ResponseWriter, req *http.Request) bool {
		if kind(req) == "tags" && slow.Load() {
			listing <- struct{}{}
			<-req.Context().Done()
		}
		return false
	})
	slow.Store(true)
	v := open(t, where).View()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-listing
		slow.Store(false)
		cancel()
	}()
	err := v.Attestations(ctx, d, func(attest.Attached) bool { return true })
	wantCode(t, err, attest.CodeRegUnavailable)
	if got, err := listFrom(v, d); err != nil || len(got) != 1 {
		t.Errorf("the next one got %d and %v", len(got), err)
	}
}

// A view is of one moment. Attaching confirms by looking anew, whatever views there
// are, and the next view sees what was attached.
func TestViewsAreOfOneMoment(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		first, second := attest.SHA256([]byte("first")), attest.SHA256([]byte("second"))
		v := r.View()
		for i, d := range []attest.Digest{first, second} {
			_, err := r.Attach(t.Context(), d, bundle(t, d, i, ""))
			must(t, err)
			if i > 0 {
				continue
			}
			if got, err := listFrom(v, d); err != nil || len(got) != 1 {
				t.Fatalf("%d listed, %v", len(got), err)
			}
		}
		if got, err := listFrom(r.View(), second); err != nil || len(got) != 1 {
			t.Errorf("the next view lists %d, %v", len(got), err)
		}
	})
}

// BenchmarkConsult walks chains of 200 attestations, asking about each payload and
// the key, at a registry that takes 20 ms to answer.
//
//	go test -run '^$' -bench Consult -benchtime 1x ./attest/oci
func BenchmarkConsult(b *testing.B) {
	for _, artifacts := range []int{1, 40} {
		for name, api := range map[string]bool{"api": true, "no-api": false} {
			l := newLineage(b, api, artifacts, 200/artifacts)
			for way, source := range map[string]func() verify.Source{
				"repository": func() verify.Source { return open(b, l.where) },
				"view":       func() verify.Source { return open(b, l.where).View() },
			} {
				b.Run(fmt.Sprintf("%d-artifacts/%s/%s", artifacts, name, way), func(b *testing.B) {
					for b.Loop() {
						l.reset(20 * time.Millisecond)
						if n := len(l.walk(b, source()).ConsultedAll()); n != 201 {
							b.Fatalf("consulted %d", n)
						}
					}
					b.ReportMetric(float64(l.total()), "requests")
				})
			}
		}
	}
}

package index_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A registry is a real one that can be made to die after some more requests.
type registry struct {
	handler http.Handler
	left    atomic.Int64 // requests until it dies
	asked   atomic.Int64
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	if r.left.Add(-1) < 0 {
		// An answer that clients do not ask for again: this test has no time.
		http.Error(w, "closed", http.StatusForbidden)
		return
	}
	r.handler.ServeHTTP(w, req)
}

// served writes a fleet into a repository of a registry, or into a layout.
func served(t testing.TB, f *fleet.Fleet, layout bool) (*oci.Repository, *registry) {
	t.Helper()
	r := &registry{handler: ociserver.New(ocimem.New(), nil)}
	r.left.Store(1 << 40)
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	name := strings.TrimPrefix(srv.URL, "http://") + "/team/models"
	if layout {
		name = "ocidir://" + filepath.Join(t.TempDir(), "layout")
	}
	repo, err := oci.Open(repository(t, name), oci.Options{})
	must(t, err)
	stats, err := f.Write(context.Background(), repo)
	must(t, err)
	if stats.Attestations < 30 {
		t.Fatalf("the fleet is small: %+v", stats)
	}
	return repo, r
}

func planned(t testing.TB, c fleet.Config) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(c)
	must(t, err)
	return f
}

// answers are what questions of a policy give: the verdict about each release, byte
// by byte.
func answers(t testing.TB, p *policy.Policy, f *fleet.Fleet, s verify.Source, m *verify.Memory) (out []string, complete bool) {
	t.Helper()
	scope := p.Scope()
	scope.Memory = m
	complete = true
	for _, release := range f.Releases() {
		c := walk(t, release.Artifact, scope, s)
		complete = complete && len(c.Gaps()) == 0
		for _, d := range c.ConsultedAll() {
			complete = complete && !c.Consulted(d).Gapped()
		}
		v, err := p.Evaluate(c, policy.Question{At: f.End()}).JSON()
		must(t, err)
		out = append(out, dump(c)+string(v))
	}
	return out, complete
}

func TestRegistry(t *testing.T) {
	for _, layout := range []bool{false, true} {
		t.Run(fmt.Sprint("layout ", layout), func(t *testing.T) {
			t.Parallel()
			f := planned(t, fleet.Config{Versions: 4, Strangers: 1, Revocations: 0.5, Keys: attest.Ed25519})
			repo, reg := served(t, f, layout)
			yaml, files := f.Policy()
			p, err := policy.Load(yaml, files)
			must(t, err)
			want, complete := answers(t, p, f, repo.View(), nil)
			if !complete {
				t.Fatal("the repository itself has gaps")
			}
			crawl := func(path string) lineage.CrawlReport {
				t.Helper()
				x := open(t, path, index.Options{Write: true})
				report, err := lineage.Crawl(context.Background(), x, []lineage.Holding{repo.View()},
					lineage.CrawlOptions{Signers: verify.Signers{Keys: p.Scope().Keys}, Memory: x.Memory(), At: at, Also: p.Scope().Also})
				must(t, err)
				must(t, x.Close())
				return report
			}
			check := func(what, path string, whole bool) {
				t.Helper()
				x := open(t, path, index.Options{})
				defer x.Close()
				got, complete := answers(t, p, f, x.Source(repo.Ref()), x.Memory())
				if complete != whole {
					t.Errorf("%s: complete is %t", what, complete)
				}
				for i := range got {
					if complete && got[i] != want[i] {
						t.Errorf("%s: it is\n%s\nwant\n%s", what, got[i], want[i])
					}
				}
				if _, err := found(x, lineage.OfType, noteType); (err == nil) != whole {
					t.Errorf("%s: finding says %v", what, err)
				}
			}
			whole := filepath.Join(t.TempDir(), "whole")
			before := reg.asked.Load()
			first := crawl(whole)
			requests := reg.asked.Load() - before
			if len(first.Missed) > 0 || first.Fetched < 30 || first.Strangers == 0 {
				t.Fatalf("the report is %+v", first)
			}
			check("whole", whole, true)
			if layout {
				return
			}
			before = reg.asked.Load()
			if second := crawl(whole); second.Fetched != 0 || second.Kept != first.Fetched || reg.asked.Load()-before >= requests {
				t.Errorf("the second time: %+v, with %d requests after %d", second, reg.asked.Load()-before, requests)
			}
			check("again", whole, true)

			// It dies in the middle, at some points; and then in the middle of the next sync.
			for n := int64(1); n < requests; n += requests/9 + 1 {
				path := filepath.Join(t.TempDir(), "index")
				reg.left.Store(n)
				if report := crawl(path); len(report.Missed) == 0 {
					t.Errorf("after %d of %d requests: %+v", n, requests, report)
				}
				reg.left.Store(1 << 40)
				if x, err := index.Open(context.Background(), path, index.Options{}); err != nil {
					t.Errorf("after %d requests: %v", n, err)
				} else {
					must(t, x.Close())
				}
				check(fmt.Sprintf("dead after %d of %d", n, requests), path, false)
				crawl(path)
				check(fmt.Sprintf("alive again after %d", n), path, true)
			}
		})
	}
}

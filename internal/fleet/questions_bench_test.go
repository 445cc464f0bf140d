package fleet_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// versions is how large the fleets of the benchmarks here are, and part how much of it
// is one chain, and how much is made from one data set. Small unless told otherwise:
//
//	FLEET_VERSIONS=10000 FLEET_PART=1000 go test -run '^$' -bench 'Ingest|Growth|Trace|Impact' -benchtime 1x -timeout 1h ./internal/fleet
//
// measures what 100,000 attestations take. It needs 2 GB of memory and a quarter of that
// on disk.
func versions(b *testing.B) int { return knob(b, "FLEET_VERSIONS", 200) }

func part(b *testing.B, n int) int { return min(knob(b, "FLEET_PART", n/10), n/2) }

func knob(b *testing.B, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 3 {
		b.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// measured is a fleet in memory, and what is measured against it.
type measured struct {
	*fleet.Fleet
	*fleet.Registry
	bundles []attest.Attached // all, strangers' included
}

func newMeasured(b *testing.B, n int) *measured {
	b.Helper()
	f := planned(b, fleet.Config{Seed: 1, Versions: n, Chain: part(b, n), Hot: part(b, n)})
	m := &measured{Fleet: f, Registry: held(b, f)}
	m.Bundles(func(_ attest.Digest, a attest.Attached) bool {
		m.bundles = append(m.bundles, a)
		return true
	})
	return m
}

// verifyAll opens every bundle on all processors: the least that reading the fleet can
// take, as long as signatures have to be verified.
func (m *measured) verifyAll(b *testing.B) time.Duration {
	b.Helper()
	o, err := verify.NewOpener(verify.Signers{Keys: m.Keys()})
	must(b, err)
	runtime.GC()
	start := time.Now()
	var next, good atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(m.bundles); i = int(next.Add(1)) - 1 {
				if _, err := o.Open(m.bundles[i].Bundle); err == nil {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if n := m.Stats().Attestations; int(good.Load()) != n {
		b.Fatalf("%d of %d attestations open", good.Load(), n)
	}
	return took
}

// crawl reads the fleet into a store.
func (m *measured) crawl(b *testing.B, s store) (time.Duration, lineage.CrawlReport) {
	b.Helper()
	runtime.GC()
	start := time.Now()
	report, err := lineage.Crawl(context.Background(), s, m.Holdings(), lineage.CrawlOptions{Signers: verify.Signers{Keys: m.Keys()}, Memory: s.Memory(), At: m.End()})
	took := time.Since(start)
	must(b, err)
	if len(report.Missed) != 0 {
		b.Fatalf("missed %v", report.Missed)
	}
	return took, report
}

// sources are the store's repositories as a command asks them.
// walked are the sources of a walk: an index answers for all of its repositories at once.
func (m *measured) walked(s store) []verify.Source {
	f, ok := s.(interface {
		Together(repos []attest.Repository) verify.Source
	})
	if !ok {
		return m.sources(s)
	}
	var repos []attest.Repository
	for _, r := range m.Repositories() {
		repos = append(repos, r.Repository())
	}
	return []verify.Source{f.Together(repos)}
}

func (m *measured) sources(s store) []verify.Source {
	var out []verify.Source
	for _, r := range m.Repositories() {
		out = append(out, s.Source(r.Repository()))
	}
	return out
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkIngest reads a fleet into each kind of store, and verifies the signatures of
// the same bundles in the same run: times-verification is how many times as long
// reading took. "again" reads what has not changed.
func BenchmarkIngest(b *testing.B) {
	m := newMeasured(b, versions(b))
	stats := m.Stats()
	all := float64(stats.Attestations + stats.Strangers)
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			m.verifyAll(b)
		}
		b.ReportMetric(all*float64(b.N)/b.Elapsed().Seconds(), "attestations/s")
	})
	for _, kind := range stores(versions(b)) {
		b.Run(kind.name, func(b *testing.B) {
			var ingest, limit, again time.Duration
			var size int64
			for b.Loop() {
				limit += m.verifyAll(b)
				s := kind.open(b)
				took, report := m.crawl(b, s)
				if report.Fetched != stats.Attestations || report.Strangers != stats.Strangers {
					b.Fatalf("read %+v, and there is %+v", report, stats)
				}
				ingest += took
				took, report = m.crawl(b, s)
				if report.Fetched != 0 || report.Kept != stats.Attestations {
					b.Fatalf("read again %+v, and there is %+v", report, stats)
				}
				again += took
				size = s.size(b)
			}
			n := float64(b.N)
			b.ReportMetric(all*n/ingest.Seconds(), "attestations/s")
			b.ReportMetric(float64(ingest)/float64(limit), "times-verification")
			b.ReportMetric(float64(again.Milliseconds())/n, "ms-again")
			if size > 0 {
				b.ReportMetric(float64(size)/float64(stats.Attestations), "bytes/attestation")
				b.ReportMetric(float64(stats.Bytes)/all, "bytes/bundle")
			}
		})
	}
}

// BenchmarkGrowth reports how many times as long it takes to read ten times as much,
// the least of three tries, and how many times as large the index is.
func BenchmarkGrowth(b *testing.B) {
	n := versions(b)
	small, big := newMeasured(b, max(50, n/10)), newMeasured(b, n)
	more := float64(big.Stats().Attestations) / float64(small.Stats().Attestations)
	for _, kind := range stores(versions(b)) {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				var growth []float64
				var sizes float64
				for range 3 {
					s, l := kind.open(b), kind.open(b)
					one, _ := small.crawl(b, s)
					ten, _ := big.crawl(b, l)
					growth = append(growth, float64(ten)/float64(one))
					if kind.onDisk {
						sizes = float64(l.size(b)) / float64(s.size(b))
					}
				}
				b.ReportMetric(more, "times-attestations")
				b.ReportMetric(slices.Min(growth), "times-time")
				if kind.onDisk {
					b.ReportMetric(sizes, "times-bytes")
				}
			}
		})
	}
}

// BenchmarkTrace asks what made the last model of a chain: from memory, where every
// signature is verified, and from a store that knows what it opened.
func BenchmarkTrace(b *testing.B) {
	m := newMeasured(b, versions(b))
	chain := m.Chain()
	scope := lineage.Everything(verify.Signers{Keys: m.Keys()})
	scope.Limits.Depth = len(chain) + verify.DefaultDepth
	trace := func(b *testing.B, sources []verify.Source, scope verify.Scope) {
		nodes := 0
		for b.Loop() {
			c, err := verify.Walk(context.Background(), chain[len(chain)-1], sources, scope)
			must(b, err)
			g := lineage.Trace(c, lineage.TraceOptions{})
			if !g.Complete() || g.Node(chain[0]) == nil {
				b.Fatalf("gaps %v", g.Gaps)
			}
			nodes = len(g.Nodes)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
		b.ReportMetric(float64(len(chain)), "chain")
		b.ReportMetric(float64(nodes), "nodes")
	}
	b.Run("verifying", func(b *testing.B) {
		var sources []verify.Source
		for _, r := range m.Repositories() {
			sources = append(sources, r)
		}
		trace(b, sources, scope)
	})
	for _, kind := range stores(versions(b)) {
		b.Run(kind.name, func(b *testing.B) {
			s := kind.open(b)
			m.crawl(b, s)
			known := scope
			known.Memory = s.Memory()
			trace(b, m.walked(s), known)
		})
	}
}

// BenchmarkImpact asks who is affected by the data set that a known number of artifacts
// was made from.
func BenchmarkImpact(b *testing.B) {
	m := newMeasured(b, versions(b))
	want := len(m.Descendants(m.Hot()))
	for _, kind := range stores(versions(b)) {
		b.Run(kind.name, func(b *testing.B) {
			s := kind.open(b)
			m.crawl(b, s)
			scope := verify.Scope{Signers: verify.Signers{Keys: m.Keys()}, Memory: s.Memory()}
			deployed := 0
			for b.Loop() {
				a, err := lineage.Impact(context.Background(), s, m.sources(s), scope, lineage.Start{Digest: m.Hot()}, lineage.ImpactOptions{At: m.End()})
				must(b, err)
				if a.Counts.Affected != want || len(a.Gaps) != 0 {
					b.Fatalf("%+v, gaps %v, want %d affected", a.Counts, a.Gaps, want)
				}
				deployed = a.Counts.Deployed
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
			b.ReportMetric(float64(want), "descendants")
			b.ReportMetric(float64(deployed), "deployed")
		})
	}
}

// A store is a lineage.Store with what its benchmarks need besides.
type store interface {
	lineage.Store
	Memory() *verify.Memory
	size(b *testing.B) int64 // of its file; 0 without
}

// A storeKind is one kind of store.
type storeKind struct {
	name   string
	onDisk bool
	open   func(b *testing.B) store
}

// surveyed is a Survey with a memory.
type surveyed struct {
	*lineage.Survey
	memory *verify.Memory
}

func (s surveyed) Memory() *verify.Memory { return s.memory }
func (s surveyed) size(*testing.B) int64  { return 0 }
func openSurvey(b *testing.B) store {
	memory, err := verify.NewMemory(fmt.Appendf(nil, "%*s", verify.MemorySecret, "a secret of a benchmark"))
	must(b, err)
	return surveyed{lineage.NewSurvey(), memory}
}

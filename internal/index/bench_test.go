//go:build unix

package index_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A partial is a holding that does not list everything, as most registries: it has
// to be asked about stand-ins by name.
type partial struct{ lineage.Holding }

func (p partial) Held(ctx context.Context, yield func(attest.Held) bool) (bool, error) {
	_, err := p.Holding.Held(ctx, yield)
	return false, err
}

// BenchmarkSync reads fleets into an index, at memory's speed, and reports beside it
// how fast the same bundles are opened by all processors in the same run, which no
// reading can beat; how large the file is for each attestation; and how fast a second
// reading is, which finds nothing new. The fleet of 100,000 attestations takes some
// minutes to make; -short leaves it out.
//
//	go test -run '^$' -bench Sync -benchtime 1x -timeout 30m ./internal/index
func BenchmarkSync(b *testing.B) {
	for _, versions := range []int{1000, 10000} {
		if versions > 1000 && testing.Short() {
			continue
		}
		f := planned(b, fleet.Config{Versions: versions})
		g, err := f.Hold(context.Background())
		must(b, err)
		all := g.Stats().Attestations + g.Stats().Strangers
		for _, whole := range []bool{true, false} {
			holdings := g.Holdings()
			for i := range holdings {
				if !whole {
					holdings[i] = partial{holdings[i]}
				}
			}
			b.Run(fmt.Sprintf("attestations=%d/exhaustive=%t", all, whole), func(b *testing.B) {
				var ingest, opening, again time.Duration
				var ingestCPU, openingCPU time.Duration
				var size int64
				var kept, artifacts, n int
				for b.Loop() {
					b.StopTimer()
					cpu := processors()
					opening += openAll(b, g, f.Keys())
					openingCPU += processors() - cpu
					path := filepath.Join(b.TempDir(), fmt.Sprint("index", n))
					b.StartTimer()
					began, cpu := time.Now(), processors()
					kept += crawlInto(b, path, holdings, f.Keys()).Fetched
					ingest, ingestCPU = ingest+time.Since(began), ingestCPU+processors()-cpu
					b.StopTimer()
					info, err := os.Stat(path)
					must(b, err)
					size += info.Size()
					began = time.Now()
					second := crawlInto(b, path, holdings, f.Keys())
					again += time.Since(began)
					if second.Fetched > 0 || second.Kept == 0 {
						b.Fatalf("the second time: %+v", second)
					}
					artifacts += second.Artifacts
					n++
					b.StartTimer()
				}
				total := float64(n * all)
				b.ReportMetric(total/ingest.Seconds(), "read/s")
				b.ReportMetric(total/opening.Seconds(), "opened/s")
				// On a machine that does other things too, these say more.
				b.ReportMetric(float64(ingestCPU.Microseconds())/total, "µscpu/read")
				b.ReportMetric(float64(openingCPU.Microseconds())/total, "µscpu/opened")
				b.ReportMetric(100*opening.Seconds()/ingest.Seconds(), "%ofopening")
				b.ReportMetric(total/again.Seconds(), "reread/s")
				b.ReportMetric(float64(size)/float64(kept), "filebytes/attestation")
				b.ReportMetric(float64(g.Stats().Bytes)/float64(all), "bytes/bundle")
				b.ReportMetric(float64(artifacts)/float64(n), "artifacts")
			})
		}
	}
}

func crawlInto(b *testing.B, path string, holdings []lineage.Holding, keys []attest.PublicKey) lineage.CrawlReport {
	f, err := index.Open(context.Background(), path, index.Options{Write: true})
	must(b, err)
	report, err := lineage.Crawl(context.Background(), f, holdings, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys}, Memory: f.Memory(), At: at})
	must(b, err)
	must(b, f.Close())
	if len(report.Missed) > 0 {
		b.Fatalf("missed: %v", report.Missed)
	}
	return report
}

// processors is how much time of processors this process has used.
func processors() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// openAll opens every bundle once, on all processors.
func openAll(b *testing.B, g *fleet.Registry, keys []attest.PublicKey) time.Duration {
	opener, err := verify.NewOpener(verify.Signers{Keys: keys})
	must(b, err)
	var bundles [][]byte
	g.Bundles(func(_ attest.Digest, a attest.Attached) bool {
		bundles = append(bundles, a.Bundle)
		return true
	})
	runtime.GC()
	began := time.Now()
	var group errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() error {
			good := 0
			for i := w; i < len(bundles); i += workers {
				if _, err := opener.Open(bundles[i]); err == nil {
					good++
				}
			}
			if good == 0 {
				return fmt.Errorf("none of %d bundles opens", len(bundles))
			}
			return nil
		})
	}
	must(b, group.Wait())
	return time.Since(began)
}

// BenchmarkAsk asks an index what leads to an artifact, and what is attached to one.
func BenchmarkAsk(b *testing.B) {
	f := planned(b, fleet.Config{Versions: 1000, Hot: 1000})
	g, err := f.Hold(context.Background())
	must(b, err)
	path := filepath.Join(b.TempDir(), "index")
	crawlInto(b, path, g.Holdings(), f.Keys())
	x := open(b, path, index.Options{})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			y, err := index.Open(context.Background(), path, index.Options{})
			must(b, err)
			must(b, y.Close())
		}
	})
	b.Run("find", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = 0
			must(b, x.Find(context.Background(), lineage.NamesInput, f.Hot().String(), func(attest.Digest) bool { n++; return true }))
		}
		b.ReportMetric(float64(n), "found")
	})
	b.Run("attestations", func(b *testing.B) {
		releases := f.Releases()
		n := 0
		for i := 0; b.Loop(); i++ {
			r := releases[i%len(releases)]
			must(b, x.Source(r.Repository).Attestations(context.Background(), r.Artifact, func(attest.Attached) bool { n++; return true }))
		}
		b.ReportMetric(float64(n)/float64(b.N), "attestations")
	})
}

package oci_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest/oci"
)

// BenchmarkPack packs a tree of 16 files and reports its rate beside that of bare
// SHA-256 over memory on all cores, measured in the same run: the ratio is what
// the file hasher costs. PEDIGREE_BENCH_MIB sets the tree's size (256).
func BenchmarkPack(b *testing.B) {
	mib := 256
	if s := os.Getenv("PEDIGREE_BENCH_MIB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		mib = n
	}
	const files = 16
	dir := b.TempDir()
	chunk := make([]byte, 1<<20)
	src := rand.NewChaCha8([32]byte{1})
	for i := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%02d.safetensors", i)))
		must(b, err)
		for range mib / files {
			src.Read(chunk)
			_, err := f.Write(chunk)
			must(b, err)
		}
		must(b, f.Close())
	}
	total := float64(mib/files*files) * (1 << 20)
	b.SetBytes(int64(total))

	var packed, raw, packedCPU, rawCPU time.Duration
	for b.Loop() {
		start, cpu := time.Now(), cpuTime(b)
		_, err := oci.Pack(b.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
		must(b, err)
		packed += time.Since(start)
		packedCPU += cpuTime(b) - cpu

		b.StopTimer()
		start, cpu = time.Now(), cpuTime(b)
		var wg sync.WaitGroup
		cores := runtime.GOMAXPROCS(0)
		for range cores {
			wg.Go(func() {
				h, buf := sha256.New(), make([]byte, 256<<10)
				for range int(total) / cores / len(buf) {
					h.Write(buf)
				}
			})
		}
		wg.Wait()
		raw += time.Since(start)
		rawCPU += cpuTime(b) - cpu
		b.StartTimer()
	}
	n := float64(b.N)
	b.ReportMetric(n*total/1e6/packed.Seconds(), "pack-MB/s")
	b.ReportMetric(n*total/1e6/raw.Seconds(), "sha256-MB/s")
	b.ReportMetric(100*raw.Seconds()/packed.Seconds(), "%-of-sha256")
	// By processor time, which other work on the machine does not disturb.
	b.ReportMetric(100*rawCPU.Seconds()/packedCPU.Seconds(), "%-of-sha256-cpu")
	b.ReportMetric(peakMiB(), "peak-RSS-MiB")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMiB is the process's largest resident size so far, 0 where it is unknown.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	fmt.Sscan(rest, &kib)
	return kib / 1024
}

package fleet_test

import (
	"context"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/fleet"
)

// BenchmarkGenerate reports how fast fleets are made, on all processors, without
// keeping them.
//
//	go test -run '^$' -bench Generate ./internal/fleet
func BenchmarkGenerate(b *testing.B) {
	for _, alg := range []attest.KeyAlgorithm{attest.P256, attest.Ed25519} {
		b.Run(alg.String(), func(b *testing.B) {
			b.ReportAllocs()
			n, bytes, versions := 0, 0, 0
			for b.Loop() {
				f := planned(b, fleet.Config{Versions: 1000, Keys: alg})
				versions += 1000
				err := f.Generate(context.Background(), func(i fleet.Item) error {
					if i.Bundle != nil {
						n++
						bytes += len(i.Bundle)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "attestations/s")
			b.ReportMetric(float64(n)/float64(versions), "attestations/version")
			b.ReportMetric(float64(bytes)/float64(n), "bytes/bundle")
		})
	}
}

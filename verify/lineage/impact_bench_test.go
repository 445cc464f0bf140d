package lineage_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// noted is a source that has opened its bundles before, as an index has: with
// notes, and what each holds.
type noted struct {
	verify.Source
	attached map[attest.Digest][]attest.Attached
}

func (n noted) Attestations(_ context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	for _, a := range n.attached[d] {
		if !yield(a) {
			break
		}
	}
	return nil
}

// A data set with 1,000 descendants, ten attestations about each, over a source
// that knows its bundles.
func BenchmarkImpact(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := chaintest.New(b)
			data := w.Manifest(map[string]string{"rows.csv": "1,2"})
			at := func(i int) attest.Digest {
				return w.Manifest(map[string]string{"w.bin": fmt.Sprint("weights ", i), "config.json": "{}"})
			}
			for i := range n {
				from := data
				if i >= n/2 {
					from = at(i - n/2)
				}
				d := at(i)
				made(b, w, "trainer", "train", d, input("training-data", "data", from), input("code", "repo", commit(1)))
				var basis []attest.Digest
				for range 4 {
					basis = append(basis, evaluated(b, w, "evaluator", d, noon.Add(time.Duration(len(basis))), measured("evaluation-data", commit(2))))
				}
				for _, who := range []string{"alice", "data"} {
					approved(b, w, who, d, noon, basis...)
				}
				deployed(b, w, "ops", d, "prod", fmt.Sprint("service ", i%10), noon.Add(time.Duration(i)*time.Second), attest.Digest{})
				for j := range 2 {
					w.Sign("ops", d, "https://example.test/note/v1", map[string]any{"number": j})
				}
			}
			keys := keysOf(w, everybody...)
			memory, err := verify.NewMemory(make([]byte, verify.MemorySecret))
			must(b, err)
			opener, err := verify.NewOpener(verify.Signers{Keys: keys})
			must(b, err)
			opener = opener.Remembering(memory)
			src := noted{w.Source(), map[attest.Digest][]attest.Attached{}}
			for _, d := range w.Artifacts() {
				for _, bundle := range w.Bundles(d) {
					e, note, err := opener.OpenAttached(attest.Attached{Bundle: bundle})
					must(b, err)
					src.attached[d] = append(src.attached[d], attest.Attached{Bundle: bundle, Note: note, PredicateType: e.PredicateType()})
				}
			}
			f := finder(b, w, keys)
			for b.Loop() {
				a, err := lineage.Impact(b.Context(), f, []verify.Source{src}, verify.Scope{Signers: verify.Signers{Keys: keys}, Memory: memory}, lineage.Start{Digest: data}, lineage.ImpactOptions{})
				must(b, err)
				if a.Counts.Affected != n || a.Counts.Deployed != 10 {
					b.Fatalf("%+v", a.Counts)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
		})
	}
}

var _ = predicate.TypeProvenance

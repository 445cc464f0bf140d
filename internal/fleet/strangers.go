package fleet

import (
	"maps"
	"slices"
	"strconv"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

func sortedPaths(files map[string]attest.Digest) []string {
	return slices.Sorted(maps.Keys(files))
}

// pester attaches what strangers attach: approvals and evaluations under keys that
// nobody knows, copies of real bundles with a broken signature, and what is no bundle.
func (f *Fleet) pester(b *batch, v *version) {
	if f.config.Strangers <= 0 {
		return
	}
	r := f.chance("strangers", v.slot)
	n := int(f.config.Strangers)
	if r.Float64() < f.config.Strangers-float64(n) {
		n++
	}
	repo, release := f.repository(v), v.release()
	for range n {
		if b.err != nil {
			return
		}
		switch x := r.IntN(10); {
		case x < 5:
			f.flatter(b, v, "stranger "+strconv.Itoa(r.IntN(50)))
		case x < 8:
			real := b.items[len(b.items)-1]
			for _, item := range b.items {
				if item.Bundle != nil && item.Artifact == release && !item.Stranger {
					real = item
				}
			}
			b.items = append(b.items, Item{Repository: repo, Artifact: release, Bundle: forged(real.Bundle, r.IntN(6)), PredicateType: real.PredicateType})
		default:
			text := `{"mediaType":"` + attest.MediaTypeBundle + `","note":"` + strconv.Itoa(r.IntN(1000)) + `"}`
			b.items = append(b.items, Item{Repository: repo, Artifact: release, Bundle: []byte(text), PredicateType: predicate.TypeApproval})
		}
		if n := len(b.items); b.err == nil {
			b.items[n-1].Stranger = true
		}
	}
}

// flatter says under an unknown key that a version is excellent.
func (f *Fleet) flatter(b *batch, v *version, who string) {
	k, err := f.newKey(who)
	if !b.must(err) {
		return
	}
	e := f.evaluation(v, "quality", "holdout", minuteEvaluate, map[string]predicate.Metric{"accuracy": {Value: "0.9999", N: 5000}})
	b.sign(k, f.repository(v), attest.Subject{Name: "acme/" + f.familyName(v), Digest: v.release()}, predicate.TypeEvaluation, e)
}

// forged returns a bundle with one letter of its signature changed, so that it is
// still base64.
func forged(bundle []byte, at int) []byte {
	out := slices.Clone(bundle)
	const key = `"sig":"`
	i := len(out) - 1
	for ; i >= len(key); i-- {
		if string(out[i-len(key):i]) == key {
			break
		}
	}
	// Far enough behind the beginning, which is the structure of an ECDSA signature.
	if p := i + 16 + at; p < len(out) {
		if out[p] == 'A' {
			out[p] = 'B'
		} else {
			out[p] = 'A'
		}
	}
	return out
}

package lineage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// When enough people say something, against asking about every moment; and the
// choruses are in order, apart, and as few as can be.
func TestTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	moment := func(i int) time.Time { return time.Unix(int64(i), 0) }
	const moments = 12
	for range 5000 {
		var voices []voice
		for range random.IntN(7) {
			var on []Span
			for range 1 + random.IntN(2) {
				s := Span{From: moment(random.IntN(moments))}
				if random.IntN(3) > 0 {
					s.To = moment(random.IntN(moments))
				}
				on = append(on, s)
			}
			who := fmt.Sprint(random.IntN(3))
			voices = append(voices, voice{facts: &predicate.RevocationFacts{From: moment(random.IntN(moments)), Reason: fmt.Sprint(len(voices))}, who: who, name: who, on: union(on...)})
		}
		threshold := 1 + random.IntN(3)
		heard := func(v voice) bool { return v.facts.Reason != "2" }
		got := together(voices, threshold, heard)
		for i := range moments + 1 {
			var names []string
			var first *voice
			var since time.Time
			for j := range voices {
				v := &voices[j]
				if !heard(*v) || !v.on.contain(moment(i)) {
					continue
				}
				if first == nil {
					first = v
				}
				if since.IsZero() || v.facts.From.Before(since) {
					since = v.facts.From
				}
				if !slices.Contains(names, v.name) {
					names = append(names, v.name)
				}
			}
			slices.Sort(names)
			at := slices.IndexFunc(got, func(c chorus) bool { return c.contains(moment(i)) })
			if (at >= 0) != (len(names) >= threshold) {
				t.Fatalf("%d of %+v: wrong at %d: %+v", threshold, voices, i, got)
			}
			if at >= 0 && (!slices.Equal(got[at].names, names) || got[at].first.facts != first.facts || !got[at].since.Equal(since)) {
				t.Fatalf("%d of %+v at %d: %+v, want %v since %v", threshold, voices, i, got[at], names, since)
			}
		}
		for i, c := range got {
			if c.empty() || i > 0 && got[i-1].To.After(c.From) || i+1 < len(got) && c.To.IsZero() || i > 0 && got[i-1].goesOn(c) {
				t.Fatalf("not in order: %+v", got)
			}
		}
	}
}

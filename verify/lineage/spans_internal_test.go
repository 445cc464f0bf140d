package lineage

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Unions, differences and intersections of random spans, against asking about every
// moment.
func TestSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	moment := func(i int) time.Time { return time.Unix(int64(i), 0) }
	const moments = 12
	some := func() []Span {
		var out []Span
		for range random.IntN(5) {
			s := Span{From: moment(random.IntN(moments))}
			if random.IntN(4) > 0 {
				s.To = moment(random.IntN(moments))
			}
			out = append(out, s)
		}
		return out
	}
	in := func(all []Span, i int) bool {
		return slices.ContainsFunc(all, func(s Span) bool { return s.contains(moment(i)) })
	}
	for range 20000 {
		a, b := some(), some()
		ua, ub := union(a...), union(b...)
		for name, got := range map[string]spans{"union": ua, "without": ua.without(ub), "within": ua.within(ub)} {
			for i := range moments + 1 {
				want := in(a, i)
				switch name {
				case "without":
					want = want && !in(b, i)
				case "within":
					want = want && in(b, i)
				}
				if got.contain(moment(i)) != want {
					t.Fatalf("%s of %v and %v is %v, wrong at %d", name, a, b, got, i)
				}
			}
			for i, s := range got {
				if s.empty() || i > 0 && !got[i-1].To.Before(s.From) || i+1 < len(got) && s.To.IsZero() {
					t.Fatalf("%s of %v and %v is %v, which is not sorted and apart", name, a, b, got)
				}
			}
		}
	}
}

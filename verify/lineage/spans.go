package lineage

import (
	"slices"
	"time"
)

// A Span is a time: From is the first moment of it, To the first after it. A zero To
// means that it does not end.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
}

// contains reports whether a moment lies in the span.
func (s Span) contains(t time.Time) bool {
	return !t.Before(s.From) && (s.To.IsZero() || t.Before(s.To))
}

func (s Span) empty() bool { return !s.To.IsZero() && !s.From.Before(s.To) }

// spans are sorted, and do not touch.
type spans []Span

func (ss spans) contain(t time.Time) bool {
	return slices.ContainsFunc(ss, func(s Span) bool { return s.contains(t) })
}

// earlier compares ends, of which a zero one is the last.
func earlier(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

// union returns all of the time that is in some of the spans, in whatever order.
func union(all ...Span) spans {
	all = slices.DeleteFunc(slices.Clone(all), Span.empty)
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	var out spans
	for _, s := range all {
		if n := len(out); n > 0 && (out[n-1].To.IsZero() || !s.From.After(out[n-1].To)) {
			if earlier(out[n-1].To, s.To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// without returns the time that is in ss and not in gone.
func (ss spans) without(gone spans) spans {
	var out spans
	for _, s := range ss {
		left := true
		for _, g := range gone {
			if !g.To.IsZero() && !g.To.After(s.From) {
				continue // over before s
			}
			if !s.To.IsZero() && !g.From.Before(s.To) {
				break
			}
			if s.From.Before(g.From) {
				out = append(out, Span{s.From, g.From})
			}
			if !earlier(g.To, s.To) {
				left = false
				break
			}
			s.From = g.To
		}
		if left {
			out = append(out, s)
		}
	}
	return out
}

// within returns the time that is in both.
func (ss spans) within(other spans) spans {
	var out spans
	for i, j := 0, 0; i < len(ss) && j < len(other); {
		a, b := ss[i], other[j]
		both := Span{a.From, a.To}
		if b.From.After(both.From) {
			both.From = b.From
		}
		if earlier(b.To, both.To) {
			both.To = b.To
		}
		if !both.empty() {
			out = append(out, both)
		}
		if earlier(a.To, b.To) {
			i++
		} else {
			j++
		}
	}
	return out
}

package lineage

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"
)

// A chorus is a time in which enough people say the same.
type chorus struct {
	Span
	first voice     // of those that count, in the order of evidence
	since time.Time // the earliest time that one of them names
	names []string  // of who they are, sorted
}

// An onset is a moment at which a voice begins to count, or stops.
type onset struct {
	at     time.Time
	voice  int
	begins bool
}

// together returns when enough distinct people among the voices say the same. It
// takes n log n for n voices: whoever may revoke can do so a thousand times.
func together(voices []voice, threshold int, counts func(voice) bool) []chorus {
	voices = slices.DeleteFunc(slices.Clone(voices), func(v voice) bool { return !counts(v) })
	if threshold < 1 {
		return nil // nobody is never enough
	}
	// By the time that they name, so that the least of a heap is the earliest.
	dated := make([]int, len(voices))
	for i := range dated {
		dated[i] = i
	}
	slices.SortStableFunc(dated, func(a, b int) int { return voices[a].facts.From.Compare(voices[b].facts.From) })
	place := make([]int, len(voices))
	for i, v := range dated {
		place[v] = i
	}
	var onsets []onset
	for i, v := range voices {
		for _, s := range v.on {
			onsets = append(onsets, onset{s.From, i, true})
			if !s.To.IsZero() {
				onsets = append(onsets, onset{s.To, i, false})
			}
		}
	}
	slices.SortFunc(onsets, func(a, b onset) int { return cmp.Or(a.at.Compare(b.at), a.voice-b.voice) })

	var out []chorus
	on := make([]bool, len(voices))
	speaking := map[string]int{} // how many voices of each
	names := map[string]string{}
	var byOrder, byTime least
	for i, o := range onsets {
		v := voices[o.voice]
		if on[o.voice] = o.begins; o.begins {
			speaking[v.who]++
			names[v.who] = v.name
			heap.Push(&byOrder, o.voice)
			heap.Push(&byTime, place[o.voice])
		} else if speaking[v.who]--; speaking[v.who] == 0 {
			delete(speaking, v.who)
			delete(names, v.who)
		}
		if i+1 < len(onsets) && onsets[i+1].at.Equal(o.at) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To.IsZero() {
			out[n-1].To = o.at
		}
		if len(speaking) < threshold {
			continue
		}
		for !on[byOrder[0]] {
			heap.Pop(&byOrder)
		}
		for !on[dated[byTime[0]]] {
			heap.Pop(&byTime)
		}
		c := chorus{Span{From: o.at}, voices[byOrder[0]], voices[dated[byTime[0]]].facts.From, slices.Compact(slices.Sorted(maps.Values(names)))}
		if n := len(out); n > 0 && out[n-1].goesOn(c) {
			out[n-1].To = time.Time{}
			continue
		}
		out = append(out, c)
	}
	return out
}

// goesOn reports whether d follows c at once and says nothing else.
func (c chorus) goesOn(d chorus) bool {
	return c.To.Equal(d.From) && c.first.facts == d.first.facts && c.since.Equal(d.since) && slices.Equal(c.names, d.names)
}

// least is a heap of numbers.
type least []int

func (l least) Len() int           { return len(l) }
func (l least) Less(i, j int) bool { return l[i] < l[j] }
func (l least) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *least) Push(x any)        { *l = append(*l, x.(int)) }
func (l *least) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	*l = (*l)[:last]
	return x
}

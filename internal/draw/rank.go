package draw

import (
	"cmp"
	"slices"
)

// maxSpan is how many columns all arrows together may pass on their way. Graphviz
// keeps a place free in each of them: with 3,000 such places a layout takes a second
// or two; with 55,000, as of one commit behind a line of 330 models, minutes.
const maxSpan = 3000

// given reports which arrows the layout is computed from. The others, the longest
// first, are drawn straight afterwards; every box keeps its shortest arrow, so that it
// stands near something that was made of it.
func (s *scene) given() []bool {
	ranks := s.ranks()
	span := func(i int) int {
		a := &s.arrows[i]
		return max(ranks[a.in]-ranks[a.out], ranks[a.out]-ranks[a.in])
	}
	order := make([]int, len(s.arrows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(span(i), span(j)), cmp.Compare(i, j)) })
	out := make([]bool, len(s.arrows))
	held := make([]bool, len(s.boxes))
	total := 0
	for _, i := range order {
		if in := s.arrows[i].in; !held[in] {
			held[in], out[i] = true, true
			total += max(0, span(i)-1)
		}
	}
	for _, i := range order {
		if more := max(0, span(i)-1); !out[i] && total+more <= maxSpan {
			out[i] = true
			total += more
		}
	}
	return out
}

// ranks are the columns in which boxes stand if each is as far to the left of what was
// made of it as its longest way there is long. Arrows that close a circle don't count.
func (s *scene) ranks() []int {
	inputs := make([][]int, len(s.boxes))
	for i := range s.arrows {
		a := &s.arrows[i]
		inputs[a.out] = append(inputs[a.out], a.in)
	}
	// Depth first without recursion, since a chain may be as deep as it has boxes:
	// a box is done when everything behind it is.
	const (
		fresh = iota
		begun
		done
	)
	state, next := make([]int, len(s.boxes)), make([]int, len(s.boxes))
	var finished []int
	for start := range s.boxes {
		stack := []int{start}
		for len(stack) > 0 {
			b := stack[len(stack)-1]
			if state[b] == fresh {
				state[b] = begun
			}
			if next[b] == len(inputs[b]) {
				if state[b] == begun {
					state[b] = done
					finished = append(finished, b)
				}
				stack = stack[:len(stack)-1]
				continue
			}
			in := inputs[b][next[b]]
			next[b]++
			if state[in] == fresh {
				stack = append(stack, in)
			}
		}
	}
	position := make([]int, len(s.boxes))
	for i, b := range finished {
		position[b] = i
	}
	ranks := make([]int, len(s.boxes))
	for _, b := range slices.Backward(finished) {
		for _, in := range inputs[b] {
			if position[in] < position[b] {
				ranks[in] = max(ranks[in], ranks[b]+1)
			}
		}
	}
	return ranks
}

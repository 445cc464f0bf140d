package verify

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// A graph is a chain's edges by number instead of digest, with its strongly
// connected components. Artifacts are numbered in the order of their digests, so
// that "least number first" is "least digest first".
type graph struct {
	number map[attest.Digest]int
	digest []attest.Digest
	inputs [][]int // of each artifact, sorted, each once
	// component numbers the strongly connected components so that every edge leads
	// to the same or a lower number. Two artifacts lead to each other if and only
	// if theirs are equal; an artifact never leads to a higher number.
	component []int
}

// newGraph takes digests and edges, both sorted.
func newGraph(order []attest.Digest, edges []Edge) graph {
	g := graph{number: make(map[attest.Digest]int, len(order)), digest: order, inputs: make([][]int, len(order))}
	for i, d := range order {
		g.number[d] = i
	}
	for _, e := range edges {
		from, to := g.number[e.From], g.number[e.To]
		if in := g.inputs[from]; len(in) == 0 || in[len(in)-1] != to { // sorted edges: copies are neighbours
			g.inputs[from] = append(in, to)
		}
	}
	g.connect()
	return g
}

// connect finds the components: Tarjan's algorithm in one pass over the edges,
// with its own stack, because a long chain would be a deep recursion.
func (g *graph) connect() {
	n := len(g.digest)
	g.component = make([]int, n)
	index := make([]int, n) // order of discovery from 1; 0: not discovered
	low := make([]int, n)   // the least index known to be reachable and on the stack
	edge := make([]int, n)  // which input comes next
	var path, stack []int
	found, components := 0, 0
	onStack := make([]bool, n)
	for start := range n {
		if index[start] != 0 {
			continue
		}
		path = append(path[:0], start)
		for len(path) > 0 {
			v := path[len(path)-1]
			if index[v] == 0 {
				found++
				index[v], low[v] = found, found
				stack, onStack[v] = append(stack, v), true
			}
			if edge[v] < len(g.inputs[v]) {
				to := g.inputs[v][edge[v]]
				edge[v]++
				if index[to] == 0 {
					path = append(path, to)
				} else if onStack[to] {
					low[v] = min(low[v], index[to])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1]
				low[parent] = min(low[parent], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			for done := false; !done; {
				top := stack[len(stack)-1]
				stack, onStack[top] = stack[:len(stack)-1], false
				g.component[top] = components
				done = top == v
			}
			components++
		}
	}
}

// path returns the shortest way from one of starts to goal along inputs, both
// ends included, and nil if there is none. Of several it is the least, compared
// number by number: a breadth-first search that always goes to the least first
// discovers every artifact by the least of the shortest ways. starts is sorted.
func (g *graph) path(starts []int, goal int) []int {
	before := map[int]int{} // how an artifact was reached; -1: a start
	var queue []int
	reach := func(v, from int) {
		// Nothing in a lower component leads to goal: mostly this ends the search
		// before it began, so that asking for every piece of evidence stays linear.
		if _, ok := before[v]; !ok && g.component[v] >= g.component[goal] {
			before[v] = from
			queue = append(queue, v)
		}
	}
	for _, s := range starts {
		reach(s, -1)
	}
	for i := 0; i < len(queue); i++ {
		v := queue[i]
		if v == goal {
			var out []int
			for ; v >= 0; v = before[v] {
				out = append(out, v)
			}
			slices.Reverse(out)
			return out
		}
		for _, to := range g.inputs[v] {
			reach(to, v)
		}
	}
	return nil
}

// Cycle returns a way from the artifact that e is about through e's inputs and
// the chain's edges back to that artifact: the shortest, of several the one with
// the least digests. Both ends are the artifact. It is nil if there is none, and
// for evidence that is not bound in this chain.
//
// Nothing can be made of itself, so evidence with a cycle is false, by error or
// on purpose. The other edges of the cycle belong to other evidence, which has
// a cycle as well and can be asked in its turn.
func (c Chain) Cycle(e Evidence) []attest.Digest {
	g := &c.get().graph
	goal, ok := g.number[e.About()]
	facts, err := e.Facts()
	if !ok || err != nil {
		return nil
	}
	var starts []int
	for _, in := range facts.Inputs {
		if i, ok := g.number[in.Digest]; ok {
			starts = append(starts, i)
		}
	}
	slices.Sort(starts)
	way := g.path(slices.Compact(starts), goal)
	if way == nil {
		return nil
	}
	out := []attest.Digest{e.About()}
	for _, i := range way {
		out = append(out, g.digest[i])
	}
	return out
}

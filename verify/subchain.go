package verify

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// From returns the part of the chain that lies behind one of its artifacts, as a
// chain with that artifact as its root: for whoever judges an input by itself.
// What was consulted stays the same. The zero Chain is returned for a digest that
// the walk did not reach.
func (c Chain) From(d attest.Digest) Chain {
	whole := c.get()
	start, ok := whole.graph.number[d]
	if !ok {
		return Chain{}
	}
	depth := map[int]int{start: 0}
	queue := []int{start}
	for i := 0; i < len(queue); i++ {
		for _, to := range whole.graph.inputs[queue[i]] {
			if _, seen := depth[to]; !seen {
				depth[to] = depth[queue[i]] + 1
				queue = append(queue, to)
			}
		}
	}
	part := &chain{root: d, trust: whole.trust, artifacts: make(map[attest.Digest]*node, len(queue)), consulted: whole.consulted, inquiries: whole.inquiries}
	slices.Sort(queue) // numbers are in the order of digests
	for _, i := range queue {
		digest := whole.graph.digest[i]
		part.order = append(part.order, digest)
		part.artifacts[digest] = &node{Artifact: whole.artifacts[digest].Artifact, depth: depth[i]}
	}
	for _, e := range whole.edges {
		if part.artifacts[e.From] != nil {
			part.edges = append(part.edges, e)
		}
	}
	part.graph = newGraph(part.order, part.edges)
	return Chain{part}
}

// Path returns the shortest way from the root along inputs to an artifact, both
// ends included; of several the one with the least digests. It is nil for a
// digest that the walk did not reach.
func (c Chain) Path(d attest.Digest) []attest.Digest {
	g := &c.get().graph
	from, ok1 := g.number[c.Root()]
	to, ok2 := g.number[d]
	if !ok1 || !ok2 {
		return nil
	}
	var out []attest.Digest
	for _, i := range g.path([]int{from}, to) {
		out = append(out, g.digest[i])
	}
	return out
}

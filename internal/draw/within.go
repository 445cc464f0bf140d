package draw

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// EndsHidden is why evidence seems to end at an artifact whose inputs [Within] left
// out: the evidence goes on, and the drawing does not.
const EndsHidden = "not shown"

// Within returns the part of g that is at most depth steps back from the artifact in
// question, for drawing: g is not changed. An artifact of which inputs are left out
// gets a frontier, [EndsHidden], that says how many. Contradictions stay, and so do all gaps: a
// smaller picture is no more complete than a large one.
func Within(g *lineage.Graph, depth int) *lineage.Graph {
	out := &lineage.Graph{
		Artifact: g.Artifact, Trust: g.Trust, Nodes: []lineage.Node{}, Edges: []lineage.Edge{}, Records: []lineage.Record{},
		Contradictions: g.Contradictions, Gaps: g.Gaps,
	}
	kept := map[attest.Digest]bool{}
	for _, n := range g.Nodes {
		kept[n.Digest] = n.Depth <= depth
	}
	hidden := map[attest.Digest]map[attest.Digest]bool{} // the inputs of an artifact that are left out
	for _, e := range g.Edges {
		switch {
		case kept[e.From] && kept[e.To]:
			out.Edges = append(out.Edges, e)
		case kept[e.From]:
			if hidden[e.From] == nil {
				hidden[e.From] = map[attest.Digest]bool{}
			}
			hidden[e.From][e.To] = true
		}
	}
	for _, n := range g.Nodes {
		if !kept[n.Digest] {
			continue
		}
		if more := len(hidden[n.Digest]); more > 0 && n.Frontier == nil {
			n.Frontier = &lineage.Frontier{How: EndsHidden, Detail: count(more, "more input") + ", and what is behind"}
		}
		out.Nodes = append(out.Nodes, n)
	}
	keepRecords(g, out)
	return out
}

// keepRecords gives out the records of g that its nodes and edges refer to.
func keepRecords(g, out *lineage.Graph) {
	used := make([]bool, len(g.Records))
	mark := func(records []int) {
		for _, r := range records {
			if r >= 0 && r < len(used) {
				used[r] = true
			}
		}
	}
	for _, n := range out.Nodes {
		mark(n.Records)
	}
	for _, e := range out.Edges {
		mark(e.Records)
	}
	at := make([]int, len(g.Records))
	for i, r := range g.Records {
		at[i] = len(out.Records)
		if used[i] {
			out.Records = append(out.Records, r)
		}
	}
	renumber := func(records []int) []int {
		records = slices.Clone(records)
		for i, r := range records {
			if r >= 0 && r < len(at) {
				records[i] = at[r]
			}
		}
		return records
	}
	for i := range out.Nodes {
		out.Nodes[i].Records = renumber(out.Nodes[i].Records)
	}
	for i := range out.Edges {
		out.Edges[i].Records = renumber(out.Edges[i].Records)
	}
}

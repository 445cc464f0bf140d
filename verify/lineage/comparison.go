package lineage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A comparison is a graph as claims are compared with it: the part of it that leads
// from the artifact back along what it was made of. It takes time in proportion to
// the graph and the claims, whatever the graph's shape.
type comparison struct {
	graph  *Graph
	nodes  map[attest.Digest]*Node
	edges  map[attest.Digest][]*Edge // by product, those that made something
	used   map[attest.Digest][]*Edge // by input, those in which it was a model
	models map[attest.Digest]bool    // the artifact itself, and models on the way back
	data   map[attest.Digest]bool
	begins map[attest.Digest]bool // taken in a role that says: here it begins
	labels map[attest.Digest][][]string
	// gapless is false if something is missing that has no place in the graph.
	gapless bool
}

func newComparison(g *Graph) *comparison {
	x := &comparison{
		graph: g, nodes: map[attest.Digest]*Node{}, edges: map[attest.Digest][]*Edge{}, used: map[attest.Digest][]*Edge{},
		models: map[attest.Digest]bool{g.Artifact: true}, data: map[attest.Digest]bool{}, begins: map[attest.Digest]bool{},
		labels: map[attest.Digest][][]string{}, gapless: true,
	}
	for i := range g.Nodes {
		x.nodes[g.Nodes[i].Digest] = &g.Nodes[i]
	}
	for i := range g.Edges {
		if e := &g.Edges[i]; x.made(e) {
			x.edges[e.From] = append(x.edges[e.From], e)
			if isModel(e.Role) {
				x.used[e.To] = append(x.used[e.To], e)
			}
		}
	}
	for _, gap := range g.Gaps {
		x.gapless = x.gapless && !gap.Artifact.IsZero()
	}
	x.goBack()
	return x
}

// goBack finds what the artifact was made of.
func (x *comparison) goBack() {
	for todo := []attest.Digest{x.graph.Artifact}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range x.edges[d] {
			var seen map[attest.Digest]bool
			switch {
			case isModel(e.Role):
				seen = x.models
			case isData(e.Role):
				seen = x.data
			default:
				continue
			}
			if e.Role == "base-model" || e.Role == "raw-data" {
				x.begins[e.To] = true
			}
			if !seen[e.To] {
				seen[e.To] = true
				todo = append(todo, e.To)
			}
		}
	}
}

// made reports whether an edge is the word of a record of how something was made,
// rather than of how it was judged.
func (x *comparison) made(e *Edge) bool { return slices.ContainsFunc(e.Records, x.provenance) }

func (x *comparison) provenance(record int) bool {
	return record >= 0 && record < len(x.graph.Records) && x.graph.Records[record].Type == predicate.Name(predicate.TypeProvenance)
}

func isModel(role string) bool {
	return strings.HasSuffix(role, "model") || role == "adapter" || role == "teacher"
}

func isData(role string) bool { return strings.HasSuffix(role, "data") }

// labelsOf returns what an artifact is called, taken apart.
func (x *comparison) labelsOf(d attest.Digest) [][]string {
	if l, ok := x.labels[d]; ok {
		return l
	}
	out := [][]string{}
	if n := x.nodes[d]; n != nil {
		for _, label := range append([]string{n.Name}, n.Labels...) {
			if s := segments(label); len(s) > 0 {
				out = append(out, s)
			}
		}
	}
	x.labels[d] = out
	return out
}

// named returns those of some artifacts that may be what is claimed.
func (x *comparison) named(claim string, among map[attest.Digest]bool) []attest.Digest {
	id := identifier(claim)
	if len(id) == 0 {
		return nil
	}
	var out []attest.Digest
	for d := range among {
		if d != x.graph.Artifact && like(id, x.labelsOf(d)) {
			out = append(out, d)
		}
	}
	return out
}

// itself reports whether the claim is what the artifact itself is called: tools write
// that where others write what something was made from.
func (x *comparison) itself(card Card, claim string) bool {
	id := identifier(claim)
	own := append([][]string{}, x.labelsOf(x.graph.Artifact)...)
	if s := segments(card.Name); len(s) > 0 {
		own = append(own, s)
	}
	return len(id) > 0 && like(id, own)
}

// unknown returns those of some artifacts of which it is not known what they were
// made of, or what they are called.
func (x *comparison) unknown(among map[attest.Digest]bool) []attest.Digest {
	var out []attest.Digest
	for d := range among {
		n, self := x.nodes[d], d == x.graph.Artifact
		switch {
		case n == nil, !self && !x.identified(d):
			out = append(out, d)
		case !self && x.begins[d]:
		case len(n.Gaps) > 0 || n.Frontier != nil && n.Frontier.How != EndsSigned:
			out = append(out, d)
		}
	}
	return out
}

// identified reports whether a signer calls an artifact by more than one word, such as
// an address or an owner and a name. "model" is what any model may be called, and
// cannot exclude that it is the one that a card names.
func (x *comparison) identified(d attest.Digest) bool {
	return slices.ContainsFunc(x.labelsOf(d), func(l []string) bool { return len(l) > 1 })
}

// ends reports whether the way back ends at one of these artifacts before it could be
// told what it was made of.
func (x *comparison) ends(among map[attest.Digest]bool) bool {
	return !x.gapless || len(x.unknown(among)) > 0
}

// madeFrom returns some models and all models that were made from them.
func (x *comparison) madeFrom(models []attest.Digest) map[attest.Digest]bool {
	out := map[attest.Digest]bool{}
	for todo := slices.Clone(models); len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if out[d] {
			continue
		}
		out[d] = true
		for _, e := range x.used[d] {
			todo = append(todo, e.From)
		}
	}
	return out
}

// maxNamed is how many names a contradiction lists; the records have them all.
const maxNamed = 8

// list names what edges lead to.
func (x *comparison) list(edges []*Edge) string {
	var names []string
	for _, e := range edges {
		name := e.To.Short()
		if n := x.nodes[e.To]; n != nil && n.Name != "" {
			name = n.Name + " (" + name + ")"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return shortened(names)
}

func listed(claims []Claim) string {
	var names []string
	for _, c := range claims {
		if c.Field == "base_model" {
			names = append(names, c.Value)
		}
	}
	if len(names) == 0 {
		return "no base model"
	}
	return shortened(names)
}

func shortened(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// records returns the payloads that edges rest on; without edges those of how the
// artifact was made.
func (x *comparison) records(edges []*Edge) []attest.Digest {
	var out []attest.Digest
	add := func(i int) {
		if x.provenance(i) {
			out = append(out, x.graph.Records[i].Payload)
		}
	}
	for _, e := range edges {
		for _, i := range e.Records {
			add(i)
		}
	}
	if n := x.nodes[x.graph.Artifact]; len(edges) == 0 && n != nil {
		for _, i := range n.Records {
			add(i)
		}
	}
	slices.SortFunc(out, attest.Digest.Compare)
	return slices.Compact(out)
}

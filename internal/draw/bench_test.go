package draw_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// graphOf makes a graph of n artifacts, each with a record, from edges by number.
func graphOf(n int, edges [][2]int) *lineage.Graph {
	g := &lineage.Graph{Artifact: drawtest.Digest("0")}
	depth := make([]int, n)
	for _, e := range edges {
		if depth[e[1]] == 0 && e[1] != 0 {
			depth[e[1]] = depth[e[0]] + 1
		}
	}
	for i := range n {
		d := drawtest.Digest(fmt.Sprint(i))
		g.Records = append(g.Records, drawtest.Record(d, "train", "trainer", drawtest.Day(1+i%28), lineage.Fact{Name: "parameter seed", Value: fmt.Sprint(i)}))
		g.Nodes = append(g.Nodes, lineage.Node{Digest: d, Kind: lineage.KindModel, Depth: depth[i], Name: fmt.Sprintf("model %d", i), Steps: []string{"train"}, Records: []int{i}})
	}
	for _, e := range edges {
		g.Edges = append(g.Edges, lineage.Edge{From: g.Nodes[e[0]].Digest, To: g.Nodes[e[1]].Digest, Role: "parent-model", Step: "train", Records: []int{e[0]}})
	}
	return g
}

func chain(n int) *lineage.Graph {
	var edges [][2]int
	for i := range n - 1 {
		edges = append(edges, [2]int{i, i + 1})
	}
	return graphOf(n, edges)
}

func star(n int) *lineage.Graph {
	var edges [][2]int
	for i := 1; i < n; i++ {
		edges = append(edges, [2]int{0, i})
	}
	return graphOf(n, edges)
}

// family is a line of models, each of its parent and five inputs, the code shared.
func family(n int) *lineage.Graph {
	var edges [][2]int
	model, next := 0, 1
	for next+6 < n {
		for i := range 5 {
			edges = append(edges, [2]int{model, next + i})
		}
		edges = append(edges, [2]int{model, n - 1}, [2]int{model, next + 5})
		model, next = next+5, next+6
	}
	return graphOf(n, edges)
}

// tangle joins every artifact with three random earlier ones: no lineage looks so.
func tangle(n int) *lineage.Graph {
	r := rand.New(rand.NewPCG(1, 2))
	var edges [][2]int
	for i := 1; i < n; i++ {
		for range 3 {
			edges = append(edges, [2]int{r.IntN(i), i})
		}
	}
	return graphOf(n, edges)
}

// dense joins each of n artifacts with each of n others.
func dense(n int) *lineage.Graph {
	edges := [][2]int{}
	for i := range n {
		edges = append(edges, [2]int{0, 1 + i})
		for j := range n {
			edges = append(edges, [2]int{1 + i, 1 + n + j})
		}
	}
	return graphOf(1+2*n, edges)
}

// BenchmarkHTML times whole pages, the start of the layout program included.
func BenchmarkHTML(b *testing.B) {
	for _, c := range []struct {
		name string
		g    *lineage.Graph
	}{
		{"credit", drawtest.Credit()}, {"chain-1000", chain(1000)}, {"chain-2000", chain(2000)}, {"star-2000", star(2000)},
		{"family-400", family(400)}, {"family-2000", family(2000)}, {"tangle-130", tangle(130)}, {"tangle-500", tangle(500)}, {"tangle-1000", tangle(1000)}, {"tangle-2000", tangle(2000)}, {"dense-88", dense(88)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				start := time.Now()
				if err := draw.HTML(b.Context(), &out, c.g, options()); err != nil {
					b.Fatalf("after %s: %v", time.Since(start), err)
				}
			}
			b.ReportMetric(float64(out.Len())/1e6, "MB-page")
		})
	}
}

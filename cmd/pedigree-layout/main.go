// Command pedigree-layout reads a graph as Graphviz source and writes where its nodes
// and edges stand, in Graphviz's JSON. It is what "dot -Tjson0" does, from Graphviz
// compiled to WebAssembly and a runtime in Go, for machines that have no Graphviz:
//
//	pedigree-layout -Tjson0 <graph.dot >layout.json
//
// pedigree starts it to draw, and does just as well with dot.
//
// # Why it is a program of its own
//
// The library go-graphviz translates its WebAssembly to machine code while packages
// initialise, before main: up to a second at each start of whatever links it. It
// keeps the machine code in a folder "go-graphviz" of the system's temporary folder, and
// loads from there what it finds. Where others can write into the temporary folder,
// they can put code there. pedigree judges models, and must not load that.
//
// So pedigree starts this program with nothing in its environment but TMPDIR, a fresh
// folder that is removed afterwards. Whoever starts it by hand has to do the same;
// with a temporary folder that others can use it refuses to work. That refusal comes
// too late to keep out code that is there already, since it cannot run before what it
// links; it is there so that no script comes to depend on the dangerous way.
//
//	TMPDIR=$(mktemp -d) pedigree-layout -Tjson0
//
// The exit status is 0, 1 for a graph that cannot be laid out, and 2 for wrong usage.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/goccy/go-graphviz"
)

// maxSource is the most Graphviz source that is read. pedigree draws at most 2,000
// nodes and 8,000 edges, and needs 100 bytes for each.
const maxSource = 4 << 20

// format is the one that is written: positions and splines, no drawing operations.
const format = "json0"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) != 1 || args[0] != "-T"+format {
		fmt.Fprintf(stderr, "pedigree-layout: usage: TMPDIR=$(mktemp -d) pedigree-layout -T%s <graph.dot\n", format)
		return 2
	}
	if dir := os.TempDir(); !private(dir) {
		fmt.Fprintf(stderr, "pedigree-layout: others can use the temporary folder %q: set TMPDIR to a folder of your own, as from mktemp -d\n", dir)
		return 2
	}
	if err := layOut(ctx, stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "pedigree-layout:", err)
		return 1
	}
	return 0
}

// private reports whether nobody but its owner can use the folder. Windows has a
// temporary folder for each user, and no such permissions.
func private(dir string) bool {
	if runtime.GOOS == "windows" {
		return true
	}
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0
}

func layOut(ctx context.Context, r io.Reader, w io.Writer) error {
	source, err := io.ReadAll(io.LimitReader(r, maxSource+1))
	if err != nil {
		return err
	}
	if len(source) > maxSource {
		return fmt.Errorf("the graph has more than %d bytes", maxSource)
	}
	g, err := graphviz.ParseBytes(source)
	if err != nil {
		return fmt.Errorf("reading the graph: %w", err)
	}
	if g == nil {
		return fmt.Errorf("there is no graph")
	}
	engine, err := graphviz.New(ctx)
	if err != nil {
		return err
	}
	if err := engine.Render(ctx, g, format, w); err != nil {
		return fmt.Errorf("laying out the graph: %w", err)
	}
	return nil
}

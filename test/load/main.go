// Load measures the deploy gate: how fast it answers what it knows, how fast what it
// does not, what happens when many ask for the same at once, and what becomes of it in
// half an hour of a registry that fails at random.
//
// Each part is a process: the gate as users run it, a registry in memory that is as
// slow and as unreliable as it is told to be, and the load generator (vegeta), so that
// none's cost is counted as another's. They share the machine's cores all the same.
// Questions come in two ways: over plain HTTP to /v1/verify, and as an API server asks:
// reviews of pods, over TLS and HTTP/2, to /admit.
//
//	go run . [-seconds N] [-rounds N] warm|cold|stampede|soak|all
//
// It prints each figure beside its goal, and its exit status is 1 if one was missed.
//
// # Noise
//
// A latency is as much the machine's as the gate's. So every line has the machine's load
// average beside it; what is compared is measured in rounds, one after the other and then
// again, and all rounds are printed: what differs between rounds of one thing is noise,
// and a difference between two things that is smaller than that is none. The processor
// time that the gate takes for one request hardly depends on what else runs, and is the
// figure to compare changes by.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	var s settings
	flag.IntVar(&s.seconds, "seconds", 0, "how long each round of warm, and all of soak, takes (default: 10, and 1800)")
	flag.IntVar(&s.rounds, "rounds", 3, "how often warm and cold are measured")
	pedigree := flag.String("pedigree", "", "the program (default: it is built)")
	flag.StringVar(&s.keep, "keep", "", "a folder in which the gates' files and logs are left")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: load [-seconds N] [-rounds N] [-pedigree FILE] [-keep FOLDER] warm|cold|stampede|soak|all")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(flag.Arg(0), s, *pedigree); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(what string, s settings, pedigree string) error {
	if f := children[what]; f != nil {
		return f()
	}
	switch what {
	case "warm", "cold", "stampede", "soak", "all":
	default:
		flag.Usage()
		return fmt.Errorf("%q is nothing to measure", what)
	}
	b, err := newBench(pedigree, s)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(what); err != nil {
		return err
	}
	if missed := append(b.broken, b.missed...); len(missed) > 0 {
		return fmt.Errorf("missed: %q", missed)
	}
	return nil
}

// children are what this program does when it is started by itself.
var children = map[string]func() error{"registry": serveRegistry, "attack": serveAttack}

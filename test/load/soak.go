package main

import (
	"cmp"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

// soak asks for good models and bad ones, known and new, of a registry that fails one
// answer in twenty, and looks at what the gate holds.
func (b *bench) soak() error {
	seconds := cmp.Or(b.seconds, 1800)
	const each = 50
	good, err := b.models(each, "soak", false)
	if err != nil {
		return err
	}
	bad, err := b.models(each, "bad", true)
	if err != nil {
		return err
	}
	o := order{models: append(append([]attest.Reference{}, good...), bad...), Bad: make([]bool, 2*each), Rate: cmp.Or(b.rate, 200), Workers: 32}
	for i := each; i < 2*each; i++ {
		o.Bad[i] = true
	}
	// Answers are forgotten soon, so that a fifth of the questions are looked at.
	gateFor, err := b.pair("cache: {allow: 10s, deny: 1s}\n")
	if err != nil {
		return err
	}
	if _, err := b.control(coldTrip, 50); err != nil {
		return err
	}
	defer b.control(0, 0)
	g, ways := gateFor(secureAdmit), []way{secureAdmit, secureVerify}
	fmt.Printf("  %d s, %d requests/s, 1 registry answer in 20 is a fault\n", seconds, o.Rate)
	var total tally
	codes := map[string]int{}
	var first, last use
	for done, n := 0, 0; done < seconds; n++ {
		o.Seconds = min(30, seconds-done)
		t, err := b.attack(g, ways[n%len(ways)], o)
		if err != nil {
			return err
		}
		done += o.Seconds
		for c, n := range t.Codes {
			codes[c] += n
		}
		total.Requests, total.Forbidden, total.Allowed = total.Requests+t.Requests, total.Forbidden+t.Forbidden, total.Allowed+t.Allowed
		if last, err = g.use(); err != nil {
			return err
		}
		if n == len(ways)-1 {
			first = last
		}
		fmt.Printf("  %4d s: %s; resident %d MiB, goroutines %d, descriptors %d\n", done, t, last.resident>>10, last.goroutines, last.descriptors)
	}
	b.must(total.Forbidden == 0, "ALLOW for a model that must not run: %d of %d requests", total.Forbidden, total.Requests)
	b.must(codes["200"] > 0 && codes["403"] > 0, "both answers were given: %v", codes)
	b.must(codes["0"] == 0, "requests without an answer: %d", codes["0"])
	b.goal(last.peak <= soakMemory, "most memory %d MiB, goal %d MiB", last.peak>>10, soakMemory>>10)
	if first != (use{}) {
		b.goal(last.goroutines <= first.goroutines+flat, "goroutines after the first minute %d, at the end %d", first.goroutines, last.goroutines)
		b.goal(last.descriptors <= first.descriptors+flat, "descriptors after the first minute %d, at the end %d", first.descriptors, last.descriptors)
	}
	return nil
}

// flat is by how much goroutines and descriptors may differ from one moment to another:
// connections to the registry come and go, two goroutines and a descriptor each.
const flat = 80

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// The goals, of two cores that gate, registry and load generator share.
const (
	warmRate   = 2000
	warmP99    = 5 * time.Millisecond
	coldP99    = 250 * time.Millisecond
	coldTrip   = 5 * time.Millisecond
	crowd      = 500
	deadline   = 9 * time.Second
	soakMemory = 256 << 10 // KiB
)

func (b *bench) measure(what string) error {
	for _, p := range []struct {
		name string
		run  func() error
	}{{"warm", b.warm}, {"cold", b.cold}, {"stampede", b.stampede}, {"soak", b.soak}} {
		if what != p.name && what != "all" {
			continue
		}
		fmt.Printf("%s: load average %s\n", p.name, loadAverage())
		if err := p.run(); err != nil {
			for _, g := range b.gates {
				fmt.Fprintln(os.Stderr, g.lastLines())
			}
			return fmt.Errorf("%s: %w", p.name, err)
		}
		b.stopGates()
	}
	return nil
}

// models pushes n models, which are bad or good.
func (b *bench) models(n int, name string, bad bool) ([]attest.Reference, error) {
	var out []attest.Reference
	for i := range n {
		ref, err := b.world.model(context.Background(), fmt.Sprintf("%s-%d", name, i), bad)
		if err != nil {
			return nil, err
		}
		out = append(out, ref)
	}
	return out, nil
}

// pair starts a gate for each kind of way.
func (b *bench) pair(more string) (gateFor func(way) *gateProcess, err error) {
	b.stopGates()
	plain, err := b.startGate(false, more)
	if err != nil {
		return nil, err
	}
	secure, err := b.startGate(true, more)
	return func(w way) *gateProcess {
		if w.secure {
			return secure
		}
		return plain
	}, err
}

// warm asks for models that were judged before, at a constant rate, in each way in
// turn, and that some times.
func (b *bench) warm() error {
	seconds, rate := cmp.Or(b.seconds, 10), cmp.Or(b.rate, warmRate)
	models, err := b.models(10, "warm", false)
	if err != nil {
		return err
	}
	gateFor, err := b.pair("")
	if err != nil {
		return err
	}
	ways := []way{plainVerify, secureVerify, secureAdmit}
	rounds := map[string][]tally{}
	for round := range b.rounds + 1 {
		for _, w := range ways {
			o := order{models: models, Rate: rate, Seconds: seconds, Workers: 64}
			if round == 0 { // to fill the cache
				o.Rate, o.Seconds = 100, 1
			}
			t, err := b.attack(gateFor(w), w, o)
			if err != nil {
				return err
			}
			if round > 0 {
				rounds[w.name] = append(rounds[w.name], t)
				fmt.Printf("  %s, round %d: %s\n", w.name, round, t)
			}
		}
	}
	for _, w := range ways {
		b.judgeWarm(w, rate, rounds[w.name])
	}
	return nil
}

func (b *bench) judgeWarm(w way, rate int, rounds []tally) {
	var all, allowed uint64
	var p99, each []time.Duration
	slowest := rounds[0].Rate
	for _, t := range rounds {
		all, allowed = all+t.Requests, allowed+t.Allowed
		p99, each = append(p99, t.P99), append(each, t.each)
		slowest = min(slowest, t.Rate)
	}
	slices.Sort(p99)
	slices.Sort(each)
	b.must(allowed == all, "%s: allowed %d of %d", w.name, allowed, all)
	b.goal(slowest > 0.98*float64(rate), "%s: rate %.0f/s, goal %d/s", w.name, slowest, rate)
	b.goal(p99[len(p99)/2] <= warmP99, "%s: p99 %s (of the rounds: %v), goal %s; processor time each %v", w.name, round(p99[len(p99)/2]), p99, warmP99, each)
}

// cold asks for models that were never judged, of a registry that takes a while for
// each answer: few enough that none waits for another.
func (b *bench) cold() error {
	n := cmp.Or(b.settings.models, 100)
	gateFor, err := b.pair("")
	if err != nil {
		return err
	}
	var p99 []time.Duration
	for r := range b.rounds {
		models, err := b.models(n, fmt.Sprintf("cold-%d", r), false)
		if err != nil {
			return err
		}
		if _, err := b.control(coldTrip, 0); err != nil {
			return err
		}
		t, err := b.attack(gateFor(plainVerify), plainVerify, order{models: models, Rate: 4, Seconds: max(1, n/4), Workers: 4})
		if err != nil {
			return err
		}
		count, err := b.control(0, 0)
		if err != nil {
			return err
		}
		fmt.Printf("  round %d: %s; %.1f registry requests each\n", r+1, t, float64(count)/float64(t.Requests))
		b.must(t.Allowed == t.Requests, "allowed %d of %d", t.Allowed, t.Requests)
		p99 = append(p99, t.P99)
	}
	slices.Sort(p99)
	b.goal(p99[len(p99)/2] <= coldP99, "p99 %s (of the rounds: %v), goal %s", round(p99[len(p99)/2]), p99, coldP99)
	return nil
}

// stampede asks many times at once for one model that was never judged, with the limits
// that a gate has by itself.
func (b *bench) stampede() error {
	n := cmp.Or(b.settings.crowd, crowd)
	ways := []way{plainVerify, secureAdmit}
	models, err := b.models(2*len(ways), "stampede", false)
	if err != nil {
		return err
	}
	gateFor, err := b.pair("")
	if err != nil {
		return err
	}
	for i, w := range ways {
		if err := b.crowd(gateFor(w), w, n, models[2*i], models[2*i+1]); err != nil {
			return err
		}
	}
	return nil
}

// crowd asks once for one model, and n times for another.
func (b *bench) crowd(g *gateProcess, w way, n int, one, other attest.Reference) error {
	defer b.control(0, 0)
	count := func(models ...attest.Reference) (t tally, requests int64, err error) {
		if _, err = b.control(coldTrip, 0); err != nil {
			return
		}
		if t, err = b.attack(g, w, order{models: models, Workers: uint64(len(models))}); err != nil {
			return
		}
		requests, err = b.control(coldTrip, 0)
		return
	}
	t, alone, err := count(one)
	if err != nil {
		return err
	}
	b.must(t.Allowed == 1, "%s: one: allowed %d", w.name, t.Allowed)
	before, err := g.use()
	if err != nil {
		return err
	}
	t, together, err := count(slices.Repeat([]attest.Reference{other}, n)...)
	if err != nil {
		return err
	}
	after, err := g.use()
	if err != nil {
		return err
	}
	fmt.Printf("  %s: %s\n", w.name, t)
	b.must(t.Allowed == uint64(n), "%s: allowed %d of %d", w.name, t.Allowed, n)
	b.must(after.looks-before.looks == 1, "%s: verifications: %d", w.name, after.looks-before.looks)
	b.must(together <= alone, "%s: registry requests for %d at once: %d; for one: %d", w.name, n, together, alone)
	b.goal(t.Max < deadline, "%s: the last answer after %s, the deadline is %s", w.name, round(t.Max), deadline)
	return nil
}

package index_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// said is everything that a source says of an artifact.
func said(s verify.Source, d attest.Digest, types ...string) string {
	var out []string
	err := s.Attestations(context.Background(), d, func(a attest.Attached) bool {
		if len(types) == 0 || a.Err != nil || slices.Contains(types, a.PredicateType) {
			out = append(out, fmt.Sprint(a.Manifest, " ", a.PredicateType, " ", attest.SHA256(a.Bundle), " ", a.Note, " ", a.Err))
		}
		return true
	})
	slices.Sort(out)
	b, missing := s.Manifest(context.Background(), d)
	return fmt.Sprint(out, "\n", err, "\n", attest.SHA256(b), " ", missing)
}

// Read at once, everything is as if it was asked for one by one.
func TestGather(t *testing.T) {
	f := planned(t, fleet.Config{Seed: 3, Versions: 30, Strangers: 0.2})
	g, err := f.Hold(context.Background())
	must(t, err)
	path, x := create(t)
	for _, r := range g.Repositories() {
		sync(t, x, r, f.Keys())
	}
	must(t, x.Close())
	x = open(t, path, index.Options{})
	var all []attest.Digest
	for _, r := range g.Repositories() {
		must(t, x.Held(context.Background(), r.Repository(), func(h attest.Held) bool {
			all = append(all, h.Digest)
			return true
		}))
	}
	all = append(all, attest.SHA256([]byte("never asked about")))
	attestations := 0
	for i, r := range g.Repositories() {
		s := x.Source(r.Repository())
		for _, types := range [][]string{nil, {predicate.TypeProvenance, predicate.TypeDeployment}, {"https://example.test/unknown/v1"}} {
			gathered, err := s.(lineage.Gatherer).Gather(context.Background(), all[:len(all)-i%2], types)
			must(t, err)
			for _, d := range all {
				want, got := said(s, d, types...), said(gathered, d, types...)
				if got != want {
					t.Fatalf("%s in %s, of %v: got\n%s\nwant\n%s", d, r.Repository(), types, got, want)
				}
				attestations += len(want) / 200
			}
		}
	}
	if len(all) < 50 || attestations < 200 {
		t.Fatalf("%d artifacts and %d attestations prove nothing", len(all), attestations)
	}
	if _, err := x.Source(repository(t, "host.test/none")).(lineage.Gatherer).Gather(context.Background(), all, nil); err != nil {
		t.Errorf("of what is not in the index: %v", err) // whoever asks is told
	}
}

// And so are hints.
func TestFindAny(t *testing.T) {
	f := planned(t, fleet.Config{Seed: 3, Versions: 30})
	g, err := f.Hold(context.Background())
	must(t, err)
	_, x := create(t)
	if err := x.FindAny(context.Background(), lineage.NamesInput, []string{"a", "b"}, nil); attest.RefusalCode(err) != attest.CodeIndex {
		t.Errorf("of an empty index: %v", err)
	}
	var names []string
	for _, r := range g.Repositories() {
		sync(t, x, r, f.Keys())
		must(t, x.Held(context.Background(), r.Repository(), func(h attest.Held) bool {
			names = append(names, h.Digest.String())
			return true
		}))
	}
	for i := range 3000 {
		names = append(names, fmt.Sprint("nobody ", i))
	}
	want, got := map[attest.Digest]bool{}, map[attest.Digest]bool{}
	for _, n := range names {
		must(t, x.Find(context.Background(), lineage.NamesInput, n, func(d attest.Digest) bool {
			want[d] = true
			return true
		}))
	}
	must(t, x.FindAny(context.Background(), lineage.NamesInput, names, func(d attest.Digest) bool {
		got[d] = true
		return true
	}))
	if len(want) < 30 || len(got) != len(want) {
		t.Errorf("%d artifacts, want %d", len(got), len(want))
	}
	for d := range got {
		if !want[d] {
			t.Errorf("%s was not asked for", d)
		}
	}
}

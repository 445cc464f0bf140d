package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// now is when the crawls of the tests take place.
var now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// scope is what walks follow: everything, revocations included.
func scope(keys []attest.PublicKey) verify.Scope {
	s := lineage.Everything(verify.Signers{Keys: keys})
	s.Consult = true
	return s
}

// crawl reads holdings into a store.
func crawl(t testing.TB, s lineage.Store, keys []attest.PublicKey, holdings ...lineage.Holding) lineage.CrawlReport {
	t.Helper()
	report, err := lineage.Crawl(context.Background(), s, holdings, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys}, At: now, Jobs: 3})
	if err != nil {
		t.Fatalf("crawl: %v", err)
	}
	return report
}

// walk spells out a walk, all that must not depend on where the evidence came from.
func walk(t testing.TB, root attest.Digest, source verify.Source, s verify.Scope) string {
	t.Helper()
	c, err := verify.Walk(context.Background(), root, []verify.Source{source}, s)
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	var b strings.Builder
	say := func(what string, a *verify.Artifact) {
		fmt.Fprintf(&b, "%s %s known=%t depth=%d\n", what, a.Digest, a.FilesKnown, c.Depth(a.Digest))
		for i, list := range [][]verify.Evidence{a.Evidence, a.FileEvidence, a.Misplaced} {
			for _, e := range list {
				fmt.Fprintf(&b, "  %s %s %s %s\n", [...]string{"evidence", "file evidence", "misplaced"}[i], e.ID().Payload, e.ID().Credential, e.PredicateType())
			}
		}
		for _, f := range a.Files {
			fmt.Fprintf(&b, "  file %s %s\n", f.Path, f.Digest)
		}
		for _, g := range a.Gaps {
			fmt.Fprintf(&b, "  gap %s\n", g.Code)
		}
	}
	for _, d := range c.Artifacts() {
		say("artifact", c.Artifact(d))
	}
	for _, d := range c.ConsultedAll() {
		say("consulted", c.Consulted(d))
	}
	for _, e := range c.Edges() {
		fmt.Fprintf(&b, "edge %s %s %q %s\n", e.From, e.To, e.Role, e.Evidence.Payload)
	}
	return b.String()
}

// same fails the test if a walk over the store differs from one over the source, and
// says where first.
func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s: from the store and from the source differ at line %d:\n got %q\nwant %q", what, i, g[min(i, len(g)):min(i+3, len(g))], w[min(i, len(w)):min(i+3, len(w))])
		}
	}
}

// find returns what a store finds.
func find(s lineage.Store, r lineage.Relation, name string) ([]attest.Digest, error) {
	var out []attest.Digest
	err := s.Find(context.Background(), r, name, func(d attest.Digest) bool {
		out = append(out, d)
		return true
	})
	return out, err
}

// held returns what a store knows a repository to list.
func held(s lineage.Store, repo attest.Repository) ([]attest.Held, error) {
	var out []attest.Held
	err := s.Held(context.Background(), repo, func(h attest.Held) bool {
		out = append(out, h)
		return true
	})
	return out, err
}

// attached returns what a source yields about an artifact: the bundles' digests,
// sorted, and the codes of everything that was wrong.
func attached(src verify.Source, d attest.Digest) (bundles []attest.Digest, codes []attest.Code) {
	err := src.Attestations(context.Background(), d, func(a attest.Attached) bool {
		if a.Err != nil {
			codes = append(codes, code(a.Err))
		} else {
			bundles = append(bundles, attest.SHA256(a.Bundle))
		}
		return true
	})
	if err != nil {
		codes = append(codes, code(err))
	}
	slices.SortFunc(bundles, attest.Digest.Compare)
	slices.Sort(codes)
	return bundles, slices.Compact(codes)
}

// code returns an error's code, and something that is none for an error without.
func code(err error) attest.Code {
	if c := attest.RefusalCode(err); c != "" || err == nil {
		return c
	}
	return attest.Code("no code: " + err.Error())
}

// refused fails the test unless an error has a code.
func refused(t testing.TB, what string, err error, want attest.Code) {
	t.Helper()
	if err == nil || attest.RefusalCode(err) != want || errors.Is(err, attest.ErrAbsent) {
		t.Fatalf("%s: got the error %v, want %s", what, err, want)
	}
}

// repository returns a repository by its name.
func repository(t testing.TB, name string) attest.Repository {
	t.Helper()
	r, err := attest.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

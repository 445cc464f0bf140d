package fleet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func planned(tb testing.TB, c fleet.Config) *fleet.Fleet {
	tb.Helper()
	f, err := fleet.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func held(tb testing.TB, f *fleet.Fleet) *fleet.Registry {
	tb.Helper()
	g, err := f.Hold(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// fingerprint hashes everything that a fleet yields, in its order.
func fingerprint(t *testing.T, c fleet.Config) string {
	t.Helper()
	h := sha256.New()
	err := planned(t, c).Generate(context.Background(), func(i fleet.Item) error {
		for _, part := range []string{i.Repository.String(), i.Artifact.String(), i.Tag, string(i.Manifest), string(i.Bundle), i.PredicateType} {
			sum := sha256.Sum256([]byte(part))
			h.Write(sum[:])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestOneConfigGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, alg := range []attest.KeyAlgorithm{attest.P256, attest.Ed25519} {
		c := fleet.Config{Seed: 7, Versions: 60, Chain: 10, Hot: 20, Strangers: 0.5, Keys: alg}
		first := fingerprint(t, c)
		if second := fingerprint(t, c); first != second {
			t.Errorf("%s: two runs gave %s and %s", alg, first, second)
		}
		c.Seed++
		if other := fingerprint(t, c); first == other {
			t.Errorf("%s: another seed gave the same bytes", alg)
		}
	}
}

func walked(t *testing.T, f *fleet.Fleet, g *fleet.Registry, d attest.Digest) verify.Chain {
	t.Helper()
	c, err := verify.Walk(context.Background(), d, []verify.Source{g}, lineage.Everything(verify.Signers{Keys: f.Keys()}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryVersionVerifies(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 1, Strangers: -1})
	g := held(t, f)
	if n := len(f.Releases()); n != 50 {
		t.Fatalf("%d releases, want 50", n)
	}
	for _, r := range f.Releases() {
		c := walked(t, f, g, r.Artifact)
		if len(c.Gaps()) != 0 || c.Strangers() != 0 || len(c.Findings()) != 0 {
			t.Errorf("%s: gaps %v, %d strangers, findings %v", r.Tag, c.Gaps(), c.Strangers(), c.Findings())
		}
		if n := len(c.Artifact(r.Artifact).Evidence); n < 4 {
			t.Errorf("%s has %d pieces of evidence", r.Tag, n)
		}
		for _, d := range c.Artifacts() {
			for _, e := range c.Artifact(d).Evidence {
				if _, err := e.Facts(); err != nil {
					t.Errorf("%s: %v", r.Tag, err)
				}
			}
		}
	}
}

func TestStrangersAreStrangers(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 1, Strangers: 2})
	g := held(t, f)
	if s := g.Stats(); s.Strangers != 100 {
		t.Errorf("%d attestations by strangers, want two for each of 50", s.Strangers)
	}
	found := 0
	for _, r := range f.Releases() {
		c := walked(t, f, g, r.Artifact)
		if len(c.Gaps()) != 0 {
			t.Errorf("%s: gaps %v", r.Tag, c.Gaps())
		}
		found += c.Strangers()
	}
	if found == 0 {
		t.Error("no walk met a stranger")
	}
	o, err := verify.NewOpener(verify.Signers{Keys: f.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	g.Bundles(func(_ attest.Digest, a attest.Attached) bool {
		if _, err := o.Open(a.Bundle); err == nil {
			opened++
		}
		return true
	})
	if s := g.Stats(); opened != s.Attestations {
		t.Errorf("%d of %d attestations open, and no stranger's should", opened, s.Attestations)
	}
}

func TestThePolicyTellsGoodFromBad(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 3, Versions: 120, Revocations: 0.05})
	g := held(t, f)
	src, files := f.Policy()
	p, err := policy.Load(src, files)
	if err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for _, r := range f.Releases() {
		c, err := verify.Walk(context.Background(), r.Artifact, []verify.Source{g}, p.Scope())
		if err != nil {
			t.Fatal(err)
		}
		v := p.Evaluate(c, policy.Question{At: f.End()})
		want := policy.Deny
		if r.Approved && !r.Revoked {
			want = policy.Allow
			allowed++
		}
		if v.Outcome != want {
			t.Errorf("%s (approved %t, revoked %t): %s", r.Tag, r.Approved, r.Revoked, v.Outcome)
			for _, q := range v.Requirements {
				if q.Status != policy.Pass {
					t.Logf("  %+v", q)
				}
			}
		}
	}
	if n := len(f.Releases()); allowed < n/2 || allowed == n {
		t.Errorf("%d of %d are allowed; want most, and not all", allowed, n)
	}
}

func TestHotAndChain(t *testing.T) {
	t.Parallel()
	for _, c := range []fleet.Config{{Versions: 100, Hot: 40, Chain: 30}, {Versions: 200, Hot: 151}, {Versions: 10, Hot: 3, Chain: 7}} {
		f := planned(t, c)
		if got := f.Descendants(f.Hot()); len(got) != c.Hot {
			t.Errorf("%+v: the hot data set has %d descendants", c, len(got))
		}
		chain := f.Chain()
		if len(chain) != c.Chain {
			t.Fatalf("%+v: the chain has %d models", c, len(chain))
		}
		if c.Chain == 0 {
			continue
		}
		below := f.Descendants(chain[0])
		for _, d := range chain[1:] {
			if !slices.Contains(below, d) {
				t.Errorf("%+v: %s is not made from the first of the chain", c, d)
			}
		}
		if walk := walked(t, f, held(t, f), chain[len(chain)-1]); walk.Depth(chain[0]) != c.Chain-1 {
			t.Errorf("%+v: the first of the chain is %d steps back", c, walk.Depth(chain[0]))
		}
	}
}

// What the plan says is what the records say.
func TestDescendantsAreThoseOfTheRecords(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 5, Versions: 80, Hot: 20})
	g := held(t, f)
	ancestors := map[attest.Digest]map[attest.Digest]bool{}
	for _, r := range g.Repositories() {
		_, err := r.Held(context.Background(), func(h attest.Held) bool {
			c := walked(t, f, g, h.Digest)
			for _, d := range c.Artifacts() {
				// Evaluations lead on as well, and nothing is made of those data.
				if f2 := c.Depth(d); f2 > 0 {
					if ancestors[d] == nil {
						ancestors[d] = map[attest.Digest]bool{}
					}
					ancestors[d][h.Digest] = true
				}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range f.Popular() {
		for _, d := range f.Descendants(p.Artifact) {
			if !ancestors[p.Artifact][d] {
				t.Errorf("the records do not lead from %s to %s", d, p.Name)
			}
		}
	}
	if n := len(ancestors[f.Hot()]); n != 20 {
		t.Errorf("%d artifacts go back to the hot data set, want 20", n)
	}
}

func TestWriteIntoALayout(t *testing.T) {
	if testing.Short() {
		t.Skip("attaches some hundred attestations to a layout")
	}
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 2, Versions: 6})
	ref, err := attest.ParseRepository("ocidir://" + t.TempDir() + "/fleet")
	if err != nil {
		t.Fatal(err)
	}
	repo, err := oci.Open(ref, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Write(context.Background(), repo)
	if err != nil {
		t.Fatal(err)
	}
	if s.Attestations < 40 {
		t.Errorf("%d attestations were written", s.Attestations)
	}
	g := held(t, f)
	for _, r := range f.Releases() {
		d, err := repo.Resolve(context.Background(), attest.Reference{Repository: ref, Tag: r.Tag})
		if err != nil || d != r.Artifact {
			t.Errorf("tag %s: %s, %v", r.Tag, d, err)
		}
		a, err := verify.Walk(context.Background(), d, []verify.Source{repo}, lineage.Everything(verify.Signers{Keys: f.Keys()}))
		if err != nil {
			t.Fatal(err)
		}
		b := walked(t, f, g, d)
		if !slices.Equal(a.Artifacts(), b.Artifacts()) || len(a.Edges()) != len(b.Edges()) || len(a.Gaps()) != 0 {
			t.Errorf("%s: the layout shows another chain than the memory: %v", r.Tag, a.Gaps())
		}
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []fleet.Config{
		{Versions: -1}, {Versions: 10, Chain: 11}, {Versions: 10, Hot: 11}, {Hot: 2}, {Chain: -1}, {Teams: -1}, {Teams: 1000}, {Keys: attest.P384}, {Revocations: 2}, {Versions: 1 << 30},
	} {
		if f, err := fleet.New(c); attest.RefusalCode(err) != attest.CodeUsage || f != nil {
			t.Errorf("%+v: got %v, want %s", c, err, attest.CodeUsage)
		}
	}
	for _, c := range []fleet.Config{{Versions: 1}, {Versions: 1, Chain: 1}, {Versions: 3, Hot: 3}} {
		if g := held(t, planned(t, c)); g.Stats().Attestations == 0 {
			t.Errorf("%+v: nothing was made", c)
		}
	}
}

// Grants that are given on are within what was given, and deployments follow each
// other: what questions ask about is there.
func TestGrantsAndDeployments(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 4, Versions: 150, Teams: 2})
	g := held(t, f)
	o, err := verify.NewOpener(verify.Signers{Keys: f.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	grants, previous, records := map[attest.Digest]*predicate.AccessFacts{}, map[attest.Digest]string{}, map[attest.Digest]string{}
	firsts := map[string]int{}
	g.Bundles(func(_ attest.Digest, a attest.Attached) bool {
		e, err := o.Open(a.Bundle)
		if err != nil {
			return true
		}
		facts, err := e.Facts()
		if err != nil {
			t.Error(err)
		}
		switch facts.Type {
		case predicate.TypeAccess:
			grants[e.ID().Payload] = facts.Access
		case predicate.TypeDeployment:
			environment := facts.Tree["environment"].(string)
			records[e.ID().Payload] = environment
			before, ok := facts.Tree["previous"].(map[string]any)
			if !ok {
				firsts[environment]++
				return true
			}
			d, err := attest.ParseDigest("sha256:" + before["payload"].(map[string]any)["sha256"].(string))
			if err != nil || previous[d] != "" {
				t.Errorf("two records follow %s, or %v", d, err)
			}
			previous[d] = environment
		}
		return true
	})
	delegated := 0
	for _, a := range grants {
		if a.Parent.Payload.IsZero() {
			continue
		}
		delegated++
		if parent := grants[a.Parent.Payload]; parent == nil {
			t.Errorf("nobody gave %s", a.Parent.Payload)
		} else if err := a.Within(parent); err != nil {
			t.Error(err)
		}
	}
	if len(grants) < 5 || delegated == 0 {
		t.Errorf("%d grants, %d of them given on", len(grants), delegated)
	}
	for d, environment := range previous {
		if records[d] != environment {
			t.Errorf("what comes before a record of %s is one of %q", environment, records[d])
		}
	}
	if len(firsts) != 4 {
		t.Errorf("records of %v, want four environments", firsts)
	}
	for environment, n := range firsts {
		if n != 1 {
			t.Errorf("%s has %d first records", environment, n)
		}
	}
}

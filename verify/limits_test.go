package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// line makes a chain of n artifacts, each made of the next.
func line(w *chaintest.World, n int) []attest.Digest {
	var ds []attest.Digest
	for i := range n {
		ds = append(ds, artifact(fmt.Sprint("line ", i)))
	}
	for i := range n - 1 {
		train(w, "trainer", ds[i], ds[i+1])
	}
	return ds
}

// CHN-02: a model that lists itself, and longer ways round.
func TestCycles(t *testing.T) {
	w := chaintest.New(t)
	self := artifact("self")
	train(w, "trainer", self, self, artifact("data"))
	c := walk(t, self, scope(w, "trainer"), w.Source())
	if got := c.Cycle(c.Artifact(self).Evidence[0]); !slices.Equal(got, []attest.Digest{self, self}) {
		t.Errorf("self cycle is %v", got)
	}

	ds := line(w, 5)
	train(w, "trainer", ds[4], ds[1]) // 1 → 2 → 3 → 4 → 1
	way := w.Sign("alice", ds[3], predicate.TypeProvenance, build("https://example.test/other/v1", ds[1]))
	c = walk(t, ds[0], scope(w, "trainer"), w.Source())
	for i, d := range ds {
		e := c.Artifact(d).Evidence[0]
		got := c.Cycle(e)
		if i == 0 {
			if got != nil {
				t.Errorf("what only leads into a cycle has one: %v", got)
			}
			continue
		}
		want := slices.Concat(ds[i:], ds[1:i+1])
		if !slices.Equal(got, want) {
			t.Errorf("cycle of %d is %v, want %v", i, got, want)
		}
	}
	// Evidence that is not followed has its own first step and the chain's others.
	sc := scope(w, "trainer")
	sc.Keys = append(sc.Keys, w.Key("alice"))
	c = walk(t, ds[0], sc, w.Source())
	for _, e := range c.Artifact(ds[3]).Evidence {
		if e.ID().Payload == way {
			if want := []attest.Digest{ds[3], ds[1], ds[2], ds[3]}; !slices.Equal(c.Cycle(e), want) {
				t.Errorf("cycle is %v, want %v", c.Cycle(e), want)
			}
		}
	}
}

func TestCycleIsTheShortestAndLeast(t *testing.T) {
	w := chaintest.New(t)
	top, end := artifact("top"), artifact("end")
	var mid []attest.Digest
	for i := range 5 {
		mid = append(mid, artifact(fmt.Sprint("mid ", i)))
		train(w, "trainer", mid[i], end)
	}
	train(w, "trainer", top, append(mid, end)...)
	long := train(w, "trainer", end, top)
	c := walk(t, top, scope(w, "trainer"), w.Source())
	if got := c.Cycle(c.Artifact(top).Evidence[0]); !slices.Equal(got, []attest.Digest{top, end, top}) {
		t.Errorf("top's cycle is %v, and not the shortest", got)
	}
	slices.SortFunc(mid, attest.Digest.Compare)
	w.Remove(long)
	train(w, "trainer", end, mid[3])
	train(w, "trainer", mid[1], top)
	train(w, "trainer", mid[2], top)
	c = walk(t, top, scope(w, "trainer"), w.Source())
	if got := c.Cycle(c.Artifact(top).Evidence[0]); !slices.Equal(got, []attest.Digest{top, mid[1], top}) {
		t.Errorf("top's cycle is %v, and not the least", got)
	}
}

// CHN-04: a chain of 10,000 fine-tunes ends at the limit, with a gap.
func TestDepthBomb(t *testing.T) {
	w := chaintest.New(t)
	ds := line(w, 10_000)
	c := walk(t, ds[0], scope(w, "trainer"), w.Source())
	if len(c.Artifacts()) != 66 || gaps(c) != "E_CHAIN_DEPTH "+ds[65].Short() || c.Depth(ds[64]) != 64 {
		t.Errorf("%d artifacts, gaps %s", len(c.Artifacts()), gaps(c))
	}
	sc := scope(w, "trainer")
	sc.Limits.Depth = 9_999
	c = walk(t, ds[0], sc, w.Source())
	if len(c.Artifacts()) != 10_000 || len(c.Gaps()) != 0 {
		t.Errorf("with the limit raised: %d artifacts, gaps %s", len(c.Artifacts()), gaps(c))
	}
	start := time.Now()
	for _, d := range c.Artifacts() {
		for _, e := range c.Artifact(d).Evidence {
			if c.Cycle(e) != nil {
				t.Fatal("a line has a cycle")
			}
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("10,000 answers about cycles took %v", took)
	}
}

// CHN-05: too many inputs are a gap at what they were inputs of, and none of
// them is looked at. Over predicate.MaxInputs the predicate does not even decode.
func TestFanOut(t *testing.T) {
	for _, c := range []struct{ inputs, limit, visited int }{
		{1024, 0, 1026}, {1025, 0, 2}, {1025, 2000, 2}, {10_000, 0, 2}, {3, 3, 5}, {4, 3, 2},
	} {
		w := chaintest.New(t)
		var in []attest.Digest
		for i := range c.inputs {
			in = append(in, artifact(fmt.Sprint("input ", i)))
		}
		root := artifact("root")
		train(w, "trainer", root, in...)
		train(w, "trainer", root, artifact("other"))
		sc := scope(w, "trainer")
		sc.Limits.Inputs = c.limit
		got, want := walk(t, root, sc, w.Source()), ""
		if c.visited == 2 {
			want = "E_CHAIN_FANOUT " + root.Short()
		}
		if len(got.Artifacts()) != c.visited || gaps(got) != want || len(got.Artifact(root).Evidence) != 2 {
			t.Errorf("%d inputs, limit %d: %d artifacts, gaps %q", c.inputs, c.limit, len(got.Artifacts()), gaps(got))
		}
		sc.Follow = nil // what is not followed has no inputs that could be missed
		if got := walk(t, root, sc, w.Source()); gaps(got) != "" {
			t.Errorf("%d inputs, not followed: gaps %q", c.inputs, gaps(got))
		}
	}
}

// CHN-06: 40 layers of two artifacts, each made of both below: 2^40 ways.
func TestDiamonds(t *testing.T) {
	w := chaintest.New(t)
	node := func(layer, i int) attest.Digest { return artifact(fmt.Sprintf("layer %d.%d", layer, i)) }
	train(w, "trainer", artifact("top"), node(0, 0), node(0, 1))
	for l := range 40 {
		for i := range 2 {
			train(w, "trainer", node(l, i), node(l+1, 0), node(l+1, 1))
		}
	}
	start := time.Now()
	c := walk(t, artifact("top"), scope(w, "trainer"), w.Source())
	for _, d := range c.Artifacts() {
		for _, e := range c.Artifact(d).Evidence {
			if c.Cycle(e) != nil {
				t.Fatal("diamonds have no cycle")
			}
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	if len(c.Artifacts()) != 83 || len(c.Edges()) != 162 || len(c.Gaps()) != 0 {
		t.Errorf("%d artifacts, %d edges, gaps %s", len(c.Artifacts()), len(c.Edges()), gaps(c))
	}
}

// Strangers use up their own budget. What names a trusted key is still found,
// and what was left untried is a gap where it lies, and only there.
func TestStrangersHaveTheirOwnBudget(t *testing.T) {
	w, model, data, _ := small(t)
	sc := scope(w, "trainer", "alice") // two keys: a stranger costs two attempts
	sc.Limits.Strangers = 20
	for i := range 8 {
		w.Sign("mallory", model, noteType, map[string]any{"i": i})
	}
	payload, sig, _ := parts(t, w.Bundles(data)[0])
	w.Remove(attest.SHA256(payload))
	w.Attach(data, forge(attest.PayloadType, payload, sig, "", "")) // honest, but says not by whom
	c := walk(t, model, sc, w.Source())
	if c.Strangers() != 8 || len(c.Gaps()) != 0 || len(c.Artifact(data).Evidence) != 1 {
		t.Fatalf("within the budget:\n%s", dump(c))
	}
	for i := range 8 {
		w.Sign("mallory", model, noteType, map[string]any{"more": i})
	}
	c = walk(t, model, sc, w.Source())
	want := []verify.Gap{{attest.CodeLimit, data}, {attest.CodeLimit, model}}
	slices.SortFunc(want, func(a, b verify.Gap) int { return a.Artifact.Compare(b.Artifact) })
	if c.Strangers() != 10 || !slices.Equal(c.Gaps(), want) {
		t.Errorf("over the budget: %d strangers, gaps %s", c.Strangers(), gaps(c))
	}
	if len(c.Artifact(model).Evidence) != 2 || len(c.Artifact(data).Evidence) != 0 || len(c.Artifacts()) != 3 {
		t.Errorf("strangers crowded honest evidence out:\n%s", dump(c))
	}
}

func TestEvidenceLimits(t *testing.T) {
	w, model, data, code := small(t)
	for i := range 10 {
		w.Sign("alice", model, noteType, map[string]any{"i": i})
	}
	full := scope(w, "trainer", "alice")
	if c := walk(t, model, full, w.Source()); len(c.Artifact(model).Evidence) != 12 || len(c.Gaps()) != 0 {
		t.Fatalf("without limits:\n%s", dump(c))
	}
	run := func(l verify.Limits) verify.Chain {
		s := full
		s.Limits = l
		return walk(t, model, s, w.Source())
	}
	if c := run(verify.Limits{PerArtifact: 12}); len(c.Gaps()) != 0 {
		t.Errorf("exactly at the limit: gaps %s", gaps(c))
	}
	if c := run(verify.Limits{PerArtifact: 11}); len(c.Artifact(model).Evidence) != 11 || gaps(c) != "E_LIMIT "+model.Short() {
		t.Errorf("one over the artifact's limit:\n%s", dump(c))
	}
	if c := run(verify.Limits{Attestations: 14}); len(c.Gaps()) != 0 {
		t.Errorf("exactly at the walk's limit: gaps %s", gaps(c))
	}
	second := data // of data and code, the one visited last
	if code.Compare(data) > 0 {
		second = code
	}
	if c := run(verify.Limits{Attestations: 13}); gaps(c) != "E_LIMIT "+second.Short() {
		t.Errorf("one over the walk's limit: gaps %s", gaps(c))
	}
	size := int64(0)
	for _, b := range w.Bundles(model) {
		size += int64(len(b))
	}
	if c := run(verify.Limits{Bytes: size}); len(c.Artifact(model).Evidence) != 12 || c.Artifact(model).Gapped() || !c.Artifact(data).Gapped() {
		t.Errorf("bytes for the model only: gaps %s", gaps(c))
	}
	if c := run(verify.Limits{Bytes: size - 1}); len(c.Artifact(model).Evidence) != 0 || !strings.Contains(gaps(c), "E_LIMIT "+model.Short()) {
		t.Errorf("a listing too long to be read:\n%s", dump(c))
	}
	if c := run(verify.Limits{PerArtifact: 6, Strangers: 5}); len(c.Artifact(model).Evidence) != 0 || !c.Artifact(model).Gapped() || len(c.Artifacts()) != 1 {
		t.Errorf("a listing with too many members:\n%s", dump(c))
	}
}

// Trying keys that a bundle doesn't name is paid back if it turns out honest.
func TestHonestBundlesWithoutHintsAreNotStrangers(t *testing.T) {
	w, model, _, _ := small(t)
	plain := chaintest.New(t)
	for _, d := range w.Artifacts() {
		for _, b := range w.Bundles(d) {
			payload, sig, _ := parts(t, b)
			plain.Attach(d, forge(attest.PayloadType, payload, sig, "", ""))
		}
	}
	sc := scope(w, "trainer", "alice")
	sc.Limits.Strangers = 4 // two keys, and two bundles at the model
	if c := walk(t, model, sc, plain.Source()); len(c.Artifacts()) != 3 || len(c.Gaps()) != 0 || c.Strangers() != 0 {
		t.Errorf("chain is\n%s", dump(c))
	}
	sc.Limits.Strangers = 3
	if c := walk(t, model, sc, plain.Source()); gaps(c) == "" {
		t.Error("one attempt too few left no gap")
	}
}

// When the walk's own limits are used up, what was not yet visited is left.
func TestWalkStopsAtItsLimits(t *testing.T) {
	rubbish := func(w *chaintest.World, at attest.Digest, n, size int) {
		for i := range n {
			w.Attach(at, fmt.Appendf(nil, "%-*d", size, i))
		}
	}
	t.Run("evidence", func(t *testing.T) {
		w := chaintest.New(t)
		ds := line(w, 4)
		first := w.Bundles(ds[1])[0]
		payload, _, _ := parts(t, first)
		for i := 0; ; i++ { // a note that sorts behind the provenance
			p, err := attest.NewStatement(attest.Subject{Digest: ds[1]}, noteType, map[string]any{"i": i})
			must(t, err)
			if attest.SHA256(p).Compare(attest.SHA256(payload)) > 0 {
				w.SignPayload(ds[1], "trainer", p)
				break
			}
		}
		sc := scope(w, "trainer")
		sc.Limits.Attestations = 2
		c := walk(t, ds[0], sc, w.Source())
		if len(c.Artifacts()) != 3 || !c.Artifact(ds[1]).Gapped() || !c.Artifact(ds[2]).Gapped() || c.Artifact(ds[0]).Gapped() || len(c.Artifact(ds[2]).Evidence) != 0 || c.Artifact(ds[2]).FilesKnown {
			t.Errorf("chain is\n%s", dump(c))
		}
	})
	t.Run("bundles", func(t *testing.T) {
		for n, want := range map[int]bool{3: false, 4: true} {
			w := chaintest.New(t)
			ds := line(w, 2)
			rubbish(w, ds[0], n, 10)
			sc := scope(w, "trainer")
			sc.Limits.Attestations, sc.Limits.Strangers = 2, 2
			if c := walk(t, ds[0], sc, w.Source()); c.Artifact(ds[1]).Gapped() != want || c.Artifact(ds[0]).Gapped() {
				t.Errorf("%d pieces of rubbish: gaps %q", n, gaps(c))
			}
		}
	})
	t.Run("bytes", func(t *testing.T) {
		w := chaintest.New(t)
		ds := line(w, 4)
		for _, d := range ds {
			rubbish(w, d, 1, 80_000)
		}
		sc := scope(w, "trainer")
		sc.Limits.Bytes = 100_000
		if c := walk(t, ds[0], sc, w.Source()); gaps(c) != "E_LIMIT "+ds[3].Short() {
			t.Errorf("gaps %q", gaps(c))
		}
	})
	t.Run("artifacts", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes seconds")
		}
		w := chaintest.New(t)
		root, n := artifact("root"), 0
		for range 65 {
			var in []attest.Digest
			for range 1024 {
				in = append(in, artifact(fmt.Sprint("input ", n)))
				n++
			}
			train(w, "trainer", root, in...)
		}
		for _, b := range w.Bundles(root) {
			payload, _, _ := parts(t, b)
			w.Sign("trainer", attest.SHA256(payload), predicate.TypeRevocation, revocation("payload", 0))
		}
		sc := scope(w, "trainer")
		sc.Consult = true
		c := walk(t, root, sc, w.Source())
		if len(c.Artifacts()) != 65537 || gaps(c) != "E_LIMIT "+root.Short() {
			t.Errorf("%d artifacts, gaps %q", len(c.Artifacts()), gaps(c))
		}
		// What would have been consulted is there, and nobody was asked about it.
		for _, d := range c.ConsultedAll() {
			if a := c.Consulted(d); !slices.Equal(a.Gaps, []verify.Gap{{Code: attest.CodeLimit, Artifact: d}}) || len(a.Evidence) != 0 {
				t.Errorf("consulted %s: gaps %v, evidence %d", d.Short(), a.Gaps, len(a.Evidence))
			}
		}
		if len(c.ConsultedAll()) != 66 {
			t.Errorf("%d consulted, want 65 payloads and a key", len(c.ConsultedAll()))
		}
	})
}

// Listings that never end, and those that are too long only taken together.
func TestListingsEnd(t *testing.T) {
	w, model, _, _ := small(t)
	sc := scope(w, "trainer", "alice")
	sc.Limits.PerArtifact, sc.Limits.Strangers = 6, 4
	endless := bySource{func(_ context.Context, _ attest.Digest, yield func(attest.Attached) bool) error {
		for yield(attest.Attached{Bundle: []byte("the same, always")}) {
		}
		return nil
	}}
	c := walk(t, model, sc, w.Source(), endless)
	if gaps(c) != "E_LIMIT "+model.Short() || len(c.Artifact(model).Evidence) != 0 {
		t.Errorf("endless: chain is\n%s", dump(c))
	}
	some := func(from, n int) verify.Source {
		return bySource{func(_ context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
			for i := range n {
				if d == model && !yield(attest.Attached{Bundle: fmt.Appendf(nil, "rubbish %d", from+i)}) {
					return nil
				}
			}
			return nil
		}}
	}
	if c := walk(t, model, sc, w.Source(), some(0, 4), some(4, 4)); len(c.Gaps()) != 0 || len(c.Artifact(model).Evidence) != 2 {
		t.Errorf("ten together:\n%s", dump(c))
	}
	if c := walk(t, model, sc, w.Source(), some(0, 4), some(4, 5)); !c.Artifact(model).Gapped() || len(c.Artifact(model).Evidence) != 0 {
		t.Errorf("eleven together:\n%s", dump(c))
	}
	if c := walk(t, model, sc, w.Source(), some(0, 8), some(0, 8)); len(c.Gaps()) != 0 {
		t.Errorf("ten, most of them twice:\n%s", dump(c))
	}
}

// Payloads that wait for other keys are bounded in bytes as well; beyond that
// none of them is tried, whichever came first.
func TestWaitingPayloadsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds and 200 MB")
	}
	w, model, _, _ := small(t)
	sc := scope(w, "trainer", "alice")
	big := make([]byte, 11<<20)
	for i := range 6 {
		big[0] = byte(i)
		w.Attach(model, forge(attest.PayloadType, big, []byte("no signature"), "", ""))
		c := walk(t, model, sc, w.Source())
		over := (i+1)*len(big) > 64<<20
		if c.Artifact(model).Gapped() != over || len(c.Artifact(model).Evidence) != 2 || !over && c.Strangers() != i+1 || over && c.Strangers() != 0 {
			t.Errorf("%d: gaps %q, %d strangers", i, gaps(c), c.Strangers())
		}
	}
}

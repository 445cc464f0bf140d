package storetest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// place is the repository of scenarios that need one only.
const place = "registry.example/models"

func empty(t *testing.T, m Maker) {
	s := m.New(t)
	repo := repository(t, place)
	got, err := find(s, lineage.HasFile, chaintest.File("x").String())
	refused(t, "Find", err, attest.CodeIndex)
	list, err := held(s, repo)
	refused(t, "Held", err, attest.CodeIndex)
	if len(got)+len(list) > 0 {
		t.Errorf("an empty store has %v and %v", got, list)
	}
	if bundles, codes := attached(s.Source(repo), chaintest.File("x")); len(bundles) > 0 || !slices.Equal(codes, []attest.Code{attest.CodeIndex}) {
		t.Errorf("an empty store has %v, and says %v", bundles, codes)
	}
	_, err = s.Source(repo).Manifest(t.Context(), chaintest.File("x"))
	refused(t, "Manifest", err, attest.CodeIndex)
	// What is there is not what was asked about.
	w := newWorld(t, 1, 3)
	crawl(t, s, keys(w.World), w.Holding("registry.example/other", true))
	_, codes := attached(s.Source(repo), w.artifacts[0])
	if !slices.Equal(codes, []attest.Code{attest.CodeIndex}) {
		t.Errorf("of a repository that was not read the store says %v", codes)
	}
	_, err = held(s, repo)
	refused(t, "Held of another repository", err, attest.CodeIndex)
}

// roots returns the artifacts of a world from which a walk over a store can start:
// all, if the repository lists everything that something is attached to.
func roots(w *world, s lineage.Store, repo attest.Repository, exhaustive bool) []attest.Digest {
	list, _ := held(s, repo)
	var out []attest.Digest
	for _, h := range list {
		out = append(out, h.Digest)
	}
	if exhaustive {
		return out
	}
	// Whatever can be reached from those.
	for _, d := range w.artifacts {
		if _, codes := attached(s.Source(repo), d); !slices.Contains(codes, attest.CodeIndex) {
			out = append(out, d)
		}
	}
	return out
}

func sameWalks(t *testing.T, m Maker) {
	checked := 0
	for seed := range uint64(24) {
		exhaustive, gaps := seed%2 == 0, seed/2%2 == 0
		w := newWorld(t, seed, 4+int(seed)%12)
		if gaps {
			w.spoil(exhaustive)
		}
		s := m.New(t)
		h := w.Holding(place, exhaustive)
		report := crawl(t, s, keys(w.World), h)
		if !gaps && len(report.Missed) > 0 {
			t.Fatalf("seed %d: the crawl missed %v", seed, report.Missed)
		}
		s = m.again(t, s)
		for _, root := range roots(w, s, h.Repository(), exhaustive) {
			what := fmt.Sprintf("seed %d, exhaustive %t, gaps %t, root %s", seed, exhaustive, gaps, root)
			same(t, what, walk(t, root, s.Source(h.Repository()), scope(keys(w.World))), walk(t, root, w.Source(), scope(keys(w.World))))
			// Whoever trusts fewer reads the same store.
			fewer := scope(keys(w.World)[:1])
			same(t, what+", one key", walk(t, root, s.Source(h.Repository()), fewer), walk(t, root, w.Source(), fewer))
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("%d walks were compared: the worlds are too small", checked)
	}
}

// Two repositories are crawled together: what one names, the other is asked about.
func sameWalksOfTwo(t *testing.T, m Maker) {
	for seed := range uint64(8) {
		a, b := newWorld(t, 100+seed, 8), newWorld(t, 200+seed, 8)
		for range 10 { // a's evidence leads to b, and the other way
			a.artifacts = append(a.artifacts, b.pick(b.artifacts))
			a.attachSomething()
			b.artifacts = append(b.artifacts, a.pick(a.artifacts))
			b.attachSomething()
		}
		s := m.New(t)
		ha, hb := a.Holding("registry.example/a", seed%2 == 0), b.Holding("registry.example/b", seed%4 < 2)
		crawl(t, s, keys(a.World), ha, hb)
		s = m.again(t, s)
		list, err := held(s, ha.Repository())
		if err != nil || len(list) == 0 {
			t.Fatalf("seed %d: Held: %d artifacts, %v", seed, len(list), err)
		}
		for _, root := range list {
			for _, h := range []*chaintest.Holding{ha, hb} {
				got := walk(t, root.Digest, s.Source(h.Repository()), scope(keys(a.World)))
				same(t, fmt.Sprintf("seed %d, root %s in %s", seed, root.Digest, h.Repository()), got, walk(t, root.Digest, h, scope(keys(a.World))))
			}
		}
	}
}

// wanted works out, without any store, what a store should find.
func wanted(t *testing.T, w *world) map[lineage.Related][]attest.Digest {
	t.Helper()
	sets := map[lineage.Related]map[attest.Digest]bool{}
	add := func(r lineage.Related, d attest.Digest) {
		if sets[r] == nil {
			sets[r] = map[attest.Digest]bool{}
		}
		sets[r][d] = true
	}
	opener, err := verify.NewOpener(verify.Signers{Keys: keys(w.World)})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range w.Artifacts() {
		for _, b := range w.Bundles(d) {
			if e, err := opener.Open(b); err == nil {
				for _, r := range lineage.RelatedTo(e) {
					add(r, d)
				}
			}
		}
	}
	for _, d := range w.manifests {
		b, err := w.Source().Manifest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := attest.ParseManifest(b); err == nil {
			for _, f := range parsed.Files {
				add(lineage.Related{Relation: lineage.HasFile, Name: f.Digest.String()}, d)
			}
		}
	}
	out := map[lineage.Related][]attest.Digest{}
	for r, set := range sets {
		out[r] = slices.SortedFunc(maps.Keys(set), attest.Digest.Compare)
	}
	return out
}

// sameFinds fails the test unless the store finds what there is, and nothing else.
func sameFinds(t *testing.T, what string, s lineage.Store, want map[lineage.Related][]attest.Digest) {
	t.Helper()
	for r, list := range want {
		got, err := find(s, r.Relation, r.Name)
		if err != nil || !slices.Equal(got, list) {
			t.Fatalf("%s: %v leads to %v (%v), want %v", what, r, got, err, list)
		}
		for other := lineage.NamesInput; other <= lineage.InEnvironment; other++ {
			o := lineage.Related{Relation: other, Name: r.Name}
			if got, err := find(s, other, r.Name); err != nil || !slices.Equal(got, want[o]) {
				t.Fatalf("%s: %v leads to %v (%v), want %v", what, o, got, err, want[o])
			}
		}
	}
	for r := lineage.NamesInput; r <= lineage.InEnvironment; r++ {
		for _, name := range []string{"", "nothing", "%", "prod' OR 'x'='x", "sha256:", "PROD"} {
			if got, err := find(s, r, name); err != nil || len(got) > 0 {
				t.Fatalf("%s: %q leads to %v (%v)", what, name, got, err)
			}
		}
	}
}

func finds(t *testing.T, m Maker) {
	seen := map[lineage.Relation]bool{}
	for seed := range uint64(6) {
		w := newWorld(t, 300+seed, 12)
		s := m.New(t)
		crawl(t, s, keys(w.World), w.Holding(place, true))
		s = m.again(t, s)
		want := wanted(t, w)
		sameFinds(t, "world", s, want)
		// One that has enough stops.
		for r, list := range want {
			seen[r.Relation] = true
			if len(list) < 2 {
				continue
			}
			n := 0
			if err := s.Find(t.Context(), r.Relation, r.Name, func(attest.Digest) bool { n++; return false }); err != nil || n != 1 {
				t.Fatalf("Find went on %d times after it was told to stop (%v)", n, err)
			}
		}
	}
	if len(seen) != int(lineage.InEnvironment) {
		t.Errorf("the worlds have only relations %v", seen)
	}
}

func lists(t *testing.T, m Maker) {
	for seed := range uint64(4) {
		w := newWorld(t, 400+seed, 10)
		w.Tag(w.manifests[0], "zeta")
		w.Tag(w.manifests[0], "alpha")
		w.Tag(w.manifests[0], "alpha")
		s := m.New(t)
		h := w.Holding(place, seed%2 == 0)
		crawl(t, s, keys(w.World), h)
		s = m.again(t, s)
		var want []attest.Held
		if _, err := h.Held(t.Context(), func(x attest.Held) bool {
			x.Tags = slices.Compact(x.Tags)
			want = append(want, x)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		got, err := held(s, h.Repository())
		for i := range got {
			if len(got[i].Tags) == 0 {
				got[i].Tags = nil
			}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Held: %v (%v), want %v", got, err, want)
		}
	}
}

package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func unasked(t *testing.T, m Maker) {
	for _, exhaustive := range []bool{true, false} {
		w := newWorld(t, 500, 6)
		w.Tag(w.manifests[0], "v1")
		s := m.New(t)
		h := w.Holding(place, exhaustive)
		crawl(t, s, keys(w.World), h)
		s = m.again(t, s)
		never := attest.SHA256([]byte("nobody ever heard of this"))
		bundles, codes := attached(s.Source(h.Repository()), never)
		if exhaustive && len(bundles)+len(codes) > 0 {
			t.Errorf("beside what an exhaustive list does not have, the store has %v and says %v", bundles, codes)
		}
		if !exhaustive && (len(bundles) > 0 || !slices.Equal(codes, []attest.Code{attest.CodeIndex})) {
			t.Errorf("beside what nobody asked about, the store has %v and says %v", bundles, codes)
		}
		// A list of what evidence is attached to is no list of manifests.
		_, err := s.Source(h.Repository()).Manifest(t.Context(), never)
		refused(t, "the manifest that nobody asked for", err, attest.CodeIndex)
		// What was asked about and is not there is absent.
		if _, err := s.Source(h.Repository()).Manifest(t.Context(), verify.KeyCredential(w.Key("alice")).Standin()); !exhaustive && !attest.IsAbsent(err) {
			t.Errorf("of a manifest that is not there the store says %v", err)
		}
	}
}

func missed(t *testing.T, m Maker) {
	for seed := range uint64(6) {
		w := newWorld(t, 600+seed, 10)
		broken := w.artifacts[0]
		for i, who := range []string{"alice", "bob", "mallory", "mallory"} {
			w.Sign(who, broken, "https://example.test/note/v1", map[string]any{"n": i})
		}
		s := m.New(t)
		h := count(w.Holding(place, true))
		crawl(t, s, keys(w.World), h)
		whole := map[attest.Digest][]attest.Digest{}
		for _, d := range w.Artifacts() {
			whole[d], _ = attached(s.Source(h.Repository()), d)
		}
		// Everything is there still, and some of it does not answer: nothing is dropped.
		fresh := w.Manifest(map[string]string{"new": "new"})
		w.BreakManifest(fresh, attest.Refuse(attest.CodeRegManifest, "two readings"))
		report := crawl(t, s, keys(w.World), stuttering{h, broken})
		want := []lineage.Gap{{Artifact: broken, Code: attest.CodeDigestAlg}, {Artifact: broken, Code: attest.CodeRegUnavailable}, {Artifact: fresh, Code: attest.CodeRegManifest}}
		slices.SortStableFunc(want, func(a, b lineage.Gap) int { return a.Artifact.Compare(b.Artifact) })
		if !slices.Equal(report.Missed, want) || report.Gone > 0 {
			t.Fatalf("the crawl missed %v and found %d gone, want %v and none", report.Missed, report.Gone, want)
		}
		s = m.again(t, s)
		for d, list := range whole {
			bundles, codes := attached(s.Source(h.Repository()), d)
			if !slices.Equal(bundles, list) || (len(codes) > 0) != (d == broken) {
				t.Fatalf("seed %d: of %s the store has %d bundles of %d, and says %v", seed, d, len(bundles), len(list), codes)
			}
		}
		if _, codes := attached(s.Source(h.Repository()), broken); !slices.Equal(codes, []attest.Code{attest.CodeDigestAlg, attest.CodeRegUnavailable}) {
			t.Fatalf("of what could not be looked at the store says %v", codes)
		}
		_, err := s.Source(h.Repository()).Manifest(t.Context(), fresh)
		refused(t, "a manifest that could not be had", err, attest.CodeRegManifest)
		if _, codes := attached(s.Source(h.Repository()), fresh); len(codes) > 0 {
			t.Fatalf("a manifest that could not be had makes a listing say %v", codes)
		}
		// And so more may be connected with anything than is found.
		_, err = find(s, lineage.OfType, predicate.TypeProvenance)
		if err == nil || attest.RefusalCode(err) == attest.CodeIndex {
			t.Fatalf("Find says %v, though something was missed", err)
		}
		if _, err := held(s, h.Repository()); err != nil {
			t.Fatalf("Held says %v, though the list was whole", err)
		}
		// Mended, nothing of it is left, and nothing was forgotten meanwhile.
		w.BreakManifest(fresh, nil)
		h.reset()
		if report = crawl(t, s, keys(w.World), h); len(report.Missed) > 0 || len(h.fetched) > 0 {
			t.Fatalf("after mending the crawl misses %v and fetches %d", report.Missed, len(h.fetched))
		}
		s = m.again(t, s)
		w.manifests = append(w.manifests, fresh)
		sameFinds(t, "mended", s, wanted(t, w))
	}
}

func heldMissed(t *testing.T, m Maker) {
	w := newWorld(t, 700, 8)
	s := m.New(t)
	h := w.Holding(place, true)
	w.BreakHeld(attest.Refuse(attest.CodeNotFound, "a tag that leads nowhere"))
	report := crawl(t, s, keys(w.World), boasting{h})
	if !slices.Equal(report.Missed, []lineage.Gap{{Code: attest.CodeNotFound}}) {
		t.Fatalf("the crawl missed %v", report.Missed)
	}
	s = m.again(t, s)
	list, err := held(s, h.Repository())
	refused(t, "Held", err, attest.CodeNotFound)
	if len(list) == 0 {
		t.Fatal("what was listed is not held")
	}
	for r, want := range wanted(t, w) {
		got, err := find(s, r.Relation, r.Name)
		refused(t, "Find", err, attest.CodeNotFound)
		if !slices.Equal(got, want) {
			t.Fatalf("%v leads to %v, want %v", r, got, want)
		}
	}
	// What is not in such a list may be there.
	_, codes := attached(s.Source(h.Repository()), attest.SHA256([]byte("not listed")))
	if !slices.Equal(codes, []attest.Code{attest.CodeIndex}) {
		t.Fatalf("beside what is not listed the store says %v", codes)
	}
	same(t, "walk", walk(t, list[0].Digest, s.Source(h.Repository()), scope(keys(w.World))), walk(t, list[0].Digest, w.Source(), scope(keys(w.World))))
	w.BreakHeld(nil)
	crawl(t, s, keys(w.World), h)
	sameFinds(t, "mended", m.again(t, s), wanted(t, w))
}

// A forger is a repository that says of bundles that they are known.
type forger struct {
	lineage.Holding
	note func(bundle []byte) []byte
}

func (f forger) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	return f.Holding.AttestationsExcept(ctx, d, known, func(a attest.Attached) bool {
		a.Note = f.note(a.Bundle)
		return yield(a)
	})
}

func forgedNotes(t *testing.T, m Maker) {
	w := chaintest.New(t)
	d := w.Manifest(map[string]string{"weights": "w"})
	good := w.Sign("alice", d, "https://example.test/note/v1", map[string]any{"n": 1})
	// A bundle that names alice's key, with a signature that is not hers.
	w.Use("forger", hinted{w.Signer("mallory"), w.Key("alice")})
	forged := w.Sign("forger", d, "https://example.test/note/v1", map[string]any{"n": 2})
	memory, err := verify.NewMemory(make([]byte, verify.MemorySecret))
	if err != nil {
		t.Fatal(err)
	}
	opener, err := verify.NewOpener(verify.Signers{Keys: []attest.PublicKey{w.Key("alice")}})
	if err != nil {
		t.Fatal(err)
	}
	_, note, err := opener.Remembering(memory).OpenAttached(attest.Attached{Bundle: w.Bundles(d)[0]})
	if err != nil {
		t.Fatal(err)
	}
	s := m.New(t)
	h := w.Holding(place, true)
	swapped := forger{h, func(bundle []byte) []byte {
		if payloadOf(bundle) == good {
			return []byte("no note")
		}
		return note
	}}
	_, err = lineage.Crawl(t.Context(), s, []lineage.Holding{swapped}, lineage.CrawlOptions{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("alice")}}, Memory: memory, At: now})
	if err != nil {
		t.Fatal(err)
	}
	s = m.again(t, s)
	sc := scope([]attest.PublicKey{w.Key("alice")})
	sc.Memory = memory
	c, err := verify.Walk(t.Context(), d, []verify.Source{s.Source(h.Repository())}, sc)
	if err != nil {
		t.Fatal(err)
	}
	list := c.Artifact(d).Evidence
	if len(list) != 1 || list[0].ID().Payload != good || c.Strangers() != 0 {
		t.Errorf("the store has %d pieces of evidence and %d of strangers, want the one by alice (forged: %s)", len(list), c.Strangers(), forged)
	}
	if got, err := find(s, lineage.HasPayload, forged.String()); err != nil || len(got) > 0 {
		t.Errorf("a forged statement is found beside %v (%v)", got, err)
	}
	// The note that comes back is the crawl's own, and of this bundle.
	err = s.Source(h.Repository()).Attestations(t.Context(), d, func(a attest.Attached) bool {
		if !slices.Equal(a.Note, note) {
			t.Errorf("a bundle came back with the note %x, want %x", a.Note, note)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}

// A hinted signer signs with one key and names another.
type hinted struct {
	attest.Signer
	key attest.PublicKey
}

func (h hinted) Material() attest.Material { return attest.Material{Key: h.key} }

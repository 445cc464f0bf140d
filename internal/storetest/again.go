package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// compareAll compares walks from everything that a repository lists.
func compareAll(t *testing.T, what string, w *world, s lineage.Store, h lineage.Holding) {
	t.Helper()
	list, err := held(s, h.Repository())
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: Held has %d artifacts, and says %v", what, len(list), err)
	}
	for _, root := range list {
		same(t, fmt.Sprintf("%s, root %s", what, root.Digest), walk(t, root.Digest, s.Source(h.Repository()), scope(keys(w.World))), walk(t, root.Digest, w.Source(), scope(keys(w.World))))
	}
}

func incremental(t *testing.T, m Maker) {
	for seed := range uint64(6) {
		w, exhaustive := newWorld(t, 800+seed, 12), seed%2 == 0
		at := w.manifests[0]
		w.Tag(at, "tagged")
		s := m.New(t)
		h := count(w.Holding(place, exhaustive))
		first := crawl(t, s, keys(w.World), h)
		for d, n := range h.manifests {
			if n > 1 {
				t.Fatalf("the manifest %s was asked for %d times", d, n)
			}
		}
		s = m.again(t, s)
		h.reset()
		second := crawl(t, s, keys(w.World), h)
		if len(h.fetched) > 0 || second.Fetched > 0 || second.Gone > 0 || second.Kept != first.Fetched || second.Strangers != first.Strangers {
			t.Fatalf("seed %d: a second crawl fetches %d attestations, and reports %+v after %+v", seed, len(h.fetched), second, first)
		}
		for _, d := range w.manifests {
			if h.manifests[d] > 0 {
				t.Fatalf("seed %d: the manifest %s was fetched again", seed, d)
			}
		}
		if second.Artifacts != first.Artifacts {
			t.Fatalf("seed %d: the second crawl asked about %d artifacts, the first about %d", seed, second.Artifacts, first.Artifacts)
		}
		s = m.again(t, s)
		compareAll(t, fmt.Sprintf("seed %d, second", seed), w, s, h)

		// One more, one less, and rubbish.
		added := w.Sign("alice", at, predicate.TypeEvaluation, w.evaluation())
		gone := 0
		if len(w.signed) > 0 {
			_, codes := attached(s.Source(h.Repository()), w.beside[0])
			for _, d := range w.Artifacts() {
				before, _ := attached(s.Source(h.Repository()), d)
				for _, b := range w.Bundles(d) {
					if payloadOf(b) == w.signed[0].Payload && slices.Contains(before, attest.SHA256(b)) {
						gone++
					}
				}
			}
			if len(codes) == 0 && gone == 0 {
				t.Fatal("there is nothing to remove")
			}
			w.Remove(w.signed[0].Payload)
		}
		w.Attach(at, []byte("more rubbish"))
		h.reset()
		third := crawl(t, s, keys(w.World), h)
		// (What was added may lead to artifacts that nothing led to before.)
		if (len(h.fetched) != 2 || third.Fetched != 1) && exhaustive || third.Gone != gone {
			t.Fatalf("seed %d: after one was added and %d removed, %d were fetched and the report is %+v", seed, gone, len(h.fetched), third)
		}
		s = m.again(t, s)
		compareAll(t, fmt.Sprintf("seed %d, third", seed), w, s, h)
		if got, err := find(s, lineage.HasPayload, added.String()); err != nil || !slices.Equal(got, []attest.Digest{at}) {
			t.Fatalf("seed %d: what was added is found beside %v (%v)", seed, got, err)
		}
		if gone > 0 {
			if got, err := find(s, lineage.HasPayload, w.signed[0].Payload.String()); err != nil || len(got) > 0 {
				t.Fatalf("seed %d: what was removed is found beside %v (%v)", seed, got, err)
			}
		}
		if exhaustive {
			sameFinds(t, fmt.Sprintf("seed %d", seed), s, wanted(t, w))
		}
	}
}

// payloadOf returns the digest of a bundle's payload, and zero if it is none.
func payloadOf(b []byte) attest.Digest {
	parsed, err := attest.ParseBundle(b)
	if err != nil {
		return attest.Digest{}
	}
	return attest.SHA256(parsed.Payload)
}

func growingTrust(t *testing.T, m Maker) {
	for seed := range uint64(6) {
		w := newWorld(t, 900+seed, 10)
		s := m.New(t)
		h := count(w.Holding(place, true))
		fewer, all := keys(w.World), append(keys(w.World), w.Key("mallory"))
		first := crawl(t, s, fewer, h)
		if first.Strangers == 0 {
			t.Fatal("the world has no strangers")
		}
		s = m.again(t, s)
		h.reset()
		second := crawl(t, s, all, h)
		if len(h.fetched) == 0 || second.Fetched == 0 || second.Kept != first.Fetched || second.Strangers >= first.Strangers {
			t.Fatalf("seed %d: with one more key %d are fetched, and the report is %+v after %+v", seed, len(h.fetched), second, first)
		}
		s = m.again(t, s)
		list, err := held(s, h.Repository())
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range list {
			same(t, fmt.Sprintf("seed %d", seed), walk(t, root.Digest, s.Source(h.Repository()), scope(all)), walk(t, root.Digest, w.Source(), scope(all)))
		}
		// It grows in the middle of a reading: what was done is not, any more.
		half := m.New(t)
		_, err = lineage.Crawl(t.Context(), &mortal{half, first.Artifacts - 1}, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: fewer}, At: now})
		if !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		half = m.again(t, half)
		crawl(t, half, all, h)
		half = m.again(t, half)
		for _, root := range list {
			same(t, fmt.Sprintf("seed %d, grown in the middle", seed), walk(t, root.Digest, half.Source(h.Repository()), scope(all)), walk(t, root.Digest, w.Source(), scope(all)))
		}
		// With fewer again, nothing is fetched; and once more with all, what came meanwhile.
		late := w.Sign("mallory", w.manifests[0], predicate.TypeEvaluation, w.evaluation())
		h.reset()
		if third := crawl(t, s, fewer, h); len(h.fetched) != 1 || third.Fetched > 0 {
			t.Fatalf("seed %d: with one key less %d are fetched, and the report is %+v", seed, len(h.fetched), third)
		}
		s = m.again(t, s)
		crawl(t, s, all, h)
		if got, err := find(s, lineage.HasPayload, late.String()); err != nil || !slices.Equal(got, w.manifests[:1]) {
			t.Fatalf("seed %d: what was a stranger's is found beside %v (%v)", seed, got, err)
		}
	}
}

// leads checks what no crawl shows so clearly: what a reader keeps of where visits
// lead, and in which order it is told.
func leads(t *testing.T, m Maker) {
	s := m.New(t)
	repo := repository(t, place)
	at := func(name string) attest.Digest { return chaintest.File(name) }
	begin := func() lineage.Reader {
		t.Helper()
		r, err := s.Begin(t.Context(), repo, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	put := func(r lineage.Reader, name string, leads, consults []attest.Digest) {
		t.Helper()
		if err := r.Put(t.Context(), lineage.Visit{Artifact: at(name), Leads: leads, Consults: consults}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, r lineage.Reader, want map[string]bool) {
		t.Helper()
		got := map[attest.Digest]bool{}
		if err := r.Artifacts(t.Context(), func(d attest.Digest, consulted bool) bool {
			if _, twice := got[d]; twice {
				t.Errorf("%s: %s comes twice", what, d)
			}
			got[d] = consulted
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d artifacts, want %d", what, len(got), len(want))
		}
		for name, consulted := range want {
			if c, ok := got[at(name)]; !ok || c != consulted {
				t.Errorf("%s: %s is there: %t, consulted: %t, want %t", what, name, ok, c, consulted)
			}
		}
	}
	r := begin()
	check("nothing", r, nil)
	put(r, "a", []attest.Digest{at("b"), at("c")}, []attest.Digest{at("d"), at("e")})
	want := map[string]bool{"a": false, "b": false, "c": false, "d": true, "e": true}
	check("led to", r, want)
	put(r, "b", []attest.Digest{at("d")}, []attest.Digest{at("c")}) // each by both ways
	put(r, "e", nil, nil)                                           // what is consulted was read
	want["d"] = false
	check("by both ways", r, want)
	if done, err := r.Done(t.Context(), at("c")); done || err != nil {
		t.Errorf("what is only led to is done (%v)", err)
	}
	// Nothing of it is lost when the process dies, or when a later reading says less.
	s = m.again(t, s)
	r = begin()
	check("gone on", r, want)
	put(r, "a", nil, nil)
	check("read again", r, want)
	if err := r.Finish(t.Context(), nil, true, nil); err != nil {
		t.Fatal(err)
	}
	s = m.again(t, s)
	check("a second reading", begin(), want)
}

// halfRead checks that what a store lacks is never an empty answer.
func halfRead(t *testing.T, what string, w *world, s lineage.Store, h lineage.Holding) {
	t.Helper()
	_, err := find(s, lineage.OfType, predicate.TypeProvenance)
	refused(t, what+": Find", err, attest.CodeIndex)
	_, err = held(s, h.Repository())
	refused(t, what+": Held", err, attest.CodeIndex)
	for _, d := range append(w.Artifacts(), w.manifests...) {
		// What a walk with these keys would find, but for strangers' bundles.
		want := walk(t, d, w.Source(), verify.Scope{Signers: verify.Signers{Keys: keys(w.World)}})
		got := walk(t, d, s.Source(h.Repository()), verify.Scope{Signers: verify.Signers{Keys: keys(w.World)}})
		_, codes := attached(s.Source(h.Repository()), d)
		if got != want && !slices.Contains(codes, attest.CodeIndex) {
			t.Fatalf("%s: %s is not all there, and the store says %v:\n%s\nwant\n%s", what, d, codes, got, want)
		}
	}
}

func deaths(t *testing.T, m Maker) {
	for seed := range uint64(3) {
		exhaustive := seed%2 == 0
		w := newWorld(t, 1000+seed, 5)
		whole := m.New(t)
		all := count(w.Holding(place, exhaustive))
		visits := crawl(t, whole, keys(w.World), all).Artifacts
		// It dies once, at each point, and goes on.
		for n := range visits + 1 {
			s := m.New(t)
			h := count(w.Holding(place, exhaustive))
			_, err := lineage.Crawl(t.Context(), &mortal{s, n}, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys(w.World)}, At: now, Jobs: 1})
			if !errors.Is(err, errDied) {
				t.Fatalf("the crawl should have died after %d of %d: %v", n, visits, err)
			}
			s = m.again(t, s)
			halfRead(t, fmt.Sprintf("seed %d, dead after %d", seed, n), w, s, h)
			h.reset()
			report := crawl(t, s, keys(w.World), h)
			if report.Artifacts != visits-n {
				t.Fatalf("seed %d: after %d of %d, %d were looked at", seed, n, visits, report.Artifacts)
			}
			compareAll(t, fmt.Sprintf("seed %d, death after %d", seed, n), w, m.again(t, s), h)
		}
		// It dies after each step, and gets there.
		s := m.New(t)
		for n := 0; ; n++ {
			h := w.Holding(place, exhaustive)
			_, err := lineage.Crawl(t.Context(), &mortal{s, 1}, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys(w.World)}, At: now, Jobs: 2})
			s = m.again(t, s)
			if err == nil {
				compareAll(t, fmt.Sprintf("seed %d, many deaths", seed), w, s, h)
				break
			}
			if n > visits {
				t.Fatalf("seed %d: after %d deaths it is not done with %d artifacts: %v", seed, n, visits, err)
			}
		}
		// It dies in a later reading: what that did not come to is not known any more.
		h := w.Holding(place, exhaustive)
		_, err := lineage.Crawl(t.Context(), &mortal{s, visits / 2}, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys(w.World)}, At: now})
		if !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		s = m.again(t, s)
		halfRead(t, fmt.Sprintf("seed %d, dead in the second reading", seed), w, s, h)
	}
}

// stops ends the context at each question that a repository is asked.
func stops(t *testing.T, m Maker) {
	w := newWorld(t, 1100, 6)
	questions := 0
	all := count(w.Holding(place, false))
	all.call = func() { questions++ }
	crawl(t, m.New(t), keys(w.World), all)
	for n := 1; n <= questions; n++ {
		s := m.New(t)
		h := count(w.Holding(place, false))
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		h.call = func() {
			if asked++; asked == n {
				cancel()
			}
		}
		_, err := lineage.Crawl(ctx, deaf{s}, []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys(w.World)}, At: now, Jobs: 2})
		cancel()
		if attest.RefusalCode(err) != attest.CodeInterrupted || !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at question %d of %d: %v", n, questions, err)
		}
		s = m.again(t, s)
		halfRead(t, fmt.Sprintf("stopped at %d", n), w, s, h)
		h.call = nil
		crawl(t, s, keys(w.World), h)
		compareAll(t, fmt.Sprintf("stopped at %d", n), w, m.again(t, s), h)
	}
}

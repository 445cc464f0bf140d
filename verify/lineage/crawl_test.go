package lineage_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// made is a provenance of the inputs.
func madeOf(inputs ...attest.Digest) map[string]any {
	deps := []any{}
	for _, d := range inputs {
		deps = append(deps, map[string]any{"name": "input", "digest": d.DigestSet()})
	}
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://pedigree-ml.github.io/build/train/v1", "externalParameters": map[string]any{}, "resolvedDependencies": deps},
		"runDetails":      map[string]any{"builder": map[string]any{"id": "https://ci.example/1"}},
	}
}

func opaque(i int) attest.Digest { return attest.SHA256(fmt.Appendf(nil, "opaque %d", i)) }

func crawlOptions(w *chaintest.World) lineage.CrawlOptions {
	return lineage.CrawlOptions{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("alice")}}, At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func mustCrawl(t testing.TB, s lineage.Store, o lineage.CrawlOptions, holdings ...lineage.Holding) lineage.CrawlReport {
	t.Helper()
	report, err := lineage.Crawl(context.Background(), s, holdings, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantRefusal(t testing.TB, err error, want attest.Code) {
	t.Helper()
	if err == nil || attest.RefusalCode(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A chain of 10,000 artifacts, of which a tag leads to the first alone, is read to its
// end, and a data set with 100,000 descendants is found with all of them.
func TestCrawlDeep(t *testing.T) {
	const depth = 10_000
	w := chaintest.New(t)
	for i := range depth {
		w.Sign("alice", opaque(i), predicate.TypeProvenance, madeOf(opaque(i+1)))
	}
	w.Tag(opaque(0), "v1")
	s := lineage.NewSurvey()
	start := time.Now()
	report := mustCrawl(t, s, crawlOptions(w), w.Holding("registry.example/deep", false))
	if report.Fetched != depth || len(report.Missed) > 0 || report.Artifacts != 2*depth+2 { // payloads, the last, the key
		t.Errorf("report: %+v", report)
	}
	got := 0
	for at := opaque(depth); ; got++ {
		var next []attest.Digest
		if err := s.Find(t.Context(), lineage.NamesInput, at.String(), func(d attest.Digest) bool { next = append(next, d); return true }); err != nil {
			t.Fatal(err)
		}
		if len(next) == 0 {
			break
		}
		at = next[0]
	}
	if got != depth {
		t.Errorf("the way back has %d steps", got)
	}
	t.Logf("%d deep: %v", depth, time.Since(start))
}

// A wide is a repository of many artifacts, each with one bundle that is none.
type wide struct {
	repo attest.Repository
	n    int
}

func (h *wide) Repository() attest.Repository { return h.repo }

func (h *wide) Held(_ context.Context, yield func(attest.Held) bool) (bool, error) {
	for i := range h.n {
		if !yield(attest.Held{Digest: opaque(i), StandIn: true}) {
			return false, nil
		}
	}
	return true, nil
}

func (h *wide) AttestationsExcept(_ context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	m := attest.SHA256([]byte(d.String()))
	if known(m) {
		yield(attest.Attached{Manifest: m})
		return nil
	}
	yield(attest.Attached{Manifest: m, Bundle: []byte("{}")})
	return nil
}

func (h *wide) Manifest(context.Context, attest.Digest) ([]byte, error) {
	return nil, attest.ErrAbsent
}

func registry(t testing.TB, name string) attest.Repository {
	t.Helper()
	r, err := attest.ParseRepository("registry.example/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCrawlWide(t *testing.T) {
	const width = 100_000
	w := chaintest.New(t)
	h := &wide{repo: registry(t, "wide"), n: width}
	s := lineage.NewSurvey()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	first := mustCrawl(t, s, crawlOptions(w), h)
	second := mustCrawl(t, s, crawlOptions(w), h)
	if first.Artifacts != width || first.Strangers != width || second.Strangers != width || second.Fetched+second.Kept+second.Gone != 0 {
		t.Errorf("reports: %+v, %+v", first, second)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20
	t.Logf("%d wide, twice: %v, %d MiB kept", width, time.Since(start), grown)
	if grown > 200 {
		t.Errorf("%d MiB are kept of nothing", grown)
	}
	runtime.KeepAlive(s)
}

// The report, and what the store answers, do not depend on how much is done at once.
func TestCrawlIsDeterministic(t *testing.T) {
	w := chaintest.New(t)
	for i := range 60 {
		w.Sign([]string{"alice", "mallory"}[i%2], opaque(i), predicate.TypeProvenance, madeOf(opaque(i*7%80), opaque(i*3%80)))
		if i%5 == 0 {
			w.Break(opaque(i), attest.Refuse(attest.CodeRegManifest, "broken"))
		}
	}
	w.BreakHeld(attest.Refuse(attest.CodeRegUnavailable, "half a list"))
	var want lineage.CrawlReport
	for jobs := 1; jobs < 40; jobs += 6 {
		o := crawlOptions(w)
		o.Jobs = jobs
		last := 0
		o.Progress = func(read, known int) {
			if read != last+1 || read > known {
				t.Errorf("progress: %d of %d after %d", read, known, last)
			}
			last = read
		}
		got := mustCrawl(t, lineage.NewSurvey(), o, w.Holding("registry.example/a", true), w.Holding("registry.example/b", false))
		if jobs == 1 {
			want = got
		}
		if !reflect.DeepEqual(got, want) || len(got.Missed) < 13 || last != got.Artifacts {
			t.Errorf("with %d jobs: %+v (progress to %d), want %+v", jobs, got, last, want)
		}
	}
}

// A dying holding answers some questions, and then none.
type dying struct {
	lineage.Holding
	left  atomic.Int64
	asked atomic.Int64
}

var errDown = attest.Refuse(attest.CodeRegUnavailable, "connection refused")

func (h *dying) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	h.asked.Add(1)
	if h.left.Add(-1) < 0 {
		return errDown
	}
	return h.Holding.AttestationsExcept(ctx, d, known, yield)
}

func (h *dying) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if h.left.Load() < 0 {
		return nil, errDown
	}
	return h.Holding.Manifest(ctx, d)
}

func (h *dying) Held(ctx context.Context, yield func(attest.Held) bool) (bool, error) {
	if h.left.Load() < 0 {
		return false, errDown
	}
	return h.Holding.Held(ctx, yield)
}

// A listing holding lists some artifacts, whatever lies there.
type listing struct {
	lineage.Holding
	n int
}

func (h listing) Held(_ context.Context, yield func(attest.Held) bool) (bool, error) {
	for i := range h.n {
		yield(attest.Held{Digest: opaque(i), StandIn: true})
	}
	return true, nil
}

// A registry that dies in the middle is left after a while. The others are read to
// the end, and the next crawl goes on where it was.
func TestCrawlLeavesTheDead(t *testing.T) {
	const artifacts = 400
	w := chaintest.New(t)
	var payloads []attest.Digest
	for i := range artifacts {
		payloads = append(payloads, w.Sign("alice", opaque(i), predicate.TypeProvenance, madeOf(opaque(i/2))))
	}
	s := lineage.NewSurvey()
	alive := w.Holding("registry.example/alive", true)
	dead := &dying{Holding: w.Holding("registry.example/dead", true)}
	dead.left.Store(100)
	report := mustCrawl(t, s, crawlOptions(w), alive, dead)
	if n := dead.asked.Load(); n < 132 || n > 150 {
		t.Errorf("the dead registry was asked %d times", n)
	}
	zero := slices.DeleteFunc(slices.Clone(report.Missed), func(g lineage.Gap) bool { return !g.Artifact.IsZero() })
	if len(zero) != 1 || zero[0].Code != attest.CodeRegUnavailable || report.Artifacts < artifacts+100+31 || report.Artifacts > artifacts+100+40 {
		t.Errorf("report: %d artifacts, missed %v", report.Artifacts, zero)
	}
	if err := s.Held(t.Context(), alive.Repository(), func(attest.Held) bool { return true }); err != nil {
		t.Errorf("the other repository: %v", err)
	}
	wantRefusal(t, s.Held(t.Context(), dead.Repository(), func(attest.Held) bool { return true }), attest.CodeIndex)
	wantRefusal(t, s.Find(t.Context(), lineage.NamesInput, "x", func(attest.Digest) bool { return true }), attest.CodeIndex)
	dead.left.Store(1 << 40)
	dead.asked.Store(0)
	report = mustCrawl(t, s, crawlOptions(w), alive, dead)
	if n := dead.asked.Load(); n != artifacts-100 || len(report.Missed) > 0 || report.Fetched != artifacts-100 {
		t.Errorf("afterwards it was asked %d times, and the report is %+v", n, report)
	}
	if err := s.Find(t.Context(), lineage.NamesInput, "x", func(attest.Digest) bool { return true }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	// One that answers now and then is not dead.
	for i := range artifacts {
		if i%3 != 0 {
			w.Break(opaque(i), errDown)
		}
	}
	for i := range artifacts {
		w.Remove(payloads[i])
	}
	if report = mustCrawl(t, lineage.NewSurvey(), crawlOptions(w), listing{alive, artifacts}); report.Artifacts != artifacts {
		t.Errorf("of one that answers now and then %d artifacts were looked at", report.Artifacts)
	}
	// Artifacts that cannot be looked at are no death, however many they are.
	for i := range artifacts {
		w.Break(opaque(i), attest.Refuse(attest.CodeRegManifest, "each for itself"))
	}
	if report = mustCrawl(t, s, crawlOptions(w), listing{alive, artifacts}); len(report.Missed) != artifacts || report.Artifacts != artifacts {
		t.Errorf("%d missed of %d artifacts", len(report.Missed), report.Artifacts)
	}
}

// A registry that is down when a crawl begins costs nothing that is known of it.
func TestCrawlKeepsWhatIsKnownOfTheDead(t *testing.T) {
	w := chaintest.New(t)
	w.Sign("alice", opaque(1), predicate.TypeProvenance, madeOf(opaque(2)))
	h := &dying{Holding: w.Holding("registry.example/down", true)}
	h.left.Store(1 << 40)
	s := lineage.NewSurvey()
	mustCrawl(t, s, crawlOptions(w), h)
	h.left.Store(-1)
	report := mustCrawl(t, s, crawlOptions(w), h)
	if !slices.Equal(report.Missed, []lineage.Gap{{Code: attest.CodeRegUnavailable}}) {
		t.Errorf("missed: %v", report.Missed)
	}
	var got []attest.Digest
	err := s.Find(t.Context(), lineage.NamesInput, opaque(2).String(), func(d attest.Digest) bool { got = append(got, d); return true })
	if err != nil || !slices.Equal(got, []attest.Digest{opaque(1)}) {
		t.Errorf("found %v (%v)", got, err)
	}
	// One that was never read is not known to be empty.
	never := lineage.NewSurvey()
	mustCrawl(t, never, crawlOptions(w), h)
	wantRefusal(t, never.Find(t.Context(), lineage.NamesInput, "x", func(attest.Digest) bool { return true }), attest.CodeIndex)
	// One that lists nothing, and answers when asked by name, is read as far as that goes.
	w.BreakHeld(attest.Refuse(attest.CodeRegUnavailable, "denied"))
	o := crawlOptions(w)
	o.Also = []attest.Digest{opaque(1)}
	mute := w.Holding("registry.example/mute", false)
	report = mustCrawl(t, never, o, mute)
	if report.Fetched != 1 || !slices.Equal(report.Missed, []lineage.Gap{{Code: attest.CodeRegUnavailable}}) {
		t.Errorf("of a mute registry: %+v", report)
	}
}

// Where a repository does not list everything, what a walk consults is asked about,
// and so is what the caller names.
func TestCrawlConsults(t *testing.T) {
	w := chaintest.New(t)
	payload := w.Sign("alice", opaque(1), predicate.TypeProvenance, madeOf(opaque(2)))
	w.Tag(opaque(1), "v1")
	anchor := predicate.DenylistAnchor("acme")
	asked := func(o lineage.CrawlOptions, holdings ...lineage.Holding) func(repo lineage.Holding, d attest.Digest) bool {
		s := lineage.NewSurvey()
		mustCrawl(t, s, o, holdings...)
		return func(h lineage.Holding, d attest.Digest) bool {
			_, err := s.Source(h.Repository()).Manifest(t.Context(), d)
			return attest.IsAbsent(err)
		}
	}
	o := crawlOptions(w)
	o.Also = []attest.Digest{anchor}
	part, all := w.Holding("registry.example/part", false), w.Holding("registry.example/all", true)
	consulted := []attest.Digest{payload, verify.KeyCredential(w.Key("alice")).Standin(), anchor}
	was := asked(o, part, all)
	for _, d := range consulted {
		if !was(part, d) || was(all, d) {
			t.Errorf("%s: asked where not everything is listed: %t, where it is: %t", d, was(part, d), was(all, d))
		}
	}
	if !was(part, opaque(2)) || !was(all, opaque(2)) {
		t.Error("an input was not asked about")
	}
	was = asked(o, all)
	for _, d := range consulted {
		if was(all, d) {
			t.Errorf("%s was asked about in vain", d)
		}
	}
	// What is consulted stays that: a later crawl asks no more than the first.
	s := lineage.NewSurvey()
	first := mustCrawl(t, s, o, part, all)
	if second := mustCrawl(t, s, o, part, all); second.Artifacts != first.Artifacts {
		t.Errorf("the first crawl looked at %d, the second at %d", first.Artifacts, second.Artifacts)
	}
	// A repository that comes later is asked about what was found before.
	s = lineage.NewSurvey()
	mustCrawl(t, s, o, all)
	mustCrawl(t, s, o, all, part)
	for _, d := range consulted {
		if _, err := s.Source(part.Repository()).Manifest(t.Context(), d); !attest.IsAbsent(err) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// What was asked about as something to consult, and turns out to be an input, is not
// asked about twice.
func TestCrawlAsksOnce(t *testing.T) {
	w := chaintest.New(t)
	w.Sign("alice", opaque(1), predicate.TypeProvenance, madeOf(opaque(2)))
	w.Sign("alice", opaque(2), predicate.TypeProvenance, madeOf(opaque(3)))
	w.Tag(opaque(1), "v1")
	w.Break(opaque(3), attest.Refuse(attest.CodeRegManifest, "broken"))
	h := &dying{Holding: w.Holding("registry.example/once", false)}
	h.left.Store(1 << 40)
	o := crawlOptions(w)
	o.Also = []attest.Digest{opaque(3)}
	all := w.Holding("registry.example/all", true)
	s := lineage.NewSurvey()
	report := mustCrawl(t, s, o, h, all)
	if n := int(h.asked.Load()); n != 6 || report.Artifacts != n+3 { // three, two payloads, the key
		t.Errorf("%d questions about %d artifacts", n, report.Artifacts)
	}
	// As an input it concerns those too that list everything.
	if _, err := s.Source(all.Repository()).Manifest(t.Context(), opaque(3)); !attest.IsAbsent(err) {
		t.Errorf("of the input the other repository says %v", err)
	}
}

// A manifest of other bytes is none: not its files either.
func TestCrawlCorruptManifest(t *testing.T) {
	w := chaintest.New(t)
	d := w.Manifest(map[string]string{"weights": "the right ones"})
	other, err := w.Source().Manifest(t.Context(), w.Manifest(map[string]string{"weights": "others"}))
	if err != nil {
		t.Fatal(err)
	}
	w.Corrupt(d, other)
	s := lineage.NewSurvey()
	report := mustCrawl(t, s, crawlOptions(w), w.Holding("registry.example/corrupt", true))
	if !slices.Equal(report.Missed, []lineage.Gap{{Artifact: d, Code: attest.CodeRegDigest}}) {
		t.Errorf("missed: %v", report.Missed)
	}
	var got []attest.Digest
	err = s.Find(t.Context(), lineage.HasFile, chaintest.File("others").String(), func(d attest.Digest) bool { got = append(got, d); return true })
	if slices.Contains(got, d) || len(got) != 1 {
		t.Errorf("the others are found in %v", got)
	}
	wantRefusal(t, err, attest.CodeRegDigest)
}

// The stand-in that somebody tagged by hand leads to what it stands for.
func TestCrawlStandIn(t *testing.T) {
	w := chaintest.New(t)
	w.Sign("alice", opaque(1), predicate.TypeProvenance, madeOf())
	w.Tag(w.PutManifest(attest.StandIn(opaque(1))), "by-hand")
	s := lineage.NewSurvey()
	if report := mustCrawl(t, s, crawlOptions(w), w.Holding("registry.example/standin", false)); report.Fetched != 1 {
		t.Errorf("report: %+v", report)
	}
}

// A liar yields what it is told to.
type liar struct {
	wide
	items []attest.Attached
	end   bool // false: it never ends
}

func (h *liar) AttestationsExcept(_ context.Context, d attest.Digest, _ func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	for i := 0; i < len(h.items) || !h.end; i++ {
		if !yield(h.items[i%len(h.items)]) {
			return nil
		}
	}
	return nil
}

func TestCrawlLiars(t *testing.T) {
	w := chaintest.New(t)
	w.Sign("alice", opaque(0), predicate.TypeProvenance, madeOf())
	w.Sign("alice", opaque(0), predicate.TypeProvenance, madeOf(opaque(1)))
	a, b := w.Bundles(opaque(0))[0], w.Bundles(opaque(0))[1]
	m := attest.SHA256([]byte("manifest"))
	for name, tt := range map[string]struct {
		liar    liar
		missed  attest.Code
		fetched int
	}{
		"the honest twin":              {liar{items: []attest.Attached{{Manifest: m, Bundle: a}}, end: true}, "", 1},
		"the same twice":               {liar{items: []attest.Attached{{Manifest: m, Bundle: a}, {Manifest: m, Bundle: a}}, end: true}, "", 1},
		"without a manifest":           {liar{items: []attest.Attached{{Bundle: a}, {Bundle: b}}, end: true}, "", 2},
		"two bundles in one manifest":  {liar{items: []attest.Attached{{Manifest: m, Bundle: a}, {Manifest: m, Bundle: b}}, end: true}, attest.CodeRegDigest, 1},
		"known, though it is not":      {liar{items: []attest.Attached{{Manifest: m}}, end: true}, "", 0},
		"attached to itself":           {liar{items: []attest.Attached{{Manifest: opaque(0), Bundle: a}}, end: true}, attest.CodeRegDigest, 0},
		"a listing that never ends":    {liar{items: []attest.Attached{{Manifest: m, Bundle: a}}}, attest.CodeLimit, 1},
		"a bundle larger than is read": {liar{items: []attest.Attached{{Manifest: m, Bundle: make([]byte, attest.MaxBundle+1)}}, end: true}, attest.CodeLimit, 0},
	} {
		h := &tt.liar
		h.repo, h.n = registry(t, "liar"), 1
		var want []lineage.Gap
		if tt.missed != "" {
			want = []lineage.Gap{{Artifact: opaque(0), Code: tt.missed}}
		}
		report := mustCrawl(t, lineage.NewSurvey(), crawlOptions(w), h)
		// (What was fetched leads to an input, about which the liar says the same.)
		report.Missed = slices.DeleteFunc(report.Missed, func(g lineage.Gap) bool { return g.Artifact != opaque(0) })
		if !slices.Equal(report.Missed, want) || report.Fetched%max(1, tt.fetched) != 0 || (report.Fetched == 0) != (tt.fetched == 0) {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// A panic of a holding ends the call and not the process.
func TestCrawlPanics(t *testing.T) {
	w := chaintest.New(t)
	defer func() {
		if err, ok := recover().(error); !ok || attest.RefusalCode(err) != attest.CodeInternal {
			t.Errorf("recovered %v", err)
		}
	}()
	_, _ = lineage.Crawl(t.Context(), lineage.NewSurvey(), []lineage.Holding{&liar{wide: wide{repo: registry(t, "p"), n: 3}}}, crawlOptions(w)) // no items: it divides by zero
	t.Error("the panic was lost")
}

func TestCrawlRefuses(t *testing.T) {
	w := chaintest.New(t)
	h := w.Holding("registry.example/a", true)
	for name, holdings := range map[string][]lineage.Holding{"none": nil, "nil": {nil}, "unnamed": {&wide{}}, "twice": {h, h}} {
		_, err := lineage.Crawl(t.Context(), lineage.NewSurvey(), holdings, crawlOptions(w))
		if attest.RefusalCode(err) != attest.CodeUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := lineage.Crawl(t.Context(), lineage.NewSurvey(), []lineage.Holding{h}, lineage.CrawlOptions{Signers: verify.Signers{Keys: make([]attest.PublicKey, 1)}})
	wantRefusal(t, err, attest.CodeKey)
	// With nobody trusted all are strangers.
	w.Sign("alice", opaque(1), predicate.TypeProvenance, madeOf())
	report := mustCrawl(t, lineage.NewSurvey(), lineage.CrawlOptions{}, h)
	if report.Strangers != 1 || report.Fetched != 0 {
		t.Errorf("with nobody trusted: %+v", report)
	}
}

// A Survey that would need too much memory says what to do instead.
func TestSurveyLimits(t *testing.T) {
	credential := verify.KeyCredential(chaintest.New(t).Key("alice"))
	entry := func(i int, bundle []byte) lineage.Entry {
		return lineage.Entry{Attached: attest.Attached{Manifest: opaque(i), Bundle: bundle}, ID: verify.ID{Payload: opaque(i), Credential: credential}}
	}
	for name, fill := range map[string]func(put func(...lineage.Entry) error) error{
		"attestations": func(put func(...lineage.Entry) error) error {
			many := make([]lineage.Entry, 65536/4)
			for i := range many {
				many[i] = entry(i, nil)
			}
			for range 4 {
				if err := put(many...); err != nil {
					t.Errorf("refused too early: %v", err)
				}
			}
			return put(entry(0, nil))
		},
		"bytes": func(put func(...lineage.Entry) error) error {
			mib := make([]byte, 1<<20)
			for range 4 {
				var many []lineage.Entry
				for i := range 256 {
					many = append(many, entry(i, mib))
				}
				if err := put(many...); err != nil {
					t.Errorf("refused too early: %v", err)
				}
			}
			return put(entry(0, []byte{1}))
		},
	} {
		s := lineage.NewSurvey()
		r, err := s.Begin(t.Context(), registry(t, "full"), []string{credential.String()}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = fill(func(entries ...lineage.Entry) error {
			n++
			return r.Put(t.Context(), lineage.Visit{Artifact: opaque(n), Entries: entries})
		})
		wantRefusal(t, err, attest.CodeLimit)
		// What it has is replaced, and does not add up.
		if err := r.Put(t.Context(), lineage.Visit{Artifact: opaque(1), Entries: []lineage.Entry{entry(0, []byte{1})}}); err != nil {
			t.Errorf("%s: replacing: %v", name, err)
		}
		if err := r.Put(t.Context(), lineage.Visit{Artifact: opaque(n), Entries: []lineage.Entry{entry(0, []byte{1})}}); err != nil {
			t.Errorf("%s: after making room: %v", name, err)
		}
	}
}

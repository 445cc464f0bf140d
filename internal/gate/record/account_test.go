package record

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A told is what a record says.
type told struct {
	service string
	config  map[string]any
	decided bool
}

// beside returns what is attached to an artifact: its records, and how many summaries.
func (w *world) beside(ref attest.Reference) (records []told, summaries int) {
	w.t.Helper()
	repo, err := w.open(ref.Repository)
	if err != nil {
		w.t.Fatal(err)
	}
	err = repo.Attestations(w.t.Context(), ref.Digest, func(a attest.Attached) bool {
		b, err := attest.ParseBundle(a.Bundle)
		if err != nil {
			w.t.Fatal(err)
		}
		st, err := attest.ParseStatement(b.Payload)
		if err != nil {
			w.t.Fatal(err)
		}
		switch st.PredicateType {
		case predicate.TypeVSA:
			summaries++
		case predicate.TypeDeployment:
			p, err := predicate.Decode(st)
			if err != nil {
				w.t.Fatal(err)
			}
			target, _ := p.Tree["target"].(map[string]any)
			service, _ := target["service"].(string)
			config, _ := p.Tree["config"].(map[string]any)
			records = append(records, told{service, config, p.Tree["decision"] != nil})
		}
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return records, summaries
}

// complete walks an artifact as a verifier does that takes so many attestations.
func (w *world) complete(ref attest.Reference, limit int) bool {
	w.t.Helper()
	repo, err := w.open(ref.Repository)
	if err != nil {
		w.t.Fatal(err)
	}
	scope := verify.Scope{Signers: verify.Signers{Keys: []attest.PublicKey{w.signer.Public()}}, Limits: verify.Limits{PerArtifact: limit}}
	c, err := verify.Walk(w.t.Context(), ref.Digest, []verify.Source{repo.View()}, scope)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(c.Gaps()) == 0
}

// One tenant with a loop of pods, each of another name, fills no model's verification:
// 32 of them are told one by one, one record stands for all others, and it stays so for
// half a year and across restarts.
func TestLoopOfPods(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	o := w.options(t.TempDir())
	q := w.reopen(o)
	w.admit(q, ref, "honest/deployment/scoring/model")
	const pods = 6000
	for i := range pods {
		w.admit(q, ref, fmt.Sprint("loop/pod/p-", i, "/model"))
		switch {
		case i == 20 || i == 2000: // the second time most are folded
			w.work(q)
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = w.reopen(o)
		case i%500 == 0:
			w.work(q)
		}
		w.clock.add(180 * 24 * time.Hour / pods)
	}
	w.admit(q, ref, "later/deployment/scoring/model")
	w.work(q)
	records, summaries := w.beside(ref)
	if want := 1 + 32 + 1 + 1; len(records) != want {
		t.Errorf("%d records, want %d", len(records), want)
	}
	if summaries < 2 || summaries > len(records) {
		t.Errorf("%d summaries", summaries)
	}
	if !w.complete(ref, len(records)+summaries) || w.complete(ref, len(records)+summaries-1) {
		t.Error("the walk, or this test's idea of it, is wrong")
	}
	folded := "loop/…/" + ref.Digest.String()
	if err := predicate.CheckPlace(folded); err != nil {
		t.Errorf("a policy could not name the place: %v", err)
	}
	h := w.history("m")
	w.shows(h, "honest/deployment/scoring/model", ref)
	w.shows(h, "later/deployment/scoring/model", ref)
	w.shows(h, "loop/pod/p-31/model", ref)
	w.shows(h, folded, ref)
	for _, d := range records {
		if want := d.service == folded; want != (d.config["folded"] == "namespace") || want != (d.config["first"] == "loop/pod/p-32/model") {
			t.Errorf("%s has %v", d.service, d.config)
		}
	}
}

// So do many namespaces: beyond the limit of places one record stands for all of the
// cluster.
func TestLoopOfNamespaces(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue(func(o *Options) { o.PerNamespace, o.PerArtifact = 3, 10 })
	for ns := range 6 {
		for pod := range 5 {
			w.admit(q, ref, fmt.Sprintf("ns-%d/pod/p-%d/model", ns, pod))
		}
	}
	w.work(q)
	h := w.history("m")
	records, _ := w.beside(ref)
	if len(records) != 11 {
		t.Errorf("%d records, want ten and one for the rest", len(records))
	}
	w.shows(h, "ns-0/…/"+ref.Digest.String(), ref)
	w.shows(h, "ns-2/pod/p-1/model", ref)
	w.shows(h, "…/"+ref.Digest.String(), ref)
	for _, d := range records {
		if d.service == "…/"+ref.Digest.String() && d.config["folded"] != "cluster" {
			t.Errorf("%v", d.config)
		}
	}
}

// Who lets two models take turns at many places has a budget beside each of them. What
// runs in the end is recorded, and how much was left out.
func TestTakingTurns(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	const places, hours, burst = 6, 9, 16
	const turns = 3*hours + 1
	q := w.queue(func(o *Options) { o.burst, o.namespaceBurst = 4*burst, burst })
	last := attest.Reference{}
	for i := range turns {
		last = m[i%2]
		for p := range places {
			w.admit(q, last, fmt.Sprintf("loop/deployment/d-%d/model", p))
		}
		w.clock.add(20 * time.Minute) // longer than a rollout comes back in
		q.pass(t.Context())
	}
	if s := q.Stats(); s.Waiting == 0 || s.Waiting > places {
		t.Errorf("%d wait", s.Waiting)
	}
	list, err := List(q.o.Dir, w.clock.Now())
	if err != nil || list[0].Trouble == nil || list[0].Trouble.Code != attest.CodeLimit {
		t.Errorf("why they wait: %v %+v", err, list)
	}
	// Another namespace is not kept waiting by that.
	w.admit(q, m[0], "honest/deployment/scoring/model")
	q.pass(t.Context())
	w.shows(w.history("m"), "honest/deployment/scoring/model", m[0])
	for range places * 2 {
		w.clock.add(time.Hour)
		q.pass(t.Context())
	}
	if s := q.Stats(); s.Waiting != 0 {
		t.Fatalf("%d wait still", s.Waiting)
	}
	h, coalesced := w.history("m"), 0
	for _, p := range h.Places {
		for _, f := range p.Findings {
			t.Errorf("%s: %s: %s", p.Place, f.Kind, f.Why)
		}
		if r := p.Running(); r == nil || strings.HasPrefix(p.Place.Service, "loop/") && r.Artifact != last.Digest {
			t.Errorf("%s: what runs is not what was let in last", p.Place)
		}
	}
	for _, ref := range m {
		records, summaries := w.beside(ref)
		if most := burst + hours + 2*places + 1; len(records)+summaries > most || len(records) < burst {
			t.Errorf("%d records and %d summaries, want at most %d", len(records), summaries, most)
		}
		for _, d := range records {
			if n, ok := d.config["coalesced"].(int64); ok {
				coalesced += int(n)
			}
		}
		t.Logf("%d records and %d summaries of %d admissions", len(records), summaries, places*turns/2)
	}
	// Where things are as the last record says, the next one will tell what was between.
	for _, p := range q.state.places {
		coalesced += p.Untold
	}
	a, _ := w.beside(m[0])
	b, _ := w.beside(m[1])
	if told, all := len(a)+len(b)-1, places*turns; told >= all/2 || told+coalesced > all || told+coalesced < all-2*places {
		t.Errorf("%d told and %d left out, of %d", told, coalesced, all)
	}
}

// Beside an artifact that has very many records, whoever made them, no more are made one
// by one: not after years, and not by a queue that has forgotten everything.
func TestRecordsBesideAreBounded(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	const most = 12
	for turn := range 8 {
		q := w.queue(func(o *Options) { o.beside = most }) // of a disk that did not outlive the last one
		for i := range 4 {
			for p := range 2 {
				w.admit(q, m[(turn+i)%2], fmt.Sprintf("loop/deployment/d-%d/model", p))
			}
			w.work(q)
			w.clock.add(time.Hour)
		}
	}
	h := w.history("m")
	for i, ref := range m {
		// Of the one that the places were left with no more was to be told.
		records, _ := w.beside(ref)
		if want := most + 1 - i; len(records) != want {
			t.Errorf("model %d has %d records, want %d", i, len(records), want)
		}
	}
	w.shows(h, "loop/…/"+m[0].Digest.String(), m[0])
	for _, p := range h.Places {
		if r := p.Running(); r == nil || strings.Contains(p.Place.Service, "/d-") && r.Artifact != m[1].Digest {
			t.Errorf("%s: %+v", p.Place, r)
		}
	}
}

// An ordinary fleet is told one by one: nothing is folded, left out or late.
func TestFleet(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 4)
	q := w.queue()
	const services = 30
	days := []int{0, 1, 2, 1, 3} // a new model each day, and once back to the one before
	for _, day := range days {
		for s := range services {
			w.admit(q, m[day], fmt.Sprintf("team-%d/deployment/s-%d/model", s%3, s))
			w.clock.add(time.Second)
		}
		w.work(q)
		w.clock.add(24 * time.Hour)
	}
	h := w.history("m")
	for s := range services {
		got := w.shows(h, fmt.Sprintf("team-%d/deployment/s-%d/model", s%3, s), m[0], m[1], m[2], m[1], m[3])
		for _, r := range got {
			if r.Decision == nil || !r.Decision.Found {
				t.Errorf("service %d: decision %+v", s, r.Decision)
			}
		}
	}
	if len(h.Places) != services {
		t.Errorf("%d places", len(h.Places))
	}
	for i, ref := range m {
		records, summaries := w.beside(ref)
		want := services
		if i == 1 {
			want *= 2
		}
		if len(records) != want || summaries != want/services {
			t.Errorf("model %d has %d records and %d summaries, want one summary a day", i, len(records), summaries)
		}
		for _, d := range records {
			if d.config["folded"] != nil || d.config["coalesced"] != nil {
				t.Errorf("%s: %v", d.service, d.config)
			}
		}
	}
}

// A namespace has a share of the queue, and others do not feel that it is used up.
func TestShareOfQueue(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 5)
	q := w.queue(func(o *Options) { o.Limit = 80 })
	w.fail(down)
	refused := 0
	for i := range 30 {
		switch err := q.Admitted(w.admission(m[0], fmt.Sprint("loop/deployment/d-", i, "/model"))); {
		case code(err) == attest.CodeLimit && strings.Contains(err.Error(), `10 deployment records of namespace "loop" wait`):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if refused != 20 {
		t.Errorf("%d refused", refused)
	}
	if err := q.Admitted(w.admission(m[0], "loop/deployment/d-3/model")); err != nil {
		t.Errorf("nothing changed there: %v", err)
	}
	for _, ref := range m[1:] {
		w.admit(q, ref, "honest/deployment/scoring/model")
		w.clock.add(time.Hour)
	}
	// Where several wait the last gives way to the next.
	busy := w.queue(func(o *Options) { o.Limit = 16 })
	for _, ref := range m {
		w.admit(busy, ref, "loop/deployment/d/model")
		w.clock.add(time.Hour)
	}
	if s := busy.Stats(); s.Waiting != 2 {
		t.Errorf("%+v", s)
	}
	w.fail(nil)
	w.work(q, busy)
	h := w.history("m")
	w.shows(h, "honest/deployment/scoring/model", m[1:]...)
	w.shows(h, "loop/deployment/d-9/model", m[0])
	w.shows(h, "loop/deployment/d/model", m[0], m[4])
	records, _ := w.beside(m[4])
	if !slices.ContainsFunc(records, func(d told) bool { return d.config["coalesced"] == int64(3) }) {
		t.Errorf("%+v", records)
	}
}

// A summary stands for a day of verdicts that say the same.
func TestSummariesAreReused(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue()
	n := 0
	let := func(change func(*policy.Verdict)) {
		t.Helper()
		a := w.admission(ref, fmt.Sprint("ns/deployment/d-", n, "/model"))
		n++
		v := *a.Answer.Verdicts[0]
		v.Evidence = []policy.Item{{Payload: attest.SHA256([]byte("scan")), PredicateType: predicate.TypeEvaluation}}
		if change != nil {
			change(&v)
		}
		a.Answer.Verdicts[0], a.Answer.Policy = &v, v.Policy.Digest
		if err := q.Admitted(a); err != nil {
			t.Fatal(err)
		}
		w.work(q)
		w.clock.add(time.Minute)
	}
	add := func(typ string) func(*policy.Verdict) {
		return func(v *policy.Verdict) {
			v.Evidence = append(v.Evidence, policy.Item{Payload: attest.SHA256([]byte(typ)), PredicateType: typ})
		}
	}
	for _, c := range []struct {
		name   string
		change func(*policy.Verdict)
		want   int
	}{
		{"the first", nil, 1},
		{"the same", nil, 1},
		{"a record more", add(predicate.TypeDeployment), 1},
		{"a summary more", add(predicate.TypeVSA), 1},
		{"an approval more", add(predicate.TypeApproval), 2},
		{"as before", nil, 2},
		{"another policy", func(v *policy.Verdict) { v.Policy.Digest = attest.SHA256([]byte("p2")) }, 3},
		{"another context", func(v *policy.Verdict) { v.Context = "test" }, 4},
	} {
		let(c.change)
		if _, got := w.beside(ref); got != c.want {
			t.Fatalf("%s: %d summaries, want %d", c.name, got, c.want)
		}
	}
	w.clock.add(reuse)
	let(nil)
	records, summaries := w.beside(ref)
	if summaries != 5 {
		t.Errorf("a day later: %d summaries, want another one", summaries)
	}
	for _, d := range records {
		if !d.decided {
			t.Errorf("%s has no decision", d.service)
		}
	}
}

// A record that was attached, though nobody was told so, is not made again.
func TestAnswerLost(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 2)
	q := w.queue()
	w.admit(q, m[0], "s")
	w.work(q)
	w.clock.add(time.Hour)
	w.admit(q, m[1], "s")
	w.fail(func(rw http.ResponseWriter, req *http.Request) bool {
		return req.Method != http.MethodGet && req.Method != http.MethodHead && down(rw, req)
	})
	q.pass(t.Context())
	list := q.firsts()
	if len(list) != 1 || list[0].Record == nil || list[0].Record.Bundle == nil || list[0].Record.Attached {
		t.Fatalf("%+v", list)
	}
	w.fail(nil)
	repo, err := w.open(m[1].Repository)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Attach(t.Context(), m[1].Digest, list[0].Record.Bundle); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Hour)
	w.work(q)
	h := w.history("m")
	got := w.shows(h, "s", m[0], m[1])
	if n := withdrawn(h); n != 0 || got[1].Payload != list[0].Record.digest() {
		t.Errorf("%d were taken back", n)
	}
}

// A bucket gives what it has, says when it has more, and takes back.
func TestAccount(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	a, o := &account{}, &Options{burst: defaultBurst, namespaceBurst: defaultNamespaceBurst}
	drain := func(ns string) (n int) {
		for ok := true; ok; n++ {
			ok, _ = a.take(ns, 1, now, o)
		}
		return n - 1
	}
	for i, want := range []int{64, 64, 64, 64, 0} {
		if got := drain(fmt.Sprint("ns", i)); got != want {
			t.Errorf("namespace %d took %d, want %d", i, got, want)
		}
	}
	if ok, next := a.take("ns4", 2, now, o); ok || !next.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%v, next at %s", ok, next)
	}
	a.giveBack("ns0")
	if got := drain("ns0"); got != 1 {
		t.Errorf("took %d of what was given back", got)
	}
	now = now.Add(10 * time.Hour)
	if got := drain("ns0"); got != 10 {
		t.Errorf("took %d after ten hours", got)
	}
	if len(a.Shares) != 4 {
		t.Errorf("%d shares", len(a.Shares))
	}
	now = now.Add(10_000 * time.Hour)
	if got := drain("ns0"); got != 64 || len(a.Shares) != 1 {
		t.Errorf("took %d after a year, %d shares", got, len(a.Shares))
	}
}

// quick is a disk that is not waited for.
type quick struct{ disk }

func (quick) Sync() error { return nil }

// A queue at its limit, with as many places and artifacts as it remembers, leaves the
// gate its memory.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("two seconds")
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	o := plain(t, t.TempDir())
	o.Limit, o.Gate, o.Version = MaxLimit, "eu-1", "v0.1.0"
	q, err := open(o, func(path string) (disk, error) {
		f, err := createFile(path)
		return quick{f}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(artifact, i int) {
		a := taken(artifact, fmt.Sprintf("namespace-%d/deployment/scoring-service-%d/spec.containers[scoring].image", i%1000, i))
		a.Cluster, a.Observer, a.Rule = "production-eu-1", "pedigree-gate:eu-1", "models"
		for n := range 10 {
			a.Answer.Verdicts[0].Evidence = append(a.Answer.Verdicts[0].Evidence, policy.Item{Payload: attest.SHA256(fmt.Append(nil, artifact, n)), PredicateType: predicate.TypeEvaluation})
		}
		if err := q.Admitted(a); err != nil {
			t.Fatal(err)
		}
	}
	for i := range MaxLimit {
		fill(i/20, i)
	}
	full := heap()
	t.Logf("%d entries, %d places, %d accounts: %.1f MB, %d bytes each", len(q.state.entries), len(q.state.places), len(q.state.accounts), float64(full-before)/1e6, (full-before)/MaxLimit)
	if full-before > 32<<20 {
		t.Errorf("%d bytes", full-before)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = nil
	again, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	read := heap()
	t.Logf("read again: %.1f MB", float64(read-before)/1e6)
	if read-before > 32<<20 {
		t.Errorf("%d bytes when read again", read-before)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

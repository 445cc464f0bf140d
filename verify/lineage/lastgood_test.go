package lineage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func TestVersionsAreInTheOrderOfTheirMaking(t *testing.T) {
	r := newReleases(t)
	// By tag the oldest would be the newest, and 10 would come before 9.
	third := r.good("a", day(3), "v1")
	first := r.good("b", day(1), "v9", "v10")
	second := r.good("c", day(2), "latest")
	wantList(t, "order", r.dated(), third, second, first)
	want(t, "tags", fmt.Sprint(r.versions().Dated[2].Tags), "[v10 v9]")

	// Made again, and recorded again: it is as old as it was.
	r.trained("helper", first, day(9))
	wantList(t, "order", r.dated(), third, second, first)
	want(t, "records", len(r.versions().Dated[2].By), 2)
	want(t, "who made it first", r.versions().Dated[2].By[0].Signer, "trainer")

	// What strangers, and those who may not train, say of its making changes nothing.
	r.trained("stranger", third, day(1).Add(-time.Hour))
	r.trained("alice", third, day(1).Add(-time.Hour))
	wantList(t, "order", r.dated(), third, second, first)

	// One moment: by digest, whatever the order in which they are listed.
	x, y := r.good("x", day(8)), r.good("y", day(8))
	if x.Compare(y) > 0 {
		x, y = y, x
	}
	wantList(t, "ties", r.dated(), x, y, third, second, first)
	slices.Reverse(r.held)
	wantList(t, "ties, listed the other way", r.dated(), x, y, third, second, first)
}

func TestWhatIsNoVersion(t *testing.T) {
	r := newReleases(t)
	model := r.good("model", day(1))
	data := r.hold("rows", "data")
	r.made("trainer", "prepare", data, day(2))
	image := r.PutManifest([]byte(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:` + model.Hex() + `","size":1},"layers":[]}`))
	r.held = append(r.held, attest.Held{Digest: image, Tags: []string{"app"}}, attest.Held{Digest: attest.SHA256([]byte("key")), StandIn: true})
	nobody := r.hold("somebody's upload", "latest")
	stranger := r.hold("a stranger's", "v99")
	r.trained("stranger", stranger, day(29))
	timeless := r.hold("no time", "v98")
	r.trained("trainer", timeless, time.Time{})

	vs := r.versions()
	wantList(t, "dated", r.dated(), model)
	var undated []attest.Digest
	for _, v := range vs.Undated {
		undated = append(undated, v.Digest)
	}
	all := []attest.Digest{nobody, stranger, timeless}
	slices.SortFunc(all, attest.Digest.Compare)
	wantList(t, "undated", undated, all...)
	want(t, "left out", vs.LeftOut, lineage.LeftOut{StandIns: 1, Other: 1, Unknown: 1})
	want(t, "gaps", len(vs.Gaps), 0)
	l := r.lastGood(nil)
	want(t, "found", l.Found.Digest, model)
	wantList(t, "judged", r.judged, model)
}

// Rubbish beside one artifact uses up what may be read at once, and hides no other.
func TestRubbishHidesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("makes much rubbish")
	}
	r := newReleases(t)
	var rubbish []attest.Digest
	for n := range 3 {
		d := r.good(fmt.Sprint("crowded ", n), day(1))
		rubbish = append(rubbish, d)
		for i := range 60_000 {
			r.AttachItem(d, attest.Digest{}, attest.Attached{Manifest: d, Bundle: fmt.Appendf(nil, "%d %d", n, i)})
		}
	}
	for n := range 20 {
		r.good(fmt.Sprint(n), day(2))
	}
	vs := r.versions()
	want(t, "versions", len(vs.Dated), 23)
	for _, g := range vs.Gaps {
		if !slices.Contains(rubbish, g.Artifact) {
			t.Errorf("rubbish hides %s: %s", g.Artifact, g.Code)
		}
	}
}

func TestLastGood(t *testing.T) {
	build := func(t *testing.T) (r *releases, v1, v2, v3 attest.Digest) {
		r = newReleases(t)
		return r, r.good("1", day(1), "v1"), r.good("2", day(2), "v2"), r.good("3", day(3), "v3")
	}
	t.Run("the newest", func(t *testing.T) {
		r, _, _, v3 := build(t)
		l := r.lastGood(nil)
		want(t, "found", l.Found.Digest, v3)
		want(t, "older", l.Older, 2)
		want(t, "newer", len(l.Newer), 0)
		wantList(t, "judged", r.judged, v3)
		want(t, "made by", l.Found.MadeBy[0].Signer, "trainer")
		want(t, "approved by", l.Found.ApprovedBy[0].Signer, "alice")
		want(t, "open", l.Open(), false)
	})
	t.Run("the newest is revoked", func(t *testing.T) {
		r, _, v2, v3 := build(t)
		r.revoked("security", v3, predicate.TargetArtifact, day(4))
		l := r.lastGood(nil)
		want(t, "found", l.Found.Digest, v2)
		want(t, "newer", l.Newer[0].Digest, v3)
		want(t, "outcome", l.Newer[0].Outcome, lineage.OutcomeDeny)
		want(t, "code", l.Newer[0].Why[0].Code, attest.CodeRevoked)
		want(t, "open", l.Open(), false)
		// By somebody who may not, it is none.
		r, _, _, v3 = build(t)
		r.revoked("alice", v3, predicate.TargetArtifact, day(4))
		want(t, "found", r.lastGood(nil).Found.Digest, v3)
	})
	t.Run("its data is revoked", func(t *testing.T) {
		r, _, _, v3 := build(t)
		data := r.Manifest(map[string]string{"data.csv": "1"})
		v4 := r.hold("4")
		r.trained("trainer", v4, day(4), data)
		r.approved("alice", v4, day(4))
		want(t, "found", r.lastGood(nil).Found.Digest, v4)
		r.revoked("security", data, predicate.TargetArtifact, day(5))
		want(t, "found", r.lastGood(nil).Found.Digest, v3)
	})
	t.Run("before", func(t *testing.T) {
		r, v1, _, _ := build(t)
		l := r.lastGood(func(q *lineage.LastGoodQuestion) { q.Before = day(2) })
		want(t, "found", l.Found.Digest, v1) // v2 was made at that very time
		want(t, "too new", l.TooNew, 2)
		wantList(t, "judged", r.judged, v1)
		l = r.lastGood(func(q *lineage.LastGoodQuestion) { q.Before = day(1) })
		want(t, "found", l.Found, nil)
	})
	t.Run("none", func(t *testing.T) {
		r, v1, v2, v3 := build(t)
		for _, d := range []attest.Digest{v1, v2, v3} {
			r.revoked("security", d, predicate.TargetArtifact, day(4))
		}
		l := r.lastGood(nil)
		want(t, "found", l.Found, nil)
		want(t, "newer", len(l.Newer), 3)
		want(t, "open", l.Open(), false)
	})
	t.Run("undecided", func(t *testing.T) {
		r, _, v2, v3 := build(t)
		r.Break(v3, errors.New("down"))
		l := r.lastGood(nil)
		want(t, "found", l.Found.Digest, v2)
		want(t, "outcome", l.Newer[0].Outcome, lineage.OutcomeUndecided)
		want(t, "undecided", l.Undecided, 1)
		want(t, "open", l.Open(), true)
		if !slices.Contains(l.Gaps, lineage.Gap{Artifact: v3, Code: attest.CodeRegUnavailable}) {
			t.Errorf("gaps: %v", l.Gaps)
		}
	})
	t.Run("a list that ends early", func(t *testing.T) {
		r, _, _, _ := build(t)
		r.listed = attest.Refuse(attest.CodeIndex, "not read to the end")
		l := r.lastGood(nil)
		want(t, "open", l.Open(), true)
		want(t, "gap", l.Gaps[0], lineage.Gap{Code: attest.CodeIndex})
	})
	t.Run("a limit", func(t *testing.T) {
		r, v1, v2, v3 := build(t)
		for _, d := range []attest.Digest{v2, v3} {
			r.revoked("security", d, predicate.TargetArtifact, day(4))
		}
		l := r.lastGood(func(q *lineage.LastGoodQuestion) { q.Limit = 2 })
		want(t, "found", l.Found, nil)
		want(t, "unjudged", l.Unjudged, 1)
		want(t, "open", l.Open(), true)
		want(t, "found", r.lastGood(func(q *lineage.LastGoodQuestion) { q.Limit = 3 }).Found.Digest, v1)
	})
	t.Run("an empty repository", func(t *testing.T) {
		l := newReleases(t).lastGood(nil)
		want(t, "found", l.Found, nil)
		want(t, "open", l.Open(), false)
	})
	t.Run("a judge that fails", func(t *testing.T) {
		r, _, _, _ := build(t)
		stop := errors.New("stop")
		_, err := lineage.FindLastGood(lineage.LastGoodQuestion{Versions: r.versions(), Limit: 9, Judge: func(lineage.Version) (lineage.Judgment, error) {
			return lineage.Judgment{Outcome: lineage.OutcomeAllow}, stop
		}})
		want(t, "error", err, stop)
	})
}

func TestRollback(t *testing.T) {
	r := newReleases(t)
	v1, v2, v3, v4 := r.good("1", day(1)), r.good("2", day(2)), r.good("3", day(3)), r.good("4", day(4))
	a := r.deployed(v1, deploy{at: day(10)})
	b := r.deployed(v3, deploy{at: day(11), previous: a})
	// v2 is good, and newer than v1; but it never ran. v4 is newer than what runs.
	with := func(q *lineage.LastGoodQuestion) { q.Places = r.history(nil).Places }
	l := r.lastGood(with)
	want(t, "found", l.Found.Digest, v4)
	got := l.Rollback[0]
	want(t, "running", got.Running, v3)
	want(t, "target", got.Target.Digest, v1)
	want(t, "until", *got.Until, day(11))
	wantList(t, "judged", r.judged, v4, v1)

	// What ran there and is not good any more is passed over.
	c := r.deployed(v2, deploy{at: day(12), previous: b})
	r.deployed(v3, deploy{at: day(13), previous: c, reason: predicate.DeployRollback})
	r.revoked("security", v2, predicate.TargetArtifact, day(14))
	got = r.lastGood(with).Rollback[0]
	want(t, "running", got.Running, v3)
	want(t, "target", got.Target.Digest, v1)
	want(t, "passed", got.Passed, 1)
	want(t, "open", got.Open, false)

	// Undecided, it is said that there may be a newer one.
	r.Break(v2, errors.New("down"))
	r.Remove(r.payloadOf(v2, predicate.TypeRevocation))
	got = r.lastGood(with).Rollback[0]
	want(t, "target", got.Target.Digest, v1)
	want(t, "open", got.Open, true)
	r.Break(v2, nil)
	got = r.lastGood(with).Rollback[0]
	want(t, "target", got.Target.Digest, v2)
	want(t, "until", *got.Until, day(13))

	// Nothing older ran there.
	r.revoked("security", v1, predicate.TargetArtifact, day(14))
	r.revoked("security", v2, predicate.TargetArtifact, day(14))
	if got = r.lastGood(with).Rollback[0]; got.Target != nil || got.Passed != 2 {
		t.Errorf("target %v, passed %d", got.Target, got.Passed)
	}
}

// payloadOf returns the statement of a type about an artifact: the last.
func (r *releases) payloadOf(d attest.Digest, typ string) (out attest.Digest) {
	for _, raw := range r.Bundles(d) {
		b, err := attest.ParseBundle(raw)
		if err != nil {
			r.t.Fatal(err)
		}
		if s, err := attest.ParseStatement(b.Payload); err == nil && s.PredicateType == typ {
			out = s.Payload
		}
	}
	return out
}

func TestAnswersHaveTheSameBytes(t *testing.T) {
	var first []byte
	for i := range 3 {
		r := newReleases(t)
		var previous *lineage.StatementAt
		for n := range 20 {
			d := r.good(fmt.Sprint(n), day(1+n/2), "v"+fmt.Sprint(n))
			previous = r.deployed(d, deploy{at: day(5 + n/2), previous: previous})
			if n%3 == 0 {
				r.revoked("security", d, predicate.TargetArtifact, day(20))
			}
		}
		if i == 1 {
			slices.Reverse(r.held)
		}
		h := r.history(nil)
		l := r.lastGood(func(q *lineage.LastGoodQuestion) { q.Places = h.Places })
		b, err := json.Marshal([]any{l, h})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		want(t, "bytes", string(b), string(first))
	}
}

// Ten thousand versions are listed, and only what is needed is judged.
func BenchmarkListVersions(b *testing.B) {
	r := newReleases(b)
	for n := range 10_000 {
		d := r.hold(fmt.Sprint(n))
		r.trained("trainer", d, day(1).Add(time.Duration(n)*time.Second))
	}
	for b.Loop() {
		if n := len(r.versions().Dated); n != 10_000 {
			b.Fatal(n)
		}
	}
}

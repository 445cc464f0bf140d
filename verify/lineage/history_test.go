package lineage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// order returns the payloads of a place's records, the last first.
func order(p lineage.PlaceHistory) (out []attest.Digest) {
	for _, r := range p.Records {
		out = append(out, r.Payload)
	}
	return out
}

// kinds returns the kinds of a place's findings.
func kinds(h *lineage.History) (out []lineage.FindingKind) {
	for _, p := range h.Places {
		for _, f := range p.Findings {
			out = append(out, f.Kind)
		}
	}
	return out
}

func wantKinds(t *testing.T, h *lineage.History, want ...lineage.FindingKind) {
	t.Helper()
	if got := kinds(h); !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", got, want)
	}
}

// threeDeployed is v1, v2, and back to v1.
func threeDeployed(t *testing.T) (r *releases, v1, v2 attest.Digest, a, b, c *lineage.StatementAt) {
	r = newReleases(t)
	v1, v2 = r.good("1", day(1), "v1"), r.good("2", day(2), "v2")
	a = r.deployed(v1, deploy{at: day(10), reason: predicate.DeployPromote})
	b = r.deployed(v2, deploy{at: day(11), previous: a})
	c = r.deployed(v1, deploy{at: day(12), previous: b, reason: predicate.DeployRollback})
	return r, v1, v2, a, b, c
}

func TestHistory(t *testing.T) {
	r, v1, v2, a, b, c := threeDeployed(t)
	// Strangers, those whose word does not count, and other environments.
	r.deployed(v2, deploy{by: "stranger", at: day(13), previous: c})
	r.deployed(v2, deploy{by: "trainer", at: day(13), previous: c})
	r.deployed(v2, deploy{env: "staging", at: day(9)})
	h := r.history(nil)
	want(t, "places", len(h.Places), 1)
	p := h.Places[0]
	wantList(t, "order", order(p), c.Payload, b.Payload, a.Payload)
	want(t, "running", p.Running().Artifact, v1)
	want(t, "reason", p.Records[0].Reason, predicate.DeployRollback)
	want(t, "until", p.Records[0].Until, nil)
	want(t, "until", *p.Records[1].Until, day(12))
	want(t, "signer", p.Records[0].Signed[0].Name, "deployer")
	want(t, "signers", fmt.Sprint(h.Signers), "[deployer]")
	want(t, "passed over", h.PassedOver, 1)
	wantKinds(t, h)
	want(t, "broken", h.Broken(), false)
	want(t, "lacks", h.Lacks(), false)
	want(t, "contested", p.Contested, false)

	// Another time. The record of that very moment counts, a later one does not.
	for at, artifact := range map[time.Time]attest.Digest{day(10): v1, day(11): v2, day(11).Add(-time.Second): v1, day(12).Add(time.Hour): v1} {
		h := r.history(func(q *lineage.HistoryQuestion) { q.At = at })
		want(t, "ran at "+at.String(), h.Places[0].Running().Artifact, artifact)
		want(t, "lacks", h.Lacks() || h.Broken(), false)
	}
	h = r.history(func(q *lineage.HistoryQuestion) { q.At = day(9) })
	want(t, "places before", len(h.Places), 0)
	want(t, "later", h.Later, 3)

	// One hint is enough: records lead to those before them.
	h = r.history(func(q *lineage.HistoryQuestion) {
		q.Find = func(_ context.Context, yield func(attest.Digest) bool) error { yield(c.Artifact); return nil }
	})
	wantList(t, "order from one hint", order(h.Places[0]), c.Payload, b.Payload, a.Payload)
	// Then too, what cannot be looked at on the way is said.
	r.Break(b.Artifact, errors.New("down"))
	want(t, "gaps", len(r.history(func(q *lineage.HistoryQuestion) {
		q.Find = func(_ context.Context, yield func(attest.Digest) bool) error { yield(c.Artifact); return nil }
	}).Gaps), 1)
	r.Break(b.Artifact, nil)
	// Nobody's word counts: nothing is there.
	want(t, "by nobody", r.history(func(q *lineage.HistoryQuestion) { q.By = nil }).Records(), 0)
}

func TestHistoryThatDoesNotHoldTogether(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(r *releases, v1, v2 attest.Digest, a, b, c *lineage.StatementAt)
		want   []lineage.FindingKind
		broken bool
		lacks  bool
	}{
		{"whole", func(*releases, attest.Digest, attest.Digest, *lineage.StatementAt, *lineage.StatementAt, *lineage.StatementAt) {
		}, nil, false, false},
		{"a fork", func(r *releases, _, v2 attest.Digest, _, b, _ *lineage.StatementAt) {
			r.deployed(v2, deploy{at: day(13), previous: b})
		}, []lineage.FindingKind{lineage.FindingFork}, true, false},
		{"a fork by a stranger", func(r *releases, _, v2 attest.Digest, _, b, _ *lineage.StatementAt) {
			r.deployed(v2, deploy{by: "stranger", at: day(13), previous: b})
		}, nil, false, false},
		{"a second first", func(r *releases, _, v2 attest.Digest, _, _, _ *lineage.StatementAt) {
			r.deployed(v2, deploy{at: day(13)})
		}, []lineage.FindingKind{lineage.FindingSecond}, true, false},
		{"a record is gone", func(r *releases, _, _ attest.Digest, _, b, _ *lineage.StatementAt) {
			r.Remove(b.Payload)
		}, []lineage.FindingKind{lineage.FindingMissing}, false, true},
		{"times run backwards", func(r *releases, _, v2 attest.Digest, _, _, c *lineage.StatementAt) {
			r.deployed(v2, deploy{at: day(12).Add(-6 * time.Minute), previous: c})
		}, []lineage.FindingKind{lineage.FindingBackwards}, true, false},
		{"clocks are a little apart", func(r *releases, _, v2 attest.Digest, _, _, c *lineage.StatementAt) {
			r.deployed(v2, deploy{at: day(12).Add(-5 * time.Minute), previous: c})
		}, nil, false, false},
		{"after a record of another environment", func(r *releases, v1, v2 attest.Digest, _, _, _ *lineage.StatementAt) {
			s := r.deployed(v1, deploy{env: "staging", at: day(13)})
			r.deployed(v2, deploy{place: "eu/x", at: day(13), previous: s})
		}, []lineage.FindingKind{lineage.FindingElsewhere}, true, false},
		{"after a record of another place", func(r *releases, _, v2 attest.Digest, _, _, c *lineage.StatementAt) {
			r.deployed(v2, deploy{place: "eu/x", at: day(13), previous: c})
		}, []lineage.FindingKind{lineage.FindingElsewhere}, true, false},
		{"after something that is not there", func(r *releases, v1, v2 attest.Digest, _, _, _ *lineage.StatementAt) {
			r.deployed(v2, deploy{place: "eu/x", at: day(13), previous: &lineage.StatementAt{Payload: attest.SHA256([]byte("none")), Artifact: v1}})
		}, []lineage.FindingKind{lineage.FindingMissing}, false, true},
		{"after the right record at the wrong artifact", func(r *releases, v1, v2 attest.Digest, _, _, c *lineage.StatementAt) {
			r.deployed(v2, deploy{place: "eu/x", at: day(13), previous: &lineage.StatementAt{Payload: c.Payload, Artifact: v2}})
		}, []lineage.FindingKind{lineage.FindingMissing}, false, true},
		{"it cannot be looked", func(r *releases, _, _ attest.Digest, _, b, _ *lineage.StatementAt) {
			r.Remove(b.Payload)
			r.Break(b.Artifact, errors.New("down"))
		}, []lineage.FindingKind{lineage.FindingUnseen}, false, true},
		{"whether it was taken back cannot be looked", func(r *releases, _, _ attest.Digest, _, b, _ *lineage.StatementAt) {
			r.Break(b.Payload, errors.New("down"))
		}, nil, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, v1, v2, x, y, z := threeDeployed(t)
			c.do(r, v1, v2, x, y, z)
			h := r.history(nil)
			wantKinds(t, h, c.want...)
			want(t, "broken", h.Broken(), c.broken)
			want(t, "lacks", h.Lacks(), c.lacks)
		})
	}
}

func TestForksAreContested(t *testing.T) {
	r, v1, v2, _, b, c := threeDeployed(t)
	d := r.deployed(v2, deploy{at: day(13), previous: b})
	h := r.history(nil)
	p := h.Places[0]
	want(t, "contested", p.Contested, true)
	want(t, "running, by the latest claim", p.Running().Payload, d.Payload)
	f := p.Findings[0]
	want(t, "code", f.Code, attest.CodeHistory)
	wantList(t, "records", f.Records, c.Payload, d.Payload)
	// Before the fork it was whole.
	h = r.history(func(q *lineage.HistoryQuestion) { q.At = day(12) })
	wantKinds(t, h)
	want(t, "running", h.Places[0].Running().Artifact, v1)
	// Its signer takes the wrong branch back.
	r.revoked("deployer", d.Payload, predicate.TargetPayload, day(14))
	h = r.history(nil)
	wantKinds(t, h)
	want(t, "contested", h.Places[0].Contested, false)
	want(t, "running", h.Places[0].Running().Payload, c.Payload)
	// As of a time before that, it still was one.
	wantKinds(t, r.history(func(q *lineage.HistoryQuestion) { q.At = day(13).Add(time.Hour) }), lineage.FindingFork)
}

// What was withdrawn hides no fork: what follows on it follows on what it followed.
func TestForksBehindWithdrawnRecords(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *releases, v1, v2 attest.Digest, b *lineage.StatementAt)
		want []lineage.FindingKind
	}{
		{"one branch", func(r *releases, _, v2 attest.Digest, b *lineage.StatementAt) {
			x := r.deployed(v2, deploy{at: day(13), previous: b})
			r.revoked("deployer", x.Payload, predicate.TargetPayload, day(20))
		}, nil},
		{"behind one", func(r *releases, v1, v2 attest.Digest, b *lineage.StatementAt) {
			x := r.deployed(v2, deploy{at: day(13), previous: b})
			r.deployed(v1, deploy{at: day(14), previous: x})
			r.revoked("deployer", x.Payload, predicate.TargetPayload, day(20))
		}, []lineage.FindingKind{lineage.FindingFork}},
		{"behind two", func(r *releases, v1, v2 attest.Digest, b *lineage.StatementAt) {
			x := r.deployed(v2, deploy{at: day(13), previous: b})
			y := r.deployed(v1, deploy{at: day(14), previous: x})
			r.deployed(v2, deploy{at: day(15), previous: y})
			r.revoked("deployer", x.Payload, predicate.TargetPayload, day(20))
			r.revoked("deployer", y.Payload, predicate.TargetPayload, day(20))
		}, []lineage.FindingKind{lineage.FindingFork}},
		{"behind a second first one", func(r *releases, v1, v2 attest.Digest, _ *lineage.StatementAt) {
			x := r.deployed(v2, deploy{at: day(13)})
			r.deployed(v1, deploy{at: day(14), previous: x})
			r.revoked("deployer", x.Payload, predicate.TargetPayload, day(20))
		}, []lineage.FindingKind{lineage.FindingFork}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, v1, v2, _, b, _ := threeDeployed(t)
			c.do(r, v1, v2, b)
			h := r.history(nil)
			wantKinds(t, h, c.want...)
			want(t, "contested", h.Places[0].Contested, len(c.want) > 0)
			want(t, "broken", h.Broken(), len(c.want) > 0)
		})
	}
	// After a record of another place, which is no end of this one's.
	r, v1, v2, _, _, _ := threeDeployed(t)
	x := r.deployed(v1, deploy{place: "eu/x", at: day(13)})
	r.deployed(v2, deploy{at: day(14), previous: x})
	want(t, "contested", r.history(nil).Places[0].Contested, true)
	// What is missing may join the pieces.
	r, _, _, _, b, _ := threeDeployed(t)
	r.Remove(b.Payload)
	want(t, "contested", r.history(nil).Places[0].Contested, false)

	// Two that follow on the first one, which was withdrawn.
	r = newReleases(t)
	v1 = r.good("1", day(1))
	a := r.deployed(v1, deploy{at: day(10)})
	r.deployed(v1, deploy{at: day(11), previous: a})
	r.deployed(v1, deploy{at: day(12), previous: a})
	r.revoked("deployer", a.Payload, predicate.TargetPayload, day(13))
	h := r.history(nil)
	wantKinds(t, h, lineage.FindingFork)
	want(t, "contested", h.Places[0].Contested, true)
}

func TestPlacesApart(t *testing.T) {
	r := newReleases(t)
	v1, v2 := r.good("1", day(1)), r.good("2", day(2))
	a := r.deployed(v1, deploy{at: day(10), place: "eu/scoring"})
	b := r.deployed(v1, deploy{at: day(10), place: "us/scoring"})
	r.deployed(v2, deploy{at: day(11), place: "eu/scoring", previous: a})
	r.deployed(v2, deploy{at: day(12)})
	h := r.history(nil)
	wantKinds(t, h)
	want(t, "places", len(h.Places), 3)
	for i, x := range []struct {
		name string
		runs attest.Digest
	}{{"", v2}, {"eu/scoring", v2}, {"us/scoring", v1}} {
		want(t, "place", h.Places[i].Place.String(), x.name)
		want(t, "runs", h.Places[i].Running().Artifact, x.runs)
	}
	// Going back is per place: in us nothing ran before.
	r.deployed(v2, deploy{at: day(13), place: "us/scoring", previous: b})
	l := r.lastGood(func(q *lineage.LastGoodQuestion) { q.Places = r.history(nil).Places })
	want(t, "rollbacks", len(l.Rollback), 3)
	want(t, "without a target", l.Rollback[0].Target, nil)
	want(t, "us", l.Rollback[2].Target.Digest, v1)
}

func TestWithdrawnRecords(t *testing.T) {
	build := func(t *testing.T) (*releases, attest.Digest, *lineage.StatementAt, *lineage.StatementAt) {
		r, _, v2, _, b, c := threeDeployed(t)
		return r, v2, b, c
	}
	running := func(r *releases, change func(*lineage.HistoryQuestion)) *lineage.Deployed {
		return r.history(change).Places[0].Running()
	}
	t.Run("by its signer", func(t *testing.T) {
		r, v2, _, c := build(t)
		w := r.revoked("deployer", c.Payload, predicate.TargetPayload, day(13))
		want(t, "running", running(r, nil).Artifact, v2)
		h := r.history(nil)
		wantKinds(t, h)
		got := h.Places[0].Records[0].Withdrawn
		want(t, "why", got.Reason, "poisoned")
		want(t, "statement", got.Payload, w)
		want(t, "by", fmt.Sprint(got.By), "[deployer]")
		// And restored.
		r.Sign("deployer", c.Payload, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRestore, Target: predicate.TargetPayload, Reason: "x", IssuedAt: day(14), Restores: []predicate.Restored{{Payload: predicate.DigestSet{Digest: w}}}})
		want(t, "running", running(r, nil).Payload, c.Payload)
	})
	t.Run("by somebody else", func(t *testing.T) {
		for _, who := range []string{"stranger", "trainer"} {
			r, _, _, c := build(t)
			r.revoked(who, c.Payload, predicate.TargetPayload, day(13))
			want(t, "running", running(r, nil).Payload, c.Payload)
		}
	})
	t.Run("by whom the policy lets", func(t *testing.T) {
		r, v2, _, c := build(t)
		r.revoked("security", c.Payload, predicate.TargetPayload, day(13))
		want(t, "running", running(r, nil).Payload, c.Payload)
		want(t, "running", running(r, func(q *lineage.HistoryQuestion) {
			q.Revokers = r.revokers(1, predicate.TargetPayload, "security")
		}).Artifact, v2)
	})
	t.Run("the key", func(t *testing.T) {
		r, _, _, _ := build(t)
		key := r.Key("deployer").Fingerprint()
		r.revoked("security", key, predicate.TargetKey, day(13))
		lets := func(q *lineage.HistoryQuestion) {
			q.Revokers = r.revokers(1, predicate.TargetKey, "security")
		}
		want(t, "whoever", running(r, nil) != nil, true)
		if got := running(r, lets); got != nil {
			t.Errorf("%s runs, by a key that was taken back", got.Payload)
		}
		want(t, "target", r.history(lets).Places[0].Records[0].Withdrawn.Target, predicate.TargetKey)
	})
	t.Run("in the middle", func(t *testing.T) {
		r, _, b, c := build(t)
		r.revoked("deployer", b.Payload, predicate.TargetPayload, day(13))
		h := r.history(nil)
		wantKinds(t, h) // what follows on it still follows on it
		want(t, "running", h.Places[0].Running().Payload, c.Payload)
		want(t, "until", *h.Places[0].Records[2].Until, day(12))
	})
	t.Run("the key, by itself", func(t *testing.T) {
		// Whoever stole it could do the same.
		r, _, _, c := build(t)
		r.revoked("deployer", r.Key("deployer").Fingerprint(), predicate.TargetKey, day(13))
		want(t, "running", running(r, nil).Payload, c.Payload)
	})
	t.Run("something else", func(t *testing.T) {
		r, _, _, c := build(t)
		r.revoked("deployer", c.Payload, predicate.TargetArtifact, day(13))
		want(t, "running", running(r, nil).Payload, c.Payload)
	})
	t.Run("at a time to come", func(t *testing.T) {
		r, _, _, c := build(t)
		r.Sign("deployer", c.Payload, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetPayload, Reason: "x", IssuedAt: day(31), EffectiveFrom: day(13)})
		want(t, "running", running(r, nil).Payload, c.Payload)
	})
	t.Run("unreadably", func(t *testing.T) {
		r, _, _, c := build(t)
		r.Sign("trainer", c.Payload, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		want(t, "lacks", r.history(nil).Lacks(), false)
		r.Sign("deployer", c.Payload, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		h := r.history(nil)
		want(t, "lacks", h.Lacks(), true)
		want(t, "gap", h.Gaps[0], lineage.Gap{Artifact: c.Payload, Code: attest.CodeRevoked})
	})
	t.Run("not in force yet", func(t *testing.T) {
		r, _, _, c := build(t)
		r.Sign("deployer", c.Payload, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetPayload, Reason: "x", IssuedAt: day(13), EffectiveFrom: day(31)})
		want(t, "running", running(r, nil).Payload, c.Payload)
	})
}

func TestDecisions(t *testing.T) {
	r := newReleases(t)
	v1, v2 := r.good("1", day(1)), r.good("2", day(2))
	approval := r.payloadOf(v1, predicate.TypeApproval)
	at := func(d attest.Digest) *lineage.StatementAt {
		return &lineage.StatementAt{Payload: approval, Artifact: d}
	}
	one := func(d attest.Digest, decision *lineage.StatementAt) *lineage.History {
		t.Helper()
		w := *r
		r.deployed(d, deploy{env: fmt.Sprint(decision, d), at: day(9), decision: decision})
		return w.history(func(q *lineage.HistoryQuestion) { q.Environment = fmt.Sprint(decision, d) })
	}
	h := one(v1, at(v1))
	wantKinds(t, h)
	got := h.Places[0].Records[0].Decision
	want(t, "found", got.Found, true)
	want(t, "says", got.Says, "approved")
	want(t, "type", got.Type, "approval")
	want(t, "by", got.Signed[0].Name, "alice")

	wantKinds(t, one(v2, at(v1)), lineage.FindingDecision) // of another artifact
	h = one(v2, at(v2))
	wantKinds(t, h, lineage.FindingUndecided) // not there
	want(t, "lacks", h.Lacks(), true)
	want(t, "broken", h.Broken(), false)

	rejected := r.Sign("alice", v2, predicate.TypeApproval, map[string]any{"decision": "rejected", "approvedAt": day(3).Format(time.RFC3339), "scope": map[string]any{"environments": []string{"prod"}}, "basis": []any{}})
	h = one(v2, &lineage.StatementAt{Payload: rejected, Artifact: v2})
	wantKinds(t, h, lineage.FindingDecision)
	want(t, "broken", h.Broken(), true)

	strange := r.approved("stranger", v2, day(3).Add(time.Minute))
	wantKinds(t, one(v2, &lineage.StatementAt{Payload: strange, Artifact: v2}), lineage.FindingUndecided)
	// A record is no decision.
	record := r.deployed(v2, deploy{env: "x", at: day(1)})
	wantKinds(t, one(v2, record), lineage.FindingUndecided)

	third := r.hold("3")
	r.Break(third, errors.New("down"))
	h = one(v2, &lineage.StatementAt{Payload: approval, Artifact: third})
	wantKinds(t, h, lineage.FindingDecision)
}

func TestLoadedFiles(t *testing.T) {
	r := newReleases(t)
	v1 := r.good("1", day(1))
	record := func(env string, files ...string) lineage.Deployed {
		pred := predicate.Deployment{Environment: env, DeployedAt: day(2)}
		for _, f := range files {
			pred.Loaded = append(pred.Loaded, predicate.LoadedFile{Digest: predicate.DigestSet{Digest: attest.SHA256([]byte(f))}})
		}
		r.Sign("deployer", v1, predicate.TypeDeployment, pred)
		return r.history(func(q *lineage.HistoryQuestion) { q.Environment = env }).Places[0].Records[0]
	}
	got := record("a", "1")
	want(t, "loaded", got.Loaded, 1)
	want(t, "foreign", got.Foreign, 0)
	got = record("b", "1", "another")
	want(t, "loaded", got.Loaded, 2)
	want(t, "foreign", got.Foreign, 1)
	r.BreakManifest(v1, errors.New("down"))
	want(t, "foreign", record("c", "1").Foreign, -1)
}

// A record that cannot be read may be one of any environment.
func TestUnreadableRecord(t *testing.T) {
	r, v1, _, _, _, _ := threeDeployed(t)
	r.Sign("stranger", v1, predicate.TypeDeployment, map[string]any{"environment": 7})
	r.Sign("trainer", v1, predicate.TypeDeployment, map[string]any{"environment": 7})
	want(t, "gaps", len(r.history(nil).Gaps), 0)
	r.Sign("deployer", v1, predicate.TypeDeployment, map[string]any{"environment": 7})
	h := r.history(nil)
	want(t, "gap", h.Gaps[0], lineage.Gap{Artifact: v1, Code: attest.CodePredicateSchema})
	want(t, "lacks", h.Lacks(), true)
}

func TestHistoryGoesOnWhereTheFinderFails(t *testing.T) {
	r, _, _, _, _, c := threeDeployed(t)
	h := r.history(func(q *lineage.HistoryQuestion) {
		q.Find = func(_ context.Context, yield func(attest.Digest) bool) error {
			yield(c.Artifact)
			return attest.Refuse(attest.CodeIndex, "half")
		}
	})
	want(t, "records", h.Records(), 3)
	want(t, "gap", h.Gaps[0], lineage.Gap{Code: attest.CodeIndex})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := lineage.AskHistory(ctx, lineage.HistoryQuestion{
		Find: func(ctx context.Context, _ func(attest.Digest) bool) error { return ctx.Err() }, Sources: []verify.Source{r.Source()},
	})
	want(t, "code", attest.RefusalCode(err), attest.CodeInterrupted)
}

func TestHistoryJudges(t *testing.T) {
	r, v1, v2, _, _, _ := threeDeployed(t)
	r.revoked("security", v2, predicate.TargetArtifact, day(13))
	outcomes := func(newest int) (out []lineage.Outcome) {
		h := r.history(nil)
		r.judged = nil
		if err := h.Judge(newest, r.judge); err != nil {
			t.Fatal(err)
		}
		for _, d := range h.Places[0].Records {
			if d.Judgment == nil {
				out = append(out, "")
			} else {
				out = append(out, d.Judgment.Outcome)
			}
		}
		return out
	}
	want(t, "all", fmt.Sprint(outcomes(-1)), "[ALLOW DENY ALLOW]")
	wantList(t, "each once", r.judged, v1, v2)
	want(t, "one", fmt.Sprint(outcomes(1)), "[ALLOW  ]")
	want(t, "none", fmt.Sprint(outcomes(0)), "[  ]")
}

// Thousands of records that only lead to each other, and thousands that all
// name the same one: both end, and say what is wrong.
func TestLongAndWideHistories(t *testing.T) {
	if testing.Short() {
		t.Skip("signs many records")
	}
	r := newReleases(t)
	v1 := r.good("1", day(1))
	var last *lineage.StatementAt
	for n := range 3000 {
		d := r.Manifest(map[string]string{"f": fmt.Sprint(n)})
		last = r.deployed(d, deploy{at: day(1).Add(time.Duration(n) * time.Minute), previous: last})
	}
	h := r.history(func(q *lineage.HistoryQuestion) {
		q.Find = func(_ context.Context, yield func(attest.Digest) bool) error { yield(last.Artifact); return nil }
	})
	want(t, "records", h.Records(), 3000)
	wantKinds(t, h)
	for n := range 2000 {
		r.deployed(v1, deploy{env: "wide", at: day(2).Add(time.Duration(n) * time.Second), previous: last})
	}
	h = r.history(func(q *lineage.HistoryQuestion) {
		q.Environment = "wide"
		q.Find = func(_ context.Context, yield func(attest.Digest) bool) error { yield(v1); return nil }
	})
	want(t, "records", h.Records(), 2000)
	want(t, "findings", len(h.Places[0].Findings), 2001)
}

// A history of ten thousand records, about a thousand artifacts.
func BenchmarkHistory(b *testing.B) {
	r := newReleases(b)
	var last *lineage.StatementAt
	for n := range 10_000 {
		d := r.Manifest(map[string]string{"f": fmt.Sprint(n % 1000)})
		last = r.deployed(d, deploy{at: day(1).Add(time.Duration(n) * time.Minute), previous: last})
	}
	for b.Loop() {
		if n := r.history(nil).Records(); n != 10_000 {
			b.Fatal(n)
		}
	}
}

// A thousand versions that are all revoked, but for the oldest.
func BenchmarkLastGood(b *testing.B) {
	r := newReleases(b)
	for n := range 1000 {
		d := r.good(fmt.Sprint(n), day(1).Add(time.Duration(n)*time.Minute))
		if n > 0 {
			r.revoked("security", d, predicate.TargetArtifact, day(20))
		}
	}
	for b.Loop() {
		if l := r.lastGood(nil); l.Found == nil || len(l.Newer) != 999 {
			b.Fatal("not found")
		}
	}
}

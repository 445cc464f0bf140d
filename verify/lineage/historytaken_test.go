package lineage_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// stolen judges that a key's signatures do not count.
func (r *releases) stolen(name string) func(verify.Evidence) (attest.Code, string) {
	return func(e verify.Evidence) (attest.Code, string) {
		if e.ID().Credential == verify.KeyCredential(r.Key(name)) {
			return attest.CodeRevoked, "stolen"
		}
		return "", ""
	}
}

func (r *releases) restored(by string, d attest.Digest, target string, at time.Time, what attest.Digest) {
	r.Sign(by, d, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRestore, Target: target, Reason: "x", IssuedAt: at, Restores: []predicate.Restored{{Payload: predicate.DigestSet{Digest: what}}}})
}

// A key whose signatures do not count by the rules neither deploys nor decides, and
// breaks nothing.
func TestHistoryOfKeysThatDoNotCount(t *testing.T) {
	r, v1, v2, _, b, c := threeDeployed(t)
	by := func(q *lineage.HistoryQuestion) {
		q.By = append(q.By, verify.Follow{By: []verify.Credential{verify.KeyCredential(r.Key("helper"))}})
	}
	x := r.deployed(v2, deploy{by: "helper", at: day(13), previous: c})
	judged := func(q *lineage.HistoryQuestion) { by(q); q.Judge = r.stolen("helper") }
	want(t, "running", r.history(by).Places[0].Running().Payload, x.Payload)
	h := r.history(judged)
	wantKinds(t, h)
	want(t, "running", h.Places[0].Running().Payload, c.Payload)
	got := h.Places[0].Records[0]
	want(t, "rejected", *got.Rejected, lineage.Rejected{Code: attest.CodeRevoked, Why: "stolen"})
	want(t, "signer", got.Signed[0].Name, "helper")
	want(t, "until", got.Until, nil)
	// A fork, a second first one, one after what is missing: all by a key that does not count.
	r.deployed(v1, deploy{by: "helper", at: day(14), previous: b})
	r.deployed(v1, deploy{by: "helper", at: day(15)})
	r.deployed(v1, deploy{by: "helper", at: day(16), previous: &lineage.StatementAt{Payload: attest.SHA256([]byte("none")), Artifact: v1}})
	r.Sign("helper", v1, predicate.TypeDeployment, map[string]any{"environment": 7})
	h = r.history(judged)
	wantKinds(t, h)
	want(t, "lacks", h.Lacks(), false)
	want(t, "contested", h.Places[0].Contested, false)
	want(t, "records", h.Records(), 7)
	// What follows on one follows on what it followed: beside c here.
	y := r.deployed(v2, deploy{by: "helper", at: day(17), previous: b})
	r.deployed(v1, deploy{at: day(18), previous: y})
	h = r.history(judged)
	wantKinds(t, h, lineage.FindingFork)
	want(t, "contested", h.Places[0].Contested, true)
	// It is not what can be gone back to.
	l := r.lastGood(func(q *lineage.LastGoodQuestion) { q.Places = r.history(judged).Places })
	want(t, "last good", l.Found != nil, true)

	// Signed by somebody else too, it counts.
	w := newReleases(t)
	v := w.good("1", day(1))
	w.deployed(v, deploy{by: "helper", at: day(10)})
	both := w.deployed(v, deploy{at: day(10)})
	h = w.history(func(q *lineage.HistoryQuestion) { by(q); q.Judge = w.stolen("helper") })
	got = h.Places[0].Records[0]
	want(t, "statement", got.Payload, both.Payload)
	want(t, "rejected", got.Rejected, nil)
	want(t, "signers", len(got.Signed), 1)
	want(t, "signer", got.Signed[0].Name, "deployer")

	// A decision by such a key.
	approval := w.payloadOf(v, predicate.TypeApproval)
	w.deployed(v, deploy{env: "x", at: day(11), decision: &lineage.StatementAt{Payload: approval, Artifact: v}})
	in := func(judge func(verify.Evidence) (attest.Code, string)) *lineage.History {
		return w.history(func(q *lineage.HistoryQuestion) { q.Environment, q.Judge = "x", judge })
	}
	wantKinds(t, in(nil))
	h = in(w.stolen("alice"))
	wantKinds(t, h, lineage.FindingUndecided)
	want(t, "code", h.Places[0].Findings[0].Code, attest.CodeRevoked)
	want(t, "decision", h.Places[0].Records[0].Decision.Found, false)
}

// Keys first: whoever's key was taken back takes nothing back, and gives nothing back.
func TestWithdrawalsByKeysThatAreGone(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *releases, record attest.Digest) // beside security's word against the record
		runs bool
	}{
		{"nothing more", func(*releases, attest.Digest) {}, false},
		{"the revoker's key is taken back", func(r *releases, _ attest.Digest) {
			r.revoked("alice", r.Key("security").Fingerprint(), predicate.TargetKey, day(14))
		}, true},
		{"by who may not", func(r *releases, _ attest.Digest) {
			r.revoked("helper", r.Key("security").Fingerprint(), predicate.TargetKey, day(14))
		}, false},
		{"and given back", func(r *releases, _ attest.Digest) {
			key := r.Key("security").Fingerprint()
			r.restored("alice", key, predicate.TargetKey, day(15), r.revoked("alice", key, predicate.TargetKey, day(14)))
		}, false},
		{"and given back by a key that is gone", func(r *releases, _ attest.Digest) {
			key := r.Key("security").Fingerprint()
			x := r.revoked("alice", key, predicate.TargetKey, day(14))
			r.restored("security", key, predicate.TargetKey, day(15), x)
		}, true},
		{"the record is given back", func(r *releases, record attest.Digest) {
			r.restored("alice", record, predicate.TargetPayload, day(14), r.word)
		}, true},
		{"by a key that is gone", func(r *releases, record attest.Digest) {
			r.restored("alice", record, predicate.TargetPayload, day(14), r.word)
			r.revoked("security", r.Key("alice").Fingerprint(), predicate.TargetKey, day(15))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, _, _, b, x := threeDeployed(t)
			r.word = r.revoked("security", x.Payload, predicate.TargetPayload, day(13))
			c.do(r, x.Payload)
			h := r.history(func(q *lineage.HistoryQuestion) {
				q.Revokers = append(r.revokers(1, predicate.TargetPayload, "security", "alice"), r.revokers(1, predicate.TargetKey, "security", "alice")...)
			})
			want(t, "lacks", h.Lacks(), false)
			running := b.Payload
			if c.runs {
				running = x.Payload
			}
			want(t, "running", h.Places[0].Running().Payload, running)
		})
	}
	t.Run("its stand-in cannot be looked at", func(t *testing.T) {
		r, _, _, _, _, x := threeDeployed(t)
		r.revoked("security", x.Payload, predicate.TargetPayload, day(13))
		key := r.Key("security").Fingerprint()
		r.Break(key, attest.Refuse(attest.CodeIndex, "down"))
		h := r.history(func(q *lineage.HistoryQuestion) { q.Revokers = r.revokers(1, predicate.TargetPayload, "security") })
		want(t, "gap", slices.ContainsFunc(h.Gaps, func(g lineage.Gap) bool { return g.Artifact == key }), true)
	})
	t.Run("by a key that does not count", func(t *testing.T) {
		r, _, _, _, _, x := threeDeployed(t)
		r.revoked("security", x.Payload, predicate.TargetPayload, day(13))
		h := r.history(func(q *lineage.HistoryQuestion) {
			q.Revokers, q.Judge = r.revokers(1, predicate.TargetPayload, "security"), r.stolen("security")
		})
		want(t, "running", h.Places[0].Running().Payload, x.Payload)
	})
}

// Voices by different rules are not added together, and one person is one voice.
func TestWithdrawalsByThreshold(t *testing.T) {
	for _, c := range []struct {
		name  string
		by    []string
		rules [][]string // each of two
		same  string     // who is the same as security
		gone  bool
	}{
		{"one of two", []string{"security"}, [][]string{{"security", "alice"}}, "", false},
		{"two of two", []string{"security", "alice"}, [][]string{{"security", "alice"}}, "", true},
		{"one of each rule", []string{"security", "alice"}, [][]string{{"security", "helper"}, {"alice", "trainer"}}, "", false},
		{"two keys of one person", []string{"security", "alice"}, [][]string{{"security", "alice"}}, "alice", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, _, _, _, x := threeDeployed(t)
			for _, who := range c.by {
				r.revoked(who, x.Payload, predicate.TargetPayload, day(13))
			}
			h := r.history(func(q *lineage.HistoryQuestion) {
				for _, names := range c.rules {
					q.Revokers = append(q.Revokers, r.revokers(2, predicate.TargetPayload, names...)...)
				}
				if c.same != "" {
					q.Who = func(c2 verify.Credential) string {
						if c2 == verify.KeyCredential(r.Key(c.same)) {
							c2 = verify.KeyCredential(r.Key("security"))
						}
						return c2.String()
					}
				}
			})
			want(t, "gone", h.Places[0].Running().Payload != x.Payload, c.gone)
		})
	}
}

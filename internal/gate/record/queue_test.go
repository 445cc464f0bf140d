package record

import (
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func TestRecordsAreAChainWithDecisions(t *testing.T) {
	w := newWorld(t)
	m := w.models("m", 3)
	q := w.queue()
	for i, ref := range m {
		w.admit(q, ref, "ns/deployment/scoring/model")
		w.admit(q, m[0], "ns/deployment/other/model") // the same every time
		if i == 1 {
			w.work(q)
		}
		w.clock.add(time.Hour)
	}
	w.admit(q, m[0], "ns/deployment/scoring/model")
	w.work(q)
	h := w.history("m")
	got := w.shows(h, "ns/deployment/scoring/model", m[0], m[1], m[2], m[0])
	w.shows(h, "ns/deployment/other/model", m[0])
	for i, r := range got {
		if r.Decision == nil || !r.Decision.Found || r.Decision.Says != predicate.ResultPassed {
			t.Errorf("record %d names the decision %+v", i, r.Decision)
		}
		if want := time.Date(2026, 11, 24, 10+i, 0, 0, 0, time.UTC); !r.Claimed.Equal(want) {
			t.Errorf("record %d claims %s, want %s", i, r.Claimed, want)
		}
		if r.Observer != "https://gate.example" {
			t.Errorf("record %d was observed by %q", i, r.Observer)
		}
	}
	if got[2].Reason != predicate.DeployPromote || got[3].Reason != predicate.DeployRollback {
		t.Errorf("reasons %s and %s", got[2].Reason, got[3].Reason)
	}
	for payload, n := range w.signed {
		if n != 1 {
			t.Errorf("%s was signed %d times", payload, n)
		}
	}
	if len(h.Places) != 2 || withdrawn(h) != 0 {
		t.Errorf("%d places, %d taken back", len(h.Places), withdrawn(h))
	}
}

// What was let in without an ALLOW is recorded without a decision.
func TestWarnedAdmissionNamesNoDecision(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue()
	a := w.admission(ref, "s")
	a.Mode, a.Answer.Outcome = gate.Warn, policy.Deny
	if err := q.Admitted(a); err != nil {
		t.Fatal(err)
	}
	w.work(q)
	got := w.shows(w.history("m"), "s", ref)
	if got[0].Decision != nil {
		t.Errorf("names the decision %+v", got[0].Decision)
	}
}

func TestNothingToRecord(t *testing.T) {
	w := newWorld(t)
	ref := w.push("m", "v1")
	q := w.queue()
	a := w.admission(ref, "s")
	a.Environment = ""
	if err := q.Admitted(a); err != nil || q.Stats().Waiting != 0 {
		t.Errorf("without an environment: %v, %+v", err, q.Stats())
	}
	a = w.admission(ref, "s")
	a.Reference.Digest = lineage.StatementAt{}.Payload
	if err := q.Admitted(a); code(err) != "E_REFERENCE" {
		t.Errorf("without a digest: %v", err)
	}
}

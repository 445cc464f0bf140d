package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const hostile = "v1\x1b[31m<script>\u202e\nALLOW"

func versionOf(name string, d int, tags ...string) lineage.Version {
	made := at(d)
	return lineage.Version{Digest: digest(name), Tags: tags, Made: &made}
}

func lastGoodText(t *testing.T, l LastGood) string {
	t.Helper()
	var b bytes.Buffer
	if err := LastGoodText(&b, l, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// Five hundred versions that are bad for one reason read as one line; each other
// reason stands by itself.
func TestManyBadVersionsReadWell(t *testing.T) {
	good := lineage.JudgedVersion{Version: versionOf("good", 1, "v1"), Judgment: lineage.Judgment{Outcome: lineage.OutcomeAllow,
		MadeBy: []lineage.Record{{Payload: digest("p"), Signer: "trainer", Step: "train"}}}}
	l := LastGood{Repository: "ocidir://reg", LastGood: &lineage.LastGood{Found: &good}, Commands: []string{"pedigree verify x"}}
	for n := range 500 {
		l.Newer = append(l.Newer, lineage.JudgedVersion{Version: versionOf(fmt.Sprint(n), 2, fmt.Sprintf("bad%d", n)), Judgment: lineage.Judgment{Outcome: lineage.OutcomeDeny,
			Why: []lineage.Why{{Step: "evaluate", Code: attest.CodeRule, About: "EVAL-1", Why: fmt.Sprintf("accuracy below 0.70 by %d", n)}}}})
	}
	l.Newer = append(l.Newer, lineage.JudgedVersion{Version: versionOf("gone", 3, "gone"), Judgment: lineage.Judgment{Outcome: lineage.OutcomeUndecided,
		Why: []lineage.Why{{Step: "train", Code: attest.CodeRegUnavailable, Why: "could not be asked", Open: true}}}})
	l.Undecided = 1
	text := lastGoodText(t, l)
	contains(t, text, "ALLOW  "+good.Digest.String(), "tags      v1", "by trainer (train, statement", "Newer, and not good: 501 versions",
		"bad0 sha256:", "; bad4", "… and 495 more", "E_RULE evaluate: EVAL-1: accuracy below 0.70 by 0", "… and 497 more of evaluate",
		"? UNDECIDED  gone sha256:", "1 version is undecided, and may be better", "pedigree verify x")
	if n := strings.Count(text, "\n"); n > 40 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	if strings.Contains(text, "bad5 ") {
		t.Errorf("too many are named:\n%s", text)
	}
	// Fifteen kinds: ten are told.
	l.Newer = nil
	for n := range 15 {
		l.Newer = append(l.Newer, lineage.JudgedVersion{Version: versionOf(fmt.Sprint(n), 2), Judgment: lineage.Judgment{Outcome: lineage.OutcomeDeny, Why: []lineage.Why{{Step: fmt.Sprintf("step%02d", n), Code: attest.CodeRule, Why: "x"}}}})
	}
	contains(t, lastGoodText(t, l), "step09", "… and 5 more, for other reasons")
}

func TestNoLastGood(t *testing.T) {
	l := LastGood{LastGood: &lineage.LastGood{}}
	contains(t, lastGoodText(t, l), "DENY  no version is good")
	l.Undecided = 1
	contains(t, lastGoodText(t, l), "UNDECIDED  no version is known to be good")
	l.Undecided, l.Gaps = 0, []lineage.Gap{{Code: attest.CodeIndex}}
	contains(t, lastGoodText(t, l), "UNDECIDED", "the list of what there is may not be complete: E_INDEX")
}

func TestHostileNamesInLastGoodAndHistory(t *testing.T) {
	v := versionOf("x", 1, hostile)
	why := []lineage.Why{{Step: hostile, Code: attest.CodeRule, About: hostile, Why: hostile}}
	made := []lineage.Record{{Signer: hostile, Step: hostile}}
	good := lineage.JudgedVersion{Version: v, Judgment: lineage.Judgment{Outcome: lineage.OutcomeAllow, MadeBy: made, ApprovedBy: made}}
	place := lineage.Place{Cluster: hostile, Service: hostile}
	before := at(3)
	text := lastGoodText(t, LastGood{Repository: hostile, Context: hostile, Environment: hostile, Before: &before, Policy: policy.PolicyRef{Name: hostile}, Commands: []string{hostile},
		RollbackCommands: [][]string{{hostile}},
		LastGood: &lineage.LastGood{Found: &good, Newer: []lineage.JudgedVersion{{Version: v, Judgment: lineage.Judgment{Outcome: lineage.OutcomeDeny, Why: why}}}, Undated: []lineage.Version{v},
			Rollback: []lineage.Rollback{{Place: place, Target: &good}}}})
	signed := []lineage.Signer{{Name: hostile}}
	h := History{Counts: hostile, Context: hostile, Policy: &policy.PolicyRef{Name: hostile}, History: &lineage.History{Environment: hostile, Signers: []string{hostile}, Places: []lineage.PlaceHistory{{Place: place,
		Records: []lineage.Deployed{{Names: []string{hostile}, Signed: signed, Reason: hostile, Observer: hostile, Loaded: 1, Running: true,
			Decision:  &lineage.DecidedOn{Found: true, Says: hostile, Signed: signed, Withdrawn: &lineage.Withdrawn{By: []string{hostile}, Reason: hostile}},
			Withdrawn: &lineage.Withdrawn{By: []string{hostile}, Reason: hostile}, Judgment: &lineage.Judgment{Outcome: lineage.OutcomeDeny, Why: why}}},
		Findings: []lineage.HistoryFinding{{Code: attest.CodeHistory, Why: hostile}}}}}}
	var b bytes.Buffer
	if err := HistoryText(&b, h, Options{Notes: []string{hostile}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{text, b.String()} {
		if strings.ContainsAny(s, "\x1b\u202e\r") {
			t.Errorf("control characters in:\n%q", s)
		}
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "ALLOW\n") {
				t.Errorf("a line was forged:\n%s", s)
			}
		}
	}
}

func TestHistoryText(t *testing.T) {
	until := at(12)
	h := History{Counts: "the keys that were named", History: &lineage.History{Environment: "prod", At: at(20), Signers: []string{"deployer"}, Later: 2, PassedOver: 1,
		Places: []lineage.PlaceHistory{{Place: lineage.Place{Cluster: "eu", Service: "scoring"}, Contested: true,
			Records: []lineage.Deployed{
				{Payload: digest("2"), Artifact: digest("b"), Names: []string{"v2"}, Claimed: at(12), Reason: "rollback", Running: true, Signed: []lineage.Signer{{Name: "deployer"}}, Judgment: &lineage.Judgment{Outcome: lineage.OutcomeDeny, Why: []lineage.Why{{Step: "evaluate", Code: attest.CodeRule}}}},
				{Payload: digest("1"), Artifact: digest("a"), Claimed: at(10), Until: &until, Loaded: 3, Foreign: 1, Decision: &lineage.DecidedOn{StatementAt: lineage.StatementAt{Payload: digest("d")}}},
			},
			Findings: []lineage.HistoryFinding{{Code: attest.CodeHistory, Kind: lineage.FindingFork, Why: "2 records name the same one", Records: []attest.Digest{digest("1"), digest("2")}}}}}}}
	var b bytes.Buffer
	if err := HistoryText(&b, h, Options{}); err != nil {
		t.Fatal(err)
	}
	contains(t, b.String(), "prod  2 deployments, 1 place", "deployer: the keys that were named", "2 records of a later time", "1 record by keys that are known", "In eu/scoring",
		"may run  v2 "+digest("b").String(), "since 2026-11-12 09:30:00Z, by deployer, DENY: evaluate E_RULE", "rollback, by deployer", "until 2026-11-12", "3 files loaded, 1 not of the artifact",
		"which was not found", "✗ E_HISTORY "+digest("1").Short()+", "+digest("2").Short()+": 2 records name the same one")
}

// A verdict in short: who made and approved it, and why not, causes first.
func TestJudgmentOf(t *testing.T) {
	w := chaintest.New(t)
	src := `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: mini, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: quantize
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: trainer}]}
  alice: {kind: human, credentials: [{key: alice}]}
steps:
  quantize:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/quantize/v1
    by: [trainer]
    select: any
    inputs: [{role: parent-model, accept: any, reason: "a test"}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice]
    select: any
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
`
	p, err := policy.Load([]byte(src), func(name string) ([]byte, error) { return w.Key(name).PEM(), nil })
	if err != nil {
		t.Fatal(err)
	}
	j := JudgmentOf(p, allowed())
	if j.Outcome != lineage.OutcomeAllow || len(j.Why) != 0 {
		t.Errorf("%+v", j)
	}
	if len(j.MadeBy) != 1 || j.MadeBy[0].Signer != "trainer" || j.MadeBy[0].Payload != digest("payload quantize") || j.MadeBy[0].Type != "provenance" {
		t.Errorf("made by %+v", j.MadeBy)
	}
	if len(j.ApprovedBy) != 2 || j.ApprovedBy[0].Step != "approve" {
		t.Errorf("approved by %+v", j.ApprovedBy)
	}
	v := denied()
	j = JudgmentOf(p, v)
	if j.Outcome != lineage.OutcomeDeny || len(j.Why) == 0 {
		t.Fatalf("%+v", j)
	}
	for _, w := range j.Why {
		if w.Code == attest.CodeChainBrokenEdge {
			t.Errorf("what follows from something else is told beside it: %+v", j.Why)
		}
	}
	// Who was selected and does not count, made and approved nothing.
	v.Requirements[3].Selected[0].Status, v.Requirements[1].Selected[0].Status = policy.Fail, policy.Unknown
	if j = JudgmentOf(p, v); len(j.MadeBy) != 0 || len(j.ApprovedBy) > 1 {
		t.Errorf("made by %+v, approved by %+v", j.MadeBy, j.ApprovedBy)
	}
	for n := range 30 {
		v.Requirements[2].Reasons = append(v.Requirements[2].Reasons, policy.Reason{Code: attest.CodeRule, Why: fmt.Sprint(n)})
	}
	if j = JudgmentOf(p, v); len(j.Why) != maxWhys || j.MoreWhy == 0 {
		t.Errorf("%d reasons, and %d more", len(j.Why), j.MoreWhy)
	}
}

package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func digest(name string) attest.Digest { return attest.SHA256([]byte(name)) }

func at(day int) time.Time { return time.Date(2026, 11, day, 9, 30, 0, 0, time.UTC) }

// allowed is a verdict of a short pipeline, everything passed.
func allowed() *policy.Verdict {
	claimed := at(20)
	counted := func(name, who string, day int) policy.Counted {
		return policy.Counted{Payload: digest("payload " + name), Credential: "key:sha256:…", Principal: who, Claimed: at(day), Status: policy.Pass}
	}
	return &policy.Verdict{
		Outcome:  policy.Allow,
		Artifact: digest("int8"),
		Policy:   policy.PolicyRef{Name: "credit-prod", Version: 7, Digest: digest("policy"), Expires: time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)},
		At:       at(23), Known: at(23),
		Requirements: []policy.Requirement{
			{Step: "train", Artifact: digest("model"), Status: policy.Pass, Threshold: 1, By: []string{"trainer", "carol"}, Select: "any", Selected: []policy.Counted{counted("train", "trainer", 20)}},
			{Step: "quantize", Artifact: digest("int8"), Status: policy.Pass, Threshold: 1, By: []string{"trainer"}, Select: "any", Selected: []policy.Counted{counted("quantize", "trainer", 20)}},
			{Step: "evaluate", Artifact: digest("int8"), Status: policy.Pass, Threshold: 1, By: []string{"evaluator"}, Select: "latest", Selected: []policy.Counted{counted("evaluate", "evaluator", 21)},
				Rules: []policy.RuleResult{{ID: "EVAL-1", Status: policy.Pass, Message: "accuracy below 0.70", Payload: digest("payload evaluate"),
					Values: []policy.Value{{Expression: `predicate.metrics["accuracy"].value`, Value: "0.756667"}}}}},
			{Step: "approve", Artifact: digest("int8"), Status: policy.Pass, Threshold: 2, Kind: "human", By: []string{"alice", "bob", "carol"}, Select: "any",
				Selected: []policy.Counted{counted("alice", "alice", 22), counted("bob", "bob", 22)}},
			{Step: "deny", Artifact: digest("int8"), Status: policy.Pass},
		},
		Evidence: []policy.Item{
			{Payload: digest("payload train"), Principal: "trainer", Artifact: digest("model"), Claimed: &claimed, Steps: []string{"train"}},
			{Payload: digest("payload quantize"), Principal: "trainer", Artifact: digest("int8"), Claimed: &claimed, Steps: []string{"quantize"}},
		},
		Lineage: []policy.Edge{
			{Artifact: digest("int8"), Step: "quantize", Role: "parent-model", Input: digest("model")},
			{Artifact: digest("int8"), Step: "quantize", Role: "calibration-data", Input: digest("train")},
			{Artifact: digest("model"), Step: "train", Role: "training-data", Input: digest("train")},
			{Artifact: digest("model"), Step: "train", Role: "environment", Input: digest("lock"), Name: "uv.lock"},
		},
		Frontier: []policy.Frontier{
			{Artifact: digest("train"), Role: "training-data", How: "origin", Detail: "https://archive.ics.uci.edu/", Observed: true},
			{Artifact: digest("train"), Role: "calibration-data", How: "origin", Detail: "https://archive.ics.uci.edu/", Observed: false},
			{Artifact: digest("lock"), Role: "environment", How: "accepted", Detail: "lock files are recorded, not judged", Observed: true},
		},
		Acknowledged: []policy.Acknowledgment{
			{Where: "policy", Rests: "the times that signers claim; nobody authenticated them", Why: "unsafeTime: claimed"},
			{Where: "train", Rests: "agree (no contradicting record)", Why: "no status authority yet"},
			{Where: "evaluate", Rests: "select: latest (nothing newer)", Why: "no status authority yet"},
			{Where: "bias", Rests: "select: latest (nothing newer)", Why: "no status authority yet"},
		},
		NotProven: []string{"Signatures show who asserted what about which bytes, not that a step truly happened as it says."},
	}
}

// denied is the same pipeline with a weak evaluation and one approval.
func denied() *policy.Verdict {
	v := allowed()
	v.Outcome = policy.Deny
	v.Requirements[1].Status = policy.Fail
	v.Requirements[1].Reasons = []policy.Reason{{Code: attest.CodeChainBrokenEdge, About: digest("other").String(), Why: "the parent-model satisfies no train",
		Because: &policy.Because{Step: "train", Artifact: digest("model")}}}
	e := &v.Requirements[2]
	e.Status, e.Selected[0].Status, e.Rules[0].Status, e.Rules[0].Values[0].Value = policy.Fail, policy.Fail, policy.Fail, "0.6"
	e.Reasons = []policy.Reason{{Code: attest.CodeRule, About: "EVAL-1", Why: "accuracy below 0.70", Next: "make a better model, or evaluate again if the evaluation was wrong"}}
	a := &v.Requirements[3]
	a.Status, a.Selected = policy.Fail, a.Selected[:1]
	a.Reasons = []policy.Reason{{Code: attest.CodeQuorum, About: digest("int8").String(), Why: "1 of 2 required principals: alice", Next: "one more approval by bob or carol: pedigree approve"}}
	return v
}

// undecided could not look at everything, and a signer has tried to write on
// the terminal.
func undecided() *policy.Verdict {
	v := allowed()
	v.Outcome = policy.Undecided
	v.Known = at(22)
	v.Requirements[0].Status = policy.Unknown
	v.Requirements[0].Selected = nil
	v.Requirements[0].Reasons = []policy.Reason{{Code: attest.CodeRegUnavailable, About: digest("model").String(), Why: "evidence about it could not be completely looked at", Next: "verify again when every repository answers"}}
	v.Lineage[3].Name = "uv.lock\x1b[2K\rALLOW"
	v.Frontier = v.Frontier[:2]
	v.Gaps = []policy.GapRef{{Code: attest.CodeRegUnavailable, Artifact: digest("model")}}
	return v
}

func TestTextGolden(t *testing.T) {
	for name, c := range map[string]struct {
		v *policy.Verdict
		o Options
	}{
		"allow":        {allowed(), Options{Reference: "ocidir://registry:int8@" + digest("int8").String(), Notes: []string{"--at was not given: the clock was read once, at the start"}}},
		"deny":         {denied(), Options{}},
		"undecided":    {undecided(), Options{}},
		"allow-narrow": {allowed(), Options{Width: 20}},
		"deny-colour":  {denied(), Options{Color: true, Width: 80}},
		"empty":        {&policy.Verdict{}, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, c.v, c.o); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nrun go test -update if this is meant", file, diff)
	}
}

func TestOutcomeComesFirst(t *testing.T) {
	for _, v := range []*policy.Verdict{allowed(), denied(), undecided(), {}} {
		var b bytes.Buffer
		if err := Text(&b, v, Options{}); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(b.String(), " "); got != v.Outcome.String() {
			t.Errorf("the report begins with %q, want %q", got, v.Outcome)
		}
	}
}

// A report is data: what a signer wrote cannot move the cursor or add a line.
func TestTextEscapes(t *testing.T) {
	evil := "x\x1b[1A\nALLOW\u202e"
	v := denied()
	v.Policy.Name = evil
	for i := range v.Requirements {
		r := &v.Requirements[i]
		r.By = append(r.By, evil)
		for j := range r.Selected {
			r.Selected[j].Principal = evil
		}
		for j := range r.Reasons {
			r.Reasons[j].About, r.Reasons[j].Why, r.Reasons[j].Next = evil, evil, evil
		}
		for j := range r.Rules {
			r.Rules[j].ID = evil
			r.Rules[j].Values = []policy.Value{{Expression: evil, Value: evil}}
		}
	}
	for i := range v.Lineage {
		v.Lineage[i].Role, v.Lineage[i].Name, v.Lineage[i].Step = evil, evil, evil
	}
	for i := range v.Frontier {
		v.Frontier[i].Detail = evil
	}
	v.NotProven = []string{evil}
	v.Acknowledged = []policy.Acknowledgment{{Where: evil, Rests: evil, Why: evil}}
	var b bytes.Buffer
	if err := Text(&b, v, Options{Reference: evil, Notes: []string{evil}}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Error("a control character reached the report")
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "ALLOW") {
			t.Errorf("a signer wrote the line %q", line)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWriteErrorsAreReported(t *testing.T) {
	if err := Text(fullDisk{}, allowed(), Options{}); err == nil {
		t.Error("Text hid a write error")
	}
	if err := JSON(fullDisk{}, allowed()); err == nil {
		t.Error("JSON hid a write error")
	}
}

package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// uses are what the policy of the tests' verdicts names.
func uses() []policy.ControlUse {
	return []policy.ControlUse{
		{ID: "NIST-AI-RMF:MEASURE-2.5", Step: "evaluate", Rule: "EVAL-1"}, {ID: "ACME:RISK-7", Step: "evaluate", Rule: "EVAL-1"},
		{ID: "NIST-AI-RMF:MANAGE-1.1", Step: "approve"}, {ID: "ACME:RISK-7", Step: "bias", Rule: "BIAS-1"}, {ID: "ACME:RISK-9", Step: "bias", Rule: "BIAS-1"},
	}
}

// withControls gives the verdict the controls of uses.
func withControls(v *policy.Verdict) *policy.Verdict {
	v.Requirements[2].Rules[0].Controls = []string{"NIST-AI-RMF:MEASURE-2.5", "ACME:RISK-7"}
	v.Requirements[3].Controls = []string{"NIST-AI-RMF:MANAGE-1.1"}
	return v
}

func statuses(c *Controls) string {
	var parts []string
	for _, x := range c.Controls {
		parts = append(parts, x.ID+" "+x.Status.String())
	}
	return strings.Join(parts, ", ")
}

func TestControls(t *testing.T) {
	allow := ControlsOf(withControls(allowed()), uses())
	// What nothing answers fails, also in an ALLOW: no bias step was asked for.
	if got, want := statuses(allow), "ACME:RISK-7 pass, ACME:RISK-9 fail, NIST-AI-RMF:MANAGE-1.1 pass, NIST-AI-RMF:MEASURE-2.5 pass"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	deny := ControlsOf(withControls(denied()), uses())
	if got, want := statuses(deny), "ACME:RISK-7 fail, ACME:RISK-9 fail, NIST-AI-RMF:MANAGE-1.1 fail, NIST-AI-RMF:MEASURE-2.5 fail"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A rule that holds on evidence that does not count answers nothing.
	v := withControls(allowed())
	v.Requirements[2].Status = policy.Unknown
	if got := statuses(ControlsOf(v, uses())); !strings.Contains(got, "MEASURE-2.5 unknown") {
		t.Errorf("the step is unknown, and the control: %s", got)
	}
	for name, c := range map[string]*Controls{"controls-allow": allow, "controls-deny": deny} {
		var b bytes.Buffer
		if err := ControlsText(&b, c, Options{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
	}
	var b bytes.Buffer
	if err := ControlsJSON(&b, deny); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("%v: %s", err, b.String())
	}
	if err := ControlsText(fullDisk{}, deny, Options{}); err == nil {
		t.Error("ControlsText hid a write error")
	}
}

// The zero verdict answers nothing, and nothing passes.
func TestControlsOfNothing(t *testing.T) {
	for _, c := range ControlsOf(&policy.Verdict{}, uses()).Controls {
		if c.Status != policy.Fail {
			t.Errorf("%s passes", c.ID)
		}
	}
}

func TestWhy(t *testing.T) {
	v := denied()
	v.Gaps = []policy.GapRef{{Code: attest.CodeRegUnavailable, Artifact: digest("model")}}
	place, err := PlaceOf(v, verify.Chain{}, digest("model").String())
	if err != nil {
		t.Fatal(err)
	}
	if len(place.Path) != 1 || place.Path[0].Role != "parent-model" || len(place.Plays) != 1 || len(place.Follows) != 1 || len(place.TakenBy) != 1 || len(place.MadeFrom) != 2 || len(place.Gaps) != 1 {
		t.Errorf("%+v", place)
	}
	for name, d := range map[string]attest.Digest{"why-model": digest("model"), "why-judged": digest("int8"), "why-frontier": digest("train"), "why-record": digest("payload train")} {
		place, err := PlaceOf(v, verify.Chain{}, d.Hex()[:12])
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Why(&b, place, Options{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
		b.Reset()
		if err := WhyJSON(&b, place); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("%v: %s", err, b.String())
		}
	}
}

// Of two ways the shorter one is told.
func TestWhyShortestPath(t *testing.T) {
	v := allowed()
	place, err := PlaceOf(v, verify.Chain{}, digest("train").String())
	if err != nil {
		t.Fatal(err)
	}
	if len(place.Path) != 1 || place.Path[0].Role != "calibration-data" {
		t.Errorf("%+v", place.Path)
	}
	v.Lineage = slices.Delete(v.Lineage, 1, 2)
	if place, err = PlaceOf(v, verify.Chain{}, digest("train").String()); err != nil || len(place.Path) != 2 {
		t.Errorf("%v %+v", err, place)
	}
}

func TestWhyRefuses(t *testing.T) {
	v := allowed()
	for q, want := range map[string]attest.Code{
		digest("model").String(): "", digest("model").Hex()[:8]: "",
		digest("never seen").String(): attest.CodeNotFound, "gitCommit:" + digest("model").Hex()[:8]: attest.CodeNotFound,
		"": attest.CodeUsage, "abc": attest.CodeUsage, "sha256:": attest.CodeUsage, "md5:abcdef": attest.CodeUsage, "model": attest.CodeUsage, strings.Repeat("a", 65): attest.CodeUsage,
	} {
		if _, err := PlaceOf(v, verify.Chain{}, q); attest.RefusalCode(err) != want {
			t.Errorf("%q: %v, want %q", q, err, want)
		}
	}
	// The beginning of several digests names none of them.
	other, err := attest.ParseDigest(digest("model").String()[:12] + strings.Repeat("0", 59))
	if err != nil {
		t.Fatal(err)
	}
	v.Lineage = append(v.Lineage, policy.Edge{Artifact: v.Artifact, Step: "quantize", Role: "code", Input: other})
	if _, err := PlaceOf(v, verify.Chain{}, digest("model").Hex()[:5]); attest.RefusalCode(err) != attest.CodeUsage || !strings.Contains(err.Error(), "begins 2 digests") {
		t.Errorf("got %v", err)
	}
}

// What signers wrote is data in the views too.
func TestViewsEscape(t *testing.T) {
	evil := "x\x1b[1A\nALLOW\u202e"
	v := withControls(denied())
	for i := range v.Requirements {
		r := &v.Requirements[i]
		r.Step = evil
		for j := range r.Selected {
			r.Selected[j].Principal = evil
		}
		for j := range r.Reasons {
			r.Reasons[j].Why, r.Reasons[j].Next = evil, evil
		}
		for j := range r.Rules {
			r.Rules[j].ID, r.Rules[j].Values = evil, []policy.Value{{Expression: evil, Value: evil}}
		}
	}
	for i := range v.Lineage {
		v.Lineage[i].Role, v.Lineage[i].Name, v.Lineage[i].Step = evil, evil, evil
	}
	for i := range v.Evidence {
		v.Evidence[i].Principal, v.Evidence[i].PredicateType, v.Evidence[i].BuildType = evil, evil, evil
	}
	for i := range v.Frontier {
		v.Frontier[i].Detail, v.Frontier[i].Role = evil, evil
	}
	var b bytes.Buffer
	if err := ControlsText(&b, ControlsOf(v, append(uses(), policy.ControlUse{ID: evil, Step: evil, Rule: evil})), Options{Reference: evil}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []attest.Digest{digest("model"), digest("int8"), digest("train"), digest("payload train")} {
		place, err := PlaceOf(v, verify.Chain{}, d.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := Why(&b, place, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Error("a control character reached a view")
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "ALLOW") {
			t.Errorf("a signer wrote the line %q", line)
		}
	}
}

func TestFindingsText(t *testing.T) {
	c := &PolicyCheck{File: "p.yaml", Findings: []policy.Finding{
		{Line: 3, Column: 5, Severity: policy.SeverityWarning, Code: "vacuous-rule", What: "rule X cannot fail", Advice: "remove it"},
		{Line: 9, Column: 1, Severity: policy.SeverityAdvice, Code: "no-veto", What: "a rejection does not stop it", Advice: "add veto"},
	}}
	var b bytes.Buffer
	if err := FindingsText(&b, c, Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "findings.txt", b.String())
	if n := c.Warnings(); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	b.Reset()
	if err := FindingsText(&b, &PolicyCheck{}, Options{}); err != nil || b.Len() > 0 {
		t.Errorf("%v, %q: nothing to say", err, b.String())
	}
}

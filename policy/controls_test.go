package policy

import (
	"strings"
	"testing"
)

// The frameworks' own counts: an id that was left out would be called a slip.
func TestFrameworksAreWhole(t *testing.T) {
	for prefix, want := range map[string]int{"NIST-AI-RMF": 72, "NIST-CSF": 106, "NIST-800-218A": 48, "OWASP-LLM": 10, "OWASP-AGENTIC": 10, "ISO-42001": 38} {
		for _, f := range frameworks() {
			if f.prefix == prefix && (len(f.numbers()) != want || !f.whole) {
				t.Errorf("%s has %d numbers, want %d", prefix, len(f.numbers()), want)
			}
		}
	}
}

func TestKnownControls(t *testing.T) {
	all := KnownControls()
	if len(all) < 120 {
		t.Fatalf("%d controls: some are missing", len(all))
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.ID] {
			t.Errorf("%s is in the table twice", c.ID)
		}
		seen[c.ID] = true
		if c.Asks == "" || c.Evidence == "" || c.Framework == "" || strings.ContainsAny(c.ID, " |") || strings.Contains(c.Asks+c.Evidence, "|") {
			t.Errorf("%+v", c)
		}
		if ok, _ := CheckControl(c.ID); !ok {
			t.Errorf("%s is in the table, and is refused", c.ID)
		}
	}
	for _, f := range frameworks() {
		numbers := map[string]bool{}
		for _, n := range f.numbers() {
			if numbers[n] {
				t.Errorf("%s:%s is listed twice", f.prefix, n)
			}
			numbers[n] = true
		}
	}
	all[0].ID = "changed"
	if KnownControls()[0].ID == "changed" {
		t.Error("the table can be changed from outside")
	}
}

func TestCheckControl(t *testing.T) {
	for _, c := range []struct {
		id   string
		ok   bool
		near string
	}{
		{"NIST-AI-RMF:MEASURE-2.5", true, ""},
		{"NIST-AI-RMF:MEASURE-2.10", true, ""}, // exists, without evidence of its own
		{"NIST-CSF:GV.PO-01", true, ""},
		{"EU-AI-ACT:ANNEX-IV-2g", true, ""},
		{"ACME:RISK-7", true, ""},
		{"RISK-7", true, ""},
		{"ISO-27001:A.8.4", true, ""}, // another standard, not a slip
		{"MITRE-ATTACK:T1078", true, ""},
		{"NIST-AI-RMF:MEASURE-2.51", false, "NIST-AI-RMF:MEASURE-2.5"},
		{"NIST-AI-RMF:MEASURE 2.5", false, "NIST-AI-RMF:MEASURE-2.5"},
		{"NIST-AI-RMF:MESURE-2.11", false, "NIST-AI-RMF:MEASURE-2.11"},
		{"NIST-CSF:GV.PO-1", false, "NIST-CSF:GV.PO-01"},
		{"nist-ai-rmf:MEASURE-2.5", false, "NIST-AI-RMF:MEASURE-2.5"},
		{"NIST-AI-RFM:MEASURE-2.5", false, "NIST-AI-RMF:MEASURE-2.5"},
		{"SLSA:BUILD-L9", false, "SLSA:BUILD-L0"},
		{"OWASP-LLM:LLM11", false, "OWASP-LLM:LLM10"},
		{"EU-AI-ACT:ANNEX-IV-2G", false, "EU-AI-ACT:ANNEX-IV-2g"},
		{"NIST-CSF:", false, ""},
		{"NIST-CSF", false, ""},
	} {
		ok, near := CheckControl(c.id)
		if ok != c.ok || near != c.near {
			t.Errorf("%s: %v %q, want %v %q", c.id, ok, near, c.ok, c.near)
		}
	}
}

package report

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func one(v *policy.Verdict) Index { return Index{Outcome: v.Outcome, Verdicts: []*policy.Verdict{v}} }

// several is an index of three artifacts, one of each answer.
func several() Index {
	x := Index{Outcome: policy.Deny, Index: digest("index"), Verdicts: []*policy.Verdict{allowed(), denied(), undecided()}}
	for i, name := range []string{"amd64", "arm64", "riscv"} {
		x.Verdicts[i].Artifact = digest(name)
	}
	return x
}

var manualOfTests = Manual{
	Explain: func(c attest.Code) (string, string) { return "what " + string(c) + " means", "what to do" },
	File:    "policies/credit prod.yaml",
	Line:    func(step string) int { return map[string]int{"evaluate": 41, "approve": 63}[step] },
}

func junitOf(t *testing.T, x Index, o Options) (string, junit.Testsuites) {
	t.Helper()
	var b bytes.Buffer
	if err := JUnit(&b, x, o); err != nil {
		t.Fatal(err)
	}
	var s junit.Testsuites
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatalf("no XML: %v\n%.2000s", err, b.String())
	}
	return b.String(), s
}

// sarifOf validates against the OASIS schema of SARIF 2.1.0, errata 01, which the
// library carries.
func sarifOf(t *testing.T, x Index, o Options, m Manual) (string, *sarif.Run) {
	t.Helper()
	var b bytes.Buffer
	if err := SARIF(&b, x, o, m); err != nil {
		t.Fatal(err)
	}
	return b.String(), validSARIF(t, b.Bytes())
}

func validSARIF(t *testing.T, b []byte) *sarif.Run {
	t.Helper()
	doc, err := sarif.FromBytes(b, sarif.WithStrictValidation())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(); err != nil {
		t.Fatalf("%v\n%.3000s", err, b)
	}
	if len(doc.Runs) != 1 {
		t.Fatalf("%d runs: a code scanner takes one of a category", len(doc.Runs))
	}
	return doc.Runs[0]
}

// The schema is one that refuses.
func TestSARIFSchemaRefuses(t *testing.T) {
	text, _ := sarifOf(t, one(denied()), Options{}, manualOfTests)
	for _, change := range [][2]string{{`"level": "error"`, `"level": "fatal"`}, {`"version": "2.1.0"`, `"version": "2.0.0"`}, {`"startLine": 41`, `"startLine": 0`}} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("no %s in\n%s", change[0], text)
		}
		doc, err := sarif.FromString(strings.Replace(text, change[0], change[1], 1), sarif.WithStrictValidation())
		if err == nil && doc.Validate() == nil {
			t.Errorf("%s is valid", change[1])
		}
	}
}

func TestCIGolden(t *testing.T) {
	o := Options{Repository: "registry.example/credit", Policy: "policies/credit prod.yaml"}
	for name, x := range map[string]Index{"allow": one(allowed()), "deny": one(denied()), "undecided": one(undecided()), "index": several()} {
		t.Run(name, func(t *testing.T) {
			text, _ := junitOf(t, x, o)
			golden(t, "junit-"+name+".xml", text)
			text, _ = sarifOf(t, x, o, manualOfTests)
			golden(t, "sarif-"+name+".json", text)
			again, _ := sarifOf(t, x, o, manualOfTests)
			if again != text {
				t.Error("the same verdict, other bytes")
			}
		})
	}
	refused := attest.Refusal{Code: attest.CodeRegUnavailable, About: "registry.example", Why: "no answer within 30s ]]>", Next: "verify again"}
	var b bytes.Buffer
	if err := JUnitRefusal(&b, refused); err != nil {
		t.Fatal(err)
	}
	golden(t, "junit-refusal.xml", b.String())
	b.Reset()
	if err := SARIFRefusal(&b, refused, 3); err != nil {
		t.Fatal(err)
	}
	validSARIF(t, b.Bytes())
	golden(t, "sarif-refusal.json", b.String())
}

// What CI counts is what the verdict says, whatever its requirements look like: under
// ALLOW nothing fails, and under anything else something does.
func TestCountsAgreeWithTheVerdict(t *testing.T) {
	odd := allowed() // a requirement that did not need to pass
	odd.Requirements[0].Status = policy.Fail
	open := &policy.Verdict{Outcome: policy.Undecided, Artifact: digest("x")}
	many := denied()
	many.Requirements = append(slices.Repeat([]policy.Requirement{{Step: "train", Artifact: digest("m"), Status: policy.Pass}}, 3*maxChecks), many.Requirements...)
	for name, c := range map[string]struct {
		v                  *policy.Verdict
		failures, errors   int
		findings, warnings int
	}{
		"allow": {allowed(), 0, 0, 0, 0}, "allow, and something failed": {odd, 0, 0, 0, 0}, "deny": {denied(), 3, 0, 3, 0}, "undecided": {undecided(), 0, 1, 0, 1},
		"nothing asked": {&policy.Verdict{}, 1, 0, 1, 0}, "nothing asked, undecided": {open, 0, 1, 0, 1}, "far too much": {many, 3, 0, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := junitOf(t, one(c.v), Options{})
			if s.Failures != c.failures || s.Errors != c.errors || s.Tests != len(s.Suites[0].Testcases) || s.Tests == 0 || s.Tests > maxChecks+1 {
				t.Errorf("%d tests, %d failures, %d errors", s.Tests, s.Failures, s.Errors)
			}
			names := map[string]bool{}
			for _, tc := range s.Suites[0].Testcases {
				if names[tc.Classname+"\n"+tc.Name] {
					t.Fatalf("two tests are called %q", tc.Name)
				}
				names[tc.Classname+"\n"+tc.Name] = true
			}
			_, run := sarifOf(t, one(c.v), Options{}, manualOfTests)
			levels := map[string]int{}
			for _, r := range run.Results {
				levels[r.Level]++
			}
			if levels["error"] != c.findings || levels["warning"] != c.warnings {
				t.Errorf("findings: %v", levels)
			}
		})
	}
}

// What signers and registries write is data to every reader, and no more of it than a
// reader shows.
func TestHostileNamesInCI(t *testing.T) {
	for _, hostile := range []string{
		"]]><testcase name=\"all is well\"/>", "\x00\x1b[2K\r\n\u202e\ufffe\uffff\U0001fffe \xff\xfe", "\"/><failure/><!-- -- > &amp; &#0; <![CDATA[",
		"[click](javascript:alert(1)) `x` {0} \\u0000", strings.Repeat("ä", 1<<20), "::set-output name=x::y%0A",
	} {
		v := denied()
		v.Policy.Name, v.Context = hostile, hostile
		v.Requirements[2].Step = hostile
		v.Requirements[2].Reasons[0] = policy.Reason{Code: attest.CodeRule, About: hostile, Why: hostile, Next: hostile}
		v.Acknowledged[0].Why = hostile
		for range 100 {
			v.Requirements[3].Reasons = append(v.Requirements[3].Reasons, policy.Reason{Code: attest.CodeQuorum, About: digest(hostile[:1]).String(), Why: hostile + strings.Repeat("x", len(v.Requirements[3].Reasons))})
		}
		text, s := junitOf(t, one(v), Options{Repository: hostile})
		if s.Failures != 3 || s.Tests != 5 {
			t.Errorf("%.40q: %d tests, %d failures", hostile, s.Tests, s.Failures)
		}
		out, run := sarifOf(t, one(v), Options{Repository: hostile}, Manual{File: "a:b/../c d%.yaml"})
		for _, r := range run.Results {
			if strings.Contains(*r.Message.Text, "](") {
				t.Errorf("a signer makes a link: %s", *r.Message.Text)
			}
		}
		if len(run.Results) > 40 {
			t.Errorf("%.40q: %d findings", hostile, len(run.Results))
		}
		for _, doc := range []string{text, out} {
			if strings.ContainsAny(doc, "\x00\x1b\r\u202e\ufffe\uffff") || len(doc) > 1<<20 {
				t.Errorf("%.40q: %d bytes, or control characters", hostile, len(doc))
			}
		}
	}
}

// A finding stays the same finding while words change, and is another one where the
// step, the code or what it is about is.
func TestFingerprints(t *testing.T) {
	print := func(change func(v *policy.Verdict)) string {
		v := denied()
		change(v)
		_, run := sarifOf(t, one(v), Options{}, manualOfTests)
		return run.Results[1].PartialFingerprints[fingerprint]
	}
	same := print(func(*policy.Verdict) {})
	if same == "" || print(func(v *policy.Verdict) { v.Requirements[2].Reasons[0].Why = "accuracy is 0.61" }) != same || print(func(v *policy.Verdict) { v.At = at(24) }) != same {
		t.Error("other words, another finding")
	}
	if print(func(v *policy.Verdict) { v.Requirements[2].Step = "bias" }) == same || print(func(v *policy.Verdict) { v.Requirements[2].Reasons[0].Code = attest.CodeStale }) == same {
		t.Error("another step or code, the same finding")
	}
}

func TestFileURI(t *testing.T) {
	for name, want := range map[string]string{"policy.yaml": "policy.yaml", "./p/../q/a b.yaml": "q/a%20b.yaml", "c:d.yaml": "./c:d.yaml", "/etc/p.yaml": "file:///etc/p.yaml"} {
		if got := fileURI(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

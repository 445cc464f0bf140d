package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

var checkedAt = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func findings(t *testing.T, w *chaintest.World, src string) []policy.Finding {
	t.Helper()
	p, err := load(w, src)
	if err != nil {
		t.Fatalf("the policy does not load: %v", err)
	}
	return p.Findings(checkedAt)
}

func list(fs []policy.Finding) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%d:%d: %s %s: %s\n\t%s\n", f.Line, f.Column, f.Severity, f.Code, f.What, f.Advice)
	}
	return b.String()
}

// What is said of the example is advice, each with a reason in its comments.
func TestFindingsOfTheExample(t *testing.T) {
	var codes []string
	for _, f := range findings(t, chaintest.New(t), readPolicy(t)) {
		codes = append(codes, f.Code)
		if f.Severity != policy.SeverityAdvice || f.What == "" || f.Advice == "" || f.Line < 1 || f.Column < 1 {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"unsafe-time", "signers-word", "signers-word", "accept-any", "signers-word", "no-sample-size", "no-sample-size"}
	if !slices.Equal(codes, want) {
		t.Errorf("got %v, want %v", codes, want)
	}
}

const (
	evalRule  = `'predicate.metrics["accuracy"].value >= 0.70'`
	apprRule  = `rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved", controls: [NIST-AI-RMF:MANAGE-1.1]}]`
	approvals = "    by: [alice, bob, carol]\n    threshold: 2                   # distinct principals\n    kind: human\n    notBy: [train, quantize, evaluate, bias]\n"
	testData  = "sameRun: train.training-data, notIn: [train.training-data]"
	veto      = "    veto: 'predicate.decision == \"rejected\"'\n"
)

// Each change of the example brings about one finding, at the place where the
// marked text stands.
func TestFindings(t *testing.T) {
	w := chaintest.New(t)
	before := findings(t, w, readPolicy(t))
	for _, c := range []struct {
		code, severity string
		old, new       string
		mark           string // in the changed policy; the first after the change
	}{
		{"vacuous-rule", "warning", evalRule, `'1 == 1'`, "cel: '1 =="},
		{"vacuous-rule", "warning", evalRule, `'predicate.kind == predicate.kind'`, "cel: 'predicate.kind =="},
		{"vacuous-rule", "warning", evalRule, `'predicate.metrics["accuracy"].n >= 0'`, "cel: '"},
		{"vacuous-rule", "warning", evalRule, `'0 <= size(predicate.metrics)'`, "cel: '0"},
		{"vacuous-rule", "warning", evalRule, `'has(predicate.metrics)'`, "cel: 'has"},
		{"vacuous-rule", "warning", evalRule, `'predicate.kind.matches("^.*$")'`, "cel: 'predicate.kind.m"},
		{"vacuous-rule", "warning", evalRule, `'predicate.kind == "quality"'`, "cel: 'predicate.kind"}, // where asked that before
		{"vacuous-rule", "warning", apprRule, `rules: [{id: APPR-1, cel: 'predicate.decision in ["approved", "rejected"]', message: x, controls: [A]}]`, "cel: 'predicate.decision in"},
		{"vacuous-rule", "warning", apprRule, `rules: [{id: APPR-1, cel: 'predicate.decision != "declined"', message: x, controls: [A]}]`, "cel: 'predicate.decision !="},
		{"impossible-rule", "warning", apprRule, `rules: [{id: APPR-1, cel: 'predicate.decision == "approve"', message: x, controls: [A]}]`, "cel: 'predicate.decision"},
		{"impossible-rule", "warning", evalRule, `'predicate.kind == "bias"'`, "cel: 'predicate.kind"}, // where leaves only quality
		{"impossible-rule", "warning", evalRule, `'predicate.metrics["a"].value > 0.9 && predicate.metrics["a"].value < 0.1'`, "cel: 'predicate.metrics[\"a\"]"},
		{"impossible-rule", "warning", evalRule, `'!(1 < 2) || size(predicate.metrics) < 0'`, "cel: '!"},
		{"impossible-where", "warning", `'"prod" in predicate.scope.environments'`, `'predicate.decision == "yes"'`, "where: 'predicate.decision"},
		{"impossible-where", "warning", `'predicate.kind == "quality"'`, `'predicate.kind == "quality" && "bias" == predicate.kind'`, "where: 'predicate.kind"},
		{"impossible-where", "warning", `'predicate.kind == "quality"'`, `'size(predicate.kind) >= 9 && size(predicate.kind) < 9'`, "where: 'size"},
		{"vacuous-where", "warning", `'"prod" in predicate.scope.environments'`, `'has(predicate.decision)'`, "where: 'has"},
		{"impossible-veto", "warning", `veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.decision == "denied"'`, "veto: '"},
		{"loose-match", "warning", evalRule, `'predicate.evaluator.id.startsWith("https://github.com/acme")'`, "cel: 'predicate.evaluator"},
		{"loose-match", "advice", evalRule, `'predicate.evaluator.id.contains("acme")'`, "cel: 'predicate.evaluator"},
		{"loose-match", "advice", evalRule, `'predicate.evaluator.id.endsWith("acme.example")'`, "cel: 'predicate.evaluator"},
		{"loose-pattern", "advice", evalRule, `'predicate.evaluator.id.matches("^https://acme.example/x$")'`, "cel: 'predicate.evaluator"},
		{"duplicate-rule", "warning", `controls: [NIST-AI-RMF:MEASURE-2.5]}`, `controls: [NIST-AI-RMF:MEASURE-2.5]}` + "\n      - {id: EVAL-2, cel: " + evalRule + ", message: again, controls: [A]}", "{id: EVAL-2"},
		{"rejection-counts", "warning", veto + "    acknowledgeAbsence: \"no status authority yet\"\n    where: '\"prod\" in predicate.scope.environments'\n    select: any\n    maxAge: 2160h\n    " + apprRule, "    acknowledgeAbsence: x\n    select: any\n    maxAge: 2160h\n", "approve:"},
		{"no-veto", "advice", veto, "", "approve:"},
		{"no-basis", "warning", "    basis: [evaluate, bias]        # must name the very evidence\n", "", "approve:"},
		{"partial-basis", "advice", "basis: [evaluate, bias]", "basis: [evaluate]", "basis: [evaluate]"},
		{"self-approval", "warning", "notBy: [train, quantize, evaluate, bias]", "notBy: [quantize, evaluate, bias]", "by: [alice, bob, carol]"},
		{"no-separation", "advice", approvals, "    by: [alice, bob]\n    threshold: 2\n    kind: human\n", "approve:"},
		{"machine-approval", "warning", approvals, "    by: [alice, evaluator]\n    threshold: 2\n    notBy: [train]\n", "by: [alice, evaluator]"},
		{"kind-open", "advice", "    kind: human\n", "", "approve:"},
		{"one-approver", "advice", "threshold: 2  ", "threshold: 1  ", "threshold: 1"},
		{"no-max-age", "advice", "    maxAge: 2160h\n", "", "approve:"},
		{"no-max-age", "advice", "    maxAge: 720h\n", "", "evaluate:"},
		{"lucky-run", "warning", "select: latest", "select: any", "select: any\n    maxAge"},
		{"self-evaluation", "warning", "    by: [evaluator]\n    notBy: [train, quantize]\n", "    by: [evaluator, trainer]\n", "by: [evaluator, trainer]"},
		{"no-disjointness", "warning", testData, "sameRun: train.training-data", "{role: evaluation-data"},
		{"accept-any", "warning", `{role: training-data, from: prepare, output: train}`, `{role: training-data, accept: any, reason: x}`, "accept: any, reason: x"},
		{"needless-accept", "advice", `{role: raw-data, from: ingest}`, `{role: raw-data, from: ingest, accept: any, reason: x}`, "accept: any, reason: x"},
		{"wide-origin", "warning", `{role: code, origin: "git+https://git.example/acme/credit"}` + "\n      - {role: env", `{role: code, origin: "git+https://github.com/"}` + "\n      - {role: env", `origin: "git+https://github.com/"`},
		{"unused-principal", "advice", "  carol: {kind", "  dora:  {kind: human, credentials: [{key: keys/dora.pub}]}\n  carol: {kind", "dora: "},
		{"long-expiry", "advice", "2027-05-01", "2029-05-01", "expires:"},
		{"short-expiry", "advice", "2027-05-01", "2026-12-01", "expires:"},
		{"needless-acknowledgment", "advice", "  quantize:\n", "  quantize:\n    acknowledgeAbsence: x\n", "acknowledgeAbsence: x"},
		{"status-waived", "warning", "unsafeTime: claimed ", "status: {by: [data]}\nunsafeTime: claimed ", "acknowledgeAbsence: \"no status authority yet\"\n    inputs:   "},
		{"unknown-control", "warning", "NIST-AI-RMF:MEASURE-2.5]", "ACME:X, NIST-AI-RMF:MEASURE-2.55]", "NIST-AI-RMF:MEASURE-2.55"},
		{"unlisted-control", "advice", "NIST-AI-RMF:MEASURE-2.5]", "EU-AI-ACT:ART-9-9]", "EU-AI-ACT:ART-9-9"},
		{"no-controls", "advice", ", controls: [NIST-AI-RMF:MEASURE-2.5]", "", "{id: EVAL-1"},
		{"same-evidence", "warning", `predicate.kind == "bias"`, `predicate.kind == "quality"`, "where: 'predicate.kind == \"quality\"'\n    rules:\n      - {id: BIAS"},
	} {
		t.Run(c.code, func(t *testing.T) {
			src := readPolicy(t)
			if strings.Count(src, c.old) < 1 {
				t.Fatalf("the policy does not contain %q", c.old)
			}
			src = strings.Replace(src, c.old, c.new, 1)
			i := strings.Index(src, c.mark)
			if i < 0 {
				t.Fatalf("the changed policy does not contain %q", c.mark)
			}
			line := 1 + strings.Count(src[:i], "\n")
			column := i - strings.LastIndex(src[:i], "\n")
			got := findings(t, w, src)
			if !slices.ContainsFunc(got, func(f policy.Finding) bool {
				return f.Code == c.code && f.Severity == c.severity && f.Line == line && f.Column == column && f.Advice != ""
			}) {
				t.Errorf("no %s %s at %d:%d in:\n%s", c.severity, c.code, line, column, list(got))
			}
			// The positive twin: the example itself is not found wanting there.
			if n := count(before, c.code); count(got, c.code) <= n {
				t.Errorf("%d findings of %s before the change and %d after", n, c.code, count(got, c.code))
			}
		})
	}
}

func count(fs []policy.Finding, code string) int {
	n := 0
	for _, f := range fs {
		if f.Code == code {
			n++
		}
	}
	return n
}

// A rule that nothing was found needs no sample size; one with a size has it.
func TestSampleSize(t *testing.T) {
	w := chaintest.New(t)
	before := count(findings(t, w, readPolicy(t)), "no-sample-size")
	for _, cel := range []string{`'predicate.metrics["findings"].value == 0.0'`, `'predicate.metrics["accuracy"].value >= 0.70 && predicate.metrics["accuracy"].n >= 200'`, `'predicate.metrics["accuracy"].interval.low >= 0.70'`} {
		if got := findings(t, w, strings.Replace(readPolicy(t), evalRule, cel, 1)); count(got, "no-sample-size") != before-1 {
			t.Errorf("%s:\n%s", cel, list(got))
		}
	}
}

// What like copied is said once, at the place where it is written.
func TestFindingsOfLike(t *testing.T) {
	got := findings(t, chaintest.New(t), strings.Replace(readPolicy(t), "select: latest", "select: any", 1))
	if count(got, "lucky-run") != 1 {
		t.Errorf("got:\n%s", list(got))
	}
}

const minimal = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: minimal, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals:
  alice: {kind: human, credentials: [{key: keys/alice.pub}]}
  bob:   {kind: human, credentials: [{key: keys/bob.pub}]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [alice, bob]
    select: any
    inputs: [{role: training-data, pin: ["sha256:2222222222222222222222222222222222222222222222222222222222222222"]}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice]
    select: any
`

// One person who trains and approves is found, and is no more as soon as the
// policy separates the two.
func TestOneForAll(t *testing.T) {
	w := chaintest.New(t)
	got := findings(t, w, minimal)
	if count(got, "one-for-all") != 1 || count(got, "rejection-counts") != 1 {
		t.Errorf("got:\n%s", list(got))
	}
	apart := strings.Replace(minimal, "    by: [alice]\n", "    by: [alice]\n    notBy: [train]\n    acknowledgeAbsence: x\n", 1)
	if got := findings(t, w, apart); count(got, "one-for-all") != 0 {
		t.Errorf("got:\n%s", list(got))
	}
}

// A rule, a where or a veto each keeps a rejection from counting.
func TestRejectionsThatDoNotCount(t *testing.T) {
	w := chaintest.New(t)
	for _, lines := range []string{
		`    rules: [{id: A, cel: 'predicate.decision == "approved"', message: x}]`,
		`    rules: [{id: A, cel: '"approved" == predicate.decision && predicate.role == "risk"', message: x}]`,
		`    rules: [{id: A, cel: 'predicate.decision != "rejected"', message: x}]`,
		`    rules: [{id: A, cel: '!(predicate.decision in ["rejected"])', message: x}]`,
		`    where: 'predicate.decision == "approved"'`,
		"    veto: 'predicate.decision == \"rejected\"'\n    acknowledgeAbsence: x",
	} {
		if got := findings(t, w, minimal+lines+"\n"); count(got, "rejection-counts") != 0 {
			t.Errorf("%s:\n%s", lines, list(got))
		}
	}
	for _, lines := range []string{
		`    rules: [{id: A, cel: 'predicate.role == "risk"', message: x}]`,
		`    rules: [{id: A, cel: 'predicate.decision == "approved" || predicate.role == "risk"', message: x}]`,
		"    veto: 'predicate.decision == \"approved\"'\n    acknowledgeAbsence: x",
	} {
		if got := findings(t, w, minimal+lines+"\n"); count(got, "rejection-counts") != 1 {
			t.Errorf("%s:\n%s", lines, list(got))
		}
	}
}

// Findings come in the order of the file, and the zero policy has none.
func TestFindingsInOrder(t *testing.T) {
	w := chaintest.New(t)
	got := findings(t, w, readPolicy(t))
	if len(got) < 5 || !slices.IsSortedFunc(got, func(a, b policy.Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	}) {
		t.Errorf("got:\n%s", list(got))
	}
	for _, p := range []*policy.Policy{nil, new(policy.Policy)} {
		if got := p.Findings(checkedAt); got != nil {
			t.Errorf("the zero policy has findings: %v", got)
		}
		if got := p.ControlUses(); got != nil {
			t.Errorf("the zero policy names controls: %v", got)
		}
	}
}

func TestControlUses(t *testing.T) {
	p, err := load(chaintest.New(t), readPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []policy.ControlUse{
		{ID: "NIST-AI-RMF:MEASURE-2.5", Step: "evaluate", Rule: "EVAL-1"},
		{ID: "NIST-AI-RMF:MEASURE-2.11", Step: "bias", Rule: "BIAS-1"},
		{ID: "NIST-AI-RMF:MANAGE-1.1", Step: "approve", Rule: "APPR-1"},
	}
	if got := p.ControlUses(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

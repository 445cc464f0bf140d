package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

// everything is a policy that uses every key of the language.
const everything = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: everything, version: 3, description: "all keys", expires: 2027-05-01T00:00:00Z}
artifact: tune
evidence: [registry.example/more]
unsafeTime: claimed
limits: {depth: 7, attestationsPerArtifact: 8, attestations: 9, bytes: 10, inputs: 11, time: 12s, celCost: 13000}
sharedFiles: ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]
principals:
  data:    {kind: workload, credentials: [{key: keys/data.pub}]}
  trainer: {kind: workload, credentials: [{key: keys/trainer.pub}]}
  alice:   {kind: human, credentials: [{key: keys/alice.pub}]}
  bob:     {kind: human, credentials: [{key: keys/bob.pub}]}
steps:
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://example.org/prepare/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, origin: "https://data.example/"}]
  tune:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://example.org/tune/v1
    by: [trainer]
    select: any
    agree: [base-model]
    acknowledgeAbsence: "tune reason"
    inputs:
      - {role: base-model, pin: ["sha256:2222222222222222222222222222222222222222222222222222222222222222"], min: 1, max: 2}
      - {role: training-data, from: prepare, output: train}
      - {role: environment, accept: any, reason: "recorded only", min: 0}
  test:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: artifact
    by: [data, trainer]
    select: latest
    acknowledgeAbsence: "test reason"
    inputs:
      - {role: evaluation-data, from: prepare, notIn: [tune.training-data], sameRun: [tune.training-data]}
    rules:
      - {id: TEST-1, cel: 'predicate.metrics["accuracy"].value >= 0.7', message: "too low", controls: [CTRL-1]}
  scan:
    predicate: https://example.org/scan/v1
    about: prepare
    optional: true
    by: [data]
    select: any
  again:
    like: scan
    where: 'predicate.kind == "two"'
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice, bob]
    threshold: 2
    kind: human
    notBy: [tune]
    basis: [test]
    maxAge: 48h
    where: 'predicate.role == "risk"'
    veto: 'predicate.decision == "rejected"'
    vetoBy: [alice]
    scope: '"prod" in predicate.scope.environments'
    acknowledgeAbsence: "approve reason"
    select: any
deny: [{artifacts: ["sha256:3333333333333333333333333333333333333333333333333333333333333333"], reason: "withdrawn", acknowledgeAbsence: "deny reason"}]
`

// A change changes the value of one key, and nothing else; both policies load.
type change struct{ part, key, old, new string }

func changes() []change {
	digest := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	return []change{
		{"policy", "artifact", "artifact: tune\n", "artifact: [tune, prepare]\n"},
		{"policy", "evidence", "[registry.example/more]", "[registry.example/other]"},
		{"policy", "unsafeTime", "unsafeTime: claimed\n", ""},
		{"policy", "sharedFiles", digest("1"), digest("4")},
		{"policy", "principals", "  data:    {kind: workload", "  data:    {kind: human"},
		{"policy", "deny", "\ndeny:", "\ndeny: []\n# deny:"},
		{"metadata", "name", "name: everything", "name: another"},
		{"metadata", "version", "version: 3", "version: 4"},
		{"metadata", "description", "all keys", "some keys"},
		{"metadata", "expires", "2027-05-01T00:00:00Z", "2027-05-01T00:00:01Z"},
		{"limits", "depth", "depth: 7", "depth: 70"},
		{"limits", "attestationsPerArtifact", "attestationsPerArtifact: 8", "attestationsPerArtifact: 80"},
		{"limits", "attestations", "attestations: 9", "attestations: 90"},
		{"limits", "bytes", "bytes: 10", "bytes: 100"},
		{"limits", "inputs", "inputs: 11", "inputs: 110"},
		{"limits", "time", "time: 12s", "time: 13s"},
		{"limits", "celCost", "celCost: 13000", "celCost: 14000"},
		{"principal", "kind", "alice:   {kind: human, credentials: [{key: keys/alice.pub}]}\n  bob:     {kind: human", "alice:   {kind: human, credentials: [{key: keys/alice.pub}]}\n  carl:    {kind: agent, credentials: [{key: keys/carl.pub}]}\n  bob:     {kind: human"},
		{"principal", "kind", "  trainer: {kind: workload", "  trainer: {kind: agent"},
		{"principal", "credentials", "[{key: keys/bob.pub}]", "[{key: keys/bob.pub}, {key: keys/more.pub}]"},
		{"credential", "key", "keys/bob.pub", "keys/other.pub"},
		{"step", "predicate", "https://example.org/scan/v1", "https://example.org/scan/v2"},
		{"step", "buildType", "https://example.org/tune/v1", "https://example.org/tune/v2"},
		{"step", "by", "by: [trainer]", "by: [trainer, data]"},
		{"step", "notBy", "notBy: [tune]", "notBy: [tune, prepare]"},
		{"step", "kind", "    kind: human\n", ""},
		{"step", "threshold", "threshold: 2", "threshold: 1"},
		{"step", "about", "about: prepare", "about: tune"},
		{"step", "optional", "    optional: true\n", ""},
		{"step", "select", "select: latest", "select: any"},
		{"step", "select", "select: latest", "select: all"},
		{"step", "inputs", `    inputs: [{role: raw-data, origin: "https://data.example/"}]`, ""},
		{"step", "basis", "    basis: [test]\n", ""},
		{"step", "agree", "agree: [base-model]", "agree: [base-model, training-data]"},
		{"step", "maxAge", "maxAge: 48h", "maxAge: 49h"},
		{"step", "where", `predicate.role == "risk"`, `predicate.role == "model risk"`},
		{"step", "veto", `veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.decision != "approved"'`},
		{"step", "vetoBy", "vetoBy: [alice]", "vetoBy: [bob]"},
		{"step", "scope", `"prod" in`, `"live" in`},
		{"step", "rules", "message: \"too low\", controls: [CTRL-1]}\n", "message: \"too low\", controls: [CTRL-1]}\n      - {id: TEST-2, cel: 'predicate.kind == \"quality\"', message: \"other\"}\n"},
		{"step", "acknowledgeAbsence", "tune reason", "tune excuse"},
		{"step", "like", "like: scan", "like: test"},
		{"rule", "id", "TEST-1", "TEST-9"},
		{"rule", "cel", ">= 0.7'", ">= 0.8'"},
		{"rule", "message", "too low", "far too low"},
		{"rule", "controls", "CTRL-1", "CTRL-2"},
		{"input", "role", "role: raw-data", "role: other-data"},
		{"input", "role", "role: raw-data, ", ""},
		{"input", "from", "from: prepare, output", "from: [prepare, tune], output"},
		{"input", "output", "output: train", "output: learn"},
		{"input", "origin", "https://data.example/", "https://data.example/sub"},
		{"input", "pin", digest("2"), digest("5")},
		{"input", "accept", `accept: any, reason: "recorded only"`, `origin: "https://data.example/", reason: "recorded only"`},
		{"input", "reason", "recorded only", "not judged"},
		{"input", "notIn", ", notIn: [tune.training-data]", ""},
		{"input", "notIn", "notIn: [tune.training-data]", "notIn: [tune.base-model]"},
		{"input", "sameRun", ", sameRun: [tune.training-data]", ""},
		{"input", "sameRun", "sameRun: [tune.training-data]", "sameRun: [tune.base-model]"},
		{"input", "min", "min: 1", "min: 2"},
		{"input", "max", "max: 2", "max: 3"},
		{"deny", "artifacts", digest("3"), digest("6")},
		{"deny", "reason", "withdrawn", "stolen"},
		{"deny", "acknowledgeAbsence", "deny reason", "deny excuse"},
	}
}

// sentences is all that the explanation says, but for the policy's digest, which
// every change changes.
func sentences(t *testing.T, w *chaintest.World, src string) string {
	t.Helper()
	p, err := load(w, src)
	if err != nil {
		t.Fatalf("the policy does not load: %v", err)
	}
	b, err := json.Marshal(p.Explain().Sections)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), p.Digest().String(), "DIGEST")
}

// Nothing that a policy says goes unexplained: a change of any key changes a
// sentence.
func TestEveryKeyIsExplained(t *testing.T) {
	w := chaintest.New(t)
	before := sentences(t, w, everything)
	// The first two have one value; the others only hold keys that have rows.
	tested := map[string]bool{"policy.apiVersion": true, "policy.kind": true, "policy.metadata": true, "policy.limits": true, "policy.steps": true}
	for _, c := range changes() {
		tested[c.part+"."+c.key] = true
		t.Run(c.part+"."+c.key, func(t *testing.T) {
			if strings.Count(everything, c.old) != 1 {
				t.Fatalf("the policy contains %q %d times, want once", c.old, strings.Count(everything, c.old))
			}
			if sentences(t, w, strings.Replace(everything, c.old, c.new, 1)) == before {
				t.Errorf("%q instead of %q changes no sentence", c.new, c.old)
			}
		})
	}
	for part, keys := range policy.LanguageKeys() {
		for _, key := range keys {
			if !tested[part+"."+key] {
				t.Errorf("no change tests that %s.%s is explained: add one, and the sentence", part, key)
			}
		}
	}
}

// What is copied by like is explained where it is copied to.
func TestExplainExpandsLike(t *testing.T) {
	w := chaintest.New(t)
	p, err := load(w, everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Explain().Sections {
		if s.Step == "again" {
			if b, err := json.Marshal(s); err != nil || !strings.Contains(string(b), "https://example.org/scan/v1") {
				t.Errorf("again is like scan, and is explained as %s (%v)", b, err)
			}
			return
		}
	}
	t.Error("the step again is not explained")
}

// From the judged artifact outward, each step once.
func TestExplainOrder(t *testing.T) {
	p, err := load(chaintest.New(t), readPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Explain().Sections {
		if s.Step != "" {
			got = append(got, s.Step)
		}
	}
	want := []string{"quantize", "evaluate", "bias", "approve", "train", "prepare", "ingest"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The zero policy denies everything, and says so.
func TestExplainNothing(t *testing.T) {
	for _, p := range []*policy.Policy{nil, new(policy.Policy)} {
		e := p.Explain()
		if len(e.Sections) != 1 || !strings.Contains(e.Sections[0].Sentences[0].Text, "everything is denied") {
			t.Errorf("got %+v", e)
		}
	}
}

package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func unreachable() error { return attest.Refuse(attest.CodeRegUnavailable, "no answer") }

// Claimed twice in the pass that binds, because sameRun is left out there, the
// parent must still be bound: otherwise notBy would look at nothing, and carol,
// who trained, could approve.
func TestSeparationThroughLinesThatOnlySameRunTellsApart(t *testing.T) {
	for name, condition := range map[string]string{"sameRun": "sameRun: [train.training-data], ", "the twin, by output": "output: train, "} {
		for trainer, want := range map[string]policy.Outcome{"trainer": policy.Allow, "carol": policy.Deny} {
			p := newPipeline(t)
			calib := p.world.Manifest(map[string]string{"calib.csv": "calibration rows"})
			p.add("prepare-calib", "data", calib, build("prepare", "run-7", 1, map[string]attest.Digest{"calib": calib}, input{"raw-data", "", p.raw.String()}, input{"code", codeURI, commit}))
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", calib.String()})
			p.replace(quantizeInputs, `    acknowledgeAbsence: x
    inputs:
      - {role: parent-model, from: train}
      - {role: calibration-data, from: prepare, `+condition+`min: 0}
      - {role: calibration-data, pin: ["`+calib.String()+`"], min: 0}`)
			p.replace(", sameRun: train.training-data", "")
			p.statements["train"].by, p.statements["approve-bob"].by = trainer, "carol"
			if v := p.verdict(); v.Outcome != want {
				t.Errorf("%s, trained by %s: want %s, got %s", name, trainer, want, explain(v))
			}
		}
	}
}

const quantizeInputs = `    inputs: [{role: parent-model, from: train}, {role: calibration-data, from: prepare, output: train}]`

// An approval that rested on an evaluation by somebody who may not evaluate does
// not come to count when that evaluation has grown stale.
func TestInadmissibleEvidenceDoesNotBecomeAdmissibleByAge(t *testing.T) {
	for _, at := range []time.Duration{710 * time.Hour, 800 * time.Hour} {
		p := newPipeline(t)
		p.policy = strings.ReplaceAll(p.policy, "    select: latest\n", "    select: any\n")
		p.policy = strings.ReplaceAll(p.policy, "by: [evaluator]", "by: [evaluator, carol]")
		p.statements["train"].by, p.statements["evaluate"].by = "carol", "carol"
		p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 60*700))
		p.add("bias-later", "evaluator", p.quant, p.evaluation("bias", 60*700))
		p.at = started.Add(at)
		if v := p.verdict(); v.Outcome != policy.Deny {
			t.Errorf("at %s: %s", at, explain(v))
		}
	}
}

// One line holds, and whether another does cannot be seen: neither an answer.
func TestTwoLinesOfWhichOneIsUnknown(t *testing.T) {
	p := newPipeline(t)
	p.replace(quantizeInputs, `    acknowledgeAbsence: x
    inputs:
      - {role: parent-model, from: train, min: 0}
      - {role: parent-model, pin: ["`+p.model.String()+`"], min: 0}
      - {role: calibration-data, from: prepare, output: train}`)
	p.statements["train"].omit = true
	p.replace(", sameRun: train.training-data, notIn: [train.training-data]", "")
	p.world.Break(p.model, unreachable())
	if v := p.verdict(); v.Outcome != policy.Undecided {
		t.Error(explain(v))
	}
}

// small asks that a quantised model's parent was trained and evaluated.
const small = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: small, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: quantize
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: keys/trainer.pub}]}
  evaluator: {kind: workload, credentials: [{key: keys/evaluator.pub}]}
  alice: {kind: human, credentials: [{key: keys/alice.pub}]}
steps:
  quantize:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/quantize/v1
    by: [trainer]
    select: any
    inputs: [{role: parent-model, from: train}, {role: calibration-data, accept: any, reason: x}]
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, accept: any, reason: x}, {role: code, accept: any, reason: x}]
  evaluate:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: train
    acknowledgeAbsence: x
    by: [evaluator]
    select: any
    inputs: [{role: evaluation-data, accept: any, reason: x}, {role: harness, accept: any, reason: x}]
`

// Evidence that could not be seen at the root may bind another parent, which
// nobody evaluated: then what is asked "about every parent" cannot be answered.
func TestUnseenEvidenceMayBindMore(t *testing.T) {
	for _, c := range []struct {
		name                  string
		gap, second, optional bool
		want                  policy.Outcome
	}{
		{"all is seen", false, false, false, policy.Allow},
		{"a second parent without evaluation", false, true, false, policy.Deny},
		{"the second parent may be unseen", true, false, false, policy.Undecided},
		{"it may be unseen, and the step is optional", true, false, true, policy.Undecided},
	} {
		p := newPipeline(t)
		p.policy = small
		if c.optional {
			p.replace("    about: train\n", "    about: train\n    optional: true\n")
		}
		p.statements["evaluate"].subject = p.model
		if c.second {
			other := p.world.Manifest(map[string]string{"model.safetensors": "other"})
			p.add("train-2", "trainer", other, build("train", "run-8", 2, nil, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}))
			p.add("quantize-2", "trainer", p.quant, build("quantize", "run-9", 3, nil, input{"parent-model", "", other.String()}, input{"calibration-data", "", p.train.String()}))
		}
		if c.gap {
			p.world.Break(p.quant, unreachable())
		}
		if v := p.verdict(); v.Outcome != c.want {
			t.Errorf("%s: want %s, got %s", c.name, c.want, explain(v))
		}
	}
}

// What would play a step but for notBy does not play it, and a step about it has
// nothing to be about.
func TestExcludedMakersBindNothing(t *testing.T) {
	p := newPipeline(t)
	p.policy = strings.Replace(small, "artifact: quantize", "artifact: [quantize, package]", 1) + `  package:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/quantize/v1
    by: [trainer]
    notBy: [train]
    acknowledgeAbsence: x
    select: any
    inputs: [{role: parent-model, accept: any, reason: x}, {role: calibration-data, accept: any, reason: x}]
  scan:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: package
    acknowledgeAbsence: x
    by: [evaluator]
    select: any
    inputs: [{role: evaluation-data, accept: any, reason: x}, {role: harness, accept: any, reason: x}]
`
	p.statements["evaluate"].subject = p.model
	if v := p.verdict(); v.Outcome != policy.Deny {
		t.Error(explain(v))
	}
}

// The run that is seen gives the data set another name; one that is not may give
// it the right one.
func TestOutputNameMayBeUnseen(t *testing.T) {
	p := newPipeline(t)
	dig(p.statements["prepare-train"].body, "runDetails")["byproducts"] = []any{map[string]any{"name": "other", "digest": digestSet(p.train.String())}}
	p.world.Break(p.train, unreachable())
	if v := p.verdict(); v.Outcome != policy.Undecided {
		t.Error(explain(v))
	}
}

// Evidence named at an artifact that is no part of the chain is not "unseen".
func TestBasisOutsideOfTheChain(t *testing.T) {
	p := newPipeline(t)
	s := p.statements["approve-bob"]
	s.omit = true
	p.sign()
	p.fillApproval(s, 8)
	s.body["basis"] = append(s.body["basis"].([]any), map[string]any{"payload": digestSet(chaintestDigest("gone")), "artifact": digestSet(chaintestDigest("nowhere"))})
	p.world.Sign("bob", p.quant, approval, s.body)
	if v := p.judge(); v.Outcome != policy.Deny {
		t.Error(explain(v))
	}
}

// A record that fails its own step does not show that two data sets are of one
// run.
func TestSameRunByARecordThatFails(t *testing.T) {
	p := newPipeline(t)
	p.replace("    by: [data]\n    select: any\n    inputs:\n      - {role: raw-data, from: ingest}", "    by: [data]\n    select: all\n    acknowledgeAbsence: x\n    inputs:\n      - {role: raw-data, from: ingest}")
	p.replace("  train:\n", `  import:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/import/v1
    by: [data]
    select: any
    inputs: []
  train:
`)
	p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, from: [prepare, import]}")
	p.replace(", output: train}]", "}]")
	p.policy = strings.ReplaceAll(p.policy, "{role: calibration-data, from: prepare}", "{role: calibration-data, from: [prepare, import]}")
	p.add("import", "data", p.train, build("import", "run-9", 1, map[string]attest.Digest{"train": p.train}))
	if v := p.verdict(); v.Outcome != policy.Allow {
		t.Fatalf("the twin must be allowed: %s", explain(v))
	}
	p2 := newPipeline(t)
	p2.policy = p.policy
	p2.add("import", "data", p2.train, build("import", "run-9", 1, map[string]attest.Digest{"train": p2.train}))
	p2.statements["prepare-train"].inputs(input{"raw-data", "", p2.raw.String()}, input{"code", "git+https://git.example/evil/repo", commit})
	if v := p2.verdict(); v.Outcome != policy.Deny {
		t.Error(explain(v))
	}
}

// BenchmarkEvaluate judges chains in which one principal said the same thing many
// times, in the two places where every record might be compared with every other.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{100, 1000} {
		p := newPipeline(b)
		for i := range n {
			p.add(fmt.Sprint("train-", i), "carol", p.model, build("train", fmt.Sprint("r", i), 2, nil, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}))
			p.add(fmt.Sprint("approve-", i), "carol", p.quant, map[string]any{"comment": fmt.Sprint(i)})
		}
		p.sign()
		pol := p.load()
		chain := p.chain(pol)
		b.Run(fmt.Sprintf("records=%d", 2*n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pol.Evaluate(chain, policy.Question{At: p.at, Known: p.at})
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(2*n), "µs/record")
		})
	}
}

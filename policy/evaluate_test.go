package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

func TestThePipelineIsAllowed(t *testing.T) {
	v := newPipeline(t).verdict()
	if v.Outcome != policy.Allow {
		t.Fatal(explain(v))
	}
	if len(v.Requirements) != 9 {
		t.Errorf("%d requirements, want ingest, prepare ×2, train, quantize, evaluate, bias, approve, deny:\n%s", len(v.Requirements), explain(v))
	}
	if len(v.Frontier) != 3 {
		t.Errorf("frontier %v, want the raw data, and the commit as code and as harness", v.Frontier)
	}
}

// Each case changes one thing of the pipeline that is allowed unchanged (the
// positive twin is TestThePipelineIsAllowed) and names the answer.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *pipeline)
		want   policy.Outcome
		code   attest.Code
	}{
		{"CHN-01 no training evidence", func(p *pipeline) { p.statements["train"].omit = true }, policy.Deny, attest.CodeChainMissing},
		{"CHN-01 no ingest evidence", func(p *pipeline) { p.statements["ingest"].omit = true }, policy.Deny, attest.CodeChainMissing},
		{"CHN-08 MLS-06 edge to other bytes", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", chaintestDigest("other rows")}, input{"code", codeURI, commit})
		}, policy.Deny, attest.CodeChainBrokenEdge},
		{"CHN-09 evaluation data of another run", func(p *pipeline) {
			dig(p.statements["prepare-test"].body, "runDetails", "metadata")["invocationId"] = "run-9"
		}, policy.Deny, attest.CodeChainForeign},
		{"CHN-10 MLS-02 STM-01 MLS-24 evaluation of the float model", func(p *pipeline) {
			p.statements["evaluate"].subject, p.statements["evaluate"].where = p.model, p.quant
		}, policy.Deny, attest.CodeSubjectMismatch},
		{"CHN-02 the model is its own parent", func(p *pipeline) {
			p.statements["quantize"].inputs(input{"parent-model", "", p.quant.String()}, input{"calibration-data", "", p.train.String()})
		}, policy.Deny, attest.CodeChainCycle},
		{"CHN-13 a failing evaluation beside a good one", func(p *pipeline) {
			s := p.add("evaluate-2", "evaluator", p.quant, p.evaluation("quality", 4))
			dig(s.body, "metrics", "accuracy")["value"] = "0.50"
		}, policy.Deny, attest.CodeConflict},
		{"CHN-14 contradicting provenance", func(p *pipeline) {
			p.add("train-2", "trainer", p.model, build("train", "run-8", 2, map[string]attest.Digest{"model": p.model}, input{"training-data", "", p.test.String()}, input{"code", codeURI, commit}))
		}, policy.Deny, attest.CodeConflict},
		{"CHN-17 a data set that no step made", func(p *pipeline) { p.statements["prepare-train"].omit = true }, policy.Deny, attest.CodeChainMissing},
		{"MLS-05 evaluation on the training data", func(p *pipeline) {
			p.statements["evaluate"].body["inputs"].([]any)[0] = map[string]any{"role": "evaluation-data", "digest": digestSet(p.train.String())}
		}, policy.Deny, attest.CodeLeakage},
		{"MLS-05 one file of the training data", func(p *pipeline) {
			leaky := p.world.Manifest(map[string]string{"test.csv": "test rows", "extra.csv": "training rows"})
			p.test = leaky
			both := map[string]attest.Digest{"train": p.train, "test": leaky}
			code := input{"code", codeURI, commit}
			for name, d := range both {
				s := p.statements["prepare-"+name]
				s.subject, s.body = d, build("prepare", "run-2", 1, both, input{"raw-data", "", p.raw.String()}, code)
			}
			for _, name := range []string{"evaluate", "bias"} {
				p.statements[name].body["inputs"].([]any)[0] = map[string]any{"role": "evaluation-data", "digest": digestSet(leaky.String())}
			}
		}, policy.Deny, attest.CodeLeakage},
		{"MLS-09 POL-20 the float model instead of the quantised", func(p *pipeline) { p.root = p.model }, policy.Deny, attest.CodeChainMissing},
		{"MLS-16 an input of a role nobody thought of", func(p *pipeline) {
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.train.String()}, input{"adapter", "", chaintestDigest("lora")})
		}, policy.Deny, attest.CodeInput},
		{"MLS-20 accuracy below the threshold", func(p *pipeline) {
			dig(p.statements["evaluate"].body, "metrics", "accuracy")["value"] = "0.69"
		}, policy.Deny, attest.CodeRule},
		{"MLS-20 the metric is missing", func(p *pipeline) {
			delete(dig(p.statements["evaluate"].body, "metrics"), "accuracy")
		}, policy.Deny, attest.CodePolicyEval},
		{"MLS-20 a number instead of a decimal", func(p *pipeline) {
			dig(p.statements["evaluate"].body, "metrics", "accuracy")["value"] = 0.99
		}, policy.Deny, attest.CodePredicateSchema},
		{"MLS-22 code from elsewhere", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"code", "git+https://git.example/acme/credit-evil@refs/heads/main", commit})
		}, policy.Deny, attest.CodeInput},
		{"MLS-22 code behind dot segments", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"code", "git+https://git.example/acme/credit/../evil", commit})
		}, policy.Deny, attest.CodeInput},
		{"MLS-22 code behind dot segments after the reference", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"code", "git+https://git.example/acme/credit@x/../../../evil/repo", commit})
		}, policy.Deny, attest.CodeInput},
		{"MLS-25 the trainer's key approves", func(p *pipeline) { p.statements["approve-bob"].by = "trainer" }, policy.Deny, attest.CodeQuorum},
		{"MLS-25 carol trained and approves", func(p *pipeline) {
			p.statements["train"].by = "carol"
			p.statements["approve-bob"].by = "carol"
		}, policy.Deny, attest.CodeQuorum},
		{"ENV-10 one approver twice", func(p *pipeline) {
			s := p.statements["approve-bob"]
			s.by, s.body["comment"] = "alice", "again"
		}, policy.Deny, attest.CodeQuorum},
		{"STM-13 another predicate type only", func(p *pipeline) {
			p.statements["bias"].omit = true
			p.statements["bias"].typ = "https://example.org/other/v1"
		}, policy.Deny, attest.CodeChainMissing},
		{"STM-22 MLS-08 MLS-29 MLS-30 an input without digest", func(p *pipeline) {
			deps := dig(p.statements["train"].body, "buildDefinition")["resolvedDependencies"].([]any)
			delete(deps[0].(map[string]any), "digest")
			deps[0].(map[string]any)["uri"] = "https://data.example/latest.csv"
		}, policy.Deny, attest.CodeUnpinned},
		{"MLS-21 a harness without digest", func(p *pipeline) {
			delete(p.statements["evaluate"].body["inputs"].([]any)[1].(map[string]any), "digest")
		}, policy.Deny, attest.CodeUnpinned},
		{"STM-02 one approval of two models", func(p *pipeline) {
			p.statements["approve-bob"].alsoAbout = p.model
		}, policy.Deny, attest.CodeSubjectAmbiguous},
		{"STM-08 an evaluation of one file of the model", func(p *pipeline) {
			p.statements["evaluate"].subject, p.statements["evaluate"].where = chaintest.File("int8 weights"), p.quant
		}, policy.Deny, attest.CodeSubjectMismatch},
		{"MLS-01 MLS-12 other weights with the approved model's evidence beside them", func(p *pipeline) {
			p.root = p.world.Manifest(map[string]string{"model.safetensors": "evil weights", "config.json": "{}", "modeling_x.py": "import os"})
			for _, name := range []string{"quantize", "evaluate", "bias", "approve-alice", "approve-bob"} {
				p.statements[name].where = p.root
			}
		}, policy.Deny, attest.CodeSubjectMismatch},
		{"IDN an evaluation by somebody else", func(p *pipeline) { p.statements["evaluate"].by = "trainer" }, policy.Deny, attest.CodeIdentity},
		{"TIM-14 an approval from the future", func(p *pipeline) {
			p.statements["approve-bob"].body["approvedAt"] = p.at.Add(6 * time.Minute).Format(time.RFC3339)
		}, policy.Deny, attest.CodeTimeWindow},
		{"TIM-16 approved before the evaluation", func(p *pipeline) {
			p.statements["approve-bob"].body["approvedAt"] = minute(-10)
		}, policy.Deny, attest.CodeChainOrder},
		{"TIM-17 the evaluation is too old", func(p *pipeline) { p.at = started.Add(721 * time.Hour) }, policy.Deny, attest.CodeStale},
		{"TIM-17 the approval has ended", func(p *pipeline) {
			p.statements["approve-bob"].body["validUntil"] = minute(20)
		}, policy.Deny, attest.CodeStale},
		{"an approval that names one evaluation of two", func(p *pipeline) { p.statements["approve-bob"].basis = []string{"bias"} }, policy.Deny, attest.CodeBasis},
		{"an approval that names no basis", func(p *pipeline) { p.statements["approve-bob"].body["basis"] = []any{} }, policy.Deny, attest.CodePredicateSchema},
		{"an approval of evidence that is gone", func(p *pipeline) {
			p.statements["approve-bob"].body["basis"] = []any{map[string]any{"payload": digestSet(chaintestDigest("gone")), "artifact": digestSet(p.quant.String())}}
		}, policy.Deny, attest.CodeBasis},
		{"an approval of the evaluations and of evidence that is gone", func(p *pipeline) {
			p.statements["approve-bob"].gone = true
		}, policy.Deny, attest.CodeBasis},
		{"a build of another type", func(p *pipeline) {
			dig(p.statements["train"].body, "buildDefinition")["buildType"] = buildTypes + "finetune/v1"
		}, policy.Deny, attest.CodeChainMissing},
		{"an unreadable provenance beside a good one", func(p *pipeline) {
			s := p.add("train-2", "trainer", p.model, build("train", "run-8", 2, nil))
			delete(s.body, "runDetails")
		}, policy.Deny, attest.CodeConflict},
		{"a data set whose files cannot be known", func(p *pipeline) {
			p.raw = p.world.PutManifest([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
			p.statements["ingest"].subject = p.raw
			for _, name := range []string{"prepare-train", "prepare-test"} {
				p.statements[name].inputs(input{"raw-data", "", p.raw.String()}, input{"code", codeURI, commit})
			}
		}, policy.Undecided, attest.CodeDenied},
		{"a step about artifacts of which there are none", func(p *pipeline) {
			p.policy = withPackage(p.policy, "")
		}, policy.Deny, attest.CodeChainMissing},
		{"two lines claim one input", func(p *pipeline) {
			p.replace(`{role: environment, accept`, `{role: code, accept: any, reason: x}`+"\n      - {role: environment, accept")
		}, policy.Deny, attest.CodeInput},
		{"CHN-09 one run, and none that is named", func(p *pipeline) {
			for _, name := range []string{"prepare-train", "prepare-test"} {
				delete(dig(p.statements[name].body, "runDetails", "metadata"), "invocationId")
			}
		}, policy.Deny, attest.CodeChainForeign},
		{"CHN-09 one run number of two signers", func(p *pipeline) {
			p.policy = strings.ReplaceAll(p.policy, "by: [data]", "by: [data, trainer]")
			p.statements["prepare-test"].by = "trainer"
		}, policy.Deny, attest.CodeChainForeign},
		{"two names for one output", func(p *pipeline) {
			by := dig(p.statements["prepare-train"].body, "runDetails")
			by["byproducts"] = append([]any{map[string]any{"name": "other", "digest": digestSet(p.train.String())}}, by["byproducts"].([]any)...)
		}, policy.Deny, attest.CodeChainBrokenEdge},
		{"an agent approves where humans must", func(p *pipeline) {
			p.replace("carol: {kind: human", "carol: {kind: agent")
			p.statements["approve-bob"].by = "carol"
		}, policy.Deny, attest.CodeIdentity},
		{"MLS-25 alice trained with her other key", func(p *pipeline) {
			p.replace("{key: keys/alice.pub}", "{key: keys/alice.pub}, {key: keys/alice2.pub}")
			p.replace("by: [trainer, carol] ", "by: [trainer, alice] ")
			p.statements["train"].by = "alice2"
		}, policy.Deny, attest.CodeQuorum},
		{"an unreadable evaluation beside a good one", func(p *pipeline) {
			s := p.add("evaluate-2", "evaluator", p.quant, p.evaluation("quality", 4))
			delete(s.body, "metrics")
		}, policy.Deny, attest.CodePredicateSchema},
		{"a veto that cannot be evaluated", func(p *pipeline) {
			p.replace(`veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.comment == "no"'`)
		}, policy.Deny, attest.CodeVeto},
		{"a veto in scope", func(p *pipeline) {
			p.replace(`veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.decision == "rejected"'`+"\n    scope: '\"prod\" in predicate.scope.environments'")
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		}, policy.Deny, attest.CodeVeto},
		{"a veto whose scope cannot be evaluated", func(p *pipeline) {
			p.replace(`veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.decision == "rejected"'`+"\n    scope: 'predicate.role == \"risk\"'")
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		}, policy.Deny, attest.CodeVeto},
		{"a failing evaluation, and a newer one may be unseen", func(p *pipeline) {
			dig(p.statements["evaluate"].body, "metrics", "accuracy")["value"] = "0.50"
			p.world.Break(p.quant, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
		}, policy.Undecided, attest.CodeRule},
		{"a veto stands, whatever is unseen", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
			p.world.Break(p.quant, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
		}, policy.Deny, attest.CodeVeto},
		{"an approval with conditions", func(p *pipeline) {
			p.statements["approve-bob"].body["conditions"] = []any{map[string]any{"id": "C1", "text": "monitor drift"}}
		}, policy.Deny, attest.CodeConditions},
		{"a veto", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		}, policy.Deny, attest.CodeVeto},
		{"a veto outside of where", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected", "scope": map[string]any{"environments": []any{"staging"}}})
		}, policy.Deny, attest.CodeVeto},
		{"an unreadable record vetoes", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": 7})
		}, policy.Deny, attest.CodeVeto},
		{"raw data with another digest than the pinned", func(p *pipeline) {
			p.statements["ingest"].inputs(input{"raw-data", rawURI, chaintestDigest("other raw data")})
		}, policy.Deny, attest.CodeInput},
		{"the test output used for training", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.test.String()}, input{"code", codeURI, commit})
		}, policy.Deny, attest.CodeChainBrokenEdge},
		{"two inputs where one is allowed", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit})
		}, policy.Deny, attest.CodeInput},
		{"CHN-22 MLS-17 MLS-28 an input missing", func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()})
		}, policy.Deny, attest.CodeChainMissing},
		{"a denied artifact in the ancestry", func(p *pipeline) {
			p.replace("sha256:0000000000000000000000000000000000000000000000000000000000000000", p.raw.String())
		}, policy.Deny, attest.CodeDenied},
		{"a denied file in the ancestry", func(p *pipeline) {
			p.replace("sha256:0000000000000000000000000000000000000000000000000000000000000000", chaintestDigest("float weights"))
		}, policy.Deny, attest.CodeDenied},
		{"the policy has expired", func(p *pipeline) {
			p.replace("2027-05-01T00:00:00Z", "2026-11-23T12:30:00Z")
		}, policy.Deny, attest.CodePolicyExpired},
		{"nobody authenticated the time", func(p *pipeline) { p.replace("unsafeTime: claimed ", "") }, policy.Deny, attest.CodeTimeMissing},
		{"CHN-16 the base repository is down", func(p *pipeline) {
			p.world.Break(p.raw, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
			p.statements["ingest"].omit = true
		}, policy.Undecided, attest.CodeRegUnavailable},
		{"CHN-16 the model's own listing fails", func(p *pipeline) {
			p.world.Break(p.quant, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
		}, policy.Undecided, attest.CodeRegUnavailable},
		{"POL-12 an expression that costs too much", func(p *pipeline) {
			p.replace(`predicate.metrics["accuracy"].value >= 0.70`, `[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a+b+c+d+e > 0)))))`)
		}, policy.Undecided, attest.CodePolicyCost},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPipeline(t)
			c.change(p)
			v := p.verdict()
			if v.Outcome != c.want || !slices.Contains(codes(v), c.code) {
				t.Errorf("want %s with %s, got %v:\n%s", c.want, c.code, codes(v), explain(v))
			}
		})
	}
}

// withPackage adds an alternative to the judged step, that nothing satisfies, and
// a step about what it makes.
func withPackage(src, optional string) string {
	src = strings.Replace(src, "artifact: quantize ", "artifact: [quantize, package] ", 1)
	return strings.Replace(src, "deny:", `  package:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/package/v1
    by: [trainer]
    select: any
  scan:
    predicate: https://example.org/scan/v1
    about: package
    acknowledgeAbsence: x
    by: [evaluator]
    select: any
`+optional+"deny:", 1)
}

// An approval given when there was nothing to rest on says so.
func TestApprovedBeforeAnything(t *testing.T) {
	p := newPipeline(t)
	p.statements["approve-bob"].body["approvedAt"] = minute(-10)
	v := p.verdict()
	for _, r := range v.Requirements {
		for _, why := range r.Reasons {
			if why.Code == attest.CodeBasis && strings.Contains(why.Why, "there was no evaluate evidence to rest on") {
				return
			}
		}
	}
	t.Error(explain(v))
}

func chaintestDigest(s string) string { return attest.SHA256([]byte(s)).String() }

// What is no reason to refuse.
func TestStillAllowed(t *testing.T) {
	for name, change := range map[string]func(p *pipeline){
		"a stranger's evaluation": func(p *pipeline) {
			s := p.add("evaluate-stranger", "mallory", p.quant, p.evaluation("quality", 4))
			dig(s.body, "metrics", "accuracy")["value"] = "0.01"
		},
		"carol trained, others approve": func(p *pipeline) { p.statements["train"].by = "carol" },
		"an environment lock file": func(p *pipeline) {
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}, input{"environment", "", chaintestDigest("lock")})
		},
		"a later evaluation that passes needs no new approval": func(p *pipeline) {
			p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 30))
		},
		"an optional step about artifacts of which there are none": func(p *pipeline) {
			p.policy = withPackage(p.policy, "    optional: true\n")
		},
		"an old evaluation that was stale when the others approved": func(p *pipeline) {
			p.replace("    select: latest\n", "    select: any\n")
			p.add("evaluate-old", "evaluator", p.quant, p.evaluation("quality", -60*800))
		},
		"the evaluation approved on has aged, and a later one passes": func(p *pipeline) {
			p.policy = strings.ReplaceAll(p.policy, "    select: latest\n", "    select: any\n")
			p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 60*700))
			p.add("bias-later", "evaluator", p.quant, p.evaluation("bias", 60*700))
			p.at = started.Add(800 * time.Hour)
		},
		"a veto out of scope": func(p *pipeline) {
			p.replace(`veto: 'predicate.decision == "rejected"'`, `veto: 'predicate.decision == "rejected"'`+"\n    scope: '\"prod\" in predicate.scope.environments'")
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected", "scope": map[string]any{"environments": []any{"staging"}}})
		},
		"an evaluator's clock four minutes ahead of the approvers'": func(p *pipeline) {
			p.statements["evaluate"].body["evaluatedAt"] = minute(11)
		},
		"an older evaluation that failed, superseded": func(p *pipeline) {
			s := p.add("evaluate-older", "evaluator", p.quant, p.evaluation("quality", 3))
			dig(s.body, "metrics", "accuracy")["value"] = "0.50"
		},
		"exactly as old as allowed": func(p *pipeline) { p.at = started.Add(4*time.Minute + 720*time.Hour) },
		"an approval of staging beside": func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"scope": map[string]any{"environments": []any{"staging"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t)
			change(p)
			if v := p.verdict(); v.Outcome != policy.Allow {
				t.Error(explain(v))
			}
		})
	}
}

// A later evaluation that fails takes the approval with it.
func TestLaterEvaluationMustPass(t *testing.T) {
	p := newPipeline(t)
	s := p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 30))
	dig(s.body, "metrics", "accuracy")["value"] = "0.50"
	if v := p.verdict(); v.Outcome != policy.Deny || !slices.Contains(codes(v), attest.CodeRule) {
		t.Error(explain(v))
	}
}

// What could not be seen at one artifact, and what becomes unknown by it: each
// reason is one kind of absence on which the requirement rests.
func TestGaps(t *testing.T) {
	for _, c := range []struct {
		at    func(p *pipeline) attest.Digest
		step  string
		want  policy.Status
		whole bool // the requirement must give no reason
		why   string
	}{
		{func(p *pipeline) attest.Digest { return p.quant }, "evaluate", policy.Unknown, false, "a newer or failing record may be among it"},
		{func(p *pipeline) attest.Digest { return p.quant }, "approve", policy.Unknown, false, "a veto may be among it"},
		{func(p *pipeline) attest.Digest { return p.quant }, "approve", policy.Unknown, false, "which evaluate evidence there was"},
		{func(p *pipeline) attest.Digest { return p.quant }, "quantize", policy.Pass, true, ""},
		{func(p *pipeline) attest.Digest { return p.model }, "approve", policy.Unknown, false, "whether alice also did train cannot be seen"},
		{func(p *pipeline) attest.Digest { return p.model }, "train", policy.Unknown, false, "a contradicting record may be among it"},
		{func(p *pipeline) attest.Digest { return p.model }, "evaluate", policy.Unknown, false, "is disjoint from train.training-data depends on"},
		{func(p *pipeline) attest.Digest { return p.raw }, "ingest", policy.Pass, true, ""},
		{func(p *pipeline) attest.Digest { return p.raw }, "deny", policy.Unknown, false, "something denied may be among them"},
	} {
		p := newPipeline(t)
		if strings.HasPrefix(c.why, "a ") { // leave out the other reasons that come first
			for _, drop := range []string{"    notBy: [train, quantize]\n", "    notBy: [train, quantize, evaluate, bias]\n", "    basis: [evaluate, bias]        # must name the very evidence\n", ", sameRun: train.training-data, notIn: [train.training-data]"} {
				p.replace(drop, "")
			}
		}
		p.world.Break(c.at(p), attest.Refuse(attest.CodeRegUnavailable, "no answer"))
		v := p.verdict()
		if v.Outcome != policy.Undecided {
			t.Fatal(explain(v))
		}
		found := false
		for _, r := range v.Requirements {
			if r.Step != c.step {
				continue
			}
			if r.Status != c.want || c.whole && len(r.Reasons) > 0 {
				t.Errorf("%s is %s, want %s:\n%s", c.step, r.Status, c.want, explain(v))
			}
			for _, why := range r.Reasons {
				found = found || strings.Contains(why.Why, c.why)
			}
		}
		if !found && !c.whole {
			t.Errorf("%s does not say %q:\n%s", c.step, c.why, explain(v))
		}
	}
}

// Without any training data there is nothing to be disjoint from, and that is no
// proof of disjointness.
func TestDisjointFromNothing(t *testing.T) {
	p := newPipeline(t)
	p.replace(", sameRun: train.training-data", "")
	p.statements["train"].omit = true
	v := p.verdict()
	for _, r := range v.Requirements {
		if r.Step == "evaluate" && r.Status != policy.Fail {
			t.Error(explain(v))
		}
	}
	p = newPipeline(t)
	p.replace(", sameRun: train.training-data", "")
	p.statements["train"].omit = true
	p.world.Break(p.model, attest.Refuse(attest.CodeRegUnavailable, "no answer"))
	v = p.verdict()
	for _, r := range v.Requirements {
		if r.Step == "evaluate" && r.Status != policy.Unknown {
			t.Error(explain(v))
		}
	}
}

// Removing evidence never makes more of a model than it was, except where the
// policy acknowledges that absence could be feigned (the failing evaluation).
func TestRemovingEvidenceNeverAllows(t *testing.T) {
	whole := newPipeline(t)
	whole.statements["approve-bob"].omit = true // DENY to begin with
	if v := whole.verdict(); v.Outcome != policy.Deny {
		t.Fatal(explain(v))
	}
	for _, name := range whole.order {
		p := newPipeline(t)
		p.statements["approve-bob"].omit = true
		p.statements[name].omit = true
		if v := p.verdict(); v.Outcome == policy.Allow {
			t.Errorf("without %s: %s", name, explain(v))
		}
	}
	// CHN-01: the good chain without each statement, and without each two.
	for i, name := range whole.order {
		for _, other := range whole.order[i:] {
			p := newPipeline(t)
			p.statements[name].omit, p.statements[other].omit = true, true
			if v := p.verdict(); v.Outcome != policy.Deny {
				t.Errorf("the good chain without %s and %s: %s", name, other, explain(v))
			}
		}
	}
}

// Order, repetition and the number of sources never change a byte.
func TestVerdictIsDeterministic(t *testing.T) {
	p := newPipeline(t)
	first, err := p.verdict().JSON()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		q := newPipeline(t)
		q.extra = []verify.Source{q.world.Source()}
		got, err := q.verdict().JSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(first) {
			t.Fatalf("run %d gives other bytes", i)
		}
	}
}

// What strangers sign, say or copy to other places changes no byte of a verdict.
func TestStrangersChangeNothing(t *testing.T) {
	honest := newPipeline(t)
	want, err := honest.verdict().JSON()
	if err != nil {
		t.Fatal(err)
	}
	p := newPipeline(t)
	p.sign()
	places := []attest.Digest{p.raw, p.train, p.test, p.model, p.quant}
	for _, name := range p.order {
		s := p.statements[name]
		for _, at := range places {
			p.world.SignAt(at, "mallory", s.subject, s.typ, s.body)
			for _, bundle := range p.world.Bundles(s.subject) {
				p.world.Attach(at, bundle) // authentic, and about something else
			}
		}
	}
	for _, at := range places {
		p.world.Attach(at, []byte("no bundle"))
		p.world.SignPayload(at, "mallory", []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"`+p.quant.Hex()+`"}}],"predicateType":"`+approval+`","predicate":{"decision":"rejected"}}`))
	}
	got, err := p.judge().JSON()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the verdict changed:\n%s\nwant\n%s", got, want)
	}
}

func TestZeroValuesDeny(t *testing.T) {
	p := newPipeline(t)
	p.sign()
	pol := p.load()
	times := policy.Question{At: p.at, Known: p.at}
	for name, v := range map[string]*policy.Verdict{
		"zero policy":  new(policy.Policy).Evaluate(p.chain(pol), times),
		"nil policy":   (*policy.Policy)(nil).Evaluate(p.chain(pol), times),
		"zero chain":   pol.Evaluate(verify.Chain{}, times),
		"zero verdict": {},
	} {
		if v.Outcome != policy.Deny {
			t.Errorf("%s: %s", name, v.Outcome)
		}
	}
}

func TestConsiderNamesWhatAnApprovalMustRestOn(t *testing.T) {
	p := newPipeline(t)
	p.statements["approve-alice"].omit, p.statements["approve-bob"].omit = true, true
	p.sign()
	pol := p.load()
	got, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict.Outcome != policy.Allow {
		t.Error(explain(got.Verdict))
	}
	var names []string
	for _, b := range got.Basis {
		names = append(names, fmt.Sprint(b.Step, " ", b.Payload == p.payloads[b.Step]))
	}
	if want := []string{"evaluate true", "bias true"}; !slices.Equal(names, want) {
		t.Errorf("basis %v, want %v", names, want)
	}
	if _, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, "train"); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("considering a step that is no approval: %v", err)
	}
}

// An approval that would not count is recognised before anybody signs it.
func TestAdmits(t *testing.T) {
	approved := func(p *pipeline, environment string) predicate.Facts {
		t.Helper()
		b, err := attest.NewStatement(attest.Subject{Digest: p.quant}, approval, map[string]any{
			"decision": "approved", "approvedAt": minute(40), "scope": map[string]any{"environments": []any{environment}},
			"basis": []any{map[string]any{"payload": digestSet(p.payloads["evaluate"].String()), "artifact": digestSet(p.quant.String())}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := attest.ParseStatement(b)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := predicate.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	for _, c := range []struct {
		name, by, environment string
		change                func(p *pipeline)
		want                  attest.Code
	}{
		{"bob, as the policy has it", "bob", "prod", func(*pipeline) {}, ""},
		{"somebody unknown", "mallory", "prod", func(*pipeline) {}, attest.CodeIdentity},
		{"the trainer's key", "trainer", "prod", func(*pipeline) {}, attest.CodeIdentity},
		{"carol is no human", "carol", "prod", func(p *pipeline) { p.replace("carol: {kind: human", "carol: {kind: agent") }, attest.CodeIdentity},
		{"carol trained", "carol", "prod", func(p *pipeline) { p.statements["train"].by = "carol" }, attest.CodeQuorum},
		{"for an environment that is not asked about", "bob", "staging", func(*pipeline) {}, attest.CodeRule},
		{"beside a veto", "bob", "prod", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		}, attest.CodeVeto},
	} {
		p := newPipeline(t)
		p.statements["approve-bob"].omit = true
		c.change(p)
		p.sign()
		pol := p.load()
		prospect, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, "")
		if err != nil {
			t.Fatal(err)
		}
		err = prospect.Admits(verify.KeyCredential(p.world.Key(c.by)), approved(p, c.environment))
		if got := attest.RefusalCode(err); got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
	}
	p := newPipeline(t)
	p.statements["approve-bob"].omit = true
	p.sign()
	pol := p.load()
	prospect, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(prospect.Decisions) != 1 || prospect.Decisions[0].Principal != "alice" || !prospect.Decisions[0].Counts || !slices.Equal(prospect.Able, []string{"bob", "carol"}) {
		t.Errorf("decisions %+v, able %v", prospect.Decisions, prospect.Able)
	}
}

package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// A twist is one change to the pipeline, and what becomes of the verdict.
type twist struct {
	name string
	do   func(p *pipeline)
	want policy.Outcome
	code attest.Code // of some reason; "" for none
	why  string      // part of that reason
}

// try applies each change to a pipeline of its own.
func try(t *testing.T, make func(t testing.TB) *pipeline, changes []twist) {
	t.Helper()
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			p := make(t)
			c.do(p)
			v := p.verdict()
			if v.Outcome != c.want || c.code != "" && !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
		})
	}
}

const approveBy = "    by: [alice, bob, carol]\n    threshold: 2                   # distinct principals\n"

// Two roles, of which alice has both and bob one.
func TestRoles(t *testing.T) {
	with := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace(approveBy, "    by: [alice, bob, carol]\n    roles: {risk: 1, owner: 1}\n")
		p.replace("alice: {kind: human,", "alice: {kind: human, roles: [risk, owner],")
		p.replace("bob:   {kind: human,", "bob:   {kind: human, roles: [risk],")
		return p
	}
	role := func(name, as string) func(p *pipeline) {
		return func(p *pipeline) { p.statements[name].body["role"] = as }
	}
	try(t, with, []twist{
		{"each fills one place", func(*pipeline) {}, policy.Allow, "", ""},
		{"one alone", func(p *pipeline) { p.statements["approve-bob"].omit = true }, policy.Deny, attest.CodeQuorum, "1 owner, 1 risk"},
		{"two of one role", func(p *pipeline) {
			p.replace("roles: [risk, owner]", "roles: [risk]")
			p.replace("carol: {kind: human,", "carol: {kind: human, roles: [owner],")
		}, policy.Deny, attest.CodeQuorum, "places"},
		{"alice signs as the owner", role("approve-alice", "owner"), policy.Allow, "", ""},
		{"alice signs as risk, and nobody as owner", role("approve-alice", "risk"), policy.Deny, attest.CodeQuorum, "places"},
		{"bob signs as what he is not", role("approve-bob", "owner"), policy.Deny, attest.CodeIdentity, "does not give"},
		{"carol, who has no role", func(p *pipeline) { p.statements["approve-bob"].by = "carol" }, policy.Deny, attest.CodeQuorum, "places"},
	})
}

// The matching of people to places does not depend on who comes first.
func TestRolesAreMatched(t *testing.T) {
	p := newPipeline(t)
	p.replace(approveBy, "    by: [alice, bob, carol]\n    roles: {a: 1, b: 1, c: 1}\n")
	p.replace("alice: {kind: human,", "alice: {kind: human, roles: [a, b, c],")
	p.replace("bob:   {kind: human,", "bob:   {kind: human, roles: [a, b],")
	p.replace("carol: {kind: human,", "carol: {kind: human, roles: [a],")
	p.add("approve-carol", "carol", p.quant, map[string]any{})
	if v := p.verdict(); v.Outcome != policy.Allow {
		t.Error(explain(v))
	}
}

func TestContexts(t *testing.T) {
	with := func(context string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("steps:\n", "contexts: {staging: {require: [evaluate]}, prod: {require: [evaluate, approve]}}\nsteps:\n")
			p.replace(`where: '"prod" in predicate.scope.environments'`, `where: 'context in predicate.scope.environments'`)
			p.question.Context = context
			return p
		}
	}
	unapproved := func(p *pipeline) { p.statements["approve-alice"].omit = true }
	try(t, with("staging"), []twist{
		{"staging needs no approval", unapproved, policy.Allow, "", ""},
		{"staging needs the evaluation", func(p *pipeline) { p.statements["evaluate"].omit = true }, policy.Deny, attest.CodeChainMissing, "no evaluate"},
		{"a step that no context lists is always required", func(p *pipeline) { p.statements["bias"].omit = true }, policy.Deny, attest.CodeChainMissing, "no bias"},
	})
	try(t, with("prod"), []twist{
		{"prod", func(*pipeline) {}, policy.Allow, "", ""},
		{"prod needs both approvals", unapproved, policy.Deny, attest.CodeQuorum, ""},
		{"approvals for staging only", func(p *pipeline) {
			p.statements["approve-alice"].body["scope"] = map[string]any{"environments": []any{"staging"}}
		}, policy.Deny, attest.CodeQuorum, ""},
	})
	for _, context := range []string{"", "dev", "Prod"} {
		try(t, with(context), []twist{{"POL-20 context " + context, func(*pipeline) {}, policy.Deny, attest.CodeNoRule, "context"}})
	}
	p := newPipeline(t)
	p.question.Context = "prod"
	if v := p.verdict(); v.Outcome != policy.Deny || !has(v, attest.CodeNoRule, "it has none") {
		t.Error(explain(v))
	}
}

func TestConditions(t *testing.T) {
	conditional := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("  approve:\n", `  discharge:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [carol]
    select: any
    where: 'has(predicate.discharges)'
    rules: [{id: DIS-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
  approve:
`)
		p.replace("    basis: [evaluate, bias]", "    conditions: {dischargedBy: discharge, untilDue: true}\n    basis: [evaluate, bias]")
		p.statements["approve-alice"].body["conditions"] = []any{map[string]any{"id": "monitor", "text": "drift is monitored"}}
		return p
	}
	discharge := func(by, id string) func(p *pipeline) {
		return func(p *pipeline) {
			p.sign()
			p.order = nil
			p.add("approve-discharge", by, p.quant, map[string]any{"discharges": []any{map[string]any{"payload": digestSet(p.payloads["approve-alice"].String()), "id": id}}, "approvedAt": minute(20)})
			p.order = []string{"approve-discharge"}
		}
	}
	due := func(minutes int) func(p *pipeline) {
		return func(p *pipeline) {
			p.statements["approve-alice"].body["conditions"].([]any)[0].(map[string]any)["dueBy"] = minute(minutes)
		}
	}
	try(t, conditional, []twist{
		{"nobody discharges it", func(*pipeline) {}, policy.Deny, attest.CodeConditions, "monitor"},
		{"discharged", discharge("carol", "monitor"), policy.Allow, "", ""},
		{"discharged by somebody who may not", discharge("bob", "monitor"), policy.Deny, attest.CodeConditions, "monitor"},
		{"another one discharged", discharge("carol", "other"), policy.Deny, attest.CodeConditions, "monitor"},
		{"not due yet", due(90), policy.Allow, "", ""},
		{"due", due(30), policy.Deny, attest.CodeConditions, "monitor"},
		{"no conditions, and no discharge needed", func(p *pipeline) { delete(p.statements["approve-alice"].body, "conditions") }, policy.Allow, "", ""},
		{"whoever approved may not discharge", func(p *pipeline) {
			p.replace("    by: [carol]\n    select: any\n    where: 'has", "    by: [carol, alice]\n    notBy: [approve]\n    acknowledgeAbsence: x\n    select: any\n    where: 'has")
			discharge("alice", "monitor")(p)
		}, policy.Deny, attest.CodeConditions, "monitor"},
		{"and somebody else may", func(p *pipeline) {
			p.replace("    by: [carol]\n    select: any\n    where: 'has", "    by: [carol, alice]\n    notBy: [approve]\n    acknowledgeAbsence: x\n    select: any\n    where: 'has")
			discharge("carol", "monitor")(p)
		}, policy.Allow, "", ""},
		{"not due, but the policy does not wait", func(p *pipeline) {
			p.replace(", untilDue: true", "")
			due(90)(p)
		}, policy.Deny, attest.CodeConditions, "monitor"},
	})
	try(t, newPipelineOf, []twist{{"a policy that knows no conditions", func(p *pipeline) {
		p.statements["approve-alice"].body["conditions"] = []any{map[string]any{"id": "monitor"}}
	}, policy.Deny, attest.CodeConditions, "says nothing of"}})
}

func newPipelineOf(t testing.TB) *pipeline { return newPipeline(t) }

func TestRebase(t *testing.T) {
	later := func(p *pipeline) { // a further evaluation, after the approvals
		p.add("evaluate-later", "evaluator", p.quant, p.evaluation("quality", 20))
	}
	try(t, newPipelineOf, []twist{{"later evidence needs no new approval", later, policy.Allow, "", ""}})
	try(t, func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("    basis: [evaluate, bias]", "    rebase: true\n    basis: [evaluate, bias]")
		return p
	}, []twist{
		{"nothing came later", func(*pipeline) {}, policy.Allow, "", ""},
		{"later evidence needs a new approval", later, policy.Deny, attest.CodeBasis, "does not name"},
	})
}

func TestSamePolicy(t *testing.T) {
	same := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("    basis: [evaluate, bias]", "    samePolicy: true\n    basis: [evaluate, bias]")
		return p
	}
	under := func(p *pipeline, d attest.Digest) {
		for _, n := range []string{"approve-alice", "approve-bob"} {
			p.statements[n].body["policy"] = map[string]any{"digest": digestSet(d.String())}
		}
	}
	try(t, same, []twist{
		{"this policy", func(p *pipeline) { under(p, p.load().Digest()) }, policy.Allow, "", ""},
		{"another policy", func(p *pipeline) { under(p, p.model) }, policy.Deny, attest.CodeBasis, "another policy"},
		{"no policy", func(*pipeline) {}, policy.Deny, attest.CodeBasis, "another policy"},
	})
}

func TestMinAge(t *testing.T) {
	soaked := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("  approve:\n", `  soak:
    predicate: https://pedigree-ml.github.io/deployment/v0.1
    about: artifact
    by: [trainer]
    select: any
    where: 'predicate.environment == "staging"'
    minAge: 72h
  approve:
`)
		p.statements["soak"] = &statement{by: "trainer", subject: p.quant, typ: predicate.TypeDeployment, body: map[string]any{"environment": "staging", "deployedAt": minute(10)}}
		p.order = append(p.order, "soak")
		return p
	}
	try(t, soaked, []twist{
		{"an hour in staging", func(*pipeline) {}, policy.Deny, attest.CodeTimeWindow, "at least 3d"},
		{"three days in staging", func(p *pipeline) { p.at = started.Add(73 * time.Hour) }, policy.Allow, "", ""},
		{"three days elsewhere", func(p *pipeline) {
			p.at = started.Add(73 * time.Hour)
			p.statements["soak"].body["environment"] = "dev"
		}, policy.Deny, attest.CodeChainMissing, "no soak"},
	})
}

func TestCompare(t *testing.T) {
	compared := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("  bias:\n", `  evaluate-float:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: train
    by: [evaluator]
    select: latest
    acknowledgeAbsence: x
    inputs: [{role: evaluation-data, from: prepare}, {role: harness, origin: "git+https://git.example/acme/credit"}]
  bias:
`)
		p.replace("    maxAge: 720h\n", `    maxAge: 720h
    compare:
      - {id: CMP-1, with: evaluate-float, cel: 'predicate.metrics["accuracy"].value >= other.metrics["accuracy"].value - 0.01', message: "more than 0.01 below the float model", sameInputs: [evaluation-data]}
`)
		p.replace("    like: evaluate\n", "    like: evaluate\n    compare: []\n")
		p.add("evaluate-float", "evaluator", p.model, p.evaluation("quality", 4))
		return p
	}
	accuracy := func(name, value string) func(p *pipeline) {
		return func(p *pipeline) { dig(p.statements[name].body, "metrics", "accuracy")["value"] = value }
	}
	try(t, compared, []twist{
		{"as good", func(*pipeline) {}, policy.Allow, "", ""},
		{"0.01 below", accuracy("evaluate-float", "0.76"), policy.Allow, "", ""},
		{"0.02 below", accuracy("evaluate-float", "0.77"), policy.Deny, attest.CodeRule, "more than 0.01 below"},
		{"nothing to compare with", func(p *pipeline) { p.statements["evaluate-float"].omit = true }, policy.Deny, attest.CodeChainMissing, "no evidence of evaluate-float"},
		{"other data", func(p *pipeline) {
			p.statements["evaluate-float"].body["inputs"].([]any)[0] = map[string]any{"role": "evaluation-data", "digest": digestSet(p.train.String())}
		}, policy.Deny, attest.CodeConflict, "not comparable"},
		{"a metric that is not there", func(p *pipeline) { delete(dig(p.statements["evaluate-float"].body, "metrics"), "accuracy") }, policy.Deny, attest.CodePolicyEval, "no such key"},
		{"what it is compared with cannot be seen", func(p *pipeline) { p.world.Break(p.model, unreachable()) }, policy.Undecided, attest.CodeRule, "cannot be completely seen"},
	})
}

// The adapter's base is the merge's base.
func TestSameAs(t *testing.T) {
	same := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace(quantizeInputs, `    acknowledgeAbsence: x
    inputs: [{role: parent-model, from: train}, {role: calibration-data, from: prepare, output: train, sameAs: [train.training-data]}]`)
		return p
	}
	try(t, same, []twist{
		{"the same", func(*pipeline) {}, policy.Allow, "", ""},
		{"MLS-16 another", func(p *pipeline) {
			other := p.world.Manifest(map[string]string{"other.csv": "other rows"})
			p.add("prepare-other", "data", other, build("prepare", "run-7", 1, map[string]attest.Digest{"train": other}, input{"raw-data", "", p.raw.String()}, input{"code", codeURI, commit}))
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", other.String()})
		}, policy.Deny, attest.CodeChainBrokenEdge, "must be what train.training-data took"},
		{"what was taken cannot be completely seen", func(p *pipeline) { p.world.Break(p.model, unreachable()) }, policy.Undecided, attest.CodeChainForeign, "cannot be completely seen"},
	})
}

func TestPreregistration(t *testing.T) {
	planned := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		plan := p.world.Manifest(map[string]string{"plan.json": "thresholds"})
		p.replace("  evaluate:\n", `  plan:
    predicate: https://pedigree-ml.github.io/preregistration/v0.1
    by: [evaluator]
    select: any
    before: [train]
    acknowledgeAbsence: x
  evaluate:
`)
		p.replace("    inputs: [{role: evaluation-data,", "    inputs: [{role: plan, from: plan}, {role: evaluation-data,")
		p.statements["plan"] = &statement{by: "evaluator", subject: plan, typ: predicate.TypePreregistration, body: map[string]any{
			"registeredAt": minute(0), "thresholds": map[string]any{"accuracy": map[string]any{"comparator": ">=", "value": "0.70"}}}}
		p.order = append(p.order, "plan")
		for _, n := range []string{"evaluate", "bias"} {
			b := p.statements[n].body
			b["inputs"] = append([]any{map[string]any{"role": "plan", "digest": digestSet(plan.String())}}, b["inputs"].([]any)...)
		}
		dig(p.statements["train"].body, "runDetails", "metadata")["startedOn"] = minute(1)
		return p
	}
	try(t, planned, []twist{
		{"registered before the training", func(*pipeline) {}, policy.Allow, "", ""},
		{"MLS-04 registered after the training began", func(p *pipeline) { p.statements["plan"].body["registeredAt"] = minute(7) }, policy.Deny, attest.CodeEvalPlan, "after train of"},
		{"MLS-04 nothing registered", func(p *pipeline) { p.statements["plan"].omit = true }, policy.Deny, attest.CodeChainMissing, "no plan evidence"},
		{"MLS-04 an evaluation without the plan", func(p *pipeline) {
			p.statements["evaluate"].body["inputs"] = p.statements["evaluate"].body["inputs"].([]any)[1:]
		}, policy.Deny, attest.CodeChainMissing, "role plan"},
		{"an earlier run may be unseen", func(p *pipeline) { p.world.Break(p.model, unreachable()) }, policy.Undecided, attest.CodeEvalPlan, "cannot be seen"},
	})
}

func TestMinVersion(t *testing.T) {
	version := func(v any) func(p *pipeline) {
		return func(p *pipeline) {
			dig(p.statements["train"].body, "buildDefinition", "externalParameters")["parameters"] = map[string]any{"version": v}
		}
	}
	for where, make := range map[string]func(t testing.TB) *pipeline{
		"of a step": func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("    agree: [training-data, code]", "    minVersion: \"2.9\"\n    agree: [training-data, code]")
			return p
		},
		"of an input": func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("{role: parent-model, from: train}", "{role: parent-model, from: train, minVersion: \"2.9\"}")
			return p
		},
	} {
		try(t, make, []twist{
			{where + ": the least", version("2.9"), policy.Allow, "", ""},
			{where + ": POL-24 above, as numbers", version("2.10"), policy.Allow, "", ""},
			{where + ": with zeros", version("v2.9.0.0"), policy.Allow, "", ""},
			{where + ": MLS-18 below", version("2.8.9"), policy.Deny, attest.CodeRollback, "2.9 is the least"},
			{where + ": none", func(*pipeline) {}, policy.Deny, attest.CodeRollback, "states no version"},
			{where + ": no number", version("2.10-rc1"), policy.Deny, attest.CodeRollback, "no version number"},
		})
	}
}

// packaged returns the pipeline with a further step, package, that makes these
// files of the quantised model, and over which evaluations carry.
func packaged(files map[string]string) func(t testing.TB) *pipeline {
	return func(t testing.TB) *pipeline {
		p := newPipeline(t)
		bundle := p.world.Manifest(files)
		p.replace("artifact: quantize ", "artifact: package ")
		p.replace("  evaluate:\n", `  package:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/package/v1
    by: [trainer]
    select: any
    inputs: [{role: parent-model, from: quantize}]
  evaluate:
    carriesOver: [{step: package, added: [doc]}]
`)
		for _, name := range []string{"approve-alice", "approve-bob"} {
			p.statements[name].subject = bundle
		}
		p.add("package", "trainer", bundle, build("package", "run-5", 6, map[string]attest.Digest{"model": bundle}, input{"parent-model", "", p.quant.String()}))
		p.root = bundle
		return p
	}
}

func TestCarriesOver(t *testing.T) {
	same := map[string]string{"model.safetensors": "int8 weights", "config.json": "{\"bits\":8}", "README.md": "about it"}
	with := func(path, content string) map[string]string {
		out := map[string]string{path: content}
		for k, v := range same {
			if k != path {
				out[k] = v
			}
		}
		return out
	}
	none := func(*pipeline) {}
	try(t, packaged(same), []twist{
		{"every file recurs, and a read-me is added", none, policy.Allow, "", ""},
		{"a failing evaluation of the parent carries over too", func(p *pipeline) { dig(p.statements["evaluate"].body, "metrics", "accuracy")["value"] = "0.5" }, policy.Deny, attest.CodeRule, "below"},
		{"a veto of the parent carries over too", func(p *pipeline) {
			p.replace("    maxAge: 720h\n", "    maxAge: 720h\n    veto: 'predicate.metrics[\"accuracy\"].value < 0.1'\n    vetoBy: [alice]\n")
			s := p.add("evaluate-no", "alice", p.quant, p.evaluation("quality", 5))
			dig(s.body, "metrics", "accuracy")["value"] = "0.0"
		}, policy.Deny, attest.CodeVeto, "alice"},
		{"MLS-09 the policy does not say so", func(p *pipeline) { p.replace("    carriesOver: [{step: package, added: [doc]}]\n", "") }, policy.Deny, attest.CodeChainMissing, "no evaluate"},
		{"evidence of the parent cannot be seen", func(p *pipeline) { p.world.Break(p.quant, unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, ""},
	})
	try(t, packaged(with("model.safetensors", "other weights")), []twist{{"a file changed", none, policy.Deny, attest.CodeChainMissing, "no evaluate"}})
	try(t, packaged(with("modeling.py", "import os")), []twist{{"MLS-12 code is added", none, policy.Deny, attest.CodeChainMissing, "no evaluate"}})
	renamed := with("x", "x")
	delete(renamed, "x")
	renamed["weights.safetensors"] = renamed["model.safetensors"]
	delete(renamed, "model.safetensors")
	try(t, packaged(renamed), []twist{{"a file is renamed", none, policy.Deny, attest.CodeChainMissing, "no evaluate"}})
}

func TestCovers(t *testing.T) {
	covered := func(covers string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("    by: [trainer]\n    select: any\n    inputs: [{role: parent-model", "    by: [trainer]\n    select: any\n    covers: "+covers+"\n    inputs: [{role: parent-model")
			p.statements["quantize"].omit = true
			return p
		}
	}
	file := func(name, path, content, by string) func(p *pipeline) {
		return func(p *pipeline) {
			body := build("quantize", "run-4", 3, nil, input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.train.String()})
			payload, err := attest.NewStatement(attest.Subject{Name: path, Digest: attest.SHA256([]byte(content))}, provenance, body)
			if err != nil {
				t.Fatal(err)
			}
			p.world.SignPayload(p.quant, by, payload)
		}
	}
	weights := file("w", "model.safetensors", "int8 weights", "trainer")
	config := file("c", "config.json", "{\"bits\":8}", "trainer")
	all := func(fs ...func(p *pipeline)) func(p *pipeline) {
		return func(p *pipeline) {
			for _, f := range fs {
				f(p)
			}
		}
	}
	try(t, covered("all"), []twist{
		{"every file", all(weights, config), policy.Allow, "", ""},
		{"one is left out", weights, policy.Deny, attest.CodeCovers, "config.json"},
		{"two principals share it", all(weights, file("c", "config.json", "{\"bits\":8}", "data")), policy.Deny, attest.CodeCovers, "config.json"},
		{"under another name", all(weights, file("c", "other.json", "{\"bits\":8}", "trainer")), policy.Deny, attest.CodeCovers, "config.json"},
		{"none", func(*pipeline) {}, policy.Deny, attest.CodeChainMissing, "no quantize"},
	})
	try(t, covered("weights"), []twist{
		{"the weights", weights, policy.Allow, "", ""},
		{"everything but the weights", config, policy.Deny, attest.CodeCovers, "model.safetensors"},
	})
	try(t, newPipelineOf, []twist{{"MLS-24 evidence about a file where covers is not said", func(p *pipeline) {
		p.statements["quantize"].omit = true
		weights(p)
		config(p)
	}, policy.Deny, attest.CodeSubjectMismatch, ""}})
}

// An OMS signature lists the files by path and digest; its root binds no names.
func TestCoversOMS(t *testing.T) {
	signed := func(resources ...[2]string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("  evaluate:\n", `  publish:
    predicate: https://model_signing/signature/v1.0
    about: artifact
    by: [trainer]
    select: any
    covers: all
  evaluate:
`)
			var list []any
			for _, r := range resources {
				list = append(list, map[string]any{"name": r[0], "algorithm": "sha256", "digest": attest.SHA256([]byte(r[1])).Hex()})
			}
			p.world.SignAt(p.quant, "trainer", attest.SHA256([]byte("the root digest")), predicate.TypeOMS, map[string]any{"resources": list, "serialization": map[string]any{"method": "files"}})
			return p
		}
	}
	none := func(*pipeline) {}
	try(t, signed([2]string{"model.safetensors", "int8 weights"}, [2]string{"config.json", "{\"bits\":8}"}), []twist{{"every file", none, policy.Allow, "", ""}})
	try(t, signed([2]string{"model.safetensors", "int8 weights"}), []twist{{"one is left out", none, policy.Deny, attest.CodeCovers, "config.json"}})
	try(t, signed([2]string{"weights.safetensors", "int8 weights"}, [2]string{"config.json", "{\"bits\":8}"}), []twist{{"a rename", none, policy.Deny, attest.CodeCovers, "model.safetensors"}})
}

// Who signed the files signed the step as well.
func TestSeparationFromFiles(t *testing.T) {
	for signer, want := range map[string]policy.Outcome{"trainer": policy.Allow, "alice": policy.Deny} {
		p := newPipeline(t)
		p.replace("  evaluate:\n", `  publish:
    predicate: https://model_signing/signature/v1.0
    about: artifact
    by: [alice, trainer]
    select: any
    covers: all
  evaluate:
`)
		p.replace("notBy: [train, quantize, evaluate, bias]", "notBy: [train, quantize, evaluate, bias, publish]")
		list := []any{}
		for _, r := range [][2]string{{"model.safetensors", "int8 weights"}, {"config.json", "{\"bits\":8}"}} {
			list = append(list, map[string]any{"name": r[0], "algorithm": "sha256", "digest": attest.SHA256([]byte(r[1])).Hex()})
		}
		p.world.SignAt(p.quant, signer, attest.SHA256([]byte("root")), predicate.TypeOMS, map[string]any{"resources": list, "serialization": map[string]any{"method": "files"}})
		if v := p.verdict(); v.Outcome != want {
			t.Errorf("files signed by %s: want %s, got %s", signer, want, explain(v))
		}
	}
}

// Files named only in a statement that may have been withdrawn leave it open
// whether all are covered.
func TestCoverageInDoubt(t *testing.T) {
	for _, doubtful := range []string{"", "config.json", "model.safetensors"} {
		p := revocable(t)
		p.replace("    by: [trainer]\n    select: any\n    inputs: [{role: parent-model", "    by: [trainer]\n    select: any\n    covers: all\n    inputs: [{role: parent-model")
		p.statements["quantize"].omit = true
		p.sign()
		for path, content := range map[string]string{"model.safetensors": "int8 weights", "config.json": "{\"bits\":8}"} {
			body := build("quantize", "run-4", 3, nil, input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.train.String()})
			payload, err := attest.NewStatement(attest.Subject{Name: path, Digest: attest.SHA256([]byte(content))}, provenance, body)
			if err != nil {
				t.Fatal(err)
			}
			if d := p.world.SignPayload(p.quant, "trainer", payload); path == doubtful {
				p.world.Sign("security", d, predicate.TypeRevocation, map[string]any{"action": "revoke"})
			}
		}
		want := policy.Undecided
		if doubtful == "" {
			want = policy.Allow
		}
		if v := p.judge(); v.Outcome != want {
			t.Errorf("in doubt %q: want %s, got %s", doubtful, want, explain(v))
		}
	}
}

// A plan's thresholds are compared with what came out.
func TestCompareWithAPlan(t *testing.T) {
	p := newPipeline(t)
	plan := p.world.Manifest(map[string]string{"plan.json": "thresholds"})
	p.replace("  evaluate:\n", `  plan:
    predicate: https://pedigree-ml.github.io/preregistration/v0.1
    by: [evaluator]
    select: any
  evaluate:
    compare: [{id: PLAN-1, with: plan, cel: 'predicate.metrics["accuracy"].value >= other.thresholds["accuracy"].value', message: "below what was planned"}]
`)
	p.replace("    like: evaluate\n", "    like: evaluate\n    compare: []\n")
	p.replace("    inputs: [{role: evaluation-data,", "    inputs: [{role: plan, from: plan}, {role: evaluation-data,")
	p.statements["plan"] = &statement{by: "evaluator", subject: plan, typ: predicate.TypePreregistration, body: map[string]any{
		"registeredAt": minute(0), "thresholds": map[string]any{"accuracy": map[string]any{"comparator": ">=", "value": "0.70"}}}}
	p.order = append(p.order, "plan")
	for _, n := range []string{"evaluate", "bias"} {
		b := p.statements[n].body
		b["inputs"] = append([]any{map[string]any{"role": "plan", "digest": digestSet(plan.String())}}, b["inputs"].([]any)...)
	}
	if v := p.verdict(); v.Outcome != policy.Allow {
		t.Fatal(explain(v))
	}
	p.world.Remove(p.payloads["plan"])
	dig(p.statements["plan"].body, "thresholds", "accuracy")["value"] = "0.80"
	p.order = []string{"plan"}
	if v := p.verdict(); v.Outcome != policy.Deny || !has(v, attest.CodeRule, "below what was planned") {
		t.Error(explain(v))
	}
}

// One artifact is not two kinds of thing.
func TestTwoKinds(t *testing.T) {
	try(t, newPipelineOf, []twist{
		{"CHN-21 the parent is the calibration data", func(p *pipeline) {
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.model.String()})
			p.add("prepare-model", "data", p.model, build("prepare", "run-7", 1, map[string]attest.Digest{"train": p.model}, input{"raw-data", "", p.raw.String()}, input{"code", codeURI, commit}))
		}, policy.Deny, attest.CodeConflict, "named as parent-model and as calibration-data"},
		{"CHN-21 the policy allows it", func(p *pipeline) {
			p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.model.String()})
		}, policy.Allow, "", ""},
	})
}

// notIn over the whole ancestry, whatever the steps are called.
func TestDisjointFromEverythingTrainedOn(t *testing.T) {
	anywhere := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.policy = strings.ReplaceAll(p.policy, "notIn: [train.training-data]", `notIn: ["*.training-data", "*.calibration-data"]`)
		return p
	}
	try(t, anywhere, []twist{
		{"disjoint", func(*pipeline) {}, policy.Allow, "", ""},
		{"MLS-05 the calibration data are among the test data", func(p *pipeline) {
			calib := p.world.Manifest(map[string]string{"calib.csv": "test rows"})
			p.add("prepare-calib", "data", calib, build("prepare", "run-7", 1, map[string]attest.Digest{"train": calib}, input{"raw-data", "", p.raw.String()}, input{"code", codeURI, commit}))
			p.statements["quantize"].inputs(input{"parent-model", "", p.model.String()}, input{"calibration-data", "", calib.String()})
		}, policy.Deny, attest.CodeLeakage, "calibration-data"},
	})
}

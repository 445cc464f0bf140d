package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// coverFile signs a statement of the quantize step about one file.
func coverFile(path, content, by string) func(p *pipeline) {
	return func(p *pipeline) {
		p.t.Helper()
		p.payloads[path] = p.coverWith(path, content, by, input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.train.String()})
	}
}

func (p *pipeline) coverWith(path, content, by string, inputs ...input) attest.Digest {
	payload, err := attest.NewStatement(attest.Subject{Name: path, Digest: attest.SHA256([]byte(content))}, provenance, build("quantize", "run-4", 3, nil, inputs...))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.world.SignPayload(p.quant, by, payload)
}

// covered is the pipeline whose quantisation is shown file by file.
func covered(t testing.TB) *pipeline {
	p := newPipeline(t)
	p.replace("    by: [trainer]\n    select: any\n    inputs: [{role: parent-model", "    by: [trainer, carol]\n    select: any\n    covers: all\n    inputs: [{role: parent-model")
	p.statements["quantize"].omit = true
	return p
}

func TestHostileCovers(t *testing.T) {
	weights, config := coverFile("model.safetensors", "int8 weights", "trainer"), coverFile("config.json", "{\"bits\":8}", "trainer")
	try(t, covered, []twist{
		{"every file", func(p *pipeline) { weights(p); config(p) }, policy.Allow, "", ""},
		{"who signed of a file may not approve", func(p *pipeline) {
			weights(p)
			config(p)
			coverFile("config.json", "{\"bits\":8}", "carol")(p)
			p.statements["approve-bob"].by = "carol"
		}, policy.Deny, attest.CodeQuorum, "carol also signed quantize"},
		{"one may be revoked", func(p *pipeline) {
			p.replace("steps:\n", "revocation: [{by: [data], acknowledgeAbsence: x}]\nsteps:\n")
			weights(p)
			config(p)
			p.world.Break(p.payloads["config.json"], unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"one is revoked", func(p *pipeline) {
			p.replace("steps:\n", "revocation: [{by: [data], acknowledgeAbsence: x}]\nsteps:\n")
			weights(p)
			config(p)
			p.revoke("data", p.payloads["config.json"], predicate.ActionRevoke, predicate.TargetPayload)
		}, policy.Deny, attest.CodeCovers, "config.json"},
		{"one that fails its rules", func(p *pipeline) {
			weights(p)
			p.coverWith("config.json", "{\"bits\":8}", "trainer", input{"parent-model", "", p.model.String()}, input{"calibration-data", "", p.test.String()})
		}, policy.Deny, attest.CodeCovers, "config.json"},
		{"a second spelling of the path", func(p *pipeline) { weights(p); coverFile("./config.json", "{\"bits\":8}", "trainer")(p) }, policy.Deny, attest.CodeCovers, "config.json"},
		{"the same bytes under two names", func(p *pipeline) {
			weights(p)
			coverFile("model.safetensors", "{\"bits\":8}", "trainer")(p)
		}, policy.Deny, attest.CodeCovers, "config.json"},
	})
}

// The model's parent may be shown by evidence that carries over; who signed that
// is still somebody else's than who approves.
func TestSeparationOverWhatCarriesOver(t *testing.T) {
	evaluatedByMore := func(t testing.TB) *pipeline {
		p := packaged(map[string]string{"model.safetensors": "int8 weights", "config.json": "{\"bits\":8}", "README.md": "about it"})(t)
		p.policy = strings.ReplaceAll(p.policy, "by: [evaluator]", "by: [evaluator, carol]")
		return p
	}
	try(t, evaluatedByMore, []twist{
		{"somebody else evaluated the parent", func(p *pipeline) {}, policy.Allow, "", ""},
		{"bob, who approves, did not evaluate", func(p *pipeline) { p.statements["evaluate"].by = "carol" }, policy.Allow, "", ""},
		{"carol evaluated the parent and approves", func(p *pipeline) {
			p.statements["evaluate"].by, p.statements["approve-bob"].by = "carol", "carol"
		}, policy.Deny, attest.CodeQuorum, "carol also signed evaluate"},
	})
}

// A plan is older than the run only if both say when.
func TestHostileOrder(t *testing.T) {
	planned := func(typ string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			plan := p.world.Manifest(map[string]string{"plan.json": "thresholds"})
			p.replace("  evaluate:\n", "  plan:\n    predicate: "+typ+"\n    by: [evaluator]\n    select: any\n    before: [train]\n    acknowledgeAbsence: x\n  evaluate:\n")
			p.replace("    inputs: [{role: evaluation-data,", "    inputs: [{role: plan, from: plan}, {role: evaluation-data,")
			p.statements["plan"] = &statement{by: "evaluator", subject: plan, typ: typ, body: map[string]any{
				"registeredAt": minute(0), "thresholds": map[string]any{"accuracy": map[string]any{"comparator": ">=", "value": "0.70"}}}}
			p.order = append(p.order, "plan")
			for _, n := range []string{"evaluate", "bias"} {
				b := p.statements[n].body
				b["inputs"] = append([]any{map[string]any{"role": "plan", "digest": digestSet(plan.String())}}, b["inputs"].([]any)...)
			}
			dig(p.statements["train"].body, "runDetails", "metadata")["startedOn"] = minute(1)
			return p
		}
	}
	at := func(d time.Duration) func(p *pipeline) {
		return func(p *pipeline) {
			p.statements["plan"].body["registeredAt"] = started.Add(time.Minute + d).Format(time.RFC3339)
		}
	}
	try(t, planned(predicate.TypePreregistration), []twist{
		{"MLS-04 just in time", at(5 * time.Minute), policy.Allow, "", ""},
		{"MLS-04 a second late", at(5*time.Minute + time.Second), policy.Deny, attest.CodeEvalPlan, "after train"},
		{"MLS-04 a run that does not say when it began", func(p *pipeline) {
			delete(dig(p.statements["train"].body, "runDetails", "metadata"), "startedOn")
		}, policy.Deny, attest.CodeEvalPlan, "does not say"},
		{"MLS-04 a second run that began before", func(p *pipeline) {
			s := p.add("train-2", "carol", p.model, build("train", "run-9", 2, nil, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}))
			dig(s.body, "runDetails", "metadata")["startedOn"] = started.Add(-6 * time.Minute).Format(time.RFC3339)
		}, policy.Deny, attest.CodeEvalPlan, "after train"},
	})
	try(t, planned("https://example.com/plan/v1"), []twist{
		{"MLS-04 a plan of a type without a time", func(*pipeline) {}, policy.Deny, attest.CodeEvalPlan, "does not say"},
	})
}

// compared is the pipeline whose evaluation is compared with that of the float
// model, which only one of two contexts asks for.
func compared(t testing.TB) *pipeline {
	p := newPipeline(t)
	p.replace("steps:\n", "contexts: {staging: {require: [evaluate]}, prod: {require: [evaluate, evaluate-float]}}\nsteps:\n")
	p.replace("  bias:\n", `  evaluate-float:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: train
    by: [evaluator, carol]
    select: latest
    acknowledgeAbsence: x
    inputs: [{role: evaluation-data, from: prepare}, {role: harness, origin: "git+https://git.example/acme/credit"}]
    rules: [{id: FLT-1, cel: 'predicate.metrics["accuracy"].value >= 0.7', message: "a poor baseline"}]
  bias:
`)
	p.replace("    maxAge: 720h\n", `    maxAge: 720h
    compare:
      - {id: CMP-1, with: evaluate-float, cel: 'predicate.metrics["accuracy"].value >= other.metrics["accuracy"].value - 0.01', message: "more than 0.01 below the float model"}
`)
	p.replace("    like: evaluate\n", "    like: evaluate\n    compare: []\n")
	p.add("evaluate-float", "evaluator", p.model, p.evaluation("quality", 4))
	p.question.Context = "staging"
	return p
}

// What fails its own rules is nothing to compare with, also where nobody asks for
// it by itself.
func TestHostileComparisons(t *testing.T) {
	try(t, compared, []twist{
		{"a baseline", func(*pipeline) {}, policy.Allow, "", ""},
		{"a baseline that fails its own rules", func(p *pipeline) { dig(p.statements["evaluate-float"].body, "metrics", "accuracy")["value"] = "0.1" }, policy.Deny, attest.CodeChainMissing, "evaluate-float"},
		{"a baseline by too few", func(p *pipeline) {
			p.replace("    by: [evaluator, carol]\n", "    by: [evaluator, carol]\n    threshold: 2\n")
		}, policy.Deny, attest.CodeChainMissing, "evaluate-float"},
		{"any baseline, by too few", func(p *pipeline) {
			p.replace("    by: [evaluator, carol]\n    select: latest\n", "    by: [evaluator, carol]\n    threshold: 2\n    select: any\n")
		}, policy.Deny, attest.CodeChainMissing, "evaluate-float"},
		{"a baseline that may have been revoked", func(p *pipeline) {
			p.replace("steps:\n", "revocation: [{by: [data], acknowledgeAbsence: x}]\nsteps:\n")
			p.sign()
			p.order = nil
			p.world.Break(p.payloads["evaluate-float"], unreachable())
		}, policy.Undecided, attest.CodeChainMissing, "evaluate-float"},
	})
	// Ratios of nothing and nothing are no numbers, and nothing is true of them.
	for cel, want := range map[string]policy.Outcome{
		`predicate.metrics["loss"].value / other.metrics["loss"].value >= 0.9`:       policy.Deny,
		`predicate.metrics["loss"].value / other.metrics["loss"].value <= 0.9`:       policy.Deny,
		`!(predicate.metrics["loss"].value / other.metrics["loss"].value > 0.9)`:     policy.Deny,
		`predicate.metrics["loss"].value / other.metrics["loss"].value != 0.9`:       policy.Deny,
		`!(predicate.metrics["loss"].value / other.metrics["loss"].value == 5.0)`:    policy.Deny,
		`1 / int(other.metrics["loss"].value) > 0 || true`:                           policy.Deny,
		`!(double("NaN") > predicate.metrics["loss"].value)`:                         policy.Deny,
		`double("Infinity") > predicate.metrics["loss"].value`:                       policy.Deny,
		`double("1") / 2.0 >= other.metrics["loss"].value`:                           policy.Allow,
		`4 / 2 == 2 && double(1) == 1.0`:                                             policy.Allow,
		`predicate.metrics["loss"].value <= other.metrics["loss"].value * 1.1 + 0.0`: policy.Allow,
	} {
		p := compared(t)
		p.replace(`predicate.metrics["accuracy"].value >= other.metrics["accuracy"].value - 0.01`, cel)
		for _, n := range []string{"evaluate", "evaluate-float"} {
			dig(p.statements[n].body, "metrics")["loss"] = map[string]any{"value": "0"}
		}
		if v := p.verdict(); v.Outcome != want {
			t.Errorf("MLS-20 %s: want %s, got %s", cel, want, explain(v))
		}
	}
}

// hubSteps are the steps of a policy that judges training data, as another team
// writes it, with a step that trains something on the test data.
const hubSteps = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: hub, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: prepare
unsafeTime: claimed
principals:
  theirs: {kind: workload, credentials: [{key: keys/evaluator.pub}]}
steps:
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/prepare/v1
    by: [theirs]
    select: any
    inputs: [{role: training-data, accept: any, reason: x}, {role: code, origin: "git+https://git.example/acme/credit"}]
`

// A key is known to this policy and to another that it names, and only there may
// do what is looked for.
func TestAKeyOfTwoPolicies(t *testing.T) {
	make := func(t testing.TB, trainedOn string) *pipeline {
		p := newPipeline(t)
		p.world.Key("evaluator")
		p.files = map[string]string{"vendor/hub.yaml": hubSteps, "vendor/keys/evaluator.pub": string(p.world.Key("evaluator").PEM())}
		p.replace("steps:\n", fmt.Sprintf("policies:\n  hub: {file: vendor/hub.yaml, digest: %q}\nsteps:\n", p.pinned(hubSteps)))
		p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
		p.policy = strings.ReplaceAll(p.policy, "sameRun: train.training-data, notIn: [train.training-data]", `notIn: ["*.training-data"]`)
		p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
		s := p.statements["prepare-train"]
		s.by = "evaluator"
		s.inputs(input{"training-data", "", trainedOn}, input{"code", codeURI, commit})
		return p
	}
	p := make(t, rawDigest)
	p.world.Manifest(map[string]string{"x": "y"})
	if v := p.verdict(); v.Outcome == policy.Deny {
		t.Errorf("other data: %s", explain(v))
	}
	p = make(t, rawDigest)
	p.statements["prepare-train"].inputs(input{"training-data", "", p.test.String()}, input{"code", codeURI, commit})
	if v := p.verdict(); v.Outcome != policy.Deny || !has(v, attest.CodeLeakage, "shares") {
		t.Errorf("MLS-05 the test data, taken under the other policy: %s", explain(v))
	}
}

// Another team calls its policy as this one is called, and asks less of a third
// that both name: what it is content with counts for it alone.
func TestPoliciesOfOneNameAreJudgedApart(t *testing.T) {
	base := strings.NewReplacer("name: hub", "name: base", "artifact: prepare", "artifact: ingest").Replace(hubPolicy)
	base = base[:strings.Index(base, "  prepare:\n")] + base[strings.Index(base, "  ingest:\n"):]
	p := newPipeline(t)
	pinned := p.pinned(base)
	summary := `, vsa: {by: [vouch], verifier: "https://v.example", resource: "r.example/x", maxAge: 24h, acknowledgeAbsence: x}`
	hub := strings.NewReplacer("name: hub", "name: credit-prod", "  data:", "  vouch: {kind: workload, credentials: [{key: keys/vouch.pub}]}\n  data:",
		"{role: raw-data, from: ingest}", "{role: raw-data, policy: base}",
		"steps:\n", fmt.Sprintf("policies:\n  base: {file: base.yaml, digest: %q%s}\nsteps:\n", pinned, summary)).Replace(hubPolicy)
	hub = hub[:strings.Index(hub, "  ingest:\n")]
	both, err := loadWith(p.world, hub, map[string]string{"base.yaml": base})
	if err != nil {
		t.Fatal(err)
	}
	p.files = map[string]string{"hub.yaml": hub, "base.yaml": base}
	p.replace("steps:\n", fmt.Sprintf("policies:\n  hub: {file: hub.yaml, digest: %q}\n  base: {file: base.yaml, digest: %q}\nsteps:\n", both.Digest(), pinned))
	p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
	p.replace("{role: raw-data, from: ingest}", "{role: raw-data, policy: base}") // of this policy's own prepare
	dropStep(p, "ingest")
	p.replace(", sameRun: train.training-data", "")
	if v := p.verdict(); v.Outcome != policy.Allow {
		t.Fatalf("with evidence: %s", explain(v))
	}
	p.world.Remove(p.payloads["ingest"])
	p.world.Sign("vouch", p.raw, predicate.TypeVSA, map[string]any{
		"verifier": map[string]any{"id": "https://v.example"}, "timeVerified": minute(5), "resourceUri": "r.example/x",
		"policy":             map[string]any{"uri": "https://x.example/policy", "digest": digestSet(pinned.String())},
		"verificationResult": "PASSED", "verifiedLevels": []any{}})
	v := p.judge()
	if v.Outcome != policy.Deny || !has(v, attest.CodeChainMissing, "the policy base does not allow") {
		t.Errorf("with a summary that only the other team accepts: %s", explain(v))
	}
}

// A summary stands in for evidence that is missing, and not for evidence that says
// no.
func TestSummariesAgainstEvidence(t *testing.T) {
	hub := strings.NewReplacer("steps:\n", "revocation: [{by: [watch], acknowledgeAbsence: x}]\nsteps:\n",
		"  data:", "  watch: {kind: human, credentials: [{key: keys/watch.pub}]}\n  data:").Replace(hubPolicy)
	make := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.files = map[string]string{"hub.yaml": hub}
		p.replace("steps:\n", fmt.Sprintf("policies:\n  hub: {file: hub.yaml, digest: %q, vsa: {by: [verifier], verifier: \"https://hub.example/v1\", resource: \"hub.example/data\", maxAge: 24h, acknowledgeAbsence: x}}\nsteps:\n", p.pinned(hub)))
		p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
		p.replace("  alice: {", "  verifier: {kind: workload, credentials: [{key: keys/verifier.pub}]}\n  alice: {")
		p.statements["vsa"] = &statement{by: "verifier", subject: p.train, typ: predicate.TypeVSA, body: map[string]any{
			"verifier": map[string]any{"id": "https://hub.example/v1"}, "timeVerified": minute(5), "resourceUri": "hub.example/data",
			"policy":             map[string]any{"uri": "https://hub.example/policy", "digest": digestSet(p.pinned(hub).String())},
			"verificationResult": "PASSED", "verifiedLevels": []any{}}}
		p.order = append(p.order, "vsa")
		p.sign()
		p.order = nil
		return p
	}
	revoke := func(of func(p *pipeline) attest.Digest, target string) func(p *pipeline) {
		return func(p *pipeline) { p.revoke("watch", of(p), predicate.ActionRevoke, target) }
	}
	try(t, make, []twist{
		{"CHN-18 both say yes", func(*pipeline) {}, policy.Allow, "", ""},
		{"CHN-18 a newer one that failed, and shows no level", func(p *pipeline) {
			p.replace("maxAge: 24h, ack", "maxAge: 24h, levels: [SLSA_BUILD_LEVEL_2], ack")
			p.world.Remove(p.payloads["prepare-train"])
			p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
			p.replace(", sameRun: train.training-data", "")
			b := p.statements["vsa"].body
			b["verifiedLevels"] = []any{"SLSA_BUILD_LEVEL_2"}
			p.world.Sign("verifier", p.train, predicate.TypeVSA, b)
			if v := p.judge(); v.Outcome != policy.Allow {
				p.t.Fatalf("without the newer one: %s", explain(v))
			}
			b["verificationResult"], b["timeVerified"], b["verifiedLevels"] = "FAILED", minute(6), []any{"FAILED"}
			p.world.Sign("verifier", p.train, predicate.TypeVSA, b)
		}, policy.Deny, attest.CodeVSA, "FAILED"},
		{"CHN-18 some evidence is missing", func(p *pipeline) {
			p.world.Remove(p.payloads["prepare-train"])
			p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
			p.replace(", sameRun: train.training-data", "")
		}, policy.Allow, "", ""},
		{"CHN-18 one from the future", func(p *pipeline) {
			p.world.Remove(p.payloads["prepare-train"])
			p.world.Remove(p.payloads["vsa"])
			p.statements["vsa"].body["timeVerified"] = minute(66)
			p.world.Sign("verifier", p.train, predicate.TypeVSA, p.statements["vsa"].body)
		}, policy.Deny, attest.CodeVSA, "which is after"},
		{"CHN-18 whether a newer one is there cannot be seen", func(p *pipeline) {
			p.world.Remove(p.payloads["prepare-train"])
			p.world.Break(p.train, unreachable())
		}, policy.Undecided, attest.CodeStatus, "newer summary"},
		{"CHN-18 whether it was revoked cannot be seen", func(p *pipeline) {
			p.replace("steps:\n", "revocation: [{by: [alice], acknowledgeAbsence: x}]\nsteps:\n")
			p.world.Remove(p.payloads["prepare-train"])
			p.world.Break(p.payloads["vsa"], unreachable())
			p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
			p.replace(", sameRun: train.training-data", "")
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"CHN-18 the artifact was revoked under the other policy", revoke(func(p *pipeline) attest.Digest { return p.train }, predicate.TargetArtifact), policy.Deny, attest.CodeRevoked, "watch"},
		{"CHN-18 what it is made from was", revoke(func(p *pipeline) attest.Digest { return p.raw }, predicate.TargetArtifact), policy.Deny, attest.CodeRevoked, "watch"},
		{"CHN-18 its evidence was", revoke(func(p *pipeline) attest.Digest { return p.payloads["prepare-train"] }, predicate.TargetPayload), policy.Deny, attest.CodeRevoked, "watch"},
	})
}

// Every policy of a row judges several artifacts, and each asks the next about the
// same ones: the verdict tells each answer once.
func TestPoliciesDoNotMultiply(t *testing.T) { // CHN-06
	const wide, deep = 6, 6
	p := newPipeline(t)
	layer := func(level int) (out []attest.Digest) {
		for i := range wide {
			out = append(out, p.world.Manifest(map[string]string{"data.csv": fmt.Sprint(level, i)}))
		}
		return out
	}
	p.files = map[string]string{}
	text := func(level int, next string) string {
		input := fmt.Sprintf("{role: in, accept: any, reason: x, min: 0, max: %d}", wide)
		more := ""
		if next != "" {
			input = fmt.Sprintf("{role: in, policy: next, min: 0, max: %d}", wide)
			more = fmt.Sprintf("policies: {next: {file: l%d.yaml, digest: %q}}\n", level+1, next)
		}
		return fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: level, version: %d, expires: 2027-05-01T00:00:00Z}
artifact: prepare
unsafeTime: claimed
principals: {data: {kind: workload, credentials: [{key: keys/data.pub}]}}
%ssteps:
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/prepare/v1
    by: [data]
    select: any
    inputs: [%s]
`, level+1, more, input)
	}
	var next string
	for level := deep - 1; level >= 0; level-- {
		p.files[fmt.Sprintf("l%d.yaml", level)] = text(level, next)
		pol, err := loadWith(p.world, p.files[fmt.Sprintf("l%d.yaml", level)], p.files)
		if err != nil {
			t.Fatal(err)
		}
		next = pol.Digest().String()
	}
	var below []attest.Digest
	for level := deep; level > 0; level-- {
		here := layer(level)
		for i, d := range here {
			var inputs []input
			for _, b := range below {
				inputs = append(inputs, input{"in", "", b.String()})
			}
			p.world.Sign("data", d, provenance, build("prepare", fmt.Sprint(level, i), 0, nil, inputs...))
		}
		below = here
	}
	var inputs []input
	for _, b := range below {
		inputs = append(inputs, input{"in", "", b.String()})
	}
	p.root = p.world.Manifest(map[string]string{"root": "root"})
	p.world.Sign("data", p.root, provenance, build("prepare", "root", 1, nil, inputs...))
	p.order = nil
	p.policy = p.files["l0.yaml"]
	begun := time.Now()
	v := p.verdict()
	if v.Outcome != policy.Allow {
		t.Fatal(v.Outcome)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(v.Requirements) > 1+wide*deep || len(v.Evidence) > (1+wide*deep)*deep {
		t.Errorf("%d requirements and %d pieces of evidence for %d artifacts under %d policies", len(v.Requirements), len(v.Evidence), 1+wide*deep, deep)
	}
	for _, r := range v.Requirements {
		for _, why := range r.Reasons {
			if why.Because != nil && strings.Contains(why.Because.Step, "next/next/next/next/next/next/next") {
				t.Errorf("%s because of %s", r.Step, why.Because.Step)
			}
		}
	}
}

// An exhausted budget leaves everything open, and allows nothing, wherever it ends.
func TestNoBudgetAllows(t *testing.T) {
	for _, make := range []func(t testing.TB) *pipeline{newPipelineOf, outsourced, compared} {
		allowed := false
		for n := 1; n < 200 && !allowed; n++ {
			p := make(t)
			dig(p.statements["evaluate"].body, "metrics", "accuracy")["value"] = "0.50" // fails
			p.replace("steps:\n", fmt.Sprintf("limits: {requirements: %d}\nsteps:\n", n))
			p.sign()
			v := p.judge()
			if v.Outcome == policy.Allow {
				t.Fatalf("with %d answers: %s", n, explain(v))
			}
			allowed = !has(v, attest.CodeLimit, "")
		}
		if !allowed {
			t.Error("200 answers are never enough")
		}
	}
}

// What another policy takes on trust, the verdict says as well.
func TestAcknowledgmentsOfOtherPolicies(t *testing.T) {
	hub := strings.Replace(hubPolicy, "steps:\n", "revocation: [{by: [data], acknowledgeAbsence: nobody hides any}]\nsteps:\n", 1)
	p := newPipeline(t)
	p.files = map[string]string{"hub.yaml": hub}
	p.replace("steps:\n", fmt.Sprintf("policies:\n  hub: {file: hub.yaml, digest: %q}\nsteps:\n", p.pinned(hub)))
	p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
	v := p.verdict()
	if got := fmt.Sprint(v.Acknowledged); v.Outcome != policy.Allow || !strings.Contains(got, "hub/revocation") || !strings.Contains(got, "nobody hides any") {
		t.Errorf("%s\n%s", got, explain(v))
	}
}

package policy_test

import (
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// What has no files has none that recur, and none that are covered.
func TestNothingIsNotEverything(t *testing.T) {
	packaged := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		bundle := p.world.Manifest(map[string]string{"model.safetensors": "int8 weights", "config.json": "{\"bits\":8}", "README.md": "about it"})
		p.replace("artifact: quantize ", "artifact: package ")
		p.replace("  evaluate:\n", `  package:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/package/v1
    by: [trainer]
    select: any
    inputs: [{role: parent-model, from: quantize}, {role: other, accept: any, reason: x, min: 0}]
  evaluate:
    carriesOver: [{step: package, added: [doc, config, weight]}]
`)
		for _, name := range []string{"approve-alice", "approve-bob"} {
			p.statements[name].subject = bundle
		}
		p.add("package", "trainer", bundle, build("package", "run-5", 6, map[string]attest.Digest{"model": bundle}, input{"parent-model", "", p.quant.String()}))
		p.root = bundle
		return p
	}
	swap := func(p *pipeline, parent attest.Digest) {
		p.statements["quantize"].subject = parent
		p.statements["package"].inputs(input{"parent-model", "", parent.String()})
		for _, n := range []string{"evaluate", "bias"} {
			p.statements[n].subject = parent
		}
		p.quant = parent
	}
	try(t, packaged, []twist{
		{"the parent's files recur", func(*pipeline) {}, policy.Allow, "", ""},
		{"MLS-09 a parent without files", func(p *pipeline) { swap(p, p.world.Manifest(nil)) }, policy.Deny, attest.CodeChainMissing, "no evaluate"},
		{"MLS-09 a parent that is no manifest", func(p *pipeline) { swap(p, attest.SHA256([]byte("an opaque model"))) }, policy.Deny, attest.CodeChainMissing, "no evaluate"},
		{"the parent's files cannot be seen", func(p *pipeline) { p.world.BreakManifest(p.quant, unreachable()) }, policy.Undecided, "", ""},
		{"MLS-09 evidence of what was taken through another line", func(p *pipeline) {
			other := p.world.Manifest(map[string]string{"model.safetensors": "int8 weights"})
			p.statements["package"].inputs(input{"parent-model", "", p.quant.String()}, input{"other", "", other.String()})
			p.statements["evaluate"].subject = other
		}, policy.Deny, attest.CodeChainMissing, "no evaluate"},
	})
	weightless := func(covers string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("    by: [trainer]\n    select: any\n    inputs: [{role: parent-model", "    by: [trainer]\n    select: any\n    covers: "+covers+"\n    inputs: [{role: parent-model")
			return p
		}
	}
	onlyDoc := func(p *pipeline) {
		d := p.world.Manifest(map[string]string{"README.md": "about it"})
		for _, s := range p.statements {
			if s.subject == p.quant {
				s.subject = d
			}
		}
		p.statements["quantize"].omit = true
		p.quant, p.root = d, d
		coverFile("README.md", "about it", "trainer")(p)
	}
	try(t, weightless("weights"), []twist{
		{"a statement about the whole artifact covers its files", func(*pipeline) {}, policy.Allow, "", ""},
		{"no weights to cover", onlyDoc, policy.Deny, attest.CodeCovers, "no such files"},
	})
	try(t, weightless("all"), []twist{{"the one file that there is", onlyDoc, policy.Allow, "", ""}})
}

// Evidence that does not say when counts only where nobody asks.
func TestUntimedEvidence(t *testing.T) {
	scanned := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("  approve:\n", "  scan:\n    predicate: https://example.com/scan/v1\n    about: artifact\n    by: [scanner]\n    select: any\n  approve:\n")
		p.replace("  alice: {", "  scanner: {kind: workload, credentials: [{key: keys/scanner.pub}]}\n  alice: {")
		p.statements["scan"] = &statement{by: "scanner", subject: p.quant, typ: "https://example.com/scan/v1", body: map[string]any{"clean": true}}
		p.order = append(p.order, "scan")
		return p
	}
	try(t, scanned, []twist{
		{"a type without a time", func(*pipeline) {}, policy.Allow, "", ""},
		{"where an age is asked for", func(p *pipeline) {
			p.replace("    by: [scanner]\n", "    by: [scanner]\n    maxAge: 24h\n")
		}, policy.Deny, attest.CodeTimeMissing, "how old"},
		{"by a key that counts for a time", func(p *pipeline) {
			p.replace("{key: keys/scanner.pub}", "{key: keys/scanner.pub, from: 2020-01-01T00:00:00Z}")
		}, policy.Deny, attest.CodeKeyWindow, "nothing says when"},
		{"a run that does not say when it ended", func(p *pipeline) {
			delete(dig(p.statements["train"].body, "runDetails", "metadata"), "finishedOn")
		}, policy.Deny, attest.CodeTimeMissing, "does not say when"},
	})
}

// A gap where nothing else is asked leaves open what was withdrawn there.
func TestGapsHideWithdrawals(t *testing.T) {
	p := revocable(t)
	p.sign()
	code, err := attest.ParseDigest(commit)
	if err != nil {
		t.Fatal(err)
	}
	p.world.Break(code, unreachable())
	v := p.judge()
	if r := requirement(v, "revocation"); v.Outcome != policy.Undecided || r[0].Status != policy.Unknown {
		t.Error(explain(v))
	}
}

// Only records of the step itself, by those who may do it, are runs that a plan
// must precede.
func TestWhatAPlanPrecedes(t *testing.T) {
	planned := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("  evaluate:\n", "  plan:\n    predicate: "+predicate.TypePreregistration+"\n    about: artifact\n    by: [evaluator]\n    select: any\n    before: [train]\n    acknowledgeAbsence: x\n  evaluate:\n")
		p.statements["plan"] = &statement{by: "evaluator", subject: p.quant, typ: predicate.TypePreregistration, body: map[string]any{
			"registeredAt": minute(0), "thresholds": map[string]any{"accuracy": map[string]any{"comparator": ">=", "value": "0.70"}}}}
		p.order = append(p.order, "plan")
		dig(p.statements["train"].body, "runDetails", "metadata")["startedOn"] = minute(1)
		return p
	}
	try(t, planned, []twist{
		{"a plan of the model", func(*pipeline) {}, policy.Allow, "", ""},
		{"evidence of another type about what was trained", func(p *pipeline) {
			p.add("evaluate-float", "evaluator", p.model, p.evaluation("quality", 4))
		}, policy.Allow, "", ""},
		{"a run by somebody who may not train", func(p *pipeline) {
			p.add("train-2", "alice", p.model, build("train", "run-9", 2, nil, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}))
			p.replace("notBy: [train, quantize, evaluate, bias]", "notBy: [quantize, evaluate, bias]")
		}, policy.Allow, "", ""},
		{"another parent may be unseen", func(p *pipeline) { p.world.Break(p.quant, unreachable()) }, policy.Undecided, attest.CodeEvalPlan, "which artifacts play"},
	})
}

// A model without files, or without weights, is of no format that is asked for.
func TestFormatsOfNothing(t *testing.T) {
	of := func(files map[string]string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("steps:\n", "formats: {weights: [safetensors]}\nsteps:\n")
			d := p.world.Manifest(files)
			for _, s := range p.statements {
				if s.subject == p.quant {
					s.subject = d
				}
			}
			p.quant, p.root = d, d
			p.question.Inspected = map[attest.Digest]policy.Inspected{attest.SHA256([]byte("w")): {Format: "safetensors"}, attest.SHA256([]byte("elsewhere")): {Format: "pickle"}}
			return p
		}
	}
	none := func(*pipeline) {}
	try(t, of(map[string]string{"weights/model.safetensors": "w", "copy.safetensors": "w"}), []twist{{"MLS-13 one file under two paths", none, policy.Allow, "", ""}})
	try(t, of(map[string]string{"weights/README.md": "w"}), []twist{{"MLS-13 a folder called weights", none, policy.Deny, attest.CodeFormat, "no weights"}})
	try(t, of(nil), []twist{{"MLS-13 no files", none, policy.Deny, attest.CodeFormat, "no manifest with files"}})
	try(t, of(map[string]string{"model": "other"}), []twist{{"MLS-13 weights that nobody looked at", none, policy.Undecided, attest.CodeFormat, "nobody looked"}})
}

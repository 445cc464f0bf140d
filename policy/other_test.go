package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// hubPolicy is the policy under which another team's data are judged.
const hubPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: hub, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: prepare
unsafeTime: claimed
principals:
  data: {kind: workload, credentials: [{key: keys/data.pub}]}
steps:
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/prepare/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, from: ingest}, {role: code, origin: "git+https://git.example/acme/credit"}]
  ingest:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/ingest/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, origin: "https://archive.ics.uci.edu/"}]
`

// outsourced returns the pipeline with its training data judged by another
// policy, and another key for the ingest and prepare steps.
func outsourced(t testing.TB) *pipeline {
	p := newPipeline(t)
	p.files = map[string]string{"vendor/hub.yaml": hubPolicy}
	p.world.Key("data")
	digest := p.pinned(hubPolicy)
	p.replace("steps:\n", fmt.Sprintf("policies:\n  hub: {file: vendor/hub.yaml, digest: %q}\nsteps:\n", digest))
	p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
	// vendor/hub.yaml's keys lie beside it
	p.files["vendor/keys/data.pub"] = string(p.world.Key("data").PEM())
	return p
}

// pinned returns the digest of a policy whose keys are the world's.
func (p *pipeline) pinned(src string) attest.Digest {
	p.t.Helper()
	other, err := load(p.world, src)
	if err != nil {
		p.t.Fatal(err)
	}
	return other.Digest()
}

func TestAnotherPolicy(t *testing.T) {
	try(t, outsourced, []twist{
		{"it allows the data", func(*pipeline) {}, policy.Allow, "", ""},
		{"it does not", func(p *pipeline) {
			p.statements["ingest"].inputs(input{"raw-data", "https://elsewhere.example/x.csv", rawDigest})
		}, policy.Deny, attest.CodeInput, "must come from"},
		{"the reason says which policy", func(p *pipeline) { p.statements["ingest"].omit = true }, policy.Deny, attest.CodeChainMissing, "the policy hub does not allow"},
		{"it cannot see", func(p *pipeline) {
			p.statements["ingest"].omit = true
			p.world.Break(p.raw, unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, ""},
		{"the consumer's deny list reaches into it", func(p *pipeline) {
			p.replace("sha256:0000000000000000000000000000000000000000000000000000000000000000", p.raw.String())
		}, policy.Deny, attest.CodeDenied, "withdrawn data set"},
	})
	p := outsourced(t)
	v := p.verdict()
	if len(requirement(v, "hub/prepare")) != 1 || len(requirement(v, "hub/ingest")) != 1 {
		t.Errorf("the verdict tells what the other policy asked:\n%s", explain(v))
	}
}

// The consumer's revokers revoke what the other policy rests on.
func TestRevocationReachesIntoAnotherPolicy(t *testing.T) {
	p := outsourced(t)
	p.replace("steps:\n", "revocation: [{by: [carol], acknowledgeAbsence: x}]\nsteps:\n")
	p.sign()
	if v := p.judge(); v.Outcome != policy.Allow {
		t.Fatal(explain(v))
	}
	p.revoke("carol", p.payloads["ingest"], predicate.ActionRevoke, predicate.TargetPayload)
	if v := p.judge(); v.Outcome != policy.Deny || !has(v, attest.CodeRevoked, "revoked by carol") {
		t.Error(explain(v))
	}
}

// A policy is judged once for each artifact, however many steps take it.
func TestSharedArtifactsAreJudgedOnce(t *testing.T) {
	p := outsourced(t)
	p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, policy: hub}")
	v := p.verdict()
	if v.Outcome != policy.Allow || len(requirement(v, "hub/prepare")) != 1 {
		t.Error(explain(v))
	}
}

func TestSummaries(t *testing.T) {
	summed := func(t testing.TB) *pipeline {
		p := outsourced(t)
		p.replace("vendor/hub.yaml, digest: \""+p.pinned(hubPolicy).String()+"\"}", "vendor/hub.yaml, digest: \""+p.pinned(hubPolicy).String()+
			"\",\n    vsa: {by: [verifier], verifier: \"https://hub.example/v1\", resource: \"hub.example/data\", maxAge: 24h, levels: [SLSA_BUILD_LEVEL_3], acknowledgeAbsence: x}}")
		p.replace("  alice: {", "  verifier: {kind: workload, credentials: [{key: keys/verifier.pub}]}\n  alice: {")
		p.statements["ingest"].omit = true // what the summary stands in for
		p.statements["prepare-test"].omit, p.statements["evaluate"].omit, p.statements["bias"].omit = true, true, true
		for _, s := range []string{"  evaluate:\n", "  bias:\n", "  approve:\n"} {
			i := strings.Index(p.policy, s)
			j := strings.Index(p.policy[i:], "\ndeny:")
			if s == "  evaluate:\n" {
				p.policy = p.policy[:i] + p.policy[i+j+1:]
				break
			}
		}
		p.replace("{role: calibration-data, from: prepare, output: train}", "{role: calibration-data, accept: any, reason: x}")
		dropStep(p, "ingest")
		dropStep(p, "prepare")
		p.statements["vsa"] = &statement{by: "verifier", subject: p.train, typ: predicate.TypeVSA, body: map[string]any{
			"verifier": map[string]any{"id": "https://hub.example/v1"}, "timeVerified": minute(5), "resourceUri": "hub.example/data",
			"policy":             map[string]any{"uri": "https://hub.example/policy", "digest": digestSet(p.pinned(hubPolicy).String())},
			"verificationResult": "PASSED", "verifiedLevels": []any{"SLSA_BUILD_LEVEL_3"}}}
		p.order = append(p.order, "vsa")
		return p
	}
	set := func(v any, path ...string) func(p *pipeline) {
		return func(p *pipeline) {
			b := p.statements["vsa"].body
			dig(b, path[:len(path)-1]...)[path[len(path)-1]] = v
		}
	}
	again := func(result string, at int) func(p *pipeline) {
		return func(p *pipeline) {
			body := map[string]any{}
			for k, v := range p.statements["vsa"].body {
				body[k] = v
			}
			body["timeVerified"], body["verificationResult"] = minute(at), result
			p.statements["vsa-2"] = &statement{by: "verifier", subject: p.train, typ: predicate.TypeVSA, body: body}
			p.order = append(p.order, "vsa-2")
		}
	}
	try(t, summed, []twist{
		{"CHN-18 it stands in", func(*pipeline) {}, policy.Allow, "", ""},
		{"CHN-18 there is none", func(p *pipeline) { p.statements["vsa"].omit = true }, policy.Deny, attest.CodeChainMissing, "the policy hub does not allow"},
		{"CHN-18 it failed", set("FAILED", "verificationResult"), policy.Deny, attest.CodeVSA, "FAILED"},
		{"CHN-18 another verifier", set("https://other.example", "verifier", "id"), policy.Deny, attest.CodeVSA, "verifier"},
		{"CHN-18 another resource", set("hub.example/data2", "resourceUri"), policy.Deny, attest.CodeVSA, "resource"},
		{"CHN-18 another policy", set(digestSet(rawDigest), "policy", "digest"), policy.Deny, attest.CodeVSA, "another policy"},
		{"CHN-18 a lower level", set([]any{"SLSA_BUILD_LEVEL_2"}, "verifiedLevels"), policy.Deny, attest.CodeVSA, "SLSA_BUILD_LEVEL_3"},
		{"CHN-18 too old", func(p *pipeline) { p.at = started.Add(26 * time.Hour) }, policy.Deny, attest.CodeVSA, "at most"},
		{"CHN-18 without a time", func(p *pipeline) { delete(p.statements["vsa"].body, "timeVerified") }, policy.Deny, attest.CodeVSA, "when"},
		{"CHN-18 our own spelling of the resource", func(p *pipeline) { set("oci://hub.example/data@"+p.train.String(), "resourceUri")(p) }, policy.Allow, "", ""},
		{"CHN-18 of another artifact of the resource", func(p *pipeline) { set("oci://hub.example/data@"+p.test.String(), "resourceUri")(p) }, policy.Deny, attest.CodeVSA, "resource"},
		{"CHN-18 for a context", set("https://hub.example/policy?context=staging", "policy", "uri"), policy.Deny, attest.CodeVSA, "context"},
		{"CHN-18 a newer one failed", again("FAILED", 6), policy.Deny, attest.CodeVSA, "FAILED"},
		{"CHN-18 an older one failed", again("FAILED", 4), policy.Allow, "", ""},
		{"CHN-18 two of one moment", again("FAILED", 5), policy.Deny, "", ""},
		{"CHN-18 by somebody else", func(p *pipeline) { p.statements["vsa"].by = "trainer" }, policy.Deny, attest.CodeChainMissing, ""},
		{"CHN-18 about something else", func(p *pipeline) { p.statements["vsa"].subject, p.statements["vsa"].where = p.model, p.train }, policy.Deny, attest.CodeChainMissing, ""},
	})
	p := summed(t)
	v := p.verdict()
	if i := len(v.Frontier); i == 0 || !strings.Contains(fmt.Sprint(v.Frontier), "summary") {
		t.Errorf("the summary is at the frontier: %v", v.Frontier)
	}
}

// dropStep takes a step out of the policy's text.
func dropStep(p *pipeline, name string) {
	p.t.Helper()
	i := strings.Index(p.policy, "\n  "+name+":\n")
	if i < 0 {
		p.t.Fatalf("no step %s", name)
	}
	rest := p.policy[i+1:]
	end := len(rest)
	for off := strings.Index(rest, "\n") + 1; off < len(rest); {
		line, _, _ := strings.Cut(rest[off:], "\n")
		if !strings.HasPrefix(line, "    ") {
			end = off
			break
		}
		off += len(line) + 1
	}
	p.policy = p.policy[:i+1] + rest[end:]
}

func TestPoliciesThatDoNotLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *pipeline)
		code   attest.Code
		why    string
	}{
		{"not pinned", func(p *pipeline) { p.replace(", digest: \""+p.pinned(hubPolicy).String()+"\"", "") }, attest.CodePolicyParse, "add digest"},
		{"changed", func(p *pipeline) {
			p.files["vendor/hub.yaml"] = strings.Replace(hubPolicy, "version: 1", "version: 2", 1)
		}, attest.CodePolicyParse, "not the one that is pinned"},
		{"gone", func(p *pipeline) { delete(p.files, "vendor/hub.yaml") }, attest.CodePolicyParse, "not exist"},
		{"with a mistake of its own", func(p *pipeline) {
			p.files["vendor/hub.yaml"] = strings.Replace(hubPolicy, "select: any", "select: some", 1)
		}, attest.CodePolicyParse, "vendor/hub.yaml:13:13"},
		{"a circle", func(p *pipeline) {
			p.files["vendor/hub.yaml"] = strings.Replace(hubPolicy, "steps:\n", "policies: {again: {file: ../vendor/hub.yaml, digest: \""+rawDigest+"\"}}\nsteps:\n", 1)
		}, attest.CodePolicyParse, "leads back to itself"},
		{"too many in a row", func(p *pipeline) { p.replace("steps:\n", "limits: {policies: 1}\nsteps:\n"); p.nest() }, attest.CodeLimit, "limits.policies"},
		{"never asked", func(p *pipeline) {
			p.replace("{role: training-data, policy: hub}", "{role: training-data, from: prepare, output: train}")
		}, attest.CodePolicyParse, "never be asked"},
		{"unknown", func(p *pipeline) { p.replace("policy: hub", "policy: hubb") }, attest.CodePolicyParse, "none of policies"},
		{"a context it does not have", func(p *pipeline) { p.replace("{file: vendor/hub.yaml,", "{file: vendor/hub.yaml, context: prod,") }, attest.CodePolicyParse, "has no context"},
		{"CHN-18 its makers sum it up", func(p *pipeline) {
			p.replace("{file: vendor/hub.yaml,", "{file: vendor/hub.yaml, vsa: {by: [data], verifier: x, resource: y, maxAge: 24h, acknowledgeAbsence: x},")
		}, attest.CodePolicyParse, "their own work"},
		{"CHN-18 a summary without acknowledgment", func(p *pipeline) {
			p.replace("{file: vendor/hub.yaml,", "{file: vendor/hub.yaml, vsa: {by: [alice], verifier: x, resource: y, maxAge: 24h},")
		}, attest.CodePolicyParse, "no newer summary being hidden"},
		{"CHN-18 a summary without age", func(p *pipeline) {
			p.replace("{file: vendor/hub.yaml,", "{file: vendor/hub.yaml, vsa: {by: [alice], verifier: x, resource: y},")
		}, attest.CodePolicyParse, "\"maxAge\" is missing"},
		{"CHN-18 a summary without resource", func(p *pipeline) {
			p.replace("{file: vendor/hub.yaml,", "{file: vendor/hub.yaml, vsa: {by: [alice], verifier: x, maxAge: 24h},")
		}, attest.CodePolicyParse, "\"resource\" is missing"},
	} {
		p := outsourced(t)
		c.change(p)
		_, err := loadWith(p.world, p.policy, p.files)
		var load *policy.LoadError
		if !errors.As(err, &load) || !strings.Contains(err.Error(), c.why) || attest.RefusalCode(err) != c.code {
			t.Errorf("%s: want %s %q, got %v", c.name, c.code, c.why, err)
		}
	}
}

// nest makes the other policy name a third one.
func (p *pipeline) nest() {
	inner := strings.Replace(hubPolicy, "name: hub", "name: inner", 1)
	p.files["vendor/inner.yaml"] = inner
	outer := strings.Replace(hubPolicy, "steps:\n", "policies: {inner: {file: inner.yaml, digest: \""+p.pinned(inner).String()+"\"}}\nsteps:\n", 1)
	p.files["vendor/hub.yaml"] = strings.Replace(outer, "{role: raw-data, from: ingest}", "{role: raw-data, policy: inner}", 1)
}

// What one verdict may cost is bounded, and the answer says by what.
func TestRequirementsAreBounded(t *testing.T) {
	p := newPipeline(t)
	p.replace("steps:\n", "limits: {requirements: 4}\nsteps:\n")
	v := p.verdict()
	if v.Outcome != policy.Undecided && v.Outcome != policy.Deny || !has(v, attest.CodeLimit, "limits.requirements") {
		t.Error(explain(v))
	}
}

// A summary stands in for evidence that is missing, and never against evidence
// that says no.
func TestASummaryAgainstTheEvidence(t *testing.T) {
	for _, vetoed := range []bool{false, true} {
		p := newPipeline(t)
		hub := strings.Replace(hubPolicy, "    inputs: [{role: raw-data, from: ingest}", "    veto: 'predicate.runDetails.metadata.invocationId == \"bad\"'\n    acknowledgeAbsence: x\n    inputs: [{role: raw-data, from: ingest}", 1)
		p.files = map[string]string{"hub.yaml": hub}
		d := p.pinned(hub).String()
		p.replace("steps:\n", "policies:\n  hub: {file: hub.yaml, digest: \""+d+"\", vsa: {by: [verifier], verifier: v, resource: r, maxAge: 24h, acknowledgeAbsence: x}}\nsteps:\n")
		p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, policy: hub}")
		p.replace("  alice: {", "  verifier: {kind: workload, credentials: [{key: keys/verifier.pub}]}\n  alice: {")
		if vetoed {
			dig(p.statements["prepare-train"].body, "runDetails", "metadata")["invocationId"] = "bad"
			dig(p.statements["prepare-test"].body, "runDetails", "metadata")["invocationId"] = "bad"
		}
		s := p.add("vsa", "verifier", p.train, map[string]any{
			"verifier": map[string]any{"id": "v"}, "timeVerified": minute(5), "resourceUri": "r",
			"policy": map[string]any{"uri": "x", "digest": digestSet(d)}, "verificationResult": "PASSED", "verifiedLevels": []any{}})
		s.typ = predicate.TypeVSA
		want := policy.Allow
		if vetoed {
			want = policy.Deny
		}
		if v := p.verdict(); v.Outcome != want || vetoed && !has(v, attest.CodeVeto, "data") {
			t.Errorf("vetoed %v: want %s, got %s", vetoed, want, explain(v))
		}
	}
}

// Whatever the other policy's functionaries are to this one, what they trained on
// counts.
func TestDisjointFromWhatAnotherPolicyTrainedOn(t *testing.T) {
	vendor := `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: vendor, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: pretrain
unsafeTime: claimed
principals:
  vendor: {kind: workload, credentials: [{key: keys/vendor.pub}]}
steps:
  pretrain:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://vendor.example/pretrain/v1
    by: [vendor]
    select: any
    inputs: [{role: training-data, accept: any, reason: x}]
`
	for _, known := range []bool{false, true} { // whether the vendor is a principal here, too
		for _, leaks := range []bool{false, true} {
			p := newPipeline(t)
			base := p.world.Manifest(map[string]string{"base.safetensors": "base weights"})
			p.files = map[string]string{"vendor.yaml": vendor}
			p.replace("steps:\n", "policies:\n  vendor: {file: vendor.yaml, digest: \""+p.pinned(vendor).String()+"\"}\nsteps:\n")
			p.policy = strings.ReplaceAll(p.policy, "notIn: [train.training-data]", `notIn: ["*.training-data"]`)
			p.replace("{role: training-data, from: prepare, output: train}", "{role: training-data, from: prepare, output: train}\n      - {role: base-model, policy: vendor, min: 0}")
			if known {
				p.replace("  alice: {", "  vendor-inc: {kind: workload, credentials: [{key: keys/vendor.pub}]}\n  alice: {")
			}
			data := p.raw
			if leaks {
				data = p.test
			}
			body := build("x", "run-v", 1, map[string]attest.Digest{"model": base}, input{"training-data", "", data.String()})
			dig(body, "buildDefinition")["buildType"] = "https://vendor.example/pretrain/v1"
			p.add("pretrain", "vendor", base, body)
			p.statements["train"].inputs(input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}, input{"base-model", "", base.String()})
			v := p.verdict()
			if (v.Outcome == policy.Deny) != leaks || leaks && !has(v, attest.CodeLeakage, "training-data") {
				t.Errorf("known %v, leaks %v: %s", known, leaks, explain(v))
			}
		}
	}
}

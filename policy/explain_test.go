package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

// everyKey is a policy that uses every key of the language, but for the digest of
// the other policy that it names: that follows from the world's keys.
const everyKey = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: everything, version: 3, description: "all keys", notBefore: 2026-05-01T00:00:00Z, expires: 2027-05-01T00:00:00Z}
artifact: tune
evidence: [registry.example/more]
unsafeTime: claimed
limits: {depth: 7, attestationsPerArtifact: 8, attestations: 9, bytes: 10, inputs: 11, time: 12s, celCost: 13000, policies: 6, requirements: 14000}
sharedFiles: ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]
trust: sha256:9999999999999999999999999999999999999999999999999999999999999999
maxLag: 30m
principals:
  data:    {kind: workload, credentials: [{key: keys/data.pub}]}
  trainer: {kind: workload, credentials: [{key: keys/trainer.pub, from: 2026-01-02T00:00:00Z, until: 2027-01-03T00:00:00Z, compromisedSince: 2026-12-24T00:00:00Z}]}
  alice:   {kind: human, roles: [risk], credentials: [{key: keys/alice.pub}]}
  bob:     {kind: human, roles: [owner], credentials: [{key: keys/bob.pub}]}
  runner:
    kind: workload
    credentials:
      - {issuer: "https://ci.example", subject: "https://git.example/acme/credit/build@refs/heads/main", buildSignerURI: "buildSignerURI 1", buildSignerDigest: "buildSignerDigest 1", runnerEnvironment: "runnerEnvironment 1", sourceRepository: "sourceRepository 1", sourceDigest: "sourceDigest 1", sourceRef: "sourceRef 1", sourceRepositoryID: "sourceRepositoryID 1", sourceOwner: "sourceOwner 1", sourceOwnerID: "sourceOwnerID 1", buildConfigURI: "buildConfigURI 1", buildConfigDigest: "buildConfigDigest 1", trigger: "trigger 1", runInvocation: "runInvocation 1", sourceVisibility: "sourceVisibility 1"}
      - {issuer: "https://ci.example", subjectPattern: "https://git.example/acme/*/build@refs/heads/release"}
      - {spiffe: "spiffe://acme.example/trainer"}
      - {spiffePattern: "spiffe://acme.example/gpu/*"}
  warden:  {kind: human, credentials: [{key: keys/warden.pub}]}
  hub:     {kind: workload, credentials: [{key: keys/hub.pub}]}
contexts:
  trial: {require: [test]}
  live:  {require: [test, approve]}
status: {by: [warden], maxAge: 24h}
revocation:
  - {by: [alice, bob], of: [artifact, payload], threshold: 2, acknowledgeAbsence: "revocation reason"}
  - {by: [warden], of: [key]}
policies:
  base:
    {file: base.yaml, digest: "BASE", context: eu}
  vendor:
    digest: "sha256:7777777777777777777777777777777777777777777777777777777777777777"
    vsa: {by: [hub], verifier: "https://hub.example/verifier", resource: "registry.example/base", maxAge: 168h, levels: [SLSA_BUILD_LEVEL_3], acknowledgeAbsence: "summary reason"}
formats: {weights: [safetensors, gguf], kinds: [weight, config], scan: scan-files}
access: {by: [hub], tools: {search: [read, list], sql: any}, secrets: [api-key@vault, db], executionPaths: [/srv/agent], dataScopes: ["s3://acme/credit/"], acknowledgeAbsence: "access reason"}
steps:
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://example.org/prepare/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, origin: "https://data.example/"}, {role: earlier, from: prepare, min: 0}]
  tune:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://example.org/tune/v1
    by: [trainer]
    select: any
    agree: [base-model]
    minVersion: "2.1"
    acknowledgeAbsence: "tune reason"
    inputs:
      - {role: base-model, pin: ["sha256:2222222222222222222222222222222222222222222222222222222222222222"], min: 1, max: 2}
      - {role: training-data, from: prepare, output: train, minVersion: "1.4"}
      - {role: teacher, policy: base, min: 0}
      - {role: adapter, policy: vendor, min: 0}
      - {role: environment, accept: any, reason: "recorded only", min: 0}
  test:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: artifact
    by: [data, trainer]
    select: latest
    acknowledgeAbsence: "test reason"
    carriesOver: [{step: tune, added: [doc]}]
    controls: [CTRL-7]
    inputs:
      - {role: evaluation-data, from: prepare, notIn: [tune.training-data], sameRun: [tune.training-data]}
      - {role: harness, origin: "https://tools.example/", sameAs: [tune.adapter], min: 0}
    rules:
      - {id: TEST-1, cel: 'predicate.metrics["accuracy"].value >= 0.7', message: "too low", controls: [CTRL-1]}
    compare:
      - {id: CMP-1, with: older, cel: 'predicate.metrics["auc"].value >= other.metrics["auc"].value', message: "worse than before", controls: [CTRL-2], sameInputs: [evaluation-data]}
  older:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    about: artifact
    by: [data]
    select: any
  plan:
    predicate: https://pedigree-ml.github.io/preregistration/v0.1
    about: prepare
    by: [bob]
    select: any
    before: [tune]
  scan:
    predicate: https://example.org/scan/v1
    about: prepare
    optional: true
    by: [data]
    select: any
  scan-files:
    predicate: https://example.org/scan-files/v1
    about: artifact
    by: [data]
    covers: weights
    select: any
  again:
    like: scan
    where: 'predicate.kind == "two"'
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice, bob]
    roles: {risk: 1}
    threshold: 2
    kind: human
    notBy: [tune]
    basis: [test]
    rebase: true
    samePolicy: true
    conditions: {dischargedBy: follow-up, untilDue: true}
    minAge: 5h
    maxAge: 48h
    where: 'predicate.role == "risk"'
    veto: 'predicate.decision == "rejected"'
    vetoBy: [alice]
    scope: '"prod" in predicate.scope.environments'
    acknowledgeAbsence: "approve reason"
    select: any
  follow-up:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [warden]
    select: any
  monitor:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [bob]
    select: any
    conditions: {dischargedBy: follow-up}
deny:
  - {artifacts: ["sha256:3333333333333333333333333333333333333333333333333333333333333333"], reason: "withdrawn", acknowledgeAbsence: "deny reason"}
  - {list: banned, by: [warden, alice], threshold: 2, maxAge: 12h}
`

// basePolicy is the other policy that everyKey names.
const basePolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: base-hub, version: 2, expires: 2027-02-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals: {maker: {kind: workload, credentials: [{key: keys/maker.pub}]}}
contexts: {eu: {require: [check]}, us: {require: []}}
steps:
  train: {predicate: "https://slsa.dev/provenance/v1", buildType: "https://example.org/train/v1", by: [maker], select: any}
  check: {predicate: "https://example.org/check/v1", about: artifact, by: [maker], select: any}
`

// everything is everyKey with the digest of the policy that it names.
func everything(t *testing.T, w *chaintest.World) string {
	t.Helper()
	base, err := load(w, basePolicy)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(everyKey, "BASE", base.Digest().String(), 1)
}

// loadEverything loads a policy that may name the other one, under two names.
func loadEverything(w *chaintest.World, src string) (*policy.Policy, error) {
	return loadWith(w, src, map[string]string{"base.yaml": basePolicy, "copy.yaml": basePolicy})
}

// A change changes the value of one key, and nothing else; both policies load.
type change struct{ part, key, old, new string }

// of returns a policy with the change. The digest of the other policy is at hand
// where a change names it.
func (c change) of(whole string) string {
	_, rest, _ := strings.Cut(whole, "{file: base.yaml, digest: \"")
	digest, _, _ := strings.Cut(rest, "\"")
	return strings.Replace(whole, c.old, strings.Replace(c.new, "BASE", digest, 1), 1)
}

func changes() []change {
	digest := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	return []change{
		{"policy", "artifact", "artifact: tune\n", "artifact: [tune, prepare]\n"},
		{"policy", "evidence", "[registry.example/more]", "[registry.example/other]"},
		{"policy", "unsafeTime", "unsafeTime: claimed\n", ""},
		{"policy", "sharedFiles", digest("1"), digest("4")},
		{"policy", "principals", "  data:    {kind: workload", "  data:    {kind: human"},
		{"policy", "deny", "\ndeny:\n  - {artifacts", "\ndeny:\n  # {artifacts"},
		{"metadata", "name", "name: everything", "name: another"},
		{"metadata", "version", "version: 3", "version: 4"},
		{"metadata", "description", "all keys", "some keys"},
		{"metadata", "notBefore", "notBefore: 2026-05-01T00:00:00Z", "notBefore: 2026-05-02T00:00:00Z"},
		{"metadata", "notBefore", "notBefore: 2026-05-01T00:00:00Z, ", ""},
		{"metadata", "expires", "2027-05-01T00:00:00Z", "2027-05-01T00:00:01Z"},
		{"limits", "depth", "depth: 7", "depth: 70"},
		{"limits", "attestationsPerArtifact", "attestationsPerArtifact: 8", "attestationsPerArtifact: 80"},
		{"limits", "attestations", "attestations: 9", "attestations: 90"},
		{"limits", "bytes", "bytes: 10", "bytes: 100"},
		{"limits", "inputs", "inputs: 11", "inputs: 110"},
		{"limits", "time", "time: 12s", "time: 13s"},
		{"limits", "celCost", "celCost: 13000", "celCost: 14000"},
		{"limits", "policies", "policies: 6", "policies: 5"},
		{"limits", "requirements", "requirements: 14000", "requirements: 15000"},
		{"principal", "roles", "roles: [owner]", "roles: [owner, privacy]"},
		{"principal", "kind", "  warden:  {kind: human", "  warden:  {kind: agent"},
		{"principal", "kind", "  trainer: {kind: workload", "  trainer: {kind: agent"},
		{"principal", "credentials", "[{key: keys/bob.pub}]", "[{key: keys/bob.pub}, {key: keys/more.pub}]"},
		{"credential", "key", "keys/bob.pub", "keys/other.pub"},
		{"credential", "issuer", `issuer: "https://ci.example", subject: `, `issuer: "https://ci2.example", subject: `},
		{"credential", "subject", "credit/build@refs/heads/main", "credit/build@refs/heads/dev"},
		{"credential", "subjectPattern", "*/build@refs/heads/release", "**/build@refs/heads/release"},
		{"credential", "spiffe", "acme.example/trainer", "acme.example/tuner"},
		{"credential", "spiffePattern", "/gpu/*", "/gpu/x*"},
		{"credential", "buildSignerURI", "buildSignerURI: \"buildSignerURI 1\"", "buildSignerURI: \"buildSignerURI 2\""},
		{"credential", "buildSignerDigest", "buildSignerDigest: \"buildSignerDigest 1\"", "buildSignerDigest: \"buildSignerDigest 2\""},
		{"credential", "runnerEnvironment", "runnerEnvironment: \"runnerEnvironment 1\"", "runnerEnvironment: \"runnerEnvironment 2\""},
		{"credential", "sourceRepository", "sourceRepository: \"sourceRepository 1\"", "sourceRepository: \"sourceRepository 2\""},
		{"credential", "sourceDigest", "sourceDigest: \"sourceDigest 1\"", "sourceDigest: \"sourceDigest 2\""},
		{"credential", "sourceRef", "sourceRef: \"sourceRef 1\"", "sourceRef: \"sourceRef 2\""},
		{"credential", "sourceRepositoryID", "sourceRepositoryID: \"sourceRepositoryID 1\"", "sourceRepositoryID: \"sourceRepositoryID 2\""},
		{"credential", "sourceOwner", "sourceOwner: \"sourceOwner 1\"", "sourceOwner: \"sourceOwner 2\""},
		{"credential", "sourceOwnerID", "sourceOwnerID: \"sourceOwnerID 1\"", "sourceOwnerID: \"sourceOwnerID 2\""},
		{"credential", "buildConfigURI", "buildConfigURI: \"buildConfigURI 1\"", "buildConfigURI: \"buildConfigURI 2\""},
		{"credential", "buildConfigDigest", "buildConfigDigest: \"buildConfigDigest 1\"", "buildConfigDigest: \"buildConfigDigest 2\""},
		{"credential", "trigger", "trigger: \"trigger 1\"", "trigger: \"trigger 2\""},
		{"credential", "runInvocation", "runInvocation: \"runInvocation 1\"", "runInvocation: \"runInvocation 2\""},
		{"credential", "sourceVisibility", "sourceVisibility: \"sourceVisibility 1\"", "sourceVisibility: \"sourceVisibility 2\""},
		{"policy", "trust", "\ntrust: " + digest("9"), "\ntrust: " + digest("a")},
		{"policy", "trust", "\ntrust: " + digest("9"), ""},
		{"policy", "maxLag", "maxLag: 30m", "maxLag: 31m"},
		{"step", "predicate", "https://example.org/scan/v1", "https://example.org/scan/v2"},
		{"step", "buildType", "https://example.org/tune/v1", "https://example.org/tune/v2"},
		{"step", "by", "by: [trainer]", "by: [trainer, data]"},
		{"step", "notBy", "notBy: [tune]", "notBy: [tune, prepare]"},
		{"step", "kind", "    kind: human\n", ""},
		{"credential", "from", "from: 2026-01-02", "from: 2026-01-03"},
		{"credential", "until", "until: 2027-01-03", "until: 2027-01-04"},
		{"credential", "compromisedSince", "compromisedSince: 2026-12-24", "compromisedSince: 2026-12-25"},
		{"policy", "contexts", "  trial: {require: [test]}\n", ""},
		{"context", "require", "trial: {require: [test]}", "trial: {require: [test, older]}"},
		{"context", "require", "trial: {require: [test]}", "trial: {require: []}"},
		{"policy", "status", "by: [warden], maxAge: 24h", "by: [warden, alice], maxAge: 24h"},
		{"status", "by", "by: [warden], maxAge: 24h", "by: [alice], maxAge: 24h"},
		{"status", "maxAge", "maxAge: 24h", "maxAge: 25h"},
		{"status", "maxAge", ", maxAge: 24h", ""},
		{"policy", "revocation", "\nrevocation:\n", "\nrevocation:\n  - {by: [hub], of: [key]}\n"},
		{"revocation", "by", "by: [warden], of: [key]", "by: [hub], of: [key]"},
		{"revocation", "of", "by: [warden], of: [key]", "by: [warden], of: [artifact]"},
		{"revocation", "of", "by: [warden], of: [key]", "by: [warden]"},
		{"revocation", "threshold", "of: [artifact, payload], threshold: 2", "of: [artifact, payload], threshold: 1"},
		{"revocation", "acknowledgeAbsence", "revocation reason", "revocation excuse"},
		{"revocation", "acknowledgeAbsence", "by: [warden], of: [key]", "by: [warden], of: [key], acknowledgeAbsence: \"as well\""},
		{"otherPolicy", "file", "file: base.yaml", "file: copy.yaml"},
		{"otherPolicy", "digest", digest("7"), digest("8")},
		{"otherPolicy", "context", "context: eu", "context: us"},
		{"otherPolicy", "vsa", ", context: eu}", ", context: eu, vsa: {by: [hub], verifier: v, resource: r, maxAge: 1h}}"},
		{"summary", "by", "vsa: {by: [hub]", "vsa: {by: [warden]"},
		{"summary", "verifier", "https://hub.example/verifier", "https://hub.example/other"},
		{"summary", "resource", "registry.example/base", "registry.example/other"},
		{"summary", "maxAge", "maxAge: 168h", "maxAge: 169h"},
		{"summary", "acknowledgeAbsence", "summary reason", "another reason"},
		{"summary", "levels", "SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2"},
		{"policy", "formats", "\nformats:", "\n# formats:"},
		{"formats", "weights", "weights: [safetensors, gguf]", "weights: [safetensors]"},
		{"formats", "kinds", "kinds: [weight, config]", "kinds: [weight, config, doc]"},
		{"formats", "kinds", ", kinds: [weight, config]", ""},
		{"formats", "scan", ", scan: scan-files", ""},
		{"policy", "access", "\naccess:", "\n# access:"},
		{"access", "by", "access: {by: [hub]", "access: {by: [hub, alice]"},
		{"access", "tools", "sql: any", "sql: [query]"},
		{"access", "tools", "search: [read, list]", "search: [read]"},
		{"access", "tools", ", sql: any", ""},
		{"access", "secrets", "api-key@vault, db", "api-key@vault"},
		{"access", "secrets", "api-key@vault", "api-key"},
		{"access", "executionPaths", "/srv/agent", "/srv"},
		{"access", "dataScopes", "s3://acme/credit/", "s3://acme"},
		{"access", "acknowledgeAbsence", "access reason", "access excuse"},
		{"access", "acknowledgeAbsence", ", acknowledgeAbsence: \"access reason\"", ""},
		{"step", "roles", "roles: {risk: 1}", "roles: {owner: 1}"},
		{"step", "roles", "    roles: {risk: 1}\n", ""},
		{"step", "threshold", "    threshold: 2\n    kind", "    threshold: 1\n    kind"},
		{"step", "covers", "covers: weights", "covers: all"},
		{"step", "covers", "    covers: weights\n", ""},
		{"step", "minVersion", `minVersion: "2.1"`, `minVersion: "2.2"`},
		{"step", "minAge", "minAge: 5h", "minAge: 6h"},
		{"step", "controls", "CTRL-7", "CTRL-8"},
		{"step", "rebase", "    rebase: true\n", ""},
		{"step", "samePolicy", "    samePolicy: true\n", ""},
		{"step", "before", "    before: [tune]\n", ""},
		{"step", "before", "before: [tune]", "before: [prepare]"},
		{"step", "carriesOver", "    carriesOver: [{step: tune, added: [doc]}]\n", ""},
		{"carriesOver", "step", "{step: tune, added", "{step: prepare, added"},
		{"carriesOver", "added", "added: [doc]", "added: [doc, config]"},
		{"carriesOver", "added", ", added: [doc]", ""},
		{"step", "conditions", "    conditions: {dischargedBy: follow-up, untilDue: true}\n", ""},
		{"conditions", "dischargedBy", "dischargedBy: follow-up, untilDue", "dischargedBy: monitor, untilDue"},
		{"conditions", "untilDue", ", untilDue: true", ""},
		{"step", "compare", "sameInputs: [evaluation-data]}\n", "sameInputs: [evaluation-data]}\n      - {id: CMP-2, with: older, cel: 'predicate.kind == other.kind', message: \"apples and pears\"}\n"},
		{"compare", "id", "CMP-1", "CMP-9"},
		{"compare", "with", "with: older", "with: again"},
		{"compare", "cel", "value >= other", "value > other"},
		{"compare", "message", "worse than before", "worse"},
		{"compare", "controls", "CTRL-2", "CTRL-3"},
		{"compare", "sameInputs", "sameInputs: [evaluation-data]", "sameInputs: [harness]"},
		{"step", "about", "about: prepare\n    optional", "about: tune\n    optional"},
		{"step", "optional", "    optional: true\n", ""},
		{"step", "select", "select: latest", "select: any"},
		{"step", "select", "select: latest", "select: all"},
		{"step", "inputs", `    inputs: [{role: raw-data, origin: "https://data.example/"}, {role: earlier, from: prepare, min: 0}]`, ""},
		{"step", "basis", "basis: [test]", "basis: [test, older]"},
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
		{"rule", "controls", "CTRL-1", "CTRL-4"},
		{"input", "role", "role: raw-data", "role: other-data"},
		{"input", "role", "role: raw-data, ", ""},
		{"input", "from", "from: prepare, output", "from: [prepare, tune], output"},
		{"input", "output", "output: train", "output: learn"},
		{"input", "origin", "https://data.example/", "https://data.example/sub"},
		{"input", "pin", digest("2"), digest("5")},
		{"input", "accept", `accept: any, reason: "recorded only"`, `origin: "https://data.example/", reason: "recorded only"`},
		{"input", "policy", "{role: base-model, pin", "{role: base-model, policy: base, pin"},
		{"input", "minVersion", `minVersion: "1.4"`, `minVersion: "1.5"`},
		{"input", "sameAs", "sameAs: [tune.adapter]", "sameAs: [tune.teacher]"},
		{"input", "sameAs", ", sameAs: [tune.adapter]", ""},
		{"input", "reason", "recorded only", "not judged"},
		{"input", "notIn", ", notIn: [tune.training-data]", ""},
		{"input", "notIn", "notIn: [tune.training-data]", "notIn: [tune.base-model]"},
		{"input", "notIn", "notIn: [tune.training-data]", "notIn: [\"*.training-data\"]"},
		{"input", "sameRun", ", sameRun: [tune.training-data]", ""},
		{"input", "sameRun", "sameRun: [tune.training-data]", "sameRun: [tune.base-model]"},
		{"input", "min", "min: 1", "min: 2"},
		{"input", "max", "max: 2", "max: 3"},
		{"deny", "artifacts", digest("3"), digest("6")},
		{"deny", "reason", "withdrawn", "stolen"},
		{"deny", "acknowledgeAbsence", "deny reason", "deny excuse"},
		{"deny", "acknowledgeAbsence", "maxAge: 12h}", "maxAge: 12h, acknowledgeAbsence: \"list reason\"}"},
		{"deny", "list", "list: banned", "list: forbidden"},
		{"deny", "by", "by: [warden, alice], threshold", "by: [warden, bob], threshold"},
		{"deny", "threshold", "alice], threshold: 2", "alice], threshold: 1"},
		{"deny", "maxAge", "maxAge: 12h", "maxAge: 13h"},
	}
}

// sentences is all that the explanation says, but for the policy's digest, which
// every change changes.
func sentences(t *testing.T, w *chaintest.World, src string) string {
	t.Helper()
	p, err := loadEverything(w, src)
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
	whole := everything(t, w)
	before := sentences(t, w, whole)
	// The first two have one value; the others only hold keys that have rows.
	tested := map[string]bool{"policy.apiVersion": true, "policy.kind": true, "policy.metadata": true, "policy.limits": true, "policy.policies": true, "policy.steps": true}
	for _, c := range changes() {
		tested[c.part+"."+c.key] = true
		t.Run(c.part+"."+c.key, func(t *testing.T) {
			if strings.Count(whole, c.old) != 1 {
				t.Fatalf("the policy contains %q %d times, want once", c.old, strings.Count(whole, c.old))
			}
			if sentences(t, w, c.of(whole)) == before {
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
	p, err := loadEverything(w, everything(t, w))
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

package predicate

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// refused decodes and wants a code, a path, and zero Facts.
func refused(t *testing.T, predicateType, predicate string, want attest.Code, about string) {
	t.Helper()
	f, err := Decode(statement(t, predicateType, predicate))
	r, _ := err.(*attest.Refusal)
	if attest.RefusalCode(err) != want || r.About != about {
		t.Errorf("got %v, want %s about %q", err, want, about)
	}
	if !reflect.DeepEqual(f, Facts{}) {
		t.Errorf("an error came with %+v", f)
	}
}

func mustDecode(t testing.TB, predicateType, predicate string) Facts {
	t.Helper()
	f, err := Decode(statement(t, predicateType, predicate))
	if err != nil {
		t.Fatalf("the unmodified predicate must decode, or the rest proves nothing: %v", err)
	}
	return f
}

// swap replaces the one occurrence of old.
func swap(t testing.TB, s, old, with string) string {
	t.Helper()
	if n := strings.Count(s, old); n != 1 {
		t.Fatalf("%q occurs %d times, so replacing it proves nothing", old, n)
	}
	return strings.Replace(s, old, with, 1)
}

func digest(t testing.TB, s string) attest.Digest {
	t.Helper()
	d, err := attest.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func utcTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestProvenanceFacts(t *testing.T) {
	f := mustDecode(t, TypeProvenance, examples(t, "provenance.md")[0])
	if f.Type != TypeProvenance || f.BuildType != "https://pedigree-ml.github.io/build/train/v1" || f.InvocationID != "9f2f6a0e-4d6e-4c9a-9c38-6b2f0d4b8a11" ||
		!f.Claimed.Equal(utcTime("2026-11-20T09:42:07Z")) {
		t.Errorf("got %+v", f)
	}
	want := []Input{
		{Role: "training-data", Name: "data/train.csv", URI: "oci://registry.example/acme/data", Digest: digest(t, "sha256:d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"), Observed: true},
		{Role: "code", URI: "git+https://git.example/acme/credit", Digest: digest(t, "gitCommit:1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877"), Observed: true},
		{Role: "base-model", URI: "https://models.example/base.safetensors", Digest: digest(t, "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")},
	}
	if !slices.Equal(f.Inputs, want) {
		t.Errorf("got inputs %+v", f.Inputs)
	}
	if len(f.Outputs) != 1 || f.Outputs[0].Name != "model" || f.Outputs[0].Digest.IsZero() {
		t.Errorf("got outputs %+v", f.Outputs)
	}
	definition := f.Tree["buildDefinition"].(map[string]any)
	if got := definition["internalParameters"].(map[string]any)["exitStatus"]; got != int64(0) {
		t.Errorf("an integer came as %T", got)
	}
	if got := definition["resolvedDependencies"].([]any)[1].(map[string]any)["digest"]; !reflect.DeepEqual(got, map[string]any{"gitCommit": "1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877"}) {
		t.Errorf("a digest set came as %v", got)
	}
}

// What others write: GitHub's builder, with parameters, environment and fields
// that nobody here knows.
const foreign = `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1",
"externalParameters":{"workflow":{"ref":"refs/heads/main","path":".github/workflows/train.yml"}},
"internalParameters":{"github":{"event_name":"push","repository_id":"1","runs":[1,2.5,null,true]}},
"resolvedDependencies":[{"uri":"git+https://github.com/acme/credit@refs/heads/main","digest":{"gitCommit":"1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877"}},
{"uri":"github_hosted_vm:ubuntu-24.04"}],"more":{"x":[]}},
"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"},
"metadata":{"invocationId":"https://github.com/acme/credit/actions/runs/1/attempts/1"},"byproducts":[{"content":"e30="},{"name":"log","uri":"x"}]}}`

func TestForeignProvenance(t *testing.T) {
	f := mustDecode(t, TypeProvenance, foreign)
	if len(f.Inputs) != 2 || f.Inputs[0].Role != "" || !f.Inputs[1].Digest.IsZero() || !f.Claimed.IsZero() || f.Outputs != nil {
		t.Errorf("got %+v", f)
	}
	definition := f.Tree["buildDefinition"].(map[string]any)
	if _, ok := definition["more"]; ok {
		t.Error("an unknown field reached the tree")
	}
	if got := definition["internalParameters"].(map[string]any)["github"].(map[string]any)["runs"]; !reflect.DeepEqual(got, []any{int64(1), 2.5, nil, true}) {
		t.Errorf("got %v", got)
	}
	// A null is an absence, where absence is allowed.
	mustDecode(t, TypeProvenance, swap(t, foreign, `"metadata":{"invocationId":"https://github.com/acme/credit/actions/runs/1/attempts/1"}`, `"metadata":null`))
}

type refusal struct {
	name     string
	old, new string // replaced in the positive twin
	code     attest.Code
	about    string
}

func check(t *testing.T, predicateType, good string, cases []refusal) {
	t.Helper()
	mustDecode(t, predicateType, good)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { refused(t, predicateType, swap(t, good, c.old, c.new), c.code, c.about) })
	}
}

const (
	schemaCode = attest.CodePredicateSchema
	dependency = "buildDefinition.resolvedDependencies"
)

func TestProvenanceRefusals(t *testing.T) {
	code := `{"gitCommit":"1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877"}`
	vm := `{"uri":"github_hosted_vm:ubuntu-24.04"}`
	check(t, TypeProvenance, foreign, []refusal{
		{"no build type", `"buildType":"https://actions.github.io/buildtypes/workflow/v1",`, ``, schemaCode, "buildDefinition.buildType"},
		{"empty build type", `https://actions.github.io/buildtypes/workflow/v1`, ``, schemaCode, "buildDefinition.buildType"},
		{"null build type", `"https://actions.github.io/buildtypes/workflow/v1"`, `null`, schemaCode, "buildDefinition.buildType"},
		{"no parameters", `"externalParameters"`, `"other"`, schemaCode, "buildDefinition.externalParameters"},
		{"STM-20 parameters an array", `"externalParameters":{`, `"externalParameters":[],"x":{`, schemaCode, "buildDefinition.externalParameters"},
		{"no builder", `"id":"https://github.com/actions/runner/github-hosted"`, ``, schemaCode, "runDetails.builder.id"},
		{"builder a string", `{"id":"https://github.com/actions/runner/github-hosted"}`, `"x"`, schemaCode, "runDetails.builder"},
		{"no definition", `"buildDefinition"`, `"definition"`, schemaCode, "buildDefinition"},
		{"STM-18 snake case", `"buildType"`, `"build_type":"x","buildType"`, schemaCode, `buildDefinition["build_type"]`},
		{"STM-17 other case", `"invocationId"`, `"invocationID"`, schemaCode, `runDetails.metadata["invocationID"]`},
		{"STM-04 sha1", code, `{"sha1":"1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877"}`, attest.CodeDigestAlg, dependency + "[0].digest"},
		{"STM-04 sha512 beside", `{"gitCommit":`, `{"sha512":"aa","gitCommit":`, attest.CodeDigestAlg, dependency + "[0].digest"},
		{"two digests", `{"gitCommit":`, `{"sha256":"` + strings.Repeat("a", 64) + `","gitCommit":`, attest.CodeDigestAlg, dependency + "[0].digest"},
		{"STM-05 truncated", `1f5a3d0d6c7c2f4b8f7ee1a4b3dfb2c1a0998877`, `1f5a3d0d`, attest.CodeDigestFormat, dependency + "[0].digest"},
		{"STM-06 empty set", code, `{}`, attest.CodeDigestFormat, dependency + "[0].digest"},
		{"an input of nothing", vm, `{"name":"x"}`, schemaCode, dependency + "[1]"},
		{"an input is null", vm, `null`, schemaCode, dependency + "[1]"},
		{"role a number", vm, `{"uri":"x","annotations":{"role":1}}`, schemaCode, dependency + "[1].annotations.role"},
		{"observed a string", vm, `{"uri":"x","annotations":{"observed":"false"}}`, schemaCode, dependency + "[1].annotations.observed"},
		{"observed misspelt", vm, `{"uri":"x","annotations":{"Observed":false}}`, schemaCode, dependency + "[1].annotations"},
		{"time without zone", `"invocationId"`, `"finishedOn":"2026-11-20T09:42:07","invocationId"`, schemaCode, "runDetails.metadata.finishedOn"},
		{"ends before it begins", `"invocationId"`, `"startedOn":"2026-11-20T09:42:08Z","finishedOn":"2026-11-20T09:42:07Z","invocationId"`, schemaCode, "runDetails.metadata"},
		{"inexact integer", `"runs":[1,`, `"runs":[9223372036854775809,`, schemaCode, `buildDefinition.internalParameters["github"]["runs"][0]`},
		{"too many inputs", vm, vm + strings.Repeat(","+vm, MaxInputs-1), attest.CodeChainFanout, dependency},
		{"far too many inputs", vm, vm + strings.Repeat(","+vm, maxList), attest.CodeChainFanout, dependency},
		{"too many byproducts", `{"content":"e30="}`, `{}` + strings.Repeat(",{}", maxList), attest.CodeLimit, "runDetails.byproducts"},
	})
	most := swap(t, foreign, vm, vm+strings.Repeat(","+vm, MaxInputs-2))
	if f := mustDecode(t, TypeProvenance, most); len(f.Inputs) != MaxInputs {
		t.Errorf("%d inputs, want %d", len(f.Inputs), MaxInputs)
	}
}

func TestEvaluationFacts(t *testing.T) {
	f := mustDecode(t, TypeEvaluation, examples(t, "evaluation.md")[0])
	if !f.Claimed.Equal(utcTime("2026-11-21T08:30:00Z")) || len(f.Inputs) != 2 || f.Inputs[0].Role != "evaluation-data" || f.Inputs[1].Digest.Algorithm() != "gitCommit" || !f.Inputs[0].Observed {
		t.Errorf("got %+v", f)
	}
	metric := f.Tree["metrics"].(map[string]any)["accuracy"].(map[string]any)
	if metric["value"] != 0.735 || metric["n"] != int64(200) {
		t.Errorf("got %v", metric)
	}
	gap := f.Tree["slices"].(map[string]any)["sex"].(map[string]any)["gaps"].(map[string]any)["demographicParity"].(map[string]any)
	if gap["value"] != 0.05 {
		t.Errorf("got %v", gap)
	}
	if f.Tree["evaluatedAt"] != f.Claimed {
		t.Errorf("a time came as %T", f.Tree["evaluatedAt"])
	}
}

const evaluation = `{"kind":"quality","evaluatedAt":"2026-11-21T08:30:00Z","suite":{"name":"s"},"metrics":{"accuracy":{"value":"0.95","n":10}},
"slices":{"sex":{"groups":{"f":{"n":1,"metrics":{"rate":{"value":"0.5"}}}},"gaps":{"parity":{"value":"0.1"}}}},
"inputs":[{"role":"evaluation-data","uri":"x"}]}`

// MLS-20 and POL-24: a number that is not one must not reach a comparison.
func TestMLS20MetricTricks(t *testing.T) {
	const value = "metrics[\"accuracy\"].value"
	var cases []refusal
	for _, bad := range []string{
		`0.95`, `1`, `true`, `null`, `{}`, `["0.95"]`, `""`, `" 0.95"`, `"0.95 "`, `"0,95"`, `"NaN"`, `"nan"`, `"Infinity"`, `"-inf"`, `"+0.95"`,
		`".95"`, `"0."`, `"00.95"`, `"1e3"`, `"9.5E-1"`, `"0x1p-2"`, `"1_000"`, `"0.95%"`, `"95%"`, `"--1"`, `"-"`, `"١"`, `"0.95\n"`,
		`"0.1234567890123456"`, `"1234567890123456"`, `"1000000000000000.0"`, `"0.` + strings.Repeat("0", maxDecimal) + `1"`,
	} {
		cases = append(cases, refusal{"MLS-20 " + bad, `"0.95"`, bad, schemaCode, value})
	}
	check(t, TypeEvaluation, evaluation, append(cases, []refusal{
		{"POL-24 n a string", `"n":10`, `"n":"10"`, schemaCode, `metrics["accuracy"].n`},
		{"POL-24 n a fraction", `"n":10`, `"n":10.0`, schemaCode, `metrics["accuracy"].n`},
		{"POL-24 n an exponent", `"n":10`, `"n":1e1`, schemaCode, `metrics["accuracy"].n`},
		{"n negative", `"n":10`, `"n":-1`, schemaCode, `metrics["accuracy"].n`},
		{"n minus zero", `"n":10`, `"n":-0`, schemaCode, `metrics["accuracy"].n`},
		{"n too large", `"n":10`, `"n":9223372036854775808`, schemaCode, `metrics["accuracy"].n`},
		{"interval turned round", `"n":10`, `"interval":{"low":"0.9","high":"0.8","level":"0.95"}`, schemaCode, `metrics["accuracy"].interval`},
		{"level in percent", `"n":10`, `"interval":{"low":"0.8","high":"0.9","level":"95"}`, schemaCode, `metrics["accuracy"].interval.level`},
		{"level zero", `"n":10`, `"interval":{"low":"0.8","high":"0.9","level":"0"}`, schemaCode, `metrics["accuracy"].interval.level`},
		{"interval without level", `"n":10`, `"interval":{"low":"0.8","high":"0.9"}`, schemaCode, `metrics["accuracy"].interval.level`},
		{"gap a number", `"0.1"`, `0.1`, schemaCode, `slices["sex"].gaps["parity"].value`},
		{"gap's interval", `{"value":"0.1"}`, `{"value":"0.1","interval":{"low":"1","high":"0","level":"0.9"}}`, schemaCode, `slices["sex"].gaps["parity"].interval`},
		{"group's interval", `{"value":"0.5"}`, `{"value":"0.5","interval":{"low":"1","high":"0","level":"0.9"}}`, schemaCode, `slices["sex"].groups["f"].metrics["rate"].interval`},
		{"group's metric", `"0.5"`, `"half"`, schemaCode, `slices["sex"].groups["f"].metrics["rate"].value`},
		{"metric without value", `"value":"0.95",`, ``, schemaCode, value},
		{"metric misspelt", `"value":"0.95"`, `"Value":"0.95"`, schemaCode, `metrics["accuracy"]["Value"]`},
	}...))
	for text, want := range map[string]float64{"0": 0, "-0": 0, "-0.0": 0, "1": 1, "-1.5": -1.5, "0.123456789012345": 0.123456789012345, "123456789012345": 123456789012345, "0.000001": 1e-6, "99": 99} {
		f := mustDecode(t, TypeEvaluation, swap(t, evaluation, "0.95", text))
		got := f.Tree["metrics"].(map[string]any)["accuracy"].(map[string]any)["value"].(float64)
		if got != want || math.Signbit(got) != math.Signbit(want) {
			t.Errorf("%s reads as %v, want %v", text, got, want)
		}
	}
}

func TestEvaluationRefusals(t *testing.T) {
	check(t, TypeEvaluation, evaluation, []refusal{
		{"no kind", `"kind":"quality",`, ``, schemaCode, "kind"},
		{"kind a list", `"quality"`, `["quality"]`, schemaCode, "kind"},
		{"no suite", `"suite":{"name":"s"},`, ``, schemaCode, "suite"},
		{"suite without name", `{"name":"s"}`, `{}`, schemaCode, "suite.name"},
		{"metrics a list", `{"accuracy":{"value":"0.95","n":10}}`, `[{"value":"0.95"}]`, schemaCode, "metrics"},
		{"no metrics", `"metrics":{"accuracy":{"value":"0.95","n":10}},`, ``, schemaCode, "metrics"},
		{"input without role", `"role":"evaluation-data",`, ``, schemaCode, "inputs[0].role"},
		{"input of nothing", `,"uri":"x"`, ``, schemaCode, "inputs[0]"},
		{"inputs an object", `[{"role":"evaluation-data","uri":"x"}]`, `{}`, schemaCode, "inputs"},
		{"STM-04 input's digest", `"uri":"x"`, `"digest":{"md5":"aa"}`, attest.CodeDigestAlg, "inputs[0].digest"},
		{"observed a number", `"uri":"x"`, `"uri":"x","annotations":{"observed":0}`, schemaCode, "inputs[0].annotations.observed"},
		{"too many inputs", `{"role":"evaluation-data","uri":"x"}`, `{"role":"a","uri":"x"}` + strings.Repeat(`,{"role":"a","uri":"x"}`, MaxInputs), attest.CodeChainFanout, "inputs"},
	})
}

func TestTimes(t *testing.T) {
	var cases []refusal
	for _, bad := range []string{
		`""`, `1700000000`, `"2026-11-21"`, `"2026-11-21T08:30:00"`, `"2026-11-21T08:30:00+00:00"`, `"2026-11-21T08:30:00-00:00"`, `"2026-11-21T09:30:00+01:00"`,
		`"2026-11-21t08:30:00Z"`, `"2026-11-21T08:30:00z"`, `"2026-11-21 08:30:00Z"`, `"2026-11-21T8:30:00Z"`, `"2026-11-21T08:30:00,5Z"`, `"2026-11-21T08:30:00.Z"`,
		`"2026-11-21T08:30:00.1234567890Z"`, `"2026-02-30T08:30:00Z"`, `"2026-11-21T24:00:00Z"`, `"2026-11-21T08:30:60Z"`, `"0001-01-01T00:00:00Z"`, `"1969-12-31T23:59:59Z"`, `" 2026-11-21T08:30:00Z"`,
	} {
		cases = append(cases, refusal{bad, `"2026-11-21T08:30:00Z"`, bad, schemaCode, "evaluatedAt"})
	}
	check(t, TypeEvaluation, evaluation, cases)
	f := mustDecode(t, TypeEvaluation, swap(t, evaluation, `08:30:00Z`, `08:30:00.123456789Z`))
	if f.Claimed.Nanosecond() != 123456789 {
		t.Errorf("got %v", f.Claimed)
	}
}

func TestApprovalFacts(t *testing.T) {
	f := mustDecode(t, TypeApproval, examples(t, "approval.md")[0])
	if !f.Claimed.Equal(utcTime("2026-11-22T14:00:00Z")) || !f.ValidUntil.Equal(utcTime("2027-05-22T00:00:00Z")) || len(f.Conditions) != 1 ||
		f.Policy.Hex() != "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a" {
		t.Errorf("got %+v", f)
	}
	if len(f.Basis) != 1 || f.Basis[0].Payload.Hex()[:4] != "4e07" || f.Basis[0].Artifact.Hex()[:4] != "fcde" {
		t.Errorf("got basis %+v", f.Basis)
	}
	f = mustDecode(t, TypeApproval, examples(t, "approval.md")[1])
	if f.Basis != nil || len(f.Conditions) != 0 || !f.Policy.IsZero() || !f.ValidUntil.IsZero() {
		t.Errorf("got %+v", f)
	}
}

func approval() string {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	return `{"decision":"approved","approvedAt":"2026-11-22T14:00:00Z","validUntil":"2027-05-22T00:00:00Z","scope":{"environments":["prod"]},
"basis":[{"payload":{"sha256":"` + a + `"},"artifact":{"sha256":"` + b + `"}}],"policy":{"version":7,"digest":{"sha256":"` + strings.Repeat("c", 64) + `"}},
"conditions":[{"id":"C-1"}]}`
}

func TestApprovalRefusals(t *testing.T) {
	good := approval()
	commit := `{"gitCommit":"` + strings.Repeat("d", 40) + `"}`
	basis := good[strings.Index(good, `[{"payload"`) : strings.Index(good, `}],"policy"`)+2]
	check(t, TypeApproval, good, []refusal{
		{"no decision", `"decision":"approved",`, ``, schemaCode, "decision"},
		{"conditional", `"approved"`, `"conditional"`, schemaCode, "decision"},
		{"approved in other case", `"approved"`, `"Approved"`, schemaCode, "decision"},
		{"STM-20 decision true", `"approved"`, `true`, schemaCode, "decision"},
		{"no time", `"approvedAt":"2026-11-22T14:00:00Z",`, ``, schemaCode, "approvedAt"},
		{"ends before it begins", `2027-05-22T00:00:00Z`, `2026-11-22T14:00:00Z`, schemaCode, "validUntil"},
		{"STM-17 end misspelt", `"validUntil"`, `"validuntil"`, schemaCode, `["validuntil"]`},
		{"STM-18 end in snake case", `"validUntil"`, `"valid_until"`, schemaCode, `["valid_until"]`},
		{"no scope", `"scope"`, `"range"`, schemaCode, "scope"},
		{"no environments", `["prod"]`, `[]`, schemaCode, "scope.environments"},
		{"empty environment", `["prod"]`, `["prod",""]`, schemaCode, "scope.environments[1]"},
		{"environment no list", `["prod"]`, `"prod"`, schemaCode, "scope.environments"},
		{"unknown constraint in the scope", `["prod"]`, `["prod"],"maxTraffic":"0.1"`, schemaCode, `scope["maxTraffic"]`},
		{"unknown constraint in a condition", `"id":"C-1"`, `"id":"C-1","expression":"x"`, schemaCode, `conditions[0]["expression"]`},
		{"condition without name", `"id":"C-1"`, `"text":"x"`, schemaCode, "conditions[0].id"},
		{"no basis", `"basis"`, `"reasons"`, schemaCode, "basis"},
		{"empty basis", basis, `[]`, schemaCode, "basis"},
		{"basis without artifact", `"artifact"`, `"thing"`, schemaCode, "basis[0].artifact"},
		{"basis a commit", `"payload":{"sha256":"` + strings.Repeat("a", 64) + `"}`, `"payload":` + commit, attest.CodeDigestAlg, "basis[0].payload"},
		{"STM-05 basis truncated", strings.Repeat("a", 64), `aa`, attest.CodeDigestFormat, "basis[0].payload"},
		{"policy a commit", `{"sha256":"` + strings.Repeat("c", 64) + `"}`, commit, attest.CodeDigestAlg, "policy.digest"},
		{"policy without digest", `"digest"`, `"hash"`, schemaCode, "policy.digest"},
		{"version a string", `"version":7`, `"version":"7"`, schemaCode, "policy.version"},
	})
	// A rejection needs no basis; evidence about a commit is evidence; what only
	// informs may be unknown.
	mustDecode(t, TypeApproval, swap(t, swap(t, good, `"approved"`, `"rejected"`), basis, `[]`))
	mustDecode(t, TypeApproval, swap(t, good, `"artifact":{"sha256":"`+strings.Repeat("b", 64)+`"}`, `"artifact":`+commit))
	with, without := mustDecode(t, TypeApproval, swap(t, good, `"decision"`, `"mood":"good","decision"`)), mustDecode(t, TypeApproval, good)
	if !reflect.DeepEqual(with, without) {
		t.Error("STM-24: an unknown field changed what was read")
	}
}

func TestVSA(t *testing.T) {
	good := examples(t, "vsa.md")[0]
	f := mustDecode(t, TypeVSA, good)
	if !f.Claimed.Equal(utcTime("2026-11-23T10:00:00Z")) || f.Inputs != nil {
		t.Errorf("got %+v", f)
	}
	check(t, TypeVSA, good, []refusal{
		{"result unknown", `"PASSED"`, `"UNDECIDED"`, schemaCode, "verificationResult"},
		{"result in lower case", `"PASSED"`, `"passed"`, schemaCode, "verificationResult"},
		{"no verifier", `"verifier"`, `"v"`, schemaCode, "verifier"},
		{"no resource", `"resourceUri"`, `"resource"`, schemaCode, "resourceUri"},
		{"no policy", `"policy"`, `"rules"`, schemaCode, "policy"},
		{"no levels", `"verifiedLevels": []`, `"verifiedLevels": null`, schemaCode, "verifiedLevels"},
		{"levels no text", `"verifiedLevels": []`, `"verifiedLevels": [3]`, schemaCode, "verifiedLevels[0]"},
		{"attestation without digest", `{"digest": {"sha256": "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"}}`, `{"uri":"x"}`, schemaCode, "inputAttestations[0].digest"},
	})
}

func TestUntyped(t *testing.T) {
	const typ = "https://example.test/x/v1"
	f := mustDecode(t, typ, `{"n":9007199254740993,"big":18446744073709551616,"f":0.5,"e":1e3,"s":"0.95","b":true,"z":null,"l":[],"o":{"a":1}}`)
	want := map[string]any{"n": int64(9007199254740993), "big": 18446744073709551616.0, "f": 0.5, "e": 1000.0, "s": "0.95", "b": true, "z": nil, "l": []any{}, "o": map[string]any{"a": int64(1)}}
	if !reflect.DeepEqual(f, Facts{Type: typ, Tree: want}) {
		t.Errorf("got %#v", f)
	}
	if f := mustDecode(t, typ, `null`); f.Tree == nil || len(f.Tree) != 0 {
		t.Errorf("got %#v", f)
	}
	refused(t, typ, `{"n":[18446744073709551617]}`, schemaCode, `["n"][0]`)
	if f, err := Decode(&attest.Statement{PredicateType: typ}); err != nil || f.Tree == nil {
		t.Errorf("no predicate at all: %+v, %v", f, err)
	}
	for _, alias := range []string{"https://slsa.dev/Provenance/v1", "https://pedigree-ml.github.io/Approval/v0.1", "https://spdx.dev/document/v3"} {
		refused(t, alias, `{}`, attest.CodePredicateType, alias)
	}
}

// No predicate, or one that is nothing, is never an approval of nothing.
func TestSTM20NoPredicate(t *testing.T) {
	for _, typ := range pages() {
		for _, p := range []string{`null`, `{}`} {
			f, err := Decode(statement(t, typ, p))
			if attest.RefusalCode(err) != schemaCode || !reflect.DeepEqual(f, Facts{}) {
				t.Errorf("%s, %s: got %v, want %s", Name(typ), p, err, schemaCode)
			}
		}
		if _, err := Decode(&attest.Statement{PredicateType: typ}); attest.RefusalCode(err) != schemaCode {
			t.Errorf("%s without predicate: got %v, want %s", Name(typ), err, schemaCode)
		}
	}
}

// Field machine: whatever required field of an example is missing, null or of
// another kind, the predicate does not decode.
func TestEveryRequiredField(t *testing.T) {
	for name, typ := range pages() {
		table, _ := Table(typ)
		f := mustDecode(t, typ, examples(t, name)[0])
		tried := 0
		spoil(table, f.Tree, func(what string) {
			tried++
			if _, err := readStruct(nil, &Field{Kind: Struct, Fields: table}, parsed(t, jsonOf(f.Tree))); attest.RefusalCode(err) != schemaCode && !strings.HasPrefix(string(attest.RefusalCode(err)), "E_DIGEST") {
				t.Errorf("%s: %s: got %v", name, what, err)
			}
		})
		if tried < 10 {
			t.Errorf("%s: only %d fields were spoilt", name, tried)
		}
	}
}

// spoil changes one field of the tree at a time and calls try.
func spoil(table []Field, tree map[string]any, try func(string)) {
	for _, f := range table {
		value, ok := tree[f.Name]
		if !ok {
			continue
		}
		for _, bad := range []any{7.5, []any{7.5}, map[string]any{"x": 7.5}} {
			if f.Kind == Any || f.Kind == List && reflect.TypeOf(bad).Kind() == reflect.Slice && f.Elem.Kind == Any || f.Kind == Map && f.Elem.Kind == Any && reflect.TypeOf(bad).Kind() == reflect.Map {
				continue
			}
			if f.Kind == Struct && !slices.ContainsFunc(f.Fields, func(f Field) bool { return f.Required }) {
				continue // nothing in it has to be there
			}
			tree[f.Name] = bad
			try(fmt.Sprintf("%s is %v", f.Name, bad))
		}
		if f.Required {
			delete(tree, f.Name)
			try(f.Name + " is missing")
		}
		tree[f.Name] = value
		spoilInside(f, value, try)
	}
}

// spoilInside spoils what is in an object, and in every entry of a list or map.
func spoilInside(f Field, value any, try func(string)) {
	switch f.Kind {
	case Struct:
		spoil(f.Fields, value.(map[string]any), try)
	case List:
		for _, item := range value.([]any) {
			spoilInside(*f.Elem, item, try)
		}
	case Map:
		m := value.(map[string]any)
		for _, name := range sortedKeys(m) {
			spoilInside(*f.Elem, m[name], try)
		}
	}
}

// jsonOf writes a tree that Decode made, decimals as strings again.
func jsonOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, k := range sortedKeys(v) {
			parts = append(parts, fmt.Sprintf("%q:%s", k, jsonOf(v[k])))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, item := range v {
			parts = append(parts, jsonOf(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	case time.Time:
		return `"` + v.Format(time.RFC3339Nano) + `"`
	case float64:
		if v == 7.5 { // the spoilt one: no decimal is written as a number
			return "7.5"
		}
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return fmt.Sprint(v)
}

func FuzzDecode(f *testing.F) {
	for name, typ := range pages() {
		for _, e := range examples(f, name) {
			f.Add(typ, []byte(e))
		}
	}
	f.Add(TypeProvenance, []byte(foreign))
	f.Add(TypeStatus, []byte(`{"sequence":1,"issuedAt":"2027-01-01T00:00:00Z","validUntil":"2027-01-02T00:00:00Z","artifacts":{"sha256:AA":[],"md5:00":[{}]}}`))
	f.Add(TypeRevocation, []byte(`{"action":"restore","target":"payload","reason":"x","issuedAt":"2027-01-01T00:00:00Z","replacedBy":{"gitCommit":"00"},"restores":[]}`))
	f.Add(TypeOMS, []byte(`{"resources":[{"name":"a","algorithm":"sha256","digest":"00"},{"name":"a","algorithm":"blake2b","digest":"0"}],"serialization":8.0}`))
	f.Add("https://example.test/x/v1", []byte(`{"a":[1,2.5,null]}`))
	f.Fuzz(func(t *testing.T, typ string, b []byte) {
		v, err := parse(b)
		if err != nil {
			return
		}
		got, err := Decode(&attest.Statement{PredicateType: typ, Predicate: v})
		if err != nil {
			if !reflect.DeepEqual(got, Facts{}) || attest.RefusalCode(err) == "" {
				t.Fatalf("facts with an error, or an error without a code: %v", err)
			}
			return
		}
		if why := odd(got.Tree); why != "" {
			t.Fatal(why)
		}
		// What decodes can be written, and says the same again.
		if v.Kind() == strictjson.Null {
			return // which nobody writes
		}
		again, err := Encode(typ, v)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		w, err := parse(again)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(&attest.Statement{PredicateType: typ, Predicate: w})
		if err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("came back as %+v, %v", back, err)
		}
	})
}

// odd says what in a tree no expression could work with.
func odd(v any) string {
	switch v := v.(type) {
	case nil, string, bool, int64, time.Time:
		return ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprintf("a number that is %v", v)
		}
		return ""
	case []any:
		for _, item := range v {
			if why := odd(item); why != "" {
				return why
			}
		}
		return ""
	case map[string]any:
		for _, k := range sortedKeys(v) {
			if why := odd(v[k]); why != "" {
				return why
			}
		}
		return ""
	}
	return fmt.Sprintf("a %T in the tree", v)
}

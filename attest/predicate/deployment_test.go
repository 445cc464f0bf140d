package predicate

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestDeployment(t *testing.T) {
	f := mustDecode(t, TypeDeployment, examples(t, "deployment.md")[0])
	if !f.Claimed.Equal(utcTime("2026-11-23T10:05:00Z")) || at[string](f.Tree, "target", "cluster") != "eu-1" || at[int64](f.Tree, "config", "replicas") != 3 {
		t.Errorf("got %+v", f)
	}
	ref := `{"payload":` + setA + `,"artifact":` + someCommit + `}`
	good := `{"environment":"prod","deployedAt":"2027-01-01T00:00:00Z","reason":"rollback","decision":` + ref + `,"loaded":[{"name":"a","digest":` + setB + `},{"digest":` + setB + `},{"digest":` + setB + `}]}`
	check(t, TypeDeployment, good, []refusal{
		{"no environment", `"environment":"prod",`, ``, schemaCode, "environment"},
		{"no time", `"deployedAt":"2027-01-01T00:00:00Z",`, ``, schemaCode, "deployedAt"},
		{"unknown reason", `"rollback"`, `"because"`, schemaCode, "reason"},
		{"decision nowhere", `,"artifact":` + someCommit, ``, schemaCode, "decision.artifact"},
		{"decision a commit", `"payload":` + setA, `"payload":` + someCommit, attest.CodeDigestAlg, "decision.payload"},
		{"previous a commit", `"reason"`, `"previous":{"payload":` + someCommit + `,"artifact":` + setA + `},"reason"`, attest.CodeDigestAlg, "previous.payload"},
		{"loaded without digest", `{"name":"a","digest":` + setB + `}`, `{"name":"a"}`, schemaCode, "loaded[0].digest"},
		{"loaded a commit", `"a","digest":` + setB, `"a","digest":` + someCommit, attest.CodeDigestAlg, "loaded[0].digest"},
		{"one file twice", `[{"name":"a"`, `[{"name":"a","digest":` + setA + `},{"name":"a"`, schemaCode, "loaded[1].name"},
		{"observer nobody", `"reason"`, `"observer":{},"reason"`, schemaCode, "observer.id"},
		{"config a list", `"reason"`, `"config":[],"reason"`, schemaCode, "config"},
	})

	a, b := DigestSet{attest.SHA256([]byte("a"))}, DigestSet{attest.SHA256([]byte("b"))}
	f = encoded(t, TypeDeployment, Deployment{Environment: "prod", DeployedAt: noon, Target: &DeploymentTarget{Cluster: "c", Service: "s", Endpoint: "e"},
		Loaded: []LoadedFile{{"f", a}}, Decision: &StatementRef{a, b}, Previous: &StatementRef{b, a}, Observer: &Observer{"o"}, Reason: DeployHotfix, Config: map[string]any{"n": 1}})
	if !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC || digestAt(f.Tree["previous"].(map[string]any), "payload") != b.Digest {
		t.Errorf("got %+v", f)
	}
	encoded(t, TypeDeployment, Deployment{Environment: "prod", DeployedAt: noon})
}

func TestPreregistration(t *testing.T) {
	f := mustDecode(t, TypePreregistration, examples(t, "preregistration.md")[0])
	thresholds := f.Tree["thresholds"].(map[string]any)
	if !f.Claimed.Equal(utcTime("2026-11-10T09:00:00Z")) || len(f.Inputs) != 2 || f.Inputs[0].Role != "evaluation-data" || f.Inputs[0].Digest.IsZero() || !f.Inputs[1].Digest.IsCommit() ||
		!reflect.DeepEqual(thresholds["accuracy"], map[string]any{"comparator": ">=", "value": 0.7}) || f.Tree["runs"] != int64(3) {
		t.Errorf("got %+v", f)
	}
	good := `{"registeredAt":"2027-01-01T00:00:00Z","thresholds":{"a":{"comparator":">=","value":"0.9"}},"suite":{"name":"s"},"inputs":[{"role":"r","uri":"u"}],"seeds":["1"]}`
	check(t, TypePreregistration, good, []refusal{
		{"no time", `"registeredAt":"2027-01-01T00:00:00Z",`, ``, schemaCode, "registeredAt"},
		{"no thresholds", `"thresholds"`, `"targets"`, schemaCode, "thresholds"},
		{"a plan that nothing fails", `{"a":{"comparator":">=","value":"0.9"}}`, `{}`, schemaCode, "thresholds"},
		{"unknown comparator", `">="`, `"=="`, schemaCode, `thresholds["a"].comparator`},
		{"no comparator", `"comparator":">=",`, ``, schemaCode, `thresholds["a"].comparator`},
		{"MLS-20 value a number", `"0.9"`, `0.9`, schemaCode, `thresholds["a"].value`},
		{"no value", `,"value":"0.9"`, ``, schemaCode, `thresholds["a"].value`},
		{"a restriction", `"value":"0.9"`, `"value":"0.9","for":"adults"`, schemaCode, `thresholds["a"]["for"]`},
		{"suite without name", `{"name":"s"}`, `{}`, schemaCode, "suite.name"},
		{"input of nothing", `,"uri":"u"`, ``, schemaCode, "inputs[0]"},
		{"seed a number", `["1"]`, `[1]`, schemaCode, "seeds[0]"},
		{"too many inputs", `{"role":"r","uri":"u"}`, `{"role":"r","uri":"u"}` + strings.Repeat(`,{"role":"r","uri":"u"}`, MaxInputs), attest.CodeChainFanout, "inputs"},
	})

	f = encoded(t, TypePreregistration, Preregistration{RegisteredAt: noon, Thresholds: map[string]Threshold{"a": {AtLeast, "0.9"}, "b": {AtMost, "1"}, "c": {Above, "0"}, "d": {Below, "2"}},
		Runs: 2, Suite: &Suite{Name: "s"}, Seeds: []string{"1"}, Inputs: []EvaluationInput{{Role: "harness", URI: "u"}}, Comment: "c"})
	if !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC || len(f.Inputs) != 1 || len(f.Tree["thresholds"].(map[string]any)) != 4 {
		t.Errorf("got %+v", f)
	}
	if b, err := Encode(TypePreregistration, Preregistration{RegisteredAt: noon}); attest.RefusalCode(err) != schemaCode || b != nil {
		t.Errorf("an empty plan was written: %s, %v", b, err)
	}
}

func TestOMS(t *testing.T) {
	f := mustDecode(t, TypeOMS, examples(t, "oms.md")[0])
	if len(f.Resources) != 2 || f.Resources[1].Name != "model.safetensors" || f.Resources[1].Digest.Algorithm() != "sha256" || !f.Claimed.IsZero() || f.Inputs != nil {
		t.Errorf("got %+v", f)
	}
	entry := `{"name":"a","algorithm":"sha256","digest":"` + hexA + `"}`
	good := `{"resources":[` + entry + `],"serialization":{"method":"files","shard_size":8.0}}`
	check(t, TypeOMS, good, []refusal{
		{"no resources", `"resources"`, `"files"`, schemaCode, "resources"},
		{"resources an object", `[` + entry + `]`, entry, schemaCode, "resources"},
		{"no name", `"name":"a",`, ``, schemaCode, "resources[0].name"},
		{"no algorithm", `"algorithm":"sha256",`, ``, schemaCode, "resources[0].algorithm"},
		{"no digest", `,"digest":"` + hexA + `"`, ``, schemaCode, "resources[0].digest"},
		{"STM-05 digest truncated", hexA, "aa", attest.CodeDigestFormat, "resources[0].digest"},
		{"STM-05 digest in upper case", hexA, strings.ToUpper(hexA), attest.CodeDigestFormat, "resources[0].digest"},
		{"another algorithm, no hash", `"sha256","digest":"` + hexA, `"blake2b","digest":"x`, attest.CodeDigestFormat, "resources[0].digest"},
		{"one name twice", entry, entry + `,{"name":"a","algorithm":"blake2b","digest":"00"}`, schemaCode, "resources[1].name"},
		{"too many", entry, strings.Repeat(`{},`, maxResources) + `{}`, attest.CodeLimit, "resources"},
	})
	// A hash that nobody here computes is read, and is no digest of anything.
	for _, other := range []string{"SHA256", "sha-256", "sha512", "blake2b", "sha256-sharded-1000"} {
		if f := mustDecode(t, TypeOMS, swap(t, good, `"sha256"`, `"`+other+`"`)); len(f.Resources) != 1 || f.Resources[0] != (Resource{Name: "a"}) {
			t.Errorf("%s: got %+v", other, f.Resources)
		}
	}
	var most []string
	for i := range maxResources {
		most = append(most, fmt.Sprintf(`{"name":"%d","algorithm":"sha256","digest":%q}`, i, hexA))
	}
	if f := mustDecode(t, TypeOMS, swap(t, good, entry, strings.Join(most, ","))); len(f.Resources) != maxResources {
		t.Errorf("%d resources", len(f.Resources))
	}
}

func TestHasTime(t *testing.T) {
	for _, n := range names() {
		_, table := Table(n.uri)
		if got, want := HasTime(n.uri), table && n.uri != TypeOMS; got != want {
			t.Errorf("%s: got %v, want %v", n.short, got, want)
		}
	}
	if HasTime("") || HasTime("https://example.test/x") {
		t.Error("an unknown type has a time")
	}
}

func TestProvenanceStartedAndVersion(t *testing.T) {
	const parameters = `"externalParameters":{`
	f := mustDecode(t, TypeProvenance, swap(t, foreign, `"invocationId"`, `"startedOn":"2026-11-20T09:40:00Z","invocationId"`))
	if !f.Started.Equal(utcTime("2026-11-20T09:40:00Z")) || f.Version != "" {
		t.Errorf("got %v, %q", f.Started, f.Version)
	}
	for text, want := range map[string]string{
		`"version":"1.2",`:                                "1.2",
		`"parameters":{"version":"2.1"},`:                 "2.1",
		`"parameters":{"version":"2.1"},"version":"1.2",`: "2.1",
		`"parameters":{"seed":"7"},"version":"1.2",`:      "1.2",
		`"parameters":["version"],"version":"1.2",`:       "1.2",
		`"version":3,`: "",
		`"parameters":{"version":null},"version":["x"],`: "",
		`"parameters":{"parameters":{"version":"9"}},`:   "",
	} {
		if f := mustDecode(t, TypeProvenance, swap(t, foreign, parameters, parameters+text)); f.Version != want {
			t.Errorf("%s: got %q, want %q", text, f.Version, want)
		}
	}
}

func TestDischarges(t *testing.T) {
	f := mustDecode(t, TypeApproval, examples(t, "approval.md")[2])
	if len(f.Discharges) != 1 || f.Discharges[0].ID != "C-1" || f.Discharges[0].Payload.Hex()[:4] != "7902" || f.Role != "monitoring" || f.Conditions != nil {
		t.Errorf("got %+v", f)
	}
	good := swap(t, approval(), `"id":"C-1"}]`, `"id":"C-1","dueBy":"2027-01-31T00:00:00Z"},{"id":"C-2"}],"discharges":[{"payload":`+setA+`,"id":"C-9"}]`)
	f = mustDecode(t, TypeApproval, good)
	if want := []ConditionFacts{{"C-1", utcTime("2027-01-31T00:00:00Z")}, {ID: "C-2"}}; !reflect.DeepEqual(f.Conditions, want) || f.Role != "" ||
		!reflect.DeepEqual(f.Discharges, []DischargeFacts{{digest(t, "sha256:"+hexA), "C-9"}}) {
		t.Errorf("got %+v, %+v", f.Conditions, f.Discharges)
	}
	check(t, TypeApproval, good, []refusal{
		{"one condition twice", `"C-2"`, `"C-1"`, schemaCode, "conditions[1].id"},
		{"discharge without payload", `"payload":` + setA + `,"id":"C-9"`, `"id":"C-9"`, schemaCode, "discharges[0].payload"},
		{"discharge without condition", `,"id":"C-9"`, ``, schemaCode, "discharges[0].id"},
		{"discharge of a commit", `"payload":` + setA + `,"id"`, `"payload":` + someCommit + `,"id"`, attest.CodeDigestAlg, "discharges[0].payload"},
		{"discharge with a restriction", `"id":"C-9"`, `"id":"C-9","until":"x"`, schemaCode, `discharges[0]["until"]`},
		{"a rejection that discharges", `"approved"`, `"rejected"`, schemaCode, "discharges"},
	})
	f = encoded(t, TypeApproval, Approval{Decision: DecisionApproved, ApprovedAt: noon, Scope: Scope{Environments: []string{"prod"}},
		Basis: []ApprovalBasis{{Payload: DigestSet{attest.SHA256(nil)}, Artifact: DigestSet{attest.SHA256(nil)}}}, Discharges: []Discharge{{DigestSet{attest.SHA256(nil)}, "C"}}})
	if len(f.Discharges) != 1 || f.Discharges[0] != (DischargeFacts{attest.SHA256(nil), "C"}) {
		t.Errorf("got %+v", f)
	}
}

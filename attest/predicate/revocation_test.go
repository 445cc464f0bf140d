package predicate

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestRevocationFacts(t *testing.T) {
	key, super, restore := examples(t, "revocation.md")[0], examples(t, "revocation.md")[1], examples(t, "revocation.md")[2]
	f := mustDecode(t, TypeRevocation, key)
	want := &RevocationFacts{Action: ActionRevoke, Target: TargetKey, Reason: "the build machine was broken into", From: utcTime("2027-02-14T00:00:00Z")}
	if !reflect.DeepEqual(f.Revocation, want) || !f.Claimed.Equal(utcTime("2027-03-02T09:00:00Z")) {
		t.Errorf("got %+v", f.Revocation)
	}
	f = mustDecode(t, TypeRevocation, super)
	if r := f.Revocation; r.Action != ActionSupersede || r.ReplacedBy.Hex()[:4] != "548e" || !r.From.Equal(f.Claimed) || r.Restores != nil {
		t.Errorf("got %+v", r)
	}
	f = mustDecode(t, TypeRevocation, restore)
	if r := f.Revocation; r.Action != ActionRestore || len(r.Restores) != 1 || r.Restores[0].Hex()[:4] != "2a3c" || !r.ReplacedBy.IsZero() {
		t.Errorf("got %+v", r)
	}
}

func TestRevocationRefusals(t *testing.T) {
	good := `{"action":"revoke","target":"artifact","reason":"r","issuedAt":"2027-01-02T00:00:00Z"}`
	check(t, TypeRevocation, good, []refusal{
		{"no action", `"action":"revoke",`, ``, schemaCode, "action"},
		{"unknown action", `"revoke"`, `"forget"`, schemaCode, "action"},
		{"action in other case", `"revoke"`, `"Revoke"`, schemaCode, "action"},
		{"no target", `"target":"artifact",`, ``, schemaCode, "target"},
		{"unknown target", `"artifact"`, `"model"`, schemaCode, "target"},
		{"no reason", `"reason":"r",`, ``, schemaCode, "reason"},
		{"empty reason", `"r"`, `""`, schemaCode, "reason"},
		{"no time", `,"issuedAt":"2027-01-02T00:00:00Z"`, ``, schemaCode, "issuedAt"},
		{"STM-18 effective_from", `"issuedAt"`, `"effective_from":"2026-01-02T00:00:00Z","issuedAt"`, schemaCode, `["effective_from"]`},
		{"supersede without successor", `"revoke"`, `"supersede"`, schemaCode, "replacedBy"},
		{"revoke with successor", `"reason"`, `"replacedBy":` + setA + `,"reason"`, schemaCode, "replacedBy"},
		{"restore nothing said", `"revoke"`, `"restore"`, schemaCode, "restores"},
		{"restore nothing", `"revoke"`, `"restore","restores":[]`, schemaCode, "restores"},
		{"restore with successor", `"revoke"`, `"restore","replacedBy":` + setA, schemaCode, "replacedBy"},
		{"revoke that restores", `"reason"`, `"restores":[{"payload":` + setA + `}],"reason"`, schemaCode, "restores"},
		{"revoke that restores nothing", `"reason"`, `"restores":[],"reason"`, schemaCode, "restores"},
		{"restores without payload", `"revoke"`, `"restore","restores":[{}]`, schemaCode, "restores[0].payload"},
		{"restores a commit", `"revoke"`, `"restore","restores":[{"payload":` + someCommit + `}]`, attest.CodeDigestAlg, "restores[0].payload"},
		{"restores one twice", `"revoke"`, `"restore","restores":[{"payload":` + setA + `},{"payload":` + setA + `}]`, schemaCode, "restores[1]"},
		{"restores with a restriction", `"revoke"`, `"restore","restores":[{"payload":` + setA + `,"until":"x"}]`, schemaCode, `restores[0]["until"]`},
		{"too many", `"revoke"`, `"restore","restores":[` + strings.Repeat(`{},`, maxList) + `{}]`, attest.CodeLimit, "restores"},
	})
	mustDecode(t, TypeRevocation, swap(t, good, `"revoke"`, `"quarantine"`))
	mustDecode(t, TypeRevocation, swap(t, good, `"revoke"`, `"supersede","replacedBy":`+someCommit))
	mustDecode(t, TypeRevocation, swap(t, good, `"revoke"`, `"restore","restores":[{"payload":`+setA+`},{"payload":`+setB+`}]`))
	f := mustDecode(t, TypeRevocation, swap(t, good, `"issuedAt"`, `"effectiveFrom":"2028-01-02T00:00:00Z","issuedAt"`))
	if !f.Revocation.From.Equal(utcTime("2028-01-02T00:00:00Z")) {
		t.Errorf("an announced end: %+v", f.Revocation)
	}
}

func TestRevocationWritten(t *testing.T) {
	a, b := attest.SHA256([]byte("a")), attest.SHA256([]byte("b"))
	f := encoded(t, TypeRevocation, Revocation{Action: ActionSupersede, Target: TargetArtifact, Reason: "r", IssuedAt: noon, EffectiveFrom: noon.Add(-time.Hour), ReplacedBy: DigestSet{a}, Incident: "i", Comment: "c"})
	if f.Revocation.ReplacedBy != a || !f.Revocation.From.Equal(noon.Add(-time.Hour)) || !f.Claimed.Equal(noon) || f.Claimed.Location() != time.UTC || f.Revocation.From.Location() != time.UTC {
		t.Errorf("got %+v", f.Revocation)
	}
	f = encoded(t, TypeRevocation, Revocation{Action: ActionRestore, Target: TargetPayload, Reason: "r", IssuedAt: noon, Restores: []Restored{{DigestSet{a}}, {DigestSet{b}}}})
	if !reflect.DeepEqual(f.Revocation.Restores, []attest.Digest{a, b}) || !f.Revocation.From.Equal(noon) {
		t.Errorf("got %+v", f.Revocation)
	}
	if b, err := Encode(TypeRevocation, Revocation{Action: ActionSupersede, Target: TargetArtifact, Reason: "r", IssuedAt: noon}); attest.RefusalCode(err) != schemaCode || b != nil {
		t.Errorf("a supersession by nothing was written: %s, %v", b, err)
	}
}

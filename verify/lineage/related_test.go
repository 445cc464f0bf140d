package lineage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Each kind of evidence is found by what it names, and leads to where that lies.
func TestRelatedTo(t *testing.T) {
	const relations = "input statement file payload signer builder type environment"
	p, q := opaque(101), opaque(102) // payloads
	x, y := opaque(201), opaque(202) // artifacts
	ref := func(payload, at attest.Digest) map[string]any {
		return map[string]any{"payload": payload.DigestSet(), "artifact": at.DigestSet()}
	}
	for name, tt := range map[string]struct {
		predicateType string
		predicate     map[string]any
		want          []string // besides payload, signer and type
		leads         []attest.Digest
	}{
		"provenance": {predicate.TypeProvenance, madeOf(x, y, x), []string{"input " + x.String(), "input " + y.String(), "builder https://ci.example/1"}, []attest.Digest{x, y}},
		"evaluation": {predicate.TypeEvaluation, map[string]any{"kind": "quality", "evaluatedAt": "2026-01-03T00:00:00Z", "suite": map[string]any{"name": "s"}, "metrics": map[string]any{},
			"inputs": []any{map[string]any{"role": "evaluation-data", "digest": x.DigestSet()}, map[string]any{"role": "harness", "uri": "https://example.test"}}}, []string{"input " + x.String()}, []attest.Digest{x}},
		"approval": {predicate.TypeApproval, map[string]any{"decision": "approved", "approvedAt": "2026-01-04T00:00:00Z", "scope": map[string]any{"environments": []any{"prod"}}, "basis": []any{ref(p, x)},
			"discharges": []any{map[string]any{"payload": q.DigestSet(), "id": "c"}}}, []string{"statement " + p.String(), "statement " + q.String()}, []attest.Digest{x}},
		"deployment": {predicate.TypeDeployment, map[string]any{"environment": "prod", "deployedAt": "2026-01-05T00:00:00Z", "decision": ref(p, x), "previous": ref(q, y)},
			[]string{"statement " + p.String(), "statement " + q.String(), "environment prod"}, []attest.Digest{x, y}},
		"restoration": {predicate.TypeRevocation, map[string]any{"action": "restore", "target": "payload", "reason": "r", "issuedAt": "2026-01-05T00:00:00Z", "restores": []any{map[string]any{"payload": p.DigestSet()}}},
			[]string{"statement " + p.String()}, nil},
		"a delegation":  {"https://example.test/access/v1", map[string]any{"delegation": map[string]any{"from": ref(p, x)}}, []string{"statement " + p.String()}, []attest.Digest{x}},
		"no delegation": {"https://example.test/access/v1", map[string]any{"delegation": map[string]any{"from": ref(attest.Digest{}, x)}, "decision": []any{"approved"}, "previous": map[string]any{"payload": map[string]any{"sha256": p.Hex(), "md5": "00"}}}, nil, nil},
		"OMS":           {predicate.TypeOMS, map[string]any{"resources": []any{map[string]any{"name": "w", "algorithm": "sha256", "digest": x.Hex()}, map[string]any{"name": "v", "algorithm": "blake2b", "digest": "00"}}}, []string{"input " + x.String()}, nil},
		"undecodable":   {predicate.TypeProvenance, map[string]any{"buildDefinition": 7, "decision": ref(p, x)}, nil, nil},
		"of no type":    {"https://example.test/deployment/v1", map[string]any{"environment": "prod", "runDetails": map[string]any{"builder": map[string]any{"id": "b"}}}, nil, nil},
	} {
		w := chaintest.New(t)
		payload := w.Sign("alice", opaque(1), tt.predicateType, tt.predicate)
		w.Tag(opaque(1), "v1")
		e, err := verify.Open(w.Bundles(opaque(1))[0], verify.Signers{Keys: []attest.PublicKey{w.Key("alice")}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := e.Facts(); (err != nil) != (name == "undecodable") {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		related := lineage.RelatedTo(e)
		for _, r := range related {
			got = append(got, strings.Fields(relations)[r.Relation-1]+" "+r.Name)
		}
		if !slices.IsSortedFunc(related, lineage.Related.Compare) {
			t.Errorf("%s: not sorted: %v", name, got)
		}
		want := append([]string{"payload " + payload.String(), fmt.Sprintf("signer %s", verify.KeyCredential(w.Key("alice"))), "type " + tt.predicateType}, tt.want...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		s := lineage.NewSurvey()
		h := w.Holding("registry.example/related", false)
		mustCrawl(t, s, crawlOptions(w), h)
		for _, d := range []attest.Digest{x, y} {
			_, err := s.Source(h.Repository()).Manifest(t.Context(), d)
			if attest.IsAbsent(err) != slices.Contains(tt.leads, d) {
				t.Errorf("%s leads to %s: %t", name, d, attest.IsAbsent(err))
			}
		}
	}
}

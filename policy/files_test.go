package policy_test

import (
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

func TestFormats(t *testing.T) {
	formats := func(rule string) func(t testing.TB) *pipeline {
		return func(t testing.TB) *pipeline {
			p := newPipeline(t)
			p.replace("steps:\n", "formats: "+rule+"\nsteps:\n")
			return p
		}
	}
	looked := func(weights policy.Inspected, config string) func(p *pipeline) {
		return func(p *pipeline) {
			p.question.Inspected = map[attest.Digest]policy.Inspected{
				attest.SHA256([]byte("int8 weights")): weights, attest.SHA256([]byte(`{"bits":8}`)): {Format: config}}
		}
	}
	try(t, formats("{weights: [safetensors], kinds: [weight, config]}"), []twist{
		{"MLS-13 safetensors", looked(policy.Inspected{Format: "safetensors"}, "json"), policy.Allow, "", ""},
		{"MLS-13 a pickle by another name", looked(policy.Inspected{Format: "pickle"}, "json"), policy.Deny, attest.CodeFormat, "can run"},
		{"MLS-13 a polyglot", looked(policy.Inspected{Format: "safetensors", Problem: "it is a zip archive as well"}, "json"), policy.Deny, attest.CodeFormat, "zip archive"},
		{"MLS-13 another format", looked(policy.Inspected{Format: "gguf"}, "json"), policy.Deny, attest.CodeFormat, "gguf, and not safetensors"},
		{"MLS-13 no format", looked(policy.Inspected{}, "json"), policy.Deny, attest.CodeFormat, "no known format"},
		{"MLS-13 a pickle called config.json", looked(policy.Inspected{Format: "safetensors"}, "pickle"), policy.Deny, attest.CodeFormat, "can run"},
		{"nobody looked", func(*pipeline) {}, policy.Undecided, attest.CodeFormat, "nobody looked"},
	})
	try(t, formats("{weights: [safetensors], kinds: [weight, doc]}"), []twist{
		{"MLS-12 a file of a kind that is not listed", looked(policy.Inspected{Format: "safetensors"}, "json"), policy.Deny, attest.CodeFileExtra, "kind config"},
	})
	scanned := func(t testing.TB) *pipeline {
		p := formats("{weights: [safetensors], scan: scan}")(t)
		p.replace("  approve:\n", `  scan:
    predicate: https://in-toto.io/attestation/scai/v0.3
    about: artifact
    by: [evaluator]
    select: any
    rules: [{id: SCAN-1, cel: 'predicate.attributes.all(a, a.attribute == "safetensors")', message: "not safetensors"}]
  approve:
`)
		p.statements["scan"] = &statement{by: "evaluator", subject: p.quant, typ: "https://in-toto.io/attestation/scai/v0.3", body: map[string]any{"attributes": []any{map[string]any{"attribute": "safetensors"}}}}
		p.order = append(p.order, "scan")
		return p
	}
	try(t, scanned, []twist{
		{"a scanner's word", func(*pipeline) {}, policy.Allow, "", ""},
		{"no scanner", func(p *pipeline) { p.statements["scan"].omit = true }, policy.Deny, attest.CodeFormat, "scan does not pass"},
		{"POL-08 a scanner that says nothing", func(p *pipeline) { p.statements["scan"].body["attributes"] = []any{} }, policy.Deny, attest.CodeRule, "not safetensors"},
		{"bytes against the scanner", looked(policy.Inspected{Format: "pickle"}, "json"), policy.Deny, attest.CodeFormat, "can run"},
	})
}

func TestSignedDenyList(t *testing.T) {
	listed := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("deny: [", "deny: [{list: acme-banned, by: [data, evaluator, trainer], threshold: 2, maxAge: 24h, acknowledgeAbsence: x}, ")
		return p
	}
	anchor := predicate.DenylistAnchor("acme-banned")
	list := func(sequence int64, name string, bad ...attest.Digest) func(p *pipeline, by ...string) []attest.Digest {
		return func(p *pipeline, by ...string) (out []attest.Digest) {
			l := predicate.Denylist{Name: name, Sequence: sequence, IssuedAt: started, ValidUntil: started.Add(48 * time.Hour), Artifacts: []predicate.Denied{{Digest: attest.SHA256([]byte("something else")), Reason: "x"}}}
			for _, d := range bad {
				l.Artifacts = append(l.Artifacts, predicate.Denied{Digest: d, Reason: "stolen"})
			}
			for _, who := range by {
				out = append(out, p.world.Sign(who, anchor, predicate.TypeDenylist, l))
			}
			return out
		}
	}
	good := list(1, "acme-banned")
	try(t, listed, []twist{
		{"two signed it, and nothing is on it", func(p *pipeline) { good(p, "data", "evaluator") }, policy.Allow, "", ""},
		{"no list", func(*pipeline) {}, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"one signed it", func(p *pipeline) { good(p, "data") }, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"somebody else signed it", func(p *pipeline) { good(p, "data", "alice") }, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"two signed different lists", func(p *pipeline) { good(p, "data"); list(2, "acme-banned")(p, "evaluator") }, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"an ancestor is on it", func(p *pipeline) { list(1, "acme-banned", p.raw)(p, "data", "evaluator") }, policy.Deny, attest.CodeDenied, "stolen"},
		{"a file of an ancestor is on it", func(p *pipeline) { list(1, "acme-banned", attest.SHA256([]byte("all rows")))(p, "data", "evaluator") }, policy.Deny, attest.CodeDenied, "stolen"},
		{"the newest governs", func(p *pipeline) {
			list(1, "acme-banned", p.raw)(p, "data", "evaluator")
			list(2, "acme-banned")(p, "data", "evaluator")
		}, policy.Allow, "", ""},
		{"two lists of one number", func(p *pipeline) {
			good(p, "data", "evaluator")
			list(1, "acme-banned", attest.SHA256([]byte("whatever")))(p, "data", "evaluator")
		}, policy.Undecided, attest.CodeConflict, "sequence 1"},
		{"a list of another name", func(p *pipeline) { list(1, "other")(p, "data", "evaluator") }, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"stale", func(p *pipeline) { good(p, "data", "evaluator"); p.at = started.Add(25 * time.Hour) }, policy.Deny, attest.CodeStale, "at most"},
		{"rolled back", func(p *pipeline) {
			newer := list(2, "acme-banned")(p, "data", "evaluator")
			p.sign()
			p.question.Remembered = p.judge().Marks
			p.world.Remove(newer[0])
			p.order = nil
			good(p, "data", "evaluator")
		}, policy.Undecided, attest.CodeRollback, "2 was seen before"},
		{"it cannot be looked up", func(p *pipeline) { good(p, "data", "evaluator"); p.world.Break(anchor, unreachable()) }, policy.Undecided, attest.CodeStatus, "newer"},
	})
}

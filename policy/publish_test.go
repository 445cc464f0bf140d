package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

func credential(p *pipeline, name string) verify.Credential {
	return verify.KeyCredential(p.world.Key(name))
}

// What a policy says of who publishes is what its verdicts go by.
func TestMayPublish(t *testing.T) {
	for _, c := range []struct {
		name, by, window string
		want             attest.Code
	}{
		{"the registrar", "registrar", "", ""},
		{"somebody else of the policy", "alice", "", attest.CodeIdentity},
		{"a stranger", "mallory", "", attest.CodeIdentity},
		{"a key that is over", "registrar", ", until: 2026-01-01T00:00:00Z", attest.CodeKeyWindow},
		{"a key that is not yet", "registrar", ", from: 2098-01-01T00:00:00Z", attest.CodeKeyWindow},
		{"a key in other hands", "registrar", ", compromisedSince: 2098-01-01T00:00:00Z", attest.CodeRevoked},
	} {
		p := sealed(t)
		p.replace("{key: keys/registrar.pub}", "{key: keys/registrar.pub"+c.window+"}")
		p.sign()
		pol := p.load()
		err := pol.MayPublish(credential(p, c.by), p.at)
		if got := attest.RefusalCode(err); got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
		p.publish(1, time.Hour)
		if v := p.judge(); c.by == "registrar" && (v.Outcome == policy.Allow) != (c.want == "") {
			t.Errorf("%s: the verdict says otherwise: %s", c.name, explain(v))
		}
	}
	p := newPipeline(t)
	pol := p.load()
	if err := pol.MayPublish(credential(p, "alice"), p.at); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("without a status in the policy: %v", err)
	}
	if len(pol.StatusBy()) != 0 || pol.StatusMark(p.quant) != "" {
		t.Error("a policy without status names an authority")
	}
}

func TestStatusMarkIsWhatVerdictsRemember(t *testing.T) {
	p := sealed(t)
	p.sign()
	p.publish(7, time.Hour)
	v := p.judge()
	if len(v.Marks) != 1 || v.Marks[0].Name != p.load().StatusMark(p.root) {
		t.Errorf("the verdict remembers %v, a publisher %s", v.Marks, p.load().StatusMark(p.root))
	}
}

// A listing has everything, also what has nothing, and no status; and it is no
// listing at all if something could not be looked at.
func TestListing(t *testing.T) {
	p := sealed(t)
	p.replace("steps:\n", "revocation: [{by: [registrar]}]\nsteps:\n")
	p.sign()
	first := p.publish(1, time.Hour)
	chain := p.chain(p.load())
	got, err := p.load().Listing(chain)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range slices.Concat(chain.Artifacts(), chain.ConsultedAll()) {
		if _, ok := got[d]; !ok {
			t.Errorf("%s is not listed", d)
		}
	}
	want := predicate.Listed{Payload: p.payloads["evaluate"], Credential: credential(p, "evaluator").String()}
	if !slices.Contains(got[p.quant], want) {
		t.Errorf("the evaluation is not listed about %s", p.quant)
	}
	if list, ok := got[want.Payload]; !ok || len(list) != 0 {
		t.Errorf("nothing is known about the evaluation's statement, and that is to be listed: %v, %v", list, ok)
	}
	for d, list := range got {
		if slices.ContainsFunc(list, func(l predicate.Listed) bool { return l.Payload == first }) {
			t.Errorf("a status is listed about %s", d)
		}
	}

	for _, d := range []attest.Digest{p.model, credential(p, "evaluator").Standin()} { // of the ancestry, and consulted
		p.world.Break(d, attest.Refuse(attest.CodeRegUnavailable, "down"))
		if got, err := p.load().Listing(p.chain(p.load())); attest.RefusalCode(err) != attest.CodeRegUnavailable || got != nil {
			t.Errorf("with a gap: %v, %d listed", err, len(got))
		}
	}
}

func TestMayRevoke(t *testing.T) {
	p := revocable(t)
	pol := p.load()
	for _, c := range []struct {
		by, target string
		threshold  int
		want       attest.Code
	}{
		{"security", predicate.TargetArtifact, 1, ""},
		{"security", predicate.TargetKey, 1, ""},
		{"security", predicate.TargetIdentity, 1, ""},
		{"data", predicate.TargetArtifact, 2, ""},
		{"data", predicate.TargetKey, 0, attest.CodeIdentity},
		{"alice", predicate.TargetArtifact, 0, attest.CodeIdentity},
		{"alice", predicate.TargetPayload, 0, ""}, // if it is her own
		{"mallory", predicate.TargetPayload, 0, attest.CodeIdentity},
	} {
		n, err := pol.MayRevoke(credential(p, c.by), c.target)
		if got := attest.RefusalCode(err); got != c.want || n != c.threshold {
			t.Errorf("%s, %s: %d, %q (%v), want %d, %q", c.by, c.target, n, got, err, c.threshold, c.want)
		}
	}
	if _, err := newPipeline(t).load().MayRevoke(credential(p, "alice"), predicate.TargetPayload); attest.RefusalCode(err) != attest.CodeIdentity {
		t.Errorf("without revokers in the policy: %v", err)
	}
}

func TestDenylistRule(t *testing.T) {
	p := sealed(t)
	p.replace("deny: [", "deny: [{list: banned, by: [alice, bob], threshold: 2, maxAge: 24h}, ")
	rule, ok := p.load().Denylist("banned")
	if !ok || rule.Threshold != 2 || !slices.Equal(rule.By, []string{"alice", "bob"}) || len(rule.Keys) != 2 {
		t.Errorf("%+v, %v", rule, ok)
	}
	for _, name := range []string{"", "other"} {
		if _, ok := p.load().Denylist(name); ok {
			t.Errorf("a list of the name %q", name)
		}
	}
}

// Roles, conditions and keys that would not count are refused before anybody signs.
func TestAdmitsPlacesAndConditions(t *testing.T) {
	roles := func(p *pipeline) {
		p.replace("    threshold: 2                   # distinct principals\n", "    roles: {risk: 1, owner: 1}\n")
		p.replace("alice: {kind: human", "alice: {kind: human, roles: [risk]")
		p.replace("bob:   {kind: human", "bob:   {kind: human, roles: [owner]")
	}
	conditions := func(p *pipeline) {
		p.replace("    threshold: 2                   # distinct principals\n", "    threshold: 2\n    conditions: {dischargedBy: closed}\n")
		p.replace("deny: [", `  closed: {predicate: https://pedigree-ml.github.io/approval/v0.1, about: artifact, by: [carol], select: any, rules: [{id: C-1, cel: 'predicate.decision == "approved"', message: m}]}
deny: [`)
	}
	none := func(*pipeline) {}
	window := func(w string) func(p *pipeline) {
		return func(p *pipeline) { p.replace("{key: keys/bob.pub}", "{key: keys/bob.pub, "+w+"}") }
	}
	for _, c := range []struct {
		name, step, by string
		change         func(p *pipeline)
		facts          func(f *predicate.Facts)
		want           attest.Code
	}{
		{"as the policy has it", "approve", "bob", none, nil, ""},
		{"a role that nobody asks for", "approve", "bob", none, func(f *predicate.Facts) { f.Role = "any" }, ""},
		{"in the role", "approve", "bob", roles, func(f *predicate.Facts) { f.Role = "owner" }, ""},
		{"the role follows from the policy", "approve", "bob", roles, nil, ""},
		{"not his role", "approve", "bob", roles, func(f *predicate.Facts) { f.Role = "risk" }, attest.CodeIdentity},
		{"no role", "approve", "carol", roles, nil, attest.CodeIdentity},
		{"no role, with room for more", "approve", "carol", func(p *pipeline) {
			roles(p)
			p.replace("roles: {risk: 1, owner: 1}", "roles: {risk: 1, owner: 1}\n    threshold: 3")
		}, nil, ""},
		{"a condition", "approve", "bob", conditions, func(f *predicate.Facts) { f.Conditions = []predicate.ConditionFacts{{ID: "A"}} }, ""},
		{"a condition that nobody can discharge", "approve", "bob", none, func(f *predicate.Facts) { f.Conditions = []predicate.ConditionFacts{{ID: "A"}} }, attest.CodeConditions},
		{"a discharge", "closed", "carol", conditions, func(f *predicate.Facts) { f.Discharges = []predicate.DischargeFacts{{ID: "A"}} }, ""},
		{"a discharge where none counts", "approve", "bob", conditions, func(f *predicate.Facts) { f.Discharges = []predicate.DischargeFacts{{ID: "A"}} }, attest.CodeConditions},
		{"under another policy", "approve", "bob", func(p *pipeline) {
			p.replace("    basis: [evaluate, bias]", "    samePolicy: true\n    basis: [evaluate, bias]")
		}, func(f *predicate.Facts) { f.Policy = attest.SHA256(nil) }, attest.CodeBasis},
		{"a key that is over", "approve", "bob", window("until: 2026-01-01T00:00:00Z"), nil, attest.CodeKeyWindow},
		{"a key in other hands", "approve", "bob", window("compromisedSince: 2026-01-01T00:00:00Z"), nil, attest.CodeRevoked},
	} {
		p := newPipeline(t)
		p.statements["approve-bob"].omit = true
		c.change(p)
		p.sign()
		pol := p.load()
		prospect, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, c.step)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		facts := predicate.Facts{Type: predicate.TypeApproval, Claimed: p.at, Tree: map[string]any{
			"decision": "approved", "scope": map[string]any{"environments": []any{"prod"}}}}
		if c.facts != nil {
			c.facts(&facts)
		}
		err = prospect.Admits(credential(p, c.by), facts)
		if got := attest.RefusalCode(err); got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
	}

	// A key that was revoked, of somebody who could approve before.
	p := revocable(t)
	p.statements["approve-bob"].omit = true
	p.sign()
	facts := predicate.Facts{Type: predicate.TypeApproval, Claimed: p.at, Tree: map[string]any{"decision": "approved", "scope": map[string]any{"environments": []any{"prod"}}}}
	// Keys are looked up that signed something.
	p.world.Sign("bob", p.model, "https://example.com/remark/v1", map[string]any{})
	for _, want := range []attest.Code{"", attest.CodeRevoked} {
		pol := p.load()
		prospect, err := pol.Consider(p.chain(pol), policy.Question{At: p.at, Known: p.at}, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := attest.RefusalCode(prospect.Admits(credential(p, "bob"), facts)); got != want {
			t.Errorf("revoked: %q, want %q", got, want)
		}
		p.revoke("security", key(p, "bob"), predicate.ActionRevoke, predicate.TargetKey)
	}
}

package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// A granted is the pipeline with a bound on access: the platform grants an agent, the
// lead, about a squad of its own, and the lead gives a part of it on to the model.
type granted struct {
	*pipeline
	squad                       attest.Digest
	parent, child               *predicate.Access
	parentBy, childBy           string
	parentPayload, childPayload attest.Digest
}

func newGranted(t testing.TB, revocation bool) *granted {
	g := &granted{pipeline: newPipeline(t), squad: attest.SHA256([]byte("squad")), parentBy: "platform", childBy: "lead"}
	block := `access:
  by: [platform]
  tools: {search: [read, list], sql: any}
  secrets: [api@vault, db]
  executionPaths: [/srv/agent]
  dataScopes: ["s3://acme/credit/"]
  acknowledgeAbsence: x
steps:
`
	if revocation {
		block = "revocation:\n  - {by: [security], acknowledgeAbsence: x}\n" + block
	}
	g.replace("steps:\n", block)
	g.replace("  alice: {", `  platform: {kind: workload, credentials: [{key: keys/platform.pub}]}
  lead: {kind: agent, credentials: [{key: keys/lead.pub}, {key: keys/lead2.pub}]}
  security: {kind: human, credentials: [{key: keys/security.pub}]}
  alice: {`)
	reach := predicate.Reach{Tools: []predicate.Tool{{Name: "search", Operations: []string{"read"}}, {Name: "sql"}}, Secrets: []predicate.Secret{{Name: "api", Store: "vault", Version: "2"}, {Name: "db", Store: "file"}},
		ExecutionPaths: []string{"/srv/agent/bin"}, DataScopes: []string{"s3://acme/credit"}}
	g.parent = &predicate.Access{Principal: predicate.AccessPrincipal{ID: verify.KeyCredential(g.world.Key("lead")).String(), Kind: predicate.AccessAgent}, Reach: reach,
		GrantedAt: started, NotAfter: g.at.Add(48 * time.Hour), MayDelegate: 2}
	g.child = &predicate.Access{Principal: predicate.AccessPrincipal{ID: "model", Kind: predicate.AccessAgent}, Reach: predicate.Reach{Tools: []predicate.Tool{{Name: "search", Operations: []string{"read"}}}},
		GrantedAt: started.Add(time.Minute), NotAfter: g.at.Add(time.Hour)}
	return g
}

func from(payload, artifact attest.Digest) *predicate.Delegation {
	return &predicate.Delegation{From: predicate.StatementRef{Payload: predicate.DigestSet{Digest: payload}, Artifact: predicate.DigestSet{Digest: artifact}}}
}

// sign signs the pipeline and the two grants.
func (g *granted) sign() {
	g.t.Helper()
	g.pipeline.sign()
	g.parentPayload = g.world.Sign(g.parentBy, g.squad, predicate.TypeAccess, *g.parent)
	if g.child.Delegation == nil {
		g.child.Delegation = from(g.parentPayload, g.squad)
	}
	g.childPayload = g.world.Sign(g.childBy, g.quant, predicate.TypeAccess, *g.child)
}

// direct signs a grant about the model that nobody delegated.
func (g *granted) direct(by string, change func(a *predicate.Access)) attest.Digest {
	a := predicate.Access{Principal: predicate.AccessPrincipal{ID: "model", Kind: predicate.AccessAgent}, GrantedAt: started, NotAfter: g.at.Add(time.Hour)}
	change(&a)
	return g.world.Sign(by, g.quant, predicate.TypeAccess, a)
}

func tool(name string, operations ...string) func(*predicate.Access) {
	return func(a *predicate.Access) { a.Tools = []predicate.Tool{{Name: name, Operations: operations}} }
}

func TestAccess(t *testing.T) {
	revoke, payload, artifact := predicate.ActionRevoke, predicate.TargetPayload, predicate.TargetArtifact
	beyond := func(change func(c *predicate.Access)) func(*granted) {
		return func(g *granted) { change(g.child); g.sign() }
	}
	also := func(by string, change func(*predicate.Access)) func(*granted) {
		return func(g *granted) { g.sign(); g.direct(by, change) }
	}
	for _, c := range []struct {
		name string
		do   func(g *granted)
		want policy.Outcome
		code attest.Code
		why  string
	}{
		{"as it is", (*granted).sign, policy.Allow, "", ""},
		{"no grant at all", func(g *granted) { g.pipeline.sign() }, policy.Allow, "", ""},
		{"all that is allowed", func(g *granted) { g.child.Reach = g.parent.Reach; g.sign() }, policy.Allow, "", ""},

		{"another tool", also("platform", tool("shell")), policy.Deny, attest.CodeAccess, "platform granted more than is allowed: the tool shell"},
		{"another operation", also("platform", tool("search", "write")), policy.Deny, attest.CodeAccess, "the operation write of the tool search"},
		{"every operation", also("platform", tool("search")), policy.Deny, attest.CodeAccess, "every operation of the tool search"},
		{"some operations of all", also("platform", tool("sql", "drop")), policy.Allow, "", ""},
		{"another secret", also("platform", func(a *predicate.Access) { a.Secrets = []predicate.Secret{{Name: "root"}} }), policy.Deny, attest.CodeAccess, "the secret root"},
		{"a secret of another store", also("platform", func(a *predicate.Access) { a.Secrets = []predicate.Secret{{Name: "api", Store: "file"}} }), policy.Deny, attest.CodeAccess, "the secret api@file"},
		{"a secret of any store", also("platform", func(a *predicate.Access) { a.Secrets = []predicate.Secret{{Name: "api"}} }), policy.Deny, attest.CodeAccess, "the secret api"},
		{"another path", also("platform", func(a *predicate.Access) { a.ExecutionPaths = []string{"/srv/agents"} }), policy.Deny, attest.CodeAccess, "the execution path /srv/agents"},
		{"another scope", also("platform", func(a *predicate.Access) { a.DataScopes = []string{"s3://acme"} }), policy.Deny, attest.CodeAccess, "the data scope s3://acme"},
		{"by somebody else of the policy", also("trainer", tool("shell")), policy.Deny, attest.CodeAccess, "trainer granted more"},
		{"by somebody else, within the bound", also("trainer", tool("sql")), policy.Allow, "", ""},
		{"by a stranger", also("mallory", tool("shell")), policy.Allow, "", ""},
		{"about a file", func(g *granted) {
			g.sign()
			a := *g.parent
			a.Tools = []predicate.Tool{{Name: "shell"}}
			g.world.SignAt(g.quant, "platform", chaintest.File("int8 weights"), predicate.TypeAccess, a)
		}, policy.Deny, attest.CodeAccess, "the tool shell"},
		{"about what it is made from", func(g *granted) {
			g.sign()
			a := *g.parent
			a.Tools = []predicate.Tool{{Name: "shell"}}
			g.world.Sign("platform", g.model, predicate.TypeAccess, a)
		}, policy.Allow, "", ""},
		{"that is over", also("platform", func(a *predicate.Access) { tool("shell")(a); a.NotAfter = started.Add(time.Hour) }), policy.Allow, "", ""},
		{"that lasts a second more", also("platform", func(a *predicate.Access) { tool("shell")(a); a.NotAfter = started.Add(time.Hour + time.Second) }), policy.Deny, attest.CodeAccess, ""},
		{"that is to begin", also("platform", func(a *predicate.Access) { tool("shell")(a); a.NotBefore = started.Add(time.Hour + time.Second) }), policy.Allow, "", ""},
		{"that begins now", also("platform", func(a *predicate.Access) { tool("shell")(a); a.NotBefore = started.Add(time.Hour) }), policy.Deny, attest.CodeAccess, ""},
		{"granted later", also("platform", func(a *predicate.Access) {
			tool("shell")(a)
			a.GrantedAt, a.NotAfter = started.Add(66*time.Minute), started.Add(3*time.Hour)
		}), policy.Allow, "", ""},
		{"that nobody can read", func(g *granted) {
			g.sign()
			g.world.Sign("trainer", g.quant, predicate.TypeAccess, map[string]any{"tools": "all"})
		}, policy.Deny, attest.CodePredicateSchema, "granted something that nobody can read"},
		{"that nobody can read, by a stranger", func(g *granted) {
			g.sign()
			g.world.Sign("mallory", g.quant, predicate.TypeAccess, map[string]any{"tools": "all"})
		}, policy.Allow, "", ""},

		{"beyond the bound and taken back", func(g *granted) {
			g.sign()
			g.revoke("platform", g.direct("platform", tool("shell")), revoke, payload)
		}, policy.Allow, "", ""},
		{"beyond the bound and taken back by who may", func(g *granted) {
			g.sign()
			g.revoke("security", g.direct("platform", tool("shell")), revoke, payload)
		}, policy.Allow, "", ""},
		{"beyond the bound and taken back by who may not", func(g *granted) {
			g.sign()
			g.revoke("trainer", g.direct("platform", tool("shell")), revoke, payload)
		}, policy.Deny, attest.CodeAccess, ""},
		{"beyond the bound, taken back and restored", func(g *granted) {
			g.sign()
			d := g.direct("platform", tool("shell"))
			g.revoke("platform", d, predicate.ActionRestore, payload, restores(g.revoke("platform", d, revoke, payload)))
		}, policy.Deny, attest.CodeAccess, ""},
		{"beyond the bound, to be taken back", func(g *granted) {
			g.sign()
			g.revoke("platform", g.direct("platform", tool("shell")), revoke, payload, func(r *predicate.Revocation) { r.EffectiveFrom = g.at.Add(time.Minute) })
		}, policy.Deny, attest.CodeAccess, ""},
		{"beyond the bound, and whether it was taken back cannot be seen", func(g *granted) {
			g.sign()
			g.world.Break(g.direct("platform", tool("shell")), unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"more than the parent, in a tool", beyond(func(c *predicate.Access) { c.Tools[0].Operations = []string{"list"} }), policy.Deny, attest.CodeDelegation, "the operation list"},
		{"more than the parent, in a secret", beyond(func(c *predicate.Access) { c.Secrets = []predicate.Secret{{Name: "db"}} }), policy.Deny, attest.CodeDelegation, "the secret db"},
		{"more than the parent, in a path", beyond(func(c *predicate.Access) { c.ExecutionPaths = []string{"/srv/agent"} }), policy.Deny, attest.CodeDelegation, "the execution path"},
		{"more than the parent, in a scope", func(g *granted) {
			g.parent.DataScopes = nil
			g.child.DataScopes = []string{"s3://acme/credit"}
			g.sign()
		}, policy.Deny, attest.CodeDelegation, "the data scope"},
		{"longer than the parent", beyond(func(c *predicate.Access) { c.NotAfter = started.Add(100 * time.Hour) }), policy.Deny, attest.CodeDelegation, "it ends"},
		{"before the parent", beyond(func(c *predicate.Access) { c.GrantedAt = started.Add(-time.Minute) }), policy.Deny, attest.CodeDelegation, "it begins"},
		{"as many levels as the parent", beyond(func(c *predicate.Access) { c.MayDelegate = 2 }), policy.Deny, attest.CodeDelegation, "mayDelegate"},
		{"of a parent that may not be given on", func(g *granted) { g.parent.MayDelegate = 0; g.sign() }, policy.Deny, attest.CodeDelegation, "may not be given on"},
		{"signed by another", func(g *granted) { g.childBy = "trainer"; g.sign() }, policy.Deny, attest.CodeDelegation, "and trainer signed"},
		{"signed by a stranger", func(g *granted) { g.childBy = "mallory"; g.child.Tools[0].Name = "shell"; g.sign() }, policy.Allow, "", ""},
		{"signed with another key of the same principal", func(g *granted) { g.childBy = "lead2"; g.sign() }, policy.Allow, "", ""},
		{"the parent names the principal as the policy does", func(g *granted) { g.parent.Principal.ID = "lead"; g.sign() }, policy.Allow, "", ""},
		{"the parent names another", func(g *granted) { g.parent.Principal.ID = "trainer"; g.sign() }, policy.Deny, attest.CodeDelegation, "the parent grant is for trainer"},
		{"no parent", func(g *granted) { g.sign(); g.world.Remove(g.parentPayload) }, policy.Deny, attest.CodeDelegation, "there is no grant"},
		{"no parent, and another grant of the same", func(g *granted) {
			g.sign()
			g.world.Remove(g.parentPayload)
			g.parent.Reason = "another"
			g.world.Sign("platform", g.squad, predicate.TypeAccess, *g.parent)
		}, policy.Deny, attest.CodeDelegation, "there is no grant"},
		{"the parent by another team's principal", func(g *granted) {
			g.files = map[string]string{"hub.yaml": strings.ReplaceAll(hubPolicy, "keys/data.pub", "keys/maker.pub")}
			g.replace("steps:\n", "policies: {hub: {file: hub.yaml, digest: \""+g.pinned(g.files["hub.yaml"]).String()+"\"}}\nsteps:\n")
			g.replace("      - {role: training-data, from: prepare, output: train}\n", "      - {role: training-data, from: prepare, output: train}\n      - {role: teacher, policy: hub, min: 0}\n")
			g.parentBy = "maker"
			g.sign()
		}, policy.Deny, attest.CodeDelegation, "there is no grant"},
		{"the parent's place cannot be completely seen", func(g *granted) { g.sign(); g.world.Break(g.squad, unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, "was withdrawn cannot be seen"},
		{"what the parent is about may be withdrawn", func(g *granted) {
			g.sign()
			g.world.Sign("security", g.squad, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		}, policy.Undecided, attest.CodeRevoked, "may withdraw"},
		{"no parent where it should be", func(g *granted) {
			g.pipeline.sign()
			g.parentPayload = g.world.Sign("platform", g.squad, predicate.TypeAccess, *g.parent)
			g.child.Delegation = from(g.parentPayload, g.model)
			g.world.Sign("lead", g.quant, predicate.TypeAccess, *g.child)
		}, policy.Deny, attest.CodeDelegation, "there is no grant"},
		{"the parent about the model itself", func(g *granted) {
			g.pipeline.sign()
			g.child.Delegation = from(g.world.Sign("platform", g.quant, predicate.TypeAccess, *g.parent), g.quant)
			g.world.Sign("lead", g.quant, predicate.TypeAccess, *g.child)
		}, policy.Allow, "", ""},
		{"no parent, and its place cannot be seen", func(g *granted) {
			g.sign()
			g.world.Remove(g.parentPayload)
			g.world.Break(g.squad, unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "could not be completely seen"},
		{"the parent by a stranger", func(g *granted) { g.parentBy = "mallory"; g.sign() }, policy.Deny, attest.CodeDelegation, "there is no grant"},
		{"the parent by who may not grant", func(g *granted) { g.parentBy = "trainer"; g.sign() }, policy.Deny, attest.CodeDelegation, "it begins with trainer"},
		{"the parent cannot be read", func(g *granted) {
			g.pipeline.sign()
			g.child.Delegation = from(g.world.Sign("platform", g.squad, predicate.TypeAccess, map[string]any{"tools": "all"}), g.squad)
			g.world.Sign("lead", g.quant, predicate.TypeAccess, *g.child)
		}, policy.Deny, attest.CodeDelegation, "cannot be read"},
		{"the parent taken back", func(g *granted) { g.sign(); g.revoke("platform", g.parentPayload, revoke, payload) }, policy.Deny, attest.CodeDelegation, "is revoked by platform"},
		{"the parent taken back and restored", func(g *granted) {
			g.sign()
			g.revoke("security", g.parentPayload, predicate.ActionRestore, payload, restores(g.revoke("security", g.parentPayload, revoke, payload)))
		}, policy.Allow, "", ""},
		{"the parent taken back, and the child too", func(g *granted) {
			g.sign()
			g.revoke("platform", g.parentPayload, revoke, payload)
			g.revoke("lead", g.childPayload, revoke, payload)
		}, policy.Allow, "", ""},
		{"whether the parent was taken back cannot be seen", func(g *granted) { g.sign(); g.world.Break(g.parentPayload, unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"the parent's key", func(g *granted) {
			g.sign()
			g.revoke("security", key(g.pipeline, "platform"), revoke, predicate.TargetKey)
		}, policy.Deny, attest.CodeDelegation, "the key of platform"},
		{"what the parent is about", func(g *granted) { g.sign(); g.revoke("security", g.squad, revoke, artifact) }, policy.Deny, attest.CodeDelegation, "which the parent grant is about, is revoked"},
		{"what the parent is about has a successor", func(g *granted) {
			g.sign()
			g.revoke("security", g.squad, predicate.ActionSupersede, artifact, func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: g.model} })
		}, policy.Allow, "", ""},
		{"the parent's key, by the policy", func(g *granted) {
			g.replace("{key: keys/platform.pub}", "{key: keys/platform.pub, compromisedSince: 2026-01-01T00:00:00Z}")
			g.sign()
		}, policy.Deny, attest.CodeDelegation, "compromised"},
		{"the parent's key, outside its time", func(g *granted) {
			g.replace("{key: keys/platform.pub}", "{key: keys/platform.pub, until: 2026-01-01T00:00:00Z}")
			g.sign()
		}, policy.Deny, attest.CodeDelegation, "counts from ever until"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGranted(t, true)
			c.do(g)
			v := g.judge()
			if v.Outcome != c.want || c.code != "" && !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
			if got := requirement(v, policy.StepAccess); len(got) != 1 || got[0].Artifact != g.quant || (got[0].Status == policy.Pass) != (c.want == policy.Allow) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Three in a row, each signed by whom the one before is for.
func TestAccessThreeLevels(t *testing.T) {
	for name, c := range map[string]struct {
		by   string
		want policy.Outcome
	}{"whole": {"lead", policy.Allow}, "one link by another": {"trainer", policy.Deny}} {
		g := newGranted(t, true)
		g.pipeline.sign()
		first := g.world.Sign("platform", g.squad, predicate.TypeAccess, *g.parent)
		second := *g.child
		second.Principal.ID, second.MayDelegate, second.Delegation = "data", 1, from(first, g.squad)
		place := attest.SHA256([]byte("second squad"))
		between := g.world.Sign(c.by, place, predicate.TypeAccess, second)
		third := *g.child
		third.Delegation = from(between, place)
		third.GrantedAt = third.GrantedAt.Add(time.Minute)
		g.world.Sign("data", g.quant, predicate.TypeAccess, third)
		if v := g.judge(); v.Outcome != c.want || c.want == policy.Deny && !has(v, attest.CodeDelegation, "the parent grant is for") {
			t.Errorf("%s: %s", name, explain(v))
		}
	}
}

// Without revocation nothing is taken back; without the block nothing is asked.
func TestAccessWithoutRevocation(t *testing.T) {
	g := newGranted(t, false)
	g.sign()
	if v := g.judge(); v.Outcome != policy.Allow {
		t.Errorf("got %s", explain(v))
	}
	g.revoke("platform", g.direct("platform", tool("shell")), predicate.ActionRevoke, predicate.TargetPayload)
	if v := g.judge(); v.Outcome != policy.Deny || !has(v, attest.CodeAccess, "") || !advises(v, attest.CodeAccess, "say in the policy who may revoke") {
		t.Errorf("got %s", explain(v))
	}
	p := newPipeline(t)
	p.sign()
	p.world.Sign("trainer", p.quant, predicate.TypeAccess, map[string]any{})
	if v := p.judge(); v.Outcome != policy.Allow || len(requirement(v, policy.StepAccess)) != 0 {
		t.Errorf("got %s", explain(v))
	}
}

// A bound of nothing allows nothing.
func TestAccessOfNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*predicate.Access)
		want   policy.Outcome
	}{"nothing": {func(*predicate.Access) {}, policy.Allow}, "a tool": {tool("t"), policy.Deny}} {
		p := newPipeline(t)
		p.replace("steps:\n", "access: {by: [data], acknowledgeAbsence: x}\nsteps:\n")
		p.sign()
		(&granted{pipeline: p}).direct("data", c.change)
		if v := p.judge(); v.Outcome != c.want {
			t.Errorf("%s: %s", name, explain(v))
		}
	}
}

// That nothing more was granted rests on nothing being hidden: a status shows it, and
// what the policy acknowledges every verdict repeats.
func TestAccessRestsOnAbsence(t *testing.T) {
	p := sealed(t)
	p.replace("steps:\n", "access: {by: [data], tools: {t: any}}\nsteps:\n")
	p.sign()
	grant := (&granted{pipeline: p}).direct("data", tool("t"))
	p.publish(1, time.Hour)
	if v := p.judge(); v.Outcome != policy.Allow {
		t.Fatalf("got %s", explain(v))
	}
	p.world.Remove(grant)
	if v := p.judge(); v.Outcome != policy.Undecided || requirement(v, policy.StepAccess)[0].Status != policy.Unknown {
		t.Errorf("a hidden grant: %s", explain(v))
	}
	if all := p.judge().Requirements; all[len(all)-1].Step != policy.StepAccess {
		t.Errorf("access stands before %s", all[len(all)-1].Step)
	}
	g := newGranted(t, true)
	g.sign()
	v := g.judge()
	found := false
	for _, a := range v.Acknowledged {
		found = found || a.Where == "access" && a.Why == "x" && a.Rests == "no grant being hidden"
	}
	if !found || v.Outcome != policy.Allow {
		t.Errorf("got %+v", v.Acknowledged)
	}
	g.world.Break(g.quant, unreachable())
	if v := g.judge(); requirement(v, policy.StepAccess)[0].Status != policy.Unknown {
		t.Errorf("got %s", explain(v))
	}
}

func TestAccessLoads(t *testing.T) {
	const block = `access: {by: [data], tools: {search: [read], "https://tool.example/x": any}, secrets: [a, b@c], executionPaths: [/srv], dataScopes: ["s3://a/"], acknowledgeAbsence: x}`
	w := chaintest.New(t)
	with := func(s string) string { return strings.Replace(readPolicy(t), "steps:\n", s+"\nsteps:\n", 1) }
	p, err := load(w, with(block))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Grantors(); len(got) != 1 || got[0] != "data" {
		t.Errorf("got %v", got)
	}
	if !p.Scope().Grants {
		t.Error("the walk does not look for what grants rest on")
	}
	for _, c := range []struct{ name, old, new, why string }{
		{"nobody", "by: [data], ", "", `"by" is missing`},
		{"nobody, in a list", "by: [data]", "by: []", "nobody's grants would count"},
		{"who is nobody", "by: [data]", "by: [dato]", "data"},
		{"tools a list", `{search: [read], "https://tool.example/x": any}`, "[search]", "tools must be a mapping"},
		{"no operations, which reads both ways", "search: [read]", "search: []", "a list of operations, or any"},
		{"one operation, not in a list", "search: [read]", "search: read", "a list of operations, or any"},
		{"a tool twice", `"https://tool.example/x": any`, "search: any", `"search" twice`},
		{"an operation that is a number", "search: [read]", "search: [7]", "must be text"},
		{"a secret of two stores", "b@c", "b@c@d", "NAME or NAME@STORE"},
		{"a secret of no store", "b@c", "b@", "NAME or NAME@STORE"},
		{"a path that climbs", "[/srv]", "[/srv/../etc]", "a part that is .."},
		{"a pattern", "s3://a/", "s3://a/*", "a pattern"},
		{"absence", ", acknowledgeAbsence: x", "", "access rests on no grant being hidden"},
		{"an unknown key", "secrets:", "secret:", `did you mean "secrets"?`},
	} {
		if _, err := load(w, with(strings.Replace(block, c.old, c.new, 1))); attest.RefusalCode(err) != attest.CodePolicyParse || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: want %q, got %v", c.name, c.why, err)
		}
	}
	if _, err := load(w, strings.Replace(readPolicy(t), "  bias:\n", "  access:\n", 1)); err == nil || !strings.Contains(err.Error(), "cannot be called access") {
		t.Errorf("a step is called access: %v", err)
	}
}

func TestAccessFindings(t *testing.T) {
	w := chaintest.New(t)
	with := func(s string) string { return strings.Replace(readPolicy(t), "steps:\n", s+"\nsteps:\n", 1) }
	clean := with("revocation: [{by: [data], acknowledgeAbsence: x}]\naccess: {by: [data], tools: {t: [read]}, dataScopes: [/srv], acknowledgeAbsence: x}")
	before := findings(t, w, clean)
	for code, c := range map[string][2]string{
		"no-revocation": {"revocation: [{by: [data], acknowledgeAbsence: x}]\n", ""},
		"any-operation": {"t: [read]", "t: any"},
		"wide-access":   {"dataScopes: [/srv]", "dataScopes: [/srv/x, /]"},
		"status-waived": {"revocation: [{by: [data], acknowledgeAbsence: x}]", "status: {by: [data]}\nrevocation: [{by: [data]}]"},
	} {
		got := findings(t, w, strings.Replace(clean, c[0], c[1], 1))
		if n := count(before, code); count(got, code) <= n || code != "status-waived" && n != 0 {
			t.Errorf("%s: %s", code, list(got))
		}
	}
}

// A parent that the status lists and that is not there is somebody's doing; where
// nobody looked for one, nobody knows.
func TestAccessOfAHiddenParent(t *testing.T) {
	listed := func(leave func(g *granted) []attest.Digest) *granted {
		g := newGranted(t, true)
		for _, line := range []string{"    acknowledgeAbsence: \"no status authority yet\"\n", ", acknowledgeAbsence: \"no status authority yet\"", "  acknowledgeAbsence: x\n", ", acknowledgeAbsence: x"} {
			g.policy = strings.ReplaceAll(g.policy, line, "")
		}
		g.replace("steps:\n", "status: {by: [registrar]}\nsteps:\n")
		g.replace("  alice: {", "  registrar: {kind: workload, credentials: [{key: keys/registrar.pub}]}\n  alice: {")
		g.sign()
		g.publish(1, time.Hour, leave(g)...)
		return g
	}
	g := listed(func(*granted) []attest.Digest { return nil })
	if v := g.judge(); v.Outcome != policy.Allow {
		t.Fatalf("got %s", explain(v))
	}
	if v := listed(func(g *granted) []attest.Digest { return []attest.Digest{g.squad} }).judge(); v.Outcome != policy.Undecided || !has(v, attest.CodeStatus, "was withdrawn cannot be seen") {
		t.Errorf("a place of which the status says nothing: %s", explain(v))
	}
	g.world.Remove(g.parentPayload)
	if v := g.judge(); v.Outcome != policy.Undecided || !has(v, attest.CodeStatus, "the grant that lead gives on may be about") {
		t.Errorf("got %s", explain(v))
	}

	g = newGranted(t, false)
	g.sign()
	asked := g.load()
	other := newPipeline(t)
	other.world = g.world
	other.replace("  alice: {", "  platform: {kind: workload, credentials: [{key: keys/platform.pub}]}\n  lead: {kind: agent, credentials: [{key: keys/lead.pub}]}\n  alice: {")
	if v := asked.Evaluate(g.chain(other.load()), policy.Question{At: g.at, Known: g.at}); v.Outcome != policy.Undecided || !has(v, attest.CodeLimit, "the grant that lead gives on may be about") {
		t.Errorf("a walk that looked for no parents: %s", explain(v))
	}
}

// A summary stands in for evidence that is missing, and never against a grant.
func TestSummaryAgainstAGrant(t *testing.T) {
	hub := hubPolicy + "  check: {predicate: \"https://example.org/check/v1\", about: artifact, by: [data], select: any}\naccess: {by: [data], tools: {t: any}, acknowledgeAbsence: x}\n"
	for name, c := range map[string]struct {
		grant func(a *predicate.Access)
		want  policy.Outcome
	}{
		"within the bound": {tool("t"), policy.Allow},
		"beyond the bound": {tool("shell"), policy.Deny},
		"given on by nobody": {func(a *predicate.Access) {
			a.Delegation = from(attest.SHA256([]byte("x")), attest.SHA256([]byte("y")))
		}, policy.Deny},
	} {
		p := outsourced(t)
		p.files["vendor/hub.yaml"] = hub
		p.replace("vendor/hub.yaml, digest: \""+p.pinned(hubPolicy).String()+"\"}", "vendor/hub.yaml, digest: \""+p.pinned(hub).String()+
			"\",\n    vsa: {by: [verifier], verifier: \"https://hub.example/v1\", resource: \"hub.example/data\", maxAge: 24h, acknowledgeAbsence: x}}")
		p.replace("  alice: {", "  verifier: {kind: workload, credentials: [{key: keys/verifier.pub}]}\n  alice: {")
		p.sign()
		p.world.Sign("verifier", p.train, predicate.TypeVSA, map[string]any{
			"verifier": map[string]any{"id": "https://hub.example/v1"}, "timeVerified": minute(5), "resourceUri": "hub.example/data",
			"policy":             map[string]any{"uri": "https://hub.example/policy", "digest": digestSet(p.pinned(hub).String())},
			"verificationResult": "PASSED", "verifiedLevels": []any{}})
		a := predicate.Access{Principal: predicate.AccessPrincipal{ID: "x", Kind: predicate.AccessAgent}, GrantedAt: started, NotAfter: p.at.Add(time.Hour)}
		c.grant(&a)
		p.world.Sign("data", p.train, predicate.TypeAccess, a)
		if v := p.judge(); v.Outcome != c.want {
			t.Errorf("%s: %s", name, explain(v))
		}
	}
}

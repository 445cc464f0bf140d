package policy_test

import (
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// revocable returns the pipeline with two people who may revoke things.
func revocable(t testing.TB) *pipeline {
	p := newPipeline(t)
	p.replace("steps:\n", `revocation:
  - {by: [security], acknowledgeAbsence: x}
  - {by: [data, evaluator], of: [artifact], threshold: 2, acknowledgeAbsence: x}
steps:
`)
	p.replace("  alice: {", "  security: {kind: human, credentials: [{key: keys/security.pub}]}\n  alice: {")
	return p
}

// revoke signs a revocation of what d names, an hour into the pipeline.
func (p *pipeline) revoke(by string, d attest.Digest, action, target string, change ...func(*predicate.Revocation)) attest.Digest {
	p.t.Helper()
	r := predicate.Revocation{Action: action, Target: target, Reason: "poisoned rows", IssuedAt: p.at.Add(-time.Minute)}
	for _, f := range change {
		f(&r)
	}
	return p.world.Sign(by, d, predicate.TypeRevocation, r)
}

func key(p *pipeline, name string) attest.Digest { return p.world.Key(name).Fingerprint() }

func TestWithdrawals(t *testing.T) {
	revoke, artifact, payload := predicate.ActionRevoke, predicate.TargetArtifact, predicate.TargetPayload
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		code attest.Code
		why  string
	}{
		{"nothing is revoked", func(*pipeline) {}, policy.Allow, "", ""},
		{"the model", func(p *pipeline) { p.revoke("security", p.quant, revoke, artifact) }, policy.Deny, attest.CodeRevoked, "it is revoked by security since"},
		{"the data it comes from, with the path", func(p *pipeline) { p.revoke("security", p.train, revoke, artifact) }, policy.Deny, attest.CodeRevoked, "← "},
		{"a commit, through its stand-in", func(p *pipeline) {
			d, _ := attest.ParseDigest(commit)
			p.revoke("security", d, revoke, artifact)
		}, policy.Deny, attest.CodeRevoked, "poisoned rows"},
		{"quarantined", func(p *pipeline) { p.revoke("security", p.raw, predicate.ActionQuarantine, artifact) }, policy.Deny, attest.CodeQuarantined, "quarantined by security"},
		{"quarantined and restored", func(p *pipeline) {
			q := p.revoke("security", p.raw, predicate.ActionQuarantine, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(q))
		}, policy.Allow, "", ""},
		{"restored by somebody who may not", func(p *pipeline) {
			q := p.revoke("security", p.raw, predicate.ActionQuarantine, artifact)
			p.revoke("data", p.raw, predicate.ActionRestore, artifact, restores(q))
		}, policy.Deny, attest.CodeQuarantined, ""},
		{"another one restored", func(p *pipeline) {
			p.revoke("security", p.raw, predicate.ActionQuarantine, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(p.quant))
		}, policy.Deny, attest.CodeQuarantined, ""},
		{"MLS-18 superseded", func(p *pipeline) {
			p.revoke("security", p.quant, predicate.ActionSupersede, artifact, func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: p.model} })
		}, policy.Deny, attest.CodeRollback, "takes its place"},
		{"a superseded ancestor", func(p *pipeline) {
			p.revoke("security", p.raw, predicate.ActionSupersede, artifact, func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: p.model} })
		}, policy.Allow, "", ""},
		{"by somebody who may not revoke", func(p *pipeline) { p.revoke("alice", p.quant, revoke, artifact) }, policy.Allow, "", ""},
		{"by a stranger", func(p *pipeline) { p.revoke("mallory", p.quant, revoke, artifact) }, policy.Allow, "", ""},
		{"by one of two who must agree", func(p *pipeline) { p.revoke("data", p.quant, revoke, artifact) }, policy.Allow, "", ""},
		{"by two who must agree", func(p *pipeline) {
			p.revoke("data", p.quant, revoke, artifact)
			p.revoke("evaluator", p.quant, revoke, artifact)
		}, policy.Deny, attest.CodeRevoked, "by data and evaluator"},
		{"the two, who differ about what", func(p *pipeline) {
			p.revoke("data", p.quant, revoke, artifact)
			p.revoke("evaluator", p.quant, predicate.ActionQuarantine, artifact)
		}, policy.Allow, "", ""},
		{"from a time that is to come", func(p *pipeline) {
			p.revoke("security", p.quant, revoke, artifact, func(r *predicate.Revocation) { r.EffectiveFrom = p.at.Add(time.Hour) })
		}, policy.Allow, "", ""},
		{"from a time that has come", func(p *pipeline) {
			p.revoke("security", p.quant, revoke, artifact, func(r *predicate.Revocation) { r.EffectiveFrom = p.at.Add(-time.Hour) })
		}, policy.Deny, attest.CodeRevoked, ""},
		{"one that cannot be read", func(p *pipeline) {
			p.world.Sign("security", p.quant, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		}, policy.Undecided, attest.CodeRevoked, "may withdraw"},

		{"the evaluation", func(p *pipeline) { p.revoke("security", p.payloads["evaluate"], revoke, payload) }, policy.Deny, attest.CodeRevoked, "the evaluation by evaluator is revoked by security"},
		{"the evaluation, on which people approved", func(p *pipeline) { p.revoke("security", p.payloads["evaluate"], revoke, payload) }, policy.Deny, attest.CodeBasis, "does not count any more: the evaluation by evaluator is revoked"},
		{"the evaluation, by who made it", func(p *pipeline) { p.revoke("evaluator", p.payloads["evaluate"], revoke, payload) }, policy.Deny, attest.CodeChainMissing, "no evaluate evidence"},
		{"the evaluation, by somebody else", func(p *pipeline) { p.revoke("trainer", p.payloads["evaluate"], revoke, payload) }, policy.Allow, "", ""},
		{"the evaluation, by who made it, and it cannot be read", func(p *pipeline) {
			p.world.Sign("evaluator", p.payloads["evaluate"], predicate.TypeRevocation, map[string]any{"action": "revoke"})
		}, policy.Undecided, attest.CodeRevoked, "may withdraw"},
		{"the evaluation, as if it were an artifact", func(p *pipeline) { p.revoke("security", p.payloads["evaluate"], revoke, artifact) }, policy.Allow, "", ""},
		{"a payload that cannot be looked up", func(p *pipeline) { p.world.Break(p.payloads["evaluate"], unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"an approval", func(p *pipeline) { p.revoke("bob", p.payloads["approve-bob"], revoke, payload) }, policy.Deny, attest.CodeQuorum, "1 of 2"},

		{"a key", func(p *pipeline) { p.revoke("security", key(p, "evaluator"), revoke, predicate.TargetKey) }, policy.Deny, attest.CodeChainMissing, "no evaluate evidence"},
		{"a key nobody uses", func(p *pipeline) { p.revoke("security", key(p, "mallory"), revoke, predicate.TargetKey) }, policy.Allow, "", ""},
		{"a key, by its holder", func(p *pipeline) { p.revoke("evaluator", key(p, "evaluator"), revoke, predicate.TargetKey) }, policy.Allow, "", ""},
		{"a key, and it is restored", func(p *pipeline) {
			r := p.revoke("security", key(p, "evaluator"), revoke, predicate.TargetKey)
			p.revoke("security", key(p, "evaluator"), predicate.ActionRestore, predicate.TargetKey, restores(r))
		}, policy.Allow, "", ""},
		{"a key, and a revoked key restores it", func(p *pipeline) {
			p.replace("  - {by: [security], acknowledgeAbsence: x}", "  - {by: [security, carol], acknowledgeAbsence: x}")
			r := p.revoke("security", key(p, "evaluator"), revoke, predicate.TargetKey)
			p.revoke("carol", key(p, "security"), revoke, predicate.TargetKey)
			p.revoke("security", key(p, "evaluator"), predicate.ActionRestore, predicate.TargetKey, restores(r))
		}, policy.Deny, attest.CodeRevoked, "revoked by security"},
		{"a key, and a compromised key restores it", func(p *pipeline) {
			p.replace("credentials: [{key: keys/security.pub}]", "credentials: [{key: keys/security.pub, compromisedSince: 2026-01-01T00:00:00Z}]")
			r := p.revoke("security", key(p, "evaluator"), revoke, predicate.TargetKey)
			p.revoke("security", key(p, "evaluator"), predicate.ActionRestore, predicate.TargetKey, restores(r))
		}, policy.Deny, attest.CodeRevoked, "revoked by security"},
		{"a revocation by a revoked key", func(p *pipeline) {
			p.revoke("security", p.quant, revoke, artifact)
			p.revoke("security", key(p, "security"), revoke, predicate.TargetKey)
		}, policy.Allow, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := revocable(t)
			p.sign()
			c.do(p)
			v := p.judge()
			if v.Outcome != c.want || c.code != "" && !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
		})
	}
}

func restores(payloads ...attest.Digest) func(*predicate.Revocation) {
	return func(r *predicate.Revocation) {
		for _, d := range payloads {
			r.Restores = append(r.Restores, predicate.Restored{Payload: predicate.DigestSet{Digest: d}})
		}
	}
}

// A veto is taken back by who gave it, or by who may revoke statements, and by
// nobody else.
func TestAVetoTakenBack(t *testing.T) {
	for by, want := range map[string]policy.Outcome{"": policy.Deny, "carol": policy.Allow, "security": policy.Allow, "bob": policy.Deny} {
		p := revocable(t)
		p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		p.sign()
		if by != "" {
			p.revoke(by, p.payloads["approve-carol"], predicate.ActionRevoke, predicate.TargetPayload)
		}
		if v := p.judge(); v.Outcome != want || (want == policy.Allow) != (len(v.Withdrawn) == 1) {
			t.Errorf("taken back by %q: want %s, got %s\nwithdrawn: %v", by, want, explain(v), v.Withdrawn)
		}
	}
}

// With a status a removed revocation is missed.
func TestARemovedRevocation(t *testing.T) {
	for name, of := range map[string]func(p *pipeline) (attest.Digest, string){
		"of an artifact": func(p *pipeline) (attest.Digest, string) { return p.train, predicate.TargetArtifact },
		"of a payload":   func(p *pipeline) (attest.Digest, string) { return p.payloads["evaluate"], predicate.TargetPayload },
		"of a key":       func(p *pipeline) (attest.Digest, string) { return key(p, "evaluator"), predicate.TargetKey },
	} {
		p := sealed(t)
		p.replace("steps:\n", "revocation: [{by: [data]}]\nsteps:\n")
		p.sign()
		p.publish(1, time.Hour)
		if v := p.judge(); v.Outcome != policy.Allow {
			t.Fatalf("%s: without a revocation: %s", name, explain(v))
		}
		d, target := of(p)
		gone := p.revoke("data", d, predicate.ActionRevoke, target)
		if v := p.judge(); v.Outcome != policy.Deny {
			t.Fatalf("%s: with the revocation: %s", name, explain(v))
		}
		p.publish(2, time.Hour)
		p.world.Remove(gone)
		if v := p.judge(); v.Outcome != policy.Undecided || !has(v, attest.CodeStatus, "lists") {
			t.Errorf("%s: removed: %s", name, explain(v))
		}
	}
}

// Credentials with a beginning, an end, and a day from which somebody else may
// hold them.
func TestCredentialWindows(t *testing.T) {
	for _, c := range []struct {
		window string
		want   policy.Outcome
		code   attest.Code
	}{
		{"from: 2026-11-23T00:00:00Z, until: 2026-11-24T00:00:00Z", policy.Allow, ""},
		{"from: 2026-11-24T00:00:00Z", policy.Deny, attest.CodeKeyWindow},
		{"until: 2026-11-23T00:00:00Z", policy.Deny, attest.CodeKeyWindow},
		{"compromisedSince: 2027-01-01T00:00:00Z", policy.Deny, attest.CodeRevoked}, // nothing shows when it was signed
		{"compromisedSince: 2026-01-01T00:00:00Z", policy.Deny, attest.CodeChainMissing},
	} {
		p := newPipeline(t)
		p.replace("{key: keys/evaluator.pub}", "{key: keys/evaluator.pub, "+c.window+"}")
		v := p.verdict()
		if v.Outcome != c.want || c.code != "" && !has(v, c.code, "") {
			t.Errorf("%s: want %s with %s, got %s", c.window, c.want, c.code, explain(v))
		}
	}
}

// Statements about statements about statements are looked at as far as they can
// matter, and no further.
func TestStatementsAboutStatements(t *testing.T) {
	p := revocable(t)
	p.sign()
	about := p.payloads["bias"]
	for range 300 { // CHN-20
		about = p.revoke("alice", about, predicate.ActionRevoke, predicate.TargetPayload)
	}
	p.world.Sign("security", p.payloads["evaluate"], predicate.TypeRevocation, map[string]any{"action": "revoke", "target": "artifact", "reason": "x", "issuedAt": minute(30)})
	v := p.judge()
	if v.Outcome != policy.Allow {
		t.Error(explain(v))
	}
	if n := len(p.chain(p.load()).ConsultedAll()); n > 40 {
		t.Errorf("%d stand-ins were consulted for 9 statements by 6 keys", n)
	}
}

// A status is no better than the key that signs it, and what cannot be seen of that
// key leaves the status open.
func TestTheStatusAuthoritysKey(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
	}{
		{"good", func(*pipeline) {}, policy.Allow},
		{"its stand-in cannot be looked up", func(p *pipeline) { p.world.Break(key(p, "registrar"), unreachable()) }, policy.Undecided},
		{"revoked", func(p *pipeline) { p.revoke("data", key(p, "registrar"), predicate.ActionRevoke, predicate.TargetKey) }, policy.Deny},
	} {
		p := sealed(t)
		p.replace("steps:\n", "revocation: [{by: [data]}]\nsteps:\n")
		p.sign()
		p.publish(1, time.Hour)
		c.do(p)
		if v := p.judge(); v.Outcome != c.want {
			t.Errorf("%s: want %s, got %s", c.name, c.want, explain(v))
		}
	}
}

// Who made something, and takes back having said so, made it all the same.
func TestTakingBackOnesOwnWorkSeparatesNothing(t *testing.T) {
	for approver, want := range map[string]policy.Outcome{"bob": policy.Allow, "carol": policy.Deny} {
		p := revocable(t)
		p.statements["train"].by = "carol"
		p.add("train-2", "trainer", p.model, build("train", "run-8", 2, map[string]attest.Digest{"model": p.model}, input{"training-data", "", p.train.String()}, input{"code", codeURI, commit}))
		p.statements["approve-bob"].by = approver
		p.sign()
		p.revoke("carol", p.payloads["train"], predicate.ActionRevoke, predicate.TargetPayload)
		if v := p.judge(); v.Outcome != want || want == policy.Deny && !has(v, attest.CodeQuorum, "carol also signed train") {
			t.Errorf("approved by %s: want %s, got %s", approver, want, explain(v))
		}
	}
}

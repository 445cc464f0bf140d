package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// Whoever holds a stolen key can sign with it that it is good again. A
// restoration by a key that is itself revoked restores no key.
func TestStolenKeysRestoreNothing(t *testing.T) {
	revoke, restore, target := predicate.ActionRevoke, predicate.ActionRestore, predicate.TargetKey
	guarded := func(t testing.TB) *pipeline {
		p := newPipeline(t)
		p.replace("steps:\n", "revocation: [{by: [security, deputy, chief], acknowledgeAbsence: x}]\nsteps:\n")
		p.replace("  alice: {", `  security: {kind: human, credentials: [{key: keys/security.pub}]}
  deputy: {kind: human, credentials: [{key: keys/deputy.pub}]}
  chief: {kind: human, credentials: [{key: keys/chief.pub}]}
  alice: {`)
		return p
	}
	// Each case revokes the evaluator's key, or has a revoked key take it back.
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		code attest.Code
	}{
		{"restored by who revoked it", func(p *pipeline) {
			r := p.revoke("security", key(p, "evaluator"), revoke, target)
			p.revoke("security", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Allow, ""},
		{"restored by a colleague", func(p *pipeline) {
			r := p.revoke("security", key(p, "evaluator"), revoke, target)
			p.revoke("deputy", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Allow, ""},
		{"restored by a colleague whose key is revoked", func(p *pipeline) {
			r := p.revoke("security", key(p, "evaluator"), revoke, target)
			p.revoke("chief", key(p, "deputy"), revoke, target)
			p.revoke("deputy", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Deny, attest.CodeRevoked},
		{"by a revoked key that restores itself", func(p *pipeline) {
			r := p.revoke("security", key(p, "evaluator"), revoke, target)
			own := p.revoke("chief", key(p, "deputy"), revoke, target)
			p.revoke("deputy", key(p, "deputy"), restore, target, restores(own))
			p.revoke("deputy", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Deny, attest.CodeRevoked},
		{"by two revoked keys that restore each other", func(p *pipeline) {
			r := p.revoke("chief", key(p, "evaluator"), revoke, target)
			a := p.revoke("chief", key(p, "deputy"), revoke, target)
			b := p.revoke("chief", key(p, "security"), revoke, target)
			p.revoke("deputy", key(p, "security"), restore, target, restores(b))
			p.revoke("security", key(p, "deputy"), restore, target, restores(a))
			p.revoke("deputy", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Deny, attest.CodeRevoked},
		{"of an artifact, by a revoked key that restores itself", func(p *pipeline) {
			r := p.revoke("security", p.quant, revoke, predicate.TargetArtifact)
			own := p.revoke("chief", key(p, "deputy"), revoke, target)
			p.revoke("deputy", key(p, "deputy"), restore, target, restores(own))
			p.revoke("deputy", p.quant, restore, predicate.TargetArtifact, restores(r))
		}, policy.Deny, attest.CodeRevoked},
		{"by a key that the policy says is compromised", func(p *pipeline) {
			p.replace("{key: keys/deputy.pub}", "{key: keys/deputy.pub, compromisedSince: 2026-01-01T00:00:00Z}")
			r := p.revoke("security", key(p, "evaluator"), revoke, target)
			p.revoke("deputy", key(p, "evaluator"), restore, target, restores(r))
		}, policy.Deny, attest.CodeRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := guarded(t)
			p.sign()
			c.do(p)
			if v := p.judge(); v.Outcome != c.want || c.code != "" && !has(v, c.code, "") {
				t.Errorf("want %s with %s, got %s", c.want, c.code, explain(v))
			}
		})
	}
}

// What is not certain about a withdrawal, or about what lifts it, is never a yes.
func TestDoubtfulWithdrawals(t *testing.T) {
	artifact := predicate.TargetArtifact
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		code attest.Code
		why  string
	}{
		{"restored, and whether the restorer's key is revoked cannot be seen", func(p *pipeline) {
			q := p.revoke("security", p.raw, predicate.ActionQuarantine, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(q))
			p.world.Break(key(p, "security"), unreachable())
		}, policy.Undecided, attest.CodeRevoked, "may withdraw"},
		{"an old version, and a revocation that cannot be read", func(p *pipeline) {
			p.revoke("security", p.raw, predicate.ActionSupersede, artifact, func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: p.model} })
			p.world.Sign("security", p.raw, predicate.TypeRevocation, map[string]any{"action": "revoke"})
		}, policy.Undecided, attest.CodeRevoked, "may withdraw"},
		{"a file of the model is revoked", func(p *pipeline) {
			p.world.SignAt(p.quant, "security", attest.SHA256([]byte("int8 weights")), predicate.TypeRevocation,
				predicate.Revocation{Action: predicate.ActionRevoke, Target: artifact, Reason: "poisoned", IssuedAt: p.at})
		}, policy.Deny, attest.CodeRevoked, "poisoned"},
		{"a revocation that lies here and is about something else", func(p *pipeline) {
			p.world.SignAt(p.quant, "security", p.world.Manifest(map[string]string{"x": "y"}), predicate.TypeRevocation,
				predicate.Revocation{Action: predicate.ActionRevoke, Target: artifact, Reason: "poisoned", IssuedAt: p.at})
		}, policy.Allow, "", ""},
		{"a restoration that restores itself and nothing else", func(p *pipeline) {
			p.revoke("security", p.raw, predicate.ActionRevoke, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(p.raw))
		}, policy.Deny, attest.CodeRevoked, ""},
		{"a restoration that takes effect later", func(p *pipeline) {
			r := p.revoke("security", p.raw, predicate.ActionRevoke, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(r), func(r *predicate.Revocation) { r.EffectiveFrom = p.at.Add(time.Second) })
		}, policy.Deny, attest.CodeRevoked, ""},
		{"a restoration of another kind", func(p *pipeline) {
			r := p.revoke("security", p.raw, predicate.ActionRevoke, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, predicate.TargetKey, restores(r))
		}, policy.Deny, attest.CodeRevoked, ""},
		{"a restoration in the future", func(p *pipeline) {
			r := p.revoke("security", p.raw, predicate.ActionRevoke, artifact)
			p.revoke("security", p.raw, predicate.ActionRestore, artifact, restores(r), func(r *predicate.Revocation) { r.IssuedAt = p.at.Add(6 * time.Minute) })
		}, policy.Deny, attest.CodeRevoked, ""},
		{"superseded by what it supersedes", func(p *pipeline) {
			by := func(d attest.Digest) func(r *predicate.Revocation) {
				return func(r *predicate.Revocation) { r.ReplacedBy = predicate.DigestSet{Digest: d} }
			}
			p.revoke("security", p.quant, predicate.ActionSupersede, artifact, by(p.model))
			p.revoke("security", p.model, predicate.ActionSupersede, artifact, by(p.quant))
		}, policy.Deny, attest.CodeRollback, "takes its place"},
		{"one of two restores what both revoked", func(p *pipeline) {
			a := p.revoke("data", p.quant, predicate.ActionRevoke, artifact)
			b := p.revoke("evaluator", p.quant, predicate.ActionRevoke, artifact)
			p.revoke("trainer", p.quant, predicate.ActionRestore, artifact, restores(a, b))
		}, policy.Deny, attest.CodeRevoked, ""},
		{"the two, one of whom takes it back", func(p *pipeline) {
			a := p.revoke("data", p.quant, predicate.ActionRevoke, artifact)
			p.revoke("evaluator", p.quant, predicate.ActionRevoke, artifact)
			p.revoke("data", p.quant, predicate.ActionRestore, artifact, restores(a))
		}, policy.Allow, "", ""},
		{"the two take back what a third revoked", func(p *pipeline) {
			r := p.revoke("security", p.quant, predicate.ActionRevoke, artifact)
			p.revoke("data", p.quant, predicate.ActionRestore, artifact, restores(r))
			p.revoke("evaluator", p.quant, predicate.ActionRestore, artifact, restores(r))
		}, policy.Allow, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := revocable(t)
			p.sign()
			c.do(p)
			if v := p.judge(); v.Outcome != c.want || c.code != "" && !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
		})
	}
}

// A status is evidence like any other: it may be revoked, and so may its key.
func TestStatusesOfRevokedKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *pipeline, first, second attest.Digest)
		want policy.Outcome
		code attest.Code
		why  string
	}{
		{"good", func(*pipeline, attest.Digest, attest.Digest) {}, policy.Allow, "", ""},
		{"an older status is revoked", func(p *pipeline, first, _ attest.Digest) {
			p.revoke("security", first, predicate.ActionRevoke, predicate.TargetPayload)
		}, policy.Allow, "", ""},
		{"the status is revoked", func(p *pipeline, _, second attest.Digest) {
			p.revoke("security", second, predicate.ActionRevoke, predicate.TargetPayload)
		}, policy.Deny, attest.CodeRevoked, "status"},
		{"its key is revoked", func(p *pipeline, _, _ attest.Digest) {
			p.revoke("security", key(p, "registrar"), predicate.ActionRevoke, predicate.TargetKey)
		}, policy.Deny, attest.CodeStatus, "nobody published"},
		{"whether its key is revoked cannot be seen", func(p *pipeline, _, _ attest.Digest) {
			p.world.Break(key(p, "registrar"), unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"whether it is revoked cannot be seen", func(p *pipeline, _, second attest.Digest) {
			p.world.Break(second, unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"a status that cannot be read", func(p *pipeline, _, _ attest.Digest) {
			p.world.Sign("registrar", p.quant, predicate.TypeStatus, map[string]any{"sequence": 3})
		}, policy.Undecided, attest.CodeStatus, "cannot be read"},
		{"a newer status about the parent that lies here", func(p *pipeline, _, second attest.Digest) {
			p.world.Remove(second)
			s := predicate.Status{Sequence: 9, IssuedAt: p.at, ValidUntil: p.at.Add(time.Hour), Artifacts: map[attest.Digest][]predicate.Listed{}}
			p.world.SignAt(p.quant, "registrar", p.model, predicate.TypeStatus, s)
		}, policy.Allow, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sealed(t)
			p.replace("status: {by: [registrar]}\n", "status: {by: [registrar]}\nrevocation: [{by: [security], acknowledgeAbsence: x}]\n")
			p.replace("  alice: {", "  security: {kind: human, credentials: [{key: keys/security.pub}]}\n  alice: {")
			p.sign()
			first := p.publish(1, time.Hour)
			second := p.publish(2, time.Hour)
			c.do(p, first, second)
			if v := p.judge(); v.Outcome != c.want || c.code != "" && !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
		})
	}
}

// Two authorities, of which one signs another history.
func TestForkedStatuses(t *testing.T) {
	forked := func(t testing.TB) *pipeline {
		p := sealed(t)
		p.replace("status: {by: [registrar]}", "status: {by: [registrar, notary]}")
		p.replace("  alice: {", "  notary: {kind: workload, credentials: [{key: keys/notary.pub}]}\n  alice: {")
		return p
	}
	empty := func(p *pipeline, sequence int64, at time.Time) {
		p.world.Sign("notary", p.quant, predicate.TypeStatus, predicate.Status{Sequence: sequence, IssuedAt: at, ValidUntil: at.Add(time.Hour), Artifacts: map[attest.Digest][]predicate.Listed{p.quant: {}}})
	}
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		code attest.Code
	}{
		{"one history", func(*pipeline) {}, policy.Allow, ""},
		{"a lower number", func(p *pipeline) { empty(p, 3, p.at) }, policy.Allow, ""},
		{"the same number", func(p *pipeline) { empty(p, 4, p.at) }, policy.Undecided, attest.CodeConflict},
		{"a higher number, that lists less", func(p *pipeline) { empty(p, 5, p.at) }, policy.Undecided, attest.CodeStatus},
		{"a higher number, in five minutes", func(p *pipeline) { empty(p, 5, p.at.Add(5*time.Minute)) }, policy.Undecided, attest.CodeStatus},
		{"a higher number, in the future", func(p *pipeline) { empty(p, 5, p.at.Add(5*time.Minute+time.Second)) }, policy.Allow, ""},
		{"the highest number there is", func(p *pipeline) { empty(p, 1<<53-1, p.at) }, policy.Undecided, attest.CodeStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := forked(t)
			p.sign()
			p.publish(4, time.Hour)
			c.do(p)
			if v := p.judge(); v.Outcome != c.want || c.code != "" && !has(v, c.code, "") {
				t.Errorf("want %s with %s, got %s", c.want, c.code, explain(v))
			}
		})
	}
}

// A status is valid until, and at most as old as, to the second.
func TestStatusBoundaries(t *testing.T) {
	for _, c := range []struct {
		rule string
		at   time.Duration
		want policy.Outcome
	}{
		{"", time.Hour, policy.Allow}, {"", time.Hour + time.Second, policy.Deny},
		{", maxAge: 10m", 10 * time.Minute, policy.Allow}, {", maxAge: 10m", 10*time.Minute + time.Second, policy.Deny},
	} {
		p := sealed(t)
		p.replace("status: {by: [registrar]}", "status: {by: [registrar]"+c.rule+"}")
		p.sign()
		p.publish(1, time.Hour)
		p.at = p.at.Add(c.at)
		if v := p.judge(); v.Outcome != c.want {
			t.Errorf("%q after %s: want %s, got %s", c.rule, c.at, c.want, explain(v))
		}
	}
}

// banned is the pipeline under a deny list that two of three sign.
func banned(t testing.TB) *pipeline {
	p := newPipeline(t)
	p.replace("deny: [", "deny: [{list: acme-banned, by: [data, evaluator, trainer], threshold: 2, maxAge: 24h, acknowledgeAbsence: x}, ")
	return p
}

// ban signs a deny list of one artifact.
func (p *pipeline) ban(sequence int64, bad attest.Digest, by ...string) (payload attest.Digest) {
	p.t.Helper()
	for _, who := range by {
		payload = p.world.Sign(who, predicate.DenylistAnchor("acme-banned"), predicate.TypeDenylist, predicate.Denylist{Name: "acme-banned", Sequence: sequence,
			IssuedAt: started, ValidUntil: started.Add(48 * time.Hour), Artifacts: []predicate.Denied{{Digest: bad, Reason: "stolen"}}})
	}
	return payload
}

func TestHostileDenyLists(t *testing.T) {
	other := attest.SHA256([]byte("something else"))
	anchor := predicate.DenylistAnchor("acme-banned")
	revocable := func(p *pipeline) {
		p.replace("steps:\n", "revocation: [{by: [security], acknowledgeAbsence: x}]\nsteps:\n")
		p.replace("  alice: {", "  security: {kind: human, credentials: [{key: keys/security.pub}]}\n  alice: {")
	}
	try(t, banned, []twist{
		{"two sign the same", func(p *pipeline) { p.ban(1, other, "data", "evaluator") }, policy.Allow, "", ""},
		{"one signs twice", func(p *pipeline) { p.ban(1, other, "data", "data") }, policy.Deny, attest.CodeChainMissing, "no deny list"},
		{"a newer one that two signed and nobody can read", func(p *pipeline) {
			p.ban(1, other, "data", "evaluator")
			for _, who := range []string{"data", "trainer"} {
				p.world.Sign(who, anchor, predicate.TypeDenylist, map[string]any{"name": "acme-banned", "sequence": 2})
			}
		}, policy.Undecided, attest.CodeDenied, "cannot be read"},
		{"one that only one signed and nobody can read", func(p *pipeline) {
			p.ban(1, other, "data", "evaluator")
			p.world.Sign("data", anchor, predicate.TypeDenylist, map[string]any{"name": "acme-banned", "sequence": 2})
		}, policy.Allow, "", ""},
		{"the key of one has run out", func(p *pipeline) {
			p.replace("{key: keys/trainer.pub}", "{key: keys/trainer.pub, from: 2026-11-23T12:00:00Z}, {key: keys/old.pub, until: 2026-01-01T00:00:00Z}")
			p.ban(1, other, "data", "old")
		}, policy.Deny, attest.CodeKeyWindow, ""},
		{"the key of one of three has run out", func(p *pipeline) {
			p.replace("{key: keys/trainer.pub}", "{key: keys/trainer.pub, from: 2026-11-23T12:00:00Z}, {key: keys/old.pub, until: 2026-01-01T00:00:00Z}")
			p.ban(1, other, "data", "old", "evaluator")
		}, policy.Allow, "", ""},
		{"a listed file that everybody may share", func(p *pipeline) {
			p.replace("steps:\n", "sharedFiles: [\""+attest.SHA256([]byte("{\"bits\":8}")).String()+"\"]\nsteps:\n")
			p.ban(1, attest.SHA256([]byte("{\"bits\":8}")), "data", "evaluator")
		}, policy.Deny, attest.CodeDenied, "stolen"},
		{"a revoked list", func(p *pipeline) {
			revocable(p)
			p.revoke("security", p.ban(1, other, "data", "evaluator"), predicate.ActionRevoke, predicate.TargetPayload)
		}, policy.Deny, attest.CodeRevoked, "revoked by security"},
		{"the newest list is revoked, and an older one is there", func(p *pipeline) {
			revocable(p)
			p.ban(1, other, "data", "evaluator")
			p.revoke("security", p.ban(2, p.raw, "data", "evaluator"), predicate.ActionRevoke, predicate.TargetPayload)
		}, policy.Deny, attest.CodeRevoked, "revoked by security"},
		{"whether the list is revoked cannot be seen", func(p *pipeline) {
			revocable(p)
			p.world.Break(p.ban(1, other, "data", "evaluator"), unreachable())
		}, policy.Undecided, attest.CodeRegUnavailable, "whether"},
		{"a file of the judged model", func(p *pipeline) { p.ban(1, attest.SHA256([]byte("int8 weights")), "data", "evaluator") }, policy.Deny, attest.CodeDenied, "stolen"},
		{"the code", func(p *pipeline) {
			d, _ := attest.ParseDigest(commit)
			p.ban(1, d, "data", "evaluator")
		}, policy.Deny, attest.CodeDenied, "stolen"},
		{"the key of one signer is revoked", func(p *pipeline) {
			revocable(p)
			p.ban(1, other, "data", "evaluator")
			p.revoke("security", key(p, "evaluator"), predicate.ActionRevoke, predicate.TargetKey)
		}, policy.Deny, attest.CodeChainMissing, "no deny list"},
	})
	short := banned(t)
	short.replace("maxAge: 24h,", "maxAge: 100h,")
	short.ban(1, other, "data", "evaluator")
	for at, code := range map[time.Duration]attest.Code{48 * time.Hour: "", 48*time.Hour + time.Second: attest.CodeStale} {
		short.at = started.Add(at)
		if v := short.judge(); has(v, attest.CodeStale, "the deny list acme-banned was valid until") != (code != "") {
			t.Errorf("after %s: %s", at, explain(v))
		}
	}
	if m := short.judge().Marks; len(m) != 1 || m[0].Number != 1 || !strings.HasPrefix(m[0].Name, "denylist/") {
		t.Errorf("marks to remember: %v", m)
	}
	short.question.Remembered = []policy.Mark{{Name: "denylist/0000", Number: 9}}
	if v := short.judge(); has(v, attest.CodeRollback, "") {
		t.Errorf("another list's number: %s", explain(v))
	}
	for at, want := range map[time.Duration]policy.Outcome{24 * time.Hour: policy.Allow, 24*time.Hour + time.Second: policy.Deny, -5 * time.Minute: policy.Deny} {
		p := banned(t)
		p.ban(1, other, "data", "evaluator")
		p.at = started.Add(at)
		if v := p.verdict(); requirement(v, "deny")[0].Status == policy.Pass != (want == policy.Allow || at < 0) {
			t.Errorf("after %s: %s", at, explain(v))
		}
	}
}

// The order in which a verdict's parts come does not depend on how it was made.
func TestHostileVerdictsAreDeterministic(t *testing.T) {
	make := func() string {
		p := revocable(t)
		p.replace("deny: [", "deny: [{list: acme-banned, by: [data, evaluator, trainer], threshold: 2, maxAge: 24h, acknowledgeAbsence: x}, ")
		p.sign()
		for i := range int64(3) {
			p.ban(i/2+1, p.raw, "data", "evaluator", "trainer")
		}
		for _, by := range []string{"security", "data", "evaluator"} {
			for _, d := range []attest.Digest{p.quant, p.raw, p.train, p.payloads["bias"]} {
				p.revoke(by, d, predicate.ActionRevoke, predicate.TargetArtifact)
				p.revoke(by, d, predicate.ActionQuarantine, predicate.TargetPayload)
			}
		}
		return fmt.Sprint(explain(p.judge()))
	}
	first := make()
	for range 5 {
		if again := make(); again != first {
			t.Fatalf("two verdicts about the same differ:\n%s\n%s", first, again)
		}
	}
	if !strings.Contains(first, "by security since") {
		t.Error(first)
	}
}

// What a status says of other things, and what others say beside it, changes
// nothing; what it leaves out leaves open whether that was revoked.
func TestStatusesAmongOtherThings(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *pipeline)
		want policy.Outcome
		step string // that does not pass
	}{
		{"nothing", func(p *pipeline) { p.publish(1, time.Hour) }, policy.Allow, ""},
		{"it leaves out the raw data", func(p *pipeline) { p.publish(1, time.Hour, p.raw) }, policy.Undecided, "revocation"},
		{"it lists something that is no part of this", func(p *pipeline) {
			p.publish(1, time.Hour)
			node := p.chain(p.load()).Artifact(p.quant)
			for _, e := range node.Evidence {
				if e.PredicateType() != predicate.TypeStatus {
					continue
				}
				facts, err := e.Facts()
				if err != nil {
					p.t.Fatal(err)
				}
				listed := facts.Status.Artifacts
				listed[attest.SHA256([]byte("elsewhere"))] = []predicate.Listed{{Payload: p.quant, Credential: e.ID().Credential.String()}}
				p.world.Sign("registrar", p.quant, predicate.TypeStatus, predicate.Status{Sequence: 2, IssuedAt: p.at, ValidUntil: p.at.Add(time.Hour), Artifacts: listed})
				return
			}
		}, policy.Allow, ""},
		{"its authority says something else as well", func(p *pipeline) {
			p.publish(1, time.Hour)
			p.world.Sign("registrar", p.quant, evaluation, p.evaluation("quality", 4))
		}, policy.Allow, ""},
		{"a number of something else was higher", func(p *pipeline) {
			p.publish(1, time.Hour)
			p.question.Remembered = []policy.Mark{{Name: "status/0000", Number: 9}, {Name: "denylist/0000", Number: 9}}
		}, policy.Allow, ""},
		{"only one that cannot be read", func(p *pipeline) {
			p.world.Sign("registrar", p.quant, predicate.TypeStatus, map[string]any{"sequence": 3})
		}, policy.Undecided, "status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPipeline(t)
			p.replace("steps:\n", "status: {by: [registrar]}\nrevocation: [{by: [data]}]\nsteps:\n")
			p.replace("  alice: {", "  registrar: {kind: workload, credentials: [{key: keys/registrar.pub}]}\n  alice: {")
			p.sign()
			c.do(p)
			v := p.judge()
			if v.Outcome != c.want || c.step != "" && (len(requirement(v, c.step)) != 1 || requirement(v, c.step)[0].Status != policy.Unknown) {
				t.Errorf("want %s by %q, got %s", c.want, c.step, explain(v))
			}
		})
	}
}

// Of several who withdraw, the earliest moment holds; and a key that signed nothing
// yet was not consulted, and counts.
func TestWithdrawalsInDetail(t *testing.T) {
	p := revocable(t)
	p.sign()
	for i, by := range []string{"data", "evaluator"} {
		p.revoke(by, p.quant, predicate.ActionRevoke, predicate.TargetArtifact, func(r *predicate.Revocation) { r.EffectiveFrom = started.Add(time.Duration(i) * time.Minute) })
	}
	if v := p.judge(); !has(v, attest.CodeRevoked, "since 2026-11-23T12:00:00Z") {
		t.Error(explain(v))
	}
	p = revocable(t)
	p.sign()
	p.world.Sign("security", p.quant, evaluation, map[string]any{"kind": 1})
	if v := p.judge(); v.Outcome != policy.Allow {
		t.Errorf("a statement of another type that cannot be read: %s", explain(v))
	}
	p = revocable(t)
	p.statements["approve-bob"].omit = true
	p.sign()
	pol := p.load()
	prospect, err := pol.Consider(p.chain(pol), policy.Question{At: p.at}, "approve")
	if err != nil {
		t.Fatal(err)
	}
	facts := predicate.Facts{Tree: map[string]any{"decision": "approved", "scope": map[string]any{"environments": []any{"prod"}}}}
	if err := prospect.Admits(verify.KeyCredential(p.world.Key("bob")), facts); err != nil {
		t.Errorf("a key that signed nothing yet: %v", err)
	}
}

package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// sealed returns the pipeline with a status authority in the place of every
// acknowledged absence. It is not signed yet, and no status is published.
func sealed(t testing.TB) *pipeline {
	p := newPipeline(t)
	for _, line := range []string{"    acknowledgeAbsence: \"no status authority yet\"\n", ", acknowledgeAbsence: \"no status authority yet\""} {
		p.policy = strings.ReplaceAll(p.policy, line, "")
	}
	p.replace("steps:\n", "status: {by: [registrar]}\nsteps:\n")
	p.replace("  alice: {", "  registrar: {kind: workload, credentials: [{key: keys/registrar.pub}]}\n  alice: {")
	return p
}

// publish signs a status that lists everything that is there now, without what
// leave names.
func (p *pipeline) publish(sequence int64, validFor time.Duration, leave ...attest.Digest) attest.Digest {
	p.t.Helper()
	chain := p.chain(p.load())
	s := predicate.Status{Sequence: sequence, IssuedAt: p.at, ValidUntil: p.at.Add(validFor), Artifacts: map[attest.Digest][]predicate.Listed{}}
	left := map[attest.Digest]bool{}
	for _, d := range leave {
		left[d] = true
	}
	add := func(d attest.Digest, node *verify.Artifact) {
		s.Artifacts[d] = append(s.Artifacts[d], []predicate.Listed{}...)
		if left[d] {
			delete(s.Artifacts, d)
			return
		}
		for _, list := range [][]verify.Evidence{node.Evidence, node.FileEvidence, node.Misplaced} {
			for _, e := range list {
				if e.PredicateType() != predicate.TypeStatus && !left[e.ID().Payload] {
					s.Artifacts[d] = append(s.Artifacts[d], predicate.Listed{Payload: e.ID().Payload, Credential: e.ID().Credential.String()})
				}
			}
		}
	}
	for _, d := range chain.Artifacts() {
		add(d, chain.Artifact(d))
	}
	for _, d := range chain.ConsultedAll() {
		add(d, chain.Consulted(d))
	}
	return p.world.Sign("registrar", p.root, predicate.TypeStatus, s)
}

// requirement returns the answers about a step.
func requirement(v *policy.Verdict, step string) (out []policy.Requirement) {
	for _, r := range v.Requirements {
		if r.Step == step {
			out = append(out, r)
		}
	}
	return out
}

// has reports whether some reason of the verdict has the code and contains why.
func has(v *policy.Verdict, code attest.Code, why string) bool {
	for _, r := range v.Requirements {
		for _, reason := range r.Reasons {
			if reason.Code == code && strings.Contains(reason.Why, why) {
				return true
			}
		}
	}
	return false
}

func TestAStatusProvesAbsence(t *testing.T) {
	p := sealed(t)
	p.sign()
	p.publish(1, time.Hour)
	v := p.judge()
	if v.Outcome != policy.Allow {
		t.Fatal(explain(v))
	}
	if v.Status == nil || v.Status.Sequence != 1 || !v.Status.Fresh || v.Status.Principal != "registrar" {
		t.Errorf("the verdict names the status %+v", v.Status)
	}
	if len(v.Marks) != 1 || v.Marks[0].Number != 1 || !strings.HasPrefix(v.Marks[0].Name, "status/") {
		t.Errorf("marks to remember: %v", v.Marks)
	}
	if len(v.Acknowledged) != 1 {
		t.Errorf("acknowledged %v, want the claimed times only", v.Acknowledged)
	}
	if last := v.NotProven[len(v.NotProven)-1]; !strings.Contains(last, "remembers nothing") {
		t.Errorf("the verdict ends with %q, and must say that the verifier remembers nothing", last)
	}
	p.question.Stateful = true
	if last := p.judge().NotProven; strings.Contains(last[len(last)-1], "remembers nothing") {
		t.Error("a verifier that remembers says that it does not")
	}
}

// Each case removes something, or shows something old, after a status that was
// good (TestAStatusProvesAbsence).
func TestWhatAStatusCatches(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(p *pipeline) // what is signed besides
		after  func(p *pipeline)
		want   policy.Outcome
		code   attest.Code
		why    string
	}{
		{"POL-28 a removed failing evaluation", func(p *pipeline) {
			s := p.add("evaluate-2", "evaluator", p.quant, p.evaluation("quality", 6))
			dig(s.body, "metrics", "accuracy")["value"] = "0.50"
		}, func(p *pipeline) { p.world.Remove(p.payloads["evaluate-2"]) }, policy.Undecided, attest.CodeStatus, "lists"},
		{"POL-28 a removed veto", func(p *pipeline) {
			p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected"})
		}, func(p *pipeline) { p.world.Remove(p.payloads["approve-carol"]) }, policy.Undecided, attest.CodeStatus, "lists"},
		{"a removed contradicting record", func(p *pipeline) {
			p.add("train-2", "trainer", p.model, build("train", "run-8", 2, map[string]attest.Digest{"model": p.model}, input{"training-data", "", p.test.String()}, input{"code", codeURI, commit}))
		}, func(p *pipeline) { p.world.Remove(p.payloads["train-2"]) }, policy.Undecided, attest.CodeStatus, "lists"},
		{"no status", nil, func(p *pipeline) { p.world.Remove(p.payloads["status"]) }, policy.Deny, attest.CodeStatus, "nobody published a status"},
		{"a stale status", nil, func(p *pipeline) { p.at = p.at.Add(2 * time.Hour) }, policy.Deny, attest.CodeStale, "was valid until"},
		{"a rolled-back status", nil, func(p *pipeline) {
			p.question.Remembered = append(p.judge().Marks, policy.Mark{})
			p.question.Remembered[0].Number = 9
		}, policy.Undecided, attest.CodeRollback, "9 was seen before"},
		{"another status of the same number", nil, func(p *pipeline) {
			p.question.Remembered = p.judge().Marks
			p.question.Remembered[0].Content = p.quant
		}, policy.Undecided, attest.CodeRollback, "another status with the sequence 4"},
		{"two statuses of one number", nil, func(p *pipeline) { p.publish(4, 2*time.Hour) }, policy.Undecided, attest.CodeConflict, "sequence 4"},
		{"a newer status that has expired governs", nil, func(p *pipeline) {
			p.publish(5, time.Minute)
			p.at = p.at.Add(10 * time.Minute)
		}, policy.Deny, attest.CodeStale, "status 5"},
		{"a status by somebody else", nil, func(p *pipeline) {
			p.world.Remove(p.payloads["status"])
			p.replace("status: {by: [registrar]}", "status: {by: [data]}")
		}, policy.Deny, attest.CodeStatus, "nobody published"},
		{"a status that does not list the model's parent", nil, func(p *pipeline) { p.publish(5, time.Hour, p.model) }, policy.Undecided, attest.CodeStatus, "no fresh status proves"},
		{"the registry is down", nil, func(p *pipeline) { p.world.Break(p.quant, unreachable()) }, policy.Undecided, attest.CodeRegUnavailable, ""},
		{"older than the policy allows", nil, func(p *pipeline) {
			p.replace("status: {by: [registrar]}", "status: {by: [registrar], maxAge: 10m}")
			p.at = p.at.Add(11 * time.Minute)
		}, policy.Deny, attest.CodeStale, "at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sealed(t)
			if c.before != nil {
				c.before(p)
			}
			p.sign()
			p.payloads["status"] = p.publish(4, time.Hour)
			if c.before == nil {
				if v := p.judge(); v.Outcome != policy.Allow {
					t.Fatalf("before: %s", explain(v))
				}
			} else if v := p.judge(); v.Outcome != policy.Deny {
				t.Fatalf("with what is removed later: %s", explain(v))
			}
			c.after(p)
			v := p.judge()
			if v.Outcome != c.want || !has(v, c.code, c.why) {
				t.Errorf("want %s with %s %q, got %s", c.want, c.code, c.why, explain(v))
			}
		})
	}
}

// What was attached after the status was published is judged as ever.
func TestEvidenceAfterTheStatus(t *testing.T) {
	p := sealed(t)
	p.statements["approve-bob"].omit = true
	p.sign()
	p.publish(1, time.Hour)
	if v := p.judge(); v.Outcome != policy.Deny {
		t.Fatal(explain(v))
	}
	p.statements["approve-bob"].omit = false
	for _, name := range p.order {
		p.statements[name].omit = name != "approve-bob"
	}
	p.sign()
	if v := p.judge(); v.Outcome != policy.Allow {
		t.Error(explain(v))
	}
	// A veto as well.
	p.order = nil
	p.add("approve-carol", "carol", p.quant, map[string]any{"decision": "rejected", "approvedAt": minute(9)})
	p.order = []string{"approve-carol"}
	p.sign()
	if v := p.judge(); v.Outcome != policy.Deny || !has(v, attest.CodeVeto, "carol") {
		t.Error(explain(v))
	}
}

// What a policy acknowledges needs no status, and one without status stays as it
// was.
func TestAcknowledgedBesideAStatus(t *testing.T) {
	p := newPipeline(t)
	p.replace("steps:\n", "status: {by: [registrar]}\nsteps:\n")
	p.replace("  alice: {", "  registrar: {kind: workload, credentials: [{key: keys/registrar.pub}]}\n  alice: {")
	p.sign()
	p.publish(1, time.Hour, p.model, p.train) // not listed, and not needed
	if v := p.judge(); v.Outcome != policy.Allow {
		t.Error(explain(v))
	}
}

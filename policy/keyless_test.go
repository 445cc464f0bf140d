package policy_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Who signs in the tests of identities, and what their certificates claim.
var (
	trainerID = trust.Identity{Issuer: actions, Subject: trainingFlow}
	aliceID   = trust.Identity{Issuer: sso, Subject: "alice@acme.example"}
	onMain    = trust.Claims{SourceRepository: "https://github.com/acme/credit", SourceRef: "refs/heads/main", BuildTrigger: "push", RunnerEnvironment: "self-hosted"}
)

// A keyless is a model that an identity trained and another approved: the smallest
// world of identities, in which a test changes one thing.
type keyless struct {
	t      *testing.T
	world  *chaintest.World
	model  attest.Digest
	policy string
	trust  *trust.Trust
	at     time.Time // of the question
	known  time.Time

	trainer, alice trust.Identity
	claims         trust.Claims // of the trainer's certificate
	// When training ended and approval was given, as they claim, and when their
	// certificates are from; zero: then.
	trained, approved, certified time.Time
	record                       attest.Digest // of training, which the approval rests on
}

func newKeyless(t *testing.T) *keyless {
	t.Helper()
	w := chaintest.New(t)
	return &keyless{t: t, world: w, model: w.Manifest(map[string]string{"model.safetensors": "weights"}), policy: identityPolicy(trainerLine, aliceLine), trust: w.Trust(),
		at: started.Add(time.Hour), trainer: trainerID, alice: aliceID, claims: onMain, trained: started, approved: started.Add(10 * time.Minute)}
}

func trainedAt(t time.Time, outputs map[string]attest.Digest) map[string]any {
	body := build("train", "run-1", 0, outputs)
	dig(body, "runDetails", "metadata")["finishedOn"] = t.UTC().Format(time.RFC3339)
	return body
}

func (k *keyless) approval(t time.Time) map[string]any {
	return map[string]any{"decision": "approved", "scope": map[string]any{"environments": []any{"prod"}}, "approvedAt": t.UTC().Format(time.RFC3339),
		"basis": []any{map[string]any{"payload": digestSet(k.record.String()), "artifact": digestSet(k.model.String())}}}
}

// train signs the record of training.
func (k *keyless) train() attest.Digest {
	k.t.Helper()
	at := k.certified
	if at.IsZero() {
		at = k.trained
	}
	k.world.Identity("trainer", k.trainer, k.claims, at)
	k.record = k.world.Sign("trainer", k.model, provenance, trainedAt(k.trained, map[string]attest.Digest{"model": k.model}))
	return k.record
}

// approve signs the approval.
func (k *keyless) approve() attest.Digest {
	k.t.Helper()
	k.world.Identity("alice", k.alice, trust.Claims{}, k.approved)
	return k.world.Sign("alice", k.model, approval, k.approval(k.approved))
}

func (k *keyless) chain(p *policy.Policy) verify.Chain {
	k.t.Helper()
	scope := p.Scope()
	scope.Trust = k.trust
	c, err := verify.Walk(context.Background(), k.model, []verify.Source{k.world.Source()}, scope)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// judge asks about what was signed.
func (k *keyless) judge() *policy.Verdict {
	k.t.Helper()
	p, err := load(k.world, k.policy)
	if err != nil {
		k.t.Fatal(err)
	}
	return evaluate(k.t, p, k.chain(p), policy.Question{At: k.at, Known: k.known})
}

// verdict signs everything and asks.
func (k *keyless) verdict() *policy.Verdict {
	k.t.Helper()
	k.train()
	k.approve()
	return k.judge()
}

// want checks an answer; no code means that it must be ALLOW.
func want(t *testing.T, v *policy.Verdict, outcome policy.Outcome, code attest.Code) {
	t.Helper()
	if v.Outcome != outcome || code != "" && !slices.Contains(codes(v), code) {
		t.Errorf("want %s %s, got\n%s", outcome, code, explain(v))
	}
}

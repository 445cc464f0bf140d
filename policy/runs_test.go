package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Whoever may start a workflow in another way than a credential asks for has the same
// identity, and can sign the very bytes of somebody else's evidence. What time and which
// certificate such a run has is its own.

func pulledClaims() trust.Claims {
	c := onMain
	c.BuildTrigger = "pull_request"
	return c
}

// run signs the same record of training in a run of its own.
func (k *keyless) run(claims trust.Claims, at time.Time) {
	k.t.Helper()
	k.claims, k.certified = claims, at
	k.train()
}

// The positive twin of each case is the same time in a run that counts.
func TestRunsLendNoTime(t *testing.T) {
	lost := started.Add(30 * time.Minute)
	for _, c := range []struct {
		name  string
		early trust.Claims
		line  string    // besides the trigger
		known time.Time // zero: now
		want  policy.Outcome
		code  attest.Code
	}{
		{"seen before the identity was lost, in the run that counts", onMain, ", compromisedSince: " + stamped(lost), time.Time{}, policy.Allow, ""},
		{"seen before the identity was lost, in another run", pulledClaims(), ", compromisedSince: " + stamped(lost), time.Time{}, policy.Deny, attest.CodeRevoked},
		{"known by then, in the run that counts", onMain, "", lost, policy.Allow, ""},
		{"known by then, in another run", pulledClaims(), "", lost, policy.Deny, ""},
		{"seen within the window, in the run that counts", onMain, ", until: " + stamped(lost), time.Time{}, policy.Allow, ""},
		{"seen within the window, in another run", pulledClaims(), ", until: " + stamped(lost), time.Time{}, policy.Deny, attest.CodeKeyWindow},
	} {
		for _, order := range []string{"the early one first", "the late one first"} {
			t.Run(c.name+", "+order, func(t *testing.T) {
				k := newKeyless(t)
				k.at = started.Add(2 * time.Hour)
				k.policy = identityPolicy(strings.TrimSuffix(trainerLine, "}")+", trigger: push"+c.line+"}", aliceLine)
				k.known = c.known
				if order == "the early one first" {
					k.run(c.early, started)
					k.run(onMain, started.Add(time.Hour))
				} else {
					k.run(onMain, started.Add(time.Hour))
					k.run(c.early, started)
				}
				k.approve()
				want(t, k.judge(), c.want, c.code)
			})
		}
	}
}

// A status lists statements by payload and signer. A run that counts for nobody must
// not stand in for the one that was listed, and then removed.
func TestRunsStandInForNothing(t *testing.T) {
	k := newKeyless(t)
	k.policy = strings.Replace(identityPolicy(strings.TrimSuffix(trainerLine, "}")+", trigger: push}", aliceLine), "steps:\n", `  warden: {kind: workload, credentials: [{key: keys/warden.pub}]}
status: {by: [warden]}
steps:
`, 1)
	k.train()
	k.approve()
	// A training that is not approved of: to be listed, and then to be hidden.
	k.trained = started.Add(time.Minute)
	bad := k.train()
	publish := func(sequence int) {
		p, err := load(k.world, k.policy)
		if err != nil {
			t.Fatal(err)
		}
		k.world.Stamp("warden", k.at)
		k.world.Sign("warden", k.model, statusType, map[string]any{"sequence": sequence, "issuedAt": stamped(k.at), "validUntil": stamped(k.at.Add(time.Hour)), "artifacts": listing(t, k, p)})
	}
	publish(1)
	want(t, k.judge(), policy.Allow, "")
	k.world.Remove(bad)
	want(t, k.judge(), policy.Undecided, attest.CodeStatus)
	k.run(pulledClaims(), k.trained) // the very same bytes
	if v := k.judge(); !has(v, attest.CodeStatus, "and it is not there") {
		t.Errorf("a run that counts for nobody stands in for what was removed:\n%s", explain(v))
	}
	// Nor does a status list it: else whoever may start such a run could, by taking it
	// away again, leave every status open.
	publish(2)
	want(t, k.judge(), policy.Allow, "")
	k.world.Remove(bad)
	want(t, k.judge(), policy.Allow, "")
}

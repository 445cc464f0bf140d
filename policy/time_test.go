package policy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// aged is a policy of which training must not be older than a day.
func (k *keyless) aged(maxAge string) {
	k.policy = strings.Replace(k.policy, "    select: any\n    inputs", "    select: any\n    maxAge: "+maxAge+"\n    inputs", 1)
}

// What a statement claims is held against when it was seen: a new timestamp makes
// nothing younger.
func TestClaimedAgainstSeen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(k *keyless)
		want   policy.Outcome
		code   attest.Code
	}{
		{"seen when it is claimed", func(k *keyless) { k.aged("24h") }, policy.Allow, ""},
		{"re-stamped: a year old, with a certificate and timestamps of today", func(k *keyless) {
			k.certified, k.trained = k.trained, k.trained.AddDate(-1, 0, 0)
		}, policy.Deny, attest.CodeTimeWindow},
		{"re-stamped: older than allowed, and within maxLag", func(k *keyless) {
			k.aged("2h")
			k.certified, k.trained = k.trained, k.trained.Add(-2*time.Hour)
		}, policy.Deny, attest.CodeStale},
		{"a day before it was seen", func(k *keyless) { k.certified, k.trained = k.trained, k.trained.Add(10*time.Second-24*time.Hour) }, policy.Allow, ""},
		{"a day and a second before it was seen", func(k *keyless) { k.certified, k.trained = k.trained, k.trained.Add(9*time.Second-24*time.Hour) }, policy.Deny, attest.CodeTimeWindow},
		{"a policy with another maxLag", func(k *keyless) {
			k.policy = strings.Replace(k.policy, "artifact: train\n", "artifact: train\nmaxLag: 1h\n", 1)
			k.certified, k.trained = k.trained, k.trained.Add(-2*time.Hour)
		}, policy.Deny, attest.CodeTimeWindow},
		{"within another maxLag", func(k *keyless) {
			k.policy = strings.Replace(k.policy, "artifact: train\n", "artifact: train\nmaxLag: 72h\n", 1)
			k.certified, k.trained = k.trained, k.trained.Add(-71*time.Hour)
		}, policy.Allow, ""},
		{"TIM-14 five minutes after it was seen", func(k *keyless) {
			k.certified, k.trained = k.trained, k.trained.Add(5*time.Minute+10*time.Second)
		}, policy.Allow, ""},
		{"TIM-14 more than five minutes after it was seen", func(k *keyless) {
			k.certified, k.trained = k.trained, k.trained.Add(5*time.Minute+11*time.Second)
		}, policy.Deny, attest.CodeTimeWindow},
		{"TIM-14 an hour after the question, the authority as well", func(k *keyless) {
			k.trained, k.known = k.at.Add(time.Hour), k.at.AddDate(2, 0, 0)
		}, policy.Deny, attest.CodeTimeWindow},
		{"TIM-14 a year after the question, the authority as well", func(k *keyless) {
			k.trained, k.known = k.at.AddDate(1, 0, 0), k.at.AddDate(2, 0, 0)
		}, policy.Deny, attest.CodeTimeWindow},
		{"TIM-14 seen after what is known", func(k *keyless) { k.trained = k.at.Add(time.Hour) }, policy.Deny, attest.CodeChainMissing},
		{"--known before it was seen", func(k *keyless) { k.known = k.trained.Add(9 * time.Second) }, policy.Deny, attest.CodeChainMissing},
		{"TIM-17 an approval older than allowed", func(k *keyless) {
			k.policy = strings.Replace(k.policy, "    kind: human\n", "    kind: human\n    maxAge: 30m\n", 1)
		}, policy.Deny, attest.CodeStale},
		{"TIM-17 an approval as old as allowed", func(k *keyless) {
			k.policy = strings.Replace(k.policy, "    kind: human\n", "    kind: human\n    maxAge: 50m\n", 1)
		}, policy.Allow, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			c.change(k)
			want(t, k.verdict(), c.want, c.code)
		})
	}
}

// A re-stamped record: the very same statement, signed again by the same key, with a
// timestamp of today. It claims what it always claimed.
func TestRestamped(t *testing.T) {
	k := newKeyless(t)
	k.policy = identityPolicy("{key: keys/trainer-key.pub}", aliceLine)
	k.aged("720h")
	k.at = started.AddDate(0, 6, 0)
	k.approved = k.at.Add(-time.Hour)
	body := trainedAt(started, map[string]attest.Digest{"model": k.model})
	sign := func(seen time.Time) {
		k.world.Stamp("trainer-key", seen)
		k.record = k.world.Sign("trainer-key", k.model, provenance, body)
	}
	sign(started.Add(time.Minute))
	k.approve()
	want(t, k.judge(), policy.Deny, attest.CodeStale)
	k.at = started.Add(700 * time.Hour) // the positive twin: it was not always too old
	k.approved = k.at.Add(-time.Hour)
	k.approve()
	want(t, k.judge(), policy.Allow, "")

	k.at = started.AddDate(0, 6, 0)
	sign(k.at.Add(-time.Hour)) // beside the old one
	want(t, k.judge(), policy.Deny, attest.CodeStale)
	k.world.Remove(k.record)
	sign(k.at.Add(-time.Hour)) // and instead of it
	want(t, k.judge(), policy.Deny, attest.CodeTimeWindow)
	want(t, k.judge(), policy.Deny, attest.CodeStale)
}

// What a plain key signed counts with a timestamp, and without one only where the
// policy takes the signers' word; which waives nothing else.
func TestKeysWithTimestamps(t *testing.T) {
	const unsafe = "artifact: train\nunsafeTime: claimed\n"
	for _, c := range []struct {
		name   string
		line   string
		unsafe bool
		seen   time.Duration // after what is claimed; 0: never
		claim  time.Duration // after the start
		want   policy.Outcome
		code   attest.Code
	}{
		{"a timestamp", "", false, time.Minute, 0, policy.Allow, ""},
		{"none", "", false, 0, 0, policy.Deny, attest.CodeTimeMissing},
		{"none, and the signers' word", "", true, 0, 0, policy.Allow, ""},
		{"the signers' word against a timestamp", "", true, 25 * time.Hour, -25 * time.Hour, policy.Deny, attest.CodeTimeWindow},
		{"the signers' word for the future", "", true, 0, 2 * time.Hour, policy.Deny, attest.CodeTimeWindow},
		{"IDN-18 exactly at the start", ", from: " + stamped(started), true, 0, 0, policy.Allow, ""},
		{"IDN-18 one second before the start", ", from: " + stamped(started), true, 0, -time.Second, policy.Deny, attest.CodeKeyWindow},
		{"IDN-18 exactly at the end", ", until: " + stamped(started), true, 0, 0, policy.Allow, ""},
		{"IDN-18 one second after the end", ", until: " + stamped(started), true, 0, time.Second, policy.Deny, attest.CodeKeyWindow},
		{"IDN-18 seen exactly at the end", ", until: " + stamped(started.Add(time.Minute)), false, time.Minute, 0, policy.Allow, ""},
		{"IDN-18 seen one second after the end", ", until: " + stamped(started.Add(59*time.Second)), false, time.Minute, 0, policy.Deny, attest.CodeKeyWindow},
		{"seen before the key was lost", ", compromisedSince: " + stamped(started.Add(61*time.Second)), false, time.Minute, 0, policy.Allow, ""},
		{"seen when the key was lost", ", compromisedSince: " + stamped(started.Add(60*time.Second)), false, time.Minute, 0, policy.Deny, attest.CodeRevoked},
		{"dated back before the key was lost", ", compromisedSince: " + stamped(started.Add(30*time.Second)), false, time.Minute, 0, policy.Deny, attest.CodeRevoked},
		{"claimed before the key was lost, and nobody saw it", ", compromisedSince: " + stamped(started.Add(time.Hour)), true, 0, 0, policy.Deny, attest.CodeRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = identityPolicy("{key: keys/trainer-key.pub"+c.line+"}", aliceLine)
			if c.unsafe {
				k.policy = strings.Replace(k.policy, "artifact: train\n", unsafe, 1)
			}
			if claimed := started.Add(c.claim); c.seen > 0 {
				k.world.Stamp("trainer-key", claimed.Add(c.seen))
			}
			k.record = k.world.Sign("trainer-key", k.model, provenance, trainedAt(started.Add(c.claim), map[string]attest.Digest{"model": k.model}))
			k.approve()
			want(t, k.judge(), c.want, c.code)
		})
	}
}

// A type without a time of its own is as old as the certificate may be, and as young.
func TestShortLivedCertificates(t *testing.T) {
	const scan = "https://example.org/scan/v1"
	for _, c := range []struct {
		name string
		asks string
		at   time.Duration // after the certificate's beginning
		svid bool          // for an hour instead of ten minutes
		lag  string
		want policy.Outcome
		code attest.Code
	}{
		{"younger than maxAge", "maxAge: 30m", 30 * time.Minute, false, "24h", policy.Allow, ""},
		{"older than maxAge, from notBefore", "maxAge: 30m", 30*time.Minute + time.Second, false, "24h", policy.Deny, attest.CodeStale},
		{"older than minAge, from notAfter", "minAge: 30m", 40 * time.Minute, false, "24h", policy.Allow, ""},
		{"younger than minAge, from notAfter", "minAge: 30m", 40*time.Minute - time.Second, false, "24h", policy.Deny, attest.CodeTimeWindow},
		{"an SVID of an hour", "maxAge: 30m", 30 * time.Minute, true, "24h", policy.Allow, ""},
		{"a certificate longer than maxLag", "maxAge: 30m", 20 * time.Minute, true, "30m", policy.Deny, attest.CodeTimeMissing},
		{"a certificate longer than maxLag, and no age is asked for", "threshold: 1", 20 * time.Minute, true, "30m", policy.Allow, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = strings.Replace(identityPolicy(trainerLine+`, {spiffe: "spiffe://acme.example/scan"}`, aliceLine), "artifact: train\n", "artifact: train\nmaxLag: "+c.lag+"\n", 1) +
				fmt.Sprintf("  scan: {predicate: %q, about: artifact, by: [trainer], select: any, %s}\n", scan, c.asks)
			k.at = started.Add(c.at)
			k.train()
			k.approved = started.Add(time.Minute)
			k.approve()
			k.world.Identity("scanner", trainerID, onMain, started)
			if c.svid {
				k.world.Workload("scanner", "scan", started)
			}
			k.world.Sign("scanner", k.model, scan, map[string]any{"clean": true})
			want(t, k.judge(), c.want, c.code)
		})
	}
}

// The same statement under two certificates is as old as the one that was seen first
// says, in whichever order they are found: signing again makes nothing younger.
func TestCertificatesOfOneStatement(t *testing.T) {
	const scan = "https://example.org/scan/v1"
	for _, c := range []struct {
		name   string
		signed []time.Duration // after the start
		want   policy.Outcome
	}{
		{"of today", []time.Duration{48 * time.Hour}, policy.Allow},
		{"of two days ago", []time.Duration{0}, policy.Deny},
		{"of two days ago and of today", []time.Duration{0, 48 * time.Hour}, policy.Deny},
		{"of today and of two days ago", []time.Duration{48 * time.Hour, 0}, policy.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy += fmt.Sprintf("  scan: {predicate: %q, about: artifact, by: [trainer], select: any, maxAge: 24h}\n", scan)
			k.at = started.Add(49 * time.Hour)
			k.train()
			k.approve()
			for _, after := range c.signed {
				k.world.Identity("scanner", trainerID, onMain, started.Add(after))
				k.world.Sign("scanner", k.model, scan, map[string]any{"clean": true})
			}
			code := attest.CodeStale
			if c.want == policy.Allow {
				code = ""
			}
			want(t, k.judge(), c.want, code)
		})
	}
}

// Of a type without a time of its own, a plain key's timestamp says only that it is not
// younger: not that it was made after the key began to count, nor before an approval.
func TestKeysWithoutClaimedTime(t *testing.T) {
	const scan = "https://example.org/scan/v1"
	seen := started.Add(time.Minute)
	for _, c := range []struct {
		name, window string
		approved     time.Time
		want         policy.Outcome
		code         attest.Code
	}{
		{"no window", "", seen.Add(time.Minute), policy.Allow, ""},
		{"IDN-18 seen at the end", ", until: " + stamped(seen), seen.Add(time.Minute), policy.Allow, ""},
		{"IDN-18 seen after the end", ", until: " + stamped(seen.Add(-time.Second)), seen.Add(time.Minute), policy.Deny, attest.CodeKeyWindow},
		{"IDN-18 seen after the start, and perhaps made before", ", from: " + stamped(seen.Add(-time.Hour)), seen.Add(time.Minute), policy.Deny, attest.CodeKeyWindow},
		{"TIM-16 seen five minutes after the approval", "", seen.Add(-5 * time.Minute), policy.Allow, ""},
		{"TIM-16 seen later", "", seen.Add(-5*time.Minute - time.Second), policy.Deny, attest.CodeChainOrder},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = strings.Replace(identityPolicy(trainerLine+", {key: keys/scanner.pub"+c.window+"}", aliceLine), "    notBy: [train]\n", "    basis: [look]\n    notBy: [train]\n", 1) +
				fmt.Sprintf("  look: {predicate: %q, about: artifact, by: [trainer], select: latest, acknowledgeAbsence: \"a test\"}\n", scan)
			k.train()
			k.world.Stamp("scanner", seen)
			k.record = k.world.Sign("scanner", k.model, scan, map[string]any{"clean": true})
			k.approved = c.approved
			k.approve()
			want(t, k.judge(), c.want, c.code)
		})
	}
}

// TIM-16: what an approval rests on was there before it, by what it claims, or by the
// beginning of its certificate where the type claims nothing.
func TestOrderOfSteps(t *testing.T) {
	const scan = "https://example.org/scan/v1"
	for _, c := range []struct {
		name      string
		typ, body string
		after     time.Duration // that the approval is given, after the scan
		want      policy.Outcome
		code      attest.Code
	}{
		{"TIM-16 approved after the evaluation", evaluation, "", time.Minute, policy.Allow, ""},
		{"TIM-16 approved four minutes before the evaluation", evaluation, "", -4 * time.Minute, policy.Allow, ""},
		{"TIM-16 approved six minutes before the evaluation", evaluation, "", -6 * time.Minute, policy.Deny, attest.CodeChainOrder},
		{"TIM-16 approved after the scan's certificate began", scan, "", time.Minute, policy.Allow, ""},
		{"TIM-16 approved six minutes before the scan's certificate began", scan, "", -6 * time.Minute, policy.Deny, attest.CodeChainOrder},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = strings.Replace(k.policy, "    notBy: [train]\n", "    basis: [look]\n    notBy: [train]\n", 1) +
				fmt.Sprintf("  look: {predicate: %q, about: artifact, by: [trainer], select: any}\n", c.typ)
			k.train()
			looked := started.Add(10 * time.Minute)
			body := map[string]any{"clean": true}
			if c.typ == evaluation {
				body = (&pipeline{}).evaluation("quality", 10)
				body["inputs"] = []any{}
			}
			k.world.Identity("scanner", trainerID, onMain, looked)
			k.record = k.world.Sign("scanner", k.model, c.typ, body)
			k.approved = looked.Add(c.after)
			k.approve()
			want(t, k.judge(), c.want, c.code)
		})
	}
}

// The clock of whoever verifies decides about freshness and the policy's own time,
// and about nothing else.
func TestVerifiersClock(t *testing.T) {
	k := newKeyless(t)
	k.policy = strings.Replace(k.policy, "expires: 2027-05-01", "expires: 2200-05-01", 1)
	k.trust = k.world.TrustOf("{name: chaintest, version: 1, expires: 2200-01-01T00:00:00Z}")
	k.train()
	k.approve()
	judge := func(at time.Time) *policy.Verdict {
		k.at = at
		return k.judge()
	}
	for _, at := range []time.Time{started.Add(time.Hour), started.AddDate(10, 0, 0), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC)} {
		want(t, judge(at), policy.Allow, "")
	}
	// A clock that is behind has not seen it yet.
	for _, at := range []time.Time{started.AddDate(-10, 0, 0), time.Unix(0, 0), time.Unix(0, 0).AddDate(0, 0, 1)} {
		want(t, judge(at), policy.Deny, attest.CodeChainMissing)
	}
	// And where an age is asked for, one that is ahead finds it old.
	k.aged("24h")
	want(t, judge(started.Add(24*time.Hour)), policy.Allow, "")
	want(t, judge(started.AddDate(10, 0, 0)), policy.Deny, attest.CodeStale)

	// TIM-13: the same moment in another time zone is the same question.
	utc, err := judge(started.Add(time.Hour)).JSON()
	if err != nil {
		t.Fatal(err)
	}
	zone, err := judge(started.Add(time.Hour).In(time.FixedZone("", -11*60*60))).JSON()
	if err != nil || !bytes.Equal(utc, zone) {
		t.Errorf("another time zone, another answer (%v)", err)
	}
	// A leap second, as a clock that has them would write it, is no time at all.
	if _, err := load(k.world, strings.Replace(k.policy, "expires: 2200-05-01T00:00:00Z", "expires: 2200-06-30T23:59:60Z", 1)); attest.RefusalCode(err) != attest.CodePolicyParse {
		t.Errorf("a leap second loads: %v", err)
	}
}

// TIM-17: a status, too, is as old as it claims: one that is kept back and timed again
// proves no more.
func TestStatusIsNotRefreshed(t *testing.T) {
	k := newKeyless(t)
	k.policy = strings.Replace(identityPolicy(trainerLine, aliceLine), "steps:\n", `  warden: {kind: workload, credentials: [{key: keys/warden.pub}]}
status: {by: [warden], maxAge: 6h}
steps:
`, 1)
	k.train()
	k.approve()
	publish := func(claimed, seen time.Time) {
		p, err := load(k.world, k.policy)
		if err != nil {
			t.Fatal(err)
		}
		k.world.Stamp("warden", seen)
		k.world.Sign("warden", k.model, statusType, map[string]any{"sequence": 1, "issuedAt": stamped(claimed), "validUntil": stamped(claimed.Add(48 * time.Hour)), "artifacts": listing(t, k, p)})
	}
	publish(k.at, k.at)
	want(t, k.judge(), policy.Allow, "")
	k.at = k.at.Add(7 * time.Hour)
	want(t, k.judge(), policy.Deny, attest.CodeStale)
	publish(k.at.Add(-7*time.Hour), k.at)
	want(t, k.judge(), policy.Deny, attest.CodeStale)
}

const statusType = "https://pedigree-ml.github.io/status/v0.1"

func listing(t *testing.T, k *keyless, p *policy.Policy) map[string]any {
	t.Helper()
	all, err := p.Listing(k.chain(p))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for d, list := range all {
		entries := []any{}
		for _, l := range list {
			entries = append(entries, map[string]any{"payload": digestSet(l.Payload.String()), "credential": l.Credential})
		}
		out[d.String()] = entries
	}
	return out
}

// An identity that somebody else may have counts for what was seen before, whatever
// the statement claims: by the policy's word, and by a revocation's.
func TestLostIdentities(t *testing.T) {
	seen := started.Add(10 * time.Second)
	for _, c := range []struct {
		name  string
		since time.Time
		want  policy.Outcome
		code  attest.Code
	}{
		{"lost after it was seen", seen.Add(time.Second), policy.Allow, ""},
		{"lost when it was seen", seen, policy.Deny, attest.CodeRevoked},
		{"lost between what is claimed and when it was seen", started.Add(time.Second), policy.Deny, attest.CodeRevoked},
	} {
		t.Run(c.name+", says the policy", func(t *testing.T) {
			k := newKeyless(t)
			k.policy = identityPolicy(strings.TrimSuffix(trainerLine, "}")+", compromisedSince: "+stamped(c.since)+"}", aliceLine)
			want(t, k.verdict(), c.want, c.code)
		})
		t.Run(c.name+", says a revocation", func(t *testing.T) {
			k := newKeyless(t)
			k.policy = strings.Replace(k.policy, "steps:\n", "  warden: {kind: human, credentials: [{issuer: \""+sso+"\", subject: warden@acme.example}]}\nrevocation: [{by: [warden], of: [key], acknowledgeAbsence: \"nobody lists what there is\"}]\nsteps:\n", 1)
			k.train()
			k.approve()
			want(t, k.judge(), policy.Allow, "")
			at := started.Add(20 * time.Minute)
			k.world.Identity("warden", trust.Identity{Issuer: sso, Subject: "warden@acme.example"}, trust.Claims{}, at)
			k.world.Sign("warden", verify.IdentityCredential(trainerID).Standin(), predicate.TypeRevocation,
				map[string]any{"action": "revoke", "target": "identity", "reason": "the account was taken over", "issuedAt": stamped(at), "effectiveFrom": stamped(c.since)})
			want(t, k.judge(), c.want, c.code)
		})
	}
}

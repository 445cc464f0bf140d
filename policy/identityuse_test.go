package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// One identity may sign the very same statement in several runs. Each certificate is
// weighed by itself: a run that does not count takes nothing from one that does.
func TestOneStatementOfTwoRuns(t *testing.T) {
	pushed, pulled := onMain, onMain
	pulled.BuildTrigger = "pull_request"
	for _, c := range []struct {
		name string
		runs []trust.Claims
		want policy.Outcome
	}{
		{"the run that counts", []trust.Claims{pushed}, policy.Allow},
		{"the run that does not", []trust.Claims{pulled}, policy.Deny},
		{"both", []trust.Claims{pushed, pulled}, policy.Allow},
		{"both, the other one first", []trust.Claims{pulled, pushed}, policy.Allow},
	} {
		for _, how := range []string{"by credential", "by rule"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				k := newKeyless(t)
				if how == "by rule" {
					k.rule(`signer.trigger == "push"`)
				} else {
					k.policy = identityPolicy(strings.TrimSuffix(trainerLine, "}")+", trigger: push}", aliceLine)
				}
				for _, claims := range c.runs {
					k.claims = claims
					k.train()
				}
				k.approve()
				want(t, k.judge(), c.want, "")
			})
		}
	}
}

// The verdict says what the certificate claims, of identities alone.
func TestVerdictsTellClaims(t *testing.T) {
	k := newKeyless(t)
	v := k.verdict()
	want(t, v, policy.Allow, "")
	for _, i := range v.Evidence {
		if i.Claims == nil || i.Principal == "trainer" && *i.Claims != onMain || i.Seen == nil {
			t.Errorf("%s: claims %+v, seen %v", i.Principal, i.Claims, i.Seen)
		}
	}
	for _, r := range v.Requirements {
		for _, c := range r.Selected {
			if c.Claims == nil {
				t.Errorf("%s by %s without claims", r.Step, c.Principal)
			}
		}
	}
	for _, i := range newPipeline(t).verdict().Evidence {
		if i.Claims != nil {
			t.Errorf("a key claims %+v", i.Claims)
		}
	}
}

// An approval is held against the policy before it is signed, also by an identity.
func TestAdmitsIdentities(t *testing.T) {
	k := newKeyless(t)
	k.policy = identityPolicy(trainerLine, strings.TrimSuffix(aliceLine, "}")+", sourceVisibility: private}")
	k.train()
	p, err := load(k.world, k.policy)
	if err != nil {
		t.Fatal(err)
	}
	q, err := p.Consider(k.chain(p), policy.Question{At: k.at}, "")
	if err != nil {
		t.Fatal(err)
	}
	payload, err := attest.NewStatement(attest.Subject{Digest: k.model}, approval, k.approval(k.approved))
	if err != nil {
		t.Fatal(err)
	}
	s, err := attest.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := predicate.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	alice := verify.IdentityCredential(aliceID)
	for _, c := range []struct {
		name   string
		who    verify.Credential
		claims []trust.Claims
		want   attest.Code
	}{
		{"alice, whatever her certificate will claim", alice, nil, ""},
		{"alice, as the policy has it", alice, []trust.Claims{{SourceVisibility: "private"}}, ""},
		{"alice with another claim", alice, []trust.Claims{{SourceVisibility: "public"}}, attest.CodeIdentity},
		{"the trainer", verify.IdentityCredential(trainerID), nil, attest.CodeIdentity},
		{"the same name of another issuer", verify.IdentityCredential(trust.Identity{Issuer: actions, Subject: aliceID.Subject}), nil, attest.CodeIdentity},
		{"a look-alike", verify.IdentityCredential(trust.Identity{Issuer: sso, Subject: "аlice@acme.example"}), nil, attest.CodeIdentity},
	} {
		err := q.Admits(c.who, facts, c.claims...)
		if got := attest.RefusalCode(err); got != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err != nil && strings.ContainsRune(err.Error(), 'а') {
			t.Errorf("%s: the message shows what looks like something else: %v", c.name, err)
		}
	}
}

// Who may publish and revoke is asked by issuer and subject.
func TestPublishersAreIdentities(t *testing.T) {
	k := newKeyless(t)
	k.policy = strings.Replace(identityPolicy(trainerLine, aliceLine), "steps:\n", `  warden: {kind: workload, credentials: [{spiffePattern: "spiffe://acme.example/status/*", until: 2026-12-01T00:00:00Z}, {key: keys/warden.pub, compromisedSince: 2026-12-01T00:00:00Z}]}
status: {by: [warden]}
revocation: [{by: [warden], of: [artifact]}]
deny: [{list: banned, by: [alice, warden], maxAge: 24h}]
steps:
`, 1)
	p, err := load(k.world, k.policy)
	if err != nil {
		t.Fatal(err)
	}
	warden, ok := verify.ParseCredential("spiffe://acme.example/status/publisher")
	if !ok {
		t.Fatal("a SPIFFE id is no credential")
	}
	alice, lost := verify.IdentityCredential(aliceID), verify.KeyCredential(k.world.Key("warden"))
	for _, c := range []struct {
		who  verify.Credential
		at   time.Time
		want attest.Code
	}{
		{warden, started, ""},
		{warden, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), ""},
		{warden, time.Date(2026, 12, 1, 0, 0, 1, 0, time.UTC), attest.CodeKeyWindow},
		{lost, started, attest.CodeRevoked},
		{alice, started, attest.CodeIdentity},
	} {
		if err := p.MayPublish(c.who, c.at); attest.RefusalCode(err) != c.want {
			t.Errorf("%s at %s: %v, want %s", c.who, c.at, err, c.want)
		}
	}
	if n, err := p.MayRevoke(warden, predicate.TargetArtifact); n != 1 || err != nil {
		t.Errorf("the warden may not revoke: %d, %v", n, err)
	}
	if _, err := p.MayRevoke(alice, predicate.TargetArtifact); attest.RefusalCode(err) != attest.CodeIdentity {
		t.Errorf("alice may revoke: %v", err)
	}
	rule, ok := p.Denylist("banned")
	if !ok || !rule.Admits(warden) || !rule.Admits(alice) || !rule.Admits(lost) || rule.Admits(verify.IdentityCredential(trainerID)) || len(rule.Identities) != 2 {
		t.Errorf("the deny list is signed by %+v", rule)
	}
	if p.Principal(warden) != "warden" || !p.Is(warden, "spiffe://acme.example/status/other") || p.Is(warden, "spiffe://acme.example/other") || p.Is(alice, "warden") || p.Principal(verify.Credential{}) != "" {
		t.Error("who is who is not answered by issuer and subject")
	}
	scope := p.Scope()
	if len(scope.Identities) != 3 || len(scope.Keys) != 1 || !slices.ContainsFunc(scope.Follow, func(f verify.Follow) bool { return len(f.ByIdentity) == 1 && len(f.By) == 0 }) {
		t.Errorf("scope: %+v", scope)
	}
}

// What means more than its author thought of loads, and is told.
func TestFindingsOfIdentities(t *testing.T) {
	const flows = "https://github.com/acme/credit/.github/workflows/"
	pattern := func(p string) string { return `{issuer: "` + actions + `", subjectPattern: "` + p + `"}` }
	for _, c := range []struct {
		name, line, code string
	}{
		{"one branch", pattern(flows + "*@refs/heads/main"), ""},
		{"tags that begin so", pattern(flows + "train.yml@refs/tags/v*"), ""},
		{"any reference", pattern(flows + "train.yml@*"), "any-ref"},
		{"any reference, deep", pattern(flows + "train.yml@**"), "any-ref"},
		{"any branch", pattern(flows + "train.yml@refs/heads/*"), "any-ref"},
		{"pull requests", pattern(flows + "train.yml@refs/pull/*/merge"), "any-ref"},
		{"any branch, with a claim that says which", strings.TrimSuffix(pattern(flows+"train.yml@refs/heads/*"), "}") + ", sourceRef: refs/heads/main}", ""},
		{"a whole site", pattern("https://git.acme.example/**"), "wide-identity"},
		{"a whole trust domain", `{spiffePattern: "spiffe://acme.example/**"}`, "wide-identity"},
		{"a namespace", `{spiffePattern: "spiffe://acme.example/ns/train/**"}`, ""},
		{"a regular expression's dot", pattern(flows + ".*@refs/heads/main"), "regular-expression"},
		{"an issuer in the clear", `{issuer: "http://ci.acme.example", subject: train}`, "plain-issuer"},
		{"an issuer on this machine", `{issuer: "http://127.0.0.1:8080", subject: train}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			var got []string
			for _, f := range findings(t, k.world, identityPolicy(c.line, aliceLine)) {
				if f.Severity == policy.SeverityWarning && f.Code != "accept-any" {
					got = append(got, f.Code)
					if f.Line != 6 || f.What == "" || f.Advice == "" {
						t.Errorf("%+v", f)
					}
				}
			}
			if strings.Join(got, " ") != c.code {
				t.Errorf("got %v, want %q", got, c.code)
			}
		})
	}
	k := newKeyless(t)
	fs := findings(t, k.world, identityPolicy(pattern(flows+"*@refs/heads/main"), pattern(flows+"train.*@refs/heads/main")))
	if !slices.ContainsFunc(fs, func(f policy.Finding) bool { return f.Code == "overlapping-patterns" && f.Line == 7 }) {
		t.Errorf("two patterns that overlap: %s", list(fs))
	}
	fs = findings(t, k.world, identityPolicy(pattern(flows+"*@refs/heads/main"), pattern(flows+"*@refs/heads/dev")))
	if slices.ContainsFunc(fs, func(f policy.Finding) bool { return f.Code == "overlapping-patterns" }) {
		t.Errorf("two patterns that do not overlap: %s", list(fs))
	}
	unpinned := func(f policy.Finding) bool { return f.Code == "trust-unpinned" }
	if fs = findings(t, k.world, k.policy); !slices.ContainsFunc(fs, unpinned) {
		t.Errorf("without a pinned trust file: %s", list(fs))
	}
	if fs = findings(t, k.world, "trust: "+k.trust.Digest().String()+"\n"+k.policy); slices.ContainsFunc(fs, unpinned) {
		t.Errorf("with a pinned trust file: %s", list(fs))
	}
}

package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// identityPolicy is a policy of two steps whose credentials a test writes.
func identityPolicy(trainer, alice string) string {
	return `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: keyless, version: 1, expires: 2027-05-01T00:00:00Z}
artifact: train
principals:
  trainer: {kind: workload, credentials: [` + trainer + `]}
  alice:   {kind: human,    credentials: [` + alice + `]}
steps:
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, accept: any, reason: "judged elsewhere", min: 0, max: 10}]
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice]
    kind: human
    notBy: [train]
    acknowledgeAbsence: "nobody publishes a status yet"
    select: any
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
`
}

const (
	actions      = "https://token.actions.githubusercontent.com"
	sso          = "https://sso.acme.example"
	trainingFlow = "https://github.com/acme/credit/.github/workflows/train.yml@refs/heads/main"

	trainerLine = `{issuer: "` + actions + `", subject: "` + trainingFlow + `"}`
	aliceLine   = `{issuer: "` + sso + `", subject: alice@acme.example}`
)

// Credentials that say too little, too much, or what somebody else reads otherwise do
// not load. The positive twin of each is in TestIdentitiesLoad.
func TestIdentitiesThatDoNotLoad(t *testing.T) {
	w := chaintest.New(t)
	for _, c := range []struct{ name, line, why string }{
		{"IDN-01 everybody", `{issuer: "` + actions + `", subjectPattern: "**"}`, "only wildcards"},
		{"IDN-01 a wildcard for the host", `{issuer: "` + actions + `", subjectPattern: "https://*/acme/credit/**"}`, "scheme or host"},
		{"IDN-01 a wildcard in the host", `{issuer: "` + actions + `", subjectPattern: "https://*.github.com/acme/credit/**"}`, "scheme or host"},
		{"IDN-01 a wildcard behind the host", `{issuer: "` + actions + `", subjectPattern: "https://github.com*/acme/credit/x"}`, "scheme or host"},
		{"IDN-01 a wildcard for the scheme", `{issuer: "` + actions + `", subjectPattern: "*://github.com/acme/credit/**"}`, "scheme or host"},
		{"IDN-01 an unanchored beginning", `{issuer: "` + actions + `", subjectPattern: "**/acme/credit/build.yml@refs/heads/main"}`, "begins with one"},
		{"IDN-01 an unanchored beginning without a scheme", `{issuer: "` + actions + `", subjectPattern: "*:acme/credit:ref:refs/heads/main"}`, "begins with one"},
		{"IDN-01 everybody on a public site", `{issuer: "` + actions + `", subjectPattern: "https://github.com/**"}`, "everybody on github.com"},
		{"IDN-01 everybody whose account begins so", `{issuer: "` + actions + `", subjectPattern: "https://github.com/acme*/credit/x"}`, "everybody on github.com"},
		{"IDN-01 an address at any host", `{issuer: "` + sso + `", subjectPattern: "alice@*"}`, "scheme or host"},
		{"IDN-01 an address at any host below", `{issuer: "` + sso + `", subjectPattern: "alice@*.acme.example"}`, "scheme or host"},
		{"IDN-01 a regular expression", `{issuer: "` + actions + `", subjectPattern: "^https://github\\.com/acme/.*$"}`, "no regular expression"},
		{"IDN-01 a pattern as exact subject", `{issuer: "` + actions + `", subject: "https://github.com/acme/credit/*"}`, "subjectPattern"},
		{"IDN-01 three stars", `{issuer: "` + actions + `", subjectPattern: "https://github.com/acme/credit/***"}`, "three *"},
		{"a pattern without a wildcard", `{issuer: "` + actions + `", subjectPattern: "` + trainingFlow + `"}`, "no wildcard"},
		{"IDN-02 an escaped dot", `{issuer: "` + actions + `", subjectPattern: 'https://github\.com/acme/credit/**'}`, "no regular expression"},
		{"IDN-04 Cyrillic letters", `{issuer: "` + sso + `", subject: "аlice@acme.example"}`, `"\u0430lice@acme.example"`},
		{"IDN-04 Cyrillic letters in a pattern", `{issuer: "` + actions + `", subjectPattern: "https://github.com/аcme/credit/**"}`, `\u0430cme`},
		{"IDN-04 a decomposed letter", `{issuer: "` + sso + `", subject: "andre\u0301@acme.example"}`, `"andre\u0301@acme.example"`},
		{"IDN-04 a composed letter", `{issuer: "` + sso + `", subject: "andr\u00e9@acme.example"}`, `"andr\u00e9@acme.example"`},
		{"IDN-04 a zero-width joiner", `{issuer: "` + sso + `", subject: "alice\u200d@acme.example"}`, `"alice\u200d@acme.example"`},
		{"IDN-04 a right-to-left mark", `{issuer: "` + sso + `", subject: "alice@acme\u202eelpmaxe."}`, `\u202e`},
		{"IDN-04 a punycode host", `{issuer: "` + sso + `", subject: "alice@xn--cme-5cd.example"}`, "punycode"},
		{"IDN-04 a punycode issuer", `{issuer: "https://sso.XN--cme-5cd.example", subject: alice@acme.example}`, "punycode"},
		{"IDN-04 a line feed", `{issuer: "` + sso + `", subject: "alice@acme.example\nx"}`, "printable ASCII"},
		{"IDN-04 a space at the end", `{issuer: "` + sso + `", subject: "alice@acme.example "}`, "begins or ends with a space"},
		{"IDN-04 a look-alike claim", `{issuer: "` + actions + `", subject: "` + trainingFlow + `", sourceRef: "refs/heads/mаin"}`, `m\u0430in`},
		{"IDN-06 only an issuer", `{issuer: "` + sso + `"}`, "without subject"},
		{"IDN-06 only a subject", `{subject: alice@acme.example}`, "without issuer"},
		{"IDN-06 only a pattern", `{subjectPattern: "*@acme.example"}`, "without issuer"},
		{"IDN-06 only claims", `{trigger: push}`, "a credential is"},
		{"IDN-06 an empty issuer", `{issuer: "", subject: alice@acme.example}`, "issuer is empty"},
		{"IDN-06 an empty subject", `{issuer: "` + sso + `", subject: ""}`, "subject is empty"},
		{"IDN-06 an empty pattern", `{issuer: "` + sso + `", subjectPattern: ""}`, "subjectPattern is empty"},
		{"IDN-06 an empty claim", `{issuer: "` + sso + `", subject: alice@acme.example, trigger: ""}`, "trigger is empty"},
		{"IDN-06 nothing", `{}`, "a credential is"},
		{"IDN-06 only a window", `{from: 2026-01-01T00:00:00Z}`, "a credential is"},
		{"IDN-09 a misspelt field", `{issuer: "` + sso + `", subjectRegExp: ".*"}`, "has no key"},
		{"IDN-09 a misspelt claim", `{issuer: "` + sso + `", subject: alice@acme.example, sourceRepositry: x}`, `did you mean "sourceRepository"`},
		{"IDN-09 exact and pattern", `{issuer: "` + sso + `", subject: alice@acme.example, subjectPattern: "*@acme.example"}`, "subject and subjectPattern"},
		{"IDN-09 a pattern for the issuer", `{issuer: "https://*.acme.example", subject: alice@acme.example}`, "compared whole"},
		{"IDN-09 a claim with a wildcard", `{issuer: "` + sso + `", subject: alice@acme.example, sourceRef: "refs/heads/*"}`, "compared whole"},
		{"IDN-09 claims of a key", `{key: keys/x.pub, trigger: push}`, "a key has no claims"},
		{"IDN-09 claims of a SPIFFE id", `{spiffe: "spiffe://acme.example/trainer", trigger: push}`, "a spiffe has no claims"},
		{"IDN-21 key and identity", `{key: keys/x.pub, issuer: "` + sso + `", subject: alice@acme.example}`, "key and issuer in one credential"},
		{"IDN-21 key and subject", `{key: keys/x.pub, subject: alice@acme.example}`, "key and a subject"},
		{"IDN-21 key and SPIFFE id", `{key: keys/x.pub, spiffe: "spiffe://acme.example/trainer"}`, "key and spiffe in one credential"},
		{"IDN-21 issuer and SPIFFE id", `{issuer: "` + sso + `", spiffe: "spiffe://acme.example/trainer"}`, "issuer and spiffe in one credential"},
		{"IDN-21 SPIFFE id and pattern", `{spiffe: "spiffe://acme.example/trainer", spiffePattern: "spiffe://acme.example/*"}`, "spiffe and spiffePattern in one credential"},
		{"an issuer that is no URL", `{issuer: sso.acme.example, subject: alice@acme.example}`, "is no URL"},
		{"an issuer with a user", `{issuer: "https://x@sso.acme.example", subject: alice@acme.example}`, "holds a user"},
		{"an issuer with a fragment", `{issuer: "https://sso.acme.example#x", subject: alice@acme.example}`, "holds a user"},
		{"an issuer in capitals", `{issuer: "https://SSO.acme.example", subject: alice@acme.example}`, "lower-case host"},
		{"a trust domain as issuer", `{issuer: "spiffe://acme.example", subject: "spiffe://acme.example/x"}`, "SPIFFE trust domain"},
		{"a SPIFFE id as subject", `{issuer: "` + sso + `", subject: "spiffe://acme.example/x"}`, "is a SPIFFE id"},
		{"a SPIFFE id of any domain", `{spiffePattern: "spiffe://*/trainer"}`, "trust domain"},
		{"a whole trust domain", `{spiffe: "spiffe://acme.example"}`, "no workload"},
		{"a SPIFFE id with dot segments", `{spiffe: "spiffe://acme.example/a/../b"}`, "is no SPIFFE id"},
		{"a SPIFFE id in capitals", `{spiffe: "spiffe://ACME.example/a"}`, "lower case"},
		{"a SPIFFE id with a wildcard", `{spiffe: "spiffe://acme.example/*"}`, "spiffePattern"},
		{"a subject of 10,000 characters", `{issuer: "` + sso + `", subject: "` + strings.Repeat("x", 10000) + `"}`, "at most 2048"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(w, identityPolicy(c.line, aliceLine))
			var list *policy.LoadError
			if !errors.As(err, &list) || attest.RefusalCode(err) != attest.CodePolicyParse {
				t.Fatalf("loaded, or failed with %v", err)
			}
			if !slices.ContainsFunc(list.Problems, func(p policy.Problem) bool { return p.Line == 6 && p.Column > 42 && strings.Contains(p.Why, c.why) }) {
				t.Errorf("got %v, want line 6 and %q", err, c.why)
			}
		})
	}
}

func TestIdentitiesLoad(t *testing.T) {
	w := chaintest.New(t)
	e := newEditor(t)
	for _, line := range []string{
		trainerLine,
		`{issuer: "` + actions + `", subjectPattern: "https://github.com/acme/credit/.github/workflows/*@refs/tags/v*", sourceRepository: "https://github.com/acme/credit", trigger: push, sourceOwnerID: "42"}`,
		`{issuer: "` + sso + `", subjectPattern: "*@ci.acme.example"}`,
		`{issuer: "http://127.0.0.1:8080/realm", subject: "repo:acme/credit:ref:refs/heads/main"}`,
		`{issuer: "https://kubernetes.default.svc", subjectPattern: "system:serviceaccount:training:*"}`,
		`{issuer: "` + sso + `", subject: "Alice B. Example"}`,
		`{spiffe: "spiffe://acme.example/ns/train/sa/gpu-1"}`,
		`{spiffePattern: "spiffe://acme.example/ns/*/sa/**", until: 2027-01-01T00:00:00Z}`,
	} {
		src := identityPolicy(line, aliceLine)
		if _, err := load(w, src); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if err := e.validate(src); err != nil {
			t.Errorf("the schema refuses %s: %v", line, err)
		}
	}
}

// One signature must not be two principals': where that shows in the policy, it does
// not load.
func TestOneSignatureOfTwo(t *testing.T) {
	w := chaintest.New(t)
	pattern := `{issuer: "` + actions + `", subjectPattern: "https://github.com/acme/credit/.github/workflows/*@refs/heads/main"}`
	with := func(line, claims string) string { return strings.TrimSuffix(line, "}") + ", " + claims + "}" }
	for _, c := range []struct {
		name, first, second string
		refused             bool
	}{
		{"IDN-20 the same key", `{key: keys/x.pub}`, `{key: keys/x.pub}`, true},
		{"two keys", `{key: keys/x.pub}`, `{key: keys/y.pub}`, false},
		{"IDN-20 the same identity", trainerLine, trainerLine, true},
		{"IDN-20 the same identity, once with claims", trainerLine, with(trainerLine, "trigger: push"), true},
		{"IDN-20 the same identity with claims that one certificate may have", with(trainerLine, "sourceRef: refs/heads/main"), with(trainerLine, "trigger: push"), true},
		{"the same identity with other claims", with(trainerLine, "trigger: schedule"), with(trainerLine, "trigger: push"), false},
		{"the same subject of another issuer", trainerLine, strings.Replace(trainerLine, actions, sso, 1), false},
		{"IDN-20 an identity and a pattern", trainerLine, pattern, true},
		{"IDN-20 a pattern and an identity", pattern, trainerLine, true},
		{"an identity and a pattern with other claims", with(trainerLine, "trigger: schedule"), with(pattern, "trigger: push"), false},
		{"IDN-20 the same pattern", pattern, pattern, true},
		{"patterns that overlap only at evaluation", pattern, strings.Replace(pattern, "*@", "t*@", 1), false},
		{"IDN-20 the same SPIFFE id", `{spiffe: "spiffe://acme.example/x"}`, `{spiffe: "spiffe://acme.example/x"}`, true},
		{"IDN-20 a SPIFFE id and a pattern", `{spiffe: "spiffe://acme.example/x"}`, `{spiffePattern: "spiffe://acme.example/*"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Of two principals, and twice of one.
			for _, src := range []string{identityPolicy(c.first, c.second), identityPolicy(c.first+", "+c.second, aliceLine)} {
				_, err := load(w, src)
				if c.refused != (err != nil) || err != nil && attest.RefusalCode(err) != attest.CodePolicyParse {
					t.Errorf("got %v, want refused: %v\n%s", err, c.refused, src)
				}
			}
		})
	}
}

// Each case changes one thing of a chain that is allowed unchanged.
func TestIdentities(t *testing.T) {
	with := func(line, claims string) string { return strings.TrimSuffix(line, "}") + ", " + claims + "}" }
	pattern := func(p string) string { return `{issuer: "` + actions + `", subjectPattern: "` + p + `"}` }
	const flows = "https://github.com/acme/credit/.github/workflows/"
	for _, c := range []struct {
		name   string
		change func(k *keyless)
		want   policy.Outcome
		code   attest.Code
	}{
		{"nothing", func(*keyless) {}, policy.Allow, ""},
		{"IDN-01 a whole-string pattern, matched", func(k *keyless) {
			k.policy = identityPolicy(pattern(flows+"*@refs/heads/main"), aliceLine)
		}, policy.Allow, ""},
		{"IDN-01 text before what the pattern means", func(k *keyless) {
			k.policy = identityPolicy(pattern(flows+"*@refs/heads/main"), aliceLine)
			k.trainer.Subject = "https://evil.example/" + trainingFlow
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-01 text after what the pattern means", func(k *keyless) {
			k.policy = identityPolicy(pattern(flows+"*@refs/heads/main"), aliceLine)
			k.trainer.Subject = trainingFlow + "x"
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-01 a slash where * stands", func(k *keyless) {
			k.policy = identityPolicy(pattern(flows+"*@refs/heads/main"), aliceLine)
			k.trainer.Subject = flows + "evil/train.yml@refs/heads/main"
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-02 another letter where a dot stands", func(k *keyless) {
			k.policy = identityPolicy(pattern(flows+"*@refs/heads/main"), aliceLine)
			k.trainer.Subject = strings.Replace(trainingFlow, "github.com", "githubXcom", 1)
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-04 Cyrillic letters where * stands", func(k *keyless) {
			k.policy = identityPolicy(`{issuer: "`+actions+`", subjectPattern: "acme/*/train"}`, aliceLine)
			k.trainer.Subject = "acme/creditа/train"
		}, policy.Deny, attest.CodeChainMissing},
		{"Latin letters where * stands", func(k *keyless) {
			k.policy = identityPolicy(`{issuer: "`+actions+`", subjectPattern: "acme/*/train"}`, aliceLine)
			k.trainer.Subject = "acme/credita/train"
		}, policy.Allow, ""},
		{"an exact subject that is no address", func(k *keyless) {
			k.policy = identityPolicy(trainerLine, `{issuer: "`+sso+`", subject: alice}`)
			k.alice.Subject = "alice"
		}, policy.Allow, ""},
		{"IDN-04 a look-alike of an exact subject", func(k *keyless) {
			k.policy = identityPolicy(trainerLine, `{issuer: "`+sso+`", subject: alice}`)
			k.alice.Subject = "аlice"
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-04 a zero-width joiner in an exact subject", func(k *keyless) {
			k.policy = identityPolicy(trainerLine, `{issuer: "`+sso+`", subject: alice}`)
			k.alice.Subject = "ali\u200dce"
		}, policy.Deny, attest.CodeChainMissing},
		{"IDN-04 a subject in capitals", func(k *keyless) { k.alice.Subject = "Alice@acme.example" }, policy.Deny, attest.CodeChainMissing},
		{"IDN-05 right subject, wrong issuer", func(k *keyless) { k.alice.Issuer = "https://sso.evil.example" }, policy.Deny, attest.CodeChainMissing},
		{"IDN-05 right subject, another issuer of the policy", func(k *keyless) { k.alice.Issuer = actions }, policy.Deny, attest.CodeChainMissing},

		{"IDN-08 the trigger that is asked for", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "trigger: push, sourceRef: refs/heads/main, sourceRepository: https://github.com/acme/credit, runnerEnvironment: self-hosted"), aliceLine)
		}, policy.Allow, ""},
		{"IDN-08 another trigger", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "trigger: push"), aliceLine)
			k.claims.BuildTrigger = "pull_request_target"
		}, policy.Deny, attest.CodeIdentity},
		{"IDN-08 no trigger", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "trigger: push"), aliceLine)
			k.claims.BuildTrigger = ""
		}, policy.Deny, attest.CodeIdentity},
		{"IDN-08 a tag and not the branch", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "sourceRef: refs/heads/main"), aliceLine)
			k.claims.SourceRef = "refs/tags/main"
		}, policy.Deny, attest.CodeIdentity},
		{"IDN-08 a fork that calls the reusable workflow", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "sourceRepository: https://github.com/acme/credit"), aliceLine)
			k.claims.SourceRepository = "https://github.com/mallory/credit"
		}, policy.Deny, attest.CodeIdentity},
		{"IDN-08 another runner", func(k *keyless) {
			k.policy = identityPolicy(with(trainerLine, "runnerEnvironment: github-hosted"), aliceLine)
		}, policy.Deny, attest.CodeIdentity},
		{"IDN-08 a rule over what the certificate claims, which holds", func(k *keyless) {
			k.rule(`signer.trigger == "push" && signer.sourceRepository == "https://github.com/acme/credit" && signer.issuer == "` + actions + `"`)
		}, policy.Allow, ""},
		{"IDN-08 a rule against a fork", func(k *keyless) {
			k.rule(`signer.sourceRepository == "https://github.com/acme/credit"`)
			k.claims.SourceRepository = "https://github.com/mallory/credit"
		}, policy.Deny, attest.CodeRule},
		{"IDN-08 a rule against pull requests", func(k *keyless) {
			k.rule(`signer.trigger in ["push", "workflow_dispatch"]`)
			k.claims.BuildTrigger = "pull_request"
		}, policy.Deny, attest.CodeRule},
		{"IDN-08 a rule for a branch, and a tag", func(k *keyless) {
			k.rule(`signer.sourceRef == "refs/heads/main"`)
			k.claims.SourceRef = "refs/tags/main"
		}, policy.Deny, attest.CodeRule},
		{"IDN-08 a rule over what the certificate does not claim", func(k *keyless) {
			k.rule(`signer.trigger != "pull_request"`)
			k.claims.BuildTrigger = ""
		}, policy.Deny, attest.CodePolicyEval},
		{"IDN-08 a rule over a key, of an identity", func(k *keyless) { k.rule(`signer.key != "sha256:0"`) }, policy.Deny, attest.CodePolicyEval},
		{"IDN-22 a builder that names itself", func(k *keyless) {
			// The approver writes that the trusted workflow built it.
			k.trainer = aliceID
		}, policy.Deny, attest.CodeIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			c.change(k)
			want(t, k.verdict(), c.want, c.code)
		})
	}
}

// rule adds a rule about training.
func (k *keyless) rule(cel string) {
	k.policy = strings.Replace(k.policy, "    select: any\n    inputs", "    select: any\n    rules: [{id: T-1, cel: '"+cel+"', message: \"not by the right build\"}]\n    inputs", 1)
}

// A misspelt claim in an expression does not load.
func TestSignerIsTyped(t *testing.T) {
	for cel, loads := range map[string]bool{
		`signer.sourceRef == "refs/heads/main"`: true, `has(signer.key)`: true,
		`signer.sourceRaf == "refs/heads/main"`: false, `signer.sourceRef > 3`: false,
	} {
		k := newKeyless(t)
		k.rule(cel)
		if _, err := load(k.world, k.policy); (err == nil) != loads {
			t.Errorf("%s: %v", cel, err)
		}
	}
}

// The reason names what the certificate says and what was asked for, escaped.
func TestOtherClaimsAreTold(t *testing.T) {
	k := newKeyless(t)
	k.policy = identityPolicy(strings.TrimSuffix(trainerLine, "}")+", sourceRef: refs/heads/main}", aliceLine)
	k.claims.SourceRef = "refs/heads/mаin"
	v := k.verdict()
	want(t, v, policy.Deny, attest.CodeIdentity)
	for _, r := range v.Requirements {
		for _, why := range r.Reasons {
			if why.Code == attest.CodeIdentity && strings.Contains(why.Why, `the sourceRef "refs/heads/m\u0430in"`) && strings.Contains(why.Why, `asks for "refs/heads/main"`) {
				return
			}
		}
	}
	t.Error(explain(v))
}

// What two principals' patterns mean counts for neither, and stands against both.
func TestIdentityOfTwoPrincipals(t *testing.T) {
	const flows = "https://github.com/acme/credit/.github/workflows/"
	two := func(alice string) string {
		return identityPolicy(`{issuer: "`+actions+`", subjectPattern: "`+flows+`*@refs/heads/main"}`, alice+`, {issuer: "`+actions+`", subjectPattern: "`+flows+`train.*@refs/heads/main"}`)
	}
	t.Run("IDN-20 counts for neither", func(t *testing.T) {
		k := newKeyless(t)
		k.policy = two(aliceLine)
		v := k.verdict()
		want(t, v, policy.Deny, attest.CodeQuorum)
		if len(v.Evidence) != 1 {
			t.Errorf("%d pieces of evidence, want the approval alone", len(v.Evidence))
		}
	})
	t.Run("what only one of them means counts", func(t *testing.T) {
		k := newKeyless(t)
		k.policy = two(aliceLine)
		k.trainer.Subject = flows + "retrain.yml@refs/heads/main"
		want(t, k.verdict(), policy.Allow, "")
	})
	t.Run("IDN-20 excludes both by notBy", func(t *testing.T) {
		k := newKeyless(t)
		k.policy = two(aliceLine)
		k.train() // by alice, perhaps
		k.trainer.Subject = flows + "retrain.yml@refs/heads/main"
		want(t, k.verdict(), policy.Deny, attest.CodeQuorum)
	})
	t.Run("IDN-20 vetoes for either", func(t *testing.T) {
		k := newKeyless(t)
		k.policy = strings.Replace(two(aliceLine), "    rules: [{id: APPR", "    veto: 'predicate.decision == \"rejected\"'\n    rules: [{id: APPR", 1)
		k.trainer.Subject = flows + "retrain.yml@refs/heads/main"
		k.train()
		k.approve()
		want(t, k.judge(), policy.Allow, "")
		k.world.Identity("both", trainerID, onMain, started)
		no := k.approval(started)
		no["decision"] = "rejected"
		k.world.Sign("both", k.model, approval, no)
		want(t, k.judge(), policy.Deny, attest.CodeVeto)
	})
}

// A window belongs to the credential that matched.
func TestWindowsOfIdentities(t *testing.T) {
	until := func(t time.Time) string { return strings.TrimSuffix(trainerLine, "}") + ", until: " + stamped(t) + "}" }
	from := func(t time.Time) string { return strings.TrimSuffix(trainerLine, "}") + ", from: " + stamped(t) + "}" }
	for _, c := range []struct {
		name string
		line string
		want policy.Outcome
	}{
		// The certificate's signature is seen ten seconds after what it claims.
		{"IDN-18 exactly at the start", from(started), policy.Allow},
		{"IDN-18 one second before the start", from(started.Add(time.Second)), policy.Deny},
		{"IDN-18 exactly at the end", until(started.Add(10 * time.Second)), policy.Allow},
		{"IDN-18 one second after the end", until(started.Add(9 * time.Second)), policy.Deny},
		{"another line's window", until(started.Add(-time.Hour)) + `, {issuer: "` + actions + `", subject: "` + strings.Replace(trainingFlow, "train.yml", "retrain.yml", 1) + `"}`, policy.Deny},
		{"a window beside the line that matches", trainerLine + `, {issuer: "` + actions + `", subject: "` + strings.Replace(trainingFlow, "train.yml", "retrain.yml", 1) + `", until: ` + stamped(started.Add(-time.Hour)) + `}`, policy.Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = identityPolicy(c.line, aliceLine)
			code := attest.CodeKeyWindow
			if c.want == policy.Allow {
				code = ""
			}
			want(t, k.verdict(), c.want, code)
		})
	}
}

func stamped(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A policy that names identities denies where nobody says whose certificates are
// whose; one that pins a trust file denies under another; and what is out of date
// leaves the answer open.
func TestTrustOfVerdicts(t *testing.T) {
	pin := func(k *keyless, of *trust.Trust) {
		k.policy = strings.Replace(k.policy, "artifact: train\n", "artifact: train\ntrust: "+of.Digest().String()+"\n", 1)
	}
	for _, c := range []struct {
		name   string
		change func(k *keyless)
		want   policy.Outcome
		code   attest.Code
	}{
		{"no trust", func(k *keyless) { k.trust = nil }, policy.Deny, attest.CodeTrustRoot},
		{"the pinned trust", func(k *keyless) { pin(k, k.trust) }, policy.Allow, ""},
		{"IDN-14 another trust than the pinned one", func(k *keyless) {
			pin(k, k.world.TrustOf("{name: chaintest, version: 2, expires: 2099-01-01T00:00:00Z}"))
		}, policy.Deny, attest.CodeTrustRoot},
		{"IDN-14 a trust that is over", func(k *keyless) {
			k.trust = k.world.TrustOf("{name: chaintest, version: 1, expires: " + stamped(k.at.Add(-time.Second)) + "}")
		}, policy.Undecided, attest.CodeTrustRootStale},
		{"a trust that is not over", func(k *keyless) {
			k.trust = k.world.TrustOf("{name: chaintest, version: 1, expires: " + stamped(k.at.Add(time.Second)) + "}")
		}, policy.Allow, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			c.change(k)
			v := k.verdict()
			want(t, v, c.want, c.code)
			if k.trust == nil {
				if v.Trust != nil {
					t.Errorf("the verdict names a trust: %+v", v.Trust)
				}
				return
			}
			if v.Trust == nil || v.Trust.Digest != k.trust.Digest() || v.Trust.Material != k.trust.Material() || v.Trust.Name != "chaintest" || v.Trust.Version != 1 {
				t.Errorf("the verdict names the trust %+v", v.Trust)
			}
		})
	}
}

// X.509-SVIDs count as their SPIFFE id says.
func TestWorkloads(t *testing.T) {
	for _, c := range []struct {
		name, line, path string
		want             policy.Outcome
	}{
		{"the id", `{spiffe: "spiffe://acme.example/train/gpu"}`, "train/gpu", policy.Allow},
		{"another id", `{spiffe: "spiffe://acme.example/train/gpu"}`, "train/gpu2", policy.Deny},
		{"a pattern", `{spiffePattern: "spiffe://acme.example/train/*"}`, "train/gpu", policy.Allow},
		{"IDN-01 beyond a pattern", `{spiffePattern: "spiffe://acme.example/train/*"}`, "train/gpu/evil", policy.Deny},
		{"another trust domain", `{spiffe: "spiffe://prod.acme.example/train/gpu"}`, "train/gpu", policy.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyless(t)
			k.policy = identityPolicy(c.line, aliceLine)
			k.world.Workload("svid", c.path, started)
			k.record = k.world.Sign("svid", k.model, provenance, trainedAt(started, map[string]attest.Digest{"model": k.model}))
			k.approve()
			want(t, k.judge(), c.want, "")
		})
	}
}

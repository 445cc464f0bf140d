package verify_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var (
	ciTrainer = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/org/repo/train@refs/heads/main"}
	ciOther   = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/org/other/train@refs/heads/main"}
	pushed    = trust.Claims{SourceRepository: "https://git.example/org/repo", SourceRef: "refs/heads/main", BuildTrigger: "push"}
	pulled    = trust.Claims{SourceRepository: "https://git.example/org/repo", SourceRef: "refs/pull/7", BuildTrigger: "pull_request"}
	morning   = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
)

// A sigstoreWorld is a Sigstore instance, and the trust in it.
type sigstoreWorld struct {
	t testing.TB
	*authority.Instance
	trust *trust.Trust
}

func newSigstoreWorld(t testing.TB, name string) sigstoreWorld {
	t.Helper()
	i, err := authority.New(name, morning.AddDate(-1, 0, 0))
	must(t, err)
	root, err := i.TrustedRoot()
	must(t, err)
	tr, err := trust.OfTrustedRoot(root)
	must(t, err)
	return sigstoreWorld{t, i, tr}
}

func (k sigstoreWorld) sign(payload []byte, who trust.Identity, claims trust.Claims, at time.Time) []byte {
	k.t.Helper()
	b, err := k.Sign(context.Background(), payload, who, claims, at)
	must(k.t, err)
	return b
}

func exactly(who trust.Identity) trust.Rule {
	return trust.Rule{Issuer: who.Issuer, Subject: who.Subject}
}

func TestOpenIdentities(t *testing.T) {
	k, foreign := newSigstoreWorld(t, "acme.example"), newSigstoreWorld(t, "foreign.example")
	namesake := newSigstoreWorld(t, "acme.example")
	key, err := authority.NewKey(authority.P256, "impostor")
	must(t, err)
	namesake.CAs[0].Issuer, err = authority.NewCert(authority.Authority(k.CAs[0].Issuer.Subject.CommonName, morning.AddDate(-1, 0, 0), morning.AddDate(1, 0, 0)), key, k.CAs[0].Issuer)
	must(t, err)
	good := k.sign(statement(t), ciTrainer, pushed, morning)
	parts, err := authority.Open(good)
	must(t, err)
	parts.Payload[len(parts.Payload)-3] ^= 1
	flipped, err := parts.Bytes()
	must(t, err)
	onlyPushed := exactly(ciTrainer)
	onlyPushed.Claims = trust.Claims{BuildTrigger: "push"}
	pattern := trust.Rule{Issuer: ciTrainer.Issuer, Subject: "https://ci.example/org/*/train@refs/heads/*", Pattern: true}
	for _, c := range []struct {
		name    string
		signers verify.Signers
		bundle  []byte
		code    attest.Code
	}{
		{"exactly", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}, good, ""},
		{"by pattern", verify.Signers{Identities: []trust.Rule{pattern}, Trust: k.trust}, good, ""},
		{"by claims", verify.Signers{Identities: []trust.Rule{onlyPushed}, Trust: k.trust}, good, ""},
		{"anyone", verify.Signers{Anyone: true, Trust: k.trust}, good, ""},
		{"other claims", verify.Signers{Identities: []trust.Rule{onlyPushed}, Trust: k.trust}, k.sign(statement(t), ciTrainer, pulled, morning), attest.CodeKeyUnknown},
		{"somebody else", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}, k.sign(statement(t), ciOther, pushed, morning), attest.CodeKeyUnknown},
		{"the same subject of another issuer", verify.Signers{Identities: []trust.Rule{exactly(trust.Identity{Issuer: "https://other.example", Subject: ciTrainer.Subject})}, Trust: k.trust}, good, attest.CodeKeyUnknown},
		{"no trust", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}}, good, attest.CodeKeyUnknown},
		{"nobody", verify.Signers{Trust: k.trust}, good, attest.CodeKeyUnknown},
		{"the zero rule", verify.Signers{Identities: []trust.Rule{{}}, Trust: k.trust}, good, attest.CodeKeyUnknown},
		{"another instance", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}, foreign.sign(statement(t), ciTrainer, pushed, morning), attest.CodeKeyUnknown},
		{"anyone of another instance", verify.Signers{Anyone: true, Trust: k.trust}, foreign.sign(statement(t), ciTrainer, pushed, morning), attest.CodeKeyUnknown},
		{"an authority of the same name", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}, namesake.sign(statement(t), ciTrainer, pushed, morning), attest.CodeCertChain},
		{"a changed payload", verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}, flipped, attest.CodeSigInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := verify.Open(c.bundle, c.signers)
			if attest.RefusalCode(err) != c.code || e.IsZero() != (c.code != "") {
				t.Fatalf("got %v, %v, want %q", e.ID(), err, c.code)
			}
			if c.code != "" {
				return
			}
			if e.ID().Credential != verify.IdentityCredential(ciTrainer) || !e.Seen().Equal(morning.Add(10*time.Second)) || !slices.Equal(e.Claims(), []trust.Claims{pushed}) {
				t.Errorf("got %v, seen %v, claiming %v", e.ID(), e.Seen(), e.Claims())
			}
		})
	}
}

// What keys sign gets a time from timestamps, if somebody trusted made them.
func TestOpenTimedKeys(t *testing.T) {
	k := newSigstoreWorld(t, "acme.example")
	s := signer(t, "p256")
	b, err := attest.Sign(context.Background(), statement(t), s, k.TSAs[0].At(morning))
	must(t, err)
	for _, c := range []struct {
		trust *trust.Trust
		seen  time.Time
	}{{k.trust, morning}, {nil, time.Time{}}, {newSigstoreWorld(t, "foreign.example").trust, time.Time{}}} {
		e, err := verify.Open(b, verify.Signers{Keys: []attest.PublicKey{s.Public()}, Trust: c.trust})
		if err != nil || !e.Seen().Equal(c.seen) || e.Claims() != nil {
			t.Errorf("got %v, seen %v, want %v (%v)", e.ID(), e.Seen(), c.seen, err)
		}
	}
}

// A walk goes by identities as by keys. One statement that one identity signed in
// several runs is one piece of evidence, with the claims of all of them and the
// earliest time; strangers' certificates count as strangers, and no more.
func TestWalkIdentities(t *testing.T) {
	k, foreign := newSigstoreWorld(t, "acme.example"), newSigstoreWorld(t, "foreign.example")
	w := chaintest.New(t)
	model, data := artifact("model"), artifact("data")
	payload, err := attest.NewStatement(attest.Subject{Name: "model", Digest: model}, predicate.TypeProvenance, build(trainType, data))
	must(t, err)
	about, err := attest.NewStatement(attest.Subject{Name: "data", Digest: data}, noteType, map[string]any{"text": "fine"})
	must(t, err)
	w.Attach(model, k.sign(payload, ciTrainer, pushed, morning.Add(time.Hour)))
	w.Attach(model, k.sign(payload, ciTrainer, pulled, morning))
	w.Attach(model, k.sign(payload, ciTrainer, pushed, morning.Add(2*time.Hour)))
	w.Attach(model, k.sign(payload, ciOther, pushed, morning))         // not named
	w.Attach(model, foreign.sign(payload, ciTrainer, pushed, morning)) // by nobody trusted
	w.Attach(data, k.sign(about, ciTrainer, pushed, morning))
	rule := exactly(ciTrainer)
	for _, c := range []struct {
		name   string
		follow trust.Rule
		leads  bool
	}{
		{"followed", rule, true},
		{"followed by one of its claims", trust.Rule{Issuer: rule.Issuer, Subject: rule.Subject, Claims: trust.Claims{BuildTrigger: "push"}}, true},
		{"not followed", exactly(ciOther), false},
		{"not followed by what no certificate claims", trust.Rule{Issuer: rule.Issuer, Subject: rule.Subject, Claims: trust.Claims{BuildTrigger: "schedule"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := verify.Scope{Signers: verify.Signers{Identities: []trust.Rule{rule}, Trust: k.trust}, Follow: []verify.Follow{{PredicateType: predicate.TypeProvenance, ByIdentity: []trust.Rule{c.follow}}}}
			chain := walk(t, model, s, w.Source())
			if chain.Trust() != k.trust || chain.From(model).Trust() != k.trust {
				t.Error("the chain does not say what was trusted")
			}
			found := chain.Artifact(model).Evidence
			if len(found) != 1 || chain.Strangers() != 2 || len(chain.Findings()) != 0 || len(chain.Gaps()) != 0 {
				t.Fatalf("%d pieces of evidence, %d strangers, findings %v, gaps %s", len(found), chain.Strangers(), chain.Findings(), gaps(chain))
			}
			if e := found[0]; !e.Seen().Equal(morning.Add(10*time.Second)) || !slices.Equal(e.Claims(), []trust.Claims{pulled, pushed}) && !slices.Equal(e.Claims(), []trust.Claims{pushed, pulled}) {
				t.Errorf("seen %v, claiming %v", e.Seen(), e.Claims())
			}
			if got := chain.Artifact(data) != nil; got != c.leads {
				t.Errorf("the walk led on: %v, want %v", got, c.leads)
			}
		})
	}
}

// The very same bytes in several runs are one piece of evidence, in which each run keeps
// its own time and its own certificate's: of two with the same claims the first.
func TestSigningsKeepTheirTimes(t *testing.T) {
	k := newSigstoreWorld(t, "acme.example")
	payload := statement(t)
	runs := []struct {
		claims trust.Claims
		at     time.Time
	}{{pushed, morning.Add(2 * time.Hour)}, {pulled, morning}, {pushed, morning.Add(time.Hour)}}
	for first := range runs { // in every order of the repository's
		w := chaintest.New(t)
		model := artifact("model")
		for n := range runs {
			r := runs[(first+n)%len(runs)]
			w.Attach(model, k.sign(payload, ciTrainer, r.claims, r.at))
		}
		chain := walk(t, model, verify.Scope{Signers: verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}}, w.Source())
		found := chain.Artifact(model).Evidence
		if len(found) != 1 {
			t.Fatalf("%d pieces of evidence", len(found))
		}
		want := map[trust.Claims]time.Time{pulled: morning, pushed: morning.Add(time.Hour)}
		got := found[0].Signings()
		if len(got) != 2 || !found[0].Seen().Equal(morning.Add(10*time.Second)) {
			t.Fatalf("seen %v, signed %+v", found[0].Seen(), got)
		}
		for _, s := range got {
			at := want[s.Claims]
			if !s.Seen.Equal(at.Add(10*time.Second)) || !s.NotBefore.IsZero() && (!s.NotBefore.Equal(at) || !s.NotAfter.Equal(at.Add(10*time.Minute))) {
				t.Errorf("%+v, want what was signed at %v", s, at)
			}
		}
	}
}

// A certificate that names somebody trusted and does not hold is a finding, with what
// did not.
func TestForgedIdentitiesAreFindings(t *testing.T) {
	k := newSigstoreWorld(t, "acme.example")
	w := chaintest.New(t)
	model := artifact("model")
	parts, err := authority.Open(k.sign(statement(t), ciTrainer, pushed, morning))
	must(t, err)
	parts.Timestamps = nil
	untimed, err := parts.Bytes()
	must(t, err)
	w.Attach(model, untimed)
	chain := walk(t, model, verify.Scope{Signers: verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: k.trust}}, w.Source())
	if f := chain.Findings(); len(f) != 1 || attest.RefusalCode(f[0].Err) != attest.CodeTimeMissing || len(chain.Artifact(model).Evidence) != 0 {
		t.Errorf("findings %v", f)
	}
}

// A note spares the certificate, the logs and the timestamps, under the very trust that
// it was made under, and keeps the time.
func TestNotesOfIdentities(t *testing.T) {
	k, other := newSigstoreWorld(t, "acme.example"), newSigstoreWorld(t, "other.example")
	m := memory(t, 1)
	parts, err := authority.Open(k.sign(statement(t), ciTrainer, pushed, morning))
	must(t, err)
	parts.Timestamps = nil // nobody says when: without a note nobody believes it
	bundle, err := parts.Bytes()
	must(t, err)
	who, seen := verify.IdentityCredential(ciTrainer), morning.Add(time.Minute)
	note := verify.NoteUnderForTest(m, bundle, k.trust, who, seen)
	later := slices.Clone(note)
	later[7] ^= 1
	signers := func(tr *trust.Trust) verify.Signers {
		return verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: tr}
	}
	claimed := signers(k.trust)
	claimed.Identities[0].Claims = pulled
	for _, c := range []struct {
		name    string
		signers verify.Signers
		note    []byte
		code    attest.Code
	}{
		{"noted", signers(k.trust), note, ""},
		{"not noted", signers(k.trust), nil, attest.CodeTimeMissing},
		{"noted with another time", signers(k.trust), later, attest.CodeTimeMissing},
		{"noted under no trust", signers(k.trust), verify.NoteUnderForTest(m, bundle, nil, who, seen), attest.CodeTimeMissing},
		{"noted under another trust", signers(other.trust), note, attest.CodeKeyUnknown},
		{"noted for another identity", signers(k.trust), verify.NoteUnderForTest(m, bundle, k.trust, verify.IdentityCredential(ciOther), seen), attest.CodeTimeMissing},
		{"noted, with claims that are not trusted", claimed, note, attest.CodeKeyUnknown},
	} {
		o, err := verify.NewOpener(c.signers)
		must(t, err)
		e, again, err := o.Remembering(m).OpenAttached(attest.Attached{Bundle: bundle, Note: c.note})
		if attest.RefusalCode(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		if c.code == "" && (!e.Seen().Equal(seen) || !slices.Equal(e.Claims(), []trust.Claims{pushed}) || !slices.Equal(again, note)) {
			t.Errorf("%s: seen %v, claiming %v, noted %x", c.name, e.Seen(), e.Claims(), again)
		}
	}
}

// keylessChain is a chain of n attestations by an identity, perArtifact of each
// artifact, and its root.
func keylessChain(tb testing.TB, k sigstoreWorld, n int) (*chaintest.World, attest.Digest) {
	tb.Helper()
	w := chaintest.New(tb)
	at := func(i int) attest.Digest { return artifact(fmt.Sprintf("keyless %d", i)) }
	for i := range n {
		subject := attest.Subject{Name: "artifact", Digest: at(i / perArtifact)}
		kind, about := noteType, map[string]any{"number": i, "measured": padding(66)}
		if i%perArtifact == 0 {
			kind, about = predicate.TypeProvenance, build(trainType, at(i/perArtifact+1))
		}
		payload, err := attest.NewStatement(subject, kind, about)
		must(tb, err)
		w.Attach(subject.Digest, k.sign(payload, ciTrainer, pushed, morning.Add(time.Duration(i)*time.Minute)))
	}
	return w, at(0)
}

// TestKeylessWalk holds a walk over 200 keyless attestations, each with a certificate,
// a log entry and a timestamp of its own, to half a second.
func TestKeylessWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	k := newSigstoreWorld(t, "acme.example")
	w, root := keylessChain(t, k, 200)
	var took []time.Duration
	for range 5 {
		fresh := newSigstoreWorld(t, "acme.example") // who has verified nothing yet
		s := verify.Scope{Signers: verify.Signers{Identities: []trust.Rule{exactly(ciTrainer)}, Trust: fresh.trust}, Follow: []verify.Follow{{PredicateType: predicate.TypeProvenance, ByAll: true}}}
		var chain verify.Chain
		took = append(took, timed(func() { chain = walk(t, root, s, w.Source()) }))
		n := 0
		for _, d := range chain.Artifacts() {
			n += len(chain.Artifact(d).Evidence)
		}
		if n != 200 || len(chain.Gaps()) != 0 || len(chain.Findings()) != 0 {
			t.Fatalf("the chain has %d of 200, gaps %s, findings %v", n, gaps(chain), chain.Findings())
		}
	}
	t.Logf("200 keyless attestations: %v", took)
	if least := slices.Min(took); least > 500*time.Millisecond {
		t.Errorf("a walk over 200 keyless attestations takes %v, at most 0.5 s are allowed", least)
	}
}

// Who names an identity falsely is charged to the strangers: within their budget it
// changes nothing, and beyond it what would be looked at next is a gap. Which that is
// does not depend on the order of the repository's answers.
func TestFalseNamesAreCharged(t *testing.T) {
	k := newSigstoreWorld(t, "acme.example")
	model, data := artifact("model"), artifact("data")
	payload, err := attest.NewStatement(attest.Subject{Name: "model", Digest: model}, predicate.TypeProvenance, build(trainType, data))
	must(t, err)
	honest := k.sign(payload, ciTrainer, pushed, morning)
	parts, err := authority.Open(honest)
	must(t, err)
	var false3 [][]byte
	for n := range 3 {
		spoilt := *parts
		spoilt.Signature = slices.Clone(parts.Signature)
		spoilt.Signature[len(spoilt.Signature)-1] ^= byte(n + 1)
		b, err := spoilt.Bytes()
		must(t, err)
		false3 = append(false3, b)
	}
	rule := exactly(ciTrainer)
	for _, c := range []struct {
		name              string
		false3, strangers int
		reaches           bool
	}{
		{"none", 0, 1, true},
		{"as many as can be paid for", 2, 2 * verify.FalseNameForTest, true},
		{"one attempt too many", 2, 2*verify.FalseNameForTest - 1, false},
		{"one bundle too many", 3, 2 * verify.FalseNameForTest, false},
	} {
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reversed %v", c.name, reverse), func(t *testing.T) {
				all := append([][]byte{honest}, false3[:c.false3]...)
				if reverse {
					slices.Reverse(all)
				}
				w := chaintest.New(t)
				for _, b := range all {
					w.Attach(model, b)
				}
				chain := walk(t, model, verify.Scope{
					Signers: verify.Signers{Identities: []trust.Rule{rule}, Trust: k.trust},
					Follow:  []verify.Follow{{PredicateType: predicate.TypeProvenance, ByIdentity: []trust.Rule{rule}}},
					Limits:  verify.Limits{Strangers: c.strangers},
				}, w.Source())
				if len(chain.Artifact(model).Evidence) != 1 || chain.Artifact(model).Gapped() || len(chain.Findings()) != c.false3 {
					t.Errorf("honest evidence suffers: findings %v, gaps %s", chain.Findings(), gaps(chain))
				}
				if got := !chain.Artifact(data).Gapped(); got != c.reaches {
					t.Errorf("gaps %s", gaps(chain))
				}
			})
		}
	}
}

// With anyone meant, those whom nobody could vouch for are still strangers: "it signed
// nothing" would only mean that nobody looked.
func TestAnyoneIsWhoCanBeVouchedFor(t *testing.T) {
	k := newSigstoreWorld(t, "acme.example")
	anyone := verify.Signers{Anyone: true, Trust: k.trust}
	if !anyone.May(verify.IdentityCredential(ciTrainer)) {
		t.Error("an instance vouches for its identities")
	}
	workload := verify.IdentityCredential(trust.Identity{Issuer: "spiffe://acme.example", Subject: "spiffe://acme.example/trainer"})
	if anyone.May(workload) {
		t.Error("no trust domain is listed, and a SPIFFE id counts")
	}
	if (verify.Signers{Anyone: true}).May(verify.IdentityCredential(ciTrainer)) {
		t.Error("nobody is trusted, and an identity counts")
	}
}

package single_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/single"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The public suite once more, with each trusted root as whom the trust believes: what
// must fail fails, and what must not verifies.
func TestConformanceUnderTrust(t *testing.T) {
	runs := 0
	for _, v := range vectors(t) {
		for mode, byDigest := range map[string]bool{"path": false, "digest": true} {
			t.Run(v.name+"/"+mode, func(t *testing.T) {
				runs++
				believed, err := trust.OfTrustedRoot(v.question.TrustedRoot)
				if err != nil {
					if attest.RefusalCode(err) != attest.CodeTrustRoot || !v.fails {
						t.Fatal(err)
					}
					return
				}
				v := v
				v.question.TrustedRoot, v.question.Trust = nil, believed
				r, err := v.check(byDigest)
				if (err != nil) != v.fails {
					t.Fatalf("%v, %q", err, attest.RefusalCode(err))
				}
				if err != nil {
					t.Log(err)
					return
				}
				if r.Trust == nil || r.Trust.Digest != believed.Digest() {
					t.Errorf("trust %+v", r.Trust)
				}
				if r.Certificate != nil && (r.Seen.IsZero() || r.Seen.Before(r.Certificate.NotBefore) || r.Seen.After(r.Certificate.NotAfter)) {
					t.Errorf("seen %s", r.Seen)
				}
				// Whoever it was may have signed, if nobody is named.
				if v.key == nil {
					v.question.Identity = single.Identity{}
					if _, err := v.check(byDigest); err != nil {
						t.Errorf("by anybody: %v", err)
					}
				}
			})
		}
	}
	if runs != 140 {
		t.Errorf("%d runs, want 140", runs)
	}
}

var from = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A believer is a trust file with what it names, in memory.
func believer(t testing.TB, file string, files map[string][]byte) *trust.Trust {
	t.Helper()
	b, err := trust.Load([]byte("apiVersion: pedigree-ml.github.io/v1\nkind: Trust\nmetadata: {name: acme, version: 3, expires: 2027-05-01T00:00:00Z}\n"+file), func(path string) ([]byte, error) {
		if b, ok := files[path]; ok {
			return b, nil
		}
		return nil, fs.ErrNotExist
	}, nil)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made returns what was made, which must have worked.
func made[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

var model = attest.SHA256([]byte("model"))

func statement(t testing.TB) []byte {
	t.Helper()
	return made(attest.NewStatement(attest.Subject{Name: "m", Digest: model}, "https://example.com/note/v1", map[string]any{"text": "fine"}))(t)
}

// ask asks who signed a bundle about the model.
func ask(q single.Question, bundle []byte) (*single.Report, error) {
	q.Bundle, q.Artifact.Digest = bundle, model
	return single.Check(q)
}

func wantRefusal(t testing.TB, what string, q single.Question, bundle []byte, want attest.Code) {
	t.Helper()
	r, err := ask(q, bundle)
	if got := attest.RefusalCode(err); got != want || r != nil {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

// An identity is asked for exactly, or is whoever the trust vouches for; and the report
// says by which instance, under how many, and when it was seen.
func TestIdentityUnderTrust(t *testing.T) {
	ci := made(authority.New("acme.example", from))(t)
	other := made(authority.New("other.example", from))(t)
	second := made(authority.NewLog("rekor2.acme.example", from))(t)
	thorough := *ci
	thorough.Logs = append(slices.Clone(ci.Logs), second)
	files := map[string][]byte{
		"acme.json": made(ci.TrustedRoot())(t), "other.json": made(other.TrustedRoot())(t), "two.json": made(thorough.TrustedRoot())(t),
	}
	believed := believer(t, "sigstore: [{name: other, trustedRoot: other.json}, {name: acme, trustedRoot: acme.json}]\n", files)
	who := trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/credit"}
	claims := trust.Claims{SourceRepository: "https://ci.example/acme", BuildTrigger: "push", RunnerEnvironment: "self-hosted"}
	at := from.AddDate(0, 2, 0)
	bundle := made(ci.Sign(t.Context(), statement(t), who, claims, at))(t)

	r := made(ask(single.Question{Trust: believed}, bundle))(t)
	want := single.Trusted{Name: "acme", Version: 3, Digest: believed.Digest(), Instance: "acme", Logs: 1, Timestamps: 1, CertificateLogs: 1}
	if *r.Trust != want || !r.Seen.Equal(at.Add(10*time.Second)) {
		t.Errorf("%+v, seen %s", r.Trust, r.Seen)
	}
	if c := r.Certificate; c.Identity != who.Subject || c.Issuer != who.Issuer || c.Claims == nil || *c.Claims != claims || len(c.Transparency) != 1 || c.Root == "" {
		t.Errorf("certificate %+v", c)
	}
	if len(r.Log) != 1 || !r.Log[0].Proof || len(r.Timestamps) != 1 || !r.Statement.Subjects[0].Matches {
		t.Errorf("log %+v, timestamps %+v, statement %+v", r.Log, r.Timestamps, r.Statement)
	}
	exact := single.Identity{Subject: who.Subject, Issuer: who.Issuer}
	made(ask(single.Question{Trust: believed, Identity: exact}, bundle))(t)

	key := made(authority.NewKey(authority.P256, "alice"))(t)
	public := made(attest.NewPublicKey(key.Public()))(t)
	for what, tt := range map[string]struct {
		q    single.Question
		want attest.Code
	}{
		"IDN-05 right subject, wrong issuer": {single.Question{Trust: believed, Identity: single.Identity{Subject: who.Subject, Issuer: "https://ci.example/"}}, attest.CodeIdentity},
		"IDN-01 a part of the subject":       {single.Question{Trust: believed, Identity: single.Identity{Subject: "https://ci.example/acme", Issuer: who.Issuer}}, attest.CodeIdentity},
		"IDN-06 no issuer":                   {single.Question{Trust: believed, Identity: single.Identity{Subject: who.Subject}}, attest.CodeUsage},
		"IDN-21 a key and an identity":       {single.Question{Trust: believed, Identity: exact, Key: public}, attest.CodeUsage},
		"a key, and it is a certificate":     {single.Question{Trust: believed, Key: public}, attest.CodeKeyUnknown},
		"a trust and a trusted root":         {single.Question{Trust: believed, TrustedRoot: files["acme.json"]}, attest.CodeUsage},
		"another instance":                   {single.Question{Trust: believer(t, "sigstore: [{name: other, trustedRoot: other.json}]\n", files)}, attest.CodeKeyUnknown},
		"fewer logs than asked for":          {single.Question{Trust: believer(t, "sigstore: [{name: acme, trustedRoot: two.json, logs: 2}]\n", files)}, attest.CodeLogProof},
		"a bare root of another":             {single.Question{Trust: made(trust.OfTrustedRoot(files["other.json"]))(t)}, attest.CodeKeyUnknown},
	} {
		wantRefusal(t, what, tt.q, bundle, tt.want)
	}
	// The positive twin of "fewer logs".
	r = made(ask(single.Question{Trust: believer(t, "sigstore: [{name: acme, trustedRoot: two.json, logs: 2}]\n", files)}, made(thorough.Sign(t.Context(), statement(t), who, claims, at))(t)))(t)
	if len(r.Log) != 2 || r.Trust.Logs != 2 {
		t.Errorf("log %+v, trust %+v", r.Log, r.Trust)
	}

	// TIM-01: without anybody who says when, the certificate is worth nothing.
	b := made(authority.Open(bundle))(t)
	b.Timestamps = nil
	wantRefusal(t, "TIM-01", single.Question{Trust: believed}, made(b.Bytes())(t), attest.CodeTimeMissing)
	// Stamped again years later it is seen when it was first seen.
	signature := made(attest.ParseBundle(bundle))(t).Signature
	b = made(authority.Open(bundle))(t)
	b.Timestamps = append(b.Timestamps, made(ci.TSAs[0].Stamp(signature, at.AddDate(2, 0, 0)))(t))
	if r := made(ask(single.Question{Trust: believed}, made(b.Bytes())(t)))(t); !r.Seen.Equal(at.Add(10 * time.Second)) {
		t.Errorf("stamped again, seen %s", r.Seen)
	}
}

// The message shows what an identity is, not what it looks like.
func TestLookAlikeIdentityIsWrittenOut(t *testing.T) {
	ci := made(authority.New("acme.example", from))(t)
	believed := made(trust.OfTrustedRoot(made(ci.TrustedRoot())(t)))(t)
	bundle := made(ci.Sign(t.Context(), statement(t), trust.Identity{Issuer: "https://login.example", Subject: "аlice"}, trust.Claims{}, from))(t)
	_, err := ask(single.Question{Trust: believed, Identity: single.Identity{Issuer: "https://login.example", Subject: "alice"}}, bundle)
	if attest.RefusalCode(err) != attest.CodeIdentity || !strings.Contains(err.Error(), `\u{430}lice`) || strings.Contains(err.Error(), "а") {
		t.Errorf("IDN-04: %v", err)
	}
}

// An X.509-SVID is named by its SPIFFE id, and vouched for by its trust domain.
func TestWorkloadUnderTrust(t *testing.T) {
	d := made(authority.NewDomain("prod.acme.example", from))(t)
	tsa := made(authority.NewTSA("https://tsa.example", from))(t)
	files := map[string][]byte{"domain.pem": d.PEM(), "tsa.pem": authority.PEM(tsa.Chain()...)}
	const both = "timestampAuthorities: [{name: tsa, chain: tsa.pem, from: 2026-01-01T00:00:00Z}]\nspiffe: [{domain: prod.acme.example, bundle: domain.pem, from: 2026-01-01T00:00:00Z}]\n"
	believed := believer(t, both, files)
	at := from.AddDate(0, 1, 0)
	svid := made(d.SVID("trainer", at))(t)
	bundle := made(attest.Sign(t.Context(), statement(t), svid, tsa.At(at.Add(time.Minute))))(t)
	if len(made(attest.ParseBundle(bundle))(t).Chain) == 0 {
		t.Fatal("the bundle has no chain, and proves nothing about reading one")
	}
	for what, id := range map[string]single.Identity{"anybody": {}, "by name": {Subject: "spiffe://prod.acme.example/trainer", Issuer: "spiffe://prod.acme.example"}} {
		r := made(ask(single.Question{Trust: believed, Identity: id}, bundle))(t)
		if r.Certificate.Identity != "spiffe://prod.acme.example/trainer" || r.Trust.Domain != "spiffe://prod.acme.example" || r.Trust.Instance != "" || !r.Seen.Equal(at.Add(time.Minute)) || len(r.Timestamps) != 1 {
			t.Errorf("%s: %+v %+v seen %s, %d timestamps", what, r.Certificate, r.Trust, r.Seen, len(r.Timestamps))
		}
		if r.Bundle != attest.SHA256(bundle) {
			t.Errorf("%s: about another bundle", what)
		}
	}
	wantRefusal(t, "another workload", single.Question{Trust: believed, Identity: single.Identity{Subject: "spiffe://prod.acme.example/other", Issuer: "spiffe://prod.acme.example"}}, bundle, attest.CodeIdentity)
	stranger := made(authority.NewDomain("stranger.example", from))(t)
	files["domain.pem"] = stranger.PEM()
	wantRefusal(t, "of another domain", single.Question{Trust: believer(t, strings.Replace(both, "domain: prod.acme.example", "domain: stranger.example", 1), files)}, bundle, attest.CodeKeyUnknown)
	wantRefusal(t, "with nobody who says when", single.Question{Trust: believed}, made(attest.Sign(t.Context(), statement(t), svid))(t), attest.CodeTimeMissing)
	// Without a trust file the form is not read.
	if _, err := ask(single.Question{TrustedRoot: []byte("{}"), Identity: single.Identity{Subject: "x", Issuer: "y"}}, bundle); err == nil {
		t.Error("read without a trust file")
	}
}

// Keys count that the trust lists, or that are asked for, in their windows.
func TestKeyUnderTrust(t *testing.T) {
	tsa := made(authority.NewTSA("https://tsa.example", from))(t)
	files := map[string][]byte{"tsa.pem": authority.PEM(tsa.Chain()...)}
	var signers []attest.Signer
	for _, name := range []string{"alice", "bob", "mallory"} {
		key := made(authority.NewKey(authority.P256, name))(t)
		files[name+".pub"] = made(attest.NewPublicKey(key.Public()))(t).PEM()
		signers = append(signers, made(authority.NewSigner(key, nil))(t))
	}
	const stamped = "timestampAuthorities: [{name: tsa, chain: tsa.pem, from: 2026-01-01T00:00:00Z}]\n"
	believed := believer(t, stamped+"keys: [{key: alice.pub, from: 2026-01-01T00:00:00Z, until: 2026-06-01T00:00:00Z}, {key: bob.pub, compromisedSince: 2026-03-01T00:00:00Z}]\n", files)
	sign := func(who int, months int) []byte {
		return made(attest.Sign(t.Context(), statement(t), signers[who], tsa.At(from.AddDate(0, months, 0))))(t)
	}
	for who, name := range []string{"alice", "bob"} {
		r := made(ask(single.Question{Trust: believed}, sign(who, 1)))(t)
		if k := made(attest.ParsePublicKey(files[name+".pub"]))(t); r.Key != k.Fingerprint() || !r.Seen.Equal(from.AddDate(0, 1, 0)) || len(r.Timestamps) != 1 {
			t.Errorf("%s: key %s seen %s", name, r.Key, r.Seen)
		}
	}
	wantRefusal(t, "IDN-18 after its window", single.Question{Trust: believed}, sign(0, 7), attest.CodeKeyWindow)
	wantRefusal(t, "after the compromise", single.Question{Trust: believed}, sign(1, 4), attest.CodeRevoked)
	wantRefusal(t, "a stranger", single.Question{Trust: believed}, sign(2, 1), attest.CodeKeyUnknown)
	mallory := made(attest.ParsePublicKey(files["mallory.pub"]))(t)
	made(ask(single.Question{Trust: believed, Key: mallory}, sign(2, 1)))(t)
	wantRefusal(t, "another key than asked for", single.Question{Trust: believed, Key: mallory}, sign(0, 1), attest.CodeSigInvalid)
	wantRefusal(t, "an identity, and it is a key", single.Question{Trust: believed, Identity: single.Identity{Subject: "a", Issuer: "b"}}, sign(0, 1), attest.CodeIdentity)
	wantRefusal(t, "no keys listed", single.Question{Trust: believer(t, stamped, files)}, sign(0, 1), attest.CodeKeyUnknown)
	wantRefusal(t, "about something else", single.Question{Trust: believed}, made(attest.Sign(t.Context(), made(attest.NewStatement(attest.Subject{Digest: attest.SHA256([]byte("x"))}, "https://example.com/note/v1", map[string]any{}))(t), signers[0], tsa.At(from)))(t), attest.CodeSubjectMismatch)
}

package authority_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

var (
	from = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	at   = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

	who    = trust.Identity{Issuer: "https://ci.example", Subject: "https://ci.example/acme/credit/train@refs/heads/main"}
	claims = trust.Claims{BuildSigner: who.Subject, SourceRepository: "https://ci.example/acme/credit", SourceRef: "refs/heads/main", BuildTrigger: "push", RunnerEnvironment: "hosted", SourceVisibility: "private"}
)

var subject = sha256.Sum256([]byte("a model"))

func payload(t testing.TB, n int) []byte {
	t.Helper()
	p, err := attest.NewStatement(attest.Subject{Name: fmt.Sprint(n), Digest: attest.SHA256([]byte("a model"))}, "https://example.test/v1", map[string]any{"n": n})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func instance(t testing.TB) *authority.Instance {
	t.Helper()
	i, err := authority.New("acme.test", from)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// sigstore asks sigstore-go about a bundle, with thresholds of one.
func sigstore(i *authority.Instance, b []byte, id trust.Identity, opts ...verify.VerifierOption) (*verify.VerificationResult, error) {
	text, err := i.TrustedRoot()
	if err != nil {
		return nil, err
	}
	tr, err := root.NewTrustedRootFromJSON(text)
	if err != nil {
		return nil, err
	}
	if len(opts) == 0 {
		opts = []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1), verify.WithSignedCertificateTimestamps(1)}
	}
	v, err := verify.NewVerifier(tr, opts...)
	if err != nil {
		return nil, err
	}
	parsed := &bundle.Bundle{}
	if err := parsed.UnmarshalJSON(b); err != nil {
		return nil, err
	}
	c, err := verify.NewShortCertificateIdentity(id.Issuer, "", id.Subject, "")
	if err != nil {
		return nil, err
	}
	return v.Verify(parsed, verify.NewPolicy(verify.WithArtifactDigest("sha256", subject[:]), verify.WithCertificateIdentity(c)))
}

// What is made here is what the world's verifier takes.
func TestSigstoreGoAcceptsWhatAnInstanceMade(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name    string
		prepare func(*testing.T, *authority.Instance)
		who     trust.Identity
		opts    []verify.VerifierOption
	}{
		{name: "URI", who: who},
		{name: "email address", who: trust.Identity{Issuer: "https://accounts.example", Subject: "alice@acme.example"}},
		{name: "other name", who: trust.Identity{Issuer: "https://ci.example", Subject: "alice!acme.example"}},
		{name: "log with a P-256 key", who: who, prepare: func(t *testing.T, i *authority.Instance) {
			i.Logs[0] = must(authority.NewLog("rekor2.acme.test", from, authority.P256))(t)
		}},
		{name: "P-384 authority", who: who, prepare: func(t *testing.T, i *authority.Instance) {
			i.CAs[0] = must(authority.NewCA("https://fulcio2.acme.test", from, authority.P384))(t)
		}},
		{name: "log of the first kind", who: who, prepare: func(t *testing.T, i *authority.Instance) {
			i.Logs[0] = must(authority.NewLogV1("rekor1.acme.test", from))(t)
			i.Logs[0].Shift = 7
		}, opts: []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithIntegratedTimestamps(1), verify.WithSignedCertificateTimestamps(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := instance(t)
			if tt.prepare != nil {
				tt.prepare(t, i)
			}
			for n := range 5 { // a tree that grows
				b := must(i.Sign(ctx, payload(t, n), tt.who, claims, at.Add(time.Duration(n)*time.Hour)))(t)
				res, err := sigstore(i, b, tt.who, tt.opts...)
				if err != nil {
					t.Fatalf("bundle %d: %v", n, err)
				}
				if got := res.Signature.Certificate.SourceRepositoryRef; got != claims.SourceRef {
					t.Errorf("source ref %q", got)
				}
				if got := res.VerifiedTimestamps[0].Timestamp; !got.Equal(at.Add(time.Duration(n)*time.Hour + 10*time.Second)) {
					t.Errorf("seen %v", got)
				}
				if _, err := sigstore(i, b, trust.Identity{Issuer: "https://other.example", Subject: tt.who.Subject}, tt.opts...); err == nil {
					t.Error("accepted for another issuer")
				}
			}
		})
	}
}

// The older kind of entry of a log of the first kind.
func TestInTotoEntry(t *testing.T) {
	i := instance(t)
	l := must(authority.NewLogV1("rekor1.acme.test", from))(t)
	i.Logs[0] = l
	s := must(i.Signer(who, claims, at))(t)
	w := capture{}
	b := must(authority.Open(must(attest.Sign(context.Background(), payload(t, 0), s, &w))(t)))(t)
	e := must(l.Prove(must(l.IntegrateAs(authority.InToto, w.made, at.Add(time.Minute)))(t)))(t)
	b.Entries = append(b.Entries, e)
	if _, err := sigstore(i, must(b.Bytes())(t), who, verify.WithTransparencyLog(1), verify.WithIntegratedTimestamps(1)); err != nil {
		t.Error(err)
	}
}

type capture struct{ made attest.Signature }

func (c *capture) Witness(_ context.Context, s attest.Signature) (attest.Testimony, error) {
	c.made = s
	return attest.Testimony{}, nil
}

// Proofs of trees of every small size, and one checkpoint for all of a batch.
func TestBatchSharesOneCheckpoint(t *testing.T) {
	for size := 1; size <= 9; size++ {
		i := instance(t)
		var jobs []authority.Job
		for n := range size {
			jobs = append(jobs, authority.Job{Payload: payload(t, n), Who: who, At: at.Add(time.Duration(n) * time.Minute)})
		}
		heads := map[string]bool{}
		for n, b := range must(i.SignAll(context.Background(), jobs))(t) {
			if _, err := sigstore(i, b, who); err != nil {
				t.Errorf("%d of %d: %v", n, size, err)
			}
			for _, e := range must(authority.Open(b))(t).Entries {
				heads[e.Proof.Checkpoint.Envelope] = true
			}
		}
		if len(heads) != 1 {
			t.Errorf("%d checkpoints for %d entries", len(heads), size)
		}
	}
}

// The same names and times give the same bytes, and a bundle survives being taken
// apart.
func TestSameCallsGiveTheSameBytes(t *testing.T) {
	sign := func() []byte {
		return must(instance(t).Sign(context.Background(), payload(t, 0), who, claims, at))(t)
	}
	a := sign()
	if !bytes.Equal(a, sign()) {
		t.Error("two instances of one name differ")
	}
	again := must(must(authority.Open(a))(t).Bytes())(t)
	if _, err := sigstore(instance(t), again, who); err != nil {
		t.Error(err)
	}
	if _, err := attest.ParseBundle(again); err != nil {
		t.Error(err)
	}
}

// Test vectors of RFC 6962's tree as Certificate Transparency's own tests have them.
func TestTreeIsRFC6962(t *testing.T) {
	l := must(authority.NewLog("log.test", from))(t)
	var last authority.Entry
	for _, leaf := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		last = must(l.Prove(l.Append("test", "1", must(hex.DecodeString(leaf))(t), at)))(t)
	}
	if got, want := hex.EncodeToString(last.Proof.RootHash), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"; got != want {
		t.Errorf("root %s, want %s", got, want)
	}
}

// An SVID leads to its domain's root, and to no other.
func TestSVID(t *testing.T) {
	d := must(authority.NewDomain("prod.acme.test", from))(t)
	other := must(authority.NewDomain("staging.acme.test", from))(t)
	m := must(d.SVID("train", at))(t).Material()
	leaf := must(x509.ParseCertificate(m.Certificate))(t)
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://prod.acme.test/train" {
		t.Errorf("URIs %v", leaf.URIs)
	}
	pool := x509.NewCertPool()
	for _, c := range m.Chain {
		pool.AddCert(must(x509.ParseCertificate(c))(t))
	}
	for _, root := range []struct {
		d  *authority.Domain
		ok bool
	}{{d, true}, {other, false}} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(root.d.PEM())
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if (err == nil) != root.ok {
			t.Errorf("%s: %v", root.d.Name, err)
		}
	}
}

// must takes a result, or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

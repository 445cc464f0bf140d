package stack

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgsign "github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

var trainer = Workload{Pipeline: "acme/credit/pipeline.yaml", Step: "train", Ref: "refs/heads/main", Event: "push", RunID: 42}

func begin(t *testing.T, o Options) *Stack {
	t.Helper()
	o.Dir = t.TempDir()
	start := time.Now()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the stack was up after %v", time.Since(start).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// signed lets sigstore-go sign a statement about "model" with the token.
func signed(t *testing.T, s *Stack, token string) *bundle.Bundle {
	t.Helper()
	key, err := sgsign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"model","digest":{"sha256":"%x"}}],"predicateType":"https://example.org/v1","predicate":{}}`, sha256.Sum256([]byte("model")))
	e := s.Endpoints()
	o := sgsign.BundleOptions{
		CertificateProvider:        sgsign.NewFulcio(&sgsign.FulcioOptions{BaseURL: e.Fulcio}),
		CertificateProviderOptions: &sgsign.CertificateProviderOptions{IDToken: token},
		TransparencyLogs:           []sgsign.Transparency{sgsign.NewRekor(&sgsign.RekorOptions{BaseURL: e.Rekor, Version: 2})},
		TrustedRoot:                trusted(t, s),
		Context:                    t.Context(),
	}
	for _, u := range e.Timestamps {
		o.TimestampAuthorities = append(o.TimestampAuthorities, sgsign.NewTimestampAuthority(&sgsign.TimestampAuthorityOptions{URL: u}))
	}
	pb, err := sgsign.Bundle(&sgsign.DSSEData{Data: []byte(statement), PayloadType: "application/vnd.in-toto+json"}, key, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.NewBundle(pb)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func trusted(t *testing.T, s *Stack) *root.TrustedRoot {
	t.Helper()
	raw, err := s.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := root.NewTrustedRootFromJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// check verifies with sigstore-go, with as many timestamps as the stack has authorities.
func check(t *testing.T, s *Stack, b *bundle.Bundle, issuer, subject string) (*verify.VerificationResult, error) {
	t.Helper()
	v, err := verify.NewVerifier(trusted(t, s), verify.WithTransparencyLog(1), verify.WithSignedTimestamps(len(s.Authorities)), verify.WithSignedCertificateTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	id, err := verify.NewShortCertificateIdentity(issuer, "", subject, "")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("model"))
	return v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum[:]), verify.WithCertificateIdentity(id)))
}

// The stack is worth testing against only if the reference implementation is content with it.
func TestSigstoreGoSignsAndVerifies(t *testing.T) {
	for _, o := range []Options{{}, {Authorities: 2, Curve: elliptic.P384(), Origin: "log.acme.example"}} {
		s := begin(t, o)
		token, err := s.Workloads.Token(trainer.Claims())
		if err != nil {
			t.Fatal(err)
		}
		b := signed(t, s, token)
		res, err := check(t, s, b, s.Workloads.URL, trainer.Subject())
		if err != nil {
			t.Fatal(err)
		}
		c := res.Signature.Certificate
		if c.BuildTrigger != "push" || c.SourceRepositoryRef != "refs/heads/main" || c.SourceRepositoryURI != trainer.Repository() {
			t.Errorf("the certificate says %+v", c.Extensions)
		}
		other := trainer
		other.Step = "evaluate"
		if _, err := check(t, s, b, s.Workloads.URL, other.Subject()); err == nil {
			t.Error("the certificate is good for another step, so the check above proves nothing")
		}
		if _, err := get(t.Context(), s.Tiles()+"/checkpoint"); err != nil {
			t.Errorf("the log cannot be read: %v", err)
		}
	}
}

func TestTwoInstancesKnowNothingOfEachOther(t *testing.T) {
	s, other := begin(t, Options{}), begin(t, Options{})
	token, err := s.People.Token(Person("alice@acme.example"))
	if err != nil {
		t.Fatal(err)
	}
	b := signed(t, s, token)
	if _, err := check(t, s, b, s.People.URL, "alice@acme.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, other, b, s.People.URL, "alice@acme.example"); err == nil {
		t.Error("another instance's trusted root verifies the bundle")
	}
}

func TestBrowserFlow(t *testing.T) {
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer i.srv.Close()
	i.LogIn("alice@acme.example")
	authorize := func(mangle func(url.Values)) (*http.Response, error) {
		q := url.Values{"client_id": {Audience}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/cb"}, "state": {"s"},
			"code_challenge_method": {"S256"}, "code_challenge": {challenge("verifier")}, "nonce": {"n"}}
		mangle(q)
		c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		return c.Get(i.URL + "/auth?" + q.Encode())
	}
	redeem := func(r *http.Response, verifier string) int {
		back, err := r.Location()
		if err != nil {
			t.Fatal(err)
		}
		if back.Query().Get("state") != "s" {
			t.Errorf("came back with state %q", back.Query().Get("state"))
		}
		a, err := http.PostForm(i.URL+"/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "code_verifier": {verifier}, "redirect_uri": {"http://127.0.0.1:1/cb"}})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, _ := io.ReadAll(a.Body)
		if a.StatusCode == http.StatusOK && !bytes.Contains(body, []byte("id_token")) {
			t.Errorf("a token answer without a token: %s", body)
		}
		return a.StatusCode
	}
	r, err := authorize(func(url.Values) {})
	if err != nil || redeem(r, "verifier") != http.StatusOK {
		t.Errorf("an honest login fails: %v", err)
	}
	if redeem(r, "verifier") == http.StatusOK {
		t.Error("a code is good twice")
	}
	if r, err = authorize(func(url.Values) {}); err != nil || redeem(r, "another") == http.StatusOK {
		t.Error("a code is good for who does not know the verifier")
	}
	if r, err = authorize(func(q url.Values) { q.Del("code_challenge") }); err != nil || r.StatusCode == http.StatusFound {
		t.Error("a login without a challenge")
	}
}

func TestProxyFaults(t *testing.T) {
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer i.srv.Close()
	p, err := NewProxy(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	whole, err := get(t.Context(), i.URL+"/keys")
	if err != nil {
		t.Fatal(err)
	}
	for f := None; f <= Slow; f++ {
		p.Set(f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		got, err := get(ctx, p.URL+"/keys")
		cancel()
		switch same := err == nil && bytes.Equal(got, whole); f {
		case None, Slow:
			if !same {
				t.Errorf("fault %d changes the answer: %q %v", f, got, err)
			}
		case Garbage:
			if err != nil || len(got) != len(whole) || same {
				t.Errorf("garbage is %q, %v", got, err)
			}
		default:
			if err == nil {
				t.Errorf("fault %d has no effect: %q", f, got)
			}
		}
	}
}

// challenge returns the PKCE challenge of a verifier (RFC 7636 section 4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

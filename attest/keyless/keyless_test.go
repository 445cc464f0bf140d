package keyless_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
	"github.com/pedigree-ml/pedigree/internal/authority"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

const (
	issuer  = "https://token.actions.example"
	subject = "repo:acme/credit:ref:refs/heads/main"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// quick asks again without waiting long.
var quick = keyless.Net{Pause: time.Millisecond}

func clock() time.Time { return noon }

// jwt makes a token of these claims, over the usual ones. Nobody here checks its
// signature, so it has none worth the name.
func jwt(claims map[string]any) string {
	all := map[string]any{"iss": issuer, "sub": subject, "aud": "sigstore", "exp": noon.Add(5 * time.Minute).Unix()}
	for k, v := range claims {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part(body) + "." + part([]byte("signature-canary-5c1e"))
}

// wants asserts a refusal: its code, what it says, and that it does not say the token.
func wants(t *testing.T, err error, code attest.Code, says string) {
	t.Helper()
	if attest.RefusalCode(err) != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("got %q, which does not say %q", err, says)
	}
	var r *attest.Refusal
	if errors.As(err, &r); strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, r, r, r.Next), canary) {
		t.Errorf("the refusal repeats the token: %v", err)
	}
}

var canary = base64.RawURLEncoding.EncodeToString([]byte("signature-canary-5c1e"))

// serve runs a service that counts how often it was asked.
func serve(t *testing.T, h http.HandlerFunc) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// hostile are answers that no service should give, whatever it was asked.
func hostile(t *testing.T) map[string]struct {
	answer http.HandlerFunc
	code   attest.Code
	asked  int32 // of something that may be asked again
} {
	elsewhere, reached := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	t.Cleanup(func() {
		if n := reached.Load(); n != 0 {
			t.Errorf("a redirect was followed %d times", n)
		}
	})
	status := func(s int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(s); io.WriteString(w, body) }
	}
	return map[string]struct {
		answer http.HandlerFunc
		code   attest.Code
		asked  int32
	}{
		"HTML":            {status(200, "<html>welcome to the hotel</html>"), attest.CodeSignService, 1},
		"nothing":         {status(200, ""), attest.CodeSignService, 1},
		"an empty object": {status(200, "{}"), attest.CodeSignService, 1},
		"half an object":  {status(201, `{"value": "ey`), attest.CodeSignService, 1},
		"a bug":           {status(500, "stack trace"), attest.CodeSignService, 3},
		"busy":            {status(429, ""), attest.CodeSignService, 3},
		"a no":            {status(403, `{"code":7,"message":"not you"}`), attest.CodeSignRefused, 1},
		"endless":         {endless, attest.CodeSignService, 1},
		"elsewhere":       {http.RedirectHandler(elsewhere, http.StatusFound).ServeHTTP, attest.CodeSignService, 1},
		"elsewhere, kept": {http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect).ServeHTTP, attest.CodeSignService, 1},
		"cut off":         {cutOff, attest.CodeSignService, 3},
		"the secret in a no": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, r.Header["Authorization"])
		}, attest.CodeSignRefused, 1},
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, "{")
}

// A fulcio is a certificate authority behind Fulcio's API: what it issues is real.
type fulcio struct {
	ca     *authority.CA
	change func(*authority.Request) // of what is about to be issued
	shape  func(leaf string) any    // of the answer; nil is the usual one
}

func newFulcio(t *testing.T) *fulcio {
	t.Helper()
	ca, err := authority.NewCA("https://fulcio.example", noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &fulcio{ca: ca}
}

func (f *fulcio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		CSR []byte `json:"certificateSigningRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/api/v2/signingCert" || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ") {
		http.Error(w, "not a request of Fulcio's API", http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode(body.CSR)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req := authority.Request{Key: csr.PublicKey, Identity: trust.Identity{Issuer: issuer, Subject: "https://ci.example/acme/credit/train.yaml@refs/heads/main"}, At: noon}
	if f.change != nil {
		f.change(&req)
	}
	der, err := f.ca.Issue(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	var answer any = map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{leaf, "the rest"}}}}
	if f.shape != nil {
		answer = f.shape(leaf)
	}
	json.NewEncoder(w).Encode(answer)
}

func identity(url string, claims map[string]any) *keyless.Identity {
	return &keyless.Identity{
		Tokens:    func(context.Context) (keyless.Token, error) { return keyless.ParseToken(jwt(claims), "the test") },
		Authority: keyless.Fulcio{URL: url, Net: quick}, Now: clock,
	}
}

func TestIdentitySigns(t *testing.T) {
	f := newFulcio(t)
	url, asked := serve(t, f.ServeHTTP)
	id := identity(url, nil)
	now, noted := noon, 0
	id.Now = func() time.Time { return now }
	id.Note = func(tok keyless.Token) {
		if noted++; tok.String() != issuer+" "+subject {
			t.Errorf("noted %v", tok)
		}
	}
	s, err := id.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := s.Material()
	cert, err := x509.ParseCertificate(m.Certificate)
	if err != nil || !m.Key.Crypto().(*ecdsa.PublicKey).Equal(cert.PublicKey) {
		t.Fatalf("the material does not hold together: %v", err)
	}
	sig, err := s.SignMessage(t.Context(), []byte("hello"))
	if err != nil || m.Key.Verify([]byte("hello"), sig) != nil {
		t.Fatalf("signed badly: %v", err)
	}
	now = noon.Add(8 * time.Minute)
	if again, err := id.Signer(t.Context()); err != nil || again != s {
		t.Errorf("another certificate while the first one holds: %v", err)
	}
	// The certificate ends in less than a minute: another key, another certificate.
	// The token that is there has expired by then, which is said.
	now = noon.Add(9*time.Minute + time.Second)
	_, err = id.Signer(t.Context())
	wants(t, err, attest.CodeToken, "expired at 2026-03-01T12:05:00Z")
	id.Tokens = func(context.Context) (keyless.Token, error) {
		return keyless.ParseToken(jwt(map[string]any{"exp": noon.Add(time.Hour).Unix()}), "the test")
	}
	other, err := id.Signer(t.Context())
	if err != nil || other == s || other.Material().Key.Fingerprint() == m.Key.Fingerprint() {
		t.Errorf("the key was used again: %v", err)
	}
	if asked.Load() != 2 || noted != 2 {
		t.Errorf("asked %d times, noted %d times, want 2 and 2", asked.Load(), noted)
	}
}

// What the authority answers is held against what it was asked.
func TestCertificateIsHeldAgainstKeyAndToken(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func(change func(*x509.Certificate)) func(*authority.Request) {
		return func(r *authority.Request) { r.Changes = append(r.Changes, change) }
	}
	claim := func(n int, value string) func(*authority.Request) {
		return template(func(c *x509.Certificate) {
			e, err := authority.Claim(n, value)
			if err != nil {
				t.Error(err)
			}
			authority.Replace(c, e)
		})
	}
	for name, tt := range map[string]struct {
		change func(*authority.Request)
		shape  func(string) any
		claims map[string]any
		says   string // "" for a certificate that is taken
	}{
		"the usual": {},
		"without a certificate timestamp": {shape: func(leaf string) any {
			return map[string]any{"signedCertificateDetachedSct": map[string]any{"chain": map[string]any{"certificates": []string{leaf}}}}
		}},
		"the token's subject repeated":  {change: claim(24, subject)},
		"another subject repeated":      {change: claim(24, "repo:mallory/x"), says: "the token's is"},
		"the issuer behind the issuer":  {claims: map[string]any{"iss": "https://dex.example", "federated_claims": map[string]any{"connector_id": issuer}}},
		"IDN-05 another issuer":         {change: claim(8, "https://accounts.example"), says: "names the issuer"},
		"for another key":               {change: func(r *authority.Request) { r.Key = &other.PublicKey }, says: "for another key"},
		"of an authority":               {change: template(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), says: "of an authority"},
		"for a server":                  {change: template(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), says: "not for signing code"},
		"for days":                      {change: template(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 2) }), says: "hold for minutes"},
		"a person":                      {change: func(r *authority.Request) { r.Identity.Subject = "alice@acme.example" }, claims: map[string]any{"email": "alice@acme.example", "email_verified": true}},
		"another person":                {change: func(r *authority.Request) { r.Identity.Subject = "mallory@acme.example" }, claims: map[string]any{"email": "alice@acme.example", "email_verified": true}, says: "the token is of"},
		"no PEM":                        {shape: answering("ey"), says: "not PEM"},
		"a PEM block that is none":      {shape: answering("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), says: "cannot be read"},
		"certificates that are no list": {shape: func(string) any { return map[string]any{"signedCertificateEmbeddedSct": "x"} }, says: "no certificate"},
		"an empty list": {shape: func(string) any {
			return map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{}}}}
		}, says: "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFulcio(t)
			f.change, f.shape = tt.change, tt.shape
			url, _ := serve(t, f.ServeHTTP)
			_, err := identity(url, tt.claims).Signer(t.Context())
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, err, attest.CodeSignService, tt.says)
		})
	}
}

func answering(leaf string) func(string) any {
	return func(string) any {
		return map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{leaf}}}}
	}
}

func TestAuthorityAnswersOddly(t *testing.T) {
	for name, tt := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			url, asked := serve(t, tt.answer)
			_, err := identity(url, nil).Signer(t.Context())
			if tt.code == attest.CodeSignRefused {
				tt.code = attest.CodeToken // what else could it be about?
			}
			wants(t, err, tt.code, "the certificate authority")
			if name == "endless" {
				wants(t, err, tt.code, "more than 1048576 bytes")
			}
			if asked.Load() != tt.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), tt.asked)
			}
		})
	}
}

// What could only fail is refused before anybody is asked.
func TestTokensThatAreNotSent(t *testing.T) {
	f := newFulcio(t)
	url, asked := serve(t, f.ServeHTTP)
	for name, tt := range map[string]struct {
		claims map[string]any
		says   string
	}{
		"expired":                      {map[string]any{"exp": noon.Unix()}, "expired at 2026-03-01T12:00:00Z"},
		"expired with a fraction":      {map[string]any{"exp": float64(noon.Unix()-1) + 0.5}, "expired"},
		"not yet valid":                {map[string]any{"nbf": noon.Add(5*time.Minute + time.Second).Unix()}, "not valid before 2026-03-01T12:05:01Z"},
		"a beginning that is no time":  {map[string]any{"nbf": "soon"}, "since when"},
		"no end":                       {map[string]any{"exp": nil}, "until when"},
		"an end beyond time":           {map[string]any{"exp": 1e30}, "until when"},
		"for another audience":         {map[string]any{"aud": "https://vault.example"}, "made out to https://vault.example, not to sigstore"},
		"for an audience of several":   {map[string]any{"aud": []string{"a", "b"}}, "made out to a, b"},
		"for nobody":                   {map[string]any{"aud": nil}, "made out to"},
		"email_verified false":         {map[string]any{"email": "alice@acme.example", "email_verified": false}, "did not verify the email"},
		"email_verified false, a text": {map[string]any{"email": "alice@acme.example", "email_verified": "false"}, "did not verify the email"},
		"email_verified missing":       {map[string]any{"email": "alice@acme.example"}, "did not verify the email"},
		"no issuer":                    {map[string]any{"iss": nil}, "names no issuer"},
		"an issuer that is no text":    {map[string]any{"iss": 7}, "names no issuer"},
		"no subject":                   {map[string]any{"sub": ""}, "no subject"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity(url, tt.claims).Signer(t.Context())
			wants(t, err, attest.CodeToken, tt.says)
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
	for name, claims := range map[string]map[string]any{
		"an audience among several": {"aud": []string{"other", "sigstore"}},
		"email_verified as text":    {"email": "alice@acme.example", "email_verified": "true"},
		"a clock that is ahead":     {"nbf": noon.Add(5 * time.Minute).Unix()},
		"one second left":           {"exp": noon.Unix() + 1},
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := keyless.ParseToken(jwt(claims), "the test")
			if err == nil {
				err = tok.Check(noon, "")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTokensThatAreNone(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":           " \n",
		"two parts":         "eyJh.eyJh",
		"four parts":        jwt(nil) + ".AAAA",
		"padded":            jwt(nil) + "=",
		"not base64":        "eyJh.e*Jh.AAAA",
		"a key":             "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----",
		"claims of no form": "eyJh." + base64.RawURLEncoding.EncodeToString([]byte("[1]")) + ".AAAA",
		"claims twice":      "eyJh." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"a","iss":"b","sub":"c","exp":9999999999}`)) + ".AAAA",
		"too long":          jwt(map[string]any{"groups": strings.Repeat("x", 70000)}),
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := keyless.ParseToken(raw, "the test")
			wants(t, err, attest.CodeToken, "")
			if s := strings.TrimSpace(raw); s != "" && strings.Contains(err.Error(), s) {
				t.Errorf("the refusal repeats it: %v", err)
			}
			if tok.Issuer != "" || tok.Subject != "" {
				t.Errorf("a token came with the refusal: %v", tok)
			}
		})
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	tok, err := keyless.ParseToken(jwt(nil), "the test")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(form, tok); strings.Contains(s, canary) || strings.Contains(fmt.Sprintf(form, &tok), canary) {
			t.Errorf("%s shows the token: %s", form, s)
		}
	}
	if b, err := json.Marshal(tok); err != nil || strings.Contains(string(b), canary) {
		t.Errorf("JSON shows the token: %s", b)
	}
}

func TestURLs(t *testing.T) {
	for url, tt := range map[string]struct{ plain, secret bool }{
		"https://fulcio.example":         {true, true},
		"https://fulcio.example:8443/x":  {true, true},
		"http://127.0.0.1:5555":          {true, true},
		"http://localhost:5555":          {true, true},
		"http://[::1]:5555":              {true, true},
		"http://fulcio.example":          {true, false},
		"http://127.0.0.1.example":       {true, false},
		"http://10.0.0.1":                {true, false},
		"https://user:pw@fulcio.example": {},
		"https://fulcio.example#x":       {},
		"fulcio.example":                 {},
		"ftp://fulcio.example":           {},
		"https:":                         {},
		"https://":                       {},
		"http://a b":                     {},
		"":                               {},
	} {
		for secret, want := range map[bool]bool{false: tt.plain, true: tt.secret} {
			if err := keyless.CheckURL(url, secret); (err == nil) != want || err != nil && attest.RefusalCode(err) != attest.CodeUsage {
				t.Errorf("CheckURL(%q, %v) = %v", url, secret, err)
			} else if err != nil && strings.Contains(err.Error(), "pw") {
				t.Errorf("a password in %v", err)
			}
		}
	}
}

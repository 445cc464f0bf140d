package keyless

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// patience is how long a person may take to sign in.
const patience = 5 * time.Minute

// A SignIn has a person sign in, in a browser on this machine: the authorization code
// flow of OpenID Connect (Core 1.0, section 3.1), as a native application does it
// (RFC 8252), with proof of possession of the code (RFC 7636).
type SignIn struct {
	Issuer   string
	ClientID string // "" is DefaultAudience
	Net      Net
	// Show is given the URL at which to sign in: to print it, and to open it.
	Show func(url string)
}

// Token waits for the person. The token comes from the issuer itself, over a
// connection that is as good as its signature (OpenID Connect Core, section 3.1.3.7,
// point 6), which the certificate authority checks in any case. The error is
// E_USAGE for an issuer that cannot be one, E_SIGN_SERVICE, E_SIGN_REFUSED, or E_TOKEN.
func (s SignIn) Token(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	at, err := s.discover(ctx)
	if err != nil {
		return Token{}, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "localhost:0")
	if err != nil {
		return Token{}, &attest.Refusal{Code: attest.CodeSignService, Why: "no port of this machine is free for the browser's answer", Err: err}
	}
	d := dance{state: random(), nonce: random(), verifier: random(), answers: make(chan answer, 1)}
	d.redirect = fmt.Sprintf("http://localhost:%d/auth/callback", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: &d, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()
	s.Show(s.where(at.authorization, &d))
	var got answer
	select {
	case got = <-d.answers:
	case <-ctx.Done():
		return Token{}, &attest.Refusal{Code: attest.CodeInterrupted, About: s.Issuer, Why: "nobody signed in", Err: ctx.Err()}
	}
	if got.code == "" {
		return Token{}, &attest.Refusal{Code: attest.CodeSignRefused, About: s.Issuer, Why: "the issuer refuses: " + clip(got.err)}
	}
	return s.redeem(ctx, at, &d, got.code)
}

func (s SignIn) client() string {
	if s.ClientID == "" {
		return DefaultAudience
	}
	return s.ClientID
}

// endpoints are what an issuer says about itself (OpenID Connect Discovery 1.0,
// section 3).
type endpoints struct{ authorization, token string }

func (s SignIn) discover(ctx context.Context) (endpoints, error) {
	if err := CheckURL(s.Issuer, true); err != nil {
		return endpoints{}, err
	}
	r := request{who: "the issuer", method: http.MethodGet, url: join(s.Issuer, "/.well-known/openid-configuration"), again: true, header: http.Header{"Accept": {"application/json"}}}
	body, err := s.Net.ask(ctx, r)
	if err != nil {
		return endpoints{}, hint(err, "check --oidc-issuer")
	}
	v, err := strictjson.Parse(body, maxAnswer)
	if err != nil || v.Kind() != strictjson.Object {
		return endpoints{}, r.unavailable("answers with something that does not describe an issuer", nil)
	}
	// Section 4.3: another issuer's document would lead to another issuer's tokens.
	if got := text(v, "issuer"); strings.TrimRight(got, "/") != strings.TrimRight(s.Issuer, "/") {
		return endpoints{}, r.unavailable(fmt.Sprintf("calls itself %q", clip(got)), nil)
	}
	out := endpoints{text(v, "authorization_endpoint"), text(v, "token_endpoint")}
	for _, u := range []string{out.authorization, out.token} {
		if err := CheckURL(u, true); err != nil {
			return endpoints{}, r.unavailable("names an endpoint that cannot be used", err)
		}
	}
	return out, nil
}

// where is the URL that the browser is sent to.
func (s SignIn) where(endpoint string, d *dance) string {
	challenge := sha256.Sum256([]byte(d.verifier))
	with := "?"
	if strings.Contains(endpoint, "?") {
		with = "&" // RFC 6749, section 3.1: the endpoint's own query is kept
	}
	return endpoint + with + url.Values{
		"response_type": {"code"}, "client_id": {s.client()}, "redirect_uri": {d.redirect}, "scope": {"openid email"},
		"state": {d.state}, "nonce": {d.nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// redeem exchanges the code for a token.
func (s SignIn) redeem(ctx context.Context, at endpoints, d *dance, code string) (Token, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {d.redirect}, "client_id": {s.client()}, "code_verifier": {d.verifier}}
	// A code is good once.
	r := request{
		who: "the issuer", method: http.MethodPost, url: at.token, body: []byte(form.Encode()), secret: code,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	}
	body, err := s.Net.ask(ctx, r)
	if err != nil {
		return Token{}, hint(err, "check --oidc-client-id; the issuer must let it be used by programs without a secret")
	}
	v, err := strictjson.Parse(body, maxAnswer)
	raw := text(v, "id_token")
	if err != nil || raw == "" {
		return Token{}, r.unavailable("answers without an identity token", nil)
	}
	t, err := ParseToken(raw, "the sign-in at "+s.Issuer)
	switch {
	case err != nil:
		return Token{}, err
	case t.nonce != d.nonce:
		// Somebody else's code, put into this browser (section 15.5.2).
		return Token{}, &attest.Refusal{Code: attest.CodeToken, About: t.String(), Why: "the token is of another sign-in", Next: "close other windows, and try again"}
	}
	return t, nil
}

// A dance is one sign-in.
type dance struct {
	state, nonce, verifier string
	redirect               string
	answers                chan answer
}

type answer struct{ code, err string }

// ServeHTTP takes the browser's answer: one, and only the one that was asked for.
func (d *dance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.URL.Path != "/auth/callback" || q.Get("state") != d.state {
		http.Error(w, "This is not the answer that was waited for.", http.StatusBadRequest)
		return
	}
	got := answer{q.Get("code"), q.Get("error_description")}
	if got.err == "" {
		got.err = q.Get("error")
	}
	select {
	case d.answers <- got:
	default: // a second one, by a window that was reloaded
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "You can close this window and go back to the terminal.")
}

func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

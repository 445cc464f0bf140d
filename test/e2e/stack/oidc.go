package stack

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Audience is the "aud" of a token that Fulcio takes, and the client's name at both issuers.
const Audience = "sigstore"

// tokenLife is long enough for the slowest test between minting and use, and as short
// as a build system's tokens live.
const tokenLife = 10 * time.Minute

// An Issuer is an OpenID Connect provider: discovery, keys, tokens for the asking, and
// the authorization code flow with PKCE, at whose end a person is logged in without
// being asked. It signs with RS256, as cosign takes a token on its command line only
// then, and reads anything else as a file's path.
type Issuer struct {
	URL string

	srv    *httptest.Server
	signer jose.Signer

	mu     sync.Mutex
	person string           // who is at the browser
	codes  map[string]login // handed out, and not yet redeemed
}

// A login is what an authorization code stands for.
type login struct {
	claims      map[string]any
	challenge   string
	redirectURI string
}

func newIssuer() (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: string(jose.RS256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jwk}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	o := &Issuer{signer: signer, person: "nobody@acme.example", codes: map[string]login{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": o.URL, "jwks_uri": o.URL + "/keys",
			"authorization_endpoint": o.URL + "/auth", "token_endpoint": o.URL + "/token",
			"response_types_supported":              []string{"code", "id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
			"code_challenge_methods_supported":      []string{"S256"},
			"scopes_supported":                      []string{"openid", "email"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}})
	})
	mux.HandleFunc("GET /auth", o.authorize)
	mux.HandleFunc("POST /token", o.redeem)
	o.srv = httptest.NewServer(mux)
	o.URL = o.srv.URL
	return o, nil
}

// Token mints a token with the claims. What every token has (iss, aud, iat, nbf, exp) is
// filled in, and can be said otherwise to make a token that must be refused.
func (o *Issuer) Token(claims map[string]any) (string, error) {
	now := time.Now()
	c := map[string]any{"iss": o.URL, "aud": Audience, "iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(tokenLife).Unix()}
	for k, v := range claims {
		c[k] = v
	}
	return jwt.Signed(o.signer).Claims(c).Serialize()
}

// Person returns the claims of somebody who logged in with an address that the issuer has verified.
func Person(email string) map[string]any {
	return map[string]any{"sub": "person:" + email, "email": email, "email_verified": true}
}

// LogIn says who is at the browser from now on.
func (o *Issuer) LogIn(email string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.person = email
}

// authorize is the page of the browser flow: it sends whoever is at the browser back at
// once, with a code.
func (o *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !back.IsAbs() || q.Get("client_id") != Audience || q.Get("response_type") != "code" {
		http.Error(w, "not an authorization request of "+Audience, http.StatusBadRequest)
		return
	}
	// A public client has no secret: without the challenge, whoever sees the code has the token.
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "PKCE with S256 is required", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	claims := Person(o.person)
	if n := q.Get("nonce"); n != "" {
		claims["nonce"] = n
	}
	code := rand.Text()
	o.codes[code] = login{claims: claims, challenge: q.Get("code_challenge"), redirectURI: q.Get("redirect_uri")}
	v := back.Query()
	v.Set("code", code)
	v.Set("state", q.Get("state"))
	back.RawQuery = v.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// redeem exchanges a code for a token, once, and only for who has the verifier.
func (o *Issuer) redeem(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	l, ok := o.codes[r.PostForm.Get("code")]
	delete(o.codes, r.PostForm.Get("code"))
	o.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || r.PostForm.Get("grant_type") != "authorization_code" || l.redirectURI != r.PostForm.Get("redirect_uri") ||
		l.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		http.Error(w, `{"error": "invalid_grant"}`, http.StatusBadRequest)
		return
	}
	token, err := o.Token(l.claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"access_token": rand.Text(), "id_token": token, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds())})
}

// writeJSON answers with v. That the client went away is nothing to tell anybody.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, fmt.Sprintf("encoding: %v", err), http.StatusInternalServerError)
	}
}

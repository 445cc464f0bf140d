package keyless_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
)

// env is an environment, with no Kubernetes around.
func env(t *testing.T, vars ...string) keyless.Platform {
	return keyless.Platform{Net: quick, Projected: filepath.Join(t.TempDir(), "none"), Getenv: func(name string) (string, bool) {
		for _, v := range vars {
			if k, value, _ := strings.Cut(v, "="); k == name {
				return value, true
			}
		}
		return "", false
	}}
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// runner is GitHub's: it wants its own secret back, and makes a token out to whom it
// is asked for.
func runner(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer runner-secret" || r.URL.Query().Get("api-version") != "2.0" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, `{"count":1707,"value":%q}`, jwt(map[string]any{"aud": r.URL.Query().Get("audience")}))
}

func TestWhereTokensComeFrom(t *testing.T) {
	github, asked := serve(t, runner)
	actions := []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + github + "/_apis/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner-secret"}
	pod := file(t, jwt(nil)+"\n")
	inPod := env(t)
	inPod.Projected = pod
	elsewhere := env(t, actions...)
	elsewhere.Audience = "private-sigstore"
	for name, tt := range map[string]struct {
		platform keyless.Platform
		from     string
		origin   string
	}{
		"a file":                  {env(t), file(t, jwt(nil)), "the file "},
		"github":                  {env(t, actions...), "github", "GitHub Actions"},
		"another audience":        {elsewhere, "github", "GitHub Actions"},
		"gitlab":                  {env(t, "SIGSTORE_ID_TOKEN="+jwt(nil)), "gitlab", "GitLab CI"},
		"gitlab, as id_tokens":    {env(t, "PEDIGREE_TOKEN="+jwt(nil)), "gitlab:PEDIGREE_TOKEN", "GitLab CI"},
		"kubernetes":              {inPod, "kubernetes", "Kubernetes"},
		"kubernetes, elsewhere":   {env(t), "kubernetes:" + pod, "Kubernetes"},
		"env: a variable":         {env(t, "SIGSTORE_ID_TOKEN="+jwt(nil)), "env", "SIGSTORE_ID_TOKEN"},
		"env: on GitLab":          {env(t, "SIGSTORE_ID_TOKEN="+jwt(nil), "GITLAB_CI=true"), "env", "GitLab CI"},
		"env: on GitHub":          {env(t, actions...), "env", "GitHub Actions"},
		"env: in a pod":           {inPod, "env", "Kubernetes"},
		"env: said over detected": {env(t, append(actions, "SIGSTORE_ID_TOKEN="+jwt(nil))...), "env", "SIGSTORE_ID_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := tt.platform.From(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := source(t.Context())
			if err == nil {
				err = tok.Check(noon, tt.platform.Audience)
			}
			if err != nil || !strings.Contains(tok.Origin, tt.origin) {
				t.Errorf("got %v from %q, %v", tok, tok.Origin, err)
			}
		})
	}
	if asked.Load() != 3 {
		t.Errorf("the runner was asked %d times, want 3", asked.Load())
	}
}

// Kubernetes replaces the file, and the runner gives a new token each time.
func TestTokensAreLookedAtAnew(t *testing.T) {
	name := file(t, jwt(nil))
	source, err := env(t).From(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{subject, "another"} {
		if err := os.WriteFile(name, []byte(jwt(map[string]any{"sub": sub})), 0o600); err != nil {
			t.Fatal(err)
		}
		if tok, err := source(t.Context()); err != nil || tok.Subject != sub {
			t.Errorf("got %v, %v, want %s", tok, err, sub)
		}
	}
}

func TestNoTokens(t *testing.T) {
	pod := file(t, jwt(nil))
	both := env(t, "ACTIONS_ID_TOKEN_REQUEST_URL=https://runner.example", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s")
	both.Projected = pod
	for name, tt := range map[string]struct {
		platform keyless.Platform
		from     string
		says     string
	}{
		"no file":                {env(t), "nowhere/token", "cannot be read"},
		"a folder":               {env(t), t.TempDir(), "cannot be read"},
		"an empty file":          {env(t), file(t, ""), "it is empty"},
		"gitlab, not set":        {env(t), "gitlab", "should hold the token of GitLab CI"},
		"gitlab, empty":          {env(t, "SIGSTORE_ID_TOKEN="), "gitlab", "should hold"},
		"github, no permission":  {env(t), "github", "offers no identity token"},
		"github, no secret":      {env(t, "ACTIONS_ID_TOKEN_REQUEST_URL=https://runner.example"), "github", "offers no identity token"},
		"github, in the open":    {env(t, "ACTIONS_ID_TOKEN_REQUEST_URL=http://runner.example", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s"), "github", "does not lead to a runner"},
		"kubernetes, none":       {env(t), "kubernetes", "cannot be read"},
		"env, nothing":           {env(t), "env", "no platform offers an identity token here"},
		"env, two of them":       {both, "env", "two platforms"},
		"env, a broken variable": {env(t, "SIGSTORE_ID_TOKEN=x"), "env", "not an identity token"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := tt.platform.From(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			_, err = source(t.Context())
			wants(t, err, attest.CodeToken, tt.says)
		})
	}
	for _, from := range []string{jwt(nil), "github:x", "env:", "gitlab:", "kubernetes:"} {
		if _, err := env(t).From(from); attest.RefusalCode(err) != attest.CodeUsage || strings.Contains(err.Error(), canary) {
			t.Errorf("From(%.20q) = %v", from, err)
		}
	}
}

func TestRunnerAnswersOddly(t *testing.T) {
	answers := hostile(t)
	for name, tt := range answers {
		t.Run(name, func(t *testing.T) {
			where, asked := serve(t, tt.answer)
			source, err := env(t, "ACTIONS_ID_TOKEN_REQUEST_URL="+where, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner-secret").From("github")
			if err != nil {
				t.Fatal(err)
			}
			_, err = source(t.Context())
			wants(t, err, tt.code, "GitHub Actions")
			if strings.Contains(err.Error(), "runner-secret") {
				t.Errorf("the runner's secret in %v", err)
			}
			if asked.Load() != tt.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), tt.asked)
			}
		})
	}
	t.Run("no token as a token", func(t *testing.T) {
		where, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"value":"secret"}`) })
		source, err := env(t, "ACTIONS_ID_TOKEN_REQUEST_URL="+where, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s").From("github")
		if err != nil {
			t.Fatal(err)
		}
		_, err = source(t.Context())
		wants(t, err, attest.CodeToken, "not an identity token")
	})
}

// A provider is an issuer that people sign in to: discovery, and codes for tokens.
type provider struct {
	url       string
	challenge string // of the code that is out
	nonce     string
	discovery func(url string) string
	token     http.HandlerFunc // nil is the usual one
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		fmt.Fprint(w, p.discovery(p.url))
	case "/token":
		if p.token != nil {
			p.token(w, r)
			return
		}
		if r.FormValue("code") != "the-code" || r.FormValue("client_id") != "sigstore" || challengeOf(r.FormValue("code_verifier")) != p.challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"access_token":"x","id_token":%q}`, jwt(map[string]any{"iss": p.url, "nonce": p.nonce, "email": "alice@acme.example", "email_verified": true}))
	default:
		http.NotFound(w, r)
	}
}

func described(url string) string {
	return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, url, url+"/auth?tenant=1", url+"/token")
}

// browser is a person who signs in: it goes where it is sent, and comes back with this.
func (p *provider) browser(t *testing.T, back func(q url.Values) url.Values) func(string) {
	return func(where string) {
		u, err := url.Parse(where)
		if err != nil || !strings.HasPrefix(where, p.url+"/auth?tenant=1&") {
			t.Errorf("sent to %s, %v", where, err)
			return
		}
		q := u.Query()
		p.challenge, p.nonce = q.Get("code_challenge"), q.Get("nonce")
		if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || !strings.Contains(q.Get("scope"), "openid") {
			t.Errorf("sent to %s", where)
		}
		go func() {
			r, err := http.Get(q.Get("redirect_uri") + "?" + back(q).Encode())
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}()
	}
}

func TestSignIn(t *testing.T) {
	usual := func(q url.Values) url.Values { return url.Values{"code": {"the-code"}, "state": {q.Get("state")}} }
	for name, tt := range map[string]struct {
		change func(*provider)
		back   func(url.Values) url.Values
		code   attest.Code // "" for a token
		says   string
	}{
		"a person signs in": {},
		"the person refuses": {back: func(q url.Values) url.Values {
			return url.Values{"error": {"access_denied"}, "error_description": {"not today"}, "state": {q.Get("state")}}
		}, code: attest.CodeSignRefused, says: "not today"},
		"another issuer's description": {change: func(p *provider) {
			p.discovery = func(string) string { return described("https://accounts.example") }
		}, code: attest.CodeSignService, says: "calls itself"},
		"an endpoint in the open": {change: func(p *provider) {
			p.discovery = func(u string) string {
				return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":"http://accounts.example/token"}`, u, u+"/auth")
			}
		}, code: attest.CodeSignService, says: "endpoint"},
		"a description that is none": {change: func(p *provider) { p.discovery = func(string) string { return "<html>" } }, code: attest.CodeSignService, says: "does not describe an issuer"},
		"no token": {change: func(p *provider) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"access_token":"x"}`) }
		}, code: attest.CodeSignService, says: "without an identity token"},
		"a token of another sign-in": {change: func(p *provider) {
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"id_token":%q}`, jwt(map[string]any{"nonce": "other"}))
			}
		}, code: attest.CodeToken, says: "another sign-in"},
		"a no that repeats the code": {change: func(p *provider) {
			p.token = func(w http.ResponseWriter, r *http.Request) { http.Error(w, "bad "+r.FormValue("code"), 400) }
		}, code: attest.CodeSignRefused, says: "bad …"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{discovery: described}
			p.url, _ = serve(t, p.ServeHTTP)
			if tt.change != nil {
				tt.change(p)
			}
			if tt.back == nil {
				tt.back = usual
			}
			tok, err := keyless.SignIn{Issuer: p.url, Net: quick, Show: p.browser(t, tt.back)}.Token(t.Context())
			if tt.code != "" {
				wants(t, err, tt.code, tt.says)
				return
			}
			if err == nil {
				err = tok.Check(noon, "")
			}
			if err != nil || tok.Who() != "alice@acme.example" {
				t.Errorf("got %v, %v", tok, err)
			}
		})
	}
}

// Whoever else reaches the port on this machine cannot end the sign-in with a code of
// their own.
func TestSignInWaitsForItsOwnAnswer(t *testing.T) {
	p := &provider{discovery: described}
	p.url, _ = serve(t, p.ServeHTTP)
	show := func(where string) {
		u, _ := url.Parse(where)
		back := u.Query().Get("redirect_uri")
		for _, wrong := range []string{"?code=mallorys&state=wrong", "?code=mallorys", "/../x?code=mallorys"} {
			r, err := http.Get(back + wrong)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusBadRequest {
				t.Errorf("%s was answered with %s", wrong, r.Status)
			}
		}
		p.browser(t, func(q url.Values) url.Values { return url.Values{"code": {"the-code"}, "state": {q.Get("state")}} })(where)
	}
	if tok, err := (keyless.SignIn{Issuer: p.url, Net: quick, Show: show}).Token(t.Context()); err != nil || tok.Email == "" {
		t.Errorf("got %v, %v", tok, err)
	}
}

package keyless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// variable is where build systems put a token for Sigstore, by convention.
	variable = "SIGSTORE_ID_TOKEN"

	// projected is where Kubernetes puts a service account's token that is made out to
	// Sigstore, if the pod says so; cosign looks there too.
	projected = "/var/run/sigstore/cosign/oidc-token"

	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN" // #nosec G101 -- the name of a variable
)

// A Platform is where this runs, as far as tokens go.
type Platform struct {
	Getenv   func(name string) (value string, set bool)
	Audience string // whom the token is to be made out to; "" is DefaultAudience
	Net      Net
	// Projected is where Kubernetes puts a token; "" is where cosign looks too.
	Projected string
}

// From returns a source of tokens by its name:
//
//	env          whatever of the following is there, if it is one
//	github       GitHub Actions: the runner is asked for a token
//	gitlab       GitLab CI: the variable SIGSTORE_ID_TOKEN, or gitlab:VARIABLE as the
//	             job's id_tokens name it
//	kubernetes   a projected service account token, or kubernetes:PATH
//	anything else, a file that holds a token
//
// Nothing is looked at yet; what is wrong with the name is E_USAGE.
func (p Platform) From(name string) (TokenSource, error) {
	switch word, rest, named := strings.Cut(name, ":"); {
	case IsToken(name):
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--identity-token", Why: "a token on the command line can be read by everybody on this machine, who can sign with it",
			Next: "write it to a file that only you can read, or set " + variable + " and say env"}
	case word == "env" && !named:
		return p.ambient, nil
	case word == "github" && !named:
		return p.github, nil
	case word == "gitlab" && (!named || rest != ""):
		if !named {
			rest = variable
		}
		return p.fromVariable(rest, "GitLab CI", "add to the job: id_tokens: {"+rest+": {aud: "+p.audience()+"}}"), nil
	case word == "kubernetes" && (!named || rest != ""):
		if !named {
			rest = p.projected()
		}
		return fromFile(rest, "Kubernetes", "project a service account token with the audience "+p.audience()+" there"), nil
	case named && (word == "env" || word == "github" || word == "gitlab" || word == "kubernetes"):
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--identity-token", Why: fmt.Sprintf("%.80q names no source of tokens", name), Next: "say FILE, env, github, gitlab[:VARIABLE] or kubernetes[:PATH]"}
	}
	return fromFile(name, "the file "+attest.Printable(name), "name the file that holds the token"), nil
}

func (p Platform) audience() string {
	if p.Audience == "" {
		return DefaultAudience
	}
	return p.Audience
}

func (p Platform) projected() string {
	if p.Projected == "" {
		return projected
	}
	return p.Projected
}

// ambient takes the one source that there is. A token in the variable comes first:
// somebody put it there for this. Of several others none is taken: which identity
// signs is not for chance to say.
func (p Platform) ambient(ctx context.Context) (Token, error) {
	if v, ok := p.Getenv(variable); ok && v != "" {
		origin := "the variable " + variable
		if ci, _ := p.Getenv("GITLAB_CI"); ci == "true" {
			origin = "GitLab CI"
		}
		return p.fromVariable(variable, origin, "")(ctx)
	}
	_, github := p.Getenv(githubURL)
	_, err := os.Lstat(p.projected())
	kubernetes := err == nil
	switch {
	case github && kubernetes:
		return Token{}, &attest.Refusal{Code: attest.CodeToken, Why: "there are tokens of two platforms here, GitHub Actions and Kubernetes", Next: "say which: --identity-token github, or --identity-token kubernetes"}
	case github:
		return p.github(ctx)
	case kubernetes:
		return fromFile(p.projected(), "Kubernetes", "")(ctx)
	}
	return Token{}, &attest.Refusal{Code: attest.CodeToken, Why: "no platform offers an identity token here: looked for " + variable + ", GitHub Actions (" + githubURL + ") and " + p.projected(),
		Next: "on GitHub give the job permissions: {id-token: write}; elsewhere name a file"}
}

func (p Platform) fromVariable(name, origin, next string) TokenSource {
	return func(context.Context) (Token, error) {
		v, ok := p.Getenv(name)
		if !ok || v == "" {
			return Token{}, &attest.Refusal{Code: attest.CodeToken, About: name, Why: "the variable is not set, and should hold the token of " + origin, Next: next}
		}
		return ParseToken(v, origin)
	}
}

func fromFile(name, origin, next string) TokenSource {
	return func(context.Context) (Token, error) {
		no := func(why string) (Token, error) {
			return Token{}, &attest.Refusal{Code: attest.CodeToken, About: name, Why: why, Next: next}
		}
		f, err := os.Open(name) // #nosec G304 -- the user named it
		if err != nil {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return no("the identity token cannot be read: " + err.Error())
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
		if err != nil {
			return no("the identity token cannot be read")
		}
		return ParseToken(string(b), origin)
	}
}

// github asks the runner for a token (GitHub's documentation, "OpenID Connect in
// GitHub Actions"): a GET with the runner's own secret, answered by {"value": TOKEN}.
func (p Platform) github(ctx context.Context) (Token, error) {
	const origin = "GitHub Actions"
	where, _ := p.Getenv(githubURL)
	secret, _ := p.Getenv(githubToken)
	if where == "" || secret == "" {
		return Token{}, &attest.Refusal{Code: attest.CodeToken, About: githubURL, Why: "GitHub Actions offers no identity token here", Next: "give the job permissions: {id-token: write}; pull requests from forks cannot have it"}
	}
	if err := CheckURL(where, true); err != nil {
		return Token{}, &attest.Refusal{Code: attest.CodeToken, About: githubURL, Why: "the variable does not lead to a runner", Err: err}
	}
	u, err := url.Parse(where)
	if err != nil {
		return Token{}, err // unreachable: CheckURL parsed it
	}
	q := u.Query()
	q.Set("audience", p.audience())
	u.RawQuery = q.Encode()
	r := request{
		who: origin, method: http.MethodGet, url: u.String(), again: true, secret: secret,
		header: http.Header{"Authorization": {"Bearer " + secret}, "Accept": {"application/json; api-version=2.0"}},
	}
	answer, err := p.Net.ask(ctx, r)
	if err != nil {
		return Token{}, hint(err, "give the job permissions: {id-token: write}")
	}
	v, err := strictjson.Parse(answer, maxAnswer)
	if value := text(v, "value"); err == nil && value != "" {
		return ParseToken(value, origin)
	}
	return Token{}, r.unavailable("answers with something that is no token", nil)
}

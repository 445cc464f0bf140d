package cli

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
)

// identitySigners signs as whoever a token names: one that a platform gives, or that a
// person gets by signing in.
func (a *app) identitySigners(s signing, services keyless.Config) (signers, error) {
	tokens := a.signIn(s, services.Issuer)
	switch {
	case s.inline && keyless.IsToken(s.token):
		tokens = func(context.Context) (keyless.Token, error) { return keyless.ParseToken(s.token, "the command line") }
	case s.token != "":
		var err error
		if tokens, err = (keyless.Platform{Getenv: a.getenv, Audience: s.clientID}).From(s.token); err != nil {
			return nil, err
		}
	}
	id := &keyless.Identity{
		Tokens: tokens, Authority: keyless.Fulcio{URL: services.Authority}, Audience: s.clientID, Now: a.Now,
		Note: func(t keyless.Token) {
			a.note("identity token from %s: %s, valid for %s; %s certifies it, and may publish that", attest.Printable(t.Origin), attest.Printable(t.String()), holds(t.Expires.Sub(a.Now())), attest.Printable(services.Authority))
		},
	}
	return id.Signer, nil
}

// signIn has a person sign in, each time a token is needed.
func (a *app) signIn(s signing, issuer string) keyless.TokenSource {
	in := keyless.SignIn{Issuer: issuer, ClientID: s.clientID, Show: func(url string) {
		// Asked for, so it is printed with -q too.
		verb := "sign in at"
		if !s.noBrowser && openBrowser(url) {
			verb = "a browser was opened; sign in there, or at"
		}
		fmt.Fprintf(a.Stderr, "%s\n  %s\n", verb, attest.Printable(url))
	}}
	return in.Token
}

// openBrowser opens a URL in the person's browser, if there is one.
func openBrowser(url string) bool {
	command := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	// #nosec G204 -- the URL was checked to be one, and no shell reads it
	c := exec.Command(command[0], append(command[1:], url)...)
	if err := c.Start(); err != nil {
		return false
	}
	go c.Wait() //nolint:errcheck // nobody waits for a browser
	return true
}

// holds writes a short time for people.
func holds(d time.Duration) string {
	if d < time.Minute {
		return d.Truncate(time.Second).String()
	}
	return d.Truncate(time.Minute).String()[:len(d.Truncate(time.Minute).String())-len("0s")]
}

package cli

import (
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/keyless"
)

// services says which services are used: those of the signing config, and in place
// of each kind those that flags name. Nothing is asked unless it was named: no public
// service is assumed.
func (a *app) services(s *signing) (keyless.Config, error) {
	var out keyless.Config
	if s.config != "" {
		b, err := readFile(s.config, keyless.MaxConfig)
		if err != nil {
			return out, &attest.Refusal{Code: attest.CodeUsage, About: s.config, Why: "the signing config cannot be read", Err: cause(err)}
		}
		if out, err = keyless.ParseConfig(b, a.Now()); err != nil {
			return out, about(s.config, err)
		}
	}
	if s.fulcio != "" {
		out.Authority = s.fulcio
	}
	if s.issuer != "" {
		out.Issuer = s.issuer
	}
	if len(s.logs) > 0 {
		out.Logs = s.logs
	}
	if len(s.timestamps) > 0 {
		out.Timestamps = s.timestamps
	}
	return out, checkServices(s, out)
}

// checkServices refuses what could not be signed so that anybody could verify it, and
// names that are none, before somebody is asked.
func checkServices(s *signing, c keyless.Config) error {
	const config = ", or the signing config of the instance: --signing-config FILE"
	switch {
	case s.keyless() && c.Authority == "":
		return &attest.Refusal{Code: attest.CodeUsage, Why: "which authority certifies the identity?", Next: "name it: --fulcio URL" + config}
	case s.oidc && c.Issuer == "":
		return &attest.Refusal{Code: attest.CodeUsage, About: "--oidc", Why: "where is it signed in?", Next: "name the issuer: --oidc-issuer URL" + config}
	case s.key == "" && len(c.Timestamps) == 0:
		return &statusError{exitUsage, &attest.Refusal{Code: attest.CodeTimeMissing, About: s.who()[0], Why: "nobody says when it is signed, and the certificate is over before anybody verifies it", Next: "name a timestamp authority: --timestamp URL" + config}}
	}
	if s.keyless() {
		if err := keyless.CheckURL(c.Authority, true); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, url := range slices.Concat(c.Timestamps, c.Logs) {
		if err := keyless.CheckURL(url, false); err != nil {
			return err
		}
		if seen[url] {
			return usage("%s is named twice; two words of one witness count once", url)
		}
		seen[url] = true
	}
	return nil
}

// tellPublic says what becomes public, before it does.
func (a *app) tellPublic(c keyless.Config) {
	var places []string
	for _, url := range c.Logs {
		places = append(places, attest.Printable(url))
	}
	if len(places) > 0 {
		a.note("public, for good: %s records who signs and a hash of what is signed", strings.Join(places, " and "))
	}
}

package keyless

import (
	"errors"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/pedigree-ml/pedigree/attest"
)

// MaxConfig bounds a signing config. Sigstore's own has about 3 KiB.
const MaxConfig = 1 << 20

// A Config says which services an instance of Sigstore offers.
type Config struct {
	Authority  string   // Fulcio's URL; "" if there is none
	Issuer     string   // where people sign in; "" if nowhere
	Logs       []string // Rekor v2
	Timestamps []string
}

// ParseConfig reads a Sigstore signing config, version 0.2 (protobuf-specs,
// sigstore_trustroot.proto, SigningConfig), and chooses the services that are valid
// at a time: the newest authority, and of logs and timestamp authorities as many as
// the config's selectors say, of different operators. Where the selector says any,
// chance chooses, so that all are used. What is listed and cannot be chosen is an
// error, E_USAGE: a signature with fewer witnesses than the instance wants would be
// found out only later, by whoever verifies it.
func ParseConfig(b []byte, at time.Time) (Config, error) {
	no := func(why string, err error) (Config, error) {
		return Config{}, &attest.Refusal{Code: attest.CodeUsage, Why: "the signing config " + why, Err: err}
	}
	if len(b) > MaxConfig {
		return no("is longer than any", nil)
	}
	c, err := root.NewSigningConfigFromJSON(b)
	if err != nil {
		return no("cannot be read", errors.New(clip(err.Error())))
	}
	var out Config
	if all := c.FulcioCertificateAuthorityURLs(); len(all) > 0 {
		s, err := root.SelectService(all, []uint32{1}, at)
		if err != nil {
			return no("lists no certificate authority that is used now", err)
		}
		out.Authority = s.URL
	}
	if all := c.OIDCProviderURLs(); len(all) > 0 {
		s, err := root.SelectService(all, []uint32{1}, at)
		if err != nil {
			return no("lists no place to sign in that is used now", err)
		}
		out.Issuer = s.URL
	}
	if all := c.RekorLogURLs(); len(all) > 0 {
		chosen, err := root.SelectServices(all, c.RekorLogURLsConfig(), []uint32{2}, at)
		if err != nil {
			return no("lists no transparency log of version 2 that is used now, or fewer than it asks for; version 1 is not written to", err)
		}
		out.Logs = urls(chosen)
	}
	if all := c.TimestampAuthorityURLs(); len(all) > 0 {
		chosen, err := root.SelectServices(all, c.TimestampAuthorityURLsConfig(), []uint32{1}, at)
		if err != nil {
			return no("lists no timestamp authority that is used now, or fewer than it asks for", err)
		}
		out.Timestamps = urls(chosen)
	}
	return out, nil
}

func urls(services []root.Service) []string {
	var out []string
	for _, s := range services {
		out = append(out, s.URL)
	}
	return out
}

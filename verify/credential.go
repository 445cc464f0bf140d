package verify

import (
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// ParseCredential reads the one spelling of a credential, as statuses list it. It
// returns false, and the zero Credential, for a text that no credential has.
func ParseCredential(s string) (Credential, bool) {
	c := Credential{name: s}
	if name, ok := strings.CutPrefix(s, "key:"); ok {
		if d, err := attest.ParseDigest(name); err != nil || d.IsCommit() {
			return Credential{}, false
		}
		return c, true
	}
	i, ok := c.Identity()
	if !ok || i.Issuer == "" || i.Subject == "" || IdentityCredential(i) != c {
		return Credential{}, false
	}
	return c, true
}

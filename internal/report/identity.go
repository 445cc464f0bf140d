package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Who shows whose signature it is, for people. Letters that could pass for others are
// written out, and nothing is cut: see [attest.ASCII].
func Who(s string) string { return attest.ASCII(s) }

// About shows what a message is about: an identity as [Who] does, and whatever else it
// is, a file say, with all of its letters.
func About(s string) string {
	if c, ok := verify.ParseCredential(s); ok {
		// What holds nothing but ASCII may be written out already.
		if i, ok := c.Identity(); ok && strings.Contains(i.Issuer, "://") && strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) {
			return Who(s)
		}
	}
	return clean(s)
}

// TrustName names a trust file: "trust acme version 3 sha256:…".
func TrustName(name string, version int, d attest.Digest) string {
	s := "trust"
	if name != "" {
		s += " " + name
	}
	if version > 0 {
		s += fmt.Sprintf(" version %d", version)
	}
	return s + " " + d.String()
}

// A Claim is one thing that an authority copied from the signer's token into the
// certificate, with its name for people.
type Claim struct{ Name, Value string }

// ClaimsOf lists what a certificate claims, in the order in which people ask.
func ClaimsOf(c trust.Claims) []Claim {
	var out []Claim
	for _, x := range []Claim{
		{"repository", c.SourceRepository}, {"ref", c.SourceRef}, {"commit", c.SourceDigest}, {"trigger", c.BuildTrigger},
		{"runner", c.RunnerEnvironment}, {"build signer", c.BuildSigner}, {"build signer commit", c.BuildSignerDigest},
		{"build config", c.BuildConfig}, {"build config commit", c.BuildConfigDigest},
		{"owner", c.SourceOwner}, {"visibility", c.SourceVisibility}, {"run", c.RunInvocation},
		{"repository id", c.SourceID}, {"owner id", c.SourceOwnerID},
	} {
		if x.Value != "" {
			out = append(out, x)
		}
	}
	return out
}

// seenText says beside a claimed time when an authority saw the signature; "" if none
// did, which with plain keys is the rule.
func seenText(at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return " (seen " + when(*at) + ")"
}

// isIdentity tells identities from keys.
func isIdentity(credential string) bool {
	c, ok := verify.ParseCredential(credential)
	_, named := c.Identity()
	return ok && named
}

// identities lists who signed what counts, and when somebody else saw it; but for plain
// keys whose times nobody authenticated.
func (p *printer) identities(v *policy.Verdict) {
	type line struct {
		who   policy.Item
		items []policy.Item
	}
	var lines []*line
	for _, item := range v.Evidence {
		if len(item.Steps) == 0 || !isIdentity(item.Credential) && item.Seen == nil {
			continue
		}
		i := slices.IndexFunc(lines, func(l *line) bool { return l.who.Credential == item.Credential && l.who.Principal == item.Principal })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{who: item})
		}
		lines[i].items = append(lines[i].items, item)
	}
	if len(lines) == 0 {
		return
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return strings.Compare(a.who.Principal, b.who.Principal) })
	p.section("Signed as")
	for _, l := range lines {
		p.wrap("  "+clean(l.who.Principal)+"  ", 4, plain, Who(l.who.Credential))
		for _, item := range l.items {
			claimed := "no time claimed"
			if item.Claimed != nil {
				claimed = "claimed " + when(*item.Claimed)
			}
			seen := "seen by nobody"
			if item.Seen != nil {
				seen = "seen " + when(*item.Seen)
			}
			p.wrap("    ", 6, dim, fmt.Sprintf("%s %s: %s, %s", clean(strings.Join(item.Steps, ", ")), item.Payload.Short(), claimed, seen))
		}
	}
}

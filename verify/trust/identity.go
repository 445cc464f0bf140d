package trust

import (
	"cmp"
	"strings"
)

// An Identity is a certificate's holder: who the issuer of its token, or its SPIFFE
// trust domain, says that it is. Both parts are compared byte by byte.
type Identity struct {
	// Issuer is the OIDC issuer that Fulcio saw, and of an X.509-SVID the trust domain
	// as "spiffe://DOMAIN". No OIDC issuer begins with spiffe://.
	Issuer string `json:"issuer"`
	// Subject is the subject alternative name: a URI, an email address, a name, and of
	// an X.509-SVID the SPIFFE id.
	Subject string `json:"subject"`
}

// IsZero reports whether i is nobody.
func (i Identity) IsZero() bool { return i == Identity{} }

// IsSPIFFE reports whether the identity is of a SPIFFE trust domain.
func (i Identity) IsSPIFFE() bool { return strings.HasPrefix(i.Issuer, spiffeScheme) }

// String returns the one spelling: "ISSUER SUBJECT", and of a SPIFFE identity its id.
func (i Identity) String() string {
	if i.IsSPIFFE() {
		return i.Subject
	}
	return i.Issuer + " " + i.Subject
}

// Compare orders identities by issuer, then subject.
func (i Identity) Compare(j Identity) int {
	return cmp.Or(strings.Compare(i.Issuer, j.Issuer), strings.Compare(i.Subject, j.Subject))
}

const spiffeScheme = "spiffe://"

// Claims are what the authority copied from the signer's token into the certificate
// (Fulcio's OIDs under 1.3.6.1.4.1.57264.1): which build, of which source. Empty
// means that the certificate does not say. They are comparable.
type Claims struct {
	BuildSigner       string `json:"buildSignerURI,omitempty"`
	BuildSignerDigest string `json:"buildSignerDigest,omitempty"`
	RunnerEnvironment string `json:"runnerEnvironment,omitempty"`
	SourceRepository  string `json:"sourceRepository,omitempty"`
	SourceDigest      string `json:"sourceDigest,omitempty"`
	SourceRef         string `json:"sourceRef,omitempty"`
	SourceID          string `json:"sourceRepositoryID,omitempty"`
	SourceOwner       string `json:"sourceOwner,omitempty"`
	SourceOwnerID     string `json:"sourceOwnerID,omitempty"`
	BuildConfig       string `json:"buildConfigURI,omitempty"`
	BuildConfigDigest string `json:"buildConfigDigest,omitempty"`
	BuildTrigger      string `json:"trigger,omitempty"`
	RunInvocation     string `json:"runInvocation,omitempty"`
	SourceVisibility  string `json:"sourceVisibility,omitempty"`
}

// A Rule says which identities are meant. The zero Rule means nobody.
type Rule struct {
	Issuer  string // exact
	Subject string // exact, or a pattern
	// Pattern says that Subject is a pattern over the whole string: * stands for any
	// run of characters but a slash, ** for any run; everything else for itself.
	Pattern bool
	Claims  Claims // what is not "" must be equal in the certificate
}

// Names reports whether the rule means an identity, whatever its certificate claims.
func (r Rule) Names(i Identity) bool {
	if r.Issuer == "" || r.Subject == "" || r.Issuer != i.Issuer {
		return false
	}
	if r.Pattern {
		return matches(r.Subject, i.Subject)
	}
	return r.Subject == i.Subject
}

// Matches reports whether the rule means an identity with these claims.
func (r Rule) Matches(i Identity, c Claims) bool {
	return r.Names(i) && r.Claims.within(c)
}

// within reports whether every claim of c is, equal, in d.
func (c Claims) within(d Claims) bool {
	for i, want := range c.all() {
		if *want != "" && *want != *d.all()[i] {
			return false
		}
	}
	return true
}

// all returns the fields in their order.
func (c *Claims) all() []*string {
	return []*string{
		&c.BuildSigner, &c.BuildSignerDigest, &c.RunnerEnvironment, &c.SourceRepository, &c.SourceDigest, &c.SourceRef, &c.SourceID,
		&c.SourceOwner, &c.SourceOwnerID, &c.BuildConfig, &c.BuildConfigDigest, &c.BuildTrigger, &c.RunInvocation, &c.SourceVisibility,
	}
}

// Compare orders claims field by field.
func (c Claims) Compare(d Claims) int {
	for i, a := range c.all() {
		if n := strings.Compare(*a, *d.all()[i]); n != 0 {
			return n
		}
	}
	return 0
}

// matches holds a whole string against a pattern. It takes time proportional to the
// product of the lengths at worst; both are bounded where they are read.
func matches(pattern, s string) bool {
	// star is where to go on in the pattern after the last wildcard, and next which
	// end of what that stands for is tried next; deep is the same for the last **,
	// to which it falls back when a * cannot grow over a slash.
	type mark struct{ pattern, s int }
	star, deep := mark{-1, 0}, mark{-1, 0}
	p, i := 0, 0
	for {
		switch {
		case strings.HasPrefix(pattern[p:], "**"):
			p += 2
			deep, star = mark{p, i}, mark{-1, 0}
			continue
		case p < len(pattern) && pattern[p] == '*':
			p++
			star = mark{p, i}
			continue
		case p == len(pattern) && i == len(s):
			return true
		case p < len(pattern) && i < len(s) && pattern[p] == s[i]:
			p, i = p+1, i+1
			continue
		}
		switch {
		case star.pattern >= 0 && star.s < len(s) && s[star.s] != '/':
			star.s++
			p, i = star.pattern, star.s
		case deep.pattern >= 0 && deep.s < len(s):
			deep.s++
			p, i = deep.pattern, deep.s
			star = mark{-1, 0}
		default:
			return false
		}
	}
}

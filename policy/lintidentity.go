package policy

import (
	"net/netip"
	"net/url"
	"strings"
)

// maxCompared bounds how many patterns are compared with each other: comparing two
// takes time with the product of their lengths, and nobody reads the findings on more.
const maxCompared = 200

// identities looks at whom the policy's identities mean beyond those that its author
// thought of. What means anybody at all does not load.
func (l *linter) identities() {
	d := l.d
	if d.identities() && d.trust.IsZero() {
		l.advise(l.in.key("principals"), "trust-unpinned", "pin the trust file: trust: sha256:…, as pedigree trust show prints it",
			"the policy names identities, and who has them is said by whatever trust file the one who asks chooses")
	}
	for _, p := range d.principals {
		for _, c := range p.credentials {
			if !c.isKey() {
				l.identity(c)
			}
		}
	}
	for i, c := range d.patterns[:min(len(d.patterns), maxCompared)] {
		for _, o := range d.patterns[:i] {
			if o.owner != c.owner && c.meet(o) {
				l.warn(c.pos, "overlapping-patterns", "narrow one of them: what both match counts for neither",
					"a signature may be both %s's and %s's (line %d)", c.owner.name, o.owner.name, o.pos.line)
			}
		}
	}
}

func (l *linter) identity(c *credential) {
	if u, err := url.Parse(c.rule.Issuer); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		l.warn(l.in.at(c.pos, "issuer"), "plain-issuer", "use an issuer with https",
			"%s is not encrypted: whoever is between it and the certificate authority can be anybody", c.rule.Issuer)
	}
	if !c.rule.Pattern {
		return
	}
	pos := l.in.at(c.pos, "subjectPattern")
	if isSPIFFE(c.rule) {
		pos = l.in.at(c.pos, "spiffePattern")
	}
	s := c.rule.Subject
	if _, rest, ok := strings.Cut(s, "://"); ok {
		if _, path, _ := strings.Cut(rest, "/"); path == "*" || strings.HasPrefix(path, "**") || strings.HasPrefix(path, "*/") {
			l.warn(pos, "wide-identity", "name the account, namespace or folder that is meant", "%s means everybody of that site or trust domain", s)
		}
	}
	if i := strings.LastIndex(s, "@"); i >= 0 && anyRef(s[i+1:]) && c.rule.Claims.SourceRef == "" && strings.Contains(s[:i], "/") {
		l.warn(pos, "any-ref", "name the branch or the tags that are protected, or ask for sourceRef",
			"%s takes whatever branch or tag: whoever can push one decides what runs there", s)
	}
	if strings.Contains(s, ".*") {
		l.warn(pos, "regular-expression", "write * or ** alone, if any characters were meant",
			"%s is no regular expression: .* stands for a dot and then any characters", s)
	}
}

// anyRef reports whether the end of a workflow's name means every branch, every tag or
// every pull request.
func anyRef(ref string) bool {
	for _, all := range []string{"*", "refs/*", "refs/heads/*", "refs/tags/*", "refs/pull/*"} {
		if ref == all || ref == all+"*" {
			return true
		}
	}
	return strings.HasPrefix(ref, "refs/pull/") || strings.HasPrefix(ref, "**/")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

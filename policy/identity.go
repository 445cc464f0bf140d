package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// What the text of an identity must look like: everything that two people, or two
// programs, may read differently is refused, because an identity is a comparison of
// bytes that somebody did with their eyes.

// maxIdentity bounds an issuer, a subject and a claim. Certificates hold URIs of a
// few hundred characters; SPIFFE ids have at most 2,048.
const maxIdentity = 2048

// plainIdentity reports whether both parts of an identity are printable ASCII: what
// is not looks like something that it isn't, and no pattern means it.
func plainIdentity(i trust.Identity) bool { return plainText(i.Issuer) && plainText(i.Subject) }

func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// escaped shows a text so that nothing in it can be taken for something else.
func escaped(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:most], "")) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// punycode finds labels of host names that stand for letters beyond ASCII.
var punycode = regexp.MustCompile(`(?i)(^|[/.@])xn--`)

// wrongText returns why a text cannot be part of an identity; "" if it can.
func wrongText(s string) string {
	switch {
	case len(s) > maxIdentity:
		return fmt.Sprintf("has %d characters, at most %d are read", len(s), maxIdentity)
	case !plainText(s):
		return escaped(s) + " holds characters beyond printable ASCII, which look like others"
	case strings.TrimSpace(s) != s:
		return escaped(s) + " begins or ends with a space"
	case punycode.MatchString(s):
		return escaped(s) + " has a host name in punycode (xn--), which is shown as letters that look like others"
	}
	return ""
}

// wrongIssuer returns why a text is no OIDC issuer.
func wrongIssuer(s string) string {
	if why := wrongText(s); why != "" {
		return why
	}
	if strings.HasPrefix(s, spiffeScheme) {
		return escaped(s) + " is a SPIFFE trust domain; write spiffe: or spiffePattern:"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return escaped(s) + " is no URL; an issuer is one like https://token.actions.githubusercontent.com, compared whole"
	case strings.Contains(s, "*"):
		return escaped(s) + " holds a *; an issuer is compared whole"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return escaped(s) + " holds a user, a query or a fragment, which no issuer has"
	case u.Host != strings.ToLower(u.Host) || strings.ContainsAny(s, ` \`):
		return escaped(s) + " is not written as issuers are: lower-case host, no spaces, no backslashes"
	}
	return ""
}

// wrongSubject returns why a text is no exact subject.
func wrongSubject(s string) string {
	if why := wrongText(s); why != "" {
		return why
	}
	if strings.Contains(s, "*") {
		return escaped(s) + " holds a *, which would stand for itself; a pattern is subjectPattern"
	}
	if strings.HasPrefix(s, spiffeScheme) {
		return escaped(s) + " is a SPIFFE id; write spiffe:, without an issuer"
	}
	return ""
}

// wrongPattern returns why a text is no pattern for subjects, or means too much.
func wrongPattern(s string) string {
	if why := wrongText(s); why != "" {
		return why
	}
	if strings.HasPrefix(s, spiffeScheme) {
		return escaped(s) + " is for SPIFFE ids; write spiffePattern:, without an issuer"
	}
	if why := wrongWildcards(s); why != "" {
		return why
	}
	head := s
	if i := strings.Index(s, "://"); i >= 0 {
		rest := s[i+len("://"):]
		host, path, slash := strings.Cut(rest, "/")
		head = s[:len(s)-len(path)]
		if first, _, _ := strings.Cut(path, "/"); slash && strings.Contains(first, "*") && slices.Contains(publicHosts[:], host) {
			return escaped(s) + " means everybody on " + host + ": anybody can have an account there"
		}
	} else if user, domain, email := strings.Cut(s, "@"); email && !strings.Contains(s, "/") {
		if head = domain; strings.Contains(user, "**") {
			return escaped(s) + " has ** where * is enough: no address holds a slash"
		}
	} else {
		head = s[:1]
	}
	if strings.Contains(head, "*") {
		return escaped(s) + " has a wildcard in its scheme or host, or begins with one: anybody could have such a name"
	}
	return ""
}

// wrongWildcards returns what is wrong with a pattern, whatever it is for.
func wrongWildcards(s string) string {
	switch {
	case !strings.Contains(s, "*"):
		return escaped(s) + " has no wildcard, so it is no pattern: * stands for any run of characters but a slash, ** for any"
	case strings.Contains(s, "***"):
		return escaped(s) + " has three * in a row; * stands for any run of characters but a slash, ** for any"
	case strings.ContainsAny(s, `\^$|()[]{}?`):
		return escaped(s) + ` is no regular expression: the whole text is compared, and every character but * stands for itself`
	case strings.Trim(s, "*/:@.-_") == "":
		return escaped(s) + " is only wildcards: anybody could have such a name"
	}
	return ""
}

// publicHosts are where anybody can have an account, and with it a name.
var publicHosts = [...]string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "huggingface.co", "agent.buildkite.com", "codefresh.io", "accounts.google.com"}

var (
	spiffeDomain  = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)
	spiffeSegment = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

// wrongSPIFFE returns why a text is no SPIFFE id of a workload, or no pattern for
// some (SPIFFE ID standard, section 2).
func wrongSPIFFE(s string, pattern bool) string {
	if why := wrongText(s); why != "" {
		return why
	}
	rest, ok := strings.CutPrefix(s, spiffeScheme)
	domain, path, slash := strings.Cut(rest, "/")
	switch {
	case !ok || !spiffeDomain.MatchString(domain):
		return escaped(s) + " is no SPIFFE id: spiffe://, a trust domain in lower case, without wildcards, and a path"
	case !slash || path == "":
		return escaped(s) + " names a trust domain and no workload in it"
	case !pattern && strings.Contains(s, "*"):
		return escaped(s) + " holds a *; a pattern is spiffePattern"
	}
	if pattern {
		if why := wrongWildcards(s); why != "" {
			return why
		}
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." || !spiffeSegment.MatchString(strings.ReplaceAll(segment, "*", "x")) {
			return escaped(s) + " is no SPIFFE id: segments of letters, digits, -, _ and ., none empty"
		}
	}
	return ""
}

// spiffeRule returns the rule for a SPIFFE id or a pattern for some.
func spiffeRule(s string, pattern bool) trust.Rule {
	domain, _, _ := strings.Cut(strings.TrimPrefix(s, spiffeScheme), "/")
	return trust.Rule{Issuer: spiffeScheme + domain, Subject: s, Pattern: pattern}
}

// intersect reports whether some text matches two patterns. It takes time
// proportional to the product of the lengths.
func intersect(a, b string) bool {
	x, y := tokens(a), tokens(b)
	// some[i][j]: the patterns from token i and j on have a text in common.
	some := make([][]bool, len(x)+1)
	for i := range some {
		some[i] = make([]bool, len(y)+1)
	}
	for i := len(x); i >= 0; i-- {
		for j := len(y); j >= 0; j-- {
			wildX, wildY := i < len(x) && x[i].wild, j < len(y) && y[j].wild
			switch {
			case i == len(x) && j == len(y):
				some[i][j] = true
			case wildX && wildY:
				some[i][j] = some[i+1][j] || some[i][j+1]
			case wildX:
				some[i][j] = some[i+1][j] || j < len(y) && x[i].takes(y[j].char) && some[i][j+1]
			case wildY:
				some[i][j] = some[i][j+1] || i < len(x) && y[j].takes(x[i].char) && some[i+1][j]
			case i < len(x) && j < len(y):
				some[i][j] = x[i].char == y[j].char && some[i+1][j+1]
			}
		}
	}
	return some[0][0]
}

// A token is one character of a pattern, or a wildcard.
type token struct {
	char byte
	wild bool
	deep bool // ** and not *
}

func (t token) takes(c byte) bool { return t.deep || c != '/' }

func tokens(pattern string) []token {
	var out []token
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			out = append(out, token{wild: true, deep: true})
			i++
		case pattern[i] == '*':
			out = append(out, token{wild: true})
		default:
			out = append(out, token{char: pattern[i]})
		}
	}
	return out
}

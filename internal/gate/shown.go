package gate

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxSearched bounds what is searched for credentials: a name of a megabyte is none, and
// searching takes longer than judging. The longest that tools put before an @ are tokens
// of two or three KiB; one whose @ is cut off would be shown.
const maxSearched = 8 << 10

// Shown returns a text from outside as it may stand in logs and answers: on one line, of
// at most most bytes, and without what looks like credentials. It takes out too much
// rather than too little: references and URLs are written by people and tools that put
// passwords into them, and messages by whoever answered upstream.
func Shown(s string, most int) string {
	if len(s) <= most && harmless(s) {
		return s
	}
	return cleaned(s, most)
}

func cleaned(s string, most int) string {
	s = Clip(s, maxSearched)
	if strings.ContainsAny(s, "@? ") {
		s = withoutSecrets(s)
	}
	return Clip(attest.Printable(s), most)
}

// harmless reports whether cleaning would change nothing about a short text, as it does
// not about nearly all of them: there are ten in each decision.
func harmless(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c > '~', c == '?', c == '\\':
			return false
		case c == '@' && !strings.HasPrefix(s[i+1:], "sha256:"):
			return false
		}
	}
	return true
}

// Clip cuts s to at most most bytes, between characters, and says that it did.
func Clip(s string, most int) string {
	const dots = "…"
	if len(s) <= most {
		return s
	}
	n := max(0, most-len(dots))
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + dots
}

var (
	// words are what a reference or URL cannot go beyond.
	words = regexp.MustCompile("[^\\x00-\\x20\"'<>`]+")
	// queries sign or authorise what they stand behind.
	queries = regexp.MustCompile(`([^\s?])\?\S*`)
	// schemes of the Authorization header, and what follows them.
	schemes = regexp.MustCompile(`(?i)\b(bearer|basic)\s+\S+`)
)

// withoutSecrets takes userinfo and queries out of URLs and references, and what follows
// the names of authentication schemes.
func withoutSecrets(s string) string {
	if strings.Contains(s, "@") {
		s = words.ReplaceAllStringFunc(s, withoutUserinfo)
	}
	s = queries.ReplaceAllString(s, "$1…")
	return schemes.ReplaceAllString(s, "$1 …")
}

// withoutUserinfo takes out of one word what stands before an @ that no digest follows.
func withoutUserinfo(w string) string {
	at := -1
	for i := range len(w) {
		if w[i] == '@' && !strings.HasPrefix(w[i+1:], "sha256:") && !strings.HasPrefix(w[i+1:], "gitCommit:") {
			at = i
		}
	}
	if at < 0 {
		return w
	}
	before := w[:at]
	if i := strings.Index(before, "://"); i >= 0 {
		return w[:i+3] + "…" + w[at:]
	}
	if strings.Contains(before, ":") {
		return "…" + w[at:]
	}
	return w // a person's address has no password
}

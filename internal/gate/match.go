package gate

import (
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// The ends of patterns. A pattern has no other wildcard: who reads a configuration
// must see at once which repositories it opens.
const (
	oneLevel  = "/*"  // every repository directly in it
	allLevels = "/**" // every repository below it
)

// Matches reports whether one of patterns names r. A pattern is a repository
// (HOST/PATH or ocidir://FOLDER), HOST/PATH/* for those one level below it, or
// HOST/PATH/** for all below it; none of the two names HOST/PATH itself. What
// CheckPattern refuses matches nothing, and neither do no patterns.
func Matches(patterns []string, r attest.Repository) bool {
	if r.IsZero() {
		return false
	}
	for _, p := range patterns {
		if matches(p, r) {
			return true
		}
	}
	return false
}

// matches compares text: a repository has one spelling, and so have its parts.
func matches(pattern string, r attest.Repository) bool {
	if r.IsLayout() {
		p, err := attest.ParseRepository(pattern) // a folder's name is cleaned: ocidir://./a is ocidir://a
		return err == nil && p == r
	}
	if base, ok := strings.CutSuffix(pattern, allLevels); ok {
		return isBase(base) && below(base, r.Name()) != ""
	}
	if base, ok := strings.CutSuffix(pattern, oneLevel); ok {
		rest := below(base, r.Name())
		return isBase(base) && rest != "" && !strings.Contains(rest, "/")
	}
	return pattern == r.Name()
}

// below returns what follows base and a slash in name, and "" if name is not below it.
func below(base, name string) string {
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		return ""
	}
	rest, ok = strings.CutPrefix(rest, "/")
	if !ok {
		return ""
	}
	return rest
}

// isBase reports whether s has a host: /** alone, or **/models, would open every host
// that a tenant can think of.
func isBase(s string) bool {
	return s != "" && !strings.Contains(s, "*") && s[0] != '/'
}

// CheckPattern refuses what is no pattern of repositories, see Matches.
func CheckPattern(pattern string) error {
	base, deep := strings.CutSuffix(pattern, allLevels)
	if !deep {
		base = strings.TrimSuffix(pattern, oneLevel)
	}
	probe := pattern
	if base != pattern {
		probe = base + "/a" // HOST/* names a host, which is no repository
	}
	r, err := attest.ParseRepository(probe)
	if err == nil && (base == pattern || !r.IsLayout()) {
		return nil
	}
	return &attest.Refusal{
		Code: attest.CodeUsage, About: attest.Printable(pattern), Why: "no pattern of repositories",
		Next: "write HOST/REPOSITORY, HOST/PATH/* (one level), HOST/PATH/** (all below) or ocidir://FOLDER",
	}
}

// Within reports whether uri is at or below prefix. s3://acme does not contain
// s3://acme-evil: a part of a path is whole.
func Within(uri, prefix string) bool {
	rest, ok := strings.CutPrefix(uri, prefix)
	return ok && uri != "" && prefix != "" &&
		(rest == "" || strings.HasSuffix(prefix, "/") || strings.ContainsRune("/?#", rune(rest[0])))
}

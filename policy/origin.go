package policy

import (
	"fmt"
	"net/url"
	"strings"
)

// An origin is a place that a signer names as where an input came from. It is
// the signer's word: matching compares what is said with what is allowed.
type origin struct{ scheme, host, path string }

// parseOrigin reads an origin as a policy writes it or a statement claims it: a
// URL with scheme and host, and nothing in it that would let one place look like
// another: no user, query, fragment, escapes, backslashes, doubled slashes or
// dot segments. A git reference (@main) may follow the path.
func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return origin{}, fmt.Errorf("%.100q is no URL", s)
	case u.Scheme == "" || u.Host == "" || u.Opaque != "":
		return origin{}, fmt.Errorf("%.100q has no scheme and host", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.ContainsAny(s, "%#?\\ "):
		return origin{}, fmt.Errorf("%.100q has a user, query, fragment or escapes", s)
	case u.Host != strings.ToLower(u.Host) || strings.HasSuffix(u.Host, ".") || !ascii(s):
		return origin{}, fmt.Errorf("%.100q has a second spelling of its host", s)
	case strings.ContainsAny(s, "*[]{}"):
		return origin{}, fmt.Errorf("%.100q has characters that are wildcards elsewhere; an origin is matched as it is", s)
	}
	path := u.Path
	if strings.HasPrefix(u.Scheme, "git") {
		path, _, _ = strings.Cut(path, "@")
	}
	if strings.Contains(path, "@") {
		return origin{}, fmt.Errorf("%.100q has an @ in its path", s)
	}
	for part := range strings.SplitSeq(strings.Trim(u.Path, "/"), "/") {
		if part == "." || part == ".." || part == "" && strings.Trim(u.Path, "/") != "" {
			return origin{}, fmt.Errorf("%.100q has empty or dot segments", s)
		}
	}
	if strings.HasPrefix(path, "//") || strings.HasSuffix(path, "//") {
		return origin{}, fmt.Errorf("%.100q has empty segments", s)
	}
	return origin{u.Scheme, u.Host, strings.TrimSuffix(path, "/")}, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// allows reports whether the claimed place is o or lies under it.
func (o origin) allows(claimed origin) bool {
	return o.scheme == claimed.scheme && o.host == claimed.host &&
		(o.path == claimed.path || strings.HasPrefix(claimed.path, o.path+"/"))
}

func (o origin) String() string { return o.scheme + "://" + o.host + o.path }

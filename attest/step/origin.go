package step

import (
	"net/url"
	"regexp"
	"strings"
)

// The last two are narrower than what git takes: a repository with a stranger
// name is recorded without a URI, by its commit alone.
var (
	// One letter before the colon is a drive on Windows, not a host.
	scpForm  = regexp.MustCompile(`^(?:[^@:/]+@)?([A-Za-z0-9][A-Za-z0-9.-]+):([^:].*)$`)
	plainURI = regexp.MustCompile(`^[a-z+]+://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~+-]+)+$`)
	plainRef = regexp.MustCompile(`^refs/(?:heads|tags)(?:/[A-Za-z0-9._+-]+)+$`)
)

// originURI turns a git remote into the URI under which a policy knows the
// repository: git+https://HOST/PATH, without user, password and ".git". One
// repository has one spelling, and a token in the remote's URL never reaches a
// statement. It returns "" for what is on no host or has no plain spelling.
func originURI(remote string) string {
	remote = strings.TrimSpace(remote)
	if !strings.Contains(remote, "://") {
		m := scpForm.FindStringSubmatch(remote)
		if m == nil {
			return ""
		}
		remote = "ssh://" + m[1] + "/" + strings.TrimLeft(m[2], "/")
	}
	u, err := url.Parse(remote)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return ""
	}
	var scheme, host string
	for _, known := range []struct{ scheme, uri, port string }{
		{"https", "git+https", ":443"}, {"http", "git+http", ":80"}, {"ssh", "git+ssh", ":22"}, {"git+ssh", "git+ssh", ":22"}, {"git", "git", ":9418"},
	} {
		if u.Scheme == known.scheme {
			scheme, host = known.uri, strings.TrimSuffix(strings.ToLower(u.Host), known.port)
		}
	}
	if scheme == "" {
		return ""
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), ".git")
	uri := scheme + "://" + host + path
	if !plainURI.MatchString(uri) {
		return ""
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			return ""
		}
	}
	return uri
}

// withRef appends the branch to a URI, as in git+https://HOST/PATH@refs/heads/main.
// It is a label: the commit alone says which code.
func withRef(uri, ref string) string {
	if uri == "" || !plainRef.MatchString(ref) {
		return uri
	}
	return uri + "@" + ref
}

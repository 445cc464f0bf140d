package oci

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// A guard is the innermost transport. It sends nothing in plain text to another
// machine: neither credentials nor evidence, and not because something answered
// on port 80 when the registry's port 443 was blocked.
type guard struct{ inner http.RoundTripper }

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !isLoopback(req.URL.Hostname()) {
		return nil, &attest.Refusal{Code: attest.CodeRegRedirect, About: req.URL.Host, Why: "plain HTTP is spoken to this machine only"}
	}
	return g.inner.RoundTrip(req)
}

// checkRedirect follows a registry to its storage, and nowhere else: only what is
// being read is redirected, and only a few times. Credentials stay with the
// registry's host; the transport below adds them to no other.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet && first.Method != http.MethodHead:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return &attest.Refusal{Code: attest.CodeRegRedirect, About: first.URL.Host, Why: "redirects without end"}
	}
	return checkHop(first.URL, req.URL)
}

// checkHop refuses to go where a registry must not send us: from TLS to plain
// HTTP, and to addresses that mean something else here than they do there. A
// registry in the world that names 169.254.169.254 asks us to read our own
// machine's secrets for it.
func checkHop(from, to *url.URL) error {
	bad := func(why string) error {
		return &attest.Refusal{Code: attest.CodeRegRedirect, About: from.Host, Why: "points to " + to.Scheme + "://" + to.Host + ": " + why}
	}
	switch {
	case to.Scheme != "https" && to.Scheme != "http":
		return bad("not HTTP")
	case to.Scheme == "http" && from.Scheme != "http":
		return bad("from TLS to plain text")
	case to.User != nil:
		return bad("a user in the address")
	case sameOrigin(from, to):
		return nil
	}
	was, is := reach(from.Hostname()), reach(to.Hostname())
	if is != public && is != was {
		return bad("an address that is not public")
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

func isLoopback(host string) bool { return reach(host) == loopback }

// A scopeOfAddress says from where an address means the same machine.
type scopeOfAddress int

const (
	public    scopeOfAddress = iota // also every name but localhost: who resolves it decides
	loopback                        // this machine
	linkLocal                       // this wire
	private                         // this site
)

// sharedSpace is where providers put what is theirs alone (RFC 6598): one has its
// machines' metadata at 100.100.100.200.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func reach(host string) scopeOfAddress {
	// Resolvers take names in any case, and with the dot of the root.
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return loopback
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		// Top-level domains are not numbers: a host that ends in one is an address
		// in a spelling (decimal, octal, hexadecimal, short) that some resolvers take.
		last := host[strings.LastIndexByte(host, '.')+1:]
		if last != "" && '0' <= last[0] && last[0] <= '9' {
			return linkLocal
		}
		return public
	}
	ip = ip.Unmap()
	switch {
	case ip.IsLoopback() || ip.IsUnspecified():
		return loopback
	case ip.IsLinkLocalUnicast() || ip.IsMulticast():
		return linkLocal
	case ip.IsPrivate() || sharedSpace.Contains(ip):
		return private
	}
	return public
}

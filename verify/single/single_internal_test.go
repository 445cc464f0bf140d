package single

import (
	"crypto"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// sigstore-go compares the first of a certificate's names; a second one would be
// an identity that nobody asked about.
func TestOneIdentity(t *testing.T) {
	u := []*url.URL{{Scheme: "https", Host: "example.test"}}
	for name, c := range map[string]struct {
		cert *x509.Certificate
		want attest.Code
	}{
		"a key":                {nil, ""},
		"a URL":                {&x509.Certificate{URIs: u}, ""},
		"an address":           {&x509.Certificate{EmailAddresses: []string{"a@example.test"}}, ""},
		"nobody":               {&x509.Certificate{}, attest.CodeIdentity},
		"two URLs":             {&x509.Certificate{URIs: append(u, u...)}, attest.CodeIdentity},
		"a URL and an address": {&x509.Certificate{URIs: u, EmailAddresses: []string{"a@example.test"}}, attest.CodeIdentity},
		"a URL and a host":     {&x509.Certificate{URIs: u, DNSNames: []string{"example.test"}}, attest.CodeIdentity},
		"a URL and an IP":      {&x509.Certificate{URIs: u, IPAddresses: []net.IP{net.IPv4zero}}, attest.CodeIdentity},
	} {
		if got := attest.RefusalCode((&entity{certificate: c.cert}).oneIdentity()); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is kept in memory has a limit; what is only hashed has none.
func TestKeptContentIsBounded(t *testing.T) {
	for content, want := range map[string]attest.Code{"12345678": "", "123456789": attest.CodeLimit} {
		m, err := read(strings.NewReader(content), crypto.SHA256, 8)
		if got := attest.RefusalCode(err); got != want || err == nil && string(m.content) != content {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
		if m, err := read(strings.NewReader(content), crypto.SHA384, 0); err != nil || m.content != nil || m.digest != attest.SHA256([]byte(content)) || len(m.sum) != 48 {
			t.Errorf("%q, hashed only: %+v, %v", content, m, err)
		}
	}
}

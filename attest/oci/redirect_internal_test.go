package oci

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestCheckHop(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{"https://reg.example/v2/", "https://reg.example/x", true},
		{"https://reg.example/v2/", "https://storage.example/x?sig=1", true},
		{"https://reg.example/v2/", "https://8.8.8.8/x", true},
		{"https://10.0.0.1/v2/", "https://10.0.0.2/x", true}, // a site's own
		{"http://127.0.0.1:5000/v2/", "http://127.0.0.1:9000/x", true},
		{"https://reg.example/v2/", "http://reg.example/x", false},
		{"https://reg.example/v2/", "http://storage.example/x", false},
		{"https://reg.example/v2/", "ftp://storage.example/x", false},
		{"https://reg.example/v2/", "https://u:p@storage.example/x", false},
		{"https://reg.example/v2/", "https://169.254.169.254/latest/meta-data", false},
		{"https://reg.example/v2/", "https://[::ffff:169.254.169.254]/", false},
		{"https://reg.example/v2/", "https://[fe80::1]/", false},
		{"https://reg.example/v2/", "https://127.0.0.1/", false},
		{"https://reg.example/v2/", "https://localhost:8443/", false},
		{"https://reg.example/v2/", "https://0.0.0.0/", false},
		{"https://reg.example/v2/", "https://10.0.0.1/", false},
		{"https://reg.example/v2/", "https://2852039166/", false}, // 169.254.169.254 in decimal
		{"https://reg.example/v2/", "https://0x7f.1/", false},
		{"https://10.0.0.1/v2/", "https://127.0.0.1/", false},
		// Other spellings of the same, which resolvers take.
		{"https://reg.example/v2/", "https://LOCALHOST:8443/", false},
		{"https://reg.example/v2/", "https://localhost.:8443/", false},
		{"https://reg.example/v2/", "https://x.LocalHost./", false},
		{"https://reg.example/v2/", "https://127.0.0.1./", false},
		{"https://reg.example/v2/", "https://169.254.169.254./latest/meta-data", false},
		{"https://reg.example/v2/", "https://100.100.100.200/latest/meta-data", false}, // a cloud's, of RFC 6598
		{"https://reg.example/v2/", "https://STORAGE.example./x", true},
	} {
		from, err := url.Parse(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		err = checkHop(from, to)
		if (err == nil) != tt.ok || err != nil && attest.RefusalCode(err) != attest.CodeRegRedirect {
			t.Errorf("%s to %s: %v", tt.from, tt.to, err)
		}
	}
}

func TestNextLink(t *testing.T) {
	for header, want := range map[string]string{
		`</a>; rel="next"`: "/a", `</a>;rel=next`: "/a", `</a>; title="x"; REL="prev next"`: "/a",
		`</a>; rel="prev", </b?x=1,2>; rel="next"`: "/b?x=1,2", `</a>; rel="prev"`: "", `</a`: "", ``: "", `rel="next"`: "",
	} {
		if got := nextLink(http.Header{"Link": {header}}); got != want {
			t.Errorf("%s gives %q, want %q", header, got, want)
		}
	}
}

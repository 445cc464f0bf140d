package attest

import (
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	digest := "@" + aaaa
	for in, want := range map[string]string{
		"ghcr.io/acme/credit":                 "",
		"ghcr.io/acme/credit:v1":              "",
		"ghcr.io/acme/credit" + digest:        "",
		"ghcr.io/acme/credit:v1" + digest:     "",
		"localhost/a":                         "",
		"127.0.0.1:5000/a/b__c:latest":        "",
		"[::1]:5000/a:b":                      "",
		"ocidir://layout":                     "",
		"ocidir:///abs/dir:tag" + digest:      "",
		"ocidir://./layout//x/":               "ocidir://layout/x",
		"ocidir://a:b/c":                      "",
		"ocidir://..:tag":                     "",
		"host.test/x@gitCommit:" + aaaa[7:47]: "",
	} {
		r, err := ParseReference(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if want == "" {
			want = in
		}
		if r.String() != want {
			t.Errorf("%s is written %s, want %s", in, r, want)
		}
		at := r.Repository.At(SHA256(nil))
		if again, err := ParseReference(at.String()); err != nil || again != at {
			t.Errorf("%s does not come back: %v", at, err)
		}
	}
	r, err := ParseRepository("ocidir://layout")
	if err != nil || !r.IsLayout() || r.Name() != "layout" || r.IsZero() {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestReferenceRefusals(t *testing.T) {
	for in, want := range map[string]Code{
		"":                                    CodeReference,
		"credit":                              CodeReference,
		"acme/credit":                         CodeReference, // no host: which registry?
		"ghcr.io":                             CodeReference,
		"ghcr.io/":                            CodeReference,
		"GHCR.io/acme/credit":                 CodeReference,
		"ghcr.io./acme/credit":                CodeReference,
		"ghcr..io/acme/credit":                CodeReference,
		"ghcr.io:0/a":                         CodeReference,
		"ghcr.io:/a":                          CodeReference,
		"ghcr.io/Acme/credit":                 CodeReference,
		"ghcr.io/acme/../credit":              CodeReference,
		"ghcr.io/acme//credit":                CodeReference,
		"ghcr.io/acme/credit/":                CodeReference,
		"ghcr.io/acme/credit:":                CodeReference,
		"ghcr.io/acme/credit:-x":              CodeReference,
		"ghcr.io/acme/credit:a b":             CodeReference,
		"ghcr.io/acme/credit\n":               CodeReference,
		"https://ghcr.io/acme/credit":         CodeReference,
		"ghcr.io/a@sha256:aa":                 CodeDigestFormat,
		"ghcr.io/a@":                          CodeDigestFormat,
		"ghcr.io/a@md5:aa":                    CodeDigestAlg,
		"ghcr.io/a@" + strings.ToUpper(aaaa):  CodeDigestAlg,
		"me@ghcr.io/a":                        CodeDigestFormat,
		"ocidir://":                           CodeReference,
		"ocidir://:tag":                       CodeReference,
		"ocidir://a\x00b":                     CodeReference,
		"ocidir://a@b@" + aaaa:                CodeReference,
		"ocidir://a:b:tag":                    CodeReference,
		"ghcr.io/" + strings.Repeat("a", 256): CodeReference,
		strings.Repeat("a", maxReference+1):   CodeReference,
	} {
		r, err := ParseReference(in)
		if RefusalCode(err) != want || r != (Reference{}) {
			t.Errorf("%.60q: got %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"ghcr.io/a:tag", "ghcr.io/a@" + aaaa} {
		_, err := ParseRepository(in)
		refused(t, err, CodeReference)
	}
}

func FuzzParseReference(f *testing.F) {
	f.Add("ghcr.io/acme/credit:v1@" + aaaa)
	f.Add("ocidir://a/../b:tag")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			if r != (Reference{}) || RefusalCode(err) == "" {
				t.Fatalf("a reference with an error, or an error without a code: %v", err)
			}
			return
		}
		if again, err := ParseReference(r.String()); err != nil || again != r {
			t.Fatalf("%q is written %q, which reads as %+v, %v", s, r, again, err)
		}
		if repo, err := ParseRepository(r.Repository.String()); err != nil || repo != r.Repository {
			t.Fatalf("the repository of %q does not come back: %v", s, err)
		}
	})
}

package gate

import (
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, repo string
		want          bool
	}{
		{"ghcr.io/acme/credit", "ghcr.io/acme/credit", true},
		{"ghcr.io/acme/credit", "ghcr.io/acme/credit2", false},
		{"ghcr.io/acme/credit", "ghcr.io/acme/credit/x", false},
		{"ghcr.io/acme/*", "ghcr.io/acme/credit", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/a/b", false},
		{"ghcr.io/acme/*", "ghcr.io/acme", false},
		{"ghcr.io/acme/*", "ghcr.io/acme2/credit", false},
		{"ghcr.io/acme/**", "ghcr.io/acme/credit", true},
		{"ghcr.io/acme/**", "ghcr.io/acme/a/b/c", true},
		{"ghcr.io/acme/**", "ghcr.io/acmee/a", false},
		{"ghcr.io/**", "ghcr.io/acme/a", true},
		{"ghcr.io/**", "ghcr.io.evil.example/acme/a", false},
		{"ghcr.io/*", "ghcr.io/a", true},
		{"ghcr.io/*", "ghcr.io:444/a", false},
		{"ocidir:///models", "ocidir:///models", true},
		{"ocidir:///models/", "ocidir:///models", true},
		{"ocidir:///models", "ocidir:///models/../models", true},
		{"ocidir:///models", "ocidir:///models/x", false},
		// A layout never matches a pattern of a registry, nor the other way about.
		{"ghcr.io/acme/credit", "ocidir://ghcr.io/acme/credit", false},
		{"ghcr.io/**", "ocidir://ghcr.io/acme", false},
		{"ocidir://ghcr.io/acme", "ghcr.io/acme", false},
		// What opens every host opens none.
		{"**", "ghcr.io/a", false},
		{"*", "ghcr.io/a", false},
		{"/**", "ghcr.io/a", false},
		{"**/a", "ghcr.io/a", false},
		{"*/**", "ghcr.io/a", false},
		{"", "ghcr.io/a", false},
	} {
		r, err := attest.ParseRepository(c.repo)
		if err != nil {
			t.Fatal(err)
		}
		if got := Matches([]string{"other.example/x", c.pattern}, r); got != c.want {
			t.Errorf("%q of %s: %v, want %v", c.pattern, c.repo, got, c.want)
		}
		if err := CheckPattern(c.pattern); c.want && err != nil {
			t.Errorf("%q matches and is refused: %v", c.pattern, err)
		}
	}
	if Matches(nil, attest.Repository{}) || Matches([]string{""}, attest.Repository{}) {
		t.Error("the zero repository matches")
	}
}

func TestCheckPattern(t *testing.T) {
	for _, good := range []string{"ghcr.io/a", "ghcr.io/*", "ghcr.io/**", "localhost:5000/a/b/**", "ocidir://models", "ocidir:///srv/models"} {
		if err := CheckPattern(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*", "**", "/*", "/**", "ghcr.io", "acme/*", "ghcr.io/a*", "ghcr.io/*/b", "ghcr.io/**/*", "ghcr.io/a:tag", "GHCR.io/a", "ocidir://a/*", "ocidir://a/**", "https://ghcr.io/a", "ghcr.io/a/***", "ghcr.io/a\n"} {
		if err := CheckPattern(bad); attest.RefusalCode(err) != attest.CodeUsage {
			t.Errorf("%q: %v, want %s", bad, err, attest.CodeUsage)
		}
	}
}

package gate

import (
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"":                                     "",
		"registry.test/x:1":                    "registry.test/x:1",
		"registry.test/x:1@" + d:               "registry.test/x:1@" + d,
		"bob@acme.example":                     "bob@acme.example",
		"see bob:pw@h/x@" + d + " and a@b":     "see …@h/x@" + d + " and a@b",
		`Get "https://u:p@h/x?sig=1": refused`: `Get "https://…@h/x… refused`,
		"write ?timeout=10s, or nothing":       "write ?timeout=10s, or nothing",
		"Authorization: BEARER abc.def next":   "Authorization: BEARER … next",
		"line\nbreak\x1b[2J":                   `line\u{a}break\u{1b}[2J`,
	} {
		if got := Shown(in, 400); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	for _, n := range []int{0, 1, 3, 4, 10, 399} {
		if got := Shown(strings.Repeat("é", 1000), n); len(got) > max(n, len("…")) {
			t.Errorf("%d bytes for at most %d", len(got), n)
		}
	}
}

// Whoever deploys writes what is shown, and a review has many texts.
func BenchmarkShownHostile(b *testing.B) {
	s := strings.Repeat("a:b@c?d basic x ", 1<<16)
	for b.Loop() {
		Shown(s, 300)
	}
}

package gate

import (
	"strings"
	"testing"
)

// What is not cleaned needs no cleaning.
func TestHarmless(t *testing.T) {
	const parts = "ab/.:@?&<>=\\\n\x00\x7f é\u202e"
	for i := range 200_000 {
		var b strings.Builder
		for n := i; n > 0; n /= 20 {
			b.WriteString([]string{"://", "u:p@", "?s=1", " ", "x", "<", ">", "&", "\n", "é", "\u202e", "sha256:", "@", "/", "\x7f", "\x1b", ".", "-", "\\u{3c}", string(parts[n%len(parts)])}[n%20])
		}
		if s := b.String(); harmless(s) && cleaned(s, 400) != s {
			t.Fatalf("%q is let through, and cleaned would be %q", s, cleaned(s, 400))
		}
	}
	if !harmless("registry.example/team/model@sha256:" + strings.Repeat("a", 64)) {
		t.Error("harmless is not what it is for")
	}
}

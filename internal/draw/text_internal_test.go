package draw

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanKeepsTextShortAndPlain(t *testing.T) {
	for in, want := range map[string]string{
		"model":                            "model",
		"a\nb":                             `a\u{a}b`,
		"12345678901":                      "1234567890…",
		"1234567890":                       "1234567890",
		"":                                 "",
		"e\u0301\u0302\u0303":              "e\u0301\u0302\\u{303}",
		strings.Repeat("\n", 10):           `\u{a}\u{a}…`,
		"漢字":                               "漢字",
		"\xff":                             `\u{fffd}`,
		strings.Repeat("x", 10_000_000)[:]: "xxxxxxxxxx…",
	} {
		if got := clean(in, 10); got != want {
			t.Errorf("clean(%.20q) = %q, want %q", in, got, want)
		}
	}
}

func TestFitKeepsBothEnds(t *testing.T) {
	if n := utf8.RuneCountInString(widths); n != 3*95 {
		t.Fatalf("%d digits of widths, want three for each printable character", n)
	}
	long := "registry.example/acme/credit-model:v3-int8"
	got := fit(long, 120, 12)
	if textWidth(got, 12) > 120 || !strings.HasPrefix(got, "registry") || !strings.HasSuffix(got, "int8") || !strings.Contains(got, "…") {
		t.Errorf("%q", got)
	}
	if got := fit("short", 120, 12); got != "short" {
		t.Errorf("%q", got)
	}
	if got := fit(strings.Repeat("W", 10_000), 1, 12); got != "…" {
		t.Errorf("%q", got)
	}
	if textWidth("漢漢", 10) < 20 || textWidth("e\u0301", 10) != textWidth("e", 10) {
		t.Error("widths of other writing")
	}
}

func TestWrapLosesNothingThatFits(t *testing.T) {
	s := "verified under policy credit-prod, version 7, with three keys and no time"
	lines := wrap(s, 150, 12, 9)
	if strings.Join(lines, " ") != s || len(lines) < 3 {
		t.Errorf("%q", lines)
	}
	if got := wrap(s, 150, 12, 2); len(got) != 2 || !strings.Contains(got[1], "…") {
		t.Errorf("%q", got)
	}
	if got := wrap(strings.Repeat("x", 100), 50, 12, 3); len(got) != 1 || !strings.Contains(got[0], "…") {
		t.Errorf("%q", got)
	}
}

func TestSizesAreRead(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

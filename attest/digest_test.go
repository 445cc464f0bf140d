package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	commit := "gitCommit:" + strings.Repeat("0f", 20)
	for _, s := range []string{aaaa, commit, "gitCommit:" + strings.Repeat("0f", 32)} {
		d, err := ParseDigest(s)
		accepted(t, err)
		if d.String() != s || d.Algorithm()+":"+d.Hex() != s || d.IsZero() || d.IsCommit() != strings.HasPrefix(s, "git") {
			t.Errorf("%s reads as %s", s, d)
		}
		b, err := json.Marshal(d)
		accepted(t, err)
		var back Digest
		if err := json.Unmarshal(b, &back); err != nil || back != d {
			t.Errorf("%s does not come back: %v", b, err)
		}
	}
	for in, want := range map[string]Code{
		"": CodeDigestFormat, "sha256": CodeDigestFormat, "sha256:": CodeDigestFormat, ":" + aaaa[7:]: CodeDigestAlg,
		aaaa[:70]: CodeDigestFormat, aaaa + "a": CodeDigestFormat, aaaa + "\n": CodeDigestFormat, " " + aaaa: CodeDigestAlg,
		strings.Replace(aaaa, "aa", "AA", 1): CodeDigestFormat, strings.Replace(aaaa, "6:a", "6:g", 1): CodeDigestFormat,
		"SHA256:" + aaaa[7:]: CodeDigestAlg, "sha512:" + strings.Repeat("a", 128): CodeDigestAlg, "md5:aa": CodeDigestAlg,
		"gitcommit:" + commit[10:]: CodeDigestAlg, "gitCommit:aaaaaaa": CodeDigestFormat, "gitCommit:" + strings.Repeat("a", 41): CodeDigestFormat,
	} {
		d, err := ParseDigest(in)
		if RefusalCode(err) != want || !d.IsZero() {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
		var u Digest
		if in != "" && RefusalCode(u.UnmarshalText([]byte(in))) != want {
			t.Errorf("%q: UnmarshalText does not refuse it", in)
		}
	}
	var zero Digest
	if zero.String() != "" || zero.Short() != "-" || zero.IsCommit() {
		t.Errorf("the zero Digest is %q", zero)
	}
	d, _ := ParseDigest(aaaa)
	if d.Short() != "sha256:aaaaaaaaaaaa" {
		t.Errorf("short form is %s", d.Short())
	}
}

// Compare must order as the spelling does: reports are sorted by it.
func TestDigestCompare(t *testing.T) {
	ds := []Digest{{}, SHA256(nil), SHA256([]byte("a")), SHA256([]byte("b"))}
	for _, n := range []int{20, 32} {
		for _, digit := range []string{"00", "7f", "ff"} {
			d, err := NewDigest("gitCommit", strings.Repeat(digit, n))
			accepted(t, err)
			ds = append(ds, d)
		}
	}
	for _, a := range ds {
		for _, b := range ds {
			if got, want := a.Compare(b), strings.Compare(a.String(), b.String()); got != want {
				t.Errorf("%s against %s: got %d, want %d", a, b, got, want)
			}
		}
	}
	if !slices.IsSortedFunc([]Digest{{}, ds[4], ds[1]}, Digest.Compare) {
		t.Error("the zero Digest, a commit and a SHA-256 are not in that order")
	}
}

func TestSTM26ControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"größe 模型 ok": "größe 模型 ok", "a\nb": `a\u{a}b`, "\x1b[31m": `\u{1b}[31m`, "\x00": `\u{0}`, "\u009b": `\u{9b}`, "\xff": `\u{fffd}`,
		"\u202e": `\u{202e}`, "\u2028": `\u{2028}`, "\u061c": `\u{61c}`, "\u200b": `\u{200b}`, "\ufe0f": `\u{fe0f}`, "\U000e0041": `\u{e0041}`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	hostile := "x\nE_NOTHING: all is well\x1b[2K"
	err := &Refusal{Code: CodeStatement, About: hostile, Why: hostile, Err: errors.New(hostile)}
	if got := err.Error(); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("a message of two lines: %q", got)
	}
	_, parse := ParseStatement([]byte(swap(t, plain, testType, "https://x/\\n\\u001b[2K")))
	refused(t, parse, CodePredicateType)
	if strings.ContainsAny(parse.Error(), "\n\x1b") {
		t.Errorf("a message of two lines: %q", parse)
	}
}

func TestRefusal(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("outer: %w", &Refusal{Code: CodeKey, About: "file", Why: "why", Err: cause})
	if RefusalCode(err) != CodeKey || !errors.Is(err, cause) || err.Error() != "outer: E_KEY file: why: cause" {
		t.Errorf("got %v", err)
	}
	if RefusalCode(cause) != "" || RefusalCode(nil) != "" {
		t.Error("a code out of nothing")
	}
	if RefusalCode(ErrAbsent) != CodeNotFound {
		t.Error("ErrAbsent has no code")
	}
	for _, s := range []string{strings.Repeat("a", 99) + "ü", strings.Repeat("a", 98) + "模型", strings.Repeat("\xff", 200)} {
		if got := Printable(clip(s)); strings.Contains(s, "a") && strings.Contains(got, "fffd") {
			t.Errorf("a character is cut: %s", got)
		}
	}
}

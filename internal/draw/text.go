package draw

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/pedigree-ml/pedigree/attest"
)

// How many characters of what a signer wrote are kept: one line of a tooltip or a
// label for what is drawn, a paragraph for what is read on the page.
const (
	lineRunes      = 160
	paragraphRunes = 2000
)

// maxMarks is how many combining marks one letter may carry: Vietnamese needs two.
// More of them climb over the lines above and below.
const maxMarks = 2

// clean makes data of what a stranger wrote: printable, on one line, and at most n
// characters and an ellipsis.
func clean(s string, n int) string {
	cut := false
	if at := runesEnd(s, n); at < len(s) {
		s, cut = s[:at], true
	}
	s = attest.Printable(s)
	var b strings.Builder
	marks := 0
	for _, r := range s {
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		} else if marks++; marks > maxMarks {
			fmt.Fprintf(&b, "\\u{%x}", r)
			continue
		}
		b.WriteRune(r)
	}
	s = b.String()
	if at := runesEnd(s, n); at < len(s) {
		s, cut = s[:at], true
	}
	if cut {
		s += "…"
	}
	return s
}

// runesEnd returns where the n-th character of s ends, and len(s) if there are fewer.
func runesEnd(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func line(s string) string { return clean(s, lineRunes) }

// whoRunes is how long a signer's name may be in a row; tooltips, and the page, have
// all of it.
const whoRunes = 24

// who makes a row's text of a signer: letters that could pass for others are written
// out, and what is too long is cut where identities are alike, at their beginning, and
// told apart by the beginning of its SHA-256.
func who(s string) string {
	text := attest.ASCII(s)
	if len(text) <= whoRunes {
		return text
	}
	mark := attest.SHA256([]byte(s)).Hex()[:6]
	return mark + "…" + text[len(text)-(whoRunes-len(mark)-1):]
}

// wholeWho is all of a signer's name.
func wholeWho(s string) string { return paragraph(attest.ASCII(s)) }

// widths are those of Arial's printable ASCII, in thousandths of the font's size.
// Nobody knows which font a reader has; most sans-serif ones are within a tenth.
const widths = "" +
	"278278355556556889667191333333389584278278278278" + // space to /
	"556556556556556556556556556556278278584584584556" + // 0 to ?
	"000667667722722667611778722278500667556833722778" + // @ to O
	"667778722667611722667944667667611278278278469556" + // P to _
	"333556556500556556278556556222222500222833556556" + // ` to o
	"556556333500278556500722500500500334260334584" // p to ~

// Widths of what the table does not have, and the reserve for a wider font.
const (
	fullWidth  = 1.0 // Chinese, Japanese, Korean, most emoji
	otherWidth = 0.68
	reserve    = 1.08
)

// textWidth estimates how wide s is at a font size.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch i := 3 * (int(r) - ' '); {
		case r == '@':
			w += 1.015
		case ' ' <= r && r <= '~':
			w += float64(widths[i]-'0')/10 + float64(widths[i+1]-'0')/100 + float64(widths[i+2]-'0')/1000
		case unicode.In(r, unicode.Mn, unicode.Me):
		case wide(r):
			w += fullWidth
		default:
			w += otherWidth
		}
	}
	return w * size * reserve
}

func wide(r rune) bool {
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}

// fit shortens s in its middle until it is at most max wide: the beginnings and the
// ends of names tell them apart.
func fit(s string, max, size float64) string {
	if textWidth(s, size) <= max {
		return s
	}
	runes := []rune(s)
	for keep := min(len(runes)-1, lineRunes); keep > 0; keep-- {
		head := (keep*3 + 4) / 5
		short := string(runes[:head]) + "…" + string(runes[len(runes)-keep+head:])
		if textWidth(short, size) <= max {
			return short
		}
	}
	return "…"
}

// wrap breaks s at spaces into lines at most max wide, and at most n of them.
func wrap(s string, max, size float64, n int) []string {
	var lines []string
	rest := s
	for rest != "" && len(lines) < n-1 && textWidth(rest, size) > max {
		end := 0
		for i, r := range rest {
			if textWidth(rest[:i], size) > max {
				break
			}
			if r == ' ' {
				end = i
			}
		}
		if end == 0 {
			break
		}
		lines, rest = append(lines, rest[:end]), rest[end+1:]
	}
	if rest != "" {
		lines = append(lines, fit(rest, max, size))
	}
	return lines
}

// escaped is s as text or attribute value of XML and HTML.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// count writes "1 record", "2 records".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// size writes a number of bytes as people read it.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 5 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[i])
}

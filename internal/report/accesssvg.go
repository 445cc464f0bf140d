package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const (
	svgWidth, svgLabel, svgRow = 900, 320, 28
	// maxSVGRows bounds how many grants are drawn: more than a thousand nobody tells
	// apart, and the JSON has them all.
	maxSVGRows = 1000
)

// AccessSVG draws when each grant was in force, as a picture that holds no script and
// refers to nothing. The error is the writer's.
func AccessSVG(w io.Writer, a *lineage.AccessAnswer) error {
	var b strings.Builder
	rows := a.Grants[:min(len(a.Grants), maxSVGRows)]
	height := 96 + svgRow*max(1, len(rows))
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`+"\n", svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, "<title>Access of %s</title>\n", escapeXML(a.Artifact.String()))
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	fmt.Fprintf(&b, `<text x="12" y="22" font-weight="bold">%s</text>`+"\n", escapeXML("Access of "+a.Artifact.Short()+" at "+when(a.At)))
	s, lasts := scaleOf(a)
	if !lasts {
		b.WriteString(`<text x="12" y="60">no grant by anybody who is trusted</text>` + "\n</svg>\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	const left, wide = svgLabel, svgWidth - svgLabel - 20
	x := func(at float64) string { return strconv.FormatFloat(left+at*wide, 'f', 1, 64) }
	fmt.Fprintf(&b, `<text x="%d" y="44" fill="#666666" font-size="11">%s</text>`+"\n", left, escapeXML(when(s.first)))
	fmt.Fprintf(&b, `<text x="%d" y="44" fill="#666666" font-size="11" text-anchor="end">%s</text>`+"\n", left+wide, escapeXML(when(s.last)))
	for i, g := range rows {
		y := 56 + svgRow*i
		fmt.Fprintf(&b, "<g><title>%s</title>\n", escapeXML(grantTitle(g)))
		fmt.Fprintf(&b, `<text x="12" y="%d">%d  %s</text>`+"\n", y+15, i+1, escapeXML(shortName(person(g.Principal), 28)+" by "+shortName(Who(g.Signer), 14)))
		box := func(from, to float64, fill string) {
			width := strconv.FormatFloat(max(1, (to-from)*wide), 'f', 1, 64) // what lasts a moment is seen
			fmt.Fprintf(&b, `<rect x="%s" y="%d" width="%s" height="16" fill="%s"/>`+"\n", x(from), y+3, width, fill)
		}
		if !g.NotAfter.IsZero() {
			box(s.at(g.From), s.at(g.NotAfter), "#dddddd")
		}
		for _, span := range g.Spans {
			box(s.at(span.From), s.at(span.To), "#2f7d4f")
		}
		b.WriteString("</g>\n")
	}
	fmt.Fprintf(&b, `<line x1="%s" y1="50" x2="%s" y2="%d" stroke="#b00020" stroke-width="1.5"/>`+"\n", x(s.at(a.At)), x(s.at(a.At)), height-34)
	legend := "green: in force; grey: granted, and not in force; line: the time in question"
	if n := len(a.Grants) - len(rows); n > 0 {
		legend = fmt.Sprintf("%d more grants are not drawn; ", n) + legend
	}
	if !a.Complete() {
		legend += "; not everything could be looked at"
	}
	fmt.Fprintf(&b, `<text x="12" y="%d" fill="#666666" font-size="11">%s</text>`+"\n</svg>\n", height-12, escapeXML(legend))
	_, err := io.WriteString(w, b.String())
	return err
}

// grantTitle is what is shown when somebody points at a grant.
func grantTitle(g lineage.Grant) string {
	text := fmt.Sprintf("%s: for %s, by %s, from %s until %s, statement %s", g.State, Who(g.Principal), Who(g.Signer), when(g.From), when(g.NotAfter), g.Payload)
	if g.Why != "" {
		text += fmt.Sprintf("; %s %s", g.Code, g.Why)
	}
	return text
}

// shortName cuts a name to what there is room for, and keeps apart what would look
// alike then: by the beginning of its SHA-256. The whole of it is in the tooltip.
func shortName(s string, most int) string {
	if r := []rune(s); len(r) > most {
		mark := "…" + attest.SHA256([]byte(s)).Hex()[:6]
		return string(r[:most-len([]rune(mark))]) + mark
	}
	return s
}

// escapeXML makes a signer's text fit for text and attributes of XML: as data, and
// without characters that XML forbids, or that hide or reorder what is seen.
func escapeXML(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0xFFFE || r == 0xFFFF { // which are no characters, and no XML
			return utf8.RuneError
		}
		return r
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(clean(s))
}

package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// accessAnswer has a grant in force with a pause, one that ended, one that cannot be
// read, and names that nobody should believe.
func accessAnswer() *lineage.AccessAnswer {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	d := attest.SHA256([]byte("model"))
	hostile := "<script>alert(1)</script>\"'&\u202e\x1b[31m\x00\uffff\xff"
	return &lineage.AccessAnswer{
		Artifact: d, At: day(11), Known: day(11),
		Given: []lineage.Given{{What: lineage.GivenTool, Name: hostile, Operations: []string{hostile}, Grants: []int{0}}, {What: lineage.GivenTool, Name: "sql", Grants: []int{0}},
			{What: lineage.GivenPath, Name: "/srv", Grants: []int{0}}},
		Grants: []lineage.Grant{
			{Payload: d, Signer: hostile, Principal: hostile, PrincipalKind: predicate.AccessAgent, From: day(1), NotAfter: day(21), GrantedAt: day(1), Reason: hostile, State: lineage.InForce,
				Spans: []lineage.Span{{From: day(1), To: day(6)}, {From: day(11), To: day(21)}}, Chain: []lineage.Link{{Payload: d, Artifact: d, Signer: hostile, Principal: hostile}},
				Taken: []lineage.Taken{{Span: lineage.Span{From: day(6), To: day(11)}, Target: predicate.TargetPayload, Action: predicate.ActionRevoke, By: []string{hostile}, Reason: hostile, Payload: d}}},
			{Payload: d, Signer: "platform", Principal: "p", From: day(1), NotAfter: day(2), GrantedAt: day(1), State: lineage.NotInForce, Code: attest.CodeStale, Why: "it ended " + hostile, Spans: []lineage.Span{{From: day(1), To: day(2)}}},
			{Payload: d, Signer: "platform", State: lineage.NotInForce, Code: attest.CodePredicateSchema, Why: "it cannot be read", Spans: []lineage.Span{}},
		},
		Gaps: []lineage.Gap{{Artifact: d, Code: attest.CodeRegUnavailable}},
	}
}

func TestAccessText(t *testing.T) {
	var b strings.Builder
	if err := report.AccessText(&b, accessAnswer(), true, report.Options{Width: 80, Notes: []string{"a note"}, Unseen: []string{"no answer\x1b"}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 ✓ in force", "2 ✗ not in force", "E_STALE it ended", "3 ✗ not in force, for nobody knows whom", "sql: everything (by 1)", "path    /srv", "revoke of the payload by", "E_REG_UNAVAILABLE there may be more",
		"  1 ██████████████████░░░░░░░░░░░░░░░░░░████████████████████████████████████", "  2 ████\n", "a note"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\x00\u202e") {
		t.Errorf("a terminal would act on\n%q", b.String())
	}
	b.Reset()
	if err := report.AccessText(&b, &lineage.AccessAnswer{}, true, report.Options{}); err != nil || !strings.Contains(b.String(), "nothing: no grant was in force") || strings.Contains(b.String(), "Timeline") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// The picture is XML, holds nothing but shapes and text, and whatever a signer wrote
// is text.
func TestAccessSVG(t *testing.T) {
	many := accessAnswer()
	for range 1100 {
		many.Grants = append(many.Grants, many.Grants[1])
	}
	ends := accessAnswer()
	ends.Grants[0].NotAfter = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	ends.Grants[0].Spans[1].To = ends.Grants[0].NotAfter
	for name, a := range map[string]*lineage.AccessAnswer{"some": accessAnswer(), "none": {Artifact: attest.SHA256(nil)}, "many": many, "for ever": ends} {
		var b strings.Builder
		if err := report.AccessSVG(&b, a); err != nil {
			t.Fatal(err)
		}
		elements := map[string]int{}
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, b.String())
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			elements[e.Name.Local]++
			for _, at := range e.Attr {
				if strings.HasPrefix(at.Name.Local, "on") || strings.Contains(at.Name.Local, "href") || strings.Contains(at.Value, "NaN") || strings.Contains(at.Value, "-") && strings.Contains("x y width height x1 x2 y1 y2", at.Name.Local) {
					t.Errorf("%s: <%s %s=%q>", name, e.Name.Local, at.Name.Local, at.Value)
				}
			}
		}
		for e := range elements {
			if !strings.Contains(" svg title rect text g line ", " "+e+" ") {
				t.Errorf("%s: an element <%s>", name, e)
			}
		}
		if name == "many" && (elements["g"] != 1000 || !strings.Contains(b.String(), "103 more grants are not drawn")) || name == "some" && (elements["g"] != 3 || !strings.Contains(b.String(), "&lt;script&gt;")) {
			t.Errorf("%s: %v\n%.2000s", name, elements, b.String())
		}
	}
}

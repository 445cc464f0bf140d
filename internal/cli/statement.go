package cli

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// statementText writes a statement for people, as JSON that means the same. It
// is written from what the strict reader read: nobody reads a payload twice.
func statementText(s *attest.Statement) string {
	var b strings.Builder
	b.WriteString("{\n  \"_type\": " + quoted(s.Type) + ",\n  \"subject\": [")
	for i, sub := range s.Subjects {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    {")
		if sub.Name != "" {
			b.WriteString("\"name\": " + quoted(sub.Name) + ", ")
		}
		fmt.Fprintf(&b, "\"digest\": {%s: %s}}", quoted(sub.Digest.Algorithm()), quoted(sub.Digest.Hex()))
	}
	b.WriteString("\n  ],\n  \"predicateType\": " + quoted(s.PredicateType) + ",\n  \"predicate\": ")
	if s.Predicate.Kind() == strictjson.Invalid {
		b.WriteString("null")
	} else {
		b.WriteString(strings.ReplaceAll(escaped(string(s.Predicate.Indent())), "\n", "\n  "))
	}
	b.WriteString("\n}\n")
	return b.String()
}

func quoted(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)
	return `"` + escaped(s) + `"`
}

// escaped writes characters that a terminal would act on, hide or reorder as
// JSON escapes: the document stays the same, and the reader sees it.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch c := string(r); {
		case r == '\n' || attest.Printable(c) == c:
			b.WriteString(c)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

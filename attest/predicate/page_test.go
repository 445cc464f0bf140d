package predicate

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

var update = flag.Bool("update", false, "rewrite the tables of the format pages")

func pages() map[string]string {
	return map[string]string{
		"provenance.md": TypeProvenance, "evaluation.md": TypeEvaluation, "approval.md": TypeApproval, "vsa.md": TypeVSA,
		"revocation.md": TypeRevocation, "status.md": TypeStatus, "denylist.md": TypeDenylist, "deployment.md": TypeDeployment, "access.md": TypeAccess,
		"preregistration.md": TypePreregistration, "oms.md": TypeOMS,
	}
}

func page(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "format", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// examples returns the page's JSON blocks.
func examples(t testing.TB, name string) []string {
	t.Helper()
	var out []string
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page(t, name), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("%s has no example", name)
	}
	return out
}

// statement makes a statement of a predicate as a signer would, with nothing
// checked but the statement itself.
func statement(t testing.TB, predicateType, predicate string) *attest.Statement {
	t.Helper()
	payload := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + strings.Repeat("a", 64) + `"}}],"predicateType":"` +
		predicateType + `","predicate":` + predicate + `}`
	s, err := attest.ParseStatement([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPageExamplesDecode(t *testing.T) {
	for name, typ := range pages() {
		for _, example := range examples(t, name) {
			f, err := Decode(statement(t, typ, example))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if f.Claimed.IsZero() == HasTime(typ) {
				t.Errorf("%s: claimed at %v, but HasTime is %v", name, f.Claimed, HasTime(typ))
			}
		}
	}
}

// The tables on the pages are written from the tables that decode.
func TestPageTables(t *testing.T) {
	for name, typ := range pages() {
		fields, ok := Table(typ)
		if !ok {
			t.Fatalf("%s has no table", typ)
		}
		var want strings.Builder
		want.WriteString("<!-- table " + typ + " -->\n\n| field | kind | required | meaning |\n|---|---|---|---|\n")
		rows(&want, "", fields)
		want.WriteString("\n<!-- end -->")
		text := page(t, name)
		block := regexp.MustCompile(`(?s)<!-- table ` + regexp.QuoteMeta(typ) + ` -->.*?<!-- end -->`)
		got := block.FindString(text)
		if got == want.String() {
			continue
		}
		if !*update {
			t.Errorf("%s: the table differs from Table(%q); run go test -update", name, typ)
			continue
		}
		text = block.ReplaceAllLiteralString(text, want.String())
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "format", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func rows(b *strings.Builder, prefix string, fields []Field) {
	for _, f := range fields {
		doc := f.Doc
		if f.OneOf != nil {
			doc += ": `" + strings.Join(f.OneOf, "` or `") + "`"
		}
		required := ""
		if f.Required {
			required = "yes"
		}
		kind, name, inner := describe(f, prefix+f.Name)
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+f.Name, kind, required, doc)
		rows(b, name+".", inner)
	}
}

// describe returns a field's kind for people, the name under which what is in it
// is listed, and what is in it.
func describe(f Field, name string) (kind, inside string, inner []Field) {
	kind = f.Kind.String()
	if f.Closed {
		kind += ", closed"
	}
	switch f.Kind {
	case List:
		k, in, fs := describe(*f.Elem, name+"[]")
		return kind + " of " + k, in, fs
	case Map:
		k, in, fs := describe(*f.Elem, name+".*")
		return kind + " of " + k, in, fs
	}
	return kind, name, f.Fields
}

// A page ends with what the predicate does not claim.
func TestPagesEndWithTheirLimits(t *testing.T) {
	for _, name := range append(slices.Sorted(maps.Keys(pages())), "statement.md", "bundle.md", "standin.md") {
		text := page(t, name)
		last := text[strings.LastIndex(text, "\n## "):]
		if !strings.HasPrefix(last, "\n## What it does not claim\n") {
			t.Errorf("%s does not end with what it does not claim", name)
		}
	}
}

func parsed(t testing.TB, s string) strictjson.Value {
	t.Helper()
	v, err := strictjson.Parse([]byte(s), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

package place

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated parts of docs/gate-places.md")

const page = "../../../docs/gate-places.md"

// generated returns the parts of the page that are made from the code, by name.
func generated() map[string]string {
	apiVersion := func(k kind) string { return "`" + strings.TrimPrefix(k.GroupVersion().String(), "/") + "` " + k.Kind }
	var kinds, nothing, out strings.Builder
	kinds.WriteString("| kind | what stands where | started from here |\n| --- | --- | --- |\n")
	nothing.WriteString("| kind | why it names nothing |\n| --- | --- |\n")
	for _, k := range builtin() {
		if len(k.at) == 0 {
			fmt.Fprintf(&nothing, "| %s | %s |\n", apiVersion(k), k.why)
			continue
		}
		var at []string
		for _, a := range k.at {
			at = append(at, a.form.name+" at `"+a.path+"`")
		}
		runs := "no: what is made of it comes by again"
		if k.runs {
			runs = "yes"
		}
		fmt.Fprintf(&kinds, "| %s | %s | %s |\n", apiVersion(k), strings.Join(at, "; "), runs)
	}
	for i, s := range modelSchemes() {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString("`" + s + "`")
	}
	out.WriteString("\n")
	not := func(reasons map[string]string) string {
		var b strings.Builder
		b.WriteString("| field | why not |\n| --- | --- |\n")
		for _, field := range sortedKeys(reasons) {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimPrefix(field, "."), reasons[field])
		}
		return b.String()
	}
	return map[string]string{
		"kinds": kinds.String(), "nothing": nothing.String(), "schemes": out.String(),
		"not in pods": not(notInPods()), "not in KServe": not(notInKServe()),
	}
}

// The page says what the code does. -update writes it.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	want := text
	for name, part := range generated() {
		begin, end := "<!-- "+name+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(want, begin)
		_, after, ended := strings.Cut(rest, end)
		if !ok || !ended {
			t.Fatalf("the page has no part %q", name)
		}
		want = before + begin + "\n" + part + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("go test ./internal/gate/place -run TestPage -update writes it (-code +page):\n%s", diff)
	}
}

// The forms that the page explains are those of the table.
func TestPageExplainsForms(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var forms []string
	for _, k := range builtin() {
		for _, a := range k.at {
			if !slices.Contains(forms, a.form.name) {
				forms = append(forms, a.form.name)
			}
		}
	}
	for _, f := range forms {
		if !strings.Contains(string(b), "| **"+f+"** |") {
			t.Errorf("the page does not say what is looked at in a %s", f)
		}
	}
}

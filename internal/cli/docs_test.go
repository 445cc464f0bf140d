package cli

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
	"github.com/pedigree-ml/pedigree/policy"
)

var update = flag.Bool("update", false, "rewrite the generated pages")

// page compares a generated page with the one in docs.
func page(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date; run go test ./internal/cli -run Page -update (-want +got):\n%s", file, diff)
	}
}

func TestCommandPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Command line\n\nMade from the commands themselves by `go test ./internal/cli -run Page -update`.\n\n")
	root := new(app).root()
	fmt.Fprintf(&b, "%s\n\n", root.Long)
	b.WriteString("With `--output json` an error is JSON too: `{\"error\": {\"code\", \"about\", \"why\", \"next\"}}`. All codes: [codes.md](codes.md).\n\n")
	b.WriteString("Flags of every command:\n\n")
	flags(&b, root.PersistentFlags())
	b.WriteString("\n`pedigree completion --help` says how to complete commands in your shell.\n")
	commands := 0
	for _, c := range leaves(root) {
		commands++
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n\n%s\n", c.CommandPath(), c.UseLine(), indented(text))
		if c.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteString("\n")
			flags(&b, c.LocalNonPersistentFlags())
		}
		if c.Example != "" {
			fmt.Fprintf(&b, "\nFor example:\n\n```\n%s\n```\n", strings.TrimPrefix(strings.ReplaceAll(c.Example, "\n  ", "\n"), "  "))
		}
	}
	if commands < 13 {
		t.Fatalf("%d commands: some are missing", commands)
	}
	page(t, "../../docs/cli.md", b.String())
}

// leaves returns the commands that do something, in the order of the tree.
func leaves(c *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "completion" || sub.Name() == "help" {
			continue
		}
		visible := leaves(sub)
		if len(visible) == 0 || sub.LocalNonPersistentFlags().HasAvailableFlags() { // attest does something, and holds others
			out = append(out, sub)
		}
		out = append(out, visible...)
	}
	return out
}

// indented fences the tables inside a text, which a terminal shows as they are.
func indented(s string) string {
	var out []string
	fenced := false
	for line := range strings.SplitSeq(s, "\n") {
		if table := strings.HasPrefix(line, "  "); table != fenced {
			fenced = table
			if table {
				out = append(out, "")
			}
			out = append(out, "```")
			if !table && line != "" {
				out = append(out, "")
			}
		}
		out = append(out, strings.TrimPrefix(line, "  "))
	}
	if fenced {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}

func flags(b *strings.Builder, fs *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, use := pflag.UnquoteUsage(f)
		flag := "--" + f.Name
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		if name != "" {
			name = strings.TrimSuffix(name, "Array")
			if name == strings.ToLower(name) { // pflag's name of a type, and not one of ours
				name = strings.ToUpper(name)
			}
			flag += " " + name
		}
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0s" {
			use += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 {
			use += "; **required**"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(flag, "|", "\\|"), strings.ReplaceAll(use, "|", "\\|"))
	})
}

func TestSchemaPage(t *testing.T) {
	b, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	page(t, "../../docs/policy.schema.json", string(b))
}

func TestGateSchemaPage(t *testing.T) {
	b, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	page(t, "../../docs/gate.schema.json", string(b))
}

func TestCodesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Codes

Every refusal carries one of these. They are part of the interface: scripts branch
on them, and none is ever reused for another meaning. Made from the program's own
table by ` + "`go test ./internal/cli -run Page -update`" + `.

The exit status is that of a command which ends with the code. Of ` + "`pedigree verify`" + `
the verdict decides, whatever the codes of its reasons: 0 ALLOW, 1 DENY,
3 UNDECIDED. ` + "`pedigree run`" + ` passes on the command's own status, and has 125 for
what goes wrong beside it.

| code | exit status | means | what to do |
|---|---|---|---|
`)
	rows := codeTable()
	slices.SortFunc(rows, func(x, y codeRow) int { return strings.Compare(string(x.code), string(y.code)) })
	for _, r := range rows {
		// The anchors are where SARIF logs send their readers.
		fmt.Fprintf(&b, "| <a id=%q></a>`%s` | %d | %s | %s |\n", strings.ToLower(string(r.code)), r.code, r.exit, r.meaning, r.next)
	}
	page(t, "../../docs/codes.md", b.String())
}

// Every code of the library is in the table, once, and no other.
func TestCodeTableIsComplete(t *testing.T) {
	declared := map[string]bool{}
	f, err := parser.ParseFile(token.NewFileSet(), "../../attest/refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(l.Value, `"E_`) {
			code, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			declared[code] = true
		}
		return true
	})
	if len(declared) < 40 {
		t.Fatalf("found %d codes in refusal.go: the test reads the wrong file", len(declared))
	}
	listed := map[string]bool{}
	for _, r := range codeTable() {
		if listed[string(r.code)] {
			t.Errorf("%s is in the table twice", r.code)
		}
		listed[string(r.code)] = true
		if !declared[string(r.code)] {
			t.Errorf("%s is in the table, and refusal.go does not declare it", r.code)
		}
		if r.exit < exitDeny || r.exit > exitInternal || r.meaning == "" || r.next == "" {
			t.Errorf("%s: status %d, %q, %q", r.code, r.exit, r.meaning, r.next)
		}
	}
	for code := range declared {
		if !listed[code] {
			t.Errorf("%s has no exit status and no line in the manual", code)
		}
	}
}

func TestUnknownCodeIsInternal(t *testing.T) {
	if got := exitOf(attest.Code("E_NO_SUCH")); got != exitInternal {
		t.Errorf("an unknown code gives %d, want %d", got, exitInternal)
	}
}

// Package arch holds the project's house rules as tests: who may import whom,
// what may decide a verdict, and how large a file grows.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pedigree-ml/pedigree"

// A source is one Go file of the module.
type source struct {
	path   string // relative to the module
	folder string // its package's folder, "" for the root
	test   bool
	lines  int
	file   *ast.File
	set    *token.FileSet
}

// sources parses every Go file of the module, other modules inside it and
// testdata left out.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var out []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != root && (name == "testdata" || strings.HasPrefix(name, ".") || exists(filepath.Join(path, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(rel))
		if folder == "." {
			folder = ""
		}
		out = append(out, source{filepath.ToSlash(rel), folder, strings.HasSuffix(path, "_test.go"), strings.Count(string(text), "\n"), f, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("found %d Go files: the rules would hold for nothing", len(out))
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// within reports whether an import path is that package or lies below it.
func within(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// layers are the module's packages from the lowest up. A package may import its
// own layer and those below.
var layers = [...][]string{
	{"internal/strictjson", "internal/child", "internal/filelock", "internal/filehash", "internal/modelpack", "internal/modelformat", "internal/rows", "internal/strictyaml", "attest"},
	{"verify", "verify/trust", "verify/lineage", "attest/oci", "attest/step", "internal/pkcs11"},
	{"policy"},
	{"internal/report", "internal/summary", "internal/gate", "internal/state", "internal/authority", "internal/spiffeagent", "internal/stampserver", "internal/rehearse", "internal/templates", "internal/index", "internal/draw", "internal/fleet", "internal/storetest", "internal/tufsource", "internal/play"},
	{"internal/cli"},
	{"cmd"},
}

func layer(folder string) int {
	best, length := -1, -1
	for i, names := range layers {
		for _, n := range names {
			if within(folder, n) && len(n) > length {
				best, length = i, len(n)
			}
		}
	}
	return best
}

func TestImportOrder(t *testing.T) {
	checked := 0
	for _, s := range sources(t) {
		from := layer(s.folder)
		if s.test || from < 0 {
			continue
		}
		for _, path := range s.imports() {
			folder, ours := strings.CutPrefix(path, module+"/")
			if to := layer(folder); ours && to > from {
				t.Errorf("%s imports %s, which is above it", s.path, folder)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("%d imports checked: the rule looked at nothing", checked)
	}
}

// What finds evidence and what checks it know nothing of each other: a registry
// client in the verifier would be one more thing that can flip a verdict.
func TestOCIAndVerifyAreApart(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, path := range s.imports() {
			if within(s.folder, "verify") && within(path, module+"/attest/oci") || within(s.folder, "attest/oci") && within(path, module+"/verify") {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

// Graphviz as a library loads machine code from a folder that anybody could have
// made, before main runs, in whatever links it. A main package cannot be imported, so
// where only that one names it, no other program has it.
func TestOnlyTheLayoutProgramLinksGraphviz(t *testing.T) {
	const graphviz = "github.com/goccy/go-graphviz"
	links := 0
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			if !within(path, graphviz) && !within(path, "github.com/tetratelabs/wazero") {
				continue
			}
			if links++; s.path != "cmd/pedigree-layout/main.go" {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
	if links == 0 {
		t.Error("nothing imports it: the rule looked at nothing")
	}
}

// Calling C is what a static program does not do: only what is built with the tag pkcs11
// may, so the library for it stays behind that tag.
func TestHardwareModulesAreBehindTheirTag(t *testing.T) {
	links := 0
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			if path != "github.com/miekg/pkcs11" && path != "C" {
				continue
			}
			links++
			tagged := false
			for _, c := range s.file.Comments {
				tagged = tagged || c.Pos() < s.file.Package && strings.HasPrefix(c.List[0].Text, "//go:build pkcs11")
			}
			if s.folder != "internal/pkcs11" || !tagged {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
	if links == 0 {
		t.Error("nothing imports it: the rule looked at nothing")
	}
}

// forbidden is what a package that can flip a verdict must not import directly:
// what it decides by comes in as values. Do not shorten it to make a build pass.
var forbidden = [...]string{
	"os", "io/ioutil", "net/http", "log", "log/slog", "math/rand", "math/rand/v2",
	"github.com/google/go-containerregistry", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/vbauerster/mpb",
	module + "/attest/oci", module + "/attest/step", module + "/internal/cli", module + "/internal/report",
}

func decides(s source) bool {
	return !s.test && (within(s.folder, "verify") || within(s.folder, "policy"))
}

func TestWhatDecidesImportsNothingOfTheWorld(t *testing.T) {
	files := 0
	for _, s := range sources(t) {
		if !decides(s) {
			continue
		}
		files++
		for _, path := range s.imports() {
			for _, f := range forbidden {
				if within(path, f) {
					t.Errorf("%s imports %s", s.path, path)
				}
			}
		}
	}
	if files < 10 {
		t.Errorf("%d files decide: the rule looked at nothing", files)
	}
}

// calls finds calls of package functions: pkg is the import's path, which in
// these files nobody renames (TestNoRenamedStandardImports).
func calls(s source, found func(pkg, name string, pos token.Position)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil {
				found(id.Name, sel.Sel.Name, s.set.Position(sel.Pos()))
			}
		}
		return true
	})
}

// Libraries never read clock or environment, and never print.
func TestLibrariesAreSilent(t *testing.T) {
	for _, s := range sources(t) {
		library := within(s.folder, "attest") || within(s.folder, "verify") || within(s.folder, "policy") || within(s.folder, "internal/strictjson") || within(s.folder, "internal/report")
		if s.test || !library {
			continue
		}
		calls(s, func(pkg, name string, pos token.Position) {
			bad := pkg == "time" && (name == "Now" || name == "Since" || name == "Until") ||
				pkg == "os" && (name == "Getenv" || name == "LookupEnv" || name == "Environ" || name == "Stdout" || name == "Stderr" || name == "Exit") ||
				pkg == "fmt" && strings.HasPrefix(name, "Print") || pkg == "log"
			if bad && !excepted(s.path, pkg+"."+name) {
				t.Errorf("%s: %s.%s in a library", pos, pkg, name)
			}
		})
	}
}

// excepted lists where a library may look at a clock after all, with the reason.
func excepted(path, call string) bool {
	return slices.Contains([]string{}, path+" "+call)
}

func TestNoRenamedStandardImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err == nil && i.Name != nil && slices.Contains([]string{"time", "os", "fmt", "log"}, path) {
				t.Errorf("%s renames %s, and hides it from the rules here", s.path, path)
			}
		}
	}
}

// An init function runs because a package is linked, not because somebody
// called it.
func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}

func TestPackagesExplainThemselves(t *testing.T) {
	comment := map[string]bool{}
	for _, s := range sources(t) {
		// A package that is only tests explains itself there.
		if _, seen := comment[s.folder]; !seen {
			comment[s.folder] = false
		}
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 40 {
			comment[s.folder] = true
		}
	}
	for folder, ok := range comment {
		if !ok {
			t.Errorf("package %s has no comment that says what it is for", folder)
		}
	}
}

func TestNoDrawerPackages(t *testing.T) {
	for _, s := range sources(t) {
		for part := range strings.SplitSeq(s.folder, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "errors", "misc"}, part) {
				t.Errorf("%s: a package is named for what it does", s.folder)
			}
		}
	}
}

// budget is the length that nine of ten files stay within.
const budget = 400

func TestFilesStaySmall(t *testing.T) {
	var lengths []int
	for _, s := range sources(t) {
		if !s.test {
			lengths = append(lengths, s.lines)
		}
	}
	slices.Sort(lengths)
	p90 := lengths[len(lengths)*9/10]
	t.Logf("%d files; the median has %d lines, nine of ten at most %d, the longest %d", len(lengths), lengths[len(lengths)/2], p90, lengths[len(lengths)-1])
	if p90 > budget {
		t.Errorf("nine of ten files have up to %d lines, want at most %d", p90, budget)
	}
}

// The typed clients of Kubernetes register every type that it has when a program starts,
// whatever the program is then asked for: some milliseconds and megabytes for each
// "pedigree version". What speaks to clusters here does without.
func TestTypedClientsStayOut(t *testing.T) {
	said, err := exec.Command("go", "list", "-deps", "../../cmd/pedigree").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(said))
	if !slices.Contains(deps, "k8s.io/client-go/dynamic") {
		t.Error("the program speaks to no cluster: the rule would hold for nothing")
	}
	for _, d := range deps {
		if within(d, "k8s.io/client-go/kubernetes") || within(d, "k8s.io/client-go/informers") {
			t.Errorf("%s is linked", d)
		}
	}
}

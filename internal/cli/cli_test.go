package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

func run(p Process) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p.Stdin, p.Stderr = strings.NewReader(""), &errs
	if p.Stdout == nil {
		p.Stdout = &out
	}
	status = Run(context.Background(), p)
	return status, out.String(), errs.String()
}

// Only ALLOW is a success, whatever a verdict's zero value or a value that
// nobody has defined yet may be.
func TestOnlyAllowIsASuccess(t *testing.T) {
	for _, o := range []policy.Outcome{policy.Deny, policy.Undecided, policy.Allow + 1, 255} {
		err := answer(o)
		if err == nil {
			t.Fatalf("outcome %d is a success", o)
		}
		var errs bytes.Buffer
		got := (&app{Process: Process{Stdout: io.Discard, Stderr: &errs}}).report(err)
		want := exitDeny
		if o == policy.Undecided {
			want = exitUndecided
		}
		if got != want {
			t.Errorf("outcome %v: status %d, want %d", o, got, want)
		}
	}
	if err := answer(policy.Allow); err != nil {
		t.Errorf("ALLOW is %v, and the cases above prove nothing", err)
	}
}

// The status 0 is written once in the program, and policy.Allow is compared
// with, where an exit status hangs on it, once.
func TestSuccessHasOnePlace(t *testing.T) {
	returns, answers := 0, 0
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ReturnStmt:
				for _, r := range n.Results {
					if id, ok := r.(*ast.Ident); ok && id.Name == "exitOK" {
						returns++
					}
				}
			case *ast.FuncDecl:
				if n.Name.Name == "answer" {
					answers++
				}
			}
			return true
		})
	}
	if returns != 1 || answers != 1 {
		t.Errorf("%d places return success and %d turn a verdict into it, want 1 and 1", returns, answers)
	}
}

// CLI-16: a panic is a bug, and never a yes.
func TestPanicIsInternal(t *testing.T) {
	status, _, stderr := run(Process{Args: []string{"policy", "check", "/nonexistent"}, Now: func() time.Time { return time.Time{} }})
	if status != exitUsage {
		t.Fatalf("the twin without a panic ends with %d, want %d: %s", status, exitUsage, stderr)
	}
	status, _, stderr = run(Process{Args: []string{"version"}, Stdout: panicking{}})
	if status != exitInternal || !strings.Contains(stderr, string(attest.CodeInternal)) {
		t.Errorf("status %d, want %d; %s", status, exitInternal, stderr)
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("a bug\x1b[2J") }

// CLI-16: a result that nobody could read is no success.
func TestUnwritableResult(t *testing.T) {
	if status, _, stderr := run(Process{Args: []string{"version"}}); status != exitOK {
		t.Fatalf("the twin ends with %d: %s", status, stderr)
	}
	for _, w := range []io.Writer{failing{}, short{}} {
		if status, _, stderr := run(Process{Args: []string{"version"}, Stdout: w}); status != exitUndecided || !strings.Contains(stderr, "E_FILE_IO standard output") {
			t.Errorf("%T: status %d, want %d; %s", w, status, exitUndecided, stderr)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

type short struct{}

func (short) Write(b []byte) (int, error) { return len(b) / 2, nil }

func TestInterruptedIsNoSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs bytes.Buffer
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	status := Run(ctx, Process{Args: []string{"push", "ocidir://" + filepath.Join(dir, "reg") + ":m", filepath.Join(dir, "w.bin")}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &errs})
	if status != exitUndecided {
		t.Errorf("status %d, want %d; %s", status, exitUndecided, errs.String())
	}
}

func TestErrorsHaveCodeAndNextStep(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
		exit int
	}{
		"a refusal":          {&attest.Refusal{Code: attest.CodeStale, About: "sha256:ab", Why: "too old", Next: "do it again"}, "pedigree: E_STALE sha256:ab: too old\n  next: do it again\n", exitDeny},
		"a wrapped refusal":  {fmt.Errorf("refusing to sign: %w", attest.Refuse(attest.CodeStatement, "no subject")), "pedigree: E_STATEMENT: refusing to sign: no subject\n", exitDeny},
		"a cause":            {&attest.Refusal{Code: attest.CodeFileIO, About: "x", Err: errors.New("disk on fire")}, "pedigree: E_FILE_IO x: disk on fire\n", exitUndecided},
		"an error of ours":   {errors.New("what?"), "pedigree: E_INTERNAL: what?\n", exitInternal},
		"a cancelled run":    {context.Canceled, "pedigree: E_INTERRUPTED: context canceled\n", exitUndecided},
		"a step's own":       {&statusError{status: 7}, "", 7},
		"a step's lie":       {&statusError{status: 0}, "", exitInternal},
		"a step's refusal":   {&statusError{125, attest.Refuse(attest.CodeFileChanged, "it moved")}, "pedigree: E_FILE_CHANGED: it moved\n", 125},
		"a stranger's lines": {&attest.Refusal{Code: attest.CodeJSON, About: "a\nALLOW", Why: "b\x1b[2J"}, "pedigree: E_JSON a\\u{a}ALLOW: b\\u{1b}[2J\n", exitDeny},
	} {
		var errs bytes.Buffer
		a := &app{Process: Process{Stdout: io.Discard, Stderr: &errs}}
		if got := a.report(c.err); got != c.exit || errs.String() != c.want {
			t.Errorf("%s: status %d and %q, want %d and %q", name, got, errs.String(), c.exit, c.want)
		}
	}
}

// The environment is a list in which the last of several wins.
func TestGetenv(t *testing.T) {
	p := Process{Env: []string{"A=1", "AB=2", "A=3", "EMPTY="}}
	if v, ok := p.getenv("A"); v != "3" || !ok {
		t.Errorf("A is %q, %v", v, ok)
	}
	if v, ok := p.getenv("EMPTY"); v != "" || !ok {
		t.Errorf("EMPTY is %q, %v", v, ok)
	}
	if _, ok := p.getenv("B"); ok {
		t.Error("B is set")
	}
}

// An error in JSON is the only document on standard output, or it is not there.
func TestErrorInJSONIsNoSecondDocument(t *testing.T) {
	for written, want := range map[bool]bool{false: true, true: false} {
		var out bytes.Buffer
		a := &app{Process: Process{Args: []string{"list", "--output", "json"}, Stdout: &resultWriter{w: &out, written: written}, Stderr: io.Discard}}
		a.report(attest.Refuse(attest.CodeRegUnavailable, "the second page did not come"))
		if got := strings.Contains(out.String(), "E_REG_UNAVAILABLE"); got != want {
			t.Errorf("after a result %v: error document %v, want %v", written, got, want)
		}
	}
}

package draw_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
)

// script writes a program of the shell that stands for a layouter.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layouter")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+lines), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a stranger wrote does not reach the layouter: it gets numbers.
func TestTheLayouterSeesNoNames(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	o := options()
	o.Layouters = []string{script(t, fmt.Sprintf("tee '%s' | TMPDIR=$TMPDIR exec '%s' \"$@\"\n", seen, layouter))}
	drawn(t, draw.SVG, drawtest.Hostile(), o)
	text, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	honest := regexp.MustCompile(`^(digraph \{|graph \[[a-zLR0-9=, .]+\];|node \[shape=box, fixedsize=true, label=""\];|edge \[[a-z0-9=, ]+\];|n\d+ \[width=[\d.]+, height=[\d.]+\];|n\d+ -> n\d+ \[id=e\d+, label="x*"\];|\})$`)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 2*len(drawtest.Names) {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if !honest.MatchString(l) {
			t.Errorf("the layouter was told %q", l)
		}
	}
}

// The layouter gets no environment but a temporary folder, which is nobody else's and is
// gone afterwards: machine code is loaded from there.
func TestTheLayouterIsStartedInPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the shell and permissions of Unix")
	}
	t.Setenv("PEDIGREE_SECRET", "hunter2")
	seen := filepath.Join(t.TempDir(), "seen")
	o := options()
	o.Layouters = []string{script(t, fmt.Sprintf(`{ env; ls -ld "$TMPDIR"; pwd; } >'%s'; exec '%s' "$@"`, seen, layouter))}
	drawn(t, draw.SVG, drawtest.Credit(), o)
	out, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	for l := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), "=")
		switch name {
		case "TMPDIR":
			dir = value
		case "TMP", "TEMP", "PATH", "PWD", "OLDPWD", "SHLVL", "_": // the shell's own, but for the first two
		default:
			if value != "" {
				t.Errorf("the environment has %s", name)
			}
		}
	}
	if dir == "" || !strings.Contains(string(out), "drwx------") || !strings.HasSuffix(strings.TrimSpace(string(out)), dir) {
		t.Errorf("the temporary folder is not private, or it does not run there:\n%s", out)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestALayouterThatFailsIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ lines, why string }{
		"fails":            {"echo 'line 7: \x1b[31mbad' >&2; exit 3", `it computed no layout: line 7: \u{1b}[31mbad`},
		"says nothing":     {"exit 0", "its layout cannot be used"},
		"no JSON":          {"echo hello", "its layout cannot be used"},
		"another graph":    {`echo '{"bb":"0,0,10,10","objects":[{"name":"n0","pos":"1,1"}]}'`, "has no place"},
		"too many nodes":   {`echo '{"bb":"0,0,10,10","objects":[{"name":"n8","pos":"1,1"}]}'`, "was not asked for"},
		"places of no use": {`echo '{"bb":"0,0,10,10","objects":[{"name":"n0","pos":"NaN,1"}]}'`, "is not a place"},
		"floods":           {"exec yes", "longer than"},
	} {
		o := options()
		o.Layouters = []string{script(t, c.lines)}
		var b bytes.Buffer
		err := draw.SVG(t.Context(), &b, drawtest.Credit(), o)
		if attest.RefusalCode(err) != attest.CodeDraw || !strings.Contains(fmt.Sprint(err), c.why) || b.Len() > 0 {
			t.Errorf("a layouter that %s: %v, and %d bytes; want %q", name, err, b.Len(), c.why)
		}
	}
}

func TestWithoutALayouterTheRefusalSaysWhatToInstall(t *testing.T) {
	o := options()
	o.Layouters = []string{filepath.Join(t.TempDir(), "absent"), t.TempDir(), "pedigree-layout-of-nowhere"}
	var b bytes.Buffer
	err := draw.HTML(t.Context(), &b, drawtest.Credit(), o)
	var r *attest.Refusal
	if !errors.As(err, &r) || r.Code != attest.CodeDraw || !strings.Contains(r.Next, "go install ") || !strings.Contains(r.Next, "Graphviz") || b.Len() > 0 {
		t.Errorf("%v", err)
	}
	o.Layouters = append(o.Layouters, layouter)
	drawn(t, draw.HTML, drawtest.Credit(), o)
	drawn(t, drawers["dot"], drawtest.Credit(), draw.Options{Layouters: []string{}})
}

func TestLayoutersAreTriedInOrder(t *testing.T) {
	beside := filepath.Join("/opt", "bin", "pedigree-layout")
	if got, want := draw.Layouters(filepath.Join("/opt", "bin", "pedigree")), []string{beside, "pedigree-layout", "dot"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := draw.Layouters(""), []string{"pedigree-layout", "dot"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv("PATH", filepath.Dir(layouter))
	drawn(t, draw.SVG, drawtest.Credit(), draw.Options{})
}

func TestDrawingStopsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	o := options()
	o.Layouters = []string{script(t, "sleep 60")}
	start := time.Now()
	if err := draw.SVG(ctx, &bytes.Buffer{}, drawtest.Credit(), o); attest.RefusalCode(err) != attest.CodeInterrupted {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %s to stop", d)
	}
}

// layout runs pedigree-layout by hand.
func layout(t *testing.T, tmp, source string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(layouter, args...)
	cmd.Env = []string{"TMPDIR=" + tmp}
	cmd.Stdin = strings.NewReader(source)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

// private is a folder that nobody else can use.
func private(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheProgramKeepsToItsUsage(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	const small = "digraph { n0 -> n1 }"
	for name, c := range map[string]struct {
		tmp, source string
		args        []string
		status      int
		says        string
	}{
		"a graph":              {private(t), small, []string{"-Tjson0"}, 0, ""},
		"no arguments":         {private(t), small, nil, 2, "usage:"},
		"another format":       {private(t), small, []string{"-Tpng"}, 2, "usage:"},
		"an output file":       {private(t), small, []string{"-Tjson0", "-ofile"}, 2, "usage:"},
		"a shared folder":      {shared, small, []string{"-Tjson0"}, 2, "others can use the temporary folder"},
		"no folder":            {filepath.Join(shared, "absent"), small, []string{"-Tjson0"}, 2, "others can use the temporary folder"},
		"no graph":             {private(t), "", []string{"-Tjson0"}, 1, "there is no graph"},
		"half a graph":         {private(t), "digraph { n0 ->", []string{"-Tjson0"}, 1, "syntax error"},
		"more than it reads":   {private(t), small + strings.Repeat(" ", 4<<20), []string{"-Tjson0"}, 1, "more than"},
		"as much as it reads":  {private(t), small + strings.Repeat(" ", 4<<20-len(small)), []string{"-Tjson0"}, 0, ""},
		"a file from the disk": {private(t), `digraph { n0 [image="/etc/passwd"] n0 -> n1 }`, []string{"-Tjson0"}, 0, ""},
	} {
		stdout, stderr, status := layout(t, c.tmp, c.source, c.args...)
		if status != c.status || !strings.Contains(stderr, c.says) || (status == 0) != strings.Contains(stdout, `"pos": "`) {
			t.Errorf("%s: status %d, want %d; %q, want %q; stdout %.60q", name, status, c.status, stderr, c.says, stdout)
		}
		if strings.Contains(stdout, "root:") {
			t.Errorf("%s: it read the file", name)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

func TestMain(m *testing.M) {
	stack.Child()
	os.Exit(m.Run())
}

// The demonstration ends without an error only if everything came as announced; here
// its attacks are counted, so that none gets lost.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole demonstration")
	}
	for _, tool := range []string{"git", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the demonstration needs %s, which is not here", tool)
		}
	}
	pedigree := filepath.Join(t.TempDir(), "pedigree")
	build := exec.Command("go", "build", "-o", pedigree, "./cmd/pedigree")
	build.Dir = "../../../.."
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--dir", filepath.Join(t.TempDir(), "demo"), "--pedigree", pedigree}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	text := out.String()
	for what, want := range map[string]int{"Attack: ": 6, "  ALLOW  sha256:": 2, "  DENY  sha256:": 6, "!! ": 0} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q occurs %d times, want %d\n%s", what, got, want, text)
		}
	}
}

// Nothing but what a demonstration made is ever replaced.
func TestReplacesOnlyItsOwn(t *testing.T) {
	precious := filepath.Join(t.TempDir(), "thesis.txt")
	if err := os.WriteFile(precious, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &demo{dir: filepath.Dir(precious)}
	if err := d.clear(); err == nil {
		t.Error("a folder that no demonstration made may be replaced")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

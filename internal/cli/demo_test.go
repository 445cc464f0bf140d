package cli_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/cli"
)

// program builds a pedigree that a shell can find.
func program(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"git", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the demonstration needs %s, which is not here", tool)
		}
	}
	file := filepath.Join(t.TempDir(), "pedigree")
	out, err := exec.Command("go", "build", "-o", file, "github.com/pedigree-ml/pedigree/cmd/pedigree").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// The demonstration ends with 0 only if the pipeline was allowed and every
// attack was denied for its own reason; here the attacks are counted, so that
// none gets lost.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole demonstration")
	}
	pedigree, dir := program(t), filepath.Join(t.TempDir(), "demo")
	doors := 1
	if _, err := exec.LookPath("curl"); err == nil {
		doors = 2
	}
	for range 2 { // the second replaces the first
		out, err := exec.Command(pedigree, "demo", "--dir", dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text := string(out)
		for what, want := range map[string]int{"Attack: ": 8, "Withdrawn: ": 1, "Question: ": 3, "At the door: ": doors, "  ALLOW  sha256:": 2, "  DENY  sha256:": 9, "  UNDECIDED  sha256:": 1, "!! ": 0} {
			if got := strings.Count(text, what); got != want {
				t.Errorf("%q occurs %d times, want %d\n%s", what, got, want, text)
			}
		}
	}
}

func TestDemoReplacesOnlyItsOwn(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(precious, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	status := cli.Run(context.Background(), cli.Process{Args: []string{"demo", "--dir", dir}, Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &errs})
	if status != 2 || !strings.Contains(errs.String(), "E_USAGE") {
		t.Errorf("status %d, %s", status, errs.String())
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("the demonstration removed a file that is not its own: %v", err)
	}
}

// The example's script is the same pipeline as a user would write it.
func TestPipelineScript(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole pipeline")
	}
	pedigree := program(t)
	script, err := filepath.Abs("../../examples/credit/pipeline.sh")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("bash", script, filepath.Join(t.TempDir(), "work"))
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(pedigree)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ALLOW  sha256:") {
		t.Fatalf("%v\n%s", err, out)
	}
}

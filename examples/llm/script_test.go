package llm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPipelineScript runs the example as a user does, with the programs as they
// are now.
func TestPipelineScript(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole pipeline")
	}
	for _, tool := range []string{"bash", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the pipeline needs %s, which is not here", tool)
		}
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(os.PathSeparator),
		"github.com/pedigree-ml/pedigree/cmd/pedigree", "github.com/pedigree-ml/pedigree/examples/llm/cmd/llm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.Command("bash", "pipeline.sh", filepath.Join(t.TempDir(), "work"))
	c.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The script stops where something unexpected happens; here it is counted, so
	// that none of its questions gets lost.
	var answers []string
	for line := range strings.Lines(string(out)) {
		if word, rest, ok := strings.Cut(line, "  sha256:"); ok && len(rest) == 65 && (word == "ALLOW" || word == "DENY" || word == "UNDECIDED") {
			answers = append(answers, word)
		}
	}
	if got, want := strings.Join(answers, " "), "ALLOW ALLOW DENY DENY ALLOW DENY"; got != want {
		t.Errorf("the answers were %s, want %s\n%s", got, want, out)
	}
}

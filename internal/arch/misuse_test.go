package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Unverified and verified differ by type: what mixes them up must not compile.
// Each file of testdata/misuse says behind "want:" what the compiler has to say.
func TestMisuseDoesNotCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/misuse/*.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d files (%v): the corpus moved or was not checked out", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, ok := strings.Cut(string(text), "// want: ")
			want, _, _ := strings.Cut(rest, "\n")
			if !ok || want == "" {
				t.Fatal("the file does not say what it wants")
			}
			out, err := exec.Command("go", "build", "-o", os.DevNull, file).CombinedOutput()
			switch {
			case want == "nothing" && err != nil:
				t.Errorf("the control does not compile: %v\n%s", err, out)
			case want != "nothing" && err == nil:
				t.Error("it compiles")
			case want != "nothing" && !strings.Contains(string(out), want):
				t.Errorf("the compiler says\n%s\nwant %q", out, want)
			}
		})
	}
}

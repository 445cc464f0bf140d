package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// GAT-22: a file that changed between two reads of one load was read in two versions, of
// which the later is what it holds now: it has to count as changed, or what was loaded
// from the earlier one would stay.
func TestFileLogOfAFileThatChangesMeanwhile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "builder.pub")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(l *fileLog) {
		t.Helper()
		if _, err := l.readFile(name, maxPolicy); err != nil {
			t.Fatal(err)
		}
	}
	l := &fileLog{}
	write("one")
	read(l)
	read(l)
	if d := l.read[name]; d != contentOf(name) {
		t.Errorf("read twice alike: %s", d)
	}
	write("two")
	read(l)
	if d := l.read[name]; d == contentOf(name) {
		t.Error("read in two versions, and nothing is to be loaded again")
	}
	read(l)
	if d := l.read[name]; d == contentOf(name) {
		t.Error("read once more")
	}
	l = &fileLog{}
	if _, err := l.readFile(name+"x", maxPolicy); err == nil {
		t.Fatal("there is no such file")
	}
	if d, ok := l.read[name+"x"]; !ok || d != (attest.Digest{}) {
		t.Errorf("a file that is not there: %s %v", d, ok)
	}
}

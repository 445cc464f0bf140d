package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/authority"
)

// Who signs under a trust file and asks under it asks under the same one, though
// somebody writes to it meanwhile; and a TUF repository is asked once.
func TestTrustIsReadOnce(t *testing.T) {
	i, err := authority.New("acme.test", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	root, err := i.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(file, root, 0o644); err != nil {
		t.Fatal(err)
	}
	a, source := &app{Process: Process{Now: time.Now}}, trustSource{file: file}
	first, notes, err := a.loadTrust(t.Context(), source)
	if err != nil || len(notes) != 1 {
		t.Fatalf("%q, %v", notes, err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	notes[0] = "written to"
	again, notes, err := a.loadTrust(t.Context(), source)
	if err != nil || again != first || len(notes) != 1 || notes[0] == "written to" {
		t.Errorf("read again: %v, %q, %v", again != first, notes, err)
	}
	// Another command reads what is there, and what failed is no trust the second time.
	a = &app{Process: Process{Now: time.Now}}
	for range 2 {
		if _, _, err := a.loadTrust(t.Context(), source); attest.RefusalCode(err) != attest.CodeTrustRoot {
			t.Errorf("another command: %v, want %s", err, attest.CodeTrustRoot)
		}
	}
}

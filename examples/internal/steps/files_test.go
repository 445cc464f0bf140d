package steps

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteAsideLeavesNothingOnError(t *testing.T) {
	dir := t.TempDir()
	err := WriteDir(filepath.Join(dir, "out"), Files{"a": nil, "no/such/dir": nil})
	if err == nil {
		t.Fatal("writing below a missing directory worked")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v is left and error %v, want nothing", entries, err)
	}
}

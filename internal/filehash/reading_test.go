package filehash_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filehash"
)

// Whoever looks at a file while it is hashed sees the hashed bytes, and what it
// leaves is hashed all the same.
func TestHashReading(t *testing.T) {
	content := strings.Repeat("0123456789", 300_000)
	for what, look := range map[string]func(r io.Reader) (string, error){
		"all":     func(r io.Reader) (string, error) { b, err := io.ReadAll(r); return string(b), err },
		"nothing": func(io.Reader) (string, error) { return "", nil },
		"some": func(r io.Reader) (string, error) {
			b, err := io.ReadAll(io.LimitReader(r, 7))
			return string(b), err
		},
	} {
		tr, _ := scanned(t, content)
		var read int64
		seen := make([]string, len(tr.Files))
		must(t, tr.HashReading(t.Context(), 1, func(n int64) { read += n }, func(i int, r io.Reader) error {
			var err error
			seen[i], err = look(r)
			return err
		}))
		if tr.Files[0].Digest != attest.SHA256([]byte(content)) || tr.Files[1].Digest != attest.SHA256([]byte("b")) || read != tr.Size() {
			t.Errorf("%s: %v, %d bytes", what, tr.Files, read)
		}
		if want, _ := look(strings.NewReader(content)); seen[0] != want {
			t.Errorf("%s: saw %d bytes, want %d", what, len(seen[0]), len(want))
		}
	}
}

func TestHashReadingStops(t *testing.T) {
	tr, p := scanned(t, "content")
	refusal := &attest.Refusal{Code: attest.CodeFormat}
	err := tr.HashReading(t.Context(), 1, nil, func(int, io.Reader) error { return refusal })
	if !errors.Is(err, refusal) || !tr.Files[0].Digest.IsZero() {
		t.Errorf("%v, %v", err, tr.Files)
	}
	// A file that changes under whoever looks.
	err = tr.HashReading(t.Context(), 1, nil, func(i int, r io.Reader) error {
		time.Sleep(12 * time.Millisecond)
		write(t, p, 0, "CONTENT")
		return nil
	})
	wantCode(t, err, attest.CodeFileChanged)
}

// Two scans of one folder tell whether all of it stayed.
func TestSame(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"added first": func(d string) error { return os.WriteFile(filepath.Join(d, "0"), nil, 0o600) },
		"added last":  func(d string) error { return os.WriteFile(filepath.Join(d, "z"), nil, 0o600) },
		"first gone":  func(d string) error { return os.Remove(filepath.Join(d, "a.bin")) },
		"last gone":   func(d string) error { return os.Remove(filepath.Join(d, "b.bin")) },
		"renamed":     func(d string) error { return os.Rename(filepath.Join(d, "b.bin"), filepath.Join(d, "a2")) },
		"rewritten":   func(d string) error { return os.WriteFile(filepath.Join(d, "b.bin"), []byte("B"), 0o600) },
	} {
		tr, p := scanned(t, "content")
		dir := filepath.Dir(p)
		again, err := filehash.Scan([]string{dir}, 10)
		must(t, err)
		must(t, tr.Same(again))
		time.Sleep(12 * time.Millisecond)
		must(t, change(dir))
		again, err = filehash.Scan([]string{dir}, 10)
		must(t, err)
		if err := tr.Same(again); attest.RefusalCode(err) != attest.CodeFileChanged {
			t.Errorf("%s: %v", what, err)
		}
	}
}

package filehash_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filehash"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

func scanned(t *testing.T, content string) (*filehash.Tree, string) {
	t.Helper()
	dir := t.TempDir()
	p := filepath.Join(dir, "a.bin")
	must(t, os.WriteFile(p, []byte(content), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "b.bin"), []byte("b"), 0o600))
	tr, err := filehash.Scan([]string{dir}, 10)
	must(t, err)
	return tr, p
}

func TestHash(t *testing.T) {
	content := strings.Repeat("0123456789", 200_000)
	tr, _ := scanned(t, content)
	var read int64
	must(t, tr.Hash(t.Context(), 1, func(n int64) { read += n }))
	if read != tr.Size() || read != int64(len(content))+1 {
		t.Errorf("%d bytes reported, size %d", read, tr.Size())
	}
	if got, want := tr.Files[0].Digest, attest.SHA256([]byte(content)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	r, err := tr.Files[0].Open()
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	if string(b) != content {
		t.Error("Open gives other bytes")
	}
}

// Whatever happens to a file between looking, hashing and reading again is seen.
func TestChanges(t *testing.T) {
	const content = "content"
	for name, tt := range map[string]struct {
		change func(t *testing.T, p string)
		want   attest.Code
	}{
		"appended":  {func(t *testing.T, p string) { write(t, p, os.O_APPEND, "x") }, attest.CodeFileChanged},
		"truncated": {func(t *testing.T, p string) { must(t, os.Truncate(p, 3)) }, attest.CodeFileChanged},
		"rewritten": {func(t *testing.T, p string) { write(t, p, 0, "CONTENT") }, attest.CodeFileChanged},
		"rewritten, time set back": {func(t *testing.T, p string) {
			info, err := os.Stat(p)
			must(t, err)
			write(t, p, 0, "CONTENT")
			must(t, os.Chtimes(p, info.ModTime(), info.ModTime()))
		}, attest.CodeFileChanged},
		"replaced": {func(t *testing.T, p string) {
			must(t, os.WriteFile(p+"2", []byte("CONTENT"), 0o600))
			must(t, os.Rename(p+"2", p))
		}, attest.CodeFileChanged},
		"become a link": {func(t *testing.T, p string) {
			must(t, os.Rename(p, p+"2"))
			must(t, os.Symlink(p+"2", p))
		}, attest.CodeFileChanged},
		"become a pipe": {func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, syscall.Mkfifo(p, 0o600))
		}, attest.CodeFileChanged},
		"gone": {func(t *testing.T, p string) { must(t, os.Remove(p)) }, attest.CodeFileMissing},
	} {
		t.Run(name, func(t *testing.T) {
			tr, p := scanned(t, content)
			must(t, tr.Hash(t.Context(), 2, nil))
			time.Sleep(12 * time.Millisecond) // past one tick of the file system's clock
			tt.change(t, p)
			_, err := tr.Files[0].Open()
			wantCode(t, err, tt.want)
			wantCode(t, tr.Hash(t.Context(), 2, nil), tt.want)
		})
	}
}

// A file that is written to while it is read.
func TestChangesWhileHashed(t *testing.T) {
	tr, p := scanned(t, strings.Repeat("x", 4<<20))
	first := true
	err := tr.Hash(t.Context(), 1, func(int64) {
		if first {
			first = false
			time.Sleep(12 * time.Millisecond)
			write(t, p, 0, "y")
		}
	})
	wantCode(t, err, attest.CodeFileChanged)
}

// A file that changes while it is copied never becomes a complete wrong copy.
func TestChangesWhileCopied(t *testing.T) {
	content := strings.Repeat("x", 1<<20)
	tr, p := scanned(t, content)
	must(t, tr.Hash(t.Context(), 1, nil))
	for _, change := range []func(){
		func() { write(t, p, 0, content[:len(content)-1]+"y") },
	} {
		r, err := tr.Files[0].Open()
		must(t, err)
		change()
		b, err := io.ReadAll(r)
		wantCode(t, err, attest.CodeFileChanged)
		if len(b) >= len(content) {
			t.Errorf("%d bytes were given of a file of %d", len(b), len(content))
		}
		r.Close()
	}
}

func write(t *testing.T, p string, flag int, content string) {
	t.Helper()
	f, err := os.OpenFile(p, os.O_WRONLY|flag, 0)
	must(t, err)
	_, err = f.WriteString(content)
	must(t, err)
	must(t, f.Close())
}

func TestScanRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	_, err := filehash.Scan([]string{dir}, 1)
	must(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	_, err = filehash.Scan([]string{dir}, 10)
	wantCode(t, err, attest.CodeFileType)
	l.Close()
	_, err = filehash.Scan([]string{"/dev/null"}, 10)
	wantCode(t, err, attest.CodeFileType)
	must(t, os.WriteFile(filepath.Join(dir, "b"), nil, 0o600))
	_, err = filehash.Scan([]string{dir}, 1)
	wantCode(t, err, attest.CodeLimit)
	deep := dir + strings.Repeat("/d", 70)
	must(t, os.MkdirAll(deep, 0o700))
	_, err = filehash.Scan([]string{dir}, 10)
	wantCode(t, err, attest.CodeLimit)
}

func TestUnreadable(t *testing.T) {
	_, p := scanned(t, "x")
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	must(t, os.Chmod(p, 0))
	tr, err := filehash.Scan([]string{filepath.Dir(p)}, 10)
	must(t, err)
	wantCode(t, tr.Hash(t.Context(), 1, nil), attest.CodeFileIO)
}

func TestHashStops(t *testing.T) {
	tr, _ := scanned(t, strings.Repeat("x", 8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	var read int64
	if err := tr.Hash(ctx, 1, func(n int64) { read += n; cancel() }); err == nil {
		t.Error("no error although it was told to stop")
	}
	if read > 1<<20 {
		t.Errorf("%d bytes were read after it was told to stop", read)
	}
}

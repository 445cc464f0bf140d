package oci_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	r := open(t, "ocidir://"+filepath.Join(dir, "l"))
	_, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	big, err := oci.Pack(t.Context(), []string{tree(t, map[string]string{"big.bin": strings.Repeat("x", 1<<20)})}, oci.Metadata{}, oci.Options{})
	must(t, err)
	_, err = r.Push(t.Context(), big, "v2")
	wantCode(t, err, attest.CodeFileIO)
	if err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("does not say that the disk is full: %v", err)
	}
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if strings.Contains(p, ".aside-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	}))
	checkLayout(t, filepath.Join(dir, "l"))
	must(t, r.Pull(t.Context(), model(t).Digest(), filepath.Join(t.TempDir(), "x")))

	out := filepath.Join(dir, "out")
	rest := open(t, "ocidir://"+t.TempDir())
	_, err = rest.Push(t.Context(), big, "v2")
	must(t, err)
	wantCode(t, rest.Pull(t.Context(), big.Digest(), out), attest.CodeFileIO)
	if _, err := os.Stat(out); err == nil {
		t.Error("an incomplete pull is there under its final name")
	}
}

func TestReadOnlyLayout(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	r := open(t, "ocidir://"+filepath.Join(dir, "l"))
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=1m"))
	_, err = r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 1, ""))
	wantCode(t, err, attest.CodeFileIO)
	if got := list(t, r, ref.Digest); len(got) != 0 {
		t.Errorf("listed %v", got)
	}
}

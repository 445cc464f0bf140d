package oci

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

// Pull writes the files of the artifact with manifest d into the folder dir, which
// must be absent or empty. Everything is written aside and checked, size and
// SHA-256, before anything gets its final name: an absent dir appears with all
// files at once, an empty one is filled when all are there. No link is followed
// and none is made.
//
// An artifact with layers that carry no path (a container image, say) is refused
// with attest.CodeRegManifest, paths that escape or collide with attest.CodePath
// or attest.CodeDup, other bytes with attest.CodeRegDigest, and a dir that has
// something in it with attest.CodeFileIO.
func (r *Repository) Pull(ctx context.Context, d attest.Digest, dir string) error {
	b, err := r.Manifest(ctx, d)
	if err != nil {
		return err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return err
	}
	if len(m.Files) == 0 || len(m.Files) != len(m.Layers) {
		return &attest.Refusal{Code: attest.CodeRegManifest, About: d.String(), Why: "has layers without a path: it is no artifact made of files"}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fileError(dir, err)
	}
	exists, err := checkEmpty(abs)
	if err != nil {
		return err
	}
	// A folder that exists may be a mount, or where the caller stands: it stays,
	// and is filled from a folder inside it.
	parent := filepath.Dir(abs)
	if exists {
		parent = abs
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fileError(parent, err)
	}
	aside, err := os.MkdirTemp(parent, ".pull-*")
	if err != nil {
		return fileError(parent, err)
	}
	defer os.RemoveAll(aside)
	if err := r.pullInto(ctx, m.Files, aside); err != nil {
		return fileError(aside, err)
	}
	if exists {
		return moveUp(aside, abs)
	}
	if err := os.Rename(aside, abs); err != nil {
		return fileError(abs, err)
	}
	return nil
}

// moveUp moves what lies in aside to the folder above.
func moveUp(aside, dir string) error {
	entries, err := os.ReadDir(aside)
	if err != nil {
		return fileError(aside, err)
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(aside, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return fileError(filepath.Join(dir, e.Name()), err)
		}
	}
	return nil
}

// checkEmpty refuses to write where something is: neither over files of the same
// name nor beside files that would look like part of the artifact. It refuses a
// link as well: what it points at was not named.
func checkEmpty(dir string) (exists bool, err error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return true, &attest.Refusal{Code: attest.CodePath, About: dir, Why: "a symbolic link"}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true, fileError(dir, err)
	}
	if len(entries) > 0 {
		return true, &attest.Refusal{Code: attest.CodeFileIO, About: dir, Why: "the folder is not empty", Next: "name a new folder"}
	}
	return true, nil
}

func (r *Repository) pullInto(ctx context.Context, files []attest.File, dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil { // made for one user only
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.requestJobs())
	for _, f := range files {
		g.Go(func() error { return r.pullFile(ctx, root, f) })
	}
	return g.Wait()
}

func (r *Repository) pullFile(ctx context.Context, root *os.Root, f attest.File) error {
	if err := attest.CheckPath(f.Path); err != nil { // ParseManifest did; writing is where it matters
		return err
	}
	if parent := path.Dir(f.Path); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return fileError(f.Path, err)
		}
	}
	body, err := r.store.blob(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer body.Close()
	w, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fileError(f.Path, err)
	}
	defer w.Close()
	add, done := r.opts.start(f.Path, f.Size)
	defer done()
	if _, err := io.Copy(w, newVerified(&fromStore{body, f.Digest}, f.Descriptor, add)); err != nil {
		return fileError(f.Path, err)
	}
	if err := w.Close(); err != nil {
		return fileError(f.Path, err)
	}
	return nil
}

// fromStore marks errors of reading as the store's, so that they are not taken
// for those of the file being written.
type fromStore struct {
	r io.Reader
	d attest.Digest
}

func (s *fromStore) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF && attest.RefusalCode(err) == "" {
		err = &attest.Refusal{Code: attest.CodeRegUnavailable, About: s.d.String(), Why: "reading", Err: err}
	}
	return n, err
}

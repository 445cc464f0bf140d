package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pedigree-ml/pedigree/attest"
)

// A codeState is the work tree as it was before the command ran.
type codeState struct {
	tree   *gitTree
	commit attest.Digest

	submodules int
	dirty      bool    // it differs from its commit, which therefore is no input
	packed     *Packed // of a dirty tree that is to be an input as it is
}

// observeCode makes the work tree an input: its commit if nothing differs from
// it, the packed tree where that is asked for, and nothing otherwise. A step
// without code is not refused here: what it lacks is for a policy to say.
func (r *run) observeCode(ctx context.Context) error {
	tree, err := openGit(ctx, r.deps.Environ, r.spec.Code)
	if err != nil {
		return err
	}
	if err := r.outsideOutputs(tree.top); err != nil {
		return err
	}
	r.code = &codeState{tree: tree}
	var branch string
	if r.code.commit, branch, err = tree.head(ctx); err != nil {
		return err
	}
	differ, err := r.dirty(ctx)
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		r.code.dirty = true
		if r.spec.AllowDirty {
			return r.observeDirty(ctx)
		}
		r.note(fmt.Sprintf("NO CODE IS RECORDED: %s differs from its commit (%s), which therefore does not name the code that runs; commit, ignore or remove the changes, or give --allow-dirty to pack the tree as the code", r.spec.Code, listed(differ)))
		return nil
	}
	o := &observation{role: roleCode, digest: r.code.commit, observed: true}
	if o.uri, err = tree.origin(ctx); err != nil {
		return err
	}
	if o.uri == "" {
		r.note("the work tree's origin has no URI that others could use: the code is recorded by its commit alone")
	}
	o.uri = withRef(o.uri, branch)
	r.inputs = append(r.inputs, o)
	return nil
}

// outsideOutputs refuses a work tree inside an output: the output would hold the
// code, and git's own files.
func (r *run) outsideOutputs(top string) error {
	for _, o := range r.spec.Outputs {
		out, err := realPath(o.Path)
		if err != nil {
			return err
		}
		if within(top, out) {
			return usage(o.Path, "the output "+o.Name+" would contain the work tree", "write outputs to a folder of their own")
		}
	}
	return nil
}

// dirty returns in what the work tree differs from its commit. What the step is
// about to write is no part of the code, though it may lie in the tree.
func (r *run) dirty(ctx context.Context) ([]string, error) {
	products, err := r.products()
	if err != nil {
		return nil, err
	}
	differ, submodules, err := r.code.tree.differences(ctx, func(path string) bool { return isProduct(products, path) }, 0)
	r.code.submodules = submodules
	return differ, err
}

// products returns the real paths of what the step writes.
func (r *run) products() ([]string, error) {
	var paths []string
	for _, o := range r.spec.Outputs {
		paths = append(paths, o.Path)
	}
	if r.spec.About != nil {
		paths = append(paths, r.spec.About.Predicate)
	}
	if r.spec.Log != "" {
		paths = append(paths, r.spec.Log)
	}
	for i, p := range paths {
		real, err := realPath(p)
		if err != nil {
			return nil, err
		}
		paths[i] = real
	}
	return paths, nil
}

func isProduct(products []string, path string) bool {
	for _, p := range products {
		if within(path, p) {
			return true
		}
	}
	return false
}

// listed names the first of many paths.
func listed(paths []string) string {
	if len(paths) == 1 {
		return paths[0]
	}
	return fmt.Sprintf("%s and %d more", paths[0], len(paths)-1)
}

// recheckCode refuses if the code is not what it was.
func (r *run) recheckCode(ctx context.Context) error {
	if r.code.packed != nil {
		again, err := r.packTree(ctx)
		if err != nil {
			return whileRunning(ctx, r.spec.Code, err)
		}
		if again.Digest != r.code.packed.Digest {
			return changed(r.spec.Code, "the work tree changed while the command ran", nil)
		}
		return nil
	}
	if r.code.dirty {
		return nil // nothing was said of it
	}
	commit, _, err := r.code.tree.head(ctx)
	if err != nil {
		return err
	}
	if commit != r.code.commit {
		return changed(r.spec.Code, "was at "+r.code.commit.String()+" before the command ran, and is at "+commit.String(), nil)
	}
	differ, err := r.dirty(ctx)
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		e := changed(r.spec.Code, "differs from its commit since the command ran: "+listed(differ), nil)
		e.(*attest.Refusal).Next = "ignore what the command leaves behind (.gitignore), or declare it as an output"
		return e
	}
	return nil
}

// observeDirty packs the work tree as it is.
func (r *run) observeDirty(ctx context.Context) error {
	packed, err := r.packTree(ctx)
	if err != nil {
		return err
	}
	r.code.packed = &packed
	r.note("the work tree differs from its commit: the code is recorded as an artifact, not as a commit")
	r.inputs = append(r.inputs, &observation{role: roleCode, digest: packed.Digest, uri: locationOf(r.codeRepository()), observed: true})
	return nil
}

// codeRepository is where the packed work tree goes: beside what it made.
func (r *run) codeRepository() attest.Repository {
	if r.spec.About != nil {
		return r.spec.About.Ref.Repository
	}
	return r.spec.Outputs[0].To.Repository
}

// packTree copies every file that git does not ignore, and packs the copy: so
// what is pushed later is what was there before the command ran.
func (r *run) packTree(ctx context.Context) (Packed, error) {
	store, err := r.store(r.codeRepository())
	if err != nil {
		return Packed{}, err
	}
	files, err := r.code.tree.files(ctx)
	if err != nil {
		return Packed{}, err
	}
	products, err := r.products()
	if err != nil {
		return Packed{}, err
	}
	if len(files) > attest.MaxFiles {
		return Packed{}, &attest.Refusal{Code: attest.CodeLimit, About: r.spec.Code, Why: fmt.Sprintf("%d files, at most %d are packed", len(files), attest.MaxFiles),
			Next: "commit the changes: a commit has no such limit"}
	}
	dir, err := os.MkdirTemp(r.deps.Scratch, "pedigree-code-")
	if err != nil {
		return Packed{}, &attest.Refusal{Code: attest.CodeFileIO, Err: err}
	}
	r.cleanup = append(r.cleanup, func() { os.RemoveAll(dir) })
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return Packed{}, err
		}
		if err := attest.CheckPath(f); err != nil {
			return Packed{}, err
		}
		from := filepath.Join(r.code.tree.top, filepath.FromSlash(f))
		if isProduct(products, from) {
			continue
		}
		if err := copyFile(from, filepath.Join(dir, filepath.FromSlash(f))); err != nil {
			return Packed{}, err
		}
	}
	return store.Pack(ctx, []string{dir}, Metadata{Kind: "code", Name: "code"})
}

// maxCodeFile bounds one file of a dirty work tree, which is copied: what is
// larger is data, and data are inputs of their own.
const maxCodeFile = 64 << 20

// copyFile copies a regular file. One that is gone was deleted without a commit,
// and is not part of the tree any more.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &attest.Refusal{Code: attest.CodeFileIO, About: from, Err: err}
	case info.Mode()&fs.ModeSymlink != 0:
		return &attest.Refusal{Code: attest.CodePath, About: from, Why: "a symbolic link cannot be packed", Next: "commit the changes: a commit can hold links"}
	case !info.Mode().IsRegular():
		return &attest.Refusal{Code: attest.CodeFileType, About: from, Why: "not a regular file, a submodule perhaps", Next: "commit the changes: a commit can name submodules"}
	case info.Size() > maxCodeFile:
		return &attest.Refusal{Code: attest.CodeLimit, About: from, Why: fmt.Sprintf("%d bytes, at most %d are taken for code", info.Size(), maxCodeFile),
			Next: "ignore the file (.gitignore) and declare it as an input"}
	}
	ioError := func(err error) error { return &attest.Refusal{Code: attest.CodeFileIO, About: from, Err: err} }
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return ioError(err)
	}
	src, err := os.Open(from)
	if err != nil {
		return ioError(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return ioError(err)
	}
	if _, err = io.Copy(dst, io.LimitReader(src, maxCodeFile)); err == nil {
		err = dst.Close()
	} else {
		dst.Close()
	}
	if err != nil {
		return ioError(err)
	}
	return nil
}

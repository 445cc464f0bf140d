// Package filehash finds files and hashes them, in parallel and as they are.
//
// A model is a folder of large files, and its name is made of their SHA-256
// digests. Three things must hold for that name to mean anything: every file
// under the folder is in it, each digest is of bytes that lay there at one
// moment, and nothing outside the folder was read. So links and special files
// are refused rather than followed or skipped, a file that changes while it is
// read is refused rather than hashed in two states, and an unreadable file is an
// error rather than a gap.
//
// [Scan] looks, [Tree.Hash] reads. One file is one stream through SHA-256, so
// the parallelism is over files; each worker has one buffer, and memory does not
// grow with the size of a file.
package filehash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// maxDepth is how deep folders may nest. It bounds the walk's recursion; paths
// end at 4,096 bytes anyway.
const maxDepth = 64

// A File is a file that was found, and once hashed its digest.
type File struct {
	Path   string // in the artifact: relative, with slashes
	Size   int64
	Digest attest.Digest // zero until hashed

	root string      // the folder it was found under
	name string      // its path below root, in the system's spelling
	info fs.FileInfo // what it was when found
}

// A Tree is a set of files, sorted by path.
type Tree struct {
	Files []File
}

// Size returns the number of bytes in all files.
func (t *Tree) Size() int64 {
	var n int64
	for i := range t.Files {
		n += t.Files[i].Size
	}
	return n
}

// Scan finds the files that paths name. A single folder gives its contents, with
// paths relative to it; a file gives itself under its base name; a folder among
// several paths gives its contents under its base name. Nothing is read yet.
//
// It refuses with attest.CodePath what could escape, collide or link;
// with attest.CodeDup one path twice; with attest.CodeFileType what is neither a
// regular file nor a folder; with attest.CodeFileMissing what is not there, and
// with attest.CodeLimit more than maxFiles files.
func Scan(paths []string, maxFiles int) (*Tree, error) {
	s := scanner{max: maxFiles}
	for _, p := range paths {
		if err := s.top(p, len(paths) == 1); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	names := make([]string, len(s.files))
	for i := range s.files {
		names[i] = s.files[i].Path
	}
	if err := attest.CheckPaths(names); err != nil {
		return nil, err
	}
	return &Tree{Files: s.files}, nil
}

type scanner struct {
	files []File
	max   int
}

// top takes one path as the caller named it. The path itself may run through
// links above its last part: where the caller stands is the caller's business.
func (s *scanner) top(p string, single bool) error {
	abs, err := filepath.Abs(p)
	if err != nil {
		return ioRefusal(p, err)
	}
	info, err := os.Lstat(abs)
	if err != nil {
		return ioRefusal(p, err)
	}
	switch {
	case info.IsDir() && single:
		return s.folder(abs, "", "", 0)
	case info.IsDir():
		return s.folder(abs, "", filepath.Base(abs)+"/", 0)
	}
	return s.file(filepath.Dir(abs), filepath.Base(abs), "", info)
}

// folder takes everything in root/dir, each path prefixed.
func (s *scanner) folder(root, dir, prefix string, depth int) error {
	if depth > maxDepth {
		return &attest.Refusal{Code: attest.CodeLimit, About: filepath.Join(root, dir), Why: fmt.Sprintf("folders nest deeper than %d", maxDepth)}
	}
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return ioRefusal(filepath.Join(root, dir), err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			return ioRefusal(filepath.Join(root, name), err)
		}
		if info.IsDir() {
			err = s.folder(root, name, prefix, depth+1)
		} else {
			err = s.file(root, name, prefix, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) file(root, name, prefix string, info fs.FileInfo) error {
	full := filepath.Join(root, name)
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return &attest.Refusal{Code: attest.CodePath, About: full, Why: "a symbolic link",
			Next: "copy the tree with its links resolved (cp -rL) and use the copy"}
	case !mode.IsRegular():
		return &attest.Refusal{Code: attest.CodeFileType, About: full, Why: "neither a regular file nor a folder"}
	case len(s.files) >= s.max:
		return &attest.Refusal{Code: attest.CodeLimit, About: root, Why: fmt.Sprintf("more than %d files", s.max),
			Next: fmt.Sprintf("put small files together into tar shards, or split the tree into parts of at most %d files and use each as an artifact of its own", s.max)}
	}
	p := prefix + filepath.ToSlash(name)
	if err := attest.CheckPath(p); err != nil {
		return err
	}
	s.files = append(s.files, File{Path: p, Size: info.Size(), root: root, name: name, info: info})
	return nil
}

// ioRefusal gives an error of the file system its code.
func ioRefusal(path string, err error) error {
	if attest.RefusalCode(err) != "" {
		return err
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	code := attest.CodeFileIO
	if errors.Is(err, fs.ErrNotExist) {
		code = attest.CodeFileMissing
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = attest.CodeInterrupted
	}
	return &attest.Refusal{Code: code, About: path, Err: err}
}

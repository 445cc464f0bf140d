package filehash

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pedigree-ml/pedigree/attest"
)

// bufferSize is what a worker reads at once. Measured by processor time against
// SHA-256 over memory alone: 32 KiB 74 %, 128 KiB 81 %, 256 KiB 83 %, 1 MiB 84 to
// 87 %, 4 MiB 85 %; the rest is the kernel's copying. Every worker has one, so on
// 32 cores they are half of the 64 MiB that hashing may take.
const bufferSize = 1 << 20

// Hash reads every file and sets its digest. At most jobs files are read at
// once, 0 meaning one for each core. add is called with the number of bytes
// read, from several goroutines; it may be nil.
//
// A file that is not, before and after, what Scan found is refused with
// attest.CodeFileChanged: its digest would be of bytes that never lay there
// together. On error some digests may be set.
func (t *Tree) Hash(ctx context.Context, jobs int, add func(n int64)) error {
	return t.HashReading(ctx, jobs, add, nil)
}

// HashReading does what Hash does, and lets look read the files too. look is
// called with the position of a file in Files and with its bytes as they are
// hashed, from several goroutines: what it sees has the digest, and what it leaves
// is hashed all the same. The digest is set only after look returned, and what
// look found is worth nothing unless HashReading succeeds. An error of look stops
// everything and is returned.
func (t *Tree) HashReading(ctx context.Context, jobs int, add func(n int64), look func(i int, r io.Reader) error) error {
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	if add == nil {
		add = func(int64) {}
	}
	// Largest first: otherwise the last file hashed may be the largest, and one
	// core works while the others wait.
	order := make([]int, len(t.Files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.Files[b].Size, t.Files[a].Size) })

	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(jobs, len(order)) {
		wg.Go(func() {
			buf := make([]byte, bufferSize)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(order) || ctx.Err() != nil {
					return
				}
				see := func(io.Reader) error { return nil }
				if look != nil {
					see = func(r io.Reader) error { return look(order[i], r) }
				}
				if err := t.Files[order[i]].hash(ctx, buf, add, see); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := outer.Err(); err != nil {
		return ioRefusal("", err) // stopped from outside, whatever the cause is called
	}
	if err := context.Cause(ctx); err != nil {
		return ioRefusal("", err)
	}
	return nil
}

func (f *File) hash(ctx context.Context, buf []byte, add func(int64), look func(io.Reader) error) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := &hashing{ctx: ctx, file: f, r: r, h: sha256.New(), add: add}
	if err := look(h); err != nil {
		return err
	}
	for err == nil {
		_, err = h.Read(buf)
	}
	if err != io.EOF {
		return err
	}
	if h.total != f.Size {
		return f.changed(fmt.Sprintf("%d bytes were there, %d were read", f.Size, h.total))
	}
	if err := f.unchanged(r); err != nil {
		return err
	}
	f.Digest = attest.SHA256Sum([sha256.Size]byte(h.h.Sum(nil)))
	return nil
}

// A hashing reader hashes what it gives.
type hashing struct {
	ctx   context.Context
	file  *File
	r     *os.File
	h     hash.Hash
	add   func(int64)
	total int64
}

func (h *hashing) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := h.r.Read(p)
	h.h.Write(p[:n])
	h.total += int64(n)
	h.add(int64(n))
	if err != nil && err != io.EOF {
		err = ioRefusal(h.file.full(), err)
	}
	return n, err
}

func (f *File) full() string { return filepath.Join(f.root, f.name) }

func (f *File) changed(why string) error {
	return &attest.Refusal{Code: attest.CodeFileChanged, About: f.full(), Why: why,
		Next: "wait until nothing writes to it and start again"}
}

// open opens f without following a link in its last part, and without waiting
// for a writer should it have become a pipe.
func (f *File) open() (*os.File, error) {
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return nil, ioRefusal(f.root, err)
	}
	defer root.Close()
	r, err := root.OpenFile(f.name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		if there, lerr := os.Lstat(f.full()); lerr == nil && !same(f.info, there) {
			err = f.changed("it is not the file that was found here")
		}
		return nil, ioRefusal(f.full(), err)
	}
	info, err := r.Stat()
	if err == nil && !same(f.info, info) {
		err = f.changed("it is not the file that was found here")
	}
	if err != nil {
		r.Close()
		return nil, ioRefusal(f.full(), err)
	}
	return r, nil
}

// unchanged checks that the open file and the file under the path are both still
// what was found: written to, and renamed over.
func (f *File) unchanged(r *os.File) error {
	now, err := r.Stat()
	if err != nil {
		return ioRefusal(f.full(), err)
	}
	there, err := os.Lstat(f.full())
	if err != nil || !same(f.info, now) || !same(f.info, there) {
		return f.changed("it changed while it was read")
	}
	return nil
}

// same reports whether a and b are one file in one state. The change time is
// compared where the system has one: unlike the modification time, whoever
// writes to a file cannot set it back.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a) == changeTime(b)
}

// Open opens a hashed file for reading once more. The reader gives exactly Size
// bytes, and instead of the last of them attest.CodeFileChanged if the whole is
// not what was hashed: so whoever copies it never has a complete wrong copy.
func (f *File) Open() (io.ReadCloser, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	return &checked{file: f, r: r, h: sha256.New()}, nil
}

type checked struct {
	file *File
	r    *os.File
	h    hash.Hash
	n    int64
}

func (c *checked) Read(p []byte) (int, error) {
	left := c.file.Size - c.n
	if left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), left)])
	c.h.Write(p[:n])
	c.n += int64(n)
	switch {
	case c.n == c.file.Size:
		if c.file.Digest != attest.SHA256Sum([sha256.Size]byte(c.h.Sum(nil))) {
			return 0, c.file.changed("it changed after it was hashed")
		}
		return n, nil
	case err == io.EOF:
		return 0, c.file.changed("it became shorter after it was hashed")
	case err != nil:
		return 0, ioRefusal(c.file.full(), err)
	}
	return n, nil
}

func (c *checked) Close() error { return c.r.Close() }

// Same refuses with attest.CodeFileChanged if later, a second scan of what t
// was scanned from, found another set of files, or one in another state. Hash
// checks each file before and after it reads it; only this says that all of them
// lay there together.
func (t *Tree) Same(later *Tree) error {
	for i := range max(len(t.Files), len(later.Files)) {
		switch {
		case i >= len(later.Files) || i < len(t.Files) && t.Files[i].Path < later.Files[i].Path:
			return t.Files[i].changed("it is gone")
		case i >= len(t.Files) || t.Files[i].Path > later.Files[i].Path:
			return later.Files[i].changed("it was not there before")
		case !same(t.Files[i].info, later.Files[i].info):
			return t.Files[i].changed("it changed while others were read")
		}
	}
	return nil
}

package oci

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	lockFile   = ".lock"
	asidePart  = ".aside-" // how the names of files begin that are being written
)

// A layout is an OCI image layout (image specification, image-layout.md).
//
// Several processes may write to one at once. A blob is written aside, made
// durable and renamed, so under its final name it is complete; the index is
// replaced in the same way, by one process at a time (a lock file), after the
// blobs it names. A process killed between any two of these steps leaves a valid
// layout, and perhaps a file whose name begins with ".aside-" that nobody reads.
type layout struct {
	dir string

	mu       sync.Mutex
	index    *index                           // as last read
	state    fileState                        // of the file that index was read from
	subjects map[attest.Digest]attest.Digest  // of manifests opened to learn it
	nested   map[attest.Digest][]indexedEntry // what opened indexes list
	finder   *finder                          // of index; nil: none was needed yet
}

func newLayout(dir string) *layout {
	return &layout{dir: dir, subjects: map[attest.Digest]attest.Digest{}, nested: map[attest.Digest][]indexedEntry{}}
}

func (l *layout) path(d attest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Hex())
}

func (l *layout) resolve(ctx context.Context, tag string) (attest.Digest, error) {
	idx, err := l.read(false)
	if err != nil {
		return attest.Digest{}, err
	}
	var found attest.Digest
	for _, e := range idx.entries {
		if e.tag == tag && e.digest.IsZero() {
			return attest.Digest{}, &attest.Refusal{Code: attest.CodeDigestAlg, About: l.dir + ":" + tag, Why: "names a manifest by a digest that nobody here computes"}
		}
		if e.tag != tag || e.digest == found {
			continue
		}
		if !found.IsZero() {
			return attest.Digest{}, &attest.Refusal{Code: attest.CodeRegManifest, About: l.dir + ":" + tag, Why: "the layout has two manifests under this tag", Next: "name one of them by digest"}
		}
		found = e.digest
	}
	if !found.IsZero() {
		return found, nil
	}
	return attest.Digest{}, absent(l.dir+":"+tag, "no such tag in the layout")
}

// manifest returns a manifest that the index lists, or that an index lists which
// the index lists. Any other blob is content, were it even a manifest by its look:
// a registry tells the two apart as well.
func (l *layout) manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	idx, err := l.read(false)
	if err != nil {
		return nil, err
	}
	if !idx.listed[d] {
		in, err := l.inNested(idx.indexes, d, 0)
		if err != nil {
			return nil, err
		}
		if !in {
			return nil, absent(d.String(), "the layout lists no such manifest")
		}
	}
	return l.readManifest(d)
}

// readManifest reads a listed manifest; that it is not there is a fault then.
func (l *layout) readManifest(d attest.Digest) ([]byte, error) {
	f, err := openRegular(l.path(d))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: d.String(), Why: "the layout lists it and does not have it: it is damaged", Err: fs.ErrNotExist}
		}
		return nil, fileError(l.path(d), err)
	}
	defer f.Close()
	b, err := readAll(f, attest.MaxManifest, "a manifest")
	if err != nil {
		return nil, fileError(l.path(d), err)
	}
	if got := attest.SHA256(b); got != d {
		return nil, otherBytes(d, fmt.Sprintf("the layout's file has %d bytes with digest %s", len(b), got))
	}
	return b, nil
}

func (l *layout) blob(ctx context.Context, d attest.Digest) (io.ReadCloser, error) {
	f, err := openRegular(l.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := l.read(false); err != nil {
			return nil, err
		}
		return nil, absent(d.String(), "the layout has no such blob")
	}
	if err != nil {
		return nil, fileError(l.path(d), err)
	}
	return f, nil
}

// openRegular opens a file of the layout. A pipe, which would wait for a writer
// whatever the context says, and a device, which has no end, are no files.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, &attest.Refusal{Code: attest.CodeFileType, About: path, Why: "not a regular file", Err: err}
	}
	return f, nil
}

// putBlob stores a blob. One that is there already is read rather than believed:
// a copy cut short by another tool is replaced by a good one.
func (l *layout) putBlob(ctx context.Context, b blob) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if l.has(ctx, b) {
		return nil
	}
	r, err := b.open()
	if err != nil {
		return err
	}
	defer r.Close()
	want := attest.Descriptor{Digest: b.digest, Size: b.size}
	return l.writeAside(l.path(b.digest), newVerified(&cancellable{ctx, r}, want, b.add))
}

func (l *layout) has(ctx context.Context, b blob) bool {
	f, err := openRegular(l.path(b.digest))
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != b.size {
		return false
	}
	_, err = io.Copy(io.Discard, newVerified(&cancellable{ctx, f}, attest.Descriptor{Digest: b.digest, Size: b.size}, b.add))
	return err == nil
}

// cancellable ends a long copy when the context does.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// prepare makes an absent or empty folder a layout. The file oci-layout comes
// last: it says that the rest is there.
func (l *layout) prepare(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(l.dir, layoutFile)); err == nil {
		return nil
	}
	if err := l.onlyOurs(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755); err != nil {
		return fileError(l.dir, err)
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(l.dir, indexFile)); errors.Is(err, fs.ErrNotExist) {
		empty := `{"schemaVersion":2,"mediaType":"` + attest.MediaTypeIndex + `","manifests":[]}`
		if err := l.writeAside(filepath.Join(l.dir, indexFile), strings.NewReader(empty)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(l.dir, layoutFile)); err == nil {
		return nil // another process was faster
	}
	return l.writeAside(filepath.Join(l.dir, layoutFile), strings.NewReader(`{"imageLayoutVersion":"1.0.0"}`))
}

// onlyOurs refuses to turn a folder into a layout that has other things in it.
func (l *layout) onlyOurs() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(l.dir, err)
	}
	for _, e := range entries {
		switch n := e.Name(); {
		case n == "blobs", n == indexFile, n == lockFile, n == layoutFile, strings.HasPrefix(n, asidePart):
		default:
			return &attest.Refusal{Code: attest.CodeRegUnavailable, About: l.dir, Why: "is a folder with other things in it, not an OCI layout", Next: "name a new folder"}
		}
	}
	return nil
}

// writeAside writes a file under its final name, whole or not at all, and durable.
func (l *layout) writeAside(final string, r io.Reader) (err error) {
	var random [8]byte
	rand.Read(random[:]) // never fails
	aside := filepath.Join(l.dir, asidePart+hex.EncodeToString(random[:]))
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fileError(l.dir, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(aside)
			err = fileError(final, err)
		}
	}()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(aside, final); err != nil {
		return err
	}
	return syncDir(filepath.Dir(final))
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (l *layout) putManifest(ctx context.Context, doc document, tag string) error {
	return l.put(ctx, doc, tag, attest.Digest{})
}

func (l *layout) putReferrer(ctx context.Context, doc document, subject attest.Digest) error {
	return l.put(ctx, doc, "", subject)
}

func (l *layout) put(ctx context.Context, doc document, tag string, subject attest.Digest) error {
	b := memoryBlob(doc.bytes)
	if err := l.putBlob(ctx, b); err != nil {
		return err
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	idx, err := l.read(true)
	if err != nil {
		return err
	}
	changed, err := idx.with(doc, tag, subject)
	if err != nil || changed == nil {
		return err
	}
	return l.writeAside(filepath.Join(l.dir, indexFile), bytes.NewReader(changed))
}

func (l *layout) tags(ctx context.Context) ([]string, error) {
	idx, err := l.read(false)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range idx.entries {
		if e.tag != "" {
			out = append(out, e.tag)
		}
	}
	return out, nil
}

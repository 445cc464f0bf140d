package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"regexp"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxListing bounds all pages of one listing together, and a layout's
	// index.json: 64 MiB are about 150,000 attestations of 450 bytes each, many
	// times the most that are read of one artifact.
	maxListing = 64 << 20

	// maxEntries bounds what one listing may list: an entry takes a hundred bytes
	// of memory where its text may take three.
	maxEntries = 150_000

	// smallRead is how long one listing's page, manifest or bundle may take: a
	// server that sends a byte now and then would otherwise never be left.
	smallRead = 2 * time.Minute

	// maxPages bounds the pages of one listing, so that a registry that makes up
	// pages for ever is left after a while. 1,000 pages of 50 are 50,000 entries.
	maxPages = 1000
)

// A store is where manifests and blobs lie: a registry's repository, or a layout.
// Errors wrap attest.ErrAbsent only if the store said that a thing is not there.
type store interface {
	// prepare is called before anything is written.
	prepare(ctx context.Context) error
	// resolve returns the digest a tag points at.
	resolve(ctx context.Context, tag string) (attest.Digest, error)
	// manifest returns a manifest's bytes, checked against d.
	manifest(ctx context.Context, d attest.Digest) ([]byte, error)
	// blob opens a blob. The caller checks what it reads.
	blob(ctx context.Context, d attest.Digest) (io.ReadCloser, error)
	// putBlob stores a blob unless it is there. open may be called again.
	putBlob(ctx context.Context, b blob) error
	// putManifest stores a manifest, under a tag too unless that is empty.
	putManifest(ctx context.Context, doc document, tag string) error
	// putReferrer stores a manifest that has a subject, so that referrers finds it.
	putReferrer(ctx context.Context, doc document, subject attest.Digest) error
	// referrers lists what may have subject as its subject. On error, what it
	// returns was found before. fresh forbids an answer from memory.
	referrers(ctx context.Context, subject attest.Digest, fresh bool) ([]candidate, error)
	// tags returns all tags, in any order.
	tags(ctx context.Context) ([]string, error)
	// held lists what the store lists by itself, with jobs requests at once; see
	// View.Held. On error, what it returns was found before.
	held(ctx context.Context, jobs int) (list *inventory, exhaustive bool, err error)
}

// A blob is content on its way into a store.
type blob struct {
	digest attest.Digest
	size   int64
	open   func() (io.ReadCloser, error)
	add    func(int64) // hears of bytes sent
}

// A document is a manifest or an index, with what a descriptor of it says.
type document struct {
	bytes        []byte
	digest       attest.Digest
	mediaType    string
	artifactType string
	annotations  map[string]string
}

func newDocument(b []byte, mediaType string) document {
	return document{bytes: b, digest: attest.SHA256(b), mediaType: mediaType}
}

// A candidate is a manifest of which somebody says that it refers to a subject.
type candidate struct {
	digest       attest.Digest
	tag          string // under which to fetch it, if digest is zero
	artifactType string // what the listing says; a hint
	err          error  // why it cannot be fetched, though it says it is an attestation
}

// mediaTypeOf returns the media type a manifest's own text gives it, or that of
// its kind: the document decides, not the header somebody sent along.
func mediaTypeOf(b []byte) (string, error) {
	v, err := strictjson.Parse(b, attest.MaxManifest)
	if err != nil || v.Kind() != strictjson.Object {
		return "", &attest.Refusal{Code: attest.CodeRegManifest, About: attest.SHA256(b).String(), Why: "not a manifest", Err: err}
	}
	if mt, ok := v.Get("mediaType"); ok && mt.Kind() == strictjson.String {
		return mt.Text(), nil
	}
	if _, ok := v.Get("manifests"); ok {
		return attest.MediaTypeIndex, nil
	}
	return attest.MediaTypeManifest, nil
}

// ownTag is a tag that the distribution specification's fallback, or this
// package, uses to keep evidence.
var ownTag = regexp.MustCompile(`^(?:sha256-[0-9a-f]{64}(?:\.(?:[0-9a-f]{32}|sig|att|sbom))?|standin-(?:sha256|gitCommit)-[0-9a-f]{40,64})$`)

// IsOwnTag reports whether tag belongs to the bookkeeping of evidence rather than
// to a person: a fallback index, an attestation's own tag, a stand-in.
func IsOwnTag(tag string) bool { return ownTag.MatchString(tag) }

// fallbackTag returns the tag of the distribution specification's "referrers tag
// schema". The specification cuts it to 128 characters, which sha256 stays below.
func fallbackTag(subject attest.Digest) string { return "sha256-" + subject.Hex() }

// uniqueTag returns the tag that belongs to one attestation alone. 128 bits of
// its digest are enough that nobody makes two with the same tag by chance, and
// whoever does so on purpose needs write access and could delete instead.
func uniqueTag(subject, attestation attest.Digest) string {
	return fallbackTag(subject) + "." + attestation.Hex()[:32]
}

// checkTag refuses a tag that no registry takes, and those of the bookkeeping: a
// model under such a tag would overwrite somebody's evidence.
func checkTag(repo attest.Repository, tag string) error {
	if IsOwnTag(tag) {
		return &attest.Refusal{Code: attest.CodeReference, About: tag, Why: "this form of tag keeps evidence", Next: "choose another tag"}
	}
	ref := attest.Reference{Repository: repo, Tag: tag}
	if got, err := attest.ParseReference(ref.String()); err != nil {
		return err
	} else if got != ref {
		return &attest.Refusal{Code: attest.CodeReference, About: tag, Why: "malformed tag"}
	}
	return nil
}

// absent returns the error of those who looked and know that a thing is not there.
func absent(about, why string) error {
	return &attest.Refusal{Code: attest.CodeNotFound, About: about, Why: why, Err: attest.ErrAbsent}
}

// otherBytes is the refusal of content that is not what its digest promises.
func otherBytes(want attest.Digest, why string) error {
	return &attest.Refusal{Code: attest.CodeRegDigest, About: want.String(), Why: why}
}

// fileError gives an error of the file system its code.
func fileError(path string, err error) error {
	if attest.RefusalCode(err) != "" {
		return err
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	code := attest.CodeFileIO
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = attest.CodeInterrupted
	}
	return &attest.Refusal{Code: code, About: path, Err: err}
}

// readAll reads r to its end, at most limit bytes. It reads one byte more to tell
// "exactly full" from "cut short"; a declared length is never believed.
func readAll(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, attest.Refuse(attest.CodeLimit, "%s of more than %d bytes", what, limit)
	}
	return b, nil
}

// readBlob reads a small blob, checked against its digest.
func readBlob(ctx context.Context, s store, d attest.Digest, limit int64, what string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	r, err := s.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := readAll(r, limit, what)
	if err != nil {
		if attest.RefusalCode(err) == "" {
			err = &attest.Refusal{Code: attest.CodeRegUnavailable, About: d.String(), Why: "reading " + what, Err: err}
		}
		return nil, err
	}
	if got := attest.SHA256(b); got != d {
		return nil, otherBytes(d, fmt.Sprintf("%d bytes with digest %s came instead", len(b), got))
	}
	return b, nil
}

// verified reads content and reports io.EOF only if size and digest matched.
// Until then nothing read from it may be used: writers write aside and rename.
type verified struct {
	r    io.Reader
	want attest.Descriptor
	h    hash.Hash
	n    int64
	add  func(int64)
}

func newVerified(r io.Reader, want attest.Descriptor, add func(int64)) *verified {
	if add == nil {
		add = func(int64) {}
	}
	return &verified{r: io.LimitReader(r, want.Size+1), want: want, h: sha256.New(), add: add}
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	v.n += int64(n)
	v.add(int64(n))
	if err != io.EOF {
		return n, err
	}
	if got := attest.SHA256Sum([sha256.Size]byte(v.h.Sum(nil))); v.n != v.want.Size || got != v.want.Digest {
		return 0, otherBytes(v.want.Digest, fmt.Sprintf("%d bytes were promised, %d other ones came", v.want.Size, v.n))
	}
	return n, io.EOF
}

// eachEntry calls f for each element of the array under key in the object b. It
// reads them one by one: of 64 MiB of "{}," a slice would be gigabytes.
func eachEntry(b []byte, key string, f func(json.RawMessage) error) error {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return err
	}
	list := top[key]
	if len(list) == 0 || string(list) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(list))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New(key+" is no array"), err)
	}
	for n := 0; dec.More(); n++ {
		if n == maxEntries {
			return attest.Refuse(attest.CodeLimit, "a listing of more than %d entries", maxEntries)
		}
		var e json.RawMessage
		if err := dec.Decode(&e); err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// memoryBlob returns content that is already in memory as a blob.
func memoryBlob(b []byte) blob {
	return blob{digest: attest.SHA256(b), size: int64(len(b)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// annotationRefName is where a layout keeps tags (image specification,
	// annotations.md).
	annotationRefName = "org.opencontainers.image.ref.name"

	// annotationSubject repeats, in the index's descriptor of an attestation, what
	// its subject is, so that a listing need not open every manifest of the layout.
	// It is a hint: the subject is read again from each manifest that is returned.
	// A wrong hint could hide an attestation, but who can write it could delete the
	// attestation as well. Manifests without the hint, which other tools wrote, are
	// opened.
	annotationSubject = "io.github.pedigree-ml.subject"

	// maxNesting bounds indexes inside indexes; honest ones nest once.
	maxNesting = 4
)

// An indexedEntry is what index.json says of one manifest.
type indexedEntry struct {
	digest       attest.Digest // zero: a digest that we don't compute, listed but out of reach
	mediaType    string
	artifactType string
	tag          string
	hint         attest.Digest // the subject, if the descriptor says so
}

// isIndex reports whether the entry is said to be an index. Only an index is
// opened for what it lists, and it has no layer to hold a bundle.
func (e *indexedEntry) isIndex() bool {
	return e.mediaType == attest.MediaTypeIndex || e.mediaType == mediaTypeDockerList
}

// An index is index.json: the raw document, to be written again with everything
// that others put into it, and what is understood of it.
type index struct {
	top     map[string]json.RawMessage
	raw     []json.RawMessage
	entries []indexedEntry // parallel to raw
	listed  map[attest.Digest]bool
	indexes []indexedEntry // those of entries that are
}

func parseIndex(b []byte) (*index, error) {
	x := index{listed: map[attest.Digest]bool{}}
	if err := json.Unmarshal(b, &x.top); err != nil {
		return nil, err
	}
	if _, ok := x.top["manifests"]; !ok {
		return nil, errors.New("no list of manifests")
	}
	err := eachEntry(b, "manifests", func(r json.RawMessage) error {
		x.raw = append(x.raw, r)
		var d struct {
			MediaType    string            `json:"mediaType"`
			Digest       string            `json:"digest"`
			ArtifactType string            `json:"artifactType"`
			Annotations  map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal(r, &d); err != nil {
			return err
		}
		e := indexedEntry{mediaType: d.MediaType, artifactType: d.ArtifactType, tag: d.Annotations[annotationRefName]}
		// Other algorithms are somebody else's manifests; they stay in the index.
		if got, err := attest.ParseDigest(d.Digest); err == nil && !got.IsCommit() {
			e.digest = got
		}
		if got, err := attest.ParseDigest(d.Annotations[annotationSubject]); err == nil {
			e.hint = got
		}
		x.entries = append(x.entries, e)
		x.listed[e.digest] = true
		if e.isIndex() {
			x.indexes = append(x.indexes, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &x, nil
}

// with returns index.json with doc added, under a tag unless that is empty, and
// nil if that changes nothing. A tag is taken from the manifest that had it,
// which stays in the index: nothing becomes unreachable.
func (x *index) with(doc document, tag string, subject attest.Digest) ([]byte, error) {
	var raw []json.RawMessage
	present := false
	for i, e := range x.entries {
		switch {
		case e.digest == doc.digest && e.tag == tag:
			return nil, nil
		case tag != "" && e.tag == tag:
			others := slices.ContainsFunc(x.entries, func(o indexedEntry) bool { return o.digest == e.digest && o.tag != tag })
			if others {
				continue
			}
			untagged, err := withoutTag(x.raw[i])
			if err != nil {
				return nil, err
			}
			raw = append(raw, untagged)
		case e.digest == doc.digest && e.tag == "" && tag != "":
			continue // replaced by the entry with the tag
		default:
			present = present || e.digest == doc.digest
			raw = append(raw, x.raw[i])
		}
	}
	if present && tag == "" {
		return nil, nil
	}
	d := descriptorJSON{MediaType: doc.mediaType, Digest: doc.digest, Size: int64(len(doc.bytes)), ArtifactType: doc.artifactType, Annotations: map[string]string{}}
	for k, v := range doc.annotations {
		d.Annotations[k] = v
	}
	if tag != "" {
		d.Annotations[annotationRefName] = tag
	}
	if !subject.IsZero() {
		d.Annotations[annotationSubject] = subject.String()
	}
	b, err := marshal(d)
	if err != nil {
		return nil, err
	}
	return x.marshal(append(raw, b))
}

func (x *index) marshal(raw []json.RawMessage) ([]byte, error) {
	list, err := marshal(raw)
	if err != nil {
		return nil, err
	}
	top := make(map[string]json.RawMessage, len(x.top))
	for k, v := range x.top {
		top[k] = v
	}
	top["manifests"] = list
	b, err := marshal(top)
	if err == nil && len(b) > maxListing {
		err = attest.Refuse(attest.CodeLimit, "the layout's index would have %d bytes, at most %d are read", len(b), maxListing)
	}
	return b, err
}

// withoutTag takes the tag from a descriptor and leaves the rest as it is.
func withoutTag(raw json.RawMessage) (json.RawMessage, error) {
	var d map[string]json.RawMessage
	var notes map[string]json.RawMessage
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err // unreachable: it was parsed before
	}
	if err := json.Unmarshal(d["annotations"], &notes); err != nil {
		return nil, err // unreachable: it had the tag
	}
	delete(notes, annotationRefName)
	delete(d, "annotations")
	if len(notes) > 0 {
		b, err := marshal(notes)
		if err != nil {
			return nil, err
		}
		d["annotations"] = b
	}
	return marshal(d)
}

// fileState tells whether index.json was replaced since it was read.
type fileState struct {
	info fs.FileInfo
	size int64
	time time.Time
}

func (s *fileState) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.size == info.Size() && s.time.Equal(info.ModTime())
}

// read returns the index, from memory if the file did not change since. fresh
// reads it in any case.
func (l *layout) read(fresh bool) (*index, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := filepath.Join(l.dir, indexFile)
	info, err := os.Stat(path)
	if err == nil && !fresh && l.index != nil && l.state.same(info) {
		return l.index, nil
	}
	if err := l.checkMarker(); err != nil {
		return nil, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: l.dir, Why: "the layout's " + indexFile + " cannot be read", Err: err}
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, fileError(path, err)
	}
	b, err := readAll(f, maxListing, indexFile)
	if err != nil {
		return nil, fileError(path, err)
	}
	idx, err := parseIndex(b)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Why: "not an index of an OCI layout: it is damaged", Err: err}
	}
	l.index, l.state = idx, fileState{info: info, size: info.Size(), time: info.ModTime()}
	return idx, nil
}

// checkMarker refuses a folder that is no layout. That it is missing or empty is
// no proof of absence: the name may be misspelt, or a disk not mounted.
func (l *layout) checkMarker() error {
	path := filepath.Join(l.dir, layoutFile)
	f, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &attest.Refusal{Code: attest.CodeRegUnavailable, About: l.dir, Why: "there is no OCI layout here"}
	}
	if err != nil {
		return &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Err: err}
	}
	defer f.Close()
	b, err := readAll(f, 4096, layoutFile)
	if err != nil {
		return fileError(path, err)
	}
	var marker struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(b, &marker); err != nil || marker.Version != "1.0.0" {
		return &attest.Refusal{Code: attest.CodeRegUnavailable, About: path, Why: fmt.Sprintf("version %q of a layout; 1.0.0 is read", marker.Version), Err: err}
	}
	return nil
}

// children returns what an index in the layout lists, reading each once.
func (l *layout) children(d attest.Digest) ([]indexedEntry, error) {
	l.mu.Lock()
	got, ok := l.nested[d]
	l.mu.Unlock()
	if ok {
		return got, nil
	}
	b, err := l.readManifest(d)
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(b)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeRegManifest, About: d.String(), Why: "not an index", Err: err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nested[d] = x.entries
	return x.entries, nil
}

// inNested reports whether an index among entries lists d.
func (l *layout) inNested(entries []indexedEntry, d attest.Digest, depth int) (bool, error) {
	for _, e := range entries {
		if !e.isIndex() || e.digest.IsZero() || depth == maxNesting {
			continue
		}
		children, err := l.children(e.digest)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(children, func(c indexedEntry) bool { return c.digest == d }) {
			return true, nil
		}
		if in, err := l.inNested(children, d, depth+1); in || err != nil {
			return in, err
		}
	}
	return false, nil
}

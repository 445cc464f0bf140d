package oci

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// A finder says which entries of a layout's index to look at for a subject. A layout
// of a hundred thousand attestations is asked about as many subjects, so looking at
// all entries each time is no way.
type finder struct {
	index     *index
	bySubject map[attest.Digest][]int
	// open are those whose subject is not known: by no hint, and not from the manifest,
	// which was not opened yet, or cannot be read.
	open map[int]bool
	// always are attestations of which nobody here can find out the subject.
	always []int
}

// entries returns the entries that may refer to a subject, in the order of the index.
func (l *layout) entries(idx *index, subject attest.Digest) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finder == nil || l.finder.index != idx {
		l.finder = newFinder(idx)
	}
	out := slices.Concat(l.finder.bySubject[subject], l.finder.always)
	for i := range l.finder.open {
		out = append(out, i)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func newFinder(idx *index) *finder {
	f := &finder{index: idx, bySubject: map[attest.Digest][]int{}, open: map[int]bool{}}
	for i, e := range idx.entries {
		switch {
		case e.digest.IsZero():
			if strings.HasPrefix(e.artifactType, bundleTypePrefix) {
				f.always = append(f.always, i)
			}
		case e.isIndex():
			if d, ok := subjectOfTag(e.tag); ok && isFallbackIndex(e.tag) {
				f.bySubject[d] = append(f.bySubject[d], i)
			}
		case e.hint.IsZero():
			f.open[i] = true
		default:
			f.bySubject[e.hint] = append(f.bySubject[e.hint], i)
		}
	}
	return f
}

// learned notes what an entry's subject is; zero if it has none.
func (l *layout) learned(idx *index, entry int, subject attest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.finder; f != nil && f.index == idx && f.open[entry] {
		delete(f.open, entry)
		f.bySubject[subject] = append(f.bySubject[subject], entry)
	}
}

// referrers finds the manifests with that subject: by hint, by opening those
// without one, and in a fallback index, which some tools keep in layouts too.
func (l *layout) referrers(ctx context.Context, subject attest.Digest, fresh bool) ([]candidate, error) {
	idx, err := l.read(fresh)
	if err != nil {
		return nil, err
	}
	var out []candidate
	var errs []error
	for _, i := range l.entries(idx, subject) {
		e := idx.entries[i]
		if err := ctx.Err(); err != nil {
			return out, &attest.Refusal{Code: attest.CodeRegUnavailable, About: l.dir, Err: err}
		}
		if e.digest.IsZero() {
			out = append(out, candidate{err: attest.Refuse(attest.CodeDigestAlg, "%s lists an attestation by a digest that nobody here computes", l.dir)})
			continue
		}
		if e.isIndex() {
			if e.digest == subject {
				continue
			}
			children, err := l.children(e.digest)
			if err != nil {
				errs = append(errs, err)
			}
			for _, c := range children {
				if !c.digest.IsZero() {
					out = append(out, candidate{digest: c.digest, artifactType: c.artifactType})
				}
			}
			continue
		}
		got := e.hint
		if got.IsZero() {
			if got, err = l.subjectOf(e.digest); err != nil {
				// It may be the one that was asked for. Listed, so that reading it
				// again says what is wrong with it.
				got = subject
			} else {
				l.learned(idx, i, got)
			}
		}
		if got == subject {
			out = append(out, candidate{digest: e.digest, artifactType: e.artifactType})
		}
	}
	return out, errors.Join(errs...)
}

// subjectOf opens a manifest to learn its subject. Content does not change, so
// each is opened once.
func (l *layout) subjectOf(d attest.Digest) (attest.Digest, error) {
	l.mu.Lock()
	got, ok := l.subjects[d]
	l.mu.Unlock()
	if ok {
		return got, nil
	}
	b, err := l.readManifest(d)
	if err != nil {
		return attest.Digest{}, err
	}
	ref, err := readReferrer(b)
	if err != nil && ref.subject.IsZero() {
		return attest.Digest{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subjects[d] = ref.subject
	return ref.subject, nil
}

package oci

import (
	"context"
	"errors"
	"io/fs"

	"github.com/pedigree-ml/pedigree/attest"
)

// held lists what a layout's index lists: all there is.
func (l *layout) held(ctx context.Context, _ int) (*inventory, bool, error) {
	out := newInventory()
	idx, err := l.read(false)
	if err != nil {
		return out, false, err
	}
	l.entries(idx, attest.Digest{}) // so that what is learned on the way is kept
	var errs []error
	for i, e := range idx.entries {
		if err := ctx.Err(); err != nil {
			errs = append(errs, &attest.Refusal{Code: attest.CodeRegUnavailable, About: l.dir, Why: "gave up reading the layout", Err: err})
			break
		}
		if err := l.stockEntry(idx, i, out); err != nil {
			errs = append(errs, err)
			if !e.digest.IsZero() {
				out.add(e.digest, e.tag) // it is there, whatever it is
			}
		}
	}
	errs = append(errs, out.limit(l.dir))
	err = errors.Join(errs...)
	return out, err == nil, err
}

// stockEntry notes what one entry of a layout's index is.
func (l *layout) stockEntry(idx *index, i int, out *inventory) error {
	e := idx.entries[i]
	switch subject, ok := subjectOfTag(e.tag); {
	case e.digest.IsZero():
		return &attest.Refusal{Code: attest.CodeDigestAlg, About: l.dir, Why: "lists a manifest by a digest that nobody here computes"}
	case ok && isFallbackIndex(e.tag) && e.isIndex():
		out.add(subject, "")
		return nil
	case !e.hint.IsZero():
		// An attestation, which is no artifact unless somebody calls it something.
		out.add(e.hint, "")
		if e.tag != "" && !IsOwnTag(e.tag) {
			out.add(e.digest, e.tag)
		}
		return nil
	}
	if d, ok := standsForTag(e.tag); ok && attest.SHA256(attest.StandIn(d)) == e.digest {
		out.addStandIn(d, "")
		return nil
	}
	b, err := l.readManifest(e.digest)
	if err != nil {
		return err
	}
	ref, err := readReferrer(b)
	if err != nil && ref.subject.IsZero() {
		return err
	}
	l.learned(idx, i, ref.subject)
	if !ref.subject.IsZero() {
		out.add(ref.subject, "")
		if ref.isBundle && (e.tag == "" || IsOwnTag(e.tag)) {
			return nil
		}
	}
	return stock(out, e.digest, b, e.tag, l.child)
}

// child reads a manifest that an index lists; it may be kept elsewhere.
func (l *layout) child(d attest.Digest) ([]byte, error) {
	b, err := l.readManifest(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(d.String(), "the layout does not have it")
	}
	return b, err
}

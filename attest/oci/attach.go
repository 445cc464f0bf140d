package oci

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// confirmWait is how long Attach waits for its attestation to be listed.
// Registries that replicate show a new manifest after up to about a second.
const confirmWait = 5 * time.Second

// Attach keeps a bundle beside an artifact: beside its manifest if the repository
// holds one, else beside its stand-in, which is pushed first if need be. It
// returns the digest of the attestation's manifest. That follows from artifact
// and bundle, so attaching again changes nothing.
//
// The bundle must be what attest.ParseBundle and attest.ParseStatement accept; it
// is not verified. Success means that a fresh listing showed the attestation;
// otherwise the error is attest.CodeAttachUnconfirm and the attestation may or
// may not be there.
func (r *Repository) Attach(ctx context.Context, artifact attest.Digest, bundle []byte) (attest.Digest, error) {
	if artifact.IsZero() {
		return attest.Digest{}, attest.Refuse(attest.CodeDigestFormat, "no artifact is named")
	}
	parsed, err := attest.ParseBundle(bundle)
	if err != nil {
		return attest.Digest{}, err
	}
	st, err := attest.ParseStatement(parsed.Payload)
	if err != nil {
		return attest.Digest{}, err
	}
	if err := r.store.prepare(ctx); err != nil {
		return attest.Digest{}, err
	}
	subject, err := r.subjectFor(ctx, artifact)
	if err != nil {
		return attest.Digest{}, err
	}
	doc, err := attestationManifest(subject, bundle, st.PredicateType)
	if err != nil {
		return attest.Digest{}, err
	}
	for _, b := range []blob{memoryBlob(emptyBlob()), memoryBlob(bundle)} {
		if err := r.store.putBlob(ctx, b); err != nil {
			return attest.Digest{}, err
		}
	}
	if err := r.store.putReferrer(ctx, doc, subject.Digest); err != nil {
		return attest.Digest{}, err
	}
	if err := r.confirm(ctx, subject.Digest, doc.digest, bundle); err != nil {
		return attest.Digest{}, err
	}
	return doc.digest, nil
}

// subjectFor returns what evidence about the artifact is attached to.
func (r *Repository) subjectFor(ctx context.Context, artifact attest.Digest) (attest.Descriptor, error) {
	b, err := r.Manifest(ctx, artifact)
	if errors.Is(err, attest.ErrAbsent) {
		return r.pushStandIn(ctx, artifact)
	}
	if err != nil {
		return attest.Descriptor{}, err
	}
	mt, err := mediaTypeOf(b)
	if err != nil {
		return attest.Descriptor{}, err
	}
	return attest.Descriptor{MediaType: mt, Digest: artifact, Size: int64(len(b))}, nil
}

func (r *Repository) pushStandIn(ctx context.Context, artifact attest.Digest) (attest.Descriptor, error) {
	doc := newDocument(attest.StandIn(artifact), attest.MediaTypeManifest)
	doc.artifactType = attest.ArtifactTypeStandIn
	doc.annotations = map[string]string{attest.AnnotationStandIn: artifact.String()}
	desc := attest.Descriptor{MediaType: doc.mediaType, Digest: doc.digest, Size: int64(len(doc.bytes))}
	if got, err := r.store.resolve(ctx, attest.StandInTag(artifact)); err == nil && got == doc.digest {
		return desc, nil
	}
	if err := r.store.putBlob(ctx, memoryBlob(emptyBlob())); err != nil {
		return attest.Descriptor{}, err
	}
	return desc, r.store.putManifest(ctx, doc, attest.StandInTag(artifact))
}

// confirm waits until a fresh listing shows the attestation. A registry's "201
// Created" says that it took the manifest, not that anybody will find it.
func (r *Repository) confirm(ctx context.Context, subject, attestation attest.Digest, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	var last error
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		cs, err := r.store.referrers(ctx, subject, true)
		for _, c := range cs {
			if c.digest != attestation && !(c.digest.IsZero() && c.tag == uniqueTag(subject, attestation)) {
				continue
			}
			// That its name is listed is not yet that a reader gets it.
			a, ok := r.fetch(ctx, c, subject, unknown)
			switch {
			case ok && a.Err == nil && a.Manifest == attestation && bytes.Equal(a.Bundle, bundle):
				return nil
			case ok && a.Err != nil && ctx.Err() == nil:
				last = a.Err
			}
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		if err := sleep(ctx, wait); err != nil {
			return &attest.Refusal{Code: attest.CodeAttachUnconfirm, About: attestation.String(), Why: "pushed to " + r.ref.String() + ", but not listed there",
				Next: "attach again: it changes nothing if it was attached", Err: last}
		}
	}
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package oci

import (
	"context"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

// A SingleType is a kind of artifact that is one small document: a signed policy,
// say. The document is the only layer of a manifest with the empty configuration
// (image specification, "Guidelines for Artifact Usage").
type SingleType struct {
	Artifact string // the manifest's artifactType
	Layer    string // the document's media type
	Title    string // the name that oras gives the file when it pulls it
	Limit    int64  // the most bytes that are stored and read
}

// PushSingle stores a document, under a tag too unless that is empty, and returns
// the artifact's reference. The manifest follows from type and document alone, so
// pushing again changes nothing. It looks at nothing in the document; one over the
// limit is refused with attest.CodeLimit.
func (r *Repository) PushSingle(ctx context.Context, t SingleType, content []byte, tag string) (attest.Reference, error) {
	if int64(len(content)) > t.Limit {
		return attest.Reference{}, attest.Refuse(attest.CodeLimit, "%d bytes, a document of type %s has at most %d", len(content), t.Artifact, t.Limit)
	}
	if tag != "" {
		if err := checkTag(r.ref, tag); err != nil {
			return attest.Reference{}, err
		}
	}
	empty := emptyBlob()
	b, err := marshal(manifestJSON{
		SchemaVersion: 2,
		MediaType:     attest.MediaTypeManifest,
		ArtifactType:  t.Artifact,
		Config:        descriptorJSON{MediaType: attest.MediaTypeEmpty, Digest: attest.SHA256(empty), Size: int64(len(empty))},
		Layers: []descriptorJSON{{MediaType: t.Layer, Digest: attest.SHA256(content), Size: int64(len(content)),
			Annotations: map[string]string{attest.AnnotationTitle: t.Title}}},
	})
	if err != nil {
		return attest.Reference{}, err
	}
	doc := newDocument(b, attest.MediaTypeManifest)
	doc.artifactType = t.Artifact
	if err := r.store.prepare(ctx); err != nil {
		return attest.Reference{}, err
	}
	for _, b := range []blob{memoryBlob(empty), memoryBlob(content)} {
		if err := r.store.putBlob(ctx, b); err != nil {
			return attest.Reference{}, err
		}
	}
	if err := r.store.putManifest(ctx, doc, tag); err != nil {
		return attest.Reference{}, err
	}
	return attest.Reference{Repository: r.ref, Tag: tag, Digest: doc.digest}, nil
}

// FetchSingle returns the document of the artifact with manifest d, checked
// against the digest that the manifest gives. An artifact of another type or shape
// is refused with attest.CodeRegManifest, a document over the limit with
// attest.CodeLimit; the error wraps attest.ErrAbsent if the repository says that
// there is no such artifact.
func (r *Repository) FetchSingle(ctx context.Context, t SingleType, d attest.Digest) ([]byte, error) {
	b, err := r.Manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := attest.ParseManifest(b)
	if err != nil {
		return nil, err
	}
	if m.ArtifactType != t.Artifact || len(m.Layers) != 1 || m.Layers[0].MediaType != t.Layer || m.Subject != nil {
		return nil, &attest.Refusal{Code: attest.CodeRegManifest, About: d.String(), Why: "is no artifact of type " + t.Artifact + " with one layer of type " + t.Layer}
	}
	layer := m.Layers[0]
	if layer.Size > t.Limit {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: d.String(), Why: fmt.Sprintf("a document of %d bytes, at most %d are read", layer.Size, t.Limit)}
	}
	content, err := readBlob(ctx, r.store, layer.Digest, t.Limit, "a document")
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != layer.Size {
		return nil, otherBytes(layer.Digest, fmt.Sprintf("the manifest says %d bytes, there are %d", layer.Size, len(content)))
	}
	return content, nil
}

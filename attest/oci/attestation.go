package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// bundleTypePrefix is how every version of Sigstore's bundle type begins.
	bundleTypePrefix = "application/vnd.dev.sigstore.bundle"

	annotationContent       = "dev.sigstore.bundle.content"
	annotationPredicateType = "dev.sigstore.bundle.predicateType"

	// maxInline is the largest bundle that is put into its manifest as well.
	// Base64 makes it 342 KiB, a twelfth of what a manifest may have, and every
	// reader fetches the manifest anyway.
	maxInline = 256 << 10
)

// emptyBlob is the content of the OCI empty descriptor.
func emptyBlob() []byte { return []byte("{}") }

// The documents we write, fields in the order of the OCI image specification.
// encoding/json writes struct fields in order and map keys sorted, so one value
// has one text.
type (
	manifestJSON struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptorJSON    `json:"config"`
		Layers        []descriptorJSON  `json:"layers"`
		Annotations   map[string]string `json:"annotations,omitempty"`
		Subject       *descriptorJSON   `json:"subject,omitempty"`
	}
	descriptorJSON struct {
		MediaType    string            `json:"mediaType"`
		Digest       attest.Digest     `json:"digest"`
		Size         int64             `json:"size"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
		Data         []byte            `json:"data,omitempty"`
	}
)

// marshal writes v without escaping what only HTML needs escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeInternal, Why: "writing JSON", Err: err} // unreachable: strings, numbers and bytes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// attestationManifest writes the manifest that keeps a bundle beside its subject:
// in cosign's shape (empty configuration, one layer, both types the bundle's, two
// annotations), but without cosign's creation time. So the manifest follows from
// subject and bundle, and attaching twice is attaching once.
func attestationManifest(subject attest.Descriptor, bundle []byte, predicateType string) (document, error) {
	empty := emptyBlob()
	layer := descriptorJSON{MediaType: attest.MediaTypeBundle, Digest: attest.SHA256(bundle), Size: int64(len(bundle))}
	if len(bundle) <= maxInline {
		layer.Data = bundle
	}
	notes := map[string]string{annotationContent: "dsse-envelope", annotationPredicateType: predicateType}
	b, err := marshal(manifestJSON{
		SchemaVersion: 2,
		MediaType:     attest.MediaTypeManifest,
		ArtifactType:  attest.MediaTypeBundle,
		Config:        descriptorJSON{MediaType: attest.MediaTypeEmpty, Digest: attest.SHA256(empty), Size: int64(len(empty))},
		Layers:        []descriptorJSON{layer},
		Annotations:   notes,
		Subject:       &descriptorJSON{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		return document{}, err
	}
	doc := newDocument(b, attest.MediaTypeManifest)
	doc.artifactType, doc.annotations = attest.MediaTypeBundle, notes
	return doc, nil
}

// A referrer is what a manifest says that refers to another one.
type referrer struct {
	subject       attest.Digest // zero if it has none
	isBundle      bool
	predicateType string
	layer         attest.Descriptor // of a bundle: its one layer
	inline        []byte            // the layer's content, if it is in the manifest
}

// readReferrer reads a manifest that may hold a bundle. What holds none is not an
// error, and neither is what has another subject: the caller ignores it. A
// manifest that holds a bundle in a way nobody can read is an error.
func readReferrer(b []byte) (referrer, error) {
	v, err := strictjson.Parse(b, attest.MaxManifest)
	if err != nil || v.Kind() != strictjson.Object {
		return referrer{}, &attest.Refusal{Code: attest.CodeRegManifest, About: attest.SHA256(b).String(), Why: "not a manifest", Err: err}
	}
	var out referrer
	if s, ok := v.Get("subject"); ok {
		dg, _ := s.Get("digest")
		// A digest that is none of ours is somebody else's subject.
		out.subject, _ = attest.ParseDigest(dg.Text())
	}
	layers, _ := v.Get("layers")
	at, _ := v.Get("artifactType")
	out.isBundle = strings.HasPrefix(at.Text(), bundleTypePrefix)
	for _, l := range layers.Items() {
		mt, _ := l.Get("mediaType")
		out.isBundle = out.isBundle || strings.HasPrefix(mt.Text(), bundleTypePrefix)
	}
	if !out.isBundle {
		return out, nil
	}
	notes, _ := v.Get("annotations")
	pt, _ := notes.Get(annotationPredicateType)
	out.predicateType = pt.Text()
	if n := len(layers.Items()); n != 1 {
		return out, attest.Refuse(attest.CodeRegManifest, "a bundle's manifest with %d layers, not one", n)
	}
	return out, out.readLayer(layers.Items()[0])
}

func (r *referrer) readLayer(l strictjson.Value) error {
	mt, _ := l.Get("mediaType")
	dg, _ := l.Get("digest")
	sz, _ := l.Get("size")
	d, err := attest.ParseDigest(dg.Text())
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(sz.Text(), 10, 64)
	if err != nil || n < 0 || d.IsCommit() {
		return attest.Refuse(attest.CodeRegManifest, "malformed descriptor of %s", d)
	}
	if n > attest.MaxBundle {
		return &attest.Refusal{Code: attest.CodeLimit, About: d.String(), Why: fmt.Sprintf("a bundle of %d bytes, at most %d are read", n, attest.MaxBundle)}
	}
	r.layer = attest.Descriptor{MediaType: mt.Text(), Digest: d, Size: n}
	// The copy in the manifest is a cache of the blob, and no more believed: a
	// wrong one is passed over.
	if data, ok := l.Get("data"); ok {
		if b, err := base64.StdEncoding.Strict().DecodeString(data.Text()); err == nil && int64(len(b)) == n && attest.SHA256(b) == d {
			r.inline = b
		}
	}
	return nil
}

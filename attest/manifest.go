package attest

import (
	"strconv"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// Media types and annotations of the manifests this project reads and writes.
const (
	MediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	MediaTypeEmpty    = "application/vnd.oci.empty.v1+json"
	MediaTypeBundle   = "application/vnd.dev.sigstore.bundle.v0.3+json"

	// mediaTypeDocker is read too: Docker's schema 2 image manifests differ from
	// OCI's in names only.
	mediaTypeDocker = "application/vnd.docker.distribution.manifest.v2+json"

	// ArtifactTypeModel marks a CNCF ModelPack manifest (model-spec, section "Manifest").
	ArtifactTypeModel = "application/vnd.cncf.model.manifest.v1+json"
	// MediaTypeModelConfig is the type of a ModelPack configuration.
	MediaTypeModelConfig = "application/vnd.cncf.model.config.v1+json"

	// AnnotationFilepath is where ModelPack keeps a layer's path in the model.
	AnnotationFilepath = "org.cncf.model.filepath"
	// AnnotationTitle is where ORAS keeps it; we write both, and equal.
	AnnotationTitle = "org.opencontainers.image.title"
)

const (
	// MaxManifest is the largest manifest that is read: the OCI distribution
	// specification asks registries to accept 4 MiB, and several accept no more.
	MaxManifest = 4 << 20

	// MaxFiles is how many files one manifest may hold. At about 480 bytes for a
	// layer with its two annotations, 8,000 stay below MaxManifest.
	MaxFiles = 8000
)

// A Descriptor names content by digest, size and media type, as the OCI image
// specification's descriptors do.
type Descriptor struct {
	MediaType string
	Digest    Digest
	Size      int64
}

// A File is one file of an artifact: "the manifest contains these bytes under
// this path" is proven by hashing the manifest, and nobody has to be trusted
// for it.
type File struct {
	Path string
	Descriptor
}

// A Manifest is what an OCI image manifest says, read strictly.
type Manifest struct {
	Digest       Digest
	Size         int64
	ArtifactType string
	Config       Descriptor
	Layers       []Descriptor
	Files        []File // the layers that carry a path; of a ModelPack manifest, all of them
	Subject      *Descriptor
	StandsFor    Digest // what a stand-in stands for; zero for every other manifest
	Annotations  map[string]string
}

// ParseManifest reads an OCI image manifest of at most MaxManifest bytes.
//
// It refuses what has no single reading: a document with both manifests and
// layers, a media type that is not the manifest's, malformed digests and sizes,
// file paths that escape, collide or occur twice, and in a ModelPack manifest
// layers whose two path annotations are missing or differ.
func ParseManifest(b []byte) (*Manifest, error) {
	v, err := strictjson.Parse(b, MaxManifest)
	if err != nil {
		return nil, jsonRefusal("manifest", err)
	}
	m := &Manifest{Digest: SHA256(b), Size: int64(len(b))}
	if err := m.read(v); err != nil {
		return nil, err
	}
	if m.StandsFor, err = m.standsFor(b); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manifest) read(v strictjson.Value) error {
	if _, both := v.Get("manifests"); both {
		return Refuse(CodeRegManifest, "an index, or a manifest that could be read as one")
	}
	if n, _ := v.Get("schemaVersion"); n.Kind() != strictjson.Number || n.Text() != "2" {
		return Refuse(CodeRegManifest, "schemaVersion is not 2")
	}
	if mt, ok := v.Get("mediaType"); ok && stringOf(mt) != MediaTypeManifest && stringOf(mt) != mediaTypeDocker {
		return Refuse(CodeRegManifest, "media type %q is not an image manifest's", clip(mt.Text()))
	}
	if at, ok := v.Get("artifactType"); ok && at.Kind() != strictjson.String {
		return Refuse(CodeRegManifest, "artifactType is %s, not a string", at.Kind())
	} else {
		m.ArtifactType = at.Text()
	}
	config, ok := v.Get("config")
	if !ok {
		return Refuse(CodeRegManifest, "no config")
	}
	var err error
	if m.Config, err = descriptor(config); err != nil {
		return err
	}
	if m.Annotations, err = annotations(v); err != nil {
		return err
	}
	if s, ok := v.Get("subject"); ok {
		d, err := descriptor(s)
		if err != nil {
			return err
		}
		m.Subject = &d
	}
	layers, ok := v.Get("layers")
	if !ok || layers.Kind() != strictjson.Array {
		return Refuse(CodeRegManifest, "no layers")
	}
	return m.readLayers(layers.Items())
}

func (m *Manifest) readLayers(layers []strictjson.Value) error {
	var paths pathSet
	for _, l := range layers {
		d, err := descriptor(l)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, d)
		notes, err := annotations(l)
		if err != nil {
			return err
		}
		path, title := notes[AnnotationFilepath], notes[AnnotationTitle]
		if m.ArtifactType == ArtifactTypeModel && path == "" {
			return Refuse(CodeRegManifest, "a model's layer has no path in %s", AnnotationFilepath)
		}
		// Tools that unpack go by one or the other: with two paths a layer would
		// be two files.
		if path != "" && title != "" && title != path {
			return &Refusal{Code: CodeRegManifest, About: clip(path), Why: "another path in " + AnnotationTitle + " than in " + AnnotationFilepath}
		}
		if path == "" {
			path = title
		}
		if path == "" {
			continue
		}
		if err := paths.add(path); err != nil {
			return err
		}
		m.Files = append(m.Files, File{Path: path, Descriptor: d})
	}
	if len(m.Files) > MaxFiles {
		return Refuse(CodeLimit, "%d files in one manifest, at most %d are read", len(m.Files), MaxFiles)
	}
	return nil
}

func descriptor(v strictjson.Value) (Descriptor, error) {
	mt, _ := v.Get("mediaType")
	dg, _ := v.Get("digest")
	sz, _ := v.Get("size")
	d, err := ParseDigest(stringOf(dg))
	if err != nil {
		return Descriptor{}, err
	}
	n, err := strconv.ParseInt(sz.Text(), 10, 64)
	if err != nil || n < 0 || sz.Kind() != strictjson.Number || sz.Text()[0] == '-' || mt.Kind() != strictjson.String || d.IsCommit() {
		return Descriptor{}, Refuse(CodeRegManifest, "malformed descriptor of %s", d)
	}
	return Descriptor{MediaType: mt.Text(), Digest: d, Size: n}, nil
}

func annotations(v strictjson.Value) (map[string]string, error) {
	a, ok := v.Get("annotations")
	if !ok || a.Kind() == strictjson.Null {
		return nil, nil
	}
	if a.Kind() != strictjson.Object {
		return nil, Refuse(CodeRegManifest, "annotations are %s", a.Kind())
	}
	out := make(map[string]string, len(a.Members()))
	for _, m := range a.Members() {
		if m.Value.Kind() != strictjson.String {
			return nil, Refuse(CodeRegManifest, "annotation %q is %s", clip(m.Key), m.Value.Kind())
		}
		out[m.Key] = m.Value.Text()
	}
	return out, nil
}

package oci

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filehash"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

// Metadata is what a packer declares about an artifact. It goes into the
// ModelPack configuration (model-spec, config.md) as it is given; nothing is
// guessed, so that packing depends on nothing else.
type Metadata struct {
	// Kind is what the artifact as a whole is: "model" (the default), "dataset",
	// "code" or "doc". It decides the media type of the layers.
	Kind string

	Name, Version string
	Title         string
	Description   string
	Family        string
	Vendor        string
	Authors       []string
	Licenses      []string // SPDX expressions
	DocURL        string
	SourceURL     string
	DatasetsURL   []string
	Revision      string
	// CreatedAt is written only if it is given: a clock would give the same files
	// a new digest every time.
	CreatedAt *time.Time

	Architecture string
	Format       string // gguf, safetensors, …
	ParamSize    string
	Precision    string
	Quantization string
}

// A Packed is an artifact that is ready to be pushed: its manifest, its
// configuration, and where its files lie.
type Packed struct {
	manifest document
	config   []byte
	files    []attest.File
	tree     *filehash.Tree
}

// Digest returns the digest of the manifest: the artifact's name.
func (p *Packed) Digest() attest.Digest { return p.manifest.digest }

// Manifest returns the manifest's bytes.
func (p *Packed) Manifest() []byte { return slices.Clone(p.manifest.bytes) }

// Config returns the bytes of the ModelPack configuration.
func (p *Packed) Config() []byte { return slices.Clone(p.config) }

// Files returns the files, sorted by path.
func (p *Packed) Files() []attest.File { return slices.Clone(p.files) }

// Pack hashes files and writes the ModelPack manifest for them. A single folder
// gives its contents, with paths relative to it; files go by their base names; a
// folder among several paths gives its contents under its base name. The files
// stay where they are and are read again by Push.
//
// The result depends on paths, contents and m alone: not on the clock, the order
// of paths, permissions, or times of files.
//
// It refuses symbolic links, paths that escape or collide (attest.CodePath,
// attest.CodeDup), special files (attest.CodeFileType), files that change while
// they are read (attest.CodeFileChanged), nothing to pack (attest.CodeFileMissing),
// and more than attest.MaxFiles files (attest.CodeLimit).
func Pack(ctx context.Context, paths []string, m Metadata, o Options) (*Packed, error) {
	kind, err := m.kind()
	if err != nil {
		return nil, err
	}
	tree, err := filehash.Scan(paths, attest.MaxFiles)
	if err != nil {
		return nil, err
	}
	if len(tree.Files) == 0 {
		return nil, attest.Refuse(attest.CodeFileMissing, "nothing to pack: there are no files under %q", paths)
	}
	add, done := o.start("hashing", tree.Size())
	err = tree.Hash(ctx, o.Jobs, add)
	done()
	if err != nil {
		return nil, err
	}
	p := &Packed{tree: tree}
	var layers []descriptorJSON
	for _, f := range tree.Files {
		mt := modelpack.KindIn(kind, f.Path).RawMediaType()
		p.files = append(p.files, attest.File{Path: f.Path, Descriptor: attest.Descriptor{MediaType: mt, Digest: f.Digest, Size: f.Size}})
		layers = append(layers, descriptorJSON{MediaType: mt, Digest: f.Digest, Size: f.Size,
			Annotations: map[string]string{attest.AnnotationFilepath: f.Path, attest.AnnotationTitle: f.Path}})
	}
	if p.config, err = m.config(p.files); err != nil {
		return nil, err
	}
	b, err := marshal(manifestJSON{
		SchemaVersion: 2,
		MediaType:     attest.MediaTypeManifest,
		ArtifactType:  attest.ArtifactTypeModel,
		Config:        descriptorJSON{MediaType: attest.MediaTypeModelConfig, Digest: attest.SHA256(p.config), Size: int64(len(p.config))},
		Layers:        layers,
	})
	if err != nil {
		return nil, err
	}
	if len(b) > attest.MaxManifest {
		return nil, &attest.Refusal{Code: attest.CodeLimit, Why: fmt.Sprintf("the manifest of %d files has %d bytes, registries accept %d", len(p.files), len(b), attest.MaxManifest),
			Next: "shorten the paths, put small files together into tar shards, or split the tree into several artifacts"}
	}
	// What is packed is what every reader accepts.
	if _, err := attest.ParseManifest(b); err != nil {
		return nil, err
	}
	p.manifest = newDocument(b, attest.MediaTypeManifest)
	p.manifest.artifactType = attest.ArtifactTypeModel
	return p, nil
}

func (m *Metadata) kind() (modelpack.Kind, error) {
	switch m.Kind {
	case "", "model":
		return modelpack.Weight, nil
	case "dataset":
		return modelpack.Dataset, nil
	case "code":
		return modelpack.Code, nil
	case "doc":
		return modelpack.Doc, nil
	}
	return "", &attest.Refusal{Code: attest.CodeUsage, About: m.Kind, Why: "an artifact is a model, dataset, code or doc"}
}

// The ModelPack configuration (model-spec, config.md): three objects that must be
// there, with fields that may be.
type (
	configJSON struct {
		Descriptor configDescriptorJSON `json:"descriptor"`
		Config     configConfigJSON     `json:"config"`
		ModelFS    configFSJSON         `json:"modelfs"`
	}
	configDescriptorJSON struct {
		CreatedAt   string   `json:"createdAt,omitempty"`
		Authors     []string `json:"authors,omitempty"`
		Vendor      string   `json:"vendor,omitempty"`
		Family      string   `json:"family,omitempty"`
		Name        string   `json:"name,omitempty"`
		Version     string   `json:"version,omitempty"`
		Title       string   `json:"title,omitempty"`
		Description string   `json:"description,omitempty"`
		DocURL      string   `json:"docURL,omitempty"`
		SourceURL   string   `json:"sourceURL,omitempty"`
		DatasetsURL []string `json:"datasetsURL,omitempty"`
		Revision    string   `json:"revision,omitempty"`
		Licenses    []string `json:"licenses,omitempty"`
	}
	configConfigJSON struct {
		Architecture string `json:"architecture,omitempty"`
		Format       string `json:"format,omitempty"`
		ParamSize    string `json:"paramSize,omitempty"`
		Precision    string `json:"precision,omitempty"`
		Quantization string `json:"quantization,omitempty"`
	}
	configFSJSON struct {
		Type    string          `json:"type"`
		DiffIDs []attest.Digest `json:"diffIds"`
	}
)

// config writes the configuration. The diffIds are the layers' digests, because
// raw layers are not compressed.
func (m *Metadata) config(files []attest.File) ([]byte, error) {
	c := configJSON{
		Descriptor: configDescriptorJSON{
			Authors: m.Authors, Vendor: m.Vendor, Family: m.Family, Name: m.Name, Version: m.Version, Title: m.Title,
			Description: m.Description, DocURL: m.DocURL, SourceURL: m.SourceURL, DatasetsURL: m.DatasetsURL,
			Revision: m.Revision, Licenses: m.Licenses,
		},
		Config: configConfigJSON{
			Architecture: m.Architecture, Format: m.Format, ParamSize: m.ParamSize, Precision: m.Precision, Quantization: m.Quantization,
		},
		ModelFS: configFSJSON{Type: "layers"},
	}
	if m.CreatedAt != nil {
		c.Descriptor.CreatedAt = m.CreatedAt.UTC().Format(time.RFC3339)
	}
	for _, f := range files {
		c.ModelFS.DiffIDs = append(c.ModelFS.DiffIDs, f.Digest)
	}
	return marshal(c)
}

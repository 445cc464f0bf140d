package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

// A content is an artifact's files: path to text.
type content map[string]string

// licence lies in most artifacts of a fleet.
const licence = "Everybody may use this for whatever it is good for.\n"

// The document that attest/oci writes when it packs the same files: the fields in
// this order. A test packs some and compares.
type (
	manifestJSON struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		ArtifactType  string           `json:"artifactType"`
		Config        descriptorJSON   `json:"config"`
		Layers        []descriptorJSON `json:"layers"`
	}
	descriptorJSON struct {
		MediaType   string            `json:"mediaType"`
		Digest      attest.Digest     `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	configJSON struct {
		Descriptor struct{}     `json:"descriptor"`
		Config     struct{}     `json:"config"`
		ModelFS    configFSJSON `json:"modelfs"`
	}
	configFSJSON struct {
		Type    string          `json:"type"`
		DiffIDs []attest.Digest `json:"diffIds"`
	}
)

// pack returns the ModelPack manifest of files, and their digests by path.
func pack(kind modelpack.Kind, c content) (manifest []byte, files map[string]attest.Digest, err error) {
	m := manifestJSON{SchemaVersion: 2, MediaType: attest.MediaTypeManifest, ArtifactType: attest.ArtifactTypeModel}
	config := configJSON{ModelFS: configFSJSON{Type: "layers"}}
	files = make(map[string]attest.Digest, len(c))
	for _, path := range slices.Sorted(maps.Keys(c)) {
		d := attest.SHA256([]byte(c[path]))
		files[path] = d
		config.ModelFS.DiffIDs = append(config.ModelFS.DiffIDs, d)
		m.Layers = append(m.Layers, descriptorJSON{
			MediaType: modelpack.KindIn(kind, path).RawMediaType(), Digest: d, Size: int64(len(c[path])),
			Annotations: map[string]string{attest.AnnotationFilepath: path, attest.AnnotationTitle: path},
		})
	}
	b, err := marshal(config)
	if err != nil {
		return nil, nil, err
	}
	m.Config = descriptorJSON{MediaType: attest.MediaTypeModelConfig, Digest: attest.SHA256(b), Size: int64(len(b))}
	manifest, err = marshal(m)
	return manifest, files, err
}

// marshal writes v without escaping what only HTML needs escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err // unreachable: strings, numbers and digests
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// digestOf returns the digest of an artifact by its files.
func digestOf(kind modelpack.Kind, c content) (attest.Digest, error) {
	b, _, err := pack(kind, c)
	return attest.SHA256(b), err
}

// nameArtifacts works out the digest of every artifact. They depend on names alone,
// so each is worked out by itself.
func (f *Fleet) nameArtifacts() error {
	err := parallel(len(f.bases), func(i int) (err error) {
		f.bases[i].digest, err = digestOf(modelpack.Weight, f.baseContent(i))
		return err
	})
	if err != nil {
		return err
	}
	err = parallel(len(f.raws), func(i int) (err error) {
		f.raws[i].digest, err = digestOf(modelpack.Dataset, f.rawContent(i))
		return err
	})
	if err != nil {
		return err
	}
	err = parallel(len(f.data), func(i int) (err error) {
		p := &f.data[i]
		if p.train, err = digestOf(modelpack.Dataset, f.preparedContent(i, "train")); err != nil {
			return err
		}
		p.test, err = digestOf(modelpack.Dataset, f.preparedContent(i, "test"))
		return err
	})
	if err != nil {
		return err
	}
	return parallel(len(f.versions), func(i int) error { return f.nameVersion(&f.versions[i]) })
}

func (f *Fleet) nameVersion(v *version) (err error) {
	if v.style == styleAdapter {
		if v.adapter, err = digestOf(modelpack.Weight, f.adapterContent(v)); err != nil {
			return err
		}
	}
	if v.model, err = digestOf(modelpack.Weight, f.modelContent(v)); err != nil {
		return err
	}
	v.variants = make([]attest.Digest, len(v.bits))
	for i, bits := range v.bits {
		if v.variants[i], err = digestOf(modelpack.Weight, f.variantContent(v, bits)); err != nil {
			return err
		}
	}
	return nil
}

// weights returns one line that stands for weights, or for rows of data: nobody looks
// into it, and it is another one for each seed and name.
func (f *Fleet) weights(name string) string {
	b := f.bytesFor(name)
	return fmt.Sprintf("%s %x\n", name, b[:16])
}

// shards adds files that what is large comes in.
func (f *Fleet) shards(c content, stem, ext, name string, n int) {
	for i := range n {
		path := stem + ext
		if n > 1 {
			path = fmt.Sprintf("%s-%05d-of-%05d%s", stem, i+1, n, ext)
		}
		c[path] = f.weights(fmt.Sprintf("%s %d", name, i))
	}
}

func (f *Fleet) baseContent(i int) content {
	name := f.bases[i].name
	c := f.architecture(i)
	c["README.md"] = card(name, "", "") + "A language model.\n"
	c["LICENSE"] = licence
	f.shards(c, "model", ".safetensors", "base "+name, 1<<(i%3))
	return c
}

// architecture returns the files that say how a model is built; what is fine-tuned
// keeps those of its base. Models without a base have a configuration of their own.
func (f *Fleet) architecture(base int) content {
	if base < 0 {
		return content{}
	}
	name := f.bases[base].name
	return content{
		"config.json":           fmt.Sprintf("{\"architectures\":[\"CausalLM\"],\"hidden_size\":%d,\"num_hidden_layers\":%d,\"name\":%q}\n", 1024+256*(base%13), 16+4*(base%9), name),
		"tokenizer.json":        f.weights("tokenizer " + name),
		"tokenizer_config.json": "{\"model_max_length\":8192}\n",
	}
}

func (f *Fleet) rawContent(i int) content {
	c := content{"README.md": "# " + f.raws[i].name + "\n\nAs it was delivered.\n", "LICENSE": licence}
	f.shards(c, "part", ".parquet", "raw "+f.raws[i].name, 1+i%7)
	return c
}

func (f *Fleet) preparedContent(i int, part string) content {
	c := content{}
	f.shards(c, part, ".parquet", fmt.Sprintf("%s %d", part, i), map[string]int{"train": 1 + i%4, "test": 1}[part])
	return c
}

// modelContent returns the files of a version's model.
func (f *Fleet) modelContent(v *version) content {
	root := -1
	if v.style != styleScratch {
		root = f.rootOf(v)
	}
	c := f.architecture(root)
	name := f.tag(v)
	relation, of := "", ""
	switch {
	case v.style == styleAdapter:
		relation, of = "merge", f.bases[root].name
	case v.other >= 0:
		relation, of = "merge", f.bases[root].name
	case root >= 0:
		relation, of = "finetune", f.bases[root].name
	default:
		c["config.json"] = fmt.Sprintf("{\"model_type\":\"gradient-boosting\",\"family\":%q}\n", f.familyName(v))
	}
	c["README.md"] = card("acme/"+f.familyName(v), of, relation) + fmt.Sprintf("Version %d of %s.\n", v.number, f.familyName(v))
	c["LICENSE"] = licence
	f.shards(c, "model", ".safetensors", "model "+name, 1+max(0, root)%3)
	return c
}

// rootOf returns the base model behind a version. Of the single chain all versions
// go back to the first.
func (f *Fleet) rootOf(v *version) int {
	if len(f.chain) > 0 && f.versions[f.chain[0]].family == v.family {
		return f.versions[f.chain[0]].base
	}
	return f.baseOf(v.slot)
}

func (f *Fleet) adapterContent(v *version) content {
	name := f.bases[v.base].name
	return content{
		"adapter_config.json":       fmt.Sprintf("{\"base_model_name_or_path\":%q,\"peft_type\":\"LORA\",\"r\":16}\n", name),
		"adapter_model.safetensors": f.weights("adapter " + f.tag(v)),
		"README.md":                 card("acme/"+f.familyName(v)+"-adapter", name, "adapter"),
	}
}

func (f *Fleet) variantContent(v *version, bits int) content {
	c := f.modelContent(v)
	for path := range c {
		if strings.HasSuffix(path, ".safetensors") {
			delete(c, path)
		}
	}
	c["README.md"] = card(fmt.Sprintf("acme/%s-q%d", f.familyName(v), bits), "acme/"+f.familyName(v), "quantized")
	f.shards(c, fmt.Sprintf("model-q%d", bits), ".gguf", fmt.Sprintf("variant %s %d", f.tag(v), bits), 1)
	return c
}

// card begins a model card as the hubs have them.
func card(name, base, relation string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\nlicense: apache-2.0\nmodel_name: %s\n", name)
	if base != "" {
		fmt.Fprintf(&b, "base_model: %s\nbase_model_relation: %s\n", base, relation)
	}
	fmt.Fprintf(&b, "---\n# %s\n\n", name)
	return b.String()
}

package rehearse

import (
	"encoding/json"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
	"github.com/pedigree-ml/pedigree/policy"
)

// An artifact is something that evidence can be about.
type artifact struct {
	name     string
	digest   attest.Digest
	manifest []byte            // nil for what is no manifest
	files    map[string]string // path to content
	uri      string            // where inputs say it comes from
	// inspected are the files that the one who asks has looked into.
	inspected map[string]policy.Inspected
}

// artifact reads one artifact: a manifest with files, a commit, or something else
// with a digest.
func (r *reader) artifact(e entry) *artifact {
	a := &artifact{name: e.key.Value}
	f := r.fields(e.value, "artifact "+a.name, "files", "commit", "digest", "opaque", "uri", "inspected")
	if f["uri"] != nil {
		a.uri = r.text(f["uri"], "uri")
		delete(f, "uri")
	}
	looked := f["inspected"]
	delete(f, "inspected")
	if len(f) != 1 {
		r.problem(e.key, "artifact %s is one of {files: {PATH: CONTENT}}, {commit: true}, {opaque: true} and {digest: \"sha256:…\"}", a.name)
		return nil
	}
	switch {
	case f["files"] != nil:
		if a = r.manifest(a, f["files"]); a != nil && looked != nil {
			r.inspected(a, looked)
		}
		return a
	case looked != nil:
		r.problem(looked, "only files can be inspected")
	case f["commit"] != nil:
		a.digest = attest.SHA256([]byte("commit " + a.name))
		hex := a.digest.Hex()[:40]
		if n := f["commit"]; n.Tag != "!!bool" {
			hex = n.Value
		}
		r.digest(a, f["commit"], "gitCommit:"+hex)
	case f["opaque"] != nil:
		if a.digest = attest.SHA256([]byte("opaque " + a.name)); !r.boolean(f["opaque"], "opaque") {
			r.problem(f["opaque"], "opaque is true or left out")
		}
	default:
		r.digest(a, f["digest"], r.text(f["digest"], "digest"))
	}
	return a
}

// inspected reads what files turned out to be: {PATH: FORMAT}, or with a problem.
func (r *reader) inspected(a *artifact, n *yaml.Node) {
	a.inspected = map[string]policy.Inspected{}
	for _, e := range r.entries(n, "inspected") {
		if _, ok := a.files[e.key.Value]; !ok {
			r.problem(e.key, "inspected: there is no file %q in %s", e.key.Value, a.name)
		}
		var found policy.Inspected
		if e.value.Kind == yaml.MappingNode {
			m := r.fields(e.value, "inspected", "format", "problem")
			if m["format"] != nil {
				found.Format = r.text(m["format"], "format")
			}
			if m["problem"] != nil {
				found.Problem = r.text(m["problem"], "problem")
			}
		} else {
			found.Format = r.text(e.value, "inspected")
		}
		a.inspected[e.key.Value] = found
	}
}

func (r *reader) digest(a *artifact, n *yaml.Node, s string) {
	d, err := attest.ParseDigest(s)
	if err != nil {
		r.problem(n, "artifact %s: %v", a.name, err)
	}
	a.digest = d
}

// manifest makes a ModelPack manifest of files, as pedigree push would.
func (r *reader) manifest(a *artifact, n *yaml.Node) *artifact {
	a.files = map[string]string{}
	for _, e := range r.entries(n, "files") {
		if e.value.Kind != yaml.ScalarNode {
			r.problem(e.value, "a file's content is text")
		}
		a.files[e.key.Value] = e.value.Value
	}
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	m := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		ArtifactType  string       `json:"artifactType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, attest.MediaTypeManifest, attest.ArtifactTypeModel, descriptor{attest.MediaTypeModelConfig, fileDigest("{}").String(), 2, nil}, []descriptor{}}
	for _, path := range slices.Sorted(maps.Keys(a.files)) {
		m.Layers = append(m.Layers, descriptor{
			MediaType: modelpack.KindOf(path).RawMediaType(), Digest: fileDigest(a.files[path]).String(), Size: len(a.files[path]),
			Annotations: map[string]string{attest.AnnotationFilepath: path, attest.AnnotationTitle: path},
		})
	}
	b, err := json.Marshal(m)
	if err == nil {
		_, err = attest.ParseManifest(b)
	}
	if err != nil {
		r.problem(n, "artifact %s: %v", a.name, err)
		return nil
	}
	a.manifest, a.digest = b, attest.SHA256(b)
	return a
}

func fileDigest(content string) attest.Digest { return attest.SHA256([]byte(content)) }

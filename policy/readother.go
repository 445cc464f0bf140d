package policy

import (
	"errors"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/modelpack"
)

// maxPolicyDepth bounds how many policies name each other in a row. A supply
// chain of models has two or three; each is one more text that somebody has to
// read to know what the first one asks.
const maxPolicyDepth = 8

// policies reads the policies that judge other teams' artifacts. Each is named by
// its digest as well as its file, so that nobody changes what this policy asks by
// changing another file.
func (r *documentReader) policies(n *yaml.Node) {
	names, values := r.entries(n, "policies")
	for i, name := range names {
		o := &otherPolicy{name: name.Value, pos: at(name)}
		f := r.fields(values[i], "policy "+o.name, otherKeys, nil)
		o.file, o.context = r.text(f["file"], "file"), r.text(f["context"], "context")
		if f["digest"] != nil {
			if ds := r.digests(f["digest"], "digest"); len(ds) == 1 && !ds[0].IsCommit() {
				o.digest = ds[0]
			} else {
				r.parse(f["digest"], "policy %s: digest is one sha256 digest", o.name)
			}
		}
		if f["vsa"] != nil {
			o.vsa = r.summary(f["vsa"])
		}
		switch {
		case o.file == "" && o.vsa == nil:
			r.parse(values[i], "policy %s needs a file, or a vsa that stands in for it", o.name)
		case o.file == "" && f["digest"] == nil:
			r.parse(values[i], "policy %s: a summary names the policy by its digest; say which (digest)", o.name)
		case o.file != "":
			r.other(o, values[i], f)
		}
		r.doc.policies = append(r.doc.policies, o)
		r.doc.byPolicy[o.name] = o
	}
}

// other loads a policy that this one names.
func (r *documentReader) other(o *otherPolicy, n *yaml.Node, f map[string]*yaml.Node) {
	if slices.Contains(r.above, o.file) {
		r.parse(f["file"], "policy %s: %s leads back to itself: %s", o.name, o.file, strings.Join(append(slices.Clone(r.above), o.file), " → "))
		return
	}
	if r.depth <= 0 {
		r.problem(at(f["file"]), attest.CodeLimit, "policy %s: more than %d policies name each other in a row (limits.policies): %s", o.name, len(r.above), strings.Join(append(slices.Clone(r.above), o.file), " → "))
		return
	}
	src, err := r.files(o.file)
	if err != nil {
		r.parse(f["file"], "policy %s: %v", o.name, err)
		return
	}
	p, err := load(src, loading{files: beside(r.files, o.file), keys: r.keys, prefix: r.prefix + o.name + "/", above: append(slices.Clone(r.above), o.file), depth: r.depth - 1, cost: r.cost})
	var inner *LoadError
	if errors.As(err, &inner) {
		for _, problem := range inner.Problems {
			r.problem(at(f["file"]), problem.Code, "%s:%d:%d: %s", o.file, problem.Line, problem.Column, problem.Why)
		}
		return
	}
	if err != nil {
		r.parse(f["file"], "policy %s: %v", o.name, err)
		return
	}
	o.policy = p
	switch {
	case f["digest"] == nil:
		r.parse(n, "policy %s is not pinned: whoever can change %s would change what this policy asks; add digest: %q", o.name, o.file, p.Digest())
	case r.keys != nil:
		o.digest = p.Digest() // with other keys it is another policy
	case !o.digest.IsZero() && o.digest != p.Digest():
		r.parse(f["digest"], "policy %s: %s has the digest %s and not the one that is pinned; read what changed before pinning that", o.name, o.file, p.Digest())
	}
}

// beside returns a reader of files whose paths are relative to the folder of file.
func beside(files ReadFile, file string) ReadFile {
	return func(name string) ([]byte, error) {
		if !path.IsAbs(name) {
			name = path.Join(path.Dir(file), name)
		}
		return files(name)
	}
}

func (r *documentReader) summary(n *yaml.Node) *summaryRule {
	v := &summaryRule{}
	f := r.fields(n, "vsa", summaryKeys, nil)
	if r.need(n, f, "by") {
		if v.by = r.texts(f["by"], "by"); len(v.by) == 0 {
			r.parse(f["by"], "vsa: by is empty, so nobody could sign one")
		}
	}
	if r.need(n, f, "verifier") {
		v.verifier = r.text(f["verifier"], "verifier")
	}
	if r.need(n, f, "resource") {
		v.resource = r.text(f["resource"], "resource")
	}
	if r.need(n, f, "maxAge") {
		v.maxAge = r.duration(f["maxAge"], "maxAge")
	}
	v.levels = r.texts(f["levels"], "levels")
	v.acknowledge = r.text(f["acknowledgeAbsence"], "acknowledgeAbsence")
	return v
}

func (r *documentReader) contexts(n *yaml.Node) {
	names, values := r.entries(n, "contexts")
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.parse(n, "contexts is empty; leave the key out")
	}
	for i, name := range names {
		c := &contextRule{name: name.Value, pos: at(name)}
		f := r.fields(values[i], "context "+c.name, contextKeys, nil)
		if r.need(values[i], f, "require") {
			c.require = r.texts(f["require"], "require")
		}
		r.doc.contexts = append(r.doc.contexts, c)
	}
}

func (r *documentReader) status(n *yaml.Node) {
	s := &statusRule{pos: at(n)}
	f := r.fields(n, "status", statusKeys, nil)
	if r.need(n, f, "by") {
		if s.by = r.texts(f["by"], "by"); len(s.by) == 0 {
			r.parse(f["by"], "status: by is empty, so nobody could publish one")
		}
	}
	if f["maxAge"] != nil {
		s.maxAge = r.duration(f["maxAge"], "maxAge")
	}
	r.doc.status = s
}

func (r *documentReader) revocation(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.parse(n, "revocation must be a list that says who may revoke what")
		return
	}
	for _, e := range n.Content {
		v := &revoker{pos: at(e), threshold: 1, of: []string{revokeArtifact, revokePayload, revokeKey}}
		f := r.fields(e, "revocation", revocationKeys, nil)
		if r.need(e, f, "by") {
			if v.by = r.texts(f["by"], "by"); len(v.by) == 0 {
				r.parse(f["by"], "revocation: by is empty, so nobody could revoke anything")
			}
		}
		if f["of"] != nil {
			kinds := v.of
			if v.of = r.texts(f["of"], "of"); len(v.of) == 0 {
				r.parse(f["of"], "revocation: of is empty; leave the key out for everything")
			}
			for _, k := range v.of {
				if !slices.Contains(kinds, k) {
					r.parse(f["of"], "revocation: of is some of %s", strings.Join(kinds, ", "))
				}
			}
		}
		if f["threshold"] != nil {
			v.threshold = int(r.integer(f["threshold"], "threshold", 1, 1000))
		}
		if v.acknowledge = r.text(f["acknowledgeAbsence"], "acknowledgeAbsence"); v.acknowledge == "" && r.doc.status == nil {
			r.parse(e, "revocation rests on no revocation being hidden; say who lists what there is (status), or why that is acceptable: acknowledgeAbsence: \"…\"")
		}
		r.doc.revocation = append(r.doc.revocation, v)
	}
}

// knownFormats are the formats of weights that a policy can ask for: those that
// hold numbers and cannot run anything.
var knownFormats = []string{"safetensors", "gguf", "onnx"}

// fileKinds are the kinds of files as policies name them.
var fileKinds = []string{string(modelpack.Weight), "config", string(modelpack.Doc), string(modelpack.Code), string(modelpack.Dataset)}

// kindOf returns the kind of a file, as policies name kinds.
func kindOf(file string) string {
	if k := modelpack.KindOf(file); k != modelpack.WeightConfig {
		return string(k)
	}
	return "config"
}

func (r *documentReader) formats(n *yaml.Node) {
	v := &formatRule{pos: at(n)}
	f := r.fields(n, "formats", formatKeys, nil)
	if r.need(n, f, "weights") {
		if v.weights = r.texts(f["weights"], "weights"); len(v.weights) == 0 {
			r.parse(f["weights"], "formats: weights is empty, so no weights would do")
		}
		r.among(f["weights"], "weights", v.weights, knownFormats)
	}
	if f["kinds"] != nil {
		if v.kinds = r.texts(f["kinds"], "kinds"); len(v.kinds) == 0 {
			r.parse(f["kinds"], "formats: kinds is empty; leave the key out for any")
		}
		r.among(f["kinds"], "kinds", v.kinds, fileKinds)
	}
	v.scan = r.text(f["scan"], "scan")
	r.doc.formats = v
}

// among refuses values that are none of the known ones.
func (r *documentReader) among(n *yaml.Node, what string, got, known []string) {
	for _, g := range got {
		if !slices.Contains(known, g) {
			r.parse(n, "%s: %q is none of %s%s", what, g, strings.Join(known, ", "), didYouMean(g, known))
		}
	}
}

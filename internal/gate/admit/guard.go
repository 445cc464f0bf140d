package admit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// nameLabel is the label by which webhooks select namespaces by name. The API server itself
// writes the name there, whatever was asked for: where it is guarded, and nobody could make
// a namespace for that, the label would be taken out of the guard again.
const nameLabel = "kubernetes.io/metadata.name"

// guard refuses a change of a namespace's guarded labels by somebody who is not listed
// for them. The gate's webhook may select namespaces by labels, and who could change those
// could switch it off. To make a namespace with such a label is a change too. The
// subresources of a namespace carry its labels as well, and are held to the same.
func guard(g gate.NamespaceGuard, req *admissionv1.AdmissionRequest, obj *object) error {
	if len(g.Labels) == 0 || (caller{req.UserInfo.Username, req.UserInfo.Groups}).listed(g.Users, g.Groups) {
		return nil
	}
	now, err := labels(obj.content)
	if err != nil {
		return err
	}
	var before map[string]string
	if req.Operation == admissionv1.Update {
		old, err := content(req.OldObject)
		if err != nil || old == nil {
			// Without it nobody can say what was taken away.
			return &attest.Refusal{Code: attest.CodeGuarded, About: obj.name, Why: "the namespace as it was cannot be read", Err: err}
		}
		if before, err = labels(old); err != nil {
			return &attest.Refusal{Code: attest.CodeGuarded, About: obj.name, Why: "the namespace's labels as they were cannot be read", Err: err}
		}
	}
	keys := slices.Concat(slices.Collect(maps.Keys(now)), slices.Collect(maps.Keys(before)))
	slices.Sort(keys)
	for _, k := range keys {
		v, has := now[k]
		w, had := before[k]
		if k == nameLabel && has && v == text(metadata(obj.content), "name") {
			continue
		}
		if guards(g.Labels, k) && (has != had || v != w) {
			return &attest.Refusal{Code: attest.CodeGuarded, About: obj.name, Why: fmt.Sprintf("the label %s is guarded", gate.Clip(k, maxShown)),
				Next: "ask somebody whom the gate's configuration lists under labels"}
		}
	}
	return nil
}

// guards reports whether one of patterns, KEY or PREFIX/*, is about key.
func guards(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "/*"); ok {
			return strings.HasPrefix(key, prefix+"/")
		}
		return p == key
	})
}

// labels returns an object's labels.
func labels(obj map[string]any) (map[string]string, error) {
	meta, err := member(obj, "metadata")
	if err != nil {
		return nil, err
	}
	all, err := member(meta, "labels")
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(all))
	for k, v := range all {
		s, ok := v.(string)
		if !ok {
			return nil, malformed("the value of a label is no text")
		}
		out[k] = s
	}
	return out, nil
}

// member returns the object under a key: nil if there is none, or null.
func member(obj map[string]any, key string) (map[string]any, error) {
	v, ok := obj[key]
	if !ok || v == nil {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, malformed("%s is no object", key)
	}
	return m, nil
}

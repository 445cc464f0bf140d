package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// An accessRule says what grants about the judged artifact may give at most.
type accessRule struct {
	by          []string // whose grants count without having been delegated
	bound       predicate.Reach
	acknowledge string
	pos         position
}

// anyOperation is the value of a tool that may be had to do everything.
const anyOperation = "any"

func (r *documentReader) access(n *yaml.Node) {
	v := &accessRule{pos: at(n)}
	f := r.fields(n, "access", accessKeys, nil)
	if r.need(n, f, "by") {
		if v.by = r.texts(f["by"], "by"); len(v.by) == 0 {
			r.parse(f["by"], "access: by is empty, so nobody's grants would count")
		}
	}
	if f["tools"] != nil {
		v.bound.Tools = r.tools(f["tools"])
	}
	for _, s := range r.texts(f["secrets"], "secrets") {
		name, store, some := strings.Cut(s, "@")
		if name == "" || some && store == "" || strings.Contains(store, "@") {
			r.parse(f["secrets"], "secrets: %.80q is not NAME or NAME@STORE", s)
		}
		v.bound.Secrets = append(v.bound.Secrets, predicate.Secret{Name: name, Store: store})
	}
	v.bound.ExecutionPaths = r.places(f["executionPaths"], "executionPaths")
	v.bound.DataScopes = r.places(f["dataScopes"], "dataScopes")
	if v.acknowledge = r.text(f["acknowledgeAbsence"], "acknowledgeAbsence"); v.acknowledge == "" && r.doc.status == nil {
		r.parse(n, "access rests on no grant being hidden; say who lists what there is (status), or why that is acceptable: acknowledgeAbsence: \"…\"")
	}
	r.doc.access = v
}

// tools reads a mapping of any names to what each tool may be had to do.
func (r *documentReader) tools(n *yaml.Node) []predicate.Tool {
	if n.Kind != yaml.MappingNode {
		r.parse(n, "tools must be a mapping of names to lists of operations, or to any")
		return nil
	}
	var out []predicate.Tool
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		t := predicate.Tool{Name: r.text(k, "tools")}
		if slices.ContainsFunc(out, func(o predicate.Tool) bool { return o.Name == t.Name }) {
			r.parse(k, "tools has %q twice", t.Name)
			continue
		}
		switch {
		case v.Kind == yaml.ScalarNode && v.Value == anyOperation:
		case v.Kind == yaml.SequenceNode && len(v.Content) > 0:
			if t.Operations = r.texts(v, "tools."+t.Name); len(t.Operations) == 0 {
				continue // said already; without operations it would be any
			}
		default:
			r.parse(v, "tools: what %q may be had to do is a list of operations, or %s; leave the tool out for nothing", t.Name, anyOperation)
			continue
		}
		out = append(out, t)
	}
	return out
}

// places reads execution paths or data scopes.
func (r *documentReader) places(n *yaml.Node, what string) []string {
	out := r.texts(n, what)
	for _, s := range out {
		if err := predicate.CheckPlace(s); err != nil {
			r.parse(n, "%s: %v", what, err)
		}
	}
	return out
}

// resolve writes the rule. A tool without operations may be had to do everything,
// here as in a grant.
func (v *accessRule) resolve() map[string]any {
	return map[string]any{"by": v.by, "bound": v.bound, "acknowledgeAbsence": v.acknowledge}
}

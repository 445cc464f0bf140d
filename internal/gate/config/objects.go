package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// matchesRepository reports whether a pattern stands for a repository.
func matchesRepository(pattern, repository string) bool {
	ref, err := attest.ParseRepository(repository)
	return err == nil && gate.Matches([]string{pattern}, ref)
}

func (r *reader) exemptions(n *yaml.Node) []gate.Exemption {
	var out []gate.Exemption
	for _, item := range r.Items(n, "exempt", maxList) {
		f := r.section(item, partExemption)
		e := gate.Exemption{
			Namespaces: r.texts(f["namespaces"], "namespaces", namespaceForm),
			Users:      r.texts(f["users"], "users", whoForm),
			Groups:     r.texts(f["groups"], "groups", whoForm),
			Kinds:      r.texts(f["kinds"], "kinds", groupKindForm),
			Reason:     r.text(f["reason"], "reason"),
		}
		if item.Kind == yaml.MappingNode && everybody(f, e) {
			r.Wrong(item, "this exempts everything: it needs a condition that does not always hold (namespaces, users, groups, kinds)")
		}
		out = append(out, e)
	}
	return out
}

// everybody reports whether an exemption's conditions hold for every request.
func everybody(f map[string]*yaml.Node, e gate.Exemption) bool {
	every := func(pattern string) bool { return strings.Trim(pattern, "*") == "" }
	return f["users"] == nil && f["kinds"] == nil &&
		(f["namespaces"] == nil || slices.ContainsFunc(e.Namespaces, every)) &&
		(f["groups"] == nil || slices.Contains(e.Groups, "system:authenticated"))
}

func (r *reader) labels(n *yaml.Node) gate.NamespaceGuard {
	f := r.section(n, partLabels)
	return gate.NamespaceGuard{
		Labels: r.texts(f["labels"], "labels.labels", labelForm),
		Users:  r.texts(f["users"], "labels.users", whoForm),
		Groups: r.texts(f["groups"], "labels.groups", whoForm),
	}
}

func (r *reader) kinds(n *yaml.Node) []gate.Kind {
	var out []gate.Kind
	for _, item := range r.Items(n, "kinds", maxList) {
		f := r.section(item, partKind)
		k := gate.Kind{
			Group:        r.matching(f["group"], "group", groupForm),
			Kind:         r.matching(f["kind"], "kind", kindForm),
			Versions:     r.texts(f["versions"], "versions", versionForm),
			Places:       r.places(f["places"]),
			PodTemplates: r.list(f["podTemplates"], "podTemplates", r.jsonPath),
		}
		if item.Kind == yaml.MappingNode && f["places"] == nil && f["podTemplates"] == nil {
			r.Wrong(item, "a kind has places or podTemplates: otherwise nothing in it is looked at")
		}
		for _, other := range out {
			if k.Kind != "" && other.Group == k.Group && other.Kind == k.Kind {
				r.Wrong(f["kind"], "the kind %s/%s is described twice", k.Group, k.Kind)
			}
		}
		out = append(out, k)
	}
	return out
}

func (r *reader) places(n *yaml.Node) []gate.CustomPlace {
	var out []gate.CustomPlace
	for _, item := range r.Items(n, "places", maxList) {
		f := r.section(item, partPlace)
		p := gate.CustomPlace{
			Name:     r.matching(f["name"], "name", ruleName),
			JSONPath: r.jsonPath(f["jsonPath"], "jsonPath"),
			CEL:      r.expression(f["cel"], "cel", place.CheckCEL),
		}
		if item.Kind == yaml.MappingNode && (f["jsonPath"] != nil) == (f["cel"] != nil) {
			r.Wrong(item, "a place has jsonPath or cel: one of the two")
		}
		for _, other := range out {
			if p.Name != "" && other.Name == p.Name {
				r.Wrong(f["name"], "two places are called %q", p.Name)
			}
		}
		out = append(out, p)
	}
	return out
}

// jsonPath reads a JSONPath that can be followed.
func (r *reader) jsonPath(n *yaml.Node, what string) string {
	if r.matching(n, what, jsonPathForm) == "" {
		return ""
	}
	return r.expression(n, what, place.CheckPath)
}

// expression reads a text that check has nothing against. Where in the text it is wrong,
// the libraries say; where the text is, we do.
func (r *reader) expression(n *yaml.Node, what string, check func(string) error) string {
	s := r.text(n, what)
	if s == "" {
		return ""
	}
	if err := check(s); err != nil {
		r.Wrong(n, "%s: %s", what, attest.Printable(err.Error()))
		return ""
	}
	return s
}

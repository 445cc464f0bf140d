package admit

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// scope is the name that rules know a request's namespace by.
func scope(namespace string) string {
	if namespace == "" {
		return gate.ClusterScope
	}
	return namespace
}

// Govern returns the rule for a namespace, "" for objects in none: the first that names
// it. It returns false if there is none, and then the object is to be refused: a gate that
// is asked was meant to govern what it is asked about.
func Govern(c *gate.Config, namespace string) (*gate.Rule, bool) {
	for i := range c.Rules {
		if named(c.Rules[i].Namespaces, scope(namespace)) {
			return &c.Rules[i], true
		}
	}
	return nil, false
}

func ungoverned(namespace string) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeUngoverned, About: scope(namespace), Why: "no rule governs it",
		Next: "add it to a rule's namespaces, or leave it out in the webhook's namespaceSelector"}
}

// named reports whether one of patterns matches name.
func named(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return wildcard(p, name) })
}

// wildcard reports whether name is what pattern says, in which a * stands for any
// characters, or none.
func wildcard(pattern, name string) bool {
	head, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	// Each further part takes the first place where it stands; the last stands at the
	// end. What is left for later parts is then as long as it can be.
	for {
		part, more, found := strings.Cut(rest, "*")
		if !found {
			return strings.HasSuffix(name, part)
		}
		_, after, ok := strings.Cut(name, part)
		if !ok {
			return false
		}
		name, rest = after, more
	}
}

// caller is who asks.
type caller struct {
	user   string
	groups []string
}

// listed reports whether the caller is one of users, or in one of groups. Nobody has no
// name, and nobody is in the group without one.
func (c caller) listed(users, groups []string) bool {
	return c.user != "" && slices.Contains(users, c.user) ||
		slices.ContainsFunc(c.groups, func(g string) bool { return g != "" && slices.Contains(groups, g) })
}

// exempt returns the first exemption of which every condition holds, or nil. All that it
// looks at is the request's, and nothing is the object's: those are written by whoever is
// to be held to the rules.
func exempt(list []gate.Exemption, who caller, scope string, gvk schema.GroupVersionKind) *gate.Exemption {
	for i := range list {
		e := &list[i]
		conditions := len(e.Namespaces) + len(e.Users) + len(e.Groups) + len(e.Kinds)
		if conditions > 0 &&
			(len(e.Namespaces) == 0 || named(e.Namespaces, scope)) &&
			(len(e.Users) == 0 || who.listed(e.Users, nil)) &&
			(len(e.Groups) == 0 || who.listed(nil, e.Groups)) &&
			(len(e.Kinds) == 0 || slices.Contains(e.Kinds, gvk.Group+"/"+gvk.Kind)) {
			return e
		}
	}
	return nil
}

// claim returns the first line that matches a repository or, of what is no reference to
// a registry, a URI. It returns nil if none does.
func claim(rule *gate.Rule, repository attest.Repository, uri string) *gate.ArtifactLine {
	for i := range rule.Artifacts {
		line := &rule.Artifacts[i]
		if gate.Matches(line.Repositories, repository) || slices.ContainsFunc(line.URIs, func(p string) bool { return gate.Within(uri, p) }) {
			return line
		}
	}
	return nil
}

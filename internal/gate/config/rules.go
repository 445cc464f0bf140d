package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

func (r *reader) rules(n *yaml.Node, c *gate.Config) []gate.Rule {
	var out []gate.Rule
	var seen []string // every pattern of the rules before
	for _, item := range r.Items(n, "rules", maxList) {
		f := r.section(item, partRule)
		rule := gate.Rule{
			Name:         r.matching(f["name"], "name", ruleName),
			Namespaces:   r.texts(f["namespaces"], "namespaces", namespaceForm),
			Mode:         modeOf(r.word(f["mode"], "mode", modeWords())),
			Pin:          r.yes(f["pin"], "pin"),
			Environments: r.texts(f["environments"], "environments", variableForm),
			Annotations:  r.texts(f["annotations"], "annotations", annotationForm),
			Environment:  r.matching(f["environment"], "environment", clusterName),
		}
		if r.word(f["unrecognised"], "unrecognised", unrecognisedWords()) == unrecognisedReport {
			rule.Unrecognised = gate.Report
		}
		if rule.Mode != gate.Enforce && rule.Unrecognised == gate.Report {
			r.warn(f["unrecognised"], "mode %s refuses nothing anyway", rule.Mode)
		}
		for _, other := range out {
			if rule.Name != "" && other.Name == rule.Name {
				r.Wrong(f["name"], "two rules are called %q", rule.Name)
			}
		}
		r.hidden(f["namespaces"], "namespace", rule.Namespaces, seen, coversName, "a rule before takes them")
		seen = append(seen, rule.Namespaces...)
		rule.Artifacts = r.lines(f["artifacts"], c)
		out = append(out, rule)
	}
	return out
}

// hidden reports patterns that earlier ones leave nothing: all of them is a mistake,
// because what they stand in never decides anything; some is a warning.
func (r *reader) hidden(n *yaml.Node, what string, patterns, before []string, covers func(p, q string) bool, why string) {
	var lost []string
	for _, q := range patterns {
		if slices.ContainsFunc(before, func(p string) bool { return covers(p, q) }) {
			lost = append(lost, q)
		}
	}
	switch {
	case len(lost) == 0:
	case len(lost) == len(patterns):
		r.Wrong(n, "no %s is left for this: %s", what, why)
	default:
		r.warn(n, "nothing is left for %s: %s", strings.Join(lost, ", "), why)
	}
}

func (r *reader) lines(n *yaml.Node, c *gate.Config) []gate.ArtifactLine {
	var out []gate.ArtifactLine
	var repositories, uris []string
	for _, item := range r.Items(n, "artifacts", maxList) {
		f := r.section(item, partLine)
		l := gate.ArtifactLine{
			Repositories: r.repositories(f["repositories"], "repositories"),
			URIs:         r.list(f["uris"], "uris", r.uri),
			Policy:       r.Name(f["policy"], "policy"),
			Context:      r.Name(f["context"], "context"),
			Accept:       r.yes(f["accept"], "accept"),
			Reason:       r.text(f["reason"], "reason"),
		}
		r.line(item, f, l, c)
		const why = "a line before takes it"
		r.hidden(f["repositories"], "repository", l.Repositories, repositories, coversRepository, why)
		r.hidden(f["uris"], "URI", l.URIs, uris, func(p, q string) bool { return gate.Within(q, p) }, why)
		repositories, uris = append(repositories, l.Repositories...), append(uris, l.URIs...)
		out = append(out, l)
	}
	return out
}

// line checks that a line says one thing.
func (r *reader) line(n *yaml.Node, f map[string]*yaml.Node, l gate.ArtifactLine, c *gate.Config) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if (f["repositories"] != nil) == (f["uris"] != nil) {
		r.Wrong(n, "a line has repositories or uris: one of the two")
	}
	switch {
	case f["uris"] != nil && f["policy"] != nil:
		r.Wrong(f["policy"], "what is named by a URI has no digest, so nothing can be verified about it: accept it for a reason, or leave the line out")
	case (f["policy"] != nil) == l.Accept:
		r.Wrong(n, "a line names a policy, or accepts (accept: true) for a reason: one of the two")
	case f["accept"] != nil && !l.Accept:
		r.Wrong(f["accept"], "accept is true, or left out")
	}
	if l.Accept && f["reason"] == nil {
		r.Wrong(n, "what is accepted without a verdict is accepted for a reason: it is missing")
	}
	if !l.Accept && f["reason"] != nil {
		r.Wrong(f["reason"], "a reason is given for what is accepted without a verdict")
	}
	if f["context"] != nil && f["policy"] == nil {
		r.Wrong(f["context"], "a context is one of a policy's, and the line names none")
	}
	if l.Policy == "" {
		return
	}
	if !slices.ContainsFunc(c.Policies, func(p gate.PolicySource) bool { return p.Name == l.Policy }) {
		r.Wrong(f["policy"], "there is no policy %q", l.Policy)
	}
	for _, q := range l.Repositories {
		if !slices.ContainsFunc(c.Registry.Repositories, func(p string) bool { return coversRepository(p, q) }) {
			r.warn(f["repositories"], "registry.repositories does not list all of %s: what it leaves out is refused, because the gate does not ask there", q)
		}
	}
}

// uri reads the beginning of a URI that is no reference to a registry.
func (r *reader) uri(n *yaml.Node, what string) string {
	s := r.matching(n, what, uriForm)
	for _, scheme := range []string{"oci:", "docker:", "ocidir:"} {
		if strings.HasPrefix(s, scheme) {
			r.Wrong(n, "%s: %q is a reference to a registry; write it under repositories", what, s)
			return ""
		}
	}
	if _, rest, _ := strings.Cut(s, "://"); rest != "" && !strings.Contains(rest, "/") {
		r.warn(n, "%s stands for %s-anybody too; end it with /", s, s)
	}
	return s
}

func modeOf(word string) gate.Mode {
	for _, m := range []gate.Mode{gate.Warn, gate.Audit} {
		if m.String() == word {
			return m
		}
	}
	return gate.Enforce
}

// coversName reports whether every name that q stands for is one of p's: p matches the
// text of q, in which a * is a character that only p's own * takes.
func coversName(p, q string) bool {
	head, rest, star := strings.Cut(p, "*")
	if !star {
		return p == q
	}
	q, ok := strings.CutPrefix(q, head)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(q, part)
		if i < 0 {
			return false
		}
		q = q[i+len(part):]
	}
	return strings.HasSuffix(q, last)
}

// coversRepository reports whether every repository that the pattern q stands for is one
// of p's.
func coversRepository(p, q string) bool {
	base, deep := strings.CutSuffix(q, "/**")
	if !deep {
		var flat bool
		if base, flat = strings.CutSuffix(q, "/*"); !flat {
			return matchesRepository(p, q)
		}
	}
	if p == q {
		return true
	}
	under, all := strings.CutSuffix(p, "/**")
	return all && (base == under || strings.HasPrefix(base, under+"/"))
}

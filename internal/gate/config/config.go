// Package config reads the gate's configuration: strict YAML in which every key is
// known, every limit has a bound, and every default is filled in.
//
// A configuration decides what runs, so what looks like a slip is a mistake with line
// and column: a rule that can never govern anything, a line behind one that takes
// everything, a policy that is not defined, an exemption that holds for everybody. What
// may be meant as it is written, and often is not, becomes a warning, which the gate
// tells when it starts.
//
// Expressions are compiled, so that a mistake in one is told where it stands. Nothing
// outside of the file is looked at: whether policies load, and whether they have
// the contexts that rules name, is found out when the grounds are made.
package config

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/strictyaml"
)

// What a configuration begins with.
const (
	apiVersion = "pedigree-ml.github.io/v1"
	kindGate   = "Gate"
)

// MaxSize bounds the file, in bytes. A thousand rules of a thousand bytes fit.
const MaxSize = 1 << 20

// A LoadError lists everything that is wrong with a configuration, in the file's order.
type LoadError = strictyaml.LoadError

// Load reads a configuration of at most MaxSize bytes, with every default filled in. It
// loads whole or not at all: the error is a *LoadError with all problems, E_GATE_CONFIG.
// Paths are as they are written.
func Load(src []byte) (*gate.Config, error) {
	r := &reader{Reader: strictyaml.Reader{Code: attest.CodeGateConfig}}
	root := r.Parse(src, MaxSize)
	if root == nil {
		return nil, r.Err()
	}
	c := r.config(root)
	if err := r.Err(); err != nil {
		return nil, err
	}
	c.Digest, c.Warnings = attest.SHA256(src).String(), r.warnings
	return c, nil
}

// A reader reads one file. Beside the problems it collects warnings.
type reader struct {
	strictyaml.Reader
	warnings []string
	patterns map[string]*regexp.Regexp
}

// warn notes what may not be meant as it is written.
func (r *reader) warn(n *yaml.Node, format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf("%d:%d: %s", n.Line, n.Column, fmt.Sprintf(format, args...)))
}

// section splits a mapping into the keys that a part of the language has. A required key
// that is missing is a problem, and so is a mapping without any key: whoever writes one
// expects something of it. Nil has none.
func (r *reader) section(n *yaml.Node, p string) map[string]*yaml.Node {
	if n == nil {
		return nil
	}
	f := r.Fields(n, partTitle(p), keysOf(p))
	for _, row := range keyTable() {
		if row.part == p && row.required && n.Kind == yaml.MappingNode {
			r.Need(n, f, row.key)
		}
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.Wrong(n, "%s is empty; leave it out", partTitle(p))
	}
	return f
}

func (r *reader) config(root *yaml.Node) *gate.Config {
	f := r.section(root, partGate)
	if f["apiVersion"] != nil {
		r.Constant(root, f["apiVersion"], "apiVersion", apiVersion)
	}
	if f["kind"] != nil {
		r.Constant(root, f["kind"], "kind", kindGate)
	}
	c := &gate.Config{
		Name:     r.Name(r.section(f["metadata"], partMetadata)["name"], "metadata.name"),
		Cluster:  r.matching(f["cluster"], "cluster", clusterName),
		Listen:   r.listen(f["listen"]),
		Limits:   r.limits(f["limits"]),
		Registry: r.registry(f["registry"]),
		Cache:    r.cache(f["cache"]),
		State:    r.text(f["state"], "state"),
		Labels:   r.labels(f["labels"]),
	}
	c.Policies = r.policies(f["policies"])
	c.Rules = r.rules(f["rules"], c)
	c.Exempt = r.exemptions(f["exempt"])
	c.Kinds = r.kinds(f["kinds"])
	c.Records = r.records(f["records"])
	r.whole(root, f, c)
	return c
}

// whole checks what concerns more than one part of the file.
func (r *reader) whole(root *yaml.Node, f map[string]*yaml.Node, c *gate.Config) {
	environments := 0
	for _, rule := range c.Rules {
		if rule.Environment != "" {
			environments++
		}
	}
	switch {
	case c.Records != nil && c.Cluster == "":
		r.Wrong(f["records"], "records say in which cluster something runs; give it a name: cluster")
	case c.Records != nil && environments == 0:
		r.warn(f["records"], "no rule has an environment, so nothing is recorded")
	case c.Records == nil && environments > 0:
		r.warn(f["rules"], "rules name environments, and without records nothing is recorded")
	}
	if c.State == "" {
		r.warn(root, "no state: after a restart an older policy, status or deny list would pass for new")
	}
	if len(c.Rules) == 0 {
		if f["exempt"] != nil {
			r.Wrong(f["exempt"], "there are no rules to be exempt from")
		}
		return
	}
	for i, p := range c.Policies {
		if !named(c.Rules, p.Name) {
			r.warn(f["policies"].Content[i], "no rule names the policy %s: only POST /v1/verify can ask under it", p.Name)
		}
	}
}

// named reports whether a line of some rule names a policy.
func named(rules []gate.Rule, policy string) bool {
	for _, rule := range rules {
		for _, l := range rule.Artifacts {
			if l.Policy == policy {
				return true
			}
		}
	}
	return false
}

package policy

import "go.yaml.in/yaml/v3"

// A locator finds where things are written in a policy's file, so that a finding can
// point at the word in question. The zero locator finds nothing, and everything
// stands nowhere.
type locator struct{ root *yaml.Node }

// field returns a mapping's key and value nodes; nil if it has no such key.
func field(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// key returns the place of a key, by the names on the way to it.
func (w locator) key(path ...string) position {
	n := w.root
	var pos position
	for _, name := range path {
		k, v := field(n, name)
		if k == nil {
			return pos
		}
		pos, n = at(k), v
	}
	return pos
}

// stepKey returns the place of a step's key: where it is written, which may be in
// the step that it is like. The step's own place if it has no such key.
func (w locator) stepKey(s *step, name string) position {
	k, _ := w.stepField(s, name)
	if k == nil {
		return s.pos
	}
	return at(k)
}

func (w locator) stepNode(s *step, name string) *yaml.Node {
	_, v := w.stepField(s, name)
	return v
}

func (w locator) stepField(s *step, name string) (key, value *yaml.Node) {
	_, steps := field(w.root, "steps")
	_, own := field(steps, s.name)
	if key, value = field(own, name); key != nil {
		return key, value
	}
	_, like := field(own, "like")
	if like == nil {
		return nil, nil
	}
	_, base := field(steps, like.Value)
	return field(base, name)
}

// mapping returns the mapping that stands at a place, as rules and input lines do.
func (w locator) mapping(pos position) *yaml.Node {
	var find func(n *yaml.Node) *yaml.Node
	find = func(n *yaml.Node) *yaml.Node {
		if n == nil || n.Kind == yaml.MappingNode && at(n) == pos {
			return n
		}
		for _, c := range n.Content {
			if found := find(c); found != nil {
				return found
			}
		}
		return nil
	}
	return find(w.root)
}

// at returns the place of a key of the mapping that stands at pos; pos if it has
// none.
func (w locator) at(pos position, name string) position {
	if k, _ := field(w.mapping(pos), name); k != nil {
		return at(k)
	}
	return pos
}

func (w locator) value(pos position, name string) *yaml.Node {
	_, v := field(w.mapping(pos), name)
	return v
}

// element returns the place of a list's i-th element, or of a lone value.
func (w locator) element(n *yaml.Node, i int, otherwise position) position {
	switch {
	case n == nil:
		return otherwise
	case n.Kind != yaml.SequenceNode:
		return at(n)
	case i < len(n.Content):
		return at(n.Content[i])
	}
	return otherwise
}

// named returns every principal that some by or vetoBy names, in whatever part of
// the policy.
func (w locator) named() map[string]bool {
	out := map[string]bool{}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		if n == nil {
			return
		}
		for _, key := range []string{"by", "vetoBy"} {
			_, v := field(n, key)
			var r reader
			for _, e := range r.list(v) {
				out[e.Value] = true
			}
		}
		for _, c := range n.Content {
			visit(c)
		}
	}
	visit(w.root)
	return out
}

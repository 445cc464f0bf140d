package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// Flatten returns the values in v with the ways to them, as a.b[0], sorted, each
// value as JSON. A list of plain values is one value: in one of which an element
// was added, all that come after it did not change. An empty object or list is a
// value as well. Values nest as deep as package strictjson allows, and no deeper.
func Flatten(v strictjson.Value) []Row {
	t := &table{}
	t.flatten("", v)
	return t.rows()
}

func (t *table) json(b []byte) error {
	v, err := strictjson.Parse(b, MaxBytes)
	if err != nil {
		return err
	}
	t.flatten("", v)
	return nil
}

func (t *table) flatten(way string, v strictjson.Value) {
	switch {
	case t.over:
	case v.Kind() == strictjson.Object && len(v.Members()) > 0:
		for _, m := range v.Members() {
			t.flatten(step(way, m.Key), m.Value)
		}
	case v.Kind() == strictjson.Array && slices.ContainsFunc(v.Items(), nested):
		for i, item := range v.Items() {
			t.flatten(way+"["+strconv.Itoa(i)+"]", item)
		}
	default:
		t.add(way, string(v.Canonical()))
	}
}

func nested(v strictjson.Value) bool {
	return v.Kind() == strictjson.Object || v.Kind() == strictjson.Array
}

// step appends a key to a way. A key that could be taken for a part of the way is
// quoted.
func step(way, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\"") {
		return way + "[" + strconv.Quote(key) + "]"
	}
	if way == "" {
		return key
	}
	return way + "." + key
}

// maxYAMLDepth is how deep YAML may nest, as JSON may.
const maxYAMLDepth = strictjson.MaxDepth

// document reads exactly one document. It expands nothing: aliases, by which a
// small file says a huge one, are refused.
func document(b []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("no YAML document")
	}
	return doc.Content[0], nil
}

func (t *table) yaml(b []byte) error {
	n, err := document(b)
	if err != nil {
		return err
	}
	return t.node("", n, 0)
}

func (t *table) node(way string, n *yaml.Node, depth int) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("nested deeper than %d", maxYAMLDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || seen[key.Value] {
				return fmt.Errorf("line %d: a key that is no plain text, or there twice", key.Line)
			}
			seen[key.Value] = true
			if err := t.node(step(way, key.Value), n.Content[i+1], depth+1); err != nil {
				return err
			}
		}
		if len(seen) == 0 {
			t.add(way, "{}")
		}
	case yaml.SequenceNode:
		if plain, ok := plainSequence(n); ok {
			t.add(way, plain)
			return nil
		}
		for i, item := range n.Content {
			if err := t.node(way+"["+strconv.Itoa(i)+"]", item, depth+1); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		t.add(way, scalar(n))
	default:
		return fmt.Errorf("line %d: an alias, and aliases are not followed", n.Line)
	}
	return nil
}

func plainSequence(n *yaml.Node) (string, bool) {
	parts := make([]string, len(n.Content))
	for i, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return "", false
		}
		parts[i] = scalar(item)
	}
	return "[" + strings.Join(parts, ",") + "]", true
}

// scalar writes a YAML value as JSON would have it: text in quotes, anything else
// as it stands.
func scalar(n *yaml.Node) string {
	if n.ShortTag() != "!!str" {
		return n.Value
	}
	b, err := json.Marshal(n.Value)
	if err != nil {
		return n.Value // unreachable: text can be written
	}
	return string(b)
}

// conda reads environment.yml: packages, and those that pip installs.
func (t *table) conda(b []byte) error {
	n, err := document(b)
	if err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return errors.New("no environment in it")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if key != "dependencies" {
			if err := t.node(key, value, 0); err != nil {
				return err
			}
			continue
		}
		if err := t.condaPackages(value); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) condaPackages(list *yaml.Node) error {
	for _, item := range list.Content {
		switch {
		case item.Kind == yaml.ScalarNode:
			name, version, _ := strings.Cut(item.Value, "=")
			t.add(strings.ToLower(strings.TrimSpace(name)), strings.TrimLeft(version, "="))
		case item.Kind == yaml.MappingNode && len(item.Content) == 2 && item.Content[0].Value == "pip":
			var lines []string
			for _, line := range item.Content[1].Content {
				lines = append(lines, line.Value)
			}
			if err := t.pip(strings.Join(lines, "\n")); err != nil {
				return err
			}
		default:
			return fmt.Errorf("line %d: neither a package nor what pip installs", item.Line)
		}
	}
	return nil
}

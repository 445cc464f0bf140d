package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/gate/config"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler() // it also checks the schema against draft 2020-12's own
	if err := c.AddResource("gate.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("gate.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is a YAML tree as JSON.
func value(n *yaml.Node) any {
	switch {
	case n.Kind == yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = value(n.Content[i+1])
		}
		return out
	case n.Kind == yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, value(c))
		}
		return out
	case n.Tag == "!!int":
		return json.Number(n.Value)
	case n.Tag == "!!bool":
		return n.Value == "true"
	}
	return n.Value
}

// What Load accepts the schema accepts; and every key that is taken out or added is
// refused by the schema only where Load refuses it too.
func TestSchemaAndReaderAgree(t *testing.T) {
	s := schema(t)
	var doc yaml.Node
	if err := yaml.Unmarshal(complete(t), &doc); err != nil {
		t.Fatal(err)
	}
	root := doc.Content[0]
	accepts := func() bool { return s.Validate(value(root)) == nil }
	loads := func() bool {
		src, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		_, err = config.Load(src)
		return err == nil
	}
	if err := s.Validate(value(root)); err != nil || !loads() {
		t.Fatalf("the complete configuration: %v", err)
	}
	refused, allowed := 0, 0
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for _, c := range n.Content {
			walk(c, path+"/"+c.Value)
		}
		if n.Kind != yaml.MappingNode {
			return
		}
		old := n.Content
		for i := 0; i < len(old); i += 2 {
			n.Content = append(old[:i:i], old[i+2:]...)
			ok := loads()
			if ok && !accepts() {
				t.Errorf("%s without %s loads, and the schema refuses it", path, old[i].Value)
			}
			if ok {
				allowed++
			} else {
				refused++
			}
		}
		n.Content = append(old[:len(old):len(old)], &yaml.Node{Kind: yaml.ScalarNode, Value: "mystery"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "x"})
		if accepts() {
			t.Errorf("%s: the schema takes an unknown key", path)
		}
		n.Content = old
	}
	walk(root, "")
	if refused < 20 || allowed < 20 {
		t.Errorf("%d refused, %d allowed: the test looked at little", refused, allowed)
	}
}

// Every key of the language is in the reference, and the reference's configuration is
// the one that the tests load.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	b, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	keys := 0
	check := func(part string, properties map[string]any) {
		for key := range properties {
			keys++
			if !regexp.MustCompile("`([a-z]+\\.)?" + regexp.QuoteMeta(key) + "`").Match(page) {
				t.Errorf("docs/gate.md does not say what %s of %s is", key, part)
			}
		}
	}
	check("the file", s.Properties)
	for name, p := range s.Defs {
		check(name, p.Properties)
	}
	if keys < 60 {
		t.Errorf("%d keys: some are missing", keys)
	}
	found := 0
	for block := range strings.SplitSeq(string(page), "```yaml\n") {
		src, _, closed := strings.Cut(block, "\n```")
		if !closed || !strings.Contains(src, "kind: Gate") {
			continue
		}
		found++
		if _, err := config.Load([]byte(src)); err != nil {
			t.Errorf("a configuration of docs/gate.md: %v\n%s", err, src)
		}
	}
	if found < 2 {
		t.Errorf("%d configurations in docs/gate.md", found)
	}
}

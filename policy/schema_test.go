package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/policy"
)

// editor judges policies by the schema, as an editor does.
type editor struct {
	t *testing.T
	s *jsonschema.Schema
}

func newEditor(t *testing.T) editor {
	t.Helper()
	b, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler() // it also checks the schema against draft 2020-12's own
	c.AssertFormat()
	if err := c.AddResource("policy.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return editor{t, s}
}

// validate returns what the schema has against a policy.
func (e editor) validate(src string) error {
	e.t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil || len(doc.Content) != 1 {
		e.t.Fatalf("not one YAML document (%v):\n%s", err, src)
	}
	return e.s.Validate(e.value(doc.Content[0]))
}

// value is a YAML tree as JSON: with YAML 1.2's core types, in which a time is
// text.
func (e editor) value(n *yaml.Node) any {
	e.t.Helper()
	switch {
	case n.Kind == yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = e.value(n.Content[i+1])
		}
		return out
	case n.Kind == yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, e.value(c))
		}
		return out
	case n.Tag == "!!int" || n.Tag == "!!float":
		return json.Number(n.Value)
	case n.Tag == "!!bool":
		return n.Value == "true"
	}
	return n.Value
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block returns the YAML block of a page that is a whole policy.
func block(t *testing.T, file string) string {
	t.Helper()
	for _, part := range strings.Split(read(t, file), "```yaml\n")[1:] {
		if src, _, _ := strings.Cut(part, "```"); strings.HasPrefix(src, "apiVersion: ") {
			return src
		}
	}
	t.Fatalf("%s shows no policy", file)
	return ""
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	e, w := newEditor(t), chaintest.New(t)
	policies := map[string]string{
		"the example": readPolicy(t), "the README's": block(t, "../README.md"), "the reference's": block(t, "../docs/policy.md"), "all keys": everything(t, w),
	}
	for _, c := range changes() {
		policies[c.part+"."+c.key+" "+c.new] = c.of(policies["all keys"])
	}
	for name, src := range policies {
		if _, err := loadEverything(w, src); err != nil {
			t.Errorf("%s does not load: %v", name, err)
		}
		if err := e.validate(src); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every refusal for a key that the language does not have is one by the schema.
func TestSchemaRefusesUnknownKeys(t *testing.T) {
	e := newEditor(t)
	tried := 0
	for _, c := range refusals() {
		src := strings.Replace(readPolicy(t), c.old, c.new, 1)
		_, err := load(chaintest.New(t), src)
		var le *policy.LoadError
		if !errors.As(err, &le) || !strings.Contains(le.Error(), "has no key") && !strings.Contains(le.Error(), "not supported by this version") {
			continue
		}
		tried++
		if e.validate(src) == nil {
			t.Errorf("%s: the schema accepts it, and loading says %v", c.name, err)
		}
	}
	if tried < 3 {
		t.Errorf("%d refusals are for unknown keys: the test looked at nothing", tried)
	}
}

// A key too many is refused wherever it stands, a key too few wherever it is
// needed: what the schema refuses does not load, and no unknown key passes.
func TestSchemaIsClosed(t *testing.T) {
	e, w := newEditor(t), chaintest.New(t)
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(everything(t, w)), &doc); err != nil {
		t.Fatal(err)
	}
	text := func() string {
		b, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mappings, refused := 0, 0
	var visit func(n *yaml.Node, path string)
	visit = func(n *yaml.Node, path string) {
		if n.Kind == yaml.MappingNode {
			mappings++
			whole := n.Content
			n.Content = append(whole[:len(whole):len(whole)], &yaml.Node{Kind: yaml.ScalarNode, Value: "no such key"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "x"})
			if e.validate(text()) == nil {
				t.Errorf("%s may have any key", path)
			}
			for i := 0; i+1 < len(whole); i += 2 {
				n.Content = append(whole[:i:i], whole[i+2:]...)
				if e.validate(text()) == nil {
					continue
				}
				refused++
				if _, err := loadEverything(w, text()); err == nil {
					t.Errorf("%s loads without %s, and the schema refuses it", path, whole[i].Value)
				}
			}
			n.Content = whole
		}
		for i, c := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 {
				visit(c, path+"/"+c.Value)
			}
		}
	}
	visit(doc.Content[0], "")
	if mappings < 25 || refused < 25 {
		t.Errorf("%d mappings, %d keys that must be there: the test looked at nothing", mappings, refused)
	}
}

// Each key has a description in the schema and is in its chapter of the
// reference.
func TestEveryKeyIsDocumented(t *testing.T) {
	b, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct{ Description string }
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	chapter := map[string]string{
		"policy": "## The file", "metadata": "## The file", "limits": "## Limits", "deny": "## Deny lists",
		"status": "## Completeness: status", "revocation": "## Withdrawals", "otherPolicy": "## Other teams' models", "summary": "## Other teams' models",
		"formats": "## Formats", "access": "## Access", "context": "## Approvals", "conditions": "## Approvals", "compare": "## Rules that relate steps", "carriesOver": "## Rules that relate steps",
		"principal": "### principals", "credential": "### principals", "step": "### steps", "rule": "### steps", "input": "### inputs",
	}
	// An example explains no key.
	page := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(read(t, "../docs/policy.md"), "")
	code := regexp.MustCompile("`[^`]+`")
	for part, keys := range policy.LanguageKeys() {
		_, text, ok := strings.Cut(page, "\n"+chapter[part]+"\n")
		if !ok {
			t.Errorf("the reference has no chapter %q for %s", chapter[part], part)
		}
		text, _, _ = strings.Cut(text, "\n##")
		words := strings.Join(code.FindAllString(text, -1), " ")
		properties := schema.Defs[part].Properties
		if part == "policy" {
			properties = schema.Properties
		}
		if len(properties) != len(keys) {
			t.Errorf("%s: %d keys in the schema, want %d", part, len(properties), len(keys))
		}
		for _, key := range keys {
			if properties[key].Description == "" {
				t.Errorf("%s.%s has no row in the table of keys", part, key)
			}
			if !regexp.MustCompile(`\b` + key + `\b`).MatchString(words) {
				t.Errorf("%s.%s is not in the reference's chapter %q", part, key, chapter[part])
			}
		}
	}
}

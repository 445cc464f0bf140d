package policy_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/internal/chaintest"
)

// lay lays the keys of one mapping over another's: steps and principals by their
// names, everything else whole.
func lay(base, over *yaml.Node) {
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		var old **yaml.Node
		for j := 0; j+1 < len(base.Content); j += 2 {
			if base.Content[j].Value == key.Value {
				old = &base.Content[j+1]
			}
		}
		switch {
		case old == nil:
			base.Content = append(base.Content, key, value)
		case key.Value == "steps" || key.Value == "principals":
			lay(*old, value)
		default:
			*old = value
		}
	}
}

// Every example of the reference loads: laid over the first one, as the page says.
func TestReferenceExamplesLoad(t *testing.T) {
	w, e := chaintest.New(t), newEditor(t)
	other, err := load(w, basePolicy)
	if err != nil {
		t.Fatal(err)
	}
	// The page's example pins some digest; here it has to be that of a real policy.
	pinned := strings.NewReplacer("sha256:4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a", other.Digest().String())
	blocks := strings.Split(read(t, "../docs/policy.md"), "```yaml\n")[1:]
	if len(blocks) < 10 {
		t.Fatalf("%d examples: the page was not read", len(blocks))
	}
	for _, b := range blocks {
		src, _, _ := strings.Cut(b, "```")
		var whole, part yaml.Node
		if err := yaml.Unmarshal([]byte(block(t, "../docs/policy.md")), &whole); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(pinned.Replace(src)), &part); err != nil {
			t.Fatalf("%v in\n%s", err, src)
		}
		lay(whole.Content[0], part.Content[0])
		text, err := yaml.Marshal(&whole)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loadEverything(w, string(text)); err != nil {
			t.Errorf("%v\n%s", err, src)
		}
		if err := e.validate(string(text)); err != nil {
			t.Errorf("the schema refuses: %v\n%s", err, src)
		}
	}
}

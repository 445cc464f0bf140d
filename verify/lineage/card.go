package lineage

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// MaxCardFile bounds a file that is read for its claims. Model cards with all their
	// tables have some 100 kB, configurations 50.
	MaxCardFile = 1 << 20

	// maxFrontMatter bounds the part of a card that is YAML. The longest that are
	// known list the results of a hundred benchmarks in 40 kB.
	maxFrontMatter = 64 << 10

	// maxCardDepth bounds how deep that YAML is nested: results are 6 deep.
	maxCardDepth = 32

	// maxClaims bounds each list of a card. Merges of a dozen models are known.
	maxClaims = 100

	// maxClaim bounds each claim: a hub's ids have at most 96 characters a part.
	maxClaim = 512
)

// The files that claims are read from.
const (
	cardFile    = "README.md"
	configFile  = "config.json"
	adapterFile = "adapter_config.json"
)

// A Card is what a model's own files claim about where it comes from: its model
// card, as the hubs have them, and the configurations that training tools write.
//
// Nobody signed any of it. The files are those of the artifact, but what they say is
// the word of whoever packed it, and often that of whoever wrote the card of the
// model it was made from. A claim proves nothing; it can only disagree with what was
// signed ([Contradictions]).
type Card struct {
	// Name is what the model calls itself; "" if it does not.
	Name string
	// BaseModels are the models that it says it was made from, in the order of the
	// files and of their lists. Paths on somebody's machine name nothing to others
	// and are left out.
	BaseModels []Claim
	// SaysBase is true if the card has the field base_model, even as an empty list:
	// then what it does not list it says not to be made from.
	SaysBase bool
	// Relation is how it says it was made from them; its zero value says nothing.
	Relation Claim
	// Datasets are the data sets that it says it was trained on.
	Datasets []Claim
}

// A Claim is one thing that a file of an artifact says.
type Claim struct {
	Source string // the file's path
	Field  string // where in it
	Value  string
}

// The relations of a model to its base model, as the hubs' cards name them.
const (
	relationFinetune  = "finetune"
	relationAdapter   = "adapter"
	relationMerge     = "merge"
	relationQuantized = "quantized"
)

// ReadCard reads what an artifact's files claim: README.md with YAML between lines of
// three hyphens at its beginning, config.json and adapter_config.json. read returns a
// file of the artifact by its path, and an error that wraps attest.ErrAbsent if the
// artifact has no such file.
//
// An error says which files could not be read, E_FORMAT for one whose claims cannot
// be made out and E_LIMIT for one that is too long or claims too much. The Card holds
// what the others say: a broken file must not silence them.
func ReadCard(read func(path string) ([]byte, error)) (Card, error) {
	var c Card
	var errs []error
	for _, file := range []struct {
		path string
		from func(*Card, []byte) error
	}{
		{cardFile, (*Card).fromReadme},
		{configFile, (*Card).fromConfig},
		{adapterFile, (*Card).fromAdapter},
	} {
		b, err := read(file.path)
		switch {
		case errors.Is(err, attest.ErrAbsent):
			continue
		case err == nil && len(b) > MaxCardFile:
			err = &attest.Refusal{Code: attest.CodeLimit, About: file.path, Why: fmt.Sprintf("%d bytes, at most %d are read for their claims", len(b), MaxCardFile)}
		case err == nil:
			said := c // an unreadable file must leave nothing behind
			if err = file.from(&said, b); err == nil {
				c = said
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return c, errors.Join(errs...)
}

// Empty reports whether the files claim nothing that could be compared.
func (c Card) Empty() bool {
	return len(c.BaseModels) == 0 && !c.SaysBase && c.Relation == (Claim{}) && len(c.Datasets) == 0
}

func unreadable(path, format string, args ...any) error {
	return &attest.Refusal{Code: attest.CodeFormat, About: path, Why: fmt.Sprintf(format, args...)}
}

// frontMatter returns the YAML between the hyphens at the beginning of a card, and
// nil if it does not begin so.
func frontMatter(b []byte) ([]byte, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	first, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || string(bytes.TrimRight(first, " \t\r")) != "---" {
		return nil, nil
	}
	for at := 0; at < len(rest); {
		line, _, more := bytes.Cut(rest[at:], []byte("\n"))
		if string(bytes.TrimRight(line, " \t\r")) == "---" {
			return rest[:at], nil
		}
		if at += len(line) + 1; at > maxFrontMatter {
			return nil, &attest.Refusal{Code: attest.CodeLimit, About: cardFile, Why: fmt.Sprintf("what is between the hyphens has more than %d bytes", maxFrontMatter)}
		}
		if !more {
			break
		}
	}
	return nil, nil // a rule at the beginning of a text: nothing is between hyphens
}

func (c *Card) fromReadme(b []byte) error {
	src, err := frontMatter(b)
	if err != nil || len(bytes.TrimSpace(src)) == 0 {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return unreadable(cardFile, "not YAML: %v", err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return unreadable(cardFile, "what is between the hyphens is not a mapping")
	}
	top := doc.Content[0]
	if err := plainYAML(top, 0); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i].Value, top.Content[i+1]
		if seen[key] {
			return unreadable(cardFile, "has %.80q twice", key)
		}
		seen[key] = true
		if err := c.field(key, value); err != nil {
			return err
		}
	}
	return nil
}

// field takes what one key of a card says.
func (c *Card) field(key string, value *yaml.Node) error {
	list, err := texts(key, value)
	switch key {
	case "base_model":
		if err != nil || list == nil {
			return err
		}
		c.SaysBase = true
		c.BaseModels, err = claims(c.BaseModels, cardFile, key, list)
	case "base_model_relation":
		if err != nil || len(list) == 0 {
			return err
		}
		c.Relation = Claim{cardFile, key, list[0]}
	case "datasets":
		if err != nil {
			return err
		}
		c.Datasets, err = claims(c.Datasets, cardFile, key, list)
	case "model_name":
		if err != nil || len(list) == 0 {
			return err
		}
		c.Name = list[0]
	default:
		return nil // whatever it says, it is not compared
	}
	return err
}

// plainYAML refuses the parts of YAML with which a small text has a large meaning,
// and depth.
func plainYAML(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return unreadable(cardFile, "line %d: anchors and aliases are not read", n.Line)
	}
	if depth > maxCardDepth {
		return &attest.Refusal{Code: attest.CodeLimit, About: cardFile, Why: fmt.Sprintf("line %d: nested more than %d deep", n.Line, maxCardDepth)}
	}
	for _, child := range n.Content {
		if err := plainYAML(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// texts reads a text, or a list of texts. A null says nothing, and gives nil; an empty
// list gives one that is not nil.
func texts(key string, n *yaml.Node) ([]string, error) {
	items := []*yaml.Node{n}
	switch {
	case n.Kind == yaml.SequenceNode:
		items = n.Content
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, nil
	}
	if len(items) > maxClaims {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: cardFile, Why: fmt.Sprintf("%.80q lists %d, at most %d are read", key, len(items), maxClaims)}
	}
	out := []string{}
	for _, item := range items {
		if item.Kind != yaml.ScalarNode {
			return nil, unreadable(cardFile, "line %d: %.80q is neither a text nor a list of texts", item.Line, key)
		}
		if len(item.Value) > maxClaim {
			return nil, &attest.Refusal{Code: attest.CodeLimit, About: cardFile, Why: fmt.Sprintf("line %d: a text of %d bytes, at most %d are read", item.Line, len(item.Value), maxClaim)}
		}
		if text := strings.TrimSpace(item.Value); text != "" {
			out = append(out, text)
		}
	}
	return out, nil
}

// claims adds what names something to others, each once.
func claims(to []Claim, source, field string, list []string) ([]Claim, error) {
	for _, text := range list {
		claim := Claim{source, field, text}
		if len(identifier(text)) > 0 && !slices.Contains(to, claim) {
			to = append(slices.Clip(to), claim)
		}
	}
	return to, nil
}

// fromConfig reads the configuration that transformers writes beside the weights. It
// names what the weights were loaded from before they were trained.
func (c *Card) fromConfig(b []byte) error { return c.fromJSON(configFile, "_name_or_path", b) }

// fromAdapter reads the configuration that PEFT writes beside an adapter.
func (c *Card) fromAdapter(b []byte) error {
	return c.fromJSON(adapterFile, "base_model_name_or_path", b)
}

func (c *Card) fromJSON(path, field string, b []byte) error {
	v, err := strictjson.Parse(b, MaxCardFile)
	if err != nil {
		return &attest.Refusal{Code: attest.CodeFormat, About: path, Why: "not strict JSON", Err: err}
	}
	if v.Kind() != strictjson.Object {
		return unreadable(path, "not an object")
	}
	value, ok := v.Get(field)
	if !ok || value.Kind() == strictjson.Null {
		return nil
	}
	if value.Kind() != strictjson.String {
		return unreadable(path, "%q is %s, not a text", field, value.Kind())
	}
	if len(value.Text()) > maxClaim {
		return &attest.Refusal{Code: attest.CodeLimit, About: path, Why: fmt.Sprintf("%q has %d bytes, at most %d are read", field, len(value.Text()), maxClaim)}
	}
	c.BaseModels, err = claims(c.BaseModels, path, field, []string{strings.TrimSpace(value.Text())})
	return err
}

package lineage_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// packed reads an artifact's files from a map.
func packed(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("%s: %w", path, attest.ErrAbsent)
	}
}

// finetuneCard is a card as the training tools write them, with the fields around
// those that are read.
const finetuneCard = `---
language:
- en
- de
license: apache-2.0
library_name: transformers
base_model: openweights/tern-7b
base_model_relation: finetune
datasets:
- acme/support-chats
- https://huggingface.co/datasets/acme/Manuals
tags:
- text-generation
- trl
- sft
model-index:
- name: tern-7b-support
  results:
  - task: {type: text-generation, name: Text Generation}
    dataset: {name: IFEval, type: wis-k/instruction-following-eval}
    metrics:
    - {type: inst_level_strict_acc, value: 55.92, name: strict accuracy}
pipeline_tag: text-generation
model_name: acme/tern-7b-support
---

# Tern 7B Support

base_model: not/this-one
`

func baseClaims(values ...string) (out []lineage.Claim) {
	for _, v := range values {
		out = append(out, lineage.Claim{Source: "README.md", Field: "base_model", Value: v})
	}
	return out
}

func TestReadCard(t *testing.T) {
	t.Parallel()
	relation := func(v string) lineage.Claim {
		return lineage.Claim{Source: "README.md", Field: "base_model_relation", Value: v}
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  lineage.Card
	}{
		"no files":        {nil, lineage.Card{}},
		"no front matter": {map[string]string{"README.md": "# A model\n\nbase_model: x/y\n"}, lineage.Card{}},
		"only a rule":     {map[string]string{"README.md": "---\nSome text below a rule: it has colons\n"}, lineage.Card{}},
		"nothing between": {map[string]string{"README.md": "---\n---\ntext"}, lineage.Card{}},
		"a fine-tuned model": {map[string]string{"README.md": finetuneCard}, lineage.Card{
			Name: "acme/tern-7b-support", BaseModels: baseClaims("openweights/tern-7b"), SaysBase: true, Relation: relation("finetune"),
			Datasets: []lineage.Claim{{"README.md", "datasets", "acme/support-chats"}, {"README.md", "datasets", "https://huggingface.co/datasets/acme/Manuals"}},
		}},
		"windows": {map[string]string{"README.md": "\ufeff---\r\nbase_model: a/b\r\n---\r\n"}, lineage.Card{BaseModels: baseClaims("a/b"), SaysBase: true}},
		"a merge": {map[string]string{"README.md": "---\nbase_model:\n- a/one\n- b/two\n- a/one\nbase_model_relation: merge\n---\n"}, lineage.Card{
			BaseModels: baseClaims("a/one", "b/two"), SaysBase: true, Relation: relation("merge")}},
		"made from nothing": {map[string]string{"README.md": "---\nbase_model: []\n---\n"}, lineage.Card{SaysBase: true}},
		"left open":         {map[string]string{"README.md": "---\nbase_model:\ndatasets: null\n---\n"}, lineage.Card{}},
		"a local path":      {map[string]string{"README.md": "---\nbase_model: ./out/checkpoint-500\n---\n"}, lineage.Card{SaysBase: true}},
		"a local folder":    {map[string]string{"README.md": "---\nbase_model: runs/support/checkpoint-500\n---\n"}, lineage.Card{SaysBase: true}},
		"a drive":           {map[string]string{"README.md": "---\nbase_model: c:/models/tern\n---\n"}, lineage.Card{SaysBase: true}},
		"an adapter": {map[string]string{
			"README.md": "---\nbase_model: a/b\nlibrary_name: peft\n---\n", "config.json": `{"_name_or_path": "a/b", "hidden_size": 4096}`,
			"adapter_config.json": `{"base_model_name_or_path": "a/b", "peft_type": "LORA"}`,
		}, lineage.Card{SaysBase: true, BaseModels: []lineage.Claim{{"README.md", "base_model", "a/b"}, {"config.json", "_name_or_path", "a/b"}, {"adapter_config.json", "base_model_name_or_path", "a/b"}}}},
		"weights from a folder": {map[string]string{"config.json": `{"_name_or_path": "/data/runs/7"}`}, lineage.Card{}},
		"no word of it":         {map[string]string{"config.json": `{"_name_or_path": null}`, "adapter_config.json": `{}`}, lineage.Card{}},
	} {
		got, err := lineage.ReadCard(packed(tc.files))
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, tc.want)
		}
	}
}

func TestReadCardRefuses(t *testing.T) {
	t.Parallel()
	front := func(yaml string) map[string]string { return map[string]string{"README.md": "---\n" + yaml + "\n---\n"} }
	for name, tc := range map[string]struct {
		files map[string]string
		code  attest.Code
	}{
		"no YAML":           {front("a: [b"), attest.CodeFormat},
		"a list":            {front("- base_model"), attest.CodeFormat},
		"two claims":        {front("base_model: a/b\nbase_model: c/d"), attest.CodeFormat},
		"an alias":          {front("a: &x [1]\nb: *x"), attest.CodeFormat},
		"a bomb":            {front("a: &a [x,x]\nb: &b [*a,*a]\nbase_model: [*b,*b]"), attest.CodeFormat},
		"a mapping":         {front("base_model: {name: a/b}"), attest.CodeFormat},
		"a list of lists":   {front("datasets: [[a/b]]"), attest.CodeFormat},
		"deep":              {front("a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40)), attest.CodeLimit},
		"very deep":         {front("a: " + strings.Repeat("[", 30_000)), attest.CodeFormat},
		"long front matter": {front("a: " + strings.Repeat("x", 64<<10)), attest.CodeLimit},
		"endless front":     {map[string]string{"README.md": "---\n" + strings.Repeat("a: b\n", 20_000)}, attest.CodeLimit},
		"many claims":       {front("base_model: [" + strings.Repeat("a/b,", 101) + "]"), attest.CodeLimit},
		"a long claim":      {front("base_model: " + strings.Repeat("a", 513)), attest.CodeLimit},
		"a large card":      {map[string]string{"README.md": strings.Repeat("x", 1<<20+1)}, attest.CodeLimit},
		"no JSON":           {map[string]string{"config.json": "{"}, attest.CodeFormat},
		"two in JSON":       {map[string]string{"config.json": `{"_name_or_path":"a/b","_name_or_path":"c/d"}`}, attest.CodeFormat},
		"no object":         {map[string]string{"config.json": `[]`}, attest.CodeFormat},
		"no text":           {map[string]string{"adapter_config.json": `{"base_model_name_or_path": 7}`}, attest.CodeFormat},
		"a long text":       {map[string]string{"config.json": `{"_name_or_path":"` + strings.Repeat("a", 513) + `"}`}, attest.CodeLimit},
	} {
		got, err := lineage.ReadCard(packed(tc.files))
		if attest.RefusalCode(err) != tc.code || !reflect.DeepEqual(got, lineage.Card{}) {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, tc.code)
		}
	}
	// At the limits.
	for name, files := range map[string]map[string]string{
		"claims": front("datasets: [" + strings.Repeat("a/b,", 100) + "]"),
		"length": front("base_model: " + strings.Repeat("a", 512)),
		"depth":  front("a: " + strings.Repeat("[", 30) + strings.Repeat("]", 30)),
	} {
		if _, err := lineage.ReadCard(packed(files)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One broken file does not silence the others, and what cannot be read is not absent.
func TestReadCardInPart(t *testing.T) {
	t.Parallel()
	gone := errors.New("the registry is gone")
	files := packed(map[string]string{"README.md": "---\nbase_model: a/b\ndatasets: [{}]\n---\n", "adapter_config.json": `{"base_model_name_or_path":"c/d"}`})
	got, err := lineage.ReadCard(func(path string) ([]byte, error) {
		if path == "config.json" {
			return nil, gone
		}
		return files(path)
	})
	if !errors.Is(err, gone) || attest.RefusalCode(err) != attest.CodeFormat {
		t.Errorf("got %v, want both errors", err)
	}
	want := lineage.Card{BaseModels: []lineage.Claim{{"adapter_config.json", "base_model_name_or_path", "c/d"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzReadCard(f *testing.F) {
	f.Add([]byte(finetuneCard), []byte(`{"_name_or_path":"a/b"}`))
	f.Add([]byte("---\nbase_model: [a/b, 'hf:c/d@main']\n---"), []byte(`{}`))
	f.Add([]byte("---\na: &x [*x]\n---\n"), []byte(`[`))
	f.Add([]byte("---\n!!binary a: !!set {b}\n? [x]\n: y\n---\n"), []byte(`{"_name_or_path":"https://huggingface.co/%2e%2e/x"}`))
	f.Fuzz(func(t *testing.T, readme, config []byte) {
		c, _ := lineage.ReadCard(packed(map[string]string{"README.md": string(readme), "config.json": string(config), "adapter_config.json": string(config)}))
		for _, claim := range append(c.BaseModels, c.Datasets...) {
			if len(claim.Value) > 512 || claim.Value == "" {
				t.Errorf("a claim of %d bytes", len(claim.Value))
			}
		}
		g := descended("finetune", edge{"base-model", "base", "openweights/tern-7b"}).graph()
		for _, found := range lineage.Contradictions(c, g) {
			if found.Why == "" || found.Source == "" || found.Claimed == "" || found.Signed == "" {
				t.Errorf("half a contradiction: %+v", found)
			}
		}
	})
}

package templates_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "make the template llm from examples/llm")

// A change is what a template says in place of what the example says.
type change struct{ example, template string }

// changes are all differences between examples/llm and the template: the example
// tells of one model, the template of none in particular. They apply to each of
// the three files.
func changes() []change {
	return []change{
		// Names, and an end that pedigree policy init replaces.
		{"{name: tiny-opticks, version: 3, expires: 2027-05-01T00:00:00Z}", "{name: llm, version: 1, expires: 2027-11-01T00:00:00Z}"},
		{"{name: tiny-base, version: 1, expires: 2027-05-01T00:00:00Z}", "{name: base, version: 1, expires: 2027-11-01T00:00:00Z}"},
		{"git.example/acme/opticks", "git.example/acme/llm"},
		{"git.example/mallory/opticks", "git.example/mallory/llm"},
		{"https://www.gutenberg.org/ebooks/33504", "https://data.example/text/2026-10"},
		{"https://www.gutenberg.org/", "https://data.example/"},
		{"https://mallory.example/33504", "https://mallory.example/text"},
		// The digest of Newton's Opticks: nobody's but the example's.
		{"f7461028fdad7c8b3396f2dd8d3f8e59fc205291b8103d44c159644c03de59a8", "2222222222222222222222222222222222222222222222222222222222222222"},
		// What the example's script does, a reader of the template has to do.
		{"# Paths are relative to this file. pipeline.sh makes the keys beside a copy of it.\n",
			"# Paths are relative to this file. README.md says what to fill in, and in which order;\n# `pedigree policy check policy.yaml` says what is still wrong.\n"},
		{"      # (They are those of policy_test.yaml: pipeline.sh writes the real ones into\n      # its copy, and the digest of base.yaml above.)\n",
			"      # (They are those of policy_test.yaml, until you put yours here.)\n"},
		{"# cannot change what this one asks. The digest is of the policy with its keys.\n",
			"# cannot change what this one asks. The digest is of the policy with its keys:\n# `pedigree policy check base.yaml` prints it.\n"},
		// The example predicts characters; its headings are a group to look after.
		{`slices["lineLength"].groups["short"]`, `slices["language"].groups["de"]`},
		{"slices: {lineLength: {groups: {short: ", "slices: {language: {groups: {de: "},
		{"slices.lineLength.groups.short", "slices.language.groups.de"},
		{"headings are predicted badly, or there were too few", "answers in German are bad, or there were too few"},
		{"eight bits and bad headings", "eight bits and bad German"},
		{"too few headings to tell", "too little German to tell"},
		{"measured on fewer than 5,000 characters", "measured on fewer than 5,000 examples"},
		{"too few characters", "too few examples"},
		{"wavers between more than nine characters", "perplexity above 9"},
	}
}

// The template's policies and tests are the example's, but for the changes above.
// After a change of the example:
//
//	go test ./internal/templates -run Example -update
func TestLLMIsTheExampleWithOtherNames(t *testing.T) {
	used := map[string]bool{}
	for _, name := range []string{"policy.yaml", "base.yaml", "policy_test.yaml"} {
		want, err := os.ReadFile(filepath.Join("..", "..", "examples", "llm", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes() {
			used[c.example] = used[c.example] || bytes.Contains(want, []byte(c.example))
			want = bytes.ReplaceAll(want, []byte(c.example), []byte(c.template))
		}
		for _, word := range []string{"opticks", "Opticks", "gutenberg", "tiny", "pipeline.sh", "characters", "headings"} {
			if bytes.Contains(want, []byte(word)) {
				t.Errorf("%s speaks of the example: %s", name, word)
			}
		}
		file := filepath.Join("llm", name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what examples/llm makes it (%v): run go test ./internal/templates -run Example -update, and read what changed", file, err)
		}
	}
	for _, c := range changes() {
		if !used[c.example] {
			t.Errorf("the example no longer says %q", c.example)
		}
	}
}

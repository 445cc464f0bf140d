// Package templates holds policies to begin with, each with tests and a page that
// explains it.
//
// A template is one folder, and its line in [All]. It has policy.yaml,
// policy_test.yaml and README.md, and the policies that policy.yaml names. A test of this package plays
// every template's tests: a template that nobody tried would be copied by people
// who trust it. The policies of llm are those of examples/llm with other names; a
// test makes them from there, so that the two cannot drift apart.
package templates

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

//go:embed */*.yaml */*.md
var files embed.FS

// A Template is a policy to begin with.
type Template struct {
	Name string
	For  string // one line: for whom it is
}

// All returns the templates in the order in which they are listed.
func All() []Template {
	return []Template{
		{"minimal", "one trainer, one approver: the least that is worth checking"},
		{"keyless", "no key files: a workflow trains, a service measures, people approve, each signing as who they are"},
		{"credit", "a regulated decision model: two approvers by role, bias and quality gates, contexts, status, revocation"},
		{"llm", "a fine-tuned language model: somebody else's base model, adapter, merge, two quantisations, staging before production"},
	}
}

// A File is one file of a template.
type File struct {
	Name    string
	Content []byte
}

// Keys reports whether a template's policy names files of keys, which lie in the folder
// keys.
func Keys(name string) bool {
	src, err := files.ReadFile(path.Join(name, "policy.yaml"))
	return err == nil && bytes.Contains(src, []byte("{key: keys/"))
}

// written is when the policies end as they lie here. Nobody gets them like that:
// a policy to begin with would be over, some day, before anybody began.
const written = "expires: 2027-11-01T00:00:00Z"

// Files returns a template's files by name, its policies ending at the given time.
// A name that is none is E_USAGE.
func Files(name string, expires time.Time) ([]File, error) {
	for _, t := range All() {
		if t.Name != name {
			continue
		}
		var out []File
		entries, err := files.ReadDir(name)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err) // unreachable: a test reads them all
		}
		end := []byte("expires: " + expires.UTC().Format(time.RFC3339))
		for _, e := range entries {
			b, err := files.ReadFile(path.Join(name, e.Name()))
			if err != nil {
				return nil, fmt.Errorf("template %s: %w", name, err) // unreachable, likewise
			}
			out = append(out, File{e.Name(), bytes.ReplaceAll(b, []byte(written), end)})
		}
		return out, nil
	}
	return nil, attest.Refuse(attest.CodeUsage, "there is no template %q", name)
}

package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// Load reads, checks and resolves a policy. Key files are read through files.
//
// A policy either loads whole or not at all: unknown keys, keys of a later
// version, duplicates, names that nothing defines, steps that nothing reaches,
// expressions that do not compile or are not boolean, thresholds that cannot be
// met, and requirements that rest on absence without saying so are errors. The
// error is a *LoadError that lists all of them with line and column.
func Load(src []byte, files ReadFile) (*Policy, error) {
	r := &documentReader{
		files: files,
		raw:   map[string]*yaml.Node{},
		doc: &document{
			limits:       limits{celCost: defaultCELCost},
			byStep:       map[string]*step{},
			byPrincipal:  map[string]*principal{},
			byCredential: map[verify.Credential]*principal{},
		},
	}
	root := r.parseYAML(src)
	if root == nil {
		return nil, r.err()
	}
	cost := r.costLimit(root)
	var err error
	if r.cel, err = newCompiler(cost); err != nil {
		return nil, err
	}
	r.read(root)
	r.check()
	if err := r.err(); err != nil {
		return nil, err
	}
	resolved, err := r.doc.resolve()
	if err != nil {
		return nil, fmt.Errorf("resolving the policy: %w", err)
	}
	return &Policy{doc: r.doc, resolved: resolved, digest: attest.SHA256(resolved)}, nil
}

// costLimit looks limits.celCost up before anything is compiled with it; a wrong
// value is reported when the limits are read.
func (r *documentReader) costLimit(root *yaml.Node) uint64 {
	var quiet documentReader
	limits := quiet.fields(root, "", []string{"limits"}, nil)["limits"]
	if limits == nil {
		return defaultCELCost
	}
	if n := quiet.fields(limits, "", []string{"celCost"}, nil)["celCost"]; n != nil {
		return uint64(quiet.integer(n, "", 1, 1<<32))
	}
	return defaultCELCost
}

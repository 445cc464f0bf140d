package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// Load reads, checks and resolves a policy. The files that it names, keys and
// other policies, are read through files.
//
// A policy either loads whole or not at all: unknown keys, keys of a later
// version, duplicates, names that nothing defines, steps that nothing reaches,
// expressions that do not compile or are not boolean, thresholds that cannot be
// met, other policies that are not the pinned ones, and requirements that rest on
// absence without saying so are errors. The error is a *LoadError that lists all
// of them with line and column.
func Load(src []byte, files ReadFile) (*Policy, error) {
	return load(src, loading{files: files, depth: -1})
}

// Rehearse is Load with other keys in the place of those that the policy names:
// keys gives the i-th of each principal, counted from 0, and those of a policy
// NAME that it names as "NAME/principal". Identities stay as they are, and a pinned
// trust file is not asked for: who certifies them in a rehearsal is for that. It is for
// trying a policy out on chains that somebody without the real keys makes up. What it returns has a digest of
// its own and must judge nothing real.
func Rehearse(src []byte, files ReadFile, keys func(principal string, i int) attest.PublicKey) (*Policy, error) {
	return load(src, loading{files: files, keys: keys, depth: -1})
}

// loading is how a policy is read that another one names.
type loading struct {
	files  ReadFile
	keys   func(principal string, i int) attest.PublicKey // nil: those that the policy names
	prefix string
	above  []string
	depth  int    // policies that may still be named in a row; -1: as the policy says
	cost   uint64 // what the naming policy allows an expression; 0: as the policy says
}

func load(src []byte, how loading) (*Policy, error) {
	r := &documentReader{
		files: how.files, keys: how.keys, prefix: how.prefix, above: how.above, depth: how.depth,
		raw: map[string]*yaml.Node{},
		doc: &document{
			limits:      limits{celCost: defaultCELCost, policies: maxPolicyDepth, requirements: defaultRequirements},
			maxLag:      defaultMaxLag,
			byStep:      map[string]*step{},
			byPrincipal: map[string]*principal{},
			byPolicy:    map[string]*otherPolicy{},
			exact:       map[verify.Credential][]*credential{},
		},
	}
	root := r.parseYAML(src)
	if root == nil {
		return nil, r.err()
	}
	// Whoever names a policy pays for it, so it gets no more than they have.
	if r.cost = r.early(root, "celCost", defaultCELCost); how.cost > 0 {
		r.cost = min(r.cost, how.cost)
	}
	if r.depth < 0 {
		r.depth = int(r.early(root, "policies", maxPolicyDepth))
	}
	var err error
	if r.cel, err = newCompiler(r.cost); err != nil {
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
	return &Policy{doc: r.doc, resolved: resolved, digest: attest.SHA256(resolved), source: root}, nil
}

// early looks a limit up that is needed before the limits are read; a wrong value
// is reported there.
func (r *documentReader) early(root *yaml.Node, key string, otherwise uint64) uint64 {
	var quiet documentReader
	limits := quiet.fields(root, "", []string{"limits"}, nil)["limits"]
	if limits == nil {
		return otherwise
	}
	if n := quiet.fields(limits, "", []string{key}, nil)[key]; n != nil {
		return uint64(quiet.integer(n, "", 1, 1<<32))
	}
	return otherwise
}

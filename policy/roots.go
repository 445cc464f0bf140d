package policy

import (
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	kindRoots = "PolicyRoots"

	// maxRootKeys bounds the keys that each signature is tried with.
	maxRootKeys = 64
)

// Roots are the keys that sign policies: which policies, and how many of the keys
// must. Only LoadRoots makes them; the zero Roots have signed nothing.
type Roots struct {
	policies   []string
	threshold  int
	keys       []attest.PublicKey
	minVersion int64
}

// Policies returns the names of the policies that the roots sign for.
func (r *Roots) Policies() []string { return r.policies }

// Threshold returns how many distinct keys must have signed; at least 1.
func (r *Roots) Threshold() int { return r.threshold }

// Keys returns the root keys, all distinct.
func (r *Roots) Keys() []attest.PublicKey { return r.keys }

// MinVersion returns the version below which no policy is taken; 0 for any.
func (r *Roots) MinVersion() int64 { return r.minVersion }

// LoadRoots reads a file of root keys, strictly as Load reads a policy:
//
//	apiVersion: pedigree-ml.github.io/v1
//	kind: PolicyRoots
//	policies: [credit-prod]
//	threshold: 2
//	keys: [root-a.pub, root-b.pub, root-c.pub]
//	minVersion: 3
//
// minVersion may be left out, nothing else. Unknown or duplicate keys, a key
// under two names, a threshold of zero or above the number of keys, and no
// policies are errors, listed in a *LoadError with line and column. Key files are
// read through files.
func LoadRoots(src []byte, files ReadFile) (*Roots, error) {
	r := &documentReader{files: files}
	root := r.parseYAML(src)
	if root == nil {
		return nil, r.err()
	}
	f := r.fields(root, "the roots", []string{"apiVersion", "kind", "policies", "threshold", "keys", "minVersion"}, nil)
	r.constant(root, f["apiVersion"], "apiVersion", apiVersion)
	r.constant(root, f["kind"], "kind", kindRoots)
	out := &Roots{}
	if r.need(root, f, "policies") {
		out.policies = r.texts(f["policies"], "policies")
		if len(out.policies) == 0 {
			r.parse(f["policies"], "policies: none; roots sign for policies of certain names, not for any")
		}
		for _, name := range out.policies {
			if !namePattern.MatchString(name) {
				r.parse(f["policies"], "policies: %q is not the name of a policy", name)
			}
		}
	}
	if r.need(root, f, "keys") {
		out.keys = r.rootKeys(f["keys"])
	}
	if r.need(root, f, "threshold") {
		out.threshold = int(r.integer(f["threshold"], "threshold", 1, maxRootKeys))
		if out.threshold > len(out.keys) && f["keys"] != nil {
			r.parse(f["threshold"], "threshold %d cannot be met: there are %d keys", out.threshold, len(out.keys))
		}
	}
	if f["minVersion"] != nil {
		out.minVersion = r.integer(f["minVersion"], "minVersion", 1, math.MaxInt32)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// rootKeys reads the keys. One key twice, under whatever names, would let one
// person's signature count as two.
func (r *documentReader) rootKeys(n *yaml.Node) []attest.PublicKey {
	var out []attest.PublicKey
	if len(r.list(n)) > maxRootKeys {
		r.parse(n, "more than %d keys", maxRootKeys)
		return nil
	}
	seen := map[attest.Digest]string{}
	for _, item := range r.list(n) {
		k, ok := r.key(item)
		if !ok {
			continue
		}
		if first, twice := seen[k.Fingerprint()]; twice {
			r.parse(item, "the key of %.60q is listed already, as %.60q: one signature would count as two", item.Value, first)
			continue
		}
		seen[k.Fingerprint()] = item.Value
		out = append(out, k)
	}
	return out
}

package policy

import (
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// The first two lines of every policy.
const (
	apiVersion = "pedigree-ml.github.io/v1"
	kindPolicy = "Policy"
)

// A ReadFile returns the content of a file that a policy names, such as a key.
// The path is as written in the policy; the caller decides what it is relative
// to and where it may not lead.
type ReadFile func(path string) ([]byte, error)

// documentReader turns the YAML tree into a document.
type documentReader struct {
	reader
	files ReadFile
	doc   *document
	cel   *compiler
	cost  uint64
	// keys, if not nil, gives the keys in the place of those that the policy names.
	keys   func(principal string, i int) attest.PublicKey
	prefix string                // of principals' names in keys: the policies that lead here
	above  []string              // the files of the policies that lead here
	depth  int                   // how many policies may still be named within each other
	raw    map[string]*yaml.Node // each step's mapping, for `like`
}

func (r *documentReader) read(root *yaml.Node) {
	f := r.fields(root, "the policy",
		policyKeys,
		[]string{"lists", "roots", "exemptions", "mode"})
	r.constant(root, f["apiVersion"], "apiVersion", apiVersion)
	r.constant(root, f["kind"], "kind", kindPolicy)
	if r.need(root, f, "metadata") {
		r.metadata(f["metadata"])
	}
	if f["evidence"] != nil {
		r.evidence(f["evidence"])
	}
	if n := f["unsafeTime"]; n != nil {
		if r.doc.unsafeTime = r.text(n, "unsafeTime") == "claimed"; !r.doc.unsafeTime {
			r.parse(n, "unsafeTime: the only value is claimed")
		}
	}
	if n := f["maxLag"]; n != nil {
		r.doc.maxLag = r.duration(n, "maxLag")
	}
	if n := f["trust"]; n != nil {
		r.trust(n)
	}
	if f["limits"] != nil {
		r.limits(f["limits"])
	}
	if n := f["sharedFiles"]; n != nil {
		r.doc.sharedFiles = r.digests(n, "sharedFiles")
	}
	if f["principals"] != nil {
		r.principals(f["principals"])
	}
	if f["steps"] == nil || len(f["steps"].Content) == 0 {
		r.problem(at(root), attest.CodePolicyVacuous, "no steps: a policy that asks for nothing proves nothing")
		return
	}
	r.need(root, f, "principals")
	if f["policies"] != nil {
		r.policies(f["policies"])
	}
	r.steps(f["steps"])
	if r.need(root, f, "artifact") {
		r.doc.artifact, r.doc.artifactPos = r.texts(f["artifact"], "artifact"), at(f["artifact"])
		if len(r.doc.artifact) == 0 {
			r.problem(r.doc.artifactPos, attest.CodePolicyVacuous, "artifact names no step: nothing would be judged")
		}
	}
	for _, part := range []struct {
		key  string
		read func(*yaml.Node)
	}{{"contexts", r.contexts}, {"status", r.status}, {"revocation", r.revocation}, {"deny", r.denials}, {"formats", r.formats}, {"access", r.access}} {
		if f[part.key] != nil {
			part.read(f[part.key])
		}
	}
}

func (r *documentReader) need(parent *yaml.Node, f map[string]*yaml.Node, key string) bool {
	if f[key] == nil {
		r.parse(parent, "%q is missing", key)
		return false
	}
	return true
}

func (r *documentReader) constant(root, n *yaml.Node, key, want string) {
	if n == nil {
		r.parse(root, "%q is missing; it is %s", key, want)
	} else if n.Value != want {
		r.parse(n, "%s is %q, this version reads %s", key, n.Value, want)
	}
}

func (r *documentReader) metadata(n *yaml.Node) {
	f := r.fields(n, "metadata", metadataKeys, nil)
	if r.need(n, f, "name") {
		if r.doc.name = r.text(f["name"], "metadata.name"); r.doc.name != "" && !namePattern.MatchString(r.doc.name) {
			r.parse(f["name"], "metadata.name: letters, digits, - and _, beginning with a letter")
		}
	}
	if r.need(n, f, "version") {
		r.doc.version = int(r.integer(f["version"], "metadata.version", 1, math.MaxInt32))
	}
	if f["description"] != nil {
		r.doc.description = r.text(f["description"], "metadata.description")
	}
	if f["expires"] == nil {
		r.problem(at(n), attest.CodePolicyExpired, "metadata.expires is missing: a policy without an end is judged by for ever, whatever is learned later")
		return
	}
	r.doc.expires = r.time(f["expires"], "metadata.expires")
	if f["notBefore"] != nil {
		if r.doc.notBefore = r.time(f["notBefore"], "metadata.notBefore"); !r.doc.notBefore.Before(r.doc.expires) {
			r.parse(f["notBefore"], "metadata.notBefore is not before metadata.expires, so the policy would never judge anything")
		}
	}
}

// trust reads the digest of the trust file that must be used.
func (r *documentReader) trust(n *yaml.Node) {
	s := r.text(n, "trust")
	if s == "" {
		return
	}
	d, err := attest.ParseDigest(s)
	if err != nil || d.IsCommit() {
		r.parse(n, "trust is the digest of a trust file, as pedigree trust show prints it: sha256:…")
		return
	}
	if r.keys == nil { // those of a rehearsal are other authorities
		r.doc.trust = d
	}
}

func (r *documentReader) evidence(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.parse(n, "evidence must be a list of repositories")
		return
	}
	for _, s := range r.texts(n, "evidence") {
		repo, err := attest.ParseRepository(s)
		if err != nil {
			r.parse(n, "evidence: %v", err)
			continue
		}
		r.doc.evidence = append(r.doc.evidence, repo)
	}
}

func (r *documentReader) limits(n *yaml.Node) {
	f := r.fields(n, "limits", limitKeys, nil)
	w := &r.doc.limits.walk
	for _, l := range []struct {
		key  string
		most int64
		set  func(int64)
	}{
		{"depth", 1 << 16, func(v int64) { w.Depth = int(v) }},
		{"attestationsPerArtifact", 1 << 20, func(v int64) { w.PerArtifact = int(v) }},
		{"attestations", 1 << 24, func(v int64) { w.Attestations = int(v) }},
		{"bytes", 1 << 40, func(v int64) { w.Bytes = v }},
		{"inputs", predicate.MaxInputs, func(v int64) { w.Inputs = int(v) }},
		{"celCost", 1 << 32, func(v int64) { r.doc.limits.celCost = uint64(v) }},
		{"policies", maxPolicyDepth, func(v int64) { r.doc.limits.policies = int(v) }},
		{"requirements", 1 << 30, func(v int64) { r.doc.limits.requirements = int(v) }},
	} {
		if f[l.key] != nil {
			l.set(r.integer(f[l.key], "limits."+l.key, 1, l.most))
		}
	}
	if f["time"] != nil {
		w.Time = r.duration(f["time"], "limits.time")
	}
}

// kinds of principals.
var principalKinds = []string{"human", "workload", "agent"}

func (r *documentReader) principals(n *yaml.Node) {
	names, values := r.entries(n, "principals")
	for i, name := range names {
		p := &principal{name: name.Value, pos: at(name)}
		f := r.fields(values[i], "principal "+p.name, principalKeys, nil)
		if r.need(values[i], f, "kind") {
			if p.kind = r.text(f["kind"], "kind"); !slices.Contains(principalKinds, p.kind) {
				r.parse(f["kind"], "kind is one of %s", strings.Join(principalKinds, ", "))
			}
		}
		p.roles = r.texts(f["roles"], "roles")
		if r.need(values[i], f, "credentials") {
			r.credentials(p, f["credentials"])
		}
		r.doc.principals = append(r.doc.principals, p)
		r.doc.byPrincipal[p.name] = p
	}
}

func (r *documentReader) denials(n *yaml.Node) {
	for _, d := range r.list(n) {
		f := r.fields(d, "deny", denyKeys, nil)
		out := &denial{pos: at(d), acknowledge: r.text(f["acknowledgeAbsence"], "acknowledgeAbsence")}
		if f["list"] != nil {
			r.denylist(out, d, f)
		} else {
			r.denied(out, d, f)
		}
		if out.acknowledge == "" && r.doc.status == nil {
			r.parse(d, "deny rests on nothing denied being hidden; say who lists what there is (status), or why that is acceptable: acknowledgeAbsence: \"…\"")
		}
		r.doc.deny = append(r.doc.deny, out)
	}
}

// denied reads digests that the policy itself denies.
func (r *documentReader) denied(out *denial, n *yaml.Node, f map[string]*yaml.Node) {
	for _, key := range []string{"by", "threshold", "maxAge"} {
		if f[key] != nil {
			r.parse(f[key], "deny: %s is for a list that others sign (list)", key)
		}
	}
	if r.need(n, f, "artifacts") {
		if out.artifacts = r.digests(f["artifacts"], "artifacts"); len(out.artifacts) == 0 {
			r.parse(f["artifacts"], "deny: no artifacts")
		}
	}
	if r.need(n, f, "reason") {
		out.reason = r.text(f["reason"], "reason")
	}
}

// denylist reads whose signed list is obeyed.
func (r *documentReader) denylist(out *denial, n *yaml.Node, f map[string]*yaml.Node) {
	for _, key := range []string{"artifacts", "reason"} {
		if f[key] != nil {
			r.parse(f[key], "deny: %s beside list: the list says what is denied, and why", key)
		}
	}
	if out.list = r.text(f["list"], "list"); out.list != "" && !namePattern.MatchString(out.list) {
		r.parse(f["list"], "list: letters, digits, - and _, beginning with a letter")
	}
	if r.need(n, f, "by") {
		if out.by = r.texts(f["by"], "by"); len(out.by) == 0 {
			r.parse(f["by"], "deny: by is empty, so nobody could sign the list")
		}
	}
	if out.threshold = 1; f["threshold"] != nil {
		out.threshold = int(r.integer(f["threshold"], "threshold", 1, 1000))
	}
	if r.need(n, f, "maxAge") {
		out.maxAge = r.duration(f["maxAge"], "maxAge")
	}
}

// defaultCELCost is the cost at which an expression is cut off. The rules of the
// templates cost under 200; 100,000 units take well under 100 ms here.
const defaultCELCost = 100_000

// defaultRequirements is how many answers ("does this artifact satisfy this
// step?") one verdict may need. A chain of 10,000 statements under 100 rules
// needs some 20,000.
const defaultRequirements = 1_000_000

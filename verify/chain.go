package verify

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Gap is something the walk could not look at or had to leave. It holds no
// error text: two runs that hit the same wall give the same chain.
type Gap struct {
	Code     attest.Code
	Artifact attest.Digest // evidence about this artifact may be missing
}

// An Artifact is one node of a chain.
type Artifact struct {
	Digest attest.Digest
	// Evidence about the artifact itself, sorted by ID, each once.
	Evidence []Evidence
	// FileEvidence is about files of the artifact's manifest, sorted by ID.
	FileEvidence []Evidence
	// Misplaced is authentic, and lies here, but is about something else. It binds
	// nothing; it explains why what was expected here is missing.
	Misplaced []Evidence
	// Files of the artifact's manifest; nil if it is none.
	Files []attest.File
	// FilesKnown is true if the artifact's manifest was read, or no source holds
	// one and all of them could be asked. False: whether it has files, and
	// which, is not known.
	FilesKnown bool
	// Gaps that concern this artifact.
	Gaps []Gap
}

// Gapped reports whether evidence about the artifact may be missing.
func (a *Artifact) Gapped() bool { return a == nil || len(a.Gaps) > 0 }

// A Chain is the verified graph behind one artifact: every artifact the walk
// reached, what trusted credentials signed about each, and what the walk could
// not see; and, kept apart, what was consulted. Only Walk makes one. It is a pure
// value: the same evidence and the same gaps give the same Chain, whatever the
// order and the sources. The zero Chain has no root, and no policy allows it.
// What its methods return must not be changed.
type Chain struct{ c *chain }

type chain struct {
	root      attest.Digest
	trust     *trust.Trust
	artifacts map[attest.Digest]*node
	order     []attest.Digest // by digest
	consulted map[attest.Digest]*node
	inquiries []attest.Digest // the keys of consulted, by digest
	edges     []Edge
	graph     graph
	strangers int       // bundles that no trusted credential signed
	findings  []Finding // for people; not part of any verdict
	unseen    []Finding // likewise
}

// A Finding is a remark about untrusted data, for people: a bundle that is no
// bundle, a statement about something else. Strangers can cause findings at
// will, so no verdict depends on one.
type Finding struct {
	Artifact attest.Digest
	Manifest attest.Digest
	Err      error
}

// An Edge is one step back that the walk took: admitted evidence about From, or
// about a file of it, names To as an input in a role.
type Edge struct {
	From     attest.Digest // the product
	To       attest.Digest // the input
	Role     string        // "" if the statement gives none
	Evidence ID            // who says so
}

// Compare orders edges by product, input, role and evidence.
func (e Edge) Compare(f Edge) int {
	return cmp.Or(e.From.Compare(f.From), e.To.Compare(f.To), strings.Compare(e.Role, f.Role), e.Evidence.Compare(f.Evidence))
}

// Root returns the artifact in question; zero for the zero Chain.
func (c Chain) Root() attest.Digest { return c.get().root }

// Trust returns what the walk believed about identities and times; nil: nothing.
func (c Chain) Trust() *trust.Trust { return c.get().trust }

// Artifact returns a node, and nil if the walk did not reach the digest.
func (c Chain) Artifact(d attest.Digest) *Artifact {
	if n, ok := c.get().artifacts[d]; ok {
		return &n.Artifact
	}
	return nil
}

// Artifacts returns the digests of all nodes, sorted. Nodes that the walk
// reached but had to leave are among them, with a gap each.
func (c Chain) Artifacts() []attest.Digest { return c.get().order }

// Edges returns every step back that the walk took, sorted, each once.
func (c Chain) Edges() []Edge { return c.get().edges }

// Depth returns how many steps back from the root the digest lies, by the
// shortest way, and -1 if the walk did not reach it.
func (c Chain) Depth(d attest.Digest) int {
	if n, ok := c.get().artifacts[d]; ok {
		return n.depth
	}
	return -1
}

// Consulted returns what was found at the stand-in of something that the chain
// rests on: a payload, a credential, or what [Scope].Also names. It is nil if that
// was not consulted. The Artifact has neither files nor evidence about files, and
// the same digest may be an artifact of the chain as well.
func (c Chain) Consulted(d attest.Digest) *Artifact {
	if n, ok := c.get().consulted[d]; ok {
		return &n.Artifact
	}
	return nil
}

// ConsultedAll returns every digest that was consulted, sorted. Those for which
// the limits left nothing are among them, with a gap each.
func (c Chain) ConsultedAll() []attest.Digest { return c.get().inquiries }

// Gaps returns the gaps of all artifacts, sorted by artifact and code. Gaps at
// what was consulted are not among them: they leave open whether something was
// taken back, and not where the root comes from. See [Chain.Consulted].
func (c Chain) Gaps() []Gap {
	var out []Gap
	for _, d := range c.get().order {
		out = append(out, c.c.artifacts[d].Gaps...)
	}
	return out
}

// Findings returns remarks about untrusted data, sorted, for people.
func (c Chain) Findings() []Finding { return c.get().findings }

// Unseen returns what could not be looked at, with the errors, sorted, for people.
// The errors' texts differ from run to run and from source to source; what
// decides are the Gaps.
func (c Chain) Unseen() []Finding { return c.get().unseen }

// Strangers returns how many bundles no trusted credential signed. One that was
// attached to two artifacts counts twice.
func (c Chain) Strangers() int { return c.get().strangers }

func (c Chain) get() *chain {
	if c.c == nil {
		return &chain{}
	}
	return c.c
}

// chain makes the walk's result.
func (w *walk) chain() Chain {
	c := &chain{root: w.root, trust: w.opener.signers.Trust, artifacts: w.nodes, consulted: w.consulted, strangers: w.strangers}
	c.order, c.inquiries = finish(w.nodes), finish(w.consulted)
	slices.SortFunc(w.edges, Edge.Compare)
	c.edges = slices.Compact(w.edges)
	sortFindings(w.findings)
	sortFindings(w.unseen)
	c.unseen = w.unseen
	c.findings = w.findings
	c.graph = newGraph(c.order, c.edges)
	return Chain{c}
}

// finish sorts each node's gaps, and returns the nodes' digests, sorted.
func finish(nodes map[attest.Digest]*node) []attest.Digest {
	for _, n := range nodes {
		slices.SortFunc(n.Gaps, func(a, b Gap) int { return cmp.Compare(a.Code, b.Code) })
	}
	return slices.SortedFunc(maps.Keys(nodes), attest.Digest.Compare)
}

func sortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(a.Artifact.Compare(b.Artifact), a.Manifest.Compare(b.Manifest), strings.Compare(a.Err.Error(), b.Err.Error()))
	})
}

package lineage

import (
	"cmp"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Graph is what a chain says, as a picture: artifacts, the steps between them, and
// the records that say so. [Trace] makes it. It has everything that is drawn and
// nothing that depends on how, and its JSON has the same bytes for the same chain.
type Graph struct {
	Artifact attest.Digest `json:"artifact"`
	// Trust says whose word the graph is.
	Trust Trust `json:"trust"`
	// Nodes are the artifacts: the one in question first, then by depth and digest.
	Nodes []Node `json:"nodes"`
	// Edges run from a product to an input, sorted by their nodes and the role.
	Edges []Edge `json:"edges"`
	// Records are the evidence that the rest refers to, sorted by identity.
	Records []Record `json:"records"`
	// Contradictions are where something else says other than what was signed.
	Contradictions []Contradiction `json:"contradictions"`
	Gaps           []Gap           `json:"gaps"`
}

// Trust is what an answer was asked under: a policy, or keys alone.
type Trust struct {
	// Policy is the policy's name and version; "" if none was asked.
	Policy  string        `json:"policy,omitempty"`
	Digest  attest.Digest `json:"digest,omitzero"`   // of the resolved policy
	Outcome string        `json:"outcome,omitempty"` // what it says of the artifact
	// Signers are the names of those who were believed, sorted, where no policy was
	// asked.
	Signers []string `json:"signers,omitempty"`
	// Vouching is the trust file that says who vouches for identities and times; nil if
	// there was none.
	Vouching *Vouching `json:"trust,omitempty"`
}

// Vouching names a trust file.
type Vouching struct {
	Name    string        `json:"name"`
	Version int           `json:"version,omitempty"`
	Digest  attest.Digest `json:"digest"`
}

// A Node is one artifact of a Graph.
type Node struct {
	Digest attest.Digest `json:"digest"`
	Kind   NodeKind      `json:"kind"`
	Depth  int           `json:"depth"` // steps back from the artifact in question
	// Name is what those who signed call it: a label, and nobody's proof; may be "".
	Name string `json:"name,omitempty"`
	// Labels are all names and addresses by which signers name it as an input, sorted,
	// each once: for comparing, not for showing.
	Labels []string `json:"-"`
	// Steps made it, as "train"; none if nobody trusted says how it was made.
	Steps []string `json:"steps,omitempty"`
	// Files and Bytes are how many files its manifest has, and how long they are.
	Files int   `json:"files,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Records are about it, as indices into Graph.Records.
	Records []int `json:"records,omitempty"`
	// Frontier says why the evidence ends here; nil where it goes on.
	Frontier *Frontier     `json:"frontier,omitempty"`
	Gaps     []attest.Code `json:"gaps,omitempty"`
}

// A NodeKind is what kind of artifact a node is, as far as the roles tell that it
// plays for what was made of it.
type NodeKind string

// The kinds of nodes.
const (
	KindModel       NodeKind = "model"
	KindData        NodeKind = "data"
	KindCode        NodeKind = "code"        // a commit, or a harness
	KindEnvironment NodeKind = "environment" // dependencies, lock files, images
	KindOther       NodeKind = "other"
)

// A Frontier says why the evidence ends at an artifact.
type Frontier struct {
	// Accepted is true if a policy takes it as it is.
	Accepted bool `json:"accepted"`
	// How is how the policy accepted it (pinned, origin, accepted, signed, summary), or
	// why it did not: "nothing signed" where no trusted record says how it was made,
	// "not looked at" where there is a gap.
	How string `json:"how"`
	// Detail is the origin claimed, or the policy's reason; the signer's word.
	Detail string `json:"detail,omitempty"`
}

// The reasons why evidence ends where no policy accepted it.
const (
	EndsSigned    = "signed"      // somebody trusted says that they made it, and names nothing that it was made of
	EndsUncounted = "not counted" // somebody trusted says how it was made, and no step of the policy counts it
	EndsUnsigned  = "nothing signed"
	EndsUnseen    = "not looked at"
)

// An Edge says that From was made with, or judged with, To.
type Edge struct {
	From attest.Digest `json:"from"`
	To   attest.Digest `json:"to"`
	Role string        `json:"role,omitempty"`
	// Step is what the record did: "train", "evaluation", …
	Step string `json:"step"`
	// Records say so, as indices into Graph.Records.
	Records []int `json:"records"`
}

// A Record is one piece of evidence, as it is shown.
type Record struct {
	Payload    attest.Digest `json:"payload"`
	Credential string        `json:"credential"`
	Signer     string        `json:"signer"` // what the one who asks calls the credential
	About      attest.Digest `json:"about"`
	// Type is the predicate type's short name, or the type itself if it has none.
	Type string `json:"type"`
	// Step is the build step of a provenance ("train"), the kind of an evaluation, or
	// the short name of the type.
	Step    string     `json:"step"`
	Claimed *time.Time `json:"claimed,omitempty"`
	Seen    *time.Time `json:"seen,omitempty"`
	// Certificates are what the certificates claim that it was signed under: of which
	// build they are; nil for a key.
	Certificates []trust.Claims `json:"certificates,omitempty"`
	// Counts are the policy's steps that selected it; nil without a policy.
	Counts []string `json:"counts,omitempty"`
	// Facts are what it says, in few words and in order: decision, metrics,
	// parameters, where it was deployed.
	Facts []Fact `json:"facts,omitempty"`
	// Problem says why it cannot be read, though it is authentic; "" if it can.
	Problem string `json:"problem,omitempty"`
}

// A Fact is one thing that a record says.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Contradiction is where something unsigned says other than what was signed, or than
// what was signed bears out.
type Contradiction struct {
	// Source is what says it: a file of the artifact, by its path.
	Source string `json:"source"`
	// Field is where in it, as base_model.
	Field string `json:"field"`
	// Claimed is what it says, Signed what the records say.
	Claimed string `json:"claimed"`
	Signed  string `json:"signed"`
	Why     string `json:"why"`
	// Open is true if the evidence ends too early to tell: then it is a claim that
	// nothing signed bears out, and no contradiction yet.
	Open bool `json:"open,omitempty"`
	// Records are those that say otherwise, by payload.
	Records []attest.Digest `json:"records,omitempty"`
}

// Compare orders edges by product, input, role and step.
func (e Edge) Compare(f Edge) int {
	return cmp.Or(e.From.Compare(f.From), e.To.Compare(f.To), cmp.Compare(e.Role, f.Role), cmp.Compare(e.Step, f.Step))
}

// Node returns the node of an artifact, and nil if the graph has none.
func (g *Graph) Node(d attest.Digest) *Node {
	for i := range g.Nodes {
		if g.Nodes[i].Digest == d {
			return &g.Nodes[i]
		}
	}
	return nil
}

// Complete reports whether everything could be looked at.
func (g *Graph) Complete() bool { return len(g.Gaps) == 0 }

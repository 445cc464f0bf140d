package lineage

import (
	"context"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Difference is what changed from one artifact, A, to another, B: in what they
// were made of, down to files and rows, in what was measured, in who signed and who
// approved. What both have in common is counted and not repeated. The same two
// chains give the same bytes as JSON.
type Difference struct {
	A      DiffSide   `json:"a"`
	B      DiffSide   `json:"b"`
	Counts DiffCounts `json:"counts"`
	// Changes are what differs: the artifacts in question first, then what they were
	// made of, level by level, each after what it is an input of.
	Changes []ArtifactChange `json:"changes"`
	// Records are the evidence that the rest refers to by index, in the order in which
	// it is first mentioned.
	Records []Record `json:"records"`
	// Gaps are what the comparison itself could not look at; those of the two chains
	// are in A and B.
	Gaps []Gap `json:"gaps"`
}

// Complete reports whether everything could be looked at, on both sides.
func (d *Difference) Complete() bool { return len(d.A.Gaps)+len(d.B.Gaps)+len(d.Gaps) == 0 }

// A DiffSide is one of the two artifacts.
type DiffSide struct {
	Reference string        `json:"reference,omitempty"` // how the caller named it
	Artifact  attest.Digest `json:"artifact"`
	Trust     Trust         `json:"trust"`
	// Why are the policy's reasons, if it does not allow the artifact.
	Why []string `json:"why,omitempty"`
	// Policies are those that approvals and verification summaries of the artifact
	// say they were made under, by digest.
	Policies []PolicyNamed `json:"policies"`
	Gaps     []Gap         `json:"gaps"`
}

// A PolicyNamed is a policy as a record names it.
type PolicyNamed struct {
	Digest  attest.Digest `json:"digest,omitzero"`
	Name    string        `json:"name,omitempty"` // the signer's word, as the version is
	Version int64         `json:"version,omitempty"`
	Records []int         `json:"records,omitempty"`
}

// DiffCounts count artifacts, each once.
type DiffCounts struct {
	Same     int `json:"same"`     // on both sides, with the same records about it
	Records  int `json:"records"`  // on both sides, with other records about it
	Replaced int `json:"replaced"` // by another one in its place, the artifacts in question included
	Added    int `json:"added"`
	Removed  int `json:"removed"`
}

// A How says how something differs.
type How string

// How things differ.
const (
	HowReplaced How = "replaced" // in its place is another one
	HowAdded    How = "added"    // only B has it
	HowRemoved  How = "removed"  // only A has it
	HowRecords  How = "records"  // the same artifact, of which other records speak
	HowChanged  How = "changed"  // of files, rows, values: the same name says something else
	HowRenamed  How = "renamed"  // of files: the same bytes under another path
)

// An ArtifactChange is a place in the two chains where they differ.
type ArtifactChange struct {
	How How `json:"how"`
	// Of is the index of the change that this is an input of; -1 for the artifacts in
	// question, and for artifacts that are reached on other ways.
	Of int `json:"of"`
	// For are the steps that took it as an input: "train", "evaluate quality".
	For  []string   `json:"for,omitempty"`
	Role string     `json:"role,omitempty"`
	A    *InputSeen `json:"a,omitempty"`
	B    *InputSeen `json:"b,omitempty"`
	// RolesInA are the roles in which B's artifact was used in A's chain, and RolesInB
	// those of A's in B's, if they have one besides Role: yesterday's test data may be
	// today's training data.
	RolesInA []string `json:"rolesInA,omitempty"`
	RolesInB []string `json:"rolesInB,omitempty"`
	// Same is how many inputs both sides have.
	Same int `json:"same,omitempty"`
	// See is the change in which the same two artifacts were compared before; nil if
	// they are compared here.
	See *int `json:"see,omitempty"`
	// Unfollowed is true if a chain does not lead to its artifact: nobody whose records
	// lead on says that it was used, and so nobody looked what it was made of.
	Unfollowed bool `json:"unfollowed,omitempty"`

	Steps       []StepChange       `json:"steps,omitempty"`       // who made it
	Files       *FilesChange       `json:"files,omitempty"`       // of its manifests
	Rows        *RowsChange        `json:"rows,omitempty"`        // of an input that is one file
	Commits     *CommitRange       `json:"commits,omitempty"`     // of code, if somebody could tell
	Evaluations []EvaluationChange `json:"evaluations,omitempty"` // what was measured
	Approvals   []ApprovalChange   `json:"approvals,omitempty"`   // who approved or rejected it
	Others      []RecordsChange    `json:"others,omitempty"`      // what else was said about it
}

// An InputSeen is an artifact as the records name it.
type InputSeen struct {
	Digest  attest.Digest `json:"digest,omitzero"` // zero: named without one
	Name    string        `json:"name,omitempty"`
	URI     string        `json:"uri,omitempty"`
	Records []int         `json:"records,omitempty"` // that name it as an input
}

// A StepChange is how an artifact was made, before and after.
type StepChange struct {
	Step string `json:"step"`
	// Was is the step of A's records, where it is another one.
	Was string `json:"was,omitempty"`
	A   []int  `json:"a"` // records
	B   []int  `json:"b"`
	SignersChange
	Parameters     []ParameterChange `json:"parameters,omitempty"`
	ParametersSame int               `json:"parametersSame"`
}

// A SignersChange is who signed the records of both sides, by name.
type SignersChange struct {
	SignersA []string `json:"signersA"`
	SignersB []string `json:"signersB"`
	// OtherKeys is true if the names are the same, and the keys are not.
	OtherKeys bool `json:"otherKeys,omitempty"`
}

// A ParameterChange is a parameter of a step, by the way to it, with its values as
// JSON. Of several records of one step, each value is given once.
type ParameterChange struct {
	Name string   `json:"name"`
	A    []string `json:"a,omitempty"`
	B    []string `json:"b,omitempty"`
}

// A FilesChange is how the files of two manifests differ.
type FilesChange struct {
	// Unknown is true if a manifest could not be read, so that nothing can be said.
	Unknown   bool         `json:"unknown,omitempty"`
	Same      int          `json:"same"`
	SameBytes int64        `json:"sameBytes"`
	List      []FileChange `json:"list"`
}

// A FileChange is a file that differs.
type FileChange struct {
	How  How         `json:"how"`
	Path string      `json:"path"`
	Was  string      `json:"was,omitempty"` // of a renamed file: its path in A
	A    *FileSeen   `json:"a,omitempty"`
	B    *FileSeen   `json:"b,omitempty"`
	Rows *RowsChange `json:"rows,omitempty"`
}

// FileSeen is a file's content.
type FileSeen struct {
	Digest attest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// A RowsChange is how two versions of a small text file differ, row by row.
type RowsChange struct {
	Kind string      `json:"kind"` // what the file was read as
	List []RowChange `json:"list"`
	More int         `json:"more,omitempty"` // rows that differ and are not in the list
	Same int         `json:"same"`
	// Unread says why the files could not be compared so; "" if they were. That rows
	// are the same does not mean that the files are.
	Unread string `json:"unread,omitempty"`
}

// A RowChange is a row that differs: a package with its versions, or a value.
type RowChange struct {
	How  How    `json:"how"`
	Name string `json:"name"`
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
	// OtherContents is true of a package of the same version whose hashes or origin
	// differ.
	OtherContents bool `json:"otherContents,omitempty"`
}

// A RecordsChange is records of one type about an artifact, those that only one
// side has.
type RecordsChange struct {
	Type string `json:"type"`
	A    []int  `json:"a"`
	B    []int  `json:"b"`
}

// A CommitRange is what lies between two commits.
type CommitRange struct {
	// Relation says how B's commit stands to A's.
	Relation Relationship `json:"relation"`
	// Missing are the commits that the clone lacks.
	Missing []attest.Digest `json:"missing,omitempty"`
	// Shallow is true if the clone's history is cut, so that relation and commits may
	// be wrong.
	Shallow bool `json:"shallow,omitempty"`
	// Gained are commits that B has and A has not, newest first, and Lost the reverse;
	// at most as many as the numbers beside them say there are.
	Gained      []Commit `json:"gained,omitempty"`
	GainedCount int      `json:"gainedCount"`
	Lost        []Commit `json:"lost,omitempty"`
	LostCount   int      `json:"lostCount"`
	// Paths are the files that differ between the two, and PathsMore how many more do.
	Paths     []PathChange `json:"paths,omitempty"`
	PathsMore int          `json:"pathsMore,omitempty"`
}

// A Relationship is how one commit stands to another.
type Relationship string

// The relationships.
const (
	CommitNewer    Relationship = "newer"    // A's is an ancestor of B's
	CommitOlder    Relationship = "older"    // B's is an ancestor of A's
	CommitDiverged Relationship = "diverged" // neither is an ancestor of the other
	CommitUnknown  Relationship = "unknown"  // the clone lacks one of them
)

// A Commit is one commit, in its author's words; nobody checked a signature.
type Commit struct {
	ID      attest.Digest `json:"id"`
	Author  string        `json:"author"`
	Time    string        `json:"time"`
	Subject string        `json:"subject"`
}

// A PathChange is a file that differs between two commits.
type PathChange struct {
	How  How    `json:"how"`
	Path string `json:"path"`
}

// DiffOptions say how a difference is read, and where to look for what chains do
// not hold. The zero DiffOptions know no names and look nowhere.
type DiffOptions struct {
	Reading
	A, B SideOptions
	// Content returns the bytes of a small file: absent is attest.ErrAbsent, and every
	// other error means that nobody could look, but for attest.CodeLimit. The bytes are
	// checked against the digest. With a nil Content no rows are compared. It is asked
	// for at most 16 MiB in all.
	Content func(ctx context.Context, f attest.File) ([]byte, error)
	// Commits returns what lies between two commits of a repository; nil if it cannot
	// tell. Without it the two commits are all that is said.
	Commits func(ctx context.Context, uri string, from, to attest.Digest) (*CommitRange, error)
}

// SideOptions are about one side.
type SideOptions struct {
	Reference string
	Trust     Trust
	Why       []string
	// Counts returns the policy's steps that selected a piece of evidence; nil without
	// a policy.
	Counts func(verify.ID) []string
}

const (
	// maxDiffWork bounds how many files, records and inputs are compared: a walk's
	// artifacts with 64 inputs each. Two chains in which everything is an input of
	// everything could be paired in more ways than anybody can wait for.
	maxDiffWork = 1 << 22
	// maxPartners is with how many others one artifact is compared. An input that was
	// exchanged has one place in an honest chain, or a few.
	maxPartners = 64
	// maxDiffChanges bounds what is listed; a walk reaches 65,536 artifacts at most.
	maxDiffChanges = 1 << 18
	// maxDiffContent bounds the bytes of files that are compared row by row.
	maxDiffContent = 16 << 20
	// maxDiffRows is how many rows of one file are listed.
	maxDiffRows = 1000
)

// Diff answers what changed from a's artifact to b's. The two are aligned: records
// of their making by the step, inputs by role and name, or by role alone where it
// is clear, or by the origin that is claimed; and where two inputs were aligned and
// are not the same, what those were made of, level by level, each pair once.
//
// The error is that of ctx, that of o.Commits, or E_USAGE for a zero chain. What
// exceeds a limit is a gap: there are two chains, and more differs than is listed.
func Diff(ctx context.Context, a, b verify.Chain, o DiffOptions) (*Difference, error) {
	if a.Root().IsZero() || b.Root().IsZero() {
		return nil, attest.Refuse(attest.CodeUsage, "a chain without a root has no difference from anything")
	}
	d := &differ{
		a: newHalf(a, o.A), b: newHalf(b, o.B), o: o,
		at: map[pair]int{}, records: map[recordKey]int{}, seen: map[counted]bool{}, gaps: map[Gap]bool{}, partners: map[attest.Digest]int{},
		out: &Difference{
			A:       DiffSide{Reference: o.A.Reference, Artifact: a.Root(), Trust: o.A.Trust, Why: o.A.Why, Policies: []PolicyNamed{}, Gaps: gapsOf(a)},
			B:       DiffSide{Reference: o.B.Reference, Artifact: b.Root(), Trust: o.B.Trust, Why: o.B.Why, Policies: []PolicyNamed{}, Gaps: gapsOf(b)},
			Changes: []ArtifactChange{}, Records: []Record{}, Gaps: []Gap{},
		},
	}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	return d.out, nil
}

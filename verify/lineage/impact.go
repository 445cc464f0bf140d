package lineage

import (
	"context"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A Start is what turned out to be bad: exactly one of a digest, a credential and a
// builder.
type Start struct {
	// Digest is an artifact, a file, a commit, or a statement by its payload.
	Digest attest.Digest
	// Credential is whoever signed: a key that somebody else may hold.
	Credential verify.Credential
	// Builder is the builder id that provenance names.
	Builder string
	// Since is from when on a credential or a builder is not to be believed; zero:
	// from the beginning.
	Since time.Time
}

// ImpactOptions are how whoever asks reads what is found.
type ImpactOptions struct {
	Reading
	Trust Trust
	// Admits reports whether a piece of evidence counts; nil: all does that a trusted
	// credential signed. What is not admitted neither leads on nor is shown.
	Admits func(verify.Evidence) bool
	// At is now: records of deployments that claim a later time replace nothing. Zero:
	// they do.
	At time.Time
	// Repositories are where it is looked: the answer says so, and shows their names for
	// artifacts.
	Repositories []attest.Repository
	// Gaps are what the finder is known to lack; they become the answer's.
	Gaps []Gap
	// Limit is how many artifacts are looked at; 0 means 1,000,000. What is left out
	// is a gap.
	Limit int
}

// Impact answers who is affected by something that turned out to be bad: what was
// made of it, what was judged with it, and where that is deployed.
//
// # What is affected
//
// It goes from what is known to be affected, level by level, to what rests on it:
//
//   - Provenance that names an affected digest as an input, in whatever role, makes
//     its subjects affected ([MadeFrom]).
//   - A manifest with an affected file is affected ([Contains]).
//   - Of a credential, a builder or a statement: the subjects of the provenance in
//     question are affected ([MadeBy]).
//
// All of these are affected themselves and lead on. Any file of an affected
// artifact is a name under which a later step may have used it; of a manifest that
// is affected only because it contains an affected file, just that file is: who
// used another one of its files did not use the bad one. The other way round, a file
// is affected only if it is the start, or if provenance says so of the file itself:
// a licence that lies in a poisoned data set makes no other artifact affected that
// has the same licence. So a copy of an affected manifest's files in another
// manifest, about which nobody signed anything, is not found; asking about the file
// finds it.
//
// What was said about other artifacts is listed beside that and makes nothing
// affected: evaluations that name an affected digest ([JudgedWith]), and approvals
// and deployments that name such a statement as what they rest on ([ApprovedOn],
// [DeployedOn]). Of what is affected itself that is not listed: whoever takes it back
// takes back what was said of it. What a credential in question signed ([JudgedBy]
// and the like) is listed whatever it is about.
//
// # Since when
//
// Whoever holds a key can claim any time. With Start.Since, a statement whose
// authenticated time is older is passed over, and counted. One that claims to be
// older, with nobody authenticating a time, is neither affected nor not: it, and
// what rests on nothing but it, is in ImpactAnswer.Unproven. Everything else counts.
//
// # Bounds
//
// Each artifact is looked at once, so cycles end. The search holds a few hundred
// bytes for each artifact and input. The answer has one step for each affected
// artifact, the last one on a shortest way from the start; whoever needs the whole
// way follows these, or asks [ImpactAnswer.Path]. Ways for all would be quadratic.
//
// The error is E_USAGE for a start that is none, and else that of [verify.Look].
// What could not be looked at is in the answer.
func Impact(ctx context.Context, f Finder, sources []verify.Source, scope verify.Scope, start Start, o ImpactOptions) (*ImpactAnswer, error) {
	if err := start.check(scope.Signers); err != nil {
		return nil, err
	}
	s := newImpactSearch(f, sources, scope, start, o)
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s.answer(ctx)
}

func (s Start) check(who verify.Signers) error {
	named := 0
	for _, there := range []bool{!s.Digest.IsZero(), s.Credential != verify.Credential{}, s.Builder != ""} {
		if there {
			named++
		}
	}
	switch {
	case named != 1:
		return attest.Refuse(attest.CodeUsage, "one digest, credential or builder to start at, not %d", named)
	case !s.Since.IsZero() && !s.Digest.IsZero():
		return attest.Refuse(attest.CodeUsage, "a time since when is for a credential or a builder")
	case s.Credential == verify.Credential{}:
		return nil
	}
	if who.May(s.Credential) {
		return nil
	}
	// What a stranger signed is not seen. "Nothing is affected" would only mean that.
	return &attest.Refusal{Code: attest.CodeUsage, About: s.Credential.String(), Why: "nobody here believes this credential, so nothing that it signed is seen", Next: "ask with its public key among the trusted ones"}
}

// An Effect says how an artifact is connected with what is bad.
type Effect string

// How an artifact is affected, and leads on.
const (
	IsStart  Effect = "start"     // it is what was asked about
	MadeBy   Effect = "made by"   // the statement of its making is in question
	MadeFrom Effect = "made from" // a statement names something affected as an input
	Contains Effect = "contains"  // its manifest has an affected file
)

// How what was said about an artifact is connected with what is bad. It leads on
// to what rests on that word, and not to what was made of the artifact.
const (
	JudgedWith Effect = "judged with" // an evaluation, or its plan, names something affected
	JudgedBy   Effect = "judged by"   // the evaluation is in question
	ApprovedBy Effect = "approved by" // the approval, or rejection, is
	DeployedBy Effect = "deployed by" // the record of a deployment is
	RevokedBy  Effect = "revoked by"  // the revocation is
	SaidBy     Effect = "said by"     // any other statement is
	ApprovedOn Effect = "approved on" // the approval rests on one of these statements
	DeployedOn Effect = "deployed on" // the deployment was decided on one of these statements
)

// An ImpactAnswer is who is affected, as far as could be seen.
type ImpactAnswer struct {
	Start ImpactStart `json:"start"`
	Trust Trust       `json:"trust"`
	// Repositories are where it was looked, sorted.
	Repositories []string     `json:"repositories"`
	Counts       ImpactCounts `json:"counts"`
	// Affected are the start, if it is a digest, and what rests on it, by distance and
	// digest, each once.
	Affected []Affected `json:"affected"`
	// Unproven is affected if statements were made later than they claim.
	Unproven []Affected `json:"unproven"`
	// Judged is what was said with, by or on what is bad, by artifact, statement and
	// effect.
	Judged []ImpactJudgment `json:"judged"`
	// Deployments are the records about what is affected or may be: those that are the
	// last of their place first, then by place, and the later before the earlier.
	Deployments []ImpactDeployment `json:"deployments"`
	Gaps        []Gap              `json:"gaps"`

	nodes []impactNode
	entry map[attest.Digest]int32 // the node that the artifact's place in the answer is made of
	by    Reading
}

// An ImpactStart is what was asked about.
type ImpactStart struct {
	// Kind is artifact, file, commit, statement, credential or builder. That a digest
	// is a file or a statement is said if one was found.
	Kind       string        `json:"kind"`
	Digest     attest.Digest `json:"digest,omitzero"`
	Credential string        `json:"credential,omitempty"`
	Name       string        `json:"name,omitempty"` // what the one who asks calls the credential
	Builder    string        `json:"builder,omitempty"`
	Since      *time.Time    `json:"since,omitempty"`
	// Revoked is what was said of the start already.
	Revoked []ImpactRevocation `json:"revoked,omitempty"`
}

// ImpactCounts are the lengths of what is listed. The start is counted in none.
type ImpactCounts struct {
	Affected int `json:"affected"` // artifacts, files not counted
	Files    int `json:"files"`    // affected files
	Unproven int `json:"unproven"` // artifacts, files not counted
	Judged   int `json:"judged"`
	// Deployed is how many affected artifacts, the start included, have a record of a
	// deployment that nothing replaced; Maybe, how many that are unproven.
	Deployed int `json:"deployed"`
	Maybe    int `json:"maybe"`
	Deepest  int `json:"deepest"` // the largest distance
	// Older is how many statements were passed over because somebody authenticated
	// that they are older than Start.Since.
	Older int `json:"older"`
}

// An Affected is one artifact that is affected.
type Affected struct {
	Digest   attest.Digest `json:"digest"`
	File     bool          `json:"file,omitempty"` // a file, which manifests contain
	Effect   Effect        `json:"effect"`
	Distance int           `json:"distance"` // steps from the start, by the shortest way
	// Via is the last step of a shortest way; nil for the start.
	Via *ImpactStep `json:"via,omitempty"`
	// Path is the whole way, from the start on; whoever asks for it puts it there.
	Path    []ImpactStep       `json:"path,omitempty"`
	Names   []ImpactName       `json:"names,omitempty"`
	Revoked []ImpactRevocation `json:"revoked,omitempty"`
	// Deployed is how many records of its deployments nothing replaced.
	Deployed int `json:"deployed,omitempty"`
}

// An ImpactStep is one step from something affected to what rests on it.
type ImpactStep struct {
	From   attest.Digest `json:"from,omitzero"` // zero: the credential or builder asked about
	To     attest.Digest `json:"to"`
	Effect Effect        `json:"effect"`
	Role   string        `json:"role,omitempty"` // in which the record names From
	// File is the file of From that the record names in its place; zero: From itself.
	File attest.Digest `json:"file,omitzero"`
	// Path is what File, or the file that To contains, is called there.
	Path string `json:"path,omitempty"`
	// Record says so; nil where the manifest does.
	Record *Record `json:"record,omitempty"`
}

// An ImpactName is what a repository calls an artifact that it holds: a label.
type ImpactName struct {
	Repository string   `json:"repository"`
	Tags       []string `json:"tags,omitempty"`
}

// An ImpactRevocation is a revocation found beside an artifact. Whether it counts is
// for a policy.
type ImpactRevocation struct {
	Action string    `json:"action"`
	Reason string    `json:"reason"`
	From   time.Time `json:"from"`
	// Lifted is true if its signer took it back.
	Lifted bool   `json:"lifted,omitempty"`
	Record Record `json:"record"`
}

// An ImpactJudgment is something said with, by or on what is bad.
type ImpactJudgment struct {
	Artifact attest.Digest `json:"artifact"` // what it was said about
	Effect   Effect        `json:"effect"`
	// On is what it names: something affected or the file of such a thing, or the
	// statement that it rests on; zero: by the credential or builder asked about.
	On       attest.Digest `json:"on,omitzero"`
	Role     string        `json:"role,omitempty"`
	Unproven bool          `json:"unproven,omitempty"`
	Names    []ImpactName  `json:"names,omitempty"`
	Record   Record        `json:"record"`
}

// An ImpactDeployment is a record that something affected was deployed.
type ImpactDeployment struct {
	Artifact    attest.Digest `json:"artifact"`
	Environment string        `json:"environment"`
	Cluster     string        `json:"cluster,omitempty"`
	Service     string        `json:"service,omitempty"`
	Endpoint    string        `json:"endpoint,omitempty"`
	// Last is true if no record of the same environment, cluster and service claims a
	// later time: as far as the records tell, it runs there now.
	Last bool `json:"last"`
	// ReplacedBy is a later record there; nil for the last.
	ReplacedBy *Record `json:"replacedBy,omitempty"`
	Unproven   bool    `json:"unproven,omitempty"`
	Record     Record  `json:"record"`
}

// Complete reports whether everything could be looked at.
func (a *ImpactAnswer) Complete() bool { return len(a.Gaps) == 0 }

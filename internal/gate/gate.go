// Package gate holds what the parts of the deploy gate say to each other.
//
// The gate asks, where models are deployed, what "pedigree verify" asks: it finds what
// an object wants to run (package place), decides by the cluster's rules which policy
// judges it (package admit), judges it with the packages that verify uses and keeps the
// answer for as long as it may (package judge), serves that (package serve), writes down
// what it let in (package record), and looks again at what runs (package watch). It
// adds serving and never judging.
//
// # Fail closed
//
// An [Answer] is a value whose zero is a refusal, and only its Outcome admits anything:
// no error, panic, deadline or overload of any part becomes one that does. What an
// answer rests on is one [Grounds], loaded whole and never changed, so that no answer
// mixes two versions of a policy.
package gate

import (
	"context"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Grounds are everything that answers rest on, as it was loaded at one moment: the
// configuration, and the policies and trust files that it names. A reload makes new
// ones; who began to answer under these ends under these.
type Grounds struct {
	Config *Config
	// Policies are the loaded policies by the name that the configuration gives them.
	Policies map[string]*Ground
	Loaded   time.Time
}

// Ground is one policy, and whom it is asked under.
type Ground struct {
	Name   string // as the configuration calls it
	Policy *policy.Policy
	Trust  *trust.Trust // nil: nobody vouches for identities and times
	// Evidence are the further repositories that the policy and the configuration name.
	Evidence []attest.Repository
	// Repositories are the patterns of Config.Registry: what may be asked for artifacts
	// at all. With none, nothing may.
	Repositories []string
	// Notes say how the policy came here: who signed it, how old the trust is.
	Notes []string
	// Stateful says that Marks below are remembered between runs.
	Stateful bool
}

// A Question asks whether an artifact may run.
type Question struct {
	// Reference is what is asked about: with a tag, which is resolved once, or with a
	// digest.
	Reference attest.Reference
	Ground    *Ground
	Context   string // one of the policy's contexts, or ""
	// Fresh asks to look again instead of remembering. It is for what watches; who
	// waits for admission takes what is remembered.
	Fresh bool
}

// An Answer is the verdict about one Question. The zero Answer refuses.
type Answer struct {
	// Outcome is the only thing that lets anything in: of an index, the least of its
	// artifacts'.
	Outcome policy.Outcome
	// Reference is the artifact with its digest; without one if it could not be resolved.
	Reference attest.Reference
	// Policy is the digest of the one policy that judged, or was to judge.
	Policy attest.Digest
	// Verdicts are what was judged: one, or of an index one for each artifact; none
	// if nothing could be judged, and then Err says why.
	Verdicts []*policy.Verdict
	// JSON is what "pedigree verify --output json" writes; nil without verdicts.
	JSON []byte
	// At is the time that the verdict speaks of, Until the moment after which it says
	// nothing any more.
	At, Until time.Time
	// Cached says that the answer was worked out for an earlier question.
	Cached bool
	// Err is why nothing was judged: an *attest.Refusal. The Outcome is what [OutcomeOf]
	// makes of its code.
	Err error
}

// Allowed reports whether what was asked about may run.
func (a Answer) Allowed() bool {
	return a.Outcome == policy.Allow && a.Err == nil && len(a.Verdicts) > 0 && !a.Reference.Digest.IsZero()
}

// OutcomeOf is the outcome of a question that was not judged, by the code of what is in
// the way: DENY if asking again does not help before somebody pushes something, and
// UNDECIDED of everything else. "pedigree verify" ends with the same distinction.
func OutcomeOf(code attest.Code) policy.Outcome {
	switch code {
	case attest.CodeSubjectMissing, attest.CodeNotFound, attest.CodeRegManifest, attest.CodeRegDigest:
		return policy.Deny
	}
	return policy.Undecided
}

// Judge answers questions. Its answer to one that it cannot answer is a refusal with
// Err set; it does not panic, and it answers before ctx ends.
type Judge interface {
	Judge(ctx context.Context, q Question) Answer
}

// An Admission is something that was let in.
type Admission struct {
	At          time.Time
	Reference   attest.Reference // with the digest
	Answer      Answer
	Environment string // what the rule calls it; "" for none: nothing is recorded
	Cluster     string
	// Service is where in the cluster: NAMESPACE/KIND/NAME/PLACE of the outermost object
	// that is known to own it, in lower case.
	Service string
	// Observer is a URI for who saw it: the gate.
	Observer string
	// Rule let it in, and Mode is what the rule does with what it would refuse.
	Rule string
	Mode Mode
}

// Recorder keeps admissions to be signed and attached later. Admitted returns when the
// admission is durable, and does not wait for any registry. An error means that it is
// not kept; the caller decides whether that refuses what asked.
type Recorder interface {
	Admitted(a Admission) error
}

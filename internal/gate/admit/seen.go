package admit

import (
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
	"github.com/pedigree-ml/pedigree/policy"
)

// A Standing is what became of one reference. The zero Standing refuses.
type Standing uint8

// The standings.
const (
	Refused  Standing = iota
	Allowed           // a policy judged it, and its answer is ALLOW
	Accepted          // a line of the rule lets it in without a verdict
	Reported          // not recognised, and the rule lets such in with a warning
	Kept              // it stood there before: not judged again
	Left              // by the mutating hook, for the validating hook to decide
)

// String returns the standing in lower case.
func (s Standing) String() string {
	if int(s) < len(standings) {
		return standings[s]
	}
	return standings[Refused]
}

var standings = [...]string{"refused", "allowed", "accepted", "reported", "kept", "left"}

// Seen is one place of an object that names something, and what became of it.
type Seen struct {
	place.Found
	Rule *gate.Rule
	Line *gate.ArtifactLine // the line that claims it; nil if none does
	// Question is what was asked. Its Ground is nil if nothing was.
	Question gate.Question
	Answer   gate.Answer
	Took     time.Duration
	Standing Standing
	// Outcome is the policy's answer, or of what is refused without one, whether that
	// is final (DENY) or might be otherwise later (UNDECIDED).
	Outcome policy.Outcome
	// Err is why it is refused, if no verdict says why, and of what is Reported, Accepted
	// or Left why it is no more than that; nil otherwise.
	Err error

	pin string // what the mutating hook writes in its place; "" for nothing
}

// refuse says that s does not get in.
func (s *Seen) refuse(err error) {
	s.Standing, s.Outcome, s.Err = Refused, outcomeOf(err), err
}

// outcomeOf tells refusals that stay from those that might go away by themselves.
func outcomeOf(err error) policy.Outcome {
	switch attest.RefusalCode(err) {
	case attest.CodeLimit, attest.CodeInternal, attest.CodeState, attest.CodeFileIO, attest.CodeOverload, attest.CodeDeadline, attest.CodeNotReady, attest.CodeRegUnavailable:
		return policy.Undecided
	}
	return policy.Deny
}

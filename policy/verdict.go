package policy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// An Outcome is a policy's answer about one chain. The zero Outcome is Deny: an
// answer nobody worked out refuses.
type Outcome uint8

// The three answers.
const (
	Deny Outcome = iota
	Undecided
	Allow
)

// String returns ALLOW, DENY or UNDECIDED.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "ALLOW"
	case Undecided:
		return "UNDECIDED"
	}
	return "DENY"
}

// MarshalText writes String's form.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Status is the answer to one requirement. The zero Status is Fail. They are
// ordered: the weakest of several decides where all are needed, the strongest
// where one suffices.
type Status uint8

// The three answers to a requirement.
const (
	Fail Status = iota
	Unknown
	Pass
)

// String returns pass, fail or unknown.
func (s Status) String() string {
	switch s {
	case Pass:
		return "pass"
	case Unknown:
		return "unknown"
	}
	return "fail"
}

// MarshalText writes String's form.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Verdict is a policy's answer about one chain, with everything it rests on.
// The JSON form is deterministic: same evidence, gaps, policy and times, same
// bytes. It holds nothing that strangers said.
type Verdict struct {
	Outcome  Outcome       `json:"outcome"`
	Artifact attest.Digest `json:"artifact"`
	Policy   PolicyRef     `json:"policy"`
	At       time.Time     `json:"at"`
	Known    time.Time     `json:"known"`
	Context  string        `json:"context,omitempty"`
	// Trust is what the evidence was verified under; nil if nothing was believed but
	// the policy's keys.
	Trust        *TrustRef        `json:"trust,omitempty"`
	Status       *StatusRef       `json:"status,omitempty"`
	Requirements []Requirement    `json:"requirements"`
	Evidence     []Item           `json:"evidence"`
	Lineage      []Edge           `json:"lineage"`
	Frontier     []Frontier       `json:"frontier"`
	Gaps         []GapRef         `json:"gaps"`
	Acknowledged []Acknowledgment `json:"acknowledged"`
	// Withdrawn is evidence that did not count because somebody withdrew it, or its
	// key.
	Withdrawn []Reason `json:"withdrawn,omitempty"`
	NotProven []string `json:"notProven"`
	// Marks are the sequence numbers that a verifier should remember.
	Marks []Mark `json:"-"`
	// Until is the first moment after At at which the answers may be others because
	// time went by: of the same chain, asked by somebody who remembers the same and
	// knows what was seen so much later as At is later. The words in which a reason
	// says how old something is change before. Never zero: 292 years away, or the last
	// year that can be written, if nothing changes before.
	Until time.Time `json:"-"`
}

// StatusRef is the status that governed.
type StatusRef struct {
	Sequence   int64         `json:"sequence"`
	Payload    attest.Digest `json:"payload"`
	Principal  string        `json:"principal"`
	Issued     time.Time     `json:"issued"`
	ValidUntil time.Time     `json:"validUntil"`
	// Fresh is true if what it does not list is known not to be there.
	Fresh bool `json:"fresh"`
}

// JSON returns the verdict's one JSON form, with a final line feed.
func (v *Verdict) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the verdict: %w", err)
	}
	return append(b, '\n'), nil
}

// PolicyRef names the policy that judged.
type PolicyRef struct {
	Name    string        `json:"name"`
	Version int           `json:"version"`
	Digest  attest.Digest `json:"digest"`
	Expires time.Time     `json:"expires"`
}

// The steps of requirements that are no step of the policy.
const (
	StepPolicy     = "policy"
	StepTrust      = "trust"
	StepStatus     = "status"
	StepRevocation = "revocation"
	StepDeny       = "deny"
	StepFormats    = "formats"
	StepAccess     = "access"
)

// A Requirement is one thing the policy asked of one artifact, and the answer.
type Requirement struct {
	// Step is the policy's step, or one of the Step… constants for what stands beside
	// the steps. What another policy asked begins with that policy's name and a slash.
	Step     string        `json:"step"`
	Artifact attest.Digest `json:"artifact"`
	Status   Status        `json:"status"`
	// Threshold principals of By were required, of the kind Kind if it is set.
	Threshold int      `json:"threshold,omitempty"`
	By        []string `json:"by,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Roles     string   `json:"roles,omitempty"`
	Select    string   `json:"select,omitempty"`
	Controls  []string `json:"controls,omitempty"`
	// Selected is the evidence that the step selected, by ID.
	Selected []Counted `json:"selected,omitempty"`
	// Rules are the answers of the step's rules over all selected evidence.
	Rules []RuleResult `json:"rules,omitempty"`
	// Reasons say why the requirement does not pass; empty if it does.
	Reasons []Reason `json:"reasons,omitempty"`
}

// Counted is one piece of evidence that a step selected.
type Counted struct {
	Payload    attest.Digest `json:"payload"`
	Credential string        `json:"credential"`
	Principal  string        `json:"principal"`
	// Claims are what the certificate says of the build, for an identity's signature.
	Claims  *trust.Claims `json:"claims,omitempty"`
	Claimed time.Time     `json:"claimed"`
	Status  Status        `json:"status"` // whether it is eligible and meets rules and inputs
}

// A RuleResult is the answer of one rule for one piece of selected evidence.
type RuleResult struct {
	ID       string        `json:"id"`
	Status   Status        `json:"status"`
	Message  string        `json:"message"`
	Controls []string      `json:"controls,omitempty"`
	Payload  attest.Digest `json:"payload"`
	// Values are the parts of the expression with what they evaluated to, such as
	// `predicate.metrics["accuracy"].value` = 0.71.
	Values []Value `json:"values,omitempty"`
}

// A Value is one part of an expression and what it evaluated to.
type Value struct {
	Expression string `json:"expression"`
	Value      string `json:"value"`
}

// A Reason says why a requirement does not pass.
type Reason struct {
	Code attest.Code `json:"code"`
	// About is the evidence, input or rule that the reason concerns; may be empty.
	About string `json:"about,omitempty"`
	Why   string `json:"why"`
	// Next is what would make the requirement pass; may be empty.
	Next string `json:"next,omitempty"`
	// Because names another requirement (its step and artifact) whose answer this
	// one follows from; that one says more.
	Because *Because `json:"because,omitempty"`
}

// Because points to another requirement of the same verdict.
type Because struct {
	Step     string        `json:"step"`
	Artifact attest.Digest `json:"artifact"`
}

// An Item is one piece of authentic evidence by a principal of the policy.
type Item struct {
	Payload       attest.Digest `json:"payload"`
	Credential    string        `json:"credential"`
	Principal     string        `json:"principal"`
	Claims        *trust.Claims `json:"claims,omitempty"`
	Artifact      attest.Digest `json:"artifact"`
	PredicateType string        `json:"predicateType"`
	BuildType     string        `json:"buildType,omitempty"`
	Claimed       *time.Time    `json:"claimed,omitempty"`
	Seen          *time.Time    `json:"seen,omitempty"`
	// Steps that selected it, in the policy's order; empty if none did.
	Steps []string `json:"steps"`
}

// An Edge says that a step made Artifact from Input.
type Edge struct {
	Artifact attest.Digest `json:"artifact"`
	Step     string        `json:"step"`
	Role     string        `json:"role"`
	Input    attest.Digest `json:"input"`
	Name     string        `json:"name,omitempty"` // the signer's label for the input
}

// Frontier is an artifact where the evidence ends, and on whose word.
type Frontier struct {
	Artifact attest.Digest `json:"artifact"`
	Role     string        `json:"role"`
	// How the policy accepted it: one of the Frontier… constants.
	How string `json:"how"`
	// Detail is the origin claimed, the reason the policy gives, or who summed up.
	Detail string `json:"detail,omitempty"`
	// Observed is false where the signer named the input without hashing it.
	Observed bool `json:"observed"`
}

// How a policy can accept that the evidence of an input ends.
const (
	FrontierPinned   = "pinned"   // by its digest
	FrontierOrigin   = "origin"   // by the place that the signer names
	FrontierAccepted = "accepted" // whatever it is, with a reason
	FrontierSigned   = "signed"   // by the word of who made it, whose record names no inputs
	FrontierSummary  = "summary"  // by somebody's verification summary
)

// A GapRef is a gap of the chain, as the verdict shows it.
type GapRef struct {
	Code     attest.Code   `json:"code"`
	Artifact attest.Digest `json:"artifact"`
}

// An Acknowledgment repeats where the policy accepts that something could have
// been removed without anybody noticing.
type Acknowledgment struct {
	Where string `json:"where"`
	Rests string `json:"rests"` // what it rests on
	Why   string `json:"why"`   // the policy's words
}

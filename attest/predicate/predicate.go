// Package predicate knows the predicate types: what each says, which fields it
// must have, and how a policy sees it.
//
// A predicate arrives as a strictly read JSON value inside an
// [attest.Statement]. [Decode] checks it against the type's field table and
// returns [Facts]: what every type has in common and the chain needs (inputs,
// outputs, a claimed time), and the whole predicate as a tree for expressions.
// A predicate that lacks a required field, or has one of the wrong kind, is an
// error and never an absence: the statement was made, and says nothing usable.
//
// Field tables drive all of it (decoding, the types that expressions are checked
// against, the tables on the format pages), so that they cannot disagree.
// Unknown fields that only inform are ignored; unknown constraints are refused,
// and so is a field whose name is a known one's but for case, "_" or "-": it was
// meant to say something.
//
// Writing goes the same way: [Encode] writes nothing that Decode would not read.
package predicate

import (
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// The predicate types that have a decoder of their own.
const (
	TypeProvenance = "https://slsa.dev/provenance/v1"
	TypeVSA        = "https://slsa.dev/verification_summary/v1"
	TypeEvaluation = "https://pedigree-ml.github.io/evaluation/v0.1"
	TypeApproval   = "https://pedigree-ml.github.io/approval/v0.1"

	TypeRevocation      = "https://pedigree-ml.github.io/revocation/v0.1"
	TypeStatus          = "https://pedigree-ml.github.io/status/v0.1"
	TypeDenylist        = "https://pedigree-ml.github.io/denylist/v0.1"
	TypeDeployment      = "https://pedigree-ml.github.io/deployment/v0.1"
	TypePreregistration = "https://pedigree-ml.github.io/preregistration/v0.1"
	TypeAccess          = "https://pedigree-ml.github.io/access/v0.1"
	TypeOMS             = "https://model_signing/signature/v1.0"
)

// Facts is what a decoded predicate says, as far as chains and policies use it.
type Facts struct {
	Type         string
	BuildType    string    // SLSA provenance only
	InvocationID string    // SLSA provenance only: shared by all outputs of one run
	Started      time.Time // SLSA provenance only: when the run began; zero if it does not say
	Version      string    // SLSA provenance only: the parameter "version" of the run
	Claimed      time.Time // when the signer says it happened; zero if the type has no such field
	Inputs       []Input
	Outputs      []Output // SLSA provenance: the byproducts, i.e. every output of the run by name

	// Approvals only.
	Basis      []Basis
	ValidUntil time.Time // zero: no end
	Role       string    // in which the approver decides; "" if it does not say
	Conditions []ConditionFacts
	Discharges []DischargeFacts // conditions of other approvals that this one finds met
	Policy     attest.Digest    // the policy it was given under; zero: none named

	// Of the one type each that has them; nil otherwise.
	Revocation *RevocationFacts
	Status     *StatusFacts
	Denylist   *DenylistFacts
	Access     *AccessFacts
	Resources  []Resource // OMS signatures: the files that were signed

	// Tree is the predicate for expressions: nested map[string]any, []any,
	// string, bool, int64, float64, time.Time. Fields that a type's table calls
	// decimals are float64, so that policies compare numbers and not text. For a
	// type without a table everything is as JSON has it: null is nil, an integer
	// is int64 if it fits. A digest set is a map of one algorithm to its value.
	Tree map[string]any
}

// An Input is one thing a step consumed.
type Input struct {
	Role     string // "" if the statement gives none
	Name     string
	URI      string
	Digest   attest.Digest // zero if the statement gives none: an unpinned input
	Observed bool          // false: the signer names it without having hashed it
}

// An Output is one thing a run produced, under the name the run gave it.
type Output struct {
	Name   string
	Digest attest.Digest
}

// A Basis is one piece of evidence that an approval rests on: which payload,
// found at which artifact.
type Basis struct {
	Payload  attest.Digest
	Artifact attest.Digest
}

// ConditionFacts is one condition of an approval.
type ConditionFacts struct {
	ID    string
	DueBy time.Time // zero: no date
}

// DischargeFacts says that a condition of another approval is met.
type DischargeFacts struct {
	Payload attest.Digest // the approval
	ID      string        // its condition
}

// RevocationFacts is what a revocation says of its subject.
type RevocationFacts struct {
	Action     string // one of the Action… constants
	Target     string // one of the Target… constants: what kind of thing the subject is
	Reason     string
	From       time.Time       // since when it holds; may be before it was issued
	ReplacedBy attest.Digest   // of a supersession
	Restores   []attest.Digest // of a restoration: the payloads of the revocations that it lifts
}

// What a revocation does.
const (
	ActionRevoke     = "revoke"
	ActionSupersede  = "supersede"
	ActionQuarantine = "quarantine"
	ActionRestore    = "restore"
)

// What a revocation can be about.
const (
	TargetArtifact = "artifact"
	TargetPayload  = "payload"
	TargetKey      = "key"
	TargetIdentity = "identity"
)

// StatusFacts is what a status lists: everything that is there, about everything
// in a chain.
type StatusFacts struct {
	Sequence   int64
	ValidUntil time.Time
	Artifacts  map[attest.Digest][]Listed
}

// Listed is one piece of evidence in a status.
type Listed struct {
	Payload    attest.Digest
	Credential string // as verify.Credential spells it
}

// DenylistFacts is what a deny list says.
type DenylistFacts struct {
	Name       string
	Sequence   int64
	ValidUntil time.Time
	Artifacts  []Denied
}

// Denied is one entry of a deny list.
type Denied struct {
	Digest attest.Digest
	Reason string
}

// A Resource is one file that an OMS signature lists.
type Resource struct {
	Name   string
	Digest attest.Digest // zero if it is given in another algorithm than sha256
}

// A Kind is the kind of a field in a table.
type Kind uint8

// The kinds of fields. Decimals are written as strings and compared as numbers.
const (
	Any Kind = iota // whatever JSON allows
	Text
	Bool
	Count   // an integer ≥ 0
	Decimal // a string holding a decimal of at most 15 significant digits
	Time    // RFC 3339, UTC
	Digests // an in-toto digest set with one digest
	Struct  // an object with the fields of its own table
	List    // an array of Elem
	Map     // an object with free names, of Elem
)

// String returns the kind as error messages and format pages name it.
func (k Kind) String() string {
	switch k {
	case Any:
		return "any"
	case Text:
		return "text"
	case Bool:
		return "boolean"
	case Count:
		return "count"
	case Decimal:
		return "decimal"
	case Time:
		return "time"
	case Digests:
		return "digest set"
	case Struct:
		return "object"
	case List:
		return "list"
	case Map:
		return "map"
	}
	return "unknown"
}

// A Field is one row of a type's table.
type Field struct {
	Name     string
	Kind     Kind
	Required bool
	Fields   []Field  // of a Struct
	Elem     *Field   // of a List or Map
	OneOf    []string // of a Text: the only values; nil allows all
	Closed   bool     // of a Struct: it holds constraints, so an unknown field is refused
	Doc      string   // one clause, for the format page

	spellings map[string]string // of a Struct of a prepared table: plain spelling → name

	inputs bool // of a List: its entries are a step's inputs, with a bound of their own
	most   int  // of a List or Map: how many entries it may have; 0: the usual bound
}

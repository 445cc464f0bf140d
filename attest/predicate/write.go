package predicate

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// Encode writes a predicate in canonical JSON: one of the structs here, or
// whatever encoding/json writes as an object; a json.RawMessage is read as it is.
// It refuses what Decode would refuse, with the same codes, so nothing is signed
// that nobody could read; and text that is not valid UTF-8, which encoding/json
// would change.
func Encode(predicateType string, v any) (json.RawMessage, error) {
	b, isJSON := v.(json.RawMessage)
	if !isJSON {
		var err error
		if b, err = json.Marshal(v); err != nil {
			return nil, &attest.Refusal{Code: attest.CodePredicateSchema, Why: "cannot be written as JSON", Err: err}
		}
		if replaced(b) {
			return nil, schema(nil, "holds text that is not valid UTF-8")
		}
	}
	value, err := parse(b)
	if err != nil {
		return nil, err
	}
	if value.Kind() != strictjson.Object {
		return nil, schema(nil, "the predicate is %s, not an object", value.Kind())
	}
	if _, err := decode(predicateType, value); err != nil {
		return nil, err
	}
	return value.Canonical(), nil
}

// replaced reports whether encoding/json met invalid UTF-8. It does not say so: it
// writes the escape \ufffd in its place, and writes a valid U+FFFD as it is.
func replaced(b []byte) bool {
	for rest := b; ; {
		i := bytes.Index(rest, []byte(`\ufffd`))
		if i < 0 {
			return false
		}
		slashes := i + 1 - len(bytes.TrimRight(rest[:i+1], `\`))
		if slashes%2 == 1 { // otherwise the text has a backslash of its own there
			return true
		}
		rest = rest[i+1:]
	}
}

func parse(b []byte) (strictjson.Value, error) {
	v, err := strictjson.Parse(b, attest.MaxPayload)
	if err == nil {
		return v, nil
	}
	code := attest.CodeJSON
	switch {
	case errors.Is(err, strictjson.ErrDuplicate):
		code = attest.CodeDupKey
	case errors.Is(err, strictjson.ErrLimit):
		code = attest.CodeLimit
	}
	return strictjson.Value{}, &attest.Refusal{Code: code, Why: "predicate", Err: err}
}

// A DigestSet writes a digest as in-toto's digest sets have it: an object of the
// algorithm and the value. The zero DigestSet is left out where that is allowed.
type DigestSet struct{ attest.Digest }

// MarshalJSON writes {"sha256":"…"}, and null for the zero DigestSet.
func (d DigestSet) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(d.Digest.DigestSet())
}

// An Evaluation is the predicate TypeEvaluation, for writing; docs/format/evaluation.md
// has the rules. Decimals are strings such as "0.953".
type Evaluation struct {
	Kind        string            `json:"kind"`
	EvaluatedAt time.Time         `json:"evaluatedAt"`
	Evaluator   *Evaluator        `json:"evaluator,omitempty"`
	Suite       Suite             `json:"suite"`
	Metrics     map[string]Metric `json:"metrics"`
	Slices      map[string]Slice  `json:"slices,omitempty"`
	Inputs      []EvaluationInput `json:"inputs,omitempty"`
	Parameters  map[string]any    `json:"parameters,omitempty"`
}

// An Evaluator is who or what measured.
type Evaluator struct {
	ID string `json:"id"`
}

// A Suite is what was run to measure.
type Suite struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// A Metric is one observed number.
type Metric struct {
	Value    string    `json:"value"`
	N        int64     `json:"n,omitempty"`
	Interval *Interval `json:"interval,omitempty"`
	Unit     string    `json:"unit,omitempty"`
}

// An Interval is a confidence interval; Level is a ratio such as "0.95".
type Interval struct {
	Low   string `json:"low"`
	High  string `json:"high"`
	Level string `json:"level"`
}

// A Slice has the metrics of the groups that one attribute splits the data into.
type Slice struct {
	Groups map[string]Group  `json:"groups,omitempty"`
	Gaps   map[string]Metric `json:"gaps,omitempty"`
}

// A Group is the part of the data that has one value of the attribute.
type Group struct {
	N       int64             `json:"n,omitempty"`
	Metrics map[string]Metric `json:"metrics,omitempty"`
}

// An EvaluationInput is one input as an evaluation writes it.
type EvaluationInput struct {
	Role        string         `json:"role"`
	Name        string         `json:"name,omitempty"`
	URI         string         `json:"uri,omitempty"`
	Digest      DigestSet      `json:"digest,omitzero"`
	Annotations map[string]any `json:"annotations,omitempty"`
}

// MarshalJSON writes times in UTC, and a missing map of metrics as an empty one.
func (e Evaluation) MarshalJSON() ([]byte, error) {
	type plain Evaluation
	e.EvaluatedAt = e.EvaluatedAt.UTC()
	if e.Metrics == nil {
		e.Metrics = map[string]Metric{}
	}
	return json.Marshal(plain(e))
}

// The decisions of an approval.
const (
	DecisionApproved = "approved"
	DecisionRejected = "rejected"
)

// An Approval is the predicate TypeApproval, for writing; docs/format/approval.md
// has the rules.
type Approval struct {
	Decision      string          `json:"decision"`
	Role          string          `json:"role,omitempty"`
	ApprovedAt    time.Time       `json:"approvedAt"`
	ValidUntil    time.Time       `json:"validUntil,omitzero"`
	Scope         Scope           `json:"scope"`
	Basis         []ApprovalBasis `json:"basis"`
	Policy        *ApprovalPolicy `json:"policy,omitempty"`
	Conditions    []Condition     `json:"conditions,omitempty"`
	Discharges    []Discharge     `json:"discharges,omitempty"`
	Comment       string          `json:"comment,omitempty"`
	RisksAccepted []Risk          `json:"risksAccepted,omitempty"`
}

// A Scope is what a decision extends to.
type Scope struct {
	Environments []string `json:"environments"`
	UseCases     []string `json:"useCases,omitempty"`
}

// An ApprovalBasis is one statement that was seen, and where.
type ApprovalBasis struct {
	Payload       DigestSet `json:"payload"`
	Artifact      DigestSet `json:"artifact"`
	PredicateType string    `json:"predicateType,omitempty"`
	Step          string    `json:"step,omitempty"`
}

// An ApprovalPolicy is the policy that a decision was made, or a status published,
// under.
type ApprovalPolicy struct {
	Name    string    `json:"name,omitempty"`
	Version int64     `json:"version,omitempty"`
	Digest  DigestSet `json:"digest"`
}

// A Condition is something that has to hold for an approval to count.
type Condition struct {
	ID    string    `json:"id"`
	Text  string    `json:"text,omitempty"`
	DueBy time.Time `json:"dueBy,omitzero"`
}

// A Discharge says that a condition of another approval is met.
type Discharge struct {
	Payload DigestSet `json:"payload"` // the approval
	ID      string    `json:"id"`      // its condition
}

// A Risk is a known risk that the approver takes on.
type Risk struct {
	ID            string `json:"id"`
	Justification string `json:"justification,omitempty"`
}

// MarshalJSON writes times in UTC, and a missing basis as an empty one.
func (a Approval) MarshalJSON() ([]byte, error) {
	type plain Approval
	a.ApprovedAt = a.ApprovedAt.UTC()
	a.ValidUntil = a.ValidUntil.UTC()
	a.Conditions = slices.Clone(a.Conditions)
	for i := range a.Conditions {
		a.Conditions[i].DueBy = a.Conditions[i].DueBy.UTC()
	}
	if a.Basis == nil {
		a.Basis = []ApprovalBasis{}
	}
	return json.Marshal(plain(a))
}

// The answers of a verification summary.
const (
	ResultPassed = "PASSED"
	ResultFailed = "FAILED"
)

// A VSA is the predicate TypeVSA, for writing; docs/format/vsa.md has the rules.
type VSA struct {
	Verifier           Verifier         `json:"verifier"`
	TimeVerified       time.Time        `json:"timeVerified,omitzero"`
	ResourceURI        string           `json:"resourceUri"`
	Policy             VSAPolicy        `json:"policy"`
	InputAttestations  []VSAAttestation `json:"inputAttestations,omitempty"`
	VerificationResult string           `json:"verificationResult"`
	VerifiedLevels     []string         `json:"verifiedLevels"`
	DependencyLevels   map[string]int64 `json:"dependencyLevels,omitempty"`
	SLSAVersion        string           `json:"slsaVersion,omitempty"`
}

// A Verifier is who verified.
type Verifier struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// A VSAPolicy is what was asked of the resource.
type VSAPolicy struct {
	URI    string    `json:"uri"`
	Digest DigestSet `json:"digest,omitzero"`
}

// A VSAAttestation is one attestation that a verification used.
type VSAAttestation struct {
	URI    string    `json:"uri,omitempty"`
	Digest DigestSet `json:"digest"`
}

// MarshalJSON writes times in UTC, and missing levels as an empty list.
func (v VSA) MarshalJSON() ([]byte, error) {
	type plain VSA
	v.TimeVerified = v.TimeVerified.UTC()
	if v.VerifiedLevels == nil {
		v.VerifiedLevels = []string{}
	}
	return json.Marshal(plain(v))
}

// WithInputs returns an evaluation, canonical, with the inputs that somebody
// else observed. The predicate was written by the command that measured; what it
// consumed is for the one to say who stood beside. So a predicate that already
// has inputs is refused, as is one that is no evaluation: E_PREDICATE_SCHEMA.
func WithInputs(predicateJSON []byte, inputs []Input) (json.RawMessage, error) {
	v, err := parse(predicateJSON)
	if err != nil {
		return nil, err
	}
	if _, err := decode(TypeEvaluation, v); err != nil {
		return nil, err
	}
	fields := make(map[string]any, len(v.Members())+1)
	for _, m := range v.Members() {
		fields[m.Key] = m.Value
	}
	if _, ok := fields["inputs"]; ok {
		return nil, schema((*path)(nil).field("inputs"), "is there already; whoever observes the step fills it in")
	}
	var out []EvaluationInput
	for _, in := range inputs {
		e := EvaluationInput{Role: in.Role, Name: in.Name, URI: in.URI, Digest: DigestSet{in.Digest}}
		if !in.Observed {
			e.Annotations = map[string]any{"observed": false}
		}
		out = append(out, e)
	}
	if len(out) > 0 {
		fields["inputs"] = out
	}
	return Encode(TypeEvaluation, fields)
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

package attest

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// A Code names one kind of refusal. Codes are part of the interface: scripts
// branch on them and the manual lists them, so one is never reused for another
// meaning.
type Code string

// The codes, by what is wrong. docs/codes.md says for each what to do.
const (
	// The bytes of a bundle.
	CodeBundleParse   Code = "E_BUNDLE_PARSE"   // not a Sigstore bundle of the required shape
	CodeBundleVersion Code = "E_BUNDLE_VERSION" // not a bundle version that is read
	CodeNonCanonical  Code = "E_NONCANONICAL"   // a second spelling of something that has one
	CodeJSON          Code = "E_JSON"           // not strict JSON
	CodeDupKey        Code = "E_DUP_KEY"        // a key twice in one object, exactly or but for case
	CodeSigCount      Code = "E_SIG_COUNT"      // not exactly one signature
	CodeSigInvalid    Code = "E_SIG_INVALID"    // the signature is not by the named credential
	CodePayloadType   Code = "E_PAYLOAD_TYPE"   // the envelope does not carry an in-toto statement
	CodeKeyUnknown    Code = "E_KEY_UNKNOWN"    // no trusted credential made the signature
	CodeKey           Code = "E_KEY"            // a key file cannot be used
	CodeLimit         Code = "E_LIMIT"          // a stated bound was exceeded

	// What a statement says.
	CodeStatement        Code = "E_STATEMENT"         // not an in-toto statement of a known version
	CodeSubjectMismatch  Code = "E_SUBJECT_MISMATCH"  // about something else than where it was found
	CodeSubjectAmbiguous Code = "E_SUBJECT_AMBIGUOUS" // several subjects where one is required
	CodeSubjectMissing   Code = "E_SUBJECT_MISSING"   // the artifact itself is not there
	CodeDigestAlg        Code = "E_DIGEST_ALG"        // a digest algorithm nobody here computes
	CodeDigestFormat     Code = "E_DIGEST_FORMAT"     // a malformed digest
	CodePredicateType    Code = "E_PREDICATE_TYPE"    // a malformed predicate type
	CodePredicateSchema  Code = "E_PREDICATE_SCHEMA"  // the predicate lacks, or mistypes, a field
	CodeUnpinned         Code = "E_UNPINNED"          // an input without a digest

	// Artifacts, files and registries.
	CodeReference       Code = "E_REFERENCE"          // a malformed reference
	CodePath            Code = "E_PATH"               // a path that escapes, collides or links
	CodeDup             Code = "E_DUP"                // one path twice
	CodeFileType        Code = "E_FILE_TYPE"          // neither a regular file nor a directory
	CodeFileIO          Code = "E_FILE_IO"            // a file cannot be read or written
	CodeFileChanged     Code = "E_FILE_CHANGED"       // a file changed while it was used
	CodeFileMissing     Code = "E_FILE_MISSING"       // a declared file is not there
	CodeRegManifest     Code = "E_REG_MANIFEST"       // a manifest with no or two readings
	CodeRegDigest       Code = "E_REG_DIGEST"         // other bytes than the digest promises
	CodeRegUnavailable  Code = "E_REG_UNAVAILABLE"    // a repository cannot be asked
	CodeRegRedirect     Code = "E_REG_REDIRECT"       // a repository points elsewhere
	CodeNotFound        Code = "E_NOT_FOUND"          // the repository says it is not there
	CodeAttachUnconfirm Code = "E_ATTACH_UNCONFIRMED" // written, but a fresh listing does not show it

	// The chain.
	CodeChainMissing    Code = "E_CHAIN_MISSING"     // evidence that the policy asks for is not there
	CodeChainBrokenEdge Code = "E_CHAIN_BROKEN_EDGE" // an input that no allowed step produced
	CodeChainForeign    Code = "E_CHAIN_FOREIGN"     // pieces of different runs
	CodeChainCycle      Code = "E_CHAIN_CYCLE"       // evidence whose inputs lead to its own subject
	CodeChainOrder      Code = "E_CHAIN_ORDER"       // an effect before its cause
	CodeChainDepth      Code = "E_CHAIN_DEPTH"       // deeper than the limit
	CodeChainFanout     Code = "E_CHAIN_FANOUT"      // more inputs than the limit
	CodeConflict        Code = "E_CONFLICT"          // authentic evidence that contradicts, or fails beside a pass
	CodeVeto            Code = "E_VETO"              // an authorised person or system said no

	CodeRevoked     Code = "E_REVOKED"     // withdrawn by somebody the policy lets do so
	CodeQuarantined Code = "E_QUARANTINED" // set aside until it is looked into
	CodeRollback    Code = "E_ROLLBACK"    // older than what is known to exist or required
	CodeStatus      Code = "E_STATUS"      // no complete list of what there should be
	CodeVSA         Code = "E_VSA"         // a verification summary that may not stand in
	CodeCovers      Code = "E_COVERS"      // statements about files that leave one out
	CodeEvalPlan    Code = "E_EVAL_PLAN"   // a plan that is younger than what it plans
	CodeFormat      Code = "E_FORMAT"      // a file that is not of a format the policy lists
	CodeFileExtra   Code = "E_FILE_EXTRA"  // a file of a kind that the policy does not list, or that nobody pushed

	// Principals and time.
	CodeIdentity    Code = "E_IDENTITY"     // signed by somebody the policy does not let do this
	CodeQuorum      Code = "E_QUORUM"       // too few distinct principals
	CodeStale       Code = "E_STALE"        // older than allowed
	CodeTimeMissing Code = "E_TIME_MISSING" // no time, or nobody authenticated it
	CodeTimeWindow  Code = "E_TIME_WINDOW"  // a time in the future or outside its window

	CodeKeyWindow Code = "E_KEY_WINDOW" // signed outside the time in which the key counts

	// Certificates, logs and timestamps.
	CodeTrustRoot      Code = "E_TRUSTROOT"       // a trusted root cannot be used
	CodeTrustRootStale Code = "E_TRUSTROOT_STALE" // trust data that is over, or cannot be had
	CodeCertChain      Code = "E_CERT_CHAIN"      // a certificate that no trusted authority issued or recorded
	CodeLogProof       Code = "E_LOG_PROOF"       // an entry that is not proven to be in a trusted log
	CodeLogMismatch    Code = "E_LOG_MISMATCH"    // a log entry about something else
	CodeTSA            Code = "E_TSA"             // a timestamp that no trusted authority made over this

	// Services that signing needs.
	CodeToken       Code = "E_TOKEN"        // an identity token that cannot be used
	CodeSignService Code = "E_SIGN_SERVICE" // a service cannot be asked, or answers with something else
	CodeSignRefused Code = "E_SIGN_REFUSED" // a service refuses to certify, to sign, to record or to date

	// The policy.
	CodePolicyParse   Code = "E_POLICY_PARSE"   // the policy file is wrong
	CodePolicyVacuous Code = "E_POLICY_VACUOUS" // the policy proves nothing
	CodePolicyExpired Code = "E_POLICY_EXPIRED" // the policy's own validity is over
	CodePolicyEval    Code = "E_POLICY_EVAL"    // an expression failed to evaluate
	CodePolicyCost    Code = "E_POLICY_COST"    // an expression is too costly
	CodeRule          Code = "E_RULE"           // a rule does not hold
	CodeBasis         Code = "E_BASIS"          // an approval does not name the evidence it rests on
	CodeConditions    Code = "E_CONDITIONS"     // an approval with conditions nobody discharged
	CodeInput         Code = "E_INPUT"          // an input that no line of the policy claims, or a line that lacks its input
	CodeLeakage       Code = "E_LEAKAGE"        // data where the policy forbids it
	CodeDenied        Code = "E_DENIED"         // an artifact that the policy lists as denied
	CodeNoRule        Code = "E_NO_RULE"        // nothing in the policy covers this artifact

	CodePolicySig      Code = "E_POLICY_SIG"      // a policy that its roots did not sign
	CodePolicyRollback Code = "E_POLICY_ROLLBACK" // an older or another policy than was seen before
	CodePolicyTest     Code = "E_POLICY_TEST"     // a policy that does not judge as its tests expect
	CodePolicyFinding  Code = "E_POLICY_FINDING"  // a policy that loads, and may not mean what it says

	// Questions about lineage.
	CodeIndex      Code = "E_INDEX"      // an index that was not read to the end, or that another version wrote
	CodeDraw       Code = "E_DRAW"       // a graph that cannot be drawn
	CodeAccess     Code = "E_ACCESS"     // a grant that goes beyond what is allowed
	CodeDelegation Code = "E_DELEGATION" // a grant that gives on more than its giver had
	CodeHistory    Code = "E_HISTORY"    // records of an environment that do not follow each other
	CodeLastGood   Code = "E_LAST_GOOD"  // no version satisfies the policy

	// The deploy gate.
	CodeReview       Code = "E_REVIEW"       // not an AdmissionReview that has one reading
	CodeUngoverned   Code = "E_UNGOVERNED"   // what no rule of the gate governs, or it may not ask about
	CodeUnrecognised Code = "E_UNRECOGNISED" // what an object wants to run cannot be recognised
	CodeTag          Code = "E_TAG"          // a tag where only a digest may run
	CodeGuarded      Code = "E_GUARDED"      // a namespace's label that this user may not change
	CodePlace        Code = "E_PLACE"        // an expression that does not say what an object names

	// The program.
	CodeState       Code = "E_STATE"       // what the verifier remembers cannot be read or kept
	CodeGateConfig  Code = "E_GATE_CONFIG" // the gate's configuration is wrong
	CodeUsage       Code = "E_USAGE"       // wrong flags or arguments
	CodeCommand     Code = "E_COMMAND"     // the step's command failed
	CodeInterrupted Code = "E_INTERRUPTED" // stopped from outside
	CodeNotReady    Code = "E_NOT_READY"   // the gate has not loaded what answers rest on, or goes away
	CodeOverload    Code = "E_OVERLOAD"    // more questions than are worked on or may wait
	CodeDeadline    Code = "E_DEADLINE"    // no answer in the time that there was
	CodeInternal    Code = "E_INTERNAL"    // a bug was caught
)

// A Refusal is an error with a stable code. It says what it is about and, where
// that is known, the next thing to do.
type Refusal struct {
	Code  Code
	About string // a digest, a path, a step, a rule; may be empty
	Why   string // one clause, lower case
	Next  string // what would help; may be empty
	Err   error  // the cause; may be nil
}

// Error gives code, object and reason on one line. Control characters in what
// strangers wrote are escaped, so that a message cannot forge a second line.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(string(r.Code))
	if r.About != "" {
		b.WriteString(" " + Printable(r.About))
	}
	if r.Why != "" {
		b.WriteString(": " + Printable(r.Why))
	}
	if r.Err != nil {
		b.WriteString(": " + Printable(r.Err.Error()))
	}
	return b.String()
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse makes a Refusal about nothing in particular, with a formatted reason.
func Refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Why: fmt.Sprintf(format, args...)}
}

// RefusalCode returns the code of the first Refusal in err's tree, and "" if
// there is none.
func RefusalCode(err error) Code {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// Printable returns s with control characters, invalid UTF-8 and the characters
// that reorder text escaped as \u{…}: names and messages come from strangers,
// and a terminal must show them as data.
func Printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u{%x}", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ASCII writes everything beyond printable ASCII as \u{…}, a byte that is no letter as
// \x{…}, and a backslash, with which these begin, as \u{5c}. So texts that differ are
// shown to differ, however alike they look: it is for identities, where letters of other
// scripts pass for ours.
func ASCII(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case ' ' <= r && r <= '~' && r != '\\':
			b.WriteByte(s[0])
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x{%x}", s[0])
		default:
			fmt.Fprintf(&b, "\\u{%x}", r)
		}
		s = s[size:]
	}
	return b.String()
}

// unprintable reports whether r is a control character, a mark of invalid UTF-8,
// or a character that is not seen itself: it hides, or reorders what is seen.
func unprintable(r rune) bool {
	if ' ' <= r && r <= '~' {
		return false
	}
	return r == utf8.RuneError || r == 0x2028 || r == 0x2029 || unicode.IsControl(r) ||
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// jsonRefusal gives an error of the strict reader its code.
func jsonRefusal(what string, err error) *Refusal {
	code := CodeJSON
	switch {
	case errors.Is(err, strictjson.ErrDuplicate):
		code = CodeDupKey
	case errors.Is(err, strictjson.ErrLimit):
		code = CodeLimit
	}
	return &Refusal{Code: code, Why: what, Err: err}
}

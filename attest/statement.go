package attest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// The statement types that are read; version 1 is written.
const (
	StatementTypeV1  = "https://in-toto.io/Statement/v1"
	statementTypeV01 = "https://in-toto.io/Statement/v0.1" // what cosign writes
)

// PayloadType is the DSSE payload type of every statement.
const PayloadType = "application/vnd.in-toto+json"

const (
	// MaxPayload is the largest statement that is read: what fits into MaxBundle
	// as base64. The largest honest one seen, a bill of materials of 18.7 MB, does
	// not; such a document belongs into an artifact that a statement names.
	MaxPayload = 12 << 20

	// maxSubjects is sigstore-go's limit, so that no statement passes here and
	// fails there.
	maxSubjects = 1024
)

// A Subject is one thing that a statement is about.
type Subject struct {
	Name   string
	Digest Digest
}

// A Statement is what an in-toto Statement says (attestation specification,
// "Statement", version 1). It is a claim: nobody has been believed yet.
type Statement struct {
	Type          string
	Subjects      []Subject
	PredicateType string
	Predicate     strictjson.Value // Null or Invalid when there is none
	Payload       Digest           // the SHA-256 of the payload's bytes
}

// ParseStatement reads a statement from a payload of at most MaxPayload bytes.
// It is the only reader of payloads: everything later is taken from the result.
//
// It refuses, beyond what is no strict JSON: an unknown _type, unknown fields
// beside the four of the specification (a misspelt one is how two readers come
// to see two statements), no subject, a subject without a digest, a digest set
// with an algorithm that nobody here computes, and a predicate type that is not
// an absolute URI in its plain form.
func ParseStatement(payload []byte) (*Statement, error) {
	v, err := strictjson.Parse(payload, MaxPayload)
	if err != nil {
		return nil, jsonRefusal("statement", err)
	}
	if v.Kind() != strictjson.Object {
		return nil, Refuse(CodeJSON, "statement is %s, not an object", v.Kind())
	}
	s := &Statement{Payload: SHA256(payload)}
	for _, m := range v.Members() {
		switch m.Key {
		case "_type":
			s.Type = stringOf(m.Value)
		case "subject":
			if s.Subjects, err = subjects(m.Value); err != nil {
				return nil, err
			}
		case "predicateType":
			s.PredicateType = stringOf(m.Value)
		case "predicate":
			s.Predicate = m.Value
		default:
			return nil, &Refusal{Code: CodeStatement, About: clip(m.Key), Why: "unknown field of a statement"}
		}
	}
	if s.Type != StatementTypeV1 && s.Type != statementTypeV01 {
		return nil, &Refusal{Code: CodeStatement, About: clip(s.Type), Why: "_type is not an in-toto statement's"}
	}
	if len(s.Subjects) == 0 {
		return nil, Refuse(CodeStatement, "no subject")
	}
	if err := CheckPredicateType(s.PredicateType); err != nil {
		return nil, err
	}
	if k := s.Predicate.Kind(); k != strictjson.Object && k != strictjson.Invalid && k != strictjson.Null {
		return nil, Refuse(CodePredicateSchema, "the predicate is %s, not an object", k)
	}
	return s, nil
}

// stringOf returns a string's content, and "" for values of every other kind:
// Text alone would let a number pass for the string of its digits.
func stringOf(v strictjson.Value) string {
	if v.Kind() != strictjson.String {
		return ""
	}
	return v.Text()
}

func subjects(v strictjson.Value) ([]Subject, error) {
	if v.Kind() != strictjson.Array {
		return nil, Refuse(CodeStatement, "subject is %s, not an array", v.Kind())
	}
	if len(v.Items()) > maxSubjects {
		return nil, Refuse(CodeLimit, "%d subjects, at most %d are read", len(v.Items()), maxSubjects)
	}
	var out []Subject
	for _, item := range v.Items() {
		if item.Kind() != strictjson.Object {
			return nil, Refuse(CodeStatement, "a subject is %s, not an object", item.Kind())
		}
		name, named := item.Get("name")
		if named && name.Kind() != strictjson.String {
			return nil, Refuse(CodeStatement, "the name of a subject is %s, not a string", name.Kind())
		}
		set, ok := item.Get("digest")
		if !ok {
			return nil, Refuse(CodeStatement, "a subject has no digest")
		}
		d, err := ParseDigestSet(set)
		if err != nil {
			return nil, err
		}
		out = append(out, Subject{Name: name.Text(), Digest: d})
	}
	return out, nil
}

// ParseDigestSet reads an in-toto digest set, which must hold exactly one digest
// and that in an algorithm we compute. A second one would be checked by some
// verifiers and not by others, and could name other bytes.
func ParseDigestSet(v strictjson.Value) (Digest, error) {
	if v.Kind() != strictjson.Object || len(v.Members()) == 0 {
		return Digest{}, Refuse(CodeDigestFormat, "a digest set without a digest")
	}
	var d Digest
	for _, m := range v.Members() {
		// A number of 64 digits has the text of a digest and is none.
		got, err := NewDigest(m.Key, stringOf(m.Value))
		if err != nil {
			return Digest{}, err
		}
		if !d.IsZero() {
			return Digest{}, Refuse(CodeDigestAlg, "two digests for one artifact: %s and %s", d, got)
		}
		d = got
	}
	return d, nil
}

// CheckPredicateType refuses a predicate type that has a second spelling. It
// must be an https URI with a lower-case host and a plain path, or a urn, of at
// most 1,024 printable ASCII characters: no user, port, query, fragment, percent
// signs, dot segments, doubled or trailing slashes. With http in place of https
// it would be a second name for the same document, and is refused.
func CheckPredicateType(t string) error {
	bad := func(why string) error {
		return &Refusal{Code: CodePredicateType, About: clip(t), Why: why}
	}
	if t == "" || len(t) > maxPredicateType {
		return bad("empty or too long")
	}
	for i := range len(t) {
		if t[i] <= ' ' || t[i] > '~' {
			return bad("white space, control or non-ASCII characters in a type")
		}
	}
	if strings.ContainsAny(t, "%#?@\\") {
		return bad("user, query, fragment or escapes in a type")
	}
	if _, ok := strings.CutPrefix(t, "urn:"); ok {
		return nil
	}
	rest, ok := strings.CutPrefix(t, "https://")
	if !ok {
		return bad("not an absolute https URI")
	}
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case !typeHost.MatchString(host):
		return bad("a second spelling of a host, or none")
	case strings.HasSuffix(t, "/") || strings.Contains(path, "//") || strings.HasPrefix(path, "/"):
		return bad("doubled or trailing slashes")
	case slices.ContainsFunc(strings.Split(path, "/"), func(p string) bool { return p == "." || p == ".." }):
		return bad("dot segments in a type")
	}
	return nil
}

// maxPredicateType bounds a predicate type; the longest one known here, npm's,
// has 63 characters.
const maxPredicateType = 1024

// typeHost is a host name as DNS compares it, without the root's dot. The
// underscore is OMS's: its type is https://model_signing/signature/v1.0.
var typeHost = regexp.MustCompile(`^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$`)

// statementJSON is a Statement as we write it: version 1, one subject.
type statementJSON struct {
	Type          string        `json:"_type"`
	Subject       []subjectJSON `json:"subject"`
	PredicateType string        `json:"predicateType"`
	Predicate     any           `json:"predicate"`
}

type subjectJSON struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// DigestSet returns d as an in-toto digest set.
func (d Digest) DigestSet() map[string]string { return map[string]string{d.Algorithm(): d.Hex()} }

// NewStatement writes a statement about one subject. The predicate is anything
// encoding/json writes as an object. The result is what ParseStatement reads;
// that the predicate fits its type is for package predicate to check.
func NewStatement(subject Subject, predicateType string, predicate any) ([]byte, error) {
	if subject.Digest.IsZero() {
		return nil, Refuse(CodeStatement, "no subject")
	}
	if !utf8.ValidString(subject.Name) {
		// encoding/json would write another name than the one given.
		return nil, &Refusal{Code: CodeStatement, About: clip(subject.Name), Why: "the subject's name is not valid UTF-8"}
	}
	b, err := json.Marshal(statementJSON{
		Type:          StatementTypeV1,
		Subject:       []subjectJSON{{Name: subject.Name, Digest: subject.Digest.DigestSet()}},
		PredicateType: predicateType,
		Predicate:     predicate,
	})
	if err != nil {
		return nil, &Refusal{Code: CodeStatement, Why: "the predicate cannot be written as JSON", Err: err}
	}
	if _, err := ParseStatement(b); err != nil {
		return nil, err
	}
	return b, nil
}

package policy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// PayloadTypeSigned is the DSSE payload type of a signed policy. It is part of
// what is signed, so that no statement can be passed off as a policy, nor a
// policy as a statement.
const PayloadTypeSigned = "application/vnd.pedigree.policy.v1+json"

const (
	// maxSignedPayload bounds the policy with its files: eight of the largest
	// policies; the example's, with six keys, has 6 kB.
	maxSignedPayload = 8 * maxPolicy

	// MaxSigned is the largest signed policy that is read: the payload in base64,
	// and room for the signatures.
	MaxSigned = maxSignedPayload/3*4 + 1<<20

	// maxSignatures bounds the work of an envelope: each signature is tried with
	// each root key. Nobody has seen roots of more than a dozen people.
	maxSignatures = 32

	// maxSignature is the length of one signature; those of P-384, the longest,
	// have about 104 bytes.
	maxSignature = 1 << 10

	// maxSignedFiles bounds the files of one policy, mostly keys: a file each for
	// as many principals as anybody will list.
	maxSignedFiles = 4096
)

// A Signed is a policy in a DSSE envelope, with every file that it names, so that
// it is the same policy wherever it is read. It has been checked for form and
// believed in nothing: whether roots signed it, [LoadSigned] says.
//
// The format is on the page docs/format/policy.md. The zero Signed is refused by
// everything.
type Signed struct {
	payload    []byte
	source     []byte
	files      map[string][]byte // by clean relative path
	digest     attest.Digest     // as the payload states it
	signatures []policySignature
}

// A policySignature is one signature of an envelope. The key id helps people to
// find whose it is; nothing is decided by it.
type policySignature struct {
	keyID string
	sig   []byte
}

// Digest returns the policy's digest as the payload states it. LoadSigned checks
// it; before that it is a claim.
func (s *Signed) Digest() attest.Digest { return s.digest }

// Signatures returns how many signatures the envelope has, good or not.
func (s *Signed) Signatures() int { return len(s.signatures) }

// IsSigned reports whether a document means to be a signed policy rather than the
// YAML text of one. It decides which reader is asked, and that one checks: no
// text is a policy for both.
func IsSigned(src []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{")) && bytes.Contains(src, []byte(`"payloadType"`))
}

// NewSigned loads a policy as Load does and packs it, with every file that was
// read for it, ready to be signed. What does not load is not packed: the error is
// Load's. Files by absolute paths or paths out of the policy's folder are refused
// (attest.CodePath), since nobody else would find the same ones there, and so are
// files that are not UTF-8 text (attest.CodePolicyParse).
func NewSigned(src []byte, files ReadFile) (*Signed, error) {
	s := &Signed{source: bytes.Clone(src), files: map[string][]byte{}}
	if !utf8.Valid(src) {
		return nil, attest.Refuse(attest.CodePolicyParse, "the policy is not UTF-8 text")
	}
	var refused error // Load would make it one of the problems of the text
	p, err := Load(s.source, func(name string) ([]byte, error) {
		key, err := filePath(name)
		if err != nil {
			refused = err
			return nil, err
		}
		// Each file is read once: one that changes meanwhile is one policy still.
		if b, ok := s.files[key]; ok {
			return b, nil
		}
		b, err := files(name)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(b) {
			refused = &attest.Refusal{Code: attest.CodePolicyParse, About: name, Why: "is not UTF-8 text"}
			return nil, refused
		}
		s.files[key] = bytes.Clone(b)
		return b, nil
	})
	if refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	s.digest = p.Digest()
	if s.payload, err = s.marshalPayload(); err != nil {
		return nil, err
	}
	if err := s.checkPayload(); err != nil {
		return nil, err
	}
	return s, nil
}

// filePath returns the one spelling of a path that a signed policy may name.
func filePath(name string) (string, error) {
	clean := path.Clean(name)
	// A backslash or a colon makes a path absolute, or another one, on some systems.
	if name == "" || path.IsAbs(name) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(name, "\\:\x00") {
		return "", &attest.Refusal{Code: attest.CodePath, About: name, Why: "a signed policy takes its files along, and only from its own folder and below",
			Next: "put the file beside the policy, and name it by a relative path"}
	}
	return clean, nil
}

// marshalPayload writes the payload in its one form.
func (s *Signed) marshalPayload() ([]byte, error) {
	files := map[string]string{}
	for name, b := range s.files {
		files[name] = string(b)
	}
	b, err := json.Marshal(map[string]any{"digest": s.digest, "files": files, "policy": string(s.source)})
	if err != nil {
		return nil, err // unreachable: only strings
	}
	v, err := strictjson.Parse(b, 8*maxSignedPayload)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodePolicyParse, Why: "the policy's files have names that differ only in case, or are too many", Err: err}
	}
	return v.Canonical(), nil
}

func (s *Signed) checkPayload() error {
	if len(s.files) > maxSignedFiles {
		return attest.Refuse(attest.CodeLimit, "%d files, a signed policy has at most %d", len(s.files), maxSignedFiles)
	}
	if len(s.payload) > maxSignedPayload {
		return attest.Refuse(attest.CodeLimit, "policy and files have %d bytes, at most %d are signed", len(s.payload), maxSignedPayload)
	}
	return nil
}

// ParseSigned reads an envelope of at most MaxSigned bytes. It verifies nothing.
//
// Every field must be known and occur once, base64 and payload must be canonical,
// no signature may occur twice: one signed policy has one text, but for white
// space around its parts. Refusals are attest.CodePolicyParse; an envelope without
// a signature, or with more than 32, is refused with attest.CodePolicySig.
func ParseSigned(b []byte) (*Signed, error) {
	v, err := strictjson.Parse(b, MaxSigned)
	if err != nil {
		return nil, malformedSigned("not strict JSON", err)
	}
	if err := onlyFields(v, "the envelope", "payloadType", "payload", "signatures"); err != nil {
		return nil, err
	}
	if pt, _ := v.Get("payloadType"); pt.Kind() != strictjson.String || pt.Text() != PayloadTypeSigned {
		return nil, malformedSigned(fmt.Sprintf("the payload's type is %.100q, only %s is read", pt.Text(), PayloadTypeSigned), nil)
	}
	s := &Signed{}
	payload, _ := v.Get("payload")
	if s.payload, err = signedBase64(payload, "the payload"); err != nil {
		return nil, err
	}
	signatures, _ := v.Get("signatures")
	if err := s.readSignatures(signatures); err != nil {
		return nil, err
	}
	if err := s.readPayload(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signed) readSignatures(v strictjson.Value) error {
	if v.Kind() != strictjson.Array {
		return malformedSigned("signatures is "+v.Kind().String()+", not an array", nil)
	}
	if n := len(v.Items()); n == 0 || n > maxSignatures {
		return attest.Refuse(attest.CodePolicySig, "the policy's envelope has %d signatures, want 1 to %d", n, maxSignatures)
	}
	for _, item := range v.Items() {
		if err := onlyFields(item, "a signature", "keyid", "sig"); err != nil {
			return err
		}
		id, ok := item.Get("keyid")
		if ok && (id.Kind() != strictjson.String || len(id.Text()) > maxSignature) {
			return malformedSigned("a signature's key id is no text, or a long one", nil)
		}
		raw, _ := item.Get("sig")
		sig, err := signedBase64(raw, "a signature")
		if err != nil {
			return err
		}
		if len(sig) == 0 || len(sig) > maxSignature {
			return attest.Refuse(attest.CodePolicySig, "a signature of %d bytes", len(sig))
		}
		if slices.ContainsFunc(s.signatures, func(o policySignature) bool { return bytes.Equal(o.sig, sig) }) {
			return malformedSigned("a signature occurs twice", nil)
		}
		s.signatures = append(s.signatures, policySignature{keyID: id.Text(), sig: sig})
	}
	return nil
}

// readPayload reads what the envelope holds, and refuses every payload but the
// one that packing the same policy would give.
func (s *Signed) readPayload() error {
	v, err := strictjson.Parse(s.payload, maxSignedPayload)
	if err != nil {
		return malformedSigned("the payload is not strict JSON", err)
	}
	if err := onlyFields(v, "the payload", "digest", "files", "policy"); err != nil {
		return err
	}
	if !bytes.Equal(v.Canonical(), s.payload) {
		return malformedSigned("the payload is not canonical", nil)
	}
	digest, _ := v.Get("digest")
	if s.digest, err = attest.ParseDigest(digest.Text()); err != nil || digest.Kind() != strictjson.String || s.digest.IsCommit() {
		return malformedSigned("the payload's digest is none", err)
	}
	source, _ := v.Get("policy")
	if source.Kind() != strictjson.String {
		return malformedSigned("the payload has no policy", nil)
	}
	s.source = []byte(source.Text())
	files, _ := v.Get("files")
	if files.Kind() != strictjson.Object {
		return malformedSigned("the payload has no files", nil)
	}
	if n := len(files.Members()); n > maxSignedFiles {
		return malformedSigned(fmt.Sprintf("%d files, at most %d are read", n, maxSignedFiles), nil)
	}
	s.files = map[string][]byte{}
	for _, m := range files.Members() {
		clean, err := filePath(m.Key)
		if err != nil || clean != m.Key || m.Value.Kind() != strictjson.String {
			return malformedSigned(fmt.Sprintf("the file %.100q is no text under a plain relative path", m.Key), err)
		}
		s.files[m.Key] = []byte(m.Value.Text())
	}
	return nil
}

// Sign adds a signature, over DSSE's pre-authentication encoding. The policy is
// loaded first: nothing is signed that nobody could use. A key that has signed
// already is refused with attest.CodePolicySig: a second signature would count
// for nothing and look like somebody's.
func (s *Signed) Sign(ctx context.Context, by attest.Signer) error {
	if _, err := s.LoadUnchecked(); err != nil {
		return fmt.Errorf("refusing to sign: %w", err)
	}
	key := by.Material().Key
	if key.IsZero() {
		return attest.Refuse(attest.CodeKey, "the signer names no key")
	}
	if len(s.signatures) >= maxSignatures {
		return attest.Refuse(attest.CodePolicySig, "the policy has %d signatures, and at most %d are read", len(s.signatures), maxSignatures)
	}
	message := dsse.PAE(PayloadTypeSigned, s.payload)
	if s.signedBy(key, message) {
		return &attest.Refusal{Code: attest.CodePolicySig, About: key.Fingerprint().String(), Why: "this key has signed the policy already", Next: "have another root sign"}
	}
	sig, err := by.SignMessage(ctx, message)
	if err != nil {
		return err
	}
	if !validSignature(key, message, sig) {
		return &attest.Refusal{Code: attest.CodeKey, About: key.Fingerprint().String(), Why: "the signer made a signature that its own key does not verify"}
	}
	s.signatures = append(s.signatures, policySignature{keyID: key.Fingerprint().String(), sig: sig})
	return nil
}

// Marshal returns the envelope as JSON, with a final line feed. One without a
// signature is refused with attest.CodePolicySig: nobody could read it.
func (s *Signed) Marshal() ([]byte, error) {
	if len(s.signatures) == 0 {
		return nil, attest.Refuse(attest.CodePolicySig, "nobody has signed the policy")
	}
	type signature struct {
		KeyID string `json:"keyid,omitempty"`
		Sig   []byte `json:"sig"`
	}
	out := struct {
		PayloadType string      `json:"payloadType"`
		Payload     []byte      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}{PayloadType: PayloadTypeSigned, Payload: s.payload}
	for _, x := range s.signatures {
		out.Signatures = append(out.Signatures, signature{x.keyID, x.sig})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, err // unreachable: only strings and bytes
	}
	return append(b, '\n'), nil
}

// onlyFields refuses what is no object, and objects with other fields.
func onlyFields(v strictjson.Value, what string, known ...string) error {
	if v.Kind() != strictjson.Object {
		return malformedSigned(what+" is "+v.Kind().String()+", not an object", nil)
	}
	for _, m := range v.Members() {
		if !slices.Contains(known, m.Key) {
			return malformedSigned(fmt.Sprintf("%s has an unknown field %.100q", what, m.Key), nil)
		}
	}
	return nil
}

// signedBase64 decodes base64 with padding in its one spelling.
func signedBase64(v strictjson.Value, what string) ([]byte, error) {
	if v.Kind() != strictjson.String {
		return nil, malformedSigned(what+" is "+v.Kind().String()+", not a string", nil)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(v.Text())
	// The decoder skips line breaks wherever they stand.
	if err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(v.Text()) {
		return nil, malformedSigned(what+" is not canonical base64", nil)
	}
	return b, nil
}

func malformedSigned(why string, err error) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodePolicyParse, Why: "not a signed policy: " + why, Err: err}
}

package attest

import (
	"encoding/base64"

	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// MaxBundle is the largest bundle that is read. Everything of a bundle is
	// held in memory, several at a time.
	MaxBundle = 16 << 20

	// maxLogEntries and maxTimestamps are sigstore-go's limits, checked before
	// any entry is looked at.
	maxLogEntries = 32
	maxTimestamps = 32

	// maxProofHashes is the height of a log with more entries than a 64-bit index
	// can number.
	maxProofHashes = 64

	// maxCertificate bounds a certificate; Fulcio's have about 1,000 bytes.
	maxCertificate = 64 << 10
)

// A Bundle is the shape of a Sigstore bundle v0.3 with a DSSE envelope: checked
// for form, believed in nothing.
type Bundle struct {
	Payload     []byte // the statement's bytes
	Signature   []byte // the one signature, as its bytes
	KeyHint     string // the key that the bundle says signed it; a hint orders work, no more
	Certificate []byte // DER; nil for a key

	// Chain are up to four further certificates, DER, that may lead from Certificate
	// to a root: hints like KeyHint. Only bundles by X.509-SVIDs have them.
	Chain      [][]byte
	LogEntries [][]byte // each a TransparencyLogEntry as JSON (protobuf-specs, sigstore_rekor.proto)
	Timestamps [][]byte // each a TimeStampResp, DER (RFC 3161)
}

// ParseBundle checks that b is a Sigstore bundle of exactly version 0.3 that
// carries one DSSE signature over an in-toto statement. It verifies nothing.
//
// Every field must be known, spelled in lowerCamelCase and occur once, and all
// base64 must be canonical: otherwise one signed statement would have many
// bundles, and a bundle could be read differently elsewhere.
func ParseBundle(b []byte) (*Bundle, error) {
	v, err := strictjson.Parse(b, MaxBundle)
	if err != nil {
		return nil, jsonRefusal("bundle", err)
	}
	if v.Kind() != strictjson.Object {
		return nil, Refuse(CodeBundleParse, "bundle is %s, not an object", v.Kind())
	}
	if mt, _ := v.Get("mediaType"); stringOf(mt) != MediaTypeBundle {
		return nil, &Refusal{Code: CodeBundleVersion, About: clip(mt.Text()), Why: "only " + MediaTypeBundle + " is read"}
	}
	if _, ok := v.Get("messageSignature"); ok {
		return nil, Refuse(CodePayloadType, "the bundle signs a message, not a statement")
	}
	if err := onlyKeys(v, "bundle", "mediaType", "verificationMaterial", "dsseEnvelope"); err != nil {
		return nil, err
	}
	out := &Bundle{}
	material, _ := v.Get("verificationMaterial")
	if err := out.readMaterial(material); err != nil {
		return nil, err
	}
	envelope, _ := v.Get("dsseEnvelope")
	if err := out.readEnvelope(envelope); err != nil {
		return nil, err
	}
	return out, nil
}

func onlyKeys(v strictjson.Value, what string, known ...string) error {
	if v.Kind() != strictjson.Object {
		return Refuse(CodeBundleParse, "%s is %s, not an object", what, v.Kind())
	}
next:
	for _, m := range v.Members() {
		for _, k := range known {
			if m.Key == k {
				continue next
			}
		}
		return &Refusal{Code: CodeNonCanonical, About: clip(m.Key), Why: "unknown or misspelt field of " + what}
	}
	return nil
}

func (b *Bundle) readMaterial(v strictjson.Value) error {
	if err := onlyKeys(v, "verificationMaterial", "publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData"); err != nil {
		return err
	}
	key, hasKey := v.Get("publicKey")
	cert, hasCert := v.Get("certificate")
	chain, hasChain := v.Get("x509CertificateChain")
	var err error
	switch {
	case hasKey && !hasCert && !hasChain:
		err = b.readHint(key)
	case hasCert && !hasKey && !hasChain:
		b.Certificate, _, err = readCertificate(cert)
	case hasChain && !hasKey && !hasCert:
		err = b.readChain(chain)
	default:
		err = Refuse(CodeBundleParse, "a bundle has exactly one of a key hint, a certificate, and a chain of certificates")
	}
	if err != nil {
		return err
	}
	return b.readTimes(v)
}

func (b *Bundle) readHint(key strictjson.Value) error {
	if err := onlyKeys(key, "publicKey", "hint"); err != nil {
		return err
	}
	hint, ok := key.Get("hint")
	if ok && hint.Kind() != strictjson.String {
		return Refuse(CodeBundleParse, "the key hint is %s, not a string", hint.Kind())
	}
	b.KeyHint = hint.Text()
	return nil
}

// readTimes checks the form of log entries and timestamps: the names of fields,
// and base64. What they prove is for the verifier.
func (b *Bundle) readTimes(v strictjson.Value) error {
	entries, err := list(v, "tlogEntries", maxLogEntries)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := checkLogEntry(e); err != nil {
			return err
		}
		b.LogEntries = append(b.LogEntries, e.JSON())
	}
	data, ok := v.Get("timestampVerificationData")
	if !ok {
		return nil
	}
	if err := onlyKeys(data, "timestampVerificationData", "rfc3161Timestamps"); err != nil {
		return err
	}
	stamps, err := list(data, "rfc3161Timestamps", maxTimestamps)
	if err != nil {
		return err
	}
	for _, s := range stamps {
		if err := onlyKeys(s, "timestamp", "signedTimestamp"); err != nil {
			return err
		}
		raw, _ := s.Get("signedTimestamp")
		der, err := canonicalBase64(raw, "timestamp")
		if err != nil {
			return err
		}
		b.Timestamps = append(b.Timestamps, der)
	}
	return nil
}

// checkLogEntry checks a TransparencyLogEntry (protobuf-specs, sigstore_rekor.proto).
func checkLogEntry(e strictjson.Value) error {
	if err := checkObject(e, "log entry", []string{"canonicalizedBody"},
		"logIndex", "integratedTime", "logId", "kindVersion", "inclusionPromise", "inclusionProof"); err != nil {
		return err
	}
	for _, part := range []struct {
		key    string
		base64 []string
		other  []string
	}{
		{key: "logId", base64: []string{"keyId"}},
		{key: "kindVersion", other: []string{"kind", "version"}},
		{key: "inclusionPromise", base64: []string{"signedEntryTimestamp"}},
		{key: "inclusionProof", base64: []string{"rootHash"}, other: []string{"logIndex", "treeSize", "hashes", "checkpoint"}},
	} {
		if v, ok := e.Get(part.key); ok {
			if err := checkObject(v, part.key, part.base64, part.other...); err != nil {
				return err
			}
		}
	}
	proof, _ := e.Get("inclusionProof")
	hashes, err := list(proof, "hashes", maxProofHashes)
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if _, err := canonicalBase64(h, "proof's hash"); err != nil {
			return err
		}
	}
	if c, ok := proof.Get("checkpoint"); ok {
		return onlyKeys(c, "checkpoint", "envelope")
	}
	return nil
}

// checkObject checks that v is an object with no other fields than those named,
// and that the first ones, where present, are canonical base64.
func checkObject(v strictjson.Value, what string, base64 []string, other ...string) error {
	if err := onlyKeys(v, what, append(other, base64...)...); err != nil {
		return err
	}
	for _, key := range base64 {
		if raw, ok := v.Get(key); ok {
			if _, err := canonicalBase64(raw, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// list returns the elements of an array that may be missing.
func list(v strictjson.Value, key string, most int) ([]strictjson.Value, error) {
	a, ok := v.Get(key)
	if !ok {
		return nil, nil
	}
	if a.Kind() != strictjson.Array {
		return nil, Refuse(CodeBundleParse, "%s is %s, not an array", key, a.Kind())
	}
	if len(a.Items()) > most {
		return nil, Refuse(CodeLimit, "%d %s, at most %d are read", len(a.Items()), key, most)
	}
	return a.Items(), nil
}

func (b *Bundle) readEnvelope(v strictjson.Value) error {
	if v.Kind() == strictjson.Invalid {
		return Refuse(CodeBundleParse, "no DSSE envelope")
	}
	if err := onlyKeys(v, "dsseEnvelope", "payload", "payloadType", "signatures"); err != nil {
		return err
	}
	if pt, _ := v.Get("payloadType"); stringOf(pt) != PayloadType {
		return &Refusal{Code: CodePayloadType, About: clip(pt.Text()), Why: "only " + PayloadType + " is read"}
	}
	sigs, err := list(v, "signatures", MaxBundle)
	if err != nil {
		return err
	}
	if len(sigs) != 1 {
		return Refuse(CodeSigCount, "%d signatures; a v0.3 bundle has exactly one", len(sigs))
	}
	sig := sigs[0]
	if err := onlyKeys(sig, "signature", "sig", "keyid"); err != nil {
		return err
	}
	if id, ok := sig.Get("keyid"); ok && id.Kind() != strictjson.String {
		return Refuse(CodeBundleParse, "the key id is %s, not a string", id.Kind())
	}
	raw, _ := sig.Get("sig")
	if b.Signature, err = canonicalBase64(raw, "signature"); err != nil {
		return err
	}
	if len(b.Signature) == 0 {
		return Refuse(CodeSigCount, "empty signature")
	}
	payload, _ := v.Get("payload")
	if b.Payload, err = canonicalBase64(payload, "payload"); err != nil {
		return err
	}
	if len(b.Payload) > MaxPayload {
		return Refuse(CodeLimit, "payload of %d bytes, at most %d are read", len(b.Payload), MaxPayload)
	}
	return nil
}

// canonicalBase64 decodes RFC 4648 base64 with padding, and refuses every text
// that is not what encoding the result would give.
func canonicalBase64(v strictjson.Value, what string) ([]byte, error) {
	if v.Kind() != strictjson.String {
		return nil, Refuse(CodeBundleParse, "%s is %s, not a string", what, v.Kind())
	}
	s := v.Text()
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	// The decoder skips line breaks wherever they stand.
	if err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(s) {
		return nil, Refuse(CodeNonCanonical, "base64 of the %s", what)
	}
	return b, nil
}

package authority

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/pedigree-ml/pedigree/attest"
)

// An Entry is a TransparencyLogEntry (protobuf-specs, sigstore_rekor.proto) as JSON.
// Numbers are decimal strings, so that a test can write any.
type Entry struct {
	LogIndex       string            `json:"logIndex,omitempty"`
	LogID          *LogID            `json:"logId,omitempty"`
	KindVersion    *KindVersion      `json:"kindVersion,omitempty"`
	IntegratedTime string            `json:"integratedTime,omitempty"`
	Promise        *InclusionPromise `json:"inclusionPromise,omitempty"`
	Proof          *InclusionProof   `json:"inclusionProof,omitempty"`
	Body           []byte            `json:"canonicalizedBody"`
}

// The parts of an Entry.
type (
	LogID struct {
		KeyID []byte `json:"keyId"`
	}
	KindVersion struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	InclusionPromise struct {
		SET []byte `json:"signedEntryTimestamp"`
	}
	InclusionProof struct {
		LogIndex   string      `json:"logIndex,omitempty"`
		RootHash   []byte      `json:"rootHash,omitempty"`
		TreeSize   string      `json:"treeSize,omitempty"`
		Hashes     [][]byte    `json:"hashes,omitempty"`
		Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	}
	Checkpoint struct {
		Envelope string `json:"envelope"`
	}
)

// An EntryKind writes what an entry of one kind says about a signature.
type EntryKind func(attest.Signature) (kind, version string, body []byte, err error)

type hashJSON struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

func hashOf(b []byte) hashJSON {
	sum := sha256.Sum256(b)
	return hashJSON{"sha256", hex.EncodeToString(sum[:])}
}

type entryJSON struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       any    `json:"spec"`
}

// body writes an entry in the form that logs hash (RFC 8785): the fields of all types
// here are in the order of their names, and no text needs escaping.
func body(kind, version string, spec any) (string, string, []byte, error) {
	b, err := json.Marshal(entryJSON{version, kind, spec})
	return kind, version, b, err
}

// HashedRekord is the one kind of Rekor v2: the hash of what was signed, the
// signature, and the certificate or key (rekor-tiles, hashedrekord.proto).
func HashedRekord(s attest.Signature) (string, string, []byte, error) {
	_, der, err := verifier(s.Material)
	if err != nil {
		return "", "", nil, err
	}
	type raw struct {
		Bytes []byte `json:"rawBytes"`
	}
	type verifierJSON struct {
		KeyDetails  string `json:"keyDetails"`
		PublicKey   *raw   `json:"publicKey,omitempty"`
		Certificate *raw   `json:"x509Certificate,omitempty"`
	}
	type data struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	}
	type signatureJSON struct {
		Content  []byte       `json:"content"`
		Verifier verifierJSON `json:"verifier"`
	}
	type record struct {
		Data      data          `json:"data"`
		Signature signatureJSON `json:"signature"`
	}
	type spec struct {
		Record record `json:"hashedRekordV002"`
	}
	// An Ed25519 key gives an entry that no log takes and no verifier finds right.
	h, algorithm, details := crypto.SHA512, "SHA2_512", "PKIX_ED25519_PH"
	switch s.Material.Key.Hash() {
	case crypto.SHA256:
		h, algorithm, details = crypto.SHA256, "SHA2_256", "PKIX_ECDSA_P256_SHA_256"
	case crypto.SHA384:
		h, algorithm, details = crypto.SHA384, "SHA2_384", "PKIX_ECDSA_P384_SHA_384"
	}
	w := h.New()
	w.Write(s.Message)
	v := verifierJSON{KeyDetails: details, Certificate: &raw{der}}
	if s.Material.Certificate == nil {
		v = verifierJSON{KeyDetails: details, PublicKey: &raw{der}}
	}
	return body("hashedrekord", "0.0.2", spec{record{data{algorithm, w.Sum(nil)}, signatureJSON{s.Sig, v}}})
}

// DSSE is Rekor v1's kind for envelopes (rekor, dsse_v0_0_1_schema.json).
func DSSE(s attest.Signature) (string, string, []byte, error) {
	armoured, _, err := verifier(s.Material)
	if err != nil {
		return "", "", nil, err
	}
	type signatureJSON struct {
		Signature []byte `json:"signature"`
		Verifier  []byte `json:"verifier"`
	}
	type spec struct {
		EnvelopeHash hashJSON        `json:"envelopeHash"`
		PayloadHash  hashJSON        `json:"payloadHash"`
		Signatures   []signatureJSON `json:"signatures"`
	}
	envelope, err := json.Marshal(envelopeJSON{Payload: s.Payload, PayloadType: attest.PayloadType, Signatures: []sigJSON{{s.Sig}}})
	if err != nil {
		return "", "", nil, err
	}
	return body("dsse", "0.0.1", spec{hashOf(envelope), hashOf(s.Payload), []signatureJSON{{s.Sig, armoured}}})
}

// HashedRekordV1 is Rekor v1's kind for files (rekor, hashedrekord_v0_0_1_schema.json).
// Over the pre-authentication encoding it says of an envelope's signature what is true,
// and nothing of its payload.
func HashedRekordV1(s attest.Signature) (string, string, []byte, error) {
	armoured, _, err := verifier(s.Material)
	if err != nil {
		return "", "", nil, err
	}
	type key struct {
		Content []byte `json:"content"`
	}
	type signatureJSON struct {
		Content []byte `json:"content"`
		Key     key    `json:"publicKey"`
	}
	type data struct {
		Hash hashJSON `json:"hash"`
	}
	type spec struct {
		Data      data          `json:"data"`
		Signature signatureJSON `json:"signature"`
	}
	return body("hashedrekord", "0.0.1", spec{data{hashOf(s.Message)}, signatureJSON{s.Sig, key{armoured}}})
}

// InToto is Rekor v1's older kind for envelopes (rekor, intoto_v0_0_2_schema.json). It
// has the signature in base64 twice.
func InToto(s attest.Signature) (string, string, []byte, error) {
	armoured, _, err := verifier(s.Material)
	if err != nil {
		return "", "", nil, err
	}
	type signatureJSON struct {
		PublicKey []byte `json:"publicKey"`
		Sig       []byte `json:"sig"`
	}
	type envelope struct {
		PayloadType string          `json:"payloadType"`
		Signatures  []signatureJSON `json:"signatures"`
	}
	type content struct {
		Envelope    envelope `json:"envelope"`
		Hash        hashJSON `json:"hash"`
		PayloadHash hashJSON `json:"payloadHash"`
	}
	type spec struct {
		Content content `json:"content"`
	}
	whole, err := json.Marshal(envelopeJSON{Payload: s.Payload, PayloadType: attest.PayloadType, Signatures: []sigJSON{{s.Sig}}})
	if err != nil {
		return "", "", nil, err
	}
	sig := []byte(base64.StdEncoding.EncodeToString(s.Sig))
	return body("intoto", "0.0.2", spec{content{envelope{attest.PayloadType, []signatureJSON{{armoured, sig}}}, hashOf(whole), hashOf(s.Payload)}})
}

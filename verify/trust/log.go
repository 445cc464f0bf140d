package trust

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	f_log "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/pedigree-ml/pedigree/attest"
)

// This file checks entries of Rekor v2 logs. The body of such an entry follows from
// what was signed, so it is compared as a whole, and what is left is that it is in the
// log: a proof up to a checkpoint that the log signed. It has no time.

// maxEntry bounds a log entry's JSON. Real ones have up to 10 kB, half of it the
// certificate.
const maxEntry = 512 << 10

// entryV2 is the kind and version of the only entries that Rekor v2 makes here.
const entryV2 = "hashedrekord/0.0.2"

// A logEntry is an entry as a bundle has it (protobuf-specs, TransparencyLogEntry).
// 64-bit numbers are written as strings there.
type logEntry struct {
	LogIndex int64 `json:"logIndex,string"`
	LogID    struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	KindVersion struct{ Kind, Version string } `json:"kindVersion"`
	Promise     *struct {
		Signature []byte `json:"signedEntryTimestamp"`
	} `json:"inclusionPromise"`
	IntegratedTime int64 `json:"integratedTime,string"`
	Proof          *struct {
		LogIndex   int64    `json:"logIndex,string"`
		RootHash   []byte   `json:"rootHash"`
		TreeSize   int64    `json:"treeSize,string"`
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	} `json:"inclusionProof"`
	Body []byte `json:"canonicalizedBody"`

	raw []byte
}

func (e *logEntry) String() string { return "log entry " + strconv.FormatInt(e.LogIndex, 10) }

// readEntry reads one entry of a bundle whose form attest.ParseBundle has checked.
func readEntry(raw []byte) (*logEntry, error) {
	if len(raw) > maxEntry {
		return nil, attest.Refuse(attest.CodeLimit, "log entry of %d bytes, at most %d are read", len(raw), maxEntry)
	}
	e := &logEntry{raw: raw}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(e); err != nil {
		return nil, badProof("log entry", errors.New("not a log entry as protobuf-specs writes it"))
	}
	return e, nil
}

func badProof(about string, err error) error {
	return &attest.Refusal{Code: attest.CodeLogProof, About: about, Why: "not proven to be in a trusted log", Err: err, Next: "get the bundle again from whoever signed"}
}

// logged is what a verified entry says.
type logged struct {
	log *log
	// at is when the log says that it took the entry; zero if it did not sign a time.
	at time.Time
}

// signedContent is what an entry must be about.
type signedContent struct {
	payload, message, signature []byte // message is the payload's pre-authentication encoding
	certificate                 []byte // DER; nil for a key
	spki                        []byte // of the key
	key                         attest.PublicKey
	memo                        *memo
}

// body returns the body that an entry about s has in a Rekor v2 log, in canonical
// JSON (RFC 8785), and an error for keys that cannot be logged there.
func (s *signedContent) body() ([]byte, error) {
	hash, details := "", ""
	switch s.key.Hash() {
	case crypto.SHA256:
		hash, details = "SHA2_256", "PKIX_ECDSA_P256_SHA_256"
	case crypto.SHA384:
		hash, details = "SHA2_384", "PKIX_ECDSA_P384_SHA_384"
	default:
		return nil, errors.New("Ed25519 keys sign no digest, and Rekor v2 records only digests")
	}
	of, raw := "publicKey", s.spki
	if s.certificate != nil {
		of, raw = "x509Certificate", s.certificate
	}
	b64 := base64.StdEncoding.AppendEncode
	b := make([]byte, 0, 512+len(raw)*3/2)
	b = append(b, `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"`...)
	b = append(append(b, hash...), `","digest":"`...)
	b = append(b64(b, sum(s.key.Hash(), s.message)), `"},"signature":{"content":"`...)
	b = append(b64(b, s.signature), `","verifier":{"keyDetails":"`...)
	if of == "publicKey" { // canonical JSON sorts the members
		b = append(append(b, details...), `","publicKey":{"rawBytes":"`...)
	} else {
		b = append(append(b, details...), `","x509Certificate":{"rawBytes":"`...)
	}
	return append(b64(b, raw), `"}}}}}}`...), nil
}

// verifyV2 checks that an entry is in the log and about s.
func (e *logEntry) verifyV2(l *log, s *signedContent) error {
	if l.note == nil {
		return badProof(e.String(), fmt.Errorf("the trusted root gives the log no origin: %w", l.noNote))
	}
	p := e.Proof
	if p == nil || e.Promise != nil || p.LogIndex != e.LogIndex || e.LogIndex < 0 || p.TreeSize <= e.LogIndex || len(p.Hashes) > 64 {
		return badProof(e.String(), errors.New("a proof of inclusion that is missing, or does not fit the entry"))
	}
	cp, err := s.memo.checkpoint(l, p.Checkpoint.Envelope)
	if err != nil {
		return badProof(e.String(), err)
	}
	// The checkpoint is what counts; other numbers beside it would mislead a reader.
	if cp.Size > math.MaxInt64 || int64(cp.Size) != p.TreeSize || !bytes.Equal(cp.Hash, p.RootHash) {
		return badProof(e.String(), errors.New("a proof of inclusion in another tree than the checkpoint's"))
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(e.Body)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(e.LogIndex), cp.Size, leaf, p.Hashes, cp.Hash); err != nil {
		return badProof(e.String(), oneLine(err))
	}
	want, err := s.body()
	if err != nil || !bytes.Equal(want, e.Body) {
		return &attest.Refusal{Code: attest.CodeLogMismatch, About: e.String(), Why: "is about another signature, signer or statement", Err: err, Next: "get the bundle again from whoever signed"}
	}
	return nil
}

// oneLine leaves out what a library says in several lines.
func oneLine(err error) error {
	if strings.Contains(err.Error(), "\n") {
		return nil
	}
	return err
}

// entries verifies all entries that are of a listed log. Those of other logs are
// passed over: a bundle may be recorded in several worlds. The first that a listed log
// did not make is an error: somebody lies, and nobody needs such a bundle.
func (i *instance) entries(b *attest.Bundle, s *signedContent) ([]logged, error) {
	return entries(i.logs, b, s)
}

func entries(logs map[string]*log, b *attest.Bundle, s *signedContent) ([]logged, error) {
	type place struct {
		log    string
		index  int64
		inTree bool
	}
	seen := map[place]bool{}
	var out []logged
	for _, raw := range b.LogEntries {
		e, err := readEntry(raw)
		if err != nil {
			return nil, err
		}
		l, ok := logs[string(e.LogID.KeyID)]
		if !ok {
			continue
		}
		// Over all trees of a log, and in its tree: only the one that is signed counts, and
		// of an entry without a promise the other may be anything.
		at, in := place{l.who, e.LogIndex, false}, place{l.who, -1, true}
		if e.Proof != nil {
			in.index = e.Proof.LogIndex
		}
		if seen[at] || seen[in] {
			return nil, badProof(e.String(), errors.New("one entry twice"))
		}
		seen[at], seen[in] = true, true
		made := logged{log: l}
		if e.KindVersion.Kind+"/"+e.KindVersion.Version == entryV2 {
			err = e.verifyV2(l, s)
		} else {
			made.at, err = e.verifyV1(l, s)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// distinctLogs counts the logs, by their keys, that had the signature while they
// counted. An entry without a time of its own was made when the signature was.
func distinctLogs(entries []logged, seen time.Time) int {
	var who []string
	for _, e := range entries {
		at := e.at
		if at.IsZero() {
			at = seen
		}
		if e.log.contains(at) && !slices.Contains(who, e.log.who) {
			who = append(who, e.log.who)
		}
	}
	return len(who)
}

// readCheckpoint verifies a log's checkpoint (C2SP tlog-checkpoint).
func readCheckpoint(l *log, text string) (*f_log.Checkpoint, error) {
	cp, _, _, err := f_log.ParseCheckpoint([]byte(text), l.note.Name(), l.note)
	if err != nil {
		return nil, oneLine(err)
	}
	// "The tree size […] as an ASCII decimal with no leading zeroes" (C2SP
	// tlog-checkpoint); the reader takes them.
	if lines := strings.SplitN(text, "\n", 3); len(lines) < 3 || lines[1] != strconv.FormatUint(cp.Size, 10) {
		return nil, errors.New("a checkpoint with another spelling of its size")
	}
	return cp, nil
}

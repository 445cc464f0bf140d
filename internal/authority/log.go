package authority

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Log is a transparency log as Rekor is one: entries about signatures in a Merkle
// tree, proofs that they are in it, and signed checkpoints that say which tree. It may
// be used by many goroutines at once.
type Log struct {
	URL         string    // as trust lists it; its host is the origin
	Origin      string    // the first line of checkpoints, and the name of their signer
	From, Until time.Time // as trust lists it; a zero Until is no end
	Key         Key
	// Promises says that the log is of Rekor's first kind: it signs for each entry when
	// it took it in (a signed entry timestamp), and checkpoints name the tree.
	Promises bool
	// Shift is by how much the index that entries show is above that in the tree, as
	// in the shards of a log of the first kind.
	Shift int64

	mu   sync.Mutex
	tree tree
	head string // the checkpoint of the present size; "" if it is not signed yet
}

// NewLog makes a Rekor v2 log with an Ed25519 key, or with one of the given kind.
func NewLog(origin string, from time.Time, kind ...Kind) (*Log, error) {
	k := Ed25519
	if len(kind) > 0 {
		k = kind[0]
	}
	key, err := newKey(k, "log\n"+origin)
	return &Log{URL: "https://" + origin, Origin: origin, From: from, Key: key}, err
}

// NewLogV1 makes a log as Rekor v1 is one, with a P-256 key.
func NewLogV1(origin string, from time.Time) (*Log, error) {
	l, err := NewLog(origin, from, P256)
	if err != nil {
		return nil, err
	}
	l.Promises = true
	return l, nil
}

// treeID is what a log of the first kind calls its tree in checkpoints.
const treeID = " - 1193050959916656506"

// ID names the log in entries and in trusted roots: the full hash of which checkpoints
// carry the first four bytes (C2SP signed-note, "Signatures"; for ECDSA keys Rekor's
// own form, the SHA-256 of the SubjectPublicKeyInfo).
func (l *Log) ID() ([]byte, error) {
	switch k := l.Key.Public().(type) {
	case ed25519.PublicKey:
		sum := sha256.Sum256(slices.Concat([]byte(l.Origin+"\n\x01"), k))
		return sum[:], nil
	case *ecdsa.PublicKey:
		der, err := spki(k)
		sum := sha256.Sum256(der)
		return sum[:], err
	}
	return nil, fmt.Errorf("a log with a key of type %T", l.Key.Public())
}

// Checkpoint signs which tree a log is: its size and root hash (C2SP tlog-checkpoint).
// What it signs may be true or not.
func (l *Log) Checkpoint(size uint64, root []byte) (string, error) {
	origin := l.Origin
	if l.Promises {
		origin += treeID
	}
	return l.Note(fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root)), l.Origin)
}

// Note signs a text with the log's key, as a signer of any name (C2SP signed-note).
func (l *Log) Note(text, as string) (string, error) {
	id, err := l.ID()
	if err != nil {
		return "", err
	}
	sig, err := l.Key.sign([]byte(text))
	if err != nil {
		return "", err
	}
	return text + "\n\u2014 " + as + " " + base64.StdEncoding.EncodeToString(slices.Concat(id[:4], sig)) + "\n", nil
}

// A Record is an entry that a log took in.
type Record struct {
	Index         uint64 // in the tree
	Kind, Version string
	Body          []byte
	At            time.Time // zero unless the log says when
}

// Integrate takes in an entry about a signature: a hashedrekord 0.0.2 over the DSSE
// pre-authentication encoding, or a dsse 0.0.1 if the log makes promises. Nothing is
// checked. The time is used by logs that make promises only.
func (l *Log) Integrate(s attest.Signature, at time.Time) (Record, error) {
	if l.Promises {
		return l.IntegrateAs(DSSE, s, at)
	}
	return l.IntegrateAs(HashedRekord, s, at)
}

// IntegrateAs is Integrate for an entry of a given kind.
func (l *Log) IntegrateAs(kind EntryKind, s attest.Signature, at time.Time) (Record, error) {
	name, version, body, err := kind(s)
	if err != nil {
		return Record{}, err
	}
	return l.Append(name, version, body, at), nil
}

// Append takes in an entry with any body.
func (l *Log) Append(kind, version string, body []byte, at time.Time) Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = ""
	r := Record{Index: l.tree.add(leafHash(body)), Kind: kind, Version: version, Body: body}
	if l.Promises {
		r.At = at
	}
	return r
}

// Prove returns an entry with a proof that leads to the log's present checkpoint.
func (l *Log) Prove(r Record) (Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := l.tree.size()
	if r.Index >= size {
		return Entry{}, fmt.Errorf("the log has no entry %d", r.Index)
	}
	id, err := l.ID()
	if err != nil {
		return Entry{}, err
	}
	root := l.tree.hash(0, size)
	if l.head == "" {
		if l.head, err = l.Checkpoint(size, root); err != nil {
			return Entry{}, err
		}
	}
	e := Entry{
		LogIndex: decimal(int64(r.Index) + l.Shift), LogID: &LogID{id}, KindVersion: &KindVersion{r.Kind, r.Version}, Body: r.Body,
		Proof: &InclusionProof{
			LogIndex: decimal(int64(r.Index)), TreeSize: decimal(int64(size)), RootHash: root, Hashes: l.tree.path(r.Index, 0, size),
			Checkpoint: &Checkpoint{l.head},
		},
	}
	if l.Promises {
		e.IntegratedTime = decimal(r.At.Unix())
		set, err := l.promise(e)
		if err != nil {
			return Entry{}, err
		}
		e.Promise = &InclusionPromise{set}
	}
	return e, nil
}

// promise signs when the log took an entry in, and where: JSON in RFC 8785 form.
func (l *Log) promise(e Entry) ([]byte, error) {
	index, err := strconv.ParseInt(e.LogIndex, 10, 64)
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseInt(e.IntegratedTime, 10, 64)
	if err != nil {
		return nil, err
	}
	msg, err := json.Marshal(struct {
		Body  []byte `json:"body"`
		At    int64  `json:"integratedTime"`
		ID    string `json:"logID"`
		Index int64  `json:"logIndex"`
	}{e.Body, at, fmt.Sprintf("%x", e.LogID.KeyID), index})
	if err != nil {
		return nil, err
	}
	return l.Key.sign(msg)
}

// At returns a witness who takes signatures in at a time and proves it at once.
func (l *Log) At(at time.Time) attest.Witness {
	return witness(func(s attest.Signature) (attest.Testimony, error) {
		r, err := l.Integrate(s, at)
		if err != nil {
			return attest.Testimony{}, err
		}
		e, err := l.Prove(r)
		if err != nil {
			return attest.Testimony{}, err
		}
		text, err := json.Marshal(e)
		return attest.Testimony{LogEntries: [][]byte{text}}, err
	})
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// A tree is a Merkle tree that grows (RFC 6962, section 2.1): the hashes of its
// perfect subtrees by height, from the left.
type tree [][][]byte

func (t *tree) size() uint64 {
	if len(*t) == 0 {
		return 0
	}
	return uint64(len((*t)[0]))
}

// add appends a leaf and returns its index.
func (t *tree) add(leaf []byte) uint64 {
	index := t.size()
	for h := 0; ; h++ {
		if h == len(*t) {
			*t = append(*t, nil)
		}
		(*t)[h] = append((*t)[h], leaf)
		n := len((*t)[h])
		if n%2 == 1 {
			return index
		}
		leaf = nodeHash((*t)[h][n-2], (*t)[h][n-1])
	}
}

// hash returns the hash over the leaves from begin up to, not including, end. Every
// call but the first is for one side of a split as RFC 6962 makes it.
func (t tree) hash(begin, end uint64) []byte {
	n := end - begin
	switch {
	case n == 0:
		sum := sha256.Sum256(nil)
		return sum[:]
	case n&(n-1) == 0:
		h := bits.TrailingZeros64(n)
		return t[h][begin>>h]
	}
	k := split(n)
	return nodeHash(t.hash(begin, begin+k), t.hash(begin+k, end))
}

// path returns the audit path of a leaf in the subtree between begin and end (RFC
// 6962, section 2.1.1).
func (t tree) path(leaf, begin, end uint64) [][]byte {
	if end-begin <= 1 {
		return nil
	}
	k := begin + split(end-begin)
	if leaf < k {
		return append(t.path(leaf, begin, k), t.hash(k, end))
	}
	return append(t.path(leaf, k, end), t.hash(begin, k))
}

// split is the largest power of two smaller than n.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

func leafHash(body []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte{0}, body))
	return sum[:]
}

func nodeHash(left, right []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte{1}, left, right))
	return sum[:]
}

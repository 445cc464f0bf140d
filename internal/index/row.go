package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Here are the forms that values have in rows. They are read strictly: a row that
// would not have been written like this is damaged, and says nothing.

// A digest is a byte for its algorithm and then its value, which keeps the order of
// attest.Digest.Compare.
const (
	commitByte = 1
	sha256Byte = 2
)

func digestBlob(d attest.Digest) []byte {
	b := make([]byte, 1, 1+sha256.Size)
	b[0] = sha256Byte
	if d.IsCommit() {
		b[0] = commitByte
	}
	b, err := hex.AppendDecode(b, []byte(d.Hex()))
	if err != nil {
		panic(err) // unreachable: Hex is hexadecimal
	}
	return b
}

func blobDigest(b []byte) (attest.Digest, error) {
	if len(b) < 2 || b[0] != commitByte && b[0] != sha256Byte {
		return attest.Digest{}, errDamaged
	}
	alg := "sha256"
	if b[0] == commitByte {
		alg = "gitCommit"
	}
	d, err := attest.NewDigest(alg, hex.EncodeToString(b[1:]))
	if err != nil {
		return attest.Digest{}, errDamaged
	}
	return d, nil
}

// Absolute is a repository as an index names it: a layout by its absolute path. An
// index is asked from other folders than the one it was made in, and must not take
// the folder "registry" here for the one there. The error is E_INDEX if the working
// directory cannot be told, and E_REFERENCE if the path could not be a reference.
func Absolute(r attest.Repository) (attest.Repository, error) {
	if !r.IsLayout() {
		return r, nil
	}
	abs, err := filepath.Abs(r.Name())
	if err != nil {
		return r, &attest.Refusal{Code: attest.CodeIndex, About: r.String(), Why: "where the folder lies cannot be told", Err: err}
	}
	return attest.ParseRepository(strings.TrimSuffix(r.String(), r.Name()) + abs)
}

// repositoryName is a repository as rows name it.
func repositoryName(r attest.Repository) (string, error) {
	abs, err := Absolute(r)
	return abs.String(), err
}

// A sum of a row, or of what belongs together, is the beginning of a SHA-256. It
// tells damage, not malice: whoever can write to the file can hide things, as
// whoever can write to a registry can.
const sumSize = 8

// sumOf sums parts, each with its length, so that none can lend bytes to the next.
func sumOf(parts ...[]byte) []byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)[:sumSize]
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// attestationSum is that of an attestation's row. The note is not in it: a wrong one
// costs time, and changes nothing.
func attestationSum(repository int64, artifact, manifest, bundle []byte) []byte {
	return sumOf([]byte("attestation"), number(repository), artifact, manifest, bundle)
}

// listedSum is that of the attestations of one artifact.
func listedSum(manifests [][]byte) []byte {
	if len(manifests) == 0 {
		return []byte{}
	}
	sorted := slices.SortedFunc(slices.Values(manifests), bytes.Compare)
	return sumOf(append(sorted, []byte("listed"))...)
}

// An artifactRow is a row of that table. In the zero one, or one that was read in no
// reading, nothing is known of it.
type artifactRow struct {
	repository int64
	digest     []byte
	id         int64 // 0 if there is nothing of it
	read       int64
	manifest   int64
	missed     string
	listed     []byte // empty for no attestations
}

func (r artifactRow) sum() []byte {
	return sumOf([]byte("artifact"), number(r.repository), r.digest, number(r.id), number(r.read), number(r.manifest), []byte(r.missed), r.listed)
}

// intact reports whether a row that was read is as it was written.
func (r artifactRow) intact(sum []byte) bool {
	return r.read == 0 || bytes.Equal(r.sum(), sum)
}

// codePattern is the form of a code.
var codePattern = regexp.MustCompile(`^E_[A-Z0-9_]{1,60}$`)

// missedText is what could not be looked at, as a row has it: the codes of what is
// attached, sorted, and after a bar that of the manifest.
func missedText(codes []attest.Code, manifest attest.Code) string {
	var out []string
	for _, c := range codes {
		out = append(out, spelled(c))
	}
	slices.Sort(out)
	text := strings.Join(slices.Compact(out), " ")
	if manifest != "" {
		text += "|" + spelled(manifest)
	}
	return text
}

// spelled is a code as it is kept: an error without one is none the less one.
func spelled(c attest.Code) string {
	if !codePattern.MatchString(string(c)) {
		return string(attest.CodeInternal)
	}
	return string(c)
}

// missedCodes reads what missedText wrote.
func missedCodes(text string) (codes []attest.Code, manifest attest.Code, err error) {
	before, after, bar := strings.Cut(text, "|")
	if bar && !codePattern.MatchString(after) {
		return nil, "", errDamaged
	}
	for c := range strings.FieldsSeq(before) {
		if !codePattern.MatchString(c) {
			return nil, "", errDamaged
		}
		codes = append(codes, attest.Code(c))
	}
	return codes, attest.Code(after), nil
}

// hintKey is what leads from a name to artifacts. A name can be a URI of any
// length; a key is short, and the few bits suffice: whoever finds two names with
// one key sends somebody to a place where nothing is found.
func hintKey(r lineage.Relation, name string) [16]byte {
	sum := sha256.Sum256(append([]byte{byte(r)}, name...))
	return [16]byte(sum[:16])
}

// believed are the lines of a set of beliefs as a row has it.
func believed(row string) []string {
	if row == "" {
		return nil
	}
	return strings.Split(row, "\n")
}

// tagPattern is that of the OCI distribution specification.
var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// heldRow reads a row of what a repository lists.
func heldRow(digest []byte, standIn int64, tags string) (attest.Held, error) {
	d, err := blobDigest(digest)
	if err != nil {
		return attest.Held{}, err
	}
	h := attest.Held{Digest: d, StandIn: standIn != 0}
	if tags == "" {
		return h, nil
	}
	h.Tags = strings.Split(tags, " ")
	for i, t := range h.Tags {
		if !tagPattern.MatchString(t) || i > 0 && h.Tags[i-1] >= t {
			return attest.Held{}, errDamaged
		}
	}
	return h, nil
}

func tagsText(tags []string) (string, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(tags)))
	for _, t := range sorted {
		if !tagPattern.MatchString(t) {
			return "", attest.Refuse(attest.CodeReference, "%q is no tag", t)
		}
	}
	return strings.Join(sorted, " "), nil
}

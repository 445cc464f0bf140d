package attest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// algorithm is a digest algorithm in which artifacts are named.
type algorithm uint8

const (
	algNone algorithm = iota
	algSHA256
	algGitCommit
)

var algorithmNames = [...]string{algNone: "", algSHA256: "sha256", algGitCommit: "gitCommit"}

// A Digest names an artifact: the SHA-256 of its bytes, or a git commit. It is
// comparable, so it can key a map; no Digest but the zero one is malformed, and
// one artifact has one Digest with one spelling.
type Digest struct {
	alg algorithm
	n   uint8 // bytes used of sum: a commit has 20 (SHA-1) or 32 (SHA-256)
	sum [32]byte
}

// SHA256 returns the digest of b.
func SHA256(b []byte) Digest {
	return Digest{alg: algSHA256, n: sha256.Size, sum: sha256.Sum256(b)}
}

// SHA256Sum returns the digest with the given SHA-256 value.
func SHA256Sum(sum [sha256.Size]byte) Digest {
	return Digest{alg: algSHA256, n: sha256.Size, sum: sum}
}

// ParseDigest reads "sha256:" and 64, or "gitCommit:" and 40 or 64, lower-case
// hexadecimal digits. Other algorithms, other lengths and upper case are
// refused: a second spelling would give one artifact two names.
func ParseDigest(s string) (Digest, error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, &Refusal{Code: CodeDigestFormat, About: clip(s), Why: "a digest is written algorithm:hex"}
	}
	return NewDigest(name, value)
}

// NewDigest makes a Digest of an algorithm's name and a hexadecimal value, the
// two halves of an entry in an in-toto digest set.
func NewDigest(alg, value string) (Digest, error) {
	var d Digest
	switch alg {
	case "sha256":
		d.alg, d.n = algSHA256, 32
	case "gitCommit":
		d.alg, d.n = algGitCommit, 20
		if len(value) == 64 {
			d.n = 32
		}
	default:
		return Digest{}, &Refusal{Code: CodeDigestAlg, About: clip(alg), Why: "artifacts are named by sha256 or gitCommit"}
	}
	if len(value) != 2*int(d.n) || strings.ToLower(value) != value {
		return Digest{}, &Refusal{Code: CodeDigestFormat, About: clip(alg + ":" + value), Why: "wrong length or upper case"}
	}
	if _, err := hex.Decode(d.sum[:], []byte(value)); err != nil {
		return Digest{}, &Refusal{Code: CodeDigestFormat, About: clip(alg + ":" + value), Why: "not hexadecimal"}
	}
	return d, nil
}

// clip keeps a stranger's text short in a message, without cutting a character.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// IsZero reports whether d names nothing.
func (d Digest) IsZero() bool { return d.alg == algNone }

// IsCommit reports whether d names a git commit rather than bytes.
func (d Digest) IsCommit() bool { return d.alg == algGitCommit }

// Algorithm returns "sha256" or "gitCommit", and "" for the zero Digest.
func (d Digest) Algorithm() string { return algorithmNames[d.alg] }

// Hex returns the value alone.
func (d Digest) Hex() string { return hex.EncodeToString(d.sum[:d.n]) }

// Short returns the digest as lists show it to people: algorithm and the first
// twelve digits. It is not a name: two artifacts may share it.
func (d Digest) Short() string {
	if d.IsZero() {
		return "-"
	}
	return d.Algorithm() + ":" + d.Hex()[:12]
}

// String returns the one spelling of d, and "" for the zero Digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Algorithm() + ":" + d.Hex()
}

// Compare orders digests by their spelling, the zero Digest first.
func (d Digest) Compare(e Digest) int {
	// Hexadecimal keeps the order of bytes, so nothing has to be spelled out.
	return cmp.Or(strings.Compare(d.Algorithm(), e.Algorithm()), bytes.Compare(d.sum[:d.n], e.sum[:e.n]))
}

// MarshalText writes String's form, so that a Digest fits into JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	got, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = got
	return nil
}

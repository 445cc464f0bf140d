package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// A Memory recognises what this verifier opened before, so that a signature is
// verified once and not each time it is asked about.
//
// It holds no evidence: it writes a note on each bundle that was opened, with the time
// at which its signature was seen and a code over that, the bundle's bytes, the
// credential that signed it and the trust that vouched for it, under a secret that the
// verifier keeps. Whoever stores bundles with their notes can change or withhold
// them; without the secret they cannot write a note, and a bundle whose note is
// missing or wrong is verified as ever. So a Memory changes how long an answer
// takes and never what it is.
//
// The zero Memory and the nil one write no notes and recognise nothing.
type Memory struct{ secret []byte }

// MemorySecret is how many bytes a Memory's secret has at least.
const MemorySecret = sha256.Size

// NewMemory returns a Memory with the given secret. One shorter than MemorySecret
// is refused with E_KEY.
func NewMemory(secret []byte) (*Memory, error) {
	if len(secret) < MemorySecret {
		return nil, attest.Refuse(attest.CodeKey, "the secret has %d bytes, want %d", len(secret), MemorySecret)
	}
	return &Memory{append([]byte(nil), secret...)}, nil
}

// noteTime is how many bytes of a note are the time: seconds since 1970 and nanoseconds.
const noteTime = 12

// note returns the note for the bundle with that SHA-256, which e was made of under a
// trust; nil from a Memory without a secret. It holds the time at which the signature
// was seen, and a code over everything that it spares: the bundle, its signer, that
// time, and what was believed.
func (m *Memory) note(sum [sha256.Size]byte, t *trust.Trust, e Evidence) []byte {
	if m == nil || len(m.secret) == 0 || e.IsZero() {
		return nil
	}
	return append(timeNote(e.Seen()), m.code(sum, t, e.ID().Credential, e.Seen())...)
}

// recognises reports whether a note says that c signed the bundle, and when that was
// seen. A note made under another trust says nothing.
func (m *Memory) recognises(note []byte, sum [sha256.Size]byte, t *trust.Trust, c Credential) (seen time.Time, ok bool) {
	if m == nil || len(m.secret) == 0 || len(note) != noteTime+sha256.Size || c.name == "" {
		return time.Time{}, false
	}
	if seconds, nanos := int64(binary.BigEndian.Uint64(note)), int64(binary.BigEndian.Uint32(note[8:])); seconds != 0 || nanos != 0 {
		seen = time.Unix(seconds, nanos).UTC()
	}
	if !hmac.Equal(note[noteTime:], m.code(sum, t, c, seen)) {
		return time.Time{}, false
	}
	return seen, true
}

// code is the note's code. Claims are not in it, because the certificate that they are
// read from again is in the bundle.
func (m *Memory) code(sum [sha256.Size]byte, t *trust.Trust, c Credential, seen time.Time) []byte {
	mac := hmac.New(sha256.New, m.secret)
	// The prefix keeps notes apart from whatever else the secret may be used for, and
	// from those of versions that knew no time.
	io.WriteString(mac, "pedigree opened bundle, seen\x00")
	mac.Write(sum[:])
	mac.Write(timeNote(seen))
	// A digest has no white space in it, so that no credential continues one.
	io.WriteString(mac, t.Material().String()+"\n")
	io.WriteString(mac, c.name)
	return mac.Sum(nil)
}

// timeNote writes a time; the zero time is all zeros, which is a moment in 1970 at
// which nothing was signed.
func timeNote(at time.Time) []byte {
	out := make([]byte, noteTime)
	if !at.IsZero() {
		binary.BigEndian.PutUint64(out, uint64(at.Unix()))
		binary.BigEndian.PutUint32(out[8:], uint32(at.Nanosecond()))
	}
	return out
}

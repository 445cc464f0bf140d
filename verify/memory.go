package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Memory recognises what this verifier opened before, so that a signature is
// verified once and not each time it is asked about.
//
// It holds no evidence: it writes a note on each bundle that was opened, a code over
// the bundle's bytes and the credential that signed it, under a secret that the
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

// note returns the note for the bundle with that SHA-256, which c verifiably
// signed; nil from a Memory without a secret.
func (m *Memory) note(sum [sha256.Size]byte, c Credential) []byte {
	if m == nil || len(m.secret) == 0 || c.name == "" {
		return nil
	}
	mac := hmac.New(sha256.New, m.secret)
	// The prefix keeps notes apart from whatever else the secret may be used for.
	io.WriteString(mac, "pedigree opened bundle\x00")
	mac.Write(sum[:])
	io.WriteString(mac, c.name)
	return mac.Sum(nil)
}

// recognises reports whether a note says that c signed the bundle.
func (m *Memory) recognises(note []byte, sum [sha256.Size]byte, c Credential) bool {
	want := m.note(sum, c)
	return want != nil && hmac.Equal(note, want)
}

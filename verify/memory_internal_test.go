package verify

import (
	"crypto/sha256"
	"time"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// NoteForTest makes a note without opening anything.
func NoteForTest(m *Memory, bundle []byte, c Credential) []byte {
	return NoteUnderForTest(m, bundle, nil, c, time.Time{})
}

// NoteUnderForTest makes the note that a bundle was seen under a trust.
func NoteUnderForTest(m *Memory, bundle []byte, t *trust.Trust, c Credential, seen time.Time) []byte {
	return m.note(sha256.Sum256(bundle), t, Evidence{&evidence{id: ID{Credential: c}, seen: seen}})
}

// FalseNameForTest is what a bundle costs that names somebody trusted falsely.
const FalseNameForTest = falseName

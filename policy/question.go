package policy

import (
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Question is everything about a verdict that is not the policy and the chain:
// when it is asked about, for which context, and what the one who asks knows. It
// is a value, so that the same question has the same answer years later.
type Question struct {
	// At is the moment the chain is judged at: expiry and ages refer to it.
	At time.Time
	// Known is the moment up to which evidence counts: what was first seen later
	// does not exist. Evidence without an authenticated time exists always. The
	// zero time means At.
	Known time.Time
	// Context is the environment that is asked about, one of the policy's
	// contexts; "" if the policy has none.
	Context string
	// Remembered are the highest sequence numbers that this verifier has seen
	// before. A status or a deny list below is one that was rolled back.
	Remembered []Mark
	// Stateful says that the verifier does remember: without, an old status within
	// its validity passes for the newest, and the verdict says so.
	Stateful bool
	// Inspected are the files whose bytes were wholly hashed and looked at in this
	// run, by their digests.
	Inspected map[attest.Digest]Inspected
}

// Inspected is what the bytes of a file turned out to be.
type Inspected struct {
	// Format is the format's name in lower case, such as "safetensors", "gguf",
	// "onnx" or "pickle"; "" if it is none that is known.
	Format string
	// Problem says why the bytes are no sound file of that format; "" if they are.
	Problem string
}

// A Mark is a sequence number that must not go back: of a status, a deny list or
// a policy.
type Mark struct {
	// Name is what is numbered: "status/…", "denylist/…" or "policy/…".
	Name string
	// Number is the highest that was seen.
	Number int64
	// Content is the digest of what had that number.
	Content attest.Digest
}

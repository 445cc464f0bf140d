package trust

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A ReadFile returns the content of a file that a trust file names. The path is as
// written there; the caller decides what it is relative to and where it may not lead.
type ReadFile func(path string) ([]byte, error)

// A Fetch returns the target of a TUF repository, verified from the source's root. A
// target whose time is over may be returned: Trust.Stale says so then. If there is
// none the error is a refusal, E_TRUSTROOT_STALE, so that "could not look" is not
// taken for "wrong".
type Fetch func(TUFSource) (TUFTarget, error)

// Load reads, checks and resolves a trust file (docs/format/trust.md). The files that
// it names are read through files, its TUF repositories through fetched; nil means
// that there are no repositories to be had, and a file that names one does not load.
//
// A trust file either loads whole or not at all: unknown keys, duplicates, keys and
// certificates that cannot be used, validity without a start, windows that never hold,
// thresholds that cannot be met, and one key in two places are errors. Nothing is
// fetched for a file that has one. The error is a *LoadError that lists all of them.
func Load(src []byte, files ReadFile, fetched Fetch) (*Trust, error) {
	d, r := readDocument(src, files)
	if err := r.Err(); err != nil {
		return nil, err
	}
	for _, s := range d.sources {
		r.fetch(s, fetched)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	r.settle(d)
	if err := r.Err(); err != nil {
		return nil, err
	}
	t, err := d.build()
	if err != nil {
		return nil, fmt.Errorf("the trust file: %w", err)
	}
	return t, nil
}

// IsTrustedRoot reports whether a file looks like a bare trusted_root.json, which
// OfTrustedRoot reads, and not like a trust file: JSON begins with a brace, and a
// trust file that did would have its reading decided by that.
func IsTrustedRoot(src []byte) bool { return bytes.HasPrefix(src, []byte("{")) }

// Stale refuses what rests on the trust at a moment at which its time is over:
// E_TRUSTROOT_STALE. What was taken back since then may be unknown, so the answer is
// "not known", and not no.
func (t *Trust) Stale(at time.Time) error {
	if t == nil || t.expires.IsZero() || at.Before(t.expires) {
		return nil
	}
	r := &attest.Refusal{
		Code: attest.CodeTrustRootStale, About: t.name,
		Why:  fmt.Sprintf("%s ended at %s, and the question is about %s", t.told.ends, t.expires.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339)),
		Next: "review what is trusted, then set metadata.expires to a later time and metadata.version one higher",
	}
	if t.told.ends != endsFile {
		r.Next = "run it again where the TUF repository can be reached"
	}
	return r
}

// endsFile is what ends if it is the trust file itself.
const endsFile = "the trust file"

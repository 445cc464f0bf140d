package cli

import (
	"context"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// wearyAfter is how many questions in a row a repository leaves without an answer
// before it is asked no more: each was tried several times, for seconds. A walk asks
// about ten artifacts, so a thousand walks would take hours to learn nothing.
const wearyAfter = 3

// A weary source is not asked any more once it stopped answering. What it is not
// asked could not be looked at, as if it had been asked in vain.
type weary struct {
	verify.Source

	mu     sync.Mutex
	silent int // how many questions in a row had no answer
	err    error
}

// wearySources makes sources weary, for commands that ask them about many artifacts.
func wearySources(sources []verify.Source) []verify.Source {
	out := make([]verify.Source, len(sources))
	for i, s := range sources {
		out[i] = &weary{Source: s}
	}
	return out
}

func (w *weary) Attestations(ctx context.Context, artifact attest.Digest, yield func(attest.Attached) bool) error {
	if err := w.given(); err != nil {
		return err
	}
	return w.note(ctx, w.Source.Attestations(ctx, artifact, yield))
}

func (w *weary) Manifest(ctx context.Context, artifact attest.Digest) ([]byte, error) {
	if err := w.given(); err != nil {
		return nil, err
	}
	b, err := w.Source.Manifest(ctx, artifact)
	return b, w.note(ctx, err)
}

// given returns why the source is not asked any more; nil if it is.
func (w *weary) given() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent < wearyAfter {
		return nil
	}
	return w.err
}

// note counts an answer, and returns it.
func (w *weary) note(ctx context.Context, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case attest.RefusalCode(err) != attest.CodeRegUnavailable:
		w.silent = 0 // also "no": somebody is there
	case ctx.Err() == nil: // who gave up learned nothing about the repository
		w.silent, w.err = w.silent+1, err
	}
	return err
}

package cli

import (
	"context"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// A scripted source answers with one error after the other.
type scripted struct {
	answers []error
	asked   int
}

func (s *scripted) answer() error {
	s.asked++
	return s.answers[min(s.asked, len(s.answers))-1]
}

func (s *scripted) Attestations(context.Context, attest.Digest, func(attest.Attached) bool) error {
	return s.answer()
}

func (s *scripted) Manifest(context.Context, attest.Digest) ([]byte, error) { return nil, s.answer() }

func TestWearySources(t *testing.T) {
	down, other := attest.Refuse(attest.CodeRegUnavailable, "closed"), attest.Refuse(attest.CodeRegManifest, "odd")
	ask := func(s *scripted, n int) (last error) {
		w := wearySources([]verify.Source{s})[0]
		for i := range n {
			if i%2 == 0 {
				last = w.Attestations(t.Context(), attest.Digest{}, nil)
			} else {
				_, last = w.Manifest(t.Context(), attest.Digest{})
			}
		}
		return last
	}
	s := &scripted{answers: []error{down}}
	if err := ask(s, 100); s.asked != wearyAfter || attest.RefusalCode(err) != attest.CodeRegUnavailable {
		t.Errorf("asked %d times, and then %v", s.asked, err)
	}
	// One answer, be it no, and it is asked on: a hole is not silence.
	for _, answer := range []error{nil, attest.ErrAbsent, other} {
		s = &scripted{answers: []error{down, down, answer, down, answer}}
		ask(s, 100)
		if s.asked != 100 {
			t.Errorf("after %v: asked %d times", answer, s.asked)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = &scripted{answers: []error{down}}
	w := wearySources([]verify.Source{s})[0]
	for range 20 {
		_, _ = w.Manifest(ctx, attest.Digest{})
	}
	if s.asked != 20 {
		t.Errorf("who gave up is taken for a repository that is down: asked %d times", s.asked)
	}
}

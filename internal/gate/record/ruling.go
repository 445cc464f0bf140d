package record

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// reuse is how long the summary of a verdict stands for later ones that say the same:
// one a day of each artifact, policy and context.
const reuse = 24 * time.Hour

// maxRulings is how many summaries are remembered that nothing waits for: 300 bytes each
// once they are attached, and some KiB before.
const maxRulings = 512

// A ruling is the summary of a verdict. Many admissions rest on one.
type ruling struct {
	ID attest.Digest `json:"id"` // of the summary's payload
	// Substance is the digest of what it says, apart from when: artifact, policy,
	// context and evidence. What runs where is no evidence of that: records and
	// summaries, the gate's own among them, are left out.
	Substance attest.Digest `json:"substance"`
	At        time.Time     `json:"at"`
	// Summary is what is to be signed and attached; nil once it is attached.
	Summary *statement `json:"summary,omitempty"`
	Paid    bool       `json:"paid,omitempty"` // taken from the artifact's account
}

// A draft is a ruling that may turn out to have been made already.
type draft struct {
	substance attest.Digest
	at        time.Time
	payload   func() ([]byte, error)
}

// draftOf returns the ruling that an admission rests on; nil without an ALLOW.
func draftOf(a gate.Admission, version string) (*draft, error) {
	if !a.Answer.Allowed() {
		return nil, nil
	}
	first := a.Answer.Verdicts[0]
	said := []string{a.Reference.Repository.At(a.Reference.Digest).String(), first.Policy.Digest.String(), first.Policy.Name, first.Context}
	var evidence []string
	for _, v := range a.Answer.Verdicts {
		for _, item := range v.Evidence {
			switch item.PredicateType {
			case predicate.TypeDeployment, predicate.TypeVSA:
			default:
				evidence = append(evidence, item.Payload.String())
			}
		}
	}
	slices.Sort(evidence)
	b, err := json.Marshal(append(said, slices.Compact(evidence)...))
	if err != nil {
		return nil, err
	}
	return &draft{attest.SHA256(b), first.At, func() ([]byte, error) { return verdict(a, version) }}, nil
}

// ruling finds the ruling that an admission rests on, or makes it: then ops has it. It is
// nil for a nil draft.
func (s *state) ruling(d *draft, at time.Time) (r *ruling, ops []op, err error) {
	if d == nil {
		return nil, nil, nil
	}
	if r := s.rulings[s.newest[d.substance]]; r != nil && !at.Before(r.At.Truncate(time.Second)) && at.Sub(r.At) < reuse {
		return r, nil, nil
	}
	payload, err := d.payload()
	if err != nil {
		return nil, nil, err
	}
	r = &ruling{ID: attest.SHA256(payload), Substance: d.substance, At: d.at.UTC(), Summary: &statement{Payload: payload}}
	if old := s.rulings[r.ID]; old != nil {
		return old, nil, nil // the same verdict out of the gate's cache
	}
	return r, []op{{Ruling: r}}, nil
}

// keepRuling makes a change of a ruling durable.
func (j *job) keepRuling(r *ruling) error {
	if err := j.q.commit(func(*state) ([]op, error) { return []op{{Ruling: r}}, nil }); err != nil {
		return &heldUp{err}
	}
	return nil
}

// ruled returns the ruling that an entry rests on; nil for none.
func (q *Queue) ruled(e *entry) *ruling {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state.rulings[e.Verdict]
}

// signRuling has the summary signed that an entry rests on, if it is not.
func (j *job) signRuling(ctx context.Context, e *entry) error {
	r := j.q.ruled(e)
	if r == nil || r.Summary == nil || r.Summary.Bundle != nil {
		return nil
	}
	bundle, err := j.signed(ctx, r.Summary.Payload)
	if err != nil {
		return err
	}
	out := *r
	out.Summary = &statement{Payload: r.Summary.Payload, Bundle: bundle}
	return j.keepRuling(&out)
}

// attachRuling attaches the summary that an entry rests on, if it is not.
func (j *job) attachRuling(ctx context.Context, e *entry, at attest.Digest) error {
	r := j.q.ruled(e)
	if r == nil || r.Summary == nil {
		return nil
	}
	if err := j.give(ctx, at, r.Summary.Bundle); err != nil {
		return err
	}
	out := *r
	out.Summary = nil
	return j.keepRuling(&out)
}

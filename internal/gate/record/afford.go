package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// errGone says that an entry is not there any more: a later one took its place, or it was
// folded into another.
var errGone = errors.New("the entry gave way to another")

// A poor error is that of an entry that waits for its artifact's account.
type poor struct{ until time.Time }

func (p *poor) Error() string {
	return "E_LIMIT too many attestations were made beside this artifact of late; the next one may be made at " + p.until.UTC().Format(time.RFC3339)
}

// refusal is what is kept of it.
func (p *poor) refusal(e *entry) error {
	return &attest.Refusal{Code: attest.CodeLimit, About: e.Place.String(),
		Why:  "what runs beside this artifact changes too often to be told at once; it waits its turn, of which there is one an hour",
		Next: "see what deploys there so often"}
}

// afford takes an entry's record from its artifact's account before it is made: what was
// not paid for gives way to what comes after it, and what was paid for stays. Where there
// are too many records already, whoever made them, the entry becomes one of those for which one
// record stands.
func (j *job) afford(e *entry, ref attest.Reference, c *chain) (*entry, error) {
	if c.beside[ref.Digest] >= j.q.o.beside && !e.Place.folded() {
		return nil, j.refold(e, ref)
	}
	if e.Paid {
		return e, nil
	}
	var out *entry
	err := j.q.commit(func(s *state) ([]op, error) {
		was := s.entries[e.ID]
		if was == nil {
			return nil, errGone
		}
		out = was.clone()
		acc := s.account(e.Place.Environment, ref)
		ops, ok, next := j.q.pay(s, acc, out, s.rulings[out.Verdict])
		if !ok {
			return nil, &poor{next}
		}
		return append(ops, op{Account: acc}, op{Entry: out}), nil
	})
	switch poor := (*poor)(nil); {
	case err == nil:
		return out, nil
	case errors.As(err, &poor), errors.Is(err, errGone):
		return e, err
	}
	return e, &heldUp{err}
}

// refold ends an entry, and queues one at the place that stands for many in its stead, if
// that does not have the artifact already.
func (j *job) refold(e *entry, ref attest.Reference) error {
	err := j.q.commit(func(s *state) ([]op, error) {
		was := s.entries[e.ID]
		if was == nil {
			return nil, errGone
		}
		ops, where := []op{{End: e.ID}}, foldNamespace.in(e.Place, ref.Digest)
		if s.places[where] != nil || s.waits(where) {
			return ops, nil
		}
		out := was.clone()
		out.ID, out.Place, out.Trouble, out.Again, out.Look = s.next, where, nil, 0, false
		out.Facts = map[string]string{"folded": string(foldNamespace), "first": e.Place.Service}
		for k, v := range e.Facts {
			out.Facts[k] = v
		}
		now := &standing{Place: where}
		now.turn(ref.Digest, e.At, j.q.o.Window)
		return append(ops, op{Place: now}, op{Entry: out}), nil
	})
	if err != nil && !errors.Is(err, errGone) {
		return &heldUp{fmt.Errorf("folding: %w", err)}
	}
	return errGone
}

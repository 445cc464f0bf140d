package record

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/summary"
	"github.com/pedigree-ml/pedigree/policy"
)

const (
	// maxInputs is how many pieces of evidence a summary names: more than any honest
	// chain has, and 100 KiB. Of a verdict on more of them it names none, as the
	// specification says.
	maxInputs = 1024

	// shares is into how many parts the queue is divided: no namespace has more than one of
	// them.
	shares = 8

	// maxText is the longest name in a record. Names of Kubernetes objects have at most
	// 253 bytes, and a service is made of four.
	maxText = 1100
)

// Admitted keeps an admission, durable when it returns. It writes nothing if nothing
// changed at the place: pods of one workload come by the hundred. The error is
// attest.CodeLimit if too many wait, attest.CodeState if the disk does not take it.
//
// An artifact that comes back within Options.Window after it was replaced is expected to
// be a pod of a rollout that is not over, and counts only if nothing else comes for
// Options.Settle: so a rollout that alternates makes one record and not dozens, and who
// goes back at once makes two.
func (q *Queue) Admitted(a gate.Admission) error {
	p := place{a.Environment, a.Cluster, a.Service}
	if a.Environment == "" || !a.Reference.Digest.IsZero() && q.glances.repeated(a, p, q.o.Window) {
		return nil
	}
	e, err := q.entry(a)
	if err != nil {
		return err
	}
	d, err := draftOf(a, q.o.Version)
	if err != nil {
		return err
	}
	repeated := false
	err = q.commit(func(s *state) ([]op, error) {
		ops, again, err := q.admit(s, e, d)
		repeated = again
		return ops, err
	})
	switch {
	case attest.RefusalCode(err) == attest.CodeLimit:
		q.counts.full.Inc()
	case err == nil && !repeated:
		q.counts.coalesced.Add(float64(e.took))
		q.work.resume(e)
		q.work.wake()
	}
	return err
}

// entry reads an admission.
func (q *Queue) entry(a gate.Admission) (*entry, error) {
	switch {
	case a.Reference.Digest.IsZero():
		return nil, &attest.Refusal{Code: attest.CodeReference, About: a.Reference.String(), Why: "was let in without a digest, and cannot be recorded"}
	case a.At.IsZero():
		return nil, attest.Refuse(attest.CodeInternal, "an admission without a time")
	}
	for _, text := range []string{a.Environment, a.Cluster, a.Service, a.Observer, a.Rule, q.o.Gate} {
		if len(text) > maxText {
			return nil, &attest.Refusal{Code: attest.CodeLimit, About: fmt.Sprintf("%.60q…", text), Why: fmt.Sprintf("a name of %d bytes, at most %d are recorded", len(text), maxText)}
		}
	}
	return &entry{
		At: a.At.UTC().Truncate(time.Second), Reference: a.Reference.String(), Observer: a.Observer,
		Place: place{a.Environment, a.Cluster, a.Service},
		Facts: q.facts(a),
	}, nil
}

// facts are what a record's config says: on what it was let in.
func (q *Queue) facts(a gate.Admission) map[string]string {
	out := map[string]string{"mode": a.Mode.String(), "outcome": a.Answer.Outcome.String()}
	set := func(key, value string) {
		if value != "" {
			out[key] = value
		}
	}
	set("gate", q.o.Gate)
	set("rule", a.Rule)
	set("policy", policyOf(a))
	if n := len(a.Answer.Verdicts); n > 0 {
		set("context", a.Answer.Verdicts[0].Context)
		if n > 1 {
			out["artifacts"] = strconv.Itoa(n)
		}
	}
	set("code", string(attest.RefusalCode(a.Answer.Err)))
	return out
}

// policyOf names the policy that judged, or was to judge; "" for none.
func policyOf(a gate.Admission) string {
	if a.Answer.Policy.IsZero() {
		return ""
	}
	return a.Answer.Policy.String()
}

// verdict writes the summary of an ALLOW. Of an index it is about the index, and rests
// on the evidence about each of its artifacts.
func verdict(a gate.Admission, version string) ([]byte, error) {
	all := *a.Answer.Verdicts[0]
	for _, v := range a.Answer.Verdicts[1:] {
		all.Evidence = append(all.Evidence[:len(all.Evidence):len(all.Evidence)], v.Evidence...)
	}
	all.Outcome = policy.Allow // Allowed said so
	vsa := summary.Of(a.Reference, &all, version)
	if len(vsa.InputAttestations) > maxInputs {
		vsa.InputAttestations = nil
	}
	return payload(a.Reference, predicate.TypeVSA, vsa)
}

// payload writes a statement about an artifact, which a verifier can read.
func payload(ref attest.Reference, typ string, pred any) ([]byte, error) {
	b, err := attest.NewStatement(attest.Subject{Name: summary.SubjectName(ref), Digest: ref.Digest}, typ, pred)
	if err != nil {
		return nil, err
	}
	st, err := attest.ParseStatement(b)
	if err != nil {
		return nil, err
	}
	_, err = predicate.Decode(st)
	return b, err
}

// admit decides what an admission changes; repeated is true if the place has what it
// had.
func (q *Queue) admit(s *state, e *entry, d *draft) (ops []op, repeated bool, err error) {
	ref, err := e.reference()
	if err != nil {
		return nil, false, err
	}
	r, ops, err := s.ruling(d, e.At)
	if err != nil {
		return nil, false, err
	}
	if r != nil {
		e.Verdict, e.ruled = r.ID, r.At
	}
	acc := s.account(e.Place.Environment, ref)
	q.seat(acc, e, ref)
	now, turned := &standing{Place: e.Place}, false
	if was := s.places[e.Place]; was != nil {
		now = was.clone()
	}
	if pending := s.pending(e.Place); pending != nil {
		held, err := pending.reference()
		switch {
		case err != nil:
			return nil, false, err
		case pending.settling(e.At) && held.Digest == ref.Digest:
			return nil, true, nil
		case pending.settling(e.At):
			// It did not stay: it was the rollout.
			ops = append(ops, op{End: pending.ID})
		default:
			ops, turned = append(ops, q.settle(s, pending, held)...), true
			now.turn(held.Digest, pending.At, q.o.Window)
		}
	}
	if e.At.Before(now.Changed) {
		e.At = now.Changed // a clock that was set back makes nothing earlier than what was before it
	}
	switch since, former := now.Former[ref.Digest]; {
	case now.Steady == ref.Digest && (e.At.Sub(now.Sighted) < q.o.Window || s.waits(e.Place)):
		q.glances.note(e)
		if turned {
			ops = append(ops, op{Place: now})
		}
		return ops, true, nil
	case now.Steady == ref.Digest:
		// Another replica may have seen something else meanwhile.
		now.Sighted, turned, e.Look = e.At, true, true
	case former && e.At.Sub(since) < q.o.Window:
		e.Settles = e.At.Add(q.o.Settle)
	default:
		now.turn(ref.Digest, e.At, q.o.Window)
		turned = true
	}
	if turned {
		ops = append(ops, op{Place: now})
	}
	return q.enqueue(s, ops, e, acc, r)
}

// seat puts an entry into the place at which it is recorded: its own, or one that stands
// for many.
func (q *Queue) seat(acc *account, e *entry, ref attest.Reference) {
	where, f, _ := acc.seat(e.Place, ref.Digest, &q.o)
	if f != foldNone {
		q.glances.fold(e.Place, where, ref)
		e.Facts["folded"], e.Facts["first"] = string(f), e.Place.Service
		e.Place = where
	}
}

// settle makes an entry count that has yet to show that it stays, and pays for it.
func (q *Queue) settle(s *state, pending *entry, ref attest.Reference) []op {
	out, acc := pending.settled(), s.account(pending.Place.Environment, ref)
	ops, ok, _ := q.pay(s, acc, out, s.rulings[out.Verdict])
	if ok {
		ops = append(ops, op{Account: acc})
	}
	return append(ops, op{Entry: out})
}

// enqueue adds an entry, if there is room, and pays for it, if that can be. What waits at
// its place and is not paid for gives way to it: what runs now is what has to be told. r
// is what the entry rests on, in the state or in ops; nil for nothing.
func (q *Queue) enqueue(s *state, ops []op, e *entry, acc *account, r *ruling) ([]op, bool, error) {
	there, left := s.after(ops, e.Place), len(s.entries)
	mine := s.waiting[namespaceOf(e.Place.Service)]
	left, mine = left+len(there)-len(s.byPlace[e.Place]), mine+len(there)-len(s.byPlace[e.Place])
	yield := func(x *entry) {
		ops, left, mine = append(ops, op{End: x.ID}), left-1, mine-1
		if e.Coalesced += x.Coalesced; !x.Look {
			e.Coalesced++
			e.took++
		}
		if e.Trouble == nil {
			e.Trouble = x.Trouble
		}
	}
	if e.Settles.IsZero() {
		there = slices.DeleteFunc(there, func(x *entry) bool {
			if !x.Paid {
				yield(x)
			}
			return !x.Paid
		})
	}
	if whole := left >= q.o.Limit; whole || mine >= max(1, q.o.Limit/shares) {
		// The first of a place may be worked on; the last of several is not.
		if len(there) < 2 || !e.Settles.IsZero() {
			return nil, false, q.full(s, e.Place, whole)
		}
		last := there[len(there)-1]
		yield(last)
		e.Paid = last.Paid
	}
	if !e.Look && !e.Paid && e.Settles.IsZero() {
		more, _, _ := q.pay(s, acc, e, r)
		ops = append(ops, more...)
	}
	if e.Paid {
		e.Trouble = nil
	}
	e.ID, acc.Used = s.next, q.o.Now().UTC()
	q.glances.forget(e.Place)
	return append(ops, op{Account: acc}, op{Entry: e}), false, nil
}

// after returns what waits at a place once some changes are made.
func (s *state) after(ops []op, p place) []*entry {
	out := slices.Clone(s.byPlace[p])
	for _, o := range ops {
		switch {
		case o.End != 0:
			out = slices.DeleteFunc(out, func(x *entry) bool { return x.ID == o.End })
		case o.Entry != nil:
			if i := slices.IndexFunc(out, func(x *entry) bool { return x.ID == o.Entry.ID }); i >= 0 {
				out[i] = o.Entry
			}
		}
	}
	return out
}

// pay takes the record of an entry, and r, the summary that it rests on, from the
// artifact's account, and marks both. If there is not as much, nothing is changed, and
// next says when there will be.
func (q *Queue) pay(s *state, acc *account, e *entry, r *ruling) (ops []op, ok bool, next time.Time) {
	n := 1
	if r != nil && !r.Paid {
		n++
	}
	if ok, next = acc.take(namespaceOf(e.Place.Service), n, q.o.Now(), &q.o); !ok {
		return nil, false, next
	}
	e.Paid = true
	switch {
	case n == 1:
	case s.rulings[r.ID] == nil:
		r.Paid = true // it comes with this
	default:
		paid := *r
		paid.Paid = true
		ops = append(ops, op{Ruling: &paid})
	}
	return ops, true, next
}

// turn makes an artifact the one that counts.
func (p *standing) turn(artifact attest.Digest, at time.Time, window time.Duration) {
	former := map[attest.Digest]time.Time{}
	for d, since := range p.Former {
		if at.Sub(since) < window && d != artifact {
			former[d] = since
		}
	}
	if !p.Steady.IsZero() {
		former[p.Steady] = at
	}
	p.Steady, p.Changed, p.Sighted, p.Former = artifact, at, at, former
}

// settled returns the entry as one that counts.
func (e *entry) settled() *entry {
	c := e.clone()
	c.Settles = time.Time{}
	return c
}

// pending returns the entry of a place that has yet to show that it stays; nil if there
// is none.
func (s *state) pending(p place) *entry {
	for _, e := range s.byPlace[p] {
		if !e.Settles.IsZero() {
			return e
		}
	}
	return nil
}

// waits reports whether anything of a place waits.
func (s *state) waits(p place) bool { return len(s.byPlace[p]) > 0 }

package policy

import (
	"math"
	"time"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// How long a verdict holds if nothing happens but that time goes by.
//
// All that a verdict takes from the times of its question it takes by comparing a
// point with something. A point of the question notes when that comparison will
// come out otherwise. Up to the first such moment every comparison gives what it
// gave, so the same comparisons are made in the same order, and the same verdict is
// reached: Verdict.Until. Nothing in this package may look at Question.At and
// Question.Known in another way; a test holds it to that.

// A point is a moment that times are compared with.
type point struct {
	clock time.Time
	// lasting is how long after it everything it answered stays true; nil for a
	// moment that does not move, such as that of a statement.
	lasting *time.Duration
}

// fixed is a moment that stays where it is while time goes by.
func fixed(t time.Time) point { return point{clock: t} }

// points returns the two times of a question, which go forward together. The
// monotonic reading of a clock is left out: what a verdict shows of them has none.
func (q Question) points() (at, known point) {
	lasting := time.Duration(math.MaxInt64) // 292 years
	at = point{q.At.Round(0), &lasting}
	known = point{q.Known.Round(0), &lasting}
	if q.Known.IsZero() {
		known.clock = at.clock // as the time rules have it, and never "nothing is known"
	}
	return at, known
}

// without returns the question without its times.
func (q Question) without() Question {
	q.At, q.Known = time.Time{}, time.Time{}
	return q
}

// before reports whether the point is before t.
func (p point) before(t time.Time) bool {
	if !p.clock.Before(t) {
		return false // and never will be again
	}
	p.holds(t.Sub(p.clock))
	return true
}

// after reports whether the point is after t.
func (p point) after(t time.Time) bool {
	if p.clock.After(t) {
		return true // for ever
	}
	if left := t.Sub(p.clock); left < math.MaxInt64 {
		p.holds(left + 1) // at t itself it is not after it
	}
	return false
}

// ahead reports whether t is in the future, by more than two honest clocks differ.
func (p point) ahead(t time.Time) bool { return p.before(t.Add(-skew)) }

// older reports whether what happened at t is older than d.
func (p point) older(t time.Time, d time.Duration) bool { return p.after(t.Add(d)) }

// younger reports whether what happened at t is younger than d, or yet to happen.
func (p point) younger(t time.Time, d time.Duration) bool { return p.before(t.Add(d)) }

// stale returns why trust is out of date.
func (p point) stale(t *trust.Trust) error {
	if ends := t.Expires(); !ends.IsZero() {
		p.before(ends)
	}
	return t.Stale(p.clock)
}

// holds notes that an answer changes when so much time went by.
func (p point) holds(left time.Duration) {
	if p.lasting != nil {
		*p.lasting = min(*p.lasting, left)
	}
}

// age is how long ago t was: for people to read, and for no decision.
func (p point) age(t time.Time) time.Duration { return p.clock.Sub(t) }

// time is the point itself: for people to read, and for what is no part of a
// verdict.
func (p point) time() time.Time { return p.clock.UTC() }

// until is the first moment at which something that the point answered would be
// answered otherwise. It is at most 292 years away, and before the end of the years
// that can be written.
func (p point) until() time.Time {
	if end := p.clock.Add(*p.lasting).UTC(); end.Before(distant) {
		return end
	}
	if p.clock.Before(distant) {
		return distant
	}
	return p.clock.Add(1).UTC()
}

// Package judge answers the gate's questions: it verifies, pins and remembers.
//
// What it answers is what "pedigree verify" answers: a tag is resolved once, the
// artifact's chain is walked, the policy evaluates it, and the verdict is written in
// the same bytes; of an OCI index each artifact is judged. This package adds three
// things, and none of them decides anything.
//
// # What is remembered, and for how long
//
// An answer is kept for the next question that is the same in everything that decides
// it: the repository (the same artifact in another one is another question, because
// evidence lies beside it), the artifact's digest, the policy's digest, what is
// believed, the context and the further repositories. It is given again no longer than
// the configuration says, an ALLOW that rests on the policy's word that nothing was
// taken away at most [gate.AcknowledgedAbsence], and never at a moment when time alone
// could have changed it: [policy.Verdict.Until]. Ages are measured on two clocks, the
// wall's and the machine's own: what either calls over, or from the future, is looked
// at again.
//
// An answer that rests on something that could not be looked at is kept for a second:
// long enough that a crowd of questions is no crowd of requests, and too short for
// anybody to hold a model out by breaking something once.
//
// # What never goes back
//
// The highest sequence number that was seen of every status and deny list is
// remembered, in a folder if there is one, before the answer that it was seen for is
// told. An answer that rests on a lower one is not given any more, whoever saw the
// higher one.
//
// # One look for many
//
// Questions that are the same are answered by one look, a flight: five hundred pods of
// one model cost one verification. A flight has its own deadline, ends when nobody
// waits for it any more, and a panic in it refuses all who wait.
package judge

import (
	"context"
	"log/slog"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
)

// Options make an [Engine].
type Options struct {
	// Open opens a repository. Those that it returns should share their connections:
	// [Upstream.Open] does.
	Open func(attest.Repository) (*oci.Repository, error)
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// State remembers sequence numbers between runs. Without it they are remembered as
	// long as the process lives, and a ground that says it is stateful is refused.
	State *state.Dir
	// Cache bounds what is remembered; what is zero has the default that gate.Cache
	// names, and a negative duration keeps nothing.
	Cache gate.Cache
	// Limits: of these the engine uses Deadline, the longest that one flight may take,
	// and Concurrent, how many there are at once.
	Limits gate.Limits
	// Log hears of panics; nil: nobody does.
	Log *slog.Logger
}

const (
	defaultAllow    = 60 * time.Second
	defaultDeny     = 5 * time.Second
	defaultEntries  = 10_000
	defaultBytes    = 64 << 20
	defaultDeadline = 9 * time.Second // less than the API server's ten seconds
	// defaultFlights is how many looks there are at once: they mostly wait for
	// registries, and a chain of the usual size is a megabyte of memory.
	defaultFlights = 32
	// maxFlights bounds them whatever the configuration says of questions, which mostly
	// wait for the same ones: together they must leave the cache its memory.
	maxFlights = 64

	// keepFailed is how long an answer is kept that rests on something that could not
	// be looked at.
	keepFailed = time.Second

	// maxMargin is how long before a caller's deadline it is answered, so that the
	// answer still gets there; of short deadlines it is a tenth.
	maxMargin = 200 * time.Millisecond

	// maxFlown is how long ago, by the wall's clock, a flight can have begun that ends
	// now. If it says more, it was set meanwhile.
	maxFlown = time.Minute

	// maxRounds is how often a question is looked at again because its answer was
	// overtaken: by time, or by somebody who saw a newer status meanwhile.
	maxRounds = 3
)

// An Engine answers questions; see the package comment. It may be used by many
// goroutines at once.
type Engine struct {
	options Options
	elapsed func() time.Duration // the machine's own clock, since the start
	cache   *cache
	ledger  *ledger
	repos   *repositories
	tags    group[tagged, named]
	looks   group[key, *entry]
	slots   chan struct{} // one token per flight
	stats   *stats

	testOnlyLook func() // at the beginning of every flight
}

var _ gate.Judge = (*Engine)(nil)

// New returns an Engine that has seen nothing yet.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Cache.Allow, defaultAllow)
	orDefault(&o.Cache.Deny, defaultDeny)
	orDefault(&o.Cache.Entries, defaultEntries)
	orDefault(&o.Cache.Bytes, defaultBytes)
	orDefault(&o.Limits.Deadline, defaultDeadline)
	orDefault(&o.Limits.Concurrent, defaultFlights)
	start := time.Now()
	e := &Engine{
		options: o,
		elapsed: func() time.Duration { return time.Since(start) },
		cache:   newCache(o.Cache.Entries, o.Cache.Bytes),
		ledger:  &ledger{dir: o.State},
		slots:   make(chan struct{}, min(max(1, o.Limits.Concurrent), maxFlights)),
	}
	e.repos = &repositories{open: o.Open, now: func() time.Duration { return e.elapsed() }}
	e.stats = newStats()
	return e
}

func orDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Judge answers q. It returns before ctx ends, and what it cannot answer by then, or
// at all, is a refusal with Err set.
func (e *Engine) Judge(ctx context.Context, q gate.Question) (a gate.Answer) {
	began := e.elapsed()
	defer func() {
		if r := recover(); r != nil {
			a = refusal(q, e.panicked(q.Reference, r))
		}
		e.stats.answered(a, e.elapsed()-began)
	}()
	if err := check(q); err != nil {
		return refusal(q, err)
	}
	if err := ctx.Err(); err != nil {
		return refusal(q, late(q.Reference, ctx))
	}
	return e.judge(ctx, q)
}

// judge answers a question that may be asked.
func (e *Engine) judge(ctx context.Context, q gate.Question) gate.Answer {
	arrived := e.elapsed()
	if at := q.Ground.Policy.Expires(); !e.now().wall.Before(at) {
		return refusal(q, expired(q, at))
	}
	if d := q.Reference.Digest; !d.IsZero() && !q.Fresh { // what most questions are, without a context and a timer
		if en := e.recall(keyOf(q, d)); en != nil {
			return en.tell(q, d, true)
		}
	}
	ctx, cancel := e.inTime(ctx)
	defer cancel()
	d, err := e.resolve(ctx, q.Reference)
	if err != nil {
		return refusal(q, err)
	}
	k := keyOf(q, d)
	look := call[*entry]{now: e.elapsed, limit: e.options.Limits.Deadline, run: func(ctx context.Context) *entry { return e.fly(ctx, q, k) }}
	if q.Fresh {
		look.since = arrived
	} else {
		look.since, look.peek = -1, func() (*entry, bool) { en := e.recall(k); return en, en != nil }
	}
	for range maxRounds {
		en, err := e.looks.do(ctx, k, look)
		if err != nil {
			return refusal(q, late(q.Reference, ctx))
		}
		if en.answer.Outcome != policy.Allow || en.recent(e.now()) && e.ledger.current(en.rests) {
			return en.tell(q, d, en.looked < arrived)
		}
	}
	return refusal(q, &attest.Refusal{Code: attest.CodeRollback, About: q.Reference.String(), Why: "every answer was overtaken before it could be given", Next: "ask again"})
}

// recall returns what is remembered, if it may still be given.
func (e *Engine) recall(k key) *entry {
	en := e.cache.get(k, e.now())
	if en == nil || !e.ledger.current(en.rests) {
		e.stats.misses.Add(1)
		return nil
	}
	e.stats.hits.Add(1)
	return en
}

// inTime is ctx with a deadline that leaves time to answer.
func (e *Engine) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	left := e.options.Limits.Deadline
	if at, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(at))
	}
	return context.WithTimeout(ctx, left-min(maxMargin, left/10))
}

// Forget drops what is remembered about some artifacts, of all repositories and
// policies; of all artifacts if none is named. Sequence numbers are never forgotten.
func (e *Engine) Forget(artifacts ...attest.Digest) { e.cache.forget(artifacts) }

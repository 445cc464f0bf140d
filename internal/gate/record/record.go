// Package record keeps what the gate let in until it is signed and attached.
//
// Every place, a service in a cluster of an environment, has a chain of deployment
// records beside the artifacts that ran there (docs/format/deployment.md). A [Queue]
// writes them. That takes a registry and perhaps a key service, and an admission can
// wait for neither: so [Queue.Admitted] writes what was let in to a journal on disk and
// returns, and [Queue.Run] works the journal off, for as long as it takes.
//
// # What is kept
//
// What Admitted accepted survives the process, however that ends, and stays until it is
// recorded. The journal is lines with numbers and checksums, each one change of the
// state, written together where they come together and durable before Admitted returns.
// A last line that was not written to its end was promised to nobody, and is dropped;
// any other damage is an error: a queue that skipped what it cannot read would lose
// records without a word.
//
// # Signed once
//
// What was signed is in the journal before it is given away, and given away in these
// bytes alone. If a record turns out to be in the wrong place, because another replica
// of the gate was faster, it is taken back by a signed revocation before another one is
// made in its stead.
//
// # Several gates
//
// Replicas have queues of their own and write to the same chains, in registries that
// know no transactions. Each looks at the chain before it signs, and again after it
// attached. Whoever then finds a record that follows on the same one as their own takes
// their own back and follows on the other. Both may do so; nobody may not, because what
// was attached first is there when the second one looks. What runs now is therefore at
// the end of the chain. What was let in before that and comes late, say from a gate
// that could not reach the registry, is recorded and taken back in one: it is there to
// be read and breaks no chain.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/filelock"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	// DefaultLimit is how many records wait if nobody says otherwise: a cluster that
	// changes a model every second, for three hours without a registry.
	DefaultLimit = 10_000
	// MaxLimit is the most that may wait: each is some KiB in memory, and a gate has
	// 256 MiB.
	MaxLimit = 20_000

	defaultSettle  = 2 * time.Minute
	defaultWindow  = 10 * time.Minute
	defaultAttempt = time.Minute

	// lockWait is how long another process is waited for to end: a gate that is replaced
	// by its next version drains for some seconds.
	lockWait = 10 * time.Second
)

// Options say how a Queue works. Dir, Signer, Open, Now and Log are required, and Signers
// unless [Queue.Recognise] is called.
type Options struct {
	Dir   string // the folder, of this queue alone
	Limit int    // records that wait; 0: DefaultLimit
	// Signer signs a statement's payload and returns the bundle.
	Signer func(ctx context.Context, payload []byte) (bundle []byte, err error)
	// Signers are whose records count in the chains: who signs, as a verifier recognises
	// them, and whoever signed before.
	Signers verify.Signers
	// Open opens a repository; it asks nobody.
	Open func(attest.Repository) (*oci.Repository, error)
	// Gate is what the gate calls itself, Version the program's version: for records.
	Gate, Version string
	// Window is how long an artifact that was replaced is expected to come back while a
	// rollout goes on, and how long a place is believed to be as it was last seen; 0: ten
	// minutes. Settle is how long one that did come back must stay to count; 0: two.
	Window, Settle time.Duration
	Attempt        time.Duration // the longest that one attempt may take; 0: a minute
	// PerNamespace is how many services of a namespace are recorded one by one beside an
	// artifact in an environment, PerArtifact how many of all; 0: 32 and 256.
	PerNamespace, PerArtifact int
	Now                       func() time.Time
	Log                       *slog.Logger

	wait   time.Duration // for another process to end; shorter in tests
	beside int           // maxBeside; smaller in tests
	// The bursts; smaller in tests.
	burst, namespaceBurst int
}

// A Queue keeps admissions until they are recorded. Its methods may be called
// concurrently; one process at a time has a queue.
type Queue struct {
	o      Options
	unlock func()
	counts *counts

	// Commits gather here while one of them writes.
	gathering sync.Mutex
	gathered  []*commit

	mu      sync.Mutex // guards what follows
	journal *journal
	state   *state
	closed  bool

	glances glances
	work    worker
}

// Open opens the queue in a folder, which is made if need be, and reads what waits
// there. It is refused with attest.CodeState if the journal is damaged, or if another
// process has it.
func Open(o Options) (*Queue, error) {
	switch {
	case o.Dir == "":
		return nil, attest.Refuse(attest.CodeUsage, "no folder is named for the queue of deployment records")
	case o.Signer == nil || o.Open == nil || o.Now == nil || o.Log == nil:
		return nil, attest.Refuse(attest.CodeInternal, "a queue without signer, registry, clock or log")
	case o.Limit < 0 || o.Limit > MaxLimit:
		return nil, attest.Refuse(attest.CodeUsage, "a limit of %d records, want 1 to %d", o.Limit, MaxLimit)
	}
	return open(o, createFile)
}

func orElse[T ~int | ~int64](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func open(o Options, create func(string) (disk, error)) (*Queue, error) {
	o.Limit = orElse(o.Limit, DefaultLimit)
	o.PerNamespace, o.PerArtifact = orElse(o.PerNamespace, defaultPerNamespace), orElse(o.PerArtifact, defaultPerArtifact)
	o.beside = orElse(o.beside, maxBeside)
	o.burst, o.namespaceBurst = orElse(o.burst, defaultBurst), orElse(o.namespaceBurst, defaultNamespaceBurst)
	o.Window, o.Settle, o.Attempt = orElse(o.Window, defaultWindow), orElse(o.Settle, defaultSettle), orElse(o.Attempt, defaultAttempt)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, unusable(o.Dir, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), orElse(o.wait, lockWait))
	defer cancel()
	unlock, err := filelock.Lock(ctx, filepath.Join(o.Dir, lockFile), 0o600)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &attest.Refusal{Code: attest.CodeState, About: o.Dir, Why: "another process has this queue", Next: "give every replica of the gate a folder of its own"}
	case err != nil:
		return nil, unusable(o.Dir, err)
	}
	j, s, err := openJournal(o.Dir, create)
	if err != nil {
		unlock()
		return nil, err
	}
	q := &Queue{o: o, unlock: unlock, journal: j, state: s, work: newWorker()}
	q.glances = newGlances()
	for p := range s.places {
		q.glances.show(s, p)
	}
	q.counts = newCounts(q)
	return q, nil
}

// Close lets go of the queue. What waits stays on disk. Run and Flush must have
// returned.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	q.closed = true
	err := q.journal.close()
	q.unlock()
	return err
}

// A commit is one change that waits to be written: what decides on it, under the lock
// and in order, and how it went.
type commit struct {
	decide func(s *state) ([]op, error)
	done   bool
	err    error
}

// commit has decide say what changes, and returns when that is durable. Commits that
// come while one is being written are written together.
func (q *Queue) commit(decide func(s *state) ([]op, error)) error {
	c := &commit{decide: decide}
	q.gathering.Lock()
	q.gathered = append(q.gathered, c)
	q.gathering.Unlock()

	q.mu.Lock()
	defer q.mu.Unlock()
	if c.done {
		return c.err // whoever had the lock before wrote it too
	}
	q.gathering.Lock()
	batch := q.gathered
	q.gathered = nil
	q.gathering.Unlock()
	q.write(batch)
	return c.err
}

// write decides on a batch, makes it durable and tells everybody.
func (q *Queue) write(batch []*commit) {
	var broken error
	if q.journal.broken && !q.closed {
		// Before anything new is decided on: what is written is what is known to count.
		broken = q.journal.rewrite(q.state)
	}
	var bodies [][]byte
	var undo []func()
	var wrote []*commit
	var touched []place
	for _, c := range batch {
		c.done = true
		if q.closed {
			c.err = attest.Refuse(attest.CodeState, "the queue of deployment records is closed")
			continue
		}
		body, back, places, err := q.prepare(c)
		if c.err = err; err != nil || body == nil {
			continue
		}
		bodies, undo, wrote = append(bodies, body), append(undo, back...), append(wrote, c)
		touched = append(touched, places...)
	}
	if len(bodies) == 0 {
		return
	}
	err := broken
	if err == nil {
		err = q.journal.add(bodies)
	}
	if err != nil {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
		for _, c := range wrote {
			c.err = err
		}
		return
	}
	for _, p := range append(touched, q.state.trim()...) {
		q.glances.show(q.state, p)
	}
	if q.journal.full() {
		if err := q.journal.rewrite(q.state); err != nil {
			q.o.Log.Warn("the journal of deployment records could not be written anew", "error", attest.Printable(err.Error()))
		}
	}
}

// prepare applies one commit to the state, whole or not at all, and says which places
// it is about.
func (q *Queue) prepare(c *commit) (body []byte, undo []func(), touched []place, err error) {
	ops, err := c.decide(q.state)
	if err != nil || len(ops) == 0 {
		return nil, nil, nil, err
	}
	if body, err = encode(ops); err == nil && len(body) > maxLine {
		err = attest.Refuse(attest.CodeLimit, "a deployment record of %d bytes, at most %d are kept", len(body), maxLine)
	}
	for i := 0; err == nil && i < len(ops); i++ {
		if p, ok := q.state.about(ops[i]); ok {
			touched = append(touched, p)
		}
		var back func()
		if back, err = q.state.apply(ops[i]); err == nil {
			undo = append(undo, back)
		}
	}
	if err != nil {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
		return nil, nil, nil, err
	}
	return body, undo, touched, nil
}

var _ gate.Recorder = (*Queue)(nil)

// full is the refusal of a queue that takes no more, or no more of one namespace.
func (q *Queue) full(s *state, at place, whole bool) error {
	var first time.Time
	n, ns, whose := 0, namespaceOf(at.Service), ""
	for _, e := range s.entries {
		if !whole && namespaceOf(e.Place.Service) != ns {
			continue
		}
		if n++; first.IsZero() || e.At.Before(first) {
			first = e.At
		}
	}
	if !whole {
		whose = fmt.Sprintf(" of namespace %.80q", ns)
	}
	return &attest.Refusal{Code: attest.CodeLimit, About: q.o.Dir,
		Why:  fmt.Sprintf("%d deployment records%s wait to be attached, the oldest since %s, and no more are taken", n, whose, first.UTC().Format(time.RFC3339)),
		Next: "see why they wait: pedigree gate records"}
}

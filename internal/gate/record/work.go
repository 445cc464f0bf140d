package record

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxLanes is how many repositories are worked on at once. One that does not answer
	// has a lane for some minutes, and then waits.
	maxLanes = 8

	// lookAttempts is how many attempts' time one look at a repository may take: it is
	// hundreds of requests where an attachment is five.
	lookAttempts = 5

	// maxVerdicts is how many verdicts are signed in one round, before the registry is
	// asked: they say when they were reached, and a signature should not be much later.
	maxVerdicts = 256

	// The first pause after a failure, and the longest. An hour without a registry is 20
	// attempts.
	firstPause = time.Second
	maxPause   = 5 * time.Minute

	// idle is how often is looked for what became due by itself, at the least.
	idle = time.Minute

	// maxKnown is of how many repositories is kept what was read of them, and maxIdle for
	// how long, so that the next look reads only what is new. Of what others signed only
	// the digest is kept.
	maxKnown = 32
	maxIdle  = time.Hour

	// maxWhy is how much of an error is kept.
	maxWhy = 500
)

// A worker is what Run keeps of its work. It is not on disk: who begins again begins
// with what is due.
type worker struct {
	awake chan struct{} // has something if something came
	mu    sync.Mutex
	lanes map[string]*pause // by repository
	spots map[place]*pause
	busy  map[string]bool
	known map[string]*reading
}

// A pause is how long something is left alone after failures.
type pause struct {
	fails int
	until time.Time
}

func newWorker() worker {
	return worker{awake: make(chan struct{}, 1), lanes: map[string]*pause{}, spots: map[place]*pause{}, busy: map[string]bool{}, known: map[string]*reading{}}
}

func (w *worker) wake() {
	select {
	case w.awake <- struct{}{}:
	default:
	}
}

// resume ends the pause of a place that waited for an artifact's account: what came now is
// paid for.
func (w *worker) resume(e *entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.spots[e.Place]; p != nil && p.fails == 0 && e.Paid {
		delete(w.spots, e.Place)
	}
}

// failed lengthens a pause: doubled each time, and anything between half and all of it,
// so that the gates of a cluster do not come back together.
func (p *pause) failed(now time.Time) *pause {
	if p == nil {
		p = &pause{}
	}
	long := min(maxPause, firstPause<<min(p.fails, 20))
	return &pause{p.fails + 1, now.Add(long/2 + rand.N(long/2+1))}
}

// Run works the queue until ctx ends. Then it ends the attachment that it is at, which
// takes at most Options.Attempt, and returns nil: what is left waits on disk.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.recognises(); err != nil {
		return err
	}
	var lanes sync.WaitGroup
	defer lanes.Wait()
	for {
		_, next := q.start(ctx, &lanes, false)
		timer := time.NewTimer(max(0, min(idle, next.Sub(q.o.Now()))))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-q.work.awake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Flush works off what waits, without regard to pauses, until nothing can be done at
// once or ctx ends. The error says how many records wait still, and why one of them
// does. Run must not be running.
func (q *Queue) Flush(ctx context.Context) error {
	if err := q.recognises(); err != nil {
		return err
	}
	var lanes sync.WaitGroup
	for n, _ := q.start(ctx, &lanes, true); n > 0 && ctx.Err() == nil; n, _ = q.start(ctx, &lanes, false) {
		lanes.Wait()
	}
	lanes.Wait()
	s := q.Stats()
	if s.Waiting == s.Settling {
		return nil
	}
	return &attest.Refusal{Code: attest.CodeRegUnavailable, About: q.o.Dir, Why: fmt.Sprintf("%d deployment records wait still, the oldest since %s", s.Waiting, s.Oldest.Format(time.RFC3339)), Next: "see why they wait: pedigree gate records", Err: ctx.Err()}
}

// pass works everything that is due once, and returns when that is done and when
// something is due again. It is Run with the clock outside.
func (q *Queue) pass(ctx context.Context) time.Time {
	var lanes sync.WaitGroup
	q.start(ctx, &lanes, false)
	lanes.Wait()
	_, next := q.due(false)
	return next
}

// start starts the lanes that are due, and returns how many, and when something is due
// again.
func (q *Queue) start(ctx context.Context, lanes *sync.WaitGroup, all bool) (started int, next time.Time) {
	q.sightings()
	due, next := q.due(all)
	for _, repo := range due {
		lanes.Go(func() {
			defer q.work.wake()
			q.runLane(ctx, repo)
		})
	}
	return len(due), next
}

// due returns the repositories in which something can be done now, which are busy from
// then on; and when something can be done next.
func (q *Queue) due(all bool) (repos []string, next time.Time) {
	now := q.o.Now()
	next = now.Add(idle)
	first := q.firsts()
	q.work.mu.Lock()
	defer q.work.mu.Unlock()
	for _, e := range first {
		repo := e.repository()
		at := e.Settles
		if p := q.work.lanes[repo]; p != nil && p.until.After(at) && !all {
			at = p.until
		}
		if p := q.work.spots[e.Place]; p != nil && p.until.After(at) && !all {
			at = p.until
		}
		switch {
		case at.After(now):
			next = earlier(next, at)
		case slices.Contains(repos, repo), q.work.busy[repo]:
		case len(q.work.busy) < maxLanes:
			repos = append(repos, repo)
			q.work.busy[repo] = true
			if all {
				delete(q.work.lanes, repo)
			}
		}
		if all {
			delete(q.work.spots, e.Place)
		}
	}
	return repos, next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// firsts returns the first entry of each place, the oldest first.
func (q *Queue) firsts() []*entry {
	q.mu.Lock()
	var out []*entry
	for _, list := range q.state.byPlace {
		out = append(out, list[0])
	}
	q.mu.Unlock()
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// repository names the repository of the entry's artifact.
func (e *entry) repository() string {
	ref, err := e.reference()
	if err != nil {
		return "" // unreachable: it was read before
	}
	return ref.Repository.String()
}

// sightings queues the places that were seen again, and at which the repository was not
// asked for a while.
func (q *Queue) sightings() {
	for _, e := range q.glances.take(q.o.Now(), q.o.Window) {
		err := q.commit(func(s *state) ([]op, error) {
			was := s.places[e.Place]
			ref, err := e.reference()
			if err != nil || was == nil || was.Steady != ref.Digest || s.waits(e.Place) || !e.At.After(was.Sighted) {
				return nil, err
			}
			now, look := was.clone(), e.clone()
			now.Sighted = q.o.Now()
			look.Look = true
			r := s.rulings[look.Verdict]
			if r == nil {
				look.Verdict = attest.Digest{} // older than a day, and forgotten
			}
			ops, _, err := q.enqueue(s, []op{{Place: now}}, look, s.account(e.Place.Environment, ref), r)
			return ops, err
		})
		if err != nil {
			q.o.Log.Warn("a place could not be queued to be looked at again", "place", attest.Printable(e.Place.String()), "error", attest.Printable(err.Error()))
		}
	}
}

// runLane works one repository until nothing more can be done there.
func (q *Queue) runLane(ctx context.Context, repo string) {
	err := q.lane(ctx, repo)
	if ctx.Err() != nil && isOver(err) {
		err = nil // stopped, not failed
	}
	q.work.mu.Lock()
	delete(q.work.busy, repo)
	if err == nil {
		delete(q.work.lanes, repo)
	} else {
		q.work.lanes[repo] = q.work.lanes[repo].failed(q.o.Now())
	}
	q.work.forget(repo, q.o.Now())
	q.work.mu.Unlock()
	if err != nil {
		q.counts.failed.WithLabelValues(label(err)).Inc()
		q.o.Log.Warn("deployment records wait for their repository", "repository", attest.Printable(repo), "error", attest.Printable(err.Error()))
	}
	q.mu.Lock()
	was := q.state.lanes[repo]
	q.mu.Unlock()
	if trouble := troubleOf(was, err, q.o.Now()); trouble != was {
		kept := q.commit(func(*state) ([]op, error) { return []op{{Lane: &lane{repo, trouble}}}, nil })
		if kept != nil {
			q.o.Log.Warn("the journal of deployment records cannot be written", "error", attest.Printable(kept.Error()))
		}
	}
}

// troubleOf says what is wrong now; what was wrong before, if that is the same.
func troubleOf(was *Trouble, err error, now time.Time) *Trouble {
	if err == nil {
		return nil
	}
	code := codeOf(err)
	if was != nil && was.Code == code {
		return was
	}
	why := strings.ToValidUTF8(err.Error(), "?")
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	return &Trouble{code, why, now.UTC().Truncate(time.Second)}
}

// codeOf is the code of an error: of one without, that it could not be asked.
func codeOf(err error) attest.Code {
	if code := attest.RefusalCode(err); code != "" {
		return code
	}
	return attest.CodeRegUnavailable
}

// forget notes that a repository was read, and forgets what is known of those that were
// not read for long.
func (w *worker) forget(read string, now time.Time) {
	if r := w.known[read]; r != nil {
		r.used = now
	}
	oldest := ""
	for repo, r := range w.known {
		switch {
		case w.busy[repo]:
		case now.Sub(r.used) >= maxIdle:
			delete(w.known, repo)
		case oldest == "" || r.used.Before(w.known[oldest].used):
			oldest = repo
		}
	}
	if len(w.known) > maxKnown && oldest != "" {
		delete(w.known, oldest)
	}
}

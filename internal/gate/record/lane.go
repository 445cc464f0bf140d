package record

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// lane works one repository: rounds of looking, and of bringing each place's first
// entry one step on, until none moves any more.
func (q *Queue) lane(ctx context.Context, repo string) error {
	ref, err := attest.ParseRepository(repo)
	if err != nil {
		return err
	}
	opened, err := q.o.Open(ref)
	if err != nil {
		return err
	}
	q.work.mu.Lock()
	r := q.work.known[repo]
	if r == nil {
		if r, err = newReading(); err == nil {
			q.work.known[repo] = r
		}
	}
	q.work.mu.Unlock()
	if err != nil {
		return err
	}
	j := &job{q: q, repo: opened, ref: ref, r: r}
	for {
		if err := j.verdicts(ctx, repo); err != nil {
			return err
		}
		moved, err := j.round(ctx)
		if err != nil || !moved || ctx.Err() != nil {
			return err
		}
	}
}

// verdicts signs the summaries that wait, oldest first: it takes no registry.
func (j *job) verdicts(ctx context.Context, repo string) error {
	todo := map[attest.Digest]*entry{}
	j.q.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(j.q.state.entries)) {
		e := j.q.state.entries[id]
		r := j.q.state.rulings[e.Verdict]
		if r != nil && r.Summary != nil && r.Summary.Bundle == nil && e.Settles.IsZero() && len(todo) < maxVerdicts && e.repository() == repo {
			todo[r.ID] = e
		}
	}
	j.q.mu.Unlock()
	for _, id := range slices.SortedFunc(maps.Keys(todo), attest.Digest.Compare) {
		if ctx.Err() != nil {
			return nil
		}
		if err := j.signRuling(ctx, todo[id]); err != nil {
			return err
		}
	}
	return nil
}

// round looks at the repositories and moves the first entry of each place that is due.
func (j *job) round(ctx context.Context) (moved bool, err error) {
	sights := map[string]*sight{}
	for _, e := range j.mine() {
		if ctx.Err() != nil {
			return moved, nil
		}
		if e, err = j.mature(e); err != nil || e == nil {
			if err != nil {
				return moved, err
			}
			continue
		}
		s, err := j.sight(ctx, e, sights)
		if err == nil {
			e, err = j.move(ctx, e, s)
		}
		if errors.Is(err, errGone) {
			moved, err = true, nil
			continue
		}
		if err = j.outcome(e, err); err == nil {
			moved = moved || !j.pausing(e)
		}
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// mine returns the entries that this lane may move now: of each place the first.
func (j *job) mine() []*entry {
	now := j.q.o.Now()
	firsts := j.q.firsts()
	j.q.work.mu.Lock()
	defer j.q.work.mu.Unlock()
	return slices.DeleteFunc(firsts, func(e *entry) bool {
		p := j.q.work.spots[e.Place]
		return e.repository() != j.ref.String() || e.settling(now) || p != nil && p.until.After(now)
	})
}

// mature makes an entry count that came back and stayed; nil if it is void since.
func (j *job) mature(e *entry) (*entry, error) {
	if e.Settles.IsZero() {
		return e, nil
	}
	ref, err := e.reference()
	if err != nil {
		return nil, err
	}
	var out *entry
	return out, j.q.commit(func(s *state) ([]op, error) {
		was := s.entries[e.ID]
		if was == nil || was.Settles.IsZero() {
			out = was
			return nil, nil
		}
		now := &standing{Place: e.Place}
		if p := s.places[e.Place]; p != nil {
			now = p.clone()
		}
		now.turn(ref.Digest, e.At, j.q.o.Window)
		ops := j.q.settle(s, was, ref)
		out = ops[len(ops)-1].Entry
		return append(ops, op{Place: now}), nil
	})
}

// sight returns what the repositories of a place show: the artifact's, and that of the
// place's last record.
func (j *job) sight(ctx context.Context, e *entry, sights map[string]*sight) (*sight, error) {
	repos := []attest.Repository{j.ref}
	j.q.mu.Lock()
	if p := j.q.state.places[e.Place]; p != nil && p.Repository != "" && p.Repository != j.ref.String() {
		if other, err := attest.ParseRepository(p.Repository); err == nil {
			repos = append(repos, other)
		}
	}
	j.q.mu.Unlock()
	key := repos[len(repos)-1].String()
	if s := sights[key]; s != nil {
		return s, nil
	}
	s, err := j.q.look(ctx, j.r, repos, j.hints())
	switch {
	case err == nil:
		sights[key] = s
	case len(repos) == 1 || ctx.Err() != nil:
		err = &heldUp{err}
	}
	return s, err // of two, the other one perhaps: this place waits, and the others go on
}

// hints are the artifacts beside which this queue knows of records of this lane's
// places, or will make them: a repository that does not list everything is asked for
// them by name.
func (j *job) hints() []attest.Digest {
	set := map[attest.Digest]bool{}
	for _, e := range j.q.firsts() {
		if e.repository() != j.ref.String() {
			continue
		}
		if ref, err := e.reference(); err == nil {
			set[ref.Digest] = true
		}
		if at := j.q.recorded(e.Place); at != nil {
			set[at.Artifact] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), attest.Digest.Compare)
}

// A heldUp is an error that holds up a whole repository.
type heldUp struct{ error }

func (h *heldUp) Unwrap() error { return h.error }

// move brings one entry on.
func (j *job) move(ctx context.Context, e *entry, s *sight) (*entry, error) {
	c, err := s.chain(ctx, e.Place)
	if err != nil {
		return e, &heldUp{err}
	}
	if e.Record != nil && e.Record.Attached && e.Withdrawal == nil {
		return e, j.check(ctx, e, c)
	}
	return j.advance(ctx, e, c)
}

// outcome tells what became of an entry, and has its place pause after a failure. What
// holds up the whole repository is returned.
func (j *job) outcome(e *entry, err error) error {
	if held := (*heldUp)(nil); errors.As(err, &held) {
		return err
	}
	poor := (*poor)(nil)
	j.q.work.mu.Lock()
	switch {
	case err == nil:
		delete(j.q.work.spots, e.Place)
	case errors.As(err, &poor):
		j.q.work.spots[e.Place] = &pause{until: poor.until}
	default:
		j.q.work.spots[e.Place] = j.q.work.spots[e.Place].failed(j.q.o.Now())
	}
	j.q.work.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case poor != nil:
		return j.note(e, poor.refusal(e)) // nothing failed
	}
	j.q.counts.failed.WithLabelValues(label(err)).Inc()
	j.q.o.Log.Warn("a deployment record waits", "place", attest.Printable(e.Place.String()), "artifact", attest.Printable(e.Reference), "error", attest.Printable(err.Error()))
	return j.note(e, err)
}

// pausing reports whether an entry's place is left alone for now.
func (j *job) pausing(e *entry) bool {
	j.q.work.mu.Lock()
	defer j.q.work.mu.Unlock()
	return j.q.work.spots[e.Place] != nil
}

// note keeps why an entry waits, if that is new.
func (j *job) note(e *entry, why error) error {
	err := j.q.commit(func(s *state) ([]op, error) {
		was := s.entries[e.ID]
		if was == nil {
			return nil, nil
		}
		t := troubleOf(was.Trouble, why, j.q.o.Now())
		if t == was.Trouble {
			return nil, nil
		}
		out := was.clone()
		out.Trouble = t
		return []op{{Entry: out}}, nil
	})
	if err != nil {
		return &heldUp{err}
	}
	return nil
}

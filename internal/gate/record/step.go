package record

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// tolerance is how far the clocks of two gates may be apart when it is asked which of
// their admissions was earlier. Nodes of a cluster differ by milliseconds.
const tolerance = 2 * time.Second

// An ending is how an entry ended.
type ending string

// The endings, as metrics and logs have them.
const (
	endRecorded  ending = "recorded"  // it is in the chain
	endUnchanged ending = "unchanged" // the chain says already that this runs there
	endLate      ending = "late"      // recorded and taken back: something later was recorded before
	endWithdrawn ending = "withdrawn" // somebody took the record back
)

// A plan is what is to be done about an entry that has no record yet.
type plan struct {
	end      ending               // endUnchanged: nothing; endLate: record and take back
	found    link                 // of endUnchanged: the record that says so
	previous *lineage.StatementAt // what the record follows on
	rollback bool                 // the artifact ran there before
}

// decide works out what is to be recorded of an entry in its place's chain.
func (q *Queue) decide(e *entry, artifact attest.Digest, c *chain, known *lineage.StatementAt) (plan, error) {
	last, err := c.last(e.Place, known)
	if err != nil {
		return plan{}, err
	}
	counted := c.counted()
	p := plan{previous: last}
	for _, l := range counted {
		p.rollback = p.rollback || l.Artifact == artifact && l.claimed.Before(e.At)
	}
	// The records up to the admission, and those of later times.
	n := len(counted)
	for n > 0 && counted[n-1].claimed.After(e.At.Add(tolerance)) {
		n--
	}
	switch {
	case n > 0 && counted[n-1].Artifact == artifact:
		return plan{end: endUnchanged, found: counted[n-1]}, nil
	case n == len(counted):
		return p, nil
	case counted[n].Artifact == artifact && counted[n].claimed.Sub(e.At) < q.o.Window:
		// Another replica saw the same rollout a little later, and was faster.
		return plan{end: endUnchanged, found: counted[n]}, nil
	}
	p.end, p.previous = endLate, nil
	if n > 0 {
		p.previous = &counted[n-1].StatementAt
	}
	return p, nil
}

// compose writes the record of an entry, and of a late one its withdrawal; neither is
// signed.
func (q *Queue) compose(e *entry, ref attest.Reference, p plan) (*entry, error) {
	d := predicate.Deployment{
		Environment: e.Place.Environment, DeployedAt: e.At, Reason: predicate.DeployPromote,
		Target: &predicate.DeploymentTarget{Cluster: e.Place.Cluster, Service: e.Place.Service},
		Config: map[string]any{},
	}
	if e.Place.Cluster == "" && e.Place.Service == "" {
		d.Target = nil
	}
	for k, v := range e.Facts {
		d.Config[k] = v
	}
	if e.Again > 0 {
		d.Config["attempt"] = e.Again + 1
	}
	if n := e.Coalesced + q.untold(e.Place); n > 0 {
		d.Config["coalesced"] = n
	}
	if p.rollback {
		d.Reason = predicate.DeployRollback
	}
	if e.Observer != "" {
		d.Observer = &predicate.Observer{ID: e.Observer}
	}
	if !e.Verdict.IsZero() {
		d.Decision = statementRef(lineage.StatementAt{Payload: e.Verdict, Artifact: ref.Digest})
	}
	if p.previous != nil {
		d.Previous = statementRef(*p.previous)
	}
	b, err := payload(ref, predicate.TypeDeployment, d)
	if err != nil {
		return nil, err
	}
	out := e.clone()
	out.Record, out.Previous, out.Withdrawal, out.Late = &statement{Payload: b}, p.previous, nil, p.end == endLate
	if out.Late {
		return q.withdraw(out, ref, "it was recorded late: a later admission at the same place had been recorded before")
	}
	return out, nil
}

func statementRef(at lineage.StatementAt) *predicate.StatementRef {
	return &predicate.StatementRef{Payload: predicate.DigestSet{Digest: at.Payload}, Artifact: predicate.DigestSet{Digest: at.Artifact}}
}

// withdraw writes what takes an entry's record back, from when it claims to be: at no
// time was it in the chain.
func (q *Queue) withdraw(e *entry, ref attest.Reference, reason string) (*entry, error) {
	b, err := payload(ref.Repository.At(e.Record.digest()), predicate.TypeRevocation, predicate.Revocation{
		Action: predicate.ActionRevoke, Target: predicate.TargetPayload, Reason: reason,
		IssuedAt: q.o.Now().UTC().Truncate(time.Second), EffectiveFrom: e.At,
	})
	if err != nil {
		return nil, err
	}
	out := e.clone()
	out.Withdrawal = &statement{Payload: b}
	return out, nil
}

// A job is the work on one lane's repository in one round.
type job struct {
	q    *Queue
	repo *oci.Repository
	ref  attest.Repository
	r    *reading
}

// keep makes a change of an entry durable; what was wrong with it is over.
func (j *job) keep(e *entry) error {
	e.Trouble = nil
	if err := j.q.commit(func(*state) ([]op, error) { return []op{{Entry: e}}, nil }); err != nil {
		return &heldUp{err}
	}
	return nil
}

// sign has a statement signed, if it is not, and keeps the bundle before anybody sees it.
func (j *job) sign(ctx context.Context, e *entry, which func(*entry) **statement) (*entry, error) {
	s := *which(e)
	if s == nil || s.Bundle != nil {
		return e, nil
	}
	bundle, err := j.signed(ctx, s.Payload)
	if err != nil {
		return e, err
	}
	out := e.clone()
	*which(out) = &statement{Payload: s.Payload, Bundle: bundle}
	return out, j.keep(out)
}

// signed has a payload signed. Whoever does not sign this one would not sign the next one
// either.
func (j *job) signed(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.q.o.Attempt)
	defer cancel()
	bundle, err := j.q.o.Signer(ctx, payload)
	if err == nil {
		err = carries(bundle, payload)
	}
	if err != nil {
		return nil, &heldUp{err}
	}
	return bundle, nil
}

// carries refuses a bundle that is not of the payload that was to be signed.
func carries(bundle, payload []byte) error {
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		return err
	}
	if !slices.Equal(b.Payload, payload) {
		return attest.Refuse(attest.CodeInternal, "the signer signed something else than it was given")
	}
	return nil
}

// attach attaches a signed statement, if it is not yet, and keeps that it is.
func (j *job) attach(ctx context.Context, e *entry, at attest.Digest, which func(*entry) **statement) (*entry, error) {
	s := *which(e)
	if s == nil || s.Attached {
		return e, nil
	}
	if err := j.give(ctx, at, s.Bundle); err != nil {
		return e, err
	}
	out := e.clone()
	*which(out) = &statement{Payload: s.Payload, Bundle: s.Bundle, Attached: true}
	return out, j.keep(out)
}

// give attaches a bundle.
func (j *job) give(ctx context.Context, at attest.Digest, bundle []byte) error {
	// What was begun is ended: whoever stops the process waits that long.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.q.o.Attempt)
	defer cancel()
	_, err := j.repo.Attach(ctx, at, bundle)
	if err != nil && attest.RefusalCode(err) != attest.CodeAttachUnconfirm {
		err = &heldUp{err}
	}
	return err
}

func recordOf(e *entry) **statement     { return &e.Record }
func withdrawalOf(e *entry) **statement { return &e.Withdrawal }

// end ends an entry; at, if it is not zero, is the last record of the place now.
func (j *job) end(e *entry, how ending, at lineage.StatementAt) error {
	err := j.q.commit(func(s *state) ([]op, error) {
		if s.entries[e.ID] == nil {
			return nil, errGone
		}
		ops := []op{{End: e.ID}}
		if ref, err := e.reference(); how == endUnchanged && e.Paid && err == nil {
			acc := s.account(e.Place.Environment, ref)
			acc.giveBack(namespaceOf(e.Place.Service))
			ops = append(ops, op{Account: acc})
		}
		if at != (lineage.StatementAt{}) {
			now := &standing{Place: e.Place, Steady: at.Artifact, Changed: e.At, Sighted: e.At}
			if was := s.places[e.Place]; was != nil {
				now = was.clone()
			}
			now.Recorded, now.Repository = &at, j.ref.String()
			switch how {
			case endRecorded:
				now.Untold = 0
			case endUnchanged:
				if e.Coalesced > 0 { // it came back after others, and no record says so
					now.Untold += e.Coalesced + 1
				}
			case endLate, endWithdrawn:
			}
			ops = append(ops, op{Place: now})
		}
		return ops, nil
	})
	switch {
	case errors.Is(err, errGone):
		return err
	case err != nil:
		return &heldUp{err}
	}
	j.q.counts.ended.WithLabelValues(string(how)).Inc()
	j.q.o.Log.Info("deployment "+string(how), "environment", attest.Printable(e.Place.Environment), "cluster", attest.Printable(e.Place.Cluster),
		"service", attest.Printable(e.Place.Service), "artifact", attest.Printable(e.Reference), "at", e.At, "record", at.Payload.String())
	return nil
}

// advance brings an entry as far as it gets: attached, to be checked by the next look,
// or ended.
func (j *job) advance(ctx context.Context, e *entry, c *chain) (out *entry, err error) {
	ref, err := e.reference()
	if err != nil {
		return e, err
	}
	if e.Record != nil && e.Record.Bundle != nil && e.Withdrawal == nil {
		done, err := j.resume(&e, ref, c)
		if done || err != nil {
			return e, err
		}
	}
	if e.Record == nil || e.Record.Bundle == nil {
		done, err := j.begin(ctx, &e, ref, c)
		if done || err != nil {
			return e, err
		}
	}
	if e.Withdrawal != nil {
		return j.takeBack(ctx, e, ref)
	}
	if err := j.attachRuling(ctx, e, ref.Digest); err != nil {
		return e, err
	}
	return j.attach(ctx, e, ref.Digest, recordOf)
}

// begin decides on the record of an entry, and signs it; done is true if there is
// nothing to record.
func (j *job) begin(ctx context.Context, e **entry, ref attest.Reference, c *chain) (done bool, err error) {
	known := j.q.recorded((*e).Place)
	p, err := j.q.decide(*e, ref.Digest, c, known)
	if err != nil {
		return false, err
	}
	if p.end == endUnchanged {
		return true, j.end(*e, endUnchanged, p.found.StatementAt)
	}
	if *e, err = j.afford(*e, ref, c); err != nil {
		return false, err
	}
	if *e, err = j.q.compose(*e, ref, p); err != nil {
		return false, err
	}
	if err := j.signRuling(ctx, *e); err != nil {
		return false, err
	}
	if *e, err = j.sign(ctx, *e, withdrawalOf); err != nil {
		return false, err
	}
	*e, err = j.sign(ctx, *e, recordOf)
	return false, err
}

// resume looks what became of a record that was signed in an earlier round; done is true
// if that is the end of it.
func (j *job) resume(e **entry, ref attest.Reference, c *chain) (done bool, err error) {
	if c.trouble != nil {
		return false, c.trouble
	}
	at := lineage.StatementAt{Payload: (*e).Record.digest(), Artifact: ref.Digest}
	l, there := c.find(at.Payload)
	switch {
	case there && l.withdrawn:
		return true, j.end(*e, endWithdrawn, at)
	case there:
		return false, nil // to be checked
	case (*e).Record.Attached:
		return false, &attest.Refusal{Code: attest.CodeAttachUnconfirm, About: at.Payload.String(), Why: "was listed when it was attached, and is not listed now"}
	}
	last, err := c.last((*e).Place, j.q.recorded((*e).Place))
	if err != nil {
		return false, err
	}
	if last == nil && (*e).Previous == nil || last != nil && (*e).Previous != nil && *last == *(*e).Previous {
		return false, nil // nothing happened since
	}
	// It may have been given away, and would follow on the wrong one now.
	*e, err = j.q.withdraw(*e, ref, "another record was made first; this one is made again after it")
	return false, err
}

// takeBack attaches the withdrawal of a record: of a late one the record behind it, and
// that is its end; any other is made again in the next round.
func (j *job) takeBack(ctx context.Context, e *entry, ref attest.Reference) (*entry, error) {
	e, err := j.sign(ctx, e, withdrawalOf)
	if err != nil {
		return e, err
	}
	if e, err = j.attach(ctx, e, e.Record.digest(), withdrawalOf); err != nil {
		return e, err
	}
	if e.Late {
		if err := j.attachRuling(ctx, e, ref.Digest); err != nil {
			return e, err
		}
		if e, err = j.attach(ctx, e, ref.Digest, recordOf); err != nil {
			return e, err
		}
		return e, j.end(e, endLate, lineage.StatementAt{})
	}
	j.q.counts.withdrawn.Inc()
	again := e.clone()
	again.Again++
	again.Record, again.Previous, again.Withdrawal, again.Yielded, again.Paid = nil, nil, nil, 0, false
	return again, j.keep(again)
}

// untold returns how many admissions at a place gave way to others, and are in no record's
// count.
func (q *Queue) untold(p place) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.state.places[p]; s != nil {
		return s.Untold
	}
	return 0
}

// recorded returns the last record of a place that this queue knows of.
func (q *Queue) recorded(p place) *lineage.StatementAt {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.state.places[p]; s != nil {
		return s.Recorded
	}
	return nil
}

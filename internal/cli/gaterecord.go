package cli

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/record"
)

const (
	// askSigner is how long who signs may take to answer when the gate starts: until then
	// it does not listen.
	askSigner = 5 * time.Second
	// The first pause before whoever was away is asked again, and the longest.
	firstAgain, lastAgain = time.Second, time.Minute
)

// openRecords makes what records admissions; nil if the configuration does not ask for
// it. Who signs is asked now, so that a key that is wrong is found before anything is
// refused for it. One that is away does not keep the gate from answering: what is let in
// waits in the queue, where it would wait for a registry too.
func (a *app) openRecords(ctx context.Context, g *runningGate) (gate.Recorder, error) {
	c := g.config.Records
	if c == nil {
		return nil, nil
	}
	by := &recordSigner{gate: g, ask: func(ctx context.Context) (*signature, error) {
		quiet := &app{Process: a.Process, quiet: true, noProgress: true, offline: a.offline}
		return quiet.signer(ctx, signingOf(c.Signing))
	}}
	first, cancel := context.WithTimeout(ctx, askSigner)
	defer cancel()
	away := by.find(first)
	if exitOf(codeOf(away)) == exitUsage {
		return nil, about("records.signing", away)
	}
	q, err := record.Open(record.Options{
		Dir: c.Queue, Limit: c.Limit, Signer: by.bundle, Open: g.upstream.Open,
		Gate: g.config.Name, Version: version(), Now: a.Now, Log: g.log,
	})
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, q.Close)
	if away == nil {
		if err := by.known(q); err != nil {
			_ = q.Close() // nothing was done with it
			return nil, err
		}
	} else {
		g.log.Warn("nobody signs records yet: they wait", "code", string(codeOf(away)), "error", attest.Printable(away.Error()))
	}
	for _, m := range q.Collectors() {
		g.registry.MustRegister(m)
	}
	g.background = append(g.background, func(ctx context.Context) { by.work(ctx, q) })
	return q, nil
}

// A recordSigner signs records from when it could be found out who signs.
type recordSigner struct {
	gate *runningGate
	ask  func(context.Context) (*signature, error)
	is   atomic.Pointer[signature]
}

// find asks who signs.
func (r *recordSigner) find(ctx context.Context) error {
	s, err := r.ask(ctx)
	if err == nil {
		r.is.Store(s)
	} else if errors.Is(ctx.Err(), context.DeadlineExceeded) && attest.RefusalCode(err) == "" {
		err = &attest.Refusal{Code: attest.CodeSignService, About: "records.signing", Why: "who signs does not answer in time", Err: err}
	}
	return err
}

// known tells the queue whose records count, and the log who signs.
func (r *recordSigner) known(q *record.Queue) error {
	s := r.is.Load()
	if err := q.Recognise(s.same(s.trust)); err != nil {
		return err
	}
	r.gate.log.Info("records", "queue", r.gate.config.Records.Queue, "signer", s.who.String(), "waiting", q.Stats().Waiting)
	return nil
}

// work works the queue off until ctx ends, once it is known who signs.
func (r *recordSigner) work(ctx context.Context, q *record.Queue) {
	var err error
	for pause := firstAgain; r.is.Load() == nil; pause = min(2*pause, lastAgain) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err = r.find(ctx); err != nil {
			r.gate.log.Warn("nobody signs records yet: they wait", "code", string(codeOf(err)), "error", attest.Printable(err.Error()))
			continue
		}
		err = r.known(q)
	}
	if err == nil {
		err = q.Run(ctx)
	}
	if err != nil {
		r.gate.log.Error("records are not worked off any more", "error", attest.Printable(err.Error()))
	}
}

// bundle signs a record.
func (r *recordSigner) bundle(ctx context.Context, payload []byte) ([]byte, error) {
	s := r.is.Load()
	if s == nil {
		return nil, attest.Refuse(attest.CodeInternal, "a record is to be signed, and nobody was found who does") // unreachable: work finds them first
	}
	return s.bundle(ctx, payload)
}

// signingOf are the signing flags of the command line as the configuration has them.
func signingOf(m map[string]string) signing {
	list := func(name string) []string {
		if m[name] == "" {
			return nil
		}
		return []string{m[name]}
	}
	return signing{
		key: m["key"], token: m["identity-token"], spiffe: m["spiffe"],
		config: m["signing-config"], fulcio: m["fulcio"], logs: list("rekor"), timestamps: list("timestamp"), clientID: m["oidc-client-id"],
		trusted: trustSource{file: m["trust"]},
	}
}

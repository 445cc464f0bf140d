// Package reload keeps the grounds that a gate answers by, and replaces them when what
// they were made of changes.
//
// A [Holder] has one [gate.Grounds] or none. New ones replace it whole: whoever took the
// old ones goes on under those, and nobody sees half of each. What does not load replaces
// nothing; the reason is kept to be shown, logged once, and the old ones stay. They need
// no supervision for that: a policy or a trust file that is over refuses by itself,
// however long it is held.
//
// # When
//
// Files are looked at when something happens in their folders and once a minute anyway,
// because not every file system tells. What counts is content: a file that was touched,
// or exchanged for an equal one behind a symbolic link (as Kubernetes does with mounted
// ConfigMaps), is no change. What was fetched, policies by reference and trusted roots,
// is looked at again as often as the configuration says, and everything on request.
// However much happens, there are at most a few attempts a second.
package reload

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// A Loaded is what one attempt to load came to.
type Loaded struct {
	Grounds *gate.Grounds // nil if it failed
	// Files are those that were looked at, also by an attempt that failed: by path, the
	// digest of what they held, and a zero one of what could not be read.
	Files map[string]attest.Digest
	// Refresh is after how long something that was fetched is to be looked at again; 0
	// if nothing was.
	Refresh time.Duration
}

// Options are what a Holder is made of. Load, Read, Now and Log are required.
type Options struct {
	// Load makes grounds; before are those that it would replace, or nil. With an error,
	// only Files and Refresh are used. A panic of it is the caller's to catch.
	Load func(ctx context.Context, before *gate.Grounds) (Loaded, error)
	// Read returns the digest of what a file holds now, zero if it cannot be read.
	Read func(path string) attest.Digest
	// Told hears of every attempt of Run; nil: nobody does.
	Told func(err error)
	// Again asks for an attempt, whatever changed: SIGHUP, where there is one.
	Again <-chan struct{}
	Now   func() time.Time
	Log   *slog.Logger

	// Settle is how long after something happened the files are looked at, so that what
	// is written in several steps is mostly looked at once; it also bounds how often.
	// Zero: 200ms, five attempts a second at most.
	Settle time.Duration
	// Poll is how often files are looked at though nothing is heard of them, and how soon
	// an attempt that failed is repeated. Zero: a minute.
	Poll time.Duration
	// Attempt is the longest that one attempt may take. Zero: a minute.
	Attempt time.Duration
}

// A Holder holds grounds. Grounds and Problem may be called concurrently with each other
// and with Load or Run, of which one at a time is called.
type Holder struct {
	o       Options
	current atomic.Pointer[gate.Grounds]
	problem atomic.Pointer[Problem]
	last    Loaded // of the last attempt, whatever came of it
}

// A Problem is why the last attempt to load failed.
type Problem struct {
	At  time.Time
	Err error
}

// New makes a Holder that holds nothing yet.
func New(o Options) *Holder {
	for _, d := range []struct {
		is   *time.Duration
		zero time.Duration
	}{{&o.Settle, 200 * time.Millisecond}, {&o.Poll, time.Minute}, {&o.Attempt, time.Minute}} {
		if *d.is <= 0 {
			*d.is = d.zero
		}
	}
	return &Holder{o: o}
}

// Grounds returns what is held; nil as long as nothing has loaded.
func (h *Holder) Grounds() *gate.Grounds { return h.current.Load() }

// Problem returns why the last attempt failed; nil if it did not.
func (h *Holder) Problem() *Problem { return h.problem.Load() }

// Load tries to load once, and replaces what is held if that succeeds.
func (h *Holder) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.o.Attempt)
	defer cancel()
	before := h.current.Load()
	next, err := h.o.Load(ctx, before)
	if err == nil && next.Grounds == nil {
		err = attest.Refuse(attest.CodeInternal, "loading gave neither grounds nor an error")
	}
	if err != nil && ctx.Err() == context.Canceled {
		return err // whoever stops the gate is no problem of its files
	}
	h.last = next
	if err != nil {
		h.failed(err, before)
		return err
	}
	h.current.Store(next.Grounds)
	h.problem.Store(nil)
	h.o.Log.Info("loaded", "config", next.Grounds.Config.Digest, "policies", digests(next.Grounds), "files", len(next.Files))
	return nil
}

// maxError bounds an error in the log: a configuration's lists everything wrong with it.
const maxError = 4 << 10

// failed keeps why an attempt failed, and logs it unless it is what is known already: a
// registry that is down for a night is one line a minute otherwise.
func (h *Holder) failed(err error, before *gate.Grounds) {
	old := h.problem.Swap(&Problem{h.o.Now(), err})
	if old != nil && old.Err.Error() == err.Error() {
		return
	}
	what := "nothing is loaded, and everything is refused"
	if before != nil {
		what = "the older ones stay in force"
	}
	h.o.Log.Error("not loaded: "+what, "code", string(attest.RefusalCode(err)), "error", gate.Shown(err.Error(), maxError))
}

// digests names the policies that answers will name.
func digests(g *gate.Grounds) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(g.Policies)) {
		p := g.Policies[name].Policy
		out = append(out, fmt.Sprintf("%s=%s", name, p.Digest()))
	}
	return strings.Join(out, " ")
}

// Run replaces what is held whenever it changes, until ctx ends. It begins with an attempt
// if nothing is held. Nothing that fails ends it.
func (h *Holder) Run(ctx context.Context) {
	if h.Grounds() == nil {
		h.attempt(ctx)
	}
	w := watch(h.o.Log)
	defer w.close()
	var settle <-chan time.Time
	if w.follow(h.folders()) {
		settle = time.After(h.o.Settle) // what changed before it was watched
	}
	poll := time.NewTicker(h.o.Poll)
	defer poll.Stop()
	refresh := time.NewTimer(h.untilRefresh())
	defer refresh.Stop()
	forced := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.events():
			if settle == nil {
				settle = time.After(h.o.Settle)
			}
			continue
		case <-h.o.Again:
			forced = true
			if settle == nil {
				settle = time.After(h.o.Settle)
			}
			continue
		case <-settle:
			settle = nil
		case <-poll.C:
			forced = forced || h.Problem() != nil
		case <-refresh.C:
			forced = true
		}
		if forced || h.changed() {
			forced = false
			h.attempt(ctx)
			refresh.Reset(h.untilRefresh())
		}
		if w.follow(h.folders()) && settle == nil {
			settle = time.After(h.o.Settle)
		}
	}
}

func (h *Holder) attempt(ctx context.Context) {
	err := h.Load(ctx)
	if h.o.Told != nil && ctx.Err() == nil {
		h.o.Told(err)
	}
}

const (
	// never is longer than any process lives.
	never = 1 << 62
	// soon is how soon an attempt is repeated as long as everything is refused.
	soon = 5 * time.Second
)

func (h *Holder) untilRefresh() time.Duration {
	switch {
	case h.Grounds() == nil:
		return min(soon, h.o.Poll)
	case h.last.Refresh <= 0:
		return never
	}
	return h.last.Refresh
}

// changed reports whether a file holds something else than the last attempt read.
func (h *Holder) changed() bool {
	for path, d := range h.last.Files {
		if h.o.Read(path) != d {
			return true
		}
	}
	return false
}

// folders are those in which something is to be noticed.
func (h *Holder) folders() map[string]bool {
	out := map[string]bool{}
	for path := range h.last.Files {
		out[filepath.Dir(path)] = true
	}
	return out
}

// Over returns the policies that allow nothing at a moment, by the name that the
// configuration gives them, with why: they are over, or what they are asked under is.
func Over(g *gate.Grounds, at time.Time) map[string]error {
	out := map[string]error{}
	if g == nil {
		return out
	}
	for name, ground := range g.Policies {
		p := ground.Policy
		if !at.Before(p.Expires()) {
			out[name] = &attest.Refusal{Code: attest.CodePolicyExpired, About: name, Why: fmt.Sprintf("policy %s version %d expired at %s", p.Name(), p.Version(), p.Expires().UTC().Format(time.RFC3339)),
				Next: "review the policy, then publish a higher version with a later metadata.expires"}
		} else if err := ground.Trust.Stale(at); err != nil {
			out[name] = err
		}
	}
	return out
}

// Standing says for /readyz what keeps the gate from being asked, and what is wrong though
// it can be. Policies that are over refuse by themselves; only where all are, asking is of
// no use.
func (h *Holder) Standing() (missing, notes []string) {
	g, p := h.Grounds(), h.Problem()
	over := Over(g, h.o.Now())
	for _, name := range slices.Sorted(maps.Keys(over)) {
		notes = append(notes, over[name].Error())
	}
	if g != nil && len(over) > 0 && len(over) == len(g.Policies) {
		missing, notes = notes, nil
	}
	if p != nil {
		what := "not loaded at "
		if g != nil {
			what = "older grounds are in force: not loaded again at "
		}
		notes = append(notes, what+p.At.UTC().Format(time.RFC3339)+": "+p.Err.Error())
	}
	return missing, notes
}

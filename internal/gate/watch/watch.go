// Package watch looks again at what runs.
//
// Admission answers once, when something starts. What it rested on can end later: a
// model is revoked, an approval expires, a policy asks for more. A [Watcher] lists and
// watches the objects that can name models, as admission sees them, asks about each as
// if it were made anew, and tells what became of it: a metric and a line of a report for
// each workload, and a Kubernetes event when that changes. It stops nothing: what to do
// about a model that should no longer run is for people, who know what depends on it.
//
// # When
//
// Objects and questions are kept apart. What objects name comes to a number of questions,
// one for each artifact, policy and context, however many objects raise it. Each is asked
// when it is first raised, when policies or configuration change, and again and again
// with Options.Interval between one beginning and the next; evidence is looked up anew
// each time. There are no rounds: each answer counts from the moment it is there, and a
// registry that hangs has two questions under way at most, beside those of all others.
// So what is published is noticed within one interval and the time that one question may
// take. An answer that was not renewed for three intervals counts for nothing: what rests
// on it is undecided.
//
// # What runs
//
// Of a running container the kubelet tells which digest it started. Where an object names
// a tag, that digest is what is judged: the question is about what runs, and the tag may
// have moved since.
//
// # Time
//
// Intervals and ages are measured on the machine's own clock. The wall's clock can be set,
// and is only shown.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/record"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
)

const (
	// DefaultInterval leaves room for a slow answer within the minute in which a
	// revocation is to be noticed.
	DefaultInterval = 25 * time.Second
	// DefaultPatience is how long the first report waits for answers.
	DefaultPatience = time.Minute

	// lookEvery is how often what changed is looked at, and so the most that a report is
	// behind.
	lookEvery = 500 * time.Millisecond
	// takeEvery is how often it is seen what cannot be listed, if nothing changes.
	takeEvery = 5 * time.Second
	// outdated is after how many intervals an answer counts for nothing.
	outdated = 3
)

// Options are what a Watcher is made of. Grounds, Judge, Cluster and Log are required.
type Options struct {
	// Grounds are what is answered by now; nil if nothing is loaded yet.
	Grounds func() *gate.Grounds
	Judge   gate.Judge
	Cluster Cluster
	// Events hears of changes; nil: nobody does.
	Events record.EventRecorder
	// Interval is how often each question is asked again; 0 means DefaultInterval.
	Interval time.Duration
	// Patience is how long the first report waits until everything is answered; 0 means
	// DefaultPatience. What is not answered then is undecided.
	Patience time.Duration
	// Told gets each new report; it may be nil. It is not called concurrently, and what it
	// takes is time in which nothing is looked at.
	Told func(*Report)
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger
}

// A Watcher looks at what runs in one cluster. Make one with New.
type Watcher struct {
	Options
	admitter  *admit.Admitter
	asks      *inquiries
	inventory *inventory
	metrics   *metrics
	elapsed   func() time.Duration // the machine's own clock, since the start
	changed   atomic.Bool          // an object came, changed or went
	report    atomic.Pointer[Report]
	oldest    atomic.Int64 // when, in nanoseconds of elapsed, the oldest answer was looked for; -1: there is none

	// Only the loop of Run touches what follows.
	grounds *gate.Grounds
	loaded  time.Duration // since when there are grounds
	taken   time.Duration // when the objects were listed
	bodies  map[body]*view
	objects []object
	gaps    []Gap
	whole   bool
	news    bool // something is to be told
	told    time.Duration
	states  map[owner]*state
}

// New makes a Watcher. It asks nobody anything before Run.
func New(o Options) (*Watcher, error) {
	if o.Grounds == nil || o.Judge == nil || o.Cluster == nil || o.Log == nil {
		return nil, attest.Refuse(attest.CodeInternal, "a watcher without grounds, judge, cluster or log")
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	start := time.Now()
	w := &Watcher{Options: o, elapsed: func() time.Duration { return time.Since(start) }, bodies: map[body]*view{}, states: map[owner]*state{}}
	w.oldest.Store(-1)
	clock := func() time.Duration { return w.elapsed() }
	w.asks = &inquiries{
		judge: o.Judge, interval: o.Interval, elapsed: clock, now: func() time.Time { return o.Now().UTC().Truncate(time.Second) },
		panicked: func(what string) { o.Log.Error("a bug was caught", "panic", what) },
		all:      map[question]*inquiry{}, hosts: map[string]*host{}, tenants: map[string]int{}, replies: make(chan reply, askAtOnce),
	}
	w.inventory = &inventory{cluster: o.Cluster, elapsed: clock, changed: func() { w.changed.Store(true) }, failed: w.failed, watched: map[resource]*informer{}}
	w.admitter = admit.New(admit.Options{Judge: w.asks, Now: o.Now, Log: o.Log})
	w.metrics = newMetrics(w)
	return w, nil
}

// Report returns what was found last; nil before there is a first one.
func (w *Watcher) Report() *Report { return w.report.Load() }

// Collectors returns the watcher's metrics.
func (w *Watcher) Collectors() []prometheus.Collector { return w.metrics.collectors() }

func (w *Watcher) failed(r resource, err error) {
	w.metrics.failures.Inc()
	w.Log.Warn("watching failed, and is tried again", "resource", r.GroupVersionResource.String(), "error", attest.Printable(err.Error()))
}

// Run watches until ctx ends. What the cluster does not serve is looked for again; what
// it refuses to show is a gap in the report, and no reason to stop.
func (w *Watcher) Run(ctx context.Context) error {
	w.run(ctx, func() bool { return false })
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return context.Cause(ctx)
}

// Once looks once, and returns the first report. It is nil if ctx ends before.
func (w *Watcher) Once(ctx context.Context) *Report {
	w.run(ctx, func() bool { return w.Report() != nil })
	return w.Report()
}

// run goes on until ctx ends or done says so.
func (w *Watcher) run(ctx context.Context, done func() bool) {
	ctx, stop := context.WithCancel(logr.NewContextWithSlogLogger(ctx, w.Log)) // what client-go logs
	defer stop()
	grounds := make(chan *gate.Grounds, 1)
	go w.inventory.follow(ctx, grounds)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if g := w.Grounds(); g != nil {
			if g != w.grounds {
				w.begin(ctx, g, grounds)
			}
			w.step(ctx)
		}
		if done() {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case r := <-w.asks.replies:
				w.heard(r)
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// begin goes over to other grounds: everything is looked at and asked about anew.
func (w *Watcher) begin(ctx context.Context, g *gate.Grounds, follow chan *gate.Grounds) {
	if w.grounds == nil {
		w.loaded = w.elapsed()
	}
	w.grounds = g
	w.asks.begin(ctx)
	w.restale(func(*view) bool { return true })
	select {
	case <-follow: // those that nobody took yet
	default:
	}
	follow <- g
	w.changed.Store(true)
}

// restale marks what is to be looked at again.
func (w *Watcher) restale(which func(*view) bool) {
	for _, v := range w.bodies {
		v.stale = v.stale || which(v)
	}
}

// heard takes an answer, and makes room for the next question.
func (w *Watcher) heard(r reply) {
	if w.asks.heard(r) {
		for b := range r.bodies {
			if v := w.bodies[b]; v != nil {
				v.stale = true
			}
		}
	}
	w.asks.ask(w.limit())
}

// limit is how long one question may take.
func (w *Watcher) limit() time.Duration {
	if d := w.grounds.Config.Limits.Deadline; d > 0 {
		return d
	}
	return deadline
}

// step looks at what changed, asks what is due and tells what is new.
func (w *Watcher) step(ctx context.Context) {
	// Swapped before it is looked: what changes meanwhile is looked at next time.
	if now := w.elapsed(); w.changed.Swap(false) || !w.whole || now-w.taken >= takeEvery {
		w.taken = now
		w.take()
	}
	w.lookAgain(ctx)
	w.asks.ask(w.limit())
	w.oldest.Store(int64(w.asks.oldest()))
	w.settle()
}

// take lists the objects and gives each its body.
func (w *Watcher) take() {
	var gaps []Gap
	w.objects, gaps, w.whole = w.inventory.list(w.grounds.Config)
	w.gaps, w.news = gaps, true
	for _, v := range w.bodies {
		v.there = false
	}
	for _, o := range w.objects {
		b := o.body()
		if v := w.bodies[b]; v != nil {
			v.there = true
			continue
		}
		w.bodies[b] = &view{stale: true, there: true}
	}
	for b, v := range w.bodies {
		if !v.there {
			w.drop(b, v)
			delete(w.bodies, b)
		}
	}
}

func (o object) body() body { return body{o.resource, o.namespace, o.text} }

package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/reload"
	"github.com/pedigree-ml/pedigree/internal/gate/serve"
	"github.com/pedigree-ml/pedigree/internal/gate/watch"
)

type watchFlags struct {
	config, kubeconfig, metrics, report, output, logFormat, addressFile string

	interval, wait time.Duration
	once           bool
}

const (
	minInterval = time.Second
	maxInterval = time.Hour
	// A revocation is to be noticed within a minute, with the time that looking takes.
	longInterval = 45 * time.Second
)

func (a *app) gateWatchCommand() *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch --config FILE",
		Short: "look again at what runs in a cluster, and tell what should not",
		Long: `Lists and watches the objects of a Kubernetes cluster that can name models, as the
gate sees them when they are made, and asks about each model again and again: what was
allowed when it started may be revoked, expired, or not enough for the policy of today.
What became of each workload is told as metrics, as Kubernetes events when it changes,
and as a report. Nothing is stopped or changed.

Runs until it is told to stop (SIGTERM), and serves at --metrics (or listen.metrics of
the configuration) /metrics, /healthz, /readyz and /report. Configuration and policies
are loaded again when they change, as by the gate, and everything is judged anew then.

With --once it looks once, prints the report, and makes no events. Exit status: 0 if
everything is allowed, or accepted with a reason; 1 if something is denied, whatever the
mode of its rule; 3 if something is undecided or unrecognised, could not be listed, or
if nothing was found; 2 if configuration, policies, trust or kubeconfig are wrong.

The cluster is the one of --kubeconfig (its current context), or else the one in which
this runs as a pod; KUBECONFIG and ~/.kube/config are not looked at. A kubeconfig may
name a program that makes credentials, and that is run.`,
		Example: `  pedigree gate watch --config gate.yaml --metrics :9090
  pedigree gate watch --config gate.yaml --kubeconfig ~/.kube/config --once`,
		Args: arguments(),
		RunE: act(func(ctx context.Context, _ []string) error {
			return a.gateWatch(ctx, f)
		}),
	}
	fl := c.Flags()
	fl.StringVar(&f.config, "config", "", "the gate's configuration `FILE`")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "speak to the cluster of this `FILE`'s current context")
	fl.StringVar(&f.metrics, "metrics", "", "`HOST:PORT` of /metrics, /healthz, /readyz and /report, instead of the configuration's listen.metrics")
	fl.StringVar(&f.report, "report", "", "write the report as JSON to this `FILE`, whole, each time it changes")
	fl.DurationVar(&f.interval, "interval", watch.DefaultInterval, "how often each model is asked about again, 1s to 1h")
	fl.BoolVar(&f.once, "once", false, "look once, print the report and exit")
	fl.DurationVar(&f.wait, "wait", 5*time.Minute, "with --once, the longest to wait for answers")
	fl.StringVar(&f.output, "output", "text", "with --once, text or json")
	fl.StringVar(&f.logFormat, "log-format", "json", "json or text: how the log is written to standard error")
	fl.StringVar(&f.addressFile, "address-file", "", "write the address that it listens on to this `FILE`")
	required(c, "config")
	return c
}

func (a *app) checkWatch(f watchFlags) error {
	switch {
	case f.interval < minInterval || f.interval > maxInterval:
		return usage("--interval is %s, want 1s to 1h", f.interval)
	case f.wait <= 0:
		return usage("--wait is %s, want more than nothing", f.wait)
	case f.once && f.metrics != "":
		return usage("--once serves nothing: leave --metrics out")
	case !f.once && f.output != "text":
		return usage("--output is for --once; otherwise --report writes JSON")
	case a.offline:
		return usage("--offline asks nobody, and a cluster has to be asked")
	}
	return checkOutput(f.output)
}

// gateWatch watches until ctx ends, or looks once.
func (a *app) gateWatch(ctx context.Context, f watchFlags) error {
	if err := a.checkWatch(f); err != nil {
		return err
	}
	log, err := a.gateLog(f.logFormat)
	if err != nil {
		return err
	}
	if f.once {
		log = slog.New(slog.DiscardHandler) // what went wrong is in the report
	}
	c, err := a.gateConfig(f.config)
	if err != nil {
		return err
	}
	cluster, err := a.cluster(f.kubeconfig)
	if err != nil {
		return err
	}
	own := *c
	// Everything is looked up anew: to remember answers would be of no use.
	own.Cache = gate.Cache{Allow: -1, Deny: -1, Entries: 1, Bytes: 1 << 20}
	g := a.parts(&own, log)
	if err := a.openJudge(g, c.State); err != nil {
		return err
	}
	defer g.close()
	again, done := hangups(ctx)
	defer done()
	holder := a.holder(f.config, c, log, again, nil)
	o := watch.Options{Grounds: holder.Grounds, Judge: g.engine, Cluster: cluster, Interval: f.interval, Now: a.Now, Log: log}
	if f.once {
		o.Patience = f.wait
		return a.watchOnce(ctx, f, holder, o)
	}
	return a.watchOn(ctx, f, g, holder, o)
}

// watchOnce looks once and prints what it saw.
func (a *app) watchOnce(ctx context.Context, f watchFlags, h *reload.Holder, o watch.Options) error {
	if err := h.Load(ctx); err != nil {
		return err
	}
	w, err := watch.New(o)
	if err != nil {
		return err
	}
	r := w.Once(ctx)
	if r == nil {
		return &attest.Refusal{Code: attest.CodeInterrupted, About: f.config, Why: "it was stopped before it had looked", Err: context.Cause(ctx)}
	}
	if f.report != "" {
		if err := writeWatchReport(f.report, r); err != nil {
			return err
		}
	}
	if f.output == "json" {
		err = indentedJSON(a.Stdout, r)
	} else {
		err = watchText(a.Stdout, r)
	}
	if err != nil {
		return err
	}
	return answer(r.Outcome())
}

// watchOn watches until ctx ends.
func (a *app) watchOn(ctx context.Context, f watchFlags, g *runningGate, h *reload.Holder, o watch.Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	recorder, end := watch.NewRecorder(ctx, o.Cluster, "pedigree-watch", g.log)
	defer end()
	o.Events = recorder
	told := &toldReport{file: f.report, log: g.log}
	o.Told = told.tell
	w, err := watch.New(o)
	if err != nil {
		return err
	}
	for _, c := range w.Collectors() {
		g.registry.MustRegister(c)
	}
	g.registry.MustRegister(newPolicyMetrics(h.Grounds))
	side, err := a.watchSide(f, g, h, w, told)
	if err != nil {
		return err
	}
	if f.interval > longInterval {
		g.log.Warn("a revocation may take more than a minute to be noticed", "interval", f.interval.String())
	}
	failed := make(chan error, 1)
	var beside sync.WaitGroup
	if side != nil {
		beside.Go(func() {
			if err := side.Serve(ctx); err != nil {
				failed <- err
				stop()
			}
		})
	}
	// It serves before anything is loaded: so probes are told that it is not ready, and why.
	if err := h.Load(ctx); exitOf(attest.RefusalCode(err)) == exitUsage {
		stop()
		beside.Wait()
		return err
	}
	beside.Go(func() { h.Run(ctx) })
	err = w.Run(ctx)
	stop()
	beside.Wait()
	select {
	case err = <-failed:
	default:
	}
	return err
}

// watchSide opens what the watch serves; nil if it is not told to.
func (a *app) watchSide(f watchFlags, g *runningGate, h *reload.Holder, w *watch.Watcher, told *toldReport) (*serve.Side, error) {
	address := f.metrics
	if address == "" {
		address = g.config.Listen.Metrics
	}
	if address == "" {
		return nil, nil
	}
	side, err := serve.NewSide(serve.SideOptions{
		Address: address, Registry: g.registry, Log: g.log, Now: a.Now,
		Missing: func() []string {
			missing, _ := h.Standing()
			if w.Report() == nil {
				missing = append(missing, "what runs was not looked at yet")
			}
			return missing
		},
		Notes: func() []string { _, notes := h.Standing(); return notes },
		Pages: map[string]http.HandlerFunc{"/report": told.serve},
	})
	if err != nil {
		return nil, err
	}
	g.log.Info("serving", "address", side.Addr().String())
	if f.addressFile != "" {
		if err := replace(f.addressFile, []byte(side.Addr().String()+"\n")); err != nil {
			_ = side.Close()
			return nil, err
		}
	}
	return side, nil
}

// A toldReport passes the last report on.
type toldReport struct {
	file string
	log  *slog.Logger
	last atomic.Pointer[watch.Report]

	mu      sync.Mutex
	of      *watch.Report
	content []byte // of it, as JSON
}

// tell takes a new report.
func (t *toldReport) tell(r *watch.Report) {
	before := t.last.Swap(r)
	if before == nil || !slices.Equal(before.Gaps, r.Gaps) {
		for _, g := range r.Gaps {
			t.log.Warn("not looked at", "resource", g.Resource, "why", g.Why)
		}
	}
	if t.file == "" {
		return
	}
	if err := writeWatchReport(t.file, r); err != nil {
		t.log.Error("the report could not be written", "file", attest.Printable(t.file), "error", attest.Printable(err.Error()))
	}
}

// serve answers with the last report. It is written out once, however many ask.
func (t *toldReport) serve(w http.ResponseWriter, _ *http.Request) {
	r := t.last.Load()
	if r == nil {
		http.Error(w, "what runs was not looked at yet", http.StatusServiceUnavailable)
		return
	}
	t.mu.Lock()
	if t.of != r {
		var b bytes.Buffer
		if err := indentedJSON(&b, r); err != nil {
			t.mu.Unlock()
			http.Error(w, "the report cannot be written", http.StatusInternalServerError) // unreachable
			return
		}
		t.of, t.content = r, b.Bytes()
	}
	content := t.content
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // whoever asked is gone
}

func writeWatchReport(file string, r *watch.Report) error {
	var b bytes.Buffer
	if err := indentedJSON(&b, r); err != nil {
		return err
	}
	return replace(file, b.Bytes())
}

// replace writes a file whole or not at all: who reads it sees the old or the new.
func replace(file string, content []byte) error {
	aside := file + ".aside"
	if err := os.WriteFile(aside, content, 0o644); err != nil {
		return fileRefusal(aside, err)
	}
	if err := os.Rename(aside, file); err != nil {
		return fileRefusal(file, err)
	}
	return nil
}

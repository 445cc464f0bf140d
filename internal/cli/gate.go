package cli

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/internal/gate/reload"
	"github.com/pedigree-ml/pedigree/internal/gate/serve"
	"github.com/pedigree-ml/pedigree/internal/state"
)

// gateFlags are what the gate is started with; everything else is in its configuration.
type gateFlags struct {
	config, logFormat, addressFile string
}

func (a *app) gateCommand() *cobra.Command {
	var f gateFlags
	c := &cobra.Command{
		Use:   "gate --config FILE",
		Short: "answer over HTTP what verify answers, where models are deployed",
		Long: `Serves, until it is told to stop (SIGTERM), then answers what it was asked:

  POST /v1/verify   {"reference", "policy", "context"}: the bytes that
                    pedigree verify --output json writes; status 200 only for ALLOW,
                    403 DENY, 503 UNDECIDED, so that curl -f is a gate
  POST /admit       AdmissionReview v1, validating
  POST /mutate      AdmissionReview v1, pins tags to the digest that was judged
  GET  /healthz     the process lives
  GET  /readyz      it can be asked: policies, trust and certificates are loaded
  GET  /metrics     Prometheus, at an address of its own

What may be asked, by whom it is judged and where it listens is in the configuration
(docs/gate.md). That, the policies and what they name are loaded again when they
change, and on SIGHUP; what does not load leaves the older ones in force. Where to
listen, limits, state, cache and records hold until it is started again.

Exit status: 0 after it was told to stop; 2 if configuration, policies or trust are
wrong; 3 if an answer could not be given to the end.`,
		Example: "  pedigree gate --config gate.yaml",
		Args:    arguments(),
		RunE: act(func(ctx context.Context, _ []string) error {
			return a.gate(ctx, f)
		}),
	}
	c.Flags().StringVar(&f.config, "config", "", "the configuration `FILE`")
	c.Flags().StringVar(&f.logFormat, "log-format", "json", "json or text: how the log is written to standard error")
	c.Flags().StringVar(&f.addressFile, "address-file", "", "write the addresses that it listens on to this `FILE`: the service's and the metrics', one a line")
	required(c, "config")
	c.AddCommand(a.gateCheckCommand(), a.gateRecordsCommand(), a.gateSchemaCommand(), a.gateWatchCommand()) // no group: the gate itself takes flags
	return c
}

// gateLog writes to standard error, which is where a supervisor looks.
func (a *app) gateLog(format string) (*slog.Logger, error) {
	level := slog.LevelInfo
	if a.quiet {
		level = slog.LevelWarn
	}
	switch o := (&slog.HandlerOptions{Level: level}); format {
	case "json":
		return slog.New(slog.NewJSONHandler(a.Stderr, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(a.Stderr, o)), nil
	}
	return nil, usage("--log-format is %q, want json or text", format)
}

// gate runs until ctx ends and everything that was asked is answered.
func (a *app) gate(ctx context.Context, f gateFlags) error {
	log, err := a.gateLog(f.logFormat)
	if err != nil {
		return err
	}
	c, err := a.gateConfig(f.config)
	if err != nil {
		return err
	}
	defer a.paceGarbage(c)()
	// What is asked while the server drains is answered by the same parts as before, so
	// they end after it.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, err := a.openGate(work, c, log)
	if err != nil {
		return err
	}
	defer g.close()
	again, done := hangups(work)
	defer done()
	holder := a.holder(f.config, c, log, again, func(err error) { g.server.Reloaded(err) })
	if err := g.open(holder); err != nil {
		return err
	}
	if err := a.tellAddresses(f.addressFile, g.server); err != nil {
		return err
	}
	announce(log, c)
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(ctx) }()
	// It serves before anything is loaded: so probes are told that it is not ready, and
	// why, and everything else is refused.
	if err := holder.Load(ctx); exitOf(attest.RefusalCode(err)) == exitUsage {
		// What somebody wrote is wrong, and waiting does not mend it.
		_ = g.server.Close()
		<-served
		return err
	}
	var beside sync.WaitGroup
	for _, run := range append(g.background, holder.Run) {
		beside.Go(func() { run(work) })
	}
	err = <-served
	stop()
	beside.Wait()
	return err
}

// holder holds what a configuration file says and names, for a gate that was started
// with running.
func (a *app) holder(file string, running *gate.Config, log *slog.Logger, again <-chan struct{}, told func(error)) *reload.Holder {
	return reload.New(reload.Options{
		Load: func(ctx context.Context, before *gate.Grounds) (reload.Loaded, error) {
			l, err := a.loadGate(ctx, file, before, running)
			if err != nil {
				return l, err
			}
			tellLoaded(log, l.Grounds, before)
			return l, nil
		},
		Read: contentOf, Told: told, Again: again, Now: a.Now, Log: log,
	})
}

// tellLoaded logs what is new about grounds.
func tellLoaded(log *slog.Logger, next, before *gate.Grounds) {
	for _, name := range slices.Sorted(maps.Keys(next.Policies)) {
		g := next.Policies[name]
		if before != nil && before.Policies[name] != nil && before.Policies[name].Policy.Digest() == g.Policy.Digest() && before.Policies[name].Trust.Digest() == g.Trust.Digest() {
			continue
		}
		attrs := []any{"name", name, "policy", g.Policy.Name(), "version", g.Policy.Version(), "digest", g.Policy.Digest().String(), "expires", g.Policy.Expires().UTC().Format(time.RFC3339)}
		if g.Trust != nil {
			attrs = append(attrs, "trust", g.Trust.Digest().String())
		}
		if len(g.Notes) > 0 {
			attrs = append(attrs, "notes", attest.Printable(strings.Join(g.Notes, "; ")))
		}
		log.Info("policy", attrs...)
	}
	for name, err := range reload.Over(next, next.Loaded) {
		log.Error("refuses everything", "name", name, "code", string(attest.RefusalCode(err)), "error", err.Error())
	}
	if c := next.Config; before == nil || before.Config.Digest != c.Digest {
		for _, w := range c.Warnings {
			log.Warn("configuration", "warning", w)
		}
	}
}

// hold gives c what a gate that was started with running does not change while it runs: it
// opened its listeners, its state and its queue then. A warning says what would be new.
func hold(c, running *gate.Config) {
	var changed []string
	for _, p := range []struct {
		name string
		same bool
	}{
		{"listen", reflect.DeepEqual(running.Listen, c.Listen)},
		{"limits", running.Limits == c.Limits},
		{"registry.jobs", running.Registry.Jobs == c.Registry.Jobs},
		{"cache", running.Cache == c.Cache},
		{"state", running.State == c.State},
		{"records", reflect.DeepEqual(running.Records, c.Records)},
	} {
		if !p.same {
			changed = append(changed, p.name)
		}
	}
	c.Listen, c.Limits, c.Registry.Jobs, c.Cache, c.State, c.Records = running.Listen, running.Limits, running.Registry.Jobs, running.Cache, running.State, running.Records
	if len(changed) > 0 {
		c.Warnings = append(c.Warnings, "changed, and not in force before the gate is started again: "+strings.Join(changed, ", "))
	}
}

// announce logs what a gate that starts is to do.
func announce(log *slog.Logger, c *gate.Config) {
	for _, r := range c.Rules {
		log.Info("rule", "name", r.Name, "namespaces", strings.Join(r.Namespaces, " "), "mode", r.Mode.String(), "lines", len(r.Artifacts), "pin", r.Pin)
	}
	if len(c.Rules) == 0 {
		log.Info("there are no rules: /admit and /mutate refuse everything")
	}
}

// tellAddresses writes where the gate listens: a port 0 is chosen by the system.
func (a *app) tellAddresses(file string, s *serve.Server) error {
	if file == "" {
		return nil
	}
	text := s.Addr().String() + "\n"
	if m := s.MetricsAddr(); m != nil {
		text += m.String() + "\n"
	}
	return replace(file, []byte(text)) // who waits for the file reads it the moment it is there
}

// A runningGate is the parts of a gate.
type runningGate struct {
	config     *gate.Config
	log        *slog.Logger
	now        func() time.Time
	registry   *prometheus.Registry
	upstream   *judge.Upstream
	engine     *judge.Engine
	admitter   *admit.Admitter
	server     *serve.Server
	background []func(context.Context) // what runs beside the server
	closers    []func() error
}

func (a *app) parts(c *gate.Config, log *slog.Logger) *runningGate {
	return &runningGate{config: c, log: log, now: a.Now, registry: prometheus.NewRegistry()}
}

// openGate makes the parts that do not depend on the grounds.
func (a *app) openGate(ctx context.Context, c *gate.Config, log *slog.Logger) (*runningGate, error) {
	g := a.parts(c, log)
	if err := a.openJudge(g, c.State); err != nil {
		return nil, err
	}
	recorder, err := a.openRecords(ctx, g)
	if err != nil {
		return nil, err
	}
	g.admitter = admit.New(admit.Options{Judge: g.engine, Recorder: recorder, Now: a.Now, Log: log})
	for _, c := range g.admitter.Collectors() {
		g.registry.MustRegister(c)
	}
	return g, nil
}

// openJudge makes what judges: as verify does, with connections that are kept, and what is
// seen remembered in a folder ("" for none).
func (a *app) openJudge(g *runningGate, folder string) error {
	var remembered *state.Dir
	if folder != "" {
		d, err := state.Open(folder)
		if err != nil {
			return err
		}
		remembered = d
	}
	g.upstream = judge.NewUpstream(a.ociOptions(nil), g.config.Registry.Jobs)
	g.engine = judge.New(judge.Options{Open: g.upstream.Open, Now: a.Now, State: remembered, Cache: g.config.Cache, Limits: g.config.Limits, Log: g.log})
	for _, c := range slices.Concat(g.engine.Collectors(), g.upstream.Collectors()) {
		g.registry.MustRegister(c)
	}
	return nil
}

// open opens the listeners. Nothing is answered before Serve.
func (g *runningGate) open(h *reload.Holder) error {
	g.registry.MustRegister(newPolicyMetrics(h.Grounds))
	var err error
	g.server, err = serve.New(serve.Options{
		Config: g.config, Grounds: h.Grounds, Judge: g.engine, Admitter: g.admitter, Decode: admit.Decode,
		Standing: func() (missing, notes []string) { return h.Standing() }, Registry: g.registry, Log: g.log, Now: g.now,
	})
	if err == nil {
		g.closers = append(g.closers, g.server.Close)
	}
	return err
}

// close ends what is left, the latest first.
func (g *runningGate) close() {
	for _, c := range slices.Backward(g.closers) {
		_ = c() // the server was closed already, if it served
	}
	g.upstream.CloseIdleConnections()
}

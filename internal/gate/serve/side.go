package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// SideOptions make a [Side]. All but Pages are required.
type SideOptions struct {
	Address  string // HOST:PORT
	Registry *prometheus.Registry
	// Missing says what keeps the program from being ready, one line each, and Notes what
	// is wrong though it is.
	Missing, Notes func() []string
	// Pages are further paths. Their handlers see GET and HEAD alone.
	Pages map[string]http.HandlerFunc
	Log   *slog.Logger
	Now   func() time.Time
}

// A Side serves /metrics, /healthz and /readyz in plain HTTP for a program that answers
// nothing else: to few at once, as the gate's own metrics are.
type Side struct {
	door   *door
	server *http.Server
}

// NewSide opens the listener. An error is an *attest.Refusal.
func NewSide(o SideOptions) (*Side, error) {
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, cannotListen(o.Address, err)
	}
	o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	strangers := &serverLog{log: o.Log, now: o.Now, dropped: func() {}}
	side := &Side{door: newDoor(l, maxScrapers, nil, strangers, func(string) {})}
	s := &Server{
		strangers: strangers,
		standing:  func() (missing, notes []string) { return o.Missing(), o.Notes() },
	}
	p := paths{
		"/healthz": reading(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })),
		"/readyz": reading(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if missing := o.Missing(); len(missing) > 0 {
				say(w, http.StatusServiceUnavailable, "not ready: "+shown(strings.Join(missing, "; "))+"\n"+s.notes())
				return
			}
			say(w, http.StatusOK, "ready\n"+s.notes())
		})),
		"/metrics": reading(promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
			Registry: o.Registry, MaxRequestsInFlight: 4, Timeout: writeTime, ErrorHandling: promhttp.HTTPErrorOnError,
		})),
	}
	for path, h := range o.Pages {
		p[path] = reading(h)
	}
	side.server = s.base(p.or(http.NotFound), side.door)
	side.server.WriteTimeout = bodyTime + 2*writeTime
	return side, nil
}

// Addr returns where it listens.
func (s *Side) Addr() net.Addr { return s.door.Addr() }

// Close ends it at once. Whoever does not call Serve calls Close.
func (s *Side) Close() error {
	err := s.door.Close()
	s.server.Close()
	return err
}

// Serve answers until ctx ends.
func (s *Side) Serve(ctx context.Context) error {
	defer s.Close()
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.door) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if err := s.server.Shutdown(last); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

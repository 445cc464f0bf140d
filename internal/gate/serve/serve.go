package serve

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// An Admitter answers admission reviews. It answers before ctx ends; what it answers later
// is dropped. Its nil, like its panic, refuses.
type Admitter interface {
	Review(ctx context.Context, g *gate.Grounds, r *admissionv1.AdmissionRequest, mutate bool) *admissionv1.AdmissionResponse
}

// Options are what a server is made of. All but Registry and Now are required.
type Options struct {
	// Config is where to listen, and the limits. Both hold until the server ends,
	// whatever later Grounds say.
	Config *gate.Config
	// Grounds returns what answers rest on: nil as long as nothing is loaded.
	Grounds  func() *gate.Grounds
	Judge    gate.Judge
	Admitter Admitter
	// Decode reads a review. With an error it returns nil, or a review of which only the
	// uid is used.
	Decode func(body []byte) (*admissionv1.AdmissionReview, error)
	// Standing says what keeps the gate from being asked, beside what the server knows
	// itself, and what is wrong though it can be asked: both for /readyz, one line each.
	// Nil: nothing.
	Standing func() (missing, notes []string)
	Registry *prometheus.Registry // nil: one of its own
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// What bounds a connection beside the configuration.
const (
	headerTime = 5 * time.Second // for a request's header
	bodyTime   = 5 * time.Second // for header and body: 7 MiB need 12 Mbit/s
	idleTime   = 2 * time.Minute // API servers close idle connections after 90s
	writeTime  = 5 * time.Second // for an answer, after the deadline

	// maxStreams is how many requests one HTTP/2 connection has open. Go's clients, the
	// API server among them, open another connection for more.
	maxStreams = 250
	// Per connection and per stream, what is received before anybody reads it.
	connectionBuffer = 512 << 10
	streamBuffer     = 64 << 10
)

// A Server answers questions over HTTP. Make one with New.
type Server struct {
	listen   gate.Listen
	limits   gate.Limits
	grounds  func() *gate.Grounds
	standing func() (missing, notes []string)
	judge    gate.Judge
	admitter Admitter
	decode   func([]byte) (*admissionv1.AdmissionReview, error)
	log      *slog.Logger
	now      func() time.Time

	certs     *certs // nil: plain HTTP
	door      *door
	back      *door // to the metrics; nil: there are none
	queue     *queue
	reading   *budget
	metrics   *metrics
	strangers *serverLog // for what connections make us say
	service   *http.Server
	metering  *http.Server
	draining  atomic.Bool
}

// New opens the listeners, so that Addr and MetricsAddr can be asked, and answers nothing
// before Serve is called. Whoever does not call Serve calls Close. An error is an
// *attest.Refusal.
func New(o Options) (*Server, error) {
	s := &Server{
		listen: o.Config.Listen, limits: withDefaults(o.Config.Limits), grounds: o.Grounds, standing: o.Standing,
		judge: o.Judge, admitter: o.Admitter, decode: o.Decode, log: o.Log, now: o.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.listen.Drain == 0 {
		s.listen.Drain = 5 * time.Second
	}
	if err := checkListen(s.listen); err != nil {
		return nil, err
	}
	s.queue = newQueue(queueBounds(s.limits))
	s.reading = newBudget(readingBytes(s.limits), readingBytes(s.limits)/2)
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	var err error
	if s.metrics, err = newMetrics(o.Registry, s); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeInternal, Why: "the registry has metrics of the server already", Err: err}
	}
	if s.listen.Certificate != "" {
		s.certs = &certs{listen: s.listen, now: s.now, log: s.log, count: func(result string) { s.metrics.certLoads.WithLabelValues(result).Inc() }}
		s.certs.reread() // what is not there yet may come: until then nobody gets in
	}
	s.strangers = &serverLog{log: s.log, now: s.now, dropped: s.metrics.logDropped.Inc}
	if err := s.open(); err != nil {
		return nil, err
	}
	s.service = s.serviceServer()
	if s.back != nil {
		s.metering = s.metricsServer(o.Registry)
	}
	return s, nil
}

// open opens the listeners.
func (s *Server) open() error {
	l, err := net.Listen("tcp", s.listen.Address)
	if err != nil {
		return cannotListen(s.listen.Address, err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); s.certs == nil && (!ok || !a.IP.IsLoopback()) {
		l.Close()
		return &attest.Refusal{Code: attest.CodeUsage, About: s.listen.Address, Why: "plain HTTP is for loopback alone", Next: "name listen.certificate and listen.key, or listen on 127.0.0.1"}
	}
	closed := func(reason string) { s.metrics.closed.WithLabelValues(reason).Inc() }
	if s.listen.Metrics != "" {
		m, err := net.Listen("tcp", s.listen.Metrics)
		if err != nil {
			l.Close()
			return cannotListen(s.listen.Metrics, err)
		}
		s.back = newDoor(m, maxScrapers, nil, s.strangers, closed)
	}
	s.door = newDoor(l, s.limits.Connections, s.certs, s.strangers, closed)
	return nil
}

func cannotListen(address string, err error) error {
	return &attest.Refusal{Code: attest.CodeUsage, About: address, Why: "cannot listen there", Next: "name an address of this machine that is free", Err: err}
}

// serviceServer is the server that clients talk to.
func (s *Server) serviceServer() *http.Server {
	p := s.health()
	p["/v1/verify"] = s.handler(verifyHandler, maxQuestion, s.verify)
	p["/admit"] = s.handler(admitHandler, s.limits.Body, s.review(false))
	p["/mutate"] = s.handler(mutateHandler, s.limits.Body, s.review(true))
	h := s.base(p.or(s.notFound), s.door)
	h.WriteTimeout = bodyTime + s.limits.Deadline + writeTime
	return h
}

// metricsServer is the server that is scraped, for few.
func (s *Server) metricsServer(r *prometheus.Registry) *http.Server {
	p := s.health()
	p["/metrics"] = reading(promhttp.HandlerFor(r, promhttp.HandlerOpts{
		Registry: r, MaxRequestsInFlight: 4, Timeout: writeTime, ErrorHandling: promhttp.HTTPErrorOnError,
	}))
	h := s.base(p.or(http.NotFound), s.back)
	h.WriteTimeout = bodyTime + 2*writeTime
	return h
}

// paths are handlers by the path that a request must have exactly, as it is sent: nothing
// is unescaped or cleaned, and nobody is sent elsewhere. A proxy that keeps some clients
// from /v1/verify does not keep them from another spelling of it.
type paths map[string]http.Handler

func (p paths) or(other http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := p[r.URL.EscapedPath()]; ok {
			h.ServeHTTP(w, r)
			return
		}
		other(w, r)
	})
}

// base is what both servers have in common.
func (s *Server) base(h http.Handler, d *door) *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true) // after a TLS handshake; in the clear it is not spoken
	return &http.Server{
		Handler: h, Protocols: &p,
		ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10,
			MaxReceiveBufferPerConnection: connectionBuffer, MaxReceiveBufferPerStream: streamBuffer,
			SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: writeTime,
		},
		ErrorLog:  log.New(s.strangers, "", 0),
		ConnState: d.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, visitKey{}, visitOf(c))
		},
	}
}

// Addr returns the address of the service.
func (s *Server) Addr() net.Addr { return s.door.Addr() }

// MetricsAddr returns the address of the metrics, nil if there are none.
func (s *Server) MetricsAddr() net.Addr {
	if s.back == nil {
		return nil
	}
	return s.back.Addr()
}

// Reloaded counts an attempt to load the grounds again, and whether it failed.
func (s *Server) Reloaded(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	s.metrics.reloads.WithLabelValues(result).Inc()
}

// Close ends everything at once.
func (s *Server) Close() error {
	err := s.door.Close()
	s.service.Close()
	if s.metering != nil {
		s.back.Close()
		s.metering.Close()
	}
	return err
}

// Serve answers until ctx ends. Then it is not ready any more, but goes on answering for
// Listen.Drain, so that whoever routes to it has time to stop; then it closes the
// listeners and idle connections and answers what it was asked. It returns nil when all
// was answered, and an error if a listener failed or answers took longer than their
// deadline.
func (s *Server) Serve(ctx context.Context) error {
	defer s.Close()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if s.certs != nil {
		go s.certs.watch(work)
	}
	failed := make(chan error, 2)
	go func() { failed <- s.service.Serve(s.door) }()
	if s.metering != nil {
		go func() { failed <- s.metering.Serve(s.back) }()
	}
	s.log.Info("serving", "address", s.Addr().String(), "tls", s.certs != nil, "clients", s.listen.ClientCA != "")
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.log.Info("draining", "for", s.listen.Drain.String())
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-time.After(s.listen.Drain):
	}
	last, cancel := context.WithTimeout(work, s.limits.Deadline+writeTime)
	defer cancel()
	err := s.service.Shutdown(last)
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	s.log.Info("drained", "whole", err == nil)
	return err
}

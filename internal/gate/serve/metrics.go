package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// A metricRow is one metric of the server.
type metricRow struct {
	name, kind string
	labels     []string
	help       string
}

// prefix begins the name of every metric of the gate.
const prefix = "pedigree_gate_"

// metricRows are the server's metrics. No label's values come from outside.
var metricRows = [...]metricRow{
	rowRequests:    {"requests_total", "counter", []string{"handler", "outcome", "code"}, "Requests by handler (verify, admit, mutate), outcome (ALLOW, DENY, UNDECIDED) and code: the HTTP status, or of a review the code in its response."},
	rowDuration:    {"request_duration_seconds", "histogram", []string{"handler", "outcome"}, "Time from the first byte of a request's header that the handler saw to its last byte of answer. Classic buckets, and native ones."},
	rowRefused:     {"refused_total", "counter", []string{"reason"}, "Requests that were refused without asking the judge, or in whose place the server answered, by reason."},
	rowPanics:      {"panics_total", "counter", nil, "Bugs that were caught: each is logged with its stack."},
	rowLate:        {"late_answers_total", "counter", nil, "Answers that came after the deadline, and were dropped."},
	rowWrites:      {"write_errors_total", "counter", nil, "Answers that could not be written: the client was gone."},
	rowInFlight:    {"in_flight", "gauge", nil, "Requests that are being answered."},
	rowRunning:     {"running", "gauge", nil, "Questions that are worked on, those whose deadline is over included."},
	rowWaiting:     {"waiting", "gauge", nil, "Questions that wait for their turn."},
	rowConnections: {"connections", "gauge", nil, "Open connections to the service."},
	rowClosed:      {"connections_closed_total", "counter", []string{"reason"}, "Connections that the gate closed: handshake (no TLS 1.3, no client certificate that is trusted), room (idle, for a new one), full (no room could be made)."},
	rowReady:       {"ready", "gauge", nil, "1 if /readyz says ready."},
	rowLoaded:      {"grounds_loaded_timestamp_seconds", "gauge", nil, "When the configuration, policies and trust that answers rest on were loaded; 0 before."},
	rowReloads:     {"reloads_total", "counter", []string{"result"}, "Attempts to load configuration, policies and trust again, by result (ok, error)."},
	rowCertLoads:   {"certificate_reloads_total", "counter", []string{"result"}, "Certificate files that changed and were read, by result (ok, error). After an error the older ones stay in use."},
	rowCertExpiry:  {"certificate_expiry_timestamp_seconds", "gauge", nil, "When the gate's own certificate expires; 0 without one."},
	rowLogDropped:  {"log_lines_dropped_total", "counter", nil, "Lines of the HTTP server about its connections that were not logged because there were too many."},
}

// The rows by name.
const (
	rowRequests = iota
	rowDuration
	rowRefused
	rowPanics
	rowLate
	rowWrites
	rowInFlight
	rowRunning
	rowWaiting
	rowConnections
	rowClosed
	rowReady
	rowLoaded
	rowReloads
	rowCertLoads
	rowCertExpiry
	rowLogDropped
)

// The reasons of refused_total.
const (
	reasonNotFound = "not_found"  // no such path
	reasonMethod   = "method"     // not POST
	reasonType     = "media_type" // not application/json, or encoded
	reasonLength   = "length"     // no Content-Length
	reasonTooLarge = "too_large"  // more than limits.body
	reasonCutShort = "cut_short"  // the body ended early, or did not come in time
	reasonMalform  = "malformed"  // the body or the query is none that is read
	reasonReading  = "reading"    // too many bytes are being read
	reasonFull     = "full"       // the queue is full
	reasonTenant   = "tenant"     // too much of one tenant waits
	reasonClient   = "client"     // the client's certificate does not count any more
	reasonNotReady = "not_ready"  // nothing is loaded yet
	reasonDeadline = "deadline"   // no answer in time
	reasonGone     = "gone"       // the client did not wait
	reasonPanic    = "panic"      // a bug
)

// reasons are what refused_total can say, with their meaning.
var reasons = [...][2]string{
	{reasonNotFound, "no such path"},
	{reasonMethod, "another method than the path has"},
	{reasonType, "another Content-Type than application/json, or a Content-Encoding"},
	{reasonLength, "no Content-Length"},
	{reasonTooLarge, "a body of more than limits.body"},
	{reasonCutShort, "a body that ended before its length, or did not come in time"},
	{reasonMalform, "a body or query that is not what is asked"},
	{reasonReading, "too many bytes of bodies at once, of this client or of all"},
	{reasonFull, "too many questions wait"},
	{reasonTenant, "too many questions of this tenant wait"},
	{reasonClient, "a client whose certificate expired, or whose authority is not trusted any more"},
	{reasonNotReady, "policies and trust are not loaded yet"},
	{reasonDeadline, "no answer in time"},
	{reasonGone, "the client went away before there was an answer"},
	{reasonPanic, "a bug was caught"},
}

// Reasons lists what refused_total can say with what each of them means, for the docs.
func Reasons() [][2]string { return reasons[:] }

// metrics are what the server counts.
type metrics struct {
	requests, refused, closed, reloads, certLoads *prometheus.CounterVec
	duration                                      *prometheus.HistogramVec
	panics, late, writes, logDropped              prometheus.Counter
	inFlight                                      prometheus.Gauge
}

// buckets lie around what is promised: 5 ms warm, 250 ms cold, 9 s at most.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 9.5}

// newMetrics registers the server's metrics, and those of process and runtime. It returns
// an error if r has some of them already.
func newMetrics(r *prometheus.Registry, s *Server) (*metrics, error) {
	var err error
	add := func(c prometheus.Collector) {
		if e := r.Register(c); e != nil && err == nil {
			err = e
		}
	}
	counters := func(i int) *prometheus.CounterVec {
		row := metricRows[i]
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + row.name, Help: row.help}, row.labels)
		add(c)
		return c
	}
	gauge := func(i int, f func() float64) {
		row := metricRows[i]
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + row.name, Help: row.help}, f))
	}
	m := &metrics{
		requests: counters(rowRequests), refused: counters(rowRefused), closed: counters(rowClosed),
		reloads: counters(rowReloads), certLoads: counters(rowCertLoads),
		panics: counters(rowPanics).WithLabelValues(), late: counters(rowLate).WithLabelValues(),
		writes: counters(rowWrites).WithLabelValues(), logDropped: counters(rowLogDropped).WithLabelValues(),
	}
	for _, r := range reasons {
		m.refused.WithLabelValues(r[0]) // an alert on what never happened sees 0, not nothing
	}
	row := metricRows[rowDuration]
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + row.name, Help: row.help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, row.labels)
	add(m.duration)
	row = metricRows[rowInFlight]
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + row.name, Help: row.help})
	add(m.inFlight)
	gauge(rowRunning, func() float64 { n, _ := s.queue.counts(); return float64(n) })
	gauge(rowWaiting, func() float64 { _, n := s.queue.counts(); return float64(n) })
	gauge(rowConnections, func() float64 { return float64(s.door.connections()) })
	gauge(rowReady, func() float64 {
		if len(s.missing()) == 0 {
			return 1
		}
		return 0
	})
	gauge(rowLoaded, func() float64 {
		if g := s.grounds(); g != nil {
			return float64(g.Loaded.Unix())
		}
		return 0
	})
	gauge(rowCertExpiry, s.expiry)
	add(collectors.NewGoCollector())
	add(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, err
}

// expiry returns when the gate's own certificate expires, in seconds since 1970.
func (s *Server) expiry() float64 {
	if s.certs == nil {
		return 0
	}
	id := s.certs.current.Load()
	if id == nil {
		return 0
	}
	return float64(id.leaf.NotAfter.Unix())
}

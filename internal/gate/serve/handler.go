package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// The handlers, as they are called in metrics and in the log.
const (
	verifyHandler = "verify"
	admitHandler  = "admit"
	mutateHandler = "mutate"
)

// A question is a request that was read whole.
type question struct {
	handler string
	client  string // who asks
	body    []byte
	read    func() // the body was made sense of, and counts no more among those being read
}

// A reply is what is written to a request. The zero reply is a bug, and is written as one.
type reply struct {
	status int
	header [][2]string
	body   []byte
	// What is counted and logged: the outcome that the asker reads, the code (of a review
	// that of its response), and why the server answered in the judge's place.
	outcome policy.Outcome
	code    int
	reason  string // one of reasons; "" if the judge answered
	log     []slog.Attr
	quiet   bool // whoever answered has logged it
}

// outcomeHeader is in every answer that is no review: scripts read it without a parser.
const outcomeHeader = "Pedigree-Outcome"

// A failure is why the server answers itself.
type failure struct {
	status  int
	reason  string
	refusal *attest.Refusal
}

func fail(status int, reason string, code attest.Code, why, next string) *failure {
	return &failure{status, reason, &attest.Refusal{Code: code, Why: why, Next: next}}
}

// overload is the failure of somebody who may come again in a second.
func overload(reason, why string) *failure {
	return fail(http.StatusTooManyRequests, reason, attest.CodeOverload, why, "ask again in "+retryAfter+"s")
}

// retryAfter is in how many seconds it is worth asking again: what was undecided is
// remembered for no longer than a few.
const retryAfter = "1"

func byteCount(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }

// handler answers requests to one path with f, which is called with the whole body, and
// with a context that ends when an answer must be on its way.
func (s *Server) handler(name string, limit int64, f func(context.Context, *question) *reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		client := clientOf(r)
		re := s.caught(name, func() *reply { return s.answer(w, r, &question{handler: name, client: client}, limit, f) })
		took := s.now().Sub(start)
		s.write(w, r, re)
		s.metrics.requests.WithLabelValues(name, re.outcome.String(), strconv.Itoa(re.code)).Inc()
		s.metrics.duration.WithLabelValues(name, re.outcome.String()).Observe(took.Seconds())
		if re.reason != "" {
			s.metrics.refused.WithLabelValues(re.reason).Inc()
		}
		s.line(name, client, took, re)
	})
}

// answer checks what can be checked without the body, reads the body, and asks f.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, q *question, limit int64, f func(context.Context, *question) *reply) *reply {
	if r.Method != http.MethodPost {
		re := fail(http.StatusMethodNotAllowed, reasonMethod, attest.CodeUsage, "only POST asks", "").reply()
		re.header = append(re.header, [2]string{"Allow", http.MethodPost})
		return re
	}
	if !isJSON(r.Header["Content-Type"]) {
		return fail(http.StatusUnsupportedMediaType, reasonType, attest.CodeUsage, "the body is not said to be JSON", "send Content-Type: application/json").reply()
	}
	if !isPlain(r.Header["Content-Encoding"]) {
		return fail(http.StatusUnsupportedMediaType, reasonType, attest.CodeUsage, "the body is encoded", "send it without Content-Encoding").reply()
	}
	if v, _ := r.Context().Value(visitKey{}).(*visit); s.certs != nil && (v == nil || !s.certs.stillVouched(v.under, v.chain)) {
		return fail(http.StatusForbidden, reasonClient, attest.CodeUsage, "the client's certificate does not count any more", "connect again with a new one").reply()
	}
	budget, bad := s.budget(r.URL.RawQuery)
	if bad != nil {
		return bad.reply()
	}
	ctx, cancel := context.WithTimeout(r.Context(), budget)
	defer cancel()
	var short *failure
	if q.body, short = s.body(w, r, q.client, limit); short != nil {
		return short.reply()
	}
	q.read = sync.OnceFunc(func() { s.reading.give(q.client, int64(len(q.body))) })
	defer q.read()
	return f(ctx, q)
}

// budget returns how long an answer may take: what the configuration says, and of what the
// client says that it waits (?timeout=10s, as API servers write it) half a second less, or
// half of it if that is all.
func (s *Server) budget(query string) (time.Duration, *failure) {
	if query == "" {
		return s.limits.Deadline, nil
	}
	bad := fail(http.StatusBadRequest, reasonMalform, attest.CodeUsage, "the query is not timeout=DURATION", "write ?timeout=10s, or nothing")
	const key = "timeout="
	if len(query) > 64 || len(query) < len(key) || query[:len(key)] != key {
		return 0, bad
	}
	d, err := time.ParseDuration(query[len(key):])
	if err != nil || d <= 0 {
		return 0, bad
	}
	return min(s.limits.Deadline, max(d-500*time.Millisecond, d/2)), nil
}

// reply renders a failure to whoever does not ask for a review.
func (f *failure) reply() *reply {
	return &reply{
		status: f.status, code: f.status, outcome: policy.Undecided, reason: f.reason,
		body: errorBody(policy.Undecided, f.refusal), log: refusalAttrs(f.refusal),
		header: [][2]string{{outcomeHeader, policy.Undecided.String()}},
	}
}

// The body of an answer without a verdict.
type errorDoc struct {
	Outcome policy.Outcome `json:"outcome"`
	Error   errorPart      `json:"error"`
}

type errorPart struct {
	Code  attest.Code `json:"code"`
	About string      `json:"about,omitempty"`
	Why   string      `json:"why"`
	Next  string      `json:"next,omitempty"`
}

func errorBody(o policy.Outcome, r *attest.Refusal) []byte {
	b, err := json.Marshal(errorDoc{o, errorPart{r.Code, shown(r.About), shown(r.Why), shown(r.Next)}})
	if err != nil {
		return []byte(`{"outcome":"UNDECIDED","error":{"code":"E_INTERNAL","why":"a bug was caught"}}` + "\n") // unreachable
	}
	return append(b, '\n')
}

// caught calls f; its panic is a refusal, and logged.
func (s *Server) caught(name string, f func() *reply) (re *reply) {
	defer func() {
		if p := recover(); p != nil {
			re = s.panicked(name, p).reply()
		}
	}()
	return f()
}

// panicked counts and logs a bug. What was panicked with may hold anything that came from
// outside, so the log has its first line only, and the stack, which has no values.
func (s *Server) panicked(name string, p any) *failure {
	s.metrics.panics.Inc()
	what := "of another type"
	switch p := p.(type) {
	case error:
		what = p.Error()
	case string:
		what = p
	}
	s.log.LogAttrs(context.Background(), slog.LevelError, "a bug was caught", slog.String("handler", name),
		slog.String("panic", shown(what)), slog.String("stack", gate.Clip(string(debug.Stack()), 16<<10)))
	return fail(http.StatusInternalServerError, reasonPanic, attest.CodeInternal, "a bug was caught", "report it with the lines in the gate's log")
}

// notFound answers all other paths.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	re := fail(http.StatusNotFound, reasonNotFound, attest.CodeUsage, "there is nothing here", "").reply()
	s.write(w, r, re)
	s.metrics.refused.WithLabelValues(re.reason).Inc()
	s.line("none", clientOf(r), 0, re)
}

// write writes a reply. That the client is gone is counted and no more.
func (s *Server) write(w http.ResponseWriter, r *http.Request, re *reply) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(re.body))}
	for _, kv := range re.header {
		h[kv[0]] = []string{kv[1]}
	}
	if re.status == http.StatusTooManyRequests || re.status == http.StatusServiceUnavailable {
		h["Retry-After"] = retry
	}
	if s.ends(r, re) {
		h["Connection"] = closing
	}
	w.WriteHeader(re.status)
	if _, err := w.Write(re.body); err != nil {
		s.metrics.writes.Inc()
	}
}

// ends reports whether a connection ends with this reply: so that its client comes back to
// a gate that stays, or with another certificate; and over HTTP/1 whenever the server
// refuses a body that may not have been read to its end.
func (s *Server) ends(r *http.Request, re *reply) bool {
	if s.draining.Load() || re.reason == reasonClient {
		return true
	}
	switch re.reason {
	case reasonLength, reasonTooLarge, reasonCutShort, reasonReading, reasonMethod, reasonType, reasonMalform, reasonNotFound:
		return r.ProtoMajor == 1
	}
	return false
}

// Values of headers, which nobody changes.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
	retry    = []string{retryAfter}
	closing  = []string{"close"}
)

// line logs one reply.
func (s *Server) line(name, client string, took time.Duration, re *reply) {
	if re.quiet {
		return
	}
	level := slog.LevelInfo
	if re.reason != "" {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 6+len(re.log))
	attrs = append(attrs, slog.String("handler", name), slog.String("client", shown(client)), slog.String("outcome", re.outcome.String()),
		slog.Int("status", re.code), slog.Duration("duration", took))
	if re.reason != "" {
		attrs = append(attrs, slog.String("reason", re.reason))
	}
	s.log.LogAttrs(ctx, level, "request", append(attrs, re.log...)...)
}

// refusalAttrs are what the log says of a refusal. Of its cause it says only what kind it
// is: its text is written by whoever answered upstream.
func refusalAttrs(r *attest.Refusal) []slog.Attr {
	attrs := []slog.Attr{slog.String("code", string(r.Code)), slog.String("why", shown(r.Why))}
	if r.About != "" {
		attrs = append(attrs, slog.String("about", shown(r.About)))
	}
	if c := cause(r.Err); c != "" {
		attrs = append(attrs, slog.String("cause", c))
	}
	return attrs
}

// cause names the kind of an error that is no refusal.
func cause(err error) string {
	var timeout interface{ Timeout() bool }
	var inner *attest.Refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &inner):
		return string(inner.Code) + ": " + shown(inner.Why)
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return kindOf(err)
}

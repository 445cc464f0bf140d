package judge

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

const (
	// DefaultJobs is how many requests run at once to one registry: two walks' worth.
	DefaultJobs = 32
	// maxIdle is how many connections are kept open that nobody uses, to all registries.
	maxIdle = 128

	// What a registry may take for one thing. A question has nine seconds for all.
	dialTime   = 3 * time.Second
	tlsTime    = 3 * time.Second
	headerTime = 8 * time.Second
	idleTime   = 90 * time.Second
)

// An Upstream opens repositories that share their connections, and counts what is
// asked of them.
type Upstream struct {
	options  oci.Options
	inner    http.RoundTripper
	requests atomic.Int64
	failures atomic.Int64
}

// NewUpstream returns an Upstream for repositories with the given options. If their
// Transport is nil, it is one with at most jobs connections to one host; 0 jobs are
// DefaultJobs.
func NewUpstream(o oci.Options, jobs int) *Upstream {
	if jobs <= 0 {
		jobs = DefaultJobs
	}
	u := &Upstream{options: o, inner: o.Transport}
	if u.inner == nil {
		u.inner = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          maxIdle,
			MaxIdleConnsPerHost:   jobs,
			MaxConnsPerHost:       jobs,
			IdleConnTimeout:       idleTime,
			TLSHandshakeTimeout:   tlsTime,
			ResponseHeaderTimeout: headerTime,
			ExpectContinueTimeout: time.Second,
		}
	}
	u.options.Transport = u
	return u
}

// Open opens a repository: it is for Options.Open.
func (u *Upstream) Open(r attest.Repository) (*oci.Repository, error) { return oci.Open(r, u.options) }

// Requests returns how many requests were sent, and how many of them had no answer.
func (u *Upstream) Requests() (sent, failed int64) { return u.requests.Load(), u.failures.Load() }

// RoundTrip sends one request.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.requests.Add(1)
	resp, err := u.inner.RoundTrip(r)
	if err != nil {
		u.failures.Add(1)
	}
	return resp, err
}

// CloseIdleConnections closes connections that nobody uses.
func (u *Upstream) CloseIdleConnections() {
	if c, ok := u.inner.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

const (
	// maxOpen is how many repositories stay open: some hundred bytes and a token each.
	maxOpen = 1024
	// openFor is how long one stays open. It holds the credentials that it was opened
	// with, and those change.
	openFor = 10 * time.Minute
	// doubtAfter is how old one must be for a failure to close it. Sooner, whoever can
	// make a registry fail would have us fetch tokens without end.
	doubtAfter = 30 * time.Second
)

// repositories are open: to open one costs a round trip to ask how to authenticate,
// and one for a token.
type repositories struct {
	open func(attest.Repository) (*oci.Repository, error)
	now  func() time.Duration

	mu   sync.Mutex
	list map[attest.Repository]opened
}

type opened struct {
	*oci.Repository
	since time.Duration
}

func (r *repositories) get(ref attest.Repository) (*oci.Repository, error) {
	if r.open == nil {
		return nil, attest.Refuse(attest.CodeInternal, "nobody said how to open a repository")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if o, ok := r.list[ref]; ok && now-o.since < openFor {
		return o.Repository, nil
	}
	repo, err := r.open(ref)
	if err != nil {
		return nil, err
	}
	if repo == nil {
		return nil, attest.Refuse(attest.CodeInternal, "%s was opened, and nothing came of it", ref)
	}
	if r.list == nil || len(r.list) >= maxOpen {
		r.list = map[attest.Repository]opened{} // rare; what is used is opened again
	}
	r.list[ref] = opened{repo, now}
	return repo, nil
}

// doubt closes repositories of which one could not be asked: credentials may be old.
func (r *repositories) doubt(refs ...attest.Repository) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		if o, ok := r.list[ref]; ok && r.now()-o.since >= doubtAfter {
			delete(r.list, ref)
		}
	}
}

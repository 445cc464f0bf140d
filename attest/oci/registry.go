package oci

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxAttempts and the waits between them (0.2, 0.6, 1.8 s, up to half more)
	// bridge a restart or a throttled second. Longer outages are the caller's to
	// wait for: it knows its deadline.
	maxAttempts = 4
	firstWait   = 200 * time.Millisecond
	// unheardAttempts is how often a host is called where nobody listens, or that has no
	// address: within a second and a half somebody who starts again is back, and all
	// others have misspelt the host or wait in vain.
	unheardAttempts = 3
	// maxRetryAfter is the longest wait that a registry may ask for.
	maxRetryAfter = 5 * time.Second
	// maxRedirects is how many hops a download may take; registries use one, to
	// their object storage.
	maxRedirects = 5
	// maxErrorBody is how much of an error's text is looked at.
	maxErrorBody = 4 << 10
)

// A registry is one repository in a registry, spoken to by the OCI distribution
// specification. Names, credentials and tokens are go-containerregistry's; the
// requests are ours, because listing and attaching must not fail silently.
type registry struct {
	repo     name.Repository
	base     http.RoundTripper
	keychain authn.Keychain

	turn    chan struct{}           // held while a client is set up
	clients map[string]*http.Client // by scope

	hasAPI  atomic.Bool // the referrers API has answered once
	unheard atomic.Bool // nobody listened the last time: call once, until somebody does
}

func newRegistry(ref attest.Repository, o Options) (*registry, error) {
	repo, err := name.NewRepository(ref.Name(), name.StrictValidation)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeReference, About: ref.String(), Err: err}
	}
	base, keychain := o.Transport, o.Keychain
	if base == nil {
		base = defaultTransport()
	}
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	agent := o.UserAgent
	if agent == "" {
		agent = "pedigree"
	}
	return &registry{
		repo:     repo,
		base:     transport.NewUserAgent(&guard{base}, agent),
		keychain: keychain,
		clients:  map[string]*http.Client{},
		turn:     make(chan struct{}, 1),
	}, nil
}

func defaultTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the program replaced it, and knows why
	}
	t = t.Clone()
	// A registry may take a while to hash what it was sent, but not longer.
	t.ResponseHeaderTimeout = 2 * time.Minute
	t.MaxIdleConnsPerHost = 2 * defaultJobs
	return t
}

// client returns the HTTP client for a scope, which it sets up at first use: it
// asks the registry how to authenticate and gets a token.
func (r *registry) client(ctx context.Context, scope string) (*http.Client, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.turn }()
	if c, ok := r.clients[transport.PushScope]; ok { // may pull as well
		return c, nil
	}
	if c, ok := r.clients[scope]; ok {
		return c, nil
	}
	auth, err := authn.Resolve(ctx, r.keychain, r.repo)
	if err != nil {
		return nil, err
	}
	rt, err := transport.NewWithContext(ctx, r.repo.Registry, auth, r.base, []string{r.repo.Scope(scope)})
	if err != nil {
		return nil, err
	}
	c := &http.Client{Transport: rt, CheckRedirect: checkRedirect}
	r.clients[scope] = c
	return c, nil
}

// A request is one exchange with the registry, repeatable.
type request struct {
	method string
	url    string
	scope  string // transport.PullScope if empty
	header http.Header
	body   func() (io.ReadCloser, error) // opened for each attempt
	size   int64                         // of body
	also   func(status int) bool         // whether an unwanted status is an answer after all; may be nil
}

// path returns the URL of something in the repository. The scheme is corrected by
// the transport, which knows whether the registry speaks plain HTTP on this host.
func (r *registry) path(format string, args ...any) string {
	return "https://" + r.repo.RegistryStr() + "/v2/" + r.repo.RepositoryStr() + fmt.Sprintf(format, args...)
}

// do sends a request and returns the answer if its status is among want, or the request takes it; the
// caller closes the body. It repeats what failed for want of a connection, was
// throttled or met a fault of the server, a bounded number of times.
func (r *registry) do(ctx context.Context, req request, want ...int) (*http.Response, error) {
	var last error
	wait := firstWait
	for attempt := 1; ; attempt++ {
		resp, err := r.send(ctx, req)
		most := maxAttempts
		if err == nil {
			r.unheard.Store(false)
			for _, status := range want {
				if resp.StatusCode == status {
					return resp, nil
				}
			}
			if req.also != nil && req.also(resp.StatusCode) {
				return resp, nil
			}
			refusal, settled := statusError(req, resp)
			err = refusal
			if d := retryAfter(resp); d > wait {
				wait = d
			}
			resp.Body.Close()
			if settled {
				return nil, err
			}
		} else if final(err) {
			return nil, r.unavailable(req, err)
		} else if nobody(err) {
			// A walk asks dozens of things one after the other. If each of them waited as
			// long as the first, whoever misspelt a host would wait for minutes.
			if most = unheardAttempts; r.unheard.Load() {
				most = 1
			}
		}
		last = err
		if attempt >= most {
			r.unheard.Store(most < maxAttempts)
			return nil, r.unavailable(req, last)
		}
		if err := sleep(ctx, wait+rand.N(wait/2)); err != nil {
			return nil, r.unavailable(req, fmt.Errorf("%w while waiting after: %w", err, last))
		}
		wait = min(3*wait, maxRetryAfter)
	}
}

func (r *registry) send(ctx context.Context, req request) (*http.Response, error) {
	scope := req.scope
	if scope == "" {
		scope = transport.PullScope
	}
	c, err := r.client(ctx, scope)
	if err != nil {
		return nil, err
	}
	var body io.ReadCloser = http.NoBody
	if req.body != nil && req.size > 0 {
		if body, err = req.body(); err != nil {
			return nil, err
		}
	}
	hr, err := http.NewRequestWithContext(ctx, req.method, req.url, body)
	if err != nil {
		body.Close()
		return nil, err
	}
	if req.size > 0 {
		hr.ContentLength = req.size
	}
	for k, v := range req.header {
		hr.Header[k] = v
	}
	// What is asked for by digest must come as it is; and a compressed answer
	// could be many times larger than what the limits count.
	hr.Header.Set("Accept-Encoding", "identity")
	return c.Do(hr)
}

// final reports whether sending again cannot help: something was refused here, or
// there, or the caller gave up.
func final(err error) bool {
	var te *transport.Error
	if errors.As(err, &te) && !transient(te.StatusCode) {
		return true
	}
	return attest.RefusalCode(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// nobody reports whether there was nobody to talk to: nothing was sent, and it did not
// take long to find out.
func nobody(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound
}

func transient(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n <= 0 {
		return 0 // absent, a date, or nonsense
	}
	return min(time.Duration(min(n, 3600))*time.Second, maxRetryAfter)
}

// unavailable gives an error of sending its code: a refusal made on the way is
// returned as it is, everything else means that the registry could not be asked.
func (r *registry) unavailable(req request, err error) error {
	var ref *attest.Refusal
	if errors.As(err, &ref) {
		return ref
	}
	why := req.method + " " + pathOf(req.url)
	if in := inWords(err); in != "" {
		why += ": " + in
	}
	return &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: why, Err: err}
}

// inWords names the usual reasons for which nobody answers, in words of our own, for
// those who are shown no more: an error's text has addresses, and what a server wrote.
func inWords(err error) string {
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before there was an answer"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host's name does not resolve"
	case errors.As(err, &untrusted):
		return "the host's certificate is not trusted"
	case errors.Is(err, context.Canceled):
		return "whoever asked gave up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return ""
}

func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path // without the query, which may carry a signature
}

// errDenied is wrapped where a registry answered that something is not for the
// caller.
var errDenied = errors.New("denied")

// statusError is what a registry's refusal means to us: it could not be asked.
// Whoever knows that 404 proves absence lists 404 among the wanted answers.
// settled says that asking again would not help.
func statusError(req request, resp *http.Response) (refusal *attest.Refusal, settled bool) {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	e := &attest.Refusal{Code: attest.CodeRegUnavailable, About: resp.Request.URL.Host,
		Why: fmt.Sprintf("%s %s answered %s: %.300s", req.method, pathOf(req.url), resp.Status, bytes.TrimSpace(b))}
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		e.Next, e.Err = "check the credentials: docker login "+resp.Request.URL.Host, errDenied
	case resp.StatusCode/100 == 3:
		e.Code = attest.CodeRegRedirect
	}
	// Docker's registry says this for a moment of a blob that is there, while
	// somebody else uploads the same one: of the empty configuration, say, which
	// all attestations share.
	racing := req.method == http.MethodPut && bytes.Contains(b, []byte("MANIFEST_BLOB_UNKNOWN"))
	return e, !transient(resp.StatusCode) && !racing
}

package keyless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

const (
	// maxAnswer bounds what a service answers. The largest honest answers are log
	// entries of about 10 KiB.
	maxAnswer = 1 << 20
	// timeout is for one attempt. A log answers when its next checkpoint is signed,
	// which takes seconds.
	timeout = 45 * time.Second
	// attempts is how often is asked what may be asked again.
	attempts = 3
)

// A Net is how services are asked. The zero Net is the ordinary way.
type Net struct {
	Transport http.RoundTripper // nil: http.DefaultTransport
	Pause     time.Duration     // before the second attempt, doubled for the third; 0: a second
}

// A request is one question to a service.
type request struct {
	who    string // whom, for people: "the log"
	method string
	url    string
	header http.Header
	body   []byte
	secret string // never repeated, whatever the service answers
	again  bool   // asking twice does no harm
}

// ask sends a request and returns the body of an answer 200 or 201. Every other is
// E_SIGN_REFUSED, if the service says that it will not, and E_SIGN_SERVICE if
// nobody knows: the network, a service that is down or busy, an answer that is too
// long. Redirects are not followed: what is sent is meant for whoever was named.
func (n Net) ask(ctx context.Context, r request) ([]byte, error) {
	pause := n.Pause
	if pause == 0 {
		pause = time.Second
	}
	for attempt := 1; ; attempt++ {
		body, busy, err := n.once(ctx, r)
		if err == nil || ctx.Err() != nil || !busy || !r.again || attempt == attempts {
			return body, stopped(ctx, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, stopped(ctx, err)
		case <-timer.C:
		}
		pause *= 2
	}
}

// stopped says that it was the caller who stopped, if it was.
func stopped(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return &attest.Refusal{Code: attest.CodeInterrupted, Why: "stopped before the signature was made", Err: ctx.Err()}
}

// once makes one attempt; busy says that another one might get an answer.
func (n Net) once(ctx context.Context, r request) (body []byte, busy bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, false, &attest.Refusal{Code: attest.CodeUsage, About: r.url, Why: "not a URL"}
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "pedigree")
	client := &http.Client{Transport: n.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error // its text repeats the URL
		if errors.As(err, &u) {
			err = u.Err
		}
		// Who said nothing for so long would hardly say more to a second attempt.
		return nil, !errors.Is(err, context.DeadlineExceeded), r.unavailable("cannot be asked", err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, !errors.Is(err, context.DeadlineExceeded), r.unavailable("stopped in the middle of its answer", err)
	case len(body) > maxAnswer:
		return nil, false, r.unavailable(fmt.Sprintf("answers with more than %d bytes", maxAnswer), nil)
	}
	switch s := resp.StatusCode; {
	case s == http.StatusOK, s == http.StatusCreated:
		return body, false, nil
	case s >= 300 && s < 400:
		return nil, false, r.unavailable(fmt.Sprintf("points elsewhere (status %d), and that is not followed: what is sent was meant for it", s), nil)
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return nil, true, r.unavailable(fmt.Sprintf("answers with status %d: %s", s, r.text(body)), nil)
	default:
		return nil, false, &refused{s, &attest.Refusal{Code: attest.CodeSignRefused, About: place(r.url), Why: fmt.Sprintf("%s refuses, with status %d: %s", r.who, s, r.text(body))}}
	}
}

// A refused is an answer that is a no.
type refused struct {
	status int
	*attest.Refusal
}

func (e *refused) Unwrap() error { return e.Refusal }

func (r request) unavailable(why string, err error) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeSignService, About: place(r.url), Why: r.who + " " + why, Err: err,
		Next: "nothing was signed; check the URL and the network, and run it again"}
}

// text returns what a service says, clipped: of the JSON error of a gRPC gateway its
// message, and else the first line. It never has the secret in it.
func (r request) text(body []byte) string {
	s := string(body)
	if v, err := strictjson.Parse(body, maxAnswer); err == nil {
		if m, ok := v.Get("message"); ok && m.Kind() == strictjson.String {
			s = m.Text()
		}
	}
	if r.secret != "" {
		s = strings.ReplaceAll(s, r.secret, "…")
	}
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if s == "" {
		return "it does not say why"
	}
	return clip(s)
}

// clip shortens what others wrote.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// place is a URL without its query and user, which may hold secrets.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a malformed URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// CheckURL refuses what is no http or https URL of a service. If a secret is sent
// there, http is only for this machine: on the way to another one anybody could read
// it and sign with it. Every refusal is E_USAGE.
func CheckURL(raw string, secret bool) error {
	u, err := url.Parse(raw)
	why, next := "", "for instance https://fulcio.example"
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		why = "not an http or https URL"
	case u.User != nil || u.Fragment != "":
		why = "a URL with a user or a fragment"
	case secret && u.Scheme == "http" && !loopback(u.Hostname()):
		why, next = "a token would go there unencrypted", "use https; http is for services on this machine"
	default:
		return nil
	}
	return &attest.Refusal{Code: attest.CodeUsage, About: place(raw), Why: why, Next: next}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// join appends a path to a service's base URL.
func join(base, path string) string { return strings.TrimRight(base, "/") + path }

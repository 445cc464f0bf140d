// Package tufsource fetches a trusted root from a TUF repository, and keeps the last
// good one.
//
// A trusted root changes: keys are added before they are used, and taken back when
// they are lost. The Update Framework makes such a file safe to fetch from a place that
// is not trusted: its roles' signatures say who wrote it, version numbers that it does
// not go back, and short expiry that nobody keeps an old one alive. Everything begins
// with an initial root that the verifier has from elsewhere. Signatures, versions and
// expiry are checked by go-tuf; this package decides what to ask for, what to keep and
// when to ask again.
//
// # Fresh and offline
//
// A source is asked at most once an hour: within [Fresh] of the last good answer that
// one is used, as long as its time is not over. Later it is asked again. If that fails,
// for whatever reason, a dead network or an attack, the last good answer stays, until
// its own end; then it is returned as what it is, over, and whoever judges by it says
// so (trust.Trust.Stale). Offline, nothing is asked at all. Only where there never was
// a good answer is there an error, E_TRUSTROOT_STALE.
//
// # What is kept
//
// One file per source in the cache folder, named by a digest of URL, initial root and
// target, so that no name that a repository chooses reaches the file system. It holds
// everything that was fetched, signatures included, and all of it is verified again at
// each use: who can write to the folder can make the answer older, back to what once was
// good and until that ends, and nothing else.
package tufsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Fresh is how long a good answer is used without asking again. A key that was lost is
// believed for that much longer; what asks more often asks for every deployment.
const Fresh = time.Hour

// maxWait bounds one look at a source, retries by the reader included. A repository is
// five small files.
const maxWait = time.Minute

// A Client fetches. Its zero value keeps nothing and asks every time.
type Client struct {
	Cache   string    // the folder to keep answers in; "" for none
	Offline bool      // ask nobody
	Now     time.Time // what time it is
}

// A Report says where an answer came from, for the person who relies on it.
type Report struct {
	Source  trust.TUFSource
	Expires time.Time
	Checked time.Time // when the repository itself last gave it
	Asked   bool      // in this run
	Failed  error     // why the repository's answer was not taken; nil if it was, or was not asked
	Unkept  error     // why the answer could not be kept; nil if it was
}

// Fetch returns a source's target, and where it came from. The target's time may be
// over; see the package's comment. The error is E_TRUSTROOT_STALE if there is nothing
// that could be used, and the context's if that ended.
func (c *Client) Fetch(ctx context.Context, src trust.TUFSource) (trust.TUFTarget, Report, error) {
	r := Report{Source: src}
	last, damaged := c.recall(src)
	if last != nil {
		r.Checked, r.Expires = last.Checked, last.expires
	}
	age := c.Now.Sub(r.Checked)
	switch {
	case c.Offline && last == nil:
		return trust.TUFTarget{}, r, nothing(src, "nothing was kept of it, and nobody is asked", damaged)
	case c.Offline, last != nil && age >= 0 && age < Fresh && c.Now.Before(last.expires):
		return last.answer(), r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	r.Asked = true
	next, err := c.ask(ctx, src, last)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return trust.TUFTarget{}, r, ctx.Err()
	case err != nil && last == nil:
		return trust.TUFTarget{}, r, nothing(src, "it gave no answer that could be used, and there is no earlier one", err)
	case err != nil:
		r.Failed = err
		return last.answer(), r, nil
	}
	r.Checked, r.Expires, r.Unkept = next.Checked, next.expires, c.keep(src, next)
	return next.answer(), r, nil
}

func nothing(src trust.TUFSource, why string, err error) error {
	return &attest.Refusal{Code: attest.CodeTrustRootStale, About: src.URL, Why: why, Err: err, Next: "run it again where the TUF repository can be reached"}
}

// ask runs the client workflow against the repository (TUF specification, section 5).
func (c *Client) ask(ctx context.Context, src trust.TUFSource, last *kept) (*kept, error) {
	client := &http.Client{
		Timeout: 30 * time.Second,
		// The trust file names one host, and what it names is not for that host to change.
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
				return fmt.Errorf("it redirects to another host, %s", req.URL.Host)
			}
			if len(via) > 3 {
				return errors.New("it redirects on and on")
			}
			return nil
		},
	}
	get := func(name string, most int64) ([]byte, error) { return download(ctx, client, src.URL, name, most) }
	next, err := update(src, last, get, c.Now)
	if err != nil {
		return nil, err
	}
	next.Checked = c.Now.UTC()
	if size := next.size(); size > maxKept {
		return nil, fmt.Errorf("its metadata has %d bytes, at most %d are kept", size, maxKept)
	}
	return next, nil
}

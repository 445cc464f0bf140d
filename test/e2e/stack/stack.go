// Package stack runs a whole private Sigstore on loopback: two OpenID Connect issuers
// (a build system for workloads, and one that people log in to), Fulcio, a certificate
// transparency log, timestamp authorities and Rekor v2. All of it is the real software
// but the issuers and the front of the certificate log, which have no small real one.
// Nothing listens anywhere but on 127.0.0.1, all ports are free ones, and everything
// ends with [Stack.Close], and with the process.
//
// What it cannot be used for is another time than now: for certificates of last year
// there is Pedigree's internal/authority.
package stack

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say what a stack is made of. The zero Options are the usual one, in a folder
// for the time being.
type Options struct {
	Dir         string         // where logs and storage go; if empty, a temporary folder that Close removes
	Authorities int            // how many timestamp authorities; if zero, 1
	Curve       elliptic.Curve // of the keys of Fulcio's root and intermediate; if nil, P-256
	Origin      string         // the name of the transparency log; if empty, rekor.local
}

// A Stack is a running Sigstore instance.
type Stack struct {
	Workloads   *Issuer // whose tokens are of steps of a pipeline, see Workload
	People      *Issuer // whose tokens are of people, see Person
	Authorities []*Authority

	dir    string
	since  time.Time // from when on what it says is to be trusted
	ct     *ctLog
	fulcio *fulcio
	rekor  *rekor
	close  []func() error
}

// Start runs a stack. It takes about half a second, and once the time that building
// Rekor takes.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{since: time.Now().Add(-time.Minute).Truncate(time.Second), dir: o.Dir}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, o Options) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "sigstore-stack-*")
		if err != nil {
			return err
		}
		s.dir = dir
		s.onClose(func() error { return os.RemoveAll(dir) })
	}
	if o.Curve == nil {
		o.Curve = elliptic.P256()
	}
	if o.Origin == "" {
		o.Origin = "rekor.local"
	}
	for _, issuer := range []**Issuer{&s.Workloads, &s.People} {
		i, err := newIssuer()
		if err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		*issuer = i
		s.onClose(func() error { i.srv.Close(); return nil })
	}
	var g errgroup.Group
	s.Authorities = make([]*Authority, max(1, o.Authorities))
	for i := range s.Authorities {
		g.Go(func() (err error) {
			s.Authorities[i], err = newAuthority(ctx, filepath.Join(s.dir, fmt.Sprintf("timestamps-%d.log", i)))
			return err
		})
	}
	g.Go(func() (err error) {
		s.rekor, err = newRekor(ctx, s.dir, o.Origin)
		return err
	})
	err := g.Wait()
	for _, a := range s.Authorities {
		if a != nil {
			s.onClose(func() error { a.child.Stop(); return nil })
		}
	}
	if s.rekor != nil {
		s.onClose(s.rekor.stop)
	}
	if err != nil {
		return err
	}
	if s.ct, err = newCTLog(ctx, filepath.Join(s.dir, "ct")); err != nil {
		return fmt.Errorf("certificate log: %w", err)
	}
	s.onClose(s.ct.stop)
	if s.fulcio, err = newFulcio(ctx, s.Workloads, s.People, s.ct, o.Curve); err != nil {
		return fmt.Errorf("fulcio: %w", err)
	}
	s.onClose(s.fulcio.stop)
	return nil
}

func (s *Stack) onClose(f func() error) { s.close = append(s.close, f) }

// Close stops everything, in the opposite order of its start.
func (s *Stack) Close() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	s.close = nil
	return errors.Join(errs...)
}

// Endpoints are the addresses that a signer asks.
type Endpoints struct {
	OIDC       string   `json:"oidc"`
	Fulcio     string   `json:"fulcio"`
	Rekor      string   `json:"rekor"`
	Timestamps []string `json:"timestamps"`
}

// Endpoints returns the addresses of the stack. A test may put a [Proxy] in front of one
// of them.
func (s *Stack) Endpoints() Endpoints {
	e := Endpoints{OIDC: s.People.URL, Fulcio: s.fulcio.URL, Rekor: s.rekor.URL}
	for _, a := range s.Authorities {
		e.Timestamps = append(e.Timestamps, a.URL)
	}
	return e
}

// Tiles returns the address under which the transparency log can be read.
func (s *Stack) Tiles() string { return s.rekor.TilesURL }

package oci_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// A host where nobody listens until it was called a number of times.
type asleep struct {
	handler http.Handler
	until   int64
	err     error
	calls   atomic.Int64
}

func (a *asleep) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.calls.Add(1) <= a.until {
		return nil, a.err
	}
	return inProcess(a.handler, r), nil
}

// Where nobody listens, a walk learns so in a second and a half, however much it asks.
func TestNobodyListens(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		name   string
		err    error
		until  int64
		calls  int64 // of the first question
		within time.Duration
		after  int64 // calls of ten more questions
		heard  bool
	}{
		{name: "refused for ever", err: refused, until: 1 << 30, calls: 3, within: 1300 * time.Millisecond, after: 10},
		{name: "no such host", err: &net.DNSError{Err: "no such host", IsNotFound: true}, until: 1 << 30, calls: 3, within: 1300 * time.Millisecond, after: 10},
		{name: "it starts again", err: refused, until: 2, calls: 4, within: 1300 * time.Millisecond, after: 10, heard: true},
		{name: "somebody hangs up", err: reset, until: 1 << 30, calls: 4, within: 4 * time.Second, after: 40},
		{name: "no answer about the name just now", err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}, until: 1 << 30, calls: 4, within: 4 * time.Second, after: 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &asleep{handler: ociserver.New(ocimem.New(), nil), until: c.until, err: c.err}
				r := openWith(t, "registry.example/acme/credit", oci.Options{Transport: a})
				began := time.Now()
				_, err := r.Manifest(t.Context(), attest.SHA256(nil))
				if heard := attest.IsAbsent(err); heard != c.heard || !heard && attest.RefusalCode(err) != attest.CodeRegUnavailable {
					t.Errorf("the answer is %v", err)
				}
				if n, took := a.calls.Load(), time.Since(began); n != c.calls || took > c.within {
					t.Errorf("%d calls in %s, want %d in %s", n, took, c.calls, c.within)
				}
				a.calls.Store(0)
				if c.heard {
					a.until = 0
				}
				for range 10 {
					_, _ = r.Manifest(t.Context(), attest.SHA256(nil))
				}
				if n := a.calls.Load(); n != c.after {
					t.Errorf("ten more questions cost %d calls, want %d", n, c.after)
				}
			})
		})
	}
}

// Once somebody has answered, it is waited for again.
func TestHeardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asleep{handler: ociserver.New(ocimem.New(), nil), until: 3, err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}
		r := openWith(t, "registry.example/acme/credit", oci.Options{Transport: a})
		ask := func(calls int64, heard bool) {
			t.Helper()
			before := a.calls.Load()
			_, err := r.Manifest(t.Context(), attest.SHA256(nil))
			if n := a.calls.Load() - before; n != calls || attest.IsAbsent(err) != heard {
				t.Errorf("%d calls, want %d; %v", n, calls, err)
			}
		}
		ask(3, false)
		ask(2, true) // how to authenticate is asked first
		a.until = a.calls.Load() + 2
		ask(3, true)
	})
}

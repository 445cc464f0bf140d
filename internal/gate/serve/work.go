package serve

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// work waits for its turn and runs f in a goroutine of its own, so that an answer comes in
// time even if f does not come back. f's context ends a little before ctx: it can still
// say itself what it was waiting for. The slot is given back when f really ends: what
// hangs goes on counting, or there would be no bound on how much hangs.
func work[T any](ctx context.Context, s *Server, name, tenant string, size int64, f func(context.Context) T) (T, *failure) {
	var none T
	sl, err := s.queue.enter(ctx, tenant, size)
	switch {
	case errors.Is(err, errFull):
		return none, overload(reasonFull, err.Error())
	case errors.Is(err, errTenant):
		return none, overload(reasonTenant, err.Error())
	case err != nil:
		return none, outOfTime(err)
	}
	type result struct {
		value T
		bad   *failure
	}
	done := make(chan result, 1)
	var taken atomic.Bool // by the answer, or by the deadline: whichever is first
	go func() {
		defer sl.release()
		inner, cancel := earlier(ctx)
		defer cancel()
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.bad = s.panicked(name, p)
			}
			if !taken.CompareAndSwap(false, true) {
				s.metrics.late.Inc()
			}
			done <- r
		}()
		r.value = f(inner)
	}()
	select {
	case r := <-done:
		return r.value, r.bad
	case <-ctx.Done():
	}
	if !taken.CompareAndSwap(false, true) {
		r := <-done // it was there at the same time
		return r.value, r.bad
	}
	return none, outOfTime(ctx.Err())
}

// earlier is ctx with a deadline that leaves time to write an answer.
func earlier(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx) // unreachable: every question has one
	}
	return context.WithDeadline(ctx, end.Add(-min(100*time.Millisecond, time.Until(end)/10)))
}

func outOfTime(err error) *failure {
	if errors.Is(err, context.Canceled) {
		return fail(http.StatusServiceUnavailable, reasonGone, attest.CodeInterrupted, "the client went away", "")
	}
	return fail(http.StatusServiceUnavailable, reasonDeadline, attest.CodeDeadline, "there was no answer in the time that there was", "ask again in "+retryAfter+"s")
}

// notReady is the failure of whoever asks before there is anything to answer by.
func notReady() *failure {
	return fail(http.StatusServiceUnavailable, reasonNotReady, attest.CodeNotReady, "policies and trust are not loaded yet", "ask again when /readyz says ready")
}

// kindOf names errors of the network in words of our own.
func kindOf(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.As(err, &dns):
		return "the host's name does not resolve"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return "the host's certificate is not trusted"
	}
	return ""
}

package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A counted holding counts what is asked of it.
type counted struct {
	lineage.Holding

	mu        sync.Mutex
	listed    map[attest.Digest]int // artifacts that were asked about
	fetched   map[attest.Digest]int // attestations that were fetched, by manifest
	manifests map[attest.Digest]int // manifests that were asked for
	call      func()                // hears of every question; may be nil
}

func count(h lineage.Holding) *counted {
	return &counted{Holding: h, listed: map[attest.Digest]int{}, fetched: map[attest.Digest]int{}, manifests: map[attest.Digest]int{}}
}

// reset begins to count anew.
func (c *counted) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.listed)
	clear(c.fetched)
	clear(c.manifests)
}

func (c *counted) note(m map[attest.Digest]int, d attest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[d]++
	if c.call != nil {
		c.call()
	}
}

func (c *counted) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	c.note(c.listed, d)
	return c.Holding.AttestationsExcept(ctx, d, known, func(a attest.Attached) bool {
		if a.Bundle != nil {
			c.mu.Lock()
			c.fetched[a.Manifest]++
			c.mu.Unlock()
		}
		return yield(a)
	})
}

func (c *counted) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	c.note(c.manifests, d)
	return c.Holding.Manifest(ctx, d)
}

// errDied is what a mortal store says when it is dead.
var errDied = errors.New("the process died")

// A mortal store keeps what it is given some times, and then nothing any more.
type mortal struct {
	lineage.Store
	left int // calls of Put and Finish that it survives
}

func (m *mortal) Begin(ctx context.Context, repo attest.Repository, beliefs []string, at time.Time) (lineage.Reader, error) {
	r, err := m.Store.Begin(ctx, repo, beliefs, at)
	return &mortalReader{r, m}, err
}

type mortalReader struct {
	lineage.Reader
	store *mortal
}

func (r *mortalReader) Put(ctx context.Context, v lineage.Visit) error {
	if r.store.left--; r.store.left < 0 {
		return errDied
	}
	return r.Reader.Put(ctx, v)
}

func (r *mortalReader) Finish(ctx context.Context, held []attest.Held, exhaustive bool, missed []attest.Code) error {
	if r.store.left--; r.store.left < 0 {
		return errDied
	}
	return r.Reader.Finish(ctx, held, exhaustive, missed)
}

// A deaf store goes on writing when the context has ended: what must not be kept then
// is for the crawl to know.
type deaf struct{ lineage.Store }

func (s deaf) Begin(ctx context.Context, repo attest.Repository, beliefs []string, at time.Time) (lineage.Reader, error) {
	r, err := s.Store.Begin(ctx, repo, beliefs, at)
	return deafReader{r}, err
}

type deafReader struct{ lineage.Reader }

func (r deafReader) Put(ctx context.Context, v lineage.Visit) error {
	return r.Reader.Put(context.WithoutCancel(ctx), v)
}

// A stuttering holding lists one attestation of an artifact, and one that cannot be
// read, and then says that it cannot be asked.
type stuttering struct {
	lineage.Holding
	at attest.Digest
}

func (h stuttering) AttestationsExcept(ctx context.Context, d attest.Digest, known func(attest.Digest) bool, yield func(attest.Attached) bool) error {
	if d != h.at {
		return h.Holding.AttestationsExcept(ctx, d, known, yield)
	}
	yield(attest.Attached{Manifest: attest.SHA256([]byte("unreadable")), Err: attest.Refuse(attest.CodeDigestAlg, "unreadable")})
	_ = h.Holding.AttestationsExcept(ctx, d, known, func(a attest.Attached) bool { yield(a); return false })
	return attest.Refuse(attest.CodeRegUnavailable, "down")
}

// A boasting holding says that its list is whole, whatever went wrong.
type boasting struct{ lineage.Holding }

func (h boasting) Held(ctx context.Context, yield func(attest.Held) bool) (bool, error) {
	_, err := h.Holding.Held(ctx, yield)
	return true, err
}

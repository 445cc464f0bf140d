package trust

import (
	"crypto/sha256"
	"sync"

	f_log "github.com/transparency-dev/formats/log"
)

// maxMemo is how many results of one kind a Trust keeps: a few hundred bytes each, so
// under two megabytes for all. A walk sees a checkpoint per batch of a log and a chain
// per issuing server; what comes back a day later is verified again.
const maxMemo = 2048

// A memo keeps what was verified under one Trust: only results that were good, each
// under a digest of everything that it followed from. So it can spare work, and
// cannot make something verify that would not without it. What strangers can put in
// must have been signed by somebody trusted, and pushes out at most what would be
// verified again. The nil memo keeps nothing. It may be used by many goroutines.
type memo struct {
	mu          sync.Mutex
	checkpoints map[[sha256.Size]byte]*f_log.Checkpoint
	paths       map[[sha256.Size]byte]*path
	stamps      map[[sha256.Size]byte]struct{}
}

// checkpoint returns a log's checkpoint, verified.
func (m *memo) checkpoint(l *log, text string) (*f_log.Checkpoint, error) {
	key := keyOf(l.who, l.note.Name(), text)
	if m != nil {
		m.mu.Lock()
		cp, ok := m.checkpoints[key]
		m.mu.Unlock()
		if ok {
			return cp, nil
		}
	}
	cp, err := readCheckpoint(l, text)
	if err != nil || m == nil {
		return cp, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkpoints = keep(m.checkpoints, key, cp)
	return cp, nil
}

// path returns what find finds, and keeps it under key if that is something.
func (m *memo) path(key [sha256.Size]byte, find func() *path) *path {
	if m != nil {
		m.mu.Lock()
		p, ok := m.paths[key]
		m.mu.Unlock()
		if ok {
			return p
		}
	}
	p := find()
	if p == nil || m == nil {
		return p
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paths = keep(m.paths, key, p)
	return p
}

// stamp verifies a timestamp's signature, and keeps under key that it is good.
func (m *memo) stamp(key [sha256.Size]byte, verify func() error) error {
	if m == nil {
		return verify()
	}
	m.mu.Lock()
	_, ok := m.stamps[key]
	m.mu.Unlock()
	if ok {
		return nil
	}
	if err := verify(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stamps = keep(m.stamps, key, struct{}{})
	return nil
}

// keep adds to a map, which it empties first if it is full: which entries were there
// changes how long something takes, and never the answer.
func keep[V any](m map[[sha256.Size]byte]V, key [sha256.Size]byte, v V) map[[sha256.Size]byte]V {
	if m == nil || len(m) >= maxMemo {
		m = map[[sha256.Size]byte]V{}
	}
	m[key] = v
	return m
}

// keyOf hashes parts so that no two lists of parts have one key.
func keyOf(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		n := sha256.Sum256([]byte(p))
		h.Write(n[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

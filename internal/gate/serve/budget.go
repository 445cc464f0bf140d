package serve

import "sync"

// A budget bounds the bytes of bodies that are being read, of all clients together and of
// each alone: who sends them is known only when a body has been read.
type budget struct {
	mu    sync.Mutex
	left  int64
	share int64 // of one client
	taken map[string]int64
}

func newBudget(total, share int64) *budget {
	return &budget{left: total, share: share, taken: map[string]int64{}}
}

// take reserves n bytes for client, and reports whether there were that many.
func (b *budget) take(client string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left || b.taken[client]+n > b.share {
		return false
	}
	b.left -= n
	b.taken[client] += n
	return true
}

// give returns n bytes that client took.
func (b *budget) give(client string, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	if b.taken[client] -= n; b.taken[client] <= 0 {
		delete(b.taken, client)
	}
}

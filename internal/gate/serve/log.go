package serve

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// maxShown bounds each text from outside in the log and in messages: names in Kubernetes
// have at most 253 characters, a pinned reference of the longest repository 326 and more
// than that is no name.
const maxShown = 400

// shown returns a text from outside as it may stand in a log.
func shown(s string) string { return gate.Shown(s, maxShown) }

// serverLog passes on what http.Server says of connections: every stranger can make it say
// something, so few lines a second are written and the others counted.
type serverLog struct {
	log     *slog.Logger
	now     func() time.Time
	dropped func()

	mu   sync.Mutex
	left int
	from time.Time
}

// linesPerSecond bounds what serverLog writes.
const linesPerSecond = 5

// Write logs one line.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if now := l.now(); now.Sub(l.from).Abs() >= time.Second {
		l.from, l.left = now, linesPerSecond
	}
	l.left--
	pass := l.left >= 0
	l.mu.Unlock()
	if !pass {
		l.dropped()
		return len(p), nil
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "connection", slog.String("why", shown(string(bytes.TrimSpace(p)))))
	return len(p), nil
}

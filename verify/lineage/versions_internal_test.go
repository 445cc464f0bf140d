package lineage

import (
	"testing"
	"time"
)

// Trusted times bound what is claimed and never replace it: an old version does not
// become new by being logged again, and none is newer than it was seen.
func TestBounded(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 5, 1, h, 0, 0, 0, time.UTC) }
	for _, c := range []struct{ claimed, seen, want time.Time }{
		{at(10), time.Time{}, at(10)},
		{at(10), at(12), at(10)},
		{at(12), at(10), at(10)},
		{time.Time{}, at(10), at(10)},
		{time.Time{}, time.Time{}, time.Time{}},
	} {
		if got := bounded(c.claimed, c.seen); !got.Equal(c.want) {
			t.Errorf("claimed %s, seen %s: %s, want %s", c.claimed, c.seen, got, c.want)
		}
	}
}

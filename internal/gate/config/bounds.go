package config

import "time"

// A bound is what a number may be, and what it is if it is left out.
type bound struct{ least, most, def int64 }

// A span is the same of a duration.
type span struct{ least, most, def time.Duration }

// The bounds, with their reasons. None may be zero: a limit that is none is a way in.
var (
	// The API server waits 10s unless a webhook says otherwise, and 30s at most. What it
	// does not get in time it answers itself, and nobody learns why.
	deadlineSpan = span{100 * time.Millisecond, 25 * time.Second, 9 * time.Second}
	// etcd holds objects of 1.5 MiB; a review has the object and the old one, in JSON.
	bodyBound       = bound{64 << 10, 64 << 20, 7 << 20}
	concurrentBound = bound{1, 4096, 64}
	// 500 pods of one namespace that start at once are no attack, and wait.
	waitingBound    = bound{1, 1 << 16, 2048}
	referencesBound = bound{1, 4096, 64}
	connectionBound = bound{1, 1 << 16, 1024}
	// Endpoints and load balancers learn within seconds that a server is to stop.
	drainSpan = span{time.Second, 5 * time.Minute, 5 * time.Second}
	jobsBound = bound{1, 256, 16}
	// A revocation is to be noticed within a minute, so more than that is warned about.
	allowSpan    = span{time.Second, time.Hour, time.Minute}
	denySpan     = span{time.Second, 5 * time.Minute, 5 * time.Second}
	entriesBound = bound{1, 1 << 20, 10_000}
	bytesBound   = bound{1 << 20, 4 << 30, 64 << 20}
	refreshSpan  = span{10 * time.Second, 24 * time.Hour, 5 * time.Minute}
	// Each record that waits is some KiB of memory: record.MaxLimit.
	recordsBound = bound{1, 20_000, 10_000}
)

// perTenantBound depends on how many may wait: a quarter of them, and at most all.
func perTenantBound(waiting int64) bound { return bound{1, waiting, max(1, waiting/4)} }

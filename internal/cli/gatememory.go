package cli

import (
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

const (
	// heapGrowth is by how much the heap of a gate grows before it is collected, in
	// percent of what is live. A gate keeps little and allocates much, so with Go's 100 it
	// would collect some ten megabytes dozens of times a second: a fifth of its processor
	// time, and most of what its slowest answers wait for.
	heapGrowth = 400
	// memoryBesideCache is the memory beside the cache above which it is collected sooner
	// all the same. With a cache of the usual size a gate stays below 256 MiB.
	memoryBesideCache = 128 << 20
)

// paceGarbage lets a gate collect garbage less often, within its memory, and returns what
// restores the process. Who set GOGC or GOMEMLIMIT knows better: what is set stays.
func (a *app) paceGarbage(c *gate.Config) (restore func()) {
	set := func(name string) bool {
		return slices.ContainsFunc(a.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") && len(e) > len(name)+1 })
	}
	restore = func() {}
	if !set("GOGC") {
		before := debug.SetGCPercent(heapGrowth)
		restore = func() { debug.SetGCPercent(before) }
	}
	if !set("GOMEMLIMIT") {
		percent, before := restore, debug.SetMemoryLimit(memoryBesideCache+c.Cache.Bytes)
		restore = func() { debug.SetMemoryLimit(before); percent() }
	}
	return restore
}

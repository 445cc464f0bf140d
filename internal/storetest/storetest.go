// Package storetest tests implementations of lineage.Store, as testing/fstest tests
// file systems.
//
// What a store has to do is to make no difference: a walk over what was crawled into
// it gives what a walk over the repository itself gives, and what was not read is
// never taken for what is not there. So most scenarios build random worlds and compare.
package storetest

import (
	"testing"

	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A Maker makes the stores that are tested.
type Maker struct {
	// New returns an empty store.
	New func(t testing.TB) lineage.Store
	// Again returns the same store as another process would open it, after the one that
	// wrote to it died; s is not used any more. If nil, s itself goes on.
	Again func(t testing.TB, s lineage.Store) lineage.Store
}

func (m Maker) again(t testing.TB, s lineage.Store) lineage.Store {
	if m.Again == nil {
		return s
	}
	return m.Again(t, s)
}

// Run runs every scenario, each with stores of its own.
func Run(t *testing.T, m Maker) {
	for _, scenario := range []struct {
		name string
		run  func(*testing.T, Maker)
	}{
		{"an empty store knows nothing", empty},
		{"walks are the same", sameWalks},
		{"walks are the same beside other repositories", sameWalksOfTwo},
		{"what leads to artifacts is found", finds},
		{"what is held is listed", lists},
		{"what was not asked about is not absent", unasked},
		{"what was missed stays missed", missed},
		{"a second crawl fetches what is new", incremental},
		{"strangers are read again when trust grows", growingTrust},
		{"readers keep what leads on", leads},
		{"death at any point is no harm", deaths},
		{"stopping at any point is no harm", stops},
		{"a list that is not whole is said to be", heldMissed},
		{"forged notes are not believed", forgedNotes},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.run(t, m) })
	}
}

package verify

import (
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Limits bound a walk. A zero field means the default; a policy may lower a
// limit or raise it. Reaching one is a gap, never an error: what was seen before
// still counts. What is consulted comes last and shares them, so that it can take
// nothing from the ancestry.
//
// Count and byte limits give the same chain on every machine: they are applied
// level by level, in the order of digests. Only Time depends on the day.
type Limits struct {
	Depth        int           // steps from the root; default DefaultDepth
	PerArtifact  int           // pieces of evidence about one artifact; default 4,096
	Attestations int           // pieces of evidence in one walk; default 65,536
	Bytes        int64         // bundle bytes of evidence in one walk; default 1 GiB
	Inputs       int           // inputs of one statement; default and most predicate.MaxInputs, 1,024
	Strangers    int           // attempts to find a trusted key for what strangers signed; default 65,536
	Time         time.Duration // whole walk; default 2 minutes
}

// DefaultDepth is how many steps back from the root a walk looks if Limits says
// nothing. Real chains have fewer than twenty.
const DefaultDepth = 64

const (
	// maxArtifacts bounds how many artifacts a walk looks at, consulted ones included.
	// It is the default for attestations: a chain with more artifacts than statements
	// about them has mostly unproven ones.
	maxArtifacts = 65536

	// maxDeferred bounds the payload bytes per artifact that wait for keys to be
	// tried which their bundles don't name. Honest bundles name their key; up to
	// batch artifacts are in memory at once.
	maxDeferred = 64 << 20

	// batch is how many artifacts are looked at before budgets are settled. It
	// bounds the work done beyond a budget; it is a constant, and no function of
	// the machine, because budgets settled at other points cut other evidence.
	batch = 16

	// lookups is how many questions one walk asks its sources at once: enough to
	// hide a registry's latency, few enough for what registries allow a client.
	lookups = 16
)

// withDefaults fills in what is zero, and refuses what is negative: a limit that
// nothing can stay within would look like an outage.
func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Depth, DefaultDepth}, {&l.PerArtifact, 4096}, {&l.Attestations, 65536}, {&l.Inputs, predicate.MaxInputs}, {&l.Strangers, 65536}} {
		if *f.field < 0 {
			return l, attest.Refuse(attest.CodeUsage, "a negative limit")
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if l.Bytes < 0 || l.Time < 0 {
		return l, attest.Refuse(attest.CodeUsage, "a negative limit")
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	if l.Time == 0 {
		l.Time = 2 * time.Minute
	}
	return l, nil
}

// listed is how many distinct bundles of one artifact are read at most: all the
// evidence it may have, and all the rubbish a walk puts up with.
func (l Limits) listed() int { return l.PerArtifact + l.Strangers }

// A budget is what is left of a walk's limits.
type budget struct {
	evidence  int   // pieces of evidence
	bytes     int64 // of their bundles
	attempts  int   // at strangers' signatures; below 0: more were made, by naming others
	read      int   // distinct bundles, whatever they were
	readBytes int64
	artifacts int
	over      bool // evidence was left out because the walk's limit was reached
}

func newBudget(l Limits) budget {
	return budget{
		evidence: l.Attestations, bytes: l.Bytes, attempts: l.Strangers,
		// Strangers get as many bundles and bytes again as evidence does, so that
		// they cannot use up its share.
		read: l.Attestations + l.Strangers, readBytes: 2 * l.Bytes,
		artifacts: maxArtifacts,
	}
}

// spent reports whether nothing more may be read. A budget that was used up to
// the last piece is not spent: perhaps nothing more is there.
func (b *budget) spent() bool { return b.over || b.read < 0 || b.readBytes < 0 || b.attempts < 0 }

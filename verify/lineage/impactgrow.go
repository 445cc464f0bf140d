package lineage

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pedigree-ml/pedigree/attest"
)

// impactBest holds what one turn of an impact search found out, and of several ways
// to the same thing the one that is told.
type impactBest map[impactKey]impactNode

type impactKey struct {
	digest attest.Digest
	part   bool
}

// add proposes a node, if what it says is not known already.
func (b impactBest) add(s *impactSearch, n impactNode) {
	known := s.whole
	if n.part {
		known = s.entry
	}
	if _, ok := known[n.digest]; ok {
		return
	}
	n.unproven = s.unproven
	key := impactKey{n.digest, n.part}
	if old, ok := b[key]; !ok || s.compare(n, old) < 0 {
		b[key] = n
	}
}

// compare orders ways to one artifact: the shortest first; then by what they are,
// so that which one is told does not depend on the order of finding.
func (s *impactSearch) compare(a, b impactNode) int {
	rank := func(n impactNode) int { return slices.Index([]Effect{IsStart, MadeBy, MadeFrom, Contains}, n.effect) }
	from := func(n impactNode) (d attest.Digest) {
		if n.parent >= 0 {
			d = s.nodes[n.parent].digest
		}
		return d
	}
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(rank(a), rank(b)), cmp.Compare(b2i(a.used != from(a)), b2i(b.used != from(b))),
		from(a).Compare(from(b)), a.used.Compare(b.used), a.record.compare(b.record), strings.Compare(a.role, b.role), strings.Compare(a.path, b.path))
}

// apply makes nodes of what was proposed, looks at those not looked at yet, and
// notes the names under which they may have been used.
func (s *impactSearch) apply(ctx context.Context, best impactBest) error {
	list := make([]impactNode, 0, len(best))
	for _, n := range best {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b impactNode) int {
		return cmp.Or(a.digest.Compare(b.digest), cmp.Compare(b2i(a.part), b2i(b.part)))
	})
	var todo []attest.Digest
	for _, n := range list {
		// What is said about a file lies beside the manifests that have it.
		if !n.file {
			todo = append(todo, n.digest)
		}
	}
	if err := s.look(ctx, todo, false); err != nil {
		return err
	}
	for _, n := range list {
		if s.sights[n.digest] == nil && !n.file {
			continue // left for a limit, and said so
		}
		if _, ok := s.entry[n.digest]; ok && n.part {
			continue // it is affected as a whole, from this turn on
		}
		s.node(n)
	}
	return nil
}

func (s *impactSearch) node(n impactNode) {
	i := int32(len(s.nodes))
	s.nodes = append(s.nodes, n)
	if _, ok := s.entry[n.digest]; !ok {
		s.entry[n.digest] = i
	}
	names := []impactFresh{{digest: n.digest}}
	if !n.part {
		s.whole[n.digest] = i
		names[0].spreads = true
		if sight := s.sights[n.digest]; sight != nil {
			for _, f := range sight.files {
				names = append(names, impactFresh{digest: f.digest})
			}
		}
	}
	for _, name := range names {
		if _, ok := s.uses[name.digest]; !ok {
			if len(s.uses) >= maxImpactNames {
				s.gaps = append(s.gaps, Gap{n.digest, attest.CodeLimit})
				break
			}
			s.uses[name.digest] = i
			name.used = true
		}
		if name.used || name.spreads {
			s.fresh = append(s.fresh, name)
		}
	}
}

// impactFinds is how many questions the finder is asked at once: it is a file or
// memory on this machine.
const impactFinds = 8

// impactNames is how many names a finder that can is asked about at once.
const impactNames = 1024

// find asks where names lead, and returns that sorted, each once. What the finder
// could not say is a gap.
func (s *impactSearch) find(ctx context.Context, r Relation, names []string) ([]attest.Digest, error) {
	ask, asks := func(i int, yield func(attest.Digest) bool) error { return s.f.Find(ctx, r, names[i], yield) }, len(names)
	if many, ok := s.f.(ManyFinder); ok && len(names) > 1 {
		parts := slices.Collect(slices.Chunk(names, impactNames))
		ask, asks = func(i int, yield func(attest.Digest) bool) error { return many.FindAny(ctx, r, parts[i], yield) }, len(parts)
	}
	found := make([][]attest.Digest, asks)
	failed := make([]error, asks)
	one := func(i int) {
		defer func() {
			if p := recover(); p != nil {
				failed[i] = attest.Refuse(attest.CodeInternal, "panic while asking the finder: %v\n%s", p, debug.Stack())
			}
		}()
		failed[i] = ask(i, func(d attest.Digest) bool {
			found[i] = append(found[i], d)
			return len(found[i]) <= s.limit
		})
		if len(found[i]) > s.limit {
			failed[i] = attest.Refuse(attest.CodeLimit, "more than %d artifacts", s.limit)
		}
	}
	if asks == 1 {
		one(0) // a long chain has one at a time, and many times
	} else {
		s.each(asks, one)
	}
	if err := ctx.Err(); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeInterrupted, Why: "the search was stopped", Err: err}
	}
	for _, err := range failed {
		switch c := attest.RefusalCode(err); {
		case c == attest.CodeInternal:
			return nil, fmt.Errorf("finding what is affected: %w", err)
		case err != nil:
			s.gaps = append(s.gaps, Gap{Code: cmp.Or(c, attest.CodeRegUnavailable)})
		}
	}
	return impactSorted(slices.Concat(found...)), nil
}

// each calls f for every number below n, several at once.
func (s *impactSearch) each(n int, f func(int)) {
	var group errgroup.Group
	var mu sync.Mutex
	next := 0
	for range min(n, impactFinds) {
		group.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				f(i)
			}
		})
	}
	_ = group.Wait() // the functions return nil
}

func impactSorted(list []attest.Digest) []attest.Digest {
	out := slices.SortedFunc(slices.Values(list), attest.Digest.Compare)
	return slices.Compact(out)
}

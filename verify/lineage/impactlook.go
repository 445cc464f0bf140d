package lineage

import (
	"context"
	"errors"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
)

// look looks at those of the artifacts that were not looked at yet; with all, for
// everything that lies there, and else for what leads on from what is affected.
func (s *impactSearch) look(ctx context.Context, artifacts []attest.Digest, all bool) error {
	var todo, rest []attest.Digest
	for _, d := range impactSorted(artifacts) {
		switch sight := s.sights[d]; {
		case sight != nil && all && !sight.all:
			rest = append(rest, d)
		case sight != nil:
		case len(s.sights)+len(todo) >= s.limit:
			s.gaps = append(s.gaps, Gap{Code: attest.CodeLimit})
		default:
			todo = append(todo, d)
		}
	}
	types := leadsOn()
	if all {
		types = nil
	}
	err := s.lookFor(ctx, todo, types, func(a *verify.Artifact) {
		s.sights[a.Digest] = s.keep(a)
		s.sights[a.Digest].all = all
	})
	if err != nil {
		return err
	}
	return s.lookFor(ctx, rest, nil, func(a *verify.Artifact) {
		s.sights[a.Digest] = s.keep(a)
		s.sights[a.Digest].all = true
	})
}

// lookStandin looks at the stand-in of a credential or a statement, of which there
// is no manifest.
func (s *impactSearch) lookStandin(ctx context.Context, d attest.Digest) error {
	return lookAtStandIns(ctx, []attest.Digest{d}, s.sources, s.scope, func(a *verify.Artifact) {
		s.sights[d] = s.keep(a)
		s.sights[d].all = true
	})
}

// leadsOn are the types of statements that speak of what was made, runs, or was taken
// back.
func leadsOn() []string {
	return []string{predicate.TypeProvenance, predicate.TypeDeployment, predicate.TypeRevocation}
}

// lookFor looks at artifacts, and opens only what the listings say is of these types,
// or of none that they know; no types are all. Most of what lies beside an artifact
// are evaluations, approvals, bills of materials and summaries, and of what is
// affected they are not needed.
//
// A listing is not signed. But where a hint led to an artifact that is not affected
// by what was seen there, everything there is opened: so what lies under a wrong type
// is hidden only where the artifact is affected anyway.
func (s *impactSearch) lookFor(ctx context.Context, artifacts []attest.Digest, types []string, each func(*verify.Artifact)) error {
	for batch := range slices.Chunk(artifacts, lookBatch) {
		sources := s.gather(ctx, batch, types)
		for i, src := range sources {
			if src != nil && types != nil { // Look refuses a nil one
				sources[i] = typed{src, types}
			}
		}
		if err := lookInBatches(ctx, batch, sources, s.scope, each); err != nil {
			return err
		}
	}
	return nil
}

// gather returns the sources for a batch: those that can read many things at once as
// one that has read them.
func (s *impactSearch) gather(ctx context.Context, batch []attest.Digest, types []string) []verify.Source {
	if len(batch) == 1 {
		return slices.Clone(s.sources)
	}
	ready := make([]verify.Source, len(s.sources))
	s.each(len(ready), func(i int) {
		if g, ok := s.sources[i].(Gatherer); ok {
			if all, err := g.Gather(ctx, batch, types); err == nil { // else the source says why of each artifact
				ready[i] = all
			}
		}
	})
	var out []verify.Source
	one := gathered{missed: s.missed}
	for i, src := range ready {
		if src != nil {
			one.sources = append(one.sources, src)
		} else {
			out = append(out, s.sources[i])
		}
	}
	if len(one.sources) > 0 {
		out = append(out, one)
	}
	return out
}

// A gathered source is several that have their answers at hand: asking many of them
// about many artifacts, each by itself, costs more than the answers.
type gathered struct {
	sources []verify.Source
	missed  func(attest.Digest, attest.Code)
}

func (g gathered) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	on := true
	for _, s := range g.sources {
		err := s.Attestations(ctx, d, func(a attest.Attached) bool {
			on = yield(a)
			return on
		})
		if on && err != nil {
			on = yield(attest.Attached{Err: err}) // each by itself: of one error only the first code would be told
		}
		if !on {
			return nil
		}
	}
	return nil
}

func (g gathered) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	var wrong []error
	for _, s := range g.sources {
		b, err := s.Manifest(ctx, d)
		switch {
		case err == nil && attest.SHA256(b) == d:
			return b, nil
		case err == nil:
			err = &attest.Refusal{Code: attest.CodeRegDigest, About: d.String(), Why: "a source sent other bytes"}
		case errors.Is(err, attest.ErrAbsent):
			continue
		}
		wrong = append(wrong, err)
	}
	for _, err := range wrong {
		g.missed(d, codeOf(err))
	}
	if len(wrong) > 0 {
		return nil, wrong[0]
	}
	return nil, attest.ErrAbsent
}

// missed notes a gap that a source has no way to tell of.
func (s *impactSearch) missed(d attest.Digest, code attest.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, Gap{d, code})
}

// A typed source passes over what its listing says is of other types.
type typed struct {
	verify.Source
	types []string
}

func (t typed) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	return t.Source.Attestations(ctx, d, func(a attest.Attached) bool {
		if a.Err == nil && a.PredicateType != "" && !slices.Contains(t.types, a.PredicateType) {
			return true
		}
		return yield(a)
	})
}

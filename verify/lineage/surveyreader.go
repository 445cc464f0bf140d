package lineage

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// Begin begins to read a repository, or goes on.
func (s *Survey) Begin(ctx context.Context, repo attest.Repository, beliefs []string, _ time.Time) (Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[repo]
	if r == nil {
		r = &surveyed{artifacts: map[attest.Digest]*found{}}
		s.repositories[repo] = r
	}
	grown := NotBelieved(beliefs, r.beliefs) != ""
	if r.finished == r.reading || grown {
		r.reading++
	}
	r.beliefs = slices.Clone(beliefs)
	if grown {
		for _, f := range r.artifacts {
			f.strangers = nil
		}
	}
	return &surveyReader{s, r}, nil
}

type surveyReader struct {
	survey *Survey
	repo   *surveyed
}

func (r *surveyReader) Artifacts(ctx context.Context, yield func(attest.Digest, bool) bool) error {
	r.survey.mu.Lock()
	consulted := make(map[attest.Digest]bool, len(r.repo.artifacts))
	for d, f := range r.repo.artifacts {
		consulted[d] = f.consulted
	}
	r.survey.mu.Unlock()
	for _, d := range slices.SortedFunc(maps.Keys(consulted), attest.Digest.Compare) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(d, consulted[d]) {
			return nil
		}
	}
	return nil
}

func (r *surveyReader) Done(ctx context.Context, d attest.Digest) (bool, error) {
	r.survey.mu.Lock()
	defer r.survey.mu.Unlock()
	f := r.repo.artifacts[d]
	return f != nil && f.reading == r.repo.reading && len(f.allMissed()) == 0, ctx.Err()
}

func (r *surveyReader) Known(ctx context.Context, d attest.Digest) (map[attest.Digest]bool, error) {
	r.survey.mu.Lock()
	defer r.survey.mu.Unlock()
	out := map[attest.Digest]bool{}
	if f := r.repo.artifacts[d]; f != nil {
		for _, m := range f.strangers {
			out[m] = false
		}
		for _, e := range f.entries {
			out[e.Manifest] = true
		}
		if f.manifest != nil {
			out[d] = true
		}
	}
	return out, ctx.Err()
}

func (r *surveyReader) Put(ctx context.Context, v Visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := r.survey
	s.mu.Lock()
	defer s.mu.Unlock()
	old := r.repo.artifacts[v.Artifact]
	if old == nil {
		old = &found{}
	}
	f := old.after(v)
	f.reading = r.repo.reading
	attestations := s.attestations + len(f.entries) - len(old.entries)
	bytes := s.bytes + f.size() - old.size()
	if attestations > maxSurvey || bytes > maxSurveyBytes {
		return &attest.Refusal{Code: attest.CodeLimit, Why: "more attestations than are read for one question", Next: "keep them in a file: pedigree index sync"}
	}
	s.attestations, s.bytes = attestations, bytes
	s.count(old, v.Artifact, -1)
	s.count(f, v.Artifact, 1)
	r.repo.artifacts[v.Artifact] = f
	lead := func(list []attest.Digest, consulted bool) {
		for _, d := range list {
			if r.repo.artifacts[d] == nil {
				r.repo.artifacts[d] = &found{consulted: true}
			}
			g := r.repo.artifacts[d]
			g.consulted = g.consulted && consulted
		}
	}
	lead(v.Leads, false)
	lead(v.Consults, true)
	return nil
}

// after returns what is known after a visit.
func (f *found) after(v Visit) *found {
	out := &found{consulted: f.consulted, manifest: v.Manifest, files: v.Files, manifestMissed: v.ManifestMissed, missed: v.Missed}
	if out.manifest == nil && (slices.Contains(v.Kept, v.Artifact) || v.ManifestMissed != "") {
		out.manifest, out.files = f.manifest, f.files
	}
	stays := map[attest.Digest]bool{}
	for _, d := range v.Kept {
		stays[d] = true
	}
	fetched := map[attest.Digest]bool{}
	for _, e := range v.Entries {
		fetched[e.Manifest] = true
	}
	out.entries = slices.Clone(v.Entries)
	for _, e := range f.entries {
		if (stays[e.Manifest] || len(v.Missed) > 0) && !fetched[e.Manifest] {
			out.entries = append(out.entries, e)
		}
	}
	out.strangers = slices.Clone(v.Strangers)
	for _, d := range f.strangers {
		if (stays[d] || len(v.Missed) > 0) && !fetched[d] {
			out.strangers = append(out.strangers, d)
		}
	}
	slices.SortFunc(out.entries, func(a, b Entry) int { return a.Manifest.Compare(b.Manifest) })
	slices.SortFunc(out.strangers, attest.Digest.Compare)
	out.strangers = slices.Compact(out.strangers)
	return out
}

// size returns how many bytes are kept.
func (f *found) size() int64 {
	n := int64(len(f.manifest))
	for _, e := range f.entries {
		n += int64(len(e.Bundle))
	}
	return n
}

// count adds what leads to an artifact, and what was missed there, or takes it away.
func (s *Survey) count(f *found, d attest.Digest, by int) {
	add := func(r Related) {
		at := s.hints[r]
		if at == nil {
			at = map[attest.Digest]int{}
			s.hints[r] = at
		}
		if at[d] += by; at[d] == 0 {
			delete(at, d)
		}
		if len(at) == 0 {
			delete(s.hints, r)
		}
	}
	for _, e := range f.entries {
		for _, r := range e.Related {
			add(r)
		}
	}
	for _, file := range f.files {
		add(Related{HasFile, file.Digest.String()})
	}
	for _, code := range f.allMissed() {
		if s.missed[code] += by; s.missed[code] == 0 {
			delete(s.missed, code)
		}
	}
}

func (r *surveyReader) Finish(ctx context.Context, held []attest.Held, exhaustive bool, missed []attest.Code) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.survey.mu.Lock()
	defer r.survey.mu.Unlock()
	r.repo.finished = r.repo.reading
	r.repo.held, r.repo.exhaustive, r.repo.missed = held, exhaustive, missed
	return nil
}

package lineage

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

const (
	// maxSurvey and maxSurveyBytes bound what a Survey keeps in memory: the attestations
	// and bytes that one walk takes.
	maxSurvey      = 65536
	maxSurveyBytes = 1 << 30
)

// A Survey is a Store in memory, for the questions of one command. Its methods may be
// called concurrently, but for those of one Reader.
//
// It keeps 65,536 attestations, and 1 GiB of them and of manifests; what is more is
// refused with E_LIMIT.
type Survey struct {
	mu           sync.Mutex
	repositories map[attest.Repository]*surveyed
	hints        map[Related]map[attest.Digest]int // how often each artifact is hinted at
	missed       map[attest.Code]int               // at how many artifacts
	attestations int
	bytes        int64
}

// A surveyed is what a Survey knows of one repository.
type surveyed struct {
	reading    int // the last that was begun, from 1
	finished   int // the last that was finished
	exhaustive bool
	missed     []attest.Code
	beliefs    []string
	held       []attest.Held
	artifacts  map[attest.Digest]*found
}

// A found is what a Survey knows of one artifact in one repository.
type found struct {
	reading        int  // in which it was read; 0: it is only known of
	consulted      bool // known from Visit.Consults alone
	manifest       []byte
	files          []attest.File
	manifestMissed attest.Code
	missed         []attest.Code
	entries        []Entry // by manifest
	strangers      []attest.Digest
}

var _ Store = (*Survey)(nil)

// NewSurvey returns an empty Survey.
func NewSurvey() *Survey {
	return &Survey{repositories: map[attest.Repository]*surveyed{}, hints: map[Related]map[attest.Digest]int{}, missed: map[attest.Code]int{}}
}

// Find yields the artifacts that stand in a relation to a name, sorted, each once.
func (s *Survey) Find(ctx context.Context, r Relation, name string, yield func(attest.Digest) bool) error {
	s.mu.Lock()
	list := slices.SortedFunc(maps.Keys(s.hints[Related{r, name}]), attest.Digest.Compare)
	err := s.incomplete()
	s.mu.Unlock()
	for _, d := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(d) {
			return nil
		}
	}
	return err
}

// incomplete returns why there may be more than the survey knows.
func (s *Survey) incomplete() error {
	if len(s.repositories) == 0 {
		return unread("nothing was read")
	}
	missed := maps.Clone(s.missed)
	for repo, r := range s.repositories {
		if r.finished != r.reading {
			return unread(repo.String() + " was not read to the end")
		}
		for _, code := range r.missed {
			missed[code]++
		}
	}
	return missedError(slices.Sorted(maps.Keys(missed)), "something", "could not be looked at")
}

func (f *found) allMissed() []attest.Code {
	if f.manifestMissed == "" {
		return f.missed
	}
	return append(slices.Clone(f.missed), f.manifestMissed)
}

// Held yields what the repository listed by itself when it was read last.
func (s *Survey) Held(ctx context.Context, repo attest.Repository, yield func(attest.Held) bool) error {
	s.mu.Lock()
	var list []attest.Held
	err := unread(repo.String() + " was not read")
	if r := s.repositories[repo]; r != nil {
		list = r.held
		if err = unread(repo.String() + " was not read to the end"); r.finished == r.reading {
			err = missedError(r.missed, repo.String(), "did not list everything that it holds")
		}
	}
	s.mu.Unlock()
	for _, h := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.Tags = slices.Clone(h.Tags)
		if !yield(h) {
			return nil
		}
	}
	return err
}

// Source returns what the survey holds of one repository.
func (s *Survey) Source(repo attest.Repository) verify.Source { return surveySource{s, repo} }

type surveySource struct {
	survey *Survey
	repo   attest.Repository
}

// get returns what is known of an artifact that was read: a copy, or an error, or
// neither, if the repository lists everything and did not list this.
func (s surveySource) get(d attest.Digest) (*found, error) {
	s.survey.mu.Lock()
	defer s.survey.mu.Unlock()
	r := s.survey.repositories[s.repo]
	if r == nil {
		return nil, unread(s.repo.String() + " was not read")
	}
	f := r.artifacts[d]
	switch {
	case f != nil && f.reading == r.reading:
		out := *f // Put makes new lists, and does not change these
		return &out, nil
	case r.finished != r.reading:
		return nil, unread(s.repo.String() + " was not read to the end")
	case !r.exhaustive:
		return nil, unread(s.repo.String() + " was not asked about " + d.String() + ", and does not list everything")
	}
	return nil, nil
}

func (s surveySource) Attestations(ctx context.Context, d attest.Digest, yield func(attest.Attached) bool) error {
	f, err := s.get(d)
	if f == nil {
		return err
	}
	for _, e := range f.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(e.Attached) {
			return nil
		}
	}
	// Each code by itself: of one error only the first code would become a gap.
	for _, code := range f.missed {
		if !yield(attest.Attached{Err: missedError([]attest.Code{code}, d.String(), "could not be looked at")}) {
			return nil
		}
	}
	return missedError(f.missed, d.String(), "could not be looked at")
}

func (s surveySource) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.get(d)
	switch {
	case err != nil:
		return nil, err
	case f == nil:
		// Listed or not, a manifest can be there.
		return nil, unread(s.repo.String() + " was not asked for " + d.String())
	case f.manifestMissed != "":
		return nil, missedError([]attest.Code{f.manifestMissed}, d.String(), "could not be looked at")
	case f.manifest == nil:
		return nil, attest.ErrAbsent
	}
	return f.manifest, nil
}

// unread is the error of whoever is asked about what was not read.
func unread(why string) error { return attest.Refuse(attest.CodeIndex, "%s", why) }

// missedError is the error about what could not be looked at; nil for no codes.
func missedError(codes []attest.Code, about, why string) error {
	if len(codes) == 0 {
		return nil
	}
	var next error
	if len(codes) > 1 {
		next = missedError(codes[1:], about, why)
	}
	return &attest.Refusal{Code: codes[0], About: about, Why: why, Err: next}
}

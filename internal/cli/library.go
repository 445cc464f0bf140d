package cli

import (
	"context"
	"crypto/rand"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// A library is where a question looks that no single walk answers: what leads to
// artifacts, and what evidence about them is looked for in.
type library struct {
	lineage.Finder
	sources []verify.Source
	scope   verify.Scope
	missed  []lineage.Gap // what could not be read
	repos   []attest.Repository
}

// library reads the repositories to the end, and those that policy and command line
// name; or opens the index, where no repositories mean all that it has. also are
// digests that the question is about: repositories that do not list everything are
// asked about them by name.
func (gr *ground) library(ctx context.Context, repos []attest.Repository, also ...attest.Digest) (*library, error) {
	if gr.index == nil && len(repos) == 0 {
		return nil, &attest.Refusal{Code: attest.CodeUsage, Why: "where is to be looked?", Next: "name repositories, or an index of them: --index FILE"}
	}
	if gr.index != nil && len(repos) == 0 {
		var err error
		if repos, err = gr.index.Repositories(ctx); err != nil {
			return nil, err
		}
	}
	places, loose, err := gr.places(repos...)
	if err != nil {
		return nil, err
	}
	l := &library{repos: places, sources: loose}
	var store lineage.Store = gr.index
	if gr.index == nil {
		store, l.missed, err = gr.survey(ctx, places, also)
	} else {
		l.missed, err = gr.index.Missed(ctx, places)
	}
	if err != nil {
		return nil, err
	}
	l.Finder, l.scope = store, gr.scope()
	for _, r := range places {
		l.sources = append(l.sources, store.Source(r))
	}
	return l, nil
}

// survey reads repositories to the end, into memory. What it opens is not verified
// again by whoever walks over it with the ground's scope.
func (gr *ground) survey(ctx context.Context, places []attest.Repository, also []attest.Digest) (lineage.Store, []lineage.Gap, error) {
	if gr.memory == nil {
		secret := make([]byte, verify.MemorySecret)
		rand.Read(secret) // never fails
		var err error
		if gr.memory, err = verify.NewMemory(secret); err != nil {
			return nil, nil, err
		}
	}
	var holdings []lineage.Holding
	for _, r := range places {
		v, err := gr.view(r)
		if err != nil {
			return nil, nil, err
		}
		holdings = append(holdings, v)
	}
	bars, wait := gr.app.progress()
	defer wait()
	progress, done := bars.Count("reading what is held")
	defer done()
	s := lineage.NewSurvey()
	report, err := lineage.Crawl(ctx, s, holdings, lineage.CrawlOptions{
		Signers: gr.signers, Memory: gr.memory, At: gr.question.At, Also: slices.Concat(gr.scope().Also, also), Progress: progress,
	})
	return s, report.Missed, err
}

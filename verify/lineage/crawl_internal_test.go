package lineage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
)

// Each limit of a crawl is a gap where it was reached, what was found before is kept,
// and the next crawl goes on from there, if it can.
func TestCrawlLimits(t *testing.T) {
	w := chaintest.New(t)
	at := func(i int) attest.Digest { return attest.SHA256(fmt.Appendf(nil, "artifact %d", i)) }
	for i := range 12 {
		w.Sign("mallory", at(i/4), "https://example.test/note/v1", map[string]any{"n": i})
		w.Sign("alice", at(i/4), "https://example.test/note/v1", map[string]any{"n": i})
	}
	size := int64(len(w.Bundles(at(0))[0]))
	everywhere := []Gap{{at(0), attest.CodeLimit}, {at(1), attest.CodeLimit}, {at(2), attest.CodeLimit}}
	for name, tt := range map[string]struct {
		lower  func(l *crawlLimits)
		missed []Gap
		// least are the attestations that are kept at least, most at most.
		least, most int
		finished    bool
		again       int // how many further crawls get everything; 0: none can
	}{
		"none":                         {func(*crawlLimits) {}, nil, 12, 12, true, 1},
		"artifacts":                    {func(l *crawlLimits) { l.reached = 2 }, []Gap{{Code: attest.CodeLimit}}, 0, 8, false, 0},
		"artifacts, all but just":      {func(l *crawlLimits) { l.reached = 3 }, nil, 12, 12, true, 1},
		"attestations of one":          {func(l *crawlLimits) { l.listed = 5 }, everywhere, 6, 9, true, 0},
		"attestations, all but just":   {func(l *crawlLimits) { l.listed = 8 }, nil, 12, 12, true, 1},
		"bytes read of one":            {func(l *crawlLimits) { l.read = 4 * size }, everywhere, 3, 9, true, 3},
		"bytes kept of one":            {func(l *crawlLimits) { l.kept = size }, everywhere, 6, 12, true, 3},
		"strangers":                    {func(l *crawlLimits) { l.strangers = 4 }, []Gap{{Code: attest.CodeLimit}}, 4, 4, false, 3},
		"strangers, more than are one": {func(l *crawlLimits) { l.strangers = 5 }, []Gap{{Code: attest.CodeLimit}}, 8, 8, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSurvey()
			h := w.Holding("registry.example/limits", true)
			run := func() CrawlReport {
				c, err := newCrawl([]Holding{h}, CrawlOptions{Signers: verify.Signers{Keys: []attest.PublicKey{w.Key("alice")}}, At: time.Unix(1e9, 0), Jobs: 1})
				if err != nil {
					t.Fatal(err)
				}
				tt.lower(&c.limits)
				if err := c.run(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				c.report.Missed = sortGaps(c.report.Missed)
				return c.report
			}
			kept := func() int {
				n := 0
				for i := range 3 {
					_ = s.Source(h.Repository()).Attestations(t.Context(), at(i), func(a attest.Attached) bool {
						if a.Err == nil {
							n++
						}
						return true
					})
				}
				return n
			}
			report := run()
			want := slices.Clone(tt.missed)
			if !slices.Equal(report.Missed, sortGaps(want)) {
				t.Errorf("missed %v, want %v", report.Missed, want)
			}
			if n := kept(); n < tt.least || n > tt.most {
				t.Errorf("%d are kept, want %d to %d", n, tt.least, tt.most)
			}
			err := s.Held(t.Context(), h.Repository(), func(attest.Held) bool { return true })
			if (err == nil) != tt.finished || err != nil && attest.RefusalCode(err) != attest.CodeIndex {
				t.Errorf("Held says %v, finished: %t", err, tt.finished)
			}
			if tt.again == 0 {
				return
			}
			for range tt.again {
				report = run()
			}
			if n := kept(); n != 12 || len(report.Missed) > 0 {
				t.Errorf("after %d more, %d are kept, and missed are %v", tt.again, n, report.Missed)
			}
		})
	}
}

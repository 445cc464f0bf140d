package oci_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify"
	questions "github.com/pedigree-ml/pedigree/verify/lineage"
)

var _ questions.Holding = (*oci.View)(nil)

// Every home is read to the end, and walked over in memory as it is itself: what no
// tag names included, commits, data sets, and what was withdrawn.
func TestCrawl(t *testing.T) {
	everyHome(t, func(t *testing.T, where string) {
		r := open(t, where)
		ref, err := r.Push(t.Context(), model(t), "v1")
		must(t, err)
		key, err := testKey()
		must(t, err)
		commit, err := attest.ParseDigest("gitCommit:" + strings.Repeat("ab", 20))
		must(t, err)
		data := attest.SHA256([]byte("data"))
		attach := func(at attest.Digest, predicateType string, body any) attest.Digest {
			t.Helper()
			payload, err := attest.NewStatement(attest.Subject{Name: "it", Digest: at}, predicateType, body)
			must(t, err)
			b, err := attest.Sign(t.Context(), payload, key)
			must(t, err)
			_, err = r.Attach(t.Context(), at, b)
			must(t, err)
			return attest.SHA256(payload)
		}
		build := func(inputs ...attest.Digest) map[string]any {
			var deps []any
			for i, d := range inputs {
				deps = append(deps, map[string]any{"name": fmt.Sprint(i), "digest": d.DigestSet()})
			}
			return map[string]any{"buildDefinition": map[string]any{"buildType": "https://example.test/build", "externalParameters": map[string]any{}, "resolvedDependencies": deps},
				"runDetails": map[string]any{"builder": map[string]any{"id": "https://builder.example.test"}}}
		}
		made := attach(ref.Digest, predicate.TypeProvenance, build(data, commit))
		attach(data, predicate.TypeProvenance, build(attest.SHA256([]byte("raw"))))
		attach(commit, "https://example.test/review/v1", map[string]any{"n": 1})
		attach(made, predicate.TypeRevocation, map[string]any{"action": "revoke", "target": "payload", "reason": "test", "issuedAt": "2026-02-01T00:00:00Z"})

		scope := questions.Everything(verify.Signers{Keys: []attest.PublicKey{key.Public()}})
		scope.Consult = true
		walk := func(s verify.Source) (out []string) {
			t.Helper()
			c, err := verify.Walk(t.Context(), ref.Digest, []verify.Source{s}, scope)
			must(t, err)
			say := func(what string, a *verify.Artifact) {
				out = append(out, fmt.Sprint(what, a.Digest, a.FilesKnown, len(a.Files), a.Gaps))
				for _, e := range a.Evidence {
					out = append(out, fmt.Sprint(what, a.Digest, e.ID()))
				}
			}
			for _, d := range c.Artifacts() {
				say("artifact ", c.Artifact(d))
			}
			for _, d := range c.ConsultedAll() {
				say("consulted ", c.Consulted(d))
			}
			return append(out, fmt.Sprint(c.Edges()))
		}
		s := questions.NewSurvey()
		crawl := func() questions.CrawlReport {
			t.Helper()
			report, err := questions.Crawl(t.Context(), s, []questions.Holding{open(t, where).View()}, questions.CrawlOptions{Signers: scope.Signers, At: time.Unix(1e9, 0)})
			must(t, err)
			return report
		}
		report := crawl()
		if report.Fetched != 4 || len(report.Missed) > 0 {
			t.Errorf("report: %+v", report)
		}
		got, want := walk(s.Source(r.Ref())), walk(r)
		if !slices.Equal(got, want) || len(want) < 12 {
			t.Errorf("over what was crawled the walk gives\n%s\nand over the repository\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		attach(data, "https://example.test/review/v1", map[string]any{"n": 2})
		if report = crawl(); report.Fetched != 1 || report.Kept != 4 || report.Gone != 0 || len(report.Missed) > 0 {
			t.Errorf("the second report: %+v", report)
		}
		if got, want := walk(s.Source(r.Ref())), walk(r); !slices.Equal(got, want) {
			t.Errorf("the second time the walk gives\n%s\nand over the repository\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

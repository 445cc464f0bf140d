package fleet_test

import (
	"context"
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/fleet"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// Who is affected according to the records is what the fleet was planned as: the plan
// is worked out without reading any record.
func TestImpactIsAsPlanned(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 9, Versions: 150, Hot: 30, Chain: 20, Strangers: 0.3})
	g := held(t, f)
	s := lineage.NewSurvey()
	if _, err := lineage.Crawl(context.Background(), s, g.Holdings(), lineage.CrawlOptions{Signers: verify.Signers{Keys: f.Keys()}, At: f.End()}); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range f.Popular() {
		a, err := lineage.Impact(context.Background(), s, []verify.Source{g}, verify.Scope{Signers: verify.Signers{Keys: f.Keys()}}, lineage.Start{Digest: p.Artifact}, lineage.ImpactOptions{At: f.End()})
		if err != nil {
			t.Fatal(err)
		}
		var got []attest.Digest
		for _, x := range a.Affected {
			if x.Effect != lineage.IsStart && !x.File {
				got = append(got, x.Digest)
			}
		}
		slices.SortFunc(got, attest.Digest.Compare)
		if want := f.Descendants(p.Artifact); !slices.Equal(got, want) || len(a.Gaps) != 0 {
			t.Errorf("%s: %d affected, planned %d; gaps %v", p.Name, len(got), len(want), a.Gaps)
		}
		asked += len(got)
	}
	if asked < 100 {
		t.Errorf("%d descendants in all: nothing was compared", asked)
	}
}

// The cards in a fleet say what its records say, and another model's card does not.
func TestCardsAgreeWithTheRecords(t *testing.T) {
	t.Parallel()
	f := planned(t, fleet.Config{Seed: 11, Versions: 80, Chain: 10, Strangers: -1})
	g := held(t, f)
	cards := map[attest.Digest]lineage.Card{}
	err := f.Generate(context.Background(), func(i fleet.Item) error {
		if i.Manifest == nil || i.Kind != "model" {
			return nil
		}
		c, err := lineage.ReadCard(func(path string) ([]byte, error) {
			if text, ok := i.Files[path]; ok {
				return []byte(text), nil
			}
			return nil, attest.ErrAbsent
		})
		cards[i.Artifact] = c
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	swapped := 0
	var last lineage.Card
	for _, r := range f.Releases() {
		graph := lineage.Trace(walked(t, f, g, r.Artifact), lineage.TraceOptions{})
		if got := lineage.Contradictions(cards[r.Artifact], graph); len(got) != 0 {
			t.Errorf("%s: %+v", r.Tag, got)
		}
		if !slices.Equal(last.BaseModels, cards[r.Artifact].BaseModels) && len(last.BaseModels) > 0 {
			if got := lineage.Contradictions(last, graph); len(got) > 0 && !got[0].Open {
				swapped++
			}
		}
		last = cards[r.Artifact]
	}
	if swapped < 10 {
		t.Errorf("%d cards of other models are contradicted", swapped)
	}
}

package lineage

import (
	"context"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// An authenticated time decides since when; a claim alone proves nothing.
func TestStartDoubts(t *testing.T) {
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	before, after, never := since.Add(-time.Second), since.Add(time.Second), time.Time{}
	for _, c := range []struct {
		since, claimed, seen time.Time
		want                 impactDoubt
	}{
		{never, before, before, doubted},
		{since, before, before, notDoubted},
		{since, after, before, notDoubted}, // it existed, whatever it says
		{since, never, before, notDoubted},
		{since, before, after, doubted},
		{since, before, since, doubted},
		{since, after, after, doubted},
		{since, before, never, perhapsDoubted},
		{since, since, never, doubted},
		{since, after, never, doubted},
		{since, never, never, doubted}, // it does not even claim to be older
	} {
		if got := (Start{Since: c.since}).doubts(c.claimed, c.seen); got != c.want {
			t.Errorf("since %v, claimed %v, seen %v: %d, want %d", c.since, c.claimed, c.seen, got, c.want)
		}
	}
}

type panicking struct{}

func (panicking) Find(context.Context, Relation, string, func(attest.Digest) bool) error {
	panic("a bug")
}
func (panicking) Held(context.Context, attest.Repository, func(attest.Held) bool) error { return nil }

// A bug in a finder is a bug, and neither the end of the process nor an answer.
func TestImpactFinderPanics(t *testing.T) {
	s := newImpactSearch(panicking{}, nil, verify.Scope{}, Start{}, ImpactOptions{})
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		if _, err := s.find(t.Context(), NamesInput, names); attest.RefusalCode(err) != attest.CodeInternal {
			t.Errorf("%v", err)
		}
	}
}

package cli

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// An indexOf is an index in memory. It can lie about which artifacts have a file.
type indexOf struct {
	*lineage.Survey
	repos []attest.Repository
	lie   attest.Digest
}

func (i *indexOf) Repositories(context.Context) ([]attest.Repository, error) { return i.repos, nil }
func (i *indexOf) Together(repos []attest.Repository) verify.Source          { return i.Source(repos[0]) }
func (i *indexOf) Missed(context.Context, []attest.Repository) ([]lineage.Gap, error) {
	return nil, nil
}
func (i *indexOf) ReadAt(context.Context) (a, b time.Time, err error) { return a, b, nil }
func (i *indexOf) Memory() *verify.Memory                             { return nil }
func (i *indexOf) Trusted(context.Context, []string) error            { return nil }
func (i *indexOf) Close() error                                       { return nil }

func (i *indexOf) Find(ctx context.Context, r lineage.Relation, name string, yield func(attest.Digest) bool) error {
	if !i.lie.IsZero() && !yield(i.lie) {
		return nil
	}
	return i.Survey.Find(ctx, r, name, yield)
}

// A holdingOf lists what a test pushed.
type holdingOf struct {
	*oci.View
	held []attest.Held
}

func (h holdingOf) Held(_ context.Context, yield func(attest.Held) bool) (bool, error) {
	for _, one := range h.held {
		if !yield(one) {
			break
		}
	}
	return true, nil
}

func (h holdingOf) AttestationsExcept(context.Context, attest.Digest, func(attest.Digest) bool, func(attest.Attached) bool) error {
	return nil
}

// What the index leads to counts only if its manifest truly has the file.
func TestElsewhereByIndex(t *testing.T) {
	where, err := attest.ParseRepository("ocidir://" + t.TempDir() + "/reg")
	if err != nil {
		t.Fatal(err)
	}
	repo, err := oci.Open(where, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var pushed []attest.Digest
	holding := holdingOf{View: repo.View()}
	for tag, content := range map[string]string{"v1": "one", "v2": "two"} {
		p, err := oci.Pack(t.Context(), []string{folder(t, map[string]string{"w.bin": content})}, oci.Metadata{}, oci.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := repo.Push(t.Context(), p, tag)
		if err != nil {
			t.Fatal(err)
		}
		holding.held = append(holding.held, attest.Held{Digest: ref.Digest, Tags: []string{tag}})
		if tag == "v1" {
			pushed = slices.Insert(pushed, 0, ref.Digest)
		} else {
			pushed = append(pushed, ref.Digest)
		}
	}
	survey := lineage.NewSurvey()
	report, err := lineage.Crawl(t.Context(), survey, []lineage.Holding{holding}, lineage.CrawlOptions{At: time.Now()})
	if err != nil || len(report.Missed) > 0 {
		t.Fatalf("%v, missed %v", err, report.Missed)
	}
	one, strange := attest.SHA256([]byte("one")), attest.SHA256([]byte("three"))
	for _, lie := range []attest.Digest{{}, pushed[1]} {
		gr := &ground{index: &indexOf{survey, []attest.Repository{where}, lie}}
		got, err := gr.elsewhere(t.Context(), attest.Reference{}, []attest.Digest{one, strange})
		if err != nil {
			t.Fatal(err)
		}
		if known := got[one]; len(known) != 1 || known[0].Artifact != pushed[0] || known[0].Path != "w.bin" || !slices.Equal(known[0].Tags, []string{where.String() + ":v1"}) {
			t.Errorf("known from %+v", known)
		}
		if len(got[strange]) != 0 {
			t.Errorf("nobody has these bytes, and they are known from %+v", got[strange])
		}
	}
	// A lie about something that is not there is a hint to nothing, and is said.
	gr := &ground{index: &indexOf{survey, []attest.Repository{where}, strange}}
	if got, err := gr.elsewhere(t.Context(), attest.Reference{}, []attest.Digest{one}); err == nil || len(got[one]) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// Only a match that the policy allows is a yes.
func TestDeployedAnswer(t *testing.T) {
	for _, c := range []struct {
		matches bool
		outcome string
		want    error
	}{
		{true, "ALLOW", nil}, {false, "ALLOW", &outcomeError{policy.Deny}}, {true, "DENY", &outcomeError{policy.Deny}}, {false, "", &outcomeError{policy.Deny}},
		{true, "UNDECIDED", &outcomeError{policy.Undecided}}, {false, "UNDECIDED", &outcomeError{policy.Deny}}, {true, "", &outcomeError{policy.Undecided}},
	} {
		got := deployedAnswer(&lineage.DeployedState{Matches: c.matches, Trust: lineage.Trust{Outcome: c.outcome}})
		if (got == nil) != (c.want == nil) || got != nil && got.Error() != c.want.Error() {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

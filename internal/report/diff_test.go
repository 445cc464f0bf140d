package report

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

const nasty = "a\x1b[31m\nb\u202ec"

// Whatever signers wrote is shown as data, everywhere.
func TestDiffHostile(t *testing.T) {
	one, two := attest.SHA256([]byte("1")), attest.SHA256([]byte("2"))
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	in := func(d attest.Digest) *lineage.InputSeen {
		return &lineage.InputSeen{Digest: d, Name: nasty, URI: nasty, Records: []int{0}}
	}
	seen := lineage.ApprovalSeen{Decision: nasty, Environments: []string{nasty}, Policy: lineage.PolicyNamed{Name: nasty, Digest: one}, Basis: []lineage.BasisSeen{{What: nasty, Payload: one}, {Payload: two}}, Conditions: []string{nasty}, ValidUntil: &at}
	rows := &lineage.RowsChange{Kind: "JSON", List: []lineage.RowChange{{How: lineage.HowChanged, Name: nasty, A: nasty, B: nasty + "x"}, {How: lineage.HowChanged, Name: nasty, A: nasty, OtherContents: true}}}
	value := &lineage.Measured{Value: nasty, Unit: nasty}
	c := lineage.ArtifactChange{
		How: lineage.HowReplaced, Of: -1, For: []string{nasty}, Role: nasty, A: in(one), B: in(two), RolesInA: []string{nasty}, RolesInB: []string{nasty}, Same: 3,
		Steps: []lineage.StepChange{{Step: nasty, Was: nasty, A: []int{0}, B: []int{1}, SignersChange: lineage.SignersChange{SignersA: []string{nasty}, SignersB: []string{nasty, "x"}},
			Parameters: []lineage.ParameterChange{{Name: nasty, A: []string{nasty}, B: []string{nasty, nasty}}}}},
		Files: &lineage.FilesChange{List: []lineage.FileChange{
			{How: lineage.HowChanged, Path: nasty, A: &lineage.FileSeen{Digest: one}, B: &lineage.FileSeen{Digest: two}, Rows: rows},
			{How: lineage.HowRenamed, Path: nasty, Was: nasty, A: &lineage.FileSeen{Digest: one}, B: &lineage.FileSeen{Digest: one}},
		}},
		Rows:        &lineage.RowsChange{Unread: nasty},
		Commits:     &lineage.CommitRange{Relation: lineage.CommitNewer, GainedCount: 1, Gained: []lineage.Commit{{ID: one, Author: nasty, Subject: nasty, Time: nasty}}, Paths: []lineage.PathChange{{How: lineage.HowAdded, Path: nasty}}},
		Evaluations: []lineage.EvaluationChange{{Kind: nasty, Suite: nasty, VersionA: nasty, Metrics: []lineage.MetricChange{{Slice: nasty, Group: nasty, Name: nasty, A: value, B: value, Delta: "+1"}}, FromA: new(int), FromB: new(int)}},
		Approvals:   []lineage.ApprovalChange{{Signer: nasty, Role: nasty, A: []lineage.ApprovalSeen{seen}, B: []lineage.ApprovalSeen{seen}}},
		Others:      []lineage.RecordsChange{{Type: nasty, A: []int{0}, B: []int{1}}},
	}
	added := lineage.ArtifactChange{How: lineage.HowAdded, Of: 0, Role: nasty, B: in(two)}
	record := lineage.Record{Payload: one, Signer: nasty, Step: nasty, Type: "deployment", Claimed: &at, Problem: nasty, Facts: []lineage.Fact{{Name: "environment", Value: nasty}}}
	trust := lineage.Trust{Policy: nasty, Outcome: "DENY"}
	d := &lineage.Difference{
		A:       lineage.DiffSide{Reference: nasty, Trust: trust, Why: []string{nasty}, Policies: []lineage.PolicyNamed{{Name: nasty, Records: []int{0}}}},
		B:       lineage.DiffSide{Reference: nasty, Trust: lineage.Trust{Signers: []string{nasty}}},
		Changes: []lineage.ArtifactChange{c, added}, Records: []lineage.Record{record, record},
		Gaps: []lineage.Gap{{Artifact: one, Code: attest.CodeLimit}},
	}
	var b strings.Builder
	if err := Diff(&b, d, Options{Notes: []string{nasty}, Unseen: []string{nasty}}); err != nil {
		t.Fatal(err)
	}
	deployed := &lineage.DeployedState{
		Reference: nasty, Place: nasty, Running: two, Artifact: one, Trust: trust, Why: []string{nasty}, Records: []lineage.Record{record},
		Decisions: []lineage.Decided{{Signer: nasty, Role: nasty, ApprovalSeen: seen}}, Counts: lineage.DeployedCounts{Changed: 1},
		Files: []lineage.DeployedFile{
			{How: lineage.HowChanged, Path: nasty, Want: &lineage.FileSeen{Digest: one}, Got: &lineage.FileSeen{Digest: two}, Rows: rows, Known: []lineage.KnownFile{{Path: nasty, Tags: []string{nasty}}}},
			{How: lineage.HowSame, Path: nasty, Want: &lineage.FileSeen{Digest: one}, Got: &lineage.FileSeen{Digest: one}},
			{How: lineage.HowMissing, Path: nasty, Want: &lineage.FileSeen{Digest: one}}, {How: lineage.HowExtra, Path: nasty, Got: &lineage.FileSeen{Digest: one}},
		},
	}
	if err := Deployed(&b, deployed, Options{Policy: nasty, Notes: []string{nasty}}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "\nb") {
		t.Errorf("a name reached the terminal as it was written:\n%q", text)
	}
	if n := strings.Count(text, `\u{1b}`); n < 60 {
		t.Errorf("the names are there %d times only: something is not shown", n)
	}
}

// Long lists are cut, and say so; lines fit.
func TestDiffLong(t *testing.T) {
	d := &lineage.Difference{Changes: []lineage.ArtifactChange{{How: lineage.HowReplaced, Of: -1, A: &lineage.InputSeen{}, B: &lineage.InputSeen{}, Files: &lineage.FilesChange{}}}}
	root := &d.Changes[0]
	for i := range 1000 {
		digest := attest.SHA256(fmt.Append(nil, i))
		root.Files.List = append(root.Files.List, lineage.FileChange{How: lineage.HowAdded, Path: fmt.Sprint("f", i), B: &lineage.FileSeen{Digest: digest}})
	}
	for i := range 30000 {
		c := lineage.ArtifactChange{How: lineage.HowAdded, Of: 0, Role: "training-data", B: &lineage.InputSeen{Digest: attest.SHA256(fmt.Append(nil, i)), Name: strings.Repeat("long words ", 20)}}
		if i >= 20000 {
			c = lineage.ArtifactChange{How: lineage.HowReplaced, Of: len(d.Changes) - 1, A: c.B, B: c.B} // ten thousand deep
		}
		d.Changes = append(d.Changes, c)
	}
	var b strings.Builder
	if err := Diff(&b, d, Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) > 500 || !strings.Contains(b.String(), "… and 975 more files") || !strings.Contains(b.String(), "… and 19960 more inputs") || !strings.Contains(b.String(), "more (use --output json)") {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines[:min(len(lines), 60)], "\n"))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 100 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

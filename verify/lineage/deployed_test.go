package lineage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func filesOf(files map[string]string) []attest.File {
	var out []attest.File
	for p, content := range files {
		out = append(out, attest.File{Path: p, Descriptor: attest.Descriptor{Digest: chaintest.File(content), Size: int64(len(content))}})
	}
	return out
}

func TestCompareDeployed(t *testing.T) {
	r := first()
	w := chaintest.New(t)
	model := r.make(t, w)
	c := everything(t, w, model, allNames...)
	o := lineage.DeployedOptions{Reading: called(w, allNames...), Place: "/srv"}
	ask := func(got map[string]string, o lineage.DeployedOptions) *lineage.DeployedState {
		t.Helper()
		d, err := lineage.CompareDeployed(t.Context(), c, filesOf(r.model), filesOf(got), o)
		must(t, err)
		return d
	}
	same := ask(r.model, o)
	if !same.Matches || same.Counts.Same != len(r.model) || len(same.Decisions) != 2 || same.Decisions[0].Signer == same.Decisions[1].Signer || len(same.Records) != 2 {
		t.Errorf("the artifact's own files: %+v", same)
	}
	// Nothing is the same as nothing, and that proves nothing.
	if d, err := lineage.CompareDeployed(t.Context(), c, nil, nil, o); err != nil || d.Matches {
		t.Errorf("no files at all: %+v, %v", d, err)
	}

	got := map[string]string{"model.safetensors": "card", "config.json": `{"bits":7,"layers":2}`, "README.md": "card", "data.csv": r.data, "strange": "?"}
	o.Content = contents(r.model["config.json"], got["config.json"])
	var asked []attest.Digest
	o.Elsewhere = func(_ context.Context, list []attest.Digest) (map[attest.Digest][]lineage.KnownFile, error) {
		asked = list
		return map[attest.Digest][]lineage.KnownFile{
			chaintest.File("card"):   {{Artifact: model, Path: "README.md", Tags: []string{"v1"}}, {Artifact: chaintest.File("old"), Path: "x"}},
			chaintest.File("nobody"): {{Artifact: model}},
		}, errors.New("one repository did not answer")
	}
	d := ask(got, o)
	var lines []string
	for _, f := range d.Files {
		s := fmt.Sprint(f.How, " ", f.Path)
		for _, k := range f.Known {
			s += fmt.Sprint(" =", k.Path, " ", k.Tags, " ", k.Chain)
		}
		if f.Rows != nil {
			for _, row := range f.Rows.List {
				s += fmt.Sprint(" ", row.Name, " ", row.A, ">", row.B)
			}
		}
		lines = append(lines, s)
	}
	want := []string{
		"same README.md", "changed config.json bits 8>7", "extra data.csv =train.csv [] true",
		"changed model.safetensors =README.md [v1] true =x [] false", "missing old-name.txt", "extra strange",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines, "\n  "), strings.Join(want, "\n  "))
	}
	if d.Matches || d.Counts != (lineage.DeployedCounts{Same: 1, Changed: 2, Missing: 1, Extra: 2}) || len(asked) != 4 {
		t.Errorf("%+v, asked about %d", d.Counts, len(asked))
	}
	if len(d.Gaps) != 1 || d.Gaps[0].Code != attest.CodeRegUnavailable {
		t.Errorf("gaps %v", d.Gaps)
	}

	// A reference that names another artifact does not match, whatever its files are.
	o.Running = chaintest.File("other")
	if ask(r.model, o).Matches {
		t.Error("another manifest matches")
	}
	o.Running = model
	if !ask(r.model, o).Matches {
		t.Error("the artifact itself does not match")
	}
	if _, err := lineage.CompareDeployed(t.Context(), verify.Chain{}, nil, nil, o); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("the zero chain: %v", err)
	}
}

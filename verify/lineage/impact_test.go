package lineage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// poisoned is a data set, a model trained on it, one quantised from that and in
// production, and another one that has nothing to do with it but the licence.
type poisoned struct {
	w                                  *chaintest.World
	data, model, small, clean, rows    attest.Digest
	base                               attest.Digest // of clean
	training, evaluation, cleanTrained attest.Digest // payloads
}

func newPoisoned(t testing.TB) *poisoned {
	w := chaintest.New(t)
	p := &poisoned{w: w, rows: chaintest.File("1,2"), base: attest.SHA256([]byte("base"))}
	p.data = w.Manifest(map[string]string{"rows.csv": "1,2", "card.md": "about", "LICENSE": "do as you like"})
	p.model = w.Manifest(map[string]string{"w.bin": "weights", "LICENSE": "do as you like"})
	p.small = w.Manifest(map[string]string{"w4.bin": "small weights", "LICENSE": "do as you like"})
	p.clean = w.Manifest(map[string]string{"w.bin": "other weights", "LICENSE": "do as you like"})
	made(t, w, "data", "ingest", p.data)
	p.training = made(t, w, "trainer", "train", p.model, input("training-data", "data", p.data), input("code", "repo", commit(1)))
	made(t, w, "trainer", "quantize", p.small, input("parent-model", "model", p.model))
	p.cleanTrained = made(t, w, "trainer", "train", p.clean, input("training-data", "base", p.base), input("code", "repo", commit(2)))
	p.evaluation = evaluated(t, w, "evaluator", p.clean, noon, measured("evaluation-data", p.data))
	return p
}

func (p *poisoned) manifests() []attest.Digest {
	return []attest.Digest{p.data, p.model, p.small, p.clean}
}

var everybody = []string{"data", "trainer", "evaluator", "alice", "ops"}

func (p *poisoned) impact(t testing.TB, start lineage.Start) *lineage.ImpactAnswer {
	t.Helper()
	return impact(t, p.w, start, lineage.ImpactOptions{}, p.manifests(), everybody...)
}

// told writes what is affected, in short.
func (p *poisoned) told(list []lineage.Affected) string {
	names := map[attest.Digest]string{p.data: "data", p.model: "model", p.small: "small", p.clean: "clean", p.rows: "rows", commit(1): "commit", p.training: "training"}
	var out []string
	for _, a := range list {
		name := names[a.Digest]
		if name == "" {
			name = a.Digest.Short()
		}
		out = append(out, fmt.Sprintf("%s %s %d", name, a.Effect, a.Distance))
	}
	return strings.Join(out, ", ")
}

func TestImpactOfADataSet(t *testing.T) {
	p := newPoisoned(t)
	a := p.impact(t, lineage.Start{Digest: p.data})
	if got := p.told(a.Affected); got != "data start 0, model made from 1, small made from 2" {
		t.Errorf("affected: %s", got)
	}
	if len(a.Judged) != 1 || a.Judged[0].Artifact != p.clean || a.Judged[0].Effect != lineage.JudgedWith || a.Judged[0].On != p.data || a.Judged[0].Role != "evaluation-data" || a.Judged[0].Record.Payload != p.evaluation {
		t.Errorf("judged: %+v", a.Judged)
	}
	if want := (lineage.ImpactCounts{Affected: 2, Judged: 1, Deepest: 2}); a.Counts != want {
		t.Errorf("counts %+v", a.Counts)
	}
	if !a.Complete() || a.Start.Kind != "artifact" || len(a.Unproven) != 0 {
		t.Errorf("start %+v, gaps %v, unproven %v", a.Start, a.Gaps, a.Unproven)
	}
	path := a.Path(p.small)
	if len(path) != 2 || path[0].From != p.data || path[0].Role != "training-data" || path[0].Record.Signer != "trainer" || path[0].Record.Step != "train" || !path[0].Record.Claimed.Equal(noon) || path[1].Record.Step != "quantize" {
		t.Errorf("path %+v", path)
	}
	if a.Path(p.clean) != nil || a.Path(p.data) != nil {
		t.Error("a way to what is not affected, or to the start")
	}
	// The twin: of the clean model's base nothing of this is made.
	if got := p.told(p.impact(t, lineage.Start{Digest: p.base}).Affected); !strings.HasSuffix(got, "start 0, clean made from 1") {
		t.Errorf("of the base: %s", got)
	}
}

func TestImpactOfACommitAndAStatement(t *testing.T) {
	p := newPoisoned(t)
	a := p.impact(t, lineage.Start{Digest: commit(1)})
	if got := p.told(a.Affected); got != "commit start 0, model made from 1, small made from 2" || a.Start.Kind != "commit" {
		t.Errorf("of the commit: %s, a %s", got, a.Start.Kind)
	}
	approval := approved(t, p.w, "alice", p.clean, noon, p.training)
	deployed(t, p.w, "ops", p.clean, "prod", "credit", noon, approval)
	approved(t, p.w, "alice", p.small, noon, p.training) // which is affected itself
	a = p.impact(t, lineage.Start{Digest: p.training})
	if got := p.told(a.Affected); got != "training start 0, model made by 1, small made from 2" || a.Start.Kind != "statement" {
		t.Errorf("of the statement: %s, a %s", got, a.Start.Kind)
	}
	var effects []string
	for _, j := range a.Judged {
		effects = append(effects, fmt.Sprint(j.Effect))
		if want := map[lineage.Effect]attest.Digest{lineage.ApprovedOn: p.training, lineage.DeployedOn: approval}[j.Effect]; j.On != want || j.Artifact != p.clean {
			t.Errorf("%s %s", j.Effect, j.On)
		}
	}
	slices.Sort(effects)
	if strings.Join(effects, ",") != "approved on,deployed on" {
		t.Errorf("judged %v", effects)
	}
}

// What rested on a statement still does when the statement is gone.
func TestImpactOfALostStatement(t *testing.T) {
	p := newPoisoned(t)
	approval := approved(t, p.w, "alice", p.clean, noon, p.evaluation)
	p.w.Remove(p.evaluation)
	a := p.impact(t, lineage.Start{Digest: p.evaluation})
	if len(a.Judged) != 1 || a.Judged[0].Record.Payload != approval || a.Judged[0].Effect != lineage.ApprovedOn {
		t.Errorf("%+v", a.Judged)
	}
}

// A licence that lies in the poisoned data set, and in everything else, affects
// nothing; asked about itself, it does.
func TestImpactOfASharedFile(t *testing.T) {
	p := newPoisoned(t)
	licence := chaintest.File("do as you like")
	if got := p.told(p.impact(t, lineage.Start{Digest: p.data}).Affected); strings.Contains(got, "clean") || strings.Contains(got, "contains") {
		t.Errorf("the licence spreads: %s", got)
	}
	a := p.impact(t, lineage.Start{Digest: licence})
	if got := p.told(a.Affected); strings.Count(got, "contains 1") != 4 || a.Start.Kind != "file" {
		t.Errorf("of the licence: %s, a %s", got, a.Start.Kind)
	}
}

// Who used a file of a poisoned data set used it; who used another file of a data
// set that contains a poisoned one did not.
func TestImpactOfFiles(t *testing.T) {
	p := newPoisoned(t)
	byFile := attest.SHA256([]byte("by file"))
	made(t, p.w, "trainer", "train", byFile, input("training-data", "rows", p.rows))
	a := p.impact(t, lineage.Start{Digest: p.data})
	i := slices.IndexFunc(a.Affected, func(e lineage.Affected) bool { return e.Digest == byFile })
	if i < 0 || a.Affected[i].Via.From != p.data || a.Affected[i].Via.File != p.rows || a.Affected[i].Via.Path != "rows.csv" {
		t.Errorf("by a file of it: %s", p.told(a.Affected))
	}
	a = p.impact(t, lineage.Start{Digest: p.rows})
	if got := p.told(a.Affected); !strings.HasPrefix(got, "rows start 0, ") || !strings.Contains(got, "data contains 1") || !strings.Contains(got, "model made from 2") || !strings.Contains(got, "made from 1") {
		t.Errorf("of the file: %s", got)
	}
	other := attest.SHA256([]byte("by the other file"))
	made(t, p.w, "trainer", "train", other, input("training-data", "card", chaintest.File("about")))
	if got := p.impact(t, lineage.Start{Digest: p.rows}); slices.ContainsFunc(got.Affected, func(e lineage.Affected) bool { return e.Digest == other }) {
		t.Errorf("the other file of the data set was used: %s", p.told(got.Affected))
	}
	if got := p.impact(t, lineage.Start{Digest: p.data}); !slices.ContainsFunc(got.Affected, func(e lineage.Affected) bool { return e.Digest == other }) {
		t.Errorf("any file of a poisoned data set is one: %s", p.told(got.Affected))
	}
}

// What provenance says of a file holds wherever the file lies.
func TestImpactOnAFile(t *testing.T) {
	p := newPoisoned(t)
	weights := chaintest.File("other weights")
	copied := p.w.Manifest(map[string]string{"renamed.bin": "other weights"})
	builtAt(t, p.w, "trainer", "https://ci.test/", noon, p.clean, []attest.Digest{weights}, p.rows)
	// What lies beside the file's own stand-in is shown nowhere, also if something
	// leads there: of most files nobody asks.
	evaluated(t, p.w, "evaluator", weights, noon, measured("evaluation-data", p.rows))
	deployed(t, p.w, "ops", weights, "prod", "credit", noon, attest.Digest{})
	p.w.Sign("alice", weights, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetArtifact, Reason: "x", IssuedAt: noon})
	a := impact(t, p.w, lineage.Start{Digest: p.rows}, lineage.ImpactOptions{}, append(p.manifests(), copied), everybody...)
	got := map[attest.Digest]lineage.Affected{}
	for _, e := range a.Affected {
		got[e.Digest] = e
	}
	if e := got[weights]; !e.File || e.Effect != lineage.MadeFrom || e.Distance != 1 {
		t.Errorf("the file: %+v", e)
	}
	if e := got[p.clean]; e.Effect != lineage.Contains || e.Distance != 2 || e.Via.Path != "w.bin" || e.Via.Record != nil {
		t.Errorf("the manifest beside which it is said: %+v", e)
	}
	if e := got[copied]; e.Effect != lineage.Contains || e.Distance != 2 || e.Via.Path != "renamed.bin" {
		t.Errorf("the copy: %+v", e)
	}
	if a.Counts.Files != 1 || got[weights].Revoked != nil || len(a.Deployments) != 0 {
		t.Errorf("%d files, %+v, %+v", a.Counts.Files, got[weights].Revoked, a.Deployments)
	}
}

func TestImpactOfAKey(t *testing.T) {
	w := chaintest.New(t)
	digest := func(s string) attest.Digest { return attest.SHA256([]byte(s)) }
	early, late, child, grandchild := digest("early"), digest("late"), digest("child"), digest("grandchild")
	builtAt(t, w, "trainer", "https://ci.test/a", noon.Add(-time.Hour), early, []attest.Digest{early})
	builtAt(t, w, "trainer", "https://ci.test/b", noon, late, []attest.Digest{late})
	builtAt(t, w, "data", "https://ci.test/c", noon.Add(-2*time.Hour), child, []attest.Digest{child}, early)
	builtAt(t, w, "data", "https://ci.test/c", noon.Add(-2*time.Hour), grandchild, []attest.Digest{grandchild}, late)
	evaluated(t, w, "trainer", child, noon.Add(-time.Hour))
	judged := evaluated(t, w, "trainer", child, noon.Add(time.Hour))
	approved(t, w, "alice", child, noon, judged)
	say := func(start lineage.Start) string {
		a := impact(t, w, start, lineage.ImpactOptions{}, nil, everybody...)
		names := map[attest.Digest]string{early: "early", late: "late", child: "child", grandchild: "grandchild"}
		var out []string
		for _, e := range a.Affected {
			out = append(out, names[e.Digest])
		}
		out = append(out, "|")
		for _, e := range a.Unproven {
			out = append(out, names[e.Digest])
		}
		out = append(out, "|")
		for _, j := range a.Judged {
			out = append(out, fmt.Sprint(j.Effect, " ", j.Unproven))
		}
		slices.Sort(out[slices.Index(out, "|")+1:])
		return strings.Join(out, " ")
	}
	key := credential(w, "trainer")
	if got := say(lineage.Start{Credential: key}); strings.Contains(got, "true") || strings.Count(got, "judged by") != 2 || !strings.Contains(got, "early") || !strings.Contains(got, "child") {
		t.Errorf("from the beginning: %s", got)
	}
	got := say(lineage.Start{Credential: key, Since: noon})
	if !strings.HasPrefix(got, "late grandchild |") || !strings.Contains(got, "approved on false") || !strings.Contains(got, "judged by false") || !strings.Contains(got, "judged by true") || !strings.Contains(got, "child early") {
		t.Errorf("since noon: %s", got)
	}
	if got := say(lineage.Start{Builder: "https://ci.test/b"}); got != "late grandchild | |" {
		t.Errorf("by a builder: %s", got)
	}
	if got := say(lineage.Start{Builder: "https://ci.test/b", Since: noon.Add(time.Second)}); got != "| grandchild late |" {
		t.Errorf("by a builder, later: %s", got)
	}
	if got := say(lineage.Start{Builder: "https://ci.test/"}); got != "| |" {
		t.Errorf("by nobody: %s", got)
	}
}

func TestImpactRefuses(t *testing.T) {
	p := newPoisoned(t)
	keys := keysOf(p.w, everybody...)
	f := finder(t, p.w, keys)
	for name, start := range map[string]lineage.Start{
		"nothing": {}, "two things": {Digest: p.data, Builder: "x"}, "a digest since": {Digest: p.data, Since: noon}, "a stranger": {Credential: credential(p.w, "mallory")},
	} {
		if _, err := lineage.Impact(t.Context(), f, []verify.Source{p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, start, lineage.ImpactOptions{}); attest.RefusalCode(err) != attest.CodeUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lineage.Impact(t.Context(), f, nil, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{}); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("nobody to ask: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := lineage.Impact(ctx, f, []verify.Source{p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{}); attest.RefusalCode(err) != attest.CodeInterrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// Strangers lead the finder where they like, and are nowhere in the answer.
func TestImpactIgnoresStrangers(t *testing.T) {
	p := newPoisoned(t)
	before := p.impact(t, lineage.Start{Digest: p.data})
	made(t, p.w, "mallory", "train", p.clean, input("training-data", "data", p.data))
	deployed(t, p.w, "mallory", p.small, "prod", "credit", noon, attest.Digest{})
	evaluated(t, p.w, "mallory", p.clean, noon, measured("evaluation-data", p.model))
	if got, want := text(t, p.impact(t, lineage.Start{Digest: p.data})), text(t, before); got != want {
		t.Errorf("a stranger changed the answer:\n%s\n%s", got, want)
	}
	// The twin: by somebody trusted it is all there.
	made(t, p.w, "trainer", "train", p.clean, input("training-data", "data", p.data))
	if got := p.told(p.impact(t, lineage.Start{Digest: p.data}).Affected); !strings.Contains(got, "clean made from 1") {
		t.Errorf("by the trainer: %s", got)
	}
	// And what is not admitted is as little there.
	o := lineage.ImpactOptions{Admits: func(e verify.Evidence) bool { return lineage.StepOf(e) != "quantize" }}
	if got := p.told(impact(t, p.w, lineage.Start{Digest: p.data}, o, p.manifests(), everybody...).Affected); strings.Contains(got, "small") || !strings.Contains(got, "model") {
		t.Errorf("without quantize: %s", got)
	}
}

func text(t testing.TB, a *lineage.ImpactAnswer) string {
	t.Helper()
	b, err := json.MarshalIndent(a, "", " ")
	must(t, err)
	return string(b)
}

func TestImpactSaysWhatItCouldNotSee(t *testing.T) {
	p := newPoisoned(t)
	down := &attest.Refusal{Code: attest.CodeRegUnavailable}
	p.w.Break(p.small, down)
	a := p.impact(t, lineage.Start{Digest: p.data})
	if want := []lineage.Gap{{Artifact: p.small, Code: attest.CodeRegUnavailable}}; !slices.Equal(a.Gaps, want) || a.Complete() {
		t.Errorf("gaps %v", a.Gaps)
	}
	if got := p.told(a.Affected); !strings.Contains(got, "small") {
		t.Errorf("what was seen counts: %s", got)
	}
	p.w.Break(p.small, nil)
	keys := keysOf(p.w, everybody...)
	f := finder(t, p.w, keys, p.manifests()...)
	f.err = &attest.Refusal{Code: attest.CodeIndex}
	known := []lineage.Gap{{Artifact: p.clean, Code: attest.CodeLimit}}
	a, err := lineage.Impact(t.Context(), f, []verify.Source{p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{Gaps: known})
	must(t, err)
	if !slices.Equal(a.Gaps, []lineage.Gap{{Code: attest.CodeIndex}, known[0]}) || len(a.Affected) != 3 {
		t.Errorf("gaps %v, %s", a.Gaps, p.told(a.Affected))
	}
	f.err = nil
	a, err = lineage.Impact(t.Context(), f, []verify.Source{p.w.Source()}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{Limit: 2})
	must(t, err)
	if !slices.Equal(a.Gaps, []lineage.Gap{{Code: attest.CodeLimit}}) || len(a.Affected) > 2 {
		t.Errorf("with a limit: gaps %v, %s", a.Gaps, p.told(a.Affected))
	}
}

// Nothing that can be read of a deployment is where it runs; and a statement that
// says too much to be read may name anything.
func TestImpactOfUnreadableEvidence(t *testing.T) {
	p := newPoisoned(t)
	p.w.Sign("ops", p.small, predicate.TypeDeployment, map[string]any{"environment": 7})
	p.w.Sign("trainer", p.model, predicate.TypeProvenance, map[string]any{"nothing": "usable"})
	a := p.impact(t, lineage.Start{Digest: p.data})
	if want := []lineage.Gap{{Artifact: p.small, Code: attest.CodePredicateSchema}}; !slices.Equal(a.Gaps, want) {
		t.Errorf("gaps %v", a.Gaps)
	}
	// In question itself, it counts whatever it says.
	if got := p.told(p.impact(t, lineage.Start{Credential: credential(p.w, "ops")}).Affected); got != "" {
		t.Errorf("a deployment makes nothing: %s", got)
	}
}

// What a listing says of types is not signed: a hint that nothing bears out has
// everything opened.
func TestImpactSeesThroughLabels(t *testing.T) {
	p := newPoisoned(t)
	deployed(t, p.w, "ops", p.small, "prod", "credit", noon, attest.Digest{})
	later := deployed(t, p.w, "ops", p.clean, "prod", "credit", noon.Add(time.Hour), attest.Digest{})
	keys := keysOf(p.w, everybody...)
	f := finder(t, p.w, keys, p.manifests()...)
	ask := func(lie func(attest.Digest) string) string {
		a, err := lineage.Impact(t.Context(), f, []verify.Source{labelled{p.w.Source(), lie}}, verify.Scope{Signers: verify.Signers{Keys: keys}}, lineage.Start{Digest: p.data}, lineage.ImpactOptions{})
		must(t, err)
		return text(t, a)
	}
	want := ask(nil)
	if got := ask(func(d attest.Digest) string {
		return map[attest.Digest]string{p.training: predicate.TypeApproval, later: "https://example.test/note/v1"}[d]
	}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(want, "replacedBy") || !strings.Contains(want, p.training.String()) {
		t.Errorf("the test proves nothing: %s", want)
	}
}

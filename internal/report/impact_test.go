package report

import (
	"bytes"
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

// An incident is a world with a poisoned data set, and who works in it.
type incident struct {
	*chaintest.World
	t testing.TB
}

func (w incident) made(who, step, builder string, day int, artifact attest.Digest, role string, inputs ...attest.Digest) {
	w.t.Helper()
	in := predicate.ProvenanceInput{Step: step, Builder: builder, Finished: at(day)}
	for _, d := range inputs {
		in.Inputs = append(in.Inputs, predicate.Input{Role: role, Name: role, Digest: d, Observed: true})
	}
	pred, err := predicate.NewProvenance(in)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Sign(who, artifact, predicate.TypeProvenance, pred)
}

func (w incident) deployed(artifact attest.Digest, environment string, day int) {
	w.Sign("ops", artifact, predicate.TypeDeployment, predicate.Deployment{Environment: environment, DeployedAt: at(day), Target: &predicate.DeploymentTarget{Cluster: "eu-1", Service: "credit"}})
}

func (w incident) ask(start lineage.Start) *lineage.ImpactAnswer {
	w.t.Helper()
	names := []string{"data", "trainer", "evaluator", "ops", "security"}
	var keys []attest.PublicKey
	called := map[verify.Credential]string{}
	for _, n := range names {
		keys = append(keys, w.Key(n))
		called[verify.KeyCredential(w.Key(n))] = n
	}
	holding, survey := w.Holding("ghcr.io/acme/models", true), lineage.NewSurvey()
	_, err := lineage.Crawl(w.t.Context(), survey, []lineage.Holding{holding}, lineage.CrawlOptions{Signers: verify.Signers{Keys: keys}, At: at(20)})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := lineage.Impact(w.t.Context(), survey, []verify.Source{survey.Source(holding.Repository())}, verify.Scope{Signers: verify.Signers{Keys: keys}}, start, lineage.ImpactOptions{
		Reading: lineage.Reading{Name: func(c verify.Credential) string { return called[c] }}, Trust: lineage.Trust{Signers: names},
		At: at(20), Repositories: []attest.Repository{holding.Repository()},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func newIncident(t testing.TB) (w incident, data, model attest.Digest) {
	w = incident{chaintest.New(t), t}
	data = w.Manifest(map[string]string{"rows.csv": "1,2"})
	model = w.Manifest(map[string]string{"w.bin": "weights"})
	small := w.Manifest(map[string]string{"w4.bin": "small"})
	other := w.Manifest(map[string]string{"w.bin": "other"})
	w.Tag(data, "data-3")
	w.Tag(model, "credit-7")
	w.Tag(small, "credit-7-int4")
	w.Tag(other, "fraud-2")
	w.made("data", "prepare", "https://ci.test/data", 1, data, "raw-data", digest("raw"))
	w.made("trainer", "train", "https://ci.test/train", 2, model, "training-data", data)
	w.made("trainer", "quantize", "https://ci.test/train", 12, small, "parent-model", model)
	w.made("trainer", "train", "https://ci.test/train", 3, other, "training-data", digest("clean"))
	evaluation := w.Sign("evaluator", other, predicate.TypeEvaluation, predicate.Evaluation{
		Kind: "quality", EvaluatedAt: at(4), Suite: predicate.Suite{Name: "s"}, Metrics: map[string]predicate.Metric{"accuracy": {Value: "0.91"}},
		Inputs: []predicate.EvaluationInput{{Role: "evaluation-data", Digest: predicate.DigestSet{Digest: chaintest.File("1,2")}}},
	})
	w.Sign("security", other, predicate.TypeApproval, map[string]any{
		"decision": "approved", "approvedAt": at(5).Format(time.RFC3339), "scope": map[string]any{"environments": []any{"prod"}},
		"basis": []any{map[string]any{"payload": evaluation.DigestSet(), "artifact": other.DigestSet()}},
	})
	w.deployed(model, "prod", 6)
	w.deployed(small, "prod", 13)
	w.Sign("security", model, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionQuarantine, Target: predicate.TargetArtifact, Reason: "drifts", IssuedAt: at(14)})
	return w, data, model
}

func TestImpactText(t *testing.T) {
	w, data, model := newIncident(t)
	for name, start := range map[string]lineage.Start{
		"impact-data": {Digest: data}, "impact-key": {Credential: verify.KeyCredential(w.Key("trainer")), Since: at(10)},
		"impact-builder": {Builder: "https://ci.test/train"}, "impact-nothing": {Digest: digest("clean too")},
	} {
		a := w.ask(start)
		o := Options{}
		if name == "impact-data" {
			o.Reference, o.Notes = "ghcr.io/acme/models:data-3@"+data.String(), []string{"a note"}
			for i := range a.Affected {
				if a.Affected[i].Digest == model {
					a.Affected[i].Path = a.Path(model)
				}
			}
		}
		var b bytes.Buffer
		if err := Impact(&b, a, o); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
		if err := Impact(fullDisk{}, a, o); err == nil {
			t.Error("Impact hid a write error")
		}
	}
}

// What signers wrote is data, and no answer is longer than people read.
func TestImpactTextIsBounded(t *testing.T) {
	evil := "x\x1b[1A\nnothing is affected\u202e"
	w := incident{chaintest.New(t), t}
	start := digest("start")
	before := start
	for i := range 60 {
		d := digest(fmt.Sprint("deep ", i))
		w.made("trainer", "train", "b", 1, d, evil, before)
		before = d
	}
	for i := range 300 {
		d := digest(fmt.Sprint("wide ", i))
		w.made("trainer", "train", "b", 1, d, evil, start)
		w.deployed(d, evil+fmt.Sprint(i), 2)
		w.Sign("security", d, predicate.TypeRevocation, predicate.Revocation{Action: predicate.ActionRevoke, Target: predicate.TargetArtifact, Reason: evil, IssuedAt: at(3)})
	}
	w.deployed(before, "a", 2)
	a := w.ask(lineage.Start{Digest: start})
	var b bytes.Buffer
	if err := Impact(&b, a, Options{Reference: evil, Notes: []string{evil}}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Error("a control character reached the report")
	}
	lines := slices.Collect(strings.Lines(b.String()))
	for _, line := range lines {
		if strings.HasPrefix(line, "nothing is") {
			t.Errorf("a signer wrote the line %q", line)
		}
	}
	if len(lines) > 700 {
		t.Errorf("%d lines", len(lines))
	}
	for _, want := range []string{"360 artifacts are made from it; 301 are deployed now: a/eu-1/credit, ", "and 295 more places", "… 44 steps", "… and 261 more deployments", "… and 281 more", "artifacts further away"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

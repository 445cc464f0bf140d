package fleet

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }

// quality writes how good an artifact of a version is.
func (f *Fleet) quality(v *version, r *rand.Rand) predicate.Evaluation {
	accuracy := 0.72 + 0.25*r.Float64()
	if v.fate == fateBad {
		accuracy = 0.50 + 0.15*r.Float64()
	}
	metrics := map[string]predicate.Metric{
		"accuracy": {Value: decimal(accuracy), N: 5000, Interval: &predicate.Interval{Low: decimal(accuracy - 0.01), High: decimal(accuracy + 0.01), Level: "0.95"}},
	}
	for _, name := range [...]string{
		"f1", "precision", "recall", "auroc", "brier", "calibrationError", "toxicity", "refusals", "latencyP50", "latencyP99", "perplexity",
		"arcChallenge", "hellaswag", "mmlu", "truthfulqa", "winogrande", "gsm8k", "humaneval", "mbpp", "ifeval", "bbh", "musr", "gpqa", "drop", "squad",
	} {
		metrics[name] = predicate.Metric{Value: decimal(r.Float64()), N: int64(500 * (1 + r.IntN(20)))}
	}
	return f.evaluation(v, "quality", "holdout", minuteEvaluate, metrics)
}

// bias writes how evenly good it is: three attributes, groups of each, and the gaps.
func (f *Fleet) bias(v *version, r *rand.Rand) predicate.Evaluation {
	e := f.evaluation(v, "bias", "fairness", minuteEvaluate+5, map[string]predicate.Metric{"accuracy": {Value: decimal(0.7 + 0.25*r.Float64()), N: 5000}})
	e.Slices = map[string]predicate.Slice{}
	for attribute, groups := range map[string][]string{"sex": {"female", "male"}, "age": {"18-30", "31-50", "51-70", "71+"}, "language": {"de", "en", "fr", "pl", "tr"}} {
		s := predicate.Slice{Groups: map[string]predicate.Group{}}
		for _, g := range groups {
			s.Groups[g] = predicate.Group{N: 400}
		}
		e.Slices[attribute] = s
	}
	// Drawn in one order, whatever the order of the maps.
	for _, attribute := range [...]string{"sex", "age", "language"} {
		s := e.Slices[attribute]
		for _, g := range [...]string{"female", "male", "18-30", "31-50", "51-70", "71+", "de", "en", "fr", "pl", "tr"} {
			if group, ok := s.Groups[g]; ok {
				group.Metrics = map[string]predicate.Metric{"accuracy": {Value: decimal(0.7 + 0.25*r.Float64())}, "positiveRate": {Value: decimal(r.Float64())}}
				s.Groups[g] = group
			}
		}
		s.Gaps = map[string]predicate.Metric{"demographicParity": {Value: decimal(0.09 * r.Float64())}, "equalOpportunity": {Value: decimal(0.09 * r.Float64())}}
		e.Slices[attribute] = s
	}
	return e
}

// scan writes that the files are what their names say.
func (f *Fleet) scan(v *version) predicate.Evaluation {
	e := f.evaluation(v, "format-scan", "modelscan", minuteEvaluate+10, map[string]predicate.Metric{"unsound": {Value: "0", N: 6}, "executable": {Value: "0", N: 6}})
	e.Inputs = nil
	e.Evaluator = &predicate.Evaluator{ID: "https://ci.fleet.example/scanner"}
	return e
}

func (f *Fleet) evaluation(v *version, kind, suite string, minute int, metrics map[string]predicate.Metric) predicate.Evaluation {
	harness := f.commitOf("harness", v.slot)
	return predicate.Evaluation{
		Kind: kind, EvaluatedAt: f.at(v.slot, minute), Evaluator: &predicate.Evaluator{ID: "https://ci.fleet.example/evaluator"},
		Suite: predicate.Suite{Name: suite, Version: "2.1"}, Metrics: metrics, Parameters: map[string]any{"shots": "0", "temperature": "0.0"},
		Inputs: []predicate.EvaluationInput{
			{Role: "evaluation-data", Name: "test", URI: location(dataRepository()), Digest: predicate.DigestSet{Digest: f.data[v.data].test}},
			{Role: "harness", Name: harness.Name, URI: harness.URI, Digest: predicate.DigestSet{Digest: harness.Digest}},
		},
	}
}

// stagingOf and prodOf are a team's environments.
func stagingOf(team int) string { return fmt.Sprintf("team-%02d-staging", team) }
func prodOf(team int) string    { return fmt.Sprintf("team-%02d-prod", team) }

// approval writes one person's decision. basis are the payloads of the evidence seen.
func (f *Fleet) approval(v *version, person, minute int, decision string, basis []attest.Digest) predicate.Approval {
	team := f.team(v)
	a := predicate.Approval{
		Decision: decision, Role: [...]string{"risk", "owner"}[person%2], ApprovedAt: f.at(v.slot, minute), ValidUntil: f.at(v.slot, minute).AddDate(2, 0, 0),
		Scope:   predicate.Scope{Environments: []string{stagingOf(team), prodOf(team)}, UseCases: []string{f.familyName(v)}},
		Comment: fmt.Sprintf("Looked at the evaluations of %s and at the largest slices.", f.tag(v)),
	}
	for i, p := range basis {
		a.Basis = append(a.Basis, predicate.ApprovalBasis{
			Payload: predicate.DigestSet{Digest: p}, Artifact: predicate.DigestSet{Digest: v.release()},
			PredicateType: predicate.TypeEvaluation, Step: [...]string{"evaluate", "bias", "scan"}[i],
		})
	}
	return a
}

// summary writes what the gate made of a version.
func (f *Fleet) summary(v *version, used []attest.Digest) predicate.VSA {
	s := predicate.VSA{
		Verifier: predicate.Verifier{ID: "https://gate.fleet.example", Version: map[string]string{"pedigree": "v0.9.0"}}, TimeVerified: f.at(v.slot, minuteSummary),
		ResourceURI: f.repository(v).Name() + ":" + f.tag(v), VerificationResult: predicate.ResultPassed, VerifiedLevels: []string{"SLSA_BUILD_LEVEL_1"},
		Policy: predicate.VSAPolicy{URI: "https://policies.fleet.example/prod.yaml", Digest: predicate.DigestSet{Digest: f.opaque("policy")}}, SLSAVersion: "1.1",
	}
	if v.fate != fateApproved {
		s.VerificationResult, s.VerifiedLevels = predicate.ResultFailed, []string{"FAILED"}
	}
	for _, p := range used {
		s.InputAttestations = append(s.InputAttestations, predicate.VSAAttestation{URI: "oci://" + f.repository(v).Name() + "@" + p.String(), Digest: predicate.DigestSet{Digest: p}})
	}
	return s
}

// typeBOM is the type of a bill of materials, which nobody here has a table for: types
// that are only carried are in every real registry.
const typeBOM = "https://cyclonedx.org/bom"

// components writes what software a version was made with.
func (f *Fleet) components(v *version) map[string]any {
	names := [...]string{
		"torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "datasets", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy",
		"bitsandbytes", "flash-attn", "triton", "einops", "sentencepiece", "huggingface-hub", "fsspec", "tqdm", "pydantic", "pyyaml", "requests", "urllib3",
	}
	r := f.chance("components", v.slot/100) // versions of one time use the same
	list := make([]any, len(names))
	for i, n := range names {
		version := fmt.Sprintf("%d.%d.%d", r.IntN(5), r.IntN(30), r.IntN(10))
		list[i] = map[string]any{"type": "library", "name": n, "version": version, "purl": "pkg:pypi/" + n + "@" + version}
	}
	return map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": list,
		"metadata": map[string]any{"component": map[string]any{"type": "machine-learning-model", "name": "acme/" + f.familyName(v)}}}
}

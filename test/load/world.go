package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A world is a repository with models that have nothing in common: each with ten
// attestations of its own, so that no model's verification warms another's.
type world struct {
	repo *oci.Repository
	keys map[string]*attest.KeySigner
	now  time.Time
	dir  string
}

// A statement is one of a model's ten.
type statement struct {
	by, typ string
	about   attest.Digest
	pred    any
}

const code = "git+https://git.example/acme/credit"

var signers = [...]string{"data", "trainer", "evaluator", "alice", "bob"}

func newWorld(repository, dir string, now time.Time) (*world, error) {
	name, err := attest.ParseRepository(repository)
	if err != nil {
		return nil, err
	}
	w := &world{keys: map[string]*attest.KeySigner{}, now: now.UTC().Truncate(time.Second), dir: dir}
	if w.repo, err = oci.Open(name, oci.Options{}); err != nil {
		return nil, err
	}
	for _, n := range signers {
		seed := sha256.Sum256([]byte("load " + n))
		if w.keys[n], err = attest.NewKeySigner(ed25519.NewKeyFromSeed(seed[:])); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, n+".pub"), w.keys[n].Public().PEM(), 0o644); err != nil {
			return nil, err
		}
	}
	return w, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policyText), 0o644)
}

// model pushes a model, or with bad one whose evaluation is not good enough, and
// attaches its ten attestations. It returns the reference with the digest.
func (w *world) model(ctx context.Context, name string, bad bool) (attest.Reference, error) {
	var none attest.Reference
	raw := opaque(name + " raw")
	artifacts := map[string]attest.Digest{}
	var ref attest.Reference
	for _, part := range []string{"train", "test", "base", "model"} {
		r, err := w.push(ctx, name, part)
		if err != nil {
			return none, err
		}
		artifacts[part], ref = r.Digest, r
	}
	accuracy := "0.91"
	if bad {
		accuracy = "0.51"
	}
	list, err := w.statements(name, raw, artifacts, accuracy)
	if err != nil {
		return none, err
	}
	basis := []predicate.ApprovalBasis{}
	for _, s := range list {
		payload, err := w.attach(ctx, s)
		if err != nil {
			return none, err
		}
		if s.typ == predicate.TypeEvaluation {
			basis = append(basis, predicate.ApprovalBasis{Payload: predicate.DigestSet{Digest: payload}, Artifact: predicate.DigestSet{Digest: s.about}})
		}
	}
	for _, who := range []string{"alice", "bob"} {
		a := predicate.Approval{Decision: predicate.DecisionApproved, ApprovedAt: w.now, Scope: predicate.Scope{Environments: []string{"prod"}}, Basis: basis}
		if _, err := w.attach(ctx, statement{who, predicate.TypeApproval, artifacts["model"], a}); err != nil {
			return none, err
		}
	}
	return ref, nil
}

// statements are all but the approvals, which name them.
func (w *world) statements(name string, raw attest.Digest, made map[string]attest.Digest, accuracy string) ([]statement, error) {
	commit, err := attest.NewDigest("gitCommit", opaque(name + " code").Hex()[:40])
	if err != nil {
		return nil, err
	}
	source := predicate.Input{Role: "code", URI: code, Digest: commit, Observed: true}
	out := func(n string) predicate.Output { return predicate.Output{Name: n, Digest: made[n]} }
	in := func(role string, d attest.Digest) predicate.Input {
		return predicate.Input{Role: role, Digest: d, Observed: true}
	}
	var list []statement
	make := func(step, by string, about attest.Digest, outputs []predicate.Output, inputs ...predicate.Input) error {
		p, err := predicate.NewProvenance(predicate.ProvenanceInput{Step: step, External: map[string]any{"command": step}, Inputs: inputs, Outputs: outputs,
			Builder: "https://ci.example/" + by, InvocationID: name + "-" + step, Started: w.now.Add(-time.Hour), Finished: w.now.Add(-time.Minute)})
		list = append(list, statement{by, predicate.TypeProvenance, about, p})
		return err
	}
	prepared := []predicate.Output{out("train"), out("test")}
	if err := firstOf(
		make("ingest", "data", raw, []predicate.Output{{Name: "raw", Digest: raw}}, predicate.Input{Role: "raw-data", URI: "https://data.example/export/" + name, Digest: opaque(name + " export"), Observed: true}),
		make("prepare", "data", made["train"], prepared, in("raw-data", raw), source),
		make("prepare", "data", made["test"], prepared, in("raw-data", raw), source),
		make("train", "trainer", made["base"], []predicate.Output{out("base")}, in("training-data", made["train"]), source),
		make("quantize", "trainer", made["model"], []predicate.Output{out("model")}, in("parent-model", made["base"]), in("calibration-data", made["train"])),
	); err != nil {
		return nil, err
	}
	for _, kind := range []string{"quality", "bias", "format-scan"} {
		list = append(list, statement{"evaluator", predicate.TypeEvaluation, made["model"], predicate.Evaluation{
			Kind: kind, EvaluatedAt: w.now.Add(-time.Minute), Suite: predicate.Suite{Name: kind}, Metrics: map[string]predicate.Metric{"accuracy": {Value: accuracy, N: 1000}},
			Inputs: []predicate.EvaluationInput{{Role: "evaluation-data", Digest: predicate.DigestSet{Digest: made["test"]}}, {Role: "harness", URI: code, Digest: predicate.DigestSet{Digest: commit}}},
		}})
	}
	return list, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func opaque(s string) attest.Digest { return attest.SHA256([]byte(s)) }

func (w *world) push(ctx context.Context, name, part string) (attest.Reference, error) {
	file := filepath.Join(w.dir, part+".safetensors")
	if err := os.WriteFile(file, []byte(name+" "+part+"\n"+strings.Repeat("0", 64)), 0o644); err != nil {
		return attest.Reference{}, err
	}
	kind, tag := "dataset", ""
	if part == "model" {
		tag = name
	}
	if part == "model" || part == "base" {
		kind = "model"
	}
	p, err := oci.Pack(ctx, []string{file}, oci.Metadata{Kind: kind, Name: name}, oci.Options{})
	if err != nil {
		return attest.Reference{}, err
	}
	return w.repo.Push(ctx, p, tag)
}

func (w *world) attach(ctx context.Context, s statement) (attest.Digest, error) {
	payload, err := attest.NewStatement(attest.Subject{Digest: s.about}, s.typ, s.pred)
	if err != nil {
		return attest.Digest{}, err
	}
	b, err := attest.Sign(ctx, payload, w.keys[s.by])
	if err != nil {
		return attest.Digest{}, err
	}
	if _, err := w.repo.Attach(ctx, s.about, b); err != nil {
		return attest.Digest{}, fmt.Errorf("attaching %s by %s: %w", s.typ, s.by, err)
	}
	return attest.SHA256(bytes.Clone(payload)), nil
}

const policyText = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: load, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: quantize
unsafeTime: claimed
principals:
  data: {kind: workload, credentials: [{key: data.pub}]}
  trainer: {kind: workload, credentials: [{key: trainer.pub}]}
  evaluator: {kind: workload, credentials: [{key: evaluator.pub}]}
  alice: {kind: human, credentials: [{key: alice.pub}]}
  bob: {kind: human, credentials: [{key: bob.pub}]}
contexts: {prod: {require: [evaluate, bias, scan, approve]}}
steps:
  ingest:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/ingest/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, origin: "https://data.example/export/"}]
  prepare:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/prepare/v1
    by: [data]
    select: any
    inputs: [{role: raw-data, from: ingest}, {role: code, origin: "git+https://git.example/acme/credit"}]
  train:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/train/v1
    by: [trainer]
    select: any
    inputs: [{role: training-data, from: prepare, output: train}, {role: code, origin: "git+https://git.example/acme/credit"}]
  quantize:
    predicate: https://slsa.dev/provenance/v1
    buildType: https://pedigree-ml.github.io/build/quantize/v1
    by: [trainer]
    select: any
    inputs: [{role: parent-model, from: train}, {role: calibration-data, from: prepare, output: train}]
  evaluate:
    predicate: https://pedigree-ml.github.io/evaluation/v0.1
    where: 'predicate.kind == "quality"'
    about: artifact
    by: [evaluator]
    select: latest
    acknowledgeAbsence: "nobody publishes statuses here"
    inputs: [{role: evaluation-data, from: prepare, output: test}, {role: harness, origin: "git+https://git.example/acme/credit"}]
    rules: [{id: EVAL-1, cel: 'predicate.metrics["accuracy"].value >= 0.70', message: "accuracy below 0.70"}]
  bias:
    like: evaluate
    where: 'predicate.kind == "bias"'
  scan:
    like: evaluate
    where: 'predicate.kind == "format-scan"'
  approve:
    predicate: https://pedigree-ml.github.io/approval/v0.1
    about: artifact
    by: [alice, bob]
    threshold: 2
    kind: human
    basis: [evaluate, bias, scan]
    select: any
    veto: 'predicate.decision == "rejected"'
    acknowledgeAbsence: "nobody publishes statuses here"
    rules: [{id: APPR-1, cel: 'predicate.decision == "approved"', message: "not approved"}]
`

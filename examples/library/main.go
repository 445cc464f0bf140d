// Command library runs a short pipeline with Pedigree's packages as a library:
// it splits data, trains a model, signs what was done, approves it, and asks the
// policy. The same as examples/credit/pipeline.sh, without the command line.
//
//	go run ./examples/library DIR
//
// It prints the verdict, and ends with 0 only if that is ALLOW. What a program of
// yours would take from here are the functions: push, sign, record, approve,
// publish and look.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/examples/credit"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

//go:embed policy.yaml
var policyText []byte

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: library DIR")
		os.Exit(2)
	}
	verdict, err := run(context.Background(), os.Args[1], time.Now)
	if err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(2)
	}
	fmt.Printf("%s  %s under %s version %d\n", verdict.Outcome, verdict.Artifact, verdict.Policy.Name, verdict.Policy.Version)
	for _, r := range verdict.Requirements {
		fmt.Printf("  %-8s %s %v\n", r.Status, r.Step, r.Reasons)
	}
	if verdict.Outcome != policy.Allow {
		os.Exit(1)
	}
}

// A project is where everything lies: a repository, and a key for each role. In
// earnest each of the keys is in other hands.
type project struct {
	dir  string
	repo *oci.Repository
	keys map[string]*attest.KeySigner
	now  func() time.Time
}

func run(ctx context.Context, dir string, now func() time.Time) (*policy.Verdict, error) {
	p, err := newProject(dir, now)
	if err != nil {
		return nil, err
	}
	train, test, err := p.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	model, err := p.train(ctx, train)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	if err := p.evaluate(ctx, model, test); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	if err := p.approve(ctx, model); err != nil {
		return nil, fmt.Errorf("approving: %w", err)
	}
	if err := p.publish(ctx, model); err != nil {
		return nil, fmt.Errorf("publishing the status: %w", err)
	}
	pol, chain, err := p.look(ctx, model)
	if err != nil {
		return nil, err
	}
	return pol.Evaluate(chain, p.times()), nil
}

func newProject(dir string, now func() time.Time) (*project, error) {
	// A layout is a folder; attest.ParseRepository("registry.example/acme/credit")
	// would be a registry, and nothing else changes.
	where, err := attest.ParseRepository("ocidir://" + filepath.ToSlash(filepath.Join(dir, "registry")))
	if err != nil {
		return nil, err
	}
	repo, err := oci.Open(where, oci.Options{})
	if err != nil {
		return nil, err
	}
	p := &project{dir: dir, repo: repo, keys: map[string]*attest.KeySigner{}, now: now}
	for _, who := range []string{"data", "trainer", "evaluator", "alice", "registrar"} {
		if p.keys[who], err = attest.GenerateKey(attest.P256); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *project) path(name string) string { return filepath.Join(p.dir, name) }

// work runs a step of the credit pipeline.
func (p *project) work(args ...string) error {
	var stderr bytes.Buffer
	if status := credit.Run(args, bytes.NewReader(credit.Data()), io.Discard, &stderr, p.now); status != 0 {
		return fmt.Errorf("%v: status %d: %s", args, status, stderr.String())
	}
	return nil
}

// push packs a folder as an artifact: the same files have the same digest
// everywhere.
func (p *project) push(ctx context.Context, folder, kind string) (attest.Digest, error) {
	packed, err := oci.Pack(ctx, []string{p.path(folder)}, oci.Metadata{Kind: kind}, oci.Options{})
	if err != nil {
		return attest.Digest{}, err
	}
	ref, err := p.repo.Push(ctx, packed, folder)
	return ref.Digest, err
}

// sign makes a statement about an artifact, signs it and keeps it beside the
// artifact.
func (p *project) sign(ctx context.Context, who string, about attest.Digest, predicateType string, pred json.RawMessage) error {
	payload, err := attest.NewStatement(attest.Subject{Digest: about}, predicateType, pred)
	if err != nil {
		return err
	}
	bundle, err := attest.Sign(ctx, payload, p.keys[who])
	if err != nil {
		return err
	}
	_, err = p.repo.Attach(ctx, about, bundle)
	return err
}

// record says what a run consumed and produced, and signs that about each of its
// outputs.
func (p *project) record(ctx context.Context, who string, run predicate.ProvenanceInput) error {
	run.Builder, run.Finished = "https://acme.example/"+who, p.now()
	run.InvocationID = "example-" + run.Step
	provenance, err := predicate.NewProvenance(run)
	if err != nil {
		return err
	}
	for _, out := range run.Outputs {
		if err := p.sign(ctx, who, out.Digest, predicate.TypeProvenance, provenance); err != nil {
			return err
		}
	}
	return nil
}

// prepare splits the data and says what it split. It returns both parts.
func (p *project) prepare(ctx context.Context) (train, test attest.Digest, err error) {
	started := p.now()
	for _, step := range [][]string{
		{"ingest", "--in", "-", "--out", p.path("data")},
		{"split", "--in", p.path("data"), "--train", p.path("train"), "--test", p.path("test")},
	} {
		if err := p.work(step...); err != nil {
			return train, test, err
		}
	}
	if train, err = p.push(ctx, "train", "dataset"); err != nil {
		return train, test, err
	}
	if test, err = p.push(ctx, "test", "dataset"); err != nil {
		return train, test, err
	}
	return train, test, p.record(ctx, "data", predicate.ProvenanceInput{
		Step:    "prepare",
		Inputs:  []predicate.Input{{Role: "raw-data", Name: "german-credit.csv", Digest: attest.SHA256(credit.Data()), Observed: true}},
		Outputs: []predicate.Output{{Name: "train", Digest: train}, {Name: "test", Digest: test}},
		Started: started,
	})
}

// train makes the model and says what it was made of.
func (p *project) train(ctx context.Context, data attest.Digest) (attest.Digest, error) {
	started := p.now()
	if err := p.work("train", "--data", p.path("train"), "--out", p.path("model")); err != nil {
		return attest.Digest{}, err
	}
	model, err := p.push(ctx, "model", "model")
	if err != nil {
		return attest.Digest{}, err
	}
	return model, p.record(ctx, "trainer", predicate.ProvenanceInput{
		Step:    "train",
		Inputs:  []predicate.Input{{Role: "training-data", Name: "train", Digest: data, Observed: true}},
		Outputs: []predicate.Output{{Name: "model", Digest: model}},
		Started: started,
	})
}

// evaluate measures the model. The program that measures writes the predicate;
// what it consumed is filled in by the one who stood beside it.
func (p *project) evaluate(ctx context.Context, model, data attest.Digest) error {
	if err := p.work("evaluate", "--model", p.path("model"), "--data", p.path("test"), "--kind", "quality", "--out", p.path("quality.json")); err != nil {
		return err
	}
	measured, err := os.ReadFile(p.path("quality.json"))
	if err != nil {
		return err
	}
	evaluation, err := predicate.WithInputs(measured, []predicate.Input{{Role: "evaluation-data", Name: "test", Digest: data, Observed: true}})
	if err != nil {
		return err
	}
	return p.sign(ctx, "evaluator", model, predicate.TypeEvaluation, evaluation)
}

// approve signs what the policy says there is to approve, and nothing that would
// not pass. A real program shows it to a person first.
func (p *project) approve(ctx context.Context, model attest.Digest) error {
	pol, chain, err := p.look(ctx, model)
	if err != nil {
		return err
	}
	prospect, err := pol.Consider(chain, p.times(), "approve")
	if err != nil {
		return err
	}
	if prospect.Verdict.Outcome != policy.Allow {
		return fmt.Errorf("nothing to approve: without the approval the policy says %s", prospect.Verdict.Outcome)
	}
	approval := predicate.Approval{
		Decision:   predicate.DecisionApproved,
		ApprovedAt: p.now().UTC().Truncate(time.Second),
		Scope:      predicate.Scope{Environments: []string{"prod"}},
		Policy:     &predicate.ApprovalPolicy{Name: pol.Name(), Version: int64(pol.Version()), Digest: predicate.DigestSet{Digest: pol.Digest()}},
	}
	for _, n := range prospect.Basis {
		approval.Basis = append(approval.Basis, predicate.ApprovalBasis{Payload: predicate.DigestSet{Digest: n.Payload}, Artifact: predicate.DigestSet{Digest: n.Artifact}, Step: n.Step})
	}
	encoded, err := predicate.Encode(predicate.TypeApproval, approval)
	if err != nil {
		return err
	}
	return p.sign(ctx, "alice", model, predicate.TypeApproval, encoded)
}

// publish lists all evidence behind the model and signs the list: from now on, for a
// day, nothing of it can be removed unnoticed. A real program takes the next
// sequence number, and sees that nothing of the last list is gone.
func (p *project) publish(ctx context.Context, model attest.Digest) error {
	pol, chain, err := p.look(ctx, model)
	if err != nil {
		return err
	}
	artifacts, err := pol.Listing(chain)
	if err != nil {
		return err
	}
	now := p.now().UTC().Truncate(time.Second)
	encoded, err := predicate.Encode(predicate.TypeStatus, predicate.Status{
		Sequence: 1, IssuedAt: now, ValidUntil: now.Add(24 * time.Hour), Artifacts: artifacts,
		Policy: &predicate.ApprovalPolicy{Name: pol.Name(), Version: int64(pol.Version()), Digest: predicate.DigestSet{Digest: pol.Digest()}},
	})
	if err != nil {
		return err
	}
	return p.sign(ctx, "registrar", model, predicate.TypeStatus, encoded)
}

// look loads the policy and walks the chain behind the model. The policy says
// whose signatures count; the walk finds what they signed.
func (p *project) look(ctx context.Context, model attest.Digest) (*policy.Policy, verify.Chain, error) {
	pol, err := policy.Load(policyText, func(name string) ([]byte, error) {
		key, ok := p.keys[name]
		if !ok {
			return nil, fmt.Errorf("there is no key of %s", name)
		}
		return key.Public().PEM(), nil
	})
	if err != nil {
		return nil, verify.Chain{}, err
	}
	chain, err := verify.Walk(ctx, model, []verify.Source{p.repo}, pol.Scope())
	return pol, chain, err
}

// times asks about now. Every part of one question gets the same answer.
func (p *project) times() policy.Question {
	now := p.now().UTC()
	return policy.Question{At: now, Known: now}
}

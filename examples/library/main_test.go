package main

import (
	"context"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/policy"
)

func TestLibraryPipeline(t *testing.T) {
	verdict, err := run(context.Background(), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if verdict.Outcome != policy.Allow {
		b, _ := verdict.JSON()
		t.Fatalf("the verdict is %s, want ALLOW\n%s", verdict.Outcome, b)
	}
	if len(verdict.Requirements) < 3 || len(verdict.Evidence) != 6 {
		t.Errorf("%d requirements and %d pieces of evidence: the verdict rests on too little", len(verdict.Requirements), len(verdict.Evidence))
	}
}

// The positive twin's counterpart: the same question a year on, when evaluation
// and approval are too old.
func TestLibraryPipelineAges(t *testing.T) {
	ctx := context.Background()
	p, err := newProject(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	train, test, err := p.prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	model, err := p.train(ctx, train)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.approve(ctx, model); err == nil {
		t.Error("a model that nobody evaluated was approved")
	}
	if err := p.evaluate(ctx, model, test); err != nil {
		t.Fatal(err)
	}
	if err := p.approve(ctx, model); err != nil {
		t.Fatal(err)
	}
	pol, chain, err := p.look(ctx, model)
	if err != nil {
		t.Fatal(err)
	}
	later := p.now().AddDate(1, 0, 0)
	if got := pol.Evaluate(chain, policy.Question{At: later, Known: later}).Outcome; got != policy.Deny {
		t.Errorf("a year on the verdict is %s, want DENY", got)
	}
}

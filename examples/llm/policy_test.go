package llm_test

import (
	"context"
	"os"
	"testing"

	"github.com/pedigree-ml/pedigree/internal/rehearse"
	"github.com/pedigree-ml/pedigree/policy"
)

// The policy judges as its own tests expect.
func TestPolicy(t *testing.T) {
	src, err := os.ReadFile("policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile("policy_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Rehearse(src, os.ReadFile, rehearse.Key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := rehearse.Load("policy_test.yaml", test, p)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := rehearse.Run(context.Background(), p, []*rehearse.File{f}, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rep.Cases {
		if !c.OK {
			t.Errorf("line %d, %s: %s, want %s; lacking %v", c.Line, c.Name, c.Got, c.Expected, c.Lacking)
			for _, r := range c.Reasons {
				t.Logf("    %s of %s: %s %s %s", r.Step, r.About, r.Status, r.Code, r.Why)
			}
		}
	}
	// Of everything that the policy asks there is a case that shows it refusing.
	for _, c := range rep.Coverage {
		if !c.Passed || !c.Failed {
			t.Errorf("%s %s: seen passing %t, failing %t", c.Kind, c.Name, c.Passed, c.Failed)
		}
	}
	if len(rep.Cases) < 40 {
		t.Errorf("%d cases: the tests moved", len(rep.Cases))
	}
}

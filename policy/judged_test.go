package policy_test

import (
	"slices"
	"testing"

	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

func TestStepEvidence(t *testing.T) {
	p := newPipeline(t)
	loaded := p.load()
	if got := loaded.Judged(); !slices.Equal(got, []string{"quantize"}) {
		t.Errorf("judged: %v", got)
	}
	got, ok := loaded.StepEvidence("quantize")
	if !ok || got.PredicateType != provenance || got.BuildType != buildTypes+"quantize/v1" || !slices.Equal(got.By, []verify.Credential{verify.KeyCredential(p.world.Key("trainer"))}) {
		t.Errorf("quantize: %+v, %t", got, ok)
	}
	if _, ok := loaded.StepEvidence("other"); ok {
		t.Error("a step that the policy has not")
	}
	var zero policy.Policy
	if _, ok := zero.StepEvidence("quantize"); ok || zero.Judged() != nil {
		t.Error("the zero policy has steps")
	}
}

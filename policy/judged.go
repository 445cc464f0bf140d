package policy

import (
	"slices"

	"github.com/pedigree-ml/pedigree/verify"
)

// Judged returns the steps whose output the policy judges, as its `artifact` lists
// them; none for the zero Policy.
func (p *Policy) Judged() []string {
	if p.doc == nil {
		return nil
	}
	return slices.Clone(p.doc.artifact)
}

// StepEvidence returns which evidence is of a step and by whom, and whether there
// is a step of that name. It says nothing of what else the step asks.
func (p *Policy) StepEvidence(name string) (verify.Follow, bool) {
	if p.doc == nil || p.doc.step(name) == nil {
		return verify.Follow{}, false
	}
	return p.doc.follow(p.doc.step(name)), true
}

// Line returns the line of the policy's file on which a step begins, counted from 1; 0
// if the policy has no such step.
func (p *Policy) Line(step string) int {
	if p.doc == nil || p.doc.step(step) == nil {
		return 0
	}
	return p.doc.step(step).pos.line
}

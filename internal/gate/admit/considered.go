package admit

import (
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// considered is everything that was worked out about one request. The zero value refuses.
type considered struct {
	request *admissionv1.AdmissionRequest // nil if there is none
	mutate  bool
	object  *object // nil if it was not read
	// rule governs. Until it is found a refusal holds in every mode.
	rule *gate.Rule
	seen []Seen
	// looked says that seen is all there is: without it nothing was found because nobody
	// looked.
	looked bool
	// let says that it is let in without being looked at, for why.
	let, exempt bool
	why         string
	problem     error // why the object as a whole is refused
	unrecorded  error // why what is let in could not be recorded, where that refuses
}

func (c *considered) refuse(err error) *considered {
	c.problem = err
	return c
}

func (c *considered) letIn(why string) *considered {
	c.let, c.why = true, why
	return c
}

// refused reports whether anything was found that a rule in mode enforce refuses.
func (c *considered) refused() bool {
	if c.problem != nil || c.unrecorded != nil || !c.looked {
		return true
	}
	for _, s := range c.seen {
		if s.Standing == Refused {
			return true
		}
	}
	return false
}

// allowed is what the response says. It is written here only.
func (c *considered) allowed() bool {
	switch {
	case c.let:
		return true
	case c.rule == nil || !c.looked:
		return false
	case c.mutate:
		return true // the validating hook decides
	case c.rule.Mode == gate.Warn || c.rule.Mode == gate.Audit:
		return true
	}
	return !c.refused()
}

// outcome is the least of what was judged or refused; judged is false if nothing was.
func (c *considered) outcome() (least policy.Outcome, judged bool) {
	least = policy.Allow
	add := func(o policy.Outcome) { least, judged = min(least, o), true }
	for _, err := range []error{c.problem, c.unrecorded} {
		if err != nil {
			add(outcomeOf(err))
		}
	}
	for _, s := range c.seen {
		if s.Standing == Refused || s.Question.Ground != nil {
			add(s.Outcome)
		}
	}
	if !judged && !c.let && !c.looked {
		add(policy.Deny)
	}
	return least, judged
}

// hard reports whether the review itself is what is wrong.
func (c *considered) hard() bool {
	switch attest.RefusalCode(c.problem) {
	case attest.CodeReview, attest.CodeJSON, attest.CodeDupKey:
		return true
	}
	return false
}

package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/policy"
)

// What tools for tests and for findings are told of a verdict: its requirements, one
// by one, in an order and in words that do not depend on the tool.

// Bounds of what is handed to other tools. What a signer wrote reaches reasons, and
// there may be thousands of requirements; a whole verdict is told by --output json.
const (
	maxChecks    = 5000    // GitHub shows as many findings, GitLab a hundred times as many tests
	maxCheckText = 4 << 10 // of one text: many times the longest honest one
	maxSaid      = 32      // reasons of one requirement, as a verdict has at most of its candidates
)

// A check is one requirement of one verdict.
type check struct {
	verdict *policy.Verdict
	policy.Requirement
	said []said
}

// said is a reason, fit to be shown.
type said struct {
	code            attest.Code
	about, why, how string
}

func (s said) text() string {
	if s.about != "" {
		return s.about + ": " + s.why
	}
	return s.why
}

// checks returns what the verdicts asked, and how much was left out. Of an ALLOW
// everything that decided has passed; a verdict that is none has at least one check
// that did not.
func (p *printer) checks(x Index) (out []check, left int) {
	for _, v := range x.Verdicts {
		p.know(v)
		decided := v.Outcome == policy.Allow
		for _, r := range v.Requirements {
			if r.Status == policy.Pass && len(out) >= maxChecks/2 || len(out) >= maxChecks {
				left++ // of what passed more: what fails is what people look for
				continue
			}
			decided = decided || r.Status != policy.Pass
			out = append(out, check{v, r, p.saidOf(r)})
		}
		if !decided {
			out = append(out, check{v, policy.Requirement{Step: "verdict", Artifact: v.Artifact, Status: status(v.Outcome)},
				[]said{{code: attest.CodePolicyVacuous, why: "the verdict is " + v.Outcome.String() + ", and no requirement that is listed says why"}}})
		}
	}
	return out, left
}

// status is the answer that gives an outcome.
func status(o policy.Outcome) policy.Status {
	switch o {
	case policy.Allow:
		return policy.Pass
	case policy.Undecided:
		return policy.Unknown
	}
	return policy.Fail
}

// saidOf returns the reasons of a requirement, each once; one at least, if it does not
// pass.
func (p *printer) saidOf(r policy.Requirement) []said {
	if r.Status == policy.Pass {
		return nil
	}
	var out []said
	seen := map[said]bool{}
	for i, reason := range r.Reasons {
		if i == maxSaid {
			out = append(out, said{code: r.Reasons[i].Code, why: fmt.Sprintf("… and %d reasons more", len(r.Reasons)-i)})
			break
		}
		s := said{code: reason.Code, why: bounded(reason.Why), how: bounded(p.remedy(reason.Next))}
		if reason.About != "" && reason.About != r.Artifact.String() {
			s.about = bounded(About(p.named(reason.About)))
		}
		if b := reason.Because; b != nil {
			s.why = bounded(reason.Why + fmt.Sprintf("; follows from %s of %s", b.Step, b.Artifact.Short()))
		}
		if !seen[s] {
			out = append(out, s)
		}
		seen[s] = true
	}
	if len(out) == 0 {
		out = []said{{code: attest.CodeNoRule, why: "no reason is given"}}
	}
	return out
}

// bounded makes a text fit for other tools: for one line, without what any of them
// could take for an instruction of its format, and of a length that they show.
func bounded(s string) string {
	cut := len(s) > maxCheckText
	if cut {
		s = s[:maxCheckText]
		for i := 0; i < utf8.UTFMax-1 && len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]); i++ {
			s = s[:len(s)-1] // at most the letter that was cut through
		}
	}
	s = strings.Map(func(r rune) rune {
		if r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF { // no characters, says Unicode; XML forbids some
			return utf8.RuneError
		}
		return r
	}, clean(s))
	if cut {
		s += "…"
	}
	return s
}

// refusalText is a refusal without its code, for one line.
func refusalText(r attest.Refusal) string {
	return bounded(strings.TrimLeft((&attest.Refusal{About: r.About, Why: r.Why, Err: r.Err}).Error(), ": "))
}

// judgedName is how a suite of tests, or a finding, names an artifact.
func judgedName(d attest.Digest, o Options) string {
	if o.Repository == "" {
		return d.String()
	}
	return bounded(o.Repository) + "@" + d.String()
}

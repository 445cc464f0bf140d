package admit

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// Bounds of what is said. Kubernetes cuts a warning after 256 characters and all of them
// after 4 KiB; the message stands in events and terminals, where a screen is 1 KiB.
const (
	maxShown    = 300 // of one text from outside: a pinned reference has about 150
	maxMessage  = 1024
	maxLine     = 480 // of a message, so that two references fit at least
	maxLines    = 64  // that are written, more than fit in a message; the others are counted
	maxWarning  = 256
	maxWarnings = 15 // the last says how many more there are
	maxNote     = 1024
)

// reason is why something is refused, in the parts of an *attest.Refusal.
type reason struct {
	code      attest.Code
	why, next string
}

// reasonOf says why s is refused, or no more than let in.
func reasonOf(s Seen) reason {
	if s.Err != nil {
		return reasonOfError(s.Err)
	}
	return reasonOfVerdicts(s.Answer.Verdicts)
}

// Reason says why s is refused, or no more than let in, in the parts of an
// *attest.Refusal, bounded and printable.
func (s Seen) Reason() (code attest.Code, why, next string) {
	r := reasonOf(s)
	return r.code, shown(r.why), shown(r.next)
}

func reasonOfError(err error) reason {
	var r *attest.Refusal
	if !errors.As(err, &r) {
		return reason{attest.CodeInternal, "a bug was caught: an error without a code", "see the gate's log"}
	}
	return reason{r.Code, cmp.Or(whyOf(r), "it could not be looked at"), r.Next}
}

// whyOf gives the reasons of r and of the refusals that caused it. Other causes are left
// out: their texts are written by whoever answered upstream, and may hold what was sent
// there.
func whyOf(r *attest.Refusal) string {
	var cause *attest.Refusal
	if !errors.As(r.Err, &cause) {
		return r.Why
	}
	return strings.TrimPrefix(strings.TrimSuffix(r.Why+": "+whyOf(cause), ": "), ": ")
}

// reasonOfVerdicts takes the first reason that follows from no other, of the verdict that
// decides, and says how many there are beside it: all of them are in the verdict.
func reasonOfVerdicts(verdicts []*policy.Verdict) reason {
	out := reason{code: attest.CodeInternal, why: "nothing was judged", next: "see the gate's log"}
	var least *policy.Verdict
	for _, v := range verdicts {
		if least == nil || v.Outcome < least.Outcome {
			least = v
		}
	}
	if least == nil {
		return out
	}
	weakest := policy.Pass
	for _, r := range least.Requirements {
		weakest = min(weakest, r.Status)
	}
	more := -1
	for _, r := range least.Requirements {
		if r.Status != weakest || weakest == policy.Pass {
			continue
		}
		for _, x := range r.Reasons {
			if x.Because != nil {
				continue
			}
			if more++; more == 0 {
				out = reason{x.Code, r.Step + ": " + x.Why, x.Next}
			}
		}
	}
	if more > 0 {
		out.why += fmt.Sprintf(" (and %d more)", more)
	}
	return out
}

// line is one line about s: the code, what and where it is, why, and what would help.
func (s Seen) line() string {
	r := reasonOf(s)
	what := s.Text
	if what == "" {
		what = r.whatOf(s.Err)
	}
	return r.line(what, s.Place)
}

func (r reason) whatOf(err error) string {
	var x *attest.Refusal
	if errors.As(err, &x) {
		return x.About
	}
	return ""
}

func (r reason) line(what, at string) string {
	out := string(r.code)
	if what != "" {
		out += " " + shown(what)
	}
	if at != "" {
		out += " (" + shown(at) + ")"
	}
	out += ": " + shown(r.why)
	if r.next != "" {
		out += "; " + shown(r.next)
	}
	return out
}

// lineOf is the line about an error that refuses the object as a whole.
func lineOf(err error) string {
	r := reasonOfError(err)
	return r.line(r.whatOf(err), "")
}

// message puts lines together, as many as fit.
func message(lines []string) string {
	const rest = 40 // "… and 1024 more"
	var out strings.Builder
	for i, l := range lines {
		l = gate.Clip(l, maxLine)
		if i > 0 {
			l = "\n" + l
		}
		if out.Len()+len(l) > maxMessage-rest {
			fmt.Fprintf(&out, "\n… and %d more", len(lines)-i)
			break
		}
		out.WriteString(l)
	}
	return out.String()
}

// warnings makes of lines what Kubernetes shows of warnings.
func warnings(lines []string) []string {
	var out []string
	for i, l := range lines {
		if i == maxWarnings-1 && len(lines) > maxWarnings {
			return append(out, fmt.Sprintf("… and %d more", len(lines)-i))
		}
		out = append(out, gate.Clip(l, maxWarning))
	}
	return out
}

// tags are what begins or ends a tag.
var tags = strings.NewReplacer("<", `\u{3c}`, ">", `\u{3e}`, "&", `\u{26}`)

// shown returns a text from outside as data: short, on one line, without credentials, and
// without what begins or ends a tag where it is shown on a page.
func shown(s string) string {
	s = gate.Shown(s, maxShown)
	return gate.Clip(tags.Replace(s), maxShown)
}

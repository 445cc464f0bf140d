package admit

import (
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// response writes what was worked out for the API server.
func (c *considered) response() *admissionv1.AdmissionResponse {
	out := &admissionv1.AdmissionResponse{Allowed: c.allowed(), AuditAnnotations: c.annotations()}
	if c.request != nil && isUID(c.request.UID) {
		out.UID = c.request.UID
	}
	if !out.Allowed {
		out.Result = c.status()
		return out
	}
	if p := patch(c.seen); c.mutate && p != nil {
		kind := admissionv1.PatchTypeJSONPatch
		out.Patch, out.PatchType = p, &kind
	}
	if c.rule != nil && c.rule.Mode != gate.Audit {
		out.Warnings = warnings(c.lines())
	}
	return out
}

// status says why not. The code is for programs: 400 is the request's fault, 403 stays,
// and 503 may go away by itself. None of them asks to be sent again at once, because
// kubectl would then hang for minutes and say nothing.
func (c *considered) status() *metav1.Status {
	s := &metav1.Status{Status: metav1.StatusFailure, Message: message(c.lines())}
	least, _ := c.outcome()
	switch {
	case c.hard():
		s.Code, s.Reason = http.StatusBadRequest, metav1.StatusReasonBadRequest
	case least == policy.Undecided:
		s.Code, s.Reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
	default:
		s.Code, s.Reason = http.StatusForbidden, metav1.StatusReasonForbidden
	}
	return s
}

// lines say what is refused, or let in with a warning: of each reference one line, those
// that deny first.
func (c *considered) lines() []string {
	var out []string
	for _, err := range []error{c.problem, c.unrecorded} {
		if err != nil {
			out = append(out, lineOf(err))
		}
	}
	var warned []Seen
	for _, s := range c.seen {
		if s.Standing == Refused || s.Standing == Reported || s.Standing == Left && s.Question.Ground != nil {
			warned = append(warned, s)
		}
	}
	slices.SortStableFunc(warned, func(a, b Seen) int { return weight(a) - weight(b) })
	for i, s := range warned {
		l := ""
		if i < maxLines {
			l = s.line()
		}
		out = append(out, l)
	}
	if len(out) == 0 && !c.allowed() {
		out = append(out, lineOf(malformed("nothing was looked at"))) // a bug: whoever is refused is told so
	}
	return out
}

func weight(s Seen) int {
	switch {
	case s.Standing == Reported:
		return 2
	case s.Outcome == policy.Deny:
		return 0
	}
	return 1
}

// annotations are what the API server's audit log keeps. It puts the webhook's name before
// the keys.
func (c *considered) annotations() map[string]string {
	out := map[string]string{"outcome": c.outcomeText()}
	if c.rule != nil {
		out["rule"], out["mode"] = gate.Clip(shown(c.rule.Name), maxNote), c.rule.Mode.String()
	}
	if c.exempt {
		out["exempt"] = gate.Clip(shown(c.why), maxNote)
	}
	var policies, artifacts []string
	for _, s := range c.seen {
		if s.Question.Ground == nil {
			continue
		}
		if d := s.Answer.Policy; !d.IsZero() && !slices.Contains(policies, d.String()) {
			policies = append(policies, d.String())
		}
		if r := s.Answer.Reference; !r.Digest.IsZero() && !slices.Contains(artifacts, r.String()) {
			artifacts = append(artifacts, r.String())
		}
	}
	if len(policies) > 0 {
		out["policy"] = gate.Clip(strings.Join(policies, " "), maxNote)
	}
	if len(artifacts) > 0 {
		out["artifact"] = gate.Clip(strings.Join(artifacts, " "), maxNote)
	}
	return out
}

// None is the outcome of what was let in although nothing was judged.
const None = "NONE"

func (c *considered) outcomeText() string {
	o, judged := c.outcome()
	if !judged {
		return None
	}
	return o.String()
}

package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// maxMessage bounds what a user reads of a refusal.
const maxMessage = 1 << 10

// review answers POST /admit, and POST /mutate if mutate is set. Whatever is decided, a
// review that could be read is answered by a review with status 200: to the API server
// everything else is a webhook that failed, and the user would not read why.
func (s *Server) review(mutate bool) func(context.Context, *question) *reply {
	return func(ctx context.Context, q *question) *reply {
		in, err := s.decode(q.body)
		q.read()
		if err != nil || in == nil || in.Request == nil {
			return unreadable(in, err)
		}
		req := in.Request
		g := s.grounds()
		if g == nil {
			return reviewed(req, notReady())
		}
		out, bad := work(ctx, s, q.handler, "namespace "+gate.Clip(req.Namespace, 253), int64(len(q.body)), func(ctx context.Context) *admissionv1.AdmissionResponse {
			return s.admitter.Review(ctx, g, req, mutate)
		})
		if bad == nil && (out == nil || !mutate && len(out.Patch) > 0) {
			s.metrics.panics.Inc()
			bad = fail(http.StatusInternalServerError, reasonPanic, attest.CodeInternal, "a bug was caught: no answer, or one that is not to this question", "report it with the lines in the gate's log")
		}
		if bad != nil {
			return reviewed(req, bad)
		}
		out.UID = req.UID
		re := encode(out, http.StatusOK)
		re.quiet = re.reason == "" // the admitter logs its decisions
		return re
	}
}

// reviewed answers a review in the admitter's place. Such an answer never allows.
func reviewed(req *admissionv1.AdmissionRequest, f *failure) *reply {
	re := encode(refusal(f, req), http.StatusOK)
	re.reason = f.reason
	re.log = append(refusalAttrs(f.refusal), slog.String("uid", shown(string(req.UID))), slog.String("operation", shown(string(req.Operation))),
		slog.String("kind", shown(req.Kind.Group+"/"+req.Kind.Kind)), slog.String("namespace", shown(req.Namespace)), slog.String("name", shown(req.Name)))
	return re
}

// unreadable answers what is no review, with the uid if one could be read.
func unreadable(in *admissionv1.AdmissionReview, err error) *reply {
	var r *attest.Refusal
	if !errors.As(err, &r) {
		r = &attest.Refusal{Code: attest.CodeJSON, Why: "the body is no AdmissionReview"}
	}
	f := &failure{http.StatusBadRequest, reasonMalform, r}
	if in == nil || in.Request == nil || in.Request.UID == "" {
		return f.reply()
	}
	re := encode(refusal(f, in.Request), http.StatusBadRequest)
	re.reason = f.reason
	re.log = refusalAttrs(r)
	return re
}

// refusal is a response that refuses for f.
func refusal(f *failure, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	text := string(f.refusal.Code) + ": "
	if f.refusal.About != "" {
		text += shown(f.refusal.About) + ": "
	}
	text += shown(f.refusal.Why)
	if f.refusal.Next != "" {
		text += "; " + shown(f.refusal.Next)
	}
	return &admissionv1.AdmissionResponse{
		UID: req.UID,
		Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: int32(f.status), Reason: statusReason(f.status), Message: gate.Clip(text, maxMessage),
		},
	}
}

func statusReason(status int) metav1.StatusReason {
	switch status {
	case http.StatusTooManyRequests:
		return metav1.StatusReasonTooManyRequests
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusInternalServerError:
		return metav1.StatusReasonInternalError
	}
	return metav1.StatusReasonForbidden
}

// encode writes a response as a review.
func encode(out *admissionv1.AdmissionResponse, status int) *reply {
	if out.Result != nil && len(out.Result.Message) > maxMessage {
		out.Result.Message = gate.Clip(out.Result.Message, maxMessage)
	}
	b, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: out,
	})
	if err != nil {
		return fail(http.StatusInternalServerError, reasonPanic, attest.CodeInternal, "a bug was caught: the answer cannot be written", "report it").reply()
	}
	re := &reply{status: status, body: append(b, '\n'), code: http.StatusForbidden, outcome: policy.Deny}
	if out.Allowed {
		re.code, re.outcome = http.StatusOK, policy.Allow
		return re
	}
	if out.Result != nil {
		re.code = boundedCode(out.Result.Code)
	}
	if re.code != http.StatusForbidden {
		re.outcome = policy.Undecided
	}
	return re
}

// boundedCode keeps a label's values few.
func boundedCode(code int32) int {
	switch code {
	case http.StatusBadRequest, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:
		return int(code)
	}
	return http.StatusForbidden
}

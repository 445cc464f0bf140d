package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
	"github.com/pedigree-ml/pedigree/policy"
)

// verify answers POST /v1/verify.
func (s *Server) verify(ctx context.Context, q *question) *reply {
	g := s.grounds()
	if g == nil {
		return notReady().reply()
	}
	asked, err := readQuestion(q.body, g)
	q.read()
	if err != nil {
		return refused(gate.Answer{Err: err, Outcome: policy.Undecided}, reasonMalform)
	}
	a, bad := work(ctx, s, q.handler, "client "+q.client, int64(len(q.body)), func(ctx context.Context) gate.Answer {
		return s.judge.Judge(ctx, asked)
	})
	if bad != nil {
		re := bad.reply()
		re.log = append(re.log, slog.String("reference", shown(asked.Reference.String())))
		return re
	}
	return s.verdict(asked, a)
}

// readQuestion reads a body of /v1/verify. What names something that g does not have is
// refused: nobody is judged by another policy than they meant.
func readQuestion(body []byte, g *gate.Grounds) (gate.Question, error) {
	v, err := strictjson.Parse(body, len(body))
	if err != nil {
		code := attest.CodeJSON
		if errors.Is(err, strictjson.ErrDuplicate) {
			code = attest.CodeDupKey
		}
		return gate.Question{}, &attest.Refusal{Code: code, Why: "the body is not strict JSON", Next: questionForm}
	}
	if v.Kind() != strictjson.Object {
		return gate.Question{}, usage("the body", "is "+v.Kind().String()+", not an object", questionForm)
	}
	text := map[string]string{}
	for _, m := range v.Members() {
		if m.Key != "reference" && m.Key != "policy" && m.Key != "context" {
			return gate.Question{}, usage(m.Key, "no key of a question", questionForm)
		}
		if m.Value.Kind() != strictjson.String || m.Value.Text() == "" {
			return gate.Question{}, usage(m.Key, "is "+m.Value.Kind().String()+", not a text with something in it", questionForm)
		}
		text[m.Key] = m.Value.Text()
	}
	if text["reference"] == "" {
		return gate.Question{}, usage("reference", "the question does not say what it is about", questionForm)
	}
	ref, err := attest.ParseReference(text["reference"])
	if err != nil {
		return gate.Question{}, err
	}
	if !gate.Matches(g.Config.Registry.Repositories, ref.Repository) {
		return gate.Question{}, &attest.Refusal{Code: attest.CodeNoRule, About: ref.Repository.String(), Why: "the gate is not told to ask this repository", Next: "list it in registry.repositories, if it is yours"}
	}
	ground, err := groundOf(g, text["policy"])
	return gate.Question{Reference: ref, Ground: ground, Context: text["context"]}, err
}

// questionForm is what a question looks like.
const questionForm = `send {"reference": "HOST/REPOSITORY@sha256:…", "policy": "NAME", "context": "…"}; the last two may be left out`

// groundOf returns the ground called name, or the only one if no name is given.
func groundOf(g *gate.Grounds, name string) (*gate.Ground, error) {
	if name == "" && len(g.Policies) == 1 {
		for _, only := range g.Policies {
			return only, nil
		}
	}
	if name == "" {
		return nil, usage("policy", fmt.Sprintf("there are %d policies, and the question names none", len(g.Policies)), "name one")
	}
	if p := g.Policies[name]; p != nil {
		return p, nil
	}
	return nil, usage(name, "no policy of this gate", "name one of those in its configuration")
}

func usage(about, why, next string) error {
	return &attest.Refusal{Code: attest.CodeUsage, About: about, Why: why, Next: next}
}

// verdict renders what the judge said. 200 is written here and nowhere else, and only for
// an answer that allows.
func (s *Server) verdict(q gate.Question, a gate.Answer) *reply {
	if a.Err != nil {
		return refused(a, "")
	}
	if len(a.Verdicts) == 0 || len(a.JSON) == 0 || a.Outcome == policy.Allow && !a.Allowed() {
		s.metrics.panics.Inc()
		s.log.LogAttrs(context.Background(), slog.LevelError, "a bug was caught", slog.String("handler", verifyHandler),
			slog.String("why", "an answer without what it rests on"), slog.String("reference", shown(q.Reference.String())))
		return fail(http.StatusInternalServerError, reasonPanic, attest.CodeInternal, "a bug was caught", "report it with the lines in the gate's log").reply()
	}
	re := &reply{body: a.JSON, outcome: a.Outcome, header: answerHeader(a)}
	switch a.Outcome {
	case policy.Allow:
		re.status = http.StatusOK
	case policy.Undecided:
		re.status = http.StatusServiceUnavailable
	default:
		re.status = http.StatusForbidden
	}
	re.code = re.status
	re.log = []slog.Attr{
		slog.String("reference", shown(q.Reference.String())), slog.String("artifact", shown(a.Reference.String())),
		slog.String("policy", a.Policy.String()), slog.String("context", shown(q.Context)), slog.Bool("cached", a.Cached),
	}
	return re
}

// answerHeader are the headers that say what an answer rests on.
func answerHeader(a gate.Answer) [][2]string {
	h := make([][2]string, 0, 5)
	h = append(h, [2]string{outcomeHeader, a.Outcome.String()})
	if !a.Policy.IsZero() {
		h = append(h, [2]string{"Pedigree-Policy", a.Policy.String()})
	}
	if !a.Reference.Digest.IsZero() {
		h = append(h, [2]string{"Pedigree-Artifact", a.Reference.String()})
	}
	if !a.Until.IsZero() {
		h = append(h, [2]string{"Pedigree-Valid-Until", a.Until.UTC().Format(time.RFC3339)})
	}
	cached := "false"
	if a.Cached {
		cached = "true"
	}
	return append(h, [2]string{"Pedigree-Cached", cached})
}

// refused renders an answer without a verdict.
func refused(a gate.Answer, reason string) *reply {
	var r *attest.Refusal
	if !errors.As(a.Err, &r) {
		r = &attest.Refusal{Code: attest.CodeInternal, Why: "a bug was caught", Next: "report it with the lines in the gate's log", Err: a.Err}
	}
	o := a.Outcome
	if o == policy.Allow {
		o = policy.Undecided // an error and a pass in one answer are no pass
	}
	re := &reply{status: statusOf(r.Code, o), outcome: o, reason: reason, body: errorBody(o, r), log: refusalAttrs(r)}
	a.Outcome = o
	re.header = answerHeader(a)
	re.code = re.status
	return re
}

// statusOf returns the status of an answer without a verdict: who asked wrongly asks in
// vain again, and everybody else may.
func statusOf(code attest.Code, o policy.Outcome) int {
	switch code {
	case attest.CodeUsage, attest.CodeReference, attest.CodeJSON, attest.CodeDupKey, attest.CodeNoRule, attest.CodeDigestAlg, attest.CodeDigestFormat:
		return http.StatusBadRequest
	case attest.CodeInternal:
		return http.StatusInternalServerError
	case attest.CodeOverload:
		return http.StatusTooManyRequests
	}
	if o == policy.Undecided {
		return http.StatusServiceUnavailable
	}
	return http.StatusForbidden
}

package admit

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// askAtOnce is how many questions of one object are asked at a time. An object that asked
// all of its questions at once would take every slot that its tenant has.
const askAtOnce = 8

// weighing is the work on one object's references.
type weighing struct {
	grounds *gate.Grounds
	rule    *gate.Rule
	mutate  bool
	// order are the questions, each once, in the order of the places that ask them.
	order   []gate.Question
	answers map[question]reply
}

// question is what makes two questions one.
type question struct {
	reference, policy, context string
}

type reply struct {
	answer gate.Answer
	took   time.Duration
}

func keyOf(q gate.Question) question {
	return question{q.Reference.String(), q.Ground.Name, q.Context}
}

// plan decides about s, or says what is to be asked about it. Everything that the
// configuration says is looked at before anything is asked, or looked up: who may not ask
// about a repository learns nothing about it, not even what others asked before.
func (w *weighing) plan(s *Seen) {
	if w.mutate && !w.pins(s) {
		s.Standing = Left
		return
	}
	s.Line = claim(w.rule, s.Reference.Repository, s.URI)
	switch {
	case s.Line == nil:
		unrecognised(s, unclaimed(s))
	case s.Line.Accept:
		s.Standing = Accepted
	case s.Problem != "" || s.Reference.Repository.IsZero():
		s.refuse(unclaimed(s)) // unreachable: such a line has URIs, and accepts
	case !gate.Matches(w.grounds.Config.Registry.Repositories, s.Reference.Repository):
		s.refuse(&attest.Refusal{Code: attest.CodeUngoverned, About: s.Reference.Repository.String(), Why: "the gate may not ask this repository",
			Next: "list it under registry.repositories in the gate's configuration"})
	case w.grounds.Policies[s.Line.Policy] == nil:
		s.refuse(&attest.Refusal{Code: attest.CodeInternal, About: s.Line.Policy, Why: "the policy that the rule names is not loaded"})
	default:
		s.Question = gate.Question{Reference: s.Reference, Ground: w.grounds.Policies[s.Line.Policy], Context: s.Line.Context}
		w.add(s.Question)
		return
	}
	if w.mutate {
		s.Standing = Left
	}
}

// add puts a question on the list, once.
func (w *weighing) add(q gate.Question) {
	if w.answers == nil {
		w.answers = map[question]reply{}
	}
	k := keyOf(q)
	if _, ok := w.answers[k]; !ok {
		w.answers[k] = reply{}
		w.order = append(w.order, q)
	}
}

// unclaimed is the refusal of what no line of the rule claims.
func unclaimed(s *Seen) *attest.Refusal {
	r := &attest.Refusal{Code: attest.CodeUnrecognised, About: gate.Clip(s.Text, maxShown), Why: s.Problem,
		Next: "add a line to the rule " + s.Rule.Name}
	if r.Why == "" {
		r.Why = "no line of the rule claims it"
	}
	return r
}

// conclude turns the answer that s waits for into its standing.
func (w *weighing) conclude(s *Seen) {
	if s.Question.Ground == nil {
		return
	}
	r := w.answers[keyOf(s.Question)]
	s.Answer, s.Took = r.answer, r.took
	switch {
	case !s.Answer.Allowed():
		s.Standing, s.Outcome, s.Err = Refused, s.Answer.Outcome, s.Answer.Err
		if s.Outcome == policy.Allow {
			s.Outcome = policy.Undecided
		}
	case !w.mutate && s.Reference.Digest.IsZero() && (s.Runs || s.Pointer == ""):
		// The verdict is about a digest. What a tag means when the kubelet asks is for
		// whoever can push to say.
		s.refuse(w.unpinned(s))
		return
	default:
		s.Standing, s.Outcome = Allowed, policy.Allow
	}
	if w.mutate {
		s.settlePin()
	}
}

// unpinned is the refusal of a tag from which something runs, or of one in a template
// that nothing could pin in what is made of it.
func (w *weighing) unpinned(s *Seen) *attest.Refusal {
	r := &attest.Refusal{Code: attest.CodeTag, About: s.Reference.String(), Why: "runs by a tag, which can be moved to another artifact",
		Next: "name it by digest: " + s.Answer.Reference.Digest.String()}
	switch {
	case s.Pointer == "":
		r.Why = "a tag that cannot be pinned where it stands"
	case w.rule.Pin:
		// Which of these it was nobody knows here: the two hooks may be asked of two replicas,
		// and between them it may have become possible to judge it.
		r.Why = "still a tag: the mutating webhook could not judge it in time, was not asked, or was followed by one that changed it"
		r.Next = "try again, or " + r.Next
	}
	return r
}

// ask asks every question, and comes back when all are answered or ctx has ended: what is
// not answered then is UNDECIDED. Who is still asked finishes alone, and is heard no more.
func (a *Admitter) ask(ctx context.Context, w *weighing) {
	type heard struct {
		at int
		reply
	}
	n := len(w.order)
	todo, done := make(chan int, n), make(chan heard, n)
	for i := range n {
		todo <- i
	}
	close(todo)
	questions := w.order
	for range min(n, askAtOnce) {
		go func() {
			for i := range todo {
				done <- heard{i, a.one(ctx, questions[i])}
			}
		}()
	}
	for left := n; left > 0; left-- {
		select {
		case h := <-done:
			w.answers[keyOf(questions[h.at])] = h.reply
		case <-ctx.Done():
			// What is not in answers is the zero reply, which refuses; it only lacks a reason.
			for k, r := range w.answers {
				if r.answer.Err == nil && len(r.answer.Verdicts) == 0 {
					w.answers[k] = reply{answer: gate.Answer{Outcome: policy.Undecided,
						Err: &attest.Refusal{Code: attest.CodeDeadline, About: k.reference, Why: "there was no answer in time", Next: "ask again"}}}
				}
			}
			return
		}
	}
}

// one asks one question, and turns a panic into a refusal: it would end the process, since
// nobody else could catch it on this goroutine.
func (a *Admitter) one(ctx context.Context, q gate.Question) (r reply) {
	started := a.now()
	defer func() {
		r.took = a.now().Sub(started)
		if p := recover(); p != nil {
			a.log.Error("panic while judging", "reference", q.Reference.String(), "panic", shown(fmt.Sprint(p)), "stack", string(debug.Stack()))
			r.answer = wrong(q, "a bug was caught while it was judged")
		}
	}()
	r.answer = a.judge.Judge(ctx, q)
	if r.answer.Allowed() && !about(r.answer.Reference, q.Reference) {
		r.answer = wrong(q, "the answer is about something else")
	}
	return r
}

// about reports whether an answer's reference is what was asked about.
func about(got, asked attest.Reference) bool {
	return got.Repository == asked.Repository && (asked.Digest.IsZero() || got.Digest == asked.Digest)
}

func wrong(q gate.Question, why string) gate.Answer {
	return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeInternal, About: q.Reference.String(), Why: why, Next: "see the gate's log"}}
}

func tooMany(n, most int) string {
	return fmt.Sprintf("it names %d artifacts that are to be judged; at most %d of one object are", n, most)
}

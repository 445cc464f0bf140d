package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

const (
	// askAtOnce bounds the questions that are asked at once, and askOne those about one
	// registry. A chain of the usual size is a megabyte while it is judged.
	askAtOnce = 24
	askOne    = 8
	// askDoubtful is askOne for a registry that took longer than slow to give no answer:
	// what hangs is to keep nobody else waiting, and is asked on until it answers.
	askDoubtful = 2
	slow        = 2 * time.Second

	// deadline bounds one question, if the configuration does not say.
	deadline = 9 * time.Second
)

// A question is what makes two of them the same.
type question struct {
	reference string
	ground    *gate.Ground
	context   string
}

func questionOf(q gate.Question) question {
	return question{q.Reference.String(), q.Ground, q.Context}
}

// An inquiry is one question that objects raise, and the last answer to it.
type inquiry struct {
	question gate.Question
	tenant   string        // the namespace that raised it first
	raised   time.Duration // on the watcher's clock, as is begun
	bodies   map[body]bool // that raise it
	busy     bool

	answered bool
	answer   gate.Answer
	begun    time.Duration // when looking for it began: what came later is not in it
	at       time.Time     // the same by the wall's clock, to be shown
}

// raise notes that objects with this body ask.
func (i *inquiry) raise(b body) {
	if len(i.bodies) == 0 {
		i.tenant = b.namespace
	}
	i.bodies[b] = true
}

// due is from when on it is to be asked, or asked again.
func (i *inquiry) due(interval time.Duration) time.Duration {
	switch {
	case !i.answered:
		return i.raised
	case doubtful(i.answer):
		return i.begun + interval*2/5 // an outage is over sooner than what was looked at changes
	}
	return i.begun + interval
}

// inquiries are the questions of a watcher. Its loop owns them; only the map is shared
// with Judge, which the admitter calls on goroutines of its own.
type inquiries struct {
	judge    gate.Judge
	interval time.Duration
	elapsed  func() time.Duration
	now      func() time.Time
	panicked func(what string)

	mu  sync.Mutex
	all map[question]*inquiry

	running  int
	hosts    map[string]*host
	tenants  map[string]int // of what runs
	replies  chan reply
	interest context.Context // ends when the grounds that are asked under do
	end      context.CancelFunc
}

// A host is a registry, or a layout.
type host struct {
	running  int
	doubtful bool // the last question about it took long, and was not answered
}

type reply struct {
	*inquiry
	by       string // the tenant for whom it was asked
	answer   gate.Answer
	begun    time.Duration
	at       time.Time
	interest context.Context
}

// errPending says that nobody has answered yet.
var errPending = errors.New("pending")

// Judge implements gate.Judge by what was answered before. It asks nobody, and takes note
// of what is to be asked.
func (s *inquiries) Judge(_ context.Context, q gate.Question) gate.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := questionOf(q)
	i := s.all[k]
	if i == nil {
		q.Fresh = true
		i = &inquiry{question: q, raised: s.elapsed(), bodies: map[body]bool{}}
		s.all[k] = i
	}
	if !i.answered {
		return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeDeadline, About: k.reference, Why: "nobody has answered about it yet", Err: errPending}}
	}
	return i.answer
}

// begin makes a new beginning: whoever is still being asked is not waited for.
func (s *inquiries) begin(ctx context.Context) {
	if s.end != nil {
		s.end()
	}
	s.interest, s.end = context.WithCancel(ctx)
}

func (s *inquiries) get(q gate.Question) *inquiry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[questionOf(q)]
}

// sweep forgets what nobody asks any more.
func (s *inquiries) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, i := range s.all {
		if len(i.bodies) == 0 {
			delete(s.all, k)
		}
	}
}

// oldest is when the oldest of all answers was looked for, or a question raised to which
// there is none yet; -1 if there are no questions.
func (s *inquiries) oldest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := time.Duration(-1)
	for _, i := range s.all {
		since := i.raised
		if i.answered {
			since = i.begun
		}
		if out < 0 || since < out {
			out = since
		}
	}
	return out
}

// ask begins to ask what is due, as far as there is room. Of what is due it takes first
// who has fewest questions running, so that nobody keeps others waiting by raising many.
func (s *inquiries) ask(limit time.Duration) {
	now := s.elapsed()
	var due []*inquiry
	s.mu.Lock()
	for _, i := range s.all {
		if !i.busy && len(i.bodies) > 0 && i.due(s.interval) <= now {
			due = append(due, i)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(due, func(a, b *inquiry) int {
		return cmp.Or(cmp.Compare(a.due(s.interval), b.due(s.interval)), cmp.Compare(a.raised, b.raised))
	})
	for s.running < askAtOnce {
		best := -1
		for n, i := range due {
			if i != nil && s.host(i).room() && (best < 0 || s.tenants[i.tenant] < s.tenants[due[best].tenant]) {
				best = n
				if s.tenants[i.tenant] == 0 {
					break
				}
			}
		}
		if best < 0 {
			return
		}
		s.start(due[best], limit)
		due[best] = nil
	}
}

func (s *inquiries) host(i *inquiry) *host {
	name := i.question.Reference.Repository.String()
	if !i.question.Reference.Repository.IsLayout() {
		name, _, _ = strings.Cut(name, "/")
	}
	if s.hosts[name] == nil {
		s.hosts[name] = &host{}
	}
	return s.hosts[name]
}

func (h *host) room() bool {
	if h.doubtful {
		return h.running < askDoubtful
	}
	return h.running < askOne
}

func (s *inquiries) start(i *inquiry, limit time.Duration) {
	i.busy = true
	begun, at := s.elapsed(), s.now()
	s.running++
	s.host(i).running++
	s.tenants[i.tenant]++
	interest, by := s.interest, i.tenant
	go func() {
		ctx, cancel := context.WithTimeout(interest, limit)
		defer cancel()
		s.replies <- reply{i, by, s.answer(ctx, i.question), begun, at, interest}
	}()
}

// answer asks the judge; a panic of it is no answer.
func (s *inquiries) answer(ctx context.Context, q gate.Question) (a gate.Answer) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(fmt.Sprintf("%v\n%s", p, debug.Stack()))
			a = gate.Answer{Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeInternal, "judging %s: this is a bug", attest.Printable(q.Reference.String()))}
		}
	}()
	return s.judge.Judge(ctx, q)
}

// heard takes a reply, and reports whether it says something new.
func (s *inquiries) heard(r reply) (news bool) {
	i := r.inquiry
	s.running--
	h := s.host(i)
	h.running--
	if s.tenants[r.by]--; s.tenants[r.by] == 0 {
		delete(s.tenants, r.by)
	}
	i.busy = false
	if r.interest.Err() != nil {
		return false // what was broken off says nothing
	}
	h.doubtful = doubtful(r.answer) && s.elapsed()-r.begun > slow
	news = !i.answered || meaningOf(r.answer) != meaningOf(i.answer)
	s.mu.Lock()
	i.answered, i.answer, i.begun, i.at = true, light(r.answer), r.begun, r.at
	s.mu.Unlock()
	return news
}

// doubtful reports whether an answer is that something could not be looked at, or judged.
func doubtful(a gate.Answer) bool {
	return a.Outcome == policy.Undecided
}

// light is an answer without what is not told of it: a verdict is some hundred kilobytes,
// and there may be thousands.
func light(a gate.Answer) gate.Answer {
	a.JSON = nil
	verdicts := make([]*policy.Verdict, 0, len(a.Verdicts))
	for _, v := range a.Verdicts {
		failing := slices.DeleteFunc(slices.Clone(v.Requirements), func(q policy.Requirement) bool { return q.Status == policy.Pass })
		verdicts = append(verdicts, &policy.Verdict{Outcome: v.Outcome, Artifact: v.Artifact, Requirements: slices.Clip(failing)})
	}
	a.Verdicts = verdicts
	return a
}

// A meaning is what of an answer is told.
type meaning struct {
	outcome   policy.Outcome
	allowed   bool
	reference string
	policy    attest.Digest
	reason    string
}

func meaningOf(a gate.Answer) meaning {
	m := meaning{outcome: a.Outcome, allowed: a.Allowed(), reference: a.Reference.String(), policy: a.Policy}
	if a.Err != nil {
		m.reason = a.Err.Error()
	}
	for _, v := range a.Verdicts {
		for _, q := range v.Requirements {
			if q.Status != policy.Pass {
				m.reason += fmt.Sprintf("%s %d", q.Step, q.Status)
				for _, r := range q.Reasons {
					m.reason += fmt.Sprintf(" %s %s", r.Code, r.Why)
				}
			}
		}
	}
	return m
}

package judge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// check refuses what must not be asked, before anything is looked up: neither a cached
// answer nor a request tells anybody about a repository that is not listed.
func check(q gate.Question) error {
	ref := q.Reference
	switch g := q.Ground; {
	case g == nil || g.Policy == nil:
		return &attest.Refusal{Code: attest.CodePolicyVacuous, About: ref.String(), Why: "no policy is loaded that could judge it"}
	case !gate.Matches(g.Repositories, ref.Repository):
		return &attest.Refusal{Code: attest.CodeNoRule, About: ref.String(), Why: "the gate is not told to ask this repository",
			Next: "whoever runs the gate lists it under registry.repositories"}
	case ref.Tag == "" && ref.Digest.IsZero():
		return &attest.Refusal{Code: attest.CodeReference, About: ref.String(), Why: "names a repository, not an artifact", Next: "add :TAG or @sha256:DIGEST"}
	case g.Trust == nil && g.Policy.NamesIdentities():
		// Every signature by them would be a stranger's, and the answer would look like
		// one about the model.
		return &attest.Refusal{Code: attest.CodeUsage, About: g.Name, Why: "the policy names identities, and nobody is named who vouches for them", Next: "name a trust file for the policy"}
	}
	return nil
}

func expired(q gate.Question, at time.Time) error {
	p := q.Ground.Policy
	return &attest.Refusal{
		Code: attest.CodePolicyExpired, About: q.Ground.Name,
		Why:  fmt.Sprintf("policy %s version %d expired at %s", p.Name(), p.Version(), at.UTC().Format(time.RFC3339)),
		Next: fmt.Sprintf("review the policy, then set metadata.version to %d and metadata.expires to a later time", p.Version()+1),
	}
}

// A key is everything that decides an answer, but for the moment and for what is in
// the repositories.
type key struct {
	repository attest.Repository // evidence lies beside the artifact
	artifact   attest.Digest
	policy     attest.Digest
	trust      attest.Digest // its name in verdicts
	material   attest.Digest // everything that is believed
	context    string
	evidence   string // the further repositories
	stateful   bool
}

func keyOf(q gate.Question, d attest.Digest) key {
	g := q.Ground
	k := key{
		repository: q.Reference.Repository, artifact: d, policy: g.Policy.Digest(),
		trust: g.Trust.Digest(), material: g.Trust.Material(), context: q.Context, stateful: g.Stateful,
	}
	if len(g.Evidence) > 0 {
		var b strings.Builder
		for _, r := range g.Evidence {
			fmt.Fprintf(&b, "%q", r.String()) // quoted, so that no two lists are written alike
		}
		k.evidence = b.String()
	}
	return k
}

// A tagged is a tag in a repository, and a named what it names.
type tagged struct {
	repository attest.Repository
	tag        string
}

type named struct {
	digest attest.Digest
	err    error
}

// resolve returns the digest that a reference means. What a tag names is asked for
// each question, and remembered for none; only those who ask at once are told at once.
func (e *Engine) resolve(ctx context.Context, ref attest.Reference) (attest.Digest, error) {
	if !ref.Digest.IsZero() {
		return ref.Digest, nil
	}
	got, err := e.tags.do(ctx, tagged{ref.Repository, ref.Tag}, call[named]{
		since: -1, now: e.elapsed, limit: e.options.Limits.Deadline,
		run: func(ctx context.Context) (n named) {
			defer func() {
				if r := recover(); r != nil {
					n = named{err: e.panicked(ref, r)}
				}
			}()
			repo, err := e.repos.get(ref.Repository)
			if err != nil {
				return named{err: err}
			}
			d, err := repo.Resolve(ctx, ref)
			if err = missing(ref, err); err != nil && unseen(gate.Answer{Err: err}) {
				e.repos.doubt(ref.Repository)
			}
			return named{d, err}
		},
	})
	if err != nil {
		return attest.Digest{}, late(ref, ctx)
	}
	return got.digest, got.err
}

// missing turns "the repository says it is not there" into a refusal about the
// artifact that was asked for, and leaves "could not look" alone.
func missing(ref attest.Reference, err error) error {
	if err == nil || !errors.Is(err, attest.ErrAbsent) {
		return err
	}
	return &attest.Refusal{Code: attest.CodeSubjectMissing, About: ref.String(), Why: "there is no such artifact", Next: "check the reference, or push the artifact: pedigree push"}
}

// late is the refusal of a question whose time is over.
func late(ref attest.Reference, ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &attest.Refusal{Code: attest.CodeInterrupted, About: ref.String(), Why: "whoever asked gave up", Err: ctx.Err()}
	}
	return &attest.Refusal{Code: attest.CodeRegUnavailable, About: ref.String(), Why: "the evidence could not be looked at in the time there was", Next: "ask again; see whether the registry answers slowly"}
}

// maxShown bounds the words of a panic in the log; what follows them is the stack.
const maxShown = 400

// panicked turns a panic into a refusal, and tells who runs the gate about it. The
// stack is for the log: it is nobody else's.
func (e *Engine) panicked(ref attest.Reference, r any) error {
	e.stats.panics.Add(1)
	e.options.Log.Error("a bug was caught", "code", string(attest.CodeInternal), "reference", attest.Printable(ref.String()),
		"panic", gate.Shown(fmt.Sprint(r), maxShown), "stack", string(debug.Stack()))
	return &attest.Refusal{Code: attest.CodeInternal, About: ref.String(), Why: "a bug was caught while this was judged", Next: "see the gate's log"}
}

// refusal is the answer to what could not be judged.
func refusal(q gate.Question, err error) gate.Answer {
	if attest.RefusalCode(err) == "" {
		err = &attest.Refusal{Code: attest.CodeRegUnavailable, About: q.Reference.String(), Err: err}
	}
	a := gate.Answer{Outcome: gate.OutcomeOf(attest.RefusalCode(err)), Err: err}
	if !q.Reference.Digest.IsZero() {
		a.Reference = q.Reference
	}
	if q.Ground != nil && q.Ground.Policy != nil {
		a.Policy = q.Ground.Policy.Digest()
	}
	return a
}

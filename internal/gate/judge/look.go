package judge

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// fly is one flight: it looks, and leaves in the cache what it saw. It returns an
// entry whatever happens.
func (e *Engine) fly(ctx context.Context, q gate.Question, k key) (en *entry) {
	ref := k.repository.At(k.artifact)
	began := e.now()
	defer func() {
		if r := recover(); r != nil {
			en = e.failed(q, k, began, e.panicked(ref, r))
		}
		if unseen(en.answer) {
			e.repos.doubt(append([]attest.Repository{k.repository}, q.Ground.Evidence...)...)
		}
		e.stats.flew(en.answer, e.elapsed()-began.elapsed)
	}()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		// Nobody looked, so there is nothing to keep.
		return &entry{key: k, looked: began.elapsed, answer: refusal(q, &attest.Refusal{Code: attest.CodeLimit, About: ref.String(), Why: "too many artifacts are being judged", Next: "ask again"})}
	}
	e.stats.flights.Add(1)
	began = e.now() // waiting for a turn is no looking
	if e.testOnlyLook != nil {
		e.testOnlyLook()
	}
	en = e.look(ctx, q, k, began)
	if !errors.Is(ctx.Err(), context.Canceled) { // when the last has left, what was seen may be half of it
		e.cache.put(en)
	}
	return en
}

// failed is the entry of an artifact that could not be judged.
func (e *Engine) failed(q gate.Question, k key, began moment, err error) *entry {
	a := refusal(q, err)
	a.At = began.wall.UTC().Truncate(time.Second)
	// The time counts from the end: a registry that takes longer than this to fail would
	// be asked without a pause.
	en := &entry{key: k, looked: began.elapsed, born: e.now(), keep: min(keepFailed, e.options.Cache.Deny), size: sizeOf(a)}
	a.Until = en.born.wall.Add(en.keep).UTC()
	en.answer = a
	return en
}

// look judges what a key is about: an artifact, or those that an index lists.
func (e *Engine) look(ctx context.Context, q gate.Question, k key, began moment) *entry {
	in := &inquiry{Engine: e, ground: q.Ground, ref: k.repository.At(k.artifact)}
	in.times = policy.Question{At: began.wall.UTC().Truncate(time.Second), Context: q.Context, Stateful: k.stateful}
	in.times.Known = in.times.At
	verdicts, rests, err := in.judge(ctx)
	if err != nil {
		return e.failed(q, k, began, err)
	}
	a := gate.Answer{Policy: k.policy, Verdicts: verdicts, At: in.times.At, Outcome: least(verdicts), Reference: in.ref}
	if a.JSON, err = in.json(verdicts, a.Outcome); err != nil {
		return e.failed(q, k, began, err)
	}
	a.Until = until(a, q.Ground)
	en := &entry{key: k, answer: a, rests: rests, looked: began.elapsed, born: began, keep: e.options.Cache.Deny}
	switch {
	case a.Outcome == policy.Allow:
		en.keep = e.options.Cache.Allow
		if slices.ContainsFunc(verdicts, func(v *policy.Verdict) bool { return len(v.Acknowledged) > 0 }) {
			en.keep = min(en.keep, gate.AcknowledgedAbsence)
		}
	case unseen(a):
		en.born, en.keep = e.now(), min(keepFailed, en.keep) // as failed has it
	}
	en.size = sizeOf(a)
	return en
}

// unseen reports whether something could not be looked at.
func unseen(a gate.Answer) bool {
	if a.Err != nil {
		return !errors.Is(a.Err, attest.ErrAbsent) && attest.RefusalCode(a.Err) != attest.CodeSubjectMissing
	}
	return slices.ContainsFunc(a.Verdicts, func(v *policy.Verdict) bool { return len(v.Gaps) > 0 })
}

// least is the outcome of several: of an index it is the least of its artifacts', and
// of none it refuses.
func least(verdicts []*policy.Verdict) policy.Outcome {
	if len(verdicts) == 0 {
		return policy.Deny
	}
	return slices.MinFunc(verdicts, func(a, b *policy.Verdict) int { return int(a.Outcome) - int(b.Outcome) }).Outcome
}

// until is the moment from which an answer says nothing. The verdicts' own horizon
// has all of it; what verdicts rest on is asked once more, because an answer that
// outlives it lets in what should be kept out.
func until(a gate.Answer, g *gate.Ground) time.Time {
	end := g.Policy.Expires()
	if t := g.Trust.Expires(); !t.IsZero() && t.Before(end) {
		end = t
	}
	for _, v := range a.Verdicts {
		if v.Until.Before(end) {
			end = v.Until
		}
		if v.Status != nil && a.Outcome == policy.Allow && v.Status.ValidUntil.Before(end) {
			end = v.Status.ValidUntil.Add(1) // at its last moment it is still valid
		}
	}
	return end.UTC()
}

// sizeOf is about how much memory an answer takes: its JSON, the verdicts that it was
// written from, which take some times as much, and what is around it.
func sizeOf(a gate.Answer) int64 { return 4*int64(len(a.JSON)) + 2048 }

// An inquiry is one look at one artifact or index. What it does, and in which order,
// is what "pedigree verify" does: a test compares their bytes.
type inquiry struct {
	*Engine
	ground  *gate.Ground
	ref     attest.Reference // with the digest
	times   policy.Question
	index   attest.Digest // zero: ref is to an artifact
	sources []verify.Source
}

// judge returns a verdict for each artifact, and the numbers that they rest on.
func (in *inquiry) judge(ctx context.Context) ([]*policy.Verdict, []policy.Mark, error) {
	if in.times.Stateful && in.ledger.dir == nil {
		return nil, nil, attest.Refuse(attest.CodeState, "the policy is to be judged by somebody who remembers, and there is no folder to remember in")
	}
	repo, err := in.repos.get(in.ref.Repository)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // ends what is looked up before it is asked for
	defer cancel()
	own := &beheld{View: repo.View()}
	if err := in.openSources(own); err != nil {
		return nil, nil, err
	}
	in.expect(ctx, in.ref.Digest)
	targets, err := in.targets(ctx, own)
	if err != nil {
		return nil, nil, err
	}
	var verdicts []*policy.Verdict
	var rests []policy.Mark
	for _, d := range targets {
		v, on, err := in.one(ctx, d)
		if err != nil {
			return nil, nil, err
		}
		verdicts, rests = append(verdicts, v), append(rests, on...)
	}
	return verdicts, rests, nil
}

// targets returns the artifact, or the artifacts of an index: what is said about an
// index is said about none of them, and whoever pulls it gets one of them. An index in
// an index is refused; nothing that runs models needs one.
func (in *inquiry) targets(ctx context.Context, repo *beheld) ([]attest.Digest, error) {
	// A registry lists what refers to a manifest whether or not it holds it.
	b, err := manifest(ctx, repo, in.ref)
	if err != nil {
		return nil, err
	}
	if !attest.IsIndex(b) {
		return []attest.Digest{in.ref.Digest}, nil
	}
	in.index = in.ref.Digest
	list, err := attest.ParseIndex(b)
	if err != nil {
		return nil, err
	}
	var out []attest.Digest
	for _, d := range list {
		in.expect(ctx, d.Digest)
	}
	for _, d := range list {
		b, err := manifest(ctx, repo, in.ref.Repository.At(d.Digest))
		if err != nil {
			return nil, err
		}
		if attest.IsIndex(b) {
			return nil, &attest.Refusal{Code: attest.CodeRegManifest, About: d.Digest.String(), Why: "an index within an index", Next: "name one of its manifests by digest"}
		}
		out = append(out, d.Digest)
	}
	return out, nil
}

// manifest returns the manifest of an artifact, or of its stand-in. It answers
// attest.CodeSubjectMissing if the repository holds neither.
func manifest(ctx context.Context, repo *beheld, ref attest.Reference) ([]byte, error) {
	b, err := repo.View.Manifest(ctx, ref.Digest)
	if err == nil {
		repo.keep(ref.Digest, b)
	}
	if errors.Is(err, attest.ErrAbsent) {
		b, err = repo.View.Manifest(ctx, attest.SHA256(attest.StandIn(ref.Digest)))
	}
	return b, missing(ref, err)
}

// A beheld is a view with the manifests that were fetched before the walk, which asks
// for them again. They are written before it begins.
type beheld struct {
	*oci.View
	manifests map[attest.Digest][]byte
	bytes     int
}

// maxBeheld bounds them: of an index there may be thousands.
const maxBeheld = 8 << 20

func (v *beheld) keep(d attest.Digest, b []byte) {
	if v.bytes += len(b); v.bytes > maxBeheld {
		return
	}
	if v.manifests == nil {
		v.manifests = map[attest.Digest][]byte{}
	}
	v.manifests[d] = b
}

// Manifest is as oci.View's.
func (v *beheld) Manifest(ctx context.Context, d attest.Digest) ([]byte, error) {
	if b, ok := v.manifests[d]; ok {
		return b, nil
	}
	return v.View.Manifest(ctx, d)
}

// expect has the sources begin to look at an artifact. Its manifest is asked for where
// the artifact lies.
func (in *inquiry) expect(ctx context.Context, d attest.Digest) {
	for i, s := range in.sources {
		if e, ok := s.(verify.Expecter); ok {
			e.Expect(ctx, []attest.Digest{d}, i == 0)
		}
	}
}

// openSources says where evidence is looked for: in the artifact's own repository and
// in those that the policy and the configuration name, never in a place that only an
// attestation names. They are views, of one moment: all artifacts of an index are
// judged by the same lists of tags.
func (in *inquiry) openSources(own *beheld) error {
	in.sources = []verify.Source{own}
	opened := []attest.Repository{own.Repository()}
	for _, r := range in.ground.Evidence {
		if slices.Contains(opened, r) {
			continue
		}
		repo, err := in.repos.get(r)
		if err != nil {
			return err
		}
		opened, in.sources = append(opened, r), append(in.sources, repo.View())
	}
	return nil
}

// one judges one artifact. Somebody else may see a newer status meanwhile; then it is
// looked at once more, and the second verdict says so if the newer one is not there.
func (in *inquiry) one(ctx context.Context, d attest.Digest) (*policy.Verdict, []policy.Mark, error) {
	for range maxRounds {
		v, remembered, err := in.walk(ctx, d)
		if err != nil {
			return nil, nil, err
		}
		rests, overtaken, err := in.ledger.settle(in.ground.Policy, d, v, remembered, in.times.Stateful)
		if err != nil {
			return nil, nil, err
		}
		if !overtaken {
			return v, rests, nil
		}
	}
	return nil, nil, &attest.Refusal{Code: attest.CodeRollback, About: d.String(), Why: "newer statuses were seen each time this was judged", Next: "ask again"}
}

// walk judges the chain as it is now, by the numbers that are remembered now.
func (in *inquiry) walk(ctx context.Context, d attest.Digest) (*policy.Verdict, marks, error) {
	scope := in.ground.Policy.Scope()
	scope.Trust = in.ground.Trust
	// The walk's own time, so that what could not be looked at in time becomes a gap,
	// and the answer says which.
	if at, ok := ctx.Deadline(); ok {
		left := time.Until(at)
		left -= min(2*maxMargin, left/5) // who waits leaves a little later
		if scope.Limits.Time == 0 || left < scope.Limits.Time {
			scope.Limits.Time = max(left, time.Millisecond)
		}
	}
	chain, err := verify.Walk(ctx, d, in.sources, scope)
	if err != nil {
		return nil, nil, err
	}
	remembered, err := in.ledger.read()
	if err != nil {
		return nil, nil, err
	}
	times := in.times
	times.Remembered = remembered
	return in.ground.Policy.Evaluate(chain, times), remembered, nil
}

// json writes what "pedigree verify --output json" writes.
func (in *inquiry) json(verdicts []*policy.Verdict, o policy.Outcome) ([]byte, error) {
	var b bytes.Buffer
	if in.index.IsZero() {
		err := report.JSON(&b, verdicts[0])
		return b.Bytes(), err
	}
	err := report.IndexJSON(&b, report.Index{Outcome: o, Index: in.index, Verdicts: verdicts})
	return b.Bytes(), err
}

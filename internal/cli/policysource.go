package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// policyArtifact is how a signed policy lies in a registry (docs/format/policy.md).
func policyArtifact() oci.SingleType {
	return oci.SingleType{
		Artifact: "application/vnd.pedigree.policy.v1",
		Layer:    "application/vnd.dsse.envelope.v1+json",
		Title:    "policy.json",
		Limit:    policy.MaxSigned,
	}
}

// A policyText is a policy as it was found, not yet loaded.
type policyText struct {
	name     string // as it was named
	src      []byte
	registry bool // from a repository, not from a file
	pinned   bool // a file, or named by digest: it cannot be changed by others
	files    *fileLog
}

// readPolicy finds the policy that a person named: a file, or else a reference. A
// file that exists wins, so that no repository can step between a person and
// their own file.
func (a *app) readPolicy(ctx context.Context, name string) (*policyText, error) {
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if ref, err := attest.ParseReference(name); err == nil && (ref.Tag != "" || !ref.Digest.IsZero()) {
			return a.fetchPolicy(ctx, name, ref)
		}
	}
	src, err := a.files.readFile(name, policy.MaxSigned)
	if err != nil {
		return nil, unreadablePolicy(name, cause(err))
	}
	return &policyText{name: name, src: src, pinned: true, files: a.files}, nil
}

func (a *app) fetchPolicy(ctx context.Context, name string, ref attest.Reference) (*policyText, error) {
	a.fetched = true
	t := &policyText{name: name, registry: true, pinned: !ref.Digest.IsZero(), files: a.files}
	repo, ref, err := a.resolve(ctx, name, nil)
	if err == nil {
		t.src, err = repo.FetchSingle(ctx, policyArtifact(), ref.Digest)
	}
	switch code := attest.RefusalCode(err); {
	case err == nil:
		return t, nil
	case errors.Is(err, attest.ErrAbsent), code == attest.CodeSubjectMissing, code == attest.CodeRegManifest:
		// What was looked at and is no policy is a wrong argument, and not missing
		// evidence.
		return nil, unreadablePolicy(name, cause(err))
	}
	return nil, err
}

func unreadablePolicy(name string, err error) error {
	return &attest.Refusal{Code: attest.CodePolicyParse, About: name, Why: "the policy cannot be read", Err: err}
}

// load loads the policy whoever signed it, if it is signed at all.
func (t *policyText) load() (*policy.Policy, error) {
	if t.registry || policy.IsSigned(t.src) {
		s, err := policy.ParseSigned(t.src)
		if err != nil {
			return nil, about(t.name, err)
		}
		p, err := s.LoadUnchecked()
		return p, policyProblem(t.name, err)
	}
	p, err := policy.Load(t.src, t.files.besides(t.name))
	return p, policyProblem(t.name, err)
}

// signed returns the policy in an envelope, a new one if it is in none.
func (t *policyText) signed() (*policy.Signed, error) {
	if t.registry || policy.IsSigned(t.src) {
		s, err := policy.ParseSigned(t.src)
		if err != nil {
			return nil, about(t.name, err)
		}
		return s, nil
	}
	s, err := policy.NewSigned(t.src, besides(t.name))
	return s, policyProblem(t.name, err)
}

// policyProblem says of a policy's problems which file they are in.
func policyProblem(name string, err error) error {
	var load *policy.LoadError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &load):
		return &policyError{name, load}
	}
	return about(name, err)
}

// A policyTrust is what is asked of a policy besides that it loads, and what is
// believed of those whom it names.
type policyTrust struct {
	trustSource
	roots    string       // the file of root keys; "" for none
	believed *trust.Trust // what it says; nil: nobody vouches for anybody
	stateDir string       // where this verifier remembers; "" for nowhere
	state    *state.Dir
	marks    []policy.Mark // what is remembered
}

func (q *policyTrust) flags(c *cobra.Command) {
	q.rootsFlag(c)
	c.Flags().StringVar(&q.file, "trust", "", "the `FILE` that says who vouches for identities and times: a trust file, or a trusted_root.json")
	q.cacheFlag(c)
}

// rootsFlag is for commands that only read a policy.
func (q *policyTrust) rootsFlag(c *cobra.Command) {
	c.Flags().StringVar(&q.roots, "policy-roots", "", "the `FILE` of root keys that must have signed the policy; an unsigned one is refused then")
}

func (q *policyTrust) stateFlag(c *cobra.Command) {
	c.Flags().StringVar(&q.stateDir, "state", "", "the `FOLDER` in which to remember what was seen, so that nobody can serve something older later")
}

// recall reads what is remembered, before anything is looked at. Notes are for
// the report.
func (a *app) recall(q *policyTrust) (notes []string, err error) {
	if q.stateDir == "" {
		return nil, nil
	}
	if q.state, err = state.Open(q.stateDir); err != nil {
		return nil, err
	}
	if q.marks, err = q.state.Marks(); err != nil {
		return nil, err
	}
	if len(q.marks) == 0 {
		// A memory that somebody deleted looks the same.
		const first = "--state: nothing was remembered there; this is the first use, or it was deleted"
		a.note("%s", first)
		return []string{first}, nil
	}
	return []string{fmt.Sprintf("--state: sequence numbers remembered from before: %d", len(q.marks))}, nil
}

// trustWords are what a command is told that is to believe the same.
func (q *policyTrust) trustWords() []string {
	if q.file == "" {
		return nil
	}
	words := []string{"--trust", q.file}
	if q.cache != "" {
		words = append(words, "--trust-cache", q.cache)
	}
	return words
}

// believe loads the trust file, if one is named. Notes are for the report.
func (a *app) believe(ctx context.Context, q *policyTrust) (notes []string, err error) {
	if q.file == "" {
		return nil, nil
	}
	q.believed, notes, err = a.loadTrust(ctx, q.trustSource)
	if err == nil && q.believed == nil {
		return nil, attest.Refuse(attest.CodeInternal, "%s was read, and nothing came of it", q.file) // unreachable
	}
	return notes, err
}

// trustedPolicy reads a policy and what vouches for those whom it names. A policy
// that names identities is refused where nothing does: every signature by them would
// be a stranger's, and the answer would look like one about the model.
func (a *app) trustedPolicy(ctx context.Context, name string, q *policyTrust) (*policy.Policy, *policyText, []string, error) {
	p, text, notes, err := a.rootedPolicy(ctx, name, q)
	if err != nil {
		return nil, nil, nil, err
	}
	more, err := a.believe(ctx, q)
	if err != nil {
		return nil, nil, nil, err
	}
	if q.believed == nil && p.NamesIdentities() {
		return nil, nil, nil, &attest.Refusal{Code: attest.CodeUsage, About: name, Why: "the policy names identities, and nobody is named who vouches for them", Next: "--trust FILE: a trust file (pedigree trust init), or the trusted_root.json of the Sigstore instance"}
	}
	return p, text, append(notes, more...), nil
}

// holds refuses to answer, or to sign, under another trust than the policy asks for, or
// under one that is over. A verdict says so itself; other answers would only lack what
// the right one would have shown.
func (q *policyTrust) holds(p *policy.Policy, at time.Time) error {
	want, got := p.Trust(), q.believed.Digest()
	if !want.IsZero() && got != want {
		r := &attest.Refusal{Code: attest.CodeTrustRoot, About: q.file, Why: fmt.Sprintf("the policy %s asks for the trust file %s, and this is %s", p.Name(), want, got), Next: "name the trust file that the policy asks for; or its owners publish a version that names this one"}
		if q.believed == nil {
			r.About, r.Why, r.Next = "--trust", fmt.Sprintf("the policy %s asks for the trust file %s, and none was named", p.Name(), want), "--trust FILE"
		}
		return r
	}
	return q.believed.Stale(at)
}

// rootedPolicy reads a policy and asks who signed it, if roots are named, and
// whether it went back. Without roots, a policy under a tag is refused: whoever may
// write to the repository could put another one there.
func (a *app) rootedPolicy(ctx context.Context, name string, q *policyTrust) (*policy.Policy, *policyText, []string, error) {
	t, err := a.readPolicy(ctx, name)
	if err != nil {
		return nil, nil, nil, err
	}
	if q.roots != "" {
		p, note, err := t.loadSigned(q)
		return p, t, []string{note}, err
	}
	if !t.pinned {
		return nil, nil, nil, &attest.Refusal{Code: attest.CodePolicySig, About: name, Why: "a tag can be moved by whoever may write to the repository, and no roots say who may sign the policy",
			Next: "name the roots: --policy-roots FILE; or pin the policy: @sha256:…"}
	}
	p, err := t.load()
	if err != nil {
		return nil, nil, nil, err
	}
	var notes []string
	if t.registry || policy.IsSigned(t.src) {
		notes = append(notes, "nobody checked the policy's signatures: --policy-roots was not given")
	}
	if err := p.CheckRollback(q.marks); err != nil {
		notes = append(notes, "the policy went back, which only --policy-roots would refuse: "+cause(err).Error())
	}
	return p, t, notes, nil
}

// loadSigned loads a policy that roots must have signed.
func (t *policyText) loadSigned(q *policyTrust) (*policy.Policy, string, error) {
	src, err := t.files.readFile(q.roots, maxPolicy)
	if err != nil {
		// Roots that cannot be read are a wrong argument, not missing evidence.
		return nil, "", &attest.Refusal{Code: attest.CodePolicyParse, About: q.roots, Why: "the roots cannot be read", Err: cause(err)}
	}
	roots, err := policy.LoadRoots(src, t.files.besides(q.roots))
	if err != nil {
		return nil, "", policyProblem(q.roots, err)
	}
	if !t.registry && !policy.IsSigned(t.src) {
		return nil, "", &attest.Refusal{Code: attest.CodePolicySig, About: t.name, Why: "the policy is not signed, and --policy-roots asks for it",
			Next: "have the roots sign it: pedigree policy sign"}
	}
	s, err := policy.ParseSigned(t.src)
	if err != nil {
		return nil, "", about(t.name, err)
	}
	p, err := policy.LoadSigned(s, roots, q.marks)
	if err != nil {
		return nil, "", policyProblem(t.name, err)
	}
	return p, fmt.Sprintf("the policy was signed by %d of the %d root keys in %s, which asks for %d", s.SignedBy(roots), len(roots.Keys()), q.roots, roots.Threshold()), nil
}

// remember keeps what the verdicts saw, and the policy itself. It runs before a
// verdict is told: one that could not be kept could be taken back unnoticed.
func (q *policyTrust) remember(p *policy.Policy, verdicts []*policy.Verdict) error {
	if q.state == nil {
		return nil
	}
	var marks []policy.Mark
	// A policy that went back is here only where no roots are; the note says so.
	if p.CheckRollback(q.marks) == nil {
		marks = append(marks, p.Mark())
	}
	for _, v := range verdicts {
		marks = append(marks, v.Marks...)
	}
	return q.state.Remember(slices.Clip(marks))
}

package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// grounds are what an answer about lineage rests on: whose signatures count, and
// where evidence is looked for. The commands that ask questions share them.
type grounds struct {
	policy   string
	keys     []string
	index    string
	evidence []string
	at       string
	known    string
	context  string
	policyTrust
}

func (g *grounds) flags(c *cobra.Command) {
	c.Flags().StringVar(&g.policy, "policy", "", "ask under this policy: its principals, its steps, its verdict (a `FILE`, or a reference to a signed one)")
	c.Flags().StringArrayVar(&g.keys, "key", nil, "ask without a policy: what this public key signed counts, whatever it says (`FILE.pub`, repeatable)")
	g.policyTrust.flags(c)
	c.Flags().StringArrayVar(&g.evidence, "evidence", nil, "a further source of evidence: a folder, a .jsonl file or a repository (repeatable)")
	c.Flags().StringVar(&g.index, "index", "", "look for evidence in this `FILE` of pedigree index sync, and not in the registries")
}

// timeFlags are for questions whose answer depends on when it is asked about.
func (g *grounds) timeFlags(c *cobra.Command) {
	c.Flags().StringVar(&g.at, "at", "", "the time the question is about, as 2026-05-01T00:00:00Z (default: now)")
	c.Flags().StringVar(&g.known, "known", "", "use only evidence seen by this time (default: --at)")
}

func (g *grounds) contextFlag(c *cobra.Command) {
	c.Flags().StringVar(&g.context, "context", "", "the environment that is asked about: one of the policy's contexts")
}

// A ground is grounds made ready: everything was read, and nobody was asked yet
// what is attached to what.
type ground struct {
	app      *app
	policy   *policy.Policy // nil: by keys and trust alone
	named    string         // how the policy was named
	besides  []string       // what a command is told besides the policy, to believe the same
	text     *policyText
	signers  verify.Signers // whose signatures count; each key once
	names    map[verify.Credential]string
	question policy.Question
	notes    []string
	evidence []string
	index    lineageIndex   // nil: the repositories are asked
	memory   *verify.Memory // of what this command opened; nil: nothing yet
	opened   map[attest.Repository]*oci.Repository
	views    map[attest.Repository]*oci.View
}

// A lineageIndex is a file of `index sync`, opened.
type lineageIndex interface {
	lineage.Store
	// Together returns several repositories as one source.
	Together(repos []attest.Repository) verify.Source
	// ReadAt returns when the repositories were read, the first and the last of them.
	ReadAt(ctx context.Context) (oldest, newest time.Time, err error)
	// Missed returns what could not be looked at when they were synchronised.
	Missed(ctx context.Context, repos []attest.Repository) ([]lineage.Gap, error)
	// Repositories returns what was synchronised, sorted.
	Repositories(ctx context.Context) ([]attest.Repository, error)
	// Memory recognises what was opened when it was synchronised.
	Memory() *verify.Memory
	// Trusted refuses with E_INDEX if the index was not made with all of these believed
	// (lineage.Beliefs): what they signed would be missing.
	Trusted(ctx context.Context, beliefs []string) error
	Close() error
}

// ground makes grounds ready. Whoever calls it closes what it returns.
func (a *app) ground(ctx context.Context, g grounds) (*ground, error) {
	times, notes, err := a.times(question{at: g.at, known: g.known})
	if err != nil {
		return nil, err
	}
	times.Context = g.context
	gr := &ground{app: a, named: g.policy, names: map[verify.Credential]string{}, question: times, notes: notes, evidence: g.evidence,
		opened: map[attest.Repository]*oci.Repository{}, views: map[attest.Repository]*oci.View{}}
	switch {
	case g.policy != "" && len(g.keys) > 0:
		return nil, usage("--policy and --key are two ways to say who is trusted; use one")
	case g.policy == "" && len(g.keys) == 0 && g.file == "":
		return nil, &attest.Refusal{Code: attest.CodeUsage, Why: "whose signatures count?", Next: "name a policy, --policy FILE; or keys, --key FILE.pub; or who vouches for identities, --trust FILE"}
	case g.policy == "" && (g.roots != "" || g.context != ""):
		return nil, usage("--policy-roots and --context belong to --policy")
	}
	if g.policy != "" {
		err = gr.byPolicy(ctx, &g)
	} else {
		err = gr.byThemselves(ctx, &g)
	}
	if err != nil {
		return nil, err
	}
	if g.index != "" {
		if gr.index, err = a.openIndex(ctx, g.index); err != nil {
			return nil, err
		}
		if err := gr.index.Trusted(ctx, lineage.Beliefs(gr.signers)); err != nil {
			gr.close()
			return nil, err
		}
		if err := gr.asOf(ctx, g.index); err != nil {
			gr.close()
			return nil, err
		}
	}
	return gr, nil
}

// contextOf reads --context, NAME or env=NAME: one of the policy's contexts.
func contextOf(p *policy.Policy, s string) (string, error) {
	name, has := strings.TrimPrefix(s, "env="), p.Contexts()
	switch {
	case len(has) == 0:
		return "", &attest.Refusal{Code: attest.CodeUsage, About: "--context", Why: "the policy tells no contexts apart", Next: "leave it out; what was deployed is read with --environment " + shellWords([]string{name})}
	case !slices.Contains(has, name):
		return "", &attest.Refusal{Code: attest.CodeUsage, About: "--context", Why: fmt.Sprintf("the policy has no context %.60q", name), Next: "one of " + strings.Join(has, ", ")}
	}
	return name, nil
}

// asOf notes how old the index is: what was revoked since is not in it.
func (gr *ground) asOf(ctx context.Context, file string) error {
	oldest, newest, err := gr.index.ReadAt(ctx)
	if err != nil {
		return err
	}
	when := oldest.UTC().Format(time.RFC3339)
	if !newest.Equal(oldest) {
		when += " to " + newest.UTC().Format(time.RFC3339)
	}
	gr.notes = append(gr.notes, "as the index "+file+" has it, which was read at "+when+": what was revoked or attached since is not in it")
	return nil
}

func (gr *ground) close() {
	if gr.index != nil {
		_ = gr.index.Close() // it was only read
	}
}

func (gr *ground) byPolicy(ctx context.Context, g *grounds) error {
	p, text, notes, err := gr.app.trustedPolicy(ctx, g.policy, &g.policyTrust)
	if err != nil {
		return err
	}
	if err := valid(p, g.policy, gr.question.At); err != nil {
		return err
	}
	if err := g.holds(p, gr.question.At); err != nil {
		return err
	}
	if g.context != "" {
		if g.context, err = contextOf(p, g.context); err != nil {
			return err
		}
		gr.question.Context = g.context
	}
	gr.besides = g.trustWords()
	gr.policy, gr.text, gr.notes = p, text, append(gr.notes, notes...)
	gr.signers = p.Scope().Signers
	gr.signers.Trust = g.believed
	for _, party := range p.Parties() {
		for _, c := range party.Credentials {
			if gr.names[c] == "" {
				gr.names[c] = party.Name
			}
		}
	}
	return nil
}

// byThemselves counts what the named keys signed, and whoever the trust vouches for.
func (gr *ground) byThemselves(ctx context.Context, g *grounds) error {
	notes, err := gr.app.believe(ctx, &g.policyTrust)
	if err != nil {
		return err
	}
	gr.notes = append(gr.notes, notes...)
	if gr.signers.Trust = g.believed; g.believed != nil {
		gr.signers.Anyone = true
		if err := g.believed.Stale(gr.question.At); err != nil {
			return err
		}
		gr.notes = append(gr.notes, "whoever is vouched for by the "+report.TrustName(g.believed.Name(), g.believed.Version(), g.believed.Digest())+" counts, whoever that is")
	}
	return gr.byKeys(g.keys)
}

func (gr *ground) byKeys(files []string) error {
	for _, file := range files {
		b, err := readFile(file, maxKeyFile)
		if err != nil {
			return &attest.Refusal{Code: attest.CodeKey, About: file, Why: "the key cannot be read", Err: cause(err)}
		}
		k, err := attest.ParsePublicKey(b)
		if err != nil {
			return about(file, err)
		}
		gr.trustToo(k, file)
	}
	gr.notes = append(gr.notes, "no policy was asked: what follows is who said what, not whether they had any business saying it")
	return nil
}

// trustToo trusts a key, by the name of its file, if it is not trusted already.
func (gr *ground) trustToo(k attest.PublicKey, file string) {
	if c := verify.KeyCredential(k); gr.names[c] == "" {
		gr.signers.Keys = append(gr.signers.Keys, k)
		gr.names[c] = strings.TrimSuffix(filepath.Base(file), ".pub")
	}
}

// scope is what a walk follows: what the policy says, or else everything that whoever
// is trusted signed.
func (gr *ground) scope() verify.Scope {
	s := lineage.Everything(gr.signers)
	if gr.policy != nil {
		s = gr.policy.Scope()
		s.Trust = gr.signers.Trust
	}
	s.Memory = gr.memory
	if gr.index != nil {
		s.Memory = gr.index.Memory()
	}
	return s
}

// resolve resolves a reference: its tag once, in the index if there is one.
func (gr *ground) resolve(ctx context.Context, s string) (attest.Reference, error) {
	if gr.index == nil {
		repo, ref, err := gr.app.resolve(ctx, s, nil)
		if err == nil {
			gr.opened[ref.Repository] = repo
		}
		return ref, err
	}
	ref, err := attest.ParseReference(s)
	if err != nil {
		return ref, &statusError{exitUsage, err}
	}
	if !ref.Digest.IsZero() || ref.Tag == "" {
		if ref.Digest.IsZero() {
			return ref, usage("%s names a repository; name an artifact in it, with a tag or a digest", s)
		}
		return ref, nil
	}
	err = gr.index.Held(ctx, ref.Repository, func(h attest.Held) bool {
		if slices.Contains(h.Tags, ref.Tag) {
			ref.Digest = h.Digest
		}
		return ref.Digest.IsZero()
	})
	switch {
	case !ref.Digest.IsZero():
		return ref, nil
	case err != nil:
		return ref, err
	}
	return ref, missing(ref, attest.ErrAbsent)
}

// repository opens a repository, once for each command.
func (gr *ground) repository(r attest.Repository) (*oci.Repository, error) {
	if repo, ok := gr.opened[r]; ok {
		return repo, nil
	}
	repo, err := oci.Open(r, gr.app.ociOptions(nil))
	if err == nil {
		gr.opened[r] = repo
	}
	return repo, err
}

// view returns a repository as one command looks at it: its tags are listed once.
func (gr *ground) view(r attest.Repository) (*oci.View, error) {
	if v, ok := gr.views[r]; ok {
		return v, nil
	}
	repo, err := gr.repository(r)
	if err != nil {
		return nil, err
	}
	gr.views[r] = repo.View()
	return gr.views[r], nil
}

// places returns the repositories that evidence is looked for in: the artifacts'
// own, those that the policy names, and those that the command line names; and the
// sources that the command line names and that are no repositories.
func (gr *ground) places(own ...attest.Repository) ([]attest.Repository, []verify.Source, error) {
	var out []attest.Repository
	var loose []verify.Source
	add := func(r attest.Repository) {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	for _, r := range own {
		add(r)
	}
	if gr.policy != nil {
		for _, r := range gr.policy.Evidence() {
			r, err := gr.text.beside(r)
			if err != nil {
				return nil, nil, err
			}
			add(r)
		}
	}
	for _, s := range gr.evidence {
		if r, err := attest.ParseRepository(s); err == nil {
			add(r)
			continue
		}
		bundles, err := gr.app.looseSource(s)
		if err != nil {
			return nil, nil, err
		}
		loose = append(loose, bundles)
	}
	return out, loose, nil
}

// sources are where a walk looks for evidence: all places, each in the index if
// there is one.
func (gr *ground) sources(own ...attest.Repository) ([]verify.Source, error) {
	repos, sources, err := gr.places(own...)
	if err != nil {
		return nil, err
	}
	if gr.index != nil {
		return append(sources, gr.index.Together(repos)), nil
	}
	for _, r := range repos {
		v, err := gr.view(r)
		if err != nil {
			return nil, err
		}
		sources = append(sources, v)
	}
	return sources, nil
}

// walk walks the chain behind an artifact.
func (gr *ground) walk(ctx context.Context, ref attest.Reference) (verify.Chain, error) {
	sources, err := gr.sources(ref.Repository)
	if err != nil {
		return verify.Chain{}, err
	}
	chain, err := verify.Walk(ctx, ref.Digest, sources, gr.scope())
	if err != nil {
		return verify.Chain{}, err
	}
	gr.app.remarks(chain)
	return chain, nil
}

// incomplete is the error of an answer that is there, and that may lack something.
func incomplete(gaps int) error {
	if gaps == 0 {
		return nil
	}
	return &outcomeError{policy.Undecided}
}

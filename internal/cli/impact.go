package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// An impactRequest is what impact is asked.
type impactRequest struct {
	subject string // "" with builder
	repos   []string
	builder string
	since   string
	path    string
	output  string
	revoke  revocationPlan
	grounds

	// worked out of the above
	start attest.Reference  // of a start that is a reference; else zero
	key   *attest.PublicKey // of a start that is a key
}

func (a *app) impactCommand() *cobra.Command {
	var r impactRequest
	c := &cobra.Command{
		Use:   "impact DIGEST|REF|KEY|IDENTITY [REPO…] (--policy FILE | --key FILE.pub… | --trust FILE)",
		Short: "show who is affected by bad data, a bad commit, a lost key or a stolen identity",
		Long: `Finds everything that was made from something bad, by whatever way, what was judged
with it, and where that is deployed. What is bad is one of

  sha256:… or gitCommit:…      an artifact, a file, a commit (also 40 bare digits), or a
                               statement by its payload's digest
  HOST/REPO:TAG or …@sha256:…  an artifact
  FILE.pub or key:sha256:…     a key: what it signed; with --since, from a time on
  "ISSUER SUBJECT", spiffe://… an identity: the same
  --builder URI                a builder: what provenance says it made; also with --since

It looks in the repositories REPO… and in that of REF, which are read to the end; or,
with --index, in all that the index has.

Provenance that names something affected as an input, in any role, makes what it is
about affected, and a manifest that has an affected file is affected. Whoever named a
file of an affected artifact used that artifact. Evaluations with affected data, and
approvals and deployments that rest on them, are listed and lead no further.

With --policy only evidence counts that could be of one of its steps, by whoever may
perform it; records of deployments and revocations by any of its principals.

A thief can claim any time. With --since, a statement that claims to be older, and of
which nobody authenticated when it was made, is listed apart with what rests on it.

--revoke DIR prepares revocations, and signs nothing: it makes the folder DIR with a
predicate for each, and a script, revoke.sh, that revokes them when it is run with a
key, or with flags that say who signs. They are of what was asked about; with --all,
of everything affected as well.

Exit status: 0 everything could be looked at, 3 something could not.`,
		Example: `  pedigree impact ocidir://registry:data --policy policy.yaml
  pedigree impact gitCommit:8f1e0c7a6b3d4e5f60718293a4b5c6d7e8f90123 --key trainer.pub --index lineage.db
  pedigree impact trainer.pub ghcr.io/acme/models --policy policy.yaml --since 2026-05-01T00:00:00Z --revoke incident-7 --reason "laptop stolen"`,
		Args: cobra.ArbitraryArgs,
		RunE: act(func(ctx context.Context, args []string) error {
			if r.builder == "" {
				if len(args) == 0 {
					return &attest.Refusal{Code: attest.CodeUsage, About: "pedigree impact", Why: "what is bad?", Next: "name a digest, a reference or a key; or a builder, --builder URI"}
				}
				r.subject, args = args[0], args[1:]
			}
			r.repos = args
			return a.impact(ctx, r)
		}),
	}
	r.grounds.flags(c)
	fl := c.Flags()
	fl.StringVar(&r.builder, "builder", "", "ask about the builder with this id, a `URI`")
	fl.StringVar(&r.since, "since", "", "of a key or builder: since when it is not to be believed, as 2026-05-01T00:00:00Z (default: ever)")
	fl.StringVar(&r.path, "path", "", "show the whole way to the affected artifact with this `DIGEST`")
	fl.StringVar(&r.output, "output", "text", "text or json")
	r.revoke.flags(c)
	return c
}

func (a *app) impact(ctx context.Context, r impactRequest) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	if err := r.revoke.check(); err != nil {
		return err
	}
	to, err := r.pathDigest()
	if err != nil {
		return err
	}
	repos, err := repositories(r.repos)
	if err != nil {
		return err
	}
	gr, err := a.ground(ctx, r.grounds)
	if err != nil {
		return err
	}
	defer gr.close()
	start, err := gr.impactStart(ctx, &r)
	if err != nil {
		return err
	}
	if !r.start.Repository.IsZero() && !slices.Contains(repos, r.start.Repository) && (gr.index == nil || len(repos) > 0) {
		repos = append(repos, r.start.Repository)
	}
	var also []attest.Digest
	if !start.Digest.IsZero() {
		also = append(also, start.Digest)
	}
	lib, err := gr.library(ctx, repos, also...)
	if err != nil {
		return err
	}
	o := lineage.ImpactOptions{Reading: gr.reading(), Trust: gr.trust(), Admits: gr.admits(), At: gr.question.At, Repositories: lib.repos, Gaps: lib.missed}
	found, err := lineage.Impact(ctx, lib.Finder, lib.sources, lib.scope, start, o)
	if err != nil {
		return err
	}
	if !to.IsZero() {
		if err := showPath(found, to); err != nil {
			return err
		}
	}
	if r.output == "json" {
		err = a.writeJSON(found)
	} else {
		err = report.Impact(a.Stdout, found, a.impactOptions(gr, &r))
	}
	if err != nil {
		return err
	}
	if err := a.prepareRevocations(found, lib, &r); err != nil {
		return err
	}
	return incomplete(len(found.Gaps))
}

func (a *app) impactOptions(gr *ground, r *impactRequest) report.Options {
	o := a.layout()
	o.Notes = gr.notes
	if !r.start.Repository.IsZero() {
		o.Reference = r.start.String()
	}
	if gr.index != nil {
		o.Notes = append(slices.Clone(o.Notes), "as the index has it, and not the repositories themselves")
	}
	for _, e := range gr.evidence {
		if _, err := attest.ParseRepository(e); err != nil {
			o.Notes = append(slices.Clone(o.Notes), "evidence in "+e+" counts beside what is found; it leads to nothing by itself")
		}
	}
	return o
}

// pathDigest reads --path; zero without.
func (r *impactRequest) pathDigest() (attest.Digest, error) {
	if r.path == "" {
		return attest.Digest{}, nil
	}
	d, err := attest.ParseDigest(r.path)
	if err != nil {
		return d, &attest.Refusal{Code: attest.CodeUsage, About: "--path", Why: fmt.Sprintf("%.80q is no digest", r.path), Next: "write sha256:… with all 64 digits"}
	}
	return d, nil
}

// showPath puts the whole way to an artifact into the answer.
func showPath(found *lineage.ImpactAnswer, to attest.Digest) error {
	for _, list := range [][]lineage.Affected{found.Affected, found.Unproven} {
		for i := range list {
			if list[i].Digest == to {
				list[i].Path = found.Path(to)
				return nil
			}
		}
	}
	return &attest.Refusal{Code: attest.CodeNotFound, About: to.String(), Why: "is not among what is affected, as far as could be seen"}
}

// impactStart reads what is bad.
func (gr *ground) impactStart(ctx context.Context, r *impactRequest) (lineage.Start, error) {
	var s lineage.Start
	var err error
	if r.since != "" {
		if s.Since, err = parseTime("--since", r.since); err != nil {
			return s, err
		}
	}
	if r.builder != "" {
		s.Builder = r.builder
		return s, nil
	}
	if d, ok := digestOf(r.subject); ok {
		s.Digest = d
	} else if name, ok := strings.CutPrefix(r.subject, "key:"); ok {
		return gr.knownKey(s, name, r)
	} else if c, ok := verify.ParseCredential(r.subject); ok && strings.Contains(r.subject, "://") {
		return gr.identity(s, c)
	} else if ref, err := attest.ParseReference(r.subject); err == nil && (ref.Tag != "" || !ref.Digest.IsZero()) {
		if r.start, err = gr.resolve(ctx, r.subject); err != nil {
			return s, err
		}
		s.Digest = r.start.Digest
	} else {
		return gr.keyFile(ctx, s, r)
	}
	if r.since != "" {
		return s, usage("--since is for a key or a builder; what was made from %.80s is affected, whenever it was made", r.subject)
	}
	return s, nil
}

// digestOf reads a digest, or a commit as git writes it.
func digestOf(s string) (attest.Digest, bool) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == 20 {
		s = "gitCommit:" + s
	}
	d, err := attest.ParseDigest(s)
	return d, err == nil
}

// knownKey finds a key that is trusted by its name.
func (gr *ground) knownKey(s lineage.Start, fingerprint string, r *impactRequest) (lineage.Start, error) {
	for _, k := range gr.signers.Keys {
		if k.Fingerprint().String() == fingerprint {
			s.Credential, r.key = verify.KeyCredential(k), &k
			return s, nil
		}
	}
	return s, &attest.Refusal{Code: attest.CodeUsage, About: r.subject, Why: "is none of the keys that are trusted here, and what others signed is not seen", Next: "name its file: FILE.pub"}
}

// identity starts at an identity that counts here: what others signed is not seen.
func (gr *ground) identity(s lineage.Start, c verify.Credential) (lineage.Start, error) {
	s.Credential = c
	switch {
	case gr.signers.Trust == nil:
		return s, &attest.Refusal{Code: attest.CodeUsage, About: c.String(), Why: "is an identity, and nobody is named who vouches for it", Next: "--trust FILE: a trust file, or the trusted_root.json of the Sigstore instance"}
	case !gr.signers.May(c):
		return s, &attest.Refusal{Code: attest.CodeUsage, About: c.String(), Why: "is nobody in the policy, which counts nothing that it signed", Next: "ask without a policy: --trust FILE alone; and compare issuer and subject character by character"}
	}
	return s, nil
}

// keyFile reads a key that may not be trusted yet. To find what it signed, it has to
// be: under a policy, whom the policy does not know has made nothing.
func (gr *ground) keyFile(ctx context.Context, s lineage.Start, r *impactRequest) (lineage.Start, error) {
	b, err := readFile(r.subject, maxKeyFile)
	if err != nil {
		return s, &attest.Refusal{Code: attest.CodeUsage, About: r.subject, Why: "is no digest, no commit, no identity, no reference with a tag or digest, and no file", Err: cause(err), Next: "see pedigree impact --help"}
	}
	k, err := attest.ParsePublicKey(b)
	if err != nil {
		return s, about(r.subject, err)
	}
	s.Credential, r.key = verify.KeyCredential(k), &k
	if gr.name(s.Credential) != "" {
		return s, nil
	}
	if gr.policy != nil {
		return s, &attest.Refusal{Code: attest.CodeUsage, About: r.subject, Why: "is the key of nobody in the policy, which counts nothing that it signed", Next: "ask without a policy: --key FILE.pub for each key that is believed"}
	}
	gr.trustToo(k, r.subject)
	if gr.index != nil {
		return s, gr.index.Trusted(ctx, lineage.Beliefs(gr.signers))
	}
	return s, nil
}

// admits reports what counts under the policy; nil without one. Records of
// deployments and revocations are no steps of most policies: those by any of its
// principals count.
func (gr *ground) admits() func(verify.Evidence) bool {
	if gr.policy == nil {
		return nil
	}
	scope := gr.policy.Scope()
	return func(e verify.Evidence) bool {
		if t := e.PredicateType(); t == predicate.TypeDeployment || t == predicate.TypeRevocation {
			return true
		}
		if _, err := e.Facts(); err == nil {
			return scope.Admits(e, false)
		}
		// What cannot be read may be of any step of its type.
		return slices.ContainsFunc(scope.Follow, func(f verify.Follow) bool {
			return f.PredicateType == e.PredicateType() && f.Lets(e)
		})
	}
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// denylistFlags are those that the list's commands share.
type denylistFlags struct {
	repository, name, policy string
	signing
	trust              policyTrust
	payload, artifacts string
	validFor           time.Duration
	yes                bool
}

func (a *app) denylistCommand() *cobra.Command {
	c := &cobra.Command{Use: "denylist", Short: "publish what must not be used anywhere"}
	c.AddCommand(a.denylistPublishCommand(), a.denylistSignCommand(), a.denylistShowCommand())
	return group(c)
}

func (f *denylistFlags) signFlags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.name, "name", "", "the list's name, as policies name it")
	f.signing.flags(c)
	fl.StringVar(&f.policy, "policy", "", "whose editions count, and whether this one would: a `FILE`, or a reference to a signed one")
	f.trust.flags(c)
	required(c, "name")
}

func (a *app) denylistPublishCommand() *cobra.Command {
	var f denylistFlags
	c := &cobra.Command{
		Use:   "publish REPOSITORY --name N --artifacts FILE --key K --valid-for D",
		Short: "sign the next edition of a deny list",
		Long: `Signs a list of artifacts and files that must not occur in any ancestry, and attaches
it where policies with deny: [{list: N}] look. An edition replaces the one before it:
FILE has the whole list, a line for each,

  sha256:… REASON
  gitCommit:… REASON

and empty lines and lines that begin with #. The sequence number is one above the
highest edition by the same key, or with --policy by anybody who may sign the list.
Prints the digest of the payload; if the policy asks for several signatures, the
others run pedigree denylist sign.`,
		Example: "  pedigree denylist publish registry.example/acme/lists --name acme-banned --artifacts banned.txt --key security.key --valid-for 168h",
		Args:    arguments("REPOSITORY"),
		RunE: act(func(ctx context.Context, args []string) error {
			f.repository = args[0]
			return a.denylistPublish(ctx, f)
		}),
	}
	f.signFlags(c)
	c.Flags().StringVar(&f.artifacts, "artifacts", "", "the `FILE` with the whole list")
	c.Flags().DurationVar(&f.validFor, "valid-for", 0, "how long the edition holds, as 168h")
	required(c, "artifacts", "valid-for")
	return c
}

func (a *app) denylistSignCommand() *cobra.Command {
	var f denylistFlags
	c := &cobra.Command{
		Use:   "sign REPOSITORY --name N --key K",
		Short: "sign an edition of a deny list that somebody else published",
		Long: `Shows an edition of a deny list, asks, and signs the very same bytes with another
key, for policies that ask for several signatures. The newest edition is signed: with
--policy the newest by anybody who may sign the list. Without a terminal it must be
clear which one is meant: by --payload, or by --policy.`,
		Example: "  pedigree denylist sign registry.example/acme/lists --name acme-banned --key alice.key",
		Args:    arguments("REPOSITORY"),
		RunE: act(func(ctx context.Context, args []string) error {
			f.repository = args[0]
			return a.denylistSign(ctx, f)
		}),
	}
	f.signFlags(c)
	c.Flags().StringVar(&f.payload, "payload", "", "the `DIGEST` of the edition to sign (default: the newest)")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	return c
}

func (a *app) denylistShowCommand() *cobra.Command {
	var f denylistFlags
	var output string
	c := &cobra.Command{
		Use:   "show REPOSITORY --name N",
		Short: "show a deny list's editions, unverified",
		Long: `Shows the editions of a deny list that lie in a repository, and what the newest one
denies. Nothing is verified: anybody who can write to the repository can attach
anything.`,
		Example: "  pedigree denylist show registry.example/acme/lists --name acme-banned",
		Args:    arguments("REPOSITORY"),
		RunE: act(func(ctx context.Context, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			f.repository = args[0]
			return a.denylistShow(ctx, f, output)
		}),
	}
	c.Flags().StringVar(&f.name, "name", "", "the list's name")
	c.Flags().StringVar(&output, "output", "text", "text or json")
	required(c, "name")
	return c
}

// listSigners returns whose editions count: those whom the policy names, and without
// one the own key. Strangers' numbers do not: one that is as high as numbers get
// would leave no room for the next edition.
func (a *app) listSigners(ctx context.Context, f *denylistFlags, by *signature) (verify.Signers, error) {
	if f.policy == "" {
		if _, err := a.believe(ctx, &f.trust); err != nil {
			return verify.Signers{}, err
		}
		if _, named := by.credential().Identity(); named && f.trust.believed == nil {
			// Its earlier editions would look like strangers', and this one like the first.
			return verify.Signers{}, &attest.Refusal{Code: attest.CodeUsage, About: by.credential().String(), Why: "nobody is named who vouches for it, so its own editions before this one would not be recognised", Next: "--trust FILE, or --policy P with it"}
		}
		return by.same(f.trust.believed), nil
	}
	p, _, notes, err := a.trustedPolicy(ctx, f.policy, &f.trust)
	if err != nil {
		return verify.Signers{}, err
	}
	for _, n := range notes {
		a.note("%s", n)
	}
	if err := f.trust.holds(p, a.Now()); err != nil {
		return verify.Signers{}, err
	}
	rule, ok := p.Denylist(f.name)
	if !ok {
		return verify.Signers{}, &attest.Refusal{Code: attest.CodeNoRule, About: f.name, Why: fmt.Sprintf("the policy %s reads no deny list of that name", p.Name()), Next: "check --name"}
	}
	whose := verify.Signers{Keys: rule.Keys, Identities: rule.Identities, Trust: f.trust.believed}
	if !whose.May(by.credential()) {
		return verify.Signers{}, notListSigner(f.name, by.credential(), rule)
	}
	if rule.Threshold > 1 {
		a.note("under %s the list counts when %d of %s signed it", attest.Printable(p.Name()), rule.Threshold, attest.Printable(strings.Join(rule.By, ", ")))
	}
	return whose, nil
}

func notListSigner(name string, who verify.Credential, rule policy.DenylistRule) error {
	return &attest.Refusal{Code: attest.CodeIdentity, About: who.String(), Why: "is not of anybody who may sign the deny list " + name, Next: "sign as " + strings.Join(rule.By, " or ")}
}

// An openedList is a deny list with whoever is to sign it.
type openedList struct {
	by       *signature
	trusted  verify.Signers // whose editions count
	repo     *oci.Repository
	ref      attest.Reference
	editions []*edition // the highest number first
}

func (a *app) openList(ctx context.Context, f *denylistFlags) (*openedList, error) {
	f.signing.trusted = f.trust.trustSource
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return nil, err
	}
	l := &openedList{by: by}
	if l.trusted, err = a.listSigners(ctx, f, by); err != nil {
		return nil, err
	}
	if l.repo, l.ref, err = a.openAt(f.repository, predicate.DenylistAnchor(f.name)); err != nil {
		return nil, err
	}
	l.editions, err = editions(ctx, l.repo, f.name)
	return l, err
}

func (a *app) denylistPublish(ctx context.Context, f denylistFlags) error {
	if f.validFor < time.Second {
		return usage("--valid-for is %s; a list holds for a while", f.validFor)
	}
	b, err := readFile(f.artifacts, maxDenied)
	if err != nil {
		return err
	}
	entries, err := parseDenied(f.artifacts, b)
	if err != nil {
		return err
	}
	l, err := a.openList(ctx, &f)
	if err != nil {
		return err
	}
	last, err := a.lastEdition(l.editions, l.trusted)
	if err != nil {
		return err
	}
	sequence := int64(1)
	if last != nil {
		if last.Sequence == math.MaxInt64 {
			return &attest.Refusal{Code: attest.CodeLimit, About: f.name, Why: "there is no higher sequence number", Next: "publish under another name, and name that in the policies"}
		}
		sequence = last.Sequence + 1
		a.tellDifference(last, entries)
	}
	now := a.Now().UTC().Truncate(time.Second)
	payload, err := a.signAndAttach(ctx, l.repo, l.ref, predicate.TypeDenylist, predicate.Denylist{
		Name: f.name, Sequence: sequence, IssuedAt: now, ValidUntil: now.Add(f.validFor).Truncate(time.Second), Artifacts: entries,
	}, l.by)
	if err != nil {
		return err
	}
	a.note("edition %d of %s denies %d, until %s", sequence, attest.Printable(f.name), len(entries), now.Add(f.validFor).Format(time.RFC3339))
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// lastEdition returns the newest edition by one of the keys, nil if there is none.
func (a *app) lastEdition(all []*edition, whose verify.Signers) (*edition, error) {
	opener, err := verify.NewOpener(whose)
	if err != nil {
		return nil, err
	}
	others := 0
	for _, e := range all {
		if e.signedBy(opener) {
			if others > 0 {
				a.note("%d with a higher number by other keys, passed over; --policy says whose count", others)
			}
			return e, nil
		}
		others++
	}
	if others > 0 {
		a.note("%d by other keys, passed over; --policy says whose count", others)
	}
	return nil, nil
}

// tellDifference says what an edition adds and leaves out: what is no longer
// listed is no longer denied.
func (a *app) tellDifference(last *edition, next []predicate.Denied) {
	var gone int
	for _, old := range last.Artifacts {
		if !slices.ContainsFunc(next, func(d predicate.Denied) bool { return d.Digest == old.Digest }) {
			if gone++; gone <= maxRefusals {
				a.note("no longer denied: %s (%s)", old.Digest, attest.Printable(old.Reason))
			}
		}
	}
	if gone > maxRefusals {
		a.note("… and %d more", gone-maxRefusals)
	}
}

func (a *app) denylistSign(ctx context.Context, f denylistFlags) error {
	if err := a.canAsk(f.yes, "say --yes, and which edition with --payload"); err != nil {
		return err
	}
	if f.yes && f.payload == "" && f.policy == "" {
		// The newest may be anybody's.
		return &attest.Refusal{Code: attest.CodeUsage, About: "--yes", Why: "which edition is not said, and anybody who can write to the repository could add one", Next: "say --payload DIGEST, or --policy P"}
	}
	l, err := a.openList(ctx, &f)
	if err != nil {
		return err
	}
	e, err := a.editionToSign(l.editions, &f, l.trusted)
	if err != nil {
		return err
	}
	if err := editionText(a.Stderr, e); err != nil {
		return err
	}
	if err := a.confirm("sign", f.yes); err != nil {
		return err
	}
	bundle, err := l.by.bundle(ctx, e.payload())
	if err != nil {
		return err
	}
	if _, err := l.repo.Attach(ctx, l.ref.Digest, bundle); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", e.Payload)
	return err
}

func (a *app) editionToSign(all []*edition, f *denylistFlags, trusted verify.Signers) (*edition, error) {
	none := &attest.Refusal{Code: attest.CodeNotFound, About: f.name, Why: "there is no such edition in " + f.repository, Next: "pedigree denylist show"}
	if f.payload != "" {
		d, err := payloadDigest("--payload", f.payload)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(e *edition) bool { return e.Payload == d })
		if i < 0 {
			return nil, none
		}
		return all[i], nil
	}
	if f.policy == "" {
		if len(all) == 0 {
			return nil, none
		}
		return all[0], nil // shown, and asked about
	}
	e, err := a.lastEdition(all, trusted)
	if err == nil && e == nil {
		err = none
	}
	return e, err
}

func (a *app) denylistShow(ctx context.Context, f denylistFlags, output string) error {
	repo, _, err := a.openAt(f.repository, predicate.DenylistAnchor(f.name))
	if err != nil {
		return err
	}
	all, err := editions(ctx, repo, f.name)
	if err != nil {
		return err
	}
	if output == "json" {
		b, err := json.MarshalIndent(struct {
			Name     string     `json:"name"`
			Verified bool       `json:"verified"` // always false: this only shows
			Editions []*edition `json:"editions"`
		}{f.name, false, append([]*edition{}, all...)}, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Stdout, "%s\n", b)
		return err
	}
	if len(all) == 0 {
		return &attest.Refusal{Code: attest.CodeNotFound, About: f.name, Why: "there is no deny list of that name in " + f.repository, Next: "check --name; publish one: pedigree denylist publish"}
	}
	for i, e := range all {
		if i == 0 {
			err = editionText(a.Stdout, e)
		} else {
			_, err = fmt.Fprintf(a.Stdout, "before: %d, %s, valid until %s\n", e.Sequence, e.Payload, e.ValidUntil.Format(time.RFC3339))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

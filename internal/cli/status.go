package cli

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
	"github.com/pedigree-ml/pedigree/verify"
)

// statusFlags are what the status authority says.
type statusFlags struct {
	question
	signing
	validFor time.Duration
	drop     bool
}

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "publish what is there, so that what is removed is missed"}
	c.AddCommand(a.statusPublishCommand())
	return group(c)
}

func (a *app) statusPublishCommand() *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "publish REF --policy P --key K --valid-for D",
		Short: "list all evidence behind an artifact, and sign the list",
		Long: `Walks the chain behind an artifact as verify does, lists every statement that is
there under a key of the policy, and signs the list. From then on, until the list
runs out, nothing of it can be removed unnoticed. What is attached later is not on
the list and counts as ever; publish again to list it.

The key is one of the policy's status authority. It is refused to publish where
something could not be looked at, and where something is gone that the last status
lists; with --drop the latter is left out, and named. Of an index, each artifact
gets a status. Prints the digest of each status's payload.`,
		Example: "  pedigree status publish ocidir://registry:model --policy policy.yaml --key registrar.key --valid-for 24h",
		Args:    arguments("REF"),
		RunE: act(func(ctx context.Context, args []string) error {
			f.ref = args[0]
			return a.statusPublish(ctx, f)
		}),
	}
	f.question.flags(c)
	f.stateFlag(c)
	fl := c.Flags()
	f.signing.flags(c)
	fl.DurationVar(&f.validFor, "valid-for", 0, "how long the status holds, as 24h: how long a rollback could go unnoticed")
	fl.BoolVar(&f.drop, "drop", false, "leave out what the last status lists and is gone")
	required(c, "valid-for")
	return c
}

func (a *app) statusPublish(ctx context.Context, f statusFlags) error {
	if f.validFor < time.Second {
		return usage("--valid-for is %s; a status holds for a while", f.validFor)
	}
	f.signing.trusted = f.question.trustSource
	by, err := a.signer(ctx, f.signing)
	if err != nil {
		return err
	}
	in, err := a.ask(ctx, f.question)
	if err != nil {
		return err
	}
	if err := in.trust.holds(in.policy, in.times.At); err != nil {
		return err
	}
	who := by.credential()
	if err := in.policy.MayPublish(who, in.times.At); err != nil {
		return err
	}
	// Every key and identity that the policy names is listed, also one that signed
	// nothing yet: that nobody took it back must be seen when it signs, a revocation say.
	// Whom a pattern means is known when they have signed.
	for _, party := range in.policy.Parties() {
		for _, c := range party.Credentials {
			in.also = append(in.also, c.Standin())
		}
	}
	// All are worked out before one is signed: half of an index would be worse than
	// nothing.
	drafts := make([]predicate.Status, 0, len(in.targets))
	for _, ref := range in.targets {
		found, err := in.look(ctx, ref)
		if err != nil {
			return err
		}
		s, err := a.draftStatus(in, found.chain, f)
		if err != nil {
			return err
		}
		drafts = append(drafts, s)
	}
	for i, ref := range in.targets {
		if err := a.publishStatus(ctx, in, ref, drafts[i], by); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) publishStatus(ctx context.Context, in *inquiry, ref attest.Reference, s predicate.Status, by *signature) error {
	payload, err := a.signAndAttach(ctx, in.repo, ref, predicate.TypeStatus, s, by)
	if err != nil {
		return err
	}
	if in.trust.state != nil {
		if err := in.trust.state.Remember([]policy.Mark{{Name: in.policy.StatusMark(ref.Digest), Number: s.Sequence, Content: payload}}); err != nil {
			return err
		}
	}
	statements := 0
	for _, list := range s.Artifacts {
		statements += len(list)
	}
	a.note("status %d of %s lists %d statements about %d artifacts, keys and statements, until %s", s.Sequence, ref.Digest.Short(), statements, len(s.Artifacts), s.ValidUntil.Format(time.RFC3339))
	_, err = fmt.Fprintf(a.Stdout, "%s\n", payload)
	return err
}

// draftStatus writes what a chain has, as of the moment that looking began.
func (a *app) draftStatus(in *inquiry, chain verify.Chain, f statusFlags) (predicate.Status, error) {
	artifacts, err := in.policy.Listing(chain)
	if err != nil {
		return predicate.Status{}, &statusError{exitUndecided, err}
	}
	last, err := lastStatus(in.policy, chain)
	if err != nil {
		return predicate.Status{}, err
	}
	if err := a.checkDropped(in.policy, last, artifacts, f.drop); err != nil {
		return predicate.Status{}, err
	}
	sequence := last.sequence
	for _, m := range in.times.Remembered {
		if m.Name != in.policy.StatusMark(chain.Root()) || m.Number <= sequence {
			continue
		}
		if !f.drop {
			return predicate.Status{}, &attest.Refusal{Code: attest.CodeRollback, About: chain.Root().String(), Why: fmt.Sprintf("the status %d was seen before and is gone; what it lists may be gone too", m.Number), Next: "restore it, or publish without comparing: --drop"}
		}
		sequence = m.Number
	}
	if sequence == math.MaxInt64 {
		return predicate.Status{}, &attest.Refusal{Code: attest.CodeLimit, About: chain.Root().String(), Why: "there is no higher sequence number"}
	}
	p := in.policy
	return predicate.Status{
		Sequence: sequence + 1, IssuedAt: in.times.At, ValidUntil: in.times.At.Add(f.validFor).Truncate(time.Second), Artifacts: artifacts,
		Policy: &predicate.ApprovalPolicy{Name: p.Name(), Version: int64(p.Version()), Digest: predicate.DigestSet{Digest: p.Digest()}},
	}, nil
}

// A publishedStatus is the newest one that is there: of several with one sequence,
// what each of them lists.
type publishedStatus struct {
	sequence int64 // 0: none is there
	lists    []map[attest.Digest][]predicate.Listed
}

// lastStatus finds the newest status by the policy's authority.
func lastStatus(p *policy.Policy, chain verify.Chain) (publishedStatus, error) {
	var last publishedStatus
	for _, e := range chain.Artifact(chain.Root()).Evidence {
		if e.PredicateType() != predicate.TypeStatus || !p.Publishes(e) {
			continue
		}
		facts, err := e.Facts()
		if err != nil {
			// It may be newer than any; every verdict stays open while it is there.
			return publishedStatus{}, &attest.Refusal{Code: attest.CodeStatus, About: e.ID().Payload.String(), Why: "a status of the authority that is there cannot be read, and no other one would count beside it", Next: "remove it from the repository", Err: err}
		}
		switch s := facts.Status; {
		case s.Sequence > last.sequence:
			last = publishedStatus{s.Sequence, []map[attest.Digest][]predicate.Listed{s.Artifacts}}
		case s.Sequence == last.sequence:
			last.lists = append(last.lists, s.Artifacts)
		}
	}
	return last, nil
}

// checkDropped compares with the last status: whoever may remove evidence must not
// have it taken off the list by waiting for the next one.
func (a *app) checkDropped(p *policy.Policy, last publishedStatus, artifacts map[attest.Digest][]predicate.Listed, drop bool) error {
	who := p.Scope().Signers
	known := func(credential string) bool {
		c, ok := verify.ParseCredential(credential)
		return ok && who.May(c)
	}
	var gone []*attest.Refusal
	for _, list := range last.lists {
		for _, d := range slices.SortedFunc(maps.Keys(list), attest.Digest.Compare) {
			for _, l := range list[d] {
				if known(l.Credential) && !slices.Contains(artifacts[d], l) {
					gone = append(gone, &attest.Refusal{Code: attest.CodeStatus, About: l.Payload.String(), Why: fmt.Sprintf("the status %d lists it about %s, signed by %s, and it is not there", last.sequence, d, report.Who(l.Credential)), Next: "restore it; to leave it out: --drop"})
				}
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if !drop {
		return &manyRefusals{gone}
	}
	for i, g := range gone {
		if i == maxRefusals {
			a.note("… and %d more", len(gone)-maxRefusals)
			break
		}
		a.note("dropped: %s: %s", g.About, g.Why)
	}
	return nil
}

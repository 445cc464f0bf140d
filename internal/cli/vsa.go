package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/internal/summary"
	"github.com/pedigree-ml/pedigree/policy"
)

// A signedVerdict is how a verdict is to be signed, if it is.
type signedVerdict struct {
	key      string // "" for none, "-" for whom the other flags say
	verifier string // "" for this program
	resource string // "" for the artifact's own URI
	signing
	by *signature
}

func (as *signedVerdict) flags(c *cobra.Command) {
	c.Flags().StringVar(&as.key, "attest-verdict", "", "sign the verdict with this private `KEY`, or - as --identity-token, --oidc or --spiffe say, and attach it, as a SLSA verification summary")
	c.Flags().StringVar(&as.verifier, "verdict-verifier", "", "with --attest-verdict: the `URI` of who verifies (default "+summary.Verifier+")")
	c.Flags().StringVar(&as.resource, "verdict-resource", "", "with --attest-verdict: the `URI` of what is verified (default: the artifact's own, oci://REPOSITORY@DIGEST)")
	as.identityFlags(c)
}

// load makes ready whoever signs, if a verdict is to be signed.
func (as *signedVerdict) load(ctx context.Context, a *app, trusted trustSource) (err error) {
	switch {
	case as.key == "" && (as.verifier != "" || as.resource != ""):
		return usage("--verdict-verifier and --verdict-resource belong to --attest-verdict")
	case as.key == "" && !as.signing.isZero():
		return &attest.Refusal{Code: attest.CodeUsage, About: "--attest-verdict", Why: "what says how to sign belongs to it", Next: "to sign the verdict as an identity: --attest-verdict -"}
	case as.key == "":
		return nil
	case as.key != "-":
		as.signing.key = as.key
	}
	as.signing.trusted = trusted
	as.by, err = a.signer(ctx, as.signing)
	return err
}

// attestVerdict signs a verdict and attaches it to the artifact it is about. What
// could not be decided is no verdict that others could rely on, and not signed.
func (a *app) attestVerdict(ctx context.Context, f *found, v *policy.Verdict, as signedVerdict) error {
	switch {
	case as.by == nil:
		return nil
	case v.Outcome == policy.Undecided:
		a.note("the verdict was not signed: nothing was decided")
		return nil
	}
	said := summary.Of(f.ref, v, version())
	said.Verifier.ID, said.ResourceURI = cmp.Or(as.verifier, said.Verifier.ID), cmp.Or(as.resource, said.ResourceURI)
	payload, err := a.signAndAttach(ctx, f.repo, f.ref, predicate.TypeVSA, said, as.by)
	if err != nil {
		return err
	}
	a.note("the verdict was signed and attached: %s", payload)
	return nil
}

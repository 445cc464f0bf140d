package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// verifierID names this program in verification summaries.
const verifierID = "https://pedigree-ml.github.io/verifier/v1"

// attestVerdict signs a verdict and attaches it to the artifact it is about.
func (a *app) attestVerdict(ctx context.Context, f *found, v *policy.Verdict, key attest.Signer) error {
	payload, err := a.signAndAttach(ctx, f.repo, f.ref, predicate.TypeVSA, summary(f.ref, v), key)
	if err != nil {
		return err
	}
	a.note("the verdict was signed and attached: %s", payload)
	return nil
}

// summary writes a verdict as a SLSA verification summary. It names every piece
// of evidence that the verdict lists, counted or not: the specification asks for
// all of them or none.
func summary(ref attest.Reference, v *policy.Verdict) predicate.VSA {
	out := predicate.VSA{
		Verifier:     predicate.Verifier{ID: verifierID, Version: map[string]string{"pedigree": version()}},
		TimeVerified: v.At,
		ResourceURI:  resource(ref),
		Policy: predicate.VSAPolicy{
			URI:    fmt.Sprintf("pedigree-policy:%s@%d", v.Policy.Name, v.Policy.Version),
			Digest: predicate.DigestSet{Digest: v.Policy.Digest},
		},
		VerificationResult: predicate.ResultFailed, // unless it is said below
	}
	if v.Outcome == policy.Allow {
		out.VerificationResult = predicate.ResultPassed
	}
	var payloads []attest.Digest
	for _, item := range v.Evidence {
		payloads = append(payloads, item.Payload)
	}
	slices.SortFunc(payloads, attest.Digest.Compare)
	for _, d := range slices.Compact(payloads) {
		out.InputAttestations = append(out.InputAttestations, predicate.VSAAttestation{Digest: predicate.DigestSet{Digest: d}})
	}
	return out
}

// resource is the artifact's URI. A layout's folder is a place on this machine,
// so there the digest has to do.
func resource(ref attest.Reference) string {
	if ref.Repository.IsLayout() {
		return "oci:" + ref.Digest.String()
	}
	return "oci://" + ref.Repository.Name() + "@" + ref.Digest.String()
}

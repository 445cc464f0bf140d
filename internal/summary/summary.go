// Package summary writes verdicts as SLSA verification summaries: what somebody who
// did not see the evidence can rely on, if they rely on whoever signs it.
package summary

import (
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/policy"
)

// Verifier names this program in summaries, where whoever runs it does not say who
// they are.
const Verifier = "https://pedigree-ml.github.io/verifier/v1"

// Of writes a verdict about the artifact that ref names, by the given version of this
// program. It names every piece of evidence that the verdict lists, counted or not: the
// specification asks for all of them or none.
func Of(ref attest.Reference, v *policy.Verdict, version string) predicate.VSA {
	out := predicate.VSA{
		Verifier:     predicate.Verifier{ID: Verifier, Version: map[string]string{"pedigree": version}},
		TimeVerified: v.At,
		ResourceURI:  Resource(ref),
		Policy: predicate.VSAPolicy{
			URI:    fmt.Sprintf("pedigree-policy:%s@%d", v.Policy.Name, v.Policy.Version),
			Digest: predicate.DigestSet{Digest: v.Policy.Digest},
		},
		VerificationResult: predicate.ResultFailed, // unless it is said below
	}
	if v.Context != "" {
		out.Policy.URI += policy.SummaryContext + v.Context
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

// Resource is the artifact's URI. A layout's folder is a place on this machine, so
// there the digest has to do.
func Resource(ref attest.Reference) string {
	if ref.Repository.IsLayout() {
		return "oci:" + ref.Digest.String()
	}
	return "oci://" + ref.Repository.Name() + "@" + ref.Digest.String()
}

// SubjectName is the label that a statement gives the artifact. A layout's folder is a
// place on this machine and nobody else's business.
func SubjectName(ref attest.Reference) string {
	if ref.Repository.IsLayout() {
		return ref.Tag
	}
	name := ref.Repository.Name()
	if ref.Tag != "" {
		name += ":" + ref.Tag
	}
	return name
}

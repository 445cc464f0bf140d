// Package attest describes one step of a model's making, and signs the
// description.
//
// A model is made in steps: data are ingested and split, weights are trained,
// quantised, evaluated, approved. Each step can say what it consumed and what
// it produced, in an in-toto [Statement]. Signed, the statement becomes an
// attestation: one Sigstore bundle, kept beside the artifact it is about.
//
// # What is believed
//
// Nothing here is believed. A [Statement] and a [Bundle] are what somebody
// wrote, read strictly; a name, a tag and a URI are labels. Only a [Digest]
// names an artifact, because only bytes can be checked. The package verify turns
// attestations into evidence, and no function takes the one for the other.
//
// # Artifacts
//
// An artifact is anything with a digest: an OCI manifest, a file that a
// manifest names under a path ([Manifest.Files]), a git commit, or something
// else. What is no manifest in a registry gets a place for its evidence through
// a [StandIn].
//
// # Signing
//
//	key, _ := attest.GenerateKey(attest.P256)
//	bundle, err := attest.Sign(ctx, payload, key)
//
// [Signer] is the one place where another kind of identity than a key fits in.
package attest

// Package verify turns bundles that nobody trusts into a chain that somebody
// signed.
//
// # One bundle
//
// [Open] takes a Sigstore bundle and the [Signers] who count, and gives [Evidence]:
// what was said, which key or identity said it, and since when that is known.
// Everything before the signature is about form and decides nothing; everything
// after it reads the very bytes that were signed, once, with a strict reader. Hints
// (a key id, a name in a certificate, an annotation, a media type in a listing)
// order the work and choose nothing. Whom a certificate makes somebody, and who may
// say when, is for package trust.
//
// # A chain
//
// [Walk] starts at a model, asks every [Source] what is attached to it, opens
// that, and goes on with the inputs of those steps that its [Scope] admits, level
// by level, each artifact once. The result, a [Chain], is a value: the same
// evidence and the same gaps give the same chain, in whatever order and from
// whichever source they came.
//
// # What was not seen
//
// "There is nothing" and "I could not look" are different answers, and the
// difference survives to the end: whatever could not be looked at is a [Gap] at
// the artifact whose evidence may be missing. Untrusted rubbish is a [Finding],
// or merely counted; it can never be a reason to stop, or the cheapest attack
// would be to attach rubbish.
//
// # What is consulted
//
// What was signed can be taken back, and what takes it back is no part of any
// ancestry: it lies beside what it is about. So a [Scope] may have the walk end
// with questions about what the chain rests on: what is attached to the stand-in
// of each payload (a statement withdrawn), of each credential that signed one (a
// key lost), and of what the scope names besides (a deny list); and about the
// artifacts of the grants that access grants were delegated from. The answers are
// kept apart from the ancestry ([Chain.Consulted]) and lead nowhere. A gap there
// leaves open whether something was taken back, not where the model comes from.
//
// # Types as fences
//
// Only this package makes Evidence and Chains. An [attest.Statement] read from a
// file is no Evidence, so code that judges models cannot be handed one by
// mistake. The zero Evidence is about nothing and by nobody, the zero Chain has
// no root, and no policy allows either.
package verify

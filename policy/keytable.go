package policy

import (
	"math"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A keyRow is what one key of the language means and what its value looks like.
type keyRow struct {
	part, key string
	form      func() schema
	doc       string
}

// keyTable explains every key of the language. Editors show the texts; the
// reference, docs/policy.md, says more, and a test holds it to the same keys.
func keyTable() []keyRow {
	var all []keyRow
	for _, rows := range [][]keyRow{fileKeyTable(), partyKeyTable(), absenceKeyTable(), accessKeyTable(), otherKeyTable(), stepKeyTable(), relationKeyTable(), inputKeyTable()} {
		all = append(all, rows...)
	}
	return all
}

func fileKeyTable() []keyRow {
	limit := func(most int64) func() schema { return number(1, most) }
	return []keyRow{
		{partPolicy, "apiVersion", constant(apiVersion), "The version of the language."},
		{partPolicy, "kind", constant(kindPolicy), "What the file is."},
		{partPolicy, "metadata", one(partMetadata), "The policy's name, version and end."},
		{partPolicy, "artifact", oneOrMore(text, 1), "The step whose output is judged. A list means alternatives: one of them must hold."},
		{partPolicy, "evidence", listOf(text, 0), "Further repositories to look for evidence in, beside the artifact's own."},
		{partPolicy, "trust", digestText, "The digest of the trust file that must be used, as pedigree trust show prints it. Without, whoever asks chooses one."},
		{partPolicy, "unsafeTime", constant("claimed"), "Accept the signers' word for when things happened, where nobody else says. Every verdict repeats it."},
		{partPolicy, "maxLag", duration, "How much earlier than it was authentically seen a statement may claim to be; default 24h."},
		{partPolicy, "principals", named(partPrincipal, 0), "Who exists."},
		{partPolicy, "steps", named(partStep, 1), "What is asked."},
		{partPolicy, "contexts", named(partContext, 1), "Environments that ask for different things. With them, every question must name one."},
		{partPolicy, "status", one(partStatus), "Who lists what there is, so that what is not there is known not to be."},
		{partPolicy, "revocation", listOf(one(partRevocation), 1), "Who may withdraw what. Without it nothing is withdrawn."},
		{partPolicy, "policies", named(partOther, 0), "Other teams' policies, which judge inputs in the place of this one."},
		{partPolicy, "deny", oneOrMore(one(partDeny), 0), "Artifacts that must not occur anywhere in the ancestry, listed here or in a list that others sign."},
		{partPolicy, "formats", one(partFormats), "What files the judged artifact may consist of."},
		{partPolicy, "access", one(partAccess), "What the judged artifact may be granted at most: no access beyond this."},
		{partPolicy, "sharedFiles", oneOrMore(digestText, 0), "Digests of files (a licence text, say) that may occur in data sets that must be disjoint."},

		{partMetadata, "name", name, "A name: letters, digits, - and _, beginning with a letter."},
		{partMetadata, "version", number(1, math.MaxInt32), "A whole number from 1, higher with each version."},
		{partMetadata, "description", text, "Free text."},
		{partMetadata, "notBefore", instant, "Before this time the policy judges nothing."},
		{partMetadata, "expires", instant, "After this time the policy judges nothing. Renew it by publishing a higher version."},

		{partPolicy, "limits", one(partLimits), "How far the walk looks. What lies beyond counts as unseen."},
		{partLimits, "depth", limit(1 << 16), "Steps back from the judged artifact."},
		{partLimits, "attestationsPerArtifact", limit(1 << 20), "Pieces of evidence about one artifact."},
		{partLimits, "attestations", limit(1 << 24), "Pieces of evidence in one walk."},
		{partLimits, "bytes", limit(1 << 40), "Bytes of evidence in one walk."},
		{partLimits, "inputs", limit(predicate.MaxInputs), "Inputs of one statement."},
		{partLimits, "time", duration, "How long one walk may take, like 2m."},
		{partLimits, "celCost", limit(1 << 32), "What one expression may cost before it is cut off. The policies that this one names get no more."},
		{partLimits, "policies", limit(maxPolicyDepth), "How many policies may name each other in a row; default 8."},
		{partLimits, "requirements", limit(1 << 30), "How many answers one verdict may need; default 1,000,000."},

		{partContext, "require", oneOrMore(text, 0), "Steps about artifacts. One that some context lists is required only in those that list it, all others always."},

		{partFormats, "weights", oneOrMore(oneOf(knownFormats...), 1), "The formats that weights may have, by their bytes."},
		{partFormats, "kinds", oneOrMore(oneOf(fileKinds...), 1), "The kinds of files that there may be; any, unless stated."},
		{partFormats, "scan", text, "A step about the judged artifact. If it passes, weights whose bytes are not at hand are accepted on its word."},
	}
}

// partyKeyTable has the keys of who signs.
func partyKeyTable() []keyRow {
	return []keyRow{
		{partPrincipal, "kind", oneOf(principalKinds...), "A person, an automated system or a software agent."},
		{partPrincipal, "roles", oneOrMore(text, 0), "The roles in which the principal may sign, for steps that ask for some of each role."},
		{partPrincipal, "credentials", listOf(one(partCredential), 1), "What the principal signs with. Each may belong to one principal only."},
		{partCredential, "key", text, "A file with a PEM public key, relative to the policy's folder, or the PEM text itself."},
		{partCredential, "issuer", issuerText, "The OIDC issuer of an identity, compared whole."},
		{partCredential, "subject", plain, "The subject in the certificate, compared whole: a URI or an email address."},
		{partCredential, "subjectPattern", patternText, "A pattern for the whole subject: * stands for any run of characters but a slash, ** for any, everything else for itself."},
		{partCredential, "spiffe", spiffeText, "A SPIFFE id, compared whole."},
		{partCredential, "spiffePattern", spiffePatternText, "A pattern for the whole SPIFFE id, as subjectPattern; the trust domain is exact."},
		{partCredential, "from", instant, "What claims an earlier time does not count."},
		{partCredential, "until", instant, "What claims a later time, or was first seen later, does not count."},
		{partCredential, "compromisedSince", instant, "Since when somebody else may sign with it. Only what is authentically known to be older counts; what nobody saw never does."},
		{partCredential, "buildSignerURI", plain, "What the certificate must claim, compared whole: the workflow or builder that ran."},
		{partCredential, "buildSignerDigest", plain, "What the certificate must claim: the version of that workflow."},
		{partCredential, "runnerEnvironment", plain, "What the certificate must claim: where it ran, like github-hosted."},
		{partCredential, "sourceRepository", plain, "What the certificate must claim: the repository that was built."},
		{partCredential, "sourceDigest", plain, "What the certificate must claim: the commit that was built."},
		{partCredential, "sourceRef", plain, "What the certificate must claim: the branch or tag, like refs/heads/main."},
		{partCredential, "sourceRepositoryID", plain, "What the certificate must claim: the repository's number, which outlives its name. In quotes."},
		{partCredential, "sourceOwner", plain, "What the certificate must claim: who owns the repository."},
		{partCredential, "sourceOwnerID", plain, "What the certificate must claim: the owner's number. In quotes."},
		{partCredential, "buildConfigURI", plain, "What the certificate must claim: the workflow that was started."},
		{partCredential, "buildConfigDigest", plain, "What the certificate must claim: the version of that workflow."},
		{partCredential, "trigger", plain, "What the certificate must claim: what started the build, like push."},
		{partCredential, "runInvocation", plain, "What the certificate must claim: the very run."},
		{partCredential, "sourceVisibility", plain, "What the certificate must claim: public or private."},
	}
}

// absenceKeyTable has the keys of what is denied and withdrawn, and of what shows
// that nothing is hidden.
func absenceKeyTable() []keyRow {
	return []keyRow{
		{partStatus, "by", oneOrMore(text, 1), "The principals who publish the status."},
		{partStatus, "maxAge", duration, "How old it may be, like 24h. Without, its own validUntil alone ends it."},

		{partRevocation, "by", oneOrMore(text, 1), "The principals who may revoke, quarantine and supersede. Who signed a statement may always withdraw that."},
		{partRevocation, "of", oneOrMore(oneOf(revokeArtifact, revokePayload, revokeKey), 1), "What: artifacts, statements (payload), keys and identities (key); all three, unless stated."},
		{partRevocation, "threshold", number(1, 1000), "How many of them must say so; default 1."},
		{partRevocation, "acknowledgeAbsence", text, "Why it is acceptable that a revocation could have been hidden; required without status. It takes effect if every entry has one."},

		{partDeny, "artifacts", oneOrMore(digestText, 1), "The digests, of artifacts or of files in them."},
		{partDeny, "reason", text, "Why. Verdicts repeat it."},
		{partDeny, "list", name, "In the place of artifacts: the name of a signed deny list."},
		{partDeny, "by", oneOrMore(text, 1), "With list: the principals who sign it."},
		{partDeny, "threshold", number(1, 1000), "With list: how many of them must have signed the very same list; default 1."},
		{partDeny, "maxAge", duration, "With list: how old it may be, like 24h."},
		{partDeny, "acknowledgeAbsence", text, "Why it is acceptable that something denied, or a newer list, could have been hidden; required without status."},
	}
}

// accessKeyTable has the keys of what may be granted.
func accessKeyTable() []keyRow {
	return []keyRow{
		{partAccess, "by", oneOrMore(text, 1), "The principals whose grants count without having been delegated. The bound is for the grants of all."},
		{partAccess, "tools", toolBounds, "The tools, each with a list of operations, or any for all that it can do. None, unless stated."},
		{partAccess, "secrets", oneOrMore(secretText, 0), "The names of secrets: NAME, wherever it is kept, or NAME@STORE. None, unless stated."},
		{partAccess, "executionPaths", oneOrMore(text, 0), "What it may run, and all below. Nothing, unless stated."},
		{partAccess, "dataScopes", oneOrMore(text, 0), "What data it may reach, and all below. None, unless stated."},
		{partAccess, "acknowledgeAbsence", text, "Why it is acceptable that a grant could have been hidden; required without status."},
	}
}

// otherKeyTable has the keys of policies that judge inputs.
func otherKeyTable() []keyRow {
	return []keyRow{
		{partOther, "file", text, "The other policy's file, relative to this policy's folder. May be left out if there is a vsa."},
		{partOther, "digest", oneOrMore(digestText, 1), "The other policy's digest, as pedigree policy check prints it. One digest; a changed file does not load."},
		{partOther, "context", text, "Which of its contexts is asked about; required if it has some."},
		{partOther, "vsa", one(partSummary), "Whose verification summary under that digest may stand in for evidence."},
		{partSummary, "by", oneOrMore(text, 1), "The principals who sign it. Nobody who may make the thing."},
		{partSummary, "verifier", text, "What verifier.id must be."},
		{partSummary, "resource", text, "What resourceUri must be, or oci://RESOURCE@DIGEST of the artifact."},
		{partSummary, "maxAge", duration, "How old it may be, like 168h."},
		{partSummary, "levels", oneOrMore(text, 0), "What must be among its verifiedLevels."},
		{partSummary, "acknowledgeAbsence", text, "Why it is acceptable that a newer summary, or evidence that says no, could have been removed; required without status."},
	}
}

func stepKeyTable() []keyRow {
	return []keyRow{
		{partStep, "predicate", text, "The predicate type of the evidence, in full."},
		{partStep, "buildType", text, "The build type; required with SLSA provenance, and only there."},
		{partStep, "by", oneOrMore(text, 1), "The principals who may do it."},
		{partStep, "notBy", oneOrMore(text, 0), "Steps. Whoever signed evidence of one of them, counted or not and withdrawn or not, does not count here."},
		{partStep, "kind", oneOf(principalKinds...), "The kind that its principals must be of."},
		{partStep, "threshold", number(1, 1000), "How many distinct principals; default 1, or the sum of roles."},
		{partStep, "roles", countsByRole, "How many of each role must be among the principals that count. One principal fills one place."},
		{partStep, "about", text, "artifact (the judged one), or a step: every artifact that plays it. Without, the step makes an artifact."},
		{partStep, "optional", boolean, "With about: STEP. It is fine if nothing plays that step."},
		{partStep, "select", oneOf(string(selectAny), string(selectLatest), string(selectAll)), "any: candidates that pass. latest: each principal's newest, which must pass. all: all, which must pass."},
		{partStep, "covers", oneOf(coversAll, coversWeights), "Accept evidence about files: one principal's statements together name every (weight) file by path and digest. Needs select: any."},
		{partStep, "inputs", listOf(one(partInput), 0), "What it may have consumed: a closed world. Each input must be claimed by exactly one line."},
		{partStep, "agree", oneOrMore(text, 0), "Roles in which all candidates must name the same digests."},
		{partStep, "minVersion", versionText, "The least version that the evidence may state (its parameter version), like \"2.1\". SLSA provenance only."},
		{partStep, "minAge", duration, "How old evidence must be at the time of the question, like 72h."},
		{partStep, "maxAge", duration, "How old evidence may be at the time of the question, like 720h."},
		{partStep, "where", text, "An expression. Evidence for which it is false is not considered."},
		{partStep, "veto", text, "An expression. Evidence for which it is true fails the step, before where and however old."},
		{partStep, "vetoBy", oneOrMore(text, 1), "Who may veto; by, unless stated."},
		{partStep, "scope", text, "With veto: an expression. A veto counts where it is true or cannot be evaluated."},
		{partStep, "rules", oneOrMore(one(partRule), 0), "What must hold for the evidence that is selected."},
		{partStep, "controls", oneOrMore(text, 0), "What the step serves, such as NIST-AI-RMF:MANAGE-1.1."},
		{partStep, "acknowledgeAbsence", text, "Why it is acceptable that something could have been removed; required without status where the step rests on absence."},
		{partStep, "like", text, "Another step. Its keys are copied, and what is written here replaces them whole."},

		{partRule, "id", name, "A name that no other rule has."},
		{partRule, "cel", text, "The expression, over the variables predicate and context. It must be true."},
		{partRule, "message", text, "What the verdict says when it is not."},
		{partRule, "controls", oneOrMore(text, 0), "What the rule serves, such as NIST-AI-RMF:MEASURE-2.5."},
	}
}

// relationKeyTable has the keys that relate a step's evidence to that of others.
func relationKeyTable() []keyRow {
	return []keyRow{
		{partStep, "basis", oneOrMore(text, 0), "Steps about artifacts. An approval must name the evidence that they had selected when it was given."},
		{partStep, "rebase", boolean, "With basis: what they select now must be named, so that new evidence needs a new approval."},
		{partStep, "samePolicy", boolean, "The approval must name the digest of this very policy."},
		{partStep, "conditions", one(partConditions), "How the conditions of approvals are met. Without, an approval with conditions does not count."},
		{partStep, "compare", oneOrMore(one(partCompare), 0), "Expressions over the evidence and all that another step selected."},
		{partStep, "carriesOver", oneOrMore(one(partCarry), 0), "Evidence about the parent counts as well, where nothing of the parent was changed. For steps about artifacts."},
		{partStep, "before", oneOrMore(text, 0), "Steps that make artifacts. The evidence must be no younger than the start of any run of them."},

		{partConditions, "dischargedBy", text, "The step, about the judged artifact, whose selected approvals discharge conditions. It is required nowhere else."},
		{partConditions, "untilDue", boolean, "A condition that is not discharged is tolerated until its dueBy."},

		{partCompare, "id", name, "A name that no other rule has."},
		{partCompare, "with", text, "The step about artifacts whose selected evidence it is compared with."},
		{partCompare, "cel", text, "The expression, over predicate, other (of that step) and context. It must be true."},
		{partCompare, "message", text, "What the verdict says when it is not."},
		{partCompare, "controls", oneOrMore(text, 0), "What the comparison serves, such as NIST-AI-RMF:MEASURE-2.5."},
		{partCompare, "sameInputs", oneOrMore(text, 0), "Roles in which both must name the same digests."},

		{partCarry, "step", text, "A step that makes artifacts from the parent."},
		{partCarry, "added", oneOrMore(oneOf(fileKinds...), 0), "The kinds of files that it may have added; none, unless stated."},
	}
}

func inputKeyTable() []keyRow {
	return []keyRow{
		{partInput, "role", text, "The role that the evidence gives the input. A line without takes inputs without."},
		{partInput, "from", oneOrMore(text, 1), "A step, or a list: the input must satisfy one of them."},
		{partInput, "output", text, "With from: the name under which the run that made it lists it."},
		{partInput, "origin", text, "A URL. The place that the signer names must be it, or lie under it."},
		{partInput, "pin", oneOrMore(digestText, 1), "The digests that it may have."},
		{partInput, "policy", text, "One of policies, which must allow the input."},
		{partInput, "accept", constant("any"), "Whatever it is. Needs a reason."},
		{partInput, "reason", text, "Why any input is accepted. Verdicts repeat it."},
		{partInput, "minVersion", versionText, "With from or policy: the least version that the evidence that made it may state."},
		{partInput, "notIn", oneOrMore(stepRoleText, 1), "STEP.ROLE: the input, and every file in it, must differ from everything taken there. * means every step, of the policies named as well."},
		{partInput, "sameAs", oneOrMore(stepRoleText, 1), "STEP.ROLE: the very thing that was taken there."},
		{partInput, "sameRun", oneOrMore(stepRoleText, 1), "STEP.ROLE: made in the same run, by the same signer, as what was taken there."},
		{partInput, "min", number(0, 1<<20), "At least how many; default 1."},
		{partInput, "max", number(1, 1<<20), "At most how many; default 1, or min if that is more."},
	}
}

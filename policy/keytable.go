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
	for _, rows := range [][]keyRow{fileKeyTable(), stepKeyTable(), inputKeyTable()} {
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
		{partPolicy, "unsafeTime", constant("claimed"), "Accept the signers' word for when things happened. Needed with plain keys; every verdict repeats it."},
		{partPolicy, "principals", named(partPrincipal, 0), "Who exists."},
		{partPolicy, "steps", named(partStep, 1), "What is asked."},
		{partPolicy, "deny", oneOrMore(one(partDeny), 0), "Artifacts that must not occur anywhere in the ancestry."},
		{partPolicy, "sharedFiles", oneOrMore(digestText, 0), "Digests of files (a licence text, say) that may occur in data sets that must be disjoint."},

		{partMetadata, "name", name, "A name: letters, digits, - and _, beginning with a letter."},
		{partMetadata, "version", number(1, math.MaxInt32), "A whole number from 1, higher with each version."},
		{partMetadata, "description", text, "Free text."},
		{partMetadata, "expires", expiry, "After this time the policy judges nothing. Renew it by publishing a higher version."},

		{partPolicy, "limits", one(partLimits), "How far the walk looks. What lies beyond counts as unseen."},
		{partLimits, "depth", limit(1 << 16), "Steps back from the judged artifact."},
		{partLimits, "attestationsPerArtifact", limit(1 << 20), "Pieces of evidence about one artifact."},
		{partLimits, "attestations", limit(1 << 24), "Pieces of evidence in one walk."},
		{partLimits, "bytes", limit(1 << 40), "Bytes of evidence in one walk."},
		{partLimits, "inputs", limit(predicate.MaxInputs), "Inputs of one statement."},
		{partLimits, "time", duration, "How long one walk may take, like 2m."},
		{partLimits, "celCost", limit(1 << 32), "What one expression may cost before it fails."},

		{partPrincipal, "kind", oneOf(principalKinds...), "A person, an automated system or a software agent."},
		{partPrincipal, "credentials", listOf(one(partCredential), 1), "What the principal signs with. A key may belong to one principal only."},
		{partCredential, "key", text, "A file with a PEM public key, relative to the policy's folder, or the PEM text itself."},

		{partDeny, "artifacts", oneOrMore(digestText, 1), "The digests, of artifacts or of files in them."},
		{partDeny, "reason", text, "Why. Verdicts repeat it."},
		{partDeny, "acknowledgeAbsence", text, "Why it is acceptable that something denied could have been hidden."},
	}
}

func stepKeyTable() []keyRow {
	return []keyRow{
		{partStep, "predicate", text, "The predicate type of the evidence, in full."},
		{partStep, "buildType", text, "The build type; required with SLSA provenance, and only there."},
		{partStep, "by", oneOrMore(text, 1), "The principals who may do it."},
		{partStep, "notBy", oneOrMore(text, 0), "Steps. Whoever signed evidence of one of them, counted or not, does not count here."},
		{partStep, "kind", oneOf(principalKinds...), "The kind that its principals must be of."},
		{partStep, "threshold", number(1, 1000), "How many distinct principals; default 1."},
		{partStep, "about", text, "artifact (the judged one), or a step: every artifact that plays it. Without, the step makes an artifact."},
		{partStep, "optional", boolean, "With about: STEP. It is fine if nothing plays that step."},
		{partStep, "select", oneOf(string(selectAny), string(selectLatest), string(selectAll)), "any: candidates that pass. latest: each principal's newest, which must pass. all: all, which must pass."},
		{partStep, "inputs", listOf(one(partInput), 0), "What it may have consumed: a closed world. Each input must be claimed by exactly one line."},
		{partStep, "basis", oneOrMore(text, 0), "Steps about artifacts. An approval must name the evidence that they selected."},
		{partStep, "agree", oneOrMore(text, 0), "Roles in which all candidates must name the same digests."},
		{partStep, "maxAge", duration, "How old evidence may be at the time of the question, like 720h."},
		{partStep, "where", text, "An expression. Evidence for which it is false is not considered."},
		{partStep, "veto", text, "An expression. Evidence for which it is true fails the step, before where and however old."},
		{partStep, "vetoBy", oneOrMore(text, 1), "Who may veto; by, unless stated."},
		{partStep, "scope", text, "With veto: an expression. A veto counts where it is true or cannot be evaluated."},
		{partStep, "rules", oneOrMore(one(partRule), 0), "What must hold for the evidence that is selected."},
		{partStep, "acknowledgeAbsence", text, "Why it is acceptable that something could have been removed; required where the step rests on absence."},
		{partStep, "like", text, "Another step. Its keys are copied, and what is written here replaces them whole."},

		{partRule, "id", name, "A name that no other rule has."},
		{partRule, "cel", text, "The expression, over the variable predicate. It must be true."},
		{partRule, "message", text, "What the verdict says when it is not."},
		{partRule, "controls", oneOrMore(text, 0), "What the rule serves, such as NIST-AI-RMF:MEASURE-2.5."},
	}
}

func inputKeyTable() []keyRow {
	return []keyRow{
		{partInput, "role", text, "The role that the evidence gives the input. A line without takes inputs without."},
		{partInput, "from", oneOrMore(text, 1), "A step, or a list: the input must satisfy one of them."},
		{partInput, "output", text, "With from: the name under which the run that made it lists it."},
		{partInput, "origin", text, "A URL. The place that the signer names must be it, or lie under it."},
		{partInput, "pin", oneOrMore(digestText, 1), "The digests that it may have."},
		{partInput, "accept", constant("any"), "Whatever it is. Needs a reason."},
		{partInput, "reason", text, "Why any input is accepted. Verdicts repeat it."},
		{partInput, "notIn", oneOrMore(stepRoleText, 1), "STEP.ROLE: the input, and every file in it, must differ from everything taken there."},
		{partInput, "sameRun", oneOrMore(stepRoleText, 1), "STEP.ROLE: made in the same run, by the same signer, as what was taken there."},
		{partInput, "min", number(0, 1<<20), "At least how many; default 1."},
		{partInput, "max", number(1, 1<<20), "At most how many; default 1, or min if that is more."},
	}
}

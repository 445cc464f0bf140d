package cli

import "github.com/pedigree-ml/pedigree/attest"

// A codeRow is what the manual says of one code.
type codeRow struct {
	code    attest.Code
	exit    int
	meaning string
	next    string
}

// exitOf returns the exit status of an invocation that ends with the code. A
// code that the table lacks is a bug, and the status says so.
func exitOf(code attest.Code) int {
	for _, r := range codeTable() {
		if r.code == code {
			return r.exit
		}
	}
	return exitInternal
}

// codeTable lists every code once. The exit status is that of a command which
// ends with the code; in a verdict the outcome decides, whatever the codes of
// its reasons are. docs/codes.md is made from this table.
func codeTable() []codeRow {
	return []codeRow{
		{attest.CodeBundleParse, exitDeny, "not a Sigstore bundle of the required shape", "make the bundle again with a tool that writes Sigstore bundles v0.3"},
		{attest.CodeBundleVersion, exitDeny, "not a bundle version that is read: v0.3, by verify-bundle v0.1 and v0.2 too", "sign again with a current tool: cosign 3, or pedigree attest"},
		{attest.CodeNonCanonical, exitDeny, "a second spelling of something that has one", "make the document again; do not edit or reformat bundles"},
		{attest.CodeJSON, exitDeny, "not strict JSON", "correct the document at the byte that is named"},
		{attest.CodeDupKey, exitDeny, "a key twice in one object, exactly or but for case", "keep one of the two keys"},
		{attest.CodeSigCount, exitDeny, "not exactly one signature", "make one bundle for each signer and attach each"},
		{attest.CodeSigInvalid, exitDeny, "the signature is not by the named credential", "somebody changed payload or signature: sign again from the source"},
		{attest.CodePayloadType, exitDeny, "the envelope does not carry an in-toto statement", "sign a statement, not a file: pedigree attest"},
		{attest.CodeKeyUnknown, exitDeny, "no trusted credential made the signature", "add the signer's key to the policy's principals, if they belong there"},
		{attest.CodeKey, exitUsage, "a key file cannot be used", "name the right file; for an encrypted key set PEDIGREE_PASSWORD"},
		{attest.CodeLimit, exitUndecided, "a stated bound was exceeded", "make the thing smaller, or raise the policy's limits if it is honest"},
		{attest.CodeStatement, exitDeny, "not an in-toto statement of a known version", "write the statement again with a current tool"},
		{attest.CodeSubjectMismatch, exitDeny, "about something else than where it was found", "attach it to the artifact that it names as subject"},
		{attest.CodeSubjectAmbiguous, exitDeny, "several subjects where one is required", "make one statement for each subject"},
		{attest.CodeSubjectMissing, exitDeny, "the artifact itself is not there", "check the reference; push the artifact"},
		{attest.CodeDigestAlg, exitDeny, "a digest algorithm that nobody here computes", "name artifacts by sha256, commits by gitCommit"},
		{attest.CodeDigestFormat, exitDeny, "a malformed digest", "write algorithm:hex in lower case, sha256 with 64 digits"},
		{attest.CodePredicateType, exitDeny, "a malformed predicate type", "use an https URI in its plain form"},
		{attest.CodePredicateSchema, exitDeny, "the predicate lacks, or mistypes, a field", "compare the predicate with its page under docs/format"},
		{attest.CodeUnpinned, exitDeny, "an input without a digest", "name the input by digest, and record the step again"},
		{attest.CodeReference, exitUsage, "a malformed reference", "write HOST/REPOSITORY:TAG, HOST/REPOSITORY@sha256:…, or ocidir://FOLDER:TAG"},
		{attest.CodePath, exitDeny, "a path that escapes, collides or links", "rename the file, or replace the link by what it points to"},
		{attest.CodeDup, exitDeny, "one path twice", "give each file a path of its own"},
		{attest.CodeFileType, exitDeny, "neither a regular file nor a directory", "leave devices, pipes and sockets out of the tree"},
		{attest.CodeFileIO, exitUndecided, "a file cannot be read or written", "check permissions and space, and run it again"},
		{attest.CodeFileChanged, exitDeny, "a file changed while it was used", "stop what writes to it, and run it again"},
		{attest.CodeFileMissing, exitDeny, "a declared file is not there", "check the path; did the command write it?"},
		{attest.CodeRegManifest, exitDeny, "a manifest with no or two readings", "push the artifact again with a current tool"},
		{attest.CodeRegDigest, exitDeny, "other bytes than the digest promises", "the repository is corrupt or lies: restore it, or use another copy"},
		{attest.CodeRegUnavailable, exitUndecided, "a repository cannot be asked", "check network and credentials, and run it again"},
		{attest.CodeRegRedirect, exitUndecided, "a repository points elsewhere", "ask the registry's operator; redirects to other places are not followed"},
		{attest.CodeNotFound, exitDeny, "the repository says that it is not there", "check the reference; pedigree list shows what is attached"},
		{attest.CodeAttachUnconfirm, exitUndecided, "written, but a fresh listing does not show it", "run it again: attaching the same bundle twice is harmless"},
		{attest.CodeChainMissing, exitDeny, "evidence that the policy asks for is not there", "have the named principal perform the named step"},
		{attest.CodeChainBrokenEdge, exitDeny, "an input that no allowed step produced", "record the step that made the input, or use an input that has a record"},
		{attest.CodeChainForeign, exitDeny, "pieces of different runs", "use the outputs of one run together"},
		{attest.CodeChainCycle, exitDeny, "evidence whose inputs lead to its own subject", "find the record that is wrong: an artifact cannot be its own ancestor"},
		{attest.CodeChainOrder, exitDeny, "an effect before its cause", "check the clocks of the machines; record the later step again"},
		{attest.CodeChainDepth, exitUndecided, "the chain is deeper than the limit", "raise limits.depth in the policy, if the chain is honest"},
		{attest.CodeChainFanout, exitUndecided, "more inputs than the limit", "raise limits.inputs in the policy, if the statement is honest"},
		{attest.CodeConflict, exitDeny, "authentic evidence that contradicts, or fails beside a pass", "find out which record is wrong"},
		{attest.CodeRevoked, exitDeny, "withdrawn by somebody whom the policy lets do so", "use another version; pedigree show prints who withdrew it, and why"},
		{attest.CodeQuarantined, exitDeny, "set aside until it is looked into", "wait until it is restored, or use another version"},
		{attest.CodeRollback, exitDeny, "older than what is known to exist, or than what is required", "use the newer one that is named"},
		{attest.CodeStatus, exitDeny, "no complete list of what there should be", "publish one: pedigree status publish"},
		{attest.CodeVSA, exitDeny, "a verification summary that may not stand in for the evidence", "have the named verifier verify it again, under the policy that is named"},
		{attest.CodeCovers, exitDeny, "statements about files that leave one out", "sign a statement for each file that is named"},
		{attest.CodeEvalPlan, exitDeny, "a plan that is younger than what it plans", "register the plan before the run, and run again"},
		{attest.CodeFormat, exitDeny, "a file that is not of a format which the policy lists", "convert it: safetensors holds nothing that could run"},
		{attest.CodeFileExtra, exitDeny, "a file of a kind which the policy does not list, or that the artifact does not have", "push the model without it; serve what was verified"},
		{attest.CodeKeyWindow, exitDeny, "signed outside the time in which the key counts", "sign again with a key that is valid"},
		{attest.CodePolicySig, exitUsage, "a policy that its roots did not sign", "have the roots sign it: pedigree policy sign"},
		{attest.CodePolicyRollback, exitUsage, "an older policy than was seen before, or another one of the same version", "get the newest; a changed policy needs a higher metadata.version"},
		{attest.CodePolicyTest, exitDeny, "a policy that does not judge as its tests expect", "see which case differs: the policy or the test is wrong"},
		{attest.CodePolicyFinding, exitDeny, "a policy that loads, and may not mean what it says", "follow the advice of each finding"},
		{attest.CodeIndex, exitUndecided, "an index that was not read to the end, or that another version wrote", "pedigree index sync; or remove the file and sync again: the registries are the truth"},
		{attest.CodeDraw, exitUndecided, "a graph that cannot be drawn", "ask for --output dot or json, or for less of it with --depth"},
		{attest.CodeAccess, exitDeny, "a grant that goes beyond what is allowed", "revoke the grant, or allow it in the policy"},
		{attest.CodeDelegation, exitDeny, "a grant that gives on more than its giver had", "grant no more than the parent grant has, for no longer"},
		{attest.CodeHistory, exitDeny, "records of an environment that do not follow each other", "find out who deployed outside of the record: pedigree history"},
		{attest.CodeLastGood, exitDeny, "no version satisfies the policy", "see why each does not: pedigree verify"},
		{attest.CodeReview, exitDeny, "not an AdmissionReview that has one reading", "send what a Kubernetes API server sends: admission.k8s.io/v1"},
		{attest.CodeUngoverned, exitDeny, "what no rule of the gate governs, or what it may not ask about", "name the namespace in a rule, the repository in registry.repositories"},
		{attest.CodeUnrecognised, exitDeny, "what an object wants to run cannot be recognised", "add a line for it to the namespace's rule, or report it instead"},
		{attest.CodeTag, exitDeny, "a tag where only a digest may run", "name it by digest, or let the gate pin it: pin: true, and the mutating webhook"},
		{attest.CodeGuarded, exitDeny, "a namespace's label that this user may not change", "ask somebody whom the configuration lists for these labels"},
		{attest.CodePlace, exitUsage, "an expression of the gate's configuration that does not say what an object names", "correct the kind's places in the configuration, with pedigree gate check"},
		{attest.CodeState, exitUndecided, "what the verifier remembers cannot be read or kept", "check the folder given with --state; delete it only if starting afresh is acceptable"},
		{attest.CodeVeto, exitDeny, "an authorised person or system said no", "talk to whoever said no; a new model needs new evidence"},
		{attest.CodeIdentity, exitDeny, "signed by somebody whom the policy does not let do this", "have one of the step's principals do it"},
		{attest.CodeQuorum, exitDeny, "too few distinct principals", "have further principals do it: pedigree approve"},
		{attest.CodeStale, exitDeny, "older than allowed", "perform the step again"},
		{attest.CodeTimeMissing, exitDeny, "no time, or nobody authenticated it", "sign with a timestamp, or say unsafeTime: claimed in the policy"},
		{attest.CodeTimeWindow, exitDeny, "a time in the future or outside its window", "check the signer's clock, and --at"},
		{attest.CodeTrustRoot, exitUsage, "a trusted root cannot be used", "get trusted_root.json again from whoever runs the Sigstore instance"},
		{attest.CodeTrustRootStale, exitUndecided, "trust data that is over, or cannot be had", "run it again where the TUF repository can be reached; review the trust file, and set metadata.expires to a later time"},
		{attest.CodeCertChain, exitDeny, "a certificate that no trusted authority issued or recorded", "name the trusted root of the instance that was signed with"},
		{attest.CodeLogProof, exitDeny, "an entry that is not proven to be in a trusted log", "get the bundle again from whoever signed; the log is not asked"},
		{attest.CodeLogMismatch, exitDeny, "a log entry about another signature, signer or artifact", "get the bundle again from whoever signed"},
		{attest.CodeTSA, exitDeny, "a timestamp that no trusted authority made over this signature", "name the trusted root that lists the authority, or sign again"},
		{attest.CodeToken, exitUsage, "an identity token that cannot be used: expired, made out to somebody else, or not there", "get a new one from the platform; docs/signing.md says how"},
		{attest.CodeSignService, exitUndecided, "a service that signing needs cannot be asked, or answers with something else than it was asked for", "check the URL and the network, and run it again"},
		{attest.CodeSignRefused, exitDeny, "a service refuses to certify, to sign, to record or to date", "it says why; the authority must know the token's issuer and audience"},
		{attest.CodePolicyParse, exitUsage, "the policy file is wrong", "correct the line that is named: pedigree policy check"},
		{attest.CodePolicyVacuous, exitUsage, "the policy proves nothing", "ask for something: a policy needs steps"},
		{attest.CodePolicyExpired, exitUsage, "the policy's own validity is over", "review the policy, raise metadata.version and move metadata.expires"},
		{attest.CodePolicyEval, exitDeny, "an expression failed to evaluate", "see which field is missing or of another type; an error is never a pass"},
		{attest.CodePolicyCost, exitUndecided, "an expression is too costly", "write a simpler expression, or raise limits.celCost"},
		{attest.CodeRule, exitDeny, "a rule does not hold", "the rule's message says what is required"},
		{attest.CodeBasis, exitDeny, "an approval does not name the evidence that it rests on", "approve again with pedigree approve, which fills the basis"},
		{attest.CodeConditions, exitDeny, "an approval with conditions that nobody discharged", "have it approved without conditions"},
		{attest.CodeInput, exitDeny, "an input that no line of the policy claims, or a line that lacks its input", "compare the step's inputs with the policy's lines"},
		{attest.CodeLeakage, exitDeny, "data where the policy forbids it", "evaluate on data that was not trained on"},
		{attest.CodeDenied, exitDeny, "an artifact that the policy lists as denied", "make the model without it"},
		{attest.CodeNoRule, exitDeny, "nothing in the policy covers this artifact", "check that this is the policy for this artifact"},
		{attest.CodeGateConfig, exitUsage, "the gate's configuration is wrong", "correct the line that is named: pedigree gate check"},
		{attest.CodeUsage, exitUsage, "wrong flags or arguments", "see --help of the command"},
		{attest.CodeCommand, exitDeny, "the step's command failed", "see what the command printed; nothing was attested"},
		{attest.CodeInterrupted, exitUndecided, "stopped from outside", "run it again: nothing half-written is taken for whole"},
		{attest.CodeNotReady, exitUndecided, "the gate has not loaded what answers rest on, or goes away", "ask again soon; /readyz says what is missing"},
		{attest.CodeOverload, exitUndecided, "more questions than the gate works on or lets wait", "ask again after the stated seconds; raise limits.concurrent or limits.waiting if the load is honest"},
		{attest.CodeDeadline, exitUndecided, "no answer in the time that there was", "ask again; if it recurs, see whether registries are slow, or raise limits.deadline and the caller's timeout"},
		{attest.CodeInternal, exitInternal, "a bug was caught", "report it, with the command line and what was printed"},
	}
}

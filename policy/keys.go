package policy

import (
	"slices"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The keys of each part of the language, in the order in which the reference and
// the schema list them. The strict reader refuses every other key, the schema is
// made of the same lists, and tests hold the reference and the explanation to
// them; those of a step are stepKeys.
var (
	policyKeys     = []string{"apiVersion", "kind", "metadata", "artifact", "evidence", "trust", "unsafeTime", "maxLag", "principals", "steps", "contexts", "status", "revocation", "policies", "deny", "formats", "access", "sharedFiles", "limits"}
	metadataKeys   = []string{"name", "version", "description", "notBefore", "expires"}
	limitKeys      = []string{"depth", "attestationsPerArtifact", "attestations", "bytes", "inputs", "time", "celCost", "policies", "requirements"}
	principalKeys  = []string{"kind", "roles", "credentials"}
	credentialKeys = slices.Concat([]string{"key", "issuer", "subject", "subjectPattern"}, trust.ClaimNames(), []string{"spiffe", "spiffePattern", "from", "until", "compromisedSince"})
	inputKeys      = []string{"role", "from", "output", "origin", "pin", "policy", "accept", "reason", "minVersion", "notIn", "sameAs", "sameRun", "min", "max"}
	ruleKeys       = []string{"id", "cel", "message", "controls"}
	denyKeys       = []string{"artifacts", "reason", "list", "by", "threshold", "maxAge", "acknowledgeAbsence"}
	contextKeys    = []string{"require"}
	statusKeys     = []string{"by", "maxAge"}
	revocationKeys = []string{"by", "of", "threshold", "acknowledgeAbsence"}
	otherKeys      = []string{"file", "digest", "context", "vsa"}
	summaryKeys    = []string{"by", "verifier", "resource", "maxAge", "levels", "acknowledgeAbsence"}
	formatKeys     = []string{"weights", "kinds", "scan"}
	accessKeys     = []string{"by", "tools", "secrets", "executionPaths", "dataScopes", "acknowledgeAbsence"}
	conditionKeys  = []string{"dischargedBy", "untilDue"}
	compareKeys    = []string{"id", "with", "cel", "message", "controls", "sameInputs"}
	carryKeys      = []string{"step", "added"}
)

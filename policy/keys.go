package policy

// The keys of each part of the language, in the order in which the reference and
// the schema list them. The strict reader refuses every other key, the schema is
// made of the same lists, and tests hold the reference and the explanation to
// them; those of a step are stepKeys.
var (
	policyKeys     = []string{"apiVersion", "kind", "metadata", "artifact", "evidence", "unsafeTime", "principals", "steps", "deny", "sharedFiles", "limits"}
	metadataKeys   = []string{"name", "version", "description", "expires"}
	limitKeys      = []string{"depth", "attestationsPerArtifact", "attestations", "bytes", "inputs", "time", "celCost"}
	principalKeys  = []string{"kind", "credentials"}
	credentialKeys = []string{"key"}
	inputKeys      = []string{"role", "from", "output", "origin", "pin", "accept", "reason", "notIn", "sameRun", "min", "max"}
	ruleKeys       = []string{"id", "cel", "message", "controls"}
	denyKeys       = []string{"artifacts", "reason", "acknowledgeAbsence"}
)

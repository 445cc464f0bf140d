package policy

import "strings"

// aisvs: the parts of OWASP's verification standard that are about where models
// and data come from. The standard has more: the list is not whole.
func aisvs() framework {
	return framework{
		prefix: "OWASP-AISVS", name: "OWASP AI Security Verification Standard 1.0",
		rows: []controlRow{
			{"1.1.1", "training data is inventoried with its origin", "ingest records: data by digest, with origin or pin"},
			{"1.1.3", "changes of training data are approved", "an approval about the data set that training took"},
			{"1.2.5", "data sets are checked by cryptographic hash", "data sets named by the SHA-256 of their bytes, file by file"},
			{"1.2.7", "versions of data sets cannot be changed", "a data set's name is its digest: another content is another artifact"},
			{"1.3.3", "it stays known who labelled what", "the annotators in the predicate of the labelling step, signed"},
			{"1.3.4", "labels are hashed or signed", "labels as files of the data set, by digest, in a signed record"},
			{"1.5.1", "lineage of data is recorded", "each preparation as a step with inputs and outputs by digest"},
			{"1.5.2", "lineage cannot be changed unnoticed", "signed records, and a status that shows if one was removed"},
			{"1.5.3", "lineage covers synthetic data", "the step that generated it, with the model that did"},
			{"1.5.4", "synthetic data is told from real data", "a role, or a step, of its own for generated data"},
			{"3.1.1", "deployed models are inventoried", "deployment records, each with the digests that were loaded"},
			{"3.1.2", "models and their parts are signed", "a signed record about every artifact of the chain"},
			{"3.1.3", "signatures are checked at admission and at load", "the verdict before deployment, and the digest of what was loaded"},
			{"3.1.4", "it is known who uses a model", "deployment records, and what descends from the artifact"},
			{"3.1.5", "a trace record ties identity, data, tests and approval together", "the verdict: signers, input digests, results, approvals and times of one chain"},
			{"3.2.3", "tests have limits that must be met", "the policy's rules over measured values"},
			{"3.2.4", "what fails is not deployed", "anything but ALLOW is refused, missing evidence included"},
			{"3.2.6", "changes are recorded for good, before and after", "approvals and deployments that name the previous record"},
			{"3.2.7", "compressed or converted models are tested again", "evaluations about the converted bytes: a parent's do not count for them"},
			{"3.3.2", "a return to an earlier version is whole", "deployment records with everything that was loaded, by digest"},
			{"3.4.2", "prompts and policies are reviewed", "prompts packed as artifacts, with approvals about them"},
			{"3.5.1", "models hosted by others are inventoried", "inputs that are taken on somebody's word, listed at the end of the chain"},
			{"3.6.1", "reward models are signed and checked", "an input of that role, from a step or with a pin"},
			{"3.6.2", "no one person can start a fine-tune alone", "thresholds and `notBy` between who asks and who runs"},
			{"3.6.4", "each stage's output is checked before the next", "each input satisfies the step that made it, all the way back"},
			{"3.6.5", "checkpoints are artifacts of their own", "checkpoints by digest, as inputs of the steps that follow"},
			{"6.1.1", "the origin of third-party models is recorded and signed", "a pin, a step, or another party's summary for every base model"},
			{"6.1.3", "new parts are set aside until somebody signs off", "an approval about the part before a step may take it"},
			{"6.1.4", "parts from others pass tests first", "evaluations about the base model itself"},
			{"6.2.1", "parts come from approved sources", "origins in the policy's input lines"},
			{"6.2.2", "keys of publishers are pinned", "principals with their keys in the policy"},
			{"6.3.3", "the bill of materials holds the data's lineage", "data sets of the chain, back to their ingest"},
			{"6.4.1", "revoked models are found, and those made from them tested again", "revocations, and the list of what they reach"},
			{"6.5.1", "there is a bill of materials for each model", "the inputs of every step, by role and digest"},
			{"6.5.2", "it is signed", "the signature on every record that it is made of"},
			{"6.5.3", "it is complete", "a closed list of inputs, and the gaps named where something could not be seen"},
			{"6.5.4", "it can be queried", "trace, impact and the evidence pack"},
			{"9.2.1", "people approve what cannot be undone", "approvals of kind human, with a threshold"},
			{"9.2.3", "an approval is bound to what was approved", "the basis: the very records and artifact that were looked at"},
			{"9.2.4", "an approval serves once", "an approval about one digest: other bytes need another"},
			{"9.2.5", "approvals end", "`validUntil` and the policy's maximum age"},
			{"9.4.1", "agents have identities of their own", "principals of kind agent, with their credentials"},
			{"9.4.2", "what agents do is signed and timed", "records by principals of kind agent, with authenticated times"},
			{"9.4.3", "the audit trail cannot be changed unnoticed", "records that name the one before them by digest"},
			{"9.4.4", "an agent's authority can be withdrawn", "revocation of a credential, obeyed by the next verdict"},
			{"9.6.2", "it is known on whose behalf an agent acts", "access grants that name whom the agent acts for, and its scopes"},
			{"9.6.6", "an agent can do only what both it and its principal may", "grants with their delegation, each within the one before"},
		},
		also: strings.Fields(`1.1.2 1.1.4 1.2.1 1.2.2 1.2.3 1.2.4 1.2.6 1.3.1 1.3.2 1.3.5 1.4.1 1.4.2 1.4.3 1.4.4 1.4.5 1.4.6 1.4.7
			3.2.1 3.2.2 3.2.5 3.3.1 3.3.3 3.4.1 3.4.3 3.5.2 3.5.3 3.5.4 3.6.3 6.1.2 6.1.5 6.3.1 6.3.2 6.3.4 6.4.2
			9.1.1 9.1.2 9.1.3 9.1.4 9.1.5 9.2.2 9.2.6 9.3.1 9.3.2 9.3.3 9.3.4 9.3.5 9.3.6 9.5.1 9.5.2 9.5.3 9.5.4 9.5.5 9.6.1 9.6.3 9.6.4 9.6.5
			9.7.1 9.7.2 9.7.3 9.7.4 9.7.5 9.8.1 9.8.2 9.8.3 9.8.4 9.8.5 9.8.6`),
	}
}

func llmTop10() framework {
	return framework{
		prefix: "OWASP-LLM", name: "OWASP Top 10 for LLM Applications 2025", whole: true,
		rows: []controlRow{
			{"LLM03", "supply chain of models and data", "the chain to base model, data and code, and where it ends"},
			{"LLM04", "poisoning of data and models", "data from named steps, disjoint from test data, and scans about it"},
			{"LLM06", "too much agency", "access grants: tools, scopes and their end"},
		},
		also: strings.Fields("LLM01 LLM02 LLM05 LLM07 LLM08 LLM09 LLM10"),
	}
}

func agenticTop10() framework {
	return framework{
		prefix: "OWASP-AGENTIC", name: "OWASP Top 10 for Agentic Applications 2026", whole: true,
		rows: []controlRow{
			{"ASI02", "tools are misused", "the tools that an access grant names, and nothing beyond"},
			{"ASI03", "identities and privileges are abused", "grants with their delegation, each within the one before"},
			{"ASI04", "the agent's supply chain", "prompts, tools and models as artifacts with evidence of their own"},
			{"ASI09", "people trust the agent too much", "approvals bound to the evidence that was shown, by people"},
			{"ASI10", "an agent goes its own way", "what was deployed against what was approved"},
		},
		also: strings.Fields("ASI01 ASI05 ASI06 ASI07 ASI08"),
	}
}

// atlas: mitigations and techniques of MITRE ATLAS that a chain speaks to. There
// are many more: the list is not whole.
func atlas() framework {
	return framework{
		prefix: "MITRE-ATLAS", name: "MITRE ATLAS",
		rows: []controlRow{
			{"AML.M0013", "code is signed", "signatures on records about code, environments and models"},
			{"AML.M0014", "AI artifacts are verified", "digests and signatures checked before training and before loading"},
			{"AML.M0023", "there is a bill of materials", "the inputs of every step, by role and digest"},
			{"AML.M0025", "provenance of data sets is kept", "the data sets' own steps, back to their ingest"},
			{"AML.M0028", "tools of agents need permission", "access grants that name tools and scopes"},
			{"AML.M0029", "people stay in the loop", "approvals of kind human"},
			{"AML.T0010", "compromise of the AI supply chain", "an unbroken chain of signed steps, or a verdict that says where it breaks"},
			{"AML.T0010.002", "… through data", "data sets from named steps, by digest"},
			{"AML.T0010.003", "… through a model", "the base model by pin, by steps or by a policy of its own"},
			{"AML.T0010.004", "… through a registry", "digests of what the registry serves; who may write there is not trusted"},
		},
	}
}

// slsaLevels: the tracks of SLSA 1.2, with the drafts of two more.
func slsaLevels() framework {
	return framework{
		prefix: "SLSA", name: "SLSA 1.2", whole: true,
		rows: []controlRow{
			{"BUILD-L1", "provenance exists", "a provenance record about the artifact"},
			{"BUILD-L2", "provenance is signed by a hosted builder", "the signer of the record is the builder's, not a person's, credential"},
			{"BUILD-L3", "the builder cannot be influenced by the build", "a builder that the policy knows to be isolated: the level is a property of the builder, which the policy vouches for"},
			{"BUILD-REPRODUCED", "somebody else built the same bytes", "two builders' records about one digest, which agree on the inputs"},
			{"SOURCE-L1", "code is under version control", "code inputs by commit"},
			{"SOURCE-L2", "history is kept and attested", "records about the commit by whoever hosts the source"},
			{"SOURCE-L3", "the source's own rules are enforced", "records about the commit that say which rules held"},
			{"SOURCE-L4", "changes are reviewed by two", "records about the commit by its reviewers"},
			{"SOURCE-TWO-PARTY-REVIEWED", "a change was reviewed by a second person", "a record about the commit that two people stand behind"},
		},
		also: strings.Fields("BUILD-L0 DEPENDENCY-L1 DEPENDENCY-L2 DEPENDENCY-L3 DEPENDENCY-L4 BUILDENV-L1 BUILDENV-L2 BUILDENV-L3"),
	}
}

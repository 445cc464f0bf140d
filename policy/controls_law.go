package policy

import "strings"

// aiAct: articles and annexes of the regulation that a chain speaks to; ART-10-2b
// is article 10, paragraph 2, point b. The list is not whole.
func aiAct() framework {
	return framework{
		prefix: "EU-AI-ACT", name: "Regulation (EU) 2024/1689",
		rows: []controlRow{
			{"ART-9-8", "testing against limits that were set before", "the policy's rules, and a plan registered before the run"},
			{"ART-10-2b", "how data was collected and where it is from", "ingest records with origin or pin"},
			{"ART-10-2c", "how data was prepared", "preparation steps with inputs, outputs and code"},
			{"ART-10-2f", "data is examined for bias", "metrics by slice in signed evaluations"},
			{"ART-10-2g", "bias is prevented and mitigated", "the evaluation before and after, and the step between them"},
			{"ART-10-3", "data is fit for its purpose", "signed evaluations about the data sets themselves"},
			{"ART-11-1", "technical documentation is drawn up and kept current", "the evidence pack of the version that is judged"},
			{"ANNEX-IV-1a", "the version, and how it relates to earlier ones", "the history of versions and the difference between two"},
			{"ANNEX-IV-1c", "versions of relevant software", "code and environments by digest"},
			{"ANNEX-IV-2a", "how it was developed, and which pre-trained systems were used", "the steps of the making, with the base model by digest"},
			{"ANNEX-IV-2c", "architecture and computing resources", "parameters and environment in the record of training"},
			{"ANNEX-IV-2d", "data: provenance, scope and preparation", "data sets back to their ingest, with each preparation"},
			{"ANNEX-IV-2e", "assessment of human oversight", "who must approve, how many, and what they were shown"},
			{"ANNEX-IV-2f", "changes that were determined in advance", "plans that were registered before the change"},
			{"ANNEX-IV-2g", "tests, with logs and reports dated and signed by those responsible", "signed evaluations with date, data, metrics and signer"},
			{"ANNEX-IV-2h", "cybersecurity measures", "signed scans, and verification before load"},
			{"ANNEX-IV-4", "why the metrics are appropriate", "the policy's rules with their messages, signed with the policy"},
			{"ANNEX-IV-6", "changes through the life of the system", "records of each version, and approvals between them"},
			{"ANNEX-XI-2c", "data of general-purpose models: type, provenance, preparation", "the base model's own data steps, or the place where its evidence ends"},
			{"ART-12-1", "events are logged automatically", "deployment records; what the running system logs is outside a chain"},
			{"ART-12-2a", "risks and substantial changes can be found", "the difference between the version deployed and the one before"},
			{"ART-12-2b", "monitoring after placing on the market is possible", "deployment records, with what ran from when to when"},
			{"ART-12-2c", "operation can be monitored", "deployment records by an observer of the running system"},
			{"ART-14-4", "people can oversee it", "approvals by people, and revocation by those who may"},
			{"ART-15-1", "accuracy, robustness and security", "measured values against the policy's limits"},
			{"ART-15-5", "protection from poisoning and tampering", "data and models by digest from signed steps, and scans about them"},
			{"ART-17-1a", "a strategy for compliance, changes included", "the policy, its versions and who signed them"},
			{"ART-17-1d", "examination and test before, during and after", "evaluations by stage of the making"},
			{"ART-17-1f", "data management", "data sets with every step from ingest to training"},
			{"ART-17-1k", "records are kept", "records beside the artifact, and evidence packs"},
			{"ART-17-1m", "who is accountable for what", "principals and `by` lists of the policy"},
			{"ART-18-1", "documents are kept for ten years", "evidence packs that can be judged again offline, with authenticated times"},
			{"ART-20-1", "corrective action", "revocation, what it reaches, and what replaced it"},
			{"ART-25-1", "who changes a system takes on its duties", "whose step made the version that is deployed"},
			{"ART-26-6", "deployers keep logs", "deployment records and their times"},
			{"ART-43-4", "substantial changes are assessed again", "evaluations and approvals about the new bytes: none carries over"},
			{"ART-53-1a", "documentation of general-purpose models", "the evidence pack of the base model"},
			{"ART-72-1", "there is a system for monitoring after placing on the market", "deployment records, and evaluations within their maximum age"},
		},
	}
}

// iso42001: annex A, by the numbers of its controls.
func iso42001() framework {
	return framework{
		prefix: "ISO-42001", name: "ISO/IEC 42001:2023, annex A", whole: true,
		rows: []controlRow{
			{"A.3.2", "roles and responsibilities", "principals and `by` lists of the policy"},
			{"A.4.3", "data resources", "data sets by digest, with role and origin"},
			{"A.4.4", "tooling resources", "harness, environment and code by digest"},
			{"A.4.5", "system and computing resources", "builder and environment in the records"},
			{"A.6.2.3", "design and development are documented", "a signed record for each step of the making"},
			{"A.6.2.4", "verification and validation", "evaluations against the policy's limits"},
			{"A.6.2.5", "deployment", "approvals for the environment, and deployment records"},
			{"A.6.2.6", "operation and monitoring", "deployment records, and evidence within its maximum age"},
			{"A.6.2.7", "technical documentation", "the evidence pack of a version"},
			{"A.6.2.8", "event logs", "signed records in order of time; the running system's own logs are outside a chain"},
			{"A.7.2", "data for development is managed", "data steps of the policy and who may do them"},
			{"A.7.3", "how data was acquired", "ingest records with origin or pin"},
			{"A.7.4", "quality of data", "signed evaluations about data sets"},
			{"A.7.5", "provenance of data", "the chain from training data back to its ingest"},
			{"A.7.6", "preparation of data", "preparation steps with code, inputs and outputs"},
			{"A.8.4", "incidents are told to those concerned", "revocations with reason and incident"},
			{"A.10.3", "suppliers", "what the policy asks of parts from others, and where the evidence ends"},
		},
		also: strings.Fields(`A.2.2 A.2.3 A.2.4 A.3.3 A.4.2 A.4.6 A.5.2 A.5.3 A.5.4 A.5.5 A.6.1.2 A.6.1.3 A.6.2.2 A.8.2 A.8.3 A.8.5 A.9.2 A.9.3 A.9.4 A.10.2 A.10.4`),
	}
}

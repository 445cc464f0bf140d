package policy

import "strings"

// frameworks lists what the table knows, in its order.
func frameworks() []framework {
	return []framework{aiRMF(), csf(), ssdfAI(), aisvs(), llmTop10(), agenticTop10(), aiAct(), iso42001(), slsaLevels(), atlas()}
}

// aiRMF: NIST AI 100-1, the four functions with all their subcategories.
func aiRMF() framework {
	return framework{
		prefix: "NIST-AI-RMF", name: "NIST AI Risk Management Framework 1.0", whole: true,
		rows: []controlRow{
			{"GOVERN-1.4", "risk management runs by open, written rules", "the policy's digest in every verdict and summary: which rules were applied, to the byte"},
			{"GOVERN-1.6", "AI systems are kept in an inventory", "the artifacts that signed records name, each by digest, and what was made from what"},
			{"GOVERN-1.7", "systems are taken out of service in order", "signed revocations and the record of what replaced what"},
			{"GOVERN-2.1", "roles and responsibilities are written down", "principals, `by` lists and thresholds of the policy, and who signed under them"},
			{"GOVERN-4.3", "testing is practised and incidents are shared", "signed evaluations, and revocations that name the incident"},
			{"GOVERN-6.1", "risks from third parties are ruled on", "the origins and pins that the policy demands, and the list of inputs taken on somebody's word"},
			{"GOVERN-6.2", "failures of third-party parts are prepared for", "what descends from a revoked part, and the last version without it"},
			{"MAP-2.3", "test and validation choices are documented", "evaluations with data set and harness by digest, and how the data was prepared"},
			{"MAP-3.5", "human oversight is defined", "approvals by distinct people, of kind human, with what they looked at"},
			{"MAP-4.1", "third-party data and software are mapped", "every input with role and digest, back to where the evidence ends"},
			{"MAP-4.2", "parts of the system are under control", "a closed list of inputs per step: what no line of the policy claims fails"},
			{"MEASURE-1.3", "assessors are independent of developers", "`notBy`: who trained did not evaluate or approve"},
			{"MEASURE-2.1", "test sets, metrics and tools are documented", "evaluation data and harness by digest in every evaluation"},
			{"MEASURE-2.3", "performance is measured for the setting of use", "an evaluation of the very bytes that are judged, with its conditions"},
			{"MEASURE-2.5", "the system is shown to be valid and reliable", "measured values against the policy's limits, on data that training has not seen"},
			{"MEASURE-2.7", "security and resilience are evaluated", "signed scans and red-team results about the artifact"},
			{"MEASURE-2.8", "transparency and accountability risks are looked at", "who signed each step, when, and on what"},
			{"MEASURE-2.9", "the model is explained and documented", "records of training data, base model and parameters, signed by whoever trained"},
			{"MEASURE-2.11", "fairness and bias are evaluated", "metrics and gaps by slice in a signed evaluation"},
			{"MEASURE-2.13", "the measuring itself is evaluated", "harness and data by digest, so that a measurement can be repeated"},
			{"MEASURE-3.1", "risks are tracked over time", "evaluations within their maximum age, and the history of versions"},
			{"MANAGE-1.1", "somebody decides to go on or not", "signed approvals that name the evidence they rest on"},
			{"MANAGE-1.3", "responses to high risks are planned and documented", "conditions of an approval, and the records that discharge them"},
			{"MANAGE-1.4", "remaining risks are documented", "risks that an approval accepts by name"},
			{"MANAGE-2.3", "there is a way to respond and recover", "the last good version, found by its evidence, and the record of the return to it"},
			{"MANAGE-2.4", "systems can be superseded or switched off", "revocation and quarantine, obeyed by the next verdict"},
			{"MANAGE-3.1", "third-party resources are monitored", "revocations of a base model or data set reach everything made from it"},
			{"MANAGE-3.2", "pre-trained models are monitored", "the base model by digest, under a policy of its own or with its pin"},
			{"MANAGE-4.1", "there is monitoring after deployment", "signed deployment records: what runs where, and what ran before"},
			{"MANAGE-4.3", "incidents are tracked and told", "revocations with reason and incident, and what they reach"},
		},
		also: strings.Fields(`GOVERN-1.1 GOVERN-1.2 GOVERN-1.3 GOVERN-1.5 GOVERN-2.2 GOVERN-2.3 GOVERN-3.1 GOVERN-3.2 GOVERN-4.1 GOVERN-4.2
			GOVERN-5.1 GOVERN-5.2 MAP-1.1 MAP-1.2 MAP-1.3 MAP-1.4 MAP-1.5 MAP-1.6 MAP-2.1 MAP-2.2 MAP-3.1 MAP-3.2 MAP-3.3 MAP-3.4 MAP-5.1 MAP-5.2
			MEASURE-1.1 MEASURE-1.2 MEASURE-2.2 MEASURE-2.4 MEASURE-2.6 MEASURE-2.10 MEASURE-2.12 MEASURE-3.2 MEASURE-3.3 MEASURE-4.1 MEASURE-4.2
			MEASURE-4.3 MANAGE-1.2 MANAGE-2.1 MANAGE-2.2 MANAGE-4.2`),
	}
}

// csf: NIST CSWP 29, the core with all its subcategories.
func csf() framework {
	return framework{
		prefix: "NIST-CSF", name: "NIST Cybersecurity Framework 2.0", whole: true,
		rows: []controlRow{
			{"GV.PO-01", "a policy exists and is enforced", "a verdict per release that names the policy by digest, and a gate that obeys it"},
			{"GV.PO-02", "the policy is reviewed and kept current", "the policy's version and expiry, and who signed it"},
			{"GV.RR-02", "roles and authorities are known and enforced", "who signed each step against the `by` list of that step"},
			{"GV.SC-05", "suppliers are given requirements", "what the policy asks of parts from outside: origin, pin, or a policy of their own"},
			{"GV.SC-07", "risks of a supplier are recorded and answered", "the artifacts where the evidence ends, each with the word it was accepted on"},
			{"ID.AM-02", "software and services are inventoried", "models, code and environments by digest, as the records name them"},
			{"ID.AM-07", "data is inventoried, with its metadata", "data sets by digest with origin and preparation"},
			{"ID.AM-08", "assets are managed through their life", "records from ingest to deployment, and revocation at the end"},
			{"ID.RA-07", "changes and exceptions are managed and recorded", "the difference between two versions, and conditions of approvals with their due dates"},
			{"ID.RA-09", "authenticity is checked before use", "signatures and digests verified before training, and before loading"},
			{"PR.AA-01", "identities and credentials are managed", "each principal's credentials in the policy, with the time in which they count"},
			{"PR.AA-05", "least privilege and separation of duties", "`notBy` and thresholds: no one signer both makes and approves"},
			{"PR.DS-01", "data at rest is protected", "content named by digest: a changed byte is another artifact, without evidence"},
			{"PR.DS-10", "data in use is protected", "inputs hashed by the run itself as it reads them"},
			{"PR.PS-01", "configuration is managed", "the configuration in a deployment record, beside the digest of what was loaded"},
			{"PR.PS-05", "unauthorised software does not run", "the gate's verdict on every artifact before it is loaded"},
			{"PR.PS-06", "software is developed securely, and this is monitored", "a signed record for each step of the making"},
			{"DE.CM-09", "what runs is monitored", "what deployment records say against what was approved"},
			{"RS.AN-03", "the cause of an incident is worked out", "the trace from a model back to each input and its signer"},
			{"RS.AN-06", "what was done in an incident is recorded intact", "signed records that cannot be changed unnoticed"},
			{"RS.AN-07", "incident data keeps its integrity and origin", "an evidence pack with digests and signatures, judged again offline"},
			{"RC.RP-03", "what is restored from is checked first", "the verdict on the earlier version, asked again today"},
			{"RC.RP-05", "what was restored is checked", "the deployment record after the return, with the digest that was loaded"},
		},
		also: strings.Fields(`GV.OC-01 GV.OC-02 GV.OC-03 GV.OC-04 GV.OC-05 GV.RM-01 GV.RM-02 GV.RM-03 GV.RM-04 GV.RM-05 GV.RM-06 GV.RM-07
			GV.RR-01 GV.RR-03 GV.RR-04 GV.OV-01 GV.OV-02 GV.OV-03 GV.SC-01 GV.SC-02 GV.SC-03 GV.SC-04 GV.SC-06 GV.SC-08 GV.SC-09 GV.SC-10
			ID.AM-01 ID.AM-03 ID.AM-04 ID.AM-05 ID.RA-01 ID.RA-02 ID.RA-03 ID.RA-04 ID.RA-05 ID.RA-06 ID.RA-08 ID.RA-10 ID.IM-01 ID.IM-02 ID.IM-03 ID.IM-04
			PR.AA-02 PR.AA-03 PR.AA-04 PR.AA-06 PR.AT-01 PR.AT-02 PR.DS-02 PR.DS-11 PR.PS-02 PR.PS-03 PR.PS-04 PR.IR-01 PR.IR-02 PR.IR-03 PR.IR-04
			DE.CM-01 DE.CM-02 DE.CM-03 DE.CM-06 DE.AE-02 DE.AE-03 DE.AE-04 DE.AE-06 DE.AE-07 DE.AE-08 RS.MA-01 RS.MA-02 RS.MA-03 RS.MA-04 RS.MA-05
			RS.AN-08 RS.CO-02 RS.CO-03 RS.MI-01 RS.MI-02 RC.RP-01 RC.RP-02 RC.RP-04 RC.RP-06 RC.CO-03 RC.CO-04`),
	}
}

// ssdfAI: NIST SP 800-218A, which profiles SP 800-218's tasks and adds some.
func ssdfAI() framework {
	return framework{
		prefix: "NIST-800-218A", name: "NIST SP 800-218A, SSDF profile for generative AI", whole: true,
		rows: []controlRow{
			{"PO.5.1", "environments for making models are kept apart", "the builder's identity and environment in each record"},
			{"PO.5.3", "training environments are watched for changes of models", "every change of a model as a signed step; bytes without one have no evidence"},
			{"PS.1.1", "code is protected from change", "code by commit, from an origin that the policy names"},
			{"PS.1.2", "training data is protected from change", "data sets by digest, signed by whoever made them, from ingest on"},
			{"PS.1.3", "weights and configuration are protected from change", "each file of a model by digest, and several people to approve"},
			{"PS.2.1", "a release can be checked for integrity", "signatures over model, parts and documents, checked by whoever receives them"},
			{"PS.3.1", "what belongs to a release is archived", "the records of the whole making, packed and judged again years later"},
			{"PS.3.2", "provenance of all parts is kept and shared", "the chain to data, code and base model, and to what was derived"},
			{"PW.2.1", "the design is reviewed by others", "approvals by people who made none of it"},
			{"PW.3.1", "training and test data are examined before use", "signed evaluations and scans about the data sets"},
			{"PW.3.2", "the origin of data is tracked, or its lack written down", "ingest records with origin or pin; what ends without evidence is listed as such"},
			{"PW.3.3", "adversarial samples are part of the testing", "red-team and poisoning results in signed evaluations"},
			{"PW.4.4", "parts from others are checked before use", "the base model judged by pin, by steps, or by a policy of its own"},
			{"PW.8.2", "tests are run and documented", "evaluations with data, harness, count and result"},
			{"RV.1.1", "reports about released parts are gathered", "revocations that name the part, its reason and the incident"},
			{"RV.2.2", "answers to weaknesses are planned and carried out", "what replaces a revoked part, and what must be made again"},
		},
		also: strings.Fields(`PO.1.1 PO.1.2 PO.1.3 PO.2.1 PO.2.2 PO.2.3 PO.3.1 PO.3.2 PO.3.3 PO.4.1 PO.4.2 PO.5.2 PW.1.1 PW.1.2 PW.1.3 PW.4.1 PW.4.2
			PW.5.1 PW.6.1 PW.6.2 PW.7.1 PW.7.2 PW.8.1 PW.9.1 PW.9.2 RV.1.2 RV.1.3 RV.2.1 RV.3.1 RV.3.2 RV.3.3 RV.3.4`),
	}
}

package config

import (
	"slices"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// The parts of the language: each is a mapping with its own keys.
const (
	partGate      = "gate"
	partMetadata  = "metadata"
	partListen    = "listen"
	partLimits    = "limits"
	partRegistry  = "registry"
	partPolicy    = "policy"
	partRule      = "rule"
	partLine      = "line"
	partExemption = "exemption"
	partKind      = "kind"
	partPlace     = "place"
	partLabels    = "labels"
	partCache     = "cache"
	partRecords   = "records"
	partSigning   = "signing"
)

// partTitle is how messages call a part.
func partTitle(p string) string {
	for _, row := range parts() {
		if row.name == p {
			return row.title
		}
	}
	return p
}

// A partRow is one kind of mapping, and what must hold in it beyond its keys.
type partRow struct {
	name, title, doc string
	more             schema
}

func parts() []partRow {
	needs := func(keys ...string) schema { return schema{"required": keys} }
	either := func(a, b string) []schema { return []schema{needs(a), needs(b)} }
	return []partRow{
		{partGate, "the configuration", "What a deploy gate is told.", nil},
		{partMetadata, "metadata", "What the gate is called.", nil},
		{partListen, "listen", "Where the gate is asked.", schema{"dependentRequired": schema{"certificate": []string{"key"}, "key": []string{"certificate"}, "clientCA": []string{"certificate"}, "clientNames": []string{"clientCA"}}}},
		{partLimits, "limits", "What clients can make the gate do at most.", nil},
		{partRegistry, "registry", "What the gate may ask.", nil},
		{partPolicy, "a policy", "A policy, and whom it is asked under.", schema{"dependentRequired": schema{"trustCache": []string{"trust"}}}},
		{partRule, "a rule", "What holds in some namespaces. The first rule that names a namespace governs it; one that none names is refused.", nil},
		{partLine, "a line", "Who judges references to some repositories. The first line that names one decides.", schema{"allOf": []schema{
			{"oneOf": either("repositories", "uris")},
			{"oneOf": either("policy", "accept")},
		}, "dependentRequired": schema{"accept": []string{"reason"}, "reason": []string{"accept"}, "context": []string{"policy"}, "uris": []string{"accept"}}}},
		{partExemption, "an exemption", "What is let in without a verdict. All its conditions must hold.", schema{"anyOf": []schema{needs("namespaces"), needs("users"), needs("groups"), needs("kinds")}}},
		{partKind, "a kind", "A custom resource that names models.", schema{"anyOf": either("places", "podTemplates")}},
		{partPlace, "a place", "Where references stand in a custom resource.", schema{"oneOf": either("jsonPath", "cel")}},
		{partLabels, "labels", "Who may change which labels of namespaces.", nil},
		{partCache, "cache", "What is remembered, and for how long.", nil},
		{partRecords, "records", "How admissions are recorded.", nil},
		{partSigning, "signing", "Who signs records: the flags of the command line, by name.", nil},
	}
}

// A keyRow is what one key means, what its value looks like, and whether it must be
// there. Reader and schema both know the keys from here.
type keyRow struct {
	part, key string
	required  bool
	form      func() schema
	doc       string
}

func keysOf(part string) []string {
	var out []string
	for _, row := range keyTable() {
		if row.part == part {
			out = append(out, row.key)
		}
	}
	return out
}

// The words of keys that take one of a few, the default first.
func modeWords() []string {
	return []string{gate.Enforce.String(), gate.Warn.String(), gate.Audit.String()}
}

const unrecognisedReport = "report"

func unrecognisedWords() []string { return []string{"refuse", unrecognisedReport} }
func fullWords() []string         { return []string{"refuse", "drop"} }

// keyTable lists every key of every part.
func keyTable() []keyRow {
	return slices.Concat(fileKeys(), servingKeys(), ruleKeys(), objectKeys(), recordKeys())
}

func fileKeys() []keyRow {
	return []keyRow{
		{partGate, "apiVersion", true, constant(apiVersion), "The version of the language."},
		{partGate, "kind", true, constant(kindGate), "What the file is."},
		{partGate, "metadata", true, one(partMetadata), "What the gate is called."},
		{partGate, "cluster", false, texting(clusterName), "The cluster's name, in records and reports."},
		{partGate, "listen", true, one(partListen), "Where the gate is asked."},
		{partGate, "limits", false, one(partLimits), "What clients can make the gate do at most."},
		{partGate, "registry", true, one(partRegistry), "What the gate may ask."},
		{partGate, "policies", true, listOf(one(partPolicy)), "The policies that judge."},
		{partGate, "rules", false, listOf(one(partRule)), "Which policy judges what, by namespace. Without rules only POST /v1/verify answers, and admission refuses everything."},
		{partGate, "exempt", false, listOf(one(partExemption)), "What is let in without a verdict."},
		{partGate, "kinds", false, listOf(one(partKind)), "Custom resources that name models, beside those known by default."},
		{partGate, "labels", false, one(partLabels), "Who may change which labels of namespaces."},
		{partGate, "cache", false, one(partCache), "What is remembered, and for how long."},
		{partGate, "state", false, text, "The folder in which versions and sequence numbers are remembered, as with pedigree verify --state."},
		{partGate, "records", false, one(partRecords), "How admissions are recorded. Without it nothing is."},
		{partMetadata, "name", true, texting(ruleName), "What the gate calls itself in records and logs."},
	}
}

func servingKeys() []keyRow {
	return []keyRow{
		{partListen, "address", true, text, "HOST:PORT of the service; :8443 for all interfaces."},
		{partListen, "metrics", false, text, "HOST:PORT of /metrics, plain HTTP; without it there are none."},
		{partListen, "certificate", false, text, "The PEM file with the gate's certificate, read again when it changes. Without it the gate speaks plain HTTP, and only on loopback."},
		{partListen, "key", false, text, "The PEM file with the certificate's key."},
		{partListen, "clientCA", false, text, "PEM certificates: only clients that one of them vouches for are heard."},
		{partListen, "clientNames", false, listOf(texting(certificateName)), "The names that a client's certificate may have; without it any."},
		{partListen, "drain", false, lasting(drainSpan), "How long the gate goes on answering after it was told to stop, not ready any more."},
		{partLimits, "deadline", false, lasting(deadlineSpan), "How long one question may take; less than the webhook's timeoutSeconds."},
		{partLimits, "body", false, number(bodyBound), "Bytes of a request's body."},
		{partLimits, "concurrent", false, number(concurrentBound), "Questions that are worked on at once."},
		{partLimits, "waiting", false, number(waitingBound), "Questions that wait for their turn; more are refused at once."},
		{partLimits, "perTenant", false, number(bound{1, waitingBound.most, 0}), "Of those that wait, those of one namespace or client; default a quarter."},
		{partLimits, "references", false, number(referencesBound), "References in one object."},
		{partLimits, "connections", false, number(connectionBound), "Open connections."},
		{partRegistry, "repositories", true, listOf(text), "What may be asked for artifacts: HOST/REPOSITORY, HOST/PATH/* (one level), HOST/PATH/** (all below), ocidir://FOLDER."},
		{partRegistry, "jobs", false, number(jobsBound), "Requests at once to one registry."},
		{partPolicy, "name", true, texting(ruleName), "What rules and questions call the policy."},
		{partPolicy, "policy", true, text, "The policy: a file, or a reference to a signed one."},
		{partPolicy, "roots", false, text, "The file of root keys that must have signed the policy, as with --policy-roots."},
		{partPolicy, "trust", false, text, "The file that says who vouches for identities and times, as with --trust."},
		{partPolicy, "trustCache", false, text, "The folder in which trusted roots fetched by TUF are kept, as with --trust-cache."},
		{partPolicy, "evidence", false, listOf(text), "Further repositories to look for evidence in, as with --evidence."},
		{partPolicy, "refresh", false, lasting(refreshSpan), "How often a policy by reference, and what a trust file fetches, are looked at again."},
		{partCache, "allow", false, lasting(allowSpan), "The longest that an ALLOW is remembered. It never outlives what it rests on."},
		{partCache, "deny", false, lasting(denySpan), "The longest that a DENY or UNDECIDED is remembered."},
		{partCache, "entries", false, number(entriesBound), "Answers that are remembered."},
		{partCache, "bytes", false, number(bytesBound), "Bytes that they may take."},
	}
}

func ruleKeys() []keyRow {
	return []keyRow{
		{partRule, "name", true, texting(ruleName), "What answers and logs call the rule."},
		{partRule, "namespaces", true, listOf(texting(namespaceForm)), "Names of namespaces, in which * stands for any characters."},
		{partRule, "mode", false, words(modeWords), "What is done with what is refused: enforce refuses it, warn lets it in with a warning, audit lets it in and logs it."},
		{partRule, "artifacts", true, listOf(one(partLine)), "Who judges what. The first line that names a repository decides."},
		{partRule, "unrecognised", false, words(unrecognisedWords), "What is done with references that no line names, and with what cannot be read: refuse, or report and let in."},
		{partRule, "pin", false, boolean, "Replace tags by the digest that was judged (POST /mutate). Without it a tag is refused where something is run from it."},
		{partRule, "environments", false, listOf(texting(variableForm)), "Environment variables that hold references."},
		{partRule, "annotations", false, listOf(texting(annotationForm)), "Annotations that hold references."},
		{partRule, "environment", false, texting(clusterName), "What deployment records call where this runs; without it nothing is recorded."},
		{partLine, "repositories", false, listOf(text), "Patterns of repositories, as in registry.repositories."},
		{partLine, "uris", false, listOf(texting(uriForm)), "Beginnings of URIs that are no references to a registry, like s3://acme-models/. They have no digest, and can only be accepted."},
		{partLine, "policy", false, texting(ruleName), "The policy that judges."},
		{partLine, "context", false, texting(ruleName), "The policy's context that is asked about."},
		{partLine, "accept", false, func() schema { return schema{"const": true} }, "Let it in without a verdict."},
		{partLine, "reason", false, text, "Why."},
	}
}

func objectKeys() []keyRow {
	return []keyRow{
		{partExemption, "namespaces", false, listOf(texting(namespaceForm)), "Names of namespaces, in which * stands for any characters."},
		{partExemption, "users", false, listOf(texting(whoForm)), "Users, like system:serviceaccount:NAMESPACE:NAME."},
		{partExemption, "groups", false, listOf(texting(whoForm)), "Groups of users."},
		{partExemption, "kinds", false, listOf(texting(groupKindForm)), "GROUP/KIND; /Pod in the core group."},
		{partExemption, "reason", true, text, "Why."},
		{partKind, "group", true, texting(groupForm), "The API group."},
		{partKind, "kind", true, texting(kindForm), "The kind."},
		{partKind, "versions", false, listOf(texting(versionForm)), "Its versions; without it all."},
		{partKind, "places", false, listOf(one(partPlace)), "Where references stand."},
		{partKind, "podTemplates", false, listOf(texting(jsonPathForm)), "JSONPaths of pod templates, which are looked at as pods are."},
		{partPlace, "name", true, texting(ruleName), "What answers call the place."},
		{partPlace, "jsonPath", false, texting(jsonPathForm), "A JSONPath (RFC 9535) of the texts; they can be pinned."},
		{partPlace, "cel", false, text, "A CEL expression over object that gives a text or a list of texts; they cannot be pinned."},
		{partLabels, "labels", true, listOf(texting(labelForm)), "Keys of labels: NAME, PREFIX/NAME or PREFIX/*."},
		{partLabels, "users", false, listOf(texting(whoForm)), "Users who may change them."},
		{partLabels, "groups", false, listOf(texting(whoForm)), "Groups whose users may."},
	}
}

func recordKeys() []keyRow {
	rows := []keyRow{
		{partRecords, "queue", true, text, "The folder in which records wait to be attached."},
		{partRecords, "limit", false, number(recordsBound), "Records that may wait."},
		{partRecords, "full", false, words(fullWords), "What is done with admissions when the queue is full: refuse them, or drop their records."},
		{partRecords, "signing", true, one(partSigning), "Who signs."},
	}
	for _, s := range []struct{ key, doc string }{
		{"key", "A private key: a file, pkcs11:…, or NAME://… of a key service."},
		{"identity-token", "The identity in a token: a file, env, or kubernetes."},
		{"spiffe", "A workload's X.509-SVID: a socket, env, or a folder."},
		{"signing-config", "Which services to use: a Sigstore signing config."},
		{"fulcio", "The certificate authority that knows the token's issuer: a URL."},
		{"rekor", "A transparency log: a URL."},
		{"timestamp", "A timestamp authority: a URL."},
		{"oidc-client-id", "Whom tokens are made out to."},
		{"trust", "Verify what was signed by this trust file, before it is attached."},
	} {
		rows = append(rows, keyRow{partSigning, s.key, false, text, s.doc})
	}
	return rows
}

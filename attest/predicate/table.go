package predicate

import "sync"

// Table returns the field table of a predicate type, and whether it has one. The
// table is the caller's own copy.
func Table(predicateType string) ([]Field, bool) {
	switch predicateType {
	case TypeProvenance:
		return provenanceTable(), true
	case TypeVSA:
		return vsaTable(), true
	case TypeEvaluation:
		return evaluationTable(), true
	case TypeApproval:
		return approvalTable(), true
	case TypeRevocation:
		return revocationTable(), true
	case TypeStatus:
		return statusTable(), true
	case TypeDenylist:
		return denylistTable(), true
	case TypeDeployment:
		return deploymentTable(), true
	case TypeAccess:
		return accessTable(), true
	case TypePreregistration:
		return preregistrationTable(), true
	case TypeOMS:
		return omsTable(), true
	}
	return nil, false
}

// tables are the tables of all types, prepared for reading: made once, and never
// changed.
var tables = sync.OnceValue(func() map[string]*Field {
	out := map[string]*Field{}
	for _, n := range names() {
		if fields, ok := Table(n.uri); ok {
			f := &Field{Kind: Struct, Fields: fields, Closed: constrains(n.uri)}
			f.prepare()
			out[n.uri] = f
		}
	}
	return out
})

// prepare notes the plain spellings of a table's names.
func (f *Field) prepare() {
	f.spellings = make(map[string]string, len(f.Fields))
	for i := range f.Fields {
		f.spellings[plainKey(f.Fields[i].Name)] = f.Fields[i].Name
		f.Fields[i].prepare()
	}
	if f.Elem != nil {
		f.Elem.prepare()
	}
}

// claimedAt returns the way to the field that says when it happened, of a type
// that has such a field, and nil for the rest.
func claimedAt(predicateType string) []string {
	switch predicateType {
	case TypeProvenance:
		return []string{"runDetails", "metadata", "finishedOn"}
	case TypeVSA:
		return []string{"timeVerified"}
	case TypeEvaluation:
		return []string{"evaluatedAt"}
	case TypeApproval:
		return []string{"approvedAt"}
	case TypeRevocation, TypeStatus, TypeDenylist:
		return []string{"issuedAt"}
	case TypeDeployment:
		return []string{"deployedAt"}
	case TypeAccess:
		return []string{"grantedAt"}
	case TypePreregistration:
		return []string{"registeredAt"}
	}
	return nil
}

// constrains reports whether everything that a type's predicate says gives or
// limits something, so that a field which nobody here knows is refused: a grant
// with a limit that is ignored would be a wider grant.
func constrains(predicateType string) bool { return predicateType == TypeAccess }

// HasTime reports whether predicates of a type can say when what they claim
// happened, that is, whether Facts.Claimed can be other than zero. Types without
// a table cannot, and of those with one, OMS signatures cannot. A single predicate
// may still leave the field out where the table allows it.
func HasTime(predicateType string) bool { return claimedAt(predicateType) != nil }

// names lists the types under the names that command lines use.
func names() []struct{ short, uri string } {
	return []struct{ short, uri string }{
		{"provenance", TypeProvenance},
		{"evaluation", TypeEvaluation},
		{"approval", TypeApproval},
		{"vsa", TypeVSA},
		{"revocation", TypeRevocation},
		{"status", TypeStatus},
		{"denylist", TypeDenylist},
		{"deployment", TypeDeployment},
		{"access", TypeAccess},
		{"preregistration", TypePreregistration},
		{"test-result", "https://in-toto.io/attestation/test-result/v0.1"},
		{"scai", "https://in-toto.io/attestation/scai/v0.3"},
		{"vulns", "https://in-toto.io/attestation/vulns/v0.2"},
		{"link", "https://in-toto.io/attestation/link/v0.3"},
		{"cyclonedx", "https://cyclonedx.org/bom"},
		{"spdx", "https://spdx.dev/Document/v3"},
		{"oms", TypeOMS},
	}
}

// Name returns the short name of a predicate type, as TypeByName reads it, and
// the type itself if it has none.
func Name(predicateType string) string {
	for _, n := range names() {
		if n.uri == predicateType {
			return n.short
		}
	}
	return predicateType
}

// TypeByName returns the predicate type that command lines call s, and whether
// there is one. Full URIs are no names.
func TypeByName(s string) (string, bool) {
	for _, n := range names() {
		if n.short == s {
			return n.uri, true
		}
	}
	return "", false
}

func required(f Field) Field {
	f.Required = true
	return f
}

func text(name, doc string) Field    { return Field{Name: name, Kind: Text, Doc: doc} }
func moment(name, doc string) Field  { return Field{Name: name, Kind: Time, Doc: doc} }
func count(name, doc string) Field   { return Field{Name: name, Kind: Count, Doc: doc} }
func decimal(name, doc string) Field { return Field{Name: name, Kind: Decimal, Doc: doc} }
func digests(name, doc string) Field { return Field{Name: name, Kind: Digests, Doc: doc} }

func object(name, doc string, fields ...Field) Field {
	return Field{Name: name, Kind: Struct, Doc: doc, Fields: fields}
}

func list(name, doc string, elem Field) Field {
	return Field{Name: name, Kind: List, Doc: doc, Elem: &elem}
}

func inputList(name, doc string, elem Field) Field {
	f := list(name, doc, elem)
	f.inputs = true
	return f
}

func mapOf(name, doc string, elem Field) Field {
	return Field{Name: name, Kind: Map, Doc: doc, Elem: &elem}
}

// atMost gives a list or map a bound of its own.
func atMost(n int, f Field) Field {
	f.most = n
	return f
}

func oneOf(f Field, values ...string) Field {
	f.OneOf = values
	return f
}

func closed(f Field) Field {
	f.Closed = true
	return f
}

// annotations is where a resource descriptor has room for what the standard has
// no field for. Known keys are checked when facts are taken from the tree.
func annotations(doc string) Field { return mapOf("annotations", doc, Field{Kind: Any}) }

// resource is an in-toto ResourceDescriptor (attestation specification v1).
func resource(notes string) Field {
	return object("", "",
		text("name", "a name that tells it from the others"),
		text("uri", "where it comes from, in the signer's words"),
		digests("digest", "its digest"),
		text("downloadLocation", "where it was fetched, if that differs"),
		text("mediaType", "its media type"),
		text("content", "its bytes, as base64"),
		annotations(notes))
}

// provenanceTable is SLSA Provenance v1 (slsa.dev/spec/v1.0/provenance).
func provenanceTable() []Field {
	return []Field{
		required(object("buildDefinition", "what was asked for",
			required(text("buildType", "what kind of step this is")),
			required(mapOf("externalParameters", "what whoever started the step chose", Field{Kind: Any})),
			mapOf("internalParameters", "what the platform chose", Field{Kind: Any}),
			inputList("resolvedDependencies", "the inputs",
				resource("`role` (text): what part the input plays; `observed` (boolean, default true): false if the signer did not hash it")))),
		required(object("runDetails", "what happened",
			required(object("builder", "who ran the step",
				required(text("id", "the builder's URI")),
				mapOf("version", "versions of the builder's parts", Field{Kind: Text}),
				list("builderDependencies", "what the builder itself is made of", Field{Kind: Any}))),
			object("metadata", "about this run",
				text("invocationId", "names the run; all its statements share it"),
				moment("startedOn", "when it began"),
				moment("finishedOn", "when it ended: the claimed time")),
			list("byproducts", "all outputs of the run by name", resource("free")))),
	}
}

func metric() Field {
	return object("", "",
		required(decimal("value", "what was measured")),
		count("n", "over how many examples"),
		object("interval", "a confidence interval",
			required(decimal("low", "its lower end")),
			required(decimal("high", "its upper end, not below the lower")),
			required(decimal("level", "its level, above 0 and below 1"))),
		text("unit", "the unit; none for a ratio"))
}

func evaluationTable() []Field {
	return []Field{
		required(text("kind", "what was looked for: `quality`, `bias`, `redteam`, …")),
		required(moment("evaluatedAt", "when: the claimed time")),
		object("evaluator", "who or what measured", required(text("id", "a URI or name"))),
		required(object("suite", "what was run",
			required(text("name", "its name")),
			text("version", "its version"))),
		required(mapOf("metrics", "the observed metrics by name", metric())),
		mapOf("slices", "by the attribute that splits the data", object("", "",
			mapOf("groups", "by the attribute's value", object("", "",
				count("n", "examples in the group"),
				mapOf("metrics", "the group's metrics by name", metric()))),
			mapOf("gaps", "differences between groups by name", metric()))),
		evaluationInputs("what was consumed beside the subject"),
		mapOf("parameters", "settings of the evaluation", Field{Kind: Any}),
	}
}

// evaluationInputs is how our own types list inputs: those of an evaluation, and
// of the plan for one.
func evaluationInputs(doc string) Field {
	return inputList("inputs", doc, object("", "",
		required(text("role", "what part it plays: `evaluation-data`, `harness`, …")),
		text("name", "a name that tells it from the others"),
		text("uri", "where it comes from, in the signer's words"),
		digests("digest", "its digest"),
		annotations("`observed` (boolean, default true): false if the signer did not hash it")))
}

func approvalTable() []Field {
	return []Field{
		required(oneOf(text("decision", "what was decided"), DecisionApproved, DecisionRejected)),
		text("role", "in which role"),
		required(moment("approvedAt", "when: the claimed time")),
		moment("validUntil", "when the decision ends; after `approvedAt`"),
		required(closed(object("scope", "what it extends to",
			required(list("environments", "for which environments; at least one", Field{Kind: Text})),
			list("useCases", "for which uses; missing: not restricted", Field{Kind: Text})))),
		required(list("basis", "the evidence that was seen; empty only for a rejection", object("", "",
			required(digests("payload", "the statement: SHA-256 of its bytes")),
			required(digests("artifact", "the artifact it is attached to")),
			text("predicateType", "its predicate type, for people"),
			text("step", "the policy's name for it, for people")))),
		object("policy", "the policy it was given under",
			text("name", "its name, for people"),
			count("version", "its version, for people"),
			required(digests("digest", "SHA-256 of the resolved policy"))),
		list("conditions", "what has to hold as well", closed(object("", "",
			required(text("id", "a name for it")),
			text("text", "what has to hold"),
			moment("dueBy", "by when")))),
		list("discharges", "conditions of other approvals that are met; only in an approval", closed(object("", "",
			required(digests("payload", "the approval that has the condition: SHA-256 of its statement")),
			required(text("id", "the condition's name there"))))),
		text("comment", "anything else"),
		list("risksAccepted", "known risks taken on", object("", "",
			required(text("id", "a name for it")),
			text("justification", "why it is acceptable"))),
	}
}

// vsaTable is SLSA VSA v1 (slsa.dev/spec/v1.0/verification_summary).
func vsaTable() []Field {
	return []Field{
		required(object("verifier", "who verified",
			required(text("id", "the verifier's URI")),
			mapOf("version", "versions of the verifier's parts", Field{Kind: Text}))),
		moment("timeVerified", "when: the claimed time"),
		required(text("resourceUri", "the URI of what was verified")),
		required(object("policy", "what was asked of it",
			required(text("uri", "the policy's URI")),
			digests("digest", "SHA-256 of the resolved policy"))),
		list("inputAttestations", "every attestation that was used", object("", "",
			text("uri", "where it was found"),
			required(digests("digest", "its digest")))),
		required(oneOf(text("verificationResult", "the answer"), ResultPassed, ResultFailed)),
		required(list("verifiedLevels", "levels that were verified; may be empty", Field{Kind: Text})),
		mapOf("dependencyLevels", "how many dependencies are at each level", Field{Kind: Count}),
		text("slsaVersion", "the SLSA version of the levels"),
	}
}

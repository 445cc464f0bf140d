package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pedigree-ml/pedigree/verify/trust"
)

// Schema returns a JSON Schema (draft 2020-12) of the policy language, with a
// final line feed: for editors, which then complete keys, show what they mean
// and mark mistakes while somebody types. It is made of the lists of keys that
// the strict reader uses.
//
// What Load accepts the schema accepts. Not the reverse: names that nothing
// defines, expressions, steps that nothing reaches and YAML's own pitfalls are
// for Load alone. The error is that of encoding, which does not happen.
func Schema() ([]byte, error) {
	defs := schema{}
	for _, p := range languageParts() {
		if p.name != partPolicy {
			defs[p.name] = p.schema()
		}
	}
	root := languageParts()[0].schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://pedigree-ml.github.io/v1/policy.schema.json"
	root["title"] = "Pedigree policy"
	root["$defs"] = defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // it sorts the keys of maps: the same bytes every time
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return b.Bytes(), nil
}

// A schema is a JSON Schema, or a part of one.
type schema map[string]any

// The parts of the language: each is a mapping with its own keys.
const (
	partPolicy     = "policy"
	partMetadata   = "metadata"
	partLimits     = "limits"
	partPrincipal  = "principal"
	partCredential = "credential"
	partStep       = "step"
	partInput      = "input"
	partRule       = "rule"
	partDeny       = "deny"
	partContext    = "context"
	partStatus     = "status"
	partRevocation = "revocation"
	partOther      = "otherPolicy"
	partSummary    = "summary"
	partFormats    = "formats"
	partAccess     = "access"
	partConditions = "conditions"
	partCompare    = "compare"
	partCarry      = "carriesOver"
)

// A part is one kind of mapping: the keys that the reader knows, and what must
// be there beyond that.
type part struct {
	name string
	doc  string
	keys []string
	more schema
}

// languageParts lists all parts, the whole policy first.
func languageParts() []part {
	needs := func(keys ...string) schema { return schema{"required": keys} }
	hasAny := func(keys ...string) schema {
		var alternatives []schema
		for _, k := range keys {
			alternatives = append(alternatives, needs(k))
		}
		return schema{"anyOf": alternatives}
	}
	return []part{
		{partPolicy, "What a model's chain of signed records must show.", policyKeys, needs("apiVersion", "kind", "metadata", "artifact", "principals", "steps")},
		{partMetadata, "The policy's name, version and end.", metadataKeys, needs("name", "version", "expires")},
		{partLimits, "How far the walk looks. What lies beyond counts as unseen.", limitKeys, schema{}},
		{partPrincipal, "A person, an automated system or a software agent.", principalKeys, needs("kind", "credentials")},
		{partCredential, "What a principal signs with: a key, or an identity that an authority vouches for.", credentialKeys, schema{"oneOf": []schema{
			{"required": []string{"key"}, "not": hasAny(slices.Concat([]string{"issuer", "subject", "subjectPattern", "spiffe", "spiffePattern"}, trust.ClaimNames())...)},
			{"required": []string{"issuer", "subject"}, "not": hasAny("key", "subjectPattern", "spiffe", "spiffePattern")},
			{"required": []string{"issuer", "subjectPattern"}, "not": hasAny("key", "subject", "spiffe", "spiffePattern")},
			{"required": []string{"spiffe"}, "not": hasAny(slices.Concat([]string{"key", "issuer", "subject", "subjectPattern", "spiffePattern"}, trust.ClaimNames())...)},
			{"required": []string{"spiffePattern"}, "not": hasAny(slices.Concat([]string{"key", "issuer", "subject", "subjectPattern", "spiffe"}, trust.ClaimNames())...)},
		}}},
		{partStep, "One row of the pipeline. A step makes an artifact or, with about, says something about one.", stepKeys, schema{
			// With like, what is not written here is copied.
			"if": schema{"not": needs("like")},
			"then": schema{
				"required":          []string{"predicate", "by", "select"},
				"dependentRequired": schema{"vetoBy": []string{"veto"}, "scope": []string{"veto"}, "rebase": []string{"basis"}},
				"dependentSchemas":  schema{"covers": schema{"properties": schema{"select": schema{"const": string(selectAny)}}}},
			},
		}},
		{partInput, "A line that claims inputs of one role. All of its conditions must hold.", inputKeys, schema{
			"anyOf":             []schema{needs("from"), needs("origin"), needs("pin"), needs("policy"), needs("accept")},
			"dependentRequired": schema{"output": []string{"from"}, "sameRun": []string{"from"}, "accept": []string{"reason"}},
			"dependentSchemas":  schema{"minVersion": schema{"anyOf": []schema{needs("from"), needs("policy")}}},
		}},
		{partRule, "An expression that every selected record must satisfy.", ruleKeys, needs("id", "cel", "message")},
		{partDeny, "Artifacts that must not occur anywhere in the ancestry, as a whole or as a file.", denyKeys, schema{
			"if":   needs("list"),
			"then": schema{"required": []string{"by", "maxAge"}, "not": hasAny("artifacts", "reason")},
			"else": schema{"required": []string{"artifacts", "reason"}, "not": hasAny("by", "threshold", "maxAge")},
		}},
		{partContext, "An environment that the policy can be asked about.", contextKeys, needs("require")},
		{partStatus, "Who lists what there is.", statusKeys, needs("by")},
		{partRevocation, "Who may withdraw what.", revocationKeys, needs("by")},
		{partOther, "A policy that judges inputs in the place of this one.", otherKeys, schema{"required": []string{"digest"}, "anyOf": []schema{needs("file"), needs("vsa")}}},
		{partSummary, "Whose verification summary may stand in for evidence.", summaryKeys, needs("by", "verifier", "resource", "maxAge")},
		{partFormats, "What files the judged artifact may consist of.", formatKeys, needs("weights")},
		{partAccess, "What the judged artifact may be granted at most.", accessKeys, needs("by")},
		{partConditions, "How the conditions of an approval are met.", conditionKeys, needs("dischargedBy")},
		{partCompare, "An expression over two pieces of evidence.", compareKeys, needs("id", "with", "cel", "message")},
		{partCarry, "A step over which evidence about the parent carries.", carryKeys, needs("step")},
	}
}

// schema describes a part's mapping. A key without a row in the table of keys is
// allowed, whatever its value: the reader knows it, and the test of the table
// tells that the row is missing.
func (p part) schema() schema {
	properties := schema{}
	for _, key := range p.keys {
		property := schema{}
		if row, ok := keyRowOf(p.name, key); ok {
			property = row.form()
			property["description"] = row.doc
		}
		properties[key] = property
	}
	out := schema{"type": "object", "description": p.doc, "properties": properties, "additionalProperties": false}
	for k, v := range p.more {
		out[k] = v
	}
	return out
}

func keyRowOf(part, key string) (keyRow, bool) {
	for _, r := range keyTable() {
		if r.part == part && r.key == key {
			return r, true
		}
	}
	return keyRow{}, false
}

// Forms of values. Each call makes a new one: a description is added to it.

func text() schema { return schema{"type": "string", "minLength": 1} }

func constant(s string) func() schema { return func() schema { return schema{"const": s} } }

func oneOf(values ...string) func() schema { return func() schema { return schema{"enum": values} } }

func number(least, most int64) func() schema {
	return func() schema { return schema{"type": "integer", "minimum": least, "maximum": most} }
}

func boolean() schema { return schema{"type": "boolean"} }

func name() schema { return schema{"type": "string", "pattern": namePattern.String()} }

func duration() schema { return schema{"type": "string", "pattern": durationPattern.String()} }

// versionText is what parseVersion reads; quotes keep 2.10 from being a number.
func versionText() schema { return schema{"type": "string", "pattern": versionPattern.String()} }

// countsByRole are numbers by role.
func countsByRole() schema {
	return schema{"type": "object", "minProperties": 1, "patternProperties": schema{namePattern.String(): number(1, 1000)()}, "additionalProperties": false}
}

// toolBounds are operations by the name of a tool, which may be anything.
func toolBounds() schema {
	return schema{"type": "object", "additionalProperties": schema{"anyOf": []schema{{"const": anyOperation}, listOf(text, 1)()}}}
}

// secretText is NAME or NAME@STORE.
func secretText() schema { return schema{"type": "string", "pattern": `^[^@]+(@[^@]+)?$`} }

// instant is a time as time.RFC3339 reads it, in UTC; format is an annotation,
// so the pattern is what editors check.
func instant() schema {
	return schema{"type": "string", "format": "date-time", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?Z$`}
}

// digestText is what attest.ParseDigest reads.
func digestText() schema {
	return schema{"type": "string", "pattern": `^(sha256:[0-9a-f]{64}|gitCommit:([0-9a-f]{40}|[0-9a-f]{64}))$`}
}

// plain is printable ASCII without spaces around it: what identities are made of.
func plain() schema {
	return schema{"type": "string", "maxLength": maxIdentity, "pattern": `^[!-~]([ -~]*[!-~])?$`}
}

func issuerText() schema {
	return schema{"type": "string", "maxLength": maxIdentity, "pattern": `^https?://[!-~]+$`}
}

func patternText() schema {
	return schema{"type": "string", "maxLength": maxIdentity, "pattern": `^[ -~]*\*[ -~]*$`}
}

func spiffeText() schema {
	return schema{"type": "string", "maxLength": maxIdentity, "pattern": `^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`}
}

func spiffePatternText() schema {
	return schema{"type": "string", "maxLength": maxIdentity, "pattern": `^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._*-]+)+$`}
}

func refTo(part string) schema { return schema{"$ref": "#/$defs/" + part} }

func one(part string) func() schema { return func() schema { return refTo(part) } }

// oneOrMore allows one value or a list, as the reader does for most lists.
func oneOrMore(item func() schema, least int) func() schema {
	return func() schema {
		return schema{"anyOf": []schema{item(), {"type": "array", "items": item(), "minItems": least}}}
	}
}

func listOf(item func() schema, least int) func() schema {
	return func() schema { return schema{"type": "array", "items": item(), "minItems": least} }
}

// named is a mapping whose keys are the author's own names.
func named(part string, least int) func() schema {
	return func() schema {
		return schema{"type": "object", "minProperties": least, "patternProperties": schema{namePattern.String(): refTo(part)}, "additionalProperties": false}
	}
}

// stepRoleText is STEP.ROLE; a role may hold anything.
func stepRoleText() schema { return schema{"type": "string", "pattern": `^[^.]+\..+`} }

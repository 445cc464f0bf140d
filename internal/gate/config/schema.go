package config

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Schema returns a JSON Schema (draft 2020-12) of the configuration, with a final line
// feed: for editors, which then complete keys and mark mistakes while somebody types. It
// is made of the table of keys that the strict reader uses.
//
// What Load accepts the schema accepts. Not the reverse: names that nothing defines,
// rules that nothing reaches and YAML's own pitfalls are for Load alone. The error is
// that of encoding, which does not happen.
func Schema() ([]byte, error) {
	defs := schema{}
	var root schema
	for _, p := range parts() {
		if p.name == partGate {
			root = p.schema()
			continue
		}
		defs[p.name] = p.schema()
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://pedigree-ml.github.io/v1/gate.schema.json"
	root["title"] = "Pedigree deploy gate"
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

func (p partRow) schema() schema {
	properties := schema{}
	var required []string
	for _, row := range keyTable() {
		if row.part != p.name {
			continue
		}
		property := row.form()
		property["description"] = row.doc
		properties[row.key] = property
		if row.required {
			required = append(required, row.key)
		}
	}
	out := schema{"type": "object", "description": p.doc, "properties": properties, "additionalProperties": false, "minProperties": 1}
	if required != nil {
		out["required"] = required
	}
	for k, v := range p.more {
		out[k] = v
	}
	return out
}

// Forms of values. Each call makes a new one: a description is added to it.

func text() schema { return schema{"type": "string", "minLength": 1, "maxLength": maxText} }

func texting(f form) func() schema {
	return func() schema { return schema{"type": "string", "pattern": f.pattern} }
}

func constant(s string) func() schema { return func() schema { return schema{"const": s} } }

func boolean() schema { return schema{"type": "boolean"} }

func words(list func() []string) func() schema {
	return func() schema { return schema{"enum": list(), "default": list()[0]} }
}

// number gives the default only where it depends on nothing else.
func number(b bound) func() schema {
	return func() schema {
		s := schema{"type": "integer", "minimum": b.least, "maximum": b.most}
		if b.def > 0 {
			s["default"] = b.def
		}
		return s
	}
}

func lasting(s span) func() schema {
	return func() schema {
		return schema{"type": "string", "pattern": durationPattern, "default": short(s.def)}
	}
}

func one(part string) func() schema {
	return func() schema { return schema{"$ref": "#/$defs/" + part} }
}

func listOf(item func() schema) func() schema {
	return func() schema {
		return schema{"type": "array", "items": item(), "minItems": 1, "maxItems": maxList, "uniqueItems": true}
	}
}

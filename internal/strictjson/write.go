package strictjson

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Canonical returns v as JSON in the one form this project hashes: no white
// space, keys in byte order, strings with only the escapes JSON demands, numbers
// as they were written. It is a fixed point: parsing the result and calling
// Canonical again gives the same bytes.
func (v Value) Canonical() []byte { return v.append(nil, true) }

// JSON returns v as JSON without white space, keys in the document's order.
func (v Value) JSON() []byte { return v.append(nil, false) }

// MarshalJSON makes a Value fit into what encoding/json writes.
func (v Value) MarshalJSON() ([]byte, error) { return v.append(nil, false), nil }

// Indent returns v as JSON for people to read, indented by two spaces.
func (v Value) Indent() []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, v.JSON(), "", "  "); err != nil {
		return v.JSON() // unreachable: JSON writes valid JSON
	}
	return out.Bytes()
}

func (v Value) append(b []byte, sorted bool) []byte {
	switch v.kind {
	case Bool:
		if v.truth {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case Number:
		return append(b, v.text...)
	case String:
		return appendString(b, v.text)
	case Array:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.append(b, sorted)
		}
		return append(b, ']')
	case Object:
		return v.appendObject(b, sorted)
	}
	return append(b, "null"...)
}

func (v Value) appendObject(b []byte, sorted bool) []byte {
	ms := v.members
	if sorted {
		ms = slices.SortedFunc(slices.Values(ms), func(a, c Member) int { return strings.Compare(a.Key, c.Key) })
	}
	b = append(b, '{')
	for i, m := range ms {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, m.Key)
		b = append(b, ':')
		b = m.Value.append(b, sorted)
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

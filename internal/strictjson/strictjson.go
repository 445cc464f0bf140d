// Package strictjson reads JSON that has exactly one meaning.
//
// Two readers that disagree about one signed document are two verifiers that
// disagree about one model. Ordinary readers do disagree: of two equal keys one
// takes the last and the other refuses, some match field names without regard
// to case, some repair invalid UTF-8, some round integers. [Parse] accepts only
// documents on which all of them agree, and everything later is read from the
// [Value] it returns, so nobody parses the same bytes a second time.
//
// Refused are: duplicate keys, keys that differ only in case (but see [ParseCased]),
// text after the document, invalid UTF-8, unpaired surrogates, a byte order mark, nesting
// beyond [MaxDepth], and more than [MaxValues] values.
package strictjson

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxDepth is how deep arrays and objects may nest. The deepest honest
	// predicate seen, a CycloneDX bill of materials, nests 14 levels; the parser
	// recurses once per level, so the bound also bounds its stack.
	MaxDepth = 64

	// MaxValues is how many values a document may hold. A Value takes about 100
	// bytes where its text may take two ("0,"), so without this bound 16 MiB of
	// input would become 800 MiB of memory.
	MaxValues = 1 << 18
)

// The three reasons for a refusal; every error of this package wraps one.
var (
	// ErrSyntax: the text is not JSON, or has more than one reading.
	ErrSyntax = errors.New("not strict JSON")
	// ErrDuplicate: one object has a key twice, exactly or but for case.
	ErrDuplicate = errors.New("duplicate key")
	// ErrLimit: the text exceeds a stated bound.
	ErrLimit = errors.New("limit exceeded")
)

// Kind says what a Value is. The zero Kind is Invalid: a Value nobody parsed.
type Kind uint8

// The kinds of JSON values.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind's name as an error message uses it.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// A Value is one parsed JSON value. The zero Value is Invalid and has nothing in it.
type Value struct {
	kind    Kind
	truth   bool
	text    string // of a string: its content; of a number: its literal, unrounded
	items   []Value
	members []Member
}

// A Member is one key of an object, with its value, in the document's order.
type Member struct {
	Key   string
	Value Value
}

// Kind returns what v is.
func (v Value) Kind() Kind { return v.kind }

// Text returns a string's content or a number's literal, and "" for the rest.
func (v Value) Text() string { return v.text }

// Truth returns a boolean's value, and false for the rest.
func (v Value) Truth() bool { return v.truth }

// Items returns an array's elements. The caller must not change them.
func (v Value) Items() []Value { return v.items }

// Members returns an object's members in document order. The caller must not
// change them.
func (v Value) Members() []Member { return v.members }

// Get returns the value of key in an object, and whether it is there.
func (v Value) Get(key string) (Value, bool) {
	for i := range v.members {
		if v.members[i].Key == key {
			return v.members[i].Value, true
		}
	}
	return Value{}, false
}

// Parse reads one JSON document of at most maxBytes bytes. On error the Value is
// the zero Value.
func Parse(b []byte, maxBytes int) (Value, error) { return parse(b, maxBytes, false) }

// ParseCased is Parse for documents whose keys are told apart by case by everybody who
// reads them, as those of Kubernetes objects are: a pod may have labels App and app. Who
// reads such a document later must tell case apart too; encoding/json does not.
func ParseCased(b []byte, maxBytes int) (Value, error) { return parse(b, maxBytes, true) }

func parse(b []byte, maxBytes int, cased bool) (Value, error) {
	if len(b) > maxBytes {
		return Value{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrLimit, len(b), maxBytes)
	}
	p := parser{b: b, cased: cased}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.i != len(b) {
		return Value{}, p.syntax("text after the document")
	}
	return v, nil
}

type parser struct {
	b      []byte
	i      int
	values int
	cased  bool // keys that differ only in case are different keys

	// What belongs to arrays and objects that are not read to their end. Each takes what
	// is its own when it ends, of the right length at once: to grow every one by itself
	// would allocate and copy several times as much.
	items   []Value
	members []Member
}

func (p *parser) syntax(why string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, why, p.i)
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (Value, error) {
	if p.values++; p.values > MaxValues {
		return Value{}, fmt.Errorf("%w: more than %d values", ErrLimit, MaxValues)
	}
	if p.i >= len(p.b) {
		return Value{}, p.syntax("unexpected end")
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	case c == '"':
		s, err := p.str()
		return Value{kind: String, text: s}, err
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return Value{kind: Bool, truth: true}, p.word("true")
	case c == 'f':
		return Value{kind: Bool}, p.word("false")
	case c == 'n':
		return Value{kind: Null}, p.word("null")
	}
	return Value{}, p.syntax("unexpected character")
}

func (p *parser) word(w string) error {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return p.syntax("unexpected character")
	}
	p.i += len(w)
	return nil
}

// open consumes an opening bracket; it reports whether the closing one follows.
func (p *parser) open(closing byte, depth int) (empty bool, err error) {
	if depth > MaxDepth {
		return false, fmt.Errorf("%w: nested deeper than %d levels", ErrLimit, MaxDepth)
	}
	p.i++
	p.space()
	if p.i < len(p.b) && p.b[p.i] == closing {
		p.i++
		return true, nil
	}
	return false, nil
}

// more consumes what follows an element: a comma (true) or the closing bracket.
func (p *parser) more(closing byte) (bool, error) {
	p.space()
	if p.i >= len(p.b) {
		return false, p.syntax("unexpected end")
	}
	switch p.b[p.i] {
	case ',':
		p.i++
		p.space()
		return true, nil
	case closing:
		p.i++
		return false, nil
	}
	return false, p.syntax("unexpected character")
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{kind: Array}
	first := len(p.items)
	empty, err := p.open(']', depth)
	for more := !empty; err == nil && more; {
		var item Value
		if item, err = p.value(depth); err != nil {
			break
		}
		p.items = append(p.items, item)
		more, err = p.more(']')
	}
	if len(p.items) > first {
		v.items = slices.Clone(p.items[first:])
		p.items = p.items[:first]
	}
	return v, err
}

func (p *parser) object(depth int) (Value, error) {
	v := Value{kind: Object}
	first := len(p.members)
	empty, err := p.open('}', depth)
	for more := !empty; err == nil && more; {
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return v, p.syntax("a key is expected")
		}
		var m Member
		if m.Key, err = p.str(); err != nil {
			break
		}
		p.space()
		if p.i >= len(p.b) || p.b[p.i] != ':' {
			return v, p.syntax("a colon is expected")
		}
		p.i++
		p.space()
		if m.Value, err = p.value(depth); err != nil {
			break
		}
		p.members = append(p.members, m)
		more, err = p.more('}')
	}
	if len(p.members) > first {
		v.members = slices.Clone(p.members[first:])
		p.members = p.members[:first]
	}
	switch {
	case err != nil:
	case p.cased:
		err = distinctCased(v.members)
	default:
		err = distinct(v.members)
	}
	return v, err
}

// distinctCased refuses keys that are equal.
func distinctCased(ms []Member) error {
	if len(ms) <= 8 {
		for i := range ms {
			for j := range ms[:i] {
				if ms[i].Key == ms[j].Key {
					return duplicate(ms[j].Key, ms[i].Key)
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(ms))
	for _, m := range ms {
		if _, ok := seen[m.Key]; ok {
			return duplicate(m.Key, m.Key)
		}
		seen[m.Key] = struct{}{}
	}
	return nil
}

// distinct refuses keys that are equal under simple case folding, the comparison
// by which encoding/json matches keys to fields.
func distinct(ms []Member) error {
	if len(ms) <= 8 && !slices.ContainsFunc(ms, func(m Member) bool { return len(m.Key) > 64 }) {
		for i := range ms {
			for j := range ms[:i] {
				if sameFold(ms[i].Key, ms[j].Key) {
					return duplicate(ms[j].Key, ms[i].Key)
				}
			}
		}
		return nil
	}
	seen := make(map[string]string, len(ms))
	for _, m := range ms {
		f := fold(m.Key)
		if first, ok := seen[f]; ok {
			return duplicate(first, m.Key)
		}
		seen[f] = m.Key
	}
	return nil
}

func duplicate(a, b string) error {
	if a == b {
		return fmt.Errorf("%w: %.100q", ErrDuplicate, a)
	}
	return fmt.Errorf("%w: %.100q and %.100q differ only in case", ErrDuplicate, a, b)
}

func sameFold(a, b string) bool {
	if a == b {
		return true
	}
	// ASCII keys of different length can't be equal under folding; others can
	// (the Kelvin sign folds to k), so only the common case is short-cut.
	if ascii(a) && ascii(b) {
		return len(a) == len(b) && strings.EqualFold(a, b)
	}
	return fold(a) == fold(b)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold maps each rune to the smallest rune of its folding orbit. Of ASCII that is
// the upper case, of which the Kelvin sign and the long s have a share.
func fold(s string) string {
	if ascii(s) {
		return strings.ToUpper(s)
	}
	out := make([]rune, 0, len(s))
	for _, r := range s {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		out = append(out, least)
	}
	return string(out)
}

func (p *parser) number() (Value, error) {
	start := p.i
	if p.b[p.i] == '-' {
		p.i++
	}
	switch {
	case p.i < len(p.b) && p.b[p.i] == '0':
		p.i++
	case p.digits() == 0:
		return Value{}, p.syntax("malformed number")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		if p.digits() == 0 {
			return Value{}, p.syntax("malformed number")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return Value{}, p.syntax("malformed number")
		}
	}
	lit := string(p.b[start:p.i])
	// A number no double can hold reads as infinity here and as an error there.
	if _, err := strconv.ParseFloat(lit, 64); err != nil {
		return Value{}, fmt.Errorf("%w: number %.40s out of range at byte %d", ErrSyntax, lit, start)
	}
	return Value{kind: Number, text: lit}, nil
}

func (p *parser) digits() int {
	start := p.i
	for p.i < len(p.b) && '0' <= p.b[p.i] && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

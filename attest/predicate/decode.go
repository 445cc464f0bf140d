package predicate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// Decode reads the predicate of a statement strictly. The zero Facts come with
// every error. A type without a table gives Facts with only Type and Tree set.
//
// The errors, with the field's path in Refusal.About: E_PREDICATE_SCHEMA for a
// field that is missing, of the wrong kind, or contradicts another one;
// E_DIGEST_ALG and E_DIGEST_FORMAT for a digest; E_CHAIN_FANOUT for more inputs
// than MaxInputs, E_LIMIT for other lists and maps; E_PREDICATE_TYPE for a type that is
// one with a table but for case.
func Decode(s *attest.Statement) (Facts, error) {
	return decode(s.PredicateType, s.Predicate)
}

func decode(predicateType string, v strictjson.Value) (Facts, error) {
	table, known := tables()[predicateType]
	if !known {
		if _, has := Table(predicateType); has {
			return Facts{}, attest.Refuse(attest.CodeInternal, "%s has a table that is not listed by name", predicateType)
		}
		return decodeUntyped(predicateType, v)
	}
	if v.Kind() != strictjson.Object {
		return Facts{}, schema(nil, "the predicate is %s, not an object", v.Kind())
	}
	tree, err := readStruct(nil, table, v)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{Type: predicateType, Tree: tree}
	if way := claimedAt(predicateType); way != nil {
		f.Claimed = at[time.Time](tree, way...)
	}
	switch predicateType {
	case TypeProvenance:
		err = f.provenance()
	case TypeEvaluation:
		err = f.evaluation()
	case TypeApproval:
		err = f.approval()
	case TypeRevocation:
		err = f.revocation()
	case TypeStatus:
		err = f.status()
	case TypeDenylist:
		err = f.denylist()
	case TypeDeployment:
		err = f.deployment()
	case TypeAccess:
		err = f.access()
	case TypePreregistration:
		err = f.preregistration()
	case TypeOMS:
		err = f.oms()
	}
	if err != nil {
		return Facts{}, err
	}
	return f, nil
}

// A path is where in a predicate a value stands. It is spelled out only when
// something is wrong there.
type path struct {
	parent *path
	kind   byte // '.' a field, '[' an index, '"' a key
	name   string
	i      int
}

func (p *path) field(name string) *path { return &path{parent: p, kind: '.', name: name} }
func (p *path) index(i int) *path       { return &path{parent: p, kind: '[', i: i} }
func (p *path) key(name string) *path   { return &path{parent: p, kind: '"', name: name} }

func (p *path) String() string { return strings.TrimPrefix(p.text(), ".") }

func (p *path) text() string {
	if p == nil {
		return ""
	}
	before := p.parent.text()
	switch p.kind {
	case '[':
		return before + "[" + strconv.Itoa(p.i) + "]"
	case '"':
		name := p.name
		if len(name) > 100 { // a stranger's text, in a message
			name = name[:100] + "…"
		}
		return before + "[" + strconv.Quote(name) + "]"
	}
	return before + "." + p.name
}

func schema(p *path, format string, args ...any) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodePredicateSchema, About: p.String(), Why: fmt.Sprintf(format, args...)}
}

// readField reads one value of the kind its table row names.
func readField(p *path, f *Field, v strictjson.Value) (any, error) {
	switch f.Kind {
	case Any:
		return readAny(p, v)
	case Text:
		return readText(p, f, v)
	case Bool:
		if v.Kind() != strictjson.Bool {
			return nil, wrongKind(p, f, v)
		}
		return v.Truth(), nil
	case Count:
		n, err := strconv.ParseInt(v.Text(), 10, 64)
		if v.Kind() != strictjson.Number || err != nil || v.Text()[0] == '-' {
			return nil, wrongKind(p, f, v)
		}
		return n, nil
	case Decimal:
		return readDecimal(p, f, v)
	case Time:
		return readTime(p, f, v)
	case Digests:
		return readDigests(p, v)
	case Struct:
		return readStruct(p, f, v)
	case List:
		return readList(p, f, v)
	case Map:
		return readMap(p, f, v)
	}
	return nil, attest.Refuse(attest.CodeInternal, "a table with a field of kind %d", f.Kind)
}

func wrongKind(p *path, f *Field, v strictjson.Value) *attest.Refusal {
	return schema(p, "is %s where %s is needed", v.Kind(), kindHint(f.Kind))
}

func kindHint(k Kind) string {
	switch k {
	case Count:
		return "an integer from 0"
	case Decimal:
		return "a decimal written as a string"
	case Time:
		return "a time written as a string"
	case List:
		return "an array"
	case Struct, Map:
		return "an object"
	case Bool:
		return "true or false"
	}
	return "a string"
}

func readText(p *path, f *Field, v strictjson.Value) (any, error) {
	switch {
	case v.Kind() != strictjson.String:
		return nil, wrongKind(p, f, v)
	case f.Required && v.Text() == "":
		return nil, schema(p, "is required, and empty")
	case f.OneOf != nil && !slices.Contains(f.OneOf, v.Text()):
		return nil, schema(p, "%.40q is none of %s", v.Text(), strings.Join(f.OneOf, ", "))
	}
	return v.Text(), nil
}

func readStruct(p *path, f *Field, v strictjson.Value) (map[string]any, error) {
	if v.Kind() != strictjson.Object {
		return nil, wrongKind(p, f, v)
	}
	if err := f.knows(p, v.Members()); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(f.Fields))
	for i := range f.Fields {
		row := &f.Fields[i]
		// A null says nothing, so it is as if the field were missing; encoding/json
		// and protocol buffers read it so too.
		member, ok := v.Get(row.Name)
		if !ok || member.Kind() == strictjson.Null {
			if row.Required {
				return nil, schema(p.field(row.Name), "is required, and missing")
			}
			continue
		}
		got, err := readField(p.field(row.Name), row, member)
		if err != nil {
			return nil, err
		}
		out[row.Name] = got
	}
	return out, nil
}

// knows refuses keys that the table does not have: all of them if the object
// holds constraints, and otherwise those that are a known one misspelt. A
// misspelt validUntil is an approval without an end.
func (f *Field) knows(p *path, members []strictjson.Member) error {
	for _, m := range members {
		if f.named(m.Key) {
			continue
		}
		if name, ok := f.spellings[plainKey(m.Key)]; ok {
			return schema(p.key(m.Key), "is a second spelling of %s", name)
		}
		if f.Closed {
			return schema(p.key(m.Key), "is an unknown constraint: whoever cannot check it cannot say that it holds")
		}
	}
	return nil
}

func (f *Field) named(key string) bool {
	for i := range f.Fields {
		if f.Fields[i].Name == key {
			return true
		}
	}
	return false
}

func plainKey(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

const (
	// MaxInputs bounds the inputs of one statement, and with them how fast a walk
	// can fan out. It is also sigstore-go's limit of subjects. A data set of more
	// files is packed, and is one input.
	MaxInputs = 1024

	// maxList bounds the lists in a predicate that has a table, but for those whose
	// row has a bound of its own.
	maxList = 4096
)

// within refuses more entries than a list or map may have. A map without a bound
// of its own has the strict reader's, strictjson.MaxValues.
func (f *Field) within(p *path, n int) error {
	most, code := f.most, attest.CodeLimit
	switch {
	case f.inputs:
		most, code = MaxInputs, attest.CodeChainFanout
	case most == 0 && f.Kind == List:
		most = maxList
	}
	if most > 0 && n > most {
		return &attest.Refusal{Code: code, About: p.String(), Why: fmt.Sprintf("%d entries, at most %d are read", n, most)}
	}
	return nil
}

func readList(p *path, f *Field, v strictjson.Value) (any, error) {
	if v.Kind() != strictjson.Array {
		return nil, wrongKind(p, f, v)
	}
	if err := f.within(p, len(v.Items())); err != nil {
		return nil, err
	}
	out := make([]any, len(v.Items()))
	for i, item := range v.Items() {
		got, err := readField(p.index(i), f.Elem, item)
		if err != nil {
			return nil, err
		}
		out[i] = got
	}
	return out, nil
}

func readMap(p *path, f *Field, v strictjson.Value) (any, error) {
	if v.Kind() != strictjson.Object {
		return nil, wrongKind(p, f, v)
	}
	if err := f.within(p, len(v.Members())); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(v.Members()))
	for _, m := range v.Members() {
		got, err := readField(p.key(m.Key), f.Elem, m.Value)
		if err != nil {
			return nil, err
		}
		out[m.Key] = got
	}
	return out, nil
}

// decimalPattern is JSON's number without an exponent. NaN and infinities have
// no spelling, 0x1p-2 neither.
var decimalPattern = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

const (
	// maxSignificant is how many significant digits a double keeps: up to 15, two
	// decimals that differ as text differ as numbers, on every machine.
	maxSignificant = 15
	// maxDecimal bounds the text, so that none rounds to zero or infinity.
	maxDecimal = 64
)

func readDecimal(p *path, f *Field, v strictjson.Value) (any, error) {
	s := v.Text()
	if v.Kind() != strictjson.String {
		return nil, wrongKind(p, f, v)
	}
	if len(s) > maxDecimal || !decimalPattern.MatchString(s) {
		return nil, schema(p, "%.40q is not a decimal like 0.95", s)
	}
	if significant(s) > maxSignificant {
		return nil, schema(p, "%s has more than %d significant digits", s, maxSignificant)
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, schema(p, "%.40q is out of range", s) // unreachable: 64 characters don't reach a double's limits
	}
	return x + 0, nil // minus zero becomes zero
}

// significant counts the digits of a decimal from the first that is not 0.
func significant(s string) int {
	n := 0
	for i := range len(s) {
		if c := s[i]; c >= '1' && c <= '9' || c == '0' && n > 0 {
			n++
		}
	}
	return n
}

// timePattern is RFC 3339 in UTC, in the one spelling that in-toto's Timestamp
// allows. time.Parse alone takes commas and hours of one digit as well.
var timePattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`)

func readTime(p *path, f *Field, v strictjson.Value) (any, error) {
	if v.Kind() != strictjson.String {
		return nil, wrongKind(p, f, v)
	}
	t, err := time.Parse(time.RFC3339Nano, v.Text())
	if err != nil || !timePattern.MatchString(v.Text()) {
		return nil, schema(p, "%.40q is not a time like 2027-01-31T12:00:00Z", v.Text())
	}
	// Go's zero time is in the year 1; nothing signed is older than the epoch.
	if t.Unix() < 0 {
		return nil, schema(p, "%.40q is before 1970", v.Text())
	}
	return t, nil
}

// readDigests reads a digest set. It reaches the tree as in-toto has it.
func readDigests(p *path, v strictjson.Value) (any, error) {
	d, err := attest.ParseDigestSet(v)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.RefusalCode(err), About: p.String(), Why: "digest", Err: err}
	}
	return map[string]any{d.Algorithm(): d.Hex()}, nil
}

package policy

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// The names of the types of the variables `predicate`, `other` and `signer`.
const (
	rootType   = "predicate.Root"
	otherType  = "other.Root"
	signerType = "signer.Signer"
)

// tableTypes shows a predicate type's field table to CEL's type checker, so that
// a misspelt field or a comparison of text with a number does not load.
//
// Only the checker uses these types. At run time a predicate is a map, and a
// missing field is an error: typed protocol buffers would turn it into zero, and
// zero failed tests look like success.
type tableTypes struct {
	*types.Registry
	fields map[string]map[string]*types.Type
}

func newTableTypes() (*tableTypes, error) {
	base, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return &tableTypes{Registry: base, fields: map[string]map[string]*types.Type{}}, nil
}

// variable returns the type of a variable that holds a predicate: of the given
// name if the predicate's type has a table, and otherwise a map of anything.
func (t *tableTypes) variable(name, predicateType string) *types.Type {
	table, ok := predicate.Table(predicateType)
	if !ok {
		return cel.MapType(cel.StringType, cel.DynType)
	}
	t.add(name, table)
	return cel.ObjectType(name)
}

// signer returns the type of the variable that holds who signed.
func (t *tableTypes) signer() *types.Type {
	t.fields[signerType] = map[string]*types.Type{}
	for _, name := range signerFields() {
		t.fields[signerType][name] = cel.StringType
	}
	return cel.ObjectType(signerType)
}

// signerFields are what expressions may ask of a signer.
func signerFields() []string {
	return append([]string{"key", "issuer", "subject"}, trust.ClaimNames()...)
}

// signer is the record's signer as expressions see it: what a certificate does not say
// is missing, and a rule that asks for it fails.
func (r *record) signer() map[string]any {
	m := map[string]any{}
	i, ok := r.id.Credential.Identity()
	if !ok {
		m["key"] = strings.TrimPrefix(r.id.Credential.String(), "key:")
		return m
	}
	m["issuer"], m["subject"] = i.Issuer, i.Subject
	for _, name := range trust.ClaimNames() {
		if v := r.claims.Get(name); v != "" {
			m[name] = v
		}
	}
	return m
}

func (t *tableTypes) add(name string, table []predicate.Field) {
	t.fields[name] = map[string]*types.Type{}
	for i := range table {
		t.fields[name][table[i].Name] = t.typeOf(name+"."+table[i].Name, &table[i])
	}
}

func (t *tableTypes) typeOf(name string, f *predicate.Field) *types.Type {
	switch f.Kind {
	case predicate.Text:
		return cel.StringType
	case predicate.Bool:
		return cel.BoolType
	case predicate.Count:
		return cel.IntType
	case predicate.Decimal:
		return cel.DoubleType
	case predicate.Time:
		return cel.TimestampType
	case predicate.Digests:
		return cel.MapType(cel.StringType, cel.StringType)
	case predicate.Struct:
		t.add(name, f.Fields)
		return cel.ObjectType(name)
	case predicate.List:
		return cel.ListType(t.typeOf(name, f.Elem))
	case predicate.Map:
		return cel.MapType(cel.StringType, t.typeOf(name, f.Elem))
	}
	return cel.DynType
}

// FindStructType implements types.Provider.
func (t *tableTypes) FindStructType(name string) (*types.Type, bool) {
	if _, ok := t.fields[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return t.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider; CEL asks for them only to
// suggest a spelling.
func (t *tableTypes) FindStructFieldNames(name string) ([]string, bool) {
	if _, ok := t.fields[name]; ok {
		return nil, true
	}
	return t.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider. The missing getters make CEL
// read the field from the map that the predicate is.
func (t *tableTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if fields, ok := t.fields[name]; ok {
		ft, ok := fields[field]
		return &types.FieldType{Type: ft}, ok
	}
	return t.Registry.FindStructFieldType(name, field)
}

// NewValue implements types.Provider: expressions cannot make predicates.
func (t *tableTypes) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := t.fields[name]; ok {
		return types.NewErr("%s cannot be constructed", name)
	}
	return t.Registry.NewValue(name, fields)
}

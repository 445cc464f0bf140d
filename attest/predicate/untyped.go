package predicate

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// decodeUntyped reads a predicate of a type that has no table. The types that
// have one are matched exactly; a type that is one of them but for case would
// slip past every rule that names it, so it is refused.
func decodeUntyped(predicateType string, v strictjson.Value) (Facts, error) {
	for _, n := range names() {
		if n.uri != predicateType && strings.EqualFold(n.uri, predicateType) {
			return Facts{}, &attest.Refusal{Code: attest.CodePredicateType, About: predicateType, Why: "differs from " + n.uri + " only in case"}
		}
	}
	f := Facts{Type: predicateType, Tree: map[string]any{}}
	if v.Kind() == strictjson.Invalid || v.Kind() == strictjson.Null {
		return f, nil
	}
	got, err := readAny(nil, v)
	if err != nil {
		return Facts{}, err
	}
	tree, ok := got.(map[string]any)
	if !ok {
		return Facts{}, schema(nil, "the predicate is %s, not an object", v.Kind())
	}
	f.Tree = tree
	return f, nil
}

func readAny(p *path, v strictjson.Value) (any, error) {
	switch v.Kind() {
	case strictjson.Bool:
		return v.Truth(), nil
	case strictjson.String:
		return v.Text(), nil
	case strictjson.Number:
		return readNumber(p, v.Text())
	case strictjson.Array:
		out := make([]any, len(v.Items()))
		for i, item := range v.Items() {
			got, err := readAny(p.index(i), item)
			if err != nil {
				return nil, err
			}
			out[i] = got
		}
		return out, nil
	case strictjson.Object:
		out := make(map[string]any, len(v.Members()))
		for _, m := range v.Members() {
			got, err := readAny(p.key(m.Key), m.Value)
			if err != nil {
				return nil, err
			}
			out[m.Key] = got
		}
		return out, nil
	}
	return nil, nil // null
}

// readNumber reads a number of which no table says what it is. An integer stays
// exact or is refused: 9007199254740993 must not compare equal to …992.
func readNumber(p *path, lit string) (any, error) {
	if n, err := strconv.ParseInt(lit, 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(lit, 64)
	if err != nil {
		return nil, schema(p, "%.40s is out of range", lit) // unreachable: the strict reader refused it
	}
	if strings.ContainsAny(lit, ".eE") {
		return x, nil
	}
	exact, _ := new(big.Int).SetString(lit, 10)
	if got, accuracy := big.NewFloat(x).Int(nil); accuracy != big.Exact || exact == nil || got.Cmp(exact) != 0 {
		return nil, schema(p, "%.40s is an integer that no number here holds exactly", lit)
	}
	return x, nil
}

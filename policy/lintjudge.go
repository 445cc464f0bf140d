package policy

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// A truth is what can be said of an expression without seeing any evidence.
type truth uint8

const (
	depends truth = iota // on the evidence: what an expression is for
	always               // true, or an error
	never                // false, or an error
)

func (t truth) not() truth {
	switch t {
	case always:
		return never
	case never:
		return always
	}
	return depends
}

// judgeExpr says what an expression over predicates of a type is bound to be, if
// the expressions in assume have the values given there.
func judgeExpr(e *expression, predicateType string, assume map[string]types.String) truth {
	p, err := e.parts()
	if err != nil {
		return depends // unreachable: it compiled
	}
	return judge{p, predicateType, assume}.truth(p.tree.Expr())
}

type judge struct {
	*parts
	predicateType string
	assume        map[string]types.String
}

func (j judge) text(e ast.Expr) string {
	s, err := cel.ExprToString(e, j.tree.SourceInfo())
	if err != nil {
		return fmt.Sprintf("#%d", e.ID()) // like nothing else
	}
	return s
}

func (j judge) truth(e ast.Expr) truth {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return known(bool(b))
		}
	case ast.SelectKind:
		if f := j.field(e); e.AsSelect().IsTestOnly() && f != nil && f.Required {
			return always
		}
	case ast.CallKind:
		return j.call(e)
	}
	return depends
}

func known(b bool) truth {
	if b {
		return always
	}
	return never
}

func (j judge) call(e ast.Expr) truth {
	call := e.AsCall()
	args := call.Args()
	switch name := strings.TrimPrefix(call.FunctionName(), "."); name {
	case operators.LogicalAnd:
		a, b := j.truth(args[0]), j.truth(args[1])
		if a == never || b == never || contradict(j.facts(j.conjuncts(e))) {
			return never
		}
		return min(a, b) // always only if both are
	case operators.LogicalOr:
		a, b := j.truth(args[0]), j.truth(args[1])
		switch {
		case a == always || b == always:
			return always
		case a == never && b == never:
			return never
		}
	case operators.LogicalNot:
		return j.truth(args[0]).not()
	case operators.Conditional:
		if a, b := j.truth(args[1]), j.truth(args[2]); a == b {
			return a
		}
	case "matches", "startsWith", "endsWith", "contains":
		pattern := args[len(args)-1]
		if s, ok := literalText(pattern); ok && (name != "matches" && s == "" || name == "matches" && matchesAll(s)) {
			return always
		}
	case operators.In:
		return j.in(args[0], args[1])
	}
	if comparison(call.FunctionName()) {
		return j.compare(call.FunctionName(), args[0], args[1])
	}
	return depends
}

// matchesAll reports whether a pattern matches every text, but for line feeds.
func matchesAll(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || len(re.Sub) != 3 || re.Sub[1].Op != syntax.OpStar {
		return false
	}
	op := re.Sub[1].Sub[0].Op
	return op == syntax.OpAnyChar || op == syntax.OpAnyCharNotNL
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// in judges `x in [constants]` by the values that x can have.
func (j judge) in(x, list ast.Expr) truth {
	if list.Kind() != ast.ListKind {
		return depends
	}
	var values []string
	for _, e := range list.AsList().Elements() {
		s, ok := literalText(e)
		if !ok {
			return depends
		}
		values = append(values, s)
	}
	possible := j.possible(x)
	if len(values) == 0 {
		return never
	}
	if possible == nil {
		return depends
	}
	some := slices.ContainsFunc(possible, func(p string) bool { return slices.Contains(values, p) })
	every := !slices.ContainsFunc(possible, func(p string) bool { return !slices.Contains(values, p) })
	switch {
	case !some:
		return never
	case every:
		return always
	}
	return depends
}

// possible returns the values that an expression can have; nil: any.
func (j judge) possible(x ast.Expr) []string {
	if v, ok := j.assume[j.text(x)]; ok {
		return []string{string(v)}
	}
	if f := j.field(x); f != nil && f.Kind == predicate.Text {
		return f.OneOf
	}
	return nil
}

// mirrored has the operators that ask the same with the sides exchanged.
func mirrored(op string) string {
	switch op {
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	}
	return op
}

func (j judge) compare(op string, a, b ast.Expr) truth {
	if a.Kind() == ast.LiteralKind && b.Kind() == ast.LiteralKind {
		return compareValues(op, a.AsLiteral(), b.AsLiteral())
	}
	if a.Kind() == ast.LiteralKind {
		return j.compare(mirrored(op), b, a)
	}
	if j.text(a) == j.text(b) {
		return known(op == operators.Equals || op == operators.LessEquals || op == operators.GreaterEquals)
	}
	if b.Kind() != ast.LiteralKind {
		return depends
	}
	if s, ok := b.AsLiteral().(types.String); ok {
		return j.compareText(op, a, string(s))
	}
	n, ok := number64(b.AsLiteral())
	if !ok || !j.counted(a) {
		return depends
	}
	switch { // a is 0 or more
	case op == operators.GreaterEquals && n <= 0, op == operators.Greater && n < 0, op == operators.NotEquals && n < 0:
		return always
	case op == operators.LessEquals && n < 0, op == operators.Less && n <= 0, op == operators.Equals && n < 0:
		return never
	}
	return depends
}

func (j judge) compareText(op string, a ast.Expr, s string) truth {
	possible := j.possible(a)
	if possible == nil || op != operators.Equals && op != operators.NotEquals {
		return depends
	}
	t := depends
	switch {
	case !slices.Contains(possible, s):
		t = never
	case len(possible) == 1:
		t = always
	}
	if op == operators.NotEquals {
		return t.not()
	}
	return t
}

func compareValues(op string, a, b ref.Val) truth {
	switch op {
	case operators.Equals:
		return known(a.Equal(b) == types.True)
	case operators.NotEquals:
		return known(a.Equal(b) != types.True)
	}
	c, ok := a.(traits.Comparer)
	if !ok {
		return depends
	}
	order, ok := c.Compare(b).(types.Int)
	if !ok {
		return depends
	}
	switch op {
	case operators.Less:
		return known(order < 0)
	case operators.LessEquals:
		return known(order <= 0)
	case operators.Greater:
		return known(order > 0)
	case operators.GreaterEquals:
		return known(order >= 0)
	}
	return depends
}

func number64(v ref.Val) (float64, bool) {
	switch n := v.(type) {
	case types.Int:
		return float64(n), true
	case types.Uint:
		return float64(n), true
	case types.Double:
		return float64(n), true
	}
	return 0, false
}

// counted reports whether an expression is a number of things: never below zero.
func (j judge) counted(e ast.Expr) bool {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "size" {
		return true
	}
	f := j.field(e)
	return f != nil && f.Kind == predicate.Count
}

// field returns the row of the predicate's table that an expression reads; nil if
// it reads none, or the type has no table.
func (j judge) field(e ast.Expr) *predicate.Field {
	switch e.Kind() {
	case ast.IdentKind:
		if table, ok := predicate.Table(j.predicateType); ok && e.AsIdent() == "predicate" {
			return &predicate.Field{Kind: predicate.Struct, Fields: table}
		}
	case ast.SelectKind:
		of := j.field(e.AsSelect().Operand())
		switch {
		case of == nil:
		case of.Kind == predicate.Map:
			return of.Elem
		case of.Kind == predicate.Struct:
			if i := slices.IndexFunc(of.Fields, func(f predicate.Field) bool { return f.Name == e.AsSelect().FieldName() }); i >= 0 {
				return &of.Fields[i]
			}
		}
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Index {
			if of := j.field(call.Args()[0]); of != nil && (of.Kind == predicate.Map || of.Kind == predicate.List) {
				return of.Elem
			}
		}
	}
	return nil
}

// conjuncts takes `a && b && c` apart.
func (j judge) conjuncts(e ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		return append(j.conjuncts(e.AsCall().Args()[0]), j.conjuncts(e.AsCall().Args()[1])...)
	}
	return []ast.Expr{e}
}

// A fact is that an expression compares with a constant in some way.
type fact struct {
	text  string
	op    string
	value ref.Val
}

func (j judge) facts(conjuncts []ast.Expr) []fact {
	var out []fact
	for _, e := range conjuncts {
		if e.Kind() != ast.CallKind || !comparison(e.AsCall().FunctionName()) || e.AsCall().FunctionName() == operators.In {
			continue
		}
		op, a, b := e.AsCall().FunctionName(), e.AsCall().Args()[0], e.AsCall().Args()[1]
		if a.Kind() == ast.LiteralKind {
			op, a, b = mirrored(op), b, a
		}
		if b.Kind() == ast.LiteralKind {
			out = append(out, fact{j.text(a), op, b.AsLiteral()})
		}
	}
	return out
}

// contradict reports whether two of the facts cannot both be.
func contradict(facts []fact) bool {
	for i, f := range facts {
		for _, g := range facts[:i] {
			if f.text == g.text && (f.excludes(g) || g.excludes(f)) {
				return true
			}
		}
	}
	return false
}

// excludes reports whether f leaves no value for g, both about one expression.
func (f fact) excludes(g fact) bool {
	switch f.op {
	case operators.Equals: // then g is about a known value
		return compareValues(g.op, f.value, g.value) == never
	case operators.Less: // below f: none is above g, if f is not above it
		return (g.op == operators.Greater || g.op == operators.GreaterEquals) && compareValues(operators.LessEquals, f.value, g.value) == always
	case operators.LessEquals:
		return g.op == operators.GreaterEquals && compareValues(operators.Less, f.value, g.value) == always ||
			g.op == operators.Greater && compareValues(operators.LessEquals, f.value, g.value) == always
	}
	return false
}

func comparison(op string) bool {
	switch op {
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Equals, operators.NotEquals, operators.In:
		return true
	}
	return false
}

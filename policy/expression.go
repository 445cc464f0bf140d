package policy

import (
	"errors"
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/pedigree-ml/pedigree/attest"
)

// An expression is a CEL expression over the variables `predicate`, `signer` and
// `context`, in comparisons also `other`, that yields a boolean.
//
// CEL is made to answer whenever it can: `missing || true` is true, `all` over
// nothing is true, and a guard turns a missing field into a pass. A policy wants
// the opposite, so expressions are strict: every operand of &&, || and ?: is
// evaluated and an error in any of them is the result; `all` over nothing is
// false; has() may not be negated; patterns must match whole strings; what is no
// finite number is an error, because "not above" is true of NaN.
type expression struct {
	source  string
	program cel.Program
	parts   func() (*parts, error) // made once, when values are first asked for
	cost    uint64
}

// maxExpression bounds an expression's text; the longest in the templates has
// about 200 characters.
const maxExpression = 8 << 10

// A compiler compiles expressions. It keeps one environment for each predicate
// type, since making one costs more than compiling an expression.
type compiler struct {
	base *cel.Env
	envs map[[2]string]*cel.Env // by the types of predicate and other
	cost uint64
}

// The strict forms of CEL's lazy operators, and of those that make NaN and
// infinities of numbers and texts that are neither.
const (
	strictAnd    = "strictAnd"
	strictOr     = "strictOr"
	strictIf     = "strictIf"
	strictDivide = "strictDivide"
	strictDouble = "strictDouble"
)

// finite returns a value, or an error if it is a number that is none.
func finite(v ref.Val) ref.Val {
	if d, ok := v.(types.Double); ok && (math.IsNaN(float64(d)) || math.IsInf(float64(d), 0)) {
		return types.NewErr("not a finite number")
	}
	return v
}

// quotient is one overload of the strict division.
func quotient(name string, t *cel.Type) cel.FunctionOpt {
	return cel.Overload(strictDivide+name, []*cel.Type{t, t}, t, cel.BinaryBinding(func(a, b ref.Val) ref.Val {
		d, ok := a.(traits.Divider)
		if !ok {
			return types.NewErr("/ takes numbers")
		}
		return finite(d.Divide(b))
	}))
}

func newCompiler(cost uint64) (*compiler, error) {
	t := cel.TypeParamType("T")
	logic := func(name string, op func(a, b bool) bool) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_bool_bool", []*cel.Type{cel.BoolType, cel.BoolType}, cel.BoolType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				x, ok1 := a.(types.Bool)
				y, ok2 := b.(types.Bool)
				if !ok1 || !ok2 {
					return types.NewErr("&& and || take booleans")
				}
				return types.Bool(op(bool(x), bool(y)))
			})))
	}
	base, err := cel.NewEnv(
		cel.ClearMacros(),
		cel.Macros(cel.HasMacro, cel.MapMacro, cel.MapFilterMacro, cel.FilterMacro, cel.ExistsOneMacro,
			cel.ReceiverMacro("all", 2, strictAll), cel.ReceiverMacro("exists", 2, strictExists)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // so that all() and has() can be shown as they were written
		cel.Function(strictDivide, quotient("_int", cel.IntType), quotient("_uint", cel.UintType), quotient("_double", cel.DoubleType)),
		cel.Function(strictDouble, cel.Overload(strictDouble+"_dyn", []*cel.Type{cel.DynType}, cel.DoubleType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return finite(v.ConvertToType(types.DoubleType)) }))),
		logic(strictAnd, func(a, b bool) bool { return a && b }),
		logic(strictOr, func(a, b bool) bool { return a || b }),
		cel.Function(strictIf, cel.Overload(strictIf+"_bool_t_t", []*cel.Type{cel.BoolType, t, t}, t,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				if cond, ok := args[0].(types.Bool); !ok {
					return types.NewErr("?: takes a boolean")
				} else if cond {
					return args[1]
				}
				return args[2]
			}))),
	)
	if err != nil {
		return nil, fmt.Errorf("building the expression language: %w", err)
	}
	return &compiler{base: base, envs: map[[2]string]*cel.Env{}, cost: cost}, nil
}

// strictAll expands l.all(x, p) to a loop over l that ends at 1 if there are
// elements and all satisfy p, and at 0 for no elements. An error in any of them
// stays: the loop's operators are strict.
func strictAll(h cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	// 0: nothing so far, 1: all so far, 2: not all
	failed := h.NewCall(operators.Equals, h.NewAccuIdent(), h.NewLiteral(types.Int(2)))
	kept := h.NewCall(operators.Conditional, failed, h.NewLiteral(types.Int(2)), h.NewLiteral(types.Int(1)))
	return strictLoop(h, target, args, h.NewCall(operators.Conditional, args[1], kept, h.NewLiteral(types.Int(2))))
}

// strictExists expands l.exists(x, p) to "some element satisfies p, and p can be
// evaluated for every one".
func strictExists(h cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	return strictLoop(h, target, args, h.NewCall(operators.Conditional, args[1], h.NewLiteral(types.Int(1)), h.NewAccuIdent()))
}

func strictLoop(h cel.MacroExprFactory, target ast.Expr, args []ast.Expr, step ast.Expr) (ast.Expr, *common.Error) {
	if args[0].Kind() != ast.IdentKind || args[0].AsIdent() == h.AccuIdentName() {
		return nil, h.NewError(args[0].ID(), "argument must be a simple name")
	}
	return h.NewComprehension(target, args[0].AsIdent(), h.AccuIdentName(), h.NewLiteral(types.Int(0)), h.NewLiteral(types.True), step,
		h.NewCall(operators.Equals, h.NewAccuIdent(), h.NewLiteral(types.Int(1)))), nil
}

// compile checks a source text against a predicate type's table. A type without
// a table is untyped: its fields are checked when they are read.
func (c *compiler) compile(source, predicateType string) (*expression, error) {
	return c.compileOver(source, predicateType, noOther)
}

// compileOver is compile for a comparison with evidence of another type.
func (c *compiler) compileOver(source, predicateType, otherType string) (*expression, error) {
	if len(source) > maxExpression {
		return nil, fmt.Errorf("%d characters, at most %d are read", len(source), maxExpression)
	}
	env, err := c.env(predicateType, otherType)
	if err != nil {
		return nil, err
	}
	parsed, iss := env.Parse(source)
	if iss.Err() != nil {
		return nil, oneLine(iss.Err())
	}
	if err := lint(parsed.NativeRep().Expr()); err != nil {
		return nil, err
	}
	makeStrict(parsed.NativeRep().Expr())
	checked, iss := env.Check(parsed)
	if iss.Err() != nil {
		return nil, oneLine(iss.Err())
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("yields %s, not a boolean", checked.OutputType())
	}
	program, err := env.Program(checked, cel.CostLimit(c.cost))
	if err != nil {
		return nil, oneLine(err)
	}
	return &expression{
		source: source, program: program, cost: c.cost,
		parts: sync.OnceValues(func() (*parts, error) { return newParts(env, source, c.cost) }),
	}, nil
}

// oneLine keeps a compiler's message on one line; CEL draws the source below it.
func oneLine(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(strings.TrimPrefix(first, "ERROR: "))
}

// noOther is the type of `other` where there is no such variable.
const noOther = "\x00"

func (c *compiler) env(predicateType, other string) (*cel.Env, error) {
	key := [2]string{predicateType, other}
	if env, ok := c.envs[key]; ok {
		return env, nil
	}
	provider, err := newTableTypes()
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{cel.CustomTypeProvider(provider), cel.Variable("context", cel.StringType), cel.Variable("predicate", provider.variable(rootType, predicateType)), cel.Variable("signer", provider.signer())}
	if other != noOther {
		opts = append(opts, cel.Variable("other", provider.variable(otherType, other)))
	}
	env, err := c.base.Extend(opts...)
	if err != nil {
		return nil, fmt.Errorf("the types of %s: %w", predicateType, err)
	}
	c.envs[key] = env
	return env, nil
}

// makeStrict replaces the lazy operators, also inside what macros expanded to.
func makeStrict(e ast.Expr) {
	f := ast.NewExprFactory()
	strict := map[string]string{operators.LogicalAnd: strictAnd, operators.LogicalOr: strictOr, operators.Conditional: strictIf,
		operators.Divide: strictDivide, "double": strictDouble}
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		if name := strict[e.AsCall().FunctionName()]; name != "" {
			e.SetKindCase(f.NewCall(e.ID(), name, e.AsCall().Args()...))
		}
	}))
}

// lint refuses patterns of expressions that say yes by accident.
func lint(e ast.Expr) error {
	var found error
	loops := map[int64]bool{} // the steps of macros' loops, which are ?: too
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			loops[e.AsComprehension().LoopStep().ID()] = true
		}
	}))
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if found != nil || e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		switch name := strings.TrimPrefix(call.FunctionName(), "."); {
		case name == "matches":
			found = wholePattern(call)
		case name == operators.LogicalAnd || name == operators.LogicalOr || loops[e.ID()]:
		case slices.ContainsFunc(call.Args(), asksHas):
			found = errors.New("has(…) under !, ?: or a comparison lets a missing field pass; ask for the field instead")
		}
	}))
	return found
}

// asksHas reports whether has() occurs in an expression.
func asksHas(e ast.Expr) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly()
	}))
	return found
}

// wholePattern requires a constant pattern that can only match a whole string:
// CEL, like Go, is content with a match anywhere.
func wholePattern(call ast.CallExpr) error {
	args := call.Args()
	pattern := args[len(args)-1]
	if pattern.Kind() != ast.LiteralKind {
		return errors.New("matches() needs a constant pattern")
	}
	s, ok := pattern.AsLiteral().(types.String)
	if !ok {
		return errors.New("matches() needs a text as pattern")
	}
	re, err := syntax.Parse(string(s), syntax.Perl)
	if err != nil {
		return fmt.Errorf("matches(): %w", err)
	}
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText || re.Sub[len(re.Sub)-1].Op != syntax.OpEndText || re.Sub[len(re.Sub)-1].Flags&syntax.WasDollar == 0 {
		return fmt.Errorf("matches(%q) does not match whole strings; write ^(?:…)$", string(s))
	}
	return nil
}

// A scene is what the variables of an expression stand for.
type scene struct {
	predicate map[string]any
	signer    map[string]any
	other     map[string]any // nil outside of comparisons
	context   string
}

func (s scene) variables() map[string]any {
	v := map[string]any{"predicate": s.predicate, "signer": s.signer, "context": s.context}
	if s.other != nil {
		v["other"] = s.other
	}
	return v
}

// eval returns Pass or Fail for what the expression says. An error in any part
// of it is Fail with E_POLICY_EVAL; more work than the limit is Unknown with
// E_POLICY_COST, because it is not the evidence that said no.
func (e *expression) eval(s scene) (Status, *Reason) {
	out, _, err := e.program.Eval(s.variables())
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled):
		return Unknown, &Reason{Code: attest.CodePolicyCost, Why: fmt.Sprintf("the expression costs more than %d", e.cost), Next: "simplify it, or raise limits.celCost"}
	case err != nil:
		return Fail, &Reason{Code: attest.CodePolicyEval, Why: oneLine(err).Error()}
	}
	if b, ok := out.(types.Bool); ok && bool(b) {
		return Pass, nil
	}
	return Fail, nil
}

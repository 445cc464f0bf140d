package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/pedigree-ml/pedigree/attest"
)

// What keeps an explanation readable: how many values, how long each, and how
// many of a list's elements. Nobody reads the fourth element that is too small.
const (
	maxValues    = 8
	maxValueText = 200
	maxElements  = 3
)

// maxLooked bounds how many elements are evaluated again to find those to show.
// A list that long is explained by its beginning.
const maxLooked = 1000

// values returns what the parts of the expression evaluate to, as far as they are
// not constants. If the expression does not hold, the parts that are the reason
// come first: of `a && b` the ones that are false, of all() the elements that
// fail. None if it cannot be evaluated: then the error says what is missing.
func (e *expression) values(sc scene) []Value {
	p, err := e.parts()
	if err != nil {
		return nil // unreachable: the same expression made a program before
	}
	s, ok := p.look(sc.variables())
	if !ok {
		return nil
	}
	whole := p.tree.Expr()
	if got, known := s.boolean(whole); known && !got {
		s.tell(whole, got, false)
	}
	s.tell(whole, true, true)
	return s.out
}

// parts is an expression in the form in which it was written, with a program
// that keeps what every part evaluated to. Both come from the same text, so the
// numbers of their nodes agree.
type parts struct {
	tree    *ast.AST
	program cel.Program
	loops   map[int64]*parts // the bodies of all() and exists(), by their node
}

func newParts(env *cel.Env, source string, cost uint64) (*parts, error) {
	written, iss := env.Parse(source)
	if iss.Err() != nil {
		return nil, oneLine(iss.Err())
	}
	strict, iss := env.Parse(source)
	if iss.Err() != nil {
		return nil, oneLine(iss.Err())
	}
	makeStrict(strict.NativeRep().Expr())
	checked, iss := env.Check(strict)
	if iss.Err() != nil {
		return nil, oneLine(iss.Err())
	}
	program, err := env.Program(checked, cel.CostLimit(cost), cel.EvalOptions(cel.OptTrackState))
	if err != nil {
		return nil, oneLine(err)
	}
	p := &parts{tree: written.NativeRep(), program: program, loops: map[int64]*parts{}}
	return p, p.addLoops(env, p.tree.Expr(), cost)
}

// addLoops makes programs of the loops' bodies, which stand open in one variable.
// A loop within a loop belongs to the body of the outer one.
func (p *parts) addLoops(env *cel.Env, e ast.Expr, cost uint64) error {
	if e.Kind() == ast.ComprehensionKind {
		call, ok := p.macro(e)
		if !ok {
			return nil
		}
		body, err := cel.ExprToString(call.Args()[1], p.tree.SourceInfo())
		if err != nil {
			return err
		}
		inner, err := env.Extend(cel.Variable(e.AsComprehension().IterVar(), cel.DynType))
		if err != nil {
			return err
		}
		p.loops[e.ID()], err = newParts(inner, body, cost)
		return err
	}
	for _, c := range children(e) {
		if err := p.addLoops(env, c, cost); err != nil {
			return err
		}
	}
	return nil
}

// macro returns the all() or exists() that a loop was written as.
func (p *parts) macro(e ast.Expr) (ast.CallExpr, bool) {
	call, ok := p.tree.SourceInfo().GetMacroCall(e.ID())
	if !ok || call.Kind() != ast.CallKind || len(call.AsCall().Args()) != 2 {
		return nil, false
	}
	name := call.AsCall().FunctionName()
	return call.AsCall(), name == "all" || name == "exists"
}

// children returns the direct parts of a call or of what has a field selected.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	}
	return nil
}

// A sight is one evaluation of the parts, and what was told of it so far.
type sight struct {
	*parts
	vars  map[string]any
	names map[string]string // loop variables, as the reader would write the element
	state interpreter.EvalState
	out   []Value
}

func (p *parts) look(vars map[string]any) (*sight, bool) {
	_, details, err := p.program.Eval(vars)
	if err != nil || details == nil || details.State() == nil {
		return nil, false
	}
	return &sight{parts: p, vars: vars, state: details.State()}, true
}

func (s *sight) boolean(e ast.Expr) (value, known bool) {
	v, ok := s.state.Value(e.ID())
	if !ok {
		return false, false
	}
	b, ok := v.(types.Bool)
	return bool(b), ok
}

// tell adds the values behind an expression being what it is: behind a false
// `a && b` only the sides that are false, unless everything is asked for.
func (s *sight) tell(e ast.Expr, got, everything bool) {
	switch {
	case e.Kind() == ast.ComprehensionKind:
		s.tellLoop(e, got, everything)
	case e.Kind() != ast.CallKind:
		s.add(e)
	default:
		switch call := e.AsCall(); call.FunctionName() {
		case operators.LogicalAnd, operators.LogicalOr:
			for _, side := range call.Args() {
				if is, known := s.boolean(side); known && (everything || is == got) {
					s.tell(side, is, everything)
				}
			}
		case operators.LogicalNot:
			s.tell(call.Args()[0], !got, everything)
		case operators.Conditional:
			cond, _ := s.boolean(call.Args()[0])
			s.tell(call.Args()[0], cond, everything)
			taken := call.Args()[2]
			if cond {
				taken = call.Args()[1]
			}
			s.tell(taken, got, everything)
		case operators.Index:
			s.add(e)
		default: // a comparison or a function
			for _, c := range children(e) {
				s.add(c)
			}
		}
	}
}

// tellLoop shows the elements that decide: those for which all() fails, or the
// first ones if exists() finds none. Of a loop that holds, the number of them.
func (s *sight) tellLoop(e ast.Expr, got, everything bool) {
	call, ok := s.macro(e)
	if !ok {
		s.add(e)
		return
	}
	over := e.AsComprehension().IterRange()
	elements, ok := s.elements(over)
	if !ok {
		return
	}
	text, err := s.text(over)
	if err != nil {
		return
	}
	if got || everything || len(elements) == 0 {
		s.value("size("+text+")", strconv.Itoa(len(elements)))
		return
	}
	if strings.Contains(text, " ") {
		text = "(" + text + ")" // an operator binds less tightly than the index behind it
	}
	body, shown := s.loops[e.ID()], 0
	for _, x := range elements[:min(len(elements), maxLooked)] {
		variable := e.AsComprehension().IterVar()
		vars := map[string]any{variable: x.value}
		for k, v := range s.vars {
			vars[k] = v
		}
		vars[variable] = x.value
		in, ok := body.look(vars)
		if !ok {
			continue
		}
		holds, known := in.boolean(body.tree.Expr())
		if !known || holds && call.FunctionName() == "all" {
			continue
		}
		in.names = map[string]string{variable: x.name(text)}
		for k, v := range s.names {
			if k != variable {
				in.names[k] = v
			}
		}
		in.tell(body.tree.Expr(), holds, false)
		for _, v := range in.out {
			s.value(v.Expression, v.Value)
		}
		if shown++; shown == maxElements {
			return
		}
	}
}

// An element is one member of a list, or one key of a map.
type element struct {
	value ref.Val
	index int // -1 for a map's key
}

// name is how one would write the element.
func (x element) name(list string) string {
	if x.index < 0 {
		return strconv.Quote(fmt.Sprint(x.value.Value()))
	}
	return list + "[" + strconv.Itoa(x.index) + "]"
}

// elements returns what a loop runs over: a list in its order, a map's keys in
// theirs, since a map has none.
func (s *sight) elements(over ast.Expr) ([]element, bool) {
	v, ok := s.state.Value(over.ID())
	if !ok {
		return nil, false
	}
	it, ok := v.(traits.Iterable)
	if !ok {
		return nil, false
	}
	_, keyed := v.(traits.Mapper)
	var out []element
	for i := it.Iterator(); i.HasNext() == types.True; {
		x := element{value: i.Next(), index: len(out)}
		if keyed {
			x.index = -1
		}
		out = append(out, x)
	}
	if keyed {
		slices.SortFunc(out, func(a, b element) int {
			return strings.Compare(fmt.Sprint(a.value.Value()), fmt.Sprint(b.value.Value()))
		})
	}
	return out, true
}

// add tells what one part evaluated to, unless it is a constant.
func (s *sight) add(e ast.Expr) {
	v, ok := s.state.Value(e.ID())
	if !ok || types.IsUnknownOrError(v) || constantExpr(e) {
		return
	}
	if text, err := s.text(e); err == nil {
		s.value(text, fmt.Sprint(v.Value()))
	}
}

func (s *sight) value(expression, shown string) {
	if len(shown) > maxValueText {
		shown = strings.ToValidUTF8(shown[:maxValueText], "") + "…"
	}
	v := Value{Expression: expression, Value: attest.Printable(shown)}
	if len(s.out) < maxValues && !slices.Contains(s.out, v) {
		s.out = append(s.out, v)
	}
}

// text writes a part as its author did, with loop variables replaced by the
// element in question.
func (s *sight) text(e ast.Expr) (string, error) {
	if len(s.names) > 0 {
		f := ast.NewExprFactory()
		e = f.CopyExpr(e)
		ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
			if x.Kind() == ast.IdentKind && s.names[x.AsIdent()] != "" {
				// Not a name, but written out as one it reads as the element.
				x.SetKindCase(f.NewIdent(x.ID(), s.names[x.AsIdent()]))
			}
		}))
	}
	return cel.ExprToString(e, s.tree.SourceInfo())
}

// constantExpr reports whether nothing in an expression depends on a variable.
func constantExpr(e ast.Expr) bool {
	constant := true
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		constant = constant && x.Kind() != ast.IdentKind
	}))
	return constant
}

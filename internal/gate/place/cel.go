package place

import (
	"fmt"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxCost bounds the work of one expression over one object, in CEL's own units: about
// one for each value that is looked at. It takes some milliseconds to use up.
const maxCost = 100_000

// program is a compiled CEL expression.
type program struct {
	text string
	run  cel.Program
}

// compileCEL reads an expression over object that gives a text, or a list of texts. It
// may give what nobody knows before it runs; what it then gives is checked.
func compileCEL(s string) (*program, error) {
	if len(s) > maxPath {
		return nil, fmt.Errorf("an expression of more than %d bytes", maxPath)
	}
	env, err := cel.NewEnv(cel.Variable("object", cel.DynType), cel.OptionalTypes())
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(s)
	if found := issues.Errors(); len(found) > 0 {
		first := found[0] // the others mostly follow from it
		return nil, fmt.Errorf("the CEL expression, character %d: %s", first.Location.Column()+1, first.Message)
	}
	if err := issues.Err(); err != nil { // unreachable: it is what the errors are made into
		return nil, err
	}
	texts := cel.ListType(cel.StringType)
	switch out := ast.OutputType(); {
	case out.IsExactType(cel.StringType), out.IsExactType(texts), out.IsExactType(cel.DynType), out.IsExactType(cel.ListType(cel.DynType)):
	default:
		return nil, fmt.Errorf("gives %s, and neither a text nor a list of texts", out)
	}
	run, err := env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return &program{s, run}, nil
}

// look keeps what the expression gives for the object. An error means that what the
// object names is not known.
func (p *program) look(w *walk, name string, object any) error {
	out, _, err := p.run.Eval(map[string]any{"object": object})
	if err != nil {
		return err
	}
	if s, ok := out.(types.String); ok {
		w.given("cel:"+name, string(s))
		return nil
	}
	list, ok := out.(traits.Lister)
	if !ok {
		return fmt.Errorf("gives %s, and neither a text nor a list of texts", typeName(out))
	}
	i := 0
	for it := list.Iterator(); it.HasNext() == types.True; i++ {
		s, ok := it.Next().(types.String)
		if !ok {
			return fmt.Errorf("gives a list that holds other things than texts")
		}
		w.given("cel:"+name+"[#"+strconv.Itoa(i)+"]", string(s))
	}
	return nil
}

// given keeps a text that an expression worked out: it stands nowhere, so nothing can be
// written back.
func (w *walk) given(place, s string) {
	n := node{s, place, ""}
	if s, ok := w.text(n); ok {
		w.add(n, whole(n, s, kubelet))
	}
}

func typeName(v ref.Val) string {
	if v == nil {
		return "nothing"
	}
	return v.Type().TypeName()
}

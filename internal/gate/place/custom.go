package place

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ohler55/ojg/jp"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// Limits of what expressions are evaluated over. The expressions are the operator's, the
// objects are tenants'.
const (
	maxNodes    = 100_000 // values in one object; large custom resources have some thousands
	maxDescents = 2       // ".." in one path: each multiplies the work by the object's depth
	maxPath     = 4096    // bytes of an expression
)

// custom is a kind that the configuration tells of, ready to be looked at.
type custom struct {
	name      string   // GROUP/KIND, for messages
	versions  []string // empty: all
	places    []customPlace
	templates []jp.Expr
}

// customPlace is one place: a path or a program.
type customPlace struct {
	name string
	path jp.Expr
	cel  *program
}

// customName is what a place may be called: it appears in answers and logs.
var customName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// compile reads the expressions of k.
func compile(k gate.Kind) (custom, error) {
	c := custom{name: k.Group + "/" + k.Kind, versions: k.Versions}
	if k.Kind == "" {
		return c, c.refuse("", "the kind has no name", nil)
	}
	if len(k.Places)+len(k.PodTemplates) == 0 {
		return c, c.refuse("", "the kind has no places: it would be known and never looked at", nil)
	}
	for _, p := range k.Places {
		if !customName.MatchString(p.Name) {
			return c, c.refuse(p.Name, "a place needs a name of letters, digits, dots, dashes and underscores", nil)
		}
		if slices.ContainsFunc(c.places, func(o customPlace) bool { return o.name == p.Name }) {
			return c, c.refuse(p.Name, "two places have this name", nil)
		}
		if (p.JSONPath == "") == (p.CEL == "") {
			return c, c.refuse(p.Name, "a place has either a JSONPath or a CEL expression", nil)
		}
		place := customPlace{name: p.Name}
		var err error
		if p.CEL != "" {
			place.cel, err = compileCEL(p.CEL)
		} else {
			place.path, err = compilePath(p.JSONPath)
		}
		if err != nil {
			return c, c.refuse(p.Name, "", err)
		}
		c.places = append(c.places, place)
	}
	for _, t := range k.PodTemplates {
		path, err := compilePath(t)
		if err != nil {
			return c, c.refuse(t, "", err)
		}
		c.templates = append(c.templates, path)
	}
	return c, nil
}

// refuse says what is wrong with a place of the kind, or with what it gave.
func (c custom) refuse(place, why string, err error) error {
	about := c.name
	if place != "" {
		about += " " + place
	}
	code := attest.CodePlace
	if attest.RefusalCode(err) == attest.CodeLimit {
		code = attest.CodeLimit
	}
	return &attest.Refusal{Code: code, About: about, Why: why, Err: err,
		Next: "correct the kind's places in the gate's configuration"}
}

// CheckPath says what is wrong with a JSONPath of a kind's places or pod templates.
func CheckPath(s string) error {
	_, err := compilePath(s)
	return err
}

// CheckCEL says what is wrong with a CEL expression of a kind's places.
func CheckCEL(s string) error {
	_, err := compileCEL(s)
	return err
}

// compilePath reads a JSONPath. The library reads more than RFC 9535 has: a path without
// $, and scripts, which the RFC left out because they are programs.
func compilePath(s string) (jp.Expr, error) {
	if len(s) > maxPath {
		return nil, fmt.Errorf("an expression of more than %d bytes", maxPath)
	}
	if !strings.HasPrefix(s, "$") {
		return nil, fmt.Errorf("the JSONPath %q does not begin with $", s)
	}
	path, err := jp.ParseString(s)
	if err != nil {
		return nil, fmt.Errorf("the JSONPath %q: %w", s, err)
	}
	descents := 0
	for _, f := range path {
		switch f.(type) {
		case *jp.Proc: // unreachable while the program gives the library no compiler for scripts
			return nil, fmt.Errorf("the JSONPath %q has a script, which RFC 9535 has not", s)
		case jp.Descent:
			descents++
		}
	}
	if descents > maxDescents {
		return nil, fmt.Errorf("the JSONPath %q descends (..) more than %d times", s, maxDescents)
	}
	return path, nil
}

func (c custom) matches(version string) bool {
	return len(c.versions) == 0 || slices.Contains(c.versions, version)
}

// look evaluates the kind's expressions over the object o.
func (c custom) look(w *walk, o node) {
	nodes := 0
	if !bounded(o.value, maxDepth, &nodes) {
		w.fail(c.refuse("", "", overLimit("", "an object deeper than %d or with more than %d values", maxDepth, maxNodes)))
		return
	}
	for _, p := range c.places {
		w.runs = true // what an operator does with it is not known: as if it were started
		if p.cel != nil {
			if err := p.cel.look(w, p.name, o.value); err != nil {
				w.fail(c.refuse(p.name, "", err))
			}
			continue
		}
		for _, n := range w.locate(o, p.path) {
			w.named(n, kubelet)
		}
	}
	for _, path := range c.templates {
		w.runs = false
		for _, n := range w.locate(o, path) {
			w.anyTemplate(n)
		}
	}
}

// bounded reports whether v is an object that expressions may be evaluated over.
func bounded(v any, depth int, nodes *int) bool {
	*nodes++
	if depth < 0 || *nodes > maxNodes {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if !bounded(e, depth-1, nodes) {
				return false
			}
		}
	case []any:
		for _, e := range v {
			if !bounded(e, depth-1, nodes) {
				return false
			}
		}
	}
	return true
}

// anyTemplate looks at a pod template or a pod spec, told apart by what they hold.
func (w *walk) anyTemplate(n node) {
	if !w.object(n) {
		return
	}
	m, _ := n.value.(map[string]any)
	_, spec := m["spec"]
	_, containers := m["containers"]
	switch {
	case spec && !containers:
		w.template(n)
	case containers && !spec:
		w.podSpec(n)
	default:
		w.problem(n, "cannot be read: it is neither a pod template nor a pod spec")
	}
}

// locate returns what the path selects, each node once, in the order of their pointers:
// the library goes through objects in any order.
func (w *walk) locate(o node, path jp.Expr) []node {
	var out []node
	for _, loc := range path.Locate(o.value, 0) { // its own maximum turns into none when it is reached
		n, ok := step(o, loc)
		if !ok { // unreachable: a location of the object is in the object
			w.fail(attest.Refuse(attest.CodeInternal, "a path selects what is not there"))
			return nil
		}
		out = append(out, n)
		if len(out) > maxNodes {
			w.fail(overLimit("", "a path selects more than %d values", maxNodes))
			return nil
		}
	}
	slices.SortFunc(out, func(a, b node) int { return cmp.Compare(a.pointer, b.pointer) })
	return slices.CompactFunc(out, func(a, b node) bool { return a.pointer == b.pointer })
}

// simpleKey is a key that a place shows after a dot.
var simpleKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// step follows a location from the object down, so that what is found there is told by
// names, as everywhere.
func step(n node, loc jp.Expr) (node, bool) {
	for _, f := range loc {
		switch f := f.(type) {
		case jp.Root:
		case jp.Child:
			m, ok := n.value.(map[string]any)
			if !ok {
				return n, false
			}
			k := string(f)
			if simpleKey.MatchString(k) {
				n = n.key(k)
			} else {
				n = n.named(k, slices.Index(sortedKeys(m), k))
			}
		case jp.Nth:
			list, ok := n.value.([]any)
			if !ok || int(f) < 0 || int(f) >= len(list) {
				return n, false
			}
			n = elements(n, list, "name")[f]
		default:
			return n, false
		}
	}
	return n, true
}

package policy

import (
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// expressions looks for those that say the same whatever the evidence, and for
// comparisons of text that accept more than they seem to.
func (l *linter) expressions(s *step) {
	ask := func(e *expression, key string, constant map[truth][2]string) {
		if e == nil {
			return
		}
		pos := l.in.stepKey(s, key)
		if text, ok := constant[judgeExpr(e, s.predicate, nil)]; ok {
			l.warn(pos, text[0], "write what was meant, or remove it", "%s: %s of %s", text[1], key, s.name)
		}
		l.loose(pos, e)
	}
	ask(s.where, "where", map[truth][2]string{always: {"vacuous-where", "nothing is ever left out"}, never: {"impossible-where", "no evidence is ever considered"}})
	ask(s.veto, "veto", map[truth][2]string{always: {"vacuous-veto", "every record is a veto"}, never: {"impossible-veto", "nothing is ever a veto"}})
	ask(s.scope, "scope", map[truth][2]string{always: {"vacuous-scope", "every veto is in scope"}, never: {"impossible-scope", "no veto is ever in scope"}})
	for _, ru := range s.allRules() {
		pos := l.in.at(ru.pos, "cel")
		switch l.judgeRule(s, ru) {
		case always:
			l.warn(pos, "vacuous-rule", "ask for what the message says, or remove the rule", "rule %s cannot fail where its fields are present", ru.id)
		case never:
			l.warn(pos, "impossible-rule", "compare with the values that the predicate's page lists", "rule %s cannot hold", ru.id)
		}
		l.loose(pos, ru.cel)
	}
}

// judgeRule is judgeExpr for a rule, which only sees evidence for which where
// holds.
func (l *linter) judgeRule(s *step, ru *rule) truth {
	t := judgeExpr(ru.cel, s.predicate, nil)
	if t != depends || s.where == nil {
		return t
	}
	where, err1 := s.where.parts()
	own, err2 := ru.cel.parts()
	if err1 != nil || err2 != nil {
		return depends // unreachable: both compiled
	}
	w, r := judge{where, s.predicate, nil}, judge{own, s.predicate, nil}
	given := w.conjuncts(where.tree.Expr())
	asked := r.conjuncts(own.tree.Expr())
	if contradict(append(w.facts(given), r.facts(asked)...)) && !contradict(w.facts(given)) {
		return never
	}
	var texts []string
	for _, c := range given {
		texts = append(texts, w.text(c))
	}
	for _, c := range asked {
		if r.truth(c) != always && !slices.Contains(texts, r.text(c)) {
			return depends
		}
	}
	return always
}

// mentionsField reports whether an expression reads a field of one of the names.
func mentionsField(e *expression, names ...string) bool {
	p, err := e.parts()
	return err == nil && reads(p.tree.Expr(), names...)
}

func reads(e ast.Expr, names ...string) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		found = found || x.Kind() == ast.SelectKind && slices.Contains(names, x.AsSelect().FieldName())
	}))
	return found
}

// limitsMetric reports whether an expression puts a limit on a measured value.
// That something was found no times at all is no such limit: it needs no sample.
func limitsMetric(e *expression) bool {
	p, err := e.parts()
	if err != nil {
		return false // unreachable: it compiled
	}
	found := false
	ast.PostOrderVisit(p.tree.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind {
			return
		}
		switch x.AsCall().FunctionName() {
		case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
			found = found || reads(x, "metrics", "slices")
		}
	}))
	return found
}

// loose finds comparisons of text that accept more than their author sees: a
// prefix that ends within a name, a text anywhere, a dot that is any character.
func (l *linter) loose(pos position, e *expression) {
	p, err := e.parts()
	if err != nil {
		return // unreachable: it compiled
	}
	ast.PostOrderVisit(p.tree.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind || len(x.AsCall().Args()) == 0 {
			return
		}
		args := x.AsCall().Args()
		s, ok := literalText(args[len(args)-1])
		if !ok || s == "" {
			return
		}
		switch strings.TrimPrefix(x.AsCall().FunctionName(), ".") {
		case "startsWith":
			if strings.Contains(s, "://") && !strings.HasSuffix(s, "/") {
				l.warn(pos, "loose-match", "end the text with /, @ or whatever must follow, or compare with ==", "%q is also the beginning of %q", s, s+"-evil")
			}
		case "endsWith":
			if strings.Contains(s, ".") && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "@") && !strings.HasPrefix(s, "/") {
				l.advise(pos, "loose-match", "begin the text with whatever must stand before it, or compare with ==", "%q is also the end of %q", s, "evil-"+s)
			}
		case "contains":
			l.advise(pos, "loose-match", "compare with ==, or use matches with ^(?:…)$", "%q may stand anywhere in the text, also in one that a stranger chose", s)
		case "matches":
			if dot := looseDot(s); dot != "" {
				l.advise(pos, "loose-pattern", `write \\. for a dot`, "the dot in %q is any character", dot)
			}
		}
	}))
}

// looseDot returns a part of a pattern in which an unescaped dot stands between
// letters, as in a host's name; "" if there is none.
func looseDot(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	found := ""
	var visit func(re *syntax.Regexp)
	visit = func(re *syntax.Regexp) {
		for i, sub := range re.Sub {
			if re.Op == syntax.OpConcat && i > 0 && i+1 < len(re.Sub) && (sub.Op == syntax.OpAnyCharNotNL || sub.Op == syntax.OpAnyChar) &&
				re.Sub[i-1].Op == syntax.OpLiteral && re.Sub[i+1].Op == syntax.OpLiteral && found == "" {
				found = re.Sub[i-1].String() + "." + re.Sub[i+1].String()
			}
			visit(sub)
		}
	}
	visit(re)
	return found
}

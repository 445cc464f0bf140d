package policy

import (
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Expressions over an untyped predicate, and what they must yield. CEL by itself
// would say true to most of those that fail.
func TestExpressionsAreStrict(t *testing.T) {
	tree := map[string]any{
		"passed": true, "n": int64(3), "score": 0.95, "text": "0.95", "empty": []any{},
		"list": []any{int64(1), int64(2)}, "mixed": []any{map[string]any{"a": int64(1)}, map[string]any{"b": int64(1)}},
		"map": map[string]any{"x": int64(1), "y": int64(2)},
	}
	for _, c := range []struct {
		source string
		want   Status
		code   attest.Code
	}{
		{`predicate.passed == true`, Pass, ""},
		{`predicate.n > 2 && predicate.score >= 0.9`, Pass, ""},
		{`predicate.n > 5 || predicate.score >= 0.9`, Pass, ""},
		{`predicate.passed ? predicate.n == 3 : false`, Pass, ""},
		{`predicate.n > 5`, Fail, ""},
		{`predicate.list.all(x, x > 0)`, Pass, ""},
		{`predicate.list.all(x, x > 1)`, Fail, ""},
		{`predicate.list.exists(x, x > 1)`, Pass, ""},
		{`predicate.list.exists(x, x > 5)`, Fail, ""},
		{`predicate.list.exists_one(x, x > 1)`, Pass, ""},
		{`predicate.map.all(k, predicate.map[k] > 0)`, Pass, ""},
		{`predicate.list.map(x, x * 2) == [2, 4]`, Pass, ""},
		{`predicate.text.matches("^0\\.[0-9]+$")`, Pass, ""},
		{`has(predicate.passed)`, Pass, ""},
		{`has(predicate.missing)`, Fail, ""},
		{`predicate.list.filter(x, x > 1) == [2]`, Pass, ""},
		{`predicate.list.filter(x, x > 0).all(x, x > 0)`, Pass, ""},
		{`predicate.list.map(x, x > 1, x * 2) == [4]`, Pass, ""},
		{`has(predicate.passed) && predicate.passed == true`, Pass, ""},
		// POL-08: for all of nothing.
		{`predicate.empty.all(x, false)`, Fail, ""},
		{`predicate.empty.all(x, true)`, Fail, ""},
		// POL-09, POL-10: missing fields and errors that would be absorbed.
		{`predicate.missing == 1`, Fail, attest.CodePolicyEval},
		{`predicate.missing == 1 || true`, Fail, attest.CodePolicyEval},
		{`true || predicate.missing == 1`, Fail, attest.CodePolicyEval},
		{`!(predicate.missing == 1 && false)`, Fail, attest.CodePolicyEval},
		{`!(false && predicate.missing == 1)`, Fail, attest.CodePolicyEval},
		{`true ? true : predicate.missing == 1`, Fail, attest.CodePolicyEval},
		{`predicate.mixed.exists(x, x.a == 1)`, Fail, attest.CodePolicyEval},
		{`predicate.mixed.all(x, x.a == 1 || x.b == 1)`, Fail, attest.CodePolicyEval},
		{`predicate.list.exists(x, x == 2 || predicate.missing == 1)`, Fail, attest.CodePolicyEval},
		// POL-24: games with types.
		{`predicate.text >= 0.9`, Fail, attest.CodePolicyEval},
		{`predicate.passed == 1`, Fail, ""},
		{`predicate.n >= 2.5`, Pass, ""},
		{`predicate.n == 3.0`, Pass, ""},
	} {
		e, err := mustCompiler(t).compile(c.source, "https://example.org/untyped/v1")
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		got, why := e.eval(scene{predicate: tree})
		var code attest.Code
		if why != nil {
			code = why.Code
		}
		if got != c.want || code != c.code {
			t.Errorf("%s: %s %s (%v), want %s %s", c.source, got, code, why, c.want, c.code)
		}
	}
}

func TestConcludeNothingDenies(t *testing.T) {
	for _, c := range []struct {
		answers []Status
		want    Outcome
	}{{nil, Deny}, {[]Status{}, Deny}, {[]Status{Pass}, Allow}, {[]Status{Pass, Unknown}, Undecided}, {[]Status{Pass, Unknown, Fail}, Deny}} {
		if got := conclude(c.answers); got != c.want {
			t.Errorf("%v: %s, want %s", c.answers, got, c.want)
		}
	}
}

func mustCompiler(t testing.TB) *compiler {
	t.Helper()
	c, err := newCompiler(defaultCELCost)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// POL-12: an expression over a list that somebody else made long.
// What lets a missing field pass, or matches anywhere in a text, does not load.
func TestExpressionsThatDoNotLoad(t *testing.T) {
	for _, source := range []string{
		`!has(predicate.missing)`, `has(predicate.missing) == false`, `has(predicate.missing) != true`, `!(has(predicate.missing) && true)`,
		`(has(predicate.missing) ? 1 : 0) == 0`, `false in [has(predicate.missing)]`, `has(predicate.missing) ? predicate.missing == 1 : true`,
		`predicate.text.matches("a")`, `.matches(predicate.text, "github.com/org")`, `predicate.text.matches(predicate.text)`, `predicate.text.matches("^a|b$")`,
		`now() > 0`, `predicate.?missing.orValue(true)`, `predicate.n`, `1`,
	} {
		if _, err := mustCompiler(t).compile(source, "https://example.org/untyped/v1"); err == nil {
			t.Errorf("%s loads", source)
		}
	}
}

func TestExpressionCost(t *testing.T) {
	e, err := mustCompiler(t).compile(`predicate.l.all(a, predicate.l.all(b, predicate.l.all(c, a + b + c >= 0)))`, "https://example.org/untyped/v1")
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int) map[string]any {
		l := make([]any, n)
		for i := range l {
			l[i] = int64(i)
		}
		return map[string]any{"l": l}
	}
	if st, why := e.eval(scene{predicate: list(3)}); st != Pass {
		t.Fatalf("a short list must pass, or the long one proves nothing: %s %v", st, why)
	}
	if st, why := e.eval(scene{predicate: list(1500)}); st != Unknown || why == nil || why.Code != attest.CodePolicyCost {
		t.Errorf("got %s %v, want unknown with %s", st, why, attest.CodePolicyCost)
	}
}

// A rule that does not hold shows what its parts are.
func TestExpressionValues(t *testing.T) {
	e, err := mustCompiler(t).compile(`predicate.metrics["accuracy"].value >= 0.70 && predicate.kind == "quality"`, predicate.TypeEvaluation)
	if err != nil {
		t.Fatal(err)
	}
	got := e.values(scene{predicate: map[string]any{"kind": "bias", "metrics": map[string]any{"accuracy": map[string]any{"value": 0.5}}}})
	want := []Value{{`predicate.metrics["accuracy"].value`, "0.5"}, {`predicate.kind`, "bias"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOrigins(t *testing.T) {
	allowed, err := parseOrigin("git+https://git.example/acme/credit")
	if err != nil {
		t.Fatal(err)
	}
	for claimed, want := range map[string]bool{
		"git+https://git.example/acme/credit":                 true,
		"git+https://git.example/acme/credit@refs/heads/main": true,
		"git+https://git.example/acme/credit/sub":             true,
		"git+https://git.example/acme/credit-evil":            false,
		"git+https://git.example/acme":                        false,
		"git+https://git.example:8443/acme/credit":            false,
		"https://git.example/acme/credit":                     false,
		"git+https://git.example.evil/acme/credit":            false,
		"git+https://git.example@evil.example/acme/credit":    false,
		"git+https://evil.example/git.example/acme/credit":    false,
		"git+https://git.example/acme/credit/../../evil":      false,
		"git+https://git.example/acme/credit/%2e%2e/evil":     false,
		"git+https://git.example/acme/credit?x=1":             false,
		"git+https://git.example/acme/credit#x":               false,
		"git+https://git.example//acme/credit":                false,
		"git+https://git.example/acme\\credit":                false,
		"GIT+HTTPS://git.example/acme/credit":                 true, // schemes are case-insensitive and parsed as such
		"git+https://GIT.example/acme/credit":                 false,
		"git+https://git.example./acme/credit":                false,
		"git+https://g\u0456t.example/acme/credit":            false,
		"git+https://git.example/acme/credit@main@evil":       true, // all of it is the git reference
		"git+https://git.example/evil@main/acme/credit":       false,
		"":            false,
		"acme/credit": false,
		"git+https://git.example/acme/credit@" + "x y":           false,
		"git+https://git.example/acme/" + strings.Repeat("a", 9): false,
	} {
		got, err := parseOrigin(claimed)
		if ok := err == nil && allowed.allows(got); ok != want {
			t.Errorf("%q: %v (%v), want %v", claimed, ok, err, want)
		}
	}
}

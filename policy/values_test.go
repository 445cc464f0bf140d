package policy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A rule that does not hold shows what its failing parts are, before the others.
func TestFailingPartsComeFirst(t *testing.T) {
	tree := map[string]any{
		"passed": false, "n": int64(3), "score": 0.95, "text": "abc", "empty": []any{}, "kind": "quality",
		"list":  []any{int64(1), int64(2), int64(7), int64(8), int64(9)},
		"rows":  []any{map[string]any{"name": "a", "n": int64(10)}, map[string]any{"name": "b", "n": int64(2)}, map[string]any{"name": "c", "n": int64(1)}},
		"map":   map[string]any{"y": int64(0), "x": int64(1), "z": int64(0)},
		"pairs": []any{map[string]any{"l": []any{int64(1)}}, map[string]any{"l": []any{int64(1), int64(-1)}}},
	}
	for _, c := range []struct {
		source string
		want   []Value
	}{
		{`predicate.score >= 0.9 && predicate.n > 5`, []Value{{"predicate.n", "3"}, {"predicate.score", "0.95"}}},
		{`predicate.score >= 0.99 || predicate.n > 5`, []Value{{"predicate.score", "0.95"}, {"predicate.n", "3"}}},
		{`!(predicate.score >= 0.9 || predicate.n > 5)`, []Value{{"predicate.score", "0.95"}, {"predicate.n", "3"}}},
		{`predicate.n == 3 && has(predicate.missing)`, []Value{{"has(predicate.missing)", "false"}, {"predicate.n", "3"}}},
		{`predicate.passed == true`, []Value{{"predicate.passed", "false"}}},
		{`predicate.n == 3 && predicate.passed`, []Value{{"predicate.passed", "false"}, {"predicate.n", "3"}}},
		{`predicate.text.matches("^x+$")`, []Value{{"predicate.text", "abc"}}},
		{`predicate.kind in ["bias", "safety"]`, []Value{{"predicate.kind", "quality"}}},
		{`predicate.n > 1 ? predicate.score > 0.99 : predicate.passed == true`, []Value{{"predicate.n", "3"}, {"predicate.score", "0.95"}}},
		{`predicate.list.all(x, x < 5)`, []Value{{"predicate.list[2]", "7"}, {"predicate.list[3]", "8"}, {"predicate.list[4]", "9"}, {"size(predicate.list)", "5"}}},
		{`predicate.rows.all(r, r.n > 5 && r.name != "z")`, []Value{{"predicate.rows[1].n", "2"}, {"predicate.rows[2].n", "1"}, {"size(predicate.rows)", "3"}}},
		{`predicate.map.all(k, predicate.map[k] > 0)`, []Value{{`predicate.map["y"]`, "0"}, {`predicate.map["z"]`, "0"}, {"size(predicate.map)", "3"}}},
		{`predicate.rows.exists(r, r.n > 50)`, []Value{{"predicate.rows[0].n", "10"}, {"predicate.rows[1].n", "2"}, {"predicate.rows[2].n", "1"}, {"size(predicate.rows)", "3"}}},
		{`predicate.pairs.all(p, p.l.all(v, v > 0))`, []Value{{"predicate.pairs[1].l[1]", "-1"}, {"size(predicate.pairs)", "2"}}},
		{`predicate.empty.all(x, x > 1)`, []Value{{"size(predicate.empty)", "0"}}},
		{`predicate.list.filter(x, x > 7).all(x, x == 9)`, []Value{{"(predicate.list.filter(x, x > 7))[0]", "8"}, {"size(predicate.list.filter(x, x > 7))", "2"}}},
		{`predicate.n > 2`, []Value{{"predicate.n", "3"}}},
		{`predicate.list.all(x, x > 0)`, []Value{{"size(predicate.list)", "5"}}},
		{`predicate.missing > 0`, nil},
	} {
		e, err := mustCompiler(t).compile(c.source, "https://example.org/untyped/v1")
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		for range 3 { // a map has no order; its explanation does
			if diff := cmp.Diff(c.want, e.values(scene{predicate: tree})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.source, diff)
				break
			}
		}
	}
}

// A long list is explained by a few of its elements, and not by all.
func TestValuesAreFew(t *testing.T) {
	list := slices.Repeat([]any{int64(-1)}, 5000)
	e, err := mustCompiler(t).compile(`predicate.l.all(x, x > 0)`, "https://example.org/untyped/v1")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.values(scene{predicate: map[string]any{"l": list}}); len(got) != maxElements+1 {
		t.Errorf("%d values of a long list: %v", len(got), got)
	}
}

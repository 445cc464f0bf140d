package arch

import (
	"go/ast"
	"slices"
	"testing"
)

// What a verdict takes from the times of its question goes through one file, which
// notes until when it holds: a comparison that went around it would let a gate keep an
// answer for too long.
func TestOneFileComparesWithTheClock(t *testing.T) {
	const place = "policy/horizon.go"
	// The times themselves are shown to people, and asked by what is no part of a
	// verdict. Whoever needs one more place says here that it decides nothing.
	shown := map[string]int{"policy/conclude.go": 2, "policy/evaluate.go": 2, "policy/basis.go": 1, "policy/status.go": 1, "policy/consider.go": 1}
	found, inside := map[string]int{}, 0
	for _, s := range sources(t) {
		if s.test || s.folder != "policy" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if name := n.Sel.Name; slices.Contains([]string{"At", "Known", "clock"}, name) {
					if s.path == place {
						inside++
					} else {
						t.Errorf("%s: .%s is for %s alone", s.set.Position(n.Pos()), name, place)
					}
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "time" && len(n.Args) == 0 {
					found[s.path]++
				}
			}
			return true
		})
	}
	if inside < 5 {
		t.Errorf("%d uses in %s: the rule looked at nothing", inside, place)
	}
	for path, n := range found {
		if path != place && n > shown[path] {
			t.Errorf("%s asks %d times what the time is, and %d are known to decide nothing", path, n, shown[path])
		}
	}
}

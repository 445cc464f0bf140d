package cli

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/internal/state"
)

// What holds until the gate is started again holds for what is loaded again, too: a state
// that was added would otherwise be asked of a gate that opened none, which refuses
// everything, and one that was taken away would silently end what is remembered.
func TestGateHoldsWhatItWasStartedWith(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, first, then, part string }{
		{"state added", "", "state: s\n", "state"},
		{"state taken away", "state: s\n", "", "state"},
		{"state elsewhere", "state: s\n", "state: other\n", "state"},
		{"fewer references", "", "limits: {references: 1}\n", "limits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newGateWorld(t)
			if err := os.Mkdir(w.in("s"), 0o700); err != nil {
				t.Fatal(err)
			}
			rules := "rules: [{name: r, namespaces: [team], artifacts: [{repositories: [\"" + w.registry + "/**\"], policy: p}]}]\n"
			w.config("  - {name: p, policy: policy.yaml}\n", rules+tc.first)
			g := w.start()
			g.ready(http.StatusOK, "ready")
			status, h, body := g.verify(w.ref("good"), "p")
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			w.write("policy.yaml", gatePolicy(2))
			w.config("  - {name: p, policy: policy.yaml}\n", rules+tc.then)
			old, next := h.Get("Pedigree-Policy"), ""
			for range 500 {
				if _, h, _ = g.verify(w.ref("good"), "p"); h.Get("Pedigree-Policy") != old {
					next = h.Get("Pedigree-Policy")
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			for range 500 { // the two files may be loaded one after the other
				if strings.Contains(g.stderr.String(), "not in force before the gate is started again") {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if !strings.Contains(g.stderr.String(), `not in force before the gate is started again: `+tc.part+`"`) {
				t.Errorf("nobody was told: %s", g.stderr.String())
			}
			status, _, body = g.verify(w.ref("good"), "p")
			if next == "" || status != http.StatusOK {
				t.Errorf("after the change: policy %s, status %d, %s", next, status, body)
			}
			if tc.first == "state: s\n" {
				d, err := state.Open(w.in("s"))
				if err != nil {
					t.Fatal(err)
				}
				marks, err := d.Marks()
				if err != nil || len(marks) != 1 || marks[0].Number != 2 {
					t.Errorf("version 2 is not remembered where the gate was told to: %v, %v", marks, err)
				}
			}
			two := review("team", h.Get("Pedigree-Artifact"))
			spec := two["request"].(map[string]any)["object"].(map[string]any)["spec"].(map[string]any)
			_, other, _ := g.verify(w.ref("bare"), "p")
			spec["initContainers"] = []any{map[string]any{"name": "i", "image": other.Get("Pedigree-Artifact")}}
			if _, _, body := g.post("/admit", two); strings.Contains(string(body), "E_LIMIT") {
				t.Errorf("the new limit is in force: %s", body)
			}
		})
	}
}

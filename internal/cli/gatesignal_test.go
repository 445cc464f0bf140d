//go:build unix

package cli

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGHUP has everything loaded again, although no file changed; it ends nothing.
func TestGateHangup(t *testing.T) {
	// Not parallel: the signal is the whole process's.
	w := newGateWorld(t)
	w.config("  - {name: p, policy: policy.yaml}\n", "")
	g := w.start()
	g.ready(http.StatusOK, "ready")
	reloads := func() int {
		_, body := g.get(g.metrics + "/metrics")
		_, rest, _ := strings.Cut(body, `pedigree_gate_reloads_total{result="ok"} `)
		count, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(count)
		return n
	}
	before := reloads()
	time.Sleep(300 * time.Millisecond)
	if n := reloads(); n != before {
		t.Fatalf("loaded again without a reason: %d times", n-before)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if reloads() > before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := reloads(); n != before+1 {
		t.Errorf("loaded %d times more, want once\n%s", n-before, g.stderr.String())
	}
	if status, _, body := g.verify(w.ref("good"), ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

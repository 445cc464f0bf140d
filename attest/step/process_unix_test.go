//go:build unix

package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestInterrupt(t *testing.T) {
	s := newShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.deps.Stdout = writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})
	start := time.Now()
	// The child of the command must be reached too.
	got, err := Run(ctx, s.spec("mkdir out; echo w > out/w; sleep 600 & echo $! > pid; echo started; wait"), s.deps)
	s.refused(got, err, attest.CodeInterrupted)
	if took := time.Since(start); took > 2*grace {
		t.Errorf("took %s", took)
	}
	if _, err := os.Stat("out/w"); err != nil {
		t.Errorf("the output was not left for inspection: %v", err)
	}
	gone(t, "pid")

	s.must(os.RemoveAll("out"))
	s.deps.Stdout = nil
	s.run(s.spec("mkdir out; echo w > out/w; echo started"))
}

// gone checks that the process whose number is in a file ends.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		// A killed process that nobody waits for stays as a zombie.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
}

// What a command leaves behind could still write to its outputs.
func TestLeftoverProcessesAreEnded(t *testing.T) {
	s := newShop(t)
	start := time.Now()
	s.run(s.spec("mkdir out; echo w > out/w; sleep 600 & echo $! > pid"))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	gone(t, "pid")
}

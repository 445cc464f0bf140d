package child

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"a program that runs on": "exec sleep 600", "one that reads its input": "trap '' TERM; read _", "one that has ended": "true",
	} {
		t.Run(name, func(t *testing.T) {
			p, began := start(t, script), time.Now()
			p.Stop()
			select {
			case <-p.Ended():
			default:
				t.Error("it runs on")
			}
			if took := time.Since(began); took >= patience {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestWaitSaysWhatTheProgramWrote(t *testing.T) {
	never := func(context.Context) error { return errors.New("not yet") }
	err := start(t, "echo no such key >&2; exit 3").Wait(context.Background(), never)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("one that ended: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = start(t, "exec sleep 600").Wait(ctx, never)
	if err == nil || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("one that does not come up: %v", err)
	}
	if err := start(t, "exec sleep 600").Wait(ctx, func(context.Context) error { return nil }); err != nil {
		t.Errorf("one that is ready: %v", err)
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if p == 0 || seen[p] {
			t.Errorf("ports %v", ports)
		}
		seen[p] = true
	}
}

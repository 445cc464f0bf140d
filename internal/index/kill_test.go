//go:build unix

package index_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/chaintest"
	"github.com/pedigree-ml/pedigree/internal/index"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// family is a world of a few models, each made from the one before; later some of
// what was said is gone and other things are said.
func family(t testing.TB, later bool) (w *chaintest.World, all []attest.Digest) {
	w = chaintest.New(t)
	for i := range 12 {
		all = append(all, w.Manifest(map[string]string{"model.safetensors": fmt.Sprint("weights ", i)}))
		train(w, "trainer", all[i], all[:i]...)
		gone := note(w, "alice", all[i], "fine")
		if later {
			w.Remove(gone)
			note(w, "alice", all[i], "not so fine")
		}
	}
	return w, all
}

// TestWriterProcess is no test, but a process that synchronises an index when it is
// started as one, and kills itself at the nth time that it comes to a point.
func TestWriterProcess(t *testing.T) {
	path := os.Getenv("PEDIGREE_TEST_INDEX")
	if path == "" {
		t.Skip("not started as a writer")
	}
	var nth int
	var kill string
	fmt.Sscanf(os.Getenv("PEDIGREE_TEST_KILL"), "%d %s", &nth, &kill)
	o := index.Options{Write: true}.Stepping(func(point string) {
		if point == kill {
			if nth--; nth == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // the signal is on its way
			}
		}
	})
	w, _ := family(t, os.Getenv("PEDIGREE_TEST_LATER") != "")
	f, err := index.Open(context.Background(), path, o)
	must(t, err)
	sync(t, f, hold(w, models(t)), keys(w, "trainer", "alice"))
	must(t, f.Close())
}

func writer(t testing.TB, path, kill string, later bool) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
	cmd.Env = append(os.Environ(), "PEDIGREE_TEST_INDEX="+path, "PEDIGREE_TEST_KILL="+kill)
	if later {
		cmd.Env = append(cmd.Env, "PEDIGREE_TEST_LATER=1")
	}
	return cmd
}

func finished(t testing.TB, path string, later bool) {
	t.Helper()
	if out, err := writer(t, path, "", later).CombinedOutput(); err != nil {
		t.Fatalf("a writer that nobody kills: %v\n%s", err, out)
	}
}

// payloads are what a source says is attached to an artifact.
func payloads(t testing.TB, f *index.File, d attest.Digest) (string, error) {
	t.Helper()
	good, bad, err := attached(f.Source(models(t)), d)
	if len(bad) > 0 {
		t.Errorf("%s: %v", d, bad)
	}
	var out []string
	for _, a := range good {
		b, err := attest.ParseBundle(a.Bundle)
		must(t, err)
		out = append(out, attest.SHA256(b.Payload).String())
	}
	slices.Sort(out)
	return strings.Join(out, " "), err
}

// check checks what a killed process left: of each artifact what was before, or
// what is now, and it says which; and that another process brings it to an end.
func check(t *testing.T, what, path string, before map[attest.Digest]string, later bool) {
	t.Helper()
	w, all := family(t, later)
	now := map[attest.Digest]string{}
	for _, d := range all {
		var list []string
		for _, b := range w.Bundles(d) {
			parsed, err := attest.ParseBundle(b)
			must(t, err)
			list = append(list, attest.SHA256(parsed.Payload).String())
		}
		slices.Sort(list)
		now[d] = strings.Join(list, " ")
	}
	look := func(what string, want int) {
		f, err := index.Open(context.Background(), path, index.Options{})
		if err != nil {
			wantCode(t, what, err, attest.CodeIndex, "there is no index")
			return
		}
		defer f.Close()
		read := 0
		for _, d := range all {
			got, err := payloads(t, f, d)
			switch {
			case err == nil && got == now[d]:
				read++
			case attest.RefusalCode(err) == attest.CodeIndex && got == before[d]:
			case err == nil && got == before[d] && want < 0: // the next reading had not begun
			default:
				t.Errorf("%s: %s has\n%s (%v)\nbefore:\n%s\nnow:\n%s", what, d, got, err, before[d], now[d])
			}
		}
		if _, err := found(f, lineage.OfType, noteType); err == nil && want >= 0 && read != len(all) {
			t.Errorf("%s: %d of %d were read, and Find is sure", what, read, len(all))
		}
		if want > 0 && read != want {
			t.Errorf("%s: %d were read, want %d", what, read, want)
		}
	}
	look(what, -1)
	finished(t, path, later)
	look(what+", and then to the end", len(all))
}

func TestKilled(t *testing.T) {
	t.Parallel()
	for _, kill := range []string{"1 locked", "1 created", "1 made", "1 begun", "1 put", "2 put", "5 put", "9 put", "1 half", "5 half", "12 half", "1 committing", "2 committing", "3 committing", "1 committed", "2 committed", "4 committed"} {
		path := filepath.Join(t.TempDir(), "index")
		out, err := writer(t, path, kill, false).CombinedOutput()
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: the writer was not killed: %v\n%s", kill, err, out)
		}
		check(t, kill, path, nil, false)
	}
}

// A second reading is killed, of a repository that has changed.
func TestKilledLater(t *testing.T) {
	t.Parallel()
	first := filepath.Join(t.TempDir(), "index")
	finished(t, first, false)
	before := map[attest.Digest]string{}
	f := open(t, first, index.Options{})
	_, all := family(t, false)
	for _, d := range all {
		got, err := payloads(t, f, d)
		must(t, err)
		before[d] = got
	}
	must(t, f.Close())
	for _, kill := range []string{"1 locked", "1 begun", "1 put", "3 put", "10 put", "1 half", "8 half", "1 committing", "2 committing", "2 committed", "4 committed"} {
		path := copyOf(t, first)
		out, err := writer(t, path, kill, true).CombinedOutput()
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: the writer was not killed: %v\n%s", kill, err, out)
		}
		check(t, kill, path, before, true)
	}
}

// At any moment, also in the middle of writing to the disk.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	first := filepath.Join(t.TempDir(), "index")
	finished(t, first, false)
	f := open(t, first, index.Options{})
	before := map[attest.Digest]string{}
	_, all := family(t, false)
	for _, d := range all {
		got, err := payloads(t, f, d)
		must(t, err)
		before[d] = got
	}
	must(t, f.Close())
	for i := range 12 {
		path := copyOf(t, first)
		cmd := writer(t, path, "", true)
		must(t, cmd.Start())
		time.Sleep(time.Duration(20+7*i) * time.Millisecond)
		_ = cmd.Process.Kill() // it may be done
		_ = cmd.Wait()
		check(t, fmt.Sprint("after ", 20+7*i, " ms"), path, before, true)
	}
}

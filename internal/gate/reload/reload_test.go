package reload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/reload"
)

// A world is two files that must agree, as a configuration and its policies must.
type world struct {
	t      *testing.T
	dir    string
	loads  atomic.Int64
	fail   atomic.Pointer[error] // what the next attempts fail with, whatever the files say
	told   chan error
	again  chan struct{}
	log    syncBuffer
	remote time.Duration
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), told: make(chan error, 1024), again: make(chan struct{}, 1)}
	w.write("a", "1")
	w.write("b", "1")
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func digest(path string) attest.Digest {
	b, err := os.ReadFile(path)
	if err != nil {
		return attest.Digest{}
	}
	return attest.SHA256(b)
}

func (w *world) load(_ context.Context, _ *gate.Grounds) (reload.Loaded, error) {
	w.loads.Add(1)
	l := reload.Loaded{Files: map[string]attest.Digest{}, Refresh: w.remote}
	var texts []string
	for _, name := range []string{"a", "b"} {
		b, err := os.ReadFile(w.path(name))
		d := attest.Digest{}
		if err == nil {
			d = attest.SHA256(b)
		}
		l.Files[w.path(name)] = d
		texts = append(texts, string(b))
	}
	if f := w.fail.Load(); f != nil {
		return l, *f
	}
	if texts[0] != texts[1] || texts[0] == "" {
		return l, attest.Refuse(attest.CodePolicyParse, "%q and %q", texts[0], texts[1])
	}
	// Every part of the grounds says which version it is of.
	l.Grounds = &gate.Grounds{Config: &gate.Config{Name: texts[0], Digest: texts[1]}}
	return l, nil
}

func (w *world) holder(poll time.Duration) *reload.Holder {
	return reload.New(reload.Options{
		Load: w.load, Read: digest, Told: func(err error) { w.told <- err }, Again: w.again, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Settle: 10 * time.Millisecond, Poll: poll,
	})
}

// run runs a holder until the test ends.
func (w *world) run(h *reload.Holder) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

func (w *world) next() error {
	w.t.Helper()
	select {
	case err := <-w.told:
		return err
	case <-time.After(10 * time.Second):
		w.t.Fatal("nobody tried to load")
		return nil
	}
}

func (w *world) quiet(d time.Duration) {
	w.t.Helper()
	select {
	case err := <-w.told:
		w.t.Fatalf("an attempt to load (%v), and nothing had changed", err)
	case <-time.After(d):
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestFailureKeepsTheOld(t *testing.T) {
	w := newWorld(t)
	h := w.holder(time.Hour)
	if h.Grounds() != nil {
		t.Fatal("it holds something before anything is loaded")
	}
	if err := h.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := h.Grounds()
	w.run(h)
	w.write("a", "2") // half of a change
	if err := w.next(); attest.RefusalCode(err) != attest.CodePolicyParse {
		t.Fatalf("half a change: %v", err)
	}
	p := h.Problem()
	if h.Grounds() != old || p == nil || attest.RefusalCode(p.Err) != attest.CodePolicyParse {
		t.Errorf("after half a change: %v, %v", h.Grounds(), p)
	}
	missing, notes := h.Standing()
	if len(missing) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "older grounds are in force") || !strings.Contains(notes[0], "E_POLICY_PARSE") {
		t.Errorf("standing: %q, %q", missing, notes)
	}
	w.write("b", "2")
	if err := w.next(); err != nil {
		t.Fatal(err)
	}
	if g := h.Grounds(); g.Config.Name != "2" || h.Problem() != nil {
		t.Errorf("after the whole change: %+v, %v", g.Config, h.Problem())
	}
	if log := w.log.String(); !strings.Contains(log, "the older ones stay in force") || !strings.Contains(log, "level=ERROR") {
		t.Errorf("the log: %s", log)
	}
}

// A load that gives neither grounds nor an error replaces nothing.
func TestNothingIsNotGrounds(t *testing.T) {
	h := reload.New(reload.Options{
		Load: func(context.Context, *gate.Grounds) (reload.Loaded, error) { return reload.Loaded{}, nil },
		Read: digest, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err := h.Load(t.Context()); attest.RefusalCode(err) != attest.CodeInternal || h.Grounds() != nil {
		t.Errorf("%v, %v", err, h.Grounds())
	}
}

func TestWhatCountsAsAChange(t *testing.T) {
	t.Run("touched", func(t *testing.T) {
		w := newWorld(t)
		h := w.holder(time.Hour)
		if err := h.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.run(h)
		time.Sleep(50 * time.Millisecond)
		w.write("a", "1")
		w.write("another", "file")
		w.quiet(200 * time.Millisecond)
		w.write("a", "2")
		w.write("b", "2")
		w.next() // the twin: it does notice
	})
	t.Run("a link that is exchanged, as Kubernetes mounts ConfigMaps", func(t *testing.T) {
		w := newWorld(t)
		for _, v := range []string{"1", "2"} {
			if err := os.Mkdir(w.path("..v"+v), 0o700); err != nil {
				t.Fatal(err)
			}
			w.write("..v"+v+"/a", v)
			w.write("..v"+v+"/b", v)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Symlink("..v1", w.path("..data")))
		for _, name := range []string{"a", "b"} {
			must(os.Remove(w.path(name)))
			must(os.Symlink("..data/"+name, w.path(name)))
		}
		h := w.holder(time.Hour)
		must(h.Load(t.Context()))
		w.run(h)
		time.Sleep(50 * time.Millisecond)
		must(os.Symlink("..v2", w.path("..tmp")))
		must(os.Rename(w.path("..tmp"), w.path("..data")))
		must(w.next())
		if g := h.Grounds(); g.Config.Name != "2" {
			t.Errorf("%+v", g.Config)
		}
	})
	t.Run("a folder that cannot be watched is polled", func(t *testing.T) {
		w := newWorld(t)
		h := w.holder(50 * time.Millisecond)
		if err := h.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The files lie behind a link into a folder that nobody watches.
		elsewhere := t.TempDir()
		if err := os.WriteFile(filepath.Join(elsewhere, "a"), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(w.path("a")), os.Symlink(filepath.Join(elsewhere, "a"), w.path("a")), os.Remove(w.path("b")), os.Symlink(filepath.Join(elsewhere, "a"), w.path("b"))); err != nil {
			t.Fatal(err)
		}
		w.run(h)
		time.Sleep(150 * time.Millisecond)
		if err := os.WriteFile(filepath.Join(elsewhere, "a"), []byte("2"), 0o600); err != nil {
			t.Fatal(err)
		}
		for h.Grounds().Config.Name != "2" {
			w.next() // it may have looked while the file was being written
		}
	})
	t.Run("asked for", func(t *testing.T) {
		w := newWorld(t)
		h := w.holder(time.Hour)
		if err := h.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.run(h)
		w.again <- struct{}{}
		if err := w.next(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("fetched", func(t *testing.T) {
		w := newWorld(t)
		w.remote = 30 * time.Millisecond
		h := w.holder(time.Hour)
		w.run(h)
		for range 3 {
			if err := w.next(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("what failed is tried again, and said once", func(t *testing.T) {
		w := newWorld(t)
		down := error(attest.Refuse(attest.CodeRegUnavailable, "down"))
		w.fail.Store(&down)
		h := w.holder(30 * time.Millisecond)
		w.run(h)
		for range 3 {
			if err := w.next(); !errors.Is(err, down) {
				t.Fatal(err)
			}
		}
		if n := strings.Count(w.log.String(), "not loaded"); n != 1 {
			t.Errorf("said %d times: %s", n, w.log.String())
		}
		if _, notes := h.Standing(); h.Grounds() != nil || len(notes) != 1 || !strings.Contains(notes[0], "down") {
			t.Errorf("%v, %q", h.Grounds(), notes)
		}
		w.fail.Store(nil)
		for w.next() != nil {
		}
		if h.Grounds() == nil {
			t.Error("it loads, and nothing is held")
		}
	})
}

// GAT-22: a hundred changes a second, valid and invalid; whoever takes grounds meanwhile
// has one whole version, and attempts are bounded.
func TestReloadUnderLoad(t *testing.T) {
	t.Run("GAT-22 at the holder", func(t *testing.T) {
		w := newWorld(t)
		h := reload.New(reload.Options{Load: w.load, Read: digest, Now: time.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Settle: 50 * time.Millisecond})
		if err := h.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.run(h)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		var asked atomic.Int64
		seen := sync.Map{}
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					g := h.Grounds()
					if g == nil || g.Config.Name != g.Config.Digest || g.Config.Name == "" {
						t.Errorf("grounds of two versions, or none: %+v", g)
						return
					}
					seen.Store(g.Config.Name, true)
					asked.Add(1)
				}
			})
		}
		before := w.loads.Load()
		start := time.Now()
		for i := range 200 {
			text := fmt.Sprint(i + 2)
			w.write("a", text)
			if i%3 != 0 {
				w.write("b", text)
			}
			time.Sleep(5 * time.Millisecond)
		}
		w.write("a", "last")
		w.write("b", "last")
		for h.Grounds().Config.Name != "last" {
			if time.Since(start) > time.Minute {
				t.Fatalf("the last version is not held: %+v, %v", h.Grounds().Config, h.Problem())
			}
			time.Sleep(5 * time.Millisecond)
		}
		took := time.Since(start)
		close(stop)
		readers.Wait()
		attempts, versions := w.loads.Load()-before, 0
		seen.Range(func(any, any) bool { versions++; return true })
		if most := int64(took/(50*time.Millisecond)) + 2; attempts > most {
			t.Errorf("%d attempts in %s, want at most %d", attempts, took, most)
		}
		if asked.Load() < 1000 || versions < 3 {
			t.Errorf("%d looks saw %d versions: the test proves little", asked.Load(), versions)
		}
	})
}

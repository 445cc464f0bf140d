//go:build unix

package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
)

// TestMain turns the test binary into a writer when it is started as one, so that
// several processes can write to one folder, and be killed while they do.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PEDIGREE_TEST_STATE"); dir != "" {
		if err := writer(dir, os.Getenv("PEDIGREE_TEST_KILL"), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writer remembers NAME NUMBER, NAME NUMBER, … one after the other. It kills itself
// at the point named.
func writer(dir, kill string, args []string) error {
	d, err := state.Open(dir)
	if err != nil {
		return err
	}
	d.SetStep(func(point string) {
		if point == kill {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	})
	for i := 0; i+1 < len(args); i += 2 {
		n, err := strconv.ParseInt(args[i+1], 10, 64)
		if err != nil {
			return err
		}
		if err := d.Remember([]policy.Mark{mark(args[i], n)}); err != nil {
			return err
		}
	}
	return nil
}

func start(t *testing.T, dir, kill string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PEDIGREE_TEST_STATE="+dir, "PEDIGREE_TEST_KILL="+kill)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	return cmd
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *state.Dir {
	t.Helper()
	d, err := state.Open(dir)
	must(t, err)
	return d
}

func marks(t testing.TB, dir string) []policy.Mark {
	t.Helper()
	got, err := open(t, dir).Marks()
	must(t, err)
	return got
}

// mark makes the content from name and number, so that one number has one content.
func mark(name string, n int64) policy.Mark {
	return policy.Mark{Name: name, Number: n, Content: attest.SHA256(fmt.Append(nil, name, n))}
}

func wantState(t *testing.T, what string, err error, why string) {
	t.Helper()
	if attest.RefusalCode(err) != attest.CodeState || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: got %v, want E_STATE with %q", what, err, why)
	}
}

func TestRemember(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	if got := marks(t, dir); len(got) != 0 {
		t.Fatalf("a new folder remembers %v", got)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("reading made the folder")
	}
	d := open(t, dir)
	must(t, d.Remember(nil))
	must(t, d.Remember([]policy.Mark{mark("policy/b", 7), mark("denylist/x", 1), mark("policy/a", 2)}))
	must(t, d.Remember([]policy.Mark{mark("policy/b", 6), mark("policy/a", 3)}))
	want := []policy.Mark{mark("denylist/x", 1), mark("policy/a", 3), mark("policy/b", 7)}
	if diff := cmp.Diff(want, marks(t, dir), cmp.Comparer(func(a, b attest.Digest) bool { return a == b })); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "state.json"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may touch it: %v", info.Mode())
	}
}

func TestOneNumberTwoContents(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	must(t, d.Remember([]policy.Mark{mark("status/a", 5)}))
	must(t, d.Remember([]policy.Mark{mark("status/a", 5)}))
	other := policy.Mark{Name: "status/a", Number: 5, Content: attest.SHA256([]byte("other"))}
	wantState(t, "the same number with other content", d.Remember([]policy.Mark{other, mark("status/b", 1)}), "when it was first seen")
	if got := marks(t, dir); len(got) != 2 || got[0] != mark("status/a", 5) || got[1] != mark("status/b", 1) {
		t.Errorf("remembered %v: the first content stays, and other marks are kept", got)
	}
	wantState(t, "two contents at once", open(t, t.TempDir()).Remember([]policy.Mark{mark("status/a", 5), other}), "when it was first seen")
}

func TestMalformedMarksAreNotRemembered(t *testing.T) {
	dir := t.TempDir()
	for name, m := range map[string]policy.Mark{
		"no name":       {Number: 1, Content: attest.SHA256(nil)},
		"a line feed":   {Name: "policy/a\n", Number: 1, Content: attest.SHA256(nil)},
		"no kind":       {Name: "a", Number: 1, Content: attest.SHA256(nil)},
		"a long name":   {Name: "policy/" + strings.Repeat("a", 241), Number: 1, Content: attest.SHA256(nil)},
		"number zero":   {Name: "policy/a", Content: attest.SHA256(nil)},
		"below zero":    {Name: "policy/a", Number: -1, Content: attest.SHA256(nil)},
		"no content":    {Name: "policy/a", Number: 1},
		"the zero mark": {},
	} {
		wantState(t, name, open(t, dir).Remember([]policy.Mark{mark("policy/ok", 1), m}), "cannot be remembered")
	}
	if got := marks(t, dir); len(got) != 0 {
		t.Errorf("remembered %v", got)
	}
	must(t, open(t, dir).Remember([]policy.Mark{mark("policy/"+strings.Repeat("a", 240), 1<<62)}))
	if got := marks(t, dir); len(got) != 1 {
		t.Errorf("remembered %v", got)
	}
}

// STO-14: what is damaged or edited is refused, and never taken for a first use.
func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 7), mark("status/0a", 12)}))
	good, err := os.ReadFile(file)
	must(t, err)
	write := func(b []byte) error {
		must(t, os.WriteFile(file, b, 0o600))
		got, err := open(t, dir).Marks()
		if err != nil && got != nil {
			t.Error("an error came with marks")
		}
		return err
	}
	must(t, write(good))
	for i := range good {
		for _, bit := range []byte{1, 2 << (i % 7)} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if attest.RefusalCode(write(bad)) != attest.CodeState {
				t.Errorf("read with byte %d flipped by %d", i, bit)
			}
		}
		if attest.RefusalCode(write(good[:i])) != attest.CodeState {
			t.Errorf("read when cut after %d bytes", i)
		}
	}
	for name, bad := range map[string]string{
		"edited":            strings.Replace(string(good), `"number":7`, `"number":6`, 1),
		"white space":       strings.Replace(string(good), `,"sum"`, `, "sum"`, 1),
		"another field":     strings.Replace(string(good), `,"sum"`, `,"seen":1,"sum"`, 1),
		"a number in full":  strings.Replace(string(good), `"number":7`, `"number":7.0`, 1),
		"two documents":     string(good) + string(good),
		"an empty document": "{}",
		"zeros":             strings.Repeat("\x00", len(good)),
		"too large":         strings.Repeat(" ", 9<<20),
	} {
		wantState(t, name, write([]byte(bad)), "damaged")
		// Nor is it written over.
		wantState(t, name, open(t, dir).Remember([]policy.Mark{mark("policy/b", 1)}), "damaged")
		if b, err := os.ReadFile(file); err != nil || string(b) != bad {
			t.Errorf("%s: the damaged file was changed", name)
		}
	}
	// Names are unique and in order, also where the sum is right.
	for name, list := range map[string]string{"twice": "aa", "out of order": "ba"} {
		text := fmt.Sprintf(`[{"content":"%[1]s","name":"policy/%[2]c","number":1},{"content":"%[1]s","name":"policy/%[3]c","number":2}]`, attest.SHA256(nil), list[0], list[1])
		wantState(t, name, write(fmt.Appendf(nil, `{"format":1,"marks":%s,"sum":"%s"}`+"\n", text, attest.SHA256([]byte(text)))), "out of order")
	}
	// Deleted, it is a first use.
	must(t, os.Remove(file))
	if got := marks(t, dir); len(got) != 0 {
		t.Errorf("remembered %v", got)
	}
}

// STO-18: a newer version's file is refused clearly.
func TestNewerState(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"format":2,"memory":{}}`), 0o600))
	_, err := open(t, dir).Marks()
	wantState(t, "a newer format", err, "format 2, and this version reads 1")
	wantState(t, "a newer format", open(t, dir).Remember([]policy.Mark{mark("policy/a", 1)}), "format 2")
}

func TestUnusableFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{"", file, filepath.Join(file, "below")} {
		_, err := state.Open(path)
		if attest.RefusalCode(err) != attest.CodeState {
			t.Errorf("%q: %v", path, err)
		}
	}
	for name, make := range map[string]func(path string) error{
		"a pipe":            func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"a folder":          func(p string) error { return os.Mkdir(p, 0o700) },
		"a link to nothing": func(p string) error { return os.Symlink("nowhere", p) },
	} {
		sub := t.TempDir()
		must(t, make(filepath.Join(sub, "state.json")))
		_, err := open(t, sub).Marks()
		wantState(t, name, err, "is")
	}
	// A lock file that is a link elsewhere is not followed.
	sub := t.TempDir()
	must(t, os.Symlink(file, filepath.Join(sub, ".lock")))
	wantState(t, "a linked lock", open(t, sub).Remember([]policy.Mark{mark("policy/a", 1)}), "")
}

func TestLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	go func() {
		time.Sleep(50 * time.Millisecond)
		f.Close()
	}()
	must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 1)}))
}

// Processes that write at once lose nothing of each other.
func TestProcessesShareAState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	const writers, each = 6, 15
	var cmds []*exec.Cmd
	for w := range writers {
		var args []string
		for i := range each {
			// A name of its own, and one that all raise.
			args = append(args, fmt.Sprintf("policy/own%d", w), fmt.Sprint(i+1), "policy/shared", fmt.Sprint(i*writers+w+1))
		}
		cmds = append(cmds, start(t, dir, "", args...))
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a writer failed: %v", err)
		}
	}
	got := marks(t, dir)
	if len(got) != writers+1 || got[writers] != mark("policy/shared", writers*each) {
		t.Fatalf("remembered %v", got)
	}
	for w := range writers {
		if got[w].Number != each {
			t.Errorf("%s is %d, want %d", got[w].Name, got[w].Number, each)
		}
	}
}

// A process is killed at every point of writing: what is there is the old memory or
// the new one, and the next process writes as ever.
func TestKilledAtEveryPoint(t *testing.T) {
	points := map[string]int64{"locked": 1, "created": 1, "half written": 1, "written": 1, "synced": 1, "renamed": 2}
	// The list is the one that the writer goes through.
	seen := map[string]bool{}
	d := open(t, t.TempDir())
	d.SetStep(func(point string) { seen[point] = true })
	must(t, d.Remember([]policy.Mark{mark("policy/a", 1)}))
	for point := range seen {
		if points[point] == 0 {
			t.Errorf("nobody is killed at %q", point)
		}
	}
	for point, want := range points {
		if !seen[point] {
			t.Errorf("no writer comes to %q", point)
		}
		dir := t.TempDir()
		must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 1)}))
		err := start(t, dir, point, "policy/a", "2").Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Exited() {
			t.Errorf("%s: the writer was not killed: %v", point, err)
		}
		if got := marks(t, dir); len(got) != 1 || got[0] != mark("policy/a", want) {
			t.Errorf("killed when %s: remembered %v, want %d", point, got, want)
		}
		must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 3)}))
		if got := marks(t, dir); len(got) != 1 || got[0].Number != 3 {
			t.Errorf("after a writer was killed when %s: remembered %v", point, got)
		}
	}
	// The first use of a folder too.
	dir := filepath.Join(t.TempDir(), "new")
	start(t, dir, "half written", "policy/a", "1").Wait()
	if got := marks(t, dir); len(got) != 0 {
		t.Errorf("remembered %v", got)
	}
}

// What is known already needs no writing: a folder that cannot be written serves.
func TestNothingNewWritesNothing(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 2)}))
	d := open(t, dir)
	d.SetStep(func(point string) { t.Errorf("came to %q for nothing", point) })
	must(t, d.Remember([]policy.Mark{mark("policy/a", 2)}))
	must(t, d.Remember([]policy.Mark{mark("policy/a", 1)}))
	wantState(t, "other content", d.Remember([]policy.Mark{{Name: "policy/a", Number: 2, Content: attest.SHA256(nil)}}), "when it was first seen")
}

// Readers of a folder that is being written to see one memory or the next.
func TestReadWhileWriting(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Remember([]policy.Mark{mark("policy/a", 1)}))
	done := make(chan error, 1)
	go func() {
		d, err := state.Open(dir)
		for i := int64(2); err == nil && i < 60; i++ {
			err = d.Remember([]policy.Mark{mark("policy/a", i)})
		}
		done <- err
	}()
	last := int64(0)
	for {
		got := marks(t, dir)
		if len(got) != 1 || got[0].Number < last || got[0] != mark("policy/a", got[0].Number) {
			t.Fatalf("read %v after %d", got, last)
		}
		last = got[0].Number
		select {
		case err := <-done:
			must(t, err)
			return
		default:
		}
	}
}

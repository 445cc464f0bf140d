package step

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

func TestRunRecordsWhatWentInAndOut(t *testing.T) {
	s := newShop(t)
	s.write("data/a.csv", "1,2\n")
	s.write("data/sub/b.csv", "3,4\n")
	data := s.push("data", "v3")
	s.write("base.bin", "base")
	s.write("poetry.lock", "locked")
	s.write("raw.csv", "raw")
	raw := attest.SHA256([]byte("raw"))
	elsewhere := attest.SHA256([]byte("elsewhere"))
	canary := "tweet-7b1e"

	got := s.run(Spec{
		Step:    "train",
		Command: sh(`echo to out; echo to err >&2; mkdir m t; cat data/a.csv > m/w.bin; echo "$CANARY_NAME" > t/seen`),
		Inputs: []Input{
			{Role: "training-data", Ref: s.ref("v3"), Path: "data"},
			{Role: "evaluation-data", Ref: s.ref("v3")},
			{Role: "base-model", Path: "base.bin"},
			{Role: "raw-data", URI: "https://data.example/raw.csv", Digest: raw, Path: "raw.csv"},
			{Role: "teacher", URI: "https://models.example/t", Digest: elsewhere},
		},
		Outputs: []Output{
			{Name: "model", Path: "m", To: s.ref("model-v1")},
			{Name: "test", Path: "t", To: s.ref(""), Kind: "dataset"},
		},
		Locks:  []string{"poetry.lock"},
		Params: []Param{{"epochs", "3"}, {"note", "a=b <c>"}},
		Env:    []string{"SEED", "NOT_SET"},
		Log:    "log.txt",
	})

	if seen, _ := os.ReadFile("t/seen"); string(seen) != canary+"\n" {
		t.Fatalf("the command did not get the whole environment: %q", seen)
	}
	for _, p := range s.payloads() {
		if strings.Contains(string(p), canary) {
			t.Errorf("a variable that was not listed is in the statement: %s", p)
		}
		if strings.Contains(string(p), s.dir) {
			t.Errorf("a path of this machine is in the statement: %s", p)
		}
	}
	var outputs []predicate.Output
	for _, o := range got.Outputs {
		outputs = append(outputs, predicate.Output{Name: o.Name, Digest: o.Ref.Digest})
	}
	want := []predicate.Input{
		{Role: "training-data", Name: "v3", Digest: data, Observed: true},
		{Role: "evaluation-data", Name: "v3", Digest: data},
		{Role: "base-model", Name: "base.bin", Digest: attest.SHA256([]byte("base")), Observed: true},
		{Role: "raw-data", URI: "https://data.example/raw.csv", Digest: raw, Observed: true},
		{Role: "teacher", URI: "https://models.example/t", Digest: elsewhere},
		{Role: "environment", Name: "poetry.lock", Digest: attest.SHA256([]byte("locked")), Observed: true},
	}
	log, err := os.ReadFile("log.txt")
	s.must(err)
	if len(log) != len("to out\nto err\n") || s.out.Len() != len(log) {
		t.Errorf("log %q, passed on %q", log, s.out.String())
	}
	ids := map[string]bool{}
	for _, o := range got.Outputs {
		f, text := s.one(o.Ref.Digest)
		ids[f.InvocationID] = true
		if !slices.Equal(f.Inputs, want) {
			t.Errorf("inputs\n%+v, want\n%+v", f.Inputs, want)
		}
		if !slices.Equal(f.Outputs, outputs) || len(outputs) != 2 {
			t.Errorf("outputs %v, want %v", f.Outputs, outputs)
		}
		if f.BuildType != "https://pedigree-ml.github.io/build/train/v1" || f.Claimed != time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC) {
			t.Errorf("build type %s at %s", f.BuildType, f.Claimed)
		}
		contains(t, text, `"environment":{"SEED":"42"}`, `"parameters":{"epochs":"3","note":"a=b <c>"}`, `"command":["sh","-c",`,
			`"exitStatus":0`, `"pedigreeVersion":"v0.0.0-test"`, `"startedOn":"2026-03-01T12:00:01Z"`, `"id":"`+DefaultBuilder+`"`,
			`"log":{"sha256":"`+attest.SHA256(log).Hex()+`","size":14}`)
	}
	if len(ids) != 1 || !ids[got.InvocationID] || len(got.InvocationID) != 36 {
		t.Errorf("invocation ids %v, want only %q", ids, got.InvocationID)
	}
	if d, err := s.store().Resolve(t.Context(), s.ref("model-v1")); err != nil || d != got.Outputs[0].Ref.Digest {
		t.Errorf("the tag names %s (%v), want the output", d, err)
	}
	if len(got.Notes) != 0 {
		t.Errorf("notes %q", got.Notes)
	}
}

func TestRunAgain(t *testing.T) {
	s := newShop(t)
	spec := s.spec("mkdir -p out; echo w > out/w")
	first := s.run(spec)
	if len(first.Notes) != 0 {
		t.Errorf("notes %q", first.Notes)
	}
	second := s.run(spec)
	a, b := first.Outputs[0], second.Outputs[0]
	if a.Ref != b.Ref || a.Payload == b.Payload || first.InvocationID == second.InvocationID {
		t.Errorf("first %+v, second %+v: want one artifact and two statements", a, b)
	}
	if n := len(s.statements(a.Ref.Digest)); n != 2 {
		t.Errorf("%d statements, want 2", n)
	}
	if len(second.Notes) != 1 {
		t.Errorf("notes %q: want one about the output that was there", second.Notes)
	}
	contains(t, string(slices.Concat(s.payloads()...)), `"outputsBefore":["model"]`)
}

// Regression guard for the order: a tag on something whose statement is missing
// would look like a finished step.
func TestNoTagWithoutStatement(t *testing.T) {
	s := newShop(t)
	s.attach = attest.Refuse(attest.CodeAttachUnconfirm, "not listed")
	got := s.refuse(s.spec("mkdir -p out; echo w > out/w"), attest.CodeAttachUnconfirm)
	if got.Status != StatusFailed {
		t.Errorf("status %d, want %d", got.Status, StatusFailed)
	}
	s.attach = nil
	s.run(s.spec("mkdir -p out; echo w > out/w"))
}

func TestNothingIsPushedIfOneOutputIsMissing(t *testing.T) {
	s := newShop(t)
	spec := s.spec("mkdir out; echo w > out/w")
	spec.Outputs = append(spec.Outputs, Output{Name: "card", Path: "card.md", To: s.ref("card")})
	s.refuse(spec, attest.CodeFileMissing)
	if _, err := os.Stat("store"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was pushed: %v", err)
	}
	s.must(os.RemoveAll("out"))
	spec.Command = sh("mkdir out; echo w > out/w; echo c > card.md")
	s.run(spec)
}

func TestCommandsThatFail(t *testing.T) {
	s := newShop(t)
	s.write("plain", "#!/bin/sh\n")
	s.write("bad", "#!/nowhere/interpreter\n")
	s.must(os.Chmod("bad", 0o755))
	for _, c := range []struct {
		command []string
		status  int
	}{
		{sh("mkdir -p out; echo w > out/w; exit 3"), 3},
		{sh("exit 125"), 125},
		{sh("kill -9 $$"), 128 + 9},
		{[]string{"no-such-command-here"}, 127},
		{[]string{"./none"}, 127},
		{[]string{"./bad"}, 127},
		{[]string{"./plain"}, 126},
		{[]string{s.dir}, 126},
	} {
		spec := s.spec("")
		spec.Command = c.command
		if got := s.refuse(spec, attest.CodeCommand); got.Status != c.status {
			t.Errorf("%q: status %d, want %d", c.command, got.Status, c.status)
		}
	}
	s.must(os.RemoveAll("out"))
	s.run(s.spec("mkdir out; echo w > out/w; exit 0"))
}

// A program in the current folder must not stand in for one of the system.
func TestCommandsAreNotTakenFromRelativeFolders(t *testing.T) {
	s := newShop(t)
	s.write("tool", "#!/bin/sh\nmkdir out; echo w > out/w\n")
	s.must(os.Chmod("tool", 0o755))
	spec := s.spec("")
	spec.Command = []string{"tool"}
	path := s.deps.Environ[0]
	s.deps.Environ[0] = path + "::.:bin"
	s.refuse(spec, attest.CodeCommand)
	s.deps.Environ[0] = path + ":" + s.dir
	s.run(spec)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStdinReachesTheCommand(t *testing.T) {
	s := newShop(t)
	s.deps.Stdin = strings.NewReader("from outside")
	s.run(s.spec("mkdir out; cat > out/w"))
	if b, _ := os.ReadFile("out/w"); string(b) != "from outside" {
		t.Errorf("got %q", b)
	}
}

// No environment means none, and not this process's.
func TestTheCommandGetsTheGivenEnvironment(t *testing.T) {
	s := newShop(t)
	t.Setenv("LEAK", "1")
	s.deps.Environ = nil
	spec := s.spec("")
	spec.Command = []string{"/bin/sh", "-c", `test -z "$LEAK" && PATH=/usr/bin:/bin && mkdir out && echo w > out/w`}
	s.run(spec)
}

// Whoever watches may go away; the work goes on and its log is whole.
func TestClosedOutput(t *testing.T) {
	s := newShop(t)
	s.deps.Stdout = writerFunc(func([]byte) (int, error) { return 0, syscall.EPIPE })
	spec := s.spec("mkdir out; echo w > out/w; echo one; echo two")
	spec.Log = "log"
	got := s.run(spec)
	if b, _ := os.ReadFile("log"); string(b) != "one\ntwo\n" || len(got.Notes) != 1 {
		t.Errorf("log %q, notes %q", b, got.Notes)
	}
}

func TestUnwritableLog(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	s := newShop(t)
	spec := s.spec("mkdir -p out; echo w > out/w; echo one")
	spec.Log = "/dev/full"
	s.refuse(spec, attest.CodeFileIO)
	spec.Log = filepath.Join(s.dir, "log")
	s.run(spec)
}

// Package e2e runs the program and the library against a real Sigstore on loopback.
package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

// What all tests share: the program, and an instance with two timestamp authorities.
var (
	pedigree string
	acme     *stack.Stack
)

func TestMain(m *testing.M) {
	stack.Child()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pedigree-e2e-*")
	if err == nil {
		defer os.RemoveAll(dir)
		pedigree = filepath.Join(dir, "pedigree")
		build := exec.Command("go", "build", "-o", pedigree, "./cmd/pedigree")
		build.Dir = "../.." // with the versions of its own module, as everybody has it
		var said []byte
		if said, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, said)
		}
	}
	if err == nil {
		acme, err = stack.Start(context.Background(), stack.Options{Authorities: 2})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	if err := acme.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// The people and steps of the tests.
const (
	alice = "alice@acme.example"
	bob   = "bob@acme.example"
)

func workload(step string) stack.Workload {
	return stack.Workload{Pipeline: "acme/credit/pipeline.yaml", Step: step, Ref: "refs/heads/main", Event: "push", RunID: 42}
}

// A world is a folder with what a user of an instance has: the files that configure
// clients, a trust file, and a registry.
type world struct {
	*testing.T
	dir   string
	stack *stack.Stack
}

// trustFile trusts an instance that is described by the file beside it.
const trustFile = `apiVersion: pedigree-ml.github.io/v1
kind: Trust
metadata: {name: acme, version: 1, expires: 2099-01-01T00:00:00Z}
sigstore:
  - {name: acme, trustedRoot: trusted_root.json}
timestampAuthorities:
  - {name: first, chain: timestamps-0.pem, from: 2020-01-01T00:00:00Z}
`

func newWorld(t *testing.T, s *stack.Stack) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), stack: s}
	if _, err := s.Write(w.dir); err != nil {
		t.Fatal(err)
	}
	w.write("trust.yaml", trustFile)
	w.write("model/model.safetensors", "weights")
	w.write("set/train.csv", "1,2\n")
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.Helper()
	if err := os.RemoveAll(w.path(name)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// token writes a token into a file and returns the file's name. Who is a
// stack.Workload, or the address of a person.
func (w *world) token(who any) string {
	w.Helper()
	var token string
	var err error
	name := "person.jwt"
	switch who := who.(type) {
	case stack.Workload:
		name = who.Step + ".jwt"
		token, err = w.stack.Workloads.Token(who.Claims())
	case string:
		token, err = w.stack.People.Token(stack.Person(who))
	default:
		w.Fatalf("a token for %v", who)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.write(name, token)
	return name
}

// endpoints has clients use other addresses than the stack's, a proxy's say.
func (w *world) endpoints(e stack.Endpoints) {
	w.Helper()
	c, err := w.stack.SigningConfig(e)
	if err != nil {
		w.Fatal(err)
	}
	w.write("signing_config.json", string(c))
}

// A said is what came of a command.
type said struct {
	out, err string
	status   int
	took     time.Duration
}

func (s said) String() string {
	return fmt.Sprintf("status %d after %v\n%s%s", s.status, s.took.Round(time.Millisecond), s.out, s.err)
}

// run runs the program in the world's folder. Whatever is not on loopback cannot be
// reached from it: the only proxy it knows is none.
func (w *world) run(args ...string) said {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, pedigree, args...)
	c.Dir = w.dir
	c.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "PEDIGREE_PASSWORD=", "DOCKER_CONFIG=" + w.dir,
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1"}
	c.Stdout, c.Stderr = &out, &errs
	start := time.Now()
	err := c.Run()
	s := said{out: out.String(), err: errs.String(), took: time.Since(start)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		s.status = exit.ExitCode()
	} else if err != nil {
		w.Fatal(err)
	}
	return s
}

// ok runs a command that must succeed, given as one would type it, and returns its standard output.
func (w *world) ok(line string, more ...string) string {
	w.Helper()
	s := w.run(append(strings.Fields(line), more...)...)
	if s.status != 0 {
		w.Fatalf("pedigree %s %v\n%v", line, more, s)
	}
	return s.out
}

// refused runs a command that must end with the status and say the code.
func (w *world) refused(status int, code, line string, more ...string) said {
	w.Helper()
	s := w.run(append(strings.Fields(line), more...)...)
	if s.status != status || !strings.Contains(s.out+s.err, code) {
		w.Errorf("pedigree %s %v\nis not refused with status %d and %s, but\n%v", line, more, status, code, s)
	}
	return s
}

// attached returns how much is attached to the artifact.
func (w *world) attached(ref string) int {
	w.Helper()
	return strings.Count(w.ok("list "+ref+" --output json"), `"payload"`)
}

// keyless are the flags with which everything is signed here.
func (w *world) keyless(who any) []string {
	return []string{"--identity-token", w.token(who), "--signing-config", "signing_config.json"}
}

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

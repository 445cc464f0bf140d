package cli_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pedigree-ml/pedigree/examples/credit"
	"github.com/pedigree-ml/pedigree/internal/cli"
	"github.com/pedigree-ml/pedigree/internal/pkcs11"
)

// TestMain makes this binary the program, when a script runs it under its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pedigree": func() {
			// As main does it.
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Run(ctx, cli.Process{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ()}))
		},
	})
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d scripts (%v): the corpus moved or was not checked out", len(files), err)
	}
	// Bundles that Sigstore's own services signed, if they are here: the public
	// suite sigstore-conformance.
	suite := os.Getenv("PEDIGREE_CONFORMANCE")
	if suite == "" {
		if suite, err = filepath.Abs("../../../shared/conformance"); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PEDIGREE_PASSWORD", "")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TZ", "UTC")
			e.Setenv("SUITE", suite)
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Getuid() == 0, nil
			case "suite":
				_, err := os.Stat(filepath.Join(suite, "sigstore", "bundle-verify"))
				return err == nil, nil
			case "pkcs11":
				return pkcs11.Built, nil
			case "softhsm":
				if softHSM() == "" && os.Getenv("CI") == "true" {
					return false, errors.New("SoftHSM (softhsm2) or pkcs11-tool (opensc) is not here")
				}
				return softHSM() != "", nil
			case "git":
				_, err := exec.LookPath("git")
				return err == nil, nil
			}
			return false, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"instance":    instance,
			"identify":    identify,
			"status":      status,
			"same":        same,
			"policy":      writePolicy,
			"trim":        trim,
			"down":        down,
			"authorities": authorities,
			"workload":    workload,
			"plugin":      plugin,
			"token":       token,
		},
	})
}

// status N CMD… runs a command that must end with exit status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		got = strings.TrimPrefix(exit.ProcessState.String(), "exit status ")
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// same STATUS COMMAND… asks a question of the repositories and of the index i.db, under
// the policy mini.yaml and, if there is one, the trust file $TRUST; status and JSON must
// be the same, byte for byte.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: same STATUS command…")
	}
	asked := append(append([]string{args[0], "pedigree", "-q"}, args[1:]...), "--policy", "mini.yaml", "--output", "json")
	if file := ts.Getenv("TRUST"); file != "" {
		asked = append(asked, "--trust", file)
	}
	status(ts, false, asked)
	bare := ts.ReadFile("stdout")
	status(ts, false, append(asked, "--index", "i.db"))
	if got := ts.ReadFile("stdout"); got != bare || len(bare) < 100 {
		ts.Fatalf("over the index the answer is\n%s\nand over the repositories\n%s", got, bare)
	}
}

// policy FILE writes the example's policy, valid for a year from now.
func writePolicy(ts *testscript.TestScript, _ bool, args []string) {
	p, err := credit.Policy(time.Now().AddDate(1, 0, 0))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), p, 0o644))
}

// trim VARIABLE FILE puts a file's text into a variable, without the line feed.
func trim(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// down VARIABLE starts a registry that answers 503 to everything.
func down(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "closed")
	})}
	go srv.Serve(l)
	ts.Defer(func() { srv.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

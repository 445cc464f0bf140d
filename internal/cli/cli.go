// Package cli runs one invocation of the program.
//
// The process is a parameter list: a [Process] holds arguments, streams,
// environment and clock, and [Run] returns the exit status. Nothing is read from
// anywhere else, so that a test, the demonstration and a shell run the same code.
//
// Nothing ambient decides anything either. There is no configuration file; what
// lies in the working directory is ignored unless it is named on the command
// line. Of the environment only PEDIGREE_PASSWORD (the passphrase of key files),
// PEDIGREE_CACHE, XDG_CACHE_HOME and HOME (where fetched trusted roots are kept)
// and NO_COLOR and TERM (whether to print in colour) are looked at, and where
// --identity-token names a platform, that platform's variables; credentials for
// registries come from docker's configuration.
//
// The exit status is part of the interface; codes.go has the table of all codes
// with theirs. Standard output carries the result and nothing else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/step"
)

// The exit statuses. Deploy scripts branch on them.
const (
	exitOK        = 0 // done; of verify: the policy allows the artifact
	exitDeny      = 1 // an answer was reached, and it is no
	exitUsage     = 2 // the command line, the policy or a key is wrong
	exitUndecided = 3 // something could not be completely looked at
	exitInternal  = 4 // a bug was caught
)

// A Process is everything an invocation has of its surroundings.
type Process struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Env    []string         // as os.Environ gives it
	Now    func() time.Time // nil means time.Now
}

// getenv returns the value of a variable, and whether it is set.
func (p *Process) getenv(name string) (string, bool) {
	// The last of several wins, as os.Getenv and the shell have it.
	for i := len(p.Env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.Env[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Run runs one invocation and returns its exit status. A panic is reported as a
// bug and gives status 4; a result that could not be written gives status 3,
// whatever the result was.
func Run(ctx context.Context, p Process) (status int) {
	if p.Now == nil {
		p.Now = time.Now
	}
	out := &resultWriter{w: p.Stdout}
	p.Stdout = out
	a := &app{Process: p}
	// The status is 4 until the end is reached: whatever stops the program
	// before that is not a yes.
	status = exitInternal
	defer func() {
		if r := recover(); r != nil {
			status = exitInternal
			fmt.Fprintf(p.Stderr, "pedigree: %s: this is a bug: %s\n%s", attest.CodeInternal, attest.Printable(fmt.Sprint(r)), debug.Stack())
		}
	}()
	err := a.execute(ctx)
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		err = &attest.Refusal{Code: attest.CodeFileIO, About: "standard output", Why: "the result could not be written", Err: plainCause(out.err)}
	}
	var own *statusError
	if err != nil && isRun(p.Args) && !errors.As(err, &own) {
		err = &statusError{step.StatusFailed, err} // 2 could be the command's own status
	}
	if err != nil {
		return a.report(err)
	}
	return exitOK
}

// isRun reports whether an invocation is of `pedigree run`, whose status is the
// command's unless Pedigree itself fails.
func isRun(args []string) bool {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return arg == "run"
		}
	}
	return false
}

// A resultWriter remembers that a write failed. A full disk or a closed pipe
// means that the caller has not seen the answer, and must not read a yes out of
// the exit status.
type resultWriter struct {
	w       io.Writer
	err     error
	written bool
}

func (r *resultWriter) Write(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.w.Write(b)
	r.written = r.written || n > 0
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	r.err = err
	return n, err
}

// An app is one invocation with its global flags.
type app struct {
	Process
	quiet      bool
	noProgress bool
	offline    bool
	believed   map[trustSource]loadedTrust // what was loaded already
	files      *fileLog                    // nil: nobody asks what was read
	fetched    bool                        // a policy, or trust, came from elsewhere than a file
}

// note tells the person at the terminal something that is no result.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}

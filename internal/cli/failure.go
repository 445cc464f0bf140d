package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/report"
	"github.com/pedigree-ml/pedigree/policy"
)

// An outcomeError ends an invocation whose result was printed and is not a yes:
// there is nothing more to say than the status.
type outcomeError struct{ outcome policy.Outcome }

func (e *outcomeError) Error() string { return "the answer is " + e.outcome.String() }

// answer turns a verdict into the error that ends the invocation. This is the
// one place where a verdict becomes a success, and only ALLOW does.
func answer(o policy.Outcome) error {
	if o == policy.Allow {
		return nil
	}
	return &outcomeError{o}
}

// A statusError ends an invocation with a status of its own: the one of the
// command that `run` ran, or those of env(1).
type statusError struct {
	status int
	err    error // nil: the command has said it all
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

func usage(format string, args ...any) *attest.Refusal {
	return attest.Refuse(attest.CodeUsage, format, args...)
}

// report prints an error and returns the exit status that it stands for.
func (a *app) report(err error) int {
	var done *outcomeError
	if errors.As(err, &done) {
		if done.outcome == policy.Undecided {
			return exitUndecided
		}
		return exitDeny
	}
	var own *statusError
	if errors.As(err, &own) && own.err == nil {
		return nonZero(own.status)
	}
	fs := failures(err)
	for _, f := range fs {
		line := "pedigree: " + f.Code
		if f.About != "" {
			line += " " + report.About(f.About)
		}
		if f.Why != "" {
			line += ": " + attest.Printable(f.Why)
		}
		fmt.Fprintln(a.Stderr, line)
		if f.Next != "" {
			fmt.Fprintf(a.Stderr, "  next: %s\n", attest.Printable(f.Next))
		}
	}
	if a.wantsJSON() && !a.answered() {
		a.reportJSON(fs)
	}
	if own != nil {
		return nonZero(own.status)
	}
	return exitOf(attest.Code(fs[0].Code))
}

// nonZero keeps an error from ending in success, whatever status it carries.
func nonZero(status int) int {
	if status == exitOK {
		return exitInternal
	}
	return status
}

// A failure is an error as it is printed.
type failure struct {
	Code  string `json:"code"`
	About string `json:"about"`
	Why   string `json:"why"`
	Next  string `json:"next"`
}

func (a *app) reportJSON(fs []failure) {
	if b, err := failureJSON(fs); err == nil {
		fmt.Fprintf(a.Stdout, "%s", b)
	}
}

// failureJSON is a command's error as a document.
func failureJSON(fs []failure) ([]byte, error) {
	doc := struct {
		Error failure   `json:"error"`
		More  []failure `json:"more,omitempty"`
	}{fs[0], fs[1:]}
	b, err := json.MarshalIndent(doc, "", "  ")
	return append(b, '\n'), err
}

// answered reports whether a result was printed. A second document behind it
// would make both unreadable; the exit status says that something went wrong.
func (a *app) answered() bool {
	out, ok := a.Stdout.(*resultWriter)
	return ok && out.written
}

// wantsJSON looks for --output json in the arguments themselves: a command line
// that could not be parsed has an answer in JSON too.
func (a *app) wantsJSON() bool {
	for i, arg := range a.Args {
		switch {
		case arg == "--":
			return false
		case arg == "--output=json", arg == "--output" && i+1 < len(a.Args) && a.Args[i+1] == "json":
			return true
		}
	}
	return false
}

// A policyError is a policy, or a trust file, that does not load.
type policyError struct {
	file string
	load *policy.LoadError
}

func (e *policyError) Error() string { return e.file + ": " + e.load.Error() }
func (e *policyError) Unwrap() error { return e.load }

// maxRefusals is how many refusals of one kind are printed one by one.
const maxRefusals = 20

// manyRefusals are several refusals of equal rank, at least one. The first gives
// the exit status.
type manyRefusals struct{ list []*attest.Refusal }

func (e *manyRefusals) Error() string { return e.list[0].Error() }
func (e *manyRefusals) Unwrap() error { return e.list[0] }

// failures turns an error into what is printed; never into nothing. The problems
// of a policy are printed each; of anything else, the first refusal in the tree.
func failures(err error) []failure {
	var bad *policyError
	if errors.As(err, &bad) && len(bad.load.Problems) > 0 {
		var out []failure
		for _, p := range bad.load.Problems {
			about := bad.file
			if p.Line > 0 {
				about = fmt.Sprintf("%s:%d:%d", bad.file, p.Line, p.Column)
			}
			out = append(out, failure{Code: string(p.Code), About: about, Why: p.Why})
		}
		return out
	}
	var many *manyRefusals
	if errors.As(err, &many) {
		var out []failure
		for i, r := range many.list {
			if i == maxRefusals {
				out = append(out, failure{Code: string(r.Code), Why: fmt.Sprintf("… and %d more", len(many.list)-maxRefusals)})
				break
			}
			bare := strings.TrimPrefix((&attest.Refusal{Why: r.Why, Err: r.Err}).Error(), ": ")
			out = append(out, failure{Code: string(r.Code), About: r.About, Why: bare, Next: r.Next})
		}
		return out
	}
	var r *attest.Refusal
	if !errors.As(err, &r) {
		return []failure{{Code: string(codeOf(err)), Why: err.Error()}}
	}
	// Code and object are printed first, wherever in the text they stood.
	inner := &attest.Refusal{Why: r.Why, Err: r.Err}
	bare := strings.TrimPrefix(inner.Error(), ": ")
	why := strings.Replace(err.Error(), r.Error(), bare, 1)
	return []failure{{Code: string(r.Code), About: r.About, Why: why, Next: r.Next}}
}

// codeOf gives every error a code. What has none is either the doing of the
// system around us or a bug.
func codeOf(err error) attest.Code {
	var pathErr *fs.PathError
	switch code := attest.RefusalCode(err); {
	case code != "":
		return code
	case errors.Is(err, context.Canceled):
		return attest.CodeInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return attest.CodeRegUnavailable
	case errors.As(err, &pathErr):
		return attest.CodeFileIO
	}
	return attest.CodeInternal
}

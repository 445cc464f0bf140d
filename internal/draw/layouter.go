package draw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// The programs that compute a layout, by name: ours, and Graphviz's own.
const (
	ownLayouter = "pedigree-layout"
	graphviz    = "dot"
)

// Layouters returns the programs that may compute a layout, in the order in which they
// are tried: pedigree-layout in the folder of the given program, if one is given, then
// pedigree-layout and Graphviz's dot from PATH. The program is the path of the running
// executable, which installs beside pedigree-layout.
func Layouters(executable string) []string {
	out := []string{ownLayouter, graphviz}
	if executable != "" {
		out = append([]string{filepath.Join(filepath.Dir(executable), ownLayouter)}, out...)
	}
	return out
}

// layoutTime is how long a layout may take. The slowest graph within the limits that
// was found, 1,000 artifacts joined at random, takes 6 s on two busy cores, the second
// for the program to start included.
const layoutTime = 60 * time.Second

// maxPlaces is the most output that is read from the program: a hundred times what
// the largest picture needs without its long arrows, which have a point in each column.
const maxPlaces = 64 << 20

// maxComplaint is as much as is read of what the program has to complain.
const maxComplaint = 4 << 10

// findLayouter returns the first of the programs that is there and can be started.
func findLayouter(candidates []string) (string, error) {
	if candidates == nil {
		candidates = Layouters("")
	}
	for _, c := range candidates {
		if path, err := exec.LookPath(c); err == nil {
			return filepath.Abs(path) // it is started in another folder
		}
	}
	return "", &attest.Refusal{
		Code: attest.CodeDraw, Why: "there is no program here that computes a layout: neither " + ownLayouter + " nor Graphviz's " + graphviz,
		Next: "go install github.com/pedigree-ml/pedigree/cmd/" + ownLayouter + "@latest, or install Graphviz; --output dot, json and text need neither",
	}
}

// runLayouter gives the program Graphviz source and returns its answer in Graphviz's
// JSON. The program gets no environment but a fresh temporary folder: see the comment
// of cmd/pedigree-layout for what could be loaded from a shared one.
func runLayouter(ctx context.Context, program string, source []byte, limit time.Duration) (places []byte, err error) {
	dir, err := os.MkdirTemp("", "pedigree-layout-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	out, complaint := limited{max: maxPlaces, cancel: cancel}, limited{max: maxComplaint}
	cmd := exec.CommandContext(timed, program, "-Tjson0")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir, "TMP=" + dir, "TEMP=" + dir}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(source), &out, &complaint
	cmd.WaitDelay = time.Second // for children that keep its output open
	failed := cmd.Run()

	refusal := &attest.Refusal{Code: attest.CodeDraw, About: program, Next: "ask for --output dot or json, which need no layout"}
	switch {
	case ctx.Err() != nil:
		return nil, &attest.Refusal{Code: attest.CodeInterrupted, About: program, Why: "stopped while the layout was computed", Err: ctx.Err()}
	case out.over:
		refusal.Why, refusal.Next = fmt.Sprintf("the layout is longer than %d bytes", maxPlaces), moreThanFits
	case timed.Err() != nil:
		refusal.Why, refusal.Next = fmt.Sprintf("the layout was not found within %s", limit), moreThanFits
	case failed != nil:
		refusal.Why, refusal.Err = "it computed no layout", failed
		if said := line(complaint.kept.String()); said != "" {
			refusal.Why += ": " + said
		}
	default:
		return out.kept.Bytes(), nil
	}
	return nil, refusal
}

// limited keeps the first max bytes of what is written. Where cancel is set, more is
// the end of whoever writes. It has no method but Write: a reader that filled the buffer
// itself would go past the limit.
type limited struct {
	kept   bytes.Buffer
	max    int
	over   bool
	cancel func()
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.max - l.kept.Len()
	if len(p) <= room {
		return l.kept.Write(p)
	}
	l.over = true
	l.kept.Write(p[:room])
	if l.cancel != nil {
		l.cancel()
	}
	return len(p), nil
}

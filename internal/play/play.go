// Package play shows a demonstration: scenes of shell commands, each printed as one
// would type it, run, and held against what was announced of it. A demonstration in
// which an attack is refused for another reason than the one it shows proves nothing,
// so that every such surprise counts.
package play

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// stopTime is how long a command that is told to end has for that.
const stopTime = 5 * time.Second

// A Scene is a part of the demonstration: a story and its commands.
type Scene struct {
	Title string
	Story string
	Lines []Line
}

// A Line is one command and what must come of it.
type Line struct {
	Command string
	Status  int      // the exit status it must have
	Want    []string // what its output must have in it
	Until   string   // show the output only down to the line that begins so, and what is wanted
}

// A Stage is where scenes are played.
type Stage struct {
	Dir string    // the folder that commands run in
	Env []string  // their whole environment
	Out io.Writer // where everything is shown

	Scenes    int // played so far
	Commands  int // run so far
	Surprises int // of what was announced, how much did not come
}

// Say shows a line of text.
func (s *Stage) Say(format string, args ...any) {
	fmt.Fprintf(s.Out, format+"\n", args...)
}

// Play shows scenes in their order. The error is of a command that could not be
// started, or of the context; what did not come as announced is in Surprises.
func (s *Stage) Play(ctx context.Context, scenes []Scene) error {
	for _, sc := range scenes {
		s.Scenes++
		s.Say("\n━━ %d. %s", s.Scenes, sc.Title)
		if sc.Story != "" {
			s.Say("   %s", strings.ReplaceAll(sc.Story, "\n", "\n   "))
		}
		for _, l := range sc.Lines {
			if err := s.line(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// line prints a command, runs it in a shell, and compares what came of it with what
// was announced.
func (s *Stage) line(ctx context.Context, l Line) error {
	s.Say("\n$ %s", l.Command)
	var out bytes.Buffer
	// What is printed is what runs: the shell gets the very text.
	c := exec.CommandContext(ctx, "/bin/sh", "-c", l.Command)
	c.Dir, c.Env = s.Dir, s.Env
	c.Stdout, c.Stderr = &out, &out
	// What a command started in the background it ends itself, if it is told to end.
	c.Cancel, c.WaitDelay = func() error { return c.Process.Signal(os.Interrupt) }, stopTime
	err := c.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	status := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		return &attest.Refusal{Code: attest.CodeCommand, About: "/bin/sh", Err: err}
	}
	s.Commands++
	text := out.String()
	s.show(text, l)
	if l.Status != 0 || status != 0 {
		s.Say("  (exit status %d)", status)
	}
	s.check(l, status, text)
	return nil
}

func (s *Stage) show(text string, l Line) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if l.Until != "" && strings.HasPrefix(line, l.Until) {
			s.Say("  … and %d more lines", len(lines)-i)
			s.wanted(lines[i:], strings.Join(lines[:i], "\n"), l.Want)
			return
		}
		if line != "" {
			line = "  " + line
		}
		s.Say("%s", line)
	}
}

// wanted shows of lines that are not shown those for whose sake the command was run.
func (s *Stage) wanted(lines []string, shown string, want []string) {
	for _, w := range want {
		if strings.Contains(shown, w) {
			continue
		}
		for _, line := range lines {
			if strings.Contains(line, w) {
				s.Say("  %s", line)
				shown += "\n" + line
				break
			}
		}
	}
}

// check notes surprises.
func (s *Stage) check(l Line, status int, text string) {
	if status != l.Status {
		s.Surprises++
		s.Say("!! this was to end with status %d", l.Status)
	}
	for _, want := range l.Want {
		if !strings.Contains(text, want) {
			s.Surprises++
			s.Say("!! this was to say %q", want)
		}
	}
}

// Join makes one command of several lines, as people write long ones.
func Join(lines ...string) string { return strings.Join(lines, " \\\n    ") }

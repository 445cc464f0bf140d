// Package steps makes a program whose commands are steps of a pipeline.
//
// A provenance tool can only vouch for a step that keeps its word, and these are
// the habits it takes: a command says what it reads and what it writes, every
// input is bounded, and an output appears whole or not at all, never replaces an
// older one, and never lies inside an input.
package steps

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// Exit codes are part of the API: whoever runs a step branches on them.
const (
	ExitOK     = 0
	ExitFailed = 1 // the step could not be done; it left no output
	ExitUsage  = 2 // the command line is wrong; nothing was read
)

// A usageError reports a wrong command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Usagef returns an error about the command line: the step exits with 2 and read
// nothing.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Surroundings are what a step may touch besides the files it is told of.
type Surroundings struct {
	Stdin  io.Reader
	Stdout io.Writer
	Now    func() time.Time
}

// A Command is one step. Setup defines its flags and returns what to do once they
// are parsed; a flag with an empty default is required.
type Command struct {
	Name, Summary, Example string
	Setup                  func(*flag.FlagSet) func(Surroundings) error
}

// A Program is what a user calls.
type Program struct {
	Name     string    // of the binary
	Overview string    // one sentence
	Commands []Command // in the order of the pipeline
}

// Run runs the step that args, without the program's name, ask for. It returns
// the exit status: 0 if the step was done, 1 if it failed, 2 if args are wrong.
func (p Program) Run(args []string, s Surroundings, stderr io.Writer) int {
	if len(args) == 0 {
		p.printOverview(stderr)
		return ExitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		p.printOverview(s.Stdout)
		return ExitOK
	}
	for _, c := range p.Commands {
		if c.Name == args[0] {
			return p.run(c, args[1:], s, stderr)
		}
	}
	fmt.Fprintf(stderr, "%s: unknown command %q\nRun '%[1]s help' for the commands.\n", p.Name, args[0])
	return ExitUsage
}

func (p Program) run(c Command, args []string, s Surroundings, stderr io.Writer) int {
	set := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors and help are printed here, in one style
	set.Usage = func() {}
	step := c.Setup(set)
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		p.printHelp(c, s.Stdout, set)
		return ExitOK
	}
	if err != nil {
		err = usageError{err}
	} else if err = checkArguments(set); err == nil {
		err = step(s)
	}
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(stderr, "%s %s: %v\n", p.Name, c.Name, err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "Run '%s %s --help' for the flags.\n", p.Name, c.Name)
		return ExitUsage
	}
	return ExitFailed
}

// checkArguments refuses arguments that are not flags, and flags without a
// value: every flag with an empty default is required.
func checkArguments(set *flag.FlagSet) error {
	if set.NArg() > 0 {
		return Usagef("unexpected argument %q", set.Arg(0))
	}
	var err error
	set.VisitAll(func(f *flag.Flag) {
		if err == nil && f.Value.String() == "" {
			err = Usagef("--%s is missing", f.Name)
		}
	})
	return err
}

func (p Program) printOverview(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage:\n\n\t%s COMMAND [flags]\n\nCommands, in the order of the pipeline:\n\n", p.Overview, p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(w, "\t%-10s%s\n", c.Name, c.Summary)
	}
	fmt.Fprintf(w, "\nRun '%s COMMAND --help' for the flags and an example.\n", p.Name)
}

func (p Program) printHelp(c Command, w io.Writer, set *flag.FlagSet) {
	fmt.Fprintf(w, "%s %s: %s\n\nFlags:\n\n", p.Name, c.Name, c.Summary)
	set.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if f.DefValue == "" {
			usage += " (required)"
		} else {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "\t%-24s%s\n", "--"+f.Name+" "+value, usage)
	})
	fmt.Fprintf(w, "\nExample:\n\n\t%s\n", c.Example)
}

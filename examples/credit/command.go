package credit

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// Exit codes are part of the API: whoever runs a step branches on them.
const (
	exitOK     = 0
	exitFailed = 1 // the step could not be done; it left no output
	exitUsage  = 2 // the command line is wrong; nothing was read
)

// A usageError reports a wrong command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// surroundings are what a step may touch besides the files it is told of.
type surroundings struct {
	stdin  io.Reader
	stdout io.Writer
	now    func() time.Time
}

// A command is one step. setup defines its flags and returns what to do once
// they are parsed.
type command struct {
	name, summary, example string
	setup                  func(*flag.FlagSet) func(surroundings) error
}

func commands() []command {
	return []command{ingestCommand(), splitCommand(), trainCommand(), quantizeCommand(), evaluateCommand()}
}

// Run runs the step that args, without the program's name, ask for. It returns
// the exit status: 0 if the step was done, 1 if it failed, 2 if args are wrong.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	if len(args) == 0 {
		printOverview(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		printOverview(stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:], surroundings{stdin, stdout, now}, stderr)
		}
	}
	fmt.Fprintf(stderr, "credit: unknown command %q\nRun 'credit help' for the commands.\n", args[0])
	return exitUsage
}

func (c command) run(args []string, s surroundings, stderr io.Writer) int {
	set := flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors and help are printed here, in one style
	set.Usage = func() {}
	step := c.setup(set)
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		c.printHelp(s.stdout, set)
		return exitOK
	}
	if err != nil {
		err = usageError{err}
	} else if err = checkArguments(set); err == nil {
		err = step(s)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "credit %s: %v\n", c.name, err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "Run 'credit %s --help' for the flags.\n", c.name)
		return exitUsage
	}
	return exitFailed
}

// checkArguments refuses arguments that are not flags, and flags without a
// value: every flag with an empty default is required.
func checkArguments(set *flag.FlagSet) error {
	if set.NArg() > 0 {
		return usagef("unexpected argument %q", set.Arg(0))
	}
	var err error
	set.VisitAll(func(f *flag.Flag) {
		if err == nil && f.Value.String() == "" {
			err = usagef("--%s is missing", f.Name)
		}
	})
	return err
}

func printOverview(w io.Writer) {
	fmt.Fprint(w, "Credit runs one step of a small machine-learning pipeline.\n\nUsage:\n\n\tcredit COMMAND [flags]\n\nCommands, in the order of the pipeline:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "\t%-10s%s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nRun 'credit COMMAND --help' for the flags and an example.\n")
}

func (c command) printHelp(w io.Writer, set *flag.FlagSet) {
	fmt.Fprintf(w, "Credit %s: %s\n\nFlags:\n\n", c.name, c.summary)
	set.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if f.DefValue == "" {
			usage += " (required)"
		} else {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "\t%-24s%s\n", "--"+f.Name+" "+value, usage)
	})
	fmt.Fprintf(w, "\nExample:\n\n\t%s\n", c.example)
}

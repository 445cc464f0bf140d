package step

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// grace is how long a command has after an interrupt: enough to close files,
	// and about what people wait before they interrupt again.
	grace = 10 * time.Second

	// drain is how long output is read after the command ended, should a process
	// that left the command's group still hold on to it.
	drain = 2 * time.Second

	// maxLog is how much of the output is hashed and kept: a petabyte of progress
	// bars is nobody's evidence.
	maxLog = 4 << 30
)

// An outcome is how the command ended.
type outcome struct {
	status            int
	started, finished time.Time
	log               logRecord
}

// A logRecord names the command's output: what it wrote to standard output and
// standard error, in the order in which it arrived.
type logRecord struct {
	digest    attest.Digest
	size      int64
	truncated bool // there was more than maxLog
}

func (o outcome) String() string {
	if o.status > 128 {
		return fmt.Sprintf("ended by signal %d", o.status-128)
	}
	return fmt.Sprintf("exit status %d", o.status)
}

// execute runs the command. Status is set with every error.
func (r *run) execute(ctx context.Context) (outcome, error) {
	path, status := lookPath(r.deps.Environ, r.spec.Command[0])
	if status != 0 {
		return outcome{status: status}, notStarted(r.spec.Command[0], status, nil)
	}
	log, err := openLog(r.spec.Log)
	if err != nil {
		return outcome{status: StatusFailed}, err
	}
	cmd := &exec.Cmd{Path: path, Args: r.spec.Command, Env: r.deps.Environ, Stdin: r.deps.Stdin}
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would mean this process's environment
	}
	// With a terminal as its input the command stays in the terminal's foreground
	// group: in another it would be stopped when it reads, and the terminal's
	// interrupts reach it where it is.
	grouped := !isTerminal(r.deps.Stdin)
	if grouped {
		ownGroup(cmd)
	}
	// The command's input may be a reader that never ends.
	cmd.WaitDelay = drain
	out := outcome{started: r.deps.Now()}
	waitOutput, err := log.capture(cmd, r.deps.Stdout, r.deps.Stderr)
	if err == nil {
		if err = cmd.Start(); err != nil {
			out.status = startStatus(err)
			err = notStarted(path, out.status, err)
		} else {
			out.status = wait(ctx, cmd, grouped)
		}
		waitOutput()
	}
	out.finished = r.deps.Now()
	var logErr error
	out.log, logErr = log.close()
	switch {
	case err != nil:
		return out, err
	case ctx.Err() != nil:
		if out.status == 0 {
			out.status = StatusFailed
		}
		return out, &attest.Refusal{Code: attest.CodeInterrupted, About: r.spec.Command[0], Why: "stopped while the command ran: nothing was attested",
			Next: "run it again; outputs were left as they are", Err: ctx.Err()}
	case logErr != nil:
		if out.status == 0 {
			out.status = StatusFailed
		}
		return out, logErr
	}
	if log.lost {
		r.note("part of the command's output could not be passed on; its digest covers all of it")
	}
	return out, nil
}

func startStatus(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return StatusNotFound
	}
	return StatusNotExecutable
}

func notStarted(name string, status int, err error) error {
	why := "cannot be started"
	if status == StatusNotFound {
		why = "no such command"
	}
	return &attest.Refusal{Code: attest.CodeCommand, About: name, Why: why, Err: err}
}

// wait waits until the command and its group have ended. When ctx ends it
// interrupts them, and after the grace period kills them. What is left of the
// group when the command itself has ended is killed too: it could still write to
// inputs and outputs.
func wait(ctx context.Context, cmd *exec.Cmd, grouped bool) int {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-ctx.Done():
		interrupt(cmd, grouped)
		timer := time.NewTimer(grace)
		select {
		case <-done:
		case <-timer.C:
			kill(cmd, grouped)
			<-done
		}
		timer.Stop()
	}
	if grouped {
		kill(cmd, grouped)
	}
	return exitStatus(cmd.ProcessState)
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// lookEnv returns a variable's value; as in a process, the last setting counts.
func lookEnv(environ []string, name string) string {
	v, _ := lookSet(environ, name)
	return v
}

func lookSet(environ []string, name string) (value string, ok bool) {
	for _, kv := range environ {
		if n, v, found := strings.Cut(kv, "="); found && n == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// lookPath finds a program as env(1) does, and returns 0 or the status that says
// why not. Relative folders in PATH are passed over: what runs should not depend
// on what lies in the current folder.
func lookPath(environ []string, name string) (path string, status int) {
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) {
		return name, executable(name)
	}
	status = StatusNotFound
	for _, dir := range filepath.SplitList(lookEnv(environ, "PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		switch p := filepath.Join(dir, name); executable(p) {
		case 0:
			return p, 0
		case StatusNotExecutable:
			status = StatusNotExecutable // unless a later folder has it
		}
	}
	return "", status
}

func executable(path string) int {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return StatusNotFound
	case err != nil || info.IsDir() || !mayExecute(info):
		return StatusNotExecutable
	}
	return 0
}

// A log hashes what a command writes, and writes it to a file if there is one.
type log struct {
	mu   sync.Mutex
	hash hash.Hash
	size int64
	over bool
	file *os.File
	err  error // of writing to file
	lost bool  // a reader of the command's output went away
}

func openLog(path string) (*log, error) {
	l := &log{hash: sha256.New()}
	if path == "" {
		return l, nil
	}
	var err error
	if l.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	}
	return l, nil
}

// capture connects the command's output. The function it returns is called when
// the command has ended, and returns when all output has been taken.
func (l *log) capture(cmd *exec.Cmd, stdout, stderr io.Writer) (wait func(), err error) {
	var readers, writers []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(append(readers, writers...))
			return nil, &attest.Refusal{Code: attest.CodeFileIO, Err: err}
		}
		readers, writers = append(readers, r), append(writers, w)
	}
	cmd.Stdout, cmd.Stderr = writers[0], writers[1]
	var copying sync.WaitGroup
	copying.Go(func() { l.copy(stdout, readers[0]) })
	copying.Go(func() { l.copy(stderr, readers[1]) })
	return func() {
		closeAll(writers)
		timer := time.AfterFunc(drain, func() { closeAll(readers) })
		copying.Wait()
		timer.Stop()
		closeAll(readers)
	}, nil
}

// copy takes output until there is no more. When the one who watches goes away
// the command goes on: hours of work should not depend on a closed window.
func (l *log) copy(to io.Writer, from *os.File) {
	buf := make([]byte, 64<<10) // a pipe holds no more
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.take(buf[:n], to) {
			to = nil
		}
		if err != nil {
			return
		}
	}
}

// take records output and passes it on, under one lock: so it is shown in the
// order in which it is hashed, and both outputs may go to one writer. It reports
// whether to still takes output.
func (l *log) take(p []byte, to io.Writer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := p[:min(int64(len(p)), maxLog-l.size)]
	l.over = l.over || len(keep) < len(p)
	l.hash.Write(keep)
	l.size += int64(len(keep))
	if l.file != nil && l.err == nil {
		_, l.err = l.file.Write(keep)
	}
	if to == nil {
		return false
	}
	_, err := to.Write(p)
	l.lost = l.lost || err != nil
	return err == nil
}

func (l *log) close() (logRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if err := l.file.Close(); l.err == nil {
			l.err = err
		}
		if l.err != nil {
			return logRecord{}, &attest.Refusal{Code: attest.CodeFileIO, About: l.file.Name(), Why: "the log could not be written", Err: l.err}
		}
	}
	return logRecord{digest: attest.SHA256Sum([sha256.Size]byte(l.hash.Sum(nil))), size: l.size, truncated: l.over}, nil
}

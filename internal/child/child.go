// Package child runs programs beside a test that end with it, in whatever way it ends.
package child

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// patience is how long a program may take to end after it was asked to.
const patience = 5 * time.Second

// A Process is a program that runs beside this one.
type Process struct {
	cmd   *exec.Cmd
	log   string
	stdin io.Closer
	ended chan struct{} // closed when it has ended
	err   error         // how, once it has
}

// Start runs cmd, whose input must not be set. What it says goes to the end of the file
// log, but for an output that is set. It ends with [Process.Stop], and when this process
// dies: its standard input ends then, for programs that heed that, and where the system
// can, it is killed.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	if cmd.Stderr == nil {
		cmd.Stderr = f
	}
	p := &Process{cmd: cmd, log: log, ended: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The kernel ties the program to the thread that started it, so that thread must
		// live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends the program a signal; one that has ended gets none.
func (p *Process) Signal(s os.Signal) { p.cmd.Process.Signal(s) }

// Stop asks the program to end, ends it if it does not within seconds, and returns when
// it has.
func (p *Process) Stop() {
	p.stdin.Close()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Signal(os.Kill)
		<-p.ended
	}
}

// Wait asks ready again and again until it has no error. If the program ends before, or
// ctx does, the error says what it wrote.
func (p *Process) Wait(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended (%v): %s", p.cmd.Path, p.err, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.cmd.Path, err, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail returns the end of the log, where programs say why they end.
func (p *Process) tail() []byte {
	said, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return said[max(0, len(said)-4096):]
}

// FreePorts returns ports on loopback that were free a moment ago. All are held until
// the last is found, so that no two are equal.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// patience is how long a service may take to come up on a machine that has other things to do.
const patience = 60 * time.Second

// A child is a program that runs beside this one, and ends with it.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
	log   string
	ended chan struct{} // closed when it has ended
	err   error         // how, once it has
}

// start runs cmd with what it says to stderr in the file log. The child ends with
// stop, and when this process dies in whatever way: its standard input ends then, and
// where the system can, it is killed.
func start(cmd *exec.Cmd, log string) (*child, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &child{cmd: cmd, log: log, ended: make(chan struct{})}
	cmd.Stderr = f
	// Pipes of our own: exec's close the reading end when the child ends, whether or not
	// its last line has been read.
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, c.stdin, c.out = in, stdout, stdin, bufio.NewReader(out)
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The kernel ties the child to the thread that started it, so that thread must
		// live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		stdout.Close()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// stop asks the child to end, and ends it if it does not.
func (c *child) stop() error {
	c.stdin.Close()
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(3 * time.Second):
		c.cmd.Process.Kill()
		<-c.ended
	}
	return nil
}

// ready waits until url answers 200, and says what the child wrote if it ended before.
func (c *child) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			said, _ := os.ReadFile(c.log)
			return fmt.Errorf("%s ended (%v): %s", c.cmd.Path, c.err, said)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", c.cmd.Path, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// address reads the line with which one of our own children says where it serves.
func (c *child) address() (string, error) {
	line, err := c.out.ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	if err != nil || !strings.HasPrefix(line, "http://127.0.0.1:") {
		return "", errors.New("the child says no address: the program that uses package stack has to call stack.Child first")
	}
	return line, nil
}

// get fetches a small answer with status 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, r.Status)
	}
	return io.ReadAll(io.LimitReader(r.Body, 1<<20))
}

// freePorts returns ports on loopback that were free a moment ago. All are held until
// the last is found, so that no two are equal.
func freePorts(n int) ([]int, error) {
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

package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/internal/child"
)

// patience is how long a service may take to come up on a machine that has other things to do.
const patience = 60 * time.Second

// ready waits until url answers 200.
func ready(ctx context.Context, p *child.Process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Wait(ctx, func(ctx context.Context) error {
		_, err := get(ctx, url)
		return err
	})
}

// startOwn starts one of our own children, and reads the line with which it says where
// it serves.
func startOwn(cmd *exec.Cmd, log string) (p *child.Process, address string, err error) {
	// A pipe of our own: exec's closes the reading end when the child ends, whether or not
	// its last line has been read.
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	cmd.Stdout = stdout
	p, err = child.Start(cmd, log)
	stdout.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address = strings.TrimSuffix(line, "\n")
	if err != nil || !strings.HasPrefix(address, "http://127.0.0.1:") {
		p.Stop()
		return nil, "", errors.New("the child says no address: the program that uses package stack has to call stack.Child first")
	}
	return p, address, nil
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

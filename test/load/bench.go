package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A bench is a registry and gates, each in its process, and a folder for them.
type bench struct {
	settings
	dir      string
	pedigree string
	world    *world
	registry string // HOST:PORT
	gates    []*gateProcess
	children []*exec.Cmd
	broken   []string // what the gate did that it must not do
	missed   []string // what was slower than it should be
}

// settings are how much is measured. What is zero has its scenario's default.
type settings struct {
	seconds, rounds int
	rate            int // of warm, a second
	models          int // of cold, in each round
	crowd           int // of stampede
	keep            string
}

func newBench(pedigree string, s settings) (b *bench, err error) {
	b = &bench{settings: s, pedigree: pedigree, dir: s.keep}
	if b.dir == "" {
		b.dir, err = os.MkdirTemp("", "pedigree-load")
	} else {
		err = os.MkdirAll(b.dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.pedigree == "" {
		b.pedigree = filepath.Join(b.dir, "pedigree")
		if err := build(b.pedigree); err != nil {
			return nil, err
		}
	}
	out, err := b.child("registry")
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the registry did not start: %w", err)
	}
	b.registry = strings.TrimSpace(line)
	b.world, err = newWorld(b.registry+"/load/models", b.dir, time.Now())
	return b, err
}

// build builds the program from its own module, with its own versions of everything.
func build(out string) error {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pedigree-ml/pedigree").Output()
	if err != nil {
		return fmt.Errorf("looking for pedigree's module: %w", err)
	}
	if text, err := exec.Command("go", "build", "-C", strings.TrimSpace(string(dir)), "-trimpath", "-o", out, "./cmd/pedigree").CombinedOutput(); err != nil {
		return fmt.Errorf("building pedigree: %w\n%s", err, text)
	}
	return nil
}

// child starts this program again, to do one thing.
func (b *bench) child(what string) (io.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, what)
	c.Stderr = os.Stderr
	if _, err := c.StdinPipe(); err != nil { // closed when this process ends: so does the child
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	b.children = append(b.children, c)
	return out, nil
}

func (b *bench) close() {
	b.stopGates()
	for _, c := range b.children {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	if b.keep == "" {
		_ = os.RemoveAll(b.dir)
	}
}

// control tells the registry how to behave, and returns how many requests it has had
// since it was last told.
func (b *bench) control(delay time.Duration, faulty int64) (int64, error) {
	body, err := json.Marshal(conduct{DelayMS: delay.Milliseconds(), Faulty: faulty})
	if err != nil {
		return 0, err
	}
	r, err := http.Post("http://"+b.registry+"/control", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var c conduct
	err = json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&c)
	return c.Count, err
}

// attack has a load generator ask a gate in a way, and returns its tally.
func (b *bench) attack(g *gateProcess, w way, o order) (tally, error) {
	self, err := os.Executable()
	if err != nil {
		return tally{}, err
	}
	o.URL, o.Authority, o.Bodies = g.url+w.path, g.authority, nil
	for _, ref := range o.models {
		o.Bodies = append(o.Bodies, w.body(ref))
	}
	in, err := json.Marshal(o)
	if err != nil {
		return tally{}, err
	}
	c := exec.Command(self, "attack")
	c.Stdin, c.Stderr = bytes.NewReader(in), os.Stderr
	before, err := g.processorTime()
	if err != nil {
		return tally{}, err
	}
	out, err := c.Output()
	if err != nil {
		return tally{}, fmt.Errorf("the load generator: %w", err)
	}
	after, err := g.processorTime()
	if err != nil {
		return tally{}, err
	}
	var t tally
	err = json.Unmarshal(out, &t)
	if n := time.Duration(t.Requests); n > 0 {
		t.each = (after - before) / n
		t.generator = (c.ProcessState.UserTime() + c.ProcessState.SystemTime()) / n
	}
	return t, err
}

// must notes what the gate did; that it did not is a fault.
func (b *bench) must(ok bool, format string, args ...any) {
	note(ok, &b.broken, "WRONG", format, args...)
}

// goal notes a figure beside its goal.
func (b *bench) goal(ok bool, format string, args ...any) {
	note(ok, &b.missed, "MISSED", format, args...)
}

func note(ok bool, list *[]string, word, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !ok {
		*list = append(*list, s)
		s += "   " + word
	}
	fmt.Println("  " + s)
}

// loadAverage is how busy the machine was in the last minute: processes that run or
// would.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A scene is a part of the demonstration: a story and its commands.
type scene struct {
	title string
	story string
	lines []line
}

// A line is one command and what must come of it.
type line struct {
	command string
	status  int      // the exit status it must have
	want    []string // what its output must have in it
	until   string   // show the output only down to the line that begins so
}

// A demonstration plays scenes in a folder.
type demonstration struct {
	*app
	dir     string
	started time.Time
	commands,
	surprises int
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.Stdout, format+"\n", args...)
}

func (d *demonstration) scene(ctx context.Context, n int, s scene) error {
	d.say("\n━━ %d. %s", n, s.title)
	if s.story != "" {
		d.say("   %s", strings.ReplaceAll(s.story, "\n", "\n   "))
	}
	for _, l := range s.lines {
		if err := d.play(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// play prints a command, runs it in a shell, and compares what came of it with
// what was announced.
func (d *demonstration) play(ctx context.Context, l line) error {
	d.say("\n$ %s", l.command)
	var out bytes.Buffer
	// What is printed is what runs: the shell gets the very text.
	c := exec.CommandContext(ctx, "/bin/sh", "-c", l.command)
	c.Dir = d.dir
	c.Env = append(append([]string{}, d.Env...),
		"PATH="+filepath.Join(d.dir, "bin")+string(os.PathListSeparator)+d.path(),
		passwordVariable+"=")
	c.Stdout, c.Stderr = &out, &out
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
	d.commands++
	text := out.String()
	d.show(text, l.until)
	if l.status != 0 || status != 0 {
		d.say("  (exit status %d)", status)
	}
	d.check(l, status, text)
	return nil
}

func (d *demonstration) path() string {
	p, _ := d.getenv("PATH")
	return p
}

func (d *demonstration) show(text, until string) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	for i, s := range lines {
		if until != "" && strings.HasPrefix(s, until) {
			d.say("  … and %d more lines", len(lines)-i)
			return
		}
		if s != "" {
			s = "  " + s
		}
		d.say("%s", s)
	}
}

// check notes a surprise: the demonstration proves nothing if an attack is
// refused for another reason than the one it shows.
func (d *demonstration) check(l line, status int, text string) {
	if status != l.status {
		d.surprises++
		d.say("!! this was to end with status %d", l.status)
	}
	for _, want := range l.want {
		if !strings.Contains(text, want) {
			d.surprises++
			d.say("!! this was to say %q", want)
		}
	}
}

func (d *demonstration) end() error {
	if d.surprises > 0 {
		return &attest.Refusal{Code: attest.CodeInternal, About: d.dir, Why: fmt.Sprintf("%d of the demonstration's commands did not end as announced", d.surprises), Next: "look for the lines with !!"}
	}
	d.say(`
━━ That was it: %d commands in %s, each as announced.

Where things lie, in %s:
  registry/     the OCI layout with data, models and all evidence
  policy.yaml   what the model must show; keys/ has who may say it
  work/         the files of each step

To type it all yourself, from its first command on:
  mkdir again && cp -r bin raw code policy.yaml again/ && rm -rf again/code/.git && cd again

What to try next:
  pedigree list ocidir://registry:int8            what is attached, unverified
  pedigree verify ocidir://registry:int8 --policy policy.yaml --output json
  edit policy.yaml, ask for an accuracy of 0.80, and verify again`,
		d.commands, d.Now().Sub(d.started).Round(time.Second/10), attest.Printable(d.dir))
	return nil
}

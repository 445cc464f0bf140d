// Demo-keyless plays the credit pipeline without a single key file: every step signs as
// the build system's workload that it is, people approve as who they log in as, and all
// of it against a private Sigstore that runs on loopback for as long as the demonstration
// does. Then it attacks what was made, and in the end verifies it once more with all
// services gone.
//
//	make demo-keyless
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pedigree-ml/pedigree/internal/play"
	"github.com/pedigree-ml/pedigree/test/e2e/stack"
)

func main() {
	stack.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo-keyless:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demo-keyless", flag.ContinueOnError)
	dir := flags.String("dir", "demo-keyless", "the folder to work in; one left by an earlier demonstration is replaced")
	program := flags.String("pedigree", "", "the program to demonstrate (default: pedigree in PATH)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *program == "" {
		if *program, err = exec.LookPath("pedigree"); err != nil {
			return err
		}
	}
	started := time.Now()
	d := &demo{out: out}
	if d.dir, err = filepath.Abs(*dir); err != nil {
		return err
	}
	if d.program, err = filepath.Abs(*program); err != nil {
		return err
	}
	// The second instance is the attacker's: anybody can run one.
	for _, s := range []struct {
		of **stack.Stack
		o  stack.Options
	}{{&d.acme, stack.Options{Authorities: 2}}, {&d.mallory, stack.Options{}}} {
		if *s.of, err = stack.Start(ctx, s.o); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*s.of).Close()) }()
	}
	if err := d.prepare(started); err != nil {
		return err
	}
	return d.play(ctx, started)
}

// A demo is what is known of the demonstration's world.
type demo struct {
	dir, program  string
	out           io.Writer
	acme, mallory *stack.Stack
}

func (d *demo) play(ctx context.Context, started time.Time) error {
	stage := &play.Stage{Dir: d.dir, Out: d.out, Env: append(os.Environ(), "PATH="+filepath.Join(d.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))}
	e := d.acme.Endpoints()
	stage.Say("A pipeline without key files, in %s. While it is played, a private Sigstore runs here:", d.dir)
	stage.Say("  %s  the build system, which gives each step a token", d.acme.Workloads.URL)
	stage.Say("  %s  where people log in", d.acme.People.URL)
	stage.Say("  %s  Fulcio: a certificate of ten minutes for a token", e.Fulcio)
	stage.Say("  %s  Rekor: the transparency log", e.Rekor)
	for _, u := range e.Timestamps {
		stage.Say("  %s  a timestamp authority", u)
	}
	if err := stage.Play(ctx, scenes()); err != nil {
		return err
	}
	if err := d.acme.Close(); err != nil {
		return err
	}
	if err := stage.Play(ctx, afterwards()); err != nil {
		return err
	}
	if stage.Surprises > 0 {
		return fmt.Errorf("%d of the demonstration's commands did not end as announced: look for the lines that begin with !! in what it printed", stage.Surprises)
	}
	stage.Say(`
━━ That was it: %d commands in %s, each as announced.

Where things lie, in %s:
  registry/            the OCI layout with data, models and all evidence
  policy.yaml          what the model must show, and which identities may say it
  trust.yaml           whose certificates, logs and timestamps count
  signing_config.json  the services, which are gone now: nothing can be signed any more,
                       and everything can still be verified`, stage.Commands, time.Since(started).Round(time.Second/10), d.dir)
	return nil
}

// marker is the file by which a later demonstration knows a folder that it may replace.
const marker = ".pedigree-demo-keyless"

// clear empties the folder, if it is one that a demonstration made.
func (d *demo) clear() error {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(d.dir, 0o755)
	}
	if err != nil || len(entries) == 0 {
		return err
	}
	if _, err := os.Lstat(filepath.Join(d.dir, marker)); err != nil {
		return fmt.Errorf("%s has something in it that no demonstration made: choose another --dir", d.dir)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

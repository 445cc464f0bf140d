package kms

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxAnswer bounds an answer. A public key and a signature have under 1 KiB.
	maxAnswer = 64 << 10

	// maxTalk is how much of a plugin's standard error is passed on.
	maxTalk = 64 << 10

	// drain is how long output is read after the plugin ended, should a process that
	// it left behind hold on to it.
	drain = time.Second
)

// A plugin is one program, and the key that it is asked about.
type plugin struct {
	key, resource string
	program       string // an absolute path
	options       Options
}

// unusable is the refusal of a plugin that did not do what it was asked to.
func (p plugin) unusable(why string, err error) error {
	return &attest.Refusal{Code: attest.CodeSignService, About: p.key, Why: why, Next: "ask " + filepath.Base(p.program) + " itself, or whoever wrote it", Err: err}
}

// find looks for a program in the folders of PATH. Folders that are not absolute are
// passed over: what lies in the working folder is data.
func find(environ []string, name string) (string, error) {
	path := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v // the last one counts, as for programs that are started
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		// LookPath with a path looks there only, and knows what a system calls executable.
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
}

// ask runs the plugin once. That it ends with another status than zero means nothing
// in the protocol: an error is in the answer.
func (p plugin) ask(ctx context.Context, hash crypto.Hash, question *common.MethodArgs, message []byte) (*common.PluginResp, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Wait)
	defer cancel()
	rpc := p.rpc(ctx)
	args, err := json.Marshal(common.PluginArgs{
		InitOptions: &common.InitOptions{
			CtxDeadline: rpc.CtxDeadline, ProtocolVersion: common.ProtocolVersion,
			KeyResourceID: p.resource, HashFunc: hash, RPCOptions: &rpc,
		},
		MethodArgs: question,
	})
	if err != nil {
		return nil, p.unusable("the question cannot be written", err) // unreachable: nothing of it fails to marshal
	}
	out := &bounded{most: maxAnswer, full: cancel}
	cmd := exec.CommandContext(ctx, p.program, common.ProtocolVersion, string(args))
	cmd.Env = p.options.Environ
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would mean this process's environment
	}
	cmd.Stdin = bytes.NewReader(message)
	cmd.Stdout = out
	if p.options.Stderr != nil {
		cmd.Stderr = &passed{to: p.options.Stderr, left: maxTalk}
	}
	cmd.WaitDelay = drain
	ownGroup(cmd)
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case out.over:
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: p.key, Why: fmt.Sprintf("the plugin printed more than %d bytes", maxAnswer), Next: "look at what " + filepath.Base(p.program) + " prints"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, p.unusable("the plugin did not answer in time", ctx.Err())
	case ctx.Err() != nil:
		return nil, &attest.Refusal{Code: attest.CodeInterrupted, About: p.key, Why: "stopped while the plugin was asked", Err: ctx.Err()}
	// A plugin need not read its input to the end, and its status means nothing.
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return nil, p.unusable("the plugin cannot be started", err)
	case exit != nil && !exit.Exited():
		return nil, p.unusable("the plugin crashed", err)
	}
	// The protocol may grow, so unknown fields are passed over.
	var answer common.PluginResp
	if err := json.Unmarshal(out.b.Bytes(), &answer); err != nil {
		return nil, p.unusable("the plugin gave no answer", err)
	}
	if answer.ErrorMessage != "" {
		return nil, &attest.Refusal{Code: attest.CodeSignRefused, About: p.key, Why: "the plugin refuses: " + clip(answer.ErrorMessage), Next: "check the name of the key, and what the plugin needs to sign in"}
	}
	return &answer, nil
}

// bounded keeps what is written, up to a limit; beyond it the plugin is ended.
type bounded struct {
	b    bytes.Buffer
	most int
	over bool
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.b.Len()+len(p) > b.most {
		b.over = true
		b.full()
		return 0, errors.New("too much")
	}
	return b.b.Write(p)
}

// passed passes on what is written, up to a limit, and drops the rest.
type passed struct {
	to   io.Writer
	left int
}

func (p *passed) Write(b []byte) (int, error) {
	n := min(len(b), p.left)
	p.left -= n
	// That nobody reads the plugin's remarks does not keep it from answering.
	_, _ = p.to.Write(b[:n])
	return len(b), nil
}

// clip shortens what a plugin says.
func clip(s string) string {
	const most = 500
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

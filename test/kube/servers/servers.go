// Package servers builds the programs that make a Kubernetes control plane out of the
// modules that test/kube/tool requires: nothing is downloaded but source that go.sum
// names. That takes minutes once; what was built is kept outside the repository, under
// what it was built from, and is never built again while it is there.
package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Programs are the built programs.
type Programs struct {
	Version           string // of Kubernetes, as in v1.37.2
	Etcd              string
	APIServer         string
	ControllerManager string
	Kubectl           string
}

// A program is one that is built, in the order in which they are.
type program struct {
	name, pkg string
	kept      func(*Programs) *string
}

func programs() []program {
	return []program{
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", func(p *Programs) *string { return &p.APIServer }},
		{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", func(p *Programs) *string { return &p.ControllerManager }},
		{"kubectl", "k8s.io/kubernetes/cmd/kubectl", func(p *Programs) *string { return &p.Kubectl }},
		{"etcd", "go.etcd.io/etcd/server/v3", func(p *Programs) *string { return &p.Etcd }},
	}
}

// Build returns the programs, and builds those that are not there. say is told what is
// being built and how long it has been at it, for who waits.
func Build(ctx context.Context, say func(format string, args ...any)) (*Programs, error) {
	// The module is where this file was compiled.
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return nil, fmt.Errorf("the folder of test/kube/tool is not known: build without -trimpath")
	}
	module := filepath.Join(filepath.Dir(filepath.Dir(file)), "tool")
	version, key, err := identify(ctx, module)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "pedigree-test", "kubernetes-"+version+"-"+key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	built := &Programs{Version: version}
	for _, p := range programs() {
		out := filepath.Join(dir, p.name)
		*p.kept(built) = out
		if _, err := os.Stat(out); err == nil {
			continue
		}
		if err := build(ctx, module, version, p, out, say); err != nil {
			return nil, err
		}
	}
	return built, nil
}

// identify returns the version of Kubernetes that the module requires, and a name for
// everything that a build of it depends on.
func identify(ctx context.Context, module string) (version, key string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	cmd.Dir = module
	said, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("go mod edit -json in %s: %w", module, err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(said, &mod); err != nil {
		return "", "", err
	}
	for _, r := range mod.Require {
		if r.Path == "k8s.io/kubernetes" {
			version = r.Version
		}
	}
	if version == "" {
		return "", "", fmt.Errorf("%s requires no k8s.io/kubernetes", module)
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, flags(version))
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", "", err
	}
	for _, part := range [][]byte{said, sum} {
		fmt.Fprintf(h, "%x\n", sha256.Sum256(part))
	}
	return version, hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// flags are the linker's: without them the server calls itself v0.0.0-master.
func flags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	const base = "k8s.io/component-base/version."
	return "-s -w -X " + base + "gitVersion=" + version + " -X " + base + "gitMajor=" + parts[0] + " -X " + base + "gitMinor=" + parts[1] +
		" -X k8s.io/client-go/pkg/version.gitVersion=" + version
}

// build builds one program, aside, so that nobody ever runs half of one.
func build(ctx context.Context, module, version string, p program, out string, say func(string, ...any)) error {
	aside, err := os.MkdirTemp(filepath.Dir(out), ".building-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags(version), "-o", filepath.Join(aside, p.name), p.pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	say("building %s of %s, once, into %s", p.name, version, filepath.Dir(out))
	began, done := time.Now(), make(chan struct{})
	go func() {
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				say("building %s: %s (with nothing compiled before, all four take about seven minutes on two cores)", p.name, time.Since(began).Round(time.Second))
			}
		}
	}()
	err = cmd.Run()
	close(done)
	if err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.name, err, said.Bytes())
	}
	say("built %s in %s", p.name, time.Since(began).Round(time.Second))
	return os.Rename(filepath.Join(aside, p.name), out)
}

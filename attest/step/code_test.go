package step

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// git runs git in the work tree "code".
func (s *shop) git(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", "code", "-c", "user.name=T", "-c", "user.email=t@t.example", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// coded is a shop with a committed work tree, and a step that records it.
func coded(t *testing.T, script string) (*shop, Spec) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing, and CI must not skip this")
		}
		t.Skip("git is missing")
	}
	s := newShop(t)
	s.write("code/train.py", "print()\n")
	s.write("code/.gitignore", "*.pyc\n")
	s.git("init", "-q", "-b", "main")
	s.git("add", ".")
	s.git("commit", "-q", "-m", "first")
	s.git("remote", "add", "origin", "https://me:s3cr3t@git.example/acme/credit.git")
	spec := s.spec(makeOutput + script)
	spec.Code = "code"
	return s, spec
}

// only returns the only input of the run's statement.
func (s *shop) only(got Result) (predicate.Input, string) {
	s.t.Helper()
	f, text := s.one(got.Outputs[0].Ref.Digest)
	if len(f.Inputs) != 1 {
		s.t.Fatalf("inputs %+v", f.Inputs)
	}
	return f.Inputs[0], text
}

func TestACommitIsAnInput(t *testing.T) {
	s, spec := coded(t, "echo > code/x.pyc")
	in, text := s.only(s.run(spec))
	want := predicate.Input{Role: "code", URI: "git+https://git.example/acme/credit@refs/heads/main", Observed: true}
	want.Digest, _ = attest.NewDigest("gitCommit", s.git("rev-parse", "HEAD"))
	if in != want {
		t.Errorf("input %+v, want %+v", in, want)
	}
	if strings.Contains(text, "s3cr3t") {
		t.Errorf("the remote's password is in %s", text)
	}
}

func TestACommitWithoutARemote(t *testing.T) {
	s, spec := coded(t, "")
	s.git("remote", "remove", "origin")
	got := s.run(spec)
	if in, _ := s.only(got); in.URI != "" || !in.Digest.IsCommit() {
		t.Errorf("input %+v", in)
	}
	if len(got.Notes) != 1 {
		t.Errorf("notes %q", got.Notes)
	}
}

func TestADirtyTreeIsNoCommit(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*shop)
	}{
		{"changed", func(s *shop) { s.write("code/train.py", "print(1)\n") }},
		{"staged", func(s *shop) { s.write("code/train.py", "print(1)\n"); s.git("add", ".") }},
		{"untracked", func(s *shop) { s.write("code/new/a.py", "") }},
		{"removed", func(s *shop) { s.must(os.Remove("code/train.py")) }},
		{"hidden by a flag", func(s *shop) {
			s.git("update-index", "--assume-unchanged", "train.py")
			s.write("code/train.py", "print(1)\n")
		}},
		{"hidden by another", func(s *shop) {
			s.git("update-index", "--skip-worktree", "train.py")
			s.write("code/train.py", "print(1)\n")
		}},
		{"hidden by configuration", func(s *shop) {
			s.write("all", "*\n")
			s.git("config", "core.excludesFile", s.dir+"/all")
			s.git("config", "status.showUntrackedFiles", "no")
			s.write("code/b.py", "")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, spec := coded(t, "")
			c.edit(s)
			bare := s.run(spec)
			if len(bare.Inputs) != 0 || len(bare.Notes) == 0 || !strings.Contains(bare.Notes[0], "NO CODE IS RECORDED") {
				t.Errorf("inputs %+v, notes %q", bare.Inputs, bare.Notes)
			}
			s, spec = coded(t, "")
			c.edit(s)
			spec.AllowDirty = true
			got := s.run(spec)
			in, text := s.only(got)
			if in.Role != "code" || in.Digest.IsCommit() || !in.Observed {
				t.Errorf("input %+v", in)
			}
			if _, err := s.store().Manifest(t.Context(), in.Digest); err != nil {
				t.Errorf("the packed tree is not there: %v", err)
			}
			contains(t, text, `"dirty":true`, `"baseCommit":"`+s.git("rev-parse", "HEAD")+`"`)
		})
	}
}

func TestCodeThatChangesWhileTheCommandRuns(t *testing.T) {
	for _, script := range []string{
		"echo 1 >> code/train.py",
		"echo > code/left-behind",
		"git -C code -c user.name=T -c user.email=t@t.example commit -q --allow-empty -m second",
	} {
		s, spec := coded(t, script)
		s.refuse(spec, attest.CodeFileChanged)
	}
	s, spec := coded(t, "echo 1 >> code/train.py")
	s.write("code/b.py", "")
	spec.AllowDirty = true
	s.refuse(spec, attest.CodeFileChanged)
	spec.Command = sh(makeOutput)
	s.run(spec)
}

// Steps are often run inside the work tree, and write there.
func TestOutputsInTheWorkTreeAreNoCode(t *testing.T) {
	s, spec := coded(t, "mkdir -p code/out; echo w > code/out/w")
	spec.Outputs[0].Path, spec.Log = "code/out", "code/log"
	s.run(spec)
	s.run(spec) // and again, with the output there

	spec.Outputs[0].Path, spec.Log = "code", ""
	if _, err := Run(t.Context(), spec, s.deps); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("the work tree as an output: got %v", err)
	}
	s.must(os.RemoveAll("code/out"))
	s.must(os.Remove("code/log"))
	spec.Outputs[0].Path = "code/train.py" // tracked: a change of it is a change of the code
	spec.Command = sh("echo 1 >> code/train.py")
	if _, err := Run(t.Context(), spec, s.deps); attest.RefusalCode(err) != attest.CodeFileChanged {
		t.Errorf("a tracked file as an output: got %v", err)
	}
}

// Configuration of a work tree names programs; looking at it must run none, nor
// take where to look from the environment.
func TestLookingAtAWorkTreeRunsNothingOfIt(t *testing.T) {
	s, spec := coded(t, "")
	s.write("evil", "#!/bin/sh\ntouch "+s.dir+"/executed\n")
	s.must(os.Chmod("evil", 0o755))
	s.git("config", "core.fsmonitor", s.dir+"/evil")
	s.git("config", "core.hooksPath", s.dir)
	s.write("code/.git/info/attributes", "* filter=x\n")
	s.git("config", "filter.x.clean", s.dir+"/evil; cat")
	s.git("config", "filter.x.required", "true")
	s.must(os.Chtimes("code/train.py", time.Unix(1, 0), time.Unix(1, 0))) // git must read it again
	t.Setenv("GIT_DIR", "/nowhere")
	s.write(".gitconfig", "[core]\n\tfsmonitor = "+s.dir+"/evil\n")
	s.deps.Environ = append(s.deps.Environ, "GIT_DIR=/nowhere", "GIT_INDEX_FILE=/nowhere", "GIT_EXTERNAL_DIFF="+s.dir+"/evil")
	s.run(spec)
	if _, err := os.Stat("executed"); err == nil {
		t.Error("a program of the work tree was executed")
	}
}

// That a work tree of another user may be looked at is for the user to say, in
// the one place that git knows for it.
func TestWorkTreesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a work tree away")
	}
	s, spec := coded(t, "")
	s.must(os.Chown("code", 12345, 12345))
	s.must(os.Chown("code/.git", 12345, 12345))
	s.refuse(spec, attest.CodeUsage)
	s.write(".gitconfig", "[safe]\n\tdirectory = "+s.dir+"/code\n")
	s.run(spec)
}

func TestWhatIsNoWorkTree(t *testing.T) {
	s, spec := coded(t, "")
	for dir, want := range map[string]attest.Code{".": attest.CodeUsage, "nowhere": attest.CodeFileMissing} {
		spec.Code = dir
		s.refuse(spec, want)
	}
	spec.Code = "code"
	environ := s.deps.Environ
	s.deps.Environ = []string{"PATH=/nowhere"}
	s.refuse(spec, attest.CodeUsage) // no git
	s.deps.Environ = environ
	s.run(spec)
}

func TestSubmodules(t *testing.T) {
	s, spec := coded(t, "")
	s.write("lib/lib.py", "1\n")
	s.git("-C", "../lib", "init", "-q")
	s.git("-C", "../lib", "add", ".")
	s.git("-C", "../lib", "commit", "-q", "-m", "lib")
	s.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", s.dir+"/lib", "sub")
	s.git("commit", "-q", "-m", "with a submodule")
	_, text := s.only(s.run(spec))
	contains(t, text, `"submodules":"1"`)

	s.write("evil", "#!/bin/sh\ntouch "+s.dir+"/executed\n")
	s.must(os.Chmod("evil", 0o755))
	s.git("-C", "sub", "config", "core.fsmonitor", s.dir+"/evil")
	s.write("code/sub/lib.py", "2\n")
	if got := s.run(spec); len(got.Inputs) != 0 {
		t.Errorf("a dirty submodule is recorded as %+v", got.Inputs)
	}
	if _, err := os.Stat("executed"); err == nil {
		t.Error("a program of the submodule was executed")
	}
}

func TestADirtyTreeWithOutputsInIt(t *testing.T) {
	s, spec := coded(t, "mkdir -p code/out; date +%N > code/out/w")
	s.write("code/b.py", "")
	s.write("code/out/w", "old")
	spec.Outputs[0].Path, spec.AllowDirty = "code/out", true
	in, _ := s.only(s.run(spec))
	b, err := s.store().Manifest(t.Context(), in.Digest)
	s.must(err)
	m, err := attest.ParseManifest(b)
	s.must(err)
	var paths []string
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	if got := strings.Join(paths, " "); got != ".gitignore b.py train.py" {
		t.Errorf("packed %s", got)
	}
	s.must(os.Symlink("b.py", "code/link"))
	if _, err := Run(t.Context(), spec, s.deps); attest.RefusalCode(err) != attest.CodePath {
		t.Errorf("a link in the tree: got %v", err)
	}
}

func TestBounded(t *testing.T) {
	for n, over := range map[int]bool{4: false, 5: true} {
		b := &bounded{max: 4}
		// As os/exec does it.
		if _, err := io.Copy(b, strings.NewReader("12345"[:n])); err != nil || b.over != over || b.buf.String() != "1234" {
			t.Errorf("%d bytes: %q, %v, %v", n, b.buf.String(), b.over, err)
		}
	}
}

package step

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// What the command read is not what was hashed before and after, and the traces
// of that are found.
func TestInputsSwappedWhileTheCommandRuns(t *testing.T) {
	for name, script := range map[string]string{
		"the folder, and put back":  `mv data data.real; mkdir data; echo evil >data/x.csv; cat data/x.csv >out; rm -r data; mv data.real data`,
		"a file, and put back":      `mv data/x.csv data.real; echo evil >data/x.csv; cat data/x.csv >out; rm data/x.csv; mv data.real data/x.csv`,
		"written, and written back": `touch -r data/x.csv stamp; cp data/x.csv keep; echo evil >data/x.csv; cat data/x.csv >out; cat keep >data/x.csv; touch -r stamp data/x.csv`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.write("data/x.csv", "good\n")
			s.push("data", "data")
			spec := s.spec(script)
			spec.Inputs = []Input{{Role: "training-data", Ref: s.ref("data"), Path: "data"}}
			s.refuse(spec, attest.CodeFileChanged)
		})
	}
}

// A partial clone fetches what it lacks with a program that its configuration
// names. Looking at a work tree must not run it.
func TestAPartialCloneRunsNothing(t *testing.T) {
	s, spec := coded(t, "")
	mark := filepath.Join(s.dir, "executed")
	for _, kv := range [][2]string{{"core.repositoryFormatVersion", "1"}, {"extensions.partialClone", "origin"}, {"remote.origin.promisor", "true"},
		{"remote.origin.url", s.dir + "/code"}, {"remote.origin.uploadpack", "touch " + mark + "; git-upload-pack"}} {
		s.git("config", kv[0], kv[1])
	}
	tree := s.git("rev-parse", "HEAD^{tree}")
	s.must(os.Remove(filepath.Join("code/.git/objects", tree[:2], tree[2:])))
	if _, err := Run(t.Context(), spec, s.deps); err == nil {
		t.Error("a work tree whose objects are missing was recorded")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program that the work tree's configuration names was run")
	}
}

// The configuration of the work tree says that it is another one.
func TestAWorkTreeElsewhere(t *testing.T) {
	s, spec := coded(t, "")
	s.write("other/train.py", "print()\n")
	s.git("config", "core.worktree", filepath.Join(s.dir, "other"))
	s.refuse(spec, attest.CodeUsage)
}

// Untracked code that only the repository's private exclude list hides is code.
func TestExcludedCodeIsNoSecret(t *testing.T) {
	s, spec := coded(t, "")
	s.write("code/.git/info/exclude", "*.py\n")
	s.write("code/sitecustomize.py", "import os\n")
	if got := s.run(spec); len(got.Inputs) != 0 {
		t.Errorf("recorded as the commit alone: %+v", got.Inputs)
	}
}

// A URL with a password in a variable is refused before the command runs.
func TestPasswordsInURLs(t *testing.T) {
	s := newShop(t)
	s.deps.Environ = append(s.deps.Environ, "HTTPS_PROXY=http://me:hunter2@proxy.example:3128", "HTTP_PROXY=http://proxy.example:3128")
	spec := s.spec("echo x > out")
	spec.Env = []string{"HTTPS_PROXY"}
	s.refuse(spec, attest.CodeUsage)
	spec.Env = []string{"HTTP_PROXY"}
	s.run(spec)
}

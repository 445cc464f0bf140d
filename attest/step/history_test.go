package step

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// clone is a git repository that a test writes to.
type clone struct {
	t   *testing.T
	dir string
}

func newClone(t *testing.T) *clone {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	c := &clone{t, t.TempDir()}
	c.git("init", "-q", "-b", "main")
	return c
}

func (c *clone) git(args ...string) string {
	c.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ann\x1b[31m", "-c", "user.email=a@b.test", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *clone) commit(file, content, subject string) attest.Digest {
	c.t.Helper()
	name := filepath.Join(c.dir, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.git("add", "-A")
	c.git("commit", "-q", "-m", subject)
	d, err := attest.NewDigest("gitCommit", c.git("rev-parse", "HEAD"))
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func (c *clone) history() *History {
	c.t.Helper()
	h, err := OpenHistory(c.t.Context(), os.Environ(), c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

func TestBetween(t *testing.T) {
	c := newClone(t)
	one := c.commit("train.py", "1", "one")
	two := c.commit("sub/requirements.txt", "a==1\n", "two")
	three := c.commit("sub/requirements.txt", "a==2\n", "three")
	c.git("checkout", "-q", "-b", "side", one.Hex())
	side := c.commit("side.py", "1", "side")
	// What git would run for somebody who asks plainly.
	trap := filepath.Join(c.dir, "..", "trapped")
	for _, key := range []string{"core.pager", "core.fsmonitor", "diff.external", "gpg.program", "core.sshCommand"} {
		c.git("config", key, "touch "+trap)
	}
	c.git("config", "log.showSignature", "true")
	h := c.history()

	for _, w := range []struct {
		why                string
		from, to           attest.Digest
		newer, older       bool
		gained, lost       string
		paths, pathsStatus string
	}{
		{"forward", one, three, true, false, "three two", "", "sub/requirements.txt", "A"},
		{"back", three, two, false, true, "", "three", "sub/requirements.txt", "M"},
		{"apart", three, side, false, false, "side", "three two", "side.py sub/requirements.txt", "A D"},
		{"the same", one, one, true, true, "", "", "", ""},
	} {
		r, err := h.Between(t.Context(), w.from, w.to)
		if err != nil {
			t.Fatalf("%s: %v", w.why, err)
		}
		subjects := func(list []Commit) string {
			var out []string
			for _, c := range list {
				out = append(out, c.Subject)
			}
			return strings.Join(out, " ")
		}
		var paths, status []string
		for _, p := range r.Paths {
			paths, status = append(paths, p.Path), append(status, p.Status)
		}
		if r.Newer != w.newer || r.Older != w.older || subjects(r.Gained) != w.gained || subjects(r.Lost) != w.lost || r.GainedCount != len(r.Gained) || r.LostCount != len(r.Lost) ||
			strings.Join(paths, " ") != w.paths || strings.Join(status, " ") != w.pathsStatus || r.PathCount != len(paths) || r.Shallow || r.Missing != nil {
			t.Errorf("%s: %+v", w.why, r)
		}
	}
	r, err := h.Between(t.Context(), one, attestCommit(t, strings.Repeat("ab", 20)))
	if err != nil || len(r.Missing) != 1 || r.Gained != nil {
		t.Errorf("a commit that the clone lacks: %+v, %v", r, err)
	}
	if _, err := h.Between(t.Context(), one, attest.SHA256(nil)); attest.RefusalCode(err) != attest.CodeUsage {
		t.Errorf("no commit: %v", err)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("git ran what the clone's configuration names")
	}

	lock := attest.SHA256([]byte("a==2\n"))
	b, err := h.File(t.Context(), three, "requirements.txt", lock, 100)
	if err != nil || string(b) != "a==2\n" {
		t.Errorf("%q, %v", b, err)
	}
	for why, err := range map[string]error{
		"of another commit": fileError(h, t, two, "requirements.txt", lock, 100),
		"of another name":   fileError(h, t, three, "other.txt", lock, 100),
		"too long":          fileError(h, t, three, "requirements.txt", lock, 4),
		"of no commit":      fileError(h, t, attest.SHA256(nil), "requirements.txt", lock, 100),
		"of a strange one":  fileError(h, t, attestCommit(t, strings.Repeat("ab", 20)), "requirements.txt", lock, 100),
	} {
		if !errors.Is(err, attest.ErrAbsent) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// A clone whose history is cut says so.
func TestBetweenShallow(t *testing.T) {
	c := newClone(t)
	one := c.commit("a", "1", "one")
	two := c.commit("a", "2", "two")
	three := c.commit("a", "3", "three")
	cut := &clone{t, filepath.Join(t.TempDir(), "cut")}
	c.git("clone", "-q", "--depth", "2", "file://"+c.dir, cut.dir)
	r, err := cut.history().Between(t.Context(), two, three)
	if err != nil || !r.Shallow || !r.Newer || r.GainedCount != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := cut.history().Between(t.Context(), one, three); err != nil || len(r.Missing) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func fileError(h *History, t *testing.T, commit attest.Digest, name string, d attest.Digest, limit int64) error {
	_, err := h.File(t.Context(), commit, name, d, limit)
	return err
}

func attestCommit(t *testing.T, hex string) attest.Digest {
	d, err := attest.NewDigest("gitCommit", hex)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

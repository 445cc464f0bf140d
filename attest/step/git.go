package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// gitTimeout bounds one call of git. Looking through 300,000 files on a
	// network file system takes about a minute.
	gitTimeout = 5 * time.Minute

	// maxGitOutput bounds what a call prints: the list of a work tree of half a
	// million files, the largest known ones, has about 60 MB.
	maxGitOutput = 128 << 20
)

// A gitTree is a work tree that is asked through git.
type gitTree struct {
	git string   // the program, absolute
	dir string   // where the caller pointed
	top string   // the work tree's root
	env []string // of every call
	own []string // what else every call needs before its arguments
}

// openGit finds git and the work tree around dir.
//
// git executes what configuration names: hooks, monitors, filters. So it gets an
// environment and a configuration of its own, and of the user's only the list of
// folders that the user declared safe; whether a tree that belongs to somebody
// else may be looked at stays the user's decision.
func openGit(ctx context.Context, environ []string, dir string) (*gitTree, error) {
	path, status := lookPath(environ, "git")
	if status != 0 {
		return nil, usage("git", "is not installed, and --code needs it", "install git, or declare the commit as code=URI@gitCommit:…")
	}
	g := &gitTree{git: path, dir: dir, top: dir, env: []string{
		"PATH=" + lookEnv(environ, "PATH"), // git runs parts of itself by name
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_OPTIONAL_LOCKS=0",  // looking changes nothing
		"GIT_TERMINAL_PROMPT=0", // nobody is there to answer
		"GIT_NO_REPLACE_OBJECTS=1",
		// A partial clone fetches what it lacks, with programs that its configuration names.
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none",
	}, own: []string{
		"-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.hooksPath=" + os.DevNull,
		// What would let a changed or added file go unseen.
		"-c", "core.excludesFile=" + os.DevNull, "-c", "core.ignoreStat=false", "-c", "core.checkStat=default", "-c", "core.trustctime=true",
	}}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &attest.Refusal{Code: attest.CodeFileMissing, About: dir, Why: "no such folder", Err: err}
	}
	if err := g.takeSafeFolders(ctx, environ); err != nil {
		return nil, err
	}
	top, err := g.line(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	if top == "" {
		return nil, usage(dir, "is no git work tree", "")
	}
	if g.top, err = realPath(filepath.FromSlash(top)); err != nil {
		return nil, err
	}
	if real, err := realPath(dir); err != nil || !within(real, g.top) {
		return nil, usage(dir, "its git configuration says that the work tree is "+g.top, "name that folder")
	}
	return g, g.dropFilters(ctx)
}

// dropFilters takes the programs out of the tree's filters, which git would run
// on files whose times it does not know. A file that only equals its commit
// after filtering then counts as different: what runs is the file, not the filter.
func (g *gitTree) dropFilters(ctx context.Context) error {
	out, _, _, err := g.call(ctx, "config", "-z", "--name-only", "--get-regexp", `^filter\..*\.(clean|process|smudge|required)$`)
	if err != nil {
		return err
	}
	for key := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		switch {
		case key == "":
		case strings.Contains(key, "="):
			return usage(g.dir, "the name of a git filter contains an equals sign, and the filter cannot be switched off", "rename the filter")
		case strings.HasSuffix(key, ".required"):
			g.own = append(g.own, "-c", key+"=false")
		default:
			g.own = append(g.own, "-c", key+"=")
		}
	}
	return nil
}

// takeSafeFolders reads safe.directory from the user's and the system's
// configuration. Reading configuration executes nothing.
func (g *gitTree) takeSafeFolders(ctx context.Context, environ []string) error {
	asUser := *g
	asUser.env, asUser.own, asUser.top = []string{"LC_ALL=C"}, nil, filepath.VolumeName(g.dir)+string(filepath.Separator)
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"} {
		if v := lookEnv(environ, name); v != "" {
			asUser.env = append(asUser.env, name+"="+v)
		}
	}
	for _, scope := range []string{"--system", "--global"} {
		out, status, _, err := asUser.call(ctx, "config", scope, "-z", "--get-all", "safe.directory")
		if err != nil {
			return err
		}
		if status != 0 {
			continue // no such file, or nothing in it: no folder is declared safe there
		}
		for folder := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
			g.own = append(g.own, "-c", "safe.directory="+folder)
		}
	}
	return nil
}

// call runs git in the work tree's root and returns what it printed.
func (g *gitTree) call(ctx context.Context, args ...string) (out string, status int, complaint string, err error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.git, append(g.own[:len(g.own):len(g.own)], args...)...)
	cmd.Dir, cmd.Env = g.top, g.env
	cmd.WaitDelay = time.Second
	stdout, stderr := &bounded{max: maxGitOutput}, &bounded{max: 4 << 10} // of complaints the beginning is enough
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", 0, "", &attest.Refusal{Code: attest.CodeInterrupted, About: g.dir, Why: "git " + args[0] + " did not end", Err: ctx.Err()}
	case stdout.over:
		return "", 0, "", &attest.Refusal{Code: attest.CodeLimit, About: g.dir, Why: fmt.Sprintf("git %s printed more than %d bytes", args[0], maxGitOutput)}
	case errors.As(err, &exit):
		return stdout.buf.String(), exit.ExitCode(), strings.TrimSpace(stderr.buf.String()), nil
	case err != nil:
		return "", 0, "", &attest.Refusal{Code: attest.CodeFileIO, About: g.git, Err: err}
	}
	return stdout.buf.String(), 0, "", nil
}

// must is call for what only fails when git cannot do its work.
func (g *gitTree) must(ctx context.Context, args ...string) (string, error) {
	out, status, complaint, err := g.call(ctx, args...)
	if err == nil && status != 0 {
		err = usage(g.dir, "git "+args[0]+": "+complaint, "name a work tree with at least one commit; one of another user must be declared safe (git config --global --add safe.directory DIR)")
	}
	return out, err
}

func (g *gitTree) line(ctx context.Context, args ...string) (string, error) {
	out, err := g.must(ctx, args...)
	return strings.TrimRight(out, "\r\n"), err
}

// head returns the commit of the work tree, and its branch if it is on one.
func (g *gitTree) head(ctx context.Context) (commit attest.Digest, branch string, err error) {
	text, err := g.line(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return attest.Digest{}, "", err
	}
	if commit, err = attest.NewDigest("gitCommit", text); err != nil {
		return attest.Digest{}, "", err
	}
	out, status, _, err := g.call(ctx, "symbolic-ref", "--quiet", "HEAD")
	if status == 0 {
		branch = strings.TrimSpace(out)
	}
	return commit, branch, err
}

// origin returns the URI of the remote "origin", and "" if there is none that
// others could reach. It reads the remote as it is written: rewriting rules are
// the user's own and say nothing elsewhere.
func (g *gitTree) origin(ctx context.Context) (string, error) {
	out, status, _, err := g.call(ctx, "config", "--local", "-z", "--get-all", "remote.origin.url")
	if err != nil || status != 0 {
		return "", err
	}
	first, _, _ := strings.Cut(out, "\x00")
	return originURI(first), nil
}

// maxSubmoduleDepth bounds how deep submodules nest; the deepest in use have 4.
const maxSubmoduleDepth = 16

// differences returns the paths, relative to the root, in which the work tree
// differs from its commit, and how many submodules it has. Files that git does
// not track count, files that it ignores do not, and neither do untracked files
// for which leave is true.
func (g *gitTree) differences(ctx context.Context, leave func(path string) bool, depth int) (differ []string, submodules int, err error) {
	if depth > maxSubmoduleDepth {
		return nil, 0, &attest.Refusal{Code: attest.CodeLimit, About: g.top, Why: fmt.Sprintf("submodules nest deeper than %d", maxSubmoduleDepth)}
	}
	// Renames would be two paths in one entry. Into submodules git would go with
	// their configuration instead of ours, so that is done below.
	out, err := g.must(ctx, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty")
	if err != nil {
		return nil, 0, err
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if len(entry) < 4 || strings.HasPrefix(entry, "?? ") && leave(filepath.Join(g.top, filepath.FromSlash(entry[3:]))) {
			continue
		}
		differ = append(differ, entry[3:])
	}
	// The same once more for untracked files, by the rules of the tree alone:
	// status also obeys .git/info/exclude, which no commit holds.
	untracked, err := g.must(ctx, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore")
	if err != nil {
		return nil, 0, err
	}
	for path := range strings.SplitSeq(strings.TrimSuffix(untracked, "\x00"), "\x00") {
		if path != "" && !slices.Contains(differ, path) && !leave(filepath.Join(g.top, filepath.FromSlash(path))) {
			differ = append(differ, path)
		}
	}
	inside, unwatched, err := g.tracked(ctx)
	if err != nil {
		return nil, 0, err
	}
	differ = append(differ, unwatched...)
	submodules = len(inside)
	for _, path := range inside {
		sub := *g
		sub.top, sub.own = filepath.Join(g.top, filepath.FromSlash(path)), slices.Clone(g.own)
		if _, err := os.Lstat(filepath.Join(sub.top, ".git")); err != nil {
			continue // not fetched: the commit names what would be there
		}
		if err := sub.dropFilters(ctx); err != nil {
			return nil, 0, err
		}
		d, n, err := sub.differences(ctx, leave, depth+1)
		if err != nil {
			return nil, 0, err
		}
		submodules += n
		for _, p := range d {
			differ = append(differ, path+"/"+p)
		}
	}
	return differ, submodules, nil
}

// tracked looks through git's list of files for submodules, and for files that
// somebody told git not to look at ("assume unchanged", "skip work tree") although
// they are there: of those nobody knows whether they differ.
func (g *gitTree) tracked(ctx context.Context) (submodules, unwatched []string, err error) {
	out, err := g.must(ctx, "ls-files", "-z", "-v", "--stage")
	if err != nil {
		return nil, nil, err
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		about, path, ok := strings.Cut(entry, "\t") // TAG MODE OBJECT STAGE
		if !ok || len(about) < 8 {
			continue
		}
		if strings.HasPrefix(about[2:], "160000") {
			submodules = append(submodules, path)
		}
		if tag := about[0]; tag == 'S' || 'a' <= tag && tag <= 'z' {
			if _, err := os.Lstat(filepath.Join(g.top, filepath.FromSlash(path))); err == nil {
				unwatched = append(unwatched, path)
			}
		}
	}
	return submodules, unwatched, nil
}

// files returns every file of the work tree that git does not ignore.
func (g *gitTree) files(ctx context.Context) ([]string, error) {
	out, err := g.must(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}

// bounded keeps the first max bytes of what is written to it. The buffer is not
// embedded: io.Copy would find its ReadFrom, which has no bound.
type bounded struct {
	buf  bytes.Buffer
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.max-b.buf.Len())
	b.buf.Write(p[:keep])
	b.over = b.over || keep < len(p)
	return len(p), nil
}

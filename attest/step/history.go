package step

import (
	"context"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

const (
	// maxCommits is how many commits of a range are returned; how many there are is
	// said. A range of a year in a busy repository has 10,000.
	maxCommits = 500
	// maxPaths is how many files are returned that differ between two commits.
	maxPaths = 500
	// maxSameName is how many files of one name are looked at in one commit: a lock
	// file in each part of a large repository.
	maxSameName = 200
)

// A History answers questions about a local clone's commits. It reads, with the
// git of the caller's PATH, and runs nothing that the clone's configuration names;
// nothing is fetched.
type History struct{ tree *gitTree }

// OpenHistory finds git and the work tree around dir; environ is as os.Environ
// gives it. It refuses with E_USAGE what is no work tree, or where git is missing.
func OpenHistory(ctx context.Context, environ []string, dir string) (*History, error) {
	tree, err := openGit(ctx, environ, dir)
	if err != nil {
		return nil, err
	}
	// Grafts would give commits other parents than those they were made with, and so
	// could a cache of parents that somebody wrote.
	tree.env = append(tree.env, "GIT_GRAFT_FILE="+os.DevNull)
	tree.own = append(tree.own, "-c", "core.commitGraph=false")
	return &History{tree}, nil
}

// A Range is what lies between two commits, as a clone has it.
type Range struct {
	Missing []attest.Digest // commits that the clone lacks; then the rest is empty
	Shallow bool            // the clone's history is cut: there may be more
	Newer   bool            // the first is an ancestor of the second
	Older   bool            // the second is an ancestor of the first
	// Gained are the commits that the second has and the first has not, newest first;
	// Lost the reverse. At most 500 each are returned.
	Gained, Lost           []Commit
	GainedCount, LostCount int
	// Paths differ between the two, at most 500 of PathCount.
	Paths     []ChangedPath
	PathCount int
}

// A Commit is one commit, in its author's words.
type Commit struct {
	ID      attest.Digest
	Author  string
	Time    string // as git writes ISO 8601 strictly
	Subject string
}

// A ChangedPath is a file that differs; Status is git's letter: A, D, M or T.
type ChangedPath struct{ Status, Path string }

// Between returns what lies between two commits. The commits must be git's
// (E_USAGE); that the clone lacks one is an answer and no error.
func (h *History) Between(ctx context.Context, from, to attest.Digest) (*Range, error) {
	r := &Range{}
	for _, c := range []attest.Digest{from, to} {
		if !c.IsCommit() {
			return nil, usage(c.String(), "is no commit", "")
		}
		has, err := h.has(ctx, c)
		if err != nil {
			return nil, err
		}
		if !has {
			r.Missing = append(r.Missing, c)
		}
	}
	if len(r.Missing) > 0 {
		return r, nil
	}
	shallow, err := h.tree.line(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return nil, err
	}
	r.Shallow = shallow != "false"
	if r.Newer, err = h.ancestor(ctx, from, to); err == nil {
		r.Older, err = h.ancestor(ctx, to, from)
	}
	if err == nil {
		r.Gained, r.GainedCount, err = h.commits(ctx, from, to)
	}
	if err == nil {
		r.Lost, r.LostCount, err = h.commits(ctx, to, from)
	}
	if err == nil {
		r.Paths, r.PathCount, err = h.paths(ctx, from, to)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// has reports whether the clone has a commit. A digest is hexadecimal digits, so it
// is no option and no path; "^{commit}" refuses objects that are something else.
func (h *History) has(ctx context.Context, c attest.Digest) (bool, error) {
	_, status, _, err := h.tree.call(ctx, "cat-file", "-e", c.Hex()+"^{commit}")
	return status == 0, err
}

func (h *History) ancestor(ctx context.Context, first, second attest.Digest) (bool, error) {
	_, status, complaint, err := h.tree.call(ctx, "merge-base", "--is-ancestor", first.Hex(), second.Hex())
	if err == nil && status > 1 {
		err = usage(h.tree.dir, "git merge-base: "+complaint, "name a whole clone")
	}
	return status == 0, err
}

// commits returns what reaches to and does not reach from.
func (h *History) commits(ctx context.Context, from, to attest.Digest) ([]Commit, int, error) {
	span := from.Hex() + ".." + to.Hex()
	count, err := h.tree.line(ctx, "rev-list", "--count", span, "--")
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, 0, usage(h.tree.dir, "git rev-list gave no number", "")
	}
	out, err := h.tree.must(ctx, "log", "-z", "--no-color", "--no-show-signature", "--no-mailmap", "--no-decorate", "--encoding=UTF-8",
		"--format=%H%x1f%an%x1f%aI%x1f%s", "--max-count="+strconv.Itoa(maxCommits), span, "--")
	if err != nil {
		return nil, 0, err
	}
	var list []Commit
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		f := strings.SplitN(entry, "\x1f", 4)
		if len(f) != 4 {
			continue // no commit at all
		}
		id, err := attest.NewDigest("gitCommit", f[0])
		if err != nil {
			return nil, 0, err
		}
		list = append(list, Commit{id, strings.ToValidUTF8(f[1], "\ufffd"), f[2], strings.ToValidUTF8(f[3], "\ufffd")})
	}
	return list, n, nil
}

// paths returns the files that differ between two commits' trees.
func (h *History) paths(ctx context.Context, from, to attest.Digest) ([]ChangedPath, int, error) {
	out, err := h.tree.must(ctx, "diff-tree", "-r", "-z", "--name-status", "--no-renames", "--no-ext-diff", "--no-textconv", from.Hex(), to.Hex(), "--")
	if err != nil {
		return nil, 0, err
	}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	var list []ChangedPath
	n := 0
	for i := 0; i+1 < len(fields); i += 2 {
		if n++; n <= maxPaths {
			list = append(list, ChangedPath{fields[i], strings.ToValidUTF8(fields[i+1], "\ufffd")})
		}
	}
	return list, n, nil
}

// File returns the bytes of the file whose base name is name and whose SHA-256 is
// d, if one of that name in the commit has it. The error wraps attest.ErrAbsent if
// none has, and if the clone lacks the commit. Longer files than limit are passed
// over.
func (h *History) File(ctx context.Context, commit attest.Digest, name string, d attest.Digest, limit int64) ([]byte, error) {
	none := &attest.Refusal{Code: attest.CodeNotFound, About: name, Why: "no file of that name in the commit has these bytes", Err: attest.ErrAbsent}
	if !commit.IsCommit() {
		return nil, none
	}
	if has, err := h.has(ctx, commit); err != nil || !has {
		return nil, orAbsent(err, none)
	}
	out, err := h.tree.must(ctx, "ls-tree", "-r", "-z", "-l", "--full-tree", commit.Hex(), "--")
	if err != nil {
		return nil, err
	}
	looked := 0
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		about, file, _ := strings.Cut(entry, "\t") // MODE TYPE OBJECT SIZE
		f := strings.Fields(about)
		if len(f) != 4 || f[1] != "blob" || path.Base(file) != name {
			continue
		}
		if size, err := strconv.ParseInt(f[3], 10, 64); err != nil || size > limit {
			continue
		}
		if looked++; looked > maxSameName {
			break
		}
		content, err := h.tree.must(ctx, "cat-file", "blob", f[2])
		if err != nil {
			return nil, err
		}
		if attest.SHA256([]byte(content)) == d {
			return []byte(content), nil
		}
	}
	return nil, none
}

func orAbsent(err error, none *attest.Refusal) error {
	if err != nil {
		return err
	}
	return none
}

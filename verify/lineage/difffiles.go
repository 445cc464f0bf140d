package lineage

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/rows"
	"github.com/pedigree-ml/pedigree/verify"
)

// bytes compares what two different artifacts consist of.
func (d *differ) bytes(ctx context.Context, c *ArtifactChange, x, y *verify.Artifact) error {
	a, b := c.A.Digest, c.B.Digest
	switch {
	case a.IsCommit() && b.IsCommit():
		if d.o.Commits == nil {
			return nil
		}
		var err error
		c.Commits, err = d.o.Commits(ctx, c.B.URI, a, b)
		return err
	case a.IsCommit() || b.IsCommit():
		return nil
	case !c.Unfollowed && (!x.FilesKnown || !y.FilesKnown):
		c.Files = &FilesChange{Unknown: true, List: []FileChange{}}
		return nil
	case len(x.Files) > 0 || len(y.Files) > 0:
		var err error
		c.Files, err = d.files(ctx, x.Files, y.Files)
		return err
	}
	// No manifest: an input that is one file, such as a lock file.
	before := attest.File{Path: fileName(c.A), Descriptor: attest.Descriptor{Digest: a}}
	after := attest.File{Path: fileName(c.B), Descriptor: attest.Descriptor{Digest: b}}
	var err error
	c.Rows, err = d.rows(ctx, before, after)
	return err
}

// fileName is what an input that is one file may be called.
func fileName(in *InputSeen) string {
	if in.Name != "" {
		return in.Name
	}
	return path.Base(in.URI)
}

// files compares the files of two manifests by path. A file that is gone, and whose
// bytes are there under a path that is new, was renamed.
func (d *differ) files(ctx context.Context, a, b []attest.File) (*FilesChange, error) {
	out := &FilesChange{List: []FileChange{}}
	before, after := byPath(a), byPath(b)
	gone := map[attest.Digest][]string{} // paths of A that B lacks
	for _, p := range sortedPaths(before) {
		if _, ok := after[p]; !ok {
			gone[before[p].Digest] = append(gone[before[p].Digest], p)
		}
	}
	renamed := map[string]bool{}
	for _, p := range sortedPaths(after) {
		f := after[p]
		old, ok := before[p]
		switch was := gone[f.Digest]; {
		case ok && old.Digest == f.Digest:
			out.Same++
			out.SameBytes += f.Size
		case ok:
			c := FileChange{How: HowChanged, Path: p, A: fileSeen(old), B: fileSeen(f)}
			var err error
			if c.Rows, err = d.rows(ctx, old, f); err != nil {
				return nil, err
			}
			out.List = append(out.List, c)
		case len(was) > 0:
			out.List = append(out.List, FileChange{How: HowRenamed, Path: p, Was: was[0], A: fileSeen(before[was[0]]), B: fileSeen(f)})
			renamed[was[0]] = true
			gone[f.Digest] = was[1:]
		default:
			out.List = append(out.List, FileChange{How: HowAdded, Path: p, B: fileSeen(f)})
		}
	}
	for _, p := range sortedPaths(before) {
		if _, ok := after[p]; !ok && !renamed[p] {
			out.List = append(out.List, FileChange{How: HowRemoved, Path: p, A: fileSeen(before[p])})
		}
	}
	slices.SortStableFunc(out.List, func(x, y FileChange) int { return strings.Compare(x.Path, y.Path) })
	return out, nil
}

func byPath(files []attest.File) map[string]attest.File {
	out := make(map[string]attest.File, len(files))
	for _, f := range files {
		out[f.Path] = f
	}
	return out
}

func sortedPaths(files map[string]attest.File) []string {
	out := make([]string, 0, len(files))
	for p := range files {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

func fileSeen(f attest.File) *FileSeen { return &FileSeen{f.Digest, f.Size} }

// rows compares two versions of a file row by row; nil if it is none that is read
// so, or nobody has bytes.
func (d *differ) rows(ctx context.Context, a, b attest.File) (*RowsChange, error) {
	kind := rows.KindOf(b.Path)
	if kind == "" || kind != rows.KindOf(a.Path) || d.o.Content == nil {
		return nil, nil
	}
	before, why, err := d.read(ctx, a)
	if err == nil && why == "" {
		var after []byte
		if after, why, err = d.read(ctx, b); err == nil && why == "" {
			return RowsOf(b.Path, before, after), nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &RowsChange{Kind: string(kind), List: []RowChange{}, Unread: why}, nil
}

// read returns a small file's bytes, or why there are none.
func (d *differ) read(ctx context.Context, f attest.File) (b []byte, why string, err error) {
	switch {
	case f.Size > rows.MaxBytes:
		return nil, "too long to be compared row by row", nil
	case d.content+f.Size > maxDiffContent:
		return nil, "more files differ than are compared row by row", nil
	}
	b, err = d.o.Content(ctx, f)
	d.content += int64(len(b))
	if err == nil && attest.SHA256(b) != f.Digest {
		err = attest.Refuse(attest.CodeRegDigest, "other bytes than the digest promises")
	}
	switch code := attest.RefusalCode(err); {
	case err == nil:
		return b, "", nil
	case ctx.Err() != nil:
		return nil, "", &attest.Refusal{Code: attest.CodeInterrupted, Why: "the comparison was stopped", Err: ctx.Err()}
	case code == attest.CodeLimit:
		return nil, "too long to be compared row by row", nil
	case errors.Is(err, attest.ErrAbsent):
		return nil, "its bytes are nowhere that was looked", nil
	default:
		if code == "" {
			code = attest.CodeRegUnavailable
		}
		d.gap(f.Digest, code)
		return nil, "its bytes could not be looked at: " + string(code), nil
	}
}

// RowsOf compares two versions of a file row by row, as far as files of that name
// are read so; nil if they are not.
func RowsOf(file string, a, b []byte) *RowsChange {
	kind := rows.KindOf(file)
	if kind == "" {
		return nil
	}
	out := &RowsChange{Kind: string(kind), List: []RowChange{}}
	before, err := rows.Read(kind, a)
	if err == nil {
		var after []rows.Row
		if after, err = rows.Read(kind, b); err == nil {
			out.take(rows.Compare(before, after))
			return out
		}
	}
	out.Unread = "it cannot be read as " + string(kind) + ": " + err.Error()
	return out
}

func (r *RowsChange) take(differ []rows.Difference, same int) {
	r.Same, r.More = same, max(0, len(differ)-maxDiffRows)
	for _, d := range differ[:len(differ)-r.More] {
		c := RowChange{How: HowChanged, Name: cut(d.Name), A: cut(d.A), B: cut(d.B), OtherContents: d.Marked}
		switch {
		case !d.InA:
			c.How = HowAdded
		case !d.InB:
			c.How = HowRemoved
		}
		r.List = append(r.List, c)
	}
}

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/filehash"
	"github.com/pedigree-ml/pedigree/internal/modelformat"
	"github.com/pedigree-ml/pedigree/policy"
)

// inspectDir hashes the files under a folder wholly, looks at the very bytes that
// it hashes, and returns what they are by digest, and the digest of each path.
// The folder's files were all there, unchanged, when it returns.
//
// Only a file that m names with that size is read: the others differ whatever
// their digest is, and get the zero Digest. So a file of a terabyte that should
// have a kilobyte costs nothing. With a nil m every file is read.
func inspectDir(ctx context.Context, dir string, m *attest.Manifest, bars *bars) (map[attest.Digest]policy.Inspected, map[string]attest.Digest, error) {
	inspected, found, err := inspectFiles(ctx, dir, m, bars)
	if err != nil {
		return nil, nil, err
	}
	paths := make(map[string]attest.Digest, len(found))
	for _, f := range found {
		paths[f.Path] = f.Digest
	}
	return inspected, paths, nil
}

// inspectFiles is inspectDir, and returns the files with their sizes, by path.
func inspectFiles(ctx context.Context, dir string, m *attest.Manifest, bars *bars) (map[attest.Digest]policy.Inspected, []filehash.File, error) {
	found, err := filehash.Scan([]string{dir}, attest.MaxFiles)
	if err != nil {
		return nil, nil, err
	}
	at := make(map[string]int, len(found.Files))
	sizes := manifestSizes(m)
	var read filehash.Tree
	for i, f := range found.Files {
		at[f.Path] = i
		if size, named := sizes[f.Path]; m == nil || named && size == f.Size {
			read.Files = append(read.Files, f)
		}
	}
	results := make([]modelformat.Result, len(read.Files))
	add, done := bars.Start("inspecting", read.Size())
	err = read.HashReading(ctx, 0, add, func(i int, r io.Reader) error {
		f := &read.Files[i]
		result, err := modelformat.Inspect(r, f.Size, f.Path)
		results[i] = result
		return sizeRefusal(f.Path, err)
	})
	done()
	if err != nil {
		return nil, nil, err
	}
	again, err := filehash.Scan([]string{dir}, attest.MaxFiles)
	if err != nil {
		return nil, nil, err
	}
	if err := found.Same(again); err != nil {
		return nil, nil, err
	}
	inspected := make(map[attest.Digest]policy.Inspected, len(read.Files))
	for i, f := range read.Files { // sorted by path
		found.Files[at[f.Path]].Digest = f.Digest
		// The same bytes under two paths are one file, and one of its names may lie.
		if old, ok := inspected[f.Digest]; !ok || old.Problem == "" {
			inspected[f.Digest] = policy.Inspected(results[i])
		}
	}
	return inspected, found.Files, nil
}

func manifestSizes(m *attest.Manifest) map[string]int64 {
	sizes := make(map[string]int64)
	if m != nil {
		for _, f := range m.Files {
			sizes[f.Path] = f.Size
		}
	}
	return sizes
}

func sizeRefusal(path string, err error) error {
	if errors.Is(err, modelformat.ErrSize) {
		return &attest.Refusal{Code: attest.CodeFileChanged, About: path, Why: "its size changed while it was read", Next: "wait until nothing writes to it and start again"}
	}
	return err
}

// compareDir returns in what the files of a folder, as inspectDir hashed them,
// differ from those that a manifest names: sorted by path, and empty only if they
// are the same files.
//
// It answers attest.CodeFileMissing, attest.CodeFileExtra, and for other bytes
// attest.CodeSubjectMismatch. A manifest that does not name the path of everything
// it holds can be compared with no folder: that is attest.CodeFileMissing too.
func compareDir(m *attest.Manifest, hashed map[string]attest.Digest) []*attest.Refusal {
	if r := nameless(m); r != nil {
		return []*attest.Refusal{r}
	}
	var out []*attest.Refusal
	named := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		named[f.Path] = true
		got, ok := hashed[f.Path]
		switch {
		case !ok:
			out = append(out, &attest.Refusal{Code: attest.CodeFileMissing, About: f.Path, Why: "the artifact has it, the folder does not",
				Next: "pedigree pull the artifact into a new folder"})
		case got.IsZero():
			out = append(out, &attest.Refusal{Code: attest.CodeSubjectMismatch, About: f.Path, Why: fmt.Sprintf("its size is not the %d bytes that the artifact has", f.Size),
				Next: "pedigree pull the artifact into a new folder, and find out who wrote to this one"})
		case got != f.Digest:
			out = append(out, &attest.Refusal{Code: attest.CodeSubjectMismatch, About: f.Path, Why: fmt.Sprintf("it is %s, the artifact has %s", got, f.Digest),
				Next: "pedigree pull the artifact into a new folder, and find out who wrote to this one"})
		}
	}
	for path := range hashed {
		if !named[path] {
			out = append(out, &attest.Refusal{Code: attest.CodeFileExtra, About: path, Why: "the folder has it, the artifact does not",
				Next: "take it out of the folder, or verify the artifact that has it"})
		}
	}
	slices.SortFunc(out, func(a, b *attest.Refusal) int { return cmp.Compare(a.About, b.About) })
	return out
}

// nameless refuses a manifest that does not name the path of everything it holds;
// nil if it does.
func nameless(m *attest.Manifest) *attest.Refusal {
	if len(m.Files) > 0 && len(m.Files) == len(m.Layers) {
		return nil
	}
	return &attest.Refusal{Code: attest.CodeFileMissing, About: m.Digest.String(),
		Why:  fmt.Sprintf("%d of its %d layers name a file: no folder can be the same as it", len(m.Files), len(m.Layers)),
		Next: "compare folders with artifacts that pedigree push or another packer of files made"}
}

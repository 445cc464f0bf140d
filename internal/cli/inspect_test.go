package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/examples/safetensors"
	"github.com/pedigree-ml/pedigree/policy"
)

// folder writes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// manifestOf names files as a packed artifact would.
func manifestOf(files map[string]string) *attest.Manifest {
	m := &attest.Manifest{Digest: attest.SHA256([]byte("manifest"))}
	for name, content := range files {
		d := attest.Descriptor{Digest: attest.SHA256([]byte(content)), Size: int64(len(content))}
		m.Files = append(m.Files, attest.File{Path: name, Descriptor: d})
		m.Layers = append(m.Layers, d)
	}
	return m
}

// model is a folder as verify --dir meets it.
func model(t *testing.T) map[string]string {
	t.Helper()
	weights, err := safetensors.Format(safetensors.Float32("w", 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"model.safetensors": string(weights), "config.json": `{"a":1}`, "doc/README.md": "# A model\n"}
}

func TestInspectDir(t *testing.T) {
	files := model(t)
	files["old/weights.safetensors"] = "cposix\ngetcwd\n)R."
	files["zz/weights.bin"] = files["old/weights.safetensors"] // the same bytes, honestly named
	files["empty"] = ""
	dir, m := folder(t, files), manifestOf(files)
	for _, m := range []*attest.Manifest{m, nil} {
		inspected, paths, err := inspectDir(t.Context(), dir, m, &bars{})
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) != len(files) || len(inspected) != len(files)-1 {
			t.Errorf("%d paths and %d contents", len(paths), len(inspected))
		}
		for name, content := range files {
			if paths[name] != attest.SHA256([]byte(content)) {
				t.Errorf("%s is %s", name, paths[name])
			}
		}
		for name, want := range map[string]policy.Inspected{
			"model.safetensors": {Format: "safetensors"}, "config.json": {Format: "json"}, "doc/README.md": {Format: "text"}, "empty": {},
			"zz/weights.bin": {Format: "pickle", Problem: "is named .safetensors and is pickle"},
		} {
			if got := inspected[paths[name]]; got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
	}
	_, paths, err := inspectDir(t.Context(), dir, nil, &bars{})
	if err != nil || len(compareDir(m, paths)) != 0 {
		t.Errorf("%v, %v", compareDir(m, paths), err)
	}
}

// MLS-01, MLS-12: what lies in the folder is what the artifact names, all of it
// and nothing else.
func TestCompareDir(t *testing.T) {
	files := model(t)
	m := manifestOf(files)
	for what, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"nothing":         {func(map[string]string) {}, ""},
		"changed":         {func(f map[string]string) { f["config.json"] = `{"a":2}` }, "E_SUBJECT_MISMATCH config.json"},
		"longer":          {func(f map[string]string) { f["config.json"] += "\n" }, "E_SUBJECT_MISMATCH config.json"},
		"missing":         {func(f map[string]string) { delete(f, "config.json") }, "E_FILE_MISSING config.json"},
		"extra":           {func(f map[string]string) { f["modeling_x.py"] = "import os" }, "E_FILE_EXTRA modeling_x.py"},
		"hidden extra":    {func(f map[string]string) { f[".hidden/x"] = "" }, "E_FILE_EXTRA .hidden/x"},
		"renamed":         {func(f map[string]string) { f["a.json"] = f["config.json"]; delete(f, "config.json") }, "E_FILE_EXTRA a.json\nE_FILE_MISSING config.json"},
		"under a folder":  {func(f map[string]string) { f["README.md"] = f["doc/README.md"]; delete(f, "doc/README.md") }, "E_FILE_EXTRA README.md\nE_FILE_MISSING doc/README.md"},
		"nothing is left": {func(f map[string]string) { clear(f) }, "E_FILE_MISSING config.json\nE_FILE_MISSING doc/README.md\nE_FILE_MISSING model.safetensors"},
	} {
		changed := model(t)
		c.change(changed)
		_, paths, err := inspectDir(t.Context(), folder(t, changed), m, &bars{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range compareDir(m, paths) {
			got = append(got, fmt.Sprintf("%s %s", r.Code, r.About))
			if r.Why == "" || r.Next == "" {
				t.Errorf("%s: %+v says too little", what, r)
			}
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), c.want)
		}
	}
}

// A manifest that names no file, or not all, is the same as no folder.
func TestCompareDirNeedsPaths(t *testing.T) {
	files := model(t)
	m := manifestOf(files)
	_, paths, err := inspectDir(t.Context(), folder(t, files), m, &bars{})
	if err != nil || len(compareDir(m, paths)) != 0 {
		t.Fatalf("the whole manifest must compare, or this proves nothing: %v", err)
	}
	m.Layers = append(m.Layers, attest.Descriptor{Digest: attest.SHA256(nil)})
	for _, m := range []*attest.Manifest{m, {}} {
		if got := compareDir(m, paths); len(got) != 1 || got[0].Code != attest.CodeFileMissing {
			t.Errorf("%v", got)
		}
		if got := compareDir(m, nil); len(got) != 1 || got[0].Code != attest.CodeFileMissing {
			t.Errorf("%v", got)
		}
	}
}

// Links, pipes and what cannot be read are refused rather than left out.
func TestInspectDirRefuses(t *testing.T) {
	outside := folder(t, map[string]string{"x": "secret"})
	for what, c := range map[string]struct {
		change func(dir string) error
		want   attest.Code
	}{
		"link to a file":   {func(d string) error { return os.Symlink(filepath.Join(outside, "x"), filepath.Join(d, "l")) }, attest.CodePath},
		"link to a folder": {func(d string) error { return os.Symlink(outside, filepath.Join(d, "doc", "l")) }, attest.CodePath},
		"link inside":      {func(d string) error { return os.Symlink("config.json", filepath.Join(d, "l")) }, attest.CodePath},
		"pipe":             {func(d string) error { return syscall.Mkfifo(filepath.Join(d, "p"), 0o600) }, attest.CodeFileType},
		"strange name":     {func(d string) error { return os.WriteFile(filepath.Join(d, "a\nb"), nil, 0o600) }, attest.CodePath},
		"gone":             {os.RemoveAll, attest.CodeFileMissing},
	} {
		files := model(t)
		dir := folder(t, files)
		if _, _, err := inspectDir(t.Context(), dir, manifestOf(files), &bars{}); err != nil {
			t.Fatalf("%s: the folder must be sound before: %v", what, err)
		}
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		inspected, paths, err := inspectDir(t.Context(), dir, manifestOf(files), &bars{})
		if attest.RefusalCode(err) != c.want || inspected != nil || paths != nil {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	link := filepath.Join(t.TempDir(), "l")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := inspectDir(t.Context(), link, nil, &bars{}); attest.RefusalCode(err) != attest.CodePath {
		t.Errorf("a link for a folder: %v", err)
	}
}

// MLS-14: a file of a terabyte in the place of a small one, or beside the others,
// is told apart without reading it.
func TestInspectDirSparse(t *testing.T) {
	files := model(t)
	dir, m := folder(t, files), manifestOf(files)
	for _, name := range []string{"config.json", "extra.bin"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(1 << 40); err != nil {
			t.Skipf("no sparse files here: %v", err)
		}
		f.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, paths, err := inspectDir(ctx, dir, m, &bars{})
	if err != nil {
		t.Fatal(err)
	}
	got := compareDir(m, paths)
	if len(got) != 2 || got[0].Code != attest.CodeSubjectMismatch || got[1].Code != attest.CodeFileExtra {
		t.Errorf("%v", got)
	}
	// Read all the same, it stops when it is told to.
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := inspectDir(ctx, dir, nil, &bars{}); attest.RefusalCode(err) != attest.CodeInterrupted {
		t.Errorf("%v", err)
	}
}

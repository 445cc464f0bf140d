package oci_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// goldenPacked is the SHA-256 of the manifest of the tree in TestPackGolden. It was
// computed from the manifest and configuration spelled out in that test, not by
// running Pack.
const goldenPacked = "sha256:2bac26a9329acbd30b55a54fc40711c939f647ddc55367a875dc2f70ace3d842"

// The text of the two documents is the format: whoever changes it gives every
// artifact another name.
func TestPackGolden(t *testing.T) {
	created := time.Date(2026, 11, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	p, err := oci.Pack(t.Context(), []string{tree(t, map[string]string{"w.gguf": "ab", "a/config.json": "{}"})},
		oci.Metadata{Name: "m<1>", CreatedAt: &created, Format: "gguf"}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const (
		digestJSON = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // printf '{}' | sha256sum
		digestAB   = "sha256:fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603" // printf ab | sha256sum
	)
	config := `{"descriptor":{"createdAt":"2026-11-01T11:00:00Z","name":"m<1>"},"config":{"format":"gguf"},"modelfs":{"type":"layers","diffIds":["` + digestJSON + `","` + digestAB + `"]}}`
	if got := string(p.Config()); got != config {
		t.Errorf("configuration\n%s\nwant\n%s", got, config)
	}
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.cncf.model.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":"` + attest.SHA256([]byte(config)).String() + `","size":` + fmt.Sprint(len(config)) + `},` +
		`"layers":[{"mediaType":"application/vnd.cncf.model.weight.config.v1.raw","digest":"` + digestJSON + `","size":2,"annotations":{"org.cncf.model.filepath":"a/config.json","org.opencontainers.image.title":"a/config.json"}},` +
		`{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"` + digestAB + `","size":2,"annotations":{"org.cncf.model.filepath":"w.gguf","org.opencontainers.image.title":"w.gguf"}}]}`
	if got := string(p.Manifest()); got != manifest {
		t.Errorf("manifest\n%s\nwant\n%s", got, manifest)
	}
	if got := p.Digest().String(); got != goldenPacked {
		t.Errorf("digest %s, want %s", got, goldenPacked)
	}
}

func TestPackDependsOnPathsAndContentOnly(t *testing.T) {
	files := map[string]string{"b/x.bin": "1", "a.bin": "2", "c.json": "{}", "b/y.bin": "3"}
	pack := func(dir string, m oci.Metadata, jobs int) attest.Digest {
		t.Helper()
		p, err := oci.Pack(t.Context(), []string{dir}, m, oci.Options{Jobs: jobs})
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest()
	}
	one, two := tree(t, files), tree(t, files)
	long := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(two, "a.bin"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(two, "a.bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := pack(one, oci.Metadata{}, 1)
	if got := pack(two, oci.Metadata{}, 7); got != want {
		t.Errorf("times, modes or jobs changed the digest: %s, %s", got, want)
	}
	if got := pack(two, oci.Metadata{Name: "x"}, 1); got == want {
		t.Error("another name has the same digest")
	}
	if err := os.WriteFile(filepath.Join(two, "a.bin"), []byte("4"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := pack(two, oci.Metadata{}, 1); got == want {
		t.Error("other content has the same digest")
	}
}

func TestPackPaths(t *testing.T) {
	dir := tree(t, map[string]string{"d/x/a.bin": "1", "b.bin": "2"})
	pack := func(paths ...string) string {
		t.Helper()
		p, err := oci.Pack(t.Context(), paths, oci.Metadata{}, oci.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range p.Files() {
			names = append(names, f.Path)
		}
		return strings.Join(names, " ")
	}
	for want, got := range map[string]string{
		"x/a.bin":           pack(filepath.Join(dir, "d")),
		"b.bin":             pack(filepath.Join(dir, "b.bin")),
		"b.bin d/x/a.bin":   pack(filepath.Join(dir, "b.bin"), filepath.Join(dir, "d")),
		"a.bin b.bin":       pack(filepath.Join(dir, "b.bin"), filepath.Join(dir, "d/x/a.bin")),
		"b.bin d/x/a.bin ":  pack(dir) + " ",
		"b.bin  d/x/a.bin ": strings.ReplaceAll(pack(dir+"/."), " ", "  ") + " ",
	} {
		if got != want {
			t.Errorf("paths %q, want %q", got, want)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  attest.Code
	}{
		"a link":           {func(t *testing.T, dir string) { must(t, os.Symlink("a.bin", filepath.Join(dir, "l"))) }, attest.CodePath},
		"a link to itself": {func(t *testing.T, dir string) { must(t, os.Symlink("l", filepath.Join(dir, "l"))) }, attest.CodePath},
		"a linked folder":  {func(t *testing.T, dir string) { must(t, os.Symlink(os.TempDir(), filepath.Join(dir, "l"))) }, attest.CodePath},
		"a pipe":           {func(t *testing.T, dir string) { must(t, syscall.Mkfifo(filepath.Join(dir, "p"), 0o600)) }, attest.CodeFileType},
		"names that differ in case": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "A.bin"), nil, 0o600))
		}, attest.CodePath},
		"a name with a line break": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "x\ny"), nil, 0o600))
		}, attest.CodePath},
		"a name that is not UTF-8": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "x\xff"), nil, 0o600))
		}, attest.CodePath},
		"nothing": {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "a.bin"))) }, attest.CodeFileMissing},
		"gone":    {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, attest.CodeFileMissing},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{"a.bin": "1"})
			if _, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{}); err != nil {
				t.Fatalf("the unspoilt tree must pack: %v", err)
			}
			tt.spoil(t, dir)
			_, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
			wantCode(t, err, tt.want)
		})
	}
	dir := tree(t, map[string]string{"a/x.bin": "1", "b/x.bin": "1"})
	_, err := oci.Pack(t.Context(), []string{filepath.Join(dir, "a/x.bin"), filepath.Join(dir, "b/x.bin")}, oci.Metadata{}, oci.Options{})
	wantCode(t, err, attest.CodeDup)
	_, err = oci.Pack(t.Context(), []string{dir}, oci.Metadata{Kind: "weights"}, oci.Options{})
	wantCode(t, err, attest.CodeUsage)
	must(t, os.Symlink(dir, dir+"-link"))
	_, err = oci.Pack(t.Context(), []string{dir + "-link"}, oci.Metadata{}, oci.Options{})
	wantCode(t, err, attest.CodePath)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = oci.Pack(ctx, []string{dir}, oci.Metadata{}, oci.Options{}); err == nil {
		t.Error("packed although told to stop")
	}
}

func TestPackManyFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "00000.bin"), nil, 0o600))
	for i := 1; i < attest.MaxFiles; i++ { // linking is faster than creating
		must(t, os.Link(filepath.Join(dir, "00000.bin"), filepath.Join(dir, fmt.Sprintf("%05d.bin", i))))
	}
	p, err := oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Manifest()); n > attest.MaxManifest {
		t.Errorf("the manifest has %d bytes", n)
	}
	must(t, os.WriteFile(filepath.Join(dir, "one-more"), nil, 0o600))
	_, err = oci.Pack(t.Context(), []string{dir}, oci.Metadata{}, oci.Options{})
	wantCode(t, err, attest.CodeLimit)
	if !strings.Contains(fmt.Sprintf("%+v", refusal(err).Next), "shard") {
		t.Errorf("does not say how to shard: %q", refusal(err).Next)
	}
}

func TestPackedConfigIsModelPack(t *testing.T) {
	var c struct {
		Descriptor, Config map[string]any
		ModelFS            struct {
			Type    string
			DiffIDs []string
		}
	}
	p := model(t)
	if err := json.Unmarshal(p.Config(), &c); err != nil {
		t.Fatal(err)
	}
	if c.Descriptor == nil || c.Config == nil || c.ModelFS.Type != "layers" || len(c.ModelFS.DiffIDs) != len(p.Files()) {
		t.Errorf("lacks what the model specification requires: %s", p.Config())
	}
	for i, f := range p.Files() {
		if c.ModelFS.DiffIDs[i] != f.Digest.String() {
			t.Errorf("diffId %d is not the layer's digest", i)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refusal(err error) *attest.Refusal {
	if r, ok := err.(*attest.Refusal); ok {
		return r
	}
	return &attest.Refusal{}
}

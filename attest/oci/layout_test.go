package oci_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
)

// TestMain turns the test binary into a writer when it is started as one, so that
// several processes can write to one layout.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PEDIGREE_TEST_WRITER"); dir != "" {
		os.Exit(writer(dir))
	}
	os.Exit(m.Run())
}

// writer attaches the bundles that stdin names, one file a line, and says of each
// when it is attached.
func writer(where string) int {
	ref, err := attest.ParseRepository(where)
	if err != nil {
		return 1
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		r, err := oci.Open(ref, oci.Options{})
		if err != nil {
			return 1
		}
		digest, file, _ := strings.Cut(in.Text(), " ")
		d, err := attest.ParseDigest(digest)
		if err != nil {
			return 1
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return 1
		}
		if _, err := r.Attach(bg(), d, b); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(file)
	}
	return 0
}

// start starts a writer process that gets the lines as its input.
func start(t *testing.T, where string, lines []string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PEDIGREE_TEST_WRITER="+where)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	must(t, cmd.Start())
	return cmd, &out
}

func bundleFiles(t *testing.T, d attest.Digest, n int) []string {
	t.Helper()
	dir := t.TempDir()
	var lines []string
	for i := range n {
		f := filepath.Join(dir, fmt.Sprint(i))
		must(t, os.WriteFile(f, bundle(t, d, i, ""), 0o600))
		lines = append(lines, d.String()+" "+f)
	}
	return lines
}

func TestProcessesShareALayout(t *testing.T) {
	const writers, each = 8, 6
	where := "ocidir://" + filepath.Join(t.TempDir(), "l") // made by whoever comes first
	d := attest.SHA256([]byte("artifact"))
	lines := bundleFiles(t, d, writers*each)
	var cmds []*exec.Cmd
	for w := range writers {
		cmd, _ := start(t, where, lines[w*each:(w+1)*each])
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a writer failed: %v", err)
		}
	}
	if got := list(t, open(t, where), d); len(got) != writers*each {
		t.Errorf("%d of %d attestations are listed", len(got), writers*each)
	}
}

// Writers are killed at whatever step they are. The layout stays valid, and what
// they said was attached is.
func TestKilledWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	where := "ocidir://" + dir
	d := attest.SHA256([]byte("artifact"))
	lines := bundleFiles(t, d, 40)
	confirmed := map[string]bool{}
	for round := range 12 {
		var cmds []*exec.Cmd
		var outs []*strings.Builder
		for w := range 3 {
			cmd, out := start(t, where, lines[w*13:])
			cmds, outs = append(cmds, cmd), append(outs, out)
		}
		time.Sleep(time.Duration(15+7*round) * time.Millisecond)
		for i, cmd := range cmds {
			cmd.Process.Kill()
			cmd.Wait()
			for f := range strings.FieldsSeq(outs[i].String()) {
				confirmed[f] = true
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
			continue // killed before there was a layout
		}
		for _, a := range list(t, open(t, where), d) {
			if a.Err != nil {
				t.Fatalf("round %d: %v", round, a.Err)
			}
		}
		checkLayout(t, dir)
	}
	r := open(t, where)
	for _, line := range lines { // everything can be done again
		_, f, _ := strings.Cut(line, " ")
		b, err := os.ReadFile(f)
		must(t, err)
		if _, err := r.Attach(t.Context(), d, b); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, r, d); len(got) != len(lines) {
		t.Errorf("%d listed, want %d", len(got), len(lines))
	}
	t.Logf("%d attestations were confirmed by writers that were killed later", len(confirmed))
	if len(confirmed) == 0 {
		t.Error("every writer was killed before it did anything: the test proves nothing")
	}
}

// checkLayout checks every file under a final name: blobs are what their name says,
// and everything that the index lists is there.
func checkLayout(t *testing.T, dir string) {
	t.Helper()
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	must(t, err)
	for _, b := range blobs {
		content, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", b.Name()))
		must(t, err)
		if got := attest.SHA256(content).Hex(); got != b.Name() {
			t.Errorf("blob %s has digest %s", b.Name(), got)
		}
	}
	var idx struct {
		Manifests []struct{ Digest attest.Digest }
	}
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &idx))
	for _, m := range idx.Manifests {
		if _, err := os.Stat(filepath.Join(dir, "blobs", "sha256", m.Digest.Hex())); err != nil {
			t.Errorf("listed and not there: %v", err)
		}
	}
}

// Layouts that other tools wrote have no hint and may have a fallback index.
func TestForeignLayout(t *testing.T) {
	dir := t.TempDir()
	r := open(t, "ocidir://"+dir)
	ref, err := r.Push(t.Context(), model(t), "v1")
	must(t, err)
	_, err = r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 1, ""))
	must(t, err)
	d2, err := r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 2, ""))
	must(t, err)

	edit := func(f func(list []map[string]any) []map[string]any) {
		t.Helper()
		var idx map[string]any
		b, err := os.ReadFile(filepath.Join(dir, "index.json"))
		must(t, err)
		must(t, json.Unmarshal(b, &idx))
		var list []map[string]any
		for _, m := range idx["manifests"].([]any) {
			list = append(list, m.(map[string]any))
		}
		idx["manifests"] = f(list)
		b, err = json.Marshal(idx)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "index.json"), b, 0o644))
	}
	var bare map[string]any
	edit(func(list []map[string]any) []map[string]any {
		var out []map[string]any
		for _, m := range list {
			bare = map[string]any{"mediaType": m["mediaType"], "digest": m["digest"], "size": m["size"], "x": "kept"}
			if m["digest"] == d2.String() {
				continue // found by the fallback index alone
			}
			out = append(out, bare)
		}
		idx := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, attest.MediaTypeManifest, d2)
		must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", attest.SHA256(idx).Hex()), idx, 0o644))
		return append(out, map[string]any{"mediaType": attest.MediaTypeIndex, "digest": attest.SHA256(idx).String(), "size": len(idx),
			"annotations": map[string]string{"org.opencontainers.image.ref.name": "sha256-" + ref.Digest.Hex()}})
	})
	if got := list(t, open(t, "ocidir://"+dir), ref.Digest); len(got) != 2 || got[0].Err != nil || got[1].Err != nil {
		t.Errorf("listed %v, want 2", got)
	}
	if _, err := r.Manifest(t.Context(), d2); err != nil {
		t.Errorf("a manifest that a nested index lists: %v", err)
	}
	_, err = r.Push(t.Context(), model(t), "v2")
	must(t, err)
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	if !strings.Contains(string(b), `"x":"kept"`) {
		t.Error("what other tools wrote into the index was lost")
	}
}

func TestRetag(t *testing.T) {
	r := open(t, "ocidir://"+t.TempDir())
	var digests []attest.Digest
	for _, content := range []string{"1", "2", "1"} {
		p, err := oci.Pack(t.Context(), []string{tree(t, map[string]string{"a.bin": content})}, oci.Metadata{}, oci.Options{})
		must(t, err)
		_, err = r.Push(t.Context(), p, "latest")
		must(t, err)
		_, err = r.Push(t.Context(), p, "v"+content)
		must(t, err)
		got, err := r.Resolve(t.Context(), attest.Reference{Repository: r.Ref(), Tag: "latest"})
		must(t, err)
		if got != p.Digest() {
			t.Errorf("latest is %s, want %s", got, p.Digest())
		}
		digests = append(digests, got)
	}
	for _, d := range digests {
		if _, err := r.Manifest(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
	tags, err := r.Tags(t.Context())
	must(t, err)
	if got := strings.Join(tags, " "); got != "latest v1 v2" {
		t.Errorf("tags %s", got)
	}
}

func TestBrokenLayout(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string, artifact, attestation attest.Digest)
		want  attest.Code
		one   bool // the fault is one attestation's, not the listing's
	}{
		"no oci-layout": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.Remove(filepath.Join(dir, "oci-layout")))
		}, attest.CodeRegUnavailable, false},
		"another version": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"2.0.0"}`), 0o644))
		}, attest.CodeRegUnavailable, false},
		"no index.json": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.Remove(filepath.Join(dir, "index.json")))
		}, attest.CodeRegUnavailable, false},
		"index.json cut short": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.Truncate(filepath.Join(dir, "index.json"), 100))
		}, attest.CodeRegUnavailable, false},
		"an empty index.json": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.Truncate(filepath.Join(dir, "index.json"), 0))
		}, attest.CodeRegUnavailable, false},
		"the folder gone": {func(t *testing.T, dir string, _, _ attest.Digest) {
			must(t, os.RemoveAll(dir))
		}, attest.CodeRegUnavailable, false},
		"a manifest gone": {func(t *testing.T, dir string, _, a attest.Digest) {
			must(t, os.Remove(filepath.Join(dir, "blobs/sha256", a.Hex())))
		}, attest.CodeRegUnavailable, true},
		"a manifest cut short": {func(t *testing.T, dir string, _, a attest.Digest) {
			must(t, os.Truncate(filepath.Join(dir, "blobs/sha256", a.Hex()), 10))
		}, attest.CodeRegDigest, true},
		"a manifest with a flipped bit": {func(t *testing.T, dir string, _, a attest.Digest) {
			p := filepath.Join(dir, "blobs/sha256", a.Hex())
			b, err := os.ReadFile(p)
			must(t, err)
			b[len(b)/2] ^= 1
			must(t, os.WriteFile(p, b, 0o644))
		}, attest.CodeRegDigest, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "l")
			r := open(t, "ocidir://"+dir)
			ref, err := r.Push(t.Context(), model(t), "v1")
			must(t, err)
			a, err := r.Attach(t.Context(), ref.Digest, bundle(t, ref.Digest, 1, ""))
			must(t, err)
			if got := list(t, open(t, "ocidir://"+dir), ref.Digest); len(got) != 1 || got[0].Err != nil {
				t.Fatalf("the sound layout must list one: %v", got)
			}
			tt.spoil(t, dir, ref.Digest, a)
			got, err := tryList(t, open(t, "ocidir://"+dir), ref.Digest)
			if !tt.one {
				wantCode(t, err, tt.want)
				return
			}
			if err != nil || len(got) != 1 {
				t.Fatalf("listed %v, %v", got, err)
			}
			wantCode(t, got[0].Err, tt.want)
		})
	}
}

// A blob that another tool left cut short is replaced, not believed.
func TestLayoutRepairsBlobs(t *testing.T) {
	dir := t.TempDir()
	r := open(t, "ocidir://"+dir)
	p := model(t)
	_, err := r.Push(t.Context(), p, "v1")
	must(t, err)
	f := p.Files()[0]
	path := filepath.Join(dir, "blobs/sha256", f.Digest.Hex())
	b, err := os.ReadFile(path)
	must(t, err)
	b[0] ^= 1
	must(t, os.WriteFile(path, b, 0o644))
	wantCode(t, r.Pull(t.Context(), p.Digest(), filepath.Join(t.TempDir(), "x")), attest.CodeRegDigest)
	must(t, os.WriteFile(filepath.Join(dir, ".aside-left-over"), []byte("half"), 0o644))
	_, err = r.Push(t.Context(), p, "v1")
	must(t, err)
	must(t, r.Pull(t.Context(), p.Digest(), filepath.Join(t.TempDir(), "x")))
}

func TestLayoutIsNoOtherFolder(t *testing.T) {
	dir := tree(t, map[string]string{"thesis.tex": "work of years"})
	_, err := open(t, "ocidir://"+dir).Push(t.Context(), model(t), "v1")
	wantCode(t, err, attest.CodeRegUnavailable)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was written: %v", entries)
	}
}

// Listing must not cost a look at every manifest: a chain of twelve artifacts.
func BenchmarkListChain(b *testing.B) {
	where := "ocidir://" + b.TempDir()
	r := open(b, where)
	var digests []attest.Digest
	for i := range 12 {
		p, err := oci.Pack(b.Context(), []string{tree(b, map[string]string{"a.bin": fmt.Sprint(i)})}, oci.Metadata{}, oci.Options{})
		must(b, err)
		_, err = r.Push(b.Context(), p, "")
		must(b, err)
		digests = append(digests, p.Digest())
		for n := range 3 {
			_, err := r.Attach(b.Context(), p.Digest(), bundle(b, p.Digest(), n, ""))
			must(b, err)
		}
	}
	for b.Loop() {
		r := open(b, where) // cold: nothing remembered
		for _, d := range digests {
			if got := list(b, r, d); len(got) != 3 {
				b.Fatalf("%d listed", len(got))
			}
		}
	}
}

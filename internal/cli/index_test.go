package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// STM-10, MLS-10: of an index, each child is judged; one that was never approved
// takes the others with it, and what is said about the index is said about none.
func TestIndexIsJudgedByItsChildren(t *testing.T) {
	dir := t.TempDir()
	environment := []string{"PEDIGREE_PASSWORD=", "PATH=" + os.Getenv("PATH")}
	do := func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := run(Process{Args: args, Env: environment, Now: time.Now})
		if status != want {
			t.Fatalf("pedigree %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
		}
		return strings.TrimSpace(stdout)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	reg := "ocidir://" + in("reg")
	do(exitOK, "key", "generate", "--out", in("builder"))
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: p, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals: {builder: {kind: workload, credentials: [{key: builder.pub}]}}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://pedigree-ml.github.io/build/make/v1, by: [builder], select: any}
`)
	var children []attest.Digest
	for _, name := range []string{"fp16", "int8"} {
		do(exitOK, "run", "--step", "make", "--key", in("builder.key"), "--output", "m="+in(name)+",to="+reg+":"+name, "--", "sh", "-c", "mkdir -p "+in(name)+" && echo "+name+" > "+in(name)+"/model.gguf")
		children = append(children, resolved(t, do(exitOK, "verify", reg+":"+name, "--policy", in("policy.yaml"), "--output", "json")))
	}
	index := func(tag string, of ...attest.Digest) attest.Digest {
		t.Helper()
		var list []string
		for _, d := range of {
			list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, attest.MediaTypeManifest, d, size(t, dir, d)))
		}
		return putIndex(t, filepath.Join(dir, "reg"), tag, strings.Join(list, ","))
	}
	index("both", children...)
	out := do(exitOK, "verify", reg+":both", "--policy", in("policy.yaml"))
	if !strings.HasPrefix(out, "ALLOW  ") || strings.Count(out, "ALLOW  sha256:") != 3 {
		t.Errorf("an index of two good artifacts:\n%s", out)
	}
	write("unproven.gguf", "unproven")
	_, digest, _ := strings.Cut(do(exitOK, "push", reg+":unproven", in("unproven.gguf")), "@")
	unproven, err := attest.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	mixed := index("mixed", children[0], unproven)
	// Evidence about the index, by the right key, helps none of its children.
	write("provenance.json", `{"buildDefinition":{"buildType":"https://pedigree-ml.github.io/build/make/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":"2026-01-01T00:00:00Z"}}}`)
	do(exitOK, "attest", reg+"@"+mixed.String(), "--type", "provenance", "--predicate", in("provenance.json"), "--key", in("builder.key"))
	out = do(exitDeny, "verify", reg+":mixed", "--policy", in("policy.yaml"), "--output", "json")
	var got struct {
		Outcome  string
		Index    attest.Digest
		Verdicts []struct{ Outcome string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Outcome != "DENY" || got.Index != mixed || len(got.Verdicts) != 2 || got.Verdicts[0].Outcome != "ALLOW" || got.Verdicts[1].Outcome != "DENY" {
		t.Errorf("an index with one unproven artifact: %+v", got)
	}
	status, _, stderr := run(Process{Args: []string{"approve", reg + ":mixed", "--policy", in("policy.yaml"), "--key", in("builder.key"), "--yes"}, Env: environment, Now: time.Now})
	if status != exitDeny || !strings.Contains(stderr, string(attest.CodeRegManifest)) {
		t.Errorf("approving an index: status %d\n%s", status, stderr)
	}
}

func resolved(t *testing.T, verdict string) attest.Digest {
	t.Helper()
	var v struct{ Artifact attest.Digest }
	if err := json.Unmarshal([]byte(verdict), &v); err != nil {
		t.Fatal(err)
	}
	return v.Artifact
}

func size(t *testing.T, dir string, d attest.Digest) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "reg", "blobs", "sha256", d.Hex()))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// putIndex writes an OCI index into a layout, as another tool would.
func putIndex(t *testing.T, layout, tag, list string) attest.Digest {
	t.Helper()
	b := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, attest.MediaTypeIndex, list)
	d := attest.SHA256(b)
	if err := os.WriteFile(filepath.Join(layout, "blobs", "sha256", d.Hex()), b, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(layout, "index.json")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(old, &top); err != nil {
		t.Fatal(err)
	}
	top["manifests"] = append(top["manifests"].([]any), map[string]any{
		"mediaType": attest.MediaTypeIndex, "digest": d.String(), "size": len(b), "annotations": map[string]string{"org.opencontainers.image.ref.name": tag}})
	out, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// Of an index, each artifact gets a status of its own, and none if one of them
// cannot have one.
func TestStatusOfAnIndex(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	reg := "ocidir://" + in("reg")
	do := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := run(Process{Args: args, Env: []string{"PEDIGREE_PASSWORD="}, Now: time.Now})
		if status != want {
			t.Fatalf("pedigree %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
		}
		return strings.TrimSpace(stdout), stderr
	}
	for _, who := range []string{"builder", "registrar"} {
		do(exitOK, "key", "generate", "--out", in(who))
	}
	files := map[string]string{
		"provenance.json": `{"buildDefinition":{"buildType":"https://pedigree-ml.github.io/build/make/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":"2026-01-01T00:00:00Z"}}}`,
		"policy.yaml": `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: p, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals:
  builder: {kind: workload, credentials: [{key: builder.pub}]}
  registrar: {kind: workload, credentials: [{key: registrar.pub}]}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://pedigree-ml.github.io/build/make/v1, by: [builder], select: latest}
status: {by: [registrar]}
`}
	for _, name := range []string{"fp16", "int8"} {
		files[name] = name
	}
	for name, content := range files {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list []string
	for _, name := range []string{"fp16", "int8"} {
		out, _ := do(exitOK, "push", reg+":"+name, in(name))
		_, digest, _ := strings.Cut(out, "@")
		d, err := attest.ParseDigest(digest)
		if err != nil {
			t.Fatal(err)
		}
		do(exitOK, "attest", reg+":"+name, "--type", "provenance", "--predicate", in("provenance.json"), "--key", in("builder.key"))
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, attest.MediaTypeManifest, d, size(t, dir, d)))
	}
	putIndex(t, in("reg"), "both", strings.Join(list, ","))

	publish := []string{"status", "publish", reg + ":both", "--policy", in("policy.yaml"), "--key", in("registrar.key"), "--valid-for", "1h"}
	do(exitDeny, "verify", reg+":both", "--policy", in("policy.yaml"))
	out, _ := do(exitOK, publish...)
	if payloads := strings.Fields(out); len(payloads) != 2 || payloads[0] == payloads[1] {
		t.Errorf("published %q, want a status of each of two artifacts", payloads)
	}
	do(exitOK, "verify", reg+":both", "--policy", in("policy.yaml"))

	// What one of them lists is gone: neither is published.
	found, _ := do(exitOK, "list", reg+":int8", "--output", "json")
	_, after, _ := strings.Cut(found, `"payload": "`)
	payload, _, _ := strings.Cut(after, `"`)
	do(exitOK, "demo", "remove", reg+":int8", payload)
	out, stderr := do(exitDeny, publish...)
	if out != "" || !strings.Contains(stderr, string(attest.CodeStatus)+" "+payload) {
		t.Errorf("published %q\n%s", out, stderr)
	}
	if found, _ := do(exitOK, "list", reg+":fp16"); strings.Count(found, "status") != 1 {
		t.Errorf("the other artifact got a second status:\n%s", found)
	}
}

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest/predicate"
)

// Whatever repositories are called and people type, the script says exactly that to
// exactly one command.
func TestRevokeScript(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pedigree": "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; done\nprintf 'END\\0'\n",
		"evil":     "#!/bin/sh\necho evil >" + filepath.Join(dir, "ran") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	evil := "it's \"x\" $(evil) `evil`\nevil; # \\ "
	list := []prepared{
		{file: "a.json", refs: []string{"ocidir://" + evil + "@sha256:1", "host/b@sha256:1"}, target: predicate.TargetArtifact, what: evil},
		{file: "b.json", refs: []string{"host/c"}, flags: []string{"--of-key", `"$here/key.pub"`}, target: predicate.TargetKey, what: "the key"},
		{file: "i.json", refs: []string{"host/e"}, flags: []string{"--identity", shellQuoted("https://ci.example " + evil)}, target: predicate.TargetIdentity, what: "the identity"},
		{file: "c.json", refs: []string{"host/d@sha256:2"}, target: predicate.TargetArtifact, what: "x", done: evil},
	}
	script := filepath.Join(dir, "a folder", "revoke.sh")
	if err := os.Mkdir(filepath.Dir(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(revokeScript(list, evil)), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ typed, said []string }{
		{[]string{"my key", "--policy", "a b"}, []string{"--key", "my key", "--policy", "a b"}},
		{[]string{"./-k"}, []string{"--key", "./-k"}},
		{[]string{"--identity-token", "my token", "--fulcio", evil}, []string{"--identity-token", "my token", "--fulcio", evil}},
	} {
		c := exec.Command("sh", append([]string{script}, tt.typed...)...)
		c.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		rest := append(append([]string{"--reason", evil, "--yes"}, tt.said...), "END")
		var want []string
		for _, words := range [][]string{
			{"revoke", "ocidir://" + evil + "@sha256:1"}, {"revoke", "host/b@sha256:1"}, {"revoke", "host/c", "--of-key", filepath.Join(filepath.Dir(script), "key.pub")},
			{"revoke", "host/e", "--identity", "https://ci.example " + evil},
			{"revoke", "host/d@sha256:2"}, // somebody signed a revocation already: whether that counts is not known here
		} {
			want = append(append(want, words...), rest...)
		}
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, want) {
			t.Errorf("%q: got  %q\nwant %q", tt.typed, got, want)
		}
	}
	if err := exec.Command("sh", script).Run(); err == nil {
		t.Error("ran without a word about who signs")
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("something else was run")
	}
}

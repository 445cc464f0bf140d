package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

const releasesPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: p, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: train
unsafeTime: claimed
principals:
  trainer: {kind: workload, credentials: [{key: trainer.pub}]}
  deployer: {kind: workload, credentials: [{key: deployer.pub}]}
  security: {kind: workload, credentials: [{key: security.pub}]}
steps:
  train: {predicate: https://slsa.dev/provenance/v1, buildType: https://pedigree-ml.github.io/build/train/v1, by: [trainer], select: any}
revocation: [{by: [security], acknowledgeAbsence: "a test"}]
`

// A registry does not list everything that evidence can be attached to, with the
// referrers API and without: what was taken back is found all the same.
func TestHistoryAndLastGoodOfARegistry(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprint("referrers API ", referrers), func(t *testing.T) {
			var h http.Handler = ociserver.New(ocimem.New(), nil)
			if !referrers {
				h = withoutReferrers(h)
			}
			srv := httptest.NewServer(h)
			defer srv.Close()
			reg := strings.TrimPrefix(srv.URL, "http://") + "/m"
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			do := func(args ...string) string {
				t.Helper()
				status, stdout, stderr := run(Process{Args: append([]string{"-q"}, args...), Env: []string{"PEDIGREE_PASSWORD="}, Now: time.Now})
				if status != exitOK {
					t.Fatalf("pedigree %s: status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
				}
				return strings.TrimSpace(stdout)
			}
			write := func(name, content string) {
				t.Helper()
				if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			says := func(text string, parts ...string) {
				t.Helper()
				for _, part := range parts {
					if !strings.Contains(text, part) {
						t.Errorf("%q is not in:\n%s", part, text)
					}
				}
			}
			for _, k := range []string{"trainer", "deployer", "security"} {
				do("key", "generate", "--out", in(k))
			}
			write("p.yaml", releasesPolicy)
			var last string
			for n := range 3 {
				ref := fmt.Sprint(reg, ":v", n)
				write(fmt.Sprint("w", n), fmt.Sprint(n))
				do("push", ref, in(fmt.Sprint("w", n)))
				write("made", fmt.Sprintf(`{"buildDefinition": {"buildType": "https://pedigree-ml.github.io/build/train/v1", "externalParameters": {}, "resolvedDependencies": []},
 "runDetails": {"builder": {"id": "x"}, "metadata": {"finishedOn": "2026-05-0%dT10:00:00Z"}}}`, n+1))
				do("attest", ref, "--type", "provenance", "--predicate", in("made"), "--key", in("trainer.key"))
				record := []string{"attest", "deployment", ref, "--environment", "prod", "--key", in("deployer.key"), "--deployed-at", fmt.Sprintf("2026-06-0%dT10:00:00Z", n+1)}
				if n == 0 {
					record = append(record, "--first")
				}
				last = do(record...)
			}
			says(do("history", "prod", reg, "--policy", in("p.yaml")), "prod  3 deployments, 1 place", "runs  v2 sha256:")
			says(do("last-good", reg, "--policy", in("p.yaml"), "--environment", "prod"), "tags      v2", "→ v1 sha256:", ", the last good version")
			do("revoke", reg, "--payload", last, "--reason", "never happened", "--key", in("deployer.key"), "--yes")
			do("revoke", reg+":v2", "--reason", "poisoned", "--key", in("security.key"), "--yes")
			says(do("history", "prod", reg, "--policy", in("p.yaml")), "runs  v1 sha256:", "does not count: the statement was taken back by deployer", "DENY: revocation E_REVOKED")
			says(do("last-good", reg, "--policy", in("p.yaml"), "--environment", "prod"), "tags      v1", "DENY  v2 sha256:", "E_REVOKED", "→ v0 sha256:")
		})
	}
}

// withoutReferrers takes the referrers API away from a registry.
func withoutReferrers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/referrers/") {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		h.ServeHTTP(&silentAboutSubjects{w}, req)
	})
}

type silentAboutSubjects struct{ http.ResponseWriter }

func (s *silentAboutSubjects) WriteHeader(code int) {
	s.Header().Del("OCI-Subject")
	s.ResponseWriter.WriteHeader(code)
}

func TestShellWords(t *testing.T) {
	for want, words := range map[string][]string{
		"pedigree verify ghcr.io/a/b@sha256:12 --policy p.yaml": {"pedigree", "verify", "ghcr.io/a/b@sha256:12", "--policy", "p.yaml"},
		"a 'b c' ''":            {"a", "b c", ""},
		`'it'\''s' '$(rm -rf)'`: {"it's", "$(rm -rf)"},
		"'a\nb' '-;&|<>`\"\\'":  {"a\nb", "-;&|<>`\"\\"},
	} {
		if got := shellWords(words); got != want {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
	}
}

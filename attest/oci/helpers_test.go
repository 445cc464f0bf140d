package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/verify"
)

var (
	_ verify.Source = (*oci.Repository)(nil)
	_ verify.Source = (*oci.View)(nil)
)

const predicateType = "https://pedigree-ml.github.io/evaluation/v0.1"

var testKey = sync.OnceValues(func() (*attest.KeySigner, error) { return attest.GenerateKey(attest.P256) })

// bundle signs statement number n about d. extra makes it larger.
func bundle(t testing.TB, d attest.Digest, n int, extra string) []byte {
	t.Helper()
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	st, err := attest.NewStatement(attest.Subject{Name: "model", Digest: d}, predicateType, map[string]any{"n": n, "extra": extra})
	if err != nil {
		t.Fatal(err)
	}
	b, err := attest.Sign(t.Context(), st, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, where string) *oci.Repository { return openWith(t, where, oci.Options{}) }

func openWith(t testing.TB, where string, o oci.Options) *oci.Repository {
	t.Helper()
	ref, err := attest.ParseRepository(where)
	if err != nil {
		t.Fatal(err)
	}
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain() // not the developer's own
	}
	r, err := oci.Open(ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func list(t testing.TB, r *oci.Repository, d attest.Digest) []attest.Attached {
	t.Helper()
	out, err := tryList(t, r, d)
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	return out
}

// tryList lists by a repository and by a View of it, which must not differ: every
// test that lists is a test of both.
func tryList(t testing.TB, r *oci.Repository, d attest.Digest) ([]attest.Attached, error) {
	t.Helper()
	out, err := listFrom(r, d)
	seen, viewErr := listFrom(r.View(), d)
	if got, want := sketch(seen, viewErr), sketch(out, err); !slices.Equal(got, want) {
		t.Errorf("a view lists\n%q (%v)\nand its repository\n%q (%v)", got, viewErr, want, err)
	}
	return out, err
}

func listFrom(s verify.Source, d attest.Digest) ([]attest.Attached, error) {
	var out []attest.Attached
	err := s.Attestations(context.Background(), d, func(a attest.Attached) bool {
		out = append(out, a)
		return true
	})
	return out, err
}

// sketch is what two listings must have in common.
func sketch(list []attest.Attached, err error) []string {
	out := []string{fmt.Sprintf("ended with an error: %t, absent: %t, %s", err != nil, errors.Is(err, attest.ErrAbsent), attest.RefusalCode(err))}
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s %s %s %t %s", a.Manifest, a.PredicateType, attest.SHA256(a.Bundle), a.Err != nil, attest.RefusalCode(a.Err)))
	}
	slices.Sort(out[1:])
	return out
}

func wantCode(t testing.TB, err error, want attest.Code) {
	t.Helper()
	if got := attest.RefusalCode(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for p, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func model(t testing.TB) *oci.Packed {
	t.Helper()
	p, err := oci.Pack(t.Context(), []string{tree(t, map[string]string{
		"model.safetensors": strings.Repeat("weights ", 5000),
		"config.json":       `{"layers":2}`,
		"sub/vocab.txt":     "a\nb\n",
		"README.md":         "a model",
		"pkg/__init__.py":   "",
	})}, oci.Metadata{Name: "tiny", Version: "1"}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// memory serves an in-memory registry with the referrers API through wrap.
func memory(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	h := ociserver.New(ocimem.New(), nil)
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://") + "/acme/credit"
}

// noAPI takes the referrers API away from a registry.
func noAPI(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/referrers/") {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		h.ServeHTTP(&stripped{w}, req)
	})
}

type stripped struct{ http.ResponseWriter }

func (s *stripped) WriteHeader(code int) {
	s.Header().Del("OCI-Subject")
	s.ResponseWriter.WriteHeader(code)
}

// distribution starts Debian's docker-registry, which has no referrers API.
func distribution(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("docker-registry is not installed: apt-get install docker-registry")
		}
		t.Skip("docker-registry is not installed (apt-get install docker-registry)")
	}
	dir := t.TempDir()
	addr := freePort(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n", filepath.Join(dir, "data"), addr)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", config)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 200 {
		if resp, err := http.Get("http://" + addr + "/v2/"); err == nil {
			resp.Body.Close()
			return addr + "/acme/credit"
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer: %s", log.String())
	return ""
}

func freePort(t testing.TB) string {
	t.Helper()
	srv := httptest.NewServer(nil)
	addr := srv.Listener.Addr().String()
	srv.Close()
	return addr
}

// homes are the places every behaviour must be the same in.
func homes() map[string]func(t testing.TB) string {
	return map[string]func(t testing.TB) string{
		"layout":       func(t testing.TB) string { return "ocidir://" + filepath.Join(t.TempDir(), "layout") },
		"api":          func(t testing.TB) string { return memory(t, nil) },
		"no-api":       func(t testing.TB) string { return memory(t, noAPI) },
		"distribution": distribution,
	}
}

func everyHome(t *testing.T, test func(t *testing.T, where string)) {
	h := homes()
	for _, name := range slices.Sorted(maps.Keys(h)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h[name](t))
		})
	}
}

func bg() context.Context { return context.Background() }

package judge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/cli"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

// start is when the tests' world begins.
var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// A clock is a wall clock and a machine's own, which tests set.
type clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func newClock() *clock { return &clock{wall: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

// pass lets time go by, as both clocks see it.
func (c *clock) pass(d time.Duration) { c.set(d, d) }

// set moves each clock.
func (c *clock) set(wall, elapsed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(wall), c.elapsed+elapsed
}

// A world is a repository, keys and policies, made with the program itself.
type world struct {
	t     testing.TB
	dir   string
	repo  string
	clock *clock

	honest   http.Handler // the registry, if there is one
	requests atomic.Int64
	// fault answers in the registry's place; false lets the registry answer.
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request, honest http.Handler) bool]
}

const (
	plainPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: plain, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals: {builder: {kind: workload, credentials: [{key: builder.pub}]}}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://example.org/build/v1, by: [builder], select: any}
`
	strictPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: strict, version: 3, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
contexts: {test: {require: []}, production: {require: []}}
principals:
  builder: {kind: workload, credentials: [{key: builder.pub}]}
  registrar: {kind: workload, credentials: [{key: registrar.pub}]}
  security: {kind: human, credentials: [{key: security.pub}]}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://example.org/build/v1, by: [builder], select: any}
status: {by: [registrar], maxAge: 48h}
revocation: [{by: [security], of: [artifact, payload, key]}]
`
)

// newWorld returns a world around a layout, or around a registry.
func newWorld(t testing.TB, registry bool) *world {
	w := &world{t: t, dir: t.TempDir(), clock: newClock()}
	w.repo = "ocidir://" + w.in("reg")
	if registry {
		honest := ociserver.New(ocimem.New(), nil)
		w.honest = honest
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.requests.Add(1)
			if f := w.fault.Load(); f == nil || !(*f)(rw, r, honest) {
				honest.ServeHTTP(rw, r)
			}
		}))
		t.Cleanup(srv.Close)
		w.repo = strings.TrimPrefix(srv.URL, "http://") + "/acme/credit"
	}
	for _, who := range []string{"builder", "registrar", "security", "stranger"} {
		w.do(0, "key", "generate", "--out", w.in(who))
	}
	w.write("plain.yaml", plainPolicy)
	w.write("strict.yaml", strictPolicy)
	w.write("provenance.json", `{"buildDefinition":{"buildType":"https://example.org/build/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":"2026-01-01T00:00:00Z"}}}`)
	return w
}

func (w *world) in(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.in(name)), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.in(name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// cli runs the program.
func (w *world) cli(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = cli.Run(w.t.Context(), cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: []string{"PEDIGREE_PASSWORD=", "HOME=" + w.dir}, Now: w.clock.Now})
	return status, out.String(), errs.String()
}

func (w *world) do(want int, args ...string) string {
	w.t.Helper()
	status, stdout, stderr := w.cli(args...)
	if status != want {
		w.t.Fatalf("pedigree %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// push makes an artifact that nobody said anything about.
func (w *world) push(repo, tag string) attest.Reference {
	w.t.Helper()
	w.write(tag+".gguf", "weights of "+tag)
	ref, err := attest.ParseReference(w.do(0, "push", repo+":"+tag, w.in(tag+".gguf")))
	if err != nil {
		w.t.Fatal(err)
	}
	return ref
}

// attest says who made an artifact.
func (w *world) attest(ref attest.Reference) {
	w.t.Helper()
	w.do(0, "-q", "attest", ref.String(), "--type", "provenance", "--predicate", w.in("provenance.json"), "--key", w.in("builder.key"))
}

// publish publishes a status.
func (w *world) publish(ref attest.Reference, validFor string) {
	w.t.Helper()
	w.do(0, "-q", "status", "publish", ref.String(), "--policy", w.in("strict.yaml"), "--key", w.in("registrar.key"), "--valid-for", validFor)
}

// model makes an artifact with its provenance, and with a status.
func (w *world) model(tag string) attest.Reference {
	w.t.Helper()
	ref := w.push(w.repo, tag)
	w.attest(ref)
	w.publish(ref, "24h")
	return ref
}

// revoke revokes an artifact.
func (w *world) revoke(ref attest.Reference) {
	w.t.Helper()
	w.do(0, "-q", "revoke", ref.String(), "--reason", "a test", "--key", w.in("security.key"), "--yes", "--policy", w.in("strict.yaml"))
}

// index makes an OCI index of artifacts.
func (w *world) index(tag string, of ...attest.Reference) attest.Reference {
	w.t.Helper()
	var list []string
	for _, r := range of {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, attest.MediaTypeManifest, r.Digest, len(w.manifest(r))))
	}
	b := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, attest.MediaTypeIndex, strings.Join(list, ","))
	repo := w.repository(w.repo)
	ref := repo.At(attest.SHA256(b))
	ref.Tag = tag
	if !repo.IsLayout() {
		host, name, _ := strings.Cut(w.repo, "/")
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, "http://"+host+"/v2/"+name+"/manifests/"+tag, bytes.NewReader(b))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", attest.MediaTypeIndex)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusCreated {
			w.t.Fatalf("putting an index: %v, %v", resp, err)
		}
		resp.Body.Close()
		return ref
	}
	w.write(filepath.Join("reg", "blobs", "sha256", ref.Digest.Hex()), string(b))
	var x struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType,omitempty"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	old, err := os.ReadFile(w.in("reg/index.json"))
	if err == nil {
		err = json.Unmarshal(old, &x)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	x.Manifests = append(x.Manifests, fmt.Appendf(nil, `{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":%q}}`, attest.MediaTypeIndex, ref.Digest, len(b), tag))
	next, err := json.Marshal(x)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("reg/index.json", string(next))
	return ref
}

func (w *world) manifest(r attest.Reference) []byte {
	w.t.Helper()
	repo, err := oci.Open(r.Repository, oci.Options{Keychain: authn.NewMultiKeychain()})
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := repo.Manifest(w.t.Context(), r.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) repository(s string) attest.Repository {
	w.t.Helper()
	r, err := attest.ParseRepository(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) ref(s string) attest.Reference {
	w.t.Helper()
	r, err := attest.ParseReference(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// ground loads one of the policies, for the world's own repositories.
func (w *world) ground(name string) *gate.Ground {
	w.t.Helper()
	src, err := os.ReadFile(w.in(name + ".yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := policy.Load(src, func(name string) ([]byte, error) { return os.ReadFile(w.in(name)) })
	if err != nil {
		w.t.Fatal(err)
	}
	pattern := w.repo
	if !w.repository(w.repo).IsLayout() {
		pattern = strings.TrimSuffix(w.repo, "acme/credit") + "**"
	}
	return &gate.Ground{Name: name, Policy: p, Repositories: []string{pattern}}
}

// engine returns an engine over the world's clock.
func (w *world) engine(o judge.Options) *judge.Engine {
	w.t.Helper()
	u := judge.NewUpstream(oci.Options{Keychain: authn.NewMultiKeychain()}, 0)
	w.t.Cleanup(u.CloseIdleConnections)
	o.Open = u.Open
	o.Now = w.clock.Now
	e := judge.New(o)
	e.SetElapsed(w.clock.Elapsed)
	return e
}

// breakBy has a function answer in the registry's place; nil mends it.
func (w *world) breakBy(f func(w http.ResponseWriter, r *http.Request, honest http.Handler) bool) {
	if f == nil {
		w.fault.Store(nil)
		return
	}
	w.fault.Store(&f)
}

func ask(t testing.TB, e *judge.Engine, g *gate.Ground, ref attest.Reference, context string) gate.Answer {
	t.Helper()
	return e.Judge(t.Context(), gate.Question{Reference: ref, Ground: g, Context: context})
}

// wantOutcome checks that an answer was judged so, and is consistent in itself.
func wantOutcome(t testing.TB, a gate.Answer, want policy.Outcome) {
	t.Helper()
	if a.Err != nil || a.Outcome != want {
		t.Fatalf("got %s, %v, want %s\n%s", a.Outcome, a.Err, want, a.JSON)
	}
	if a.Allowed() != (want == policy.Allow) {
		t.Fatalf("%s, and allowed: %t", a.Outcome, a.Allowed())
	}
}

func wantRefusal(t testing.TB, a gate.Answer, want attest.Code) {
	t.Helper()
	if a.Allowed() || attest.RefusalCode(a.Err) != want || a.Outcome == policy.Allow {
		t.Fatalf("got %s, %v, want %s\n%s", a.Outcome, a.Err, want, a.JSON)
	}
}

func replaced(s, old, with string) string { return strings.Replace(s, old, with, 1) }

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// ociOptions keep the developer's own credentials out.
func ociOptions() oci.Options { return oci.Options{Keychain: authn.NewMultiKeychain()} }

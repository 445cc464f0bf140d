package admit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/oci"
	"github.com/pedigree-ml/pedigree/internal/cli"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/internal/gate/judge"
	"github.com/pedigree-ml/pedigree/policy"
)

const plainPolicy = `apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: plain, version: 1, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals: {builder: {kind: workload, credentials: [{key: builder.pub}]}}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://example.org/build/v1, by: [builder], select: any}
`

const provenance = `{"buildDefinition":{"buildType":"https://example.org/build/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":"2026-01-01T00:00:00Z"}}}`

// TestRealJudge asks about real artifacts with real signatures in a real registry, through
// the judge that the gate has.
func TestRealJudge(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }
	srv := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	defer srv.Close()
	repo := strings.TrimPrefix(srv.URL, "http://") + "/acme/credit"
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		p := cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: []string{"PEDIGREE_PASSWORD=", "HOME=" + dir}, Now: now}
		if status := cli.Run(t.Context(), p); status != 0 {
			t.Fatalf("pedigree %s: status %d\n%s", strings.Join(args, " "), status, errs.String())
		}
		return strings.TrimSpace(out.String())
	}
	do("key", "generate", "--out", in("builder"))
	write("plain.yaml", plainPolicy)
	write("provenance.json", provenance)
	write("signed.gguf", "weights")
	write("stranger.gguf", "other weights")
	signed, stranger := do("push", repo+":signed", in("signed.gguf")), do("push", repo+":stranger", in("stranger.gguf"))
	do("-q", "attest", signed, "--type", "provenance", "--predicate", in("provenance.json"), "--key", in("builder.key"))

	p, err := policy.Load([]byte(plainPolicy), func(name string) ([]byte, error) { return os.ReadFile(in(name)) })
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{repo}
	config := &gate.Config{
		Name: "gate", Limits: gate.Limits{References: 64}, Registry: gate.Registry{Repositories: allowed},
		Rules: []gate.Rule{{Name: "all", Namespaces: []string{"*"}, Pin: true, Artifacts: []gate.ArtifactLine{{Repositories: allowed, Policy: "plain"}}}},
	}
	g := &gate.Grounds{Config: config, Policies: map[string]*gate.Ground{"plain": {Name: "plain", Policy: p, Repositories: allowed}}}
	engine := func() *judge.Engine {
		u := judge.NewUpstream(oci.Options{}, 0)
		t.Cleanup(u.CloseIdleConnections)
		return judge.New(judge.Options{Open: u.Open, Now: now})
	}
	admitter := func(e *judge.Engine) *admit.Admitter {
		return admit.New(admit.Options{Judge: e, Now: now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	}
	a := admitter(engine())
	ask := func(a *admit.Admitter, object string, mutate bool) *admissionv1.AdmissionResponse {
		t.Helper()
		body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"n","object":%s}}`, object)
		review, err := admit.Decode([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return a.Review(t.Context(), g, review.Request, mutate)
	}
	pod := func(image string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"n"},"spec":{"containers":[{"name":"m","image":%q}]}}`, image)
	}
	digest := func(s string) string { _, d, _ := strings.Cut(s, "@"); return repo + "@" + d }

	if got := ask(a, pod(digest(signed)), false); !got.Allowed || got.AuditAnnotations["policy"] != p.Digest().String() || got.AuditAnnotations["artifact"] != digest(signed) {
		t.Fatalf("a signed model: %+v", got)
	}
	got := ask(a, pod(digest(stranger)), false)
	if got.Allowed || got.Result.Code != http.StatusForbidden || !strings.HasPrefix(got.Result.Message, string(attest.CodeChainMissing)+" "+digest(stranger)) || !strings.Contains(got.Result.Message, "rule") && !strings.Contains(got.Result.Message, "make") {
		t.Fatalf("a model that nobody signed: %+v", got.Result)
	}
	t.Log(got.Result.Message)
	if got := ask(a, pod(repo+":none"), false); got.Allowed {
		t.Fatalf("a tag that is not there: %+v", got)
	}

	patch, err := jsonpatch.DecodePatch(ask(a, pod(repo+":signed"), true).Patch)
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := patch.Apply([]byte(pod(repo + ":signed")))
	if err != nil || !strings.Contains(string(pinned), digest(signed)) {
		t.Fatalf("%s, %v", pinned, err)
	}
	if got := ask(a, string(pinned), false); !got.Allowed {
		t.Fatalf("what was pinned: %+v", got.Result)
	}
	if got := ask(a, pod(repo+":signed"), false); got.Allowed || !strings.HasPrefix(got.Result.Message, string(attest.CodeTag)+" ") {
		t.Fatalf("what was not pinned: %+v", got)
	}
	for _, bad := range []string{repo + ":stranger", repo + ":none"} {
		if got := ask(a, pod(bad), true); !got.Allowed || got.Patch != nil || len(got.Warnings) != 1 {
			t.Errorf("%s was not left alone: %+v", bad, got)
		}
	}
	srv.Close()
	got = ask(admitter(engine()), pod(digest(signed)), false)
	if got.Allowed || got.Result.Code != http.StatusServiceUnavailable {
		t.Errorf("the registry is down: %+v", got.Result)
	}
	b, _ := json.Marshal(got)
	t.Logf("%s", b)
}

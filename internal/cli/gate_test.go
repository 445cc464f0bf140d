package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
	"github.com/pedigree-ml/pedigree/policy"
)

// A gateWorld is a folder with keys, a policy and a registry in which "good" is signed
// and "bare" is not.
type gateWorld struct {
	t        *testing.T
	dir      string
	registry string // HOST:PORT
}

func newGateWorld(t *testing.T) *gateWorld {
	t.Helper()
	srv := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(srv.Close)
	w := &gateWorld{t: t, dir: t.TempDir(), registry: strings.TrimPrefix(srv.URL, "http://")}
	for _, k := range []string{"builder", "root"} {
		w.do(exitOK, "key", "generate", "--out", w.in(k))
	}
	w.write("policy.yaml", gatePolicy(1))
	w.write("w.safetensors", "weights")
	w.write("other.safetensors", "other weights")
	w.write("provenance.json", `{"buildDefinition":{"buildType":"https://pedigree-ml.github.io/build/make/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.org/b"},"metadata":{"finishedOn":"2026-01-01T00:00:00Z"}}}`)
	w.do(exitOK, "push", w.ref("good"), w.in("w.safetensors"))
	w.do(exitOK, "push", w.ref("bare"), w.in("other.safetensors"))
	w.do(exitOK, "attest", w.ref("good"), "--type", "provenance", "--predicate", w.in("provenance.json"), "--key", w.in("builder.key"))
	return w
}

func gatePolicy(version int) string {
	return fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Policy
metadata: {name: p, version: %d, expires: 2099-01-01T00:00:00Z}
artifact: make
unsafeTime: claimed
principals: {builder: {kind: workload, credentials: [{key: builder.pub}]}}
steps:
  make: {predicate: https://slsa.dev/provenance/v1, buildType: https://pedigree-ml.github.io/build/make/v1, by: [builder], select: any}
`, version)
}

func (w *gateWorld) in(name string) string { return filepath.Join(w.dir, name) }
func (w *gateWorld) ref(tag string) string { return w.registry + "/acme/models:" + tag }

// write replaces a file whole, as editors and Kubernetes do.
func (w *gateWorld) write(name, text string) {
	w.t.Helper()
	if err := errors.Join(os.WriteFile(w.in(name+".new"), []byte(text), 0o600), os.Rename(w.in(name+".new"), w.in(name))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *gateWorld) do(want int, args ...string) string {
	w.t.Helper()
	status, stdout, stderr := run(Process{Args: args, Env: []string{"PEDIGREE_PASSWORD="}, Now: time.Now})
	if status != want {
		w.t.Fatalf("pedigree %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return stdout
}

// config writes a configuration; more is added to it.
func (w *gateWorld) config(policies, more string) {
	w.write("gate.yaml", fmt.Sprintf(`apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: test}
listen: {address: "127.0.0.1:0", metrics: "127.0.0.1:0", drain: 1s}
registry: {repositories: ["%s/**", "127.0.0.1:1/**"]}
policies:
%s%s`, w.registry, policies, more))
}

// A startedGate is one that runs in this process.
type startedGate struct {
	t              *testing.T
	url, metrics   string
	stop           context.CancelFunc
	status         chan int
	stdout, stderr lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a gate and waits until it says where it listens.
func (w *gateWorld) start() *startedGate {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &startedGate{t: w.t, stop: cancel, status: make(chan int, 1)}
	addresses := filepath.Join(w.t.TempDir(), "addresses")
	go func() {
		g.status <- Run(ctx, Process{Args: []string{"gate", "--config", w.in("gate.yaml"), "--address-file", addresses}, Stdin: strings.NewReader(""), Stdout: &g.stdout, Stderr: &g.stderr, Env: []string{"PEDIGREE_PASSWORD="}})
	}()
	w.t.Cleanup(func() { g.end() })
	for range 1000 {
		if b, err := os.ReadFile(addresses); err == nil {
			lines := strings.Fields(string(b))
			if len(lines) != 2 {
				w.t.Fatalf("the addresses: %q", b)
			}
			g.url, g.metrics = "http://"+lines[0], "http://"+lines[1]
			return g
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("the gate does not start: %s", g.stderr.String())
	return nil
}

// end stops the gate, as SIGTERM does, and returns its exit status.
func (g *startedGate) end() int {
	g.stop()
	select {
	case s := <-g.status:
		g.status <- s
		return s
	case <-time.After(30 * time.Second):
		g.t.Error("the gate does not stop")
		return -1
	}
}

// get returns status and body.
func (g *startedGate) get(path string) (int, string) {
	g.t.Helper()
	resp, err := http.Get(path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (g *startedGate) ready(want int, text string) {
	g.t.Helper()
	var status int
	var body string
	for range 2000 {
		if status, body = g.get(g.url + "/readyz"); status == want && strings.Contains(body, text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatalf("/readyz is %d %q, want %d with %q\n%s", status, body, want, text, g.stderr.String())
}

// post sends JSON and returns status, header and body.
func (g *startedGate) post(path string, body any) (int, http.Header, []byte) {
	g.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.Post(g.url+path, "application/json", bytes.NewReader(b))
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, out
}

func (g *startedGate) verify(reference, name string) (int, http.Header, []byte) {
	g.t.Helper()
	q := map[string]string{"reference": reference}
	if name != "" {
		q["policy"] = name
	}
	return g.post("/v1/verify", q)
}

func TestGateAnswersAsVerifyDoes(t *testing.T) {
	t.Parallel()
	w := newGateWorld(t)
	// Under this one something cannot be looked at: a layout that is damaged.
	if err := os.Mkdir(w.in("damaged"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("damaged/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	w.write("damaged/index.json", "{")
	w.write("away.yaml", strings.Replace(gatePolicy(1), "artifact: make\n", "artifact: make\nevidence: [\"ocidir://damaged\"]\nstatus: {by: [builder]}\n", 1))
	w.config("  - {name: p, policy: policy.yaml}\n  - {name: away, policy: away.yaml}\n", `rules:
  - {name: r, namespaces: [team], artifacts: [{repositories: ["`+w.registry+`/**", "127.0.0.1:1/**"], policy: p}]}
`)
	g := w.start()
	g.ready(http.StatusOK, "ready")
	for _, tc := range []struct {
		tag, policy, outcome string
		status, exit         int
	}{
		{"good", "p", "ALLOW", http.StatusOK, exitOK},
		{"bare", "p", "DENY", http.StatusForbidden, exitDeny},
		{"good", "away", "UNDECIDED", http.StatusServiceUnavailable, exitUndecided},
	} {
		status, header, body := g.verify(w.ref(tc.tag), tc.policy)
		if status != tc.status || header.Get("Pedigree-Outcome") != tc.outcome {
			t.Fatalf("%s under %s: %d %s, want %d %s\n%s", tc.tag, tc.policy, status, header.Get("Pedigree-Outcome"), tc.status, tc.outcome, body)
		}
		var v struct{ At string }
		if err := json.Unmarshal(body, &v); err != nil || v.At == "" {
			t.Fatalf("no time in the verdict (%v): %s", err, body)
		}
		file := map[string]string{"p": "policy.yaml", "away": "away.yaml"}[tc.policy]
		if want := w.do(tc.exit, "verify", w.ref(tc.tag), "--policy", w.in(file), "--output", "json", "--at", v.At); want != string(body) {
			t.Errorf("%s under %s: the gate says\n%s\nand verify\n%s", tc.tag, tc.policy, body, want)
		}
		if _, again, same := g.verify(header.Get("Pedigree-Artifact"), tc.policy); tc.outcome != "UNDECIDED" && (again.Get("Pedigree-Cached") != "true" || !bytes.Equal(same, body)) {
			t.Errorf("%s asked again by digest: cached %s", tc.tag, again.Get("Pedigree-Cached"))
		}
	}
	for _, tc := range []struct {
		reference, policy, code string
		status                  int
	}{
		{w.ref("good"), "", "E_USAGE", http.StatusBadRequest}, // two policies
		{w.ref("good"), "q", "E_USAGE", http.StatusBadRequest},
		{"registry.elsewhere.example/a:b", "p", "E_", http.StatusBadRequest},
		{"127.0.0.1:1/a:b", "p", "connection refused", http.StatusServiceUnavailable},
		{w.ref("nothing"), "p", "E_SUBJECT_MISSING", http.StatusForbidden}, // as verify, which ends with 1
		{w.registry + "/acme/models@sha256:" + strings.Repeat("0", 64), "p", "E_SUBJECT_MISSING", http.StatusForbidden},
	} {
		status, header, body := g.verify(tc.reference, tc.policy)
		want := "UNDECIDED"
		if tc.status == http.StatusForbidden {
			want = "DENY"
		}
		if status != tc.status || header.Get("Pedigree-Outcome") != want || !strings.Contains(string(body), tc.code) {
			t.Errorf("%s under %q: %d %s, want %d %s", tc.reference, tc.policy, status, body, tc.status, tc.code)
		}
	}
	for _, tc := range []struct {
		reference string
		code      int
	}{{w.ref("nothing"), http.StatusForbidden}, {"127.0.0.1:1/a:b", http.StatusServiceUnavailable}} {
		_, _, body := g.post("/admit", review("team", tc.reference))
		if !bytes.Contains(body, []byte(`"allowed":false`)) || !bytes.Contains(body, fmt.Appendf(nil, `"code":%d`, tc.code)) {
			t.Errorf("a pod of %s: %s", tc.reference, body)
		}
	}
	for _, tc := range []struct {
		namespace, tag string
		allowed        bool
	}{{"team", "good", true}, {"team", "bare", false}, {"other", "good", false}} {
		_, h, _ := g.verify(w.ref(tc.tag), "p")
		_, _, body := g.post("/admit", review(tc.namespace, h.Get("Pedigree-Artifact")))
		var got struct {
			Response struct {
				Allowed bool
				Status  struct{ Message string }
			}
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Response.Allowed != tc.allowed {
			t.Errorf("a pod of %s in %s: %v, %s", tc.tag, tc.namespace, err, body)
		}
	}
	if status, body := g.get(g.metrics + "/metrics"); status != http.StatusOK || !strings.Contains(body, "pedigree_gate_policy_expiry_timestamp_seconds{") || !strings.Contains(body, "pedigree_gate_ready 1") {
		t.Errorf("metrics: %d\n%s", status, body)
	}
	if status := g.end(); status != exitOK {
		t.Errorf("told to stop, it ends with %d\n%s", status, g.stderr.String())
	}
	for line := range strings.Lines(g.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	if g.stdout.String() != "" {
		t.Errorf("on standard output: %s", g.stdout.String())
	}
}

// review is a review of a pod with one image.
func review(namespace, image string) map[string]any {
	return map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": namespace, "name": "x",
			"kind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"resource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"userInfo": map[string]any{"username": "somebody"},
			"object": map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "x", "namespace": namespace},
				"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}},
			},
		},
	}
}

// GAT-09: before policy and trust are loaded the gate is not ready, and refuses.
func TestGateStartOrder(t *testing.T) {
	t.Parallel()
	w := newGateWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	policies := l.Addr().String()
	l.Close()
	w.write("roots.yaml", "apiVersion: pedigree-ml.github.io/v1\nkind: PolicyRoots\npolicies: [p]\nthreshold: 1\nkeys: [root.pub]\n")
	w.config(fmt.Sprintf("  - {name: p, policy: %q, roots: roots.yaml}\n", policies+"/policies/p:v1"), "rules:\n  - {name: r, namespaces: [team], artifacts: [{repositories: [\""+w.registry+"/**\"], policy: p}]}\n")
	g := w.start()
	t.Run("GAT-09 nothing loaded", func(t *testing.T) {
		g.ready(http.StatusServiceUnavailable, "not ready")
		g.ready(http.StatusServiceUnavailable, "E_REG_UNAVAILABLE") // and why
		if status, _ := g.get(g.url + "/healthz"); status != http.StatusOK {
			t.Errorf("it lives, and /healthz is %d", status)
		}
		status, header, body := g.verify(w.ref("good"), "p")
		if status != http.StatusServiceUnavailable || header.Get("Pedigree-Outcome") != "UNDECIDED" || !strings.Contains(string(body), "UNDECIDED") || !strings.Contains(string(body), string(attest.CodeNotReady)) {
			t.Errorf("asked before anything is loaded: %d %s", status, body)
		}
		if _, _, body := g.post("/admit", review("team", w.ref("good"))); bytes.Contains(body, []byte(`"allowed":true`)) || !bytes.Contains(body, []byte("705ab4f5")) {
			t.Errorf("a review before anything is loaded: %s", body)
		}
	})
	t.Run("GAT-09 loaded", func(t *testing.T) {
		l, err := net.Listen("tcp", policies)
		if err != nil {
			t.Skipf("somebody took the port: %v", err)
		}
		srv := &http.Server{Handler: ociserver.New(ocimem.New(), nil)}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		w.do(exitOK, "policy", "sign", w.in("policy.yaml"), "--key", w.in("root.key"), "--push", policies+"/policies/p:v1")
		g.ready(http.StatusOK, "ready")
		if status, _, body := g.verify(w.ref("good"), "p"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	})
}

// endsByItself runs what should not go on: a gate that serves after all is stopped, and
// ends with 0.
func endsByItself(p Process) (status int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, errs lockedBuffer
	p.Stdin, p.Stdout, p.Stderr = strings.NewReader(""), &out, &errs
	status = Run(ctx, p)
	return status, out.String(), errs.String()
}

// What is wrong and does not mend itself ends the gate at once, with the status that
// verify would have.
func TestGateDoesNotStart(t *testing.T) {
	w := newGateWorld(t)
	w.write("expired.yaml", strings.Replace(gatePolicy(1), "2099", "2020", 1))
	w.write("broken.yaml", "kind: Policy\n")
	for name, tc := range map[string]struct {
		policies, more, want string
		status               int
	}{
		"a policy that does not load": {"  - {name: p, policy: broken.yaml}\n", "", "E_POLICY_PARSE", exitUsage},
		"no such policy":              {"  - {name: p, policy: nowhere.yaml}\n", "", "nowhere.yaml", exitUsage},
		"a key that nobody knows":     {"  - {name: p, policy: policy.yaml}\n", "rulez: []\n", `gate.yaml:8:1: the configuration has no key "rulez"`, exitUsage},
		"a context it does not have":  {"  - {name: p, policy: policy.yaml}\n", "rules: [{name: r, namespaces: [a], artifacts: [{repositories: ['127.0.0.1:1/**'], policy: p, context: prod}]}]\n", `has no context "prod"`, exitUsage},
		"a bad expression":            {"  - {name: p, policy: policy.yaml}\n", "kinds: [{group: a.example, kind: K, places: [{name: x, jsonPath: '$.spec['}]}]\n", "E_GATE_CONFIG " + w.in("gate.yaml") + ":8:66: jsonPath: ", exitUsage},
		"roots, and nobody signed":    {"  - {name: p, policy: policy.yaml, roots: roots.yaml}\n", "", "E_POLICY_", exitUsage},
	} {
		w.config(tc.policies, tc.more)
		status, _, stderr := endsByItself(Process{Args: []string{"gate", "--config", w.in("gate.yaml")}})
		if status != tc.status || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: status %d, want %d with %q\n%s", name, status, tc.status, tc.want, stderr)
		}
		if status, _, _ := run(Process{Args: []string{"gate", "check", "--config", w.in("gate.yaml")}}); status != tc.status {
			t.Errorf("%s: check ends with %d", name, status)
		}
	}
	t.Run("a policy that is over", func(t *testing.T) {
		w.config("  - {name: p, policy: expired.yaml}\n", "")
		if status, _, stderr := run(Process{Args: []string{"gate", "check", "--config", w.in("gate.yaml")}}); status != exitUsage || !strings.Contains(stderr, "E_POLICY_EXPIRED") {
			t.Errorf("check: %d, %s", status, stderr)
		}
		g := w.start()
		g.ready(http.StatusServiceUnavailable, "E_POLICY_EXPIRED")
		if status, _, body := g.verify(w.ref("good"), ""); status == http.StatusOK || !strings.Contains(string(body), "E_POLICY_EXPIRED") {
			t.Errorf("%d %s", status, body)
		}
		// One that holds beside it is reason enough to be asked.
		w.config("  - {name: p, policy: expired.yaml}\n  - {name: q, policy: policy.yaml}\n", "")
		g.ready(http.StatusOK, "note: E_POLICY_EXPIRED")
		if status, _, body := g.verify(w.ref("good"), "q"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
		if status, _, body := g.verify(w.ref("good"), "p"); status == http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	})
}

// A signed policy does not go back: not in a file, not with state after a restart.
func TestGatePolicyRollback(t *testing.T) {
	t.Parallel()
	w := newGateWorld(t)
	w.write("roots.yaml", "apiVersion: pedigree-ml.github.io/v1\nkind: PolicyRoots\npolicies: [p]\nthreshold: 1\nkeys: [root.pub]\n")
	signed := map[int]string{}
	for _, v := range []int{1, 2} {
		w.write("plain.yaml", gatePolicy(v))
		w.do(exitOK, "policy", "sign", w.in("plain.yaml"), "--key", w.in("root.key"), "--out", w.in("signed.json"))
		b, err := os.ReadFile(w.in("signed.json"))
		if err != nil {
			t.Fatal(err)
		}
		signed[v] = string(b)
		if err := os.Remove(w.in("signed.json")); err != nil {
			t.Fatal(err)
		}
	}
	for name, state := range map[string]string{"with state": "state: state\n", "without": ""} {
		t.Run(name, func(t *testing.T) { w.goesNotBack(t, signed, state) })
	}
}

func (w *gateWorld) goesNotBack(t *testing.T, signed map[int]string, state string) {
	w.write("p.json", signed[1])
	w.config("  - {name: p, policy: p.json, roots: roots.yaml}\n", state)
	g := w.start()
	g.ready(http.StatusOK, "ready")
	_, first, _ := g.verify(w.ref("good"), "")
	w.write("p.json", signed[2])
	var second http.Header
	for range 1000 {
		if _, second, _ = g.verify(w.ref("good"), ""); second.Get("Pedigree-Policy") != first.Get("Pedigree-Policy") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if second.Get("Pedigree-Policy") == first.Get("Pedigree-Policy") {
		t.Fatalf("the newer policy is not loaded\n%s", g.stderr.String())
	}
	w.write("p.json", signed[1])
	g.ready(http.StatusOK, "E_POLICY_ROLLBACK")
	if status, h, _ := g.verify(w.ref("good"), ""); status != http.StatusOK || h.Get("Pedigree-Policy") != second.Get("Pedigree-Policy") {
		t.Errorf("after an older policy was put there: %d under %s, want %s", status, h.Get("Pedigree-Policy"), second.Get("Pedigree-Policy"))
	}
	g.end()
	if state == "" {
		return // it remembers as long as it lives
	}
	if status, _, stderr := endsByItself(Process{Args: []string{"gate", "--config", w.in("gate.yaml")}}); status != exitUsage || !strings.Contains(stderr, "E_POLICY_ROLLBACK") {
		t.Errorf("started again with the older policy: %d\n%s", status, stderr)
	}
}

// GAT-22: a hundred changes of the policy a second, valid and invalid, while it is asked:
// every answer is by one whole version, which it names, and never by one that was not
// valid.
func TestGateReloadUnderLoad(t *testing.T) {
	t.Run("GAT-22", func(t *testing.T) {
		w := newGateWorld(t)
		w.config("  - {name: p, policy: policy.yaml}\n", "")
		g := w.start()
		g.ready(http.StatusOK, "ready")
		valid := map[string]int{} // by digest
		digestOfPolicy := func(version int) string {
			p, err := policy.Load([]byte(gatePolicy(version)), besides(w.in("policy.yaml")))
			if err != nil {
				t.Fatal(err)
			}
			return p.Digest().String()
		}
		const changes = 300
		for v := 1; v <= changes+1; v++ {
			valid[digestOfPolicy(v)] = v
		}
		_, h, _ := g.verify(w.ref("good"), "")
		question, err := json.Marshal(map[string]string{"reference": h.Get("Pedigree-Artifact")})
		if err != nil {
			t.Fatal(err)
		}
		var asked atomic.Int64
		var seen sync.Map
		stop := make(chan struct{})
		var clients sync.WaitGroup
		transport := &http.Transport{MaxIdleConnsPerHost: 8}
		defer transport.CloseIdleConnections()
		for range 8 {
			clients.Go(func() {
				client := &http.Client{Transport: transport}
				pace := time.NewTicker(8 * time.Millisecond) // of eight clients a thousand a second
				defer pace.Stop()
				for {
					select {
					case <-stop:
						return
					case <-pace.C:
					}
					resp, err := client.Post(g.url+"/v1/verify", "application/json", bytes.NewReader(question))
					if err != nil {
						t.Errorf("a request was lost: %v", err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					var v struct {
						Outcome string
						Policy  struct {
							Digest  string
							Version int
						}
					}
					if err := errors.Join(err, json.Unmarshal(body, &v)); err != nil {
						t.Errorf("%v: %s", err, body)
						return
					}
					named := resp.Header.Get("Pedigree-Policy")
					if resp.StatusCode != http.StatusOK || named != v.Policy.Digest || valid[named] == 0 || valid[named] != v.Policy.Version {
						t.Errorf("%d %s by version %d, %s, and the header names %s", resp.StatusCode, v.Outcome, v.Policy.Version, v.Policy.Digest, named)
						return
					}
					seen.Store(named, true)
					asked.Add(1)
				}
			})
		}
		start := time.Now()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range changes {
			<-tick.C
			text := gatePolicy(i + 2)
			switch i % 4 {
			case 1:
				text = strings.Replace(text, "steps:", "stepz:", 1)
			case 3:
				text = text[:len(text)/2]
			}
			w.write("policy.yaml", text)
		}
		took := time.Since(start)
		w.write("policy.yaml", gatePolicy(changes+1))
		last := digestOfPolicy(changes + 1)
		for range 1000 {
			if _, h, _ := g.verify(w.ref("good"), ""); h.Get("Pedigree-Policy") == last {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		close(stop)
		clients.Wait()
		if _, h, _ := g.verify(w.ref("good"), ""); h.Get("Pedigree-Policy") != last {
			t.Errorf("the last version is not in force: %s", h.Get("Pedigree-Policy"))
		}
		versions := 0
		seen.Range(func(any, any) bool { versions++; return true })
		t.Logf("%d changes in %s, %d answers by %d versions", changes, took.Round(time.Millisecond), asked.Load(), versions)
		if asked.Load() < 100 || versions < 3 {
			t.Errorf("%d answers by %d versions: the test proves little", asked.Load(), versions)
		}
	})
}

// The signing keys of the configuration are flags of the command line.
func TestGateSigningKeysAreFlags(t *testing.T) {
	b, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Defs map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	var flags []string
	c := &cobra.Command{}
	var f signing
	f.flags(c)
	f.trustFlag(c)
	c.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	all := map[string]string{}
	for key := range s.Defs["signing"].Properties {
		if !slices.Contains(flags, key) {
			t.Errorf("records.signing has %q, and the command line has no such flag", key)
		}
		all[key] = key
	}
	// Each of them reaches the signer.
	got := signingOf(all)
	for _, v := range []string{got.key, got.token, got.spiffe, got.config, got.fulcio, strings.Join(got.logs, ""), strings.Join(got.timestamps, ""), got.clientID, got.trusted.file} {
		if v == "" {
			t.Errorf("one of the keys is lost: %+v", got)
		}
		delete(all, v)
	}
	if len(all) > 0 {
		t.Errorf("these keys are read and not used: %v", all)
	}
}

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"github.com/pedigree-ml/pedigree/internal/child"
	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// serviceName is what API servers call the gate, and so what its certificate says.
const serviceName = "pedigree-gate.pedigree-system.svc"

// A world is a cluster with the gate in it: the program as users build it, in a process
// of its own, with the webhooks that are shipped, and a registry with signed models.
type world struct {
	t        testing.TB       // the test that is running; it has what is made here, and cannot go on without it
	life     testing.TB       // the test that the world is for
	cluster  *cluster.Cluster // nil as long as there is none
	dir      string
	program  string // pedigree
	gate     gateProcess
	config   string // gate.yaml
	policy   string // policy.yaml
	registry *slowRegistry
	ca       *cluster.Authority // of the gate's certificate
	bundles  int                // that the webhooks have had, beyond the authority's
	clients  []byte             // of the certificates of who may ask; nil: whoever can

	good, better model // allowed
	bare         model // not approved
}

// slowRegistry is a registry in this process whose answers a test may hold back.
type slowRegistry struct {
	host string
	hold atomic.Bool // while it is true nothing is answered
	next http.Handler
}

func (r *slowRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	for r.hold.Load() {
		select {
		case <-req.Context().Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	r.next.ServeHTTP(w, req)
}

// build builds pedigree in its own module, so that it has the modules that users get.
func build(t testing.TB, dir string) string {
	t.Helper()
	out := filepath.Join(dir, "pedigree")
	if said, err := exec.Command("go", "build", "-C", "../..", "-o", out, "./cmd/pedigree").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

// newWorld starts the gate and registers its webhooks in a cluster, until the test ends.
func newWorld(t testing.TB, c *cluster.Cluster) *world {
	t.Helper()
	w := newGate(t, c, 2*time.Second)
	w.register()
	return w
}

// newGate starts the gate, which remembers what it allows for so long, behind the Service
// of a cluster.
func newGate(t testing.TB, c *cluster.Cluster, allow time.Duration) *world {
	t.Helper()
	w := newGateAlone(t, allow, c.Authority.PEM)
	w.cluster = c
	for _, file := range []string{"namespace.yaml", "service.yaml"} {
		if out, err := c.Kubectl(within(t), "", "apply", "--server-side", "--validate=strict", "-f", manifests+"/gate/"+file); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	c.Route(w.gate.address)
	return w
}

// newGateAlone starts the gate without a cluster.
func newGateAlone(t testing.TB, allow time.Duration, clients []byte) *world {
	t.Helper()
	w := newShop(t, nil)
	w.clients = clients
	var err error
	if w.ca, err = cluster.NewAuthority("gate"); err != nil {
		t.Fatal(err)
	}
	w.certify(w.ca, cluster.Request{Names: []string{serviceName}})
	w.configure(allow)
	w.start()
	return w
}

// newShop makes a world without a gate: a registry, and who signs models.
func newShop(t testing.TB, c *cluster.Cluster) *world {
	t.Helper()
	w := &world{t: t, life: t, cluster: c, dir: t.TempDir()}
	w.program = build(t, w.dir)
	w.registry = &slowRegistry{next: ociserver.New(ocimem.New(), nil)}
	srv := httptest.NewServer(w.registry)
	t.Cleanup(srv.Close)
	w.registry.host = strings.TrimPrefix(srv.URL, "http://")
	for _, who := range keys {
		w.pedigree("key", "generate", "--out", who)
	}
	// The policy that is shipped, with the keys of this world.
	b, err := os.ReadFile(manifests + "/gate/config/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.policy = string(b)
	return w
}

// keys are the names of the keys that a world has.
var keys = [...]string{"trainer", "approver", "deployer"}

// replica starts a second gate, as a pod of the same Deployment: with the same
// configuration but for how long it remembers what it allows, the same keys and
// certificate's authority, and a disk of its own.
func (w *world) replica(allow time.Duration) *world {
	w.t.Helper()
	r := *w
	r.dir = w.t.TempDir()
	for _, who := range keys {
		for _, ext := range []string{".key", ".pub"} {
			b, err := os.ReadFile(filepath.Join(w.dir, who+ext))
			if err != nil {
				w.t.Fatal(err)
			}
			r.write(who+ext, string(b))
		}
	}
	r.certify(r.ca, cluster.Request{Names: []string{serviceName}})
	r.configure(allow)
	r.start()
	return &r
}

func (w *world) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// pedigree runs the program, and returns what it says to standard output.
func (w *world) pedigree(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(w.program, append([]string{"-q", "--no-progress"}, args...)...)
	cmd.Dir, cmd.Env = w.dir, w.environment()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("pedigree %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.Bytes())
	}
	return string(out)
}

func (w *world) environment() []string {
	return []string{"HOME=" + w.dir, "PATH=/usr/bin:/bin", "PEDIGREE_PASSWORD=", "DOCKER_CONFIG=" + w.dir}
}

// A model is an artifact in the registry.
type model struct {
	repository string
	tag        string // with the repository
	pinned     string // with the digest
}

// model packs and pushes a model that the trainer has signed for.
func (w *world) model(name string) model {
	w.t.Helper()
	dir := filepath.Join(w.dir, "models", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights of "+name), 0o644); err != nil {
		w.t.Fatal(err)
	}
	m := model{repository: w.registry.host + "/acme/models/" + name}
	m.tag = m.repository + ":v1"
	said := w.pedigree("run", "--step", "train", "--key", "trainer.key", "--output", "model=models/"+name+",to="+m.tag, "--", "true")
	_, digest, found := strings.Cut(strings.TrimSpace(said), "@")
	if !found {
		w.t.Fatalf("no digest: %q", said)
	}
	m.pinned = m.repository + "@" + digest
	return m
}

// approved packs and pushes a model that the policy allows.
func (w *world) approved(name string) model {
	w.t.Helper()
	m := w.model(name)
	w.pedigree("approve", m.pinned, "--policy", "policy.yaml", "--key", "approver.key", "--yes")
	return m
}

// revoke takes a model back.
func (w *world) revoke(m model) {
	w.t.Helper()
	w.pedigree("revoke", m.pinned, "--reason", "consent withdrawn", "--yes", "--key", "approver.key")
}

// certify writes a certificate as kubelets write Secrets: into a folder of its own, to
// which a link is then turned, so that certificate and key change at once.
func (w *world) certify(ca *cluster.Authority, r cluster.Request) {
	w.t.Helper()
	pair, err := ca.Issue(r)
	if err != nil {
		w.t.Fatal(err)
	}
	project(w.t, filepath.Join(w.dir, "tls"), map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.Key})
}

// project writes files into a folder as kubelets do.
func project(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp(dir, "..data_")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	next := filepath.Join(dir, "..data_next")
	if err := os.Symlink(filepath.Base(data), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if old != "" {
		os.RemoveAll(filepath.Join(dir, old))
	}
}

// configure writes what the gate is told. The namespaces say by their names what holds
// in them.
func (w *world) configure(allow time.Duration) {
	w.t.Helper()
	l, m := freeAddress(w.t), freeAddress(w.t)
	w.gate.address, w.gate.metrics = l, m
	lines := strings.ReplaceAll(`
      - {repositories: [HOST/acme/models/**], policy: models}
      - {repositories: [HOST/acme/runtimes/**], accept: true, reason: "runtimes hold no model"}`, "HOST", w.registry.host)
	clientCA := ""
	if w.clients != nil {
		w.write("clients.crt", string(w.clients))
		clientCA = "\n  clientCA: clients.crt\n  clientNames: [kube-apiserver]"
	}
	w.config = `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: gate}
cluster: test
listen:
  address: ` + l + `
  metrics: ` + m + `
  certificate: tls/tls.crt
  key: tls/tls.key` + clientCA + `
  drain: 1s
limits: {deadline: 3s}
registry: {repositories: [` + w.registry.host + `/acme/**]}
cache: {allow: ` + strconv.Itoa(int(allow.Seconds())) + "s" + `, deny: 1s}
state: state
policies: [{name: models, policy: policy.yaml}]
rules:
  - name: prod
    namespaces: [prod-*]
    pin: true
    environment: prod
    artifacts:` + lines + `
  - name: unrecorded
    namespaces: [unrecorded-*]
    pin: true
    artifacts:` + lines + `
  - name: tags
    namespaces: [tags-*]
    artifacts:` + lines + `
  - name: warned
    namespaces: [warned-*]
    mode: warn
    pin: true
    artifacts:` + lines + `
  - name: audited
    namespaces: [audited-*]
    mode: audit
    artifacts:` + lines + `
  - name: others
    namespaces: ["*"]
    mode: audit
    artifacts:` + lines + `
kinds:
  - group: ml.acme.example
    kind: Scorer
    places:
      - {name: model, jsonPath: $.spec.model}
      - {name: adapters, cel: "has(object.spec.adapters) ? object.spec.adapters.map(a, a.ref) : []"}
    podTemplates: [$.spec.template]
# The second is the API server's own, which every namespace has: to make one is no change.
labels: {labels: [pedigree-ml.github.io/*, kubernetes.io/metadata.name], groups: [platform]}
records: {queue: queue, signing: {key: deployer.key}}
`
	w.publish()
}

// publish writes configuration and policy as kubelets write ConfigMaps, both at once.
func (w *world) publish() {
	w.t.Helper()
	project(w.t, w.dir, map[string][]byte{"gate.yaml": []byte(w.config), "policy.yaml": []byte(w.policy)})
}

// A gateProcess is the running gate.
type gateProcess struct {
	address, metrics string
	*child.Process
}

// start starts the gate, waits until it is ready, and leads the cluster's Service to it.
func (w *world) start() {
	w.t.Helper()
	cmd := exec.Command(w.program, "--no-progress", "gate", "--config", "gate.yaml")
	cmd.Dir, cmd.Env = w.dir, w.environment()
	p, err := child.Start(cmd, filepath.Join(w.dir, "gate.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.gate.Process = p
	w.life.Cleanup(func() { p.Signal(os.Kill); <-p.Ended() })
	err = p.Wait(within(w.t), func(context.Context) error {
		r, err := http.Get("http://" + w.gate.metrics + "/readyz")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %v", r.Status, err)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.cluster != nil {
		w.cluster.Route(w.gate.address)
	}
}

// stop ends the gate with a signal, and waits until it is gone.
func (w *world) stop(s os.Signal) {
	w.t.Helper()
	w.gate.Signal(s)
	select {
	case <-w.gate.Ended():
	case <-time.After(20 * time.Second):
		w.gate.Signal(syscall.SIGQUIT)
		<-w.gate.Ended()
		w.t.Fatalf("the gate does not end: %s", w.log())
	}
}

// log is what the gate has said.
func (w *world) log() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "gate.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// register registers the webhooks that are shipped, with the authority of the gate's
// certificate. Nothing else is changed.
func (w *world) register() {
	w.t.Helper()
	validating, mutating := shipped(w.t, w.ca.PEM)
	validate(w.t, w.cluster, validating)
	mutate(w.t, w.cluster, mutating)
	ns := newNamespace(w.t, w.cluster, "prod-probe")
	w.inForce(ns)
}

// inForce waits until the gate is asked by both webhooks.
func (w *world) inForce(ns string) {
	w.t.Helper()
	eventually(w.t, "the webhooks are in force", func() bool {
		_, err := w.dry(w.t, ns, newPod("probe", "docker.io/library/nginx:1"))
		return err != nil && strings.Contains(err.Error(), "gate.pedigree-ml.github.io")
	})
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l := httptest.NewServer(nil)
	defer l.Close()
	return strings.TrimPrefix(l.URL, "http://")
}

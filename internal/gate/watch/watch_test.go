package watch

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

const model = "ghcr.io/acme/credit@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// served are the resources of the test's cluster: pods and Deployments, and nothing of
// KServe's.
var served = map[schema.GroupVersionKind]string{
	{Version: "v1", Kind: "Pod"}:                       "pods",
	{Group: "apps", Version: "v1", Kind: "Deployment"}: "deployments",
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}: "replicasets",
}

// A world is a cluster in memory, a judge that answers what it is told to, and a watcher.
// What the watcher does with a real API server is tried in test/kube.
type world struct {
	t       *testing.T
	client  *fake.FakeDynamicClient
	watcher *Watcher
	events  *record.FakeRecorder

	mu      sync.Mutex
	now     time.Time
	answers map[string]policy.Outcome // by reference; DENY otherwise
	errs    map[string]error
	asked   []gate.Question
	grounds *gate.Grounds
	down    error
	passed  time.Duration   // beside what really passes
	hang    map[string]bool // what is asked about these has no answer in time
	stuck   bool            // nor has anything else, ever
}

func (w *world) Objects() dynamic.Interface { return w.client }

func (w *world) Served(_ context.Context, gvk schema.GroupVersionKind) ([]Resource, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return nil, w.down
	}
	if name, ok := served[gvk]; ok {
		return []Resource{{gvk.GroupVersion().WithResource(name), gvk}}, nil
	}
	return nil, nil
}

func (w *world) Judge(ctx context.Context, q gate.Question) gate.Answer {
	w.mu.Lock()
	if w.stuck {
		w.mu.Unlock()
		<-w.t.Context().Done()
		return gate.Answer{}
	}
	if w.hang[q.Reference.String()] {
		w.asked = append(w.asked, q)
		w.mu.Unlock()
		<-ctx.Done()
		return gate.Answer{Outcome: policy.Undecided, Err: &attest.Refusal{Code: attest.CodeRegUnavailable, About: q.Reference.String(), Why: "it did not answer"}}
	}
	defer w.mu.Unlock()
	w.asked = append(w.asked, q)
	ref := q.Reference
	if ref.Digest.IsZero() {
		ref.Digest = attest.SHA256([]byte(ref.String()))
	}
	if err := w.errs[q.Reference.String()]; err != nil {
		return gate.Answer{Outcome: policy.Undecided, Reference: ref, Err: err}
	}
	v := &policy.Verdict{Outcome: w.answers[q.Reference.String()], Requirements: []policy.Requirement{{Step: "approve", Status: policy.Fail, Reasons: []policy.Reason{{Code: attest.CodeRevoked, Why: "alice revoked it"}}}}}
	return gate.Answer{Outcome: v.Outcome, Reference: ref, Verdicts: []*policy.Verdict{v}}
}

func (w *world) answer(ref string, o policy.Outcome, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[ref] = o
	w.errs[ref] = err
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.passed += d
}

// questions returns what was asked since it was last called.
func (w *world) questions() []gate.Question {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.asked
	w.asked = nil
	return out
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), answers: map[string]policy.Outcome{}, errs: map[string]error{}, hang: map[string]bool{}, events: record.NewFakeRecorder(100)}
	list := map[schema.GroupVersionResource]string{}
	for gvk, name := range served {
		list[gvk.GroupVersion().WithResource(name)] = gvk.Kind + "List"
	}
	w.client = fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), list, objects...)
	w.setGrounds(gate.Refuse)
	var err error
	w.watcher, err = New(Options{
		Grounds: func() *gate.Grounds { w.mu.Lock(); defer w.mu.Unlock(); return w.grounds },
		Judge:   w, Cluster: w, Events: w.events,
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	really := w.watcher.elapsed
	w.watcher.elapsed = func() time.Duration { w.mu.Lock(); defer w.mu.Unlock(); return really() + w.passed }
	return w
}

func (w *world) setGrounds(u gate.Unrecognised) {
	c := &gate.Config{Name: "test", Cluster: "eu-1", Limits: gate.Limits{References: 64, Deadline: 5 * time.Second, Concurrent: 8},
		Registry: gate.Registry{Repositories: []string{"ghcr.io/acme/**", "other.example/acme/**"}},
		Rules: []gate.Rule{{Name: "all", Namespaces: []string{"*"}, Unrecognised: u, Pin: true, Artifacts: []gate.ArtifactLine{
			{Repositories: []string{"ghcr.io/acme/**", "other.example/acme/**"}, Policy: "credit"},
			{Repositories: []string{"docker.io/library/**"}, Accept: true, Reason: "runtimes"},
		}}}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grounds = &gate.Grounds{Config: c, Policies: map[string]*gate.Ground{"credit": {Name: "credit", Policy: &policy.Policy{}, Repositories: c.Registry.Repositories}}}
}

// run runs the watcher until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.watcher.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			w.t.Error("Run did not end")
		}
	})
}

// until waits for a report that satisfies want, and returns it.
func (w *world) until(what string, want func(*Report) bool) *Report {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r := w.watcher.Report(); r != nil && want(r) {
			return r
		}
	}
	b, _ := json.MarshalIndent(w.watcher.Report(), "", " ")
	w.t.Fatalf("no report %s; the last is %s", what, b)
	return nil
}

func has(namespace, kind, name string, result Result) func(*Report) bool {
	return func(r *Report) bool {
		return slices.ContainsFunc(r.Workloads, func(l Workload) bool {
			return l.Namespace == namespace && l.Kind == kind && l.Name == name && l.Result == result
		})
	}
}

func (w *world) event() string {
	select {
	case e := <-w.events.Events:
		return e
	case <-time.After(5 * time.Second):
		return ""
	}
}

func parse(t *testing.T, s string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return u
}

func pod(t *testing.T, name, image string) *unstructured.Unstructured {
	return parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"scoring","name":"`+name+`","uid":"u-`+name+`"},"spec":{"containers":[{"name":"main","image":"`+image+`"}]}}`)
}

func pods(w *world) dynamic.ResourceInterface {
	return w.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("scoring")
}

func TestRevokedWhileItRuns(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Allow, nil)
	w.run()
	w.until("allows it", has("scoring", "Pod", "web", Allowed))
	for _, q := range w.questions() {
		if !q.Fresh {
			t.Error("what runs was asked about without looking anew")
		}
	}

	w.answer(model, policy.Deny, nil)
	time.Sleep(3 * lookEvery)
	if has("scoring", "Pod", "web", Denied)(w.watcher.Report()) {
		t.Fatal("denied before it was looked at again: the test shows nothing")
	}
	w.later(DefaultInterval)
	r := w.until("denies it", has("scoring", "Pod", "web", Denied))
	if ref := r.Workloads[0].References[0]; ref.Code != attest.CodeRevoked || ref.Why != "approve: alice revoked it" || ref.Place != "spec.containers[main].image" {
		t.Errorf("the report says %+v", ref)
	}
	if e := w.event(); !strings.HasPrefix(e, "Warning PedigreeDenied spec.containers[main].image") {
		t.Errorf("event %q", e)
	}
	since := r.Workloads[0].Since

	w.later(DefaultInterval)
	r = w.until("looks again", func(r *Report) bool { return r.At.After(since) })
	if !r.Workloads[0].Since.Equal(since) {
		t.Errorf("denied since %s, and then since %s", since, r.Workloads[0].Since)
	}
	w.answer(model, policy.Allow, nil)
	w.later(DefaultInterval)
	w.until("allows it again", has("scoring", "Pod", "web", Allowed))
	if e := w.event(); !strings.HasPrefix(e, "Normal PedigreeAllowed") {
		t.Errorf("event %q: told once for each change, and not each round", e)
	}
}

func TestChangedPolicyIsAskedAtOnce(t *testing.T) {
	w := newWorld(t, pod(t, "web", "quay.io/other/thing@sha256:"+strings.Repeat("b", 64)))
	w.run()
	w.until("denies it", has("scoring", "Pod", "web", Denied))
	w.setGrounds(gate.Report) // the clock stands still: only the grounds changed
	w.until("reports it", has("scoring", "Pod", "web", Unrecognised))
}

func TestOutageIsToldWhenItLasts(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Undecided, &attest.Refusal{Code: attest.CodeRegUnavailable, Why: "the registry is down"})
	w.run()
	r := w.until("cannot tell", has("scoring", "Pod", "web", Undecided))
	if ref := r.Workloads[0].References[0]; ref.Code != attest.CodeRegUnavailable {
		t.Errorf("the report says %+v", ref)
	}
	select {
	case e := <-w.events.Events:
		t.Errorf("told at the first failure: %q", e)
	default:
	}
	w.later(DefaultInterval)
	if e := w.event(); !strings.HasPrefix(e, "Warning PedigreeUndecided") {
		t.Errorf("event %q", e)
	}
}

func TestManyPodsOneQuestion(t *testing.T) {
	var objects []runtime.Object
	for i := range 80 { // the fake of client-go hands out no more than 100
		p := pod(t, "web-6d4f8b9c-"+string(rune('a'+i%26))+string(rune('a'+i/26)), model)
		p.SetLabels(map[string]string{"pod-template-hash": "6d4f8b9c"})
		p.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6d4f8b9c", UID: "r", Controller: new(true)}})
		objects = append(objects, p)
	}
	w := newWorld(t, objects...)
	w.answer(model, policy.Allow, nil)
	w.run()
	r := w.until("allows them", func(r *Report) bool { return r.Counts["allowed"] == 1 })
	if n := len(w.questions()); n != 1 {
		t.Errorf("80 pods of one model: %d questions", n)
	}
	if len(r.Workloads) != 1 || len(r.Workloads[0].References) != 1 {
		t.Errorf("80 pods of one ReplicaSet and model are %+v", r.Workloads)
	}
}

func TestObjectsComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.answer(model, policy.Allow, nil)
	w.run()
	w.until("has nothing", func(r *Report) bool { return len(r.Workloads) == 0 })
	ctx := context.Background()
	if _, err := pods(w).Create(ctx, pod(t, "web", model), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("shows the new pod before the next round", has("scoring", "Pod", "web", Allowed))
	ended := pod(t, "web", model)
	ended.Object["status"] = map[string]any{"phase": "Succeeded"}
	if _, err := pods(w).Update(ctx, ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("forgets what ended", func(r *Report) bool { return len(r.Workloads) == 0 })
}

func TestWhatRunsIsJudgedAndNotTheTag(t *testing.T) {
	digest := strings.Repeat("c", 64)
	moved := pod(t, "web", "ghcr.io/acme/credit:1.4")
	moved.Object["status"] = map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "main", "imageID": "ghcr.io/acme/credit@sha256:" + digest}}}
	w := newWorld(t, moved)
	w.answer("ghcr.io/acme/credit@sha256:"+digest, policy.Allow, nil)
	w.run()
	w.until("allows the digest that was started", has("scoring", "Pod", "web", Allowed))
	for image, want := range map[string]string{
		"ghcr.io/acme/credit":     "ghcr.io/acme/credit@sha256:" + digest,
		"localhost:5000/credit:1": "localhost:5000/credit@sha256:" + digest,
		model:                     model, // as it is written
	} {
		if got := pinned(image, "x@sha256:"+digest); got != want {
			t.Errorf("%s was started from %s, want %s", image, got, want)
		}
	}
	for _, id := range []string{"", "sha256:" + digest, "x@sha256:1234", "docker://sha256:" + digest} {
		if got := pinned("a:1", id); got != "a:1" {
			t.Errorf("an imageID %q says nothing, and gives %s", id, got)
		}
	}
}

func TestGaps(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Allow, nil)
	w.client.PrependReactor("list", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "", nil)
	})
	w.run()
	r := w.until("has looked", has("scoring", "Pod", "web", Allowed))
	if len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Resource, "deployments") {
		t.Errorf("gaps %+v, want the Deployments that could not be listed", r.Gaps)
	}
	w.mu.Lock()
	w.down = apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	w.mu.Unlock()
	w.setGrounds(gate.Refuse) // which asks anew what is served
	r = w.until("says that it cannot ask what is served", func(r *Report) bool { return len(r.Gaps) > 1 })
	if !has("scoring", "Pod", "web", Allowed)(r) {
		t.Error("what was watched is watched no more, because the API server did not answer")
	}
}

// A Report is about objects that tenants write.
func TestHostileObjects(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	w := newWorld(t,
		parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"scoring","name":"a"},"spec":{"containers":"none"}}`),
		parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"scoring","name":"b"},"spec":{"containers":[{"name":"m","image":"`+long+`"}]}}`),
		parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"scoring","name":"c"},"spec":{"containers":[{"name":"m","image":"a\nb\u001b[31m"}]},"status":{"containerStatuses":[1,{"name":2}]}}`),
		pod(t, "good", model))
	w.answer(model, policy.Allow, nil)
	w.run()
	r := w.until("has all four", func(r *Report) bool { return len(r.Workloads) == 4 })
	if r.Counts["denied"]+r.Counts["undecided"] != 3 || r.Counts["allowed"] != 1 {
		t.Errorf("counts %v", r.Counts)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 20_000 || strings.Contains(string(b), `\n`) || strings.Contains(string(b), "\\u001b") {
		t.Errorf("%d bytes, or control characters, in the report", len(b))
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, pod(t, "web", model), pod(t, "bad", strings.Replace(model, "aaaa", "bbbb", 1)))
	w.answer(model, policy.Allow, nil)
	w.run()
	w.until("has both", func(r *Report) bool { return len(r.Workloads) == 2 })
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(w.watcher.Collectors()...)
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP pedigree_gate_workload 1 for each workload, with its result and the mode of its rule.
# TYPE pedigree_gate_workload gauge
pedigree_gate_workload{kind="Pod",mode="enforce",name="bad",namespace="scoring",result="denied"} 1
pedigree_gate_workload{kind="Pod",mode="enforce",name="web",namespace="scoring",result="allowed"} 1
`), "pedigree_gate_workload")
	if err != nil {
		t.Error(err)
	}
}

// A Result that nobody set must be the worst, and its text what a reader takes for it.
func TestZeroResultDenies(t *testing.T) {
	var r Result
	if b, _ := r.MarshalText(); string(b) != "denied" || Result(99).String() != "denied" {
		t.Errorf("the zero Result is %q", b)
	}
}

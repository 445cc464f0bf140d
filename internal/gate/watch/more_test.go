package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
	"github.com/pedigree-ml/pedigree/policy"
)

func digest(i int) string { return fmt.Sprintf("sha256:%064x", i) }

// One registry that hangs must hold back nobody else's result.
func TestHangingRegistry(t *testing.T) {
	var objects []kruntime.Object
	for i := range 60 {
		objects = append(objects, pod(t, fmt.Sprintf("hung-%02d", i), "ghcr.io/acme/m@"+digest(i)))
	}
	other := "other.example/acme/m@" + digest(99)
	w := newWorld(t, append(objects, pod(t, "web", other))...)
	for i := range 60 {
		w.hang["ghcr.io/acme/m@"+digest(i)] = true
	}
	w.answer(other, policy.Allow, nil)
	w.watcher.Patience = time.Millisecond
	w.run()
	w.until("allows the other", has("scoring", "Pod", "web", Allowed))
	w.answer(other, policy.Deny, nil)
	began := time.Now()
	w.later(DefaultInterval)
	w.until("denies it", has("scoring", "Pod", "web", Denied))
	if took := time.Since(began); took > 4*time.Second { // less than one of the others takes
		t.Errorf("it took %s", took)
	}
	w.watcher.asks.mu.Lock()
	defer w.watcher.asks.mu.Unlock()
	if n := len(w.watcher.asks.all); n != 61 {
		t.Errorf("%d questions", n)
	}
}

// What claims to be allowed must have been looked at lately, whatever keeps it from that.
func TestOldAnswersCountForNothing(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Allow, nil)
	w.run()
	w.until("allows it", has("scoring", "Pod", "web", Allowed))
	w.mu.Lock()
	w.stuck = true
	w.mu.Unlock()
	w.later(2 * DefaultInterval)
	time.Sleep(3 * lookEvery)
	if !has("scoring", "Pod", "web", Allowed)(w.watcher.Report()) {
		t.Error("one late answer, and it is not allowed any more")
	}
	w.later(2 * DefaultInterval)
	r := w.until("is not sure any more", has("scoring", "Pod", "web", Undecided))
	if ref := r.Workloads[0].References[0]; ref.Code != attest.CodeDeadline {
		t.Errorf("%+v", ref)
	}
}

// A new version of the policies is no reason to say of everything that nobody knows.
func TestReloadKeepsWhatWasKnown(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Allow, nil)
	w.run()
	w.until("allows it", has("scoring", "Pod", "web", Allowed))
	w.mu.Lock()
	w.hang[model] = true
	w.mu.Unlock()
	w.setGrounds(gate.Refuse)
	time.Sleep(3 * lookEvery)
	if !has("scoring", "Pod", "web", Allowed)(w.watcher.Report()) {
		t.Error("forgotten before anybody could be asked")
	}
	w.until("says that it cannot be asked", has("scoring", "Pod", "web", Undecided))
}

func TestNothingLoaded(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.answer(model, policy.Allow, nil)
	g := w.grounds
	w.grounds = nil
	w.run()
	time.Sleep(2 * lookEvery)
	if r := w.watcher.Report(); r != nil {
		t.Fatalf("a report by no policy: %+v", r)
	}
	w.mu.Lock()
	w.grounds = g
	w.mu.Unlock()
	w.until("allows it", has("scoring", "Pod", "web", Allowed))
}

func TestOnce(t *testing.T) {
	bad := strings.Replace(model, "aaaa", "bbbb", 1)
	w := newWorld(t, pod(t, "web", model), pod(t, "slow", bad))
	w.answer(model, policy.Allow, nil)
	w.hang[bad] = true
	w.watcher.Patience = 2 * time.Second
	r := w.watcher.Once(t.Context())
	if !has("scoring", "Pod", "web", Allowed)(r) || !has("scoring", "Pod", "slow", Undecided)(r) || r.Outcome() != policy.Undecided {
		t.Errorf("%v: %+v", r.Outcome(), r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := newWorld(t).watcher.Once(ctx); r != nil {
		t.Errorf("stopped before it looked: %+v", r)
	}
}

func TestOutcome(t *testing.T) {
	of := func(results ...Result) *Report {
		r := &Report{Counts: map[string]int{}}
		for _, x := range results {
			r.Workloads = append(r.Workloads, Workload{Result: x})
			r.Counts[x.String()]++
		}
		return r
	}
	gap, waiting := of(Allowed), of(Allowed)
	gap.Gaps, waiting.Waiting = []Gap{{}}, 1
	for _, c := range []struct {
		name string
		r    *Report
		want policy.Outcome
	}{
		{"allowed and accepted", of(Allowed, Accepted), policy.Allow},
		{"one denied", of(Allowed, Denied, Undecided), policy.Deny},
		{"one undecided", of(Allowed, Undecided), policy.Undecided},
		{"one unrecognised", of(Allowed, Unrecognised), policy.Undecided},
		{"nothing", of(), policy.Undecided},
		{"no report", nil, policy.Undecided},
		{"a gap", gap, policy.Undecided},
		{"somebody waits", waiting, policy.Undecided},
	} {
		if got := c.r.Outcome(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAuditMakesNoEvents(t *testing.T) {
	w := newWorld(t, pod(t, "web", model))
	w.grounds.Config.Rules[0].Mode = gate.Audit
	w.run()
	r := w.until("denies it", has("scoring", "Pod", "web", Denied))
	if r.Workloads[0].Mode != "audit" || r.Outcome() != policy.Deny {
		t.Errorf("%+v comes to %v", r.Workloads[0], r.Outcome())
	}
	select {
	case e := <-w.events.Events:
		t.Errorf("what is only to be written down is an event: %s", e)
	default:
	}
}

// Owners' names are whatever a tenant writes, and there may be two that look the same.
func TestHostileOwners(t *testing.T) {
	owned := func(name, owner, image string) *unstructured.Unstructured {
		p := pod(t, name, image)
		p.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "x/v1", Kind: "Scorer", Name: owner, UID: "u", Controller: new(true)}})
		return p
	}
	long := strings.Repeat("n", 2*maxText)
	objects := []kruntime.Object{owned("a", long+"1", model), owned("b", long+"2", model)}
	for i := range 80 {
		objects = append(objects, owned(fmt.Sprintf("c%d", i), "many", "ghcr.io/acme/m@"+digest(i)))
	}
	w := newWorld(t, objects...)
	w.answer(model, policy.Allow, nil)
	w.run()
	r := w.until("has three", func(r *Report) bool { return len(r.Workloads) == 3 })
	for _, l := range r.Workloads {
		if strings.ContainsRune(l.Kind, 27) || len(l.Name) > 2*maxText {
			t.Errorf("%q %q", l.Kind, l.Name)
		}
		if l.Name == "many" && (len(l.References) != maxReferences || l.More != 80-maxReferences || l.Result != Denied) {
			t.Errorf("%d references and %d more, %v", len(l.References), l.More, l.Result)
		}
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(w.watcher.Collectors()...)
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
}

// One namespace that names many artifacts keeps no other waiting.
func TestFairness(t *testing.T) {
	var order []string
	asks := &inquiries{interval: time.Minute, elapsed: func() time.Duration { return time.Hour }, now: time.Now, hosts: map[string]*host{}, tenants: map[string]int{}, all: map[question]*inquiry{}, replies: make(chan reply, 100)}
	block := make(chan struct{})
	defer close(block)
	started := make(chan string, 100)
	asks.judge = judgeFunc(func(q gate.Question) gate.Answer { started <- q.Reference.String(); <-block; return gate.Answer{} })
	asks.begin(t.Context())
	raise := func(i int, ns, host string, raised time.Duration) {
		ref, err := attest.ParseReference(host + "/acme/m@" + digest(i))
		if err != nil {
			t.Fatal(err)
		}
		q := gate.Question{Reference: ref}
		in := &inquiry{question: q, raised: raised, bodies: map[body]bool{}}
		in.raise(body{namespace: ns})
		asks.all[questionOf(q)] = in
	}
	for i := range 50 {
		raise(i, "greedy", "ghcr.io", time.Second)
	}
	raise(60, "other", "ghcr.io", time.Minute)
	asks.ask(time.Minute)
	for range askOne {
		order = append(order, <-started)
	}
	if !slices.ContainsFunc(order, func(s string) bool { return strings.HasSuffix(s, digest(60)) }) {
		t.Errorf("of %d slots the other namespace has none: %v", askOne, order)
	}
	if asks.running != askOne {
		t.Errorf("%d questions to one registry", asks.running)
	}
	raise(70, "third", "other.example", time.Minute)
	asks.ask(time.Minute)
	if s := <-started; !strings.HasPrefix(s, "other.example/") {
		t.Errorf("another registry waits for the first: %s", s)
	}
}

type judgeFunc func(gate.Question) gate.Answer

func (f judgeFunc) Judge(_ context.Context, q gate.Question) gate.Answer { return f(q) }

var podResource = resource{Resource: Resource{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, schema.GroupVersionKind{Version: "v1", Kind: "Pod"}}}

// fullPod is a pod as an API server sends one of a Deployment's.
func fullPod(t testing.TB, i int, image string) *unstructured.Unstructured {
	t.Helper()
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"check", "oci://ghcr.io/acme/probe@" + digest(7)}}}}
	mount := []corev1.VolumeMount{{Name: fmt.Sprintf("kube-api-access-%05d", i), ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}, {Name: "model", MountPath: "/model"}}
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "scoring", Name: fmt.Sprintf("web-6d4f8b9c-%05d", i), UID: "5f0d2c0e-7a38-4d52-b3a1-3a9a44c8e1f0", ResourceVersion: fmt.Sprint(i),
			Labels:          map[string]string{"app": "web", "pod-template-hash": "6d4f8b9c"},
			Annotations:     map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat("x", 1500), "prometheus.io/scrape": "true"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6d4f8b9c", UID: "r", Controller: new(true)}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{}}}}}`)}}}},
		Spec: corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", i%200), ServiceAccountName: "default", RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler",
			Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"}, {Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"}},
			Containers: []corev1.Container{{Name: "main", Image: image, Args: []string{"--model=oci://ghcr.io/acme/arg@" + digest(8)}, Env: []corev1.EnvVar{{Name: "MODEL", Value: "oci://ghcr.io/acme/env@" + digest(9)}}, LivenessProbe: probe, ReadinessProbe: probe, VolumeMounts: mount,
				Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: probe.Exec}}, TerminationMessagePath: "/dev/termination-log"}},
			Volumes: []corev1.Volume{{Name: mount[0].Name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: fmt.Sprintf("data-%d", i)}}},
				{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "ghcr.io/acme/volume@" + digest(10)}}}}},
		Status: corev1.PodStatus{Phase: "Running", PodIP: fmt.Sprintf("10.0.%d.%d", i/256, i%256), HostIP: "10.1.0.1",
			Conditions:        []corev1.PodCondition{{Type: "Ready", Status: "True"}, {Type: "Initialized", Status: "True"}, {Type: "ContainersReady", Status: "True"}, {Type: "PodScheduled", Status: "True"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: image, ImageID: strings.Split(image, ":")[0] + "@" + digest(5), ContainerID: fmt.Sprintf("containerd://%064x", i), Ready: true}}},
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	return u
}

// What is kept of an object must name all that the object does.
func TestPackingLosesNothing(t *testing.T) {
	table, err := place.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	find := func(obj map[string]any) []string {
		found, known, err := table.Find(obj, podResource.Kind, place.Options{Environments: []string{"MODEL"}, Annotations: []string{"prometheus.io/scrape"}})
		if err != nil || !known {
			t.Fatal(err, known)
		}
		var out []string
		for _, f := range found {
			out = append(out, f.Place+" "+f.Text+" "+f.Problem)
		}
		return out
	}
	full := fullPod(t, 1, "ghcr.io/acme/web:v1")
	want := find(full.DeepCopy().Object)
	if len(want) < 7 {
		t.Fatalf("the pod names too little to show anything: %v", want)
	}
	delete(full.Object, "kind") // as items of lists are sent by some
	delete(full.Object, "apiVersion")
	packedOne, err := pack(podResource)(full)
	if err != nil {
		t.Fatal(err)
	}
	p := packedOne.(*packed)
	obj, err := unpack(p.text)
	if err != nil {
		t.Fatal(err)
	}
	if got := find(obj); !slices.Equal(got, want) {
		t.Errorf("of\n%s\nthere is left\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	started(obj)
	if got := find(obj); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "web@"+digest(5)) }) {
		t.Errorf("what was started is lost: %v", got)
	}
	if want := (owner{"scoring", "Deployment", "web"}); p.owner != want || !p.live {
		t.Errorf("%+v, want %+v", p.owner, want)
	}
	second, _ := pack(podResource)(fullPod(t, 2, "ghcr.io/acme/web:v1"))
	if second.(*packed).text != p.text {
		t.Errorf("two pods of one workload differ:\n%s\n%s", p.text.Value(), second.(*packed).text.Value())
	}
	if again, _ := pack(podResource)(p); again != any(p) {
		t.Error("packed twice")
	}
	whole := podResource
	whole.whole = true
	kept, _ := pack(whole)(fullPod(t, 1, "a"))
	if !strings.Contains(kept.(*packed).text.Value(), "PodScheduled") {
		t.Error("the configuration has expressions of its own about pods, and something is left out")
	}
}

func TestWhatEndedIsNotLookedAt(t *testing.T) {
	for text, want := range map[string]bool{
		`{"apiVersion":"v1","kind":"Pod","status":{"phase":"Running"}}`:                                                      true,
		`{"apiVersion":"v1","kind":"Pod","status":{"phase":"Failed"}}`:                                                       false,
		`{"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{"replicas":0}}`:                                                 false,
		`{"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{}}`:                                                             true,
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0}}`:                                                 true,
		`{"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Complete","status":"True"}]}}`:               false,
		`{"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Suspended","status":"True"},{"a":1}, "b"]}}`: true,
		`{"apiVersion":"x/v1","kind":"Pod","status":{"phase":"Failed"}}`:                                                     true,
	} {
		if got := lives(parse(t, strings.Replace(text, `"kind"`, `"metadata":{"name":"x"},"kind"`, 1))); got != want {
			t.Errorf("%s lives: %v", text, got)
		}
	}
}

// The same objects are served in several versions: they are listed in one, unless no one
// has all that is looked at.
func TestChoose(t *testing.T) {
	r := func(group, version, kind string) Resource {
		gv := schema.GroupVersion{Group: group, Version: version}
		return Resource{gv.WithResource("things"), gv.WithKind(kind)}
	}
	kserve := func(v string) Resource { return r("serving.kserve.io", v, "InferenceService") }
	for _, c := range []struct {
		name   string
		kinds  []gate.Kind
		served []Resource
		want   []Resource
	}{
		{"known in one", nil, []Resource{kserve("v1beta1")}, []Resource{kserve("v1beta1")}},
		{"known in one, and all of the configuration's", []gate.Kind{{Group: "serving.kserve.io", Kind: "InferenceService"}}, []Resource{kserve("v1"), kserve("v1beta1")}, []Resource{kserve("v1beta1")}},
		{"the server's first", []gate.Kind{{Group: "x", Kind: "T"}}, []Resource{r("x", "v2", "T"), r("x", "v1", "T")}, []Resource{r("x", "v2", "T")}},
		{"no one has all", []gate.Kind{{Group: "x", Kind: "T", Versions: []string{"v1"}}, {Group: "x", Kind: "T", Versions: []string{"v2"}}}, []Resource{r("x", "v2", "T"), r("x", "v1", "T")}, []Resource{r("x", "v2", "T"), r("x", "v1", "T")}},
	} {
		if got := choose(c.kinds, c.served); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestScale measures what many pods take: 2,000 of 50 models, and the same without any
// two that are alike.
func TestScale(t *testing.T) {
	const n = 2000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	measure := func(what string, each func(i int) any) []any {
		before := heap()
		out := make([]any, n)
		for i := range out {
			out[i] = each(i)
		}
		t.Logf("%d pods, %s: %d bytes each", n, what, (heap()-before)/n)
		return out
	}
	image := func(i int) string { return fmt.Sprintf("ghcr.io/acme/m%d:v1", i%50) }
	runtime.KeepAlive(measure("as they are sent", func(i int) any { return fullPod(t, i, image(i)) }))
	runtime.KeepAlive(measure("packed, no two alike", func(i int) any {
		u := fullPod(t, i, fmt.Sprintf("ghcr.io/acme/m:%d", i))
		p, _ := pack(podResource)(u)
		return p
	}))
	packedPods := measure("packed, of 50 models", func(i int) any { p, _ := pack(podResource)(fullPod(t, i, image(i))); return p })

	w := newWorld(t)
	v := w.watcher
	v.grounds = w.grounds
	v.asks.begin(t.Context())
	before := heap()
	began := time.Now()
	for _, p := range packedPods {
		p := p.(*packed)
		p.owner.name = p.name // the worst: each is a workload of its own
		o := object{podResource, p}
		v.objects = append(v.objects, o)
		v.bodies[o.body()] = &view{stale: true, there: true}
	}
	v.lookAgain(t.Context())
	looked := time.Since(began)
	for len(v.asks.all) > 0 {
		v.asks.ask(time.Minute)
		if v.asks.running == 0 {
			break
		}
		v.heard(<-v.asks.replies)
	}
	asked := time.Since(began) - looked
	v.lookAgain(t.Context())
	r := v.compose(true)
	t.Logf("%d objects, %d bodies, %d questions: looked at in %s, asked in %s, report of %d workloads after %s; %d KiB more",
		len(v.objects), len(v.bodies), len(v.asks.all), looked, asked, len(r.Workloads), time.Since(began), (heap()-before)/1024)
	if len(v.bodies) != 50 || len(r.Workloads) != n {
		t.Errorf("%d bodies, %d workloads", len(v.bodies), len(r.Workloads))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

package kube

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A traffic is clients that ask for pods all the time, while something is changed under
// them.
type traffic struct {
	mu    sync.Mutex
	asked int
	lost  []string
	stop  func()
	all   sync.WaitGroup
}

// ask has eight clients ask for a pod that is to be allowed, one after the other, until
// the end.
func (w *world) ask(t *testing.T, ns string, pod *corev1.Pod) *traffic {
	t.Helper()
	stop := make(chan struct{})
	x := &traffic{stop: sync.OnceFunc(func() { close(stop) })}
	t.Cleanup(func() { x.stop(); x.all.Wait() })
	for range 8 {
		x.all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := w.dry(t, ns, pod.DeepCopy())
				x.mu.Lock()
				x.asked++
				if err != nil {
					x.lost = append(x.lost, err.Error())
				}
				x.mu.Unlock()
			}
		})
	}
	x.goesOn(t)
	return x
}

func (x *traffic) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

// goesOn waits until all clients have been answered again.
func (x *traffic) goesOn(t *testing.T) {
	t.Helper()
	before := x.count()
	eventually(t, "requests go on", func() bool { return x.count() > before+40 })
}

// end fails the test if one request was lost.
func (x *traffic) end(t *testing.T) {
	t.Helper()
	x.stop()
	x.all.Wait()
	if len(x.lost) > 0 {
		t.Errorf("%d of %d requests were lost: %s", len(x.lost), x.asked, x.lost[0])
	}
	t.Logf("%d requests", x.asked)
}

// testReload changes configuration and policy in their ConfigMap with requests going on
// all the time. Each is answered under one policy, and says which.
func (w *world) testReload(t *testing.T) {
	prod := newNamespace(t, w.cluster, "prod")
	config, policy := w.config, w.policy
	defer func() { w.config, w.policy = config, policy; w.publish() }()
	// Two artifacts, so that an answer could rest on two policies.
	pod := newPod("asking", w.good.pinned)
	pod.Spec.InitContainers = []corev1.Container{{Name: "fetch", Image: w.better.pinned}}
	x := w.ask(t, prod, pod)
	loads := func() float64 { return w.metric(`pedigree_gate_reloads_total{result="ok"}`) }
	const changes = 5
	for i := range changes {
		before := loads()
		w.policy = strings.Replace(policy, "version: 1,", "version: "+string('2'+rune(i))+",", 1)
		w.config = config + "# " + string('2'+rune(i)) + "\n"
		w.publish()
		eventually(t, "it is loaded", func() bool { return loads() > before })
		x.goesOn(t)
	}
	// What does not load changes nothing.
	w.config = "kind: Gate\nrules: [\n"
	w.publish()
	eventually(t, "it is not loaded", func() bool { return w.metric(`pedigree_gate_reloads_total{result="error"}`) > 0 })
	x.goesOn(t)
	x.end(t)
	judged := map[string]int{}
	for _, e := range w.audited(prod) {
		if a := e.admit(); a["outcome"] != "ALLOW" || !strings.HasPrefix(a["policy"], "sha256:") || strings.Contains(a["policy"], " ") {
			t.Fatalf("of one request the audit log has %v", e.Annotations)
		} else {
			judged[a["policy"]]++
		}
	}
	if len(judged) != changes+1 {
		t.Errorf("%d policies judged: %v", len(judged), judged)
	}
}

// testStampede makes many pods of one model at once that the gate has not seen.
func (w *world) testStampede(t *testing.T) {
	const pods = 300
	prod, cold := newNamespace(t, w.cluster, "unrecorded"), w.approved("cold")
	r := w.replica(time.Minute) // so that none of them comes when the answer is forgotten
	w.moved(t, r)
	defer func() {
		w.cluster.Route(w.gate.address)
		r.stop(syscall.SIGTERM)
	}()
	// The registry answers when they are all on their way.
	w.registry.hold.Store(true)
	time.AfterFunc(time.Second, func() { w.registry.hold.Store(false) })
	k := clients(t, w.cluster.Config)
	ctx := within(t)
	failed := make(chan error, pods)
	var all sync.WaitGroup
	for range pods {
		all.Go(func() {
			pod := newPod("", cold.tag)
			pod.GenerateName = "cold-"
			stored, err := k.CoreV1().Pods(prod).Create(ctx, pod, metav1.CreateOptions{})
			if err == nil && stored.Spec.Containers[0].Image != cold.pinned {
				t.Errorf("stored is %s", stored.Spec.Containers[0].Image)
			}
			failed <- err
		})
	}
	all.Wait()
	close(failed)
	n := 0
	for err := range failed {
		if err != nil {
			if n++; n == 1 {
				t.Error(err)
			}
		}
	}
	if n > 0 {
		t.Errorf("%d of %d pods are refused", n, pods)
	}
	if n := r.metric(`pedigree_gate_look_seconds_count{outcome="ALLOW"}`); n != 1 {
		t.Errorf("%v verifications", n)
	}
	if n := r.asked(); n["admit"] < pods || n["mutate"] < pods {
		t.Errorf("the gate was asked %v times", n)
	}
}

// testReplicas kills one of two gates behind the Service.
func (w *world) testReplicas(t *testing.T) {
	prod := newNamespace(t, w.cluster, "prod")
	r := w.replica(2 * time.Second)
	defer w.cluster.Route(w.gate.address)
	w.cluster.Route(w.gate.address, r.gate.address)
	x := w.ask(t, prod, newPod("asking", w.good.pinned))
	w.moved(t, r)
	w.cluster.Route(w.gate.address, r.gate.address)
	// One is killed: what it was being asked is refused, and so is who comes to its
	// address until the Service leads there no more. Nothing that is to be refused gets in.
	before := x.count()
	r.gate.Signal(os.Kill)
	<-r.gate.Ended()
	time.Sleep(500 * time.Millisecond)
	w.cluster.Route(w.gate.address)
	eventually(t, "it is asked again", func() bool {
		_, err := w.dry(t, prod, newPod("again", w.good.pinned))
		return err == nil
	})
	x.stop()
	x.all.Wait()
	t.Logf("%d of %d requests after the kill were refused", len(x.lost), x.asked-before)
	for _, said := range x.lost {
		if !strings.Contains(said, "failed calling webhook") {
			t.Errorf("it says: %s", said)
		}
	}
	if len(x.lost) > 0 {
		t.Logf("it says: %s", x.lost[0])
	}
	_, err := w.create(t, prod, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, w.bare.pinned)

	// One that ends in good order loses nothing: it answers until nobody comes any more.
	r = w.replica(2 * time.Second)
	x = w.ask(t, prod, newPod("asking", w.good.pinned))
	w.moved(t, r)
	r.gate.Signal(syscall.SIGTERM)
	w.cluster.Route(w.gate.address)
	<-r.gate.Ended()
	x.goesOn(t)
	x.end(t)
}

// moved has the API server ask the gate r from now on. It keeps the connection that it has
// until the webhook is configured otherwise; what stands after the certificates in a
// bundle is otherwise enough.
func (w *world) moved(t *testing.T, r *world) {
	t.Helper()
	w.cluster.Route(r.gate.address)
	w.bundles++
	w.trust(t, append(slices.Clone(w.ca.PEM), strings.Repeat("\n", w.bundles)...))
	ns := newNamespace(t, w.cluster, "prod")
	eventually(t, "the other gate is asked", func() bool {
		before := r.asked()
		w.dry(t, ns, newPod("probe", "docker.io/library/nginx:1"))
		now := r.asked()
		return now["admit"] > before["admit"] && now["mutate"] > before["mutate"]
	})
}

// metric returns the sum of a gate's metric over all labels, or with the labels that name
// has.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	sum := 0.0
	for key, value := range w.metrics() {
		if bare, _, _ := strings.Cut(key, "{"); key == name || bare == name {
			sum += value
		}
	}
	return sum
}

// metrics are the gate's counters and gauges, by name with labels.
func (w *world) metrics() map[string]float64 {
	w.t.Helper()
	r, err := http.Get("http://" + w.gate.metrics + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		n, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			w.t.Fatalf("%q: %v", line, err)
		}
		out[line[:end]] = n
	}
	return out
}

// asked returns how many reviews the gate has had, by handler.
func (w *world) asked() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for key, n := range w.metrics() {
		labels, ok := strings.CutPrefix(key, "pedigree_gate_requests_total{")
		for _, h := range []string{"admit", "mutate"} {
			if ok && strings.Contains(labels, `handler="`+h+`"`) {
				out[h] += int(n)
			}
		}
	}
	return out
}

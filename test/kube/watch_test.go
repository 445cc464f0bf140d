package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// A watcher is "pedigree gate watch" in a process of its own.
type watcher struct {
	*world
	address string
	ended   chan struct{}
}

// A watchReport is what the tests read of a report.
type watchReport struct {
	Counts    map[string]int
	Workloads []struct {
		Namespace, Kind, Name, Result string
		References                    []struct{ Place, Text, Result, Code, Why string }
	}
	Gaps []struct{ Resource, Why string }
}

// result is what became of a workload, "" if it is not there, and why.
func (r watchReport) result(namespace, kind, name string) (result, why string) {
	for _, l := range r.Workloads {
		if l.Namespace == namespace && l.Kind == kind && l.Name == name {
			return l.Result, l.References[0].Code + " " + l.References[0].Why
		}
	}
	return "", ""
}

// watch starts the watch with an account that has the shipped rights.
func (w *world) watch() *watcher {
	w.t.Helper()
	c := w.cluster
	role := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pedigree-watch"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "watcher"}}}
	for _, args := range [][]string{{"-f", manifests + "/gate/namespace.yaml"}, {"-f", manifests + "/watch/account.yaml"}} {
		if out, err := c.Kubectl(within(w.t), "", append([]string{"apply", "--server-side", "--validate=strict"}, args...)...); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
	if _, err := clients(w.t, c.Config).RbacV1().ClusterRoleBindings().Create(within(w.t), role, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if err := c.WriteKubeconfig("watcher", filepath.Join(w.dir, "watcher.kubeconfig")); err != nil {
		w.t.Fatal(err)
	}
	v := &watcher{world: w, ended: make(chan struct{})}
	cmd := exec.Command(w.program, "--no-progress", "gate", "watch", "--config", "gate.yaml", "--kubeconfig", "watcher.kubeconfig",
		"--metrics", "127.0.0.1:0", "--address-file", "address", "--report", "report.json")
	cmd.Dir, cmd.Env = w.dir, append(w.environment(), "KUBECONFIG=/nowhere")
	log, err := os.Create(filepath.Join(w.dir, "watch.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { cmd.Wait(); close(v.ended) }()
	w.life.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-v.ended:
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				w.life.Errorf("the watch ended with status %d", code)
			}
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			w.life.Error("the watch does not end")
		}
		if said, _ := os.ReadFile(filepath.Join(w.dir, "watch.log")); w.life.Failed() {
			w.life.Logf("its log ends: %s", said[max(0, len(said)-6000):])
		}
	})
	eventually(w.t, "it says where it listens", func() bool {
		b, err := os.ReadFile(filepath.Join(w.dir, "address"))
		v.address = strings.TrimSpace(string(b))
		return err == nil
	})
	eventually(w.t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == http.StatusOK })
	return v
}

func (v *watcher) get(path string) (status int, body string) {
	r, err := http.Get("http://" + v.address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func (v *watcher) report() (r watchReport) {
	v.t.Helper()
	status, body := v.get("/report")
	if status != http.StatusOK {
		v.t.Fatalf("/report: %d %s", status, body)
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		v.t.Fatal(err)
	}
	return r
}

// until waits for a workload's result, and returns how long that took and why it has it.
func (v *watcher) until(namespace, kind, name, want string) (took time.Duration, why string) {
	v.t.Helper()
	began := time.Now()
	for {
		got, why := v.report().result(namespace, kind, name)
		if got == want {
			return time.Since(began), why
		}
		if time.Since(began) > time.Minute {
			_, body := v.get("/report")
			v.t.Fatalf("%s %s/%s is %q, not %q, after a minute: %s", kind, namespace, name, got, want, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// once runs the watch once, and returns its status and what it prints.
func (w *world) once(kubeconfig string, args ...string) (status int, out string) {
	w.t.Helper()
	cmd := exec.Command(w.program, append([]string{"--no-progress", "gate", "watch", "--config", "gate.yaml", "--kubeconfig", kubeconfig, "--once"}, args...)...)
	cmd.Dir, cmd.Env = w.dir, w.environment()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%v: %s", err, errs.Bytes())
	}
	if errs.Len() > 0 {
		w.t.Logf("it says: %s", errs.Bytes())
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestWatch has what runs in a real cluster looked at again.
func TestWatch(t *testing.T) {
	c, err := cluster.Start(within(t), cluster.Options{Programs: programs, Controllers: true, Users: map[string]string{"watcher": "watchers", "few": "few"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w := newShop(t, c)
	define(t, c, kserve(t))
	w.configure(2 * time.Second)
	good, doomed, served := w.approved("good"), w.approved("doomed"), w.approved("served")
	prod := newNamespace(t, c, "prod")
	api := clients(t, c.Config)
	ctx := context.Background()
	if _, err := w.create(t, prod, newPod("lone", good.pinned)); err != nil {
		t.Fatal(err)
	}
	spec := newPod("", doomed.pinned).Spec
	labels := map[string]string{"app": "scoring"}
	deployment, err := api.AppsV1().Deployments(prod).Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "scoring"}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods := func() (uids []string) {
		list, err := api.CoreV1().Pods(prod).List(ctx, metav1.ListOptions{LabelSelector: "app=scoring"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			if p.DeletionTimestamp == nil {
				uids = append(uids, string(p.UID))
			}
		}
		return uids
	}
	eventually(t, "the Deployment has its pods", func() bool { return len(pods()) == 2 })
	before := pods()
	w.service(prod, "served", "oci://"+served.pinned)

	v := w.watch()
	for _, x := range [][2]string{{"Pod", "lone"}, {"Deployment", "scoring"}, {"InferenceService", "served"}} {
		v.until(prod, x[0], x[1], "allowed")
	}
	if r := v.report(); len(r.Gaps) > 0 || r.Counts["denied"]+r.Counts["undecided"] > 0 {
		t.Errorf("%v, with gaps %v", r.Counts, r.Gaps)
	}
	if status, out := w.once(c.Kubeconfig); status != 0 || !strings.Contains(out, "Deployment/scoring") || !strings.Contains(out, "What this does not say") {
		t.Errorf("once, all is allowed: status %d: %s", status, out)
	}

	w.run(t, "revoked while it runs", func(w *world, t *testing.T) {
		w.revoke(doomed)
		began := time.Now()
		took, why := v.until(prod, "Deployment", "scoring", "denied")
		if !strings.Contains(why, "E_REVOKED") {
			t.Errorf("denied because of %s", why)
		}
		if _, text := v.get("/metrics"); !strings.Contains(text, `pedigree_gate_workload{kind="Deployment",mode="enforce",name="scoring",namespace="`+prod+`",result="denied"} 1`) {
			t.Error("the metric does not say so")
		}
		var event *corev1.Event
		eventually(t, "there is an event", func() bool {
			list, err := api.CoreV1().Events(prod).List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list.Items {
				if e.Reason == "PedigreeDenied" && e.InvolvedObject.Kind == "Deployment" && e.InvolvedObject.UID == deployment.UID {
					event = &e
				}
			}
			return event != nil
		})
		t.Logf("revoked: %.1fs later in the report and the metric, %.1fs with the event", took.Seconds(), time.Since(began).Seconds())
		if time.Since(began) > time.Minute {
			t.Error("it took more than a minute")
		}
		if event.Type != corev1.EventTypeWarning || !strings.Contains(event.Message, "E_REVOKED") {
			t.Errorf("the event is %s: %s", event.Type, event.Message)
		}
		if after := pods(); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("the pods were %v and are %v", before, after)
		}
		if got, _ := v.report().result(prod, "Pod", "lone"); got != "allowed" {
			t.Errorf("the other one is %s", got)
		}
		b, err := os.ReadFile(filepath.Join(w.dir, "report.json"))
		var r watchReport
		if err != nil || json.Unmarshal(b, &r) != nil {
			t.Fatalf("report.json: %v: %s", err, b)
		}
		if got, _ := r.result(prod, "Deployment", "scoring"); got != "denied" {
			t.Errorf("in the file it is %s", got)
		}
		if status, out := w.once(c.Kubeconfig, "--output", "json"); status != 1 {
			t.Errorf("once, something is revoked: status %d: %s", status, out)
		}
	})

	w.run(t, "a registry that does not answer", func(w *world, t *testing.T) {
		w.registry.hold.Store(true)
		defer w.registry.hold.Store(false)
		v.until(prod, "Pod", "lone", "undecided")
		w.registry.hold.Store(false)
		took, _ := v.until(prod, "Pod", "lone", "allowed")
		t.Logf("allowed again %.1fs after the registry answers", took.Seconds())
	})

	w.run(t, "the API server is restarted", func(w *world, t *testing.T) {
		err := c.RestartAPIServer(within(t), func() {
			if got, _ := v.report().result(prod, "Pod", "lone"); got != "allowed" {
				t.Errorf("without an API server it is %s", got)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		bare := w.model("bare")
		eventually(t, "the pod can be made", func() bool {
			_, err := clients(t, c.Config).CoreV1().Pods(prod).Create(ctx, newPod("late", bare.pinned), metav1.CreateOptions{})
			return err == nil
		})
		took, _ := v.until(prod, "Pod", "late", "denied")
		t.Logf("what was made after the restart is in the report %.1fs later", took.Seconds())
	})

	w.run(t, "a policy that asks for more", func(w *world, t *testing.T) {
		w.policy = strings.NewReplacer("version: 1,", "version: 2,", "maxAge: 2160h", "maxAge: 1s").Replace(w.policy)
		w.publish()
		took, why := v.until(prod, "Pod", "lone", "denied")
		t.Logf("denied %.1fs after the policy changed: %s", took.Seconds(), why)
		if took > 10*time.Second {
			t.Error("that is not at once")
		}
		v.until(prod, "InferenceService", "served", "denied")
	})

	w.run(t, "an account that may not list everything", func(w *world, t *testing.T) {
		k := clients(t, c.Config).RbacV1()
		if _, err := k.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"list", "watch"}}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "few"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "few"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "few"}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteKubeconfig("few", filepath.Join(w.dir, "few.kubeconfig")); err != nil {
			t.Fatal(err)
		}
		var r watchReport
		status, out := w.once("few.kubeconfig", "--output", "json")
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var pods bool
		for _, g := range r.Gaps {
			pods = pods || g.Resource == "pods" && strings.Contains(g.Why, "does not let")
		}
		if got, _ := r.result(prod, "Deployment", "scoring"); !pods || got != "denied" || status != 1 {
			t.Errorf("status %d, the Deployment is %q, gaps %v", status, got, r.Gaps)
		}
		if err := clients(t, c.Config).AppsV1().Deployments(prod).Delete(ctx, "scoring", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if status, out := w.once("few.kubeconfig"); status != 3 || !strings.Contains(out, "Not looked at") {
			t.Errorf("nothing that could be seen, and gaps: status %d: %s", status, out)
		}
	})
}

// service makes an InferenceService.
func (w *world) service(ns, name, uri string) {
	w.t.Helper()
	client, err := dynamic.NewForConfig(w.cluster.Config)
	if err != nil {
		w.t.Fatal(err)
	}
	o := objects(w.t, `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: `+name+`}
spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storageUri: "`+uri+`"
`)[0]
	services := client.Resource(schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}).Namespace(ns)
	eventually(w.t, "InferenceServices are served", func() bool {
		_, err := services.Create(within(w.t), o, metav1.CreateOptions{})
		return err == nil
	})
}

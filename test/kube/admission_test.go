package kube

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// TestGate asks the API server for what people ask it for, with the gate behind the
// webhooks that are shipped.
func TestGate(t *testing.T) {
	w := newWorld(t, shared)
	w.good, w.better, w.bare = w.approved("good"), w.approved("better"), w.model("bare")
	for _, c := range []struct {
		name string
		test func(*world, *testing.T)
	}{
		{"deny and allow", (*world).testVerdicts},
		{"pin", (*world).testPin},
		{"GAT-13 unverified because unpatchable", (*world).testUnpatched},
		{"GAT-14 changed after mutation", (*world).testRewritten},
		{"GAT-12 updates", (*world).testUpdates},
		{"workloads", (*world).testWorkloads},
		{"warn and audit", (*world).testModes},
		{"namespace labels", (*world).testLabels},
		{"GAT-25 dry run", (*world).testDryRun},
		{"kubectl", (*world).testKubectl},
		{"KServe", (*world).testKServe},
		{"LLM services", (*world).testLLM},
		{"custom resources", (*world).testCustom},
		{"a Deployment by a service account", (*world).testAccount},
		{"GAT-22 reload", (*world).testReload},
		{"GAT-10 certificates", (*world).testCertificates},
		{"GAT-16 300 pods at once", (*world).testStampede},
		{"two replicas", (*world).testReplicas},
		{"GAT-06 a registry that does not answer", (*world).testSilentRegistry},
		{"GAT-08 the gate is gone", (*world).testGone},
	} {
		w.run(t, c.name, c.test)
	}
	if t.Failed() {
		t.Logf("the gate's log ends: %s", w.log()[max(0, len(w.log())-4000):])
	}
}

// run runs a part of a test.
func (w *world) run(t *testing.T, name string, test func(*world, *testing.T)) {
	t.Run(name, func(t *testing.T) {
		outer := w.t
		w.t = t
		defer func() { w.t = outer }()
		test(w, t)
	})
}

func (w *world) testVerdicts(t *testing.T) {
	prod, tags := newNamespace(t, w.cluster, "prod"), newNamespace(t, w.cluster, "tags")
	pod, err := w.create(t, prod, newPod("good", w.good.pinned))
	if err != nil {
		t.Fatalf("what is allowed is refused: %v", err)
	}
	if got := pod.Spec.Containers[0].Image; got != w.good.pinned {
		t.Errorf("a digest became %s", got)
	}
	_, err = w.create(t, prod, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, "gate.pedigree-ml.github.io", "approve", w.bare.pinned, "scoring")
	_, err = w.create(t, prod, newPod("tag", w.bare.tag))
	refused(t, err, http.StatusForbidden, "approve", "scoring")
	_, err = w.create(t, prod, newPod("elsewhere", "docker.io/library/nginx:1.27"))
	refused(t, err, http.StatusForbidden, "docker.io/library/nginx")
	if _, err := w.create(t, prod, newPod("runtime", w.registry.host+"/acme/runtimes/tgi@"+digestOf(w.good))); err != nil {
		t.Errorf("what is accepted with a reason is refused: %v", err)
	}
	// Where tags are not pinned, what runs needs a digest.
	_, err = w.create(t, tags, newPod("tag", w.good.tag))
	refused(t, err, http.StatusForbidden, w.good.tag)
	if _, err := w.create(t, tags, newPod("digest", w.good.pinned)); err != nil {
		t.Errorf("a digest is refused: %v", err)
	}

	w.run(t, "a digest that was revoked", func(w *world, t *testing.T) {
		doomed := w.approved("doomed")
		if _, err := w.create(t, prod, newPod("doomed", doomed.pinned)); err != nil {
			t.Fatal(err)
		}
		w.revoke(doomed)
		eventually(t, "it is refused", func() bool {
			_, err = w.dry(t, prod, newPod("again", doomed.pinned))
			return err != nil
		})
		refused(t, err, http.StatusForbidden, "revoked", doomed.pinned)
	})
}

func digestOf(m model) string { return m.pinned[strings.IndexByte(m.pinned, '@')+1:] }

// testPin looks at what is stored.
func (w *world) testPin(t *testing.T) {
	prod := newNamespace(t, w.cluster, "prod")
	pod := newPod("tags", w.good.tag)
	pod.Spec.InitContainers = []corev1.Container{{Name: "fetch", Image: w.better.tag}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: w.better.tag}}}}
	stored, err := w.create(t, prod, pod)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{stored.Spec.Containers[0].Image, stored.Spec.InitContainers[0].Image, stored.Spec.Volumes[0].Image.Reference}
	if want := []string{w.good.pinned, w.better.pinned, w.better.pinned}; !slices.Equal(got, want) {
		t.Errorf("stored:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// One bad of three is enough.
	pod.Name, pod.Spec.Volumes[0].Image.Reference = "mixed", w.bare.tag
	_, err = w.create(t, prod, pod)
	refused(t, err, http.StatusForbidden, "model")
}

// testUnpatched takes the mutating webhook away: what it would have pinned is refused,
// though it would be allowed with its digest.
func (w *world) testUnpatched(t *testing.T) {
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	if _, err := w.dry(t, prod, newPod("tag", w.good.tag)); err != nil {
		t.Fatalf("with the mutation: %v", err)
	}
	api := clients(t, w.cluster.Config).AdmissionregistrationV1().MutatingWebhookConfigurations()
	if err := api.Delete(ctx, "pedigree-gate", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, mutating := shipped(t, w.ca.PEM)
		if _, err := api.Create(ctx, mutating, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		eventually(t, "tags are pinned again", func() bool {
			_, err := w.dry(t, prod, newPod("tag", w.good.tag))
			return err == nil
		})
	}()
	var err error
	eventually(t, "the mutation is gone", func() bool {
		_, err = w.dry(t, prod, newPod("tag", w.good.tag))
		return err != nil
	})
	refused(t, err, http.StatusForbidden, w.good.tag, "admit.gate")
	if _, err := w.dry(t, prod, newPod("digest", w.good.pinned)); err != nil {
		t.Errorf("its digest is refused too: %v", err)
	}
}

// testRewritten has another webhook change the image after the gate pinned it.
func (w *world) testRewritten(t *testing.T) {
	type rewriter struct {
		name  string
		image string
		again admissionregistrationv1.ReinvocationPolicyType
		// what is stored; "" if the pod is refused
		stored string
	}
	for _, r := range []rewriter{
		{"to a model that is refused", w.bare.pinned, admissionregistrationv1.NeverReinvocationPolicy, ""},
		{"to another tag, once: it is pinned as well", w.better.tag, admissionregistrationv1.NeverReinvocationPolicy, w.better.pinned},
		{"to a tag, whatever the gate makes of it", w.better.tag, admissionregistrationv1.IfNeededReinvocationPolicy, ""},
		{"to a digest that is allowed", w.better.pinned, admissionregistrationv1.IfNeededReinvocationPolicy, w.better.pinned},
	} {
		t.Run(r.name, func(t *testing.T) {
			ns := newNamespace(t, w.cluster, "prod")
			s := startStub(t, func(req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
				patch, _ := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/containers/0/image", "value": r.image}})
				return &admissionv1.AdmissionResponse{Allowed: true, Patch: patch}
			})
			rules, selector := pods(ns)
			// They are asked in the order of their names.
			mutate(t, w.cluster, &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "zz-rewriter"}, Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "rewriter.stub.test", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &s.url, CABundle: s.ca},
				Rules: rules, NamespaceSelector: selector, FailurePolicy: ptr.To(admissionregistrationv1.Fail), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
				TimeoutSeconds: ptr.To(int32(10)), AdmissionReviewVersions: []string{"v1"}, ReinvocationPolicy: &r.again,
			}}})
			eventually(t, "the other webhook is asked", func() bool {
				w.dry(t, ns, newPod("probe", w.good.tag))
				return s.asked.Load() > 0
			})
			pod, err := w.create(t, ns, newPod("tag", w.good.tag))
			switch {
			case r.stored == "":
				refused(t, err, http.StatusForbidden, "admit.gate")
			case err != nil:
				t.Error(err)
			case pod.Spec.Containers[0].Image != r.stored:
				t.Errorf("stored is %s", pod.Spec.Containers[0].Image)
			}
		})
	}
}

// testUpdates changes pods that run.
func (w *world) testUpdates(t *testing.T) {
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	old := w.approved("old")
	api := clients(t, w.cluster.Config).CoreV1().Pods(prod)
	if _, err := w.create(t, prod, newPod("old", old.pinned)); err != nil {
		t.Fatal(err)
	}
	w.revoke(old)
	eventually(t, "it would be refused today", func() bool {
		_, err := w.dry(t, prod, newPod("again", old.pinned))
		return err != nil
	})
	patch := func(body string, sub ...string) error {
		_, err := api.Patch(ctx, "old", types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, sub...)
		return err
	}
	// What does not change what runs passes, or nobody could clean up.
	for name, body := range map[string]string{
		"label": `{"metadata":{"labels":{"seen":"yes"}}}`, "annotation": `{"metadata":{"annotations":{"seen":"yes"}}}`,
		"finalizer": `{"metadata":{"finalizers":["test.example/hold"]}}`, "no finalizer": `{"metadata":{"finalizers":null}}`,
	} {
		if err := patch(body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := patch(`{"metadata":{"finalizers":null}}`); err != nil {
		t.Error(err)
	}
	image := func(image string) string {
		return `{"spec":{"containers":[{"name":"scoring","image":"` + image + `"}]}}`
	}
	refused(t, patch(image(w.bare.pinned)), http.StatusForbidden, w.bare.pinned)
	refused(t, patch(image(w.bare.tag)), http.StatusForbidden, "scoring")
	if err := patch(image(w.better.tag)); err != nil {
		t.Errorf("an allowed image: %v", err)
	}
	pod, err := api.Get(ctx, "old", metav1.GetOptions{})
	if err != nil || pod.Spec.Containers[0].Image != w.better.pinned {
		t.Errorf("after an update the image is %s: %v", pod.Spec.Containers[0].Image, err)
	}
	refused(t, patch(image(old.pinned)), http.StatusForbidden, "revoked") // back to what it was

	debug := func(image string) string {
		return `{"spec":{"ephemeralContainers":[{"name":"debug","image":"` + image + `"}]}}`
	}
	refused(t, patch(debug(w.bare.pinned), "ephemeralcontainers"), http.StatusForbidden, w.bare.pinned)
	refused(t, patch(debug("docker.io/library/busybox:1"), "ephemeralcontainers"), http.StatusForbidden, "busybox")
	if err := patch(debug(w.good.tag), "ephemeralcontainers"); err != nil {
		t.Errorf("an allowed ephemeral container: %v", err)
	}
	pod, err = api.Get(ctx, "old", metav1.GetOptions{})
	if err != nil || len(pod.Spec.EphemeralContainers) != 1 || pod.Spec.EphemeralContainers[0].Image != w.good.pinned {
		t.Errorf("ephemeral containers are %v: %v", pod.Spec.EphemeralContainers, err)
	}
	if err := api.Delete(ctx, "old", metav1.DeleteOptions{}); err != nil {
		t.Errorf("it cannot be deleted: %v", err)
	}
}

// newDeployment returns a Deployment of two pods.
func newDeployment(name, image string) *appsv1.Deployment {
	l := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: l},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: newPod(name, image).Spec}}}
}

func (w *world) testWorkloads(t *testing.T) {
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	k := clients(t, w.cluster.Config)
	// Who applies it is told, and not only who looks into a ReplicaSet's status.
	_, err := k.AppsV1().Deployments(prod).Create(ctx, newDeployment("bare", w.bare.pinned), metav1.CreateOptions{})
	refused(t, err, http.StatusForbidden, w.bare.pinned)
	_, err = k.AppsV1().Deployments(prod).Create(ctx, newDeployment("bare", w.bare.tag), metav1.CreateOptions{})
	refused(t, err, http.StatusForbidden, w.bare.tag)
	d, err := k.AppsV1().Deployments(prod).Create(ctx, newDeployment("good", w.good.tag), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Spec.Template.Spec.Containers[0].Image; got != w.good.tag {
		t.Errorf("the template was changed to %s under who applied it", got)
	}
	var pods *corev1.PodList
	eventually(t, "it has its pods", func() bool {
		pods, err = k.CoreV1().Pods(prod).List(ctx, metav1.ListOptions{LabelSelector: "app=good"})
		return err == nil && len(pods.Items) == 2
	})
	for _, p := range pods.Items {
		if got := p.Spec.Containers[0].Image; got != w.good.pinned {
			t.Errorf("%s runs %s", p.Name, got)
		}
	}
	if _, err := k.AppsV1().Deployments(prod).Patch(ctx, "good", types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}, "scale"); err != nil {
		t.Errorf("scale: %v", err)
	}
	eventually(t, "it is scaled", func() bool {
		pods, err = k.CoreV1().Pods(prod).List(ctx, metav1.ListOptions{LabelSelector: "app=good"})
		return err == nil && len(pods.Items) == 3
	})
}

// A listener hears the warnings that the API server passes on.
type listener struct {
	mu    sync.Mutex
	heard []string
}

func (l *listener) HandleWarningHeader(_ int, _ string, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, text)
}

func (w *world) testModes(t *testing.T) {
	ctx := within(t)
	create := func(ns string, m string) []string {
		t.Helper()
		heard := &listener{}
		config := rest.CopyConfig(w.cluster.Config)
		config.WarningHandler = heard
		if _, err := clients(t, config).CoreV1().Pods(ns).Create(ctx, newPod("any", m), metav1.CreateOptions{}); err != nil {
			t.Errorf("%s is refused: %v", ns, err)
		}
		return heard.heard
	}
	warned, audited := newNamespace(t, w.cluster, "warned"), newNamespace(t, w.cluster, "audited")
	said := strings.Join(create(warned, w.bare.pinned), "\n")
	if !strings.Contains(said, "approve") || !strings.Contains(said, "E_") {
		t.Errorf("who asked is not warned: %q", said)
	}
	if heard := create(audited, w.bare.pinned); len(heard) > 0 {
		t.Errorf("audit warns: %q", heard)
	}
	if heard := create(newNamespace(t, w.cluster, "warned"), w.good.pinned); len(heard) > 0 {
		t.Errorf("what is allowed warns: %q", heard)
	}
	// The API server's audit log has it, with the policy that judged.
	found := false
	for _, e := range w.audited(audited) {
		if a := e.admit(); a["mode"] == "audit" && a["rule"] == "audited" && a["artifact"] == w.bare.pinned && a["policy"] != "" && a["outcome"] == "DENY" {
			found = true
		} else {
			t.Logf("annotations: %v", e.Annotations)
		}
	}
	if !found {
		t.Error("the API server's audit log does not have it")
	}
}

// An event is what the API server's audit log has of one request.
type event struct {
	User        struct{ Username string }
	Verb        string
	ObjectRef   struct{ Namespace, Resource, Name string }
	Annotations map[string]string
}

// admit returns what the validating webhook said for the auditors; empty if it was not
// asked.
func (e event) admit() map[string]string {
	out := map[string]string{}
	for k, v := range e.Annotations {
		if k, ours := strings.CutPrefix(k, "admit.gate.pedigree-ml.github.io/"); ours {
			out[k] = v
		}
	}
	return out
}

// audited returns the events about pods and workloads in a namespace.
func (w *world) audited(ns string) []event {
	w.t.Helper()
	b, err := os.ReadFile(w.cluster.AuditLog)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []event
	for line := range strings.Lines(string(b)) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.ObjectRef.Namespace == ns && slices.Contains([]string{"pods", "deployments"}, e.ObjectRef.Resource) {
			out = append(out, e)
		}
	}
	return out
}

// testLabels lets a tenant relabel a namespace that is theirs.
func (w *world) testLabels(t *testing.T) {
	ctx, ns := within(t), newNamespace(t, w.cluster, "prod")
	admin := clients(t, w.cluster.Config)
	of := "namespaces-" + ns
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: of}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "patch", "update", "create"}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: of}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: of},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "tenants"}, {APIGroup: rbacv1.GroupName, Kind: "Group", Name: "platform"}}}
	if _, err := admin.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	label := func(user, body string) error {
		_, err := clients(t, w.cluster.As(user)).CoreV1().Namespaces().Patch(ctx, ns, types.MergePatchType, []byte(`{"metadata":{"labels":`+body+`}}`), metav1.PatchOptions{})
		return err
	}
	eventually(t, "the tenant may relabel", func() bool { return label("tenant", `{"team":"credit"}`) == nil })
	const guarded = "pedigree-ml.github.io/skip"
	refused(t, label("tenant", `{"`+guarded+`":"true"}`), http.StatusForbidden, "guarded", guarded)
	if err := label("platform", `{"`+guarded+`":"true"}`); err != nil {
		t.Errorf("who may is refused: %v", err)
	}
	refused(t, label("tenant", `{"`+guarded+`":null}`), http.StatusForbidden, guarded)
	// Nor with a new namespace.
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns + "-own", Labels: map[string]string{guarded: "true"}}}
	_, err := clients(t, w.cluster.As("tenant")).CoreV1().Namespaces().Create(ctx, made, metav1.CreateOptions{})
	refused(t, err, http.StatusForbidden, guarded)
	// The API server writes the name on every namespace itself, whatever anybody asks for;
	// so it is what webhooks select by, and to make a namespace is no change of it.
	const name = "kubernetes.io/metadata.name"
	for _, body := range []string{`{"` + name + `":"kube-system"}`, `{"` + name + `":null}`} {
		if err := label("platform", body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	plain := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "prod-", Labels: map[string]string{name: "kube-system"}}}
	plain, err = clients(t, w.cluster.As("tenant")).CoreV1().Namespaces().Create(ctx, plain, metav1.CreateOptions{})
	if err != nil {
		t.Errorf("a tenant makes a namespace: %v", err)
	}
	for _, n := range []string{ns, plain.Name} {
		if got, err := admin.CoreV1().Namespaces().Get(ctx, n, metav1.GetOptions{}); err != nil || got.Labels[name] != n {
			t.Errorf("the name on %s is %s: %v", n, got.Labels[name], err)
		}
	}
	// The label does not switch the gate off either: rules go by name.
	_, err = w.dry(t, ns, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, w.bare.pinned)
}

// records returns how many deployment records the registry has of a model.
func (w *world) records(m model) int {
	w.t.Helper()
	return strings.Count(w.pedigree("list", m.pinned), "deployment")
}

func (w *world) testDryRun(t *testing.T) {
	prod := newNamespace(t, w.cluster, "prod")
	tried, run := w.approved("tried"), w.approved("run")
	if _, err := w.dry(t, prod, newPod("tried", tried.pinned)); err != nil {
		t.Fatal(err)
	}
	_, err := w.dry(t, prod, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, w.bare.pinned)
	if _, err := w.create(t, prod, newPod("run", run.pinned)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the admission is recorded", func() bool { return w.records(run) == 1 })
	if n := w.records(tried); n != 0 {
		t.Errorf("%d records of a dry run", n)
	}
}

func (w *world) testKubectl(t *testing.T) {
	ctx, prod, warned := within(t), newNamespace(t, w.cluster, "prod"), newNamespace(t, w.cluster, "warned")
	manifest := func(image string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: by-hand}\nspec: {containers: [{name: scoring, image: \"" + image + "\"}]}\n"
	}
	out, err := w.cluster.Kubectl(ctx, manifest(w.bare.pinned), "apply", "-n", prod, "-f", "-")
	if err == nil || !strings.Contains(out, "denied the request") || !strings.Contains(out, "E_") || !strings.Contains(out, w.bare.pinned) {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("kubectl says: %s", out)
	out, err = w.cluster.Kubectl(ctx, manifest(w.bare.pinned), "apply", "-n", warned, "-f", "-")
	if err != nil || !strings.Contains(out, "Warning: E_") || !strings.Contains(out, "created") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = w.cluster.Kubectl(ctx, manifest(w.good.tag), "apply", "-n", prod, "-f", "-")
	if err != nil || !strings.Contains(out, "created") {
		t.Errorf("%v: %s", err, out)
	}
}

// testCertificates renews the gate's certificate as cert-manager does, with requests
// going on all the time.
func (w *world) testCertificates(t *testing.T) {
	prod := newNamespace(t, w.cluster, "prod")
	x := w.ask(t, prod, newPod("asking", w.good.pinned))
	for range 4 {
		w.renew(t)
		x.goesOn(t)
	}
	x.end(t)

	w.run(t, "another authority, with both in caBundle meanwhile", func(w *world, t *testing.T) {
		x := w.ask(t, prod, newPod("asking", w.good.pinned))
		next, err := cluster.NewAuthority("next")
		if err != nil {
			t.Fatal(err)
		}
		old := w.ca
		w.trust(t, slices.Concat(old.PEM, next.PEM))
		x.goesOn(t)
		w.ca = next
		w.renew(t)
		x.goesOn(t)
		w.trust(t, next.PEM)
		x.goesOn(t)
		x.end(t)
		// The old one counts no more: there is nothing that a connection could live on.
		w.certify(old, cluster.Request{Names: []string{serviceName}})
		w.restart()
		_, err = w.dry(t, prod, newPod("old", w.good.pinned))
		refused(t, err, http.StatusInternalServerError, "x509")
		w.certify(next, cluster.Request{Names: []string{serviceName}})
		w.restart()
		if _, err := w.dry(t, prod, newPod("new", w.good.pinned)); err != nil {
			t.Error(err)
		}
	})

	w.run(t, "one of another authority", func(w *world, t *testing.T) {
		other, err := cluster.NewAuthority("other")
		if err != nil {
			t.Fatal(err)
		}
		w.certify(other, cluster.Request{Names: []string{serviceName}})
		w.restart()
		_, err = w.dry(t, prod, newPod("other", w.good.pinned))
		refused(t, err, http.StatusInternalServerError, "x509")
		w.certify(w.ca, cluster.Request{Names: []string{"other.pedigree-system.svc"}})
		w.restart()
		_, err = w.dry(t, prod, newPod("other", w.good.pinned))
		refused(t, err, http.StatusInternalServerError, "x509")
		w.certify(w.ca, cluster.Request{Names: []string{serviceName}})
		w.restart()
		if _, err := w.dry(t, prod, newPod("own", w.good.pinned)); err != nil {
			t.Error(err)
		}
	})

	w.run(t, "a client without the API server's certificate", func(w *world, t *testing.T) {
		for name, c := range map[string]struct {
			request *cluster.Request
			heard   bool
		}{
			"the API server's":       {&cluster.Request{Name: "kube-apiserver", Client: true}, true},
			"none":                   {nil, false},
			"another name's":         {&cluster.Request{Name: "somebody", Client: true}, false},
			"another authority's":    {&cluster.Request{Name: "kube-apiserver", Client: true, From: time.Now().Add(-time.Minute)}, false},
			"one that has run out":   {&cluster.Request{Name: "kube-apiserver", Client: true, To: time.Now().Add(-time.Minute)}, false},
			"one that is a server's": {&cluster.Request{Name: "kube-apiserver"}, false},
		} {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(w.ca.PEM)
			config := &tls.Config{RootCAs: roots, ServerName: serviceName, MinVersion: tls.VersionTLS13}
			if c.request != nil {
				from := w.cluster.Authority
				if name == "another authority's" {
					from = w.ca
				}
				pair, err := from.Issue(*c.request)
				if err != nil {
					t.Fatal(err)
				}
				cert, err := pair.TLS()
				if err != nil {
					t.Fatal(err)
				}
				config.Certificates = []tls.Certificate{cert}
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			r, err := client.Post("https://"+w.gate.address+"/v1/verify", "application/json", strings.NewReader(`{"reference":"`+w.good.pinned+`"}`))
			switch heard := err == nil && r.StatusCode == http.StatusOK; {
			case heard != c.heard:
				t.Errorf("with %s certificate it is heard: %v (%v, %v)", name, heard, r, err)
			case err == nil:
				r.Body.Close()
			}
			client.CloseIdleConnections()
		}
	})
}

// renew gives the gate another certificate, and waits until it has it.
func (w *world) renew(t *testing.T) {
	t.Helper()
	const loaded = "certificates loaded"
	before := strings.Count(w.log(), loaded)
	w.certify(w.ca, cluster.Request{Names: []string{serviceName}})
	eventually(t, "the gate has its certificate", func() bool { return strings.Count(w.log(), loaded) > before })
}

// trust writes authorities into the webhooks, as cert-manager's cainjector does, and
// waits until the API server asks by them.
func (w *world) trust(t *testing.T, ca []byte) {
	t.Helper()
	ctx, api := within(t), clients(t, w.cluster.Config).AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, "pedigree-gate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = ca
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, "pedigree-gate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = ca
	}
	if _, err := api.ValidatingWebhookConfigurations().Update(ctx, validating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.MutatingWebhookConfigurations().Update(ctx, mutating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // some milliseconds, on a machine that has nothing else to do
}

func (w *world) restart() {
	w.t.Helper()
	w.stop(syscall.SIGTERM)
	w.start()
}

// testSilentRegistry has the registry take requests and not answer: the gate answers in
// time, and not with yes.
func (w *world) testSilentRegistry(t *testing.T) {
	prod, unknown := newNamespace(t, w.cluster, "prod"), w.approved("unknown")
	w.registry.hold.Store(true)
	defer w.registry.hold.Store(false)
	began := time.Now()
	_, err := w.create(t, prod, newPod("unknown", unknown.pinned))
	took := time.Since(began)
	refused(t, err, http.StatusServiceUnavailable, "E_", unknown.pinned)
	if took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	w.registry.hold.Store(false)
	eventually(t, "it is allowed", func() bool {
		_, err := w.create(t, prod, newPod("unknown", unknown.pinned))
		return err == nil
	})
}

// testGone ends the gate in the ways that it can end.
func (w *world) testGone(t *testing.T) {
	prod, slow := newNamespace(t, w.cluster, "prod"), w.approved("slow")

	w.run(t, "killed in the middle of a request", func(w *world, t *testing.T) {
		w.registry.hold.Store(true)
		defer w.registry.hold.Store(false)
		answer := make(chan error)
		go func() {
			_, err := w.create(t, prod, newPod("slow", slow.pinned))
			answer <- err
		}()
		time.Sleep(300 * time.Millisecond)
		w.stop(syscall.SIGKILL)
		refused(t, <-answer, http.StatusInternalServerError, "failed calling webhook")
	})

	w.run(t, "not there", func(w *world, t *testing.T) {
		_, err := w.create(t, prod, newPod("good", w.good.pinned))
		refused(t, err, http.StatusInternalServerError, "failed calling webhook")
	})
	w.start()
	eventually(t, "it is asked again", func() bool {
		_, err := w.dry(t, prod, newPod("good", w.good.pinned))
		return err == nil
	})

	w.run(t, "hanging", func(w *world, t *testing.T) {
		w.gate.Signal(syscall.SIGSTOP)
		defer w.gate.Signal(syscall.SIGCONT)
		began := time.Now()
		_, err := w.create(t, prod, newPod("good", w.good.pinned))
		refused(t, err, http.StatusInternalServerError, "failed calling webhook", "deadline exceeded")
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %s", took)
		}
	})

	w.run(t, "stopped while it is asked", func(w *world, t *testing.T) {
		// It goes on answering while it drains, and what it has begun is answered.
		w.registry.hold.Store(true)
		defer w.registry.hold.Store(false)
		answer := make(chan error)
		go func() {
			_, err := w.create(t, prod, newPod("draining", slow.pinned))
			answer <- err
		}()
		time.Sleep(300 * time.Millisecond)
		w.gate.Signal(syscall.SIGTERM)
		time.Sleep(200 * time.Millisecond)
		w.registry.hold.Store(false)
		if err := <-answer; err != nil {
			t.Errorf("what it had begun is lost: %v", err)
		}
		w.stop(syscall.SIGTERM)
		w.start()
	})
}

// Package kubernetes holds the manifests with which the gate is run in a cluster. This
// test reads them with the official types and no tolerance, and holds them to what the
// documentation promises. That an API server takes them, and what it does with them, is
// tested in test/kube.
package kubernetes

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// system is the gate's own namespace.
const system = "pedigree-system"

// manifests reads all manifests in these folders. What is no object of Kubernetes' own
// is named here, so that nothing is left out by accident.
func manifests(t *testing.T, folders ...string) []runtime.Object {
	t.Helper()
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var out []runtime.Object
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path == filepath.Join("gate", "config") {
				return filepath.SkipDir
			}
			other := []string{"kustomization.yaml", filepath.Join("persistent", "statefulset.yaml"), filepath.Join("static", "admission.yaml")}
			if d.IsDir() || filepath.Ext(path) != ".yaml" || slices.Contains(other, path) || slices.Contains(other, d.Name()) {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
			for buffer := make([]byte, 1<<16); ; {
				n, err := documents.Read(buffer)
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				o, _, err := strict.Decode(buffer[:n], nil, nil)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				out = append(out, o)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing in %v: all would hold of it", folders)
	}
	return out
}

// only returns the objects of one type.
func only[T runtime.Object](t *testing.T, all []runtime.Object) []T {
	t.Helper()
	var out []T
	for _, o := range all {
		if o, ok := o.(T); ok {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no %T", *new(T))
	}
	return out
}

// named returns the object of one type with this name.
func named[T interface {
	runtime.Object
	metav1.Object
}](t *testing.T, all []runtime.Object, name string) T {
	t.Helper()
	for _, o := range only[T](t, all) {
		if o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no %T %s", *new(T), name)
	panic("unreachable")
}

// A hook is what both kinds of webhooks have in common.
type hook struct {
	name     string
	client   admissionregistrationv1.WebhookClientConfig
	rules    []admissionregistrationv1.RuleWithOperations
	failure  *admissionregistrationv1.FailurePolicyType
	match    *admissionregistrationv1.MatchPolicyType
	selector *metav1.LabelSelector
	effects  *admissionregistrationv1.SideEffectClass
	timeout  *int32
	versions []string
	mutating bool
}

func hooks(t *testing.T, folder string) []hook {
	t.Helper()
	var out []hook
	all := manifests(t, folder)
	for _, c := range only[*admissionregistrationv1.ValidatingWebhookConfiguration](t, all) {
		for _, w := range c.Webhooks {
			out = append(out, hook{w.Name, w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.SideEffects, w.TimeoutSeconds, w.AdmissionReviewVersions, false})
			if w.ObjectSelector != nil || len(w.MatchConditions) > 0 {
				t.Errorf("%s: an object, or an expression over it, takes itself out", w.Name)
			}
		}
	}
	for _, c := range only[*admissionregistrationv1.MutatingWebhookConfiguration](t, all) {
		for _, w := range c.Webhooks {
			out = append(out, hook{w.Name, w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.SideEffects, w.TimeoutSeconds, w.AdmissionReviewVersions, true})
			if w.ObjectSelector != nil || len(w.MatchConditions) > 0 {
				t.Errorf("%s: an object, or an expression over it, takes itself out", w.Name)
			}
			if w.ReinvocationPolicy == nil || *w.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy {
				t.Errorf("%s is not asked again after a webhook that comes later", w.Name)
			}
		}
	}
	return out
}

func TestWebhooks(t *testing.T) {
	for _, folder := range []string{"webhooks", "static"} {
		for _, h := range hooks(t, folder) {
			t.Run(folder+"/"+h.name, func(t *testing.T) { h.check(t, folder == "static") })
		}
	}
}

func (h hook) check(t *testing.T, static bool) {
	t.Run("GAT-08 a gate that died refuses", func(t *testing.T) {
		if h.failure == nil || *h.failure != admissionregistrationv1.Fail {
			t.Errorf("failurePolicy is %v", h.failure)
		}
	})
	t.Run("GAT-26 it does not ask itself whether it may start", func(t *testing.T) {
		selector, err := metav1.LabelSelectorAsSelector(h.selector)
		if err != nil {
			t.Fatal(err)
		}
		for name, asked := range map[string]bool{system: false, "kube-system": false, "prod": true, "default": true, "kube-public": true} {
			if got := selector.Matches(labels.Set{corev1.LabelMetadataName: name}); got != asked {
				t.Errorf("about namespace %s it is asked: %v", name, got)
			}
		}
		// Whatever labels somebody gives a namespace.
		reqs, _ := selector.Requirements()
		for _, r := range reqs {
			if r.Key() != corev1.LabelMetadataName {
				t.Errorf("who may label namespaces switches it off by %s", r.Key())
			}
		}
	})
	if h.match == nil || *h.match != admissionregistrationv1.Equivalent {
		t.Errorf("matchPolicy is %v: another version of the API goes past it", h.match)
	}
	if h.timeout == nil || *h.timeout != 10 {
		t.Errorf("timeoutSeconds is %v; the gate's own deadline is 9s", h.timeout)
	}
	if !slices.Equal(h.versions, []string{"v1"}) {
		t.Errorf("admissionReviewVersions are %v", h.versions)
	}
	effects := admissionregistrationv1.SideEffectClassNoneOnDryRun // records
	path := "/admit"
	if h.mutating {
		effects, path = admissionregistrationv1.SideEffectClassNone, "/mutate"
	}
	if h.effects == nil || *h.effects != effects {
		t.Errorf("sideEffects are %v instead of %s", h.effects, effects)
	}
	switch s := h.client.Service; {
	case static && (s != nil || h.client.URL == nil || !strings.HasPrefix(*h.client.URL, "https://") || !strings.HasSuffix(*h.client.URL, path)):
		t.Errorf("it asks %v at %v", s, h.client.URL)
	case !static && (s == nil || s.Namespace != system || s.Name != "pedigree-gate" || s.Path == nil || *s.Path != path):
		t.Errorf("it asks %v", s)
	}
}

// TestRules checks that the webhooks are asked about everything that names a model or
// makes something that does.
func TestRules(t *testing.T) {
	type request struct {
		group, version, resource string
		op                       admissionregistrationv1.OperationType
	}
	const create, update = admissionregistrationv1.Create, admissionregistrationv1.Update
	runs := []request{
		{"", "v1", "pods", create}, {"", "v1", "pods", update}, {"", "v1", "pods/ephemeralcontainers", update},
		{"serving.kserve.io", "v1beta1", "inferenceservices", create}, {"serving.kserve.io", "v1beta1", "inferenceservices", update},
		{"serving.kserve.io", "v1alpha1", "servingruntimes", create}, {"serving.kserve.io", "v1alpha1", "servingruntimes", update},
		{"serving.kserve.io", "v1alpha1", "clusterservingruntimes", create}, {"serving.kserve.io", "v1alpha1", "trainedmodels", create},
		{"serving.kserve.io", "v1alpha1", "llminferenceservices", create}, {"serving.kserve.io", "v9", "yettocome", create},
	}
	templates := []request{{"", "v1", "namespaces", create}, {"", "v1", "namespaces", update}}
	for group, resources := range map[string][]string{"apps": {"deployments", "statefulsets", "daemonsets", "replicasets"}, "batch": {"jobs", "cronjobs"}, "": {"replicationcontrollers", "podtemplates"}} {
		for _, r := range resources {
			templates = append(templates, request{group, "v1", r, create}, request{group, "v1", r, update})
		}
	}
	not := []request{{"", "v1", "pods", admissionregistrationv1.Delete}, {"", "v1", "pods/status", update}, {"", "v1", "events", create},
		{"", "v1", "configmaps", create}, {"coordination.k8s.io", "v1", "leases", update}, {"apps", "v1", "deployments/scale", update}}
	asked := func(folder string, r request, mutating bool) bool {
		for _, h := range hooks(t, folder) {
			for _, rule := range h.rules {
				if h.mutating == mutating && has(rule.APIGroups, r.group) && has(rule.APIVersions, r.version) && has(rule.Operations, r.op) &&
					(slices.Contains(rule.Resources, r.resource) || slices.Contains(rule.Resources, "*") && !strings.Contains(r.resource, "/")) {
					return true
				}
			}
		}
		return false
	}
	for _, folder := range []string{"webhooks", "static"} {
		for _, r := range slices.Concat(runs, templates) {
			if !asked(folder, r, false) {
				t.Errorf("%s: nobody is asked about %v", folder, r)
			}
		}
		for _, r := range runs {
			if !asked(folder, r, true) {
				t.Errorf("%s: nobody pins %v", folder, r)
			}
		}
		for _, r := range not {
			if asked(folder, r, false) || asked(folder, r, true) {
				t.Errorf("%s: the gate would be asked about %v, for nothing", folder, r)
			}
		}
	}
}

func has[T ~string](list []T, s T) bool {
	return slices.Contains(list, s) || slices.Contains(list, "*")
}

func TestGate(t *testing.T) {
	all := manifests(t, "gate")
	d := named[*appsv1.Deployment](t, all, "pedigree-gate")
	pod := d.Spec.Template.Spec
	if d.Spec.Replicas == nil || *d.Spec.Replicas != 2 {
		t.Errorf("replicas: %v", d.Spec.Replicas)
	}
	if r := d.Spec.Strategy.RollingUpdate; r == nil || r.MaxUnavailable == nil || r.MaxUnavailable.IntValue() != 0 {
		t.Errorf("a roll-out may take replicas away: %v", d.Spec.Strategy)
	}
	own := labels.Set(d.Spec.Template.Labels)
	selects := func(what string, s *metav1.LabelSelector) {
		t.Helper()
		if selector, err := metav1.LabelSelectorAsSelector(s); err != nil || selector.Empty() || !selector.Matches(own) {
			t.Errorf("%s does not select the gate's pods: %v, %v", what, s, err)
		}
	}
	selects("the Deployment", d.Spec.Selector)
	budget := only[*policyv1.PodDisruptionBudget](t, all)[0]
	selects("the PodDisruptionBudget", budget.Spec.Selector)
	if m := budget.Spec.MinAvailable; m == nil || m.IntValue() != 1 {
		t.Errorf("the budget keeps %v", m)
	}
	network := only[*networkingv1.NetworkPolicy](t, all)[0]
	selects("the NetworkPolicy", &network.Spec.PodSelector)
	if len(network.Spec.PolicyTypes) != 2 || len(network.Spec.Egress) != 2 || len(network.Spec.Ingress) != 2 {
		t.Errorf("the NetworkPolicy is %v", network.Spec)
	}
	spread := false
	for _, c := range pod.TopologySpreadConstraints {
		selects("the spread", c.LabelSelector)
		spread = spread || c.TopologyKey == corev1.LabelHostname && c.WhenUnsatisfiable == corev1.DoNotSchedule
	}
	if !spread {
		t.Error("both replicas may be on one node")
	}
	service := named[*corev1.Service](t, all, "pedigree-gate")
	selects("the Service", &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
	if name := pod.ServiceAccountName; named[*corev1.ServiceAccount](t, all, name).Namespace != system {
		t.Errorf("the account %s is elsewhere", name)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the gate has a token, and needs none")
	}
	for _, h := range hooks(t, "webhooks") {
		if s := h.client.Service; *s.Port != service.Spec.Ports[0].Port || s.Name != service.Name || s.Namespace != service.Namespace {
			t.Errorf("%s asks %v, and the Service has %v", h.name, s, service.Spec.Ports)
		}
	}
	drain(t, pod)
}

// TestImage holds the image, which no test builds, to what the pods expect of it.
func TestImage(t *testing.T) {
	b, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if last := lines[len(lines)-1]; last != `ENTRYPOINT ["/pedigree"]` || !slices.Contains(lines, "COPY --from=build /out/pedigree /pedigree") {
		t.Errorf("it starts %s", last)
	}
	for _, d := range only[*appsv1.Deployment](t, manifests(t, "gate", "watch")) {
		s, c := d.Spec.Template.Spec.SecurityContext, d.Spec.Template.Spec.Containers[0]
		if len(c.Command) > 0 || len(c.Args) == 0 || c.Args[0] != "gate" {
			t.Errorf("%s starts %q %q", d.Name, c.Command, c.Args)
		}
		if user := fmt.Sprintf("USER %d:%d", *s.RunAsUser, *s.RunAsGroup); !slices.Contains(lines, user) {
			t.Errorf("%s wants %s", d.Name, user)
		}
	}
}

// drain checks that a pod that is to go has the time to stop being asked and to answer
// what it was asked.
func drain(t *testing.T, pod corev1.PodSpec) {
	c := pod.Containers[0]
	if c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Errorf("probes: %v, %v, %v", c.ReadinessProbe, c.LivenessProbe, c.StartupProbe)
	}
	conf := shippedConfig(t)
	if conf.Limits.Deadline >= 10*time.Second {
		t.Errorf("the gate takes %s, and the webhooks wait 10s", conf.Limits.Deadline)
	}
	needs := conf.Listen.Drain + conf.Limits.Deadline
	if g := pod.TerminationGracePeriodSeconds; g == nil || time.Duration(*g)*time.Second < needs+5*time.Second {
		t.Errorf("terminationGracePeriodSeconds is %v; it needs %s and some to spare", g, needs)
	}
	// What it reads and writes is mounted.
	for _, path := range []string{conf.Listen.Certificate, conf.Listen.Key, conf.State} {
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(path, m.MountPath+"/") }) {
			t.Errorf("%s is in no volume", path)
		}
	}
	for _, p := range c.Ports {
		if address := map[string]string{"https": conf.Listen.Address, "metrics": conf.Listen.Metrics}[p.Name]; !strings.HasSuffix(address, ":"+strconv.Itoa(int(p.ContainerPort))) {
			t.Errorf("port %s is %d, and the gate listens at %s", p.Name, p.ContainerPort, address)
		}
	}
}

// shippedConfig loads what the ConfigMap holds.
func shippedConfig(t *testing.T) *gate.Config {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("gate", "config", "gate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPods holds each pod to the "restricted" profile, and beyond.
func TestPods(t *testing.T) {
	all := manifests(t, "gate", "watch")
	if ns := named[*corev1.Namespace](t, all, system); ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace has %v", ns.Labels)
	}
	for _, d := range only[*appsv1.Deployment](t, all) {
		pod := d.Spec.Template.Spec
		if d.Namespace != system {
			t.Errorf("%s is in %s", d.Name, d.Namespace)
		}
		s := pod.SecurityContext
		if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %v", d.Name, s)
		}
		if pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("%s shares the host's namespaces", d.Name)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := c.SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || s.Privileged != nil {
				t.Errorf("%s/%s: %v", d.Name, c.Name, s)
			}
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
				if _, ok := c.Resources.Limits[name]; !ok {
					t.Errorf("%s/%s has no limit of %s", d.Name, c.Name, name)
				}
			}
		}
		for _, v := range pod.Volumes {
			if v.HostPath != nil || v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
				t.Errorf("%s: volume %s", d.Name, v.Name)
			}
		}
	}
}

// TestWatchRights checks that what looks at everything can change nothing.
func TestWatchRights(t *testing.T) {
	role := only[*rbacv1.ClusterRole](t, manifests(t, "watch"))[0]
	for _, r := range role.Rules {
		for _, verb := range r.Verbs {
			events := slices.Equal(r.Resources, []string{"events"})
			if !slices.Contains([]string{"get", "list", "watch"}, verb) && !(events && (verb == "create" || verb == "patch")) {
				t.Errorf("it may %s %v", verb, r.Resources)
			}
		}
		if slices.Contains(r.APIGroups, "*") || slices.Contains(r.Resources, "secrets") || slices.Contains(r.Resources, "*") && !slices.Equal(r.APIGroups, []string{"serving.kserve.io"}) {
			t.Errorf("it may read %v of %v", r.Resources, r.APIGroups)
		}
	}
}

// TestWatch checks that what is watched may be listed, and that there is one who watches.
func TestWatch(t *testing.T) {
	all := manifests(t, "watch")
	role := only[*rbacv1.ClusterRole](t, all)[0]
	may := func(group, resource, verb string) bool {
		return slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
			return slices.Contains(r.APIGroups, group) && slices.Contains(r.Verbs, verb) && (slices.Contains(r.Resources, resource) || slices.Contains(r.Resources, "*"))
		})
	}
	table, err := place.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range table.Kinds() {
		for _, verb := range []string{"get", "list", "watch"} {
			if !may(k.Group, strings.ToLower(k.Kind)+"s", verb) {
				t.Errorf("it may not %s what is of kind %s", verb, k.GroupKind())
			}
		}
	}
	for _, verb := range []string{"create", "patch"} {
		if !may("", "events", verb) {
			t.Errorf("it may not %s events", verb)
		}
	}
	d := only[*appsv1.Deployment](t, all)[0]
	if d.Spec.Replicas == nil || *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%v replicas, replaced by %s: every event would be there twice", d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	c := d.Spec.Template.Spec.Containers[0]
	if !slices.Equal(c.Args[:2], []string{"gate", "watch"}) || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Errorf("it runs %v, with probes %v and %v", c.Args, c.LivenessProbe, c.ReadinessProbe)
	}
	if _, port, _ := strings.Cut(shippedConfig(t).Listen.Metrics, ":"); port != strconv.Itoa(int(c.Ports[0].ContainerPort)) {
		t.Errorf("it listens on %s, and is looked for on %d", port, c.Ports[0].ContainerPort)
	}
}

package place

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is a kind of object, in one version, and what of it is looked at.
type kind struct {
	schema.GroupVersionKind
	at     []at
	runs   bool   // something is started from here
	kserve bool   // KServe completes the containers
	why    string // of a kind that names nothing: why it names nothing
}

// at says what stands where.
type at struct {
	path string // keys with dots between; KEY[NAME] is each element of a list, told by its NAME
	form form
}

// form is what may stand somewhere, and how it is looked at.
type form struct {
	name string
	look func(w *walk, n node)
}

func podForm() form         { return form{"pod", (*walk).podSpec} }
func templateForm() form    { return form{"pod template", (*walk).template} }
func containerForm() form   { return form{"container", (*walk).container} }
func variablesForm() form   { return form{"variables", func(w *walk, n node) { w.variables(n) }} }
func annotationsForm() form { return form{"annotations", (*walk).annotations} }
func uriForm() form         { return form{"model URI", (*walk).storage} }
func componentForm() form   { return form{"component", (*walk).component} }
func llmForm() form         { return form{"LLM", (*walk).llm} }

// builtin returns the kinds that are known without being told. A kind in a version that
// is not here is not known: nobody has read what it says where.
//
// It is the whole table: docs/gate-places.md shows it, and tests hold it against the
// types of Kubernetes and the schemas of KServe.
func builtin() []kind {
	return append(append(builtinKubernetes(), builtinKServe()...), builtinNothing()...)
}

func gvk(group, version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

func builtinKubernetes() []kind {
	template := []at{{"spec.template", templateForm()}}
	return []kind{
		{GroupVersionKind: gvk("", "v1", "Pod"), at: []at{{"spec", podForm()}}, runs: true},
		{GroupVersionKind: gvk("", "v1", "PodTemplate"), at: []at{{"template", templateForm()}}},
		{GroupVersionKind: gvk("", "v1", "ReplicationController"), at: template},
		{GroupVersionKind: gvk("apps", "v1", "Deployment"), at: template},
		{GroupVersionKind: gvk("apps", "v1", "StatefulSet"), at: template},
		{GroupVersionKind: gvk("apps", "v1", "DaemonSet"), at: template},
		{GroupVersionKind: gvk("apps", "v1", "ReplicaSet"), at: template},
		{GroupVersionKind: gvk("batch", "v1", "Job"), at: template},
		{GroupVersionKind: gvk("batch", "v1", "CronJob"), at: []at{
			{"spec.jobTemplate.metadata.annotations", annotationsForm()},
			{"spec.jobTemplate.spec.template", templateForm()},
		}},
	}
}

const kserveGroup = "serving.kserve.io"

func builtinKServe() []kind {
	runtime := []at{
		{"spec", podForm()}, {"spec.annotations", annotationsForm()},
		{"spec.workerSpec", podForm()}, {"spec.workerSpec.annotations", annotationsForm()},
		{"spec.builtInAdapter.env", variablesForm()},
	}
	llm := []at{
		{"spec.model", llmForm()},
		{"spec.template", podForm()}, {"spec.worker", podForm()},
		{"spec.prefill.template", podForm()}, {"spec.prefill.worker", podForm()},
		{"spec.router.scheduler.template", podForm()},
	}
	return []kind{
		{GroupVersionKind: gvk(kserveGroup, "v1beta1", "InferenceService"), runs: true, kserve: true,
			at: []at{{"spec.predictor", componentForm()}, {"spec.transformer", componentForm()}, {"spec.explainer", componentForm()}}},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "ServingRuntime"), at: runtime, kserve: true},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "ClusterServingRuntime"), at: runtime, kserve: true},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "TrainedModel"), runs: true, at: []at{{"spec.model.storageUri", uriForm()}}},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "LLMInferenceService"), at: llm, runs: true, kserve: true},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "LLMInferenceServiceConfig"), at: llm, kserve: true},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "LocalModelCache"), runs: true, at: []at{{"spec.sourceModelUri", uriForm()}}},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "LocalModelNode"), runs: true, at: []at{{"spec.localModels[modelName].sourceModelUri", uriForm()}}},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "ClusterStorageContainer"), at: []at{{"spec.container", containerForm()}}},
	}
}

// builtinNothing returns the kinds of which it is known that they name nothing. They are
// those that come by where the others do: subresources of pods and workloads, namespaces,
// and the rest of KServe's. What could name something to somebody, such as a ConfigMap,
// is not among them.
func builtinNothing() []kind {
	const running = "it speaks with a container that already runs"
	return []kind{
		{GroupVersionKind: gvk("", "v1", "Binding"), why: "it gives a pod that was looked at to a node"},
		{GroupVersionKind: gvk("", "v1", "Namespace"), why: "it runs nothing; its labels are guarded by the configuration"},
		{GroupVersionKind: gvk("", "v1", "PodExecOptions"), why: running},
		{GroupVersionKind: gvk("", "v1", "PodAttachOptions"), why: running},
		{GroupVersionKind: gvk("", "v1", "PodPortForwardOptions"), why: running},
		{GroupVersionKind: gvk("", "v1", "PodProxyOptions"), why: running},
		{GroupVersionKind: gvk("", "v1", "ServiceProxyOptions"), why: running},
		{GroupVersionKind: gvk("", "v1", "NodeProxyOptions"), why: "it speaks with a kubelet, which starts no container for that"},
		{GroupVersionKind: gvk("authentication.k8s.io", "v1", "TokenRequest"), why: "it gives a workload a token"},
		{GroupVersionKind: gvk("autoscaling", "v1", "Scale"), why: "it says how many, of what is already there"},
		{GroupVersionKind: gvk("policy", "v1", "Eviction"), why: "it ends a pod"},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "InferenceGraph"), why: "it routes between services, each of which is looked at itself"},
		{GroupVersionKind: gvk(kserveGroup, "v1alpha1", "LocalModelNodeGroup"), why: "it says which disks hold models, and not which models"},
	}
}

// look finds what the object o, of kind k, names.
func (k kind) look(w *walk, o node) {
	w.runs, w.kserve = k.runs, k.kserve
	for _, a := range k.at {
		w.along(o, strings.Split(a.path, "."), a.form)
	}
}

// along follows path from n, and looks at what stands at its ends. What is not there names
// nothing, and what is no object, or no list, where the path needs one is a problem.
func (w *walk) along(n node, path []string, f form) {
	if len(path) == 0 {
		f.look(w, n)
		return
	}
	if !w.object(n) {
		return
	}
	key, by, list := strings.Cut(strings.TrimSuffix(path[0], "]"), "[")
	if !list {
		w.along(n.key(key), path[1:], f)
		return
	}
	for _, e := range w.elements(n.key(key), by) {
		w.along(e, path[1:], f)
	}
}

package place

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

var digest = attest.SHA256([]byte("a model"))

// object reads YAML as the API server hands it on: through JSON.
func object(t testing.TB, text string) (map[string]any, schema.GroupVersionKind) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "DIGEST", digest.String())), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var obj map[string]any
	if err := json.Unmarshal(b, &obj); err != nil {
		t.Fatal(err)
	}
	return obj, kindOf(obj)
}

func kindOf(obj map[string]any) schema.GroupVersionKind {
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}

func table(t testing.TB, kinds ...gate.Kind) *Table {
	t.Helper()
	tab, err := New(kinds)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// show writes what was found, a line each: where, what is read there, and what speaks
// against it.
func show(found []Found) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s: ", f.Place)
		switch {
		case f.Problem == "":
			fmt.Fprintf(&b, "%s", strings.ReplaceAll(f.Reference.String(), digest.String(), "DIGEST"))
		case f.URI != "":
			fmt.Fprintf(&b, "URI %s", f.URI)
		default:
			fmt.Fprintf(&b, "! %s", f.Problem)
		}
		if f.Pointer == "" && f.Problem == "" {
			b.WriteString(" (stays)")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// at returns what stands at an RFC 6901 pointer: a reading of its own, so that a wrong
// pointer is not read back by the code that wrote it.
func pointed(t testing.TB, obj any, pointer string) any {
	t.Helper()
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch v := obj.(type) {
		case map[string]any:
			obj = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				t.Fatalf("pointer %q leads nowhere", pointer)
			}
			obj = v[i]
		default:
			t.Fatalf("pointer %q leads nowhere", pointer)
		}
	}
	return obj
}

// checkFound holds what is true of everything that is ever found.
func checkFound(t testing.TB, obj map[string]any, found []Found) {
	t.Helper()
	places, pointers := map[string]bool{}, map[string]bool{}
	for _, f := range found {
		if f.Place == "" || places[f.Place] {
			t.Errorf("place %q is empty or there twice", f.Place)
		}
		places[f.Place] = true
		if f.Pointer != "" {
			if pointers[f.Pointer] {
				t.Errorf("two things would be written at %s", f.Pointer)
			}
			pointers[f.Pointer] = true
			if got := pointed(t, obj, f.Pointer); got != f.Value {
				t.Errorf("%s: %v stands at %s, want %q", f.Place, got, f.Pointer, f.Value)
			}
		}
		if (f.Problem == "") == f.Reference.Repository.IsZero() {
			t.Errorf("%s: reference %q with problem %q", f.Place, f.Reference, f.Problem)
		}
		if f.URI != "" && (f.Problem == "" || f.URI != f.Text) {
			t.Errorf("%s: URI %q of %q, problem %q", f.Place, f.URI, f.Text, f.Problem)
		}
		if f.Problem != "" {
			if f.Pinned(digest) != "" {
				t.Errorf("%s: what is no reference is pinned", f.Place)
			}
			continue
		}
		if f.Reference.Tag == "" && f.Reference.Digest.IsZero() {
			t.Errorf("%s: %s names nothing", f.Place, f.Reference)
		}
		if again, err := attest.ParseReference(f.Reference.String()); err != nil || again != f.Reference {
			t.Errorf("%s: %s reads back as %s, %v", f.Place, f.Reference, again, err)
		}
		checkPinned(t, obj, f)
	}
}

// checkPinned writes what is to be written, and reads the object again.
func checkPinned(t testing.TB, obj map[string]any, f Found) {
	t.Helper()
	if got := f.Pinned(attest.Digest{}); got != "" {
		t.Errorf("%s: pinned to no digest: %q", f.Place, got)
	}
	pinned := f.Pinned(digest)
	if f.Pointer == "" {
		if pinned != "" {
			t.Errorf("%s cannot be replaced, and is: %q", f.Place, pinned)
		}
		return
	}
	g, ok := Found{}, false
	for _, by := range []reader{kubelet, stranger} {
		g = part(node{value: pinned, pointer: f.Pointer}, f.before, strings.TrimSuffix(strings.TrimPrefix(pinned, f.before), f.after), f.after, by)
		ok = ok || g.Problem == "" && g.Reference == attest.Reference{Repository: f.Reference.Repository, Digest: digest} && g.Value == pinned
	}
	if !ok {
		t.Errorf("%s: %q pins %s, and reads as %s, %s", f.Place, pinned, f.Reference, g.Reference, g.Problem)
	}
	if !strings.HasPrefix(pinned, f.before+f.Prefix) || !strings.HasSuffix(pinned, f.after) {
		t.Errorf("%s: %q does not keep what stands around %q", f.Place, pinned, f.Text)
	}
}

func TestFind(t *testing.T) {
	options := Options{Environments: []string{"MODEL", "BASE_MODEL"}, Annotations: []string{"acme.example/model"}}
	for _, tt := range []struct{ name, object, want string }{
		{"pod", `
apiVersion: v1
kind: Pod
metadata:
  name: credit
  annotations: {acme.example/model: "registry.example/credit:7", other: "registry.example/other:1"}
spec:
  initContainers:
  - {name: fetch, image: "ghcr.io/oras:1", command: [oras, pull], args: ["--to=/m", "oci://registry.example/credit:7"]}
  containers:
  - name: scoring
    image: vllm/vllm-openai:v0.11@DIGEST
    args: ["--model=oci://registry.example/credit@DIGEST", "--listen=https://0.0.0.0:8080", "--cache=s3://acme/cache"]
    env:
    - {name: MODEL, value: "registry.example/credit:7"}
    - {name: TOKENIZER, value: "hf://acme/tok"}
    - {name: MODE, value: "fast"}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}
    livenessProbe: {exec: {command: [check, "oci://registry.example/probe:1"]}}
    lifecycle: {postStart: {exec: {command: [warm, "gs://acme/m"]}}}
  ephemeralContainers:
  - {name: debug, image: busybox}
  volumes:
  - {name: weights, image: {reference: "registry.example:5000/credit/weights:7"}}
  - {name: packed, csi: {driver: model.csi.modelpack.org, volumeAttributes: {model.csi.modelpack.org/reference: "registry.example/credit:8"}}}
  - {name: layered, csi: {driver: container-image.csi.k8s.io, volumeAttributes: {image: "acme/credit", secret: x}}}
  - {name: bucket, csi: {driver: s3.csi.example, volumeAttributes: {from: "s3://acme/models"}}}
  - {name: scratch, emptyDir: {}}
`, `spec.initContainers[fetch].image: ghcr.io/oras:1
spec.initContainers[fetch].args[#1]: registry.example/credit:7
spec.containers[scoring].image: docker.io/vllm/vllm-openai:v0.11@DIGEST
spec.containers[scoring].args[#0]: registry.example/credit@DIGEST
spec.containers[scoring].args[#2]: URI s3://acme/cache
spec.containers[scoring].livenessProbe.exec.command[#1]: registry.example/probe:1
spec.containers[scoring].lifecycle.postStart.exec.command[#1]: URI gs://acme/m
spec.containers[scoring].env[MODEL]: registry.example/credit:7
spec.containers[scoring].env[TOKENIZER]: URI hf://acme/tok
spec.ephemeralContainers[debug].image: docker.io/library/busybox:latest
spec.volumes[weights].image.reference: registry.example:5000/credit/weights:7
spec.volumes[packed].csi.volumeAttributes[model.csi.modelpack.org/reference]: registry.example/credit:8
spec.volumes[layered].csi.volumeAttributes[image]: docker.io/acme/credit:latest
spec.volumes[bucket].csi.volumeAttributes[from]: URI s3://acme/models
metadata.annotations[acme.example/model]: registry.example/credit:7
`},
		{"deployment", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: credit}
spec:
  template:
    metadata: {annotations: {acme.example/model: "registry.example/credit"}}
    spec:
      containers:
      - name: scoring
        image: registry.example/vllm:1
        env: [{name: MODEL, valueFrom: {configMapKeyRef: {name: c, key: k}}}]
        envFrom: [{configMapRef: {name: all}}, {prefix: X_, secretRef: {name: s}}]
`, `spec.template.metadata.annotations[acme.example/model]: ! has neither a tag nor a digest
spec.template.spec.containers[scoring].image: registry.example/vllm:1
spec.template.spec.containers[scoring].env[MODEL]: ! takes its value from elsewhere, where it cannot be read
spec.template.spec.containers[scoring].envFrom[#0]: ! may set BASE_MODEL to what stands elsewhere and cannot be read
`},
		{"variables that are set here, whatever comes from elsewhere", `
apiVersion: v1
kind: Pod
spec:
  containers:
  - name: a
    env: [{name: MODEL, value: "registry.example/a:1"}, {name: BASE_MODEL, value: ""}]
    envFrom: [{configMapRef: {name: all}}]
`, "spec.containers[a].env[MODEL]: registry.example/a:1\n"},
		{"cron job", `
apiVersion: batch/v1
kind: CronJob
spec:
  jobTemplate:
    metadata: {annotations: {acme.example/model: "registry.example/credit:1"}}
    spec: {template: {spec: {containers: [{name: batch, image: "registry.example/batch:1"}]}}}
`, `spec.jobTemplate.metadata.annotations[acme.example/model]: registry.example/credit:1
spec.jobTemplate.spec.template.spec.containers[batch].image: registry.example/batch:1
`},
		{"pod template", `
apiVersion: v1
kind: PodTemplate
template: {spec: {containers: [{name: a, image: "registry.example/a:1"}]}}
`, "template.spec.containers[a].image: registry.example/a:1\n"},
		{"inference service", `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: credit}
spec:
  predictor:
    annotations: {internal.serving.kserve.io/storage-initializer-sourceuri: "oci://registry.example/other:1"}
    model: {modelFormat: {name: huggingface}, storageUri: "oci://registry.example/credit:7", args: ["--adapter=hf://acme/lora"]}
    workerSpec: {containers: [{name: worker-container, image: "registry.example/worker:1"}]}
    storageUris: [{uri: "oci://registry.example/base:1", mountPath: /mnt/base}, {uri: "pvc://claim/m", mountPath: /mnt/pvc}]
    logger: {url: "https://log.example", storage: {path: logs, key: s}}
  transformer:
    containers: [{name: kserve-container, image: "registry.example/tf:1", env: [{name: STORAGE_URI, value: "https://models.example/m.tar"}]}]
  explainer:
    art: {type: SquareAttack, storageUri: "gs://acme/art"}
`, `spec.predictor.annotations[internal.serving.kserve.io/storage-initializer-sourceuri]: registry.example/other:1
spec.predictor.workerSpec.containers[worker-container].image: registry.example/worker:1
spec.predictor.storageUris[/mnt/base].uri: registry.example/base:1
spec.predictor.storageUris[/mnt/pvc].uri: URI pvc://claim/m
spec.predictor.model.args[#0]: URI hf://acme/lora
spec.predictor.model.storageUri: registry.example/credit:7
spec.transformer.containers[kserve-container].image: registry.example/tf:1
spec.transformer.containers[kserve-container].env[STORAGE_URI]: URI https://models.example/m.tar
spec.explainer.art.storageUri: URI gs://acme/art
`},
		{"inference service, old form and storage key", `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec: {predictor: {sklearn: {image: "registry.example/sk:1", storage: {key: minio, path: "s3://acme/models"}}, mlserver9: {storageUri: "oci://registry.example/new:1"}}}
`, `spec.predictor.mlserver9.storageUri: registry.example/new:1
spec.predictor.sklearn.image: registry.example/sk:1
spec.predictor.sklearn.storage: ! names a path in a store that a Secret chooses
`},
		{"serving runtime", `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
spec:
  containers: [{name: kserve-container, image: "registry.example/hf:1", args: ["--model_dir=oci://{{.Name}}/m"]}]
  workerSpec: {containers: [{name: w, image: "registry.example/w:1"}]}
  builtInAdapter: {env: [{name: A, value: "oci://registry.example/a:1"}]}
`, `spec.containers[kserve-container].image: registry.example/hf:1
spec.containers[kserve-container].args[#0]: ! is put together later
spec.workerSpec.containers[w].image: registry.example/w:1
spec.builtInAdapter.env[A]: registry.example/a:1
`},
		{"LLM inference service", `
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
spec:
  model: {uri: "oci://registry.example/llama:1", lora: {adapters: [{name: fraud, uri: "hf://acme/fraud"}, {name: fraud, uri: "oci://registry.example/evil:1"}]}}
  template: {containers: [{name: main, image: "registry.example/vllm:1"}]}
  worker: {containers: [{name: main, image: "registry.example/vllm:2"}]}
  prefill: {template: {containers: [{name: main, image: "registry.example/vllm:3"}]}}
  router: {scheduler: {template: {containers: [{name: main, image: "registry.example/epp:1"}]}}}
`, `spec.model.uri: registry.example/llama:1
spec.model.lora.adapters[fraud].uri: URI hf://acme/fraud
spec.model.lora.adapters[#1].uri: registry.example/evil:1
spec.template.containers[main].image: registry.example/vllm:1
spec.worker.containers[main].image: registry.example/vllm:2
spec.prefill.template.containers[main].image: registry.example/vllm:3
spec.router.scheduler.template.containers[main].image: registry.example/epp:1
`},
		{"trained model", "{apiVersion: serving.kserve.io/v1alpha1, kind: TrainedModel, spec: {model: {storageUri: 'oci://acme/credit'}}}",
			"spec.model.storageUri: docker.io/acme/credit:latest\n"},
		{"model caches", "{apiVersion: serving.kserve.io/v1alpha1, kind: LocalModelCache, spec: {sourceModelUri: 'oci://registry.example/credit:1'}}",
			"spec.sourceModelUri: registry.example/credit:1\n"},
		{"model nodes", "{apiVersion: serving.kserve.io/v1alpha1, kind: LocalModelNode, spec: {localModels: [{modelName: credit, sourceModelUri: 'oci://registry.example/credit:1'}]}}",
			"spec.localModels[credit].sourceModelUri: registry.example/credit:1\n"},
		{"storage container", "{apiVersion: serving.kserve.io/v1alpha1, kind: ClusterStorageContainer, spec: {container: {name: s, image: 'registry.example/init:1'}}}",
			"spec.container.image: registry.example/init:1\n"},
		{"scale", "{apiVersion: autoscaling/v1, kind: Scale, spec: {replicas: 3}}", ""},
		{"no image yet", "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{name: a, image: ''}, {name: b}, {name: c, image: null}], volumes: [{name: v, image: {}}]}}}}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj, gvk := object(t, tt.object)
			found, known, err := table(t).Find(obj, gvk, options)
			if err != nil || !known {
				t.Fatalf("known %v, %v", known, err)
			}
			if diff := cmp.Diff(tt.want, show(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkFound(t, obj, found)
			for _, f := range found {
				kserve := gvk.Group == kserveGroup && gvk.Kind != "ServingRuntime" && gvk.Kind != "ClusterStorageContainer"
				if want := gvk.Kind == "Pod" || kserve; f.Runs != want {
					t.Errorf("%s: runs %v, want %v", f.Place, f.Runs, want)
				}
			}
		})
	}
}

func TestUnknownKinds(t *testing.T) {
	for _, gvk := range []schema.GroupVersionKind{
		{},
		gvk("", "v2", "Pod"),
		gvk("core", "v1", "Pod"),
		gvk("apps", "v1beta1", "Deployment"),
		gvk("serving.kserve.io", "v1alpha2", "LLMInferenceService"),
		gvk("evil.example", "v1", "Pod"),
		gvk("", "v1", "ConfigMap"),
	} {
		obj := map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": "x"}}}}
		if found, known, err := table(t).Find(obj, gvk, Options{}); known || len(found) > 0 || err != nil {
			t.Errorf("%v: known %v, found %v, %v", gvk, known, found, err)
		}
	}
	if _, known, _ := (*Table)(nil).Find(nil, gvk("", "v1", "Pod"), Options{}); known {
		t.Error("the nil table knows a kind")
	}
}

func TestNamedPlacesKeepTheirNames(t *testing.T) {
	const a, b = `{name: a, image: "registry.example/a:1"}`, `{name: b, image: "registry.example/b:1", env: [{name: Y, value: "oci://r.example/y:1"}, {name: X, value: "oci://r.example/x:1"}]}`
	places := func(containers string) map[string]string {
		obj, gvk := object(t, "{apiVersion: v1, kind: Pod, spec: {containers: ["+containers+"]}}")
		found, _, err := table(t).Find(obj, gvk, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkFound(t, obj, found)
		out := map[string]string{}
		for _, f := range found {
			out[f.Place] = f.Text
		}
		return out
	}
	want := places(a + "," + b)
	if diff := cmp.Diff(want, places(b+","+a)); diff != "" {
		t.Errorf("another order, other places:\n%s", diff)
	}
	// A second container of a name is not the first one, in whatever order they come.
	evil := strings.Replace(a, "registry.example/a:1", "evil.example/a:1", 1)
	for _, containers := range []string{a + "," + evil, evil + "," + a} {
		got := places(containers)
		if len(got) != 2 {
			t.Errorf("of %s: %v", containers, got)
		}
		same := 0
		for place, text := range got {
			if want[place] == text {
				same++
			}
			if text == "evil.example/a:1" && want[place] == text {
				t.Errorf("%s stands where a known one stood", text)
			}
		}
		if same > 1 {
			t.Errorf("of %s, %d are taken for known", containers, same)
		}
	}
}

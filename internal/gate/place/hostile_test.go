package place

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
)

// What is not what it should be is found as a problem where it stands: nothing that was
// not read is passed over.
func TestWrongTypesAreProblems(t *testing.T) {
	wrong := map[string]string{"a text": `"x"`, "a number": `7`, "true or false": `true`, "an object": `{"x":"y"}`, "a list": `[1]`, "nothing": `null`}
	for _, tt := range []struct{ kind, object, place, right string }{
		{"v1/Pod", `{"spec":%s}`, "spec", "an object"},
		{"v1/Pod", `{"metadata":%s}`, "metadata", "an object"},
		{"v1/Pod", `{"metadata":{"annotations":%s}}`, "metadata.annotations", "an object"},
		{"v1/Pod", `{"metadata":{"annotations":{"m":%s}}}`, "metadata.annotations[m]", "a text"},
		{"v1/Pod", `{"spec":{"containers":%s}}`, "spec.containers", "a list"},
		{"v1/Pod", `{"spec":{"initContainers":%s}}`, "spec.initContainers", "a list"},
		{"v1/Pod", `{"spec":{"ephemeralContainers":%s}}`, "spec.ephemeralContainers", "a list"},
		{"v1/Pod", `{"spec":{"volumes":%s}}`, "spec.volumes", "a list"},
		{"v1/Pod", `{"spec":{"volumes":[%s]}}`, "spec.volumes[#0]", "an object"},
		{"v1/Pod", `{"spec":{"volumes":[{"name":"v","image":%s}]}}`, "spec.volumes[v].image", "an object"},
		{"v1/Pod", `{"spec":{"volumes":[{"name":"v","image":{"reference":%s}}]}}`, "spec.volumes[v].image.reference", "a text"},
		{"v1/Pod", `{"spec":{"volumes":[{"name":"v","csi":%s}]}}`, "spec.volumes[v].csi", "an object"},
		{"v1/Pod", `{"spec":{"volumes":[{"name":"v","csi":{"volumeAttributes":%s}}]}}`, "spec.volumes[v].csi.volumeAttributes", "an object"},
		{"v1/Pod", `{"spec":{"containers":[%s]}}`, "spec.containers[#0]", "an object"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","image":%s}]}}`, "spec.containers[c].image", "a text"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","args":%s}]}}`, "spec.containers[c].args", "a list"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","args":[%s]}]}}`, "spec.containers[c].args[#0]", "a text"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","command":%s}]}}`, "spec.containers[c].command", "a list"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","env":%s}]}}`, "spec.containers[c].env", "a list"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","env":[%s]}]}}`, "spec.containers[c].env[#0]", "an object"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","env":[{"name":"E","value":%s}]}]}}`, "spec.containers[c].env[E]", "a text"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","envFrom":%s}]}}`, "spec.containers[c].envFrom", "a list"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","lifecycle":%s}]}}`, "spec.containers[c].lifecycle", "an object"},
		{"v1/Pod", `{"spec":{"containers":[{"name":"c","startupProbe":{"exec":%s}}]}}`, "spec.containers[c].startupProbe.exec", "an object"},
		{"apps/v1/Deployment", `{"spec":%s}`, "spec", "an object"},
		{"apps/v1/Deployment", `{"spec":{"template":%s}}`, "spec.template", "an object"},
		{"batch/v1/CronJob", `{"spec":{"jobTemplate":%s}}`, "spec.jobTemplate", "an object"},
		{"serving.kserve.io/v1beta1/InferenceService", `{"spec":{"predictor":%s}}`, "spec.predictor", "an object"},
		{"serving.kserve.io/v1beta1/InferenceService", `{"spec":{"predictor":{"sklearn":%s}}}`, "spec.predictor.sklearn", "an object"},
		{"serving.kserve.io/v1beta1/InferenceService", `{"spec":{"predictor":{"model":{"storageUri":%s}}}}`, "spec.predictor.model.storageUri", "a text"},
		{"serving.kserve.io/v1beta1/InferenceService", `{"spec":{"predictor":{"storageUris":%s}}}`, "spec.predictor.storageUris", "a list"},
		{"serving.kserve.io/v1beta1/InferenceService", `{"spec":{"predictor":{"storageUris":[%s]}}}`, "spec.predictor.storageUris[#0]", "an object"},
		{"serving.kserve.io/v1alpha1/LLMInferenceService", `{"spec":{"model":{"lora":%s}}}`, "spec.model.lora", "an object"},
		{"serving.kserve.io/v1alpha1/LLMInferenceService", `{"spec":{"model":{"lora":{"adapters":%s}}}}`, "spec.model.lora.adapters", "a list"},
		{"serving.kserve.io/v1alpha1/LocalModelNode", `{"spec":{"localModels":%s}}`, "spec.localModels", "a list"},
	} {
		i := strings.LastIndexByte(tt.kind, '/')
		for shape, value := range wrong {
			if shape == tt.right {
				continue
			}
			var obj map[string]any
			if err := json.Unmarshal(fmt.Appendf(nil, tt.object, value), &obj); err != nil {
				t.Fatal(err)
			}
			obj["apiVersion"], obj["kind"] = tt.kind[:i], tt.kind[i+1:]
			found, known, err := table(t).Find(obj, kindOf(obj), Options{Annotations: []string{"m"}, Environments: []string{"M"}})
			if !known || err != nil {
				t.Fatalf("%s: known %v, %v", tt.object, known, err)
			}
			if shape == "nothing" {
				if len(found) > 0 {
					t.Errorf("%s: of nothing, %s", tt.place, show(found))
				}
				continue
			}
			want := fmt.Sprintf("%s: ! cannot be read: it is %s where %s belongs\n", tt.place, shape, tt.right)
			if got := show(found); got != want {
				t.Errorf("%s with %s:\n%swant\n%s", tt.object, value, got, want)
			}
			checkFound(t, obj, found)
		}
	}
}

func TestHostilePods(t *testing.T) {
	pod := func(container map[string]any) map[string]any {
		return map[string]any{"spec": map[string]any{"containers": []any{container}}}
	}
	var many []any
	for i := range maxFound + 1 {
		many = append(many, map[string]any{"name": fmt.Sprint("c", i), "image": "registry.example/a:1"})
	}
	for _, tt := range []struct {
		name  string
		obj   map[string]any
		want  string
		limit bool
	}{
		{"name of another place", map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "a].image: x\nspec.containers[b", "image": "registry.example/a:1"},
			map[string]any{"name": "#0", "image": "registry.example/b:1"},
			map[string]any{"name": "", "image": "registry.example/c:1"},
			map[string]any{"name": 7.0, "image": "registry.example/d:1"},
			map[string]any{"image": "registry.example/e:1"},
			map[string]any{"name": strings.Repeat("a", 1<<20), "image": "registry.example/f:1"},
		}}}, `spec.containers[#0].image: registry.example/a:1
spec.containers[#1].image: registry.example/b:1
spec.containers[#2].image: registry.example/c:1
spec.containers[#3].image: registry.example/d:1
spec.containers[#4].image: registry.example/e:1
spec.containers[#5].image: registry.example/f:1
`, false},
		{"one variable twice", pod(map[string]any{"name": "a", "env": []any{
			map[string]any{"name": "MODEL", "value": "registry.example/a:1"},
			map[string]any{"name": "MODEL", "value": "evil.example/a:1"},
		}}), "spec.containers[a].env[MODEL]: registry.example/a:1\nspec.containers[a].env[#1]: evil.example/a:1\n", false},
		{"annotations with newlines", map[string]any{"metadata": map[string]any{"annotations": map[string]any{
			"m\nn": "registry.example/a:1", "internal.serving.kserve.io/storage-initializer-sourceuri": "oci://evil.example/a:1\n",
		}}}, "metadata.annotations[internal.serving.kserve.io/storage-initializer-sourceuri]: ! is no reference: has spaces around it\nmetadata.annotations[#1]: registry.example/a:1\n", false},
		{"a variable of 1 MB", pod(map[string]any{"name": "a", "env": []any{map[string]any{"name": "X", "value": strings.Repeat("x", 1<<20-40) + " oci://registry.example/a:1"}}}),
			"spec.containers[a].env[X]: registry.example/a:1\n", false},
		{"a variable of more", pod(map[string]any{"name": "a", "env": []any{map[string]any{"name": "X", "value": strings.Repeat("x", 1<<20+1)}}}), "", true},
		{"a variable of URIs", pod(map[string]any{"name": "a", "env": []any{map[string]any{"name": "X", "value": strings.Repeat("oci://a.b/c:1 ", maxFound+1)}}}), "", true},
		{"a variable of other URIs", pod(map[string]any{"name": "a", "env": []any{map[string]any{"name": "X", "value": strings.Repeat("x://", 3*maxFound) + " oci://registry.example/a:1"}}}),
			"spec.containers[a].env[X]: registry.example/a:1\n", false},
		{"many containers", map[string]any{"spec": map[string]any{"containers": many}}, "", true},
		{"as many as there may be", map[string]any{"spec": map[string]any{"containers": many[:maxFound]}}, "-", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, known, err := table(t).Find(tt.obj, gvk("", "v1", "Pod"), Options{Environments: []string{"MODEL"}, Annotations: []string{"m\nn"}})
			if tt.limit {
				if attest.RefusalCode(err) != attest.CodeLimit || found != nil || !known {
					t.Fatalf("found %d, known %v, %v", len(found), known, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := show(found); tt.want != "-" && got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
			checkFound(t, tt.obj, found)
		})
	}
}

func TestNestedAdapters(t *testing.T) {
	nested := func(depth int) map[string]any {
		m := map[string]any{"uri": "oci://evil.example/m:1"}
		for range depth {
			m = map[string]any{"lora": map[string]any{"adapters": []any{m}}}
		}
		return map[string]any{"spec": map[string]any{"model": m}}
	}
	llm := gvk(kserveGroup, "v1alpha1", "LLMInferenceService")
	if found, _, err := table(t).Find(nested(3), llm, Options{}); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if _, _, err := table(t).Find(nested(100_000), llm, Options{}); attest.RefusalCode(err) != attest.CodeLimit {
		t.Errorf("without end: %v", err)
	}
}

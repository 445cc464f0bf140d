package kube

import (
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// testKServe deploys by KServe's objects, whose schema is KServe's own.
func (w *world) testKServe(t *testing.T) {
	define(t, w.cluster, kserve(t))
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	services := w.served(t, prod, schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"})
	runtimes := w.served(t, prod, schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1alpha1", Resource: "servingruntimes"})
	service := func(name, uri string) *unstructured.Unstructured {
		return objects(t, `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: `+name+`}
spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storageUri: "`+uri+`"
`)[0]
	}
	stored, err := services.Create(ctx, service("good", "oci://"+w.good.tag), strict)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := field(stored, "spec", "predictor", "model", "storageUri"), "oci://"+w.good.pinned; got != want {
		t.Errorf("storageUri is %s, want %s", got, want)
	}
	_, err = services.Create(ctx, service("bare", "oci://"+w.bare.pinned), strict)
	refused(t, err, http.StatusForbidden, w.bare.pinned, "storageUri")
	_, err = services.Create(ctx, service("bucket", "s3://acme-models/credit"), strict)
	refused(t, err, http.StatusForbidden, "s3://acme-models/credit")
	_, err = services.Patch(ctx, "good", types.MergePatchType, []byte(`{"spec":{"predictor":{"model":{"storageUri":"oci://`+w.bare.pinned+`"}}}}`), metav1.PatchOptions{})
	refused(t, err, http.StatusForbidden, w.bare.pinned)
	if _, err := services.Patch(ctx, "good", types.MergePatchType, []byte(`{"metadata":{"labels":{"seen":"yes"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("a label: %v", err)
	}

	runtime := func(name, image string) *unstructured.Unstructured {
		return objects(t, `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: `+name+`}
spec:
  supportedModelFormats: [{name: sklearn, version: "1", autoSelect: true}]
  containers:
    - {name: kserve-container, image: "`+image+`"}
`)[0]
	}
	stored, err = runtimes.Create(ctx, runtime("good", w.good.tag), strict)
	if err != nil {
		t.Fatal(err)
	}
	containers, _, _ := unstructured.NestedSlice(stored.Object, "spec", "containers")
	// A runtime is what pods are made from, like a Deployment: judged here, pinned there.
	if got := containers[0].(map[string]any)["image"]; got != w.good.tag {
		t.Errorf("the runtime's image is %v", got)
	}
	_, err = runtimes.Create(ctx, runtime("bare", w.bare.pinned), strict)
	refused(t, err, http.StatusForbidden, w.bare.pinned)
}

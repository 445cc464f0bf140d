package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	// Resource definitions are files of these modules; the packages have no imports of
	// their own.
	_ "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	_ "github.com/kserve/kserve/pkg/types"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// module returns the folder of a module that go.mod requires.
func module(t testing.TB, path string) string {
	t.Helper()
	said, err := exec.Command("go", "mod", "download", "-json", path).Output()
	if err == nil {
		var m struct{ Dir string }
		if err = json.Unmarshal(said, &m); err == nil {
			return m.Dir
		}
	}
	t.Fatalf("%s: %v: %s", path, err, said)
	return ""
}

// kserve are the resource definitions of KServe that the tests use, with every field:
// together they are a megabyte, and it takes the API server seconds to read that.
func kserve(t testing.TB) []string {
	dir := filepath.Join(module(t, "github.com/kserve/kserve"), "config", "crd", "full")
	return []string{filepath.Join(dir, "*_inferenceservices.yaml"), filepath.Join(dir, "*.io_servingruntimes.yaml")}
}

// llm is the definition of KServe's LLMInferenceService.
func llm(t testing.TB) []string {
	return []string{filepath.Join(module(t, "github.com/kserve/kserve"), "config", "crd", "full", "llmisvc", "*_llminferenceservices.yaml")}
}

// certManager are the resource definitions of cert-manager.
func certManager(t testing.TB) []string {
	return []string{filepath.Join(module(t, "github.com/cert-manager/cert-manager"), "deploy", "crds", "*.yaml")}
}

// define installs resource definitions from files, and waits until they are served.
func define(t testing.TB, c *cluster.Cluster, patterns []string) {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			all = append(all, documents(t, file)...)
		}
	}
	defineObjects(t, c, all)
}

// defineObjects installs those of all that are resource definitions. What would convert
// between their versions is not here, so it is taken out.
func defineObjects(t testing.TB, c *cluster.Cluster, all []*unstructured.Unstructured) {
	t.Helper()
	ctx := within(t)
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	api := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	var names []string
	for _, o := range all {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		unstructured.RemoveNestedField(o.Object, "spec", "conversion")
		unstructured.RemoveNestedField(o.Object, "status")
		applyTo(t, ctx, api, o)
		names = append(names, o.GetName())
	}
	for _, name := range names {
		eventually(t, name+" is served", func() bool {
			o, err := api.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false
			}
			conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			for _, c := range conditions {
				if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
					return true
				}
			}
			return false
		})
	}
}

// documents reads all objects of a YAML file.
func documents(t testing.TB, file string) []*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(content))
}

// objects reads all objects of a YAML text.
func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, bytes.TrimSpace([]byte(text)))
		}
		if o.Object != nil {
			out = append(out, o)
		}
	}
}

// applyTo applies an object as kubectl apply --server-side --validate=strict does.
func applyTo(t testing.TB, ctx context.Context, api dynamic.ResourceInterface, o *unstructured.Unstructured) {
	t.Helper()
	b, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Patch(ctx, o.GetName(), types.ApplyPatchType, b, metav1.PatchOptions{FieldManager: "test", Force: ptr.To(true), FieldValidation: metav1.FieldValidationStrict}); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

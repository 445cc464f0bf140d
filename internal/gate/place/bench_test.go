package place

import (
	"strings"
	"testing"
)

func BenchmarkFind(b *testing.B) {
	pod, gvk := object(b, `
apiVersion: v1
kind: Pod
metadata: {name: credit, annotations: {a: b, c: d}}
spec:
  initContainers: [{name: fetch, image: "ghcr.io/oras:1", args: ["oci://registry.example/credit:7"]}]
  containers: [{name: scoring, image: "vllm/vllm-openai:v0.11", args: ["--model=/m"], env: [{name: A, value: b}, {name: C, value: d}]}]
  volumes: [{name: weights, image: {reference: "registry.example/credit@DIGEST"}}]
`)
	long := func(text string) map[string]any {
		return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"args": []any{strings.Repeat(text, maxText/len(text))}}}}}
	}
	for _, tt := range []struct {
		name string
		obj  map[string]any
	}{{"pod", pod}, {"1MiB of marks", long("://")}, {"1MiB of letters", long("a")}, {"1MiB of URIs", long("oci://a.b/c:1 ")}} {
		b.Run(tt.name, func(b *testing.B) {
			tab := table(b)
			for b.Loop() {
				_, _, _ = tab.Find(tt.obj, gvk, Options{})
			}
		})
	}
}

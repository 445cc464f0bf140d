package place

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// FuzzFind gives any JSON object to every kind: nothing panics, what is found reads back,
// a text written back pins the repository that was read, and the object stays as it was.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{"containers":[{"name":"a","image":"credit","args":["--model=oci://r.example/m:1"],"env":[{"name":"M","value":"r.example/m:1"}]}],"volumes":[{"name":"v","image":{"reference":"r.example/w"}}]}}`,
		`{"metadata":{"annotations":{"m":"r.example/m:1","internal.serving.kserve.io/storage-initializer-sourceuri":"oci://x"}},"spec":{"template":{"metadata":{"annotations":{"m":1}},"spec":{"initContainers":[{"image":[1]},{"name":"a"},{"name":"a","image":"a"}]}}}}`,
		`{"spec":{"predictor":{"model":{"storageUri":"oci://r.example/m","storage":{}},"storageUris":[{"uri":"s3://a/b","mountPath":"/m"}],"workerSpec":{"containers":[null]}},"model":{"uri":"hf://a/b","lora":{"adapters":[{"uri":"oci://a"}]}}}}`,
		`{"spec":{"containers":{}},"metadata":[],"template":"x","a/~b":{"image":"x"}}`,
		`{"spec":{"containers":[{"env":[{"value":"oci://a.b/c:1,oci://$(X) {{.N}} oci://"}],"envFrom":[{"prefix":"M"}]}]}}`,
	} {
		f.Add([]byte(seed))
	}
	tab := table(f, gate.Kind{Group: "acme.example", Kind: "Any", Places: []gate.CustomPlace{
		{Name: "images", JSONPath: "$..image"}, {Name: "all", JSONPath: "$.spec.*"}, {Name: "cel", CEL: "object.?spec.?image.orValue('')"},
	}, PodTemplates: []string{"$.spec.*", "$..template"}})
	kinds := append(builtin(), kind{GroupVersionKind: gvk("acme.example", "v1", "Any")})
	options := Options{Environments: []string{"M"}, Annotations: []string{"m"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var obj, before map[string]any
		if json.Unmarshal(b, &obj) != nil || json.Unmarshal(b, &before) != nil {
			t.Skip()
		}
		for _, k := range kinds {
			found, known, err := tab.Find(obj, k.GroupVersionKind, options)
			if !known {
				t.Fatalf("%v is not known", k.GroupVersionKind)
			}
			if code := attest.RefusalCode(err); err != nil && (found != nil || code != attest.CodeLimit && code != attest.CodePlace) {
				t.Fatalf("%v: %d found, %v", k.GroupVersionKind, len(found), err)
			}
			checkFound(t, obj, found)
			again, _, err2 := tab.Find(obj, k.GroupVersionKind, options)
			if !reflect.DeepEqual(found, again) || (err == nil) != (err2 == nil) {
				t.Errorf("%v: found one thing, then another", k.GroupVersionKind)
			}
		}
		Owner(obj)
		if !reflect.DeepEqual(obj, before) {
			t.Error("the object was changed")
		}
	})
}

// FuzzTexts gives any text to what reads texts.
func FuzzTexts(f *testing.F) {
	for _, seed := range []string{"credit", "oci://r.example/m:1@" + digest.String(), "--m=oci://a.b/c:1 x", "s3://a/../b", "OCI://A", "oci://$(", "[::1]:5000/a", "a:1@b", "ocidir:///m:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := node{s, "x", "/x"}
		for _, look := range []func(*walk){
			func(w *walk) { w.image(n) }, func(w *walk) { w.storage(n) }, func(w *walk) { w.scan(n) },
			func(w *walk) { w.named(n, kubelet) }, func(w *walk) { w.named(n, stranger) },
		} {
			w := newWalk(Options{})
			look(w)
			checkFound(t, map[string]any{"x": s}, w.found)
		}
	})
}

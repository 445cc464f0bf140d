package place

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

const server = `
apiVersion: acme.example/v1
kind: ModelServer
metadata: {name: credit, annotations: {m: "registry.example/note:1"}}
spec:
  model: {uri: "oci://registry.example/credit:1", digest: "DIGEST", repository: registry.example/weights}
  predictors:
  - {name: main, image: "registry.example/a:1"}
  - {name: canary, image: "registry.example/b:1"}
  - {name: canary, image: 7}
  "strange key/~1":
    image: "registry.example/c:1"
  pod: {containers: [{name: x, image: "registry.example/x:1"}]}
  template: {metadata: {annotations: {m: "registry.example/note:2"}}, spec: {containers: [{name: y, image: "registry.example/y:1"}]}}
  empty: {}
`

func modelServer(places []gate.CustomPlace, templates ...string) gate.Kind {
	return gate.Kind{Group: "acme.example", Kind: "ModelServer", Places: places, PodTemplates: templates}
}

func path(p string) gate.Kind    { return modelServer([]gate.CustomPlace{{Name: "p", JSONPath: p}}) }
func celExpr(e string) gate.Kind { return modelServer([]gate.CustomPlace{{Name: "c", CEL: e}}) }

func TestCustomKinds(t *testing.T) {
	const note = "metadata.annotations[m]: registry.example/note:1\n"
	for _, tt := range []struct {
		name string
		kind gate.Kind
		want string
	}{
		{"a path", path("$.spec.model.uri"), "spec.model.uri: registry.example/credit:1\n"},
		{"a wildcard", path("$.spec.predictors[*].image"),
			"spec.predictors[main].image: registry.example/a:1\nspec.predictors[canary].image: registry.example/b:1\nspec.predictors[#2].image: ! cannot be read: it is a number where a text belongs\n"},
		{"a filter", path("$.spec.predictors[?(@.name == 'main')].image"), "spec.predictors[main].image: registry.example/a:1\n"},
		{"from the end", path("$.spec.predictors[-2].image"), "spec.predictors[canary].image: registry.example/b:1\n"},
		{"a slice", path("$.spec.predictors[0:1].image"), "spec.predictors[main].image: registry.example/a:1\n"},
		{"the same twice", path("$.spec.model['uri','uri']"), "spec.model.uri: registry.example/credit:1\n"},
		{"strange keys", path("$.spec['strange key/~1'].image"), "spec[#4].image: registry.example/c:1\n"},
		{"everywhere", path("$..image"),
			"spec.pod.containers[x].image: registry.example/x:1\nspec.predictors[main].image: registry.example/a:1\nspec.predictors[canary].image: registry.example/b:1\nspec.predictors[#2].image: ! cannot be read: it is a number where a text belongs\nspec[#4].image: registry.example/c:1\nspec.template.spec.containers[y].image: registry.example/y:1\n"},
		{"an object", path("$.spec.model"), "spec.model: ! cannot be read: it is an object where a text belongs\n"},
		{"nothing", path("$.spec.other"), ""},
		{"templates", modelServer(nil, "$.spec.pod", "$.spec.template", "$.spec.empty", "$.spec.model.uri", "$.spec.none"),
			"spec.pod.containers[x].image: registry.example/x:1\nspec.template.metadata.annotations[m]: registry.example/note:2\nspec.template.spec.containers[y].image: registry.example/y:1\nspec.empty: ! cannot be read: it is neither a pod template nor a pod spec\nspec.model.uri: ! cannot be read: it is a text where an object belongs\n"},
		{"CEL", celExpr("object.spec.model.repository + '@' + object.spec.model.digest"), "cel:c: registry.example/weights@DIGEST (stays)\n"},
		{"CEL, list", celExpr("object.spec.predictors.filter(p, p.name == 'main').map(p, p.image)"), "cel:c[#0]: registry.example/a:1 (stays)\n"},
		{"CEL, optional", celExpr("object.?spec.?other.orValue('')"), ""},
		{"CEL, empty list", celExpr("[]"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj, gvk := object(t, server)
			found, known, err := table(t, tt.kind).Find(obj, gvk, Options{Annotations: []string{"m"}})
			if err != nil || !known {
				t.Fatalf("known %v, %v", known, err)
			}
			if diff := cmp.Diff(note+tt.want, show(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkFound(t, obj, found)
		})
	}
}

func TestBadCustomKinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind gate.Kind
		want string
	}{
		{"no kind", gate.Kind{Group: "acme.example", PodTemplates: []string{"$.a"}}, "no name"},
		{"no places", gate.Kind{Group: "acme.example", Kind: "ModelServer"}, "no places"},
		{"no name", modelServer([]gate.CustomPlace{{JSONPath: "$.a"}}), "needs a name"},
		{"strange name", modelServer([]gate.CustomPlace{{Name: "a\nb", JSONPath: "$.a"}}), "needs a name"},
		{"one name twice", modelServer([]gate.CustomPlace{{Name: "a", JSONPath: "$.a"}, {Name: "a", JSONPath: "$.b"}}), "two places"},
		{"no expression", modelServer([]gate.CustomPlace{{Name: "a"}}), "either"},
		{"two expressions", modelServer([]gate.CustomPlace{{Name: "a", JSONPath: "$.a", CEL: "'x'"}}), "either"},
		{"no path", path("spec.model"), "begin with $"},
		{"bad path", path("$.spec["), "JSONPath"},
		{"bad filter", path("$.spec[?(@.a ==]"), "JSONPath"},
		{"script", path("$.spec[(@.length-1)]"), "JSONPath"},
		{"many descents", path("$..a..b..c"), "more than 2"},
		{"long path", path("$." + strings.Repeat("a", maxPath)), "more than"},
		{"bad template", modelServer(nil, "spec"), "begin with $"},
		{"bad CEL", celExpr("object.spec +"), "Syntax error"},
		{"CEL of another variable", celExpr("request.name"), "undeclared reference"},
		{"CEL of another type", celExpr("1 + 1"), "neither a text"},
		{"CEL of a list of numbers", celExpr("[1]"), "neither a text"},
		{"CEL of a map", celExpr("{'a': 'b'}"), "neither a text"},
	} {
		_, err := New([]gate.Kind{tt.kind})
		if attest.RefusalCode(err) != attest.CodePlace || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCustomKindsThatCannotBeRead(t *testing.T) {
	deep := map[string]any{}
	for range 1000 {
		deep = map[string]any{"a": deep}
	}
	wide := make([]any, maxNodes)
	for _, tt := range []struct {
		name string
		kind gate.Kind
		spec any
		code attest.Code
		want string
	}{
		{"missing field", celExpr("object.spec.model"), map[string]any{}, attest.CodePlace, "no such key"},
		{"another type", celExpr("object.spec"), 7.0, attest.CodePlace, "gives double"},
		{"a list of others", celExpr("object.spec"), []any{"registry.example/a:1", 7.0}, attest.CodePlace, "other things than texts"},
		{"costly", celExpr("object.spec.filter(a, object.spec.exists(b, object.spec.exists(c, a + b + c == '')))"), many(100), attest.CodePlace, "cost limit"},
		{"long text", celExpr("object.spec"), strings.Repeat("x", maxText+1), attest.CodeLimit, "bytes"},
		{"deep", path("$..image"), deep, attest.CodeLimit, "deeper"},
		{"wide", path("$..image"), wide, attest.CodeLimit, "more than"},
		{"many", path("$.spec[*]"), many(maxFound + 1), attest.CodeLimit, "more than"},
	} {
		obj := map[string]any{"spec": tt.spec}
		found, known, err := table(t, tt.kind).Find(obj, gvk("acme.example", "v1", "ModelServer"), Options{})
		if attest.RefusalCode(err) != tt.code || !strings.Contains(err.Error(), tt.want) || found != nil || !known {
			t.Errorf("%s: %d found, known %v, %v", tt.name, len(found), known, err)
		}
	}
}

func many(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = "registry.example/a:1"
	}
	return out
}

func TestCustomVersions(t *testing.T) {
	k := path("$.spec.model.uri")
	k.Versions = []string{"v1", "v2"}
	obj, _ := object(t, server)
	for version, want := range map[string]bool{"v1": true, "v2": true, "v3": false, "": false} {
		found, known, err := table(t, k).Find(obj, gvk(k.Group, version, k.Kind), Options{})
		if known != want || (len(found) > 0) != want || err != nil {
			t.Errorf("%q: known %v, %d found, %v", version, known, len(found), err)
		}
	}
}

// A kind that is known here can be given more places, and loses none.
func TestCustomPlacesOfAKnownKind(t *testing.T) {
	obj, pod := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {annotations: {note: "registry.example/credit:1"}}
spec: {template: {spec: {containers: [{name: a, image: credit, args: ["oci://registry.example/a:1"]}]}}}
`)
	k := gate.Kind{Group: "apps", Kind: "Deployment", Places: []gate.CustomPlace{
		{Name: "note", JSONPath: "$.metadata.annotations.note"},
		{Name: "image", JSONPath: "$..image"},
		{Name: "args", JSONPath: "$..args[*]"},
	}, PodTemplates: []string{"$.spec.template"}}
	found, _, err := table(t, k).Find(obj, pod, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `spec.template.spec.containers[a].image: docker.io/library/credit:latest
spec.template.spec.containers[a].args[#0]: registry.example/a:1
metadata.annotations.note: registry.example/credit:1
`
	if diff := cmp.Diff(want, show(found)); diff != "" {
		t.Error(diff)
	}
	checkFound(t, obj, found)
	for _, f := range found {
		if !f.Runs {
			t.Errorf("%s is read as something that may be started, and does not run", f.Place)
		}
	}
}

// Where two rules read one text differently, both stand and neither is written.
func TestTwoReadingsOfOneText(t *testing.T) {
	obj, pod := object(t, "{apiVersion: v1, kind: Pod, spec: {containers: [{name: a, args: ['--model=oci://registry.example/a:1']}]}}")
	k := gate.Kind{Kind: "Pod", Places: []gate.CustomPlace{{Name: "args", JSONPath: "$..args[*]"}}}
	found, _, err := table(t, k).Find(obj, pod, Options{})
	if err != nil || len(found) != 2 || found[0].Pointer != "" || found[1].Pointer != "" || found[1].Problem == "" {
		t.Errorf("%+v, %v", found, err)
	}
	checkFound(t, obj, found)
}

func TestPanicsRefuse(t *testing.T) {
	tab := table(t)
	tab.kinds[gvk("", "v1", "Pod")] = kind{at: []at{{"spec", form{"panic", func(*walk, node) { panic("a bug") }}}}}
	found, _, err := tab.Find(map[string]any{"spec": map[string]any{}}, gvk("", "v1", "Pod"), Options{})
	var r *attest.Refusal
	if !errors.As(err, &r) || r.Code != attest.CodeInternal || found != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestOneTableServesMany(t *testing.T) {
	tab := table(t, modelServer([]gate.CustomPlace{{Name: "p", JSONPath: "$..[?(@.name == 'main')].image"}, {Name: "c", CEL: "object.spec.model.uri"}}, "$.spec.pod"))
	obj, gvk := object(t, server)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if found, _, err := tab.Find(obj, gvk, Options{}); err != nil || len(found) != 3 {
					t.Errorf("%s, %v", show(found), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

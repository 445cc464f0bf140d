package place

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// suspicious are names of fields that may name a model or an image.
var suspicious = regexp.MustCompile(`(?i)(image|reference|ur[il]s?|artifact|model|command|args|storage|repository|digest)$`)

// leaves visits the texts below a type that are suspicious, and all in maps, by their JSON
// path, with [] for elements of lists and {} for members of maps.
func leaves(typ reflect.Type, path string, within []reflect.Type, visit func(path string)) {
	switch typ.Kind() {
	case reflect.Pointer:
		leaves(typ.Elem(), path, within, visit)
	case reflect.Slice:
		leaves(typ.Elem(), path+"[]", within, visit)
	case reflect.Map:
		leaves(typ.Elem(), path+"{}", within, visit)
	case reflect.String:
		name := strings.Trim(path[strings.LastIndexByte(path, '.')+1:], "[]{}")
		if suspicious.MatchString(name) || strings.HasSuffix(path, ".env[].value") || strings.HasSuffix(path, "{}") {
			visit(path)
		}
	case reflect.Struct:
		if slices.Contains(within, typ) {
			return
		}
		within = append(slices.Clone(within), typ)
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() {
				continue
			}
			if name == "" {
				leaves(f.Type, path, within, visit)
			} else {
				leaves(f.Type, path+"."+name, within, visit)
			}
		}
	}
}

// planted returns an object that holds text at the path, and nothing else.
func planted(path, text string) (obj map[string]any, pointer string) {
	var value any = text
	tokens := regexp.MustCompile(`\.[^.\[{]+|\[\]|\{\}`).FindAllString(path, -1)
	for _, token := range slices.Backward(tokens) {
		switch token {
		case "[]":
			value, pointer = []any{value}, "/0"+pointer
		case "{}":
			value, pointer = map[string]any{"k": value}, "/k"+pointer
		default:
			value, pointer = map[string]any{token[1:]: value}, "/"+token[1:]+pointer
		}
	}
	obj, _ = value.(map[string]any)
	return obj, pointer
}

// sees reports whether what stands at the path is found.
func sees(t testing.TB, tab *Table, gvk schema.GroupVersionKind, path string) bool {
	t.Helper()
	for _, text := range []string{"oci://planted.example/m:1", "planted.example/m:1"} {
		obj, pointer := planted(path, text)
		found, known, err := tab.Find(obj, gvk, Options{})
		if err != nil || !known {
			t.Fatalf("%v %s: known %v, %v", gvk, path, known, err)
		}
		for _, f := range found {
			// A problem about the object around it is seen too: it is refused or accepted.
			if f.Pointer == pointer && f.Text == text || f.Problem != "" && strings.Contains(f.Text, "planted.example") {
				return true
			}
		}
	}
	return false
}

// notInPods are the suspicious texts of a pod that are not looked at, each with its
// reason. docs/gate-places.md repeats them.
func notInPods() map[string]string {
	return map[string]string{
		"volumes[].rbd.image":              "a disk in a Ceph pool, which has no digest",
		"volumes[].azureDisk.diskURI":      "a disk, which has no digest",
		"volumes[].flexVolume.options{}":   "what a driver on the node is told; none is known that mounts artifacts",
		"podCertificate.userAnnotations{}": "what a signer of certificates is told",
		"metadata.annotations{}":           "only those that the configuration lists are read, and KServe's own",
		"metadata.labels{}":                "chooses objects",
		"matchLabels{}":                    "chooses objects",
		"nodeSelector{}":                   "chooses nodes",
		"overhead{}":                       "an amount",
		"resources.limits{}":               "an amount",
		"resources.requests{}":             "an amount",
	}
}

// excuseOf returns the one of reasons that speaks of the path; "" if none does.
func excuseOf(path string, reasons map[string]string) string {
	for suffix := range reasons {
		if strings.HasSuffix(path, suffix) {
			return suffix
		}
	}
	return ""
}

func TestEverySuspiciousFieldOfAPod(t *testing.T) {
	tab, seen, used := table(t), 0, map[string]bool{}
	leaves(reflect.TypeFor[corev1.PodTemplateSpec](), ".spec.template", nil, func(path string) {
		excuse := excuseOf(path, notInPods())
		used[excuse] = true
		switch found := sees(t, tab, gvk("apps", "v1", "Deployment"), path); {
		case found && excuse != "":
			t.Errorf("%s is found, and listed as not looked at", path)
		case found:
			seen++
		case excuse == "":
			t.Errorf("%s may name a model: look at it, or say in notInPods why not", path)
		}
	})
	if seen < 25 {
		t.Errorf("%d fields seen: the test looked at nothing", seen)
	}
	for excuse := range notInPods() {
		if !used[excuse] {
			t.Errorf("%s is listed as not looked at, and is not there", excuse)
		}
	}
}

// notKnown are kinds with a pod in them that the table lacks, each with its reason.
func notKnown(gvk schema.GroupVersionKind) string {
	switch {
	case strings.HasSuffix(gvk.Kind, "List"):
		return "lists are not admitted, their objects are"
	case gvk.Group == "apps" && gvk.Version != "v1", gvk.Group == "extensions", gvk.Group == "batch" && gvk.Version != "v1":
		return "versions that the API server has stopped serving"
	case gvk.Group == "" && gvk.Kind == "PodStatusResult":
		return "nothing in it is a pod's spec"
	}
	return ""
}

// A kind of Kubernetes that has a pod in it is in the table, in every version that is
// served: a new one fails here.
func TestEveryKindWithAPod(t *testing.T) {
	tab, seen := table(t), map[schema.GroupVersionKind]bool{}
	spec := reflect.TypeFor[corev1.PodSpec]()
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if !holds(typ, spec, nil) {
			continue
		}
		_, known := tab.kinds[gvk]
		switch why := notKnown(gvk); {
		case known && why != "":
			t.Errorf("%v is known, and listed as not", gvk)
		case known:
			seen[gvk] = true
		case why == "":
			t.Errorf("%v has a pod in it and is not known", gvk)
		}
	}
	for _, k := range builtinKubernetes() {
		if !seen[k.GroupVersionKind] {
			t.Errorf("%v is known, and Kubernetes has it not, or no pod in it", k.GroupVersionKind)
		}
	}
	for _, k := range builtinNothing() {
		typ := scheme.Scheme.AllKnownTypes()[k.GroupVersionKind]
		if k.Group == kserveGroup {
			continue
		}
		if typ == nil || holds(typ, spec, nil) {
			t.Errorf("%v is listed as naming nothing", k.GroupVersionKind)
		}
	}
}

// Every text of an image that a kind of Kubernetes holds is found, wherever its pod is.
func TestEveryImageOfEveryKind(t *testing.T) {
	tab := table(t)
	for _, k := range builtinKubernetes() {
		seen := 0
		leaves(scheme.Scheme.AllKnownTypes()[k.GroupVersionKind], "", nil, func(path string) {
			if !strings.HasSuffix(path, ".image") && !strings.HasSuffix(path, ".image.reference") || excuseOf(path, notInPods()) != "" {
				return
			}
			if strings.HasPrefix(path, ".status.") {
				return // what the kubelet says it ran
			}
			if !sees(t, tab, k.GroupVersionKind, path) {
				t.Errorf("%v: %s is not found", k.GroupVersionKind, path)
			}
			seen++
		})
		if seen != 4 {
			t.Errorf("%v: %d places of images, want those of three lists of containers, and of volumes", k.GroupVersionKind, seen)
		}
	}
}

func holds(typ, what reflect.Type, within []reflect.Type) bool {
	if typ == what {
		return true
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holds(typ.Elem(), what, within)
	case reflect.Struct:
		if slices.Contains(within, typ) {
			return false
		}
		within = append(slices.Clone(within), typ)
		for i := range typ.NumField() {
			if holds(typ.Field(i).Type, what, within) {
				return true
			}
		}
	}
	return false
}

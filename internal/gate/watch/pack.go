package watch

import (
	"encoding/json"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// A packed object is what is kept of one: who it is, and what of it is looked at, as JSON.
// An object of all maps and strings that the API server sends takes some ten times as much,
// and of the pods of one workload all texts are the same one.
type packed struct {
	namespace, name string
	uid, version    string
	owner           owner
	live            bool
	text            unique.Handle[string]
}

// GetObjectMeta is for the informer, which asks for name, namespace and version.
func (p *packed) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, ResourceVersion: p.version}
}

// pack returns the packing of objects of one resource. What nobody looks at is left out:
// of every object who wrote which field, and, of Kubernetes' own kinds, what names nothing
// and is different in each of a thousand pods. What the configuration has its own
// expressions for (r.whole) is kept.
func pack(r resource) func(any) (any, error) {
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return obj, nil // packed already, or the news that one is gone
		}
		// Lists are sent by some servers without the kind of each.
		u.SetGroupVersionKind(r.Kind)
		p := &packed{namespace: u.GetNamespace(), name: u.GetName(), uid: string(u.GetUID()), version: u.GetResourceVersion(), live: lives(u)}
		p.owner = owner{p.namespace, r.Kind.Kind, p.name}
		if kind, name := place.Owner(u.Object); name != "" {
			p.owner.kind, p.owner.name = kind, name
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
		if !r.whole {
			strip(u)
		}
		b, err := json.Marshal(u.Object)
		if err != nil {
			return nil, err // unreachable: it was JSON
		}
		p.text = unique.Make(string(b))
		return p, nil
	}
}

// unpack returns what was packed, for the caller to change.
func unpack(text unique.Handle[string]) (map[string]any, error) {
	var out map[string]any
	err := json.Unmarshal([]byte(text.Value()), &out)
	return out, err
}

// strip leaves of an object of Kubernetes' own what place.Find reads and started needs,
// and much else: only what is known to name nothing goes.
func strip(u *unstructured.Unstructured) {
	switch u.GroupVersionKind().Group {
	case "", "apps", "batch":
	default:
		return
	}
	meta := map[string]any{}
	if notes := u.GetAnnotations(); len(notes) > 0 {
		delete(notes, "kubectl.kubernetes.io/last-applied-configuration") // the object once more
		all := map[string]any{}
		for k, v := range notes {
			all[k] = v
		}
		meta["annotations"] = all
	}
	u.Object["metadata"] = meta
	status, _ := u.Object["status"].(map[string]any)
	delete(u.Object, "status")
	if u.GetKind() != "Pod" {
		return
	}
	light := map[string]any{}
	for _, k := range []string{"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"} {
		if list, ok := status[k].([]any); ok {
			light[k] = images(list)
		}
	}
	u.Object["status"] = light
	if spec, ok := u.Object["spec"].(map[string]any); ok {
		delete(spec, "nodeName")
		delete(spec, "hostname")
		stripVolumes(spec)
		for _, k := range []string{"containers", "initContainers", "ephemeralContainers"} {
			list, _ := spec[k].([]any)
			for _, c := range list {
				if c, ok := c.(map[string]any); ok {
					delete(c, "volumeMounts")
				}
			}
		}
	}
}

// images leaves of containers' statuses what was started.
func images(statuses []any) []any {
	out := []any{}
	for _, s := range statuses {
		if s, ok := s.(map[string]any); ok {
			out = append(out, map[string]any{"name": s["name"], "imageID": s["imageID"]})
		}
	}
	return out
}

// stripVolumes drops the volumes whose names or claims are each pod's own, unless they
// also have what could name something.
func stripVolumes(spec map[string]any) {
	list, ok := spec["volumes"].([]any)
	if !ok {
		return
	}
	out := []any{}
	for _, v := range list {
		m, ok := v.(map[string]any)
		own := ok && (m["projected"] != nil || m["persistentVolumeClaim"] != nil)
		if !own || m["image"] != nil || m["gitRepo"] != nil || m["csi"] != nil {
			out = append(out, v)
		}
	}
	spec["volumes"] = out
}

// lives reports whether an object runs something, or is what says that something is to
// run. Pods and Jobs that ended don't, nor do the revisions that a Deployment keeps at no
// replicas.
func lives(u *unstructured.Unstructured) bool {
	gk := u.GroupVersionKind().GroupKind().String()
	switch gk {
	case "Pod":
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		return phase != "Succeeded" && phase != "Failed"
	case "ReplicaSet.apps":
		n, found, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "replicas")
		return !found || err != nil || n != int64(0) && n != float64(0)
	case "Job.batch":
		list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range list {
			c, _ := c.(map[string]any)
			if (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True" {
				return false
			}
		}
	}
	return true
}

package admit

import (
	"maps"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// An UPDATE is judged by what it changes. Who takes a finalizer off a pod whose model was
// revoked starts nothing, and to refuse that would keep the pod from going away; what runs
// already is for "gate watch" to report.
//
// So a reference is kept, and not judged again, if the same text stood at the same place
// of the same object before. The place is told by names (container, volume, variable), so
// what was only put in another order is kept, and what was moved to another container, or
// from the init containers to the others, is new: it starts something else than before.
//
// A tag that stays is kept too, also where the rule pins. The pod was let in before the
// rule, or before the gate; to refuse its labels changes nothing about what it runs, and
// to pin it would restart it. A restart of the container may pull the tag anew with or
// without this UPDATE, so nothing is lost here, and the watch reports it.
//
// Whatever is in doubt is new: another uid, name, namespace or kind of oldObject, one that
// is absent, cannot be read, or of which not everything could be found.

// previous returns the object as it was, if the request is an UPDATE of the same object.
func previous(obj *object, req *admissionv1.AdmissionRequest) *object {
	if req.Operation != admissionv1.Update {
		return nil
	}
	was, err := content(req.OldObject)
	if err != nil || was == nil {
		return nil
	}
	old, err := identify(was, req)
	if err != nil || old.uid == "" || old.uid != obj.uid || old.namespace != obj.namespace ||
		text(metadata(was), "name") == "" || text(metadata(was), "name") != text(metadata(obj.content), "name") {
		return nil
	}
	return old
}

// stood returns what an object named before, by place: nothing if that is in doubt.
func stood(table *place.Table, old *object, o place.Options) map[string]place.Found {
	if old == nil {
		return nil
	}
	found, known, err := table.Find(old.content, old.gvk, o)
	if err != nil || !known {
		return nil
	}
	out := make(map[string]place.Found, len(found))
	for _, f := range found {
		out[f.Place] = f
	}
	return out
}

// kept reports whether f stood at its place before: the part that names something, all of
// the text around it, and what reads it.
func kept(before map[string]place.Found, f place.Found) bool {
	b, ok := before[f.Place]
	return ok && b.Text == f.Text && b.Value == f.Value && b.Prefix == f.Prefix && b.Runs == f.Runs &&
		b.Reference == f.Reference && b.URI == f.URI && b.Problem == f.Problem
}

// sameContent reports whether an object of a kind that the gate cannot read is what it
// was but for what cannot name a model: its status, and of its metadata all but the
// annotations. Otherwise the finalizers of such objects could never be taken off.
func sameContent(old, obj *object) bool {
	return old != nil && reflect.DeepEqual(substance(old.content), substance(obj.content))
}

func substance(content map[string]any) map[string]any {
	out := maps.Clone(content)
	delete(out, "status")
	out["metadata"] = metadata(content)["annotations"]
	return out
}

// metadata returns an object's metadata; nil if that is no object.
func metadata(content map[string]any) map[string]any {
	m, _ := content["metadata"].(map[string]any)
	return m
}

package admit

import (
	"cmp"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// object is an object of a review, and who it says it is.
type object struct {
	content map[string]any
	gvk     schema.GroupVersionKind
	// name is what it is called; of one that the API server has not named yet, what its
	// name will begin with.
	name, namespace, uid string
}

func (o *object) isNamespace() bool { return o.gvk.Group == "" && o.gvk.Kind == "Namespace" }

// readRequest checks that a request does not contradict itself, and reads its object,
// which may only be absent from a DELETE. Nothing of this depends on a rule, so what
// fails here is refused in every mode.
func readRequest(req *admissionv1.AdmissionRequest) (*object, error) {
	if !isUID(req.UID) {
		return nil, malformed("the request has no uid that can be repeated")
	}
	switch req.Operation {
	case admissionv1.Delete:
		return nil, nil
	case admissionv1.Create, admissionv1.Update, admissionv1.Connect:
	default:
		return nil, malformed("the operation %q is not known", gate.Clip(string(req.Operation), maxShown))
	}
	found, err := content(req.Object)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, malformed("a %s without an object", req.Operation)
	}
	return identify(found, req)
}

// identify reads who an object says it is, and holds that against the request. Which rule
// governs and how the object is read depend on the request's word; an object of another
// kind or namespace would be judged as what it is not.
func identify(content map[string]any, req *admissionv1.AdmissionRequest) (*object, error) {
	gvk := schema.GroupVersionKind(req.Kind)
	version, kind := text(content, "apiVersion"), text(content, "kind")
	if gvk.Kind == "" || kind != gvk.Kind || version != gvk.GroupVersion().String() {
		return nil, malformed("the object is %s %s, and the request says %s %s", gate.Clip(version, maxShown), gate.Clip(kind, maxShown),
			gate.Clip(gvk.GroupVersion().String(), maxShown), gate.Clip(gvk.Kind, maxShown))
	}
	meta, err := member(content, "metadata")
	if err != nil {
		return nil, err
	}
	o := &object{content: content, gvk: gvk, namespace: text(meta, "namespace"), uid: text(meta, "uid")}
	if o.namespace != "" && o.namespace != req.Namespace {
		return nil, malformed("the object is in namespace %s, and the request says %s", gate.Clip(o.namespace, maxShown), gate.Clip(scope(req.Namespace), maxShown))
	}
	o.name = cmp.Or(text(meta, "name"), req.Name, text(meta, "generateName"))
	return o, nil
}

// text returns the text under a key; "" if there is none.
func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func typeMeta() metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}
}

// kindName writes a kind as exemptions spell it: GROUP/KIND.
func kindName(gvk schema.GroupVersionKind) string { return fmt.Sprintf("%s/%s", gvk.Group, gvk.Kind) }

// unknownKind is the refusal of a kind that nobody told the gate how to read.
func unknownKind(gvk schema.GroupVersionKind) *attest.Refusal {
	return &attest.Refusal{Code: attest.CodeUnrecognised, About: gvk.GroupVersion().String() + " " + gvk.Kind,
		Why:  "the gate does not know where this kind names models",
		Next: "say it under kinds in the configuration, exempt the kind, or leave it out of the webhook's rules"}
}

// Package place finds, in a Kubernetes object, every place that names a model or an image.
//
// The gate can judge only what it sees, so this package decides what is seen. It has a
// table of the kinds that run something or say what is to run (docs/gate-places.md shows
// it, and a test keeps the page true), and reads each of them as what will read it later
// does: an image as the kubelet reads it, a storageUri as KServe does. What it reads
// stands in three forms:
//
//   - a reference to a registry, which has a digest or can be given one;
//   - a URI of another kind (s3://, hf://, pvc://, …), which has no digest, so that
//     nothing can be verified: a [Found] with Problem and URI;
//   - something that cannot be read at all, such as a number where a text belongs, a
//     template expression, or a value that stands in a ConfigMap: a [Found] with Problem.
//
// All three are found. Nothing is left out because it is strange: what is waved through
// here is never judged by anybody.
//
// # Places have names
//
// A [Found] says where it stands by the names of containers, volumes and variables, as in
// spec.containers[scoring].image, so that an object that was put in another order is the
// same object. A name that occurs twice, or is no name that Kubernetes allows, is told by
// its position instead ([#1], which no name can spell): two containers of one name cannot
// hide each other.
package place

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

// Limits. What goes beyond is refused whole: an object of which a part was looked at was
// not looked at.
const (
	maxFound = 1024    // in one object; a pod that names more is made to tire the gate
	maxText  = 1 << 20 // bytes of one text that is searched; etcd keeps objects of at most 1.5 MiB
	maxDepth = 64      // of objects in objects, where a kind nests; the API's own go to about 20
)

// Found is one place that names something, or seems to.
type Found struct {
	// Place says where by names: spec.containers[scoring].image. It is the same for the
	// same thing after a change of order, and no two of one object are equal.
	Place string
	// Pointer (RFC 6901) says where by position; "" if what stands there cannot be
	// replaced.
	Pointer string
	// Value is the whole text at Pointer, and Text what of it names something: the two
	// differ where an argument says --model=oci://…. What cannot be read has as Text
	// what stands there, as JSON.
	Value, Text string
	// Reference is what Text names, with a tag or a digest or both; zero with Problem.
	Reference attest.Reference
	// Prefix is what stands before the reference in Text: "oci://", "docker://" or "".
	Prefix string
	// URI is Text if it is a URI that names no artifact of a registry and has only one
	// reading; "" otherwise. Lines that accept URIs are matched with it, never with Text.
	URI string
	// Runs says that something is started from here: a pod, or what KServe serves.
	// Otherwise it is a template, and what is made of it comes by again.
	Runs bool
	// Problem is why this is no reference to a registry: one clause; "" if it is one.
	Problem string

	before, after string // Value is before + Text + after
}

// reader is who reads a text in the end, which decides how it is read here.
type reader uint8

const (
	// stranger is a program of which nothing is known: no registry is assumed for it.
	stranger reader = iota
	// kubelet reads images, and KServe hands it what follows oci://: no registry means
	// docker.io, no tag means latest.
	kubelet
)

// Options say what else is looked at.
type Options struct {
	// Environments are names of environment variables whose values are references,
	// whatever they look like.
	Environments []string
	// Annotations are names of annotations, of the object and of its pod templates, whose
	// values are references.
	Annotations []string
}

// Table knows where kinds of objects name models and images. It is safe for concurrent
// use; the nil Table knows none.
type Table struct {
	kinds  map[schema.GroupVersionKind]kind
	custom map[schema.GroupKind][]custom
}

// New makes the table of the kinds known here and those given. A kind that is known here
// and given as well is looked at in both ways: what is given adds places and takes none
// away. Errors name the kind and the place.
func New(kinds []gate.Kind) (*Table, error) {
	t := &Table{kinds: map[schema.GroupVersionKind]kind{}, custom: map[schema.GroupKind][]custom{}}
	for _, k := range builtin() {
		t.kinds[k.GroupVersionKind] = k
	}
	for _, k := range kinds {
		c, err := compile(k)
		if err != nil {
			return nil, err
		}
		gk := schema.GroupKind{Group: k.Group, Kind: k.Kind}
		t.custom[gk] = append(t.custom[gk], c)
	}
	return t, nil
}

// Find returns what obj names, in an order that depends on the object alone. known says
// whether the kind, in that version, is in the table: of one that is not, nothing was
// looked at and found is empty. With an error the object is to be refused.
//
// obj is JSON as encoding/json decodes it into any, and is not changed.
func (t *Table) Find(obj map[string]any, gvk schema.GroupVersionKind, o Options) (found []Found, known bool, err error) {
	if t == nil {
		return nil, false, nil
	}
	defer func() {
		// Expressions of other people's libraries run here.
		if p := recover(); p != nil {
			found, known, err = nil, true, attest.Refuse(attest.CodeInternal, "looking for references in a %s: %v", gvk.Kind, p)
		}
	}()
	w := newWalk(o)
	object := node{value: obj}
	if k, ok := t.kinds[gvk]; ok {
		known = true
		k.look(w, object)
		w.metadata(object.key("metadata"))
	}
	for _, c := range t.custom[gvk.GroupKind()] {
		if !c.matches(gvk.Version) {
			continue
		}
		if !known {
			w.metadata(object.key("metadata"))
		}
		known = true
		c.look(w, object)
	}
	if w.err != nil {
		return nil, known, w.err
	}
	return w.result(), known, nil
}

func overLimit(about, format string, args ...any) error {
	return &attest.Refusal{Code: attest.CodeLimit, About: about, Why: fmt.Sprintf(format, args...)}
}

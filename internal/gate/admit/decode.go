package admit

import (
	"errors"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// maxUID bounds what is echoed. API servers send UUIDs, of 36 characters.
const maxUID = 128

// Decode reads an AdmissionReview with a request in it. The body must be whole: who reads
// it from a client bounds it, and hands over nothing that was cut off.
//
// A review has one reading or none. So the strict reader sees all of it first, objects
// included: a key twice in one object at any depth, text after the document, invalid
// UTF-8, unpaired surrogates and nesting beyond strictjson.MaxDepth are refused. Keys are
// told apart by case, as the API server does. What remains reads the same to every reader
// that tells case apart, and the types are then filled by the API server's own.
//
// An error is an *attest.Refusal. With one the review is nil, or holds nothing but the
// uid, if one was given: there is nothing in it that could be admitted.
func Decode(body []byte) (*admissionv1.AdmissionReview, error) {
	whole, err := strictjson.ParseCased(body, len(body))
	if err != nil {
		return nil, unreadable("the body cannot be read as JSON that has one reading", err)
	}
	var review admissionv1.AdmissionReview
	if err := utiljson.Unmarshal(body, &review); err != nil {
		return nil, unreadable("the body cannot be read as an AdmissionReview", err)
	}
	uid, err := checkReview(&review)
	if err == nil {
		request, _ := whole.Get("request")
		keepRead(&review.Request.Object, request, "object")
		keepRead(&review.Request.OldObject, request, "oldObject")
		return &review, nil
	}
	if uid == "" {
		return nil, err
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: typeMeta(),
		Request:  &admissionv1.AdmissionRequest{UID: uid},
	}, err
}

// checkReview refuses what is not a review of the one version that is spoken. It returns
// the uid if that can be echoed.
func checkReview(r *admissionv1.AdmissionReview) (types.UID, error) {
	if r.Request == nil {
		return "", attest.Refuse(attest.CodeReview, "the review has no request")
	}
	uid := r.Request.UID
	if !isUID(uid) {
		return "", attest.Refuse(attest.CodeReview, "the request's uid is empty, longer than %d characters, or has others than printable ASCII", maxUID)
	}
	if m := typeMeta(); r.TypeMeta != m {
		return uid, &attest.Refusal{Code: attest.CodeReview, About: gate.Clip(r.APIVersion+" "+r.Kind, maxShown),
			Why:  "not " + m.APIVersion + " " + m.Kind,
			Next: "list v1 alone in the webhook's admissionReviewVersions"}
	}
	return uid, nil
}

// isUID reports whether a uid can be repeated in an answer and in a line of a log.
func isUID(uid types.UID) bool {
	return uid != "" && len(uid) <= maxUID &&
		!strings.ContainsFunc(string(uid), func(r rune) bool { return r <= ' ' || r > '~' })
}

// keepRead leaves an object of a review, which was just read, beside its bytes, so that
// nobody has to read them again. What is no object is left to who looks at it.
func keepRead(to *runtime.RawExtension, request strictjson.Value, key string) {
	if v, ok := request.Get(key); ok && v.Kind() == strictjson.Object && len(to.Raw) > 0 {
		to.Object = &unstructured.Unstructured{Object: members(v)}
	}
}

// content returns an object of a review. It returns nil and no error for one that is
// absent or null.
func content(e runtime.RawExtension) (map[string]any, error) {
	if u, ok := e.Object.(*unstructured.Unstructured); ok {
		return u.Object, nil // by Decode
	}
	return readObject(e.Raw)
}

// readObject reads an object. It returns nil and no error for one that is absent or null.
func readObject(raw []byte) (map[string]any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	v, err := strictjson.ParseCased(raw, len(raw))
	if err != nil {
		return nil, unreadable("an object cannot be read as JSON that has one reading", err)
	}
	if v.Kind() != strictjson.Object {
		return nil, attest.Refuse(attest.CodeReview, "an object of the review is %s", v.Kind())
	}
	return members(v), nil
}

// members returns an object as every Kubernetes client has it: what
// k8s.io/apimachinery/pkg/util/json makes of the same text, which a test compares.
func members(v strictjson.Value) map[string]any {
	out := make(map[string]any, len(v.Members()))
	for _, m := range v.Members() {
		out[m.Key] = native(m.Value)
	}
	return out
}

func native(v strictjson.Value) any {
	switch v.Kind() {
	case strictjson.Object:
		return members(v)
	case strictjson.Array:
		out := make([]any, len(v.Items()))
		for i, item := range v.Items() {
			out[i] = native(item)
		}
		return out
	case strictjson.String:
		return v.Text()
	case strictjson.Bool:
		return v.Truth()
	case strictjson.Number:
		// Whole numbers are int64 where they can be.
		if n, err := strconv.ParseInt(v.Text(), 10, 64); err == nil {
			return n
		}
		f, err := strconv.ParseFloat(v.Text(), 64)
		if err != nil {
			return v.Text() // unreachable: the strict reader refuses what no double can hold
		}
		return f
	}
	return nil
}

func unreadable(why string, err error) *attest.Refusal {
	code := attest.CodeReview
	switch {
	case errors.Is(err, strictjson.ErrDuplicate):
		code = attest.CodeDupKey
	case errors.Is(err, strictjson.ErrLimit):
		code = attest.CodeLimit
	case errors.Is(err, strictjson.ErrSyntax):
		code = attest.CodeJSON
	}
	// The reader's words are about the client's own bytes, and the client may read them.
	return &attest.Refusal{Code: code, Why: why + ": " + gate.Clip(err.Error(), maxShown)}
}

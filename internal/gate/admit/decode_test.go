package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/pedigree-ml/pedigree/attest"
)

func TestDecode(t *testing.T) {
	body := create(pod("m=" + good())).body(t)
	review, err := Decode(body)
	if err != nil || review.Request == nil || string(review.Request.UID) != "705ab4f5-6393-11e8-b7cc-42010a800002" {
		t.Fatalf("an honest review: %v, %v", review, err)
	}
	var want struct {
		Request struct{ Object json.RawMessage }
	}
	if err := json.Unmarshal(body, &want); err != nil || !bytes.Equal(review.Request.Object.Raw, want.Request.Object) {
		t.Errorf("the object's bytes are not those that were sent: %s", review.Request.Object.Raw)
	}

	swap := func(old, new string) []byte {
		out := bytes.Replace(body, []byte(old), []byte(new), 1)
		if bytes.Equal(out, body) {
			t.Fatalf("%q does not occur: the case proves nothing", old)
		}
		return out
	}
	const uid = "705ab4f5-6393-11e8-b7cc-42010a800002"
	deep := strings.Repeat(`{"a":`, 80) + "1" + strings.Repeat("}", 80)
	for _, c := range []struct {
		name string
		body []byte
		code attest.Code
		uid  string // that may be echoed
	}{
		{"GAT-01 not JSON", []byte("hello"), attest.CodeJSON, ""},
		{"GAT-01 nothing", nil, attest.CodeJSON, ""},
		{"GAT-01 null", []byte("null"), attest.CodeReview, ""},
		{"GAT-01 a list", []byte("[]"), attest.CodeReview, ""},
		{"GAT-01 text after the review", append(bytes.Clone(body), "{}"...), attest.CodeJSON, ""},
		{"GAT-01 duplicate request", swap(`"request":`, `"request":{},"request":`), attest.CodeDupKey, ""},
		{"GAT-01 duplicate key in the object", swap(`"image":`, `"image":"a.test/b","image":`), attest.CodeDupKey, ""},
		{"GAT-01 duplicate key by an escape", swap(`"image":`, `"\u0069mage":"a.test/b","image":`), attest.CodeDupKey, ""},
		{"GAT-01 deep", swap(`"spec":`, `"deep":`+deep+`,"spec":`), attest.CodeLimit, ""},
		{"GAT-01 an unpaired surrogate", swap(`"name":"web"`, `"name":"\ud800"`), attest.CodeJSON, ""},
		{"GAT-01 invalid UTF-8", swap(`"name":"web"`, "\"name\":\"\xff\""), attest.CodeJSON, ""},
		{"GAT-02 no request", []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`), attest.CodeReview, ""},
		{"GAT-02 request null", []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`), attest.CodeReview, ""},
		{"GAT-02 empty uid", swap(uid, ""), attest.CodeReview, ""},
		{"GAT-02 uid with a line break", swap(uid, `a\nb`), attest.CodeReview, ""},
		{"GAT-02 long uid", swap(uid, strings.Repeat("u", 129)), attest.CodeReview, ""},
		{"GAT-02 v1beta1", swap("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), attest.CodeReview, uid},
		{"GAT-02 unknown version", swap("admission.k8s.io/v1", "admission.k8s.io/v9"), attest.CodeReview, uid},
		{"GAT-02 other group", swap("admission.k8s.io/v1", "v1"), attest.CodeReview, uid},
		{"GAT-02 other kind", swap(`"AdmissionReview"`, `"Pod"`), attest.CodeReview, uid},
		{"GAT-02 version in another case", swap(`"apiVersion":"admission`, `"apiversion":"admission`), attest.CodeReview, uid},
		{"GAT-02 request in another case", swap(`"request":`, `"Request":`), attest.CodeReview, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			review, err := Decode(c.body)
			if attest.RefusalCode(err) != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if c.uid == "" {
				if review != nil {
					t.Fatalf("a review without a uid was returned: %+v", review)
				}
				return
			}
			if review == nil || string(review.Request.UID) != c.uid || review.Request.Object.Raw != nil || review.Request.Operation != "" {
				t.Fatalf("want the uid and nothing else, got %+v", review)
			}
			w := newWorld(t)
			if w.Review(context.Background(), w.grounds, review.Request, false).Allowed || w.Review(context.Background(), w.grounds, review.Request, true).Allowed {
				t.Error("what came with an error was let in")
			}
		})
	}
}

// An honest pod may have labels that differ in case only, and numbers of every form.
func TestDecodeHonestOddities(t *testing.T) {
	w := newWorld(t)
	p := set(t, pod("m="+good()), "a", "metadata", "labels", "App")
	p = set(t, p, "b", "metadata", "labels", "app")
	p = set(t, p, json.Number("9007199254740993"), "spec", "terminationGracePeriodSeconds")
	p = set(t, p, json.Number("1e3"), "spec", "priority")
	w.allowed(create(p))
}

// admits reports whether a body gets in, by either hook.
func (w *world) admits(body []byte, mutate bool) bool {
	review, err := Decode(body)
	if err != nil {
		return false
	}
	return w.Review(context.Background(), w.grounds, review.Request, mutate).Allowed
}

func TestGAT01CutShort(t *testing.T) {
	w := newWorld(t)
	body := create(pod("m=" + good())).body(t)
	if !w.admits(body, false) || !w.admits(body, true) {
		t.Fatal("the whole review must get in, or this proves nothing")
	}
	for i := range body {
		if w.admits(body[:i], false) || w.admits(body[:i], true) {
			t.Fatalf("let in after %d of %d bytes", i, len(body))
		}
	}
}

// Whatever has another type than it should, at any path of a review of an evil pod or of
// a good one: an evil model never gets in, and the process lives.
func TestGAT01WrongTypes(t *testing.T) {
	w := newWorld(t)
	w.rule().Annotations = []string{"model"}
	for _, image := range []string{evil(), repo + ":bad"} {
		body := create(set(t, pod("m="+image, "init:i="+image, "ephemeral:e="+image), image, "metadata", "annotations", "model")).body(t)
		var tree any
		if err := json.Unmarshal(body, &tree); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, wrong := range []any{nil, true, 0.5, "", "x", []any{}, map[string]any{}, []any{nil}, map[string]any{"": nil}} {
			everywhere(tree, wrong, func(changed string) {
				b, err := json.Marshal(tree)
				if err != nil {
					t.Fatal(err)
				}
				n++
				if w.admits(b, false) {
					t.Errorf("let in with %v at %s", wrong, changed)
				}
			})
		}
		if n < 300 {
			t.Fatalf("%d cases: the walk found nothing to change", n)
		}
	}
}

// everywhere calls f with each value of the tree replaced, one at a time.
func everywhere(tree, wrong any, f func(path string)) {
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			for k, old := range v {
				walk(old, path+"/"+k)
				v[k] = wrong
				f(path + "/" + k)
				v[k] = old
			}
		case []any:
			for i, old := range v {
				walk(old, path)
				v[i] = wrong
				f(path + "[]")
				v[i] = old
			}
		}
	}
	walk(tree, "")
}

// Bytes of an evil review are changed at random: it never gets in, unless what came of it
// is a review of something else that honestly would.
func TestGAT01RandomBytes(t *testing.T) {
	w := newWorld(t)
	w.config.Rules = w.config.Rules[:1]
	body := create(pod("m=" + evil())).body(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 6000 {
		b := bytes.Clone(body)
		for range 1 + r.IntN(3) {
			switch i := r.IntN(len(b)); r.IntN(3) {
			case 0:
				b[i] = byte(r.IntN(256))
			case 1:
				b = append(b[:i], b[i+1:]...)
			default:
				b = append(b[:i], append([]byte{`{}[]",:0 `[r.IntN(9)]}, b[i:]...)...)
			}
		}
		if w.admits(b, false) && !innocent(t, b) {
			t.Fatalf("let in: %s", b)
		}
	}
}

// innocent reports whether a review that got in has nothing of the evil model in a place
// that is read: the change took it out.
func innocent(t *testing.T, b []byte) bool {
	t.Helper()
	review, err := Decode(b)
	if err != nil {
		return false
	}
	o, err := readObject(review.Request.Object.Raw)
	if err != nil {
		return false
	}
	spec, _ := o["spec"].(map[string]any)
	list, _ := spec["containers"].([]any)
	for _, c := range list {
		m, _ := c.(map[string]any)
		if image, _ := m["image"].(string); image != "" {
			return false
		}
	}
	return true
}

func FuzzReview(f *testing.F) {
	seeds := [][]byte{
		[]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"team-a","operation":"CREATE","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"team-a"},"spec":{"containers":[{"name":"m","image":"` + evil() + `"}]}}}}`),
		[]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"apps","version":"v1","kind":"Deployment"},"namespace":"team-a","operation":"UPDATE","object":{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","uid":"x"},"spec":{"template":{"spec":{"containers":[{"name":"m","image":"` + evil() + `"}]}}}},"oldObject":{}}}`),
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t)
		review, err := Decode(body)
		if err != nil {
			if attest.RefusalCode(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			if review != nil && (review.Request.Operation != "" || review.Request.Object.Raw != nil) {
				t.Fatalf("something came with an error: %+v", review.Request)
			}
			return
		}
		got := w.Review(context.Background(), w.grounds, review.Request, false)
		if got.Allowed {
			for _, r := range w.last().References {
				if r.Standing == Refused.String() {
					t.Fatalf("let in with a reference refused: %+v", r)
				}
			}
		} else if len(got.Result.Message) == 0 || len(got.Result.Message) > maxMessage {
			t.Fatalf("a message of %d bytes", len(got.Result.Message))
		}
		w.Review(context.Background(), w.grounds, review.Request, true)
	})
}

// What an object is read as is what every Kubernetes client reads.
func TestObjectsAsClientsReadThem(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":null,"b":[],"c":{},"d":[{"e":[null,true,false]}]}`,
		`{"n":[0,-0,1,-1,1.0,1.5,1e3,1E-3,9223372036854775807,-9223372036854775808,9223372036854775808,123456789012345678901234567890]}`,
		`{"s":["","\u00e9\ud83d\ude00\n\/","é"],"App":1,"app":2}`,
	} {
		sameAsClients(t, []byte(text))
		sameAsClients(t, []byte(`{"again":`+text+`}`))
	}
}

func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"m","image":"x"}],"priority":1.5e2}}`))
	f.Fuzz(sameAsClients)
}

func sameAsClients(t *testing.T, text []byte) {
	got, err := readObject(text)
	if err != nil || got == nil {
		return
	}
	var want map[string]any
	if err := utiljson.Unmarshal(text, &want); err != nil {
		t.Fatalf("%s is read here, and not by others: %v", text, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nis read as %#v,\nby others as %#v", text, got, want)
	}
}

// An object that was read with its review is what its bytes say.
func TestObjectsAreReadOnce(t *testing.T) {
	const object = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}}`
	body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","object":` + object + `,"oldObject":%s}}`
	for _, old := range []string{"null", "{}", `{"kind":"Pod","spec":{"n":1}}`, `"text"`, `[{"kind":"Pod"}]`} {
		review, err := Decode(fmt.Appendf(nil, body, old))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []runtime.RawExtension{review.Request.Object, review.Request.OldObject} {
			got, err := content(e)
			want, wantErr := readObject(e.Raw)
			if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s is read as %v, %v; again as %v, %v", e.Raw, got, err, want, wantErr)
			}
		}
	}
}

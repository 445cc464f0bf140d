package watch

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// TestServed asks an API server's answers, as they are sent, what is served.
func TestServed(t *testing.T) {
	const list = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"x/v1","resources":[
		{"name":"things","kind":"Thing","namespaced":true,"verbs":["get","list","watch"]},
		{"name":"things/status","kind":"Thing","namespaced":true,"verbs":["get","list","watch"]},
		{"name":"pods","kind":"Pod","namespaced":true,"verbs":["list","watch"]},
		{"name":"reviews","kind":"Review","verbs":["create"]}]}`
	answers := map[string]string{
		"/api/v1": list, "/apis/x/v1": list, "/apis/x/v2": list,
		"/apis/x":         `{"kind":"APIGroup","apiVersion":"v1","name":"x","versions":[{"groupVersion":"x/v2","version":"v2"},{"groupVersion":"x/v1","version":"v1"},{"groupVersion":"x/gone","version":"gone"}]}`,
		"/apis/broken/v1": `{`, "/apis/huge/v1": strings.Repeat(" ", maxDiscovery+1) + "{}",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/apis/forbidden/v1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	c, err := Connect(&rest.Config{Host: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		group, version, kind string
		want                 []string // none: an error
	}{
		{"", "v1", "Pod", []string{"v1 pods"}},
		{"", "", "Pod", []string{"v1 pods"}},
		{"x", "v1", "Thing", []string{"v1 things"}},
		{"x", "", "Thing", []string{"v2 things", "v1 things"}},
		{"x", "v1", "Review", []string{}},
		{"absent", "", "Thing", []string{}},
		{"absent", "v1", "Thing", []string{}},
		{"forbidden", "v1", "Thing", nil},
		{"broken", "v1", "Thing", nil},
		{"huge", "v1", "Thing", nil},
	} {
		served, err := c.Served(t.Context(), schema.GroupVersionKind{Group: q.group, Version: q.version, Kind: q.kind})
		if q.want == nil {
			if err == nil {
				t.Errorf("%+v: no error, and %v", q, served)
			}
			continue
		}
		got := []string{}
		for _, r := range served {
			if r.Kind.Kind != q.kind || r.Kind.Version != r.Version {
				t.Errorf("%+v: %v", q, r)
			}
			got = append(got, r.Version+" "+r.GroupVersionResource.Resource)
		}
		if err != nil || !reflect.DeepEqual(got, q.want) {
			t.Errorf("%+v: %v, %v", q, got, err)
		}
	}
}

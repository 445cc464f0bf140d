package admit

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"team-a", "team-a", true}, {"team-a", "team-ab", false}, {"team-a", "xteam-a", false},
		{"team-*", "team-a", true}, {"team-*", "team-", true}, {"team-*", "steam-a", false},
		{"*-prod", "a-prod", true}, {"*-prod", "a-prod-x", false}, {"*-prod", "a-prod-prod", true},
		{"a*b*c", "abc", true}, {"a*b*c", "axbxbxc", true}, {"a*b*c", "ac", false}, {"a*bc*c", "abc", false}, {"a*a", "a", false},
		{"*", "anything", true}, {"*", gate.ClusterScope, true}, {"**", "a", true}, {"", "a", false}, {"", "", true},
		{gate.ClusterScope, gate.ClusterScope, true}, {"team-*", gate.ClusterScope, false},
	} {
		if got := wildcard(c.pattern, c.name); got != c.want {
			t.Errorf("%q of %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestGovern(t *testing.T) {
	c := &gate.Config{Rules: []gate.Rule{{Name: "first", Namespaces: []string{"a", "b-*"}}, {Name: "second", Namespaces: []string{"b-1", "c"}}, {Name: "cluster", Namespaces: []string{gate.ClusterScope}}}}
	for ns, want := range map[string]string{"a": "first", "b-1": "first", "c": "second", "": "cluster", "d": "", "A": "", "a ": ""} {
		got, ok := Govern(c, ns)
		if ok != (want != "") || ok && got.Name != want {
			t.Errorf("%q: %v %v, want %q", ns, got, ok, want)
		}
	}
	if _, ok := Govern(&gate.Config{}, "a"); ok {
		t.Error("no rules govern something")
	}
}

// What runs, and where: an evil model is refused in every place, a good one let in.
func TestPlacesAreJudged(t *testing.T) {
	crs := func(image string) obj {
		return obj{"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ClusterServingRuntime", "metadata": obj{"name": "rt"},
			"spec": obj{"containers": []any{obj{"name": "c", "image": image}}}}
	}
	isvc := func(uri string) obj {
		return obj{"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": obj{"name": "credit", "namespace": "team-a"},
			"spec": obj{"predictor": obj{"model": obj{"storageUri": "oci://" + uri}}}}
	}
	for name, of := range map[string]func(string) obj{
		"container":               func(r string) obj { return pod("m=" + r) },
		"init container":          func(r string) obj { return pod("m="+good(), "init:i="+r) },
		"ephemeral container":     func(r string) obj { return pod("m="+good(), "ephemeral:e="+r) },
		"deployment":              func(r string) obj { return deployment("m=" + r) },
		"inference service":       isvc,
		"cluster serving runtime": crs,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if got := w.allowed(create(of(good()))); got.AuditAnnotations["outcome"] != "ALLOW" || got.AuditAnnotations["policy"] != policyID.String() {
				t.Errorf("annotations %v", got.AuditAnnotations)
			}
			w.refused(create(of(evil())), attest.CodeRevoked, http.StatusForbidden)
		})
	}
}

func TestLines(t *testing.T) {
	runtime := "registry.test/runtimes/vllm:1"
	for _, c := range []struct {
		name  string
		image string
		code  attest.Code // "" : let in
	}{
		{"GAT-17 judged", good(), ""},
		{"GAT-17 no line names it", "registry.test/secret/x@" + goodDigest.String(), attest.CodeUnrecognised},
		{"GAT-17 the registry list lacks it", "unlisted.test/x@" + goodDigest.String(), attest.CodeUngoverned},
		{"accepted with a tag", runtime, ""},
		{"no registry", "s3://acme-models/credit", attest.CodeUnrecognised},
		{"unreadable", "registry.test/models/credit:{{ .Tag }}", attest.CodeUnrecognised},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.code != "" {
				w.refused(create(pod("m="+c.image)), c.code, http.StatusForbidden)
				if n := w.judge.questions(); n != 0 {
					t.Errorf("%d questions were asked about what the rule does not list", n)
				}
				return
			}
			w.allowed(create(pod("m=" + c.image)))
		})
	}
	t.Run("GAT-17 same answer whether others asked or not", func(t *testing.T) {
		w := newWorld(t)
		w.config.Rules = append([]gate.Rule{{Name: "b", Namespaces: []string{"team-b"}, Artifacts: []gate.ArtifactLine{{Repositories: []string{"registry.test/secret/*"}, Policy: "credit"}}}}, w.config.Rules...)
		w.config.Registry.Repositories = append(w.config.Registry.Repositories, "registry.test/secret/*")
		secret := "registry.test/secret/x@" + goodDigest.String()
		before := w.refused(create(pod("m="+secret)), attest.CodeUnrecognised, http.StatusForbidden)
		b := set(t, pod("m="+secret), "team-b", "metadata", "namespace")
		w.allowed(create(b))
		after := w.refused(create(pod("m="+secret)), attest.CodeUnrecognised, http.StatusForbidden)
		if before.Result.Message != after.Result.Message || w.judge.questions() != 1 {
			t.Errorf("team-a learns something: %q, then %q", before.Result.Message, after.Result.Message)
		}
	})
	t.Run("URIs", func(t *testing.T) {
		uri := func(s string) obj {
			return obj{"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": obj{"name": "credit", "namespace": "team-a"},
				"spec": obj{"predictor": obj{"model": obj{"storageUri": s}}}}
		}
		w := newWorld(t)
		w.allowed(create(uri("s3://acme-models/credit/7")))
		if r := w.last().References[0]; r.Standing != "accepted" || r.Why != "until they have moved" || w.last().Outcome != None {
			t.Errorf("%+v with outcome %s", r, w.last().Outcome)
		}
		for _, bad := range []string{"s3://acme-models-evil/x", "s3://acme-models/../evil", "S3://acme-models/x", "s3://acme-models/%2e%2e/evil", "gs://acme-models/x", "hf://evil/x", "pvc://x"} {
			w.refused(create(uri(bad)), attest.CodeUnrecognised, http.StatusForbidden)
		}
	})
	t.Run("first line decides", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Artifacts = append([]gate.ArtifactLine{{Repositories: []string{"registry.test/models/credit"}, Policy: "strict"}}, w.rule().Artifacts...)
		w.refused(create(pod("m="+good())), attest.CodeInternal, http.StatusServiceUnavailable) // strict is not loaded
		w.grounds.Policies["strict"] = &gate.Ground{Name: "strict"}
		w.allowed(create(pod("m=" + good())))
	})
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		uri, prefix string
		want        bool
	}{
		{"s3://a/b", "s3://a/", true}, {"s3://a/b", "s3://a", true}, {"s3://a", "s3://a", true}, {"hf://x", "hf://", true},
		{"s3://ab/c", "s3://a", false}, {"s3://a", "s3://a/", false}, {"s3://a/b", "", false}, {"", "", false}, {"", "s3://", false},
	} {
		if got := gate.Within(c.uri, c.prefix); got != c.want {
			t.Errorf("%q in %q: %v", c.uri, c.prefix, got)
		}
	}
}

func TestUnrecognised(t *testing.T) {
	widget := obj{"apiVersion": "acme.test/v1", "kind": "Widget", "metadata": obj{"name": "w", "namespace": "team-a", "uid": "u-9", "labels": obj{"a": "b"}}, "spec": obj{"model": evil()}}
	t.Run("kind", func(t *testing.T) {
		w := newWorld(t)
		w.refused(create(widget), attest.CodeUnrecognised, http.StatusForbidden)
		// What is there already can lose its finalizers, and nothing else may change.
		w.allowed(update(widget, set(t, widget, nil, "metadata", "labels")))
		w.refused(update(widget, set(t, widget, good(), "spec", "model")), attest.CodeUnrecognised, http.StatusForbidden)
		w.refused(update(widget, set(t, widget, "x", "metadata", "annotations", "model")), attest.CodeUnrecognised, http.StatusForbidden)
	})
	t.Run("report", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Unrecognised = gate.Report
		got := w.allowed(create(widget))
		if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "E_UNRECOGNISED acme.test/Widget") {
			t.Errorf("warnings %q", got.Warnings)
		}
		got = w.allowed(create(pod("m=other.test/x:1")))
		if len(got.Warnings) != 1 || w.last().References[0].Standing != "reported" || w.last().Outcome != None {
			t.Errorf("%q, %+v", got.Warnings, w.last())
		}
		// It says nothing of what is recognised.
		w.refused(create(pod("m=other.test/x:1", "n="+evil())), attest.CodeRevoked, http.StatusForbidden)
	})
	t.Run("known by the configuration", func(t *testing.T) {
		w := newWorld(t)
		w.config.Kinds = []gate.Kind{{Group: "acme.test", Kind: "Widget", Places: []gate.CustomPlace{{Name: "model", JSONPath: "$.spec.model"}}}}
		w.refused(create(widget), attest.CodeRevoked, http.StatusForbidden)
		w.allowed(create(set(t, widget, good(), "spec", "model")))
	})
	t.Run("kinds that cannot be compiled", func(t *testing.T) {
		w := newWorld(t)
		w.config.Kinds = []gate.Kind{{Group: "acme.test", Kind: "Widget", Places: []gate.CustomPlace{{Name: "model", JSONPath: "$.["}}}}
		w.refused(create(pod("m="+good())), attest.CodePlace, http.StatusForbidden)
	})
}

func TestNoRuleGoverns(t *testing.T) {
	w := newWorld(t)
	elsewhere := set(t, pod("m="+good()), "kube-system", "metadata", "namespace")
	w.refused(create(elsewhere), attest.CodeUngoverned, http.StatusForbidden)
	if got := w.mutate(create(elsewhere)); !got.Allowed || got.Patch != nil {
		t.Errorf("the mutating hook decided: %+v", got)
	}
	w.rule().Namespaces = []string{"*"}
	w.allowed(create(elsewhere))
}

func TestExemptions(t *testing.T) {
	e := gate.Exemption{Namespaces: []string{"team-a"}, Users: []string{"alice"}, Groups: []string{"devs"}, Kinds: []string{"/Pod"}, Reason: "known to the platform team"}
	r := create(pod("m=" + evil()))
	t.Run("all conditions hold", func(t *testing.T) {
		w := newWorld(t)
		w.refused(r, attest.CodeRevoked, http.StatusForbidden)
		w.config.Exempt = []gate.Exemption{e}
		got := w.allowed(r)
		if got.AuditAnnotations["exempt"] != e.Reason || got.AuditAnnotations["outcome"] != None || !w.last().Exempt || w.last().Why != e.Reason {
			t.Errorf("%v, %+v", got.AuditAnnotations, w.last())
		}
	})
	for name, change := range map[string]func(*gate.Exemption){
		"namespace":                 func(e *gate.Exemption) { e.Namespaces = []string{"team-b"} },
		"user":                      func(e *gate.Exemption) { e.Users = []string{"bob"} },
		"group":                     func(e *gate.Exemption) { e.Groups = []string{"ops"} },
		"kind":                      func(e *gate.Exemption) { e.Kinds = []string{"apps/Deployment"} },
		"a user's name is no group": func(e *gate.Exemption) { e.Groups = []string{"alice"} },
		"a group's name is no user": func(e *gate.Exemption) { e.Users = []string{"devs"} },
		"nothing":                   func(e *gate.Exemption) { *e = gate.Exemption{Reason: "none"} },
		"group that has no name":    func(e *gate.Exemption) { e.Groups = []string{""} },
		"nobody":                    func(e *gate.Exemption) { e.Users, e.Groups = []string{""}, nil },
	} {
		t.Run("not with another "+name, func(t *testing.T) {
			w := newWorld(t)
			other := e
			change(&other)
			w.config.Exempt = []gate.Exemption{other}
			w.refused(r, attest.CodeRevoked, http.StatusForbidden)
			anonymous := r.with("userInfo", map[string]any{})
			w.refused(r.with("userInfo", map[string]any{"username": "alice", "groups": []any{""}}), attest.CodeRevoked, http.StatusForbidden)
			if name == "nobody" {
				w.refused(anonymous, attest.CodeRevoked, http.StatusForbidden)
			}
		})
	}
	t.Run("GAT-26 the gate's own namespace", func(t *testing.T) {
		w := newWorld(t)
		own := set(t, pod("m=registry.test/pedigree:1"), "pedigree", "metadata", "namespace")
		w.refused(create(own), attest.CodeUngoverned, http.StatusForbidden)
		w.config.Exempt = []gate.Exemption{{Namespaces: []string{"pedigree"}, Reason: "the gate must be able to start"}}
		w.allowed(create(own))
		w.refused(r, attest.CodeRevoked, http.StatusForbidden)
	})
	t.Run("nothing on the object exempts it", func(t *testing.T) {
		w := newWorld(t)
		w.config.Exempt = []gate.Exemption{{Users: []string{"system:admin"}, Reason: "admin"}}
		p := pod("m=" + evil())
		for _, k := range []string{"labels", "annotations"} {
			for _, v := range []string{"pedigree.dev/exempt", "pedigree-ml.github.io/exempt", "admission", "user"} {
				p = set(t, p, "system:admin", "metadata", k, v)
			}
		}
		p = set(t, p, "system:admin", "spec", "serviceAccountName")
		w.refused(create(p), attest.CodeRevoked, http.StatusForbidden)
	})
}

func TestNamespaceGuard(t *testing.T) {
	ns := func(labels obj) obj {
		return obj{"apiVersion": "v1", "kind": "Namespace", "metadata": obj{"name": "team-a", "uid": "n-1", "labels": labels}}
	}
	plain, marked, other := ns(obj{"a": "b"}), ns(obj{"a": "b", "gate/mode": "off"}), ns(obj{"a": "c", "gate/mode": "on"})
	guarded := func(t *testing.T) *world {
		w := newWorld(t)
		w.config.Labels = gate.NamespaceGuard{Labels: []string{"gate/*", "exact"}, Users: []string{"root"}, Groups: []string{"platform"}}
		w.config.Exempt = []gate.Exemption{{Namespaces: []string{"*"}, Reason: "everything"}} // guards hold all the same
		return w
	}
	for name, r := range map[string]request{
		"create":      create(marked),
		"add":         update(plain, marked),
		"remove":      update(marked, plain),
		"change":      update(marked, other),
		"by status":   update(plain, marked).with("subResource", "status"),
		"by finalize": update(plain, marked).with("subResource", "finalize"),
		"exact key":   create(ns(obj{"exact": ""})),
		"old missing": update(plain, plain).with("oldObject", nil),
		"old broken":  update(obj{"metadata": obj{"labels": "x"}}, plain),
	} {
		t.Run(name, func(t *testing.T) {
			w := guarded(t)
			w.refused(r, attest.CodeGuarded, http.StatusForbidden)
			w.allowed(r.with("userInfo", map[string]any{"username": "root"}))
			w.allowed(r.with("userInfo", map[string]any{"username": "x", "groups": []any{"platform"}}))
			w.rule().Mode = gate.Audit
			w.refused(r, attest.CodeGuarded, http.StatusForbidden)
			w.config.Labels = gate.NamespaceGuard{}
			w.allowed(r)
		})
	}
	t.Run("other labels are free", func(t *testing.T) {
		w := guarded(t)
		w.allowed(create(plain))
		w.allowed(create(ns(obj{"gateway": "x", "gate": "y", "exact2": "z"})))
		w.allowed(update(marked, set(t, marked, "z", "metadata", "labels", "a")))
		w.allowed(update(marked, marked))
		w.allowed(create(plain).with("operation", "DELETE").with("object", nil).with("oldObject", marked))
	})
	t.Run("the name that the API server writes is no change", func(t *testing.T) {
		const name = "kubernetes.io/metadata.name"
		w := guarded(t)
		w.config.Labels.Labels = []string{"kubernetes.io/*"}
		own := ns(obj{name: "team-a"})
		w.allowed(create(own))
		w.allowed(update(ns(obj{}), own))
		w.refused(create(ns(obj{name: "kube-system"})), attest.CodeGuarded, http.StatusForbidden)
		w.refused(create(ns(obj{name: ""})), attest.CodeGuarded, http.StatusForbidden)
		w.refused(update(own, ns(obj{})), attest.CodeGuarded, http.StatusForbidden)
		w.refused(create(ns(obj{name: "team-a", "kubernetes.io/other": "team-a"})), attest.CodeGuarded, http.StatusForbidden)
	})
	t.Run("labels that are no texts", func(t *testing.T) {
		w := guarded(t)
		w.refused(create(set(t, plain, 5, "metadata", "labels", "x")), attest.CodeReview, http.StatusBadRequest)
	})
}

func TestModes(t *testing.T) {
	r := create(pod("m="+evil(), "n=other.test/x:1"))
	t.Run("warn", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Mode = gate.Warn
		got := w.allowed(r)
		if len(got.Warnings) != 2 || !strings.HasPrefix(got.Warnings[0], "E_REVOKED ") || !strings.Contains(got.Warnings[0], "withdrawn by acme") || got.AuditAnnotations["outcome"] != "DENY" || got.AuditAnnotations["mode"] != "warn" {
			t.Errorf("%q %v", got.Warnings, got.AuditAnnotations)
		}
		if w.last().Code != attest.CodeRevoked {
			t.Errorf("the decision does not say what was wrong: %+v", w.last())
		}
	})
	t.Run("audit", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Mode = gate.Audit
		if got := w.allowed(r); len(got.Warnings) != 0 || got.AuditAnnotations["outcome"] != "DENY" || w.last().Code != attest.CodeRevoked {
			t.Errorf("%q %v", got.Warnings, got.AuditAnnotations)
		}
	})
	t.Run("a mode that nobody knows enforces", func(t *testing.T) {
		w := newWorld(t)
		w.rule().Mode = 9
		w.refused(r, attest.CodeRevoked, http.StatusForbidden)
	})
	t.Run("a malformed review is refused in every mode", func(t *testing.T) {
		for _, mode := range []gate.Mode{gate.Enforce, gate.Warn, gate.Audit} {
			w := newWorld(t)
			w.rule().Mode = mode
			w.refused(create(pod("m="+good())).with("object", nil), attest.CodeReview, http.StatusBadRequest)
			if w.mutate(create(pod("m="+good())).with("object", nil)).Allowed {
				t.Error("the mutating hook let a malformed review in")
			}
		}
	})
}

func TestContradictions(t *testing.T) {
	p := pod("m=" + good())
	for name, r := range map[string]request{
		"GAT-12 create without an object":  create(p).with("object", nil),
		"GAT-12 update without an object":  update(p, p).with("object", nil),
		"GAT-12 connect without an object": create(p).with("operation", "CONNECT").with("object", nil),
		"object is a text":                 create(p).with("object", "pod"),
		"object is a list":                 create(p).with("object", []any{p}),
		"unknown operation":                create(p).with("operation", "PATCH"),
		"no operation":                     create(p).with("operation", ""),
		"operation in lower case":          create(p).with("operation", "delete"),
		"another kind":                     create(p).with("kind", map[string]any{"version": "v1", "kind": "Scale"}),
		"another group":                    create(p).with("kind", map[string]any{"group": "autoscaling", "version": "v1", "kind": "Pod"}),
		"another version":                  create(p).with("kind", map[string]any{"version": "v2", "kind": "Pod"}),
		"no kind":                          create(p).with("kind", map[string]any{}),
		"another namespace":                create(p).with("namespace", "team-b"),
		"no namespace":                     create(p).with("namespace", nil),
		"metadata is a text":               create(set(t, p, "x", "metadata")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rule().Namespaces = []string{"*"}
			w.allowed(create(p))
			w.refused(r, attest.CodeReview, http.StatusBadRequest)
		})
	}
	w := newWorld(t)
	for _, mutate := range []bool{true, false} {
		if w.Review(context.Background(), w.grounds, nil, mutate).Allowed || w.Review(context.Background(), nil, &admissionv1.AdmissionRequest{UID: "u"}, mutate).Allowed {
			t.Error("nothing was let in")
		}
	}
}

func TestOperationsAndSubresources(t *testing.T) {
	kind := func(version, kind string) obj {
		return obj{"apiVersion": version, "kind": kind, "metadata": obj{"name": "web", "namespace": "team-a"}}
	}
	t.Run("delete", func(t *testing.T) {
		w := newWorld(t)
		r := create(pod("m="+evil())).with("operation", "DELETE").with("oldObject", pod("m="+evil()))
		w.allowed(r.with("object", nil))
		w.allowed(r.with("object", nil).with("oldObject", nil))
	})
	t.Run("names nothing", func(t *testing.T) {
		w := newWorld(t)
		for sub, o := range map[string]obj{
			"scale": kind("autoscaling/v1", "Scale"), "eviction": kind("policy/v1", "Eviction"), "binding": kind("v1", "Binding"),
		} {
			w.allowed(create(o).with("subResource", sub))
		}
		for _, k := range []string{"PodExecOptions", "PodProxyOptions", "ServiceProxyOptions", "NodeProxyOptions"} {
			w.allowed(create(kind("v1", k)).with("subResource", "exec").with("operation", "CONNECT"))
		}
		w.allowed(create(kind("authentication.k8s.io/v1", "TokenRequest")).with("subResource", "token"))
		w.refused(create(kind("v1", "PodUnheardOfOptions")).with("subResource", "dream").with("operation", "CONNECT"), attest.CodeUnrecognised, http.StatusForbidden)
	})
	for _, sub := range []string{"ephemeralcontainers", "resize", "status", "unheard-of"} {
		t.Run(sub, func(t *testing.T) {
			w := newWorld(t)
			old := pod("m=" + good())
			w.allowed(update(old, old).with("subResource", sub))
			w.allowed(update(old, pod("m="+good(), "ephemeral:d="+good())).with("subResource", sub))
			w.refused(update(old, pod("m="+good(), "ephemeral:d="+evil())).with("subResource", sub), attest.CodeRevoked, http.StatusForbidden)
		})
	}
}

func TestLook(t *testing.T) {
	w := newWorld(t)
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	look := func(o obj, ns string) []Seen {
		return w.Look(context.Background(), w.grounds, roundTrip(t, o), gvk, ns)
	}
	seen := look(pod("m="+good(), "n="+evil(), "o=registry.test/runtimes/vllm:1", "p="+repo+":v1"), "team-a")
	var got []string
	for _, s := range seen {
		got = append(got, s.Place+" "+s.Standing.String()+" "+string(attest.RefusalCode(s.Err)))
		if s.Rule.Name != "teams" || s.Line == nil {
			t.Errorf("%+v", s)
		}
	}
	want := "spec.containers[m].image allowed |spec.containers[n].image refused |spec.containers[o].image accepted |spec.containers[p].image refused E_TAG"
	if strings.Join(got, "|") != want {
		t.Errorf("seen %q, want %q", strings.Join(got, "|"), want)
	}
	if s := look(pod("m="+good()), "nowhere"); len(s) != 1 || attest.RefusalCode(s[0].Err) != attest.CodeUngoverned || s[0].Standing != Refused {
		t.Errorf("no rule: %+v", s)
	}
	w.config.Exempt = []gate.Exemption{{Namespaces: []string{"nowhere"}, Reason: "r"}, {Users: []string{""}, Reason: "nobody"}}
	if s := look(pod("m="+evil()), "nowhere"); s != nil {
		t.Errorf("exempted: %+v", s)
	}
	if s := look(pod("m="+evil()), "team-a"); len(s) != 1 || s[0].Standing != Refused {
		t.Errorf("an exemption of nobody holds: %+v", s)
	}
	if s := w.Look(context.Background(), nil, obj{}, gvk, "team-a"); len(s) != 1 || s[0].Standing != Refused {
		t.Errorf("without grounds: %+v", s)
	}
}

func roundTrip(t *testing.T, o obj) obj {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := readObject(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

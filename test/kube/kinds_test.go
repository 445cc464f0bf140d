package kube

import (
	"net/http"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// served returns the API of a kind that was just defined, in a namespace, when there is
// one: that takes a moment.
func (w *world) served(t *testing.T, ns string, r schema.GroupVersionResource) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(w.cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, api := within(t), client.Resource(r).Namespace(ns)
	eventually(t, r.Resource+" are served", func() bool {
		_, err := api.List(ctx, metav1.ListOptions{})
		return !apierrors.IsNotFound(err)
	})
	return api
}

var strict = metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}

// field returns a text of a stored object.
func field(o *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

// testLLM deploys by KServe's LLMInferenceService, whose schema is KServe's own.
func (w *world) testLLM(t *testing.T) {
	define(t, w.cluster, llm(t))
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	services := w.served(t, prod, schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1alpha1", Resource: "llminferenceservices"})
	service := func(name, model, adapter, image string) *unstructured.Unstructured {
		return objects(t, `
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: `+name+`}
spec:
  model:
    uri: "oci://`+model+`"
    name: credit
    lora: {adapters: [{name: risk, uri: "oci://`+adapter+`"}]}
  template:
    containers: [{name: main, image: "`+image+`"}]
`)[0]
	}
	stored, err := services.Create(ctx, service("good", w.good.tag, w.better.tag, w.good.tag), strict)
	if err != nil {
		t.Fatal(err)
	}
	adapters, _, _ := unstructured.NestedSlice(stored.Object, "spec", "model", "lora", "adapters")
	containers, _, _ := unstructured.NestedSlice(stored.Object, "spec", "template", "containers")
	if len(adapters) != 1 || len(containers) != 1 {
		t.Fatalf("stored is %v", stored.Object)
	}
	for place, c := range map[string]struct{ got, want any }{
		"model":   {field(stored, "spec", "model", "uri"), "oci://" + w.good.pinned},
		"adapter": {adapters[0].(map[string]any)["uri"], "oci://" + w.better.pinned},
		"image":   {containers[0].(map[string]any)["image"], w.good.pinned},
	} {
		if c.got != c.want {
			t.Errorf("the %s is %v, want %v", place, c.got, c.want)
		}
	}
	for place, o := range map[string]*unstructured.Unstructured{
		"spec.model.uri":      service("model", w.bare.tag, w.good.pinned, w.good.pinned),
		"adapters[risk]":      service("adapter", w.good.pinned, w.bare.pinned, w.good.pinned),
		"template.containers": service("image", w.good.pinned, w.good.pinned, w.bare.pinned),
	} {
		_, err := services.Create(ctx, o, strict)
		refused(t, err, http.StatusForbidden, "approve", place)
	}
}

// testCustom deploys by a resource that only the configuration knows, with a webhook for
// it beside those that are shipped.
func (w *world) testCustom(t *testing.T) {
	ctx, prod := within(t), newNamespace(t, w.cluster, "prod")
	defineObjects(t, w.cluster, objects(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scorers.ml.acme.example}
spec:
  group: ml.acme.example
  names: {kind: Scorer, plural: scorers, singular: scorer}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
`))
	rules := []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"ml.acme.example"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
	}}
	validating, mutating := shipped(t, w.ca.PEM)
	validating.Name, mutating.Name = "pedigree-gate-custom", "pedigree-gate-custom"
	validating.Webhooks, mutating.Webhooks = validating.Webhooks[:1], mutating.Webhooks[:1]
	validating.Webhooks[0].Rules, mutating.Webhooks[0].Rules = rules, rules
	validate(t, w.cluster, validating)
	mutate(t, w.cluster, mutating)
	scorers := w.served(t, prod, schema.GroupVersionResource{Group: "ml.acme.example", Version: "v1", Resource: "scorers"})
	scorer := func(name, spec string) *unstructured.Unstructured {
		return objects(t, "apiVersion: ml.acme.example/v1\nkind: Scorer\nmetadata: {name: "+name+"}\nspec: "+spec)[0]
	}
	eventually(t, "the webhooks are in force", func() bool {
		stored, err := scorers.Create(ctx, scorer("probe", "{model: '"+w.good.tag+"'}"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && field(stored, "spec", "model") != w.good.pinned {
			return false
		}
		_, bad := scorers.Create(ctx, scorer("probe", "{model: '"+w.bare.tag+"'}"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && bad != nil
	})
	template := func(image string) string {
		return "{metadata: {}, spec: {containers: [{name: main, image: '" + image + "'}]}}"
	}
	stored, err := scorers.Create(ctx, scorer("good", "{model: '"+w.good.tag+"', adapters: [{ref: '"+w.better.pinned+"'}], template: "+template(w.good.tag)+"}"), strict)
	if err != nil {
		t.Fatal(err)
	}
	if got := field(stored, "spec", "model"); got != w.good.pinned {
		t.Errorf("what a JSONPath found is %s", got)
	}
	containers, _, _ := unstructured.NestedSlice(stored.Object, "spec", "template", "spec", "containers")
	if got := containers[0].(map[string]any)["image"]; got != w.good.tag {
		t.Errorf("a template was changed to %v", got)
	}
	for name, c := range map[string]struct{ spec, says string }{
		"path":     {"{model: '" + w.bare.tag + "'}", "(spec.model)"},
		"cel":      {"{model: '" + w.good.pinned + "', adapters: [{ref: '" + w.better.pinned + "'}, {ref: '" + w.bare.pinned + "'}]}", "(cel:adapters[#1])"},
		"cel-tag":  {"{model: '" + w.good.pinned + "', adapters: [{ref: '" + w.better.tag + "'}]}", "E_TAG"},
		"template": {"{model: '" + w.good.pinned + "', template: " + template(w.bare.pinned) + "}", "main"},
		"number":   {"{model: 7}", "E_"},
	} {
		_, err := scorers.Create(ctx, scorer(name, c.spec), strict)
		refused(t, err, http.StatusForbidden, c.says)
	}
}

// testAccount has a service account make a Deployment where refusals are only written
// down, of a model that would be refused: all of it gets in, and the audit log has the
// account for the Deployment and the controller for its pods.
func (w *world) testAccount(t *testing.T) {
	ctx, ns := within(t), newNamespace(t, w.cluster, "audited")
	k := clients(t, w.cluster.Config)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}}
	if _, err := k.CoreV1().ServiceAccounts(ns).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"create"}}}}
	if _, err := k.RbacV1().Roles(ns).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "deployer"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "deployer", Namespace: ns}}}
	if _, err := k.RbacV1().RoleBindings(ns).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := k.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "deployer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	heard := &listener{}
	config := rest.CopyConfig(w.cluster.Config)
	config.BearerToken, config.WarningHandler = token.Status.Token, heard
	own := clients(t, config)
	eventually(t, "the account may deploy", func() bool {
		_, err = own.AppsV1().Deployments(ns).Create(ctx, newDeployment("bare", w.bare.tag), metav1.CreateOptions{})
		return !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "admission webhook")
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(heard.heard) > 0 {
		t.Errorf("audit warns: %q", heard.heard)
	}
	eventually(t, "it has its pods", func() bool {
		list, err := k.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 2
	})
	by := map[string]int{}
	for _, e := range w.audited(ns) {
		if a := e.admit(); e.Verb == "create" && a["outcome"] == "DENY" && a["mode"] == "audit" && strings.HasSuffix(a["artifact"], digestOf(w.bare)) {
			by[e.ObjectRef.Resource+" by "+e.User.Username]++
		}
	}
	if by["deployments by system:serviceaccount:"+ns+":deployer"] != 1 || by["pods by system:serviceaccount:kube-system:replicaset-controller"] != 2 {
		t.Errorf("the audit log has %v", by)
	}
}

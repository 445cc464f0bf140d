package kube

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// A stub is a webhook that does what a test says. It shows that the cluster asks
// webhooks at all, and stands in for other people's beside the gate.
type stub struct {
	url   string
	ca    []byte
	asked atomic.Int64
	stop  func()
}

// startStub serves answer until the test ends. What answer leaves out of the response
// is filled in.
func startStub(t testing.TB, answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) *stub {
	t.Helper()
	authority, err := cluster.NewAuthority("stub")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(cluster.Request{})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{ca: authority.PEM}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		body, err := io.ReadAll(r.Body)
		var review admissionv1.AdmissionReview
		if err == nil {
			err = json.Unmarshal(body, &review)
		}
		if err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		review.Response = answer(review.Request)
		review.Response.UID = review.Request.UID
		if len(review.Response.Patch) > 0 {
			review.Response.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
		}
		review.Request = nil
		json.NewEncoder(w).Encode(review)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.url, s.stop = srv.URL, srv.Close
	return s
}

// pods are the rules for pods alone, in one namespace.
func pods(ns string) ([]admissionregistrationv1.RuleWithOperations, *metav1.LabelSelector) {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}}, only(ns)
}

// only selects namespaces by name.
func only(names ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: names}}}
}

func (s *stub) validating(name, ns string, timeout time.Duration) *admissionregistrationv1.ValidatingWebhookConfiguration {
	rules, selector := pods(ns)
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
		Name: name + ".stub.test", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &s.url, CABundle: s.ca},
		Rules: rules, NamespaceSelector: selector, FailurePolicy: ptr.To(admissionregistrationv1.Fail), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
		TimeoutSeconds: ptr.To(int32(timeout / time.Second)), AdmissionReviewVersions: []string{"v1"},
	}}}
}

// TestStub shows with a webhook of a few lines that the cluster asks webhooks, and what
// its refusal looks like: where the gate's tests fail and this one does not, it is the
// gate.
func TestStub(t *testing.T) {
	ctx, ns := within(t), newNamespace(t, shared, "stub")
	s := startStub(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if strings.Contains(string(r.Object.Raw), "evil") {
			return &admissionv1.AdmissionResponse{Result: &metav1.Status{Code: http.StatusForbidden, Message: "evil is not wanted"}}
		}
		return &admissionv1.AdmissionResponse{Allowed: true}
	})
	validate(t, shared, s.validating("stub", ns, 10*time.Second))
	api := clients(t, shared.Config).CoreV1().Pods(ns)
	evil := newPod("evil", "registry.test/evil:v1")
	eventually(t, "the webhook is asked", func() bool {
		_, err := api.Create(ctx, evil, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
	_, err := api.Create(ctx, evil, metav1.CreateOptions{})
	refused(t, err, http.StatusForbidden, `admission webhook "stub.stub.test" denied the request`, "evil is not wanted")
	if _, err := api.Create(ctx, newPod("good", "registry.test/good:v1"), metav1.CreateOptions{}); err != nil {
		t.Errorf("the twin is refused: %v", err)
	}
}

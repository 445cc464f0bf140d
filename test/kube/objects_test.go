package kube

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// number makes names unique among the tests of this process.
var number atomic.Int64

// clients returns clients of a cluster under a configuration.
func clients(t testing.TB, c *rest.Config) *kubernetes.Clientset {
	t.Helper()
	k, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newNamespace makes a namespace with its service account, which goes with the test.
func newNamespace(t testing.TB, c *cluster.Cluster, base string) string {
	t.Helper()
	ctx, k := within(t), clients(t, c.Config)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", base, number.Add(1))}}
	if _, err := k.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// A Pod needs the account of its namespace; a controller makes it, where there is one.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := k.CoreV1().ServiceAccounts(ns.Name).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return ns.Name
}

// newPod returns a pod of one container.
func newPod(name, image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "scoring", Image: image}}}}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30s: %s", what)
		}
	}
}

// validate registers a validating configuration for the time of the test.
func validate(t testing.TB, c *cluster.Cluster, w *admissionregistrationv1.ValidatingWebhookConfiguration) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	api := clients(t, c.Config).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	w, err := api.Create(within(t), w, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removed(t, api.Delete(context.Background(), w.Name, metav1.DeleteOptions{})) })
	return w
}

// mutate registers a mutating configuration for the time of the test.
func mutate(t testing.TB, c *cluster.Cluster, w *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	api := clients(t, c.Config).AdmissionregistrationV1().MutatingWebhookConfigurations()
	w, err := api.Create(within(t), w, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removed(t, api.Delete(context.Background(), w.Name, metav1.DeleteOptions{})) })
	return w
}

func removed(t testing.TB, err error) {
	t.Helper()
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// refused fails unless err is a refusal by a webhook with this status code that says
// all of this.
func refused(t testing.TB, err error, code int32, says ...string) {
	t.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		t.Fatalf("not refused: %v", err)
	}
	if got := status.Status(); got.Code != code {
		t.Errorf("refused with %d instead of %d: %v", got.Code, code, err)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in the refusal: %v", want, err)
		}
	}
}

// shipped returns the webhooks of examples/kubernetes with an authority.
func shipped(t testing.TB, ca []byte) (*admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	validating, mutating := &admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfiguration{}
	for file, into := range map[string]any{"validating.yaml": validating, "mutating.yaml": mutating} {
		b, err := os.ReadFile(manifests + "/webhooks/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(b, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = ca
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = ca
	}
	return validating, mutating
}

// create makes a pod.
func (w *world) create(t testing.TB, ns string, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return clients(t, w.cluster.Config).CoreV1().Pods(ns).Create(within(t), pod, metav1.CreateOptions{})
}

// dry asks whether a pod could be made.
func (w *world) dry(t testing.TB, ns string, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return clients(t, w.cluster.Config).CoreV1().Pods(ns).Create(within(t), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

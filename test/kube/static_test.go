package kube

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// TestStatic starts an API server with the webhooks of examples/kubernetes/static in a
// folder of its host, and the gate behind them: they hold from its first request on, and
// the API does not know them.
func TestStatic(t *testing.T) {
	ctx := within(t)
	w := newGateAlone(t, 2*time.Second, nil)
	w.good, w.bare = w.approved("good"), w.model("bare")
	dir := t.TempDir()
	for file, into := range map[string]any{"validating": &admissionregistrationv1.ValidatingWebhookConfiguration{}, "mutating": &admissionregistrationv1.MutatingWebhookConfiguration{}} {
		b, err := os.ReadFile(manifests + "/static/" + file + ".yaml")
		if err == nil {
			err = yaml.UnmarshalStrict(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
		point := func(c *admissionregistrationv1.WebhookClientConfig) {
			url := "https://" + w.gate.address + (*c.URL)[strings.LastIndexByte(*c.URL, '/'):]
			c.URL, c.CABundle = &url, w.ca.PEM
		}
		switch c := into.(type) {
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			for i := range c.Webhooks {
				point(&c.Webhooks[i].ClientConfig)
			}
		case *admissionregistrationv1.MutatingWebhookConfiguration:
			for i := range c.Webhooks {
				point(&c.Webhooks[i].ClientConfig)
			}
		}
		b, err = yaml.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file, "gate.yaml"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := cluster.Start(ctx, cluster.Options{Programs: programs, StaticManifests: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.cluster = c
	k, ns := clients(t, c.Config), newNamespace(t, c, "prod")
	if n := w.asked()["admit"]; n == 0 {
		t.Error("nobody asked the gate about a namespace")
	}
	_, err = w.create(t, ns, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, "admit.gate.pedigree-ml.github.io", w.bare.pinned)
	pod, err := w.create(t, ns, newPod("good", w.good.tag))
	if err != nil {
		t.Fatalf("the twin is refused: %v", err)
	}
	if got := pod.Spec.Containers[0].Image; got != w.good.pinned {
		t.Errorf("the tag became %s", got)
	}
	for _, delete := range []func() error{
		func() error {
			return k.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, "pedigree-gate.static.k8s.io", metav1.DeleteOptions{})
		},
		func() error {
			return k.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, "pedigree-gate.static.k8s.io", metav1.DeleteOptions{})
		},
	} {
		if err := delete(); !apierrors.IsNotFound(err) {
			t.Errorf("deleting it through the API: %v", err)
		}
	}
	_, err = w.dry(t, ns, newPod("bare", w.bare.pinned))
	refused(t, err, http.StatusForbidden, w.bare.pinned)

	w.stop(os.Kill)
	began := time.Now()
	_, err = w.create(t, ns, newPod("down", w.good.pinned))
	refused(t, err, http.StatusInternalServerError, "failed calling webhook")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	w.start()
	eventually(t, "it is asked again", func() bool {
		_, err := w.create(t, ns, newPod("up", w.good.pinned))
		return err == nil
	})
}

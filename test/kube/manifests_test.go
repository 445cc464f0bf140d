package kube

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
)

// manifests is the folder of what is shipped.
const manifests = "../../examples/kubernetes"

// TestShippedConfiguration has the program read what the ConfigMap is made of.
func TestShippedConfiguration(t *testing.T) {
	out, err := exec.Command(build(t, t.TempDir()), "gate", "check", "--config", manifests+"/gate/config/gate.yaml").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"policy    models", "rule      prod: enforce", "rule      others: audit"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in: %s", want, out)
		}
	}
}

// TestManifests applies what is shipped with kubectl as the README says, word for word,
// to a cluster in which there is no gate: every field is known to the API server, the
// gate's own pods may start, and nobody else's.
func TestManifests(t *testing.T) {
	ctx := within(t)
	c, err := cluster.Start(ctx, cluster.Options{Programs: programs, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	define(t, c, certManager(t))
	apply := func(folder string) {
		t.Helper()
		if out, err := c.Kubectl(ctx, "", "apply", "--server-side", "--validate=strict", "-k", manifests+"/"+folder); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	prod := newNamespace(t, c, "prod")
	apply("webhooks") // the wrong order: it must do all the same
	api := clients(t, c.Config).CoreV1()
	eventually(t, "the webhooks are in force", func() bool {
		_, err := api.Pods(prod).Create(ctx, newPod("probe", "registry.test/any:v1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})

	t.Run("GAT-08 no gate, no pod", func(t *testing.T) {
		began := time.Now()
		_, err := api.Pods(prod).Create(ctx, newPod("any", "registry.test/any:v1"), metav1.CreateOptions{})
		refused(t, err, http.StatusInternalServerError, "failed calling webhook", "gate.pedigree-ml.github.io")
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("nobody is there, and it takes %s to say so", took)
		}
		out, err := c.Kubectl(ctx, "", "create", "namespace", "prod-unknown")
		if err == nil {
			t.Errorf("a namespace was made without the gate: %s", out)
		}
	})

	t.Run("GAT-26 the gate's own pods start without it", func(t *testing.T) {
		apply("")
		for name, pods := range map[string]int{"pedigree-gate": 2, "pedigree-watch": 1} {
			started(t, c, name, pods)
		}
		// And start again: a node that died takes its pods with it.
		list, err := api.Pods("pedigree-system").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=pedigree-gate"})
		if err != nil || len(list.Items) == 0 {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			if err := api.Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, p.Name+" is replaced", func() bool {
				_, err := api.Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
		}
		started(t, c, "pedigree-gate", 2)
	})

	t.Run("with a volume for each replica", func(t *testing.T) {
		if out, err := c.Kubectl(ctx, "", "delete", "deployment", "-n", "pedigree-system", "pedigree-gate"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		apply("persistent")
		set, err := clients(t, c.Config).AppsV1().StatefulSets("pedigree-system").Get(ctx, "pedigree-gate", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Spec.VolumeClaimTemplates) != 1 || *set.Spec.Replicas != 2 {
			t.Errorf("it has %d replicas and %v", *set.Spec.Replicas, set.Spec.VolumeClaimTemplates)
		}
		claimed := set.Spec.VolumeClaimTemplates[0].Name
		for _, v := range set.Spec.Template.Spec.Volumes {
			if v.Name == claimed {
				t.Errorf("the pod has a volume %s of its own, which takes the claim's place", claimed)
			}
		}
	})
}

// TestReadme does what the README says, in its order and its words, without cert-manager.
func TestReadme(t *testing.T) {
	ctx := within(t)
	c, err := cluster.Start(ctx, cluster.Options{Programs: programs, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	readme, err := os.ReadFile(manifests + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(manifests)); err != nil {
		t.Fatal(err)
	}
	pair, err := c.Authority.Issue(cluster.Request{Names: []string{serviceName}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pair.Write(dir); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), bytes.Replace(all, []byte("  - cert-manager\n"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(command string, more ...string) {
		t.Helper()
		if !strings.Contains(string(readme), command) {
			t.Fatalf("the README does not say: %s", command)
		}
		if out, err := c.KubectlIn(ctx, dir, "", append(strings.Fields(command)[1:], more...)...); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	do("kubectl apply --server-side -f gate/namespace.yaml")
	do("kubectl create secret docker-registry pedigree-gate-registry -n pedigree-system", "--docker-server=registry.example", "--docker-username=gate", "--docker-password=secret")
	do("kubectl create secret tls pedigree-gate-tls -n pedigree-system --cert=tls.crt --key=tls.key")
	do("kubectl apply --server-side -k .")
	started(t, c, "pedigree-gate", 2)
	k := clients(t, c.Config)
	// A kubelet would wait for Secrets, and keys of them, that are not there.
	d, err := k.AppsV1().Deployments("pedigree-system").Get(ctx, "pedigree-gate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.Secret == nil {
			continue
		}
		s, err := k.CoreV1().Secrets("pedigree-system").Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, item := range v.Secret.Items {
			if len(s.Data[item.Key]) == 0 {
				t.Errorf("%s has no %s", s.Name, item.Key)
			}
		}
	}

	prod := newNamespace(t, c, "prod")
	asked := func(want bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("the gate is asked: %v", want), func() bool {
			_, err := k.CoreV1().Pods(prod).Create(ctx, newPod("any", "registry.test/any:v1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return (err != nil) == want
		})
	}
	do("kubectl apply --server-side -k webhooks")
	asked(true)
	do("kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration pedigree-gate")
	asked(false)
	do("kubectl apply --server-side -k webhooks")
	asked(true)
	do("kubectl delete -k webhooks")
	asked(false)
	do("kubectl delete -k .")
}

// started waits until this many pods of a Deployment were made, and none was refused.
func started(t *testing.T, c *cluster.Cluster, name string, pods int) {
	t.Helper()
	ctx, k := within(t), clients(t, c.Config)
	eventually(t, name+" has its pods", func() bool {
		list, err := k.CoreV1().Pods("pedigree-system").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + name})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == pods
	})
	d, err := k.AppsV1().Deployments("pedigree-system").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == "ReplicaFailure" {
			t.Errorf("%s: %s", name, condition.Message)
		}
	}
}

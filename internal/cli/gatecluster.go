package cli

import (
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/watch"
)

// accountFolder is where a cluster gives its pods what they speak to it with.
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// cluster returns the cluster that is watched: that of a kubeconfig file, or without one
// that which the program runs in. The environment names no other: what is looked at is
// what the command line says.
func (a *app) cluster(file string) (watch.Cluster, error) {
	c, err := a.clusterConfig(file)
	if err != nil {
		return nil, err
	}
	c.UserAgent = "pedigree/" + version()
	// Much less than an API server notices: a few lists at the start, and events.
	c.QPS, c.Burst = 20, 50
	c.WarningHandlerWithContext = rest.NoWarnings{}
	cluster, err := watch.Connect(c)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "cannot be used to speak to a cluster", Err: err}
	}
	return cluster, nil
}

func (a *app) clusterConfig(file string) (*rest.Config, error) {
	if file == "" {
		return a.ownCluster(accountFolder)
	}
	config, err := clientcmd.LoadFromFile(file)
	if err == nil {
		err = clientcmd.ResolveLocalPaths(config)
	}
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "no kubeconfig that can be read", Err: err}
	}
	c, err := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: file, Why: "its current context cannot be used", Err: err}
	}
	return c, nil
}

// ownCluster is the cluster that gives this pod an account in a folder. Where its API
// server is the cluster says in the environment; that it is it, the folder's certificate.
func (a *app) ownCluster(folder string) (*rest.Config, error) {
	token, ca := filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt")
	if _, err := os.Stat(token); err != nil {
		return nil, &attest.Refusal{Code: attest.CodeUsage, About: "--kubeconfig", Why: "which cluster? This is not a pod with a service account", Next: "name a kubeconfig file; KUBECONFIG and ~/.kube/config are not looked at"}
	}
	host, _ := a.getenv("KUBERNETES_SERVICE_HOST")
	port, _ := a.getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		host, port = "kubernetes.default.svc", "443"
	}
	return &rest.Config{Host: "https://" + net.JoinHostPort(host, port), TLSClientConfig: rest.TLSClientConfig{CAFile: ca}, BearerTokenFile: token}, nil
}

// Package kube tests the deploy gate with a real Kubernetes API server: the released
// one, built from its module, with etcd and the controllers that make pods.
package kube

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pedigree-ml/pedigree/test/kube/cluster"
	"github.com/pedigree-ml/pedigree/test/kube/servers"
)

// shared is the cluster of most tests: each has namespaces of its own, and its webhooks
// are asked about these only.
var shared *cluster.Cluster

// programs are what a test starts a cluster of its own with.
var programs *servers.Programs

func TestMain(m *testing.M) {
	status, err := with(m)
	if err != nil {
		// A machine that cannot build the servers says so; one that is to check everything
		// must not pass without.
		fmt.Fprintf(os.Stderr, "left out: the tests with a real Kubernetes API server: %v\n", err)
		if os.Getenv("CI") == "true" {
			status = 1
		}
	}
	os.Exit(status)
}

func with(m *testing.M) (int, error) {
	ctx := context.Background()
	var err error
	programs, err = servers.Build(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return 0, err
	}
	shared, err = cluster.Start(ctx, cluster.Options{Programs: programs, Controllers: true, WebhookClient: "kube-apiserver",
		Users: map[string]string{"tenant": "tenants", "platform": "platform"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, nil
	}
	defer shared.Close()
	return m.Run(), nil
}

// within is the time that one test has.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

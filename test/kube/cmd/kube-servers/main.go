// Command kube-servers builds what the tests of test/kube run, and tells how it gets
// on: "go test" shows nothing before it is through.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/pedigree-ml/pedigree/test/kube/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	p, err := servers.Build(ctx, say)
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
	say("Kubernetes %s is in %s", p.Version, p.APIServer)
}

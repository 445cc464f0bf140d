package cli

import (
	"os/exec"

	"github.com/pedigree-ml/pedigree/internal/play"
)

// What the demonstration asks the deploy gate by, and about.
const (
	demoGate = `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: demo}
listen: {address: "127.0.0.1:0", drain: 1s}      # a port that is free; --address-file says which
registry: {repositories: ["ocidir://registry", "ocidir://swapped"]}
policies: [{name: credit, policy: policy.yaml}]
rules:
  - name: scoring
    namespaces: [scoring]
    artifacts:
      - {repositories: ["ocidir://registry", "ocidir://swapped"], policy: credit}
      - {repositories: ["docker.io/library/python"], accept: true, reason: "the runtime; the platform team scans it"}
    environments: [MODEL]
state: state
`
	demoDeployments = `apiVersion: apps/v1
kind: Deployment
metadata: {name: credit, namespace: scoring}
spec:
  selector: {matchLabels: {app: credit}}
  template:
    metadata: {labels: {app: credit}}
    spec:
      containers:
        - name: serve
          image: python:3.12
          env: [{name: MODEL, value: "ocidir://registry:int8"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: swapped, namespace: scoring}
spec:
  selector: {matchLabels: {app: swapped}}
  template:
    metadata: {labels: {app: swapped}}
    spec:
      containers:
        - name: serve
          image: python:3.12
          env: [{name: MODEL, value: "ocidir://swapped:int8"}]
        - name: sidecar
          image: quay.io/somebody/proxy:1
`
)

// gateScenes ask the question where models are deployed. Over HTTP it is asked with curl,
// as pipelines do, if there is one.
func gateScenes() []play.Scene {
	out := []play.Scene{
		{Title: "At the door: may this be deployed?",
			Story: "The gate asks the same question where models are deployed. gate.yaml says for whom it asks\nby which policy; deployment.yaml has a Deployment of the approved model, and one of the model\nof the first attack. This is what Kubernetes would be told:", Lines: []play.Line{
				{Command: "cat gate.yaml"},
				{Command: "pedigree gate check --config gate.yaml deployment.yaml", Status: exitDeny,
					Want: []string{"ALLOW  Deployment.apps scoring/credit", "DENY  Deployment.apps scoring/swapped", "E_CHAIN_MISSING", "E_UNRECOGNISED"}},
			}},
	}
	if _, err := exec.LookPath("curl"); err != nil {
		return out
	}
	return append(out, play.Scene{Title: "At the door: over HTTP",
		Story: "Status 200 is ALLOW and nothing else is, so `curl -f` is a gate for any platform.", Lines: []play.Line{
			{Command: `pedigree gate --config gate.yaml --address-file gate.address > gate.log 2>&1 & trap "kill $!" EXIT INT TERM
for n in $(seq 100); do curl -fs http://$(head -n 1 gate.address 2>/dev/null)/readyz && break; sleep 0.1; done
ask() { curl -fsS -o "$1" -H 'Content-Type: application/json' -d "{\"reference\": \"$2\"}" http://$(head -n 1 gate.address)/v1/verify; }
ask work/allowed.json ocidir://registry:int8 && echo deploy it
ask work/refused.json ocidir://swapped:int8  || echo do not`,
				Want: []string{"ready", "deploy it", "error: 403", "do not"}},
			{Command: `pedigree verify ocidir://registry:int8 --policy policy.yaml --state state --output json --at $(sed -n 's/^  "at": "\(.*\)",$/\1/p' work/allowed.json) |
    cmp - work/allowed.json && echo the very bytes that verify writes`,
				Want: []string{"the very bytes"}},
		}})
}

package config_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/config"
)

// small is the least that loads.
const small = `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: small}
listen: {address: "127.0.0.1:8080"}
registry: {repositories: ["ocidir://registry"]}
policies: [{name: credit, policy: policy.yaml}]
`

func complete(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/complete.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestComplete(t *testing.T) {
	src := complete(t)
	got, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	want := &gate.Config{
		Name: "credit-gate", Digest: attest.SHA256(src).String(), Cluster: "eu-1",
		Listen:   gate.Listen{Address: ":8443", Metrics: "127.0.0.1:9090", Certificate: "tls/tls.crt", Key: "tls/tls.key", ClientCA: "tls/api-server-ca.pem", ClientNames: []string{"kube-apiserver"}, Drain: 10 * time.Second},
		Limits:   gate.Limits{Deadline: 8 * time.Second, Body: 4 << 20, Concurrent: 32, Waiting: 512, PerTenant: 100, References: 32, Connections: 500},
		Registry: gate.Registry{Repositories: []string{"ghcr.io/acme/**", "registry.acme.example/models/*"}, Jobs: 8},
		Policies: []gate.PolicySource{
			{Name: "credit", Policy: "registry.acme.example/policies/credit:prod", Roots: "roots.yaml", Trust: "trust.yaml", TrustCache: "/var/cache/pedigree", Evidence: []string{"registry.acme.example/evidence"}, Refresh: 2 * time.Minute},
			{Name: "images", Policy: "images.yaml", Refresh: 5 * time.Minute},
		},
		Rules: []gate.Rule{
			{
				Name: "credit", Namespaces: []string{"credit-*", "scoring"}, Mode: gate.Enforce, Unrecognised: gate.Refuse, Pin: true,
				Environments: []string{"MODEL_REF"}, Annotations: []string{"acme.example/model"}, Environment: "production",
				Artifacts: []gate.ArtifactLine{
					{Repositories: []string{"ghcr.io/acme/credit/**"}, Policy: "credit", Context: "production"},
					{Repositories: []string{"ghcr.io/acme/**"}, Policy: "images"},
					{Repositories: []string{"docker.io/istio/*"}, Accept: true, Reason: "the mesh's sidecars are the platform team's"},
					{URIs: []string{"s3://acme-public/"}, Accept: true, Reason: "tokenizers, read as data"},
				},
			},
			{Name: "playground", Namespaces: []string{"play-*"}, Mode: gate.Warn, Artifacts: []gate.ArtifactLine{{Repositories: []string{"ghcr.io/acme/**"}, Policy: "images"}}},
		},
		Exempt: []gate.Exemption{{Namespaces: []string{"scoring"}, Users: []string{"system:serviceaccount:ops:repair"}, Groups: []string{"acme:sre"}, Kinds: []string{"/Pod", "batch/Job"}, Reason: "break glass, logged and reviewed"}},
		Kinds: []gate.Kind{{Group: "ml.acme.example", Kind: "Scorer", Versions: []string{"v1", "v1beta1"}, PodTemplates: []string{"$.spec.template"},
			Places: []gate.CustomPlace{{Name: "model", JSONPath: "$.spec.model"}, {Name: "adapters", CEL: "object.spec.adapters.map(a, a.ref)"}}}},
		Labels: gate.NamespaceGuard{Labels: []string{"pedigree-ml.github.io/*", "environment"}, Users: []string{"system:serviceaccount:ops:namespaces"}, Groups: []string{"acme:platform"}},
		Cache:  gate.Cache{Allow: 30 * time.Second, Deny: 2 * time.Second, Entries: 5000, Bytes: 32 << 20},
		State:  "/var/lib/pedigree/state",
		Records: &gate.Records{Queue: "/var/lib/pedigree/records", Limit: 5000, Full: "drop",
			Signing: map[string]string{"spiffe": "unix:///run/spire/agent.sock", "timestamp": "https://tsa.acme.example/api/v1/timestamp"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every default; what is left out is never zero where zero would mean "no limit".
func TestDefaults(t *testing.T) {
	got, err := config.Load([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	want := &gate.Config{
		Name: "small", Digest: attest.SHA256([]byte(small)).String(),
		Listen:   gate.Listen{Address: "127.0.0.1:8080", Drain: 5 * time.Second},
		Limits:   gate.Limits{Deadline: 9 * time.Second, Body: 7 << 20, Concurrent: 64, Waiting: 2048, PerTenant: 512, References: 64, Connections: 1024},
		Registry: gate.Registry{Repositories: []string{"ocidir://registry"}, Jobs: 16},
		Policies: []gate.PolicySource{{Name: "credit", Policy: "policy.yaml", Refresh: 5 * time.Minute}},
		Cache:    gate.Cache{Allow: 60 * time.Second, Deny: 5 * time.Second, Entries: 10_000, Bytes: 64 << 20},
		Warnings: []string{"1:1: no state: after a restart an older policy, status or deny list would pass for new"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = config.Load([]byte(small + "cluster: eu-1\nrules: [{name: r, namespaces: [a], environment: prod, artifacts: [{repositories: ['ocidir://registry'], policy: credit}]}]\nrecords: {queue: q, signing: {key: k}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&gate.Records{Queue: "q", Limit: 10_000, Full: "refuse", Signing: map[string]string{"key": "k"}}, got.Records); diff != "" {
		t.Error(diff)
	}
	if r := got.Rules[0]; r.Mode != gate.Enforce || r.Unrecognised != gate.Refuse || r.Pin {
		t.Errorf("a rule's defaults: %+v", r)
	}
}

// A key that nothing knows is a mistake in every mapping of the language, and so is one
// that is there twice.
func TestUnknownKeyAtEachLevel(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal(complete(t), &doc); err != nil {
		t.Fatal(err)
	}
	levels := 0
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for i, c := range n.Content {
			walk(c, fmt.Sprintf("%s/%d", path, i))
		}
		if n.Kind != yaml.MappingNode {
			return
		}
		levels++
		old := n.Content
		for _, key := range []string{"mystery", old[0].Value, strings.ToUpper(old[0].Value)} {
			n.Content = append(old[:len(old):len(old)], &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Value: "x"})
			src, err := yaml.Marshal(&doc)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Load(src)
			var load *config.LoadError
			if !errors.As(err, &load) || attest.RefusalCode(err) != attest.CodeGateConfig || load.Problems[0].Line == 0 || !regexp.MustCompile(`has no key|twice`).MatchString(err.Error()) {
				t.Errorf("%s with %q: %v", path, key, err)
			}
		}
		n.Content = old
	}
	walk(&doc, "")
	if levels < 20 {
		t.Errorf("%d mappings were tried: the complete configuration is not complete", levels)
	}
	src, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(src); err != nil {
		t.Errorf("the twin that nobody touched: %v", err)
	}
}

// edit replaces one text of a configuration, which must be there once.
func edit(t *testing.T, src, old, with string) string {
	t.Helper()
	if strings.Count(src, old) != 1 {
		t.Fatalf("%q is there %d times", old, strings.Count(src, old))
	}
	return strings.Replace(src, old, with, 1)
}

func TestMistakes(t *testing.T) {
	const line = `- {repositories: ["ghcr.io/acme/**"], policy: images}` + "\n      - {repo"
	for _, tc := range []struct{ old, with, want string }{
		{"kind: Gate", "kind: Policy", `3:7: E_GATE_CONFIG: kind is "Policy", this version reads Gate`},
		{"metadata: {name: credit-gate}", "metadata: {}", `"name" is missing`},
		{"metadata: {name: credit-gate}", "metadata: {name: ../x}", "metadata.name"},
		{"cluster: eu-1\n", "cluster: eu/1\n", "cluster"},
		{"cluster: eu-1\n", "", "in which cluster"},
		// listen
		{"  certificate: tls/tls.crt\n", "", "it takes both, or neither"},
		{"  certificate: tls/tls.crt\n  key: tls/tls.key\n", "", "is not loopback, and without a certificate"},
		{"  certificate: tls/tls.crt\n  key: tls/tls.key\n", "", "clients show certificates only to a server that has one"},
		{"  clientCA: tls/api-server-ca.pem\n", "", "clientNames are in certificates that clientCA vouches for"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "127.0.0.1:8443"`, "metrics have a listener of their own"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "127.0.0.1"`, "is not HOST:PORT"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "127.0.0.1:http"`, "is not HOST:PORT"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "127.0.0.1:09090"`, "is not HOST:PORT"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "127.0.0.1:70000"`, "is not HOST:PORT"},
		{`metrics: "127.0.0.1:9090"`, `metrics: "http://127.0.0.1:1"`, "is not HOST:PORT"},
		// limits
		{"deadline: 8s", "deadline: 26s", "between 100ms and 25s"},
		{"deadline: 8s", "deadline: 0s", "whole number of h, m, s or ms"},
		{"deadline: 8s", "deadline: 8", "whole number of h, m, s or ms"},
		{"deadline: 8s", "deadline: -8s", "whole number of h, m, s or ms"},
		{"deadline: 8s", "deadline: [8s]", "whole number of h, m, s or ms"},
		{"body: 4194304", "body: 0", "limits.body must be between"},
		{"concurrent: 32", "concurrent: 0", "limits.concurrent must be between"},
		{"waiting: 512", "waiting: 0", "limits.waiting must be between"},
		{"perTenant: 100", "perTenant: 0", "limits.perTenant must be between 1 and 512"},
		{"perTenant: 100", "perTenant: 513", "limits.perTenant must be between 1 and 512"},
		{"references: 32", "references: 0", "limits.references must be between"},
		{"connections: 500", "connections: 0", "limits.connections must be between"},
		{"jobs: 8", "jobs: 0", "registry.jobs must be between"},
		{"allow: 30s", "allow: 0s", "cache.allow"},
		{"allow: 30s", "allow: 2h", "cache.allow"},
		{"deny: 2s", "deny: 10m", "cache.deny"},
		{"entries: 5000", "entries: 0", "cache.entries"},
		{"bytes: 33554432", "bytes: 0", "cache.bytes"},
		{"drain: 10s", "drain: 0s", "listen.drain"},
		{"limit: 5000", "limit: 0", "records.limit"},
		{"full: drop", "full: maybe", `want one of refuse, drop`},
		{"limits: {deadline: 8s, body: 4194304, concurrent: 32, waiting: 512, perTenant: 100, references: 32, connections: 500}", "limits: {}", "limits is empty"},
		// registry
		{`["ghcr.io/acme/**", "registry.acme.example/models/*"]`, "[]", "empty list"},
		{`"registry.acme.example/models/*"`, `"**"`, "is no pattern"},
		{`"registry.acme.example/models/*"`, `"*/models"`, "is no pattern"},
		{`"registry.acme.example/models/*"`, `"models"`, "is no pattern"},
		{`"registry.acme.example/models/*"`, `"ghcr.io/acme/m:v1"`, "is no pattern"},
		{`"registry.acme.example/models/*"`, `"ghcr.io/acme/**"`, "twice"},
		// policies
		{"- {name: images, policy: images.yaml}", "- {name: credit, policy: images.yaml}", `two policies are called "credit"`},
		{"- {name: images, policy: images.yaml}", "- {name: images}", `"policy" is missing`},
		{"    trust: trust.yaml\n", "", "trustCache keeps what a trust file fetches"},
		{"evidence: [registry.acme.example/evidence]", "evidence: [https://x]", "is no repository"},
		{"refresh: 2m", "refresh: 1s", "refresh must be between 10s and 24h"},
		// rules
		{"- name: playground", "- name: credit", `two rules are called "credit"`},
		{`namespaces: ["play-*"]`, `namespaces: [credit-eu]`, "no namespace is left for this: a rule before takes them"},
		{`namespaces: ["play-*"]`, `namespaces: [credit-eu-*, scoring]`, "no namespace is left for this"},
		{`namespaces: ["play-*"]`, `namespaces: [Play]`, "is not a name of a namespace"},
		{`namespaces: ["play-*"]`, "namespaces: []", "empty list"},
		{"namespaces: [credit-*, scoring]", `namespaces: ["*"]`, "no namespace is left for this"},
		{"mode: enforce", "mode: deny", "want one of enforce, warn, audit"},
		{"unrecognised: refuse", "unrecognised: ignore", "want one of refuse, report"},
		{"pin: true", "pin: maybe", "pin must be true or false"},
		{"environments: [MODEL_REF]", "environments: [A=B]", "is not a name of an environment variable"},
		{"annotations: [acme.example/model]", "annotations: [a/b/c]", "is not a key of an annotation"},
		{"environment: production", "environment: a/b", "environment"},
		// lines
		{"policy: credit, context: production}", "policy: credti, context: production}", `there is no policy "credti"`},
		{"policy: credit, context: production}", "context: production}", "a line names a policy, or accepts"},
		{"policy: credit, context: production}", "accept: true, reason: x, context: production}", "the line names none"},
		{"policy: credit, context: production}", "policy: credit, accept: true, reason: x}", "a line names a policy, or accepts"},
		{"policy: credit, context: production}", "policy: credit, accept: false}", "accept is true, or left out"},
		{"policy: credit, context: production}", "policy: credit, reason: x}", "a reason is given for what is accepted"},
		{`, accept: true, reason: "the mesh's sidecars are the platform team's"`, ", accept: true", "for a reason: it is missing"},
		{`{uris: ["s3://acme-public/"], accept`, `{uris: ["s3://acme-public/"], repositories: ["docker.io/a/b"], accept`, "repositories or uris: one of the two"},
		{`{uris: ["s3://acme-public/"], accept`, `{accept`, "repositories or uris: one of the two"},
		{`{uris: ["s3://acme-public/"], accept: true, reason: "tokenizers, read as data"}`, `{uris: ["s3://acme-public/"], policy: images}`, "has no digest"},
		{`uris: ["s3://acme-public/"]`, `uris: ["oci://ghcr.io/acme/"]`, "is a reference to a registry"},
		{`uris: ["s3://acme-public/"]`, `uris: ["acme-public"]`, "is not the beginning of a URI"},
		{`uris: ["s3://acme-public/"]`, `uris: ["s3:"]`, "is not the beginning of a URI"},
		{`uris: ["s3://acme-public/"]`, `uris: ["h:/"]`, "is not the beginning of a URI"},
		{line, `- {repositories: ["ghcr.io/acme/credit/int8"], policy: images}` + "\n      - {repo", "no repository is left for this: a line before takes it"},
		{line, `- {repositories: ["ghcr.io/acme/credit/eu/*"], policy: images}` + "\n      - {repo", "no repository is left for this"},
		{line, `- {repositories: ["ghcr.io/acme/credit/eu/**"], policy: images}` + "\n      - {repo", "no repository is left for this"},
		// exemptions
		{`{namespaces: [scoring], users: ["system:serviceaccount:ops:repair"], groups: [acme:sre], kinds: [/Pod, batch/Job], reason`, "{reason", "this exempts everything"},
		{`{namespaces: [scoring], users: ["system:serviceaccount:ops:repair"], groups: [acme:sre], kinds: [/Pod, batch/Job], reason`, `{namespaces: ["*"], reason`, "this exempts everything"},
		{`{namespaces: [scoring], users: ["system:serviceaccount:ops:repair"], groups: [acme:sre], kinds: [/Pod, batch/Job], reason`, `{namespaces: ["*"], groups: ["system:authenticated"], reason`, "this exempts everything"},
		{`users: ["system:serviceaccount:ops:repair"]`, `users: ["*"]`, "without *"},
		{`users: ["system:serviceaccount:ops:repair"]`, `users: ["system:serviceaccount:ops:*"]`, "without *"},
		{"kinds: [/Pod, batch/Job]", "kinds: [Pod]", "is not GROUP/KIND"},
		{`, reason: "break glass, logged and reviewed"`, "", `"reason" is missing`},
		// kinds
		{"    kind: Scorer\n", "    kind: scorer\n", "is not a kind"},
		{"group: ml.acme.example", "group: ML", "is not an API group"},
		{"versions: [v1, v1beta1]", "versions: [1]", "must be text"},
		{"versions: [v1, v1beta1]", "versions: [V1]", "is not an API version"},
		{"jsonPath: $.spec.model", "jsonPath: spec.model", "is not a JSONPath"},
		{"jsonPath: $.spec.model", "jsonPath: $.spec.model, cel: object.a", "jsonPath or cel: one of the two"},
		{", jsonPath: $.spec.model", "", "jsonPath or cel: one of the two"},
		{"name: adapters", "name: model", `two places are called "model"`},
		{"jsonPath: $.spec.model", `jsonPath: "$.spec["`, `jsonPath: the JSONPath "$.spec["`},
		{"jsonPath: $.spec.model", "jsonPath: $..a..b..c", "descends (..) more than 2 times"},
		{"podTemplates: [$.spec.template]", `podTemplates: ["$.spec[?"]`, `podTemplates: the JSONPath "$.spec[?"`},
		{`cel: "object.spec.adapters.map(a, a.ref)"`, `cel: "objekt.spec"`, "the CEL expression, character 1: undeclared reference to 'objekt'"},
		{`cel: "object.spec.adapters.map(a, a.ref)"`, `cel: "1"`, "gives int, and neither a text nor a list of texts"},
		// labels and records
		{"labels: [pedigree-ml.github.io/*, environment]", "labels: [\"*\"]", "is not a key of a label"},
		{"  labels: [pedigree-ml.github.io/*, environment]\n", "", `"labels" is missing`},
		{"  queue: /var/lib/pedigree/records\n", "", `"queue" is missing`},
		{`signing: {spiffe: "unix:///run/spire/agent.sock", timestamp: "https://tsa.acme.example/api/v1/timestamp"}`, "signing: {}", "signing is empty"},
		{`state: /var/lib/pedigree/state`, `state: "a\u0007b"`, "cannot be shown"},
		{`state: /var/lib/pedigree/state`, `state: "` + strings.Repeat("a", 5000) + `"`, "at most 4096 are read"},
		{"rules:\n", "rules: []\nrulez:\n", `has no key "rulez"; did you mean "rules"?`},
	} {
		src := edit(t, string(complete(t)), tc.old, tc.with)
		c, err := config.Load([]byte(src))
		var load *config.LoadError
		if c != nil || !errors.As(err, &load) || attest.RefusalCode(err) != attest.CodeGateConfig || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q for %q: %v, want %q", tc.with, tc.old, err, tc.want)
			continue
		}
		for _, p := range load.Problems {
			if p.Line == 0 || p.Column == 0 {
				t.Errorf("%q for %q: %s has no place", tc.with, tc.old, p)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct{ old, with, want string }{
		{"state: /var/lib/pedigree/state\n", "", "no state"},
		{`metrics: "127.0.0.1:9090"`, `metrics: ":9090"`, "plain HTTP for whoever reaches it"},
		{"perTenant: 100", "perTenant: 512", "one namespace could take all of it"},
		{"allow: 30s", "allow: 5m", "an ALLOW is remembered for up to 5m"},
		{"mode: warn", "mode: warn\n    unrecognised: report", "mode warn refuses nothing anyway"},
		{`namespaces: ["play-*"]`, `namespaces: ["play-*", credit-eu]`, "nothing is left for credit-eu"},
		{"- {name: images, policy: images.yaml}", "- {name: images, policy: images.yaml}\n  - {name: extra, policy: e.yaml}", "no rule names the policy extra"},
		{`repositories: ["ghcr.io/acme/credit/**"]`, `repositories: ["quay.io/acme/credit/**"]`, "does not list all of quay.io/acme/credit/**"},
		{"    environment: production\n", "", "no rule has an environment"},
		{`uris: ["s3://acme-public/"]`, `uris: ["s3://acme"]`, "s3://acme stands for s3://acme-anybody too"},
		{`["ghcr.io/acme/**", "registry.acme.example/models/*"]`, `["ghcr.io/acme/*"]`, "does not list all of ghcr.io/acme/credit/**"},
	} {
		c, err := config.Load([]byte(edit(t, string(complete(t)), tc.old, tc.with)))
		if err != nil {
			t.Errorf("%q: %v", tc.with, err)
			continue
		}
		if got := strings.Join(c.Warnings, "\n"); !strings.Contains(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.with, got, tc.want)
		}
	}
}

// What looks like a mistake and is none.
func TestAllowed(t *testing.T) {
	for _, tc := range []struct{ old, with string }{
		{`metrics: "127.0.0.1:9090"`, `metrics: "[::1]:9090"`},
		{`namespaces: ["play-*"]`, `namespaces: ["*"]`},                  // the rest
		{`namespaces: ["play-*"]`, `namespaces: ["*-credit", "credit"]`}, // not credit-*
		{"groups: [acme:sre], kinds: [/Pod, batch/Job]", "groups: [\"system:authenticated\"]"},
		{"deadline: 8s", "deadline: 25s"},
		{`"registry.acme.example/models/*"`, `"registry.acme.example/**"`},
	} {
		if _, err := config.Load([]byte(edit(t, string(complete(t)), tc.old, tc.with))); err != nil {
			t.Errorf("%q: %v", tc.with, err)
		}
	}
	for address, ok := range map[string]bool{"127.0.0.1:0": true, "127.1.2.3:80": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true, ":80": false, "0.0.0.0:80": false, "gate:80": false, "10.0.0.1:80": false, "[::]:80": false, "localhost.evil.example:80": false} {
		if _, err := config.Load([]byte(edit(t, small, "127.0.0.1:8080", address))); (err == nil) != ok {
			t.Errorf("plain HTTP on %s: %v", address, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(complete(f))
	f.Add([]byte(small))
	f.Add([]byte("rules: [{artifacts: [{}], namespaces: ['*']}]"))
	f.Add([]byte("listen: []\nlimits: 1\nregistry: {repositories: {}}\npolicies: [1]\nrules: [[]]\nexempt: [a]\nkinds: [{places: [1]}]\nrecords: x"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := config.Load(src)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v with %v", c, err)
		}
		if err != nil {
			var load *config.LoadError
			if !errors.As(err, &load) || len(load.Problems) == 0 {
				t.Fatalf("%v says nothing", err)
			}
			return
		}
		l := c.Limits
		if l.Deadline <= 0 || l.Body <= 0 || l.Concurrent <= 0 || l.Waiting <= 0 || l.PerTenant <= 0 || l.References <= 0 || l.Connections <= 0 || c.Registry.Jobs <= 0 || c.Cache.Allow <= 0 || c.Cache.Deny <= 0 || c.Cache.Entries <= 0 || c.Cache.Bytes <= 0 {
			t.Fatalf("a limit is none: %+v", c)
		}
		if len(c.Policies) == 0 || len(c.Registry.Repositories) == 0 {
			t.Fatal("nothing judges, or nothing may be asked, and it loads")
		}
		for _, r := range c.Rules {
			if r.Name == "" || len(r.Namespaces) == 0 || len(r.Artifacts) == 0 {
				t.Fatalf("a rule for nothing: %+v", r)
			}
			for _, line := range r.Artifacts {
				if line.Accept == (line.Policy != "") || line.Accept && line.Reason == "" || (len(line.Repositories) > 0) == (len(line.URIs) > 0) {
					t.Fatalf("a line with two meanings: %+v", line)
				}
			}
		}
	})
}

package cli

import (
	"cmp"

	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/serve"
	"github.com/pedigree-ml/pedigree/internal/gate/watch"
)

// A described metric is one as a scraper would see it.
type describedMetric struct{ name, help, labels, kind string }

var descForm = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "((?:[^"\\]|\\.)*)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

// described lists what a registry has, sampled or not, without those of Go, the process and the page.
func described(t *testing.T, r *prometheus.Registry) []describedMetric {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	ch := make(chan *prometheus.Desc, 1000)
	r.Describe(ch)
	close(ch)
	var out []describedMetric
	for d := range ch {
		if strings.Contains(d.String(), `fqName: "go_`) || strings.Contains(d.String(), `fqName: "process_`) || strings.Contains(d.String(), `fqName: "promhttp_`) {
			continue
		}
		m := descForm.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("a metric that is described otherwise: %s", d)
		}
		row := describedMetric{name: m[1], help: strings.ReplaceAll(m[2], `\"`, `"`), labels: strings.ReplaceAll(m[3], ",", ", "), kind: kinds[m[1]]}
		if row.kind == "" { // nothing was counted yet
			row.kind = "gauge"
			if strings.HasSuffix(row.name, "_total") {
				row.kind = "counter"
			} else if strings.HasSuffix(row.name, "_duration_seconds") {
				row.kind = "histogram"
			}
		}
		if !strings.HasPrefix(row.name, "pedigree_") {
			t.Errorf("%s is not called after the program", row.name)
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b describedMetric) int { return cmp.Compare(a.name, b.name) })
	return out
}

// docs/gate-metrics.md has every metric of a gate with all of its parts, and of the watcher.
func TestGateMetricsPage(t *testing.T) {
	w := newGateWorld(t)
	w.do(exitOK, "key", "generate", "--out", w.in("gate"))
	w.recordConfig("{key: gate.key}")
	a := &app{Process: Process{Now: time.Now}, files: &fileLog{}}
	c, err := a.gateConfig(w.in("gate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	g, err := a.openGate(t.Context(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := g.open(a.holder(w.in("gate.yaml"), c, log, nil, nil)); err != nil {
		t.Fatal(err)
	}
	watcher, err := watch.New(watch.Options{Grounds: func() *gate.Grounds { return nil }, Judge: g.engine, Cluster: struct{ watch.Cluster }{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	watched := prometheus.NewRegistry()
	watched.MustRegister(watcher.Collectors()...)

	var b strings.Builder
	b.WriteString("# What the gate counts\n\nMade from the metrics themselves by `go test ./internal/cli -run Page -update`.\n\n" +
		"`pedigree gate` serves these at `/metrics` on `listen.metrics`, beside those of Go (`go_…`), the process (`process_…`) and the page itself (`promhttp_…`). No value of a label comes from whoever asks or deploys. Those of records are there if the configuration has `records`.\n\n")
	table := func(list []describedMetric) {
		b.WriteString("| metric | type | labels | what it says |\n|---|---|---|---|\n")
		for _, m := range list {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, strings.ReplaceAll(m.help, "|", `\|`))
		}
	}
	own := described(t, g.registry)
	if len(own) < 40 {
		t.Errorf("%d metrics: some are missing", len(own))
	}
	table(own)
	b.WriteString("\n## Reasons of `pedigree_gate_refused_total`\n\n| reason | the request had, or met |\n|---|---|\n")
	for _, r := range serve.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r[0], r[1])
	}
	b.WriteString("\n## What the watcher counts\n\n`pedigree gate watch` serves these, and those about policies, questions and registries above. `namespace`, `kind` and `name` are workloads'.\n\n")
	table(described(t, watched))
	b.WriteString(alerts)
	page(t, "../../docs/gate-metrics.md", b.String())
}

// alerts says what to look at.
const alerts = `
## Alerts to begin with

| when | what it means |
|---|---|
| ` + "`pedigree_gate_ready == 0`" + ` for a minute, or no sample | nobody is let in under ` + "`failurePolicy: Fail`" + ` |
| ` + "`increase(pedigree_gate_panics_total[1h]) > 0`" + ` | a bug; it refused, and the log has its stack |
| ` + "`increase(pedigree_gate_reloads_total{result=\"error\"}[15m]) > 0`" + ` | what somebody wrote does not load; the older version is in force |
| ` + "`pedigree_gate_policy_expiry_timestamp_seconds - time() < 7*86400`" + `, and the same of trust and the certificate | after that it refuses |
| ` + "`histogram_quantile(0.99, rate(pedigree_gate_request_duration_seconds_bucket[5m])) > 5`" + ` | registries are slow; the API server gives up after ten seconds |
| ` + "`rate(pedigree_gate_refused_total{reason=~\"full\\|tenant\\|deadline\"}[5m]) > 0`" + ` | overload, or a registry that does not answer |
| ` + "`pedigree_records_oldest_seconds > 3600`" + ` | records wait: ` + "`pedigree gate records`" + ` says why |
`

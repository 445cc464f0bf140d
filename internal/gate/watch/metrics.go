package watch

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// metrics are what the watcher counts.
type metrics struct {
	failures prometheus.Counter
	changes  *prometheus.CounterVec
	runs     *running
}

func newMetrics(w *Watcher) *metrics {
	return &metrics{
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "pedigree_gate_watch_failures_total", Help: "How often listing or watching objects failed and was tried again."}),
		changes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pedigree_gate_watch_changes_total", Help: "Workloads whose result changed, by the new one."}, []string{"result"}),
		runs:     newRunning(w),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.failures, m.changes, m.runs}
}

// running says of each workload what became of it.
type running struct {
	watcher                                                          *Watcher
	workload, counts, report, oldest, objects, waiting, gaps, beyond *prometheus.Desc
}

// maxSeries is for how many workloads there is a series: a Prometheus server pays for
// each, and tenants make them. Those that are not allowed come first, and the counts are
// of all.
const maxSeries = 5000

func newRunning(w *Watcher) *running {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &running{
		watcher:  w,
		workload: d("pedigree_gate_workload", "1 for each workload, with its result and the mode of its rule.", "namespace", "kind", "name", "result", "mode"),
		counts:   d("pedigree_gate_workloads", "Workloads by result and the mode of their rule.", "result", "mode"),
		report:   d("pedigree_gate_watch_report_timestamp_seconds", "When the last report was made."),
		oldest:   d("pedigree_gate_watch_oldest_answer_seconds", "How long ago the oldest of all answers was looked for: what was published since may not be noticed."),
		objects:  d("pedigree_gate_watch_objects", "Objects that are looked at."),
		waiting:  d("pedigree_gate_watch_waiting", "Workloads that name something about which nobody has answered yet."),
		gaps:     d("pedigree_gate_watch_gaps", "Resources whose objects could not be looked at."),
		beyond:   d("pedigree_gate_workloads_without_series", "Workloads beyond those that have a series of their own."),
	}
}

// Describe implements prometheus.Collector.
func (r *running) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.workload, r.counts, r.report, r.oldest, r.objects, r.waiting, r.gaps, r.beyond} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *running) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if since := r.watcher.oldest.Load(); since >= 0 {
		gauge(r.oldest, (r.watcher.elapsed() - time.Duration(since)).Seconds())
	}
	report := r.watcher.Report()
	if report == nil {
		return
	}
	gauge(r.report, float64(report.At.Unix()))
	gauge(r.objects, float64(report.Objects))
	gauge(r.waiting, float64(report.Waiting))
	gauge(r.gaps, float64(len(report.Gaps)))
	r.workloads(report, gauge)
}

// modes are those of rules, and that of what no rule governs, which is refused.
var modes = [...]string{gate.Enforce.String(), gate.Warn.String(), gate.Audit.String(), ungoverned}

const ungoverned = "none"

func (r *running) workloads(report *Report, gauge func(*prometheus.Desc, float64, ...string)) {
	type count struct{ result, mode string }
	counts := map[count]int{}
	for _, result := range results {
		for _, mode := range modes {
			counts[count{result, mode}] = 0
		}
	}
	// Two that are the same once they can be shown would make the whole scrape fail, and
	// the names of owners are whatever a tenant writes.
	given := map[owner]bool{}
	for _, result := range Results() {
		for _, l := range report.Workloads {
			if l.Result != result {
				continue
			}
			mode := cmp.Or(l.Mode, ungoverned)
			counts[count{result.String(), mode}]++
			if o := (owner{show(l.Namespace), show(l.Kind), show(l.Name)}); !given[o] && len(given) < maxSeries {
				given[o] = true
				gauge(r.workload, 1, o.namespace, o.kind, o.name, result.String(), mode)
			}
		}
	}
	for c, n := range counts {
		gauge(r.counts, float64(n), c.result, c.mode)
	}
	gauge(r.beyond, float64(len(report.Workloads)-len(given)))
}

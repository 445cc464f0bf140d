package judge

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/policy"
)

// Stats are what an Engine did since it was made, and what it holds now.
type Stats struct {
	Hits, Misses int64 // answers that were remembered, and looks at the cache in vain
	Flights      int64 // looks at an artifact that were begun
	Panics       int64
	Evicted      int64 // entries that made room for others
	Entries      int   // that are held
	Bytes        int64 // about what they take
	Flying       int   // looks that somebody waits for
	Marks        int   // sequence numbers that are remembered
}

// Stats returns the counts.
func (e *Engine) Stats() Stats {
	s := Stats{
		Hits: e.stats.hits.Load(), Misses: e.stats.misses.Load(), Flights: e.stats.flights.Load(), Panics: e.stats.panics.Load(),
		Flying: e.looks.len(), Marks: len(e.ledger.load()),
	}
	e.cache.mu.Lock()
	defer e.cache.mu.Unlock()
	for _, shelf := range []*shelf{&e.cache.allowed, &e.cache.refused} {
		s.Evicted += shelf.evicted
		s.Entries += len(shelf.entries)
		s.Bytes += shelf.bytes
	}
	return s
}

// stats are an engine's counters, and its histograms by what was answered.
type stats struct {
	hits, misses, flights, panics atomic.Int64

	answers [outcomes][2]prometheus.Observer // by outcome, and by whether it was remembered
	looks   [outcomes]prometheus.Observer
	vectors []prometheus.Collector
}

// outcomes are the three of a policy, and one more for what was not judged.
const (
	unjudged = 3
	outcomes = 4
)

func newStats() *stats {
	answers := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pedigree_gate_answer_seconds", Help: "How long questions took, by answer (ERROR: nothing was judged) and whether it was remembered.",
		// Warm answers take microseconds, cold ones seconds at most.
		Buckets: []float64{.0001, .0005, .001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"outcome", "cached"})
	looks := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pedigree_gate_look_seconds", Help: "How long it took to verify and judge an artifact, by outcome.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"outcome"})
	s := &stats{vectors: []prometheus.Collector{answers, looks}}
	for i := range outcomes {
		name := "ERROR"
		if i != unjudged {
			name = policy.Outcome(i).String()
		}
		s.answers[i] = [2]prometheus.Observer{answers.WithLabelValues(name, "false"), answers.WithLabelValues(name, "true")}
		s.looks[i] = looks.WithLabelValues(name)
	}
	return s
}

func kindOf(a gate.Answer) int {
	if a.Err != nil || a.Outcome > policy.Allow {
		return unjudged
	}
	return int(a.Outcome)
}

func (s *stats) answered(a gate.Answer, took time.Duration) {
	cached := 0
	if a.Cached {
		cached = 1
	}
	s.answers[kindOf(a)][cached].Observe(took.Seconds())
}

func (s *stats) flew(a gate.Answer, took time.Duration) {
	s.looks[kindOf(a)].Observe(took.Seconds())
}

// Collectors returns the engine's metrics, to be registered once.
func (e *Engine) Collectors() []prometheus.Collector {
	s := e.stats
	return append([]prometheus.Collector{
		counter("pedigree_gate_cache_hits_total", "Answers that were remembered.", func() float64 { return float64(s.hits.Load()) }),
		counter("pedigree_gate_cache_misses_total", "Looks at the cache that found nothing that may still be told.", func() float64 { return float64(s.misses.Load()) }),
		counter("pedigree_gate_cache_evictions_total", "Answers that made room for others.", func() float64 { return float64(e.Stats().Evicted) }),
		counter("pedigree_gate_looks_total", "Verifications that were begun.", func() float64 { return float64(s.flights.Load()) }),
		counter("pedigree_gate_look_panics_total", "Bugs that were caught while something was judged.", func() float64 { return float64(s.panics.Load()) }),
		gauge("pedigree_gate_cache_entries", "Answers that are remembered.", func() float64 { return float64(e.Stats().Entries) }),
		gauge("pedigree_gate_cache_bytes", "About how much memory they take.", func() float64 { return float64(e.Stats().Bytes) }),
		gauge("pedigree_gate_looks_running", "Verifications that somebody waits for.", func() float64 { return float64(e.looks.len()) }),
		gauge("pedigree_gate_sequence_numbers", "Statuses and deny lists whose highest sequence number is remembered.", func() float64 { return float64(len(e.ledger.load())) }),
	}, s.vectors...)
}

// Collectors returns the metrics of what is asked of registries, to be registered once.
func (u *Upstream) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		counter("pedigree_gate_upstream_requests_total", "Requests to registries.", func() float64 { return float64(u.requests.Load()) }),
		counter("pedigree_gate_upstream_failures_total", "Requests to registries that had no answer.", func() float64 { return float64(u.failures.Load()) }),
	}
}

func counter(name, help string, f func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f)
}

func gauge(name, help string, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
}

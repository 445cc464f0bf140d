package record

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/attest"
)

// Stats are what a queue holds at one moment.
type Stats struct {
	Waiting  int // records that are not attached and checked yet
	Settling int // of these, those that may still turn out to be no change
	Limit    int
	Oldest   time.Time // when the oldest was let in; zero if none waits
}

// Stats returns what waits.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := Stats{Waiting: len(q.state.entries), Limit: q.o.Limit}
	now := q.o.Now()
	for _, e := range q.state.entries {
		if e.settling(now) {
			out.Settling++
		}
		if out.Oldest.IsZero() || e.At.Before(out.Oldest) {
			out.Oldest = e.At
		}
	}
	return out
}

// A Waiting is one record that waits.
type Waiting struct {
	ID          uint64    `json:"id"`
	Since       time.Time `json:"since"` // when it was let in
	Environment string    `json:"environment"`
	Cluster     string    `json:"cluster,omitempty"`
	Service     string    `json:"service,omitempty"`
	Artifact    string    `json:"artifact"` // the pinned reference
	// Stage is how far it is: queued, settling, signed, attached or withdrawing.
	Stage   string   `json:"stage"`
	Trouble *Trouble `json:"trouble,omitempty"` // why it waits, if that is known
}

// List reads what waits in a queue's folder, the oldest first. It changes nothing and
// takes no lock, so it works while a gate has the queue. A folder without a journal has
// nothing waiting.
func List(dir string, now time.Time) ([]Waiting, error) {
	s, _, _, _, _, err := load(dir)
	if err != nil {
		return nil, err
	}
	out := []Waiting{}
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		e := s.entries[id]
		w := Waiting{ID: id, Since: e.At, Environment: e.Place.Environment, Cluster: e.Place.Cluster, Service: e.Place.Service, Artifact: e.Reference, Stage: e.stage(now), Trouble: e.Trouble}
		if w.Trouble == nil {
			w.Trouble = s.lanes[e.repository()]
		}
		out = append(out, w)
	}
	return out, nil
}

func (e *entry) stage(now time.Time) string {
	switch {
	case e.Withdrawal != nil:
		return "withdrawing"
	case e.settling(now):
		return "settling"
	case e.Record != nil && e.Record.Attached:
		return "attached"
	case e.Record != nil && e.Record.Bundle != nil:
		return "signed"
	}
	return "queued"
}

// counts are what a queue counts.
type counts struct {
	waiting, oldest            prometheus.Collector
	ended, failed              *prometheus.CounterVec
	withdrawn, full, coalesced prometheus.Counter
}

func newCounts(q *Queue) *counts {
	const ns, sub = "pedigree", "records"
	gauge := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, func() float64 { return value(q.Stats()) })
	}
	c := &counts{
		waiting: gauge("waiting", "Deployment records that wait to be attached.", func(s Stats) float64 { return float64(s.Waiting) }),
		oldest: gauge("oldest_seconds", "How long the oldest deployment record waits; 0 if none does.", func(s Stats) float64 {
			if s.Oldest.IsZero() {
				return 0
			}
			return max(0, q.o.Now().Sub(s.Oldest).Seconds())
		}),
		ended:     prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "ended_total", Help: "Admissions that are done with, by how they ended: recorded, unchanged, late or withdrawn."}, []string{"how"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "failed_total", Help: "Attempts that failed and will be repeated, by code."}, []string{"code"}),
		withdrawn: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "withdrawn_total", Help: "Records that were taken back to be made again after another one."}),
		coalesced: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "coalesced_total", Help: "Admissions that gave way to a later one at the same place, and are recorded as a number."}),
		full:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "full_total", Help: "Admissions that the queue did not take because it was full."}),
	}
	for _, how := range []ending{endRecorded, endUnchanged, endLate, endWithdrawn} {
		c.ended.WithLabelValues(string(how))
	}
	return c
}

// Collectors returns the queue's metrics, to be registered once. Their labels are ours:
// nothing that somebody writes into an object becomes one.
func (q *Queue) Collectors() []prometheus.Collector {
	return []prometheus.Collector{q.counts.waiting, q.counts.oldest, q.counts.ended, q.counts.failed, q.counts.withdrawn, q.counts.full, q.counts.coalesced}
}

// label is the code of an error as a metric has it. Codes are a closed list.
func label(err error) string {
	if code := attest.RefusalCode(err); code != "" {
		return string(code)
	}
	return "other"
}

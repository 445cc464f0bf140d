package admit

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// counters count decisions. Their labels are the program's and the operator's own words:
// with a namespace or a repository in them, whoever deploys would decide how much memory
// the gate needs.
type counters struct {
	decisions, references *prometheus.CounterVec
}

func newCounters() counters {
	return counters{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "pedigree", Subsystem: "gate", Name: "decisions_total",
			Help: "Reviews by hook (validate, mutate), rule, its mode, outcome (ALLOW, DENY, UNDECIDED, NONE: nothing was judged) and whether they were let in."},
			[]string{"hook", "rule", "mode", "outcome", "allowed"}),
		references: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "pedigree", Subsystem: "gate", Name: "references_total",
			Help: "References in reviewed objects by hook, rule and what became of them: refused, allowed, accepted, reported, kept or left."},
			[]string{"hook", "rule", "standing"}),
	}
}

func (c counters) count(d Decision, seen []Seen) {
	c.decisions.WithLabelValues(d.Hook, d.Rule, d.Mode, d.Outcome, strconv.FormatBool(d.Allowed)).Inc()
	for _, s := range seen {
		c.references.WithLabelValues(d.Hook, d.Rule, s.Standing.String()).Inc()
	}
}

// Collectors are what is counted, for a registry.
func (a *Admitter) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.counters.decisions, a.counters.references}
}

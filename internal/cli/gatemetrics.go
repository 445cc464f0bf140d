package cli

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// policyMetrics say until when the policies and trust files hold that answers rest on.
// They are worked out when they are asked for: what is held is one whole.
type policyMetrics struct {
	grounds        func() *gate.Grounds
	expires, trust *prometheus.Desc
}

func newPolicyMetrics(grounds func() *gate.Grounds) *policyMetrics {
	return &policyMetrics{
		grounds: grounds,
		expires: prometheus.NewDesc("pedigree_gate_policy_expiry_timestamp_seconds", "When a policy expires, after which it allows nothing.", []string{"name", "digest"}, nil),
		trust:   prometheus.NewDesc("pedigree_gate_trust_expiry_timestamp_seconds", "When what a policy is asked under expires; no sample if it never does.", []string{"name"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *policyMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.expires; ch <- m.trust }

// Collect implements prometheus.Collector.
func (m *policyMetrics) Collect(ch chan<- prometheus.Metric) {
	g := m.grounds()
	if g == nil {
		return
	}
	for name, p := range g.Policies {
		ch <- prometheus.MustNewConstMetric(m.expires, prometheus.GaugeValue, float64(p.Policy.Expires().Unix()), name, p.Policy.Digest().String())
		if p.Trust != nil && !p.Trust.Expires().IsZero() {
			ch <- prometheus.MustNewConstMetric(m.trust, prometheus.GaugeValue, float64(p.Trust.Expires().Unix()), name)
		}
	}
}

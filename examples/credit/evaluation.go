package credit

import (
	"fmt"
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/record"
)

// A metric has a name in the evaluation.
type metric struct {
	name string
	of   func([]outcome) measure
}

// An evaluationKind says which metrics are reported, overall and per group.
type evaluationKind struct {
	overall, perGroup []metric
}

func evaluationKinds() map[string]evaluationKind {
	return map[string]evaluationKind{
		"quality": {
			overall:  []metric{{"accuracy", accuracy}, {"rocAuc", rocAUC}, {"brierScore", brierScore}, {"expectedCalibrationError", calibrationError}},
			perGroup: []metric{{"accuracy", accuracy}, {"rocAuc", rocAUC}, {"brierScore", brierScore}},
		},
		"bias": {
			overall:  []metric{{"selectionRate", selectionRate}, {"accuracy", accuracy}},
			perGroup: []metric{{"selectionRate", selectionRate}, {"truePositiveRate", truePositiveRate}, {"accuracy", accuracy}},
		},
	}
}

// outcomes lets the model decide about rows.
func (m model) outcomes(rows []row) []outcome {
	out := make([]outcome, len(rows))
	for i, z := range m.logits(rows) {
		p := sigmoid(z)
		out[i] = outcome{probability: p, selected: p >= m.Threshold, good: rows[i].good()}
	}
	return out
}

// evaluate measures m on rows.
func evaluate(m model, rows []row, kind string, at time.Time) (record.Evaluation, error) {
	k, ok := evaluationKinds()[kind]
	if !ok {
		return record.Evaluation{}, fmt.Errorf("unknown kind %q", kind)
	}
	outcomes := m.outcomes(rows)
	e := record.Evaluation{
		Kind:        kind,
		EvaluatedAt: record.Time(at),
		Suite:       record.Suite{Name: "german-credit-holdout", Version: "1"},
		Metrics:     metricValues(k.overall, outcomes),
		Slices:      make(map[string]record.Slice),
	}
	for _, d := range dimensions() {
		e.Slices[d.name] = newSlice(d, rows, outcomes, k.perGroup)
	}
	return e, nil
}

func newSlice(d dimension, rows []row, outcomes []outcome, metrics []metric) record.Slice {
	members := make(map[string][]outcome)
	for i, r := range rows {
		name := d.group(r)
		members[name] = append(members[name], outcomes[i])
	}
	s := record.Slice{Groups: make(map[string]record.Group), Gaps: make(map[string]record.Gap)}
	for name, os := range members {
		s.Groups[name] = record.Group{N: len(os), Metrics: metricValues(metrics, os)}
	}
	for _, g := range gaps() {
		if v, ok := g.over(members); ok {
			s.Gaps[g.name] = record.Gap{Value: record.NewDecimal(v)}
		}
	}
	return s
}

// metricValues omits metrics that are undefined for these outcomes.
func metricValues(metrics []metric, outcomes []outcome) map[string]record.Metric {
	values := make(map[string]record.Metric)
	for _, m := range metrics {
		result := m.of(outcomes)
		if result.n == 0 {
			continue
		}
		v := record.Metric{Value: record.NewDecimal(result.value), N: result.n}
		if m.name == "accuracy" {
			v.Interval = record.Wilson(result.value, result.n)
		}
		values[m.name] = v
	}
	return values
}

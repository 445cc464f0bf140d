package credit

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// An evaluation is the record of how a model did, in its JSON form.
type evaluation struct {
	Kind        string                 `json:"kind"`
	EvaluatedAt string                 `json:"evaluatedAt"`
	Suite       suite                  `json:"suite"`
	Metrics     map[string]metricValue `json:"metrics"`
	Slices      map[string]slice       `json:"slices"`
}

// A suite names the test. Its version changes when the definition of a metric
// or of a group does.
type suite struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A metricValue is the value of a metric. N counts the rows it is about.
type metricValue struct {
	Value    decimal   `json:"value"`
	N        int       `json:"n"`
	Interval *interval `json:"interval,omitempty"`
}

type interval struct {
	Low   decimal `json:"low"`
	High  decimal `json:"high"`
	Level decimal `json:"level"`
}

// A slice compares groups of people. Gaps omits those that cannot be formed.
type slice struct {
	Groups map[string]group    `json:"groups"`
	Gaps   map[string]gapValue `json:"gaps"`
}

type group struct {
	N       int                    `json:"n"`
	Metrics map[string]metricValue `json:"metrics"`
}

type gapValue struct {
	Value decimal `json:"value"`
}

// A decimal is a number in a string, with at most six decimals and no trailing
// zeros. JSON numbers would be rounded differently by different readers, which
// a signed record cannot have.
type decimal string

func newDecimal(v float64) decimal {
	s := strconv.FormatFloat(v, 'f', 6, 64)
	return decimal(strings.TrimSuffix(strings.TrimRight(s, "0"), "."))
}

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
func evaluate(m model, rows []row, kind string, at time.Time) (evaluation, error) {
	k, ok := evaluationKinds()[kind]
	if !ok {
		return evaluation{}, fmt.Errorf("unknown kind %q", kind)
	}
	outcomes := m.outcomes(rows)
	e := evaluation{
		Kind:        kind,
		EvaluatedAt: at.UTC().Format("2006-01-02T15:04:05Z"),
		Suite:       suite{"german-credit-holdout", "1"},
		Metrics:     metricValues(k.overall, outcomes),
		Slices:      make(map[string]slice),
	}
	for _, d := range dimensions() {
		e.Slices[d.name] = newSlice(d, rows, outcomes, k.perGroup)
	}
	return e, nil
}

func newSlice(d dimension, rows []row, outcomes []outcome, metrics []metric) slice {
	members := make(map[string][]outcome)
	for i, r := range rows {
		name := d.group(r)
		members[name] = append(members[name], outcomes[i])
	}
	s := slice{make(map[string]group), make(map[string]gapValue)}
	for name, os := range members {
		s.Groups[name] = group{len(os), metricValues(metrics, os)}
	}
	for _, g := range gaps() {
		if v, ok := g.over(members); ok {
			s.Gaps[g.name] = gapValue{newDecimal(v)}
		}
	}
	return s
}

// metricValues omits metrics that are undefined for these outcomes.
func metricValues(metrics []metric, outcomes []outcome) map[string]metricValue {
	values := make(map[string]metricValue)
	for _, m := range metrics {
		result := m.of(outcomes)
		if result.n == 0 {
			continue
		}
		v := metricValue{Value: newDecimal(result.value), N: result.n}
		if m.name == "accuracy" {
			low, high := wilson(result)
			v.Interval = &interval{newDecimal(low), newDecimal(high), "0.95"}
		}
		values[m.name] = v
	}
	return values
}

// print writes e as a table.
func (e evaluation) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s of %s, version %s\n\n", e.Kind, e.Suite.Name, e.Suite.Version)
	fmt.Fprintln(t, "GROUP\tMETRIC\tVALUE\tROWS")
	printMetrics(t, "all", e.Metrics)
	for _, d := range slices.Sorted(maps.Keys(e.Slices)) {
		s := e.Slices[d]
		for _, g := range slices.Sorted(maps.Keys(s.Groups)) {
			printMetrics(t, d+" "+g, s.Groups[g].Metrics)
		}
		for _, g := range slices.Sorted(maps.Keys(s.Gaps)) {
			fmt.Fprintf(t, "%s gap\t%s\t%s\t\n", d, g, s.Gaps[g].Value)
		}
	}
	return t.Flush()
}

func printMetrics(w io.Writer, label string, metrics map[string]metricValue) {
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		value := string(m.Value)
		if m.Interval != nil {
			value += fmt.Sprintf(" (%s to %s)", m.Interval.Low, m.Interval.High)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", label, name, value, m.N)
	}
}

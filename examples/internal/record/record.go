// Package record is the JSON form of an evaluation: what a model was measured to
// do, for a statement about it.
package record

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// An Evaluation is the record of how a model did.
type Evaluation struct {
	Kind        string            `json:"kind"`
	EvaluatedAt string            `json:"evaluatedAt"`
	Suite       Suite             `json:"suite"`
	Metrics     map[string]Metric `json:"metrics"`
	Slices      map[string]Slice  `json:"slices"`
}

// A Suite names the test. Its version changes when the definition of a metric
// or of a group does.
type Suite struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A Metric is what was measured. N counts the examples it is about.
type Metric struct {
	Value    Decimal   `json:"value"`
	N        int       `json:"n"`
	Interval *Interval `json:"interval,omitempty"`
}

// An Interval is a confidence interval.
type Interval struct {
	Low   Decimal `json:"low"`
	High  Decimal `json:"high"`
	Level Decimal `json:"level"`
}

// A Slice compares groups of examples, which may be people. Gaps omits those that cannot be formed.
type Slice struct {
	Groups map[string]Group `json:"groups"`
	Gaps   map[string]Gap   `json:"gaps"`
}

// A Group is what was measured on one of them.
type Group struct {
	N       int               `json:"n"`
	Metrics map[string]Metric `json:"metrics"`
}

// A Gap is a difference between groups.
type Gap struct {
	Value Decimal `json:"value"`
}

// A Decimal is a number in a string, with at most six decimals and no trailing
// zeros. JSON numbers would be rounded differently by different readers, which
// a signed record cannot have.
type Decimal string

// NewDecimal rounds v to six decimals.
func NewDecimal(v float64) Decimal {
	s := strconv.FormatFloat(v, 'f', 6, 64)
	return Decimal(strings.TrimSuffix(strings.TrimRight(s, "0"), "."))
}

// Print writes e as a table.
func (e Evaluation) Print(w io.Writer) error {
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

func printMetrics(w io.Writer, label string, metrics map[string]Metric) {
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		value := string(m.Value)
		if m.Interval != nil {
			value += fmt.Sprintf(" (%s to %s)", m.Interval.Low, m.Interval.High)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", label, name, value, m.N)
	}
}

// Wilson is the 95 % Wilson score interval of a share of n. Unlike the textbook
// interval it stays inside 0 to 1 and holds up for shares near the ends.
func Wilson(share float64, n int) *Interval {
	const z = 1.959963984540054 // the normal distribution's 97.5 % point
	zz := float64(z*z) / float64(n)
	center := share + zz/2
	half := float64(z * math.Sqrt((float64(share*(1-share))+zz/4)/float64(n)))
	low, high := max(0, (center-half)/(1+zz)), min(1, (center+half)/(1+zz))
	return &Interval{NewDecimal(low), NewDecimal(high), "0.95"}
}

// Time is how a record spells a time: UTC, whole seconds.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

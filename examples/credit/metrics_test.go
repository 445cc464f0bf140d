package credit

import (
	"math"
	"testing"
)

// four rows, worked by hand below. The second and third are tied.
func fourOutcomes() []outcome {
	return []outcome{
		{probability: 0.9, selected: true, good: true},
		{probability: 0.6, selected: true, good: false},
		{probability: 0.6, selected: true, good: true},
		{probability: 0.2, selected: false, good: true},
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestMetricsByHand(t *testing.T) {
	tests := []struct {
		name   string
		metric func([]outcome) measure
		want   measure
	}{
		{"accuracy", accuracy, measure{2.0 / 4, 4}},
		{"selectionRate", selectionRate, measure{3.0 / 4, 4}},
		{"truePositiveRate", truePositiveRate, measure{2.0 / 3, 3}},
		// (0.1² + 0.6² + 0.4² + 0.8²) / 4
		{"brierScore", brierScore, measure{(0.01 + 0.36 + 0.16 + 0.64) / 4, 4}},
		// Of the three pairs with the one bad row: won, tied, lost.
		{"rocAUC", rocAUC, measure{1.5 / 3, 4}},
		// Bins: {0.9: good}, {0.6, 0.6: one of two good}, {0.2: good}.
		{"calibrationError", calibrationError, measure{(0.1 + 0.2 + 0.8) / 4, 4}},
	}
	for _, test := range tests {
		got := test.metric(fourOutcomes())
		if !near(got.value, test.want.value) || got.n != test.want.n {
			t.Errorf("%s is %v, want %v", test.name, got, test.want)
		}
		if got := test.metric(nil); got.n != 0 {
			t.Errorf("%s of no rows is %v, want it undefined", test.name, got)
		}
	}
}

func TestMetricsWithoutOneClassAreUndefined(t *testing.T) {
	bad := []outcome{{probability: 0.4}, {probability: 0.3}}
	if m := rocAUC(bad); m.n != 0 {
		t.Errorf("rocAUC without good rows is %v, want it undefined", m)
	}
	if m := truePositiveRate(bad); m.n != 0 {
		t.Errorf("truePositiveRate without good rows is %v, want it undefined", m)
	}
}

func TestROCAUCEnds(t *testing.T) {
	perfect := []outcome{{probability: 0.8, good: true}, {probability: 0.1}, {probability: 0.2}}
	if m := rocAUC(perfect); m.value != 1 {
		t.Errorf("a perfect order gives %v, want 1", m.value)
	}
	constant := []outcome{{probability: 0.5, good: true}, {probability: 0.5}, {probability: 0.5}}
	if m := rocAUC(constant); m.value != 0.5 {
		t.Errorf("a constant gives %v, want 0.5", m.value)
	}
}

func TestCalibrationErrorOfCertainty(t *testing.T) {
	sure := []outcome{{probability: 1, good: true}, {probability: 0}}
	if m := calibrationError(sure); m.value != 0 {
		t.Errorf("right and certain gives %v, want 0", m.value)
	}
}

func TestGapNeedsTwoLargeGroups(t *testing.T) {
	group := func(n, selected int) []outcome {
		os := make([]outcome, n)
		for i := range selected {
			os[i].selected = true
		}
		return os
	}
	g := gap{"demographicParity", selectionRate}
	small := map[string][]outcome{"a": group(20, 10), "b": group(19, 0)}
	if v, ok := g.over(small); ok {
		t.Errorf("a group of 19 rows took part in the gap %v", v)
	}
	if v, ok := g.over(map[string][]outcome{"a": group(20, 10), "b": group(20, 4), "c": group(40, 12)}); !ok || !near(v, 0.3) {
		t.Errorf("gap is %v, %t, want 0.3, true", v, ok)
	}
	if v, ok := (gap{"equalOpportunity", truePositiveRate}).over(map[string][]outcome{"a": group(20, 10), "b": group(20, 4)}); ok {
		t.Errorf("groups without good rows took part in the gap %v", v)
	}
}

package report

import "testing"

// Two values of one rule never look like one value that is said twice.
func TestLabel(t *testing.T) {
	for expression, want := range map[string]string{
		`predicate.metrics["accuracy"].value`:                 "accuracy",
		`predicate.metrics["accuracy"].n`:                     "accuracy n",
		`predicate.metrics["accuracy"].interval.low`:          "accuracy interval.low",
		`predicate.slices["sex"].gaps["parity"].value`:        "sex parity",
		`predicate.slices["sex"].groups["female"].n`:          "sex female n",
		`other.metrics["accuracy"].value`:                     "other accuracy",
		`other.metrics["accuracy"].value - 0.01`:              `other.metrics["accuracy"].value - 0.01`,
		`size(predicate.slices["sex"].groups)`:                `size(predicate.slices["sex"].groups)`,
		`predicate.decision`:                                  "decision",
		`predicate.metrics["a"].value + other.metrics["b"].n`: `metrics["a"].value + other.metrics["b"].n`,
		`predicate.metrics["a`:                                `metrics["a`,
	} {
		if got := label(expression); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}

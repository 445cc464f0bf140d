package credit

import "strings"

// A dimension divides rows into groups of people.
type dimension struct {
	name  string
	group func(row) string
}

// dimensions are the ways the evaluation compares people. The model sees none
// of these columns.
func dimensions() []dimension {
	return []dimension{
		{"sex", sex},
		{"ageBand", ageBand},
		{"foreignWorker", func(r row) string { return r.fields[foreignWorkerColumn] }},
	}
}

// sex is the first word of personal_status, which also holds the marital status.
// data/ATTRIBUTION.md says how far that can be relied on.
func sex(r row) string {
	word, _, _ := strings.Cut(r.fields[personalStatusColumn], " ")
	return word
}

func ageBand(r row) string {
	switch age := r.number(ageColumn); {
	case age < 26:
		return "under-26"
	case age <= 60:
		return "26-60"
	}
	return "over-60"
}

// A gap is the difference of a metric between the best and the worst group.
type gap struct {
	name   string
	metric func([]outcome) measure
}

// gaps are the differences reported for every dimension.
func gaps() []gap {
	return []gap{
		{"accuracy", accuracy},
		{"demographicParity", selectionRate},
		{"equalOpportunity", truePositiveRate},
	}
}

// minGroup is the fewest rows a rate needs to take part in a gap: with fewer,
// one row alone moves the rate by more than 0.05.
const minGroup = 20

// over returns the largest minus the smallest value among the groups whose
// metric is about at least minGroup rows. With fewer than two such groups there
// is nothing to compare and ok is false: that is not a gap of 0.
func (g gap) over(groups map[string][]outcome) (value float64, ok bool) {
	low, high, n := 1.0, 0.0, 0
	for _, outcomes := range groups {
		m := g.metric(outcomes)
		if m.n < minGroup {
			continue
		}
		low, high, n = min(low, m.value), max(high, m.value), n+1
	}
	return high - low, n >= 2
}

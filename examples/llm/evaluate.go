package llm

import (
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/exact"
	"github.com/pedigree-ml/pedigree/examples/internal/record"
)

// A tally adds up how well tokens were predicted.
type tally struct {
	n, hits int
	loss    float64 // in nats
}

func (t *tally) add(hit bool, loss float64) {
	t.n++
	t.loss += loss
	if hit {
		t.hits++
	}
}

// metrics are the share of tokens that the model thought likeliest, the mean of
// -log p, and e to the power of it: among how many tokens the model wavers.
func (t tally) metrics() map[string]record.Metric {
	if t.n == 0 {
		return map[string]record.Metric{} // undefined, and so not reported
	}
	accuracy, loss := float64(t.hits)/float64(t.n), t.loss/float64(t.n)
	return map[string]record.Metric{
		"accuracy":     {Value: record.NewDecimal(accuracy), N: t.n, Interval: record.Wilson(accuracy, t.n)},
		"crossEntropy": {Value: record.NewDecimal(loss), N: t.n},
		"perplexity":   {Value: record.NewDecimal(1 / exact.Exp(-loss)), N: t.n},
	}
}

// leastProbability bounds the loss of one token: a probability may come out as
// zero, and its logarithm has no spelling in a record.
const leastProbability = 1e-30

// evaluate measures how well m predicts a text, and how that depends on the
// length of the line: headings and verses are short, and unlike the prose.
func evaluate(m model, tokens []int, suite string, at time.Time) record.Evaluation {
	var all tally
	groups := map[string]*tally{"short": {}, "medium": {}, "long": {}}
	act := newActivation(0)
	for start := 0; start < len(tokens); {
		end := start
		for end < len(tokens) && tokens[end] != 0 {
			end++
		}
		end = min(end+1, len(tokens)) // with its line feed
		group := groups[lineGroup(end-start)]
		for i := start; i < end; i++ {
			m.predict(tokens, i, nil, act)
			p := act.probability[tokens[i]]
			loss := -exact.Log(max(p, leastProbability))
			hit := likeliest(act.probability) == tokens[i]
			all.add(hit, loss)
			group.add(hit, loss)
		}
		start = end
	}
	s := record.Slice{Groups: map[string]record.Group{}, Gaps: map[string]record.Gap{}}
	for name, t := range groups {
		s.Groups[name] = record.Group{N: t.n, Metrics: t.metrics()}
	}
	return record.Evaluation{
		Kind: "quality", EvaluatedAt: record.Time(at),
		Suite:   record.Suite{Name: suite, Version: "1"},
		Metrics: all.metrics(),
		Slices:  map[string]record.Slice{"lineLength": s},
	}
}

// lineGroup sorts lines by their length. Lines of prose here have 65 to 75
// characters unless a paragraph ends.
func lineGroup(length int) string {
	switch {
	case length < 30:
		return "short"
	case length < 60:
		return "medium"
	}
	return "long"
}

// likeliest is the first of the largest probabilities.
func likeliest(p []float64) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}
